# SPDX-License-Identifier: Apache-2.0
"""A serial-line CAN adapter on a pseudo-terminal, played by the test: errors and bus-off as wished.

The kernel's slcan driver is at the other end. Its restart-ms is refused by the driver; bus-off ends
when the interface is taken down and up.
"""

import fcntl
import os
import pty
import re
import struct
import threading
import tty

from lib import wait

from .command import load, run

# asm-generic/ioctls.h, linux/tty.h
TIOCSETD = 0x5423
N_SLCAN = 17
# net/if.h, linux/sockios.h
SIOCGIFNAME = 0x8910
STATES = {"ERROR-ACTIVE": "a", "ERROR-WARNING": "w", "ERROR-PASSIVE": "p", "BUS-OFF": "b"}


class Adapter:
    """An interface of that name, once it has been made; can.up(name, bitrate) takes it up.

    `commands` and `frames` are what the kernel has sent to it, as text and as (identifier, data).
    """

    def __init__(self, name="slcan0"):
        load("slcan")
        self.name = name
        self.commands = []
        self.frames = []
        self._ours, self._theirs = pty.openpty()
        tty.setraw(self._theirs)
        # The port has to be read from now on, or the driver waits for its commands to leave.
        threading.Thread(target=self._play, daemon=True).start()
        fcntl.ioctl(self._theirs, TIOCSETD, struct.pack("i", N_SLCAN))
        given = fcntl.ioctl(self._theirs, SIOCGIFNAME, bytes(16)).split(b"\0")[0].decode()
        run("ip", "link", "set", given, "name", name)

    def _play(self):
        rest = b""
        try:
            while data := os.read(self._ours, 4096):
                *lines, rest = (rest + data).split(b"\r")
                for line in lines:
                    self._command(line.decode("ascii", "replace"))
        except OSError:
            pass  # EIO: the other end was closed

    def _command(self, line):
        self.commands.append(line)
        if match := re.fullmatch(r"(?:t([0-9A-F]{3})|T([0-9A-F]{8}))\d([0-9A-F]*)", line, re.I):
            self.frames.append((int(match[1] or match[2], 16), bytes.fromhex(match[3])))
            # As adapters acknowledge a frame.
            self._say("z" if match[1] else "Z")

    def _say(self, text):
        os.write(self._ours, text.encode() + b"\r")

    def receive(self, identifier, data=b"", extended=False):
        """A frame from the bus."""
        head = f"T{identifier:08X}" if extended else f"t{identifier:03X}"
        self._say(f"{head}{len(data)}{data.hex().upper()}")

    def report(self, state, receive_errors=0, transmit_errors=0):
        """The adapter's state has changed; `state` as can.state() says it."""
        self._say(f"s{STATES[state]}{receive_errors:03d}{transmit_errors:03d}")

    def report_errors(self, kinds):
        """Protocol errors, a letter each: a acknowledgement, B and b bit, C crc, F form, s stuff,
        o and O overrun."""
        self._say(f"e{len(kinds)}{kinds}")

    def wait_command(self, command, timeout=20):
        wait.until(lambda: command in self.commands, timeout, lambda: f"{command}: {self.commands}")

    def close(self):
        """Unplugged."""
        os.close(self._theirs)
        os.close(self._ours)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
