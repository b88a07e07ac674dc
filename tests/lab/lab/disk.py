# SPDX-License-Identifier: Apache-2.0
"""A disk that loses what was not flushed when the power is cut."""

import subprocess

from lib import wait
from lib.process import Process

# The same for all machines: a snapshot knows how large its disks are.
SIZE = 64 * 1024 * 1024


class Disk:
    """A file with ext4, and in front of it, while a machine runs, nbdkit's cache in its memory.

    The cache passes on what the guest flushes and nothing else. So killing it leaves in the file
    what a disk would have after a power cut: killing QEMU alone loses nothing, because what the
    guest has written is in this host's page cache. The cache loses all that is unflushed at once;
    it does not reorder or tear writes.
    """

    def __init__(self, path):
        self.path = path.resolve()
        self._server = None
        if not self.path.exists():
            with open(self.path, "wb") as file:
                file.truncate(SIZE)
            subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", self.path], check=True)

    def power_on(self, socket):
        self._server = Process(socket.with_suffix(".log"))
        self._server.launch(["nbdkit", "-f", "-U", socket, "--filter=cache", "file", self.path,
                             "cache=writeback", "cache-min-block-size=4K"])
        wait.until(lambda: socket.exists() or not self._server.running(), 10, "nbdkit listens")
        assert self._server.running(), self._server.log()

    def cut(self):
        """SIGKILL, at once."""
        if self._server:
            self._server.kill()

    def power_off(self):
        """In good order: everything is in the file."""
        if self._server and self._server.running():
            self._server.terminate(30)
