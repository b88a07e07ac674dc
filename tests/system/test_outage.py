# SPDX-License-Identifier: Apache-2.0
"""The broker goes away and comes back; the gateway is killed meanwhile. Nothing is lost, and only
what was under way comes twice."""

import time

import pytest

import contract
from lib import wait


def outage(bench, readings, timeout=40):
    """Waits until the outage has left that many readings in the journal."""
    bench.gateway.wait_status(
        lambda status: sum(device["backlog"] for device in status["devices"]) >= readings,
        timeout, f"{readings} readings wait")


def check_times(bench, name, begin, end, interval):
    """Readings that came as history are dated when they were taken, one interval apart."""
    dated = {int(reading.value): reading.timestamp for reading, _ in bench.ledger().of(name)
             if reading.timestamp is not None}
    assert dated, f"no history of {name}"
    assert min(dated.values()) >= begin - 1 and max(dated.values()) <= end + 1
    first, last = min(dated), max(dated)
    expected = (last - first) * interval
    assert abs(dated[last] - dated[first] - expected) <= 0.1 * expected + 1.0


def test_start_without_a_broker(bench):
    bench.start_broker()
    bench.broker.kill()
    bench.start_slave()
    begin = time.time()
    bench.start_gateway(bench.config())
    outage(bench, 60)
    end = time.time()
    bench.broker.start()
    bench.gateway.wait_connected(40)
    history = bench.subscriber.wait_message(20, contract.HISTORY, since=0, count=4)
    assert all(reading.timestamp is not None
               for arrival in history for reading in arrival.message.readings)
    bench.settle()
    ledger = bench.ledger()
    ledger.check_complete()
    assert min(ledger.values("count_0")) == 1, "the very first reading came"
    check_times(bench, "count_0", begin, end + 45, 0.2)


@pytest.mark.core
def test_broker_killed_and_restarted(bench):
    bench.start_broker()
    bench.start_slave()
    bench.start_gateway(bench.config())
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=5)
    broken = time.monotonic()
    bench.broker.kill()
    bench.gateway.wait_connected(15, connected=False)
    assert bench.gateway.device()["last_error"]
    outage(bench, 80)
    since = len(bench.subscriber.arrivals)
    bench.broker.start()
    bench.subscriber.wait_message(60, contract.BATCH, since=since)
    bench.subscriber.wait_message(60, contract.HISTORY, since=since, count=4)
    bench.settle()
    ledger = bench.ledger()
    ledger.check_complete(duplicates=True)
    assert not ledger.duplicates_outside([broken])


def test_broker_shut_down_in_good_order(bench):
    bench.start_broker()
    bench.start_slave()
    bench.start_gateway(bench.config())
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=5)
    broken = time.monotonic()
    bench.broker.terminate()
    bench.gateway.wait_connected(15, connected=False)
    outage(bench, 40)
    bench.broker.start()
    bench.gateway.wait_connected(60)
    bench.settle()
    ledger = bench.ledger()
    ledger.check_complete(duplicates=True)
    assert not ledger.duplicates_outside([broken])


def test_broker_hangs(bench):
    """A broker that answers nothing any more: noticed by keepalive, bounded in memory."""
    bench.start_broker()
    bench.start_slave()
    bench.start_gateway(bench.config(bench.sensors(50)))
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=10)
    bench.gateway.wait_status(lambda status: status["devices"][0]["backlog"] <= 100, 10, "steady")
    before = bench.gateway.resident_kib()
    broken = time.monotonic()
    bench.broker.freeze()
    bench.gateway.wait_connected(30, connected=False)
    # long enough for a connection attempt to time out, too
    wait.until(lambda: time.monotonic() - broken > 25, 30, "25 s have passed", 0.5)
    grown = bench.gateway.resident_kib() - before
    status = bench.gateway.status()
    assert status["buses"][0]["failed_sensors"] == 0, "polling went on"
    assert status["devices"][0]["backlog"] > 50 * 80
    bench.broker.thaw()
    thawed = time.monotonic()
    bench.subscriber.wait_message(60, contract.HISTORY, count=10)
    bench.settle()
    ledger = bench.ledger()
    ledger.check_complete(duplicates=True)
    # what had been sent before the broker froze, it takes when it wakes
    assert not ledger.duplicates_outside([broken, thawed, thawed + 1])
    assert grown < 2048, f"grew by {grown} KiB"


