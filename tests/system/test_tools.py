# SPDX-License-Identifier: Apache-2.0
"""plan, scan and probe: with a driver that says what it is told to say, without a daemon and
through a running one."""

import json
import os
import re
import signal
import socket
import subprocess

import pytest

from conftest import ACCOUNTS, BOILER, sensor_uuid
from lib import wait
from lib.gateway import Gateway, build_dir

pytestmark = pytest.mark.core

STANZA = """
# to begin with: choose, give each a slug of the platform, and put them under a device
sensors:
  - slug: first
    options: {least: 1ms}
"""
DAEMON = "scan: through the running daemon, with its configuration\n"


def configuration(sensors=1, interval="1h", **options):
    return {
        "platform": {"host": "127.0.0.1", "port": 1, "tls": False, "tenant": "123",
                     "timestamps": "milliseconds"},
        "clock": {"trust": "always"},
        "buses": [{"name": "line", "driver": "chatty"},
                  {"name": "gone", "driver": "chatty", "options": {"path": "/nonexistent"}},
                  {"name": "demo", "driver": "sim", "options": {"delay": "10ms"}}],
        "devices": [{"name": "boiler-house", "uuid": BOILER, "username": ACCOUNTS[0][0],
                     "password": ACCOUNTS[0][1],
                     "defaults": {"bus": "line", "interval": interval, "options": options},
                     "sensors": [{"slug": f"s{i}", "uuid": sensor_uuid(i)}
                                 for i in range(sensors)]}],
    }


@pytest.fixture
def gateway(bench):
    made = bench.make_gateway(configuration())
    (made.drivers / "chatty.so").symlink_to(build_dir() / "tests" / "unit" / "drivers" /
                                            "chatty.so")
    return made


@pytest.fixture
def running(gateway):
    return gateway.start()


def tool(gateway, *arguments, timeout=30):
    return gateway.command(*arguments, "--control", gateway.control_path, timeout=timeout)


class Scan:
    """A scan at work beside the test."""

    def __init__(self, gateway, *arguments):
        self.process = subprocess.Popen(
            gateway.arguments("scan", "line", "--control", gateway.control_path, *arguments),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **gateway.environment})

    def wait_line(self, line):
        while True:
            got = self.process.stdout.readline()
            assert got, f"it ended before it said {line!r}"
            if got == line + "\n":
                return

    def end(self):
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


# --- plan ---

def test_plan(gateway: Gateway):
    gateway.configure(configuration(sensors=2, interval="1s", least="100ms", likely="250ms"))
    done = tool(gateway, "plan", "line")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "line (chatty) at 9600 baud, 8E1: 2 requests, busy 20.0 % at the least, 50 % probably\n"
        "     EVERY  SENSORS  AT LEAST  PROBABLY      SHARE  REQUEST\n"
        "       1 s        1    100 ms    250 ms    25.00 %  s0\n"
        "       1 s        1    100 ms    250 ms    25.00 %  s1\n")


def test_plan_of_many_requests_is_short(gateway: Gateway):
    gateway.configure(configuration(sensors=2000, interval="10s", least="1ms", likely="2ms"))
    done = tool(gateway, "plan", "line")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4
    assert done.stdout.endswith("  and 1999 more like it, the last: s1999; 40.00 % in all\n")
    assert max(map(len, done.stdout.splitlines())) <= 90


def test_plan_json(gateway: Gateway):
    gateway.configure(configuration(sensors=1, interval="1s", least="100ms", likely="600ms"))
    done = tool(gateway, "plan", "--json")
    assert done.returncode == 0, done.stderr
    line, gone, demo = json.loads(done.stdout)["buses"]
    assert line == {
        "name": "line", "driver": "chatty", "sensors": 1, "link": "9600 baud, 8E1",
        "advice": "talk less, or faster", "least": 0.1, "likely": 0.6,
        "requests": [{"what": "s0", "sensors": 1, "interval_s": 1, "least_s": 0.1,
                      "likely_s": 0.6}]}
    assert gone["requests"] == []
    assert demo["driver"] == "sim"


