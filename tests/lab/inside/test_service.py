# SPDX-License-Identifier: Apache-2.0
"""The gateway as the service that a user installs."""

import os
import pwd
import signal
import subprocess
from pathlib import Path

import contract
import pytest
from lib import wait

from lab_guest import serial, service
from lab_guest.command import run
from lab_guest.modbus import Slave
from lab_guest.scene import LOGIN, Scene, sensors


def test_publishes():
    scene = Scene().start()
    scene.wait_messages(10, kind=contract.BATCH)
    assert service.show("ActiveState") == "active" and service.show("StatusText")
    assert service.show("WatchdogUSec") == "1min"
    scene.settle()
    ledger = scene.ledger()
    ledger.check_complete()
    assert len(ledger.sensors) == 4
    assert not scene.subscriber.violations


def test_watchdog_restarts_what_hangs():
    scene = Scene()
    # The unit has 60 s; the rest of it is as installed.
    service.edit_unit("[Service]\nWatchdogSec=3\nRestartSec=1\n")
    scene.start()
    scene.wait_messages(3)
    hung = service.main_pid()
    os.kill(hung, signal.SIGSTOP)
    wait.until(lambda: service.show("NRestarts") == "1", 60, "it was restarted", 0.2)
    wait.until(lambda: service.main_pid() not in (0, hung), 60, "it runs again", 0.2)
    scene.wait_messages(3)
    assert "Watchdog timeout" in service.log()
    scene.settle()
    # It had time to commit what it had read before it was stopped, or it had not: at most that.
    lost = sum(map(len, scene.ledger().missing().values()))
    assert lost <= 2 * 4, scene.ledger().missing()