def test_live_goes_first_after_an_outage(bench):
    """The next batch carries current values at once, while the backlog drains beside it."""
    bench.start_broker()
    bench.start_slave()
    # a rate at which the backlog takes its time
    config = bench.config(bench.sensors(10), live_window="2s")
    config["platform"]["history"] = {"rate": 4096, "max_readings": 20}
    bench.start_gateway(config)
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=3)
    bench.broker.kill()
    bench.gateway.wait_connected(15, connected=False)
    outage(bench, 600)
    since = len(bench.subscriber.arrivals)
    bench.broker.start()
    bench.subscriber.wait_message(60, contract.BATCH, since=since, count=5)
    arrivals = bench.subscriber.messages(since=since)
    kinds = [arrival.message.kind for arrival in arrivals]
    batches = [arrival for arrival in arrivals if arrival.message.kind == contract.BATCH]
    assert bench.gateway.backlog() > 20, "the backlog is not done yet"
    values = {reading.sensor: reading.value for reading in batches[0].message.readings}
    seen = max(bench.ledger().values("count_0"))
    assert seen - values["count_0"] <= 60, "the first batch carries what was read just then"
    assert contract.BATCH in kinds[:15], f"live waited behind history: {kinds[:20]}"


@pytest.mark.core
def test_killed_during_an_outage(bench):
    """What was committed is delivered after the restart; at most a commit interval is lost."""
    bench.start_broker()
    bench.start_slave()
    bench.start_gateway(bench.config())
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=3)
    broken = time.monotonic()
    bench.broker.kill()
    outage(bench, 40)
    killed = time.time()
    bench.gateway.kill()
    bench.gateway.start()
    outage(bench, 60)
    bench.broker.start()
    bench.subscriber.wait_message(60, contract.HISTORY, count=4)
    bench.settle()
    ledger = bench.ledger()
    assert not ledger.missing_outside([killed], commit_interval=0.2)
    assert not ledger.duplicates_outside([broken])
    assert not ledger.redated() and not ledger.disorder()


def test_killed_during_replay(bench):
    """Killed again and again while the backlog goes up: all of it arrives."""
    bench.start_broker()
    bench.start_slave()
    config = bench.config(bench.sensors(20))
    config["platform"]["history"] = {"rate": 20000, "max_readings": 20}
    bench.start_gateway(config)
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=3)
    breaks, kills = [time.monotonic()], []
    bench.broker.kill()
    outage(bench, 800)
    bench.broker.start()
    for _ in range(3):
        since = len(bench.subscriber.arrivals)
        bench.subscriber.wait_message(60, contract.HISTORY, since=since, count=5)
        breaks.append(time.monotonic())
        kills.append(time.time())
        bench.gateway.kill()
        bench.gateway.start()
    del config["platform"]["history"]
    bench.gateway.configure(config)
    bench.gateway.reload()
    bench.gateway.wait_connected(60)
    bench.settle()
    ledger = bench.ledger()
    assert not ledger.missing_outside(kills, commit_interval=0.2)
    # acknowledgements reach the disk with a commit, 0.2 s at the latest: what was acknowledged just
    # before a kill may come again
    assert not ledger.duplicates_outside(breaks)
    assert not ledger.redated() and not ledger.disorder()


def test_sensors_without_uuid(bench):
    """No bulk topic for them: their history goes one by one, dated."""
    bench.start_broker()
    bench.start_slave()
    sensors = bench.sensors(2)
    for sensor in sensors:
        del sensor["uuid"]
    bench.start_gateway(bench.config(sensors))
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=3)
    broken = time.monotonic()
    bench.broker.kill()
    bench.gateway.wait_connected(15, connected=False)
    outage(bench, 30)
    bench.broker.start()
    bench.gateway.wait_connected(60)
    bench.settle()
    assert not bench.subscriber.messages(contract.HISTORY)
    singles = bench.subscriber.messages(contract.SINGLE)
    assert len(singles) >= 20
    assert all(arrival.message.readings[0].timestamp for arrival in singles)
    ledger = bench.ledger()
    ledger.check_complete(duplicates=True)
    assert not ledger.duplicates_outside([broken])


def test_restart_while_everything_works(bench):
    """Stop and start in good order: nothing lost, nothing twice."""
    bench.start_broker()
    bench.start_slave()
    bench.start_gateway(bench.config())
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=5)
    for _ in range(2):
        bench.gateway.stop()
        since = len(bench.subscriber.arrivals)
        bench.gateway.start()
        bench.subscriber.wait_message(20, contract.BATCH, since=since, count=5)
    bench.settle()
    bench.ledger().check_complete()
