# SPDX-License-Identifier: Apache-2.0
"""The world that a figure is measured in: broker, slave, subscriber and gateway on loopback."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "system"))
from lib import net, wait, yaml  # noqa: E402
from lib.pki import Authority  # noqa: E402
from lib.process import Process  # noqa: E402

TENANT = "123"
DEVICE = "00000000-0000-4000-8000-d00000000000"
REGISTERS = 100  # of a unit


def sensor_uuid(index):
    return f"00000000-0000-4000-8000-{index:012x}"


class Build:
    def __init__(self, directory):
        self.directory = Path(directory).resolve()
        self.gateway = self.directory / "daemon" / "sensocan-gateway"

    def program(self, name):
        return self.directory / "tests" / "bench" / name

    def run(self, name, *arguments, timeout=300, cpus=None):
        """A program to its end; what it printed."""
        done = subprocess.run([*pinned(cpus), self.program(name), *map(str, arguments)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              timeout=timeout, check=True, text=True)
        return done.stdout


def pinned(cpus):
    return [] if cpus is None else ["taskset", "-c", cpus]


class Broker(Process):
    """mosquitto as installed, but for the port and unlimited queues: it must not drop what the
    subscriber is to count."""

    def __init__(self, directory, tls=False, cpus=None):
        super().__init__(directory / "mosquitto.log")
        self.port = net.free_port()
        self.cpus = cpus
        self.tls_port = self.ca = None
        lines = ["user root"] if os.geteuid() == 0 else []
        lines += ["allow_anonymous true", "max_queued_messages 0", "log_type error",
                  f"listener {self.port} {net.HOST}"]
        if tls:
            authority = Authority(directory / "pki")
            cert, key = authority.issue("broker", f"DNS:localhost,IP:{net.HOST}")
            self.tls_port, self.ca = net.free_port(), authority.cert
            lines += [f"listener {self.tls_port} {net.HOST}", f"certfile {cert}", f"keyfile {key}"]
        self.config = directory / "mosquitto.conf"
        self.config.write_text("\n".join(lines) + "\n")

    def start(self):
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
        self.launch([*pinned(self.cpus), program, "-c", self.config])
        wait.until(lambda: not self.running() or net.is_listening(self.port), 10,
                   "the broker listens")
        assert self.running(), self.log()


class Talker(Process):
    """A program of ours that answers SIGUSR1 with a line."""

    def start(self, command, greeting):
        self.launch(list(map(str, command)))
        wait.until(lambda: greeting in self.log() or not self.running(), 10, greeting)
        assert self.running(), self.log()

    def ask(self):
        before = len(self.log())
        self.signal(signal.SIGUSR1)
        return wait.until(lambda: self._line(before), 10, "it answers", 0.005)

    def _line(self, start):
        lines = self.log()[start:].splitlines(keepends=True)
        return next((line for line in lines if line.endswith("\n") and line[0] in "{r"), None)


class Slave(Talker):
    def __init__(self, directory):
        super().__init__(directory / "slave.log")
        self.port = net.free_port()

    def registers(self):
        return int(re.search(r"registers (\d+)", self.ask()).group(1))

    def first_request_ns(self):
        """CLOCK_MONOTONIC of the first request; None if there was none yet."""
        match = re.search(r"^first (\d+)$", self.log(), re.M)
        return match and int(match.group(1))


class Counter(Talker):
    def totals(self):
        totals = json.loads(self.ask())
        totals["readings"] = totals["live"]["readings"] + totals["history"]["readings"]
        return totals


class Gateway(Process):
    def __init__(self, build, directory, config, cpus=None):
        super().__init__(directory / "gateway.log")
        self.build = build
        self.cpus = cpus
        self.control = directory / "control.sock"
        self.config = directory / "gateway.yaml"
        self.drivers = directory / "drivers"
        self.drivers.mkdir(exist_ok=True)
        for driver in (build.directory / "drivers").rglob("*.so"):
            link = self.drivers / driver.name
            if not link.exists():
                link.symlink_to(driver)
        yaml.write(self.config, config)
        self.started_ns = None

    def start(self):
        command = [*pinned(self.cpus), self.build.gateway, "run", "--config", self.config,
                   "--control", self.control, "--driver-dir", self.drivers]
        self.started_ns = time.monotonic_ns()
        self.launch(list(map(str, command)))

    def status(self):
        done = subprocess.run([self.build.gateway, "status", "--json", "--control", self.control],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20,
                              check=False)
        assert self.running(), f"the gateway ended: {self.log()[-2000:]}"
        return json.loads(done.stdout) if done.returncode == 0 else None

    def wait_status(self, condition, timeout, what):
        return wait.until(lambda: (lambda s: s and condition(s) and s)(self.status()), timeout,
                          lambda: f"{what}; {self.log()[-1000:]}", 0.1)

    def wait_backlog(self, most, timeout):
        return self.wait_status(lambda s: s["journal"]["readings"] <= most
                                and s["devices"][0]["connected"], timeout, "the backlog drains")


class World:
    """All four. The gateway is started by gateway.start(); the rest runs at once."""

    def __init__(self, build, directory, sensors=1000, interval="1s", buses=1, tls=False,
                 cpus=(None, None), topics=(f"tenant/{TENANT}/#",)):
        """`cpus`: for the gateway, and for all others, as taskset -c wants them. `topics`: what
        the subscriber counts."""
        self.build = build
        self.directory = Path(directory)
        self.directory.mkdir(parents=True)
        self.cpus = cpus[1]
        self.topics = topics
        self.journal_path = self.directory / "journal.db"
        self.broker = Broker(self.directory, tls, cpus[1])
        self.slave = Slave(self.directory)
        self.counter = Counter(self.directory / "counter.log")
        self.gateway = Gateway(build, self.directory,
                               self._config(sensors, interval, buses), cpus[0])

    def _config(self, sensors, interval, buses):
        host = {"host": net.HOST, "port": self.broker.port, "tls": False}
        if self.broker.tls_port:
            host = {"host": "localhost", "port": self.broker.tls_port,
                    "tls": {"ca_file": str(self.broker.ca)}}
        units = sensors // REGISTERS
        return {
            "platform": {**host, "tenant": TENANT},
            "journal": {"path": str(self.journal_path), "sync": "full"},
            # the slave is on the same machine, and the clock is whatever it is
            "clock": {"trust": "always"},
            "buses": [{"name": f"bus{i}", "driver": "modbus",
                       "options": {"transport": "tcp", "host": net.HOST, "port": self.slave.port}}
                      for i in range(buses)],
            "devices": [{
                "name": "bench", "uuid": DEVICE,
                "defaults": {"interval": interval, "scale": 0.1, "decimals": 1,
                             "options": {"table": "holding", "type": "uint16"}},
                "sensors": [self._sensor(unit, register, buses)
                            for unit in range(units) for register in range(REGISTERS)],
            }],
        }

    @staticmethod
    def _sensor(unit, register, buses):
        slug = f"stamp_{unit}" if register == 0 else f"u{unit}_r{register}"
        return {"slug": slug, "uuid": sensor_uuid(unit * REGISTERS + register),
                "bus": f"bus{unit % buses}", "options": {"unit": unit + 1, "register": register}}

    def __enter__(self):
        try:
            self.broker.start()
            self.slave.start([*pinned(self.cpus), self.build.program("bench_slave"),
                              self.slave.port], "listening")
            self.counter.start([*pinned(self.cpus), self.build.program("bench_counter"),
                                self.broker.port, *self.topics], "subscribed")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in (self.gateway, self.counter, self.slave, self.broker):
            process.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self):
        """The gateway, until readings arrive."""
        self.gateway.start()
        wait.until(lambda: self.gateway.running() and self.counter.totals()["readings"], 20,
                   lambda: f"readings arrive; {self.gateway.log()[-1000:]}")
