# SPDX-License-Identifier: Apache-2.0
"""A child process with its output in a file, that never outlives the test."""

import ctypes
import signal
import subprocess

_libc = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """Base of all that run beside the test: self.process is None while it does not run."""

    def __init__(self, log):
        self.log_path = log
        self.process = None

    def launch(self, command, env=None):
        assert not self.running(), "is running already"
        with open(self.log_path, "ab") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=out, env=env, preexec_fn=_die_with_parent)
        return self.process

    def running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self):
        return self.process.pid

    def signal(self, number):
        self.process.send_signal(number)

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def kill(self):
        """As a power cut would: no last word."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def terminate(self, timeout=10):
        """SIGTERM; the exit status."""
        self.process.terminate()
        return self.process.wait(timeout)

    def log(self):
        try:
            return self.log_path.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def close(self):
        """Whatever state it is in, it is gone afterwards."""
        self.kill()
