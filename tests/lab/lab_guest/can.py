# SPDX-License-Identifier: Apache-2.0
"""CAN interfaces.

can0 and can1 are two SJA1000 controllers on one bus. They have a bit rate and modes, but no errors
and no bus-off, and their receive buffers hold 64 bytes: send bursts with pauses. QEMU's model loses
its place in that buffer when the interface goes down: one that has received frames shows garbage
after the next up(). So each test begins with a machine of its own, and an interface that comes and
goes is a vcan() or an slcan.Adapter. vcan() is also for CAN FD and error frames made by hand,
slcan.Adapter for bus-off and error counters.
"""

import re
from pathlib import Path

import can
from lib import wait

from .command import load, run, run_json

RECEIVERS = Path("/proc/net/can/rcvlist_all")
# linux/can/error.h
ERROR_FLAG = 0x20000000
ERROR_BUS_OFF = 0x40


def up(name, bitrate=None, **options):
    """Sets bit rate and options as of ip-link(8), type can: listen_only="on", restart_ms=100."""
    run("ip", "link", "set", name, "down")
    words = ["bitrate", bitrate] if bitrate else []
    for key, value in options.items():
        words += [key.replace("_", "-"), value]
    if words:
        run("ip", "link", "set", name, "type", "can", *words)
    run("ip", "link", "set", name, "up")
    # The interface may say that it is up before it runs.
    wait.until(lambda: link(name)["operstate"] in ("UP", "UNKNOWN"), 20, f"{name} runs")


def down(name):
    run("ip", "link", "set", name, "down")


def link(name):
    """What ip-link(8) knows."""
    return run_json("ip", "-json", "-details", "-statistics", "link", "show", name)[0]


def state(name):
    """ERROR-ACTIVE, ERROR-WARNING, ERROR-PASSIVE, BUS-OFF or STOPPED."""
    return link(name)["linkinfo"]["info_data"]["state"]


def wait_state(name, wanted, timeout=20):
    wait.until(lambda: state(name) == wanted, timeout, lambda: f"{name} is {state(name)}")


def vcan(name="vcan0", fd=False):
    """Makes a virtual interface and takes it up."""
    load("vcan")
    if name in {entry["ifname"] for entry in run_json("ip", "-json", "link", "show")}:
        run("ip", "link", "delete", name)
    run("ip", "link", "add", name, "type", "vcan")
    if fd:
        run("ip", "link", "set", name, "mtu", 72)
    run("ip", "link", "set", name, "up")
    return name


def bus(name, fd=False, **options):
    """A socket on it, as python-can's Bus. Close it: `with can.bus("can0") as bus`."""
    return can.interface.Bus(channel=name, bustype="socketcan", fd=fd, **options)


def wait_listener(name, timeout=20):
    """Until somebody receives all frames of the interface, as candump and python-can do."""
    wait.until(lambda: re.search(rf"^ *{name} ", RECEIVERS.read_text(), re.M), timeout,
               f"somebody listens on {name}")


def frame(identifier, data=b"", extended=False, **more):
    return can.Message(arbitration_id=identifier, data=data, is_extended_id=extended, **more)


def error_frame(classes, data=bytes(8)):
    """To be sent on a vcan, where it arrives like one of a controller."""
    return can.Message(arbitration_id=classes, is_error_frame=True, data=data, dlc=8)
