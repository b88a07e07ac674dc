# SPDX-License-Identifier: Apache-2.0
"""Fixtures. Everything that a test starts is gone when it ends, and whatever the gateway wrote is
shown if it failed."""

import copy
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from lib.broker import Broker  # noqa: E402
from lib.gateway import Gateway, binary, build_dir  # noqa: E402
from lib.ledger import Ledger  # noqa: E402
from lib.pki import Authority  # noqa: E402
from lib.slave import Slave  # noqa: E402
from lib.subscriber import Subscriber  # noqa: E402

BOILER = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
CELLAR = "b2c3d4e5-f6a7-8901-bcde-f12345678901"
ACCOUNTS = [("boiler", "Xk7-boiler-secret", BOILER), ("cellar", "Yq8-cellar-secret", CELLAR)]


def pytest_collection_modifyitems(items):
    if binary().exists():
        return
    for item in items:
        if "bench" in item.fixturenames:
            item.add_marker(pytest.mark.skip(reason=f"no {binary()}: build first"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    bench = getattr(item, "funcargs", {}).get("bench")
    if report.failed and bench:
        for name, text in bench.logs():
            report.sections.append((name, text[-6000:]))


def sensor_uuid(number):
    return f"fe738b8f-9efe-46a7-a1c6-{number:012x}"


class Bench:
    """A broker, a slave and a gateway on it, and the one who watches: as far as a test asks."""

    def __init__(self, directory):
        self.directory = directory
        self._parts = []
        self.broker = self.slave = self.gateway = self.subscriber = None

    def _keep(self, part):
        self._parts.append(part)
        return part

    def start_broker(self, subscribe=True, **options):
        self.broker = self._keep(Broker(self.directory / "broker", devices=ACCOUNTS, **options))
        self.broker.start()
        if subscribe:
            self.subscriber = self._keep(Subscriber(self.broker))
        return self.broker

    def start_slave(self, name="slave", **options):
        self.slave = self._keep(Slave(self.directory, name, **options)).start()
        return self.slave

    def start_gateway(self, config, ready=True, **options):
        self.gateway = self._keep(Gateway(self.directory / "gateway", config, **options))
        return self.gateway.start(ready)

    def make_gateway(self, config, **options):
        self.gateway = self._keep(Gateway(self.directory / "gateway", config, **options))
        return self.gateway

    def sensors(self, n, first=0, interval="200ms", **more):
        """Counting registers, by slug and UUID."""
        return [{"slug": f"count_{first + i}", "uuid": sensor_uuid(first + i), "interval": interval,
                 "options": {"register": first + i, "type": "uint16"}, **copy.deepcopy(more)}
                for i in range(n)]

    def config(self, sensors=None, slave=None, **platform):
        """One bus, one device, a clock that counts as right; platform keys as given."""
        slave = slave or self.slave
        port = platform.pop("port", None) or self.broker.port
        return {
            "platform": {"host": "127.0.0.1", "port": port, "tls": False, "tenant": "123",
                         "keepalive": "5s", "timestamps": "milliseconds",
                         # what a batch could not carry is history soon, not after ten seconds
                         "batch_interval": "100ms", "live_window": "2s", **platform},
            "journal": {"commit_interval": "200ms"},
            "clock": {"trust": "always"},
            "buses": [{"name": "plant", "driver": "modbus",
                       "options": {"transport": "tcp", "host": "127.0.0.1", "port": slave.port,
                                   "response_timeout": "500ms"}}],
            "devices": [{"name": "boiler-house", "uuid": BOILER, "username": ACCOUNTS[0][0],
                         "password": ACCOUNTS[0][1],
                         "defaults": {"bus": "plant"},
                         "sensors": sensors if sensors is not None else self.sensors(4)}],
        }

    def ledger(self, since=0):
        return Ledger(self.gateway.config, self.subscriber.arrivals[since:])

    def settle(self, timeout=60):
        """No more readings, all that there are delivered, and the gateway stopped in good order."""
        for part in self._parts:
            if isinstance(part, Slave) and part.running():
                part.freeze()
        since = None

        def nothing_waits(status):
            nonlocal since
            if sum(device["backlog"] for device in status["devices"]) > 0:
                since = None
                return False
            since = since or time.monotonic()
            return time.monotonic() - since > 0.5  # what is not yet committed shows by then
        self.gateway.wait_status(nothing_waits, timeout, "the backlog is delivered")
        self.gateway.stop()

    def logs(self):
        for part in self._parts:
            if hasattr(part, "log"):
                yield f"log of {type(part).__name__.lower()}", part.log()
        if self.subscriber:
            yield "last arrivals", "\n".join(
                f"{arrival.wall:.3f} {arrival.topic} {arrival.message}"[:300]
                for arrival in self.subscriber.arrivals[-10:])

    def close(self):
        for part in reversed(self._parts):
            part.close()

    def check(self):
        """What holds in every scenario."""
        if self.subscriber:
            assert not self.subscriber.violations, self.subscriber.violations[:5]
        for part in self._parts:
            if isinstance(part, Gateway):
                assert not part.findings(), part.findings()


@pytest.fixture
def bench():
    # Short, because the path of a socket is: 107 bytes.
    directory = Path(tempfile.mkdtemp(prefix="scg-"))
    made = Bench(directory)
    yield made
    made.close()
    try:
        made.check()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def clock_shim(tmp_path_factory):
    """A library to preload that shifts the wall clock."""
    library = tmp_path_factory.mktemp("shim") / "clock_shim.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-o", library,
                    HERE / "clock_shim.c", "-ldl", "-lpthread"], check=True)
    return library


@pytest.fixture
def sanitized():
    return any(name in build_dir().name for name in ("asan", "tsan"))
