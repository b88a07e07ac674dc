# SPDX-License-Identifier: Apache-2.0
"""An emulated line (bench_line), masters on it (bench_bus, bench_rules), and what both wrote
down."""

import json
import signal
import subprocess

from world import DEVICE, Talker, net, sensor_uuid, yaml

CLOSE_S = 15
# What a line is behind.
TERMINAL, SERVER, GATEWAY = "a pseudo-terminal", "a device server", "a TCP gateway"


class Request:
    """As bench_line recorded it; times in seconds."""

    def __init__(self, line):
        fields = list(map(int, line.split()))
        self.begin, self.silence = fields[0] / 1e9, fields[1] / 1e9
        self.unit, self.function, self.address, self.count, self.size = fields[2:7]
        self.asking, self.slave, self.answering = (field / 1e9 for field in fields[7:10])
        self.exception, self.late, self.seen_late = fields[10], fields[11] / 1e9, fields[12] / 1e9

    @property
    def answered(self):
        return self.exception >= 0

    @property
    def line(self):
        """Time of the line, the slave included."""
        return self.asking + self.slave + self.answering

    @property
    def end(self):
        return self.begin + self.line + self.late

    @property
    def table(self):
        return ("", "coil", "discrete", "holding", "input")[self.function]


class Line(Talker):
    """`arguments` as line_setup.h has them, but for where and the record. `kind`: what the line is
    behind. Through a pseudo-terminal bytes are carried by a thread of the kernel that waits for a
    core like any other, and nobody can tell how long; through a device server's port by whoever
    sends them. So where milliseconds count it is that."""

    def __init__(self, build, directory, arguments, kind):
        directory.mkdir(parents=True, exist_ok=True)
        super().__init__(directory / "line.log")
        self.record = directory / "record"
        self.kind = kind
        self.port = net.free_port()
        self.device = directory / "tty"
        self.stalls = []
        where = {TERMINAL: f"link={self.device}", SERVER: f"server={self.port}",
                 GATEWAY: f"port={self.port}"}[kind]
        self.command = [build.program("bench_line"), where, f"record={self.record}", *arguments]

    def __enter__(self):
        self.start(self.command, "listening")
        return self

    def __exit__(self, *_):
        self.close()

    def bus_options(self, baud):
        if self.kind != TERMINAL:
            address = {"host": net.HOST, "port": self.port}
            return {"transport": "tcp", **address} if self.kind == GATEWAY else \
                {"transport": "rtu-tcp", **address, "baud": baud, "parity": "none"}
        # A pseudo-terminal has no parity.
        return {"transport": "rtu", "device": str(self.device), "baud": baud, "parity": "none"}

    def requests(self):
        """All of them; ends the line."""
        if self.running():
            self.signal(signal.SIGTERM)
            status = self.process.wait(CLOSE_S)
            assert status == 0, f"the line ended with {status}: {self.log()[-500:]}"
        requests = []
        for line in self.record.read_text().splitlines():
            if line.startswith("stall"):
                self.stalls.append(int(line.split()[1]) / 1e9)
            else:
                requests.append(Request(line))
        return requests

    def lateness(self, requests):
        """How late the machine was, in words: of other processes and of its host."""
        late = sorted(request.late + request.seen_late for request in requests)
        return (f"the machine was late by {1e3 * late[int(0.99 * (len(late) - 1))]:.2f} ms (p99), "
                f"{1e3 * max(late[-1:] + self.stalls):.1f} at the most")


class Master:
    """A master at work; result() waits for its end. Readings are (sensor's number, seconds)."""

    def __init__(self, directory, command, seconds):
        self.readings_path = directory / "readings"
        self.seconds = seconds
        self.process = subprocess.Popen([*map(str, command), self.readings_path],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.readings, self.begin, self.status = [], None, {}

    def result(self):
        try:
            out, errors = self.process.communicate(timeout=self.seconds + 60)
        finally:
            self.process.kill()
        assert self.process.returncode == 0, f"the master failed: {errors[-500:]}"
        self.status = json.loads(out) if out.strip() else {}
        for line in self.readings_path.read_text().splitlines():
            first, time_ns = line.split()
            if first == "turns":
                self.begin = int(time_ns) / 1e9
            else:
                self.readings.append((int(first), int(time_ns) / 1e9))
        return self


def gateway_master(build, directory, options, sensors, seconds, interval="0s"):
    """`sensors`: (layouts.Sensor, interval as YAML has it). `interval` takes the place of all."""
    config = {
        "platform": {"host": net.HOST, "tenant": "123", "tls": False},
        "journal": {"path": str(directory / "journal.db")},
        "clock": {"trust": "always"},
        "buses": [{"name": "line", "driver": "modbus", "options": options}],
        "devices": [{
            "name": "bench", "uuid": DEVICE,
            "sensors": [{"slug": f"s{i}", "uuid": sensor_uuid(i), "interval": own,
                         "options": sensor.options} for i, (sensor, own) in enumerate(sensors)],
        }],
    }
    path = directory / "gateway.yaml"
    yaml.write(path, config)
    return Master(directory, [build.program("bench_bus"), path, build.directory / "drivers",
                              f"{seconds}s", interval], seconds)


def rules_master(build, directory, options, sensors, plan, seconds):
    """`plan`: lists of sensors that share a request."""
    number = {id(sensor): i for i, sensor in enumerate(sensors)}
    lines = ["sensor " + flow(sensor.options) for sensor in sensors]
    lines += ["request " + " ".join(str(number[id(sensor)]) for sensor in request)
              for request in plan]
    path = directory / "plan"
    path.write_text("\n".join(lines) + "\n")
    return Master(directory, [build.program("bench_rules"), build.directory / "drivers",
                              f"{seconds}s", flow({**options, "max_gap": 125}), path], seconds)


def flow(options):
    return ", ".join(f"{key}: {value}" for key, value in options.items())
