# SPDX-License-Identifier: Apache-2.0
"""Waiting for things to become true, instead of sleeping and hoping."""

import time


class NotInTime(AssertionError):
    pass


def until(condition, timeout, what, step=0.02):
    """Calls condition() until it is true and returns what it returned. `what` may be a function
    that tells how things stood when time ran out."""
    end = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise NotInTime(f"not within {timeout} s: {what() if callable(what) else what}")
        time.sleep(step)
