# SPDX-License-Identifier: Apache-2.0
"""The program under test, with a folder of its own for everything that it touches."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

from . import wait, yaml
from .process import Process

SANITIZER = re.compile(r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:")


def build_dir():
    """$BUILD_DIR, or what `meson setup build` made."""
    return Path(os.environ.get("BUILD_DIR", Path(__file__).parents[3] / "build")).resolve()


def binary():
    return build_dir() / "daemon" / "sensocan-gateway"


def drivers_into(directory):
    """All drivers of the build in one folder, as installed."""
    directory.mkdir(exist_ok=True)
    for driver in (build_dir() / "drivers").rglob("*.so"):
        link = directory / driver.name
        if not link.exists():
            link.symlink_to(driver)
    return directory


class Gateway(Process):
    def __init__(self, directory, config, preload=None, environment=None):
        """`config` is what the YAML file says; journal.path may be left out. None: the caller
        writes the file."""
        directory.mkdir(parents=True, exist_ok=True)
        super().__init__(directory / "gateway.log")
        self.directory = directory
        self.config_path = directory / "gateway.yaml"
        self.control_path = directory / "control.sock"
        self.drivers = drivers_into(directory / "drivers")
        self.environment = dict(environment or {})
        if preload:
            self.environment["LD_PRELOAD"] = str(preload)
        self.secrets = set()
        if config is not None:
            self.configure(config)

    @property
    def journal_path(self):
        return Path(self.config["journal"]["path"])

    def configure(self, config):
        """Writes the file; in force after start() or reload()."""
        config = dict(config)
        config["journal"] = {"path": str(self.directory / "journal.db"),
                             **config.get("journal", {})}
        self.config = config
        self.secrets |= {device["password"] for device in config["devices"]
                         if device.get("password")}
        yaml.write(self.config_path, config)

    # --- commands ---

    def arguments(self, command, *more):
        return [binary(), command, "--config", self.config_path, "--driver-dir", self.drivers,
                *more]

    def command(self, command, *more, timeout=30):
        """Runs another command of the program to its end."""
        return subprocess.run(self.arguments(command, *more), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env={**os.environ, **self.environment}, timeout=timeout, check=False)

    def status_text(self):
        return subprocess.run([binary(), "status", "--control", self.control_path],
                              stdout=subprocess.PIPE, text=True, timeout=10, check=True).stdout

    def status(self):
        done = subprocess.run([binary(), "status", "--json", "--control", self.control_path],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=10,
                              check=False)
        if done.returncode:
            raise RuntimeError(f"status: {done.returncode}: {done.stderr.decode()}")
        return json.loads(done.stdout)

    # --- running ---

    def start(self, ready=True):
        self.log_mark()
        self.launch(self.arguments("run", "--control", self.control_path),
                    {**os.environ, **self.environment})
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=20):
        """It answers for itself: the configuration is loaded, all threads are started."""
        def answers():
            assert self.running(), f"ended with {self.process.returncode}:\n{self.log()[-3000:]}"
            if not self.control_path.exists():
                return False
            try:
                return self.status()
            except (RuntimeError, ValueError):
                return False
        return wait.until(answers, timeout, "the gateway answers", 0.05)

    def wait_status(self, condition, timeout, what):
        """Until condition(status) holds; the status."""
        last = {}

        def look():
            nonlocal last
            last = self.status()
            return last if condition(last) else None
        return wait.until(look, timeout, lambda: f"{what}; status is {json.dumps(last)}", 0.1)

    def device(self, name=None):
        devices = self.status()["devices"]
        return next(device for device in devices if name in (None, device["name"]))

    def backlog(self):
        return sum(device["backlog"] for device in self.status()["devices"])

    def wait_connected(self, timeout=20, device=None, connected=True):
        return self.wait_status(
            lambda status: all(entry["connected"] == connected for entry in status["devices"]
                               if device in (None, entry["name"])),
            timeout, "connected" if connected else "disconnected")

    def reload(self):
        self.log_mark()
        self.signal(signal.SIGHUP)

    def stop(self, timeout=10):
        """SIGTERM; it must end by itself with status 0."""
        status = self.terminate(timeout)
        assert status == 0, f"ended with {status}:\n{self.log()[-3000:]}"

    # --- the log ---

    def log_mark(self):
        """wait_log() looks at what comes from now on."""
        self._mark = len(self.log())

    def log_since(self):
        return self.log()[self._mark:]

    def wait_log(self, pattern, timeout=15):
        """Until the log has something that matches."""
        expression = re.compile(pattern, re.I)
        return wait.until(lambda: expression.search(self.log_since()), timeout,
                          lambda: f"the log says {pattern!r}; it says:\n{self.log_since()[-3000:]}")

    def resident_kib(self):
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))

    def findings(self):
        """What must not be in any log: a sanitizer's report, a password."""
        log = self.log()
        found = [match.group(0) for match in SANITIZER.finditer(log)]
        return found + [f"the password {secret!r}" for secret in self.secrets if secret in log]
