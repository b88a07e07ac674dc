# SPDX-License-Identifier: Apache-2.0
"""The main job while everything works: read, batch, deliver."""

import time

import pytest

import contract
from conftest import BOILER, CELLAR, ACCOUNTS, sensor_uuid
from lib import wait


@pytest.mark.core
def test_steady_state(bench):
    """Batches with all sensors, nothing lost, nothing twice, nothing left behind."""
    bench.start_broker()
    bench.start_slave()
    bench.start_gateway(bench.config())
    bench.subscriber.wait_message(30, contract.BATCH, since=0, count=15)
    bench.settle()
    ledger = bench.ledger()
    ledger.check_complete()
    assert len(ledger.sensors) == 4
    for arrival in bench.subscriber.messages(contract.BATCH)[1:-1]:
        assert len(arrival.message.readings) == 4, "a round is one batch"
    for name in (f"count_{i}" for i in range(4)):
        assert min(ledger.values(name)) == 1, "the first reading was delivered"


def test_slave_of_independent_origin(bench):
    """pymodbus instead of libmodbus: what we read is what it serves."""
    bench.start_broker()
    bench.start_slave(kind="pymodbus")
    sensors = bench.sensors(3)
    bench.start_gateway(bench.config(sensors))
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=3)
    bench.settle()
    assert len(bench.ledger().sensors) == 3


@pytest.mark.parametrize("protocol, version", [("5", "p5"), ("3.1.1", "p2"), ("auto", "p5")])
def test_protocol(bench, protocol, version):
    bench.start_broker()
    bench.start_slave()
    bench.start_gateway(bench.config(protocol=protocol))
    bench.subscriber.wait_message(15, contract.BATCH, since=0, count=3)
    assert f"as {BOILER} ({version}, c1" in bench.broker.log(), "client id is the device's UUID"
    bench.settle()
    bench.ledger().check_complete()


def test_qos_0(bench):
    bench.start_broker()
    bench.start_slave()
    bench.start_gateway(bench.config(qos=0))
    bench.subscriber.wait_message(15, contract.BATCH, since=0, count=5)
    bench.settle()
    bench.ledger().check_complete()


def test_live_single(bench):
    """Each reading on its own topic, with the time when it was taken."""
    bench.start_broker()
    bench.start_slave()
    begin = time.time()
    bench.start_gateway(bench.config(live="single"))
    bench.subscriber.wait_message(15, contract.SINGLE, since=0, count=20)
    bench.settle()
    bench.ledger().check_complete()
    assert not bench.subscriber.messages(contract.BATCH)
    for arrival in bench.subscriber.messages(contract.SINGLE):
        reading = arrival.message.readings[0]
        assert reading.timestamp is not None
        assert begin - 1 <= reading.timestamp <= arrival.wall + 0.1


def test_live_off(bench):
    """Everything goes as history."""
    bench.start_broker()
    bench.start_slave()
    bench.start_gateway(bench.config(live="off"))
    bench.subscriber.wait_message(20, contract.HISTORY, since=0, count=8)
    bench.settle()
    bench.ledger().check_complete()
    assert not bench.subscriber.messages(contract.BATCH)
    assert not bench.subscriber.messages(contract.SINGLE)


def test_timestamps_in_seconds(bench):
    bench.start_broker()
    bench.start_slave()
    bench.start_gateway(bench.config(bench.sensors(2, interval="1s"), live="single",
                                     timestamps="seconds"))
    for arrival in bench.subscriber.wait_message(15, contract.SINGLE, since=0, count=4):
        assert arrival.message.readings[0].timestamp == int(arrival.message.readings[0].timestamp)


def test_battery_voltage(bench):
    """The value of one sensor goes along with the batch; in singles, too."""
    bench.start_broker()
    bench.start_slave()
    sensors = bench.sensors(2)
    sensors[1]["scale"] = 0.5
    config = bench.config(sensors)
    config["devices"][0]["battery_voltage"] = "count_1"
    bench.start_gateway(config)
    batches = bench.subscriber.wait_message(15, contract.BATCH, since=0, count=4)
    assert all(arrival.message.battery is not None for arrival in batches[1:])
    newest = batches[-1].message
    values = {reading.sensor: reading.value for reading in newest.readings}
    assert newest.battery == values.get("count_1", newest.battery)

    config["platform"]["live"] = "single"
    bench.gateway.configure(config)
    bench.gateway.reload()
    singles = bench.subscriber.wait_message(15, contract.SINGLE, count=6)
    assert all(arrival.message.battery is not None for arrival in singles[2:])


