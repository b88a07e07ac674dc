# SPDX-License-Identifier: Apache-2.0
"""Serial lines, networks, systemd: there, and behaving."""

import os
import termios
import time
import tty
from pathlib import Path

from lab_guest import serial
from lab_guest.command import run, run_json
from lab_guest.net import Namespace


def open_port(path, baud=termios.B19200, control=termios.CS8):
    port = os.open(path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(port)
    settings = termios.tcgetattr(port)
    settings[2] = control | termios.CREAD | termios.CLOCAL
    settings[4] = settings[5] = baud
    termios.tcsetattr(port, termios.TCSANOW, settings)
    return port


def test_serial_line_has_real_settings():
    one = open_port(serial.PORTS[0], termios.B19200, termios.CS8 | termios.PARENB)
    two = open_port(serial.PORTS[1], termios.B9600,
                    termios.CS7 | termios.PARENB | termios.PARODD | termios.CSTOPB)
    assert serial.line(serial.PORTS[0]) == serial.Line(19200, 8, "even", 1)
    assert serial.line(serial.PORTS[1]) == serial.Line(9600, 7, "odd", 2)
    for port in (one, two):
        os.close(port)


def test_serial_line_is_wired():
    one, two = (open_port(path) for path in serial.PORTS)
    os.write(one, b"there")
    os.write(two, b"back")
    for port, wanted in ((two, b"there"), (one, b"back")):
        got = b""
        while len(got) < len(wanted):
            got += os.read(port, 100)
        assert got == wanted
        os.close(port)


def test_network_with_delay_and_loss():
    far = Namespace()
    far.shape("delay", "200ms")
    before = time.monotonic()
    # Nobody listens: the refusal has to travel both ways.
    assert run("sh", "-c", f"python3 -c 'import socket; socket.create_connection((\"{far.THERE}\", "
               "9))' 2>&1 | tail -1").startswith("ConnectionRefused")
    assert time.monotonic() - before >= 0.4
    far.cut()
    assert "loss 100%" in run("tc", "qdisc", "show", "dev", "near0")
    far.unplug()
    assert run_json("ip", "-json", "link", "show", "near0")[0]["operstate"] == "DOWN"


def test_systemd_is_first_and_all_is_well():
    assert Path("/proc/1/comm").read_text() == "systemd\n"
    assert not run_json("systemctl", "list-units", "--failed", "--output=json")
    assert "lab-agent" in run("journalctl", "-u", "lab-agent", "-n", "1", "-o", "short")