def test_impossible_schedule(gateway: Gateway):
    """Refused by all that would poll, shown by plan, and no reason not to search the bus."""
    gateway.configure(configuration(sensors=2, interval="1s", least="870ms"))
    number = gateway.config_path.read_text().splitlines().index("  - name: line") + 1
    said = (f"{gateway.config_path}:{number}:5: buses[0] (line): needs 1.7 s of every 1 s at 9600 "
            "baud, 8E1: talk less, or faster\n")
    for command in ("check", "read", "run"):
        done = tool(gateway, command)
        assert done.returncode == 78
        assert said in done.stderr
    done = tool(gateway, "plan")
    assert done.returncode == 78
    assert said.replace(": buses", ": warning: buses") in done.stderr
    assert "busy 174.0 % at the least, 174 % probably\n" in done.stdout
    assert tool(gateway, "scan", "line").returncode == 0


def test_reload_refuses_an_impossible_schedule(running: Gateway):
    running.configure(configuration(sensors=2, interval="1s", least="870ms"))
    running.reload()
    running.wait_log(r"needs 1\.7 s of every 1 s")
    running.wait_log("the old configuration stays in force")
    running.stop()


def test_improbable_schedule_is_a_warning(gateway: Gateway):
    gateway.configure(configuration(sensors=2, interval="1min", likely="31s"))
    done = tool(gateway, "check")
    assert done.returncode == 0
    assert (": warning: buses[0] (line): will probably need 62.0 s of every 60 s at 9600 baud, "
            "8E1: talk less, or faster\n") in done.stderr


# --- scan and probe, with a daemon and without ---

@pytest.fixture(params=["alone", "daemon"])
def either(gateway, request):
    """The gateway, and what commands say first on standard error."""
    if request.param == "daemon":
        gateway.start()
    return gateway, DAEMON if request.param == "daemon" else ""


def test_scan(either):
    gateway, first = either
    done = tool(gateway, "scan", "line", "--note", "of it")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(
        f"step {i}: here is something of it\n" for i in range(3)) + STANZA
    assert done.stderr == first


def test_probe(either):
    gateway, first = either
    done = tool(gateway, "probe", "--unit=0x10", "line")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "unit 16 is there\n"
    assert done.stderr == first.replace("scan", "probe")


@pytest.mark.parametrize("arguments, status, said", [
    (["scan", "line", "--act", "fail"], 1, "scan: bus line: Input/output error\n"),
    (["scan", "line", "--act", "complain", "--steps", "7"], 64,
     "scan: steps: 7 are too many today\nscan: come again tomorrow\n"),
    (["scan", "line", "--wait", "abc", "--act", "fly"], 64,
     'scan: act: "fly" is unknown, expected one of: count, fail, complain, block\n'
     'scan: wait: "abc" does not fit, expected a duration, 0 to 5s\n'),
    (["scan", "line", "--stpes", "3"], 64, "scan: stpes: unknown option, did you mean steps?\n"),
    (["scan", "line", "--json"], 64,
     "scan: json: unknown option, expected one of: act, steps, lines_a_step, wait, note\n"),
    (["scan", "line", "--note"], 64,
     "scan: note: without a value, expected text, at most 40 bytes\n"),
    (["probe", "line"], 64, "probe: unit: missing, expected a whole number, 1 to 247\n"),
    (["probe", "line", "--unit", "-3"], 64, "probe: unit: -3 is out of range, expected 1 to 247\n"),
    (["scan", "demo"], 64, "scan: the driver sim has none\n"),
    (["scan", "line", "--note", "a\tb"], 64,
     "scan: a tab or a line break is in its arguments\n"),
])
def test_what_goes_wrong(either, arguments, status, said):
    gateway, _ = either
    done = tool(gateway, *arguments)
    assert done.stderr.endswith(said)
    assert done.returncode == status
    assert "sensors:" not in done.stdout


def test_bus_that_cannot_be_opened(either):
    gateway, _ = either
    done = tool(gateway, "scan", "gone")
    assert done.returncode == 1
    assert re.search(r"scan: bus gone(| is down): No such file or directory\n$", done.stderr)


