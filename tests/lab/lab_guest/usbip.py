# SPDX-License-Identifier: Apache-2.0
"""A USB device played in Python: the kernel's virtual host controller at the other end of a socket.

The protocol is the kernel's Documentation/usb/usbip_protocol.rst, from the point where a device is
imported. Only control transfers, which is all that the devices here have.
"""

import struct
from collections import namedtuple
from pathlib import Path

SUBMIT, UNLINK, SUBMITTED, UNLINKED = 1, 2, 3, 4
HEADER = 48
IN = 1
EPIPE, ECONNRESET = 32, 104
FULL_SPEED = 2
STALL = object()

GET_DESCRIPTOR = 6
DESCRIPTOR_DEVICE, DESCRIPTOR_CONFIGURATION, DESCRIPTOR_STRING = 1, 2, 3

Setup = namedtuple("Setup", "type request value index length")


def controller():
    """The first; it speaks for the others."""
    return Path("/sys/devices/platform/vhci_hcd.0")


def plug_in(connection):
    """Into a free port, whose number it returns. The kernel keeps the socket."""
    for line in (controller() / "status").read_text().splitlines()[1:]:
        hub, port, status = line.split()[:3]
        # 004: nothing plugged in
        if hub == "hs" and status == "004":
            (controller() / "attach").write_text(
                f"{int(port)} {connection.fileno()} {0x10001 + int(port)} {FULL_SPEED}")
            connection.close()
            return int(port)
    raise AssertionError("no free port")


def unplug(port):
    (controller() / "detach").write_text(str(port))


class Device:
    """One interface without endpoints. `control`: answers requests to it by bytes, by STALL, or by
    None, which means never."""

    def __init__(self, connection, vendor, product, control):
        self._connection = connection
        self._control = control
        # USB 2.0, 9.6.1 and 9.6.3: vendor-specific class, configuration of 100 mA
        self._device = struct.pack("<BBHBBBBHHHBBBB", 18, DESCRIPTOR_DEVICE, 0x0110, 0xff, 0, 0, 8,
                                   vendor, product, 0x0205, 1, 2, 0, 1)
        interface = struct.pack("<BBBBBBBBB", 9, 4, 0, 0, 0, 0xff, 0, 0, 0)
        self._configuration = struct.pack("<BBHBBBBB", 9, DESCRIPTOR_CONFIGURATION,
                                          9 + len(interface), 1, 1, 0, 0x80, 50) + interface

    def _receive(self, length):
        data = b""
        while len(data) < length:
            piece = self._connection.recv(length - len(data))
            if not piece:
                raise ConnectionError
            data += piece
        return data

    def serve(self):
        try:
            while True:
                self._one()
        except OSError:
            self._connection.close()  # unplugged

    def _one(self):
        header = self._receive(HEADER)
        command, sequence, _, direction, _ = struct.unpack_from(">5I", header)
        if command == UNLINK:
            # The driver's patience is over with a request that gets no answer.
            self._connection.sendall(struct.pack(">5Ii", UNLINKED, sequence, 0, 0, 0, -ECONNRESET)
                                     .ljust(HEADER, b"\0"))
            return
        length = struct.unpack_from(">I", header, 24)[0]
        data = b"" if direction == IN else self._receive(length)
        answer = self._answer(Setup(*struct.unpack_from("<BBHHH", header, 40)), data)
        if answer is None:
            return
        status, body = (-EPIPE, b"") if answer is STALL else (0, answer[:length])
        actual = len(body) if direction == IN else len(data)
        if status:
            actual = 0
        self._connection.sendall(struct.pack(">5IiIIII", SUBMITTED, sequence, 0, 0, 0, status,
                                             actual, 0, 0, 0).ljust(HEADER, b"\0")
                                 + (body if direction == IN else b""))

    def _answer(self, setup, data):
        if setup.type & 0x60:
            return self._control(setup, data)
        if setup.request != GET_DESCRIPTOR:
            return b""
        kind, index = setup.value >> 8, setup.value & 0xff
        if kind == DESCRIPTOR_DEVICE:
            return self._device[:setup.length]
        if kind == DESCRIPTOR_CONFIGURATION:
            return self._configuration[:setup.length]
        if kind == DESCRIPTOR_STRING:
            text = "\u0409" if index == 0 else ("sensocan", "lab")[index - 1]
            body = text.encode("utf-16-le")
            return (bytes([2 + len(body), DESCRIPTOR_STRING]) + body)[:setup.length]
        return STALL
