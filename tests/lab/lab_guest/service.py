# SPDX-License-Identifier: Apache-2.0
"""The gateway as a service, installed as a user installs it."""

import json
import re
import subprocess
from pathlib import Path

from lib import wait, yaml

from .command import run, run_json

UNIT = "sensocan-gateway.service"
CONFIG = Path("/etc/sensocan-gateway/gateway.yaml")
JOURNAL = Path("/var/lib/sensocan-gateway/journal.db")
# What a user may add to the unit as it is installed; `systemctl edit` writes this file.
DROP_IN = Path(f"/etc/systemd/system/{UNIT}.d/override.conf")


def install():
    """What `meson install` has put together, and then the README's commands."""
    run("sh", "-c", "tar -C /lab/build/install -c . | "
        "tar -C / -x --keep-directory-symlink --no-same-owner")
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