def test_unknown_bus(either):
    gateway, _ = either
    done = tool(gateway, "scan", "lien")
    assert done.returncode == 64
    assert "has no bus \"lien\"; there are: line, gone, demo\n" in done.stderr


def test_interrupt_shows_what_was_found(either):
    gateway, _ = either
    with Scan(gateway, "--act", "block") as scan:
        scan.wait_line("step 2: here is something")
        scan.process.send_signal(signal.SIGINT)
        status, _, err = scan.end()
    assert status == 1
    assert "interrupted\n" in err
    assert tool(gateway, "scan", "line").returncode == 0, "the bus is free again"


def test_help_of_a_tool(gateway: Gateway):
    done = tool(gateway, "scan", "line", "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(
        "Usage: sensocan-gateway scan line [--OPTION VALUE]...\n\nOptions of the driver chatty:\n"
        "  act: one of: count, fail, complain, block; default count\n")
    done = tool(gateway, "drivers", "chatty")
    assert "\nScan options:\n  act: one of" in done.stdout
    assert "\nProbe options:\n  unit: whole number, 1 to 247, required\n" in done.stdout


def test_scan_before_there_are_sensors(gateway: Gateway):
    config = configuration()
    config["devices"] = []
    gateway.configure(config)
    done = tool(gateway, "scan", "line")
    assert done.returncode == 0
    assert done.stdout.endswith(STANZA)
    assert done.stderr == ""
    done = tool(gateway, "check")
    assert done.returncode == 0
    assert "warning: devices: no sensors yet" in done.stderr
    gateway.start()
    assert tool(gateway, "scan", "line").returncode == 0
    gateway.stop()


def test_bad_configuration(gateway: Gateway):
    gateway.config_path.write_text("platform: {}\n")
    assert tool(gateway, "scan", "line").returncode == 78


# --- through the daemon ---

def readings(gateway):
    return gateway.status()["buses"][0]["readings"]


def test_readings_go_on(gateway: Gateway):
    gateway.configure(configuration(interval="20ms"))
    gateway.start()
    with Scan(gateway, "--steps", "1000000", "--wait", "10ms") as scan:
        scan.wait_line("step 0: here is something")
        before = readings(gateway)
        scan.wait_line("step 30: here is something")
        wait.until(lambda: readings(gateway) > before + 10, 20, "readings")
        assert scan.process.poll() is None
    gateway.stop()


@pytest.fixture(params=["alone", "daemon"])
def plant(bench, request):
    """A gateway on a real slave, with sensors that it reads if it is running."""
    bench.start_slave(units=2, counting=False)
    made = bench.make_gateway(bench.config(port=1))
    return made.start() if request.param == "daemon" else made


def test_scan_of_modbus(plant: Gateway):
    done = tool(plant, "scan", "plant", "--units", "1-3", "--timeout", "100ms", timeout=60)
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()[:2]] == ["unit 1", "unit 2"]
    assert "unit 3" not in done.stdout
    assert "\nsensors:\n  - slug: " in done.stdout
    if plant.running():
        plant.wait_status(lambda status: status["buses"][0]["failed_sensors"] == 0, 20, "all good")


def test_one_at_a_time(running: Gateway):
    with Scan(running, "--act", "block") as scan:
        scan.wait_line("step 2: here is something")
        done = tool(running, "probe", "line", "--unit", "3")
        assert done.returncode == 1
        assert done.stderr.endswith(
            "probe: bus line: another scan or probe is at work on it; try again when it has "
            "ended\n")
        assert scan.process.poll() is None
    running.stop()


def test_client_that_goes_away_ends_the_job(running: Gateway):
    with Scan(running, "--act", "block") as scan:
        scan.wait_line("step 2: here is something")
        scan.process.kill()
        wait.until(lambda: tool(running, "scan", "line").returncode == 0, 10, "the bus is free")
    running.stop()


