# SPDX-License-Identifier: Apache-2.0
"""A serial line: two pseudo-terminals joined by socat, which writes down what goes over it."""

import datetime
import re

from . import wait
from .process import Process

# "> 2026/11/22 10:00:00.000123456  length=8 from=0 to=7", then the bytes; those are microseconds
HEAD = re.compile(r"^([<>]) (\d+/\d+/\d+ \d+:\d+:\d+)\.(\d+) +length=(\d+)")


class Transfer:
    """Bytes that socat got at once. `master`: they come from the gateway."""

    def __init__(self, master, seconds):
        self.master = master
        self.seconds = seconds
        self.data = b""


class Line(Process):
    """`master` and `slave` are the names of its ends."""

    def __init__(self, directory, name="line"):
        super().__init__(directory / f"{name}.log")
        self.master = directory / f"{name}.master"
        self.slave = directory / f"{name}.slave"

    def start(self):
        self.launch(["socat", "-x", f"pty,rawer,link={self.master}",
                     f"pty,rawer,link={self.slave}"])
        wait.until(lambda: self.master.exists() and self.slave.exists(), 10, "socat has the line")
        return self

    def transfers(self):
        """In their order. The time is when socat had the bytes, before it hands them on: what the
        gateway answers to has an earlier time here than there, what it sends a later one, so that
        a silence between the two only looks longer than it was."""
        found = []
        for line in self.log().splitlines():
            head = HEAD.match(line)
            if head:
                clock = datetime.datetime.strptime(head[2], "%Y/%m/%d %H:%M:%S")
                found.append(Transfer(head[1] == ">", clock.timestamp() + int(head[3]) / 1e6))
            elif found and re.fullmatch(r"( [0-9a-f]{2})+", line):
                found[-1].data += bytes.fromhex(line)
        return found
