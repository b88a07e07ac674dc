# SPDX-License-Identifier: Apache-2.0
"""Slaves on a serial line."""

import subprocess

import contract
from lib.gateway import build_dir
from lib.slave import Slave


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
