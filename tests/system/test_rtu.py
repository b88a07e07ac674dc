# SPDX-License-Identifier: Apache-2.0
"""Slaves on a serial line."""

import signal
import subprocess

import contract
from lib.gateway import build_dir
from lib import wait
from lib.line import Line
from lib.slave import HERE, Slave


class SerialSlave(Slave):
    """Unit 1 on a line of its own. Killed, it is an adapter that was unplugged."""

    def __init__(self, directory, registers=1000):
        super().__init__(directory, "line", registers=registers)
        self.device = directory / "ttyTEST0"
        self.command = [build_dir() / "tests" / "system" / "slave_libmodbus",
                        "--rtu", self.device, "--registers", str(registers), "--counter"]

    def kill(self):
        super().kill()
        self.device.unlink(missing_ok=True)


class PythonSlave(Slave):
    """A program at the other end of a line that socat carries."""

    def __init__(self, directory, line, program):
        super().__init__(directory, "slave")
        self.device = line.master
        self.command = ["/usr/bin/python3", HERE / program, line.slave]


def start_line(bench, program):
    """The gateway's end is bench.slave.device."""
    line = bench._keep(Line(bench.directory)).start()
    bench.slave = bench._keep(PythonSlave(bench.directory, line, program)).start()
    return line


def start_slave(bench, **options):
    bench.slave = bench._keep(SerialSlave(bench.directory, **options)).start()
    return bench.slave


def serial_config(bench, sensors=None):
    config = bench.config(sensors)
    # a pseudo-terminal has no parity
    config["buses"][0]["options"] = {
        "transport": "rtu", "device": str(bench.slave.device), "baud": 115200, "parity": "none",
        "response_timeout": "200ms"}
    return config


def test_serial_line(bench):
    bench.start_broker()
    start_slave(bench)
    bench.start_gateway(serial_config(bench))
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=10)
    bench.settle()
    ledger = bench.ledger()
    ledger.check_complete()
    assert len(ledger.sensors) == 4


def test_port_unplugged_and_back(bench):
    """The same name, another terminal behind it."""
    bench.start_broker()
    start_slave(bench)
    bench.start_gateway(serial_config(bench))
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=3)
    for _ in range(2):
        bench.slave.kill()
        bench.gateway.wait_status(
            lambda status: status["buses"][0]["failed_sensors"] == 4
            and status["buses"][0]["state"] == "down", 20, "the bus is down")
        since = len(bench.subscriber.arrivals)
        bench.slave.start()
        bench.gateway.wait_status(
            lambda status: status["buses"][0]["failed_sensors"] == 0
            and status["buses"][0]["state"] == "up", 40, "all sensors are well again")
        bench.subscriber.wait_message(20, contract.BATCH, since=since, count=3)
    bench.settle()


def test_locked_port(bench):
    """Two masters on one line would garble each other's frames."""
    bench.start_broker()
    start_slave(bench)
    holder = subprocess.Popen(["flock", bench.slave.device, "cat"], stdin=subprocess.PIPE)
    try:
        bench.start_gateway(serial_config(bench))
        bench.gateway.wait_log("ttyTEST0: another process has the port locked")
        bench.gateway.wait_status(
            lambda status: status["buses"][0]["state"] == "down", 20, "the bus is down")
    finally:
        holder.stdin.close()
        holder.wait(10)
    bench.subscriber.wait_message(40, contract.BATCH, since=0, count=3)
    bench.settle()


def test_pymodbus(bench):
    """A slave that has nothing of ours, and what really goes over the line."""
    bench.start_broker()
    line = start_line(bench, "slave_pymodbus.py")
    bench.start_gateway(serial_config(bench))
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=10)
    transfers = line.transfers()  # before the slave is silent
    bench.settle()
    ledger = bench.ledger()
    ledger.check_complete()
    assert len(ledger.sensors) == 4
    requests = [transfer for transfer in transfers if transfer.master]
    assert len(requests) >= 8
    # all four registers in one request, each time
    assert {request.data[:6].hex() for request in requests} == {"010300000004"}
    for before, after in zip(transfers, transfers[1:]):
        if after.master and not before.master:
            # MODBUS over Serial Line V1.02, 2.5.1.1
            assert after.seconds - before.seconds >= 0.00175


def test_hostile(bench):
    """Whatever the slave does, no reading is wrong; and all is well when it has come to reason."""
    bench.start_broker()
    start_line(bench, "slave_hostile.py")
    sensors = bench.sensors(6, interval="100ms")
    for i, sensor in enumerate(sensors):
        sensor["options"].update(unit=1 + i % 2, register=100 * i)
    config = serial_config(bench, sensors)
    config["buses"][0]["options"]["response_timeout"] = "100ms"
    bench.start_gateway(config)
    bench.subscriber.wait_message(60, contract.BATCH, since=0, count=20)
    bench.slave.signal(signal.SIGUSR1)
    wait.until(lambda: "honest" in bench.slave.log(), 10, "the slave comes to reason")
    bench.gateway.wait_status(
        lambda status: status["buses"][0]["failed_sensors"] == 0, 90, "all sensors are well")
    bench.settle()
    right = {sensor["slug"]: 1000 * sensor["options"]["unit"] + sensor["options"]["register"]
             for sensor in sensors}
    values = {}
    for arrival in bench.subscriber.messages(contract.BATCH):
        for reading in arrival.message.readings:
            values.setdefault(reading.sensor, set()).add(reading.value)
    assert values == {name: {value} for name, value in right.items()}
