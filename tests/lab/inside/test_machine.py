# SPDX-License-Identifier: Apache-2.0
"""Serial lines, networks, systemd: there, and behaving."""

import os
import socket
import termios
import time
import tty
import urllib.request
from pathlib import Path

import pytest
from lib import wait
from lib.net import is_listening

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
    with Namespace() as far:
        far.shape("delay", "200ms")
        before = time.monotonic()
        # Nobody listens there: the refusal has to travel both ways.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((far.THERE, 9), timeout=60)
        assert time.monotonic() - before >= 0.4
        far.cut()
        with pytest.raises(TimeoutError):
            socket.create_connection((far.THERE, 9), timeout=2)
        far.unplug()
        assert run_json("ip", "-json", "link", "show", "near0")[0]["operstate"] == "DOWN"
        far.plug_in()
        far.good()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((far.THERE, 9), timeout=60)


def test_network_like_2g():
    Path("/tmp/page").write_bytes(bytes(10000))
    with Namespace() as far:
        server = far.start("python3", "-m", "http.server", "80", "--bind", far.THERE,
                           "--directory", "/tmp")
        wait.until(lambda: is_listening(80, far.THERE), 60, "the server listens", 0.2)
        far.like_2g()
        before = time.monotonic()
        with urllib.request.urlopen(f"http://{far.THERE}/page", timeout=120) as page:
            assert len(page.read()) == 10000
        # 80 kbit at 40 kbit/s, and there and back twice
        assert time.monotonic() - before >= 2 + 2 * 2 * 0.25
        server.kill()
        server.wait()


def test_systemd_is_first_and_all_is_well():
    assert Path("/proc/1/comm").read_text() == "systemd\n"
    assert not run_json("systemctl", "list-units", "--failed", "--output=json")
    assert "lab-agent" in run("journalctl", "-u", "lab-agent", "-n", "1", "-o", "short")
