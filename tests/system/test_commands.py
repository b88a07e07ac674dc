# SPDX-License-Identifier: Apache-2.0
"""The commands: what they print, and with which status they end."""

import json
import subprocess

import pytest

import contract
from conftest import BOILER
from lib.gateway import Gateway, binary

pytestmark = pytest.mark.core


@pytest.fixture
def gateway(bench):
    bench.start_slave()
    return bench.make_gateway(bench.config(port=1))


def run(*arguments):
    return subprocess.run([binary(), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=30, check=False)


def test_help():
    done = run("--help")
    assert done.returncode == 0
    for command in ("run", "check", "plan", "drivers", "scan", "probe", "read", "status"):
        assert command in done.stdout
    assert not done.stderr


@pytest.mark.parametrize("command", [
    "run", "check", "plan", "drivers", "scan", "probe", "read", "status"])
def test_help_of_a_command(command):
    done = run(command, "--help")
    assert done.returncode == 0
    assert command in done.stdout


def test_version():
    done = run("--version")
    assert done.returncode == 0
    assert "sensocan-gateway" in done.stdout


@pytest.mark.parametrize("arguments", [
    [], ["fly"], ["--fly"], ["run", "--fly"], ["run", "extra"], ["check", "--config"],
    ["status", "extra"], ["drivers", "modbus", "extra"],
    ["plan", "a", "b"], ["scan"], ["probe"], ["scan", "a", "b"], ["scan", "-x", "a"],
    ["scan", "a", "--config"],
])
def test_wrong_usage(arguments):
    done = run(*arguments)
    assert done.returncode == 64, done.stdout + done.stderr
    assert done.stderr, "says what is wrong"
    assert not done.stdout


def test_check_good(gateway: Gateway):
    done = gateway.command("check")
    assert done.returncode == 0, done.stderr


def test_check_bad(gateway: Gateway):
    """All problems in one run, each with its place, and status 78."""
    text = gateway.config_path.read_text()
    text = text.replace("port: 1\n", "port: 70000\n").replace("slug: count_1", "slug: count/1")
    text = text.replace("interval: 200ms", "intervall: 200ms", 1)
    gateway.config_path.write_text(text)
    done = gateway.command("check")
    assert done.returncode == 78
    output = done.stdout + done.stderr
    lines = text.splitlines()
    for wrong in ("port: 70000", "slug: count/1", "intervall"):
        number = next(i for i, line in enumerate(lines, 1) if wrong in line)
        assert f"gateway.yaml:{number}:" in output, output
    assert "70000" in output and "65535" in output


def test_check_missing_file(gateway: Gateway):
    gateway.config_path.unlink()
    done = gateway.command("check")
    assert done.returncode == 78
    assert "No such file" in done.stdout + done.stderr


def test_run_refuses_a_bad_file(gateway: Gateway):
    gateway.config_path.write_text("platform: {}\n")
    done = gateway.command("run", "--control", gateway.control_path)
    assert done.returncode == 78
    assert "gateway.yaml:1:" in done.stderr


def test_check_touches_nothing(gateway: Gateway, bench):
    """Neither hardware nor network nor journal."""
    bench.slave.kill()
    assert gateway.command("check").returncode == 0
    assert not gateway.journal_path.exists()


def test_drivers(gateway: Gateway):
    done = gateway.command("drivers")
    assert done.returncode == 0
    assert "modbus" in done.stdout and "sim" in done.stdout


def test_drivers_of_a_name(gateway: Gateway):
    done = gateway.command("drivers", "modbus")
    assert done.returncode == 0
    for option in ("transport", "host", "port", "response_timeout", "register", "table", "type"):
        assert option in done.stdout
    done = gateway.command("drivers", "modbsu")
    assert done.returncode == 1
    assert "modbus" in done.stderr, "names those that there are"


def test_read(gateway: Gateway):
    done = gateway.command("read")
    assert done.returncode == 0, done.stderr
    for i in range(4):
        assert f"count_{i}" in done.stdout


def test_read_json(gateway: Gateway):
    done = gateway.command("read", "--json")
    assert done.returncode == 0, done.stderr
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert [entry["sensor"] for entry in objects] == [f"count_{i}" for i in range(4)]
    for entry in objects:
        assert set(entry) >= {"device", "sensor", "value", "timestamp", "quality", "error"}
        assert entry["device"] == "boiler-house"
        assert isinstance(entry["value"], (int, float))
        assert entry["quality"] == "good"
        contract.timestamp(entry["timestamp"], "timestamp")


def test_read_a_device(gateway: Gateway):
    done = gateway.command("read", "--json", "--device", "boiler-house")
    assert len(done.stdout.splitlines()) == 4
    done = gateway.command("read", "--device", "nobody")
    assert done.returncode in (1, 64)
    assert "boiler-house" in done.stderr, "names those that there are"


def test_read_and_watch(gateway: Gateway):
    with subprocess.Popen(gateway.arguments("read", "--watch", "--json"), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        lines = [json.loads(process.stdout.readline()) for _ in range(12)]
        process.terminate()
    assert {entry["sensor"] for entry in lines} == {f"count_{i}" for i in range(4)}
    assert len({entry["timestamp"] for entry in lines}) >= 3
    assert all(entry["quality"] == "good" for entry in lines)


def test_read_of_a_dead_slave(gateway: Gateway, bench):
    bench.slave.kill()
    done = gateway.command("read", "--json")
    assert done.returncode == 1
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(objects) == 4
    for entry in objects:
        assert entry["value"] is None and entry["error"]


def test_status_without_a_daemon(gateway: Gateway):
    done = run("status", "--control", str(gateway.control_path))
    assert done.returncode == 1
    assert str(gateway.control_path) in done.stderr
    assert "run" in done.stderr.lower(), "says what to do"


def test_status(gateway: Gateway):
    gateway.start()
    status = gateway.status()
    assert set(status) >= {"version", "uptime_s", "clock", "buses", "devices", "journal", "totals"}
    bus, = status["buses"]
    assert set(bus) >= {"name", "state", "sensors", "failed_sensors", "requests", "errors"}
    device, = status["devices"]
    assert set(device) >= {"name", "connected", "last_error", "backlog", "delivered"}
    assert set(status["journal"]) >= {"readings", "bytes", "oldest_timestamp", "dropped"}
    assert set(status["totals"]) >= {"read", "delivered", "dropped"}
    assert status["clock"] == "synchronized"
    assert bus["name"] == "plant" and bus["sensors"] == 4
    assert device["name"] == "boiler-house" and device["connected"] is False
    assert set(status["journal"]["dropped"]) >= {"size", "age", "memory", "damaged", "refused"}
    text = gateway.status_text()
    for word in ("plant", "boiler-house", "backlog"):
        assert word in text.lower()
    gateway.stop()
    assert not gateway.control_path.exists(), "the socket goes with the daemon"


def test_second_daemon_on_the_same_journal(gateway: Gateway):
    """Refused with a reason, and the first one is not disturbed."""
    gateway.start()
    done = gateway.command("run", "--control", gateway.control_path, timeout=20)
    assert done.returncode == 1
    assert done.stderr
    assert gateway.status()["buses"]
    gateway.stop()


def test_runtime_directory(gateway: Gateway, bench):
    """systemd says where the control socket belongs."""
    directory = bench.directory / "runtime"
    directory.mkdir()
    gateway.environment["RUNTIME_DIRECTORY"] = str(directory)
    gateway.control_path = directory / "control.sock"
    gateway.start()
    assert gateway.status()["devices"][0]["name"] == "boiler-house"
    gateway.stop()


def test_sd_notify(gateway: Gateway, bench):
    """READY once it is running, STOPPING when it ends."""
    import socket
    path = str(bench.directory / "notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        server.settimeout(15)
        gateway.environment["NOTIFY_SOCKET"] = path
        gateway.start()
        said = ""
        while "READY=1" not in said:
            said += server.recv(4096).decode() + "\n"
        gateway.reload()
        while "RELOADING=1" not in said:
            said += server.recv(4096).decode() + "\n"
        gateway.stop()
        while "STOPPING=1" not in said:
            said += server.recv(4096).decode() + "\n"


def test_password_is_never_shown(gateway: Gateway):
    password = gateway.config["devices"][0]["password"]
    for command in (["check"], ["read"], ["drivers", "modbus"]):
        done = gateway.command(*command)
        assert password not in done.stdout + done.stderr
    assert BOILER