def test_client_that_does_not_listen(running: Gateway):
    """It is dropped, and meanwhile nothing waits for it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(str(running.control_path))
        client.sendall(b"scan\tline\tsteps=1000000\tlines_a_step=100\n")
        before = running.status()["uptime_s"]
        wait.until(lambda: tool(running, "scan", "line").returncode == 0, 20, "the bus is free")
        assert running.status()["uptime_s"] >= before
        client.settimeout(5)
        with pytest.raises((ConnectionError, StopIteration)):
            while True:
                if not client.recv(65536):
                    raise StopIteration
    running.stop()


@pytest.mark.parametrize("line", [
    b"scan\n", b"scan\t\n", b"\t\n", b"scan\tline\t\n", b"scan\tline\t=\n", b"paint\tline\n",
    b"scan\tline\tsteps=\xff\xfe\n", b"scan\tline\t" + b"x=1\t" * 500 + b"\n",
    b"x" * 5000 + b"\n", b"scan\tline\tact=block\nscan\tline\n",
])
def test_clients_that_ask_nonsense(running: Gateway, line):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        client.connect(str(running.control_path))
        client.sendall(line)
        client.shutdown(socket.SHUT_WR)
        try:
            while client.recv(65536):
                pass
        except ConnectionResetError:
            pass
    assert running.status()["buses"]
    wait.until(lambda: tool(running, "scan", "line").returncode == 0, 10, "the bus is free")
    running.stop()


def test_reload_of_another_bus(running: Gateway):
    """The job goes on if nothing of its bus has changed."""
    with Scan(running, "--steps", "1000000", "--wait", "5ms") as scan:
        scan.wait_line("step 3: here is something")
        config = configuration()
        config["buses"][2]["options"]["delay"] = "20ms"
        running.configure(config)
        running.reload()
        running.wait_log("configuration reloaded")
        scan.wait_line("step 100: here is something")
    running.stop()


def test_reload_of_its_bus(running: Gateway):
    with Scan(running, "--act", "block") as scan:
        scan.wait_line("step 2: here is something")
        running.configure(configuration(interval="2h"))
        running.reload()
        status, _, err = scan.end()
    assert status == 1
    assert err == DAEMON + ("scan: bus line: it was stopped, by a signal or a new configuration\n")
    assert tool(running, "scan", "line").returncode == 0
    running.stop()


def test_stop(running: Gateway):
    with Scan(running, "--act", "block") as scan:
        scan.wait_line("step 2: here is something")
        running.stop()
        status, _, err = scan.end()
    assert status == 1
    assert err == DAEMON + "scan: the daemon ended before it was done\n"


def test_only_the_daemons_configuration_counts(running: Gateway):
    """Its bus may have another name in a file that is not in force yet."""
    config = configuration()
    config["buses"][0]["name"] = "new"
    config["devices"][0]["defaults"]["bus"] = "new"
    running.configure(config)
    assert tool(running, "scan", "line").returncode == 0
    assert tool(running, "scan", "new").returncode == 64
    running.stop()


def read_terminal(terminal, until=None):
    """What is shown, until it has that in it, or until nobody writes any more."""
    shown = ""
    while until is None or until not in shown:
        try:
            shown += os.read(terminal, 65536).decode()
        except OSError:  # EIO: the other side is closed
            break
    return shown


def test_progress_on_a_terminal(either):
    """One line that is written over, and gone in the end."""
    gateway, _ = either
    terminal, other = os.openpty()
    with subprocess.Popen(
            gateway.arguments("scan", "line", "--control", gateway.control_path, "--act", "block"),
            stderr=other, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        os.close(other)
        shown = read_terminal(terminal, "\rstep 3 of 3")
        process.send_signal(signal.SIGINT)
        shown += read_terminal(terminal)
        printed = process.stdout.read()
    os.close(terminal)
    assert re.search(r"\rstep 3 of 3\r {11}\r(\r| )*scan: .*interrupted\r\n$", shown)
    assert "of 3" not in printed
    assert process.returncode == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user")
def test_socket_of_another_user(running: Gateway):
    """Who may not speak with the daemon must not open the bus beside it."""
    running.directory.parent.chmod(0o755)
    running.control_path.chmod(0o600)
    done = subprocess.run(
        running.arguments("scan", "line", "--control", running.control_path),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        user="nobody", timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr == (f"scan: {running.control_path}: Permission denied; "
                           "try again as root\n")
    running.stop()
