# SPDX-License-Identifier: Apache-2.0
"""SIGTERM ends it within five seconds, whatever hangs; what was read is committed."""

import signal
import time

import pytest

import contract


def stop_in_time(bench, limit=5.0):
    begin = time.monotonic()
    bench.gateway.stop(20)
    took = time.monotonic() - begin
    assert took <= limit, f"took {took:.1f} s"


@pytest.mark.core
def test_idle(bench):
    bench.start_broker()
    bench.start_slave()
    bench.start_gateway(bench.config())
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=2)
    stop_in_time(bench)


def test_sigint(bench):
    bench.start_broker()
    bench.start_slave()
    bench.start_gateway(bench.config())
    bench.gateway.signal(signal.SIGINT)
    assert bench.gateway.process.wait(10) == 0


def test_dead_slave_and_dead_broker(bench):
    """Both are there and answer nothing, the worst they can do."""
    bench.start_broker()
    bench.start_slave()
    config = bench.config()
    config["buses"][0]["options"]["response_timeout"] = "2s"
    bench.start_gateway(config)
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=3)
    bench.broker.freeze()
    bench.slave.freeze()
    bench.gateway.wait_status(
        lambda status: status["buses"][0]["failed_sensors"] == 4, 30, "the slave is missed")
    read = bench.gateway.status()["totals"]["read"] // 4
    stop_in_time(bench)
    bench.broker.thaw()
    bench.gateway.start()
    bench.gateway.wait_connected(60)
    bench.settle()
    for i in range(4):
        assert set(range(1, read + 1)) <= set(bench.ledger().values(f"count_{i}"))


def test_gone_slave_and_gone_broker(bench):
    bench.start_broker()
    bench.start_slave()
    bench.start_gateway(bench.config())
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=3)
    bench.broker.kill()
    bench.slave.kill()
    bench.gateway.wait_connected(20, connected=False)
    stop_in_time(bench)


def test_before_anything_is_connected(bench):
    bench.start_broker()
    bench.start_slave()
    bench.broker.freeze()
    bench.slave.freeze()
    bench.start_gateway(bench.config())
    stop_in_time(bench)


def test_last_readings_are_flushed(bench):
    """A stop in good order sends what was read last, as live."""
    bench.start_broker()
    bench.start_slave()
    bench.start_gateway(bench.config(bench.sensors(200)))
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=5)
    stop_in_time(bench)
    since = len(bench.subscriber.arrivals)
    last = max(bench.ledger().values("count_0"))
    bench.gateway.start()
    bench.subscriber.wait_message(20, contract.BATCH, since=since)
    bench.settle()
    after = bench.ledger(since)
    live = [int(reading.value) for reading, arrival in after.of("count_0")
            if arrival.message.kind == contract.BATCH]
    assert live[0] == last + 1, "nothing that was read was left for the next start"
    bench.ledger().check_complete()
