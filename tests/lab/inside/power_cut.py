# SPDX-License-Identifier: Apache-2.0
"""The machine's part of a power cut: power_cut.py watch|finish, started by test_power.py.

Prints JSON lines: first {"found": ..., "integrity": ...} of the journal that the last cut has left,
then, while the gateway runs, {"committed": ...} for each commit, until the plug is pulled. "finish"
waits instead until everything is delivered, and stops the gateway in good order.
"""

import json
import shutil
import sys
import time
from pathlib import Path

from lib import wait

from lab_guest import journal, net, service
from lab_guest.command import run

STATE = Path("/var/lib/private")
PATH = STATE / "sensocan-gateway" / "journal.db"
CHECKED = Path("/tmp/checked")
# SQLite tells nobody that somebody else has committed.
POLL_S = 0.005


def say(**what):
    print(json.dumps(what), flush=True)


def examine():
    """A copy, because opening the file would mend what the gateway is to find."""
    if not PATH.exists():
        return {"found": {}, "integrity": "ok"}
    CHECKED.mkdir()
    for file in PATH.parent.glob(PATH.name + "*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, CHECKED)
    copy = CHECKED / PATH.name
    integrity = journal.integrity(copy)
    return {"found": journal.by_sensor(journal.blocks(journal.connect(copy))),
            "integrity": integrity}


def watch():
    wait.until(PATH.exists, 60, "there is a journal")
    connection = wait.until(connect_or_none, 60, "it has its tables")
    known, version = set(), None
    while True:
        # Changes when another connection has committed.
        now = connection.execute("PRAGMA data_version").fetchone()[0]
        if now == version:
            time.sleep(POLL_S)
            continue
        version = now
        new = journal.blocks(connection, known)
        if new:
            known |= new.keys()
            say(committed=journal.by_sensor(new))


def connect_or_none():
    try:
        return journal.connect(PATH)
    except journal.sqlite3.OperationalError:
        return None


def main():
    net.reach_host()
    STATE.mkdir(mode=0o700, exist_ok=True)
    run("mount", "/dev/vdb", STATE)
    STATE.chmod(0o700)
    say(**examine())
    service.install()
    shutil.copy("/lab/out/gateway.yaml", service.CONFIG)
    service.systemctl("start")
    if sys.argv[1] == "watch":
        watch()
    status = service.wait_status(lambda now: now["journal"]["readings"] == 0, 300,
                                 "all is delivered")
    service.systemctl("stop")
    say(dropped=status["journal"]["dropped"], damaged=journal.damaged_copies(PATH),
        integrity=journal.integrity(PATH))


main()