def test_reload():
    scene = Scene().start()
    scene.wait_messages(3)
    pid = service.main_pid()
    scene.config["devices"][0]["sensors"] += sensors(1, first=9)
    scene.set_config()
    service.systemctl("reload")
    scene.subscriber.wait_for(lambda: scene.ledger().values("count_9"), 60, "the new sensor")

    good = service.CONFIG.read_text()
    service.CONFIG.write_text(good.replace("driver: modbus", "driver: mudbos"))
    refused = subprocess.run(["systemctl", "reload", service.UNIT], check=False, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert refused.returncode != 0
    assert "mudbos" in service.log()
    scene.wait_messages(3)
    assert service.main_pid() == pid
    service.CONFIG.write_text(good)
    scene.settle()
    scene.ledger().check_complete()


def test_bad_configuration_is_not_tried_again():
    Scene()
    service.CONFIG.write_text("platform: {}\n")
    subprocess.run(["systemctl", "start", service.UNIT], check=False, stderr=subprocess.DEVNULL)
    wait.until(lambda: service.show("ActiveState") == "failed", 30, "given up")
    assert service.show("ExecMainStatus") == "78"
    assert service.show("NRestarts") == "0"
    assert "gateway.yaml:1:11: platform" in service.log()


def test_log_has_fields_and_ids():
    scene = Scene().start()
    scene.wait_messages(3)
    scene.slave.signal(signal.SIGUSR2)
    service.wait_status(lambda now: now["buses"][0]["failed_sensors"] == 4, 60, "no answers")
    scene.slave.kill()
    service.wait_status(lambda now: now["buses"][0]["state"] == "down", 60, "the bus is down")
    scene.broker.kill()
    service.wait_status(lambda now: not now["devices"][0]["connected"], 60, "disconnected")
    service.systemctl("stop")
    ids = service.message_ids()
    for event, fields in {
            "STARTED": {}, "STOPPED": {},
            "BUS_UP": {"SENSOCAN_BUS": "plant"},
            "SENSOR_BAD": {"SENSOCAN_BUS": "plant", "SENSOCAN_DEVICE": "boiler-house"},
            "BUS_DOWN": {"SENSOCAN_BUS": "plant"},
            "CONNECTED": {"SENSOCAN_DEVICE": "boiler-house"},
            "DISCONNECTED": {"SENSOCAN_DEVICE": "boiler-house"}}.items():
        entries = service.log_entries(MESSAGE_ID=ids[event], **fields)
        assert entries, f"{event} {fields}\n{service.log()}"
        assert entries[0]["SYSLOG_IDENTIFIER"] == "sensocan-gateway"
    assert service.log_entries(MESSAGE_ID=ids["STARTED"])[0]["PRIORITY"] in ("5", "6")
    assert service.log_entries(MESSAGE_ID=ids["SENSOR_BAD"])[0]["SENSOCAN_SENSOR"]
    secret = LOGIN[1]
    assert secret not in run("journalctl", "-o", "verbose", "--no-pager")


def process_status(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_sandbox():
    scene = Scene().start()
    scene.wait_messages(1)
    pid = service.main_pid()
    about = process_status(pid)
    account = pwd.getpwnam("sensocan-gateway")
    assert about["Uid"].split() == [str(account.pw_uid)] * 4
    assert account.pw_uid != 0
    assert int(about["CapEff"], 16) == int(about["CapBnd"], 16) == 0
    assert about["NoNewPrivs"] == "1" and about["Seccomp"] == "2"
    inside = ["nsenter", "-t", str(pid), "-m", "setpriv", "--reuid", "sensocan-gateway",
              "--regid", "sensocan-gateway", "--clear-groups", "sh", "-c"]

    def refused(command):
        return subprocess.run([*inside, command], check=False, stderr=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL).returncode != 0
    for path in ("/etc", "/usr", "/var/lib", "/home", "/root"):
        assert refused(f"touch {path}/x"), path
    for device in ("/dev/vda", "/dev/ttyS1"):
        assert refused(f"test -e {device}"), device
    assert not refused("touch /var/lib/sensocan-gateway/x /tmp/x")
    assert not Path("/tmp/x").exists()
    journal = Path("/var/lib/sensocan-gateway").resolve()
    assert journal.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in journal.glob("journal.db*"))
    level = run("systemd-analyze", "security", "--no-pager", service.UNIT).splitlines()[-1]
    assert "OK" in level, level
    scene.settle()


def test_status_for_members_of_the_group():
    scene = Scene().start()
    scene.wait_messages(1)

    def status_as(*groups):
        return subprocess.run(["setpriv", "--reuid", "nobody", "--regid", "nogroup", *groups,
                               "sensocan-gateway", "status"], check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    member = status_as("--groups", "sensocan-gateway")
    assert member.returncode == 0, member.stdout
    assert status_as("--clear-groups").returncode == 1
    scene.settle()


@pytest.mark.parametrize("way", ["file", "credential"])
def test_password(way):
    """Given as the README and the unit say: a file for the group alone, or a credential."""
    scene = Scene()
    password = Path("/etc/sensocan-gateway/boiler.password")
    password.write_text(LOGIN[1] + "\n")
    device = scene.config["devices"][0]
    del device["password"]
    if way == "file":
        run("chgrp", "sensocan-gateway", password)
        password.chmod(0o640)
        device["password_file"] = password.name
    else:
        password.chmod(0o600)
        service.edit_unit(f"[Service]\nLoadCredential=boiler:{password}\n")
        device["password_credential"] = "boiler"
    scene.set_config()
    scene.start()
    scene.wait_messages(2)
    scene.settle()
    scene.close()


def test_serial_line_with_parity():
    """Modbus RTU between two real UARTs, 19200 8E1, in the sandbox that the unit suggests."""
    counts = {}

    def count(register):
        counts[register] = counts.get(register, 0) + 1
        return counts[register]
    Slave(count).serve_rtu(serial.PORTS[1], 19200, "even", unit=3)
    scene = Scene(slave=False)
    scene.config["devices"][0]["sensors"] = sensors(4, unit=3)
    scene.set_config(buses=[{"name": "plant", "driver": "modbus", "options": {
        "transport": "rtu", "device": serial.PORTS[0], "baud": 19200, "parity": "even"}}])

    scene.start()
    # Not yet: the unit as it stands hides all devices.
    service.wait_status(lambda now: now["buses"][0]["state"] == "down", 60, "no device for it")
    service.edit_unit("[Service]\n" + service.suggestion("for a serial line"))
    service.systemctl("restart")
    scene.wait_messages(10, kind=contract.BATCH)
    assert serial.line(serial.PORTS[0]) == serial.Line(19200, 8, "even", 1)
    assert service.status()["buses"][0]["failed_sensors"] == 0
    service.systemctl("stop")
    assert not scene.ledger().missing() and not scene.ledger().duplicates()
