# SPDX-License-Identifier: Apache-2.0
"""The machine's clock, and somebody to set it: a time server for systemd-timesyncd."""

import socket
import struct
import threading
import time
from pathlib import Path

from .command import run

PORT = 123
# RFC 5905: seconds from 1900 to 1970; version 4, mode 4 (server).
UNIX_EPOCH = 2208988800
SERVER = 4 << 3 | 4


def boottime():
    """Seconds since boot, by a clock that nobody can set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def set_wall_clock(seconds):
    time.clock_settime(time.CLOCK_REALTIME, seconds)


def hardware_date():
    return Path("/sys/class/rtc/rtc0/date").read_text().strip()


class TrueTime:
    """What the time really is in this machine, whatever its clock shows."""

    def __init__(self, start):
        self._start = start - boottime()

    def at(self, boot_seconds):
        return self._start + boot_seconds

    def now(self):
        return self.at(boottime())


def start_timesyncd():
    """As Debian has it, asking a server on this machine."""
    config = Path("/etc/systemd/timesyncd.conf.d/lab.conf")
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("[Time]\nNTP=127.0.0.1\n")
    run("systemctl", "start", "systemd-timesyncd")


class NtpServer:
    """Tells the true time from now on."""

    def __init__(self, true_time):
        self._true_time = true_time
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", PORT))
        threading.Thread(target=self._serve, daemon=True).start()

    def _stamp(self):
        return round((self._true_time.now() + UNIX_EPOCH) * 2 ** 32).to_bytes(8, "big")

    def _serve(self):
        while True:
            request, client = self._socket.recvfrom(256)
            received = self._stamp()
            # RFC 5905, 7.3: stratum 1, precision 2^-20, no delay; then reference, origin (the
            # client's transmit time), receive and transmit times.
            head = struct.pack(">BBbbII4s", SERVER, 1, 6, -20, 0, 1 << 8, b"LAB ")
            self._socket.sendto(head + received + request[40:48] + received + self._stamp(), client)
