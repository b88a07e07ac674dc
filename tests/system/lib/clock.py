# SPDX-License-Identifier: Apache-2.0
"""The wall clock of a program under test, as clock_shim.c bends it."""

import mmap
import struct

# struct state of clock_shim.c: offset in nanoseconds, kernel says synchronised, steps made.
STATE = struct.Struct("=qqq")


class WrongClock:
    def __init__(self, directory, library, offset_s=0.0, synchronized=False):
        self.path = directory / "clock"
        self.path.write_bytes(bytes(STATE.size))
        self._file = open(self.path, "r+b")
        self._map = mmap.mmap(self._file.fileno(), STATE.size)
        self._steps = 0
        self.environment = {"CLOCK_SHIM": str(self.path)}
        self.library = library
        self.set(offset_s, synchronized)

    def set(self, offset_s, synchronized):
        """Somebody sets the clock, and the kernel says whether it believes it."""
        self.offset_s = offset_s
        self._steps += 1
        self._map[:] = STATE.pack(round(offset_s * 1e9), int(synchronized), self._steps)
