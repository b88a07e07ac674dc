# SPDX-License-Identifier: Apache-2.0
"""No reading that was committed is lost when the power goes.

$LAB_CUTS is how often the plug is pulled, 6 times by default; $LAB_SEED makes the moments the same
again.
"""

import os
import time

import power
import pytest

CUTS = int(os.environ.get("LAB_CUTS", "6"))
SEED = os.environ.get("LAB_SEED", str(time.time_ns()))


@pytest.mark.timeout(300 + 60 * CUTS)
def test_power_cuts(tmp_path, record_property):
    story = power.Story(tmp_path, SEED)
    try:
        for i in range(CUTS):
            story.cut(power.PHASES[i % len(power.PHASES)])
        end = story.finish()
    finally:
        story.close()
        record_property("table", f"LAB_SEED={SEED}\n{story.table()}")
    assert end["integrity"] == "ok" and not end["damaged"]
    assert not any(end["dropped"].values()), end["dropped"]
    assert not any(cut.lost for cut in story.cuts), [cut for cut in story.cuts if cut.lost]
    assert not story.lost()
    ledger = story.ledger()
    assert not story.observer.violations and not ledger.unknown
    # Twice may come what was on its way, or acknowledged and not yet crossed out, at a break.
    assert not ledger.duplicates_outside(story.breaks)
    # What was read and never came was read a commit interval before a cut.
    assert not ledger.missing_outside([cut.wall for cut in story.cuts], power.COMMIT_INTERVAL)
    assert not ledger.disorder()
