# SPDX-License-Identifier: Apache-2.0
"""A Modbus TCP slave whose registers each count how often they were read, from 1."""

import re
import signal
from pathlib import Path

from . import net, wait
from .gateway import build_dir
from .process import Process

HERE = Path(__file__).resolve().parent.parent


class Slave(Process):
    """`kind` is libmodbus (a program of ours on Debian's library) or pymodbus (nothing of ours)."""

    def __init__(self, directory, name="slave", kind="libmodbus", units=1, registers=1000,
                 silent=(), port=None, counting=True):
        super().__init__(directory / f"{name}.log")
        self.port = port or net.free_port()
        if kind == "pymodbus":
            self.command = ["/usr/bin/python3", HERE / "slave_pymodbus.py", str(self.port)]
        else:
            self.command = [build_dir() / "tests" / "system" / "slave_libmodbus",
                            "--port", str(self.port), "--units", str(units),
                            "--registers", str(registers)]
            self.command += ["--counter"] if counting else []
            for unit in silent:
                self.command += ["--silent", str(unit)]

    def start(self):
        self._mark = len(self.log())
        self.launch(self.command)
        wait.until(lambda: "listening" in self.log()[self._mark:] or not self.running(), 10,
                   "the slave listens")
        assert self.running(), self.log()
        return self

    def _counts(self):
        before = len(self.log())
        self.thaw()
        self.signal(signal.SIGUSR1)
        wait.until(lambda: self.log()[before:].endswith("\n"), 5, "the slave tells its counts")
        return self.log()[before:]

    def requests(self):
        """Requests answered since it started."""
        return int(re.search(r"requests (\d+)", self._counts()).group(1))

    def connections(self):
        """Connections accepted since it started."""
        return int(re.search(r"connections (\d+)", self._counts()).group(1))
