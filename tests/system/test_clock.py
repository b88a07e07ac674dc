# SPDX-License-Identifier: Apache-2.0
"""A gateway that starts with a wrong clock, as a Raspberry Pi does."""

import time

import pytest

import contract
from lib.clock import WrongClock
from lib.gateway import Gateway

DAY = 86400


@pytest.fixture
def timed(bench, clock_shim, sanitized):
    """Starts a gateway whose clock is off, and knows its clock."""
    if sanitized:
        pytest.skip("a preloaded library and a sanitizer do not go together")
    made = {}

    def start(offset_s, synchronized, **platform):
        bench.start_broker()
        bench.start_slave()
        made["clock"] = WrongClock(bench.directory, clock_shim, offset_s, synchronized)
        config = bench.config(**platform)
        config["clock"] = {"trust": "kernel"}
        bench.start_gateway(config, preload=clock_shim, environment=made["clock"].environment)
        return made["clock"]
    return start


def check_times(bench, begin, end):
    """Everything that came dated is dated within the test."""
    for (_, sensor), entries in bench.ledger().sensors.items():
        for reading, _ in entries:
            if reading.timestamp is not None:
                assert begin - 1 <= reading.timestamp <= end + 1, \
                    f"{sensor} {reading.value}: off by {reading.timestamp - begin:.1f} s"


def test_wrong_then_right(bench, timed):
    """Until the clock is right nothing goes up; then everything, with its true time."""
    begin = time.time()
    clock = timed(-200 * DAY, synchronized=False)
    status = bench.gateway.wait_status(
        lambda status: status["journal"]["readings"] >= 60, 30, "readings wait")
    assert status["clock"] == "waiting"
    assert not bench.subscriber.messages(contract.HISTORY)
    clock.set(0, synchronized=True)
    bench.gateway.wait_status(lambda status: status["clock"] == "synchronized", 10, "synchronized")
    bench.subscriber.wait_message(60, contract.HISTORY, since=0, count=4)
    bench.settle()
    ledger = bench.ledger()
    ledger.check_complete()
    assert min(ledger.values("count_0")) == 1
    check_times(bench, begin, time.time())


def test_killed_before_the_clock_was_right(bench, timed):
    """Within the same boot, readings of an earlier run get their time as well."""
    begin = time.time()
    clock = timed(-200 * DAY, synchronized=False)
    bench.gateway.wait_status(lambda status: status["journal"]["readings"] >= 40, 30, "readings")
    killed = time.time()
    bench.gateway.kill()
    bench.gateway.start()
    clock.set(0, synchronized=True)
    bench.gateway.wait_status(lambda status: status["clock"] == "synchronized", 10, "synchronized")
    bench.subscriber.wait_message(60, contract.HISTORY, since=0, count=4)
    bench.settle()
    ledger = bench.ledger()
    assert not ledger.missing_outside([killed], commit_interval=0.2)
    assert not ledger.duplicates() and not ledger.disorder()
    check_times(bench, begin, time.time())


@pytest.mark.parametrize("step", [3600, -3600])
def test_step_of_a_right_clock(bench, timed, step):
    """A step in either direction never reorders, loses, or re-dates, and never stalls polling."""
    clock = timed(0, synchronized=True)
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=5)
    bench.broker.kill()
    bench.gateway.wait_status(lambda status: status["journal"]["readings"] >= 40, 30, "readings")
    stepped = time.time()
    clock.set(step, synchronized=True)
    before = bench.gateway.status()["totals"]["read"]
    bench.gateway.wait_status(lambda status: status["totals"]["read"] >= before + 20, 6,
                              "polling goes on")
    bench.broker.start()
    bench.gateway.wait_connected(60)
    bench.settle()
    ledger = bench.ledger()
    assert not ledger.missing() and not ledger.redated()
    dated = sorted((int(reading.value), reading.timestamp) for reading, _ in ledger.of("count_0")
                   if reading.timestamp is not None)
    # what was read before the step keeps its time, what was read after has the new one
    early = [moment for _, moment in dated if abs(moment - stepped) < 120]
    late = [moment for _, moment in dated if abs(moment - stepped - step) < 120]
    assert len(early) >= 5 and len(late) >= 2
    assert len(early) + len(late) == len(dated)
    values = [value for value, _ in dated]
    assert [value for value, moment in dated if abs(moment - stepped) < 120] == values[:len(early)]


def test_becomes_doubtful(bench, timed):
    """Somebody sets the clock and the kernel does not vouch for it: wait, then date truly."""
    begin = time.time()
    clock = timed(0, synchronized=True)
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=3)
    clock.set(-30 * DAY, synchronized=False)
    bench.gateway.wait_status(lambda status: status["clock"] == "waiting", 10, "waiting")
    since = len(bench.subscriber.arrivals)
    before = bench.gateway.status()["journal"]["readings"]
    bench.gateway.wait_status(
        lambda status: status["totals"]["read"] >= 40 and
        status["journal"]["readings"] >= before, 20, "polling goes on")
    clock.set(0, synchronized=True)
    bench.gateway.wait_status(lambda status: status["clock"] == "synchronized", 10, "synchronized")
    bench.subscriber.wait_message(30, since=since, count=3)
    bench.settle()
    bench.ledger().check_complete()
    check_times(bench, begin, time.time())


def test_plausible(bench, clock_shim, sanitized):
    """Without anyone to vouch for it, a clock before the program's own making is not believed."""
    if sanitized:
        pytest.skip("a preloaded library and a sanitizer do not go together")
    bench.start_broker()
    bench.start_slave()
    clock = WrongClock(bench.directory, clock_shim, -3000 * DAY, False)
    config = bench.config()
    config["clock"] = {"trust": "plausible"}
    gateway: Gateway = bench.start_gateway(config, preload=clock_shim,
                                           environment=clock.environment)
    assert gateway.status()["clock"] == "waiting"
    begin = time.time()
    clock.set(0, False)
    gateway.wait_status(lambda status: status["clock"] == "synchronized", 10, "believed")
    bench.subscriber.wait_message(60, contract.BATCH, since=0, count=3)
    bench.settle()
    bench.ledger().check_complete()
    check_times(bench, begin - 30, time.time())
