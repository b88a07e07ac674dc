# SPDX-License-Identifier: Apache-2.0
"""What a process has used, from /proc; and a watch over its memory."""

import re
import threading
from pathlib import Path


class Usage:
    """A moment's totals; the difference of two is a Spent."""

    def __init__(self, pid):
        self.cpu_ns = 0
        self.waited_ns = 0
        self.wakeups = 0
        for task in Path(f"/proc/{pid}/task").iterdir():
            try:
                # In nanoseconds; the ticks of stat are of 10 ms.
                ran, waited, _ = (task / "schedstat").read_text().split()
                self.cpu_ns += int(ran)
                self.waited_ns += int(waited)
                self.wakeups += _number(task / "status", "voluntary_ctxt_switches")
            except (FileNotFoundError, ProcessLookupError):
                continue  # a thread that has just ended
        io = Path(f"/proc/{pid}/io")
        self.written = _number(io, "write_bytes")

    def since(self, before):
        return Spent((self.cpu_ns - before.cpu_ns) / 1e9,
                     (self.waited_ns - before.waited_ns) / 1e9,
                     self.wakeups - before.wakeups, self.written - before.written)


class Spent:
    """`waited_s`: ready to run, but something else had the core."""

    def __init__(self, cpu_s, waited_s, wakeups, written):
        self.cpu_s = cpu_s
        self.waited_s = waited_s
        self.wakeups = wakeups
        self.written = written


def _number(path, key):
    return int(re.search(rf"^{key}:\s+(\d+)", path.read_text(), re.M).group(1))


def rss_kib(pid):
    return _number(Path(f"/proc/{pid}/status"), "VmRSS")


def peak_kib(pid):
    return _number(Path(f"/proc/{pid}/status"), "VmHWM")


def pss_kib(pid):
    return _number(Path(f"/proc/{pid}/smaps_rollup"), "Pss")


class MemoryWatch:
    """Looks at the resident memory ten times a second while the block runs."""

    def __init__(self, pid):
        self.pid = pid
        self.start_kib = rss_kib(pid)
        self.most_kib = self.start_kib
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        while not self._stop.wait(0.1):
            try:
                self.most_kib = max(self.most_kib, rss_kib(self.pid))
            except (FileNotFoundError, AttributeError):
                return  # it has ended

    @property
    def growth_mb(self):
        return (self.most_kib - self.start_kib) / 1024

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