def test_scale_offset_decimals_and_limits(bench):
    """value = raw * scale + offset, rounded; what is outside min and max is not sent."""
    bench.start_broker()
    bench.start_slave()
    sensors = bench.sensors(1, scale=0.1, offset=-2, decimals=1)
    sensors += bench.sensors(1, first=1, max=5)
    bench.start_gateway(bench.config(sensors))
    bench.subscriber.wait_for(
        lambda: len(bench.ledger().of("count_0")) >= 12, 20, "twelve readings")
    bench.settle()
    ledger = bench.ledger()
    values = sorted(reading.value for reading, _ in ledger.of("count_0"))
    assert values[:4] == [-1.9, -1.8, -1.7, -1.6]
    assert sorted(ledger.values("count_1")) == [1, 2, 3, 4, 5]


def test_deadband_and_max_silence(bench):
    bench.start_broker()
    bench.start_slave()
    sensors = bench.sensors(1, deadband=4.5)
    sensors += bench.sensors(1, first=1, deadband=1000, max_silence="1s")
    bench.start_gateway(bench.config(sensors))
    bench.subscriber.wait_for(
        lambda: len(bench.ledger().of("count_0")) >= 3 and len(bench.ledger().of("count_1")) >= 3,
        30, "three readings of each")
    values = sorted(bench.ledger().values("count_0"))
    assert all(b - a == 5 for a, b in zip(values, values[1:])), values
    values = sorted(bench.ledger().values("count_1"))
    assert all(4 <= b - a <= 8 for a, b in zip(values, values[1:])), values


def test_sensor_known_by_uuid_alone(bench):
    bench.start_broker()
    bench.start_slave()
    sensors = bench.sensors(2)
    del sensors[1]["slug"]
    bench.start_gateway(bench.config(sensors))
    batch = bench.subscriber.wait_message(15, contract.BATCH, since=0, count=3)[-1]
    assert {reading.sensor for reading in batch.message.readings} == {"count_0", sensor_uuid(1)}
    bench.settle()
    bench.ledger().check_complete()


def test_batches_are_split_to_fit(bench):
    """max_message_size holds for batches; a round then takes several."""
    bench.start_broker()
    bench.start_slave()
    bench.start_gateway(bench.config(bench.sensors(60), max_message_size="1KiB"))
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=12)
    bench.settle()
    bench.ledger().check_complete()
    assert max(arrival.size for arrival in bench.subscriber.arrivals) <= 1024


def test_two_devices_two_connections(bench):
    """Each device has its own login; one that is refused does not hold up the other."""
    bench.start_broker()
    bench.start_slave()
    config = bench.config(bench.sensors(2))
    config["devices"].append({
        "name": "cellar", "uuid": CELLAR, "username": ACCOUNTS[1][0], "password": ACCOUNTS[1][1],
        "defaults": {"bus": "plant"}, "sensors": bench.sensors(2, first=2)})
    bench.start_gateway(config)
    bench.subscriber.wait_message(15, contract.BATCH, BOILER, since=0, count=4)
    bench.subscriber.wait_message(15, contract.BATCH, CELLAR, since=0, count=4)
    bench.settle()
    bench.ledger().check_complete()


def test_neighbours_share_a_request(bench):
    """A hundred neighbouring registers are one request, not a hundred."""
    bench.start_broker()
    bench.start_slave()
    bench.start_gateway(bench.config(bench.sensors(100)))
    bench.subscriber.wait_message(15, contract.BATCH, since=0, count=10)
    bench.settle()
    requests = bench.slave.requests()
    rounds = max(bench.ledger().values("count_0"))
    assert requests <= rounds + 2, f"{requests} requests in {rounds} rounds"


def test_status_counts(bench):
    bench.start_broker()
    bench.start_slave()
    bench.start_gateway(bench.config())
    bench.subscriber.wait_message(15, contract.BATCH, since=0, count=5)
    bench.gateway.wait_status(lambda status: status["totals"]["delivered"] >= 16, 10, "delivered")
    status = bench.gateway.status()
    assert status["totals"]["read"] >= status["totals"]["delivered"] >= 16
    assert status["devices"][0]["connected"] is True
    assert status["buses"][0]["state"] == "up"
    wait.until(lambda: bench.gateway.status()["uptime_s"] >= 1, 5, "uptime counts")
