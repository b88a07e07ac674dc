# SPDX-License-Identifier: Apache-2.0
"""The ledger itself: what it is there to find, it must find."""

import pytest

import contract
from lib.ledger import Ledger
from lib.subscriber import Arrival

DEVICE = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
SENSOR = "fe738b8f-9efe-46a7-a1c6-b861be358442"
CONFIG = {"devices": [{"uuid": DEVICE, "sensors": [{"slug": "a", "uuid": SENSOR}]}]}

pytestmark = pytest.mark.core


def ledger(*readings):
    """Of readings (value, timestamp or None, second of arrival)."""
    arrivals = []
    for value, moment, second in readings:
        kind, sensor = (contract.BATCH, "a") if moment is None else (contract.HISTORY, SENSOR)
        message = contract.Message(kind, "123", DEVICE,
                                   [contract.Reading(sensor, value, moment)], None)
        arrivals.append(Arrival(second, 1000.0 + second, message, 100, "topic"))
    return Ledger(CONFIG, arrivals)


def test_complete():
    ledger((1, None, 1), (3, 1003, 5), (2, 1002, 6), (4, None, 7)).check_complete()


@pytest.mark.parametrize("readings, word", [
    ([(1, None, 1), (3, None, 3)], "lost"),
    ([(1, None, 1), (1, None, 2)], "twice"),
    ([(1, None, 1), (1, 1001, 2)], "twice"),
    ([(1, 1005, 1), (2, 1001, 2)], "order"),
])
def test_incomplete(readings, word):
    with pytest.raises(AssertionError, match=word):
        ledger(*readings).check_complete()


def test_redated():
    with pytest.raises(AssertionError, match="re-dated"):
        ledger((1, 1001, 1), (1, 1005, 2)).check_complete(duplicates=True)


def test_nobody():
    message = contract.Message(contract.BATCH, "123", DEVICE,
                               [contract.Reading("b", 1, None)], None)
    with pytest.raises(AssertionError, match="nobody"):
        Ledger(CONFIG, [Arrival(0, 0, message, 0, "")]).check_complete()


def test_duplicates_near_a_break_are_explained():
    twice = ledger((1, None, 1), (1, 1001, 9))
    assert not twice.duplicates_outside([1.5])
    assert twice.duplicates_outside([5])
    assert twice.duplicates_outside([])


def test_missing_before_a_kill_is_explained():
    gap = ledger((1, 1001, 1), (5, 1005, 5))
    assert not gap.missing_outside([1002], commit_interval=1)
    assert gap.missing_outside([1010], commit_interval=1)
    assert gap.missing_outside([], commit_interval=1)
