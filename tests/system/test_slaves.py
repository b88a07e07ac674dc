# SPDX-License-Identifier: Apache-2.0
"""Slaves that go away, and those that must not suffer from it."""

import contract
from conftest import BOILER


def test_slave_killed_and_back(bench):
    bench.start_broker()
    bench.start_slave()
    bench.start_gateway(bench.config())
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=3)
    bench.slave.kill()
    status = bench.gateway.wait_status(
        lambda status: status["buses"][0]["failed_sensors"] == 4, 20, "all sensors are bad")
    assert status["devices"][0]["connected"], "the broker is still there"
    bench.gateway.wait_log("plant")
    since = len(bench.subscriber.arrivals)
    bench.slave.start()
    bench.gateway.wait_status(
        lambda status: status["buses"][0]["failed_sensors"] == 0
        and status["buses"][0]["state"] == "up", 40, "all sensors are well again")
    bench.subscriber.wait_message(20, contract.BATCH, since=since, count=3)
    bench.settle()


def test_start_without_a_slave(bench):
    """A missing slave is never an exit."""
    bench.start_broker()
    bench.start_slave()
    bench.slave.kill()
    bench.start_gateway(bench.config())
    bench.gateway.wait_connected(20)
    bench.slave.start()
    bench.subscriber.wait_message(60, contract.BATCH, since=0, count=3)
    bench.settle()
    bench.ledger().check_complete()


def test_dead_unit_among_live_ones(bench):
    """One silent unit costs the others nothing but its bounded probe."""
    bench.start_broker()
    bench.start_slave(units=3, silent=[2])
    sensors = []
    for unit in (1, 2, 3):
        for sensor in bench.sensors(2, first=10 * unit):
            sensor["options"]["unit"] = unit
            sensors.append(sensor)
    bench.start_gateway(bench.config(sensors))
    bench.gateway.wait_status(
        lambda status: status["buses"][0]["failed_sensors"] == 2, 20, "unit 2 is bad")
    # by now it is probed rarely; the others go at their pace, 5 rounds a second
    since = len(bench.subscriber.arrivals)
    found = bench.subscriber.wait_message(20, contract.BATCH, since=since, count=25)
    assert found[-1].monotonic - found[0].monotonic < 12, "the others keep their pace"
    status = bench.gateway.status()
    assert status["buses"][0]["state"] == "up"
    bench.settle()
    ledger = bench.ledger()
    ledger.check_complete()
    assert {name for _, name in ledger.sensors} == {"count_10", "count_11", "count_30", "count_31"}
    repeated = bench.gateway.log().count("does not answer")
    assert repeated <= 6, f"logs changes, not repetition: {repeated} times"


def test_wrong_register_among_good_ones(bench):
    """A register that the slave does not have fails alone, and says which one it is."""
    bench.start_broker()
    bench.start_slave(registers=16)
    sensors = bench.sensors(4)
    sensors[3]["options"]["register"] = 40
    bench.start_gateway(bench.config(sensors))
    bench.subscriber.wait_for(
        lambda: len([1 for arrival in bench.subscriber.messages(contract.BATCH)
                     if len(arrival.message.readings) == 3]) >= 3, 30, "three good sensors")
    status = bench.gateway.status()
    assert status["buses"][0]["failed_sensors"] == 1
    bench.gateway.wait_log("40.*(illegal data address|exception 2)")
    bench.settle()


def test_two_buses(bench):
    """A bus whose slave is gone does not touch the other."""
    bench.start_broker()
    first = bench.start_slave("first")
    second = bench.start_slave("second")
    config = bench.config(bench.sensors(2), slave=first)
    config["buses"].append({**config["buses"][0], "name": "other",
                            "options": {**config["buses"][0]["options"], "port": second.port}})
    for sensor in bench.sensors(2, first=2):
        sensor["bus"] = "other"
        config["devices"][0]["sensors"].append(sensor)
    bench.start_gateway(config)
    bench.subscriber.wait_for(lambda: len(bench.ledger().sensors) == 4, 20, "all four sensors")
    second.freeze()
    bench.gateway.wait_status(
        lambda status: [bus["failed_sensors"] for bus in status["buses"]] == [0, 2], 30,
        "the other bus is bad")
    since = len(bench.subscriber.arrivals)
    found = bench.subscriber.wait_message(20, contract.BATCH, BOILER, since=since, count=20)
    assert found[-1].monotonic - found[0].monotonic < 10
    second.thaw()
    bench.gateway.wait_status(
        lambda status: [bus["failed_sensors"] for bus in status["buses"]] == [0, 0], 60,
        "both are well")
    bench.settle()


def test_simulator(bench):
    """The sim driver needs no slave."""
    bench.start_broker()
    bench.start_slave()
    config = bench.config([])
    config["buses"][0] = {"name": "plant", "driver": "sim", "options": {"seed": 1}}
    config["devices"][0]["sensors"] = [
        {"slug": "sine", "interval": "200ms",
         "options": {"waveform": "sine", "period": "5s", "amplitude": 3, "mean": 20}}]
    bench.start_gateway(config)
    batches = bench.subscriber.wait_message(20, contract.BATCH, since=0, count=5)
    assert all(17 <= arrival.message.readings[0].value <= 23 for arrival in batches)
    bench.settle()
