# SPDX-License-Identifier: Apache-2.0
"""The gateway as a service, installed as a user installs it, with all that it talks to."""

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from lib import wait, yaml
from lib.broker import Broker
from lib.ledger import Ledger
from lib.slave import Slave
from lib.subscriber import Subscriber

from .command import run, run_json

UNIT = "sensocan-gateway.service"
CONFIG = Path("/etc/sensocan-gateway/gateway.yaml")
JOURNAL = Path("/var/lib/sensocan-gateway/journal.db")
# What a user may add to the unit as it is installed; `systemctl edit` writes this file.
DROP_IN = Path(f"/etc/systemd/system/{UNIT}.d/override.conf")
TENANT = "123"
BOILER = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
LOGIN = ("boiler", "Xk7-boiler-secret")


def install():
    """What `meson install` has put together, and then the README's commands."""
    for path in Path("/lab/build/install").iterdir():
        shutil.copytree(path, f"/{path.name}", dirs_exist_ok=True, symlinks=True)
    run("systemd-sysusers")
    run("systemctl", "daemon-reload")


def configure(config):
    yaml.write(CONFIG, config)


def edit_unit(text):
    DROP_IN.parent.mkdir(exist_ok=True)
    DROP_IN.write_text(text)
    run("systemctl", "daemon-reload")


def suggestion(title):
    """Settings that the unit has in a comment of that title, for `systemctl edit`."""
    lines = Path(f"/lib/systemd/system/{UNIT}").read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith(f"# {title}")) + 1
    settings = []
    while lines[first].startswith("#") and "=" in lines[first]:
        settings.append(lines[first].removeprefix("#"))
        first += 1
    assert settings, title
    return "\n".join(settings) + "\n"


def systemctl(verb, timeout=60):
    run("systemctl", verb, UNIT, timeout=timeout)


def show(name):
    """A property of the unit."""
    return run("systemctl", "show", "-P", name, UNIT).strip()


def main_pid():
    return int(show("MainPID"))


def status():
    return run_json("sensocan-gateway", "status", "--json")


def wait_status(condition, timeout, what):
    """Until condition(status) holds; the status."""
    last = "none"

    def look():
        nonlocal last
        done = subprocess.run(["sensocan-gateway", "status", "--json"], check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        last = done.stdout
        if done.returncode:
            return None
        found = json.loads(done.stdout)
        return found if condition(found) else None
    return wait.until(look, timeout, lambda: f"{what}; status is {last}\n{log()[-2000:]}", 0.1)


def log():
    return run("journalctl", "-u", UNIT, "-o", "cat", "--no-pager")


def log_entries(**fields):
    """Entries of the log as dicts, those with these fields."""
    matches = [f"{key}={value}" for key, value in fields.items()]
    return [json.loads(line) for line in
            run("journalctl", "-q", "-u", UNIT, "-o", "json", "--no-pager", *matches).splitlines()]


def message_ids():
    """{event: id}, as operations.md tells the user."""
    text = Path("/lab/source/docs/operations.md").read_text()
    return dict(re.findall(r"^\| ([A-Z_]+) \| `([0-9a-f]{32})` \|", text, re.M))


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
        install()
        self.config = make_config(
            {"transport": "tcp", "host": "127.0.0.1", "port": self.slave.port} if slave else {},
            sensors(4), self.broker.port, **platform)
        configure(self.config)

    def set_config(self, **changes):
        self.config.update(changes)
        configure(self.config)

    def start(self):
        """As a user does it."""
        run("systemctl", "enable", "--now", UNIT)
        return self

    def wait_messages(self, count, timeout=60, kind=None):
        return self.subscriber.wait_message(timeout, kind, count=count)

    def settle(self, timeout=60):
        """Nothing new to read, everything delivered, and the service stopped in good order."""
        if self.slave:
            self.slave.freeze()
        wait_status(lambda now: now["journal"]["readings"] == 0, timeout, "all is delivered")
        systemctl("stop")
        assert show("Result") == "success"

    def ledger(self):
        return Ledger(self.config, self.subscriber.arrivals)

    def close(self):
        self.subscriber.close()
        for part in (self.slave, self.broker):
            if part:
                part.close()
