# SPDX-License-Identifier: Apache-2.0
"""Two UARTs wired to each other. Their settings are real, down to the registers; what is not there
is time on the wire and errors of parity or speed: bytes arrive whatever the other end is set to."""

from collections import namedtuple
from pathlib import Path

PORTS = ("/dev/ttyS1", "/dev/ttyS2")
# 16550: the divisor is in units of this, line control is register 3, its bit 7 shows the divisor.
BASE_BAUD = 115200
LINE_CONTROL, DIVISOR_ACCESS = 3, 0x80

Line = namedtuple("Line", "baud data_bits parity stop_bits")


def line(port):
    """The settings, as the UART has them in its registers; somebody has to have the port open."""
    base = int(Path(f"/sys/class/tty/{Path(port).name}/port").read_text(), 16)
    with open("/dev/port", "r+b", 0) as ports:
        def read(register):
            ports.seek(base + register)
            return ports.read(1)[0]

        def write(register, value):
            ports.seek(base + register)
            ports.write(bytes([value]))
        control = read(LINE_CONTROL)
        write(LINE_CONTROL, control | DIVISOR_ACCESS)
        divisor = read(0) | read(1) << 8
        write(LINE_CONTROL, control)
    parity = "none" if not control & 0x08 else "even" if control & 0x10 else "odd"
    return Line(BASE_BAUD // divisor, 5 + (control & 3), parity, 2 if control & 4 else 1)
