# SPDX-License-Identifier: Apache-2.0
"""The service with all that it talks to: a broker, somebody who observes it, a slave."""

import tempfile
from pathlib import Path

from lib.broker import Broker
from lib.ledger import Ledger
from lib.slave import Slave
from lib.subscriber import Subscriber

from . import service
from .command import run

TENANT = "123"
BOILER = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
LOGIN = ("boiler", "Xk7-boiler-secret")


def sensor_uuid(number):
    return f"fe738b8f-9efe-46a7-a1c6-{number:012x}"


def sensors(n, first=0, interval="200ms", **options):
    """Registers 0 to n - 1, which count in a slave that counts."""
    return [{"slug": f"count_{i}", "uuid": sensor_uuid(i), "interval": interval,
             "options": {"register": i, "type": "uint16", **options}}
            for i in range(first, first + n)]


def make_config(bus_options, sensor_list, port, **platform):
    """One bus, one device, a clock that counts as right."""
    return {
        "platform": {"host": "127.0.0.1", "port": port, "tls": False, "tenant": TENANT,
                     "timestamps": "milliseconds", "batch_interval": "100ms", "live_window": "2s",
                     **platform},
        "journal": {"commit_interval": "200ms"},
        "clock": {"trust": "always"},
        "buses": [{"name": "plant", "driver": "modbus", "options": bus_options}],
        "devices": [{"name": "boiler-house", "uuid": BOILER, "username": LOGIN[0],
                     "password": LOGIN[1], "defaults": {"bus": "plant"}, "sensors": sensor_list}],
    }


class Scene:
    """Broker, observer and, unless it is told otherwise, a counting Modbus TCP slave; the service
    installed and configured, not started."""

    def __init__(self, slave=True, **platform):
        self.directory = Path(tempfile.mkdtemp())
        self.broker = Broker(self.directory / "broker", devices=[(*LOGIN, BOILER)])
        self.broker.start()
        self.subscriber = Subscriber(self.broker)
        self.slave = Slave(self.directory).start() if slave else None
        service.install()
        self.config = make_config(
            {"transport": "tcp", "host": "127.0.0.1", "port": self.slave.port} if slave else {},
            sensors(4), self.broker.port, **platform)
        service.configure(self.config)

    def set_config(self, **changes):
        self.config.update(changes)
        service.configure(self.config)

    def start(self):
        """As a user does it."""
        run("systemctl", "enable", "--now", service.UNIT)
        return self

    def wait_messages(self, count, timeout=60, kind=None):
        return self.subscriber.wait_message(timeout, kind, count=count)

    def settle(self, timeout=60):
        """Nothing new to read, everything delivered, and the service stopped in good order."""
        if self.slave:
            self.slave.freeze()
        service.wait_status(lambda now: now["journal"]["readings"] == 0, timeout,
                            "all is delivered")
        service.systemctl("stop")
        assert service.show("Result") == "success"

    def ledger(self):
        return Ledger(self.config, self.subscriber.arrivals)

    def close(self):
        self.subscriber.close()
        for part in (self.slave, self.broker):
            if part:
                part.close()
