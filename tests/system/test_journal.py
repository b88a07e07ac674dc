# SPDX-License-Identifier: Apache-2.0
"""The journal at its limits, and on a disk that refuses."""

import errno
import os
import subprocess

import pytest

import contract
from lib import wait

MIB = 1024 * 1024


def size_on_disk(path):
    return sum(part.stat().st_size for part in (path, path.with_name(path.name + "-wal"))
               if part.exists())


def full_journal(bench, policy):
    """An outage until the journal, 1 MiB of it, has dropped readings."""
    bench.start_broker()
    bench.start_slave()
    bench.broker.kill()
    config = bench.config(bench.sensors(500, interval="20ms"))
    config["journal"].update({"max_size": "1MiB", "when_full": policy})
    # doubles that do not pack: a full journal in seconds
    for sensor in config["devices"][0]["sensors"]:
        sensor["scale"] = 1.0000000001
    bench.start_gateway(config)
    largest = 0

    def dropped():
        nonlocal largest
        largest = max(largest, size_on_disk(bench.gateway.journal_path))
        return bench.gateway.status()["journal"]["dropped"]["size"] > 20000
    wait.until(dropped, 90, "readings were dropped", 0.05)
    assert largest <= MIB, f"{largest} bytes on disk"
    return bench.gateway.status()


def test_full_drops_the_oldest(bench):
    status = full_journal(bench, "drop-oldest")
    assert status["totals"]["dropped"] >= 20000
    bench.gateway.wait_log("drop|lost", 5)
    bench.gateway.stop()
    bench.gateway.start()
    assert bench.gateway.status()["journal"]["dropped"]["size"] >= 20000, "counted over a restart"


def test_full_drops_the_newest(bench):
    full_journal(bench, "drop-newest")
    readings = bench.gateway.status()["journal"]["readings"]
    config = bench.gateway.config
    for sensor in config["devices"][0]["sensors"]:
        sensor["interval"] = "1h"
    bench.gateway.configure(config)
    bench.gateway.reload()
    bench.broker.start()
    bench.subscriber.wait_for(lambda: len(bench.ledger()) >= 0.9 * readings, 60,
                              lambda: f"the backlog of {readings}: {len(bench.ledger())} came")
    assert min(bench.ledger().values("count_0")) == 1, "the oldest were kept"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MiB."""
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", mount],
                          stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no tmpfs of our own here: {done.stderr.strip()}")
    yield mount
    subprocess.run(["umount", "-l", mount], check=False)


def test_disk_full(bench, small_disk):
    """Nothing stops: live goes on, readings wait in memory, and writing resumes by itself."""
    bench.start_broker()
    bench.start_slave()
    config = bench.config()
    config["journal"]["path"] = str(small_disk / "journal.db")
    bench.start_gateway(config)
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=3)
    filler = small_disk / "filler"
    out = os.open(filler, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(out, bytes(4096))
    except OSError as error:
        assert error.errno == errno.ENOSPC
    finally:
        os.close(out)
    # the pages that are still free inside the file and its WAL are used up first
    broken = bench.broker
    broken.kill()
    bench.gateway.wait_log("full|no space", 60)
    assert bench.gateway.status()["buses"][0]["failed_sensors"] == 0, "polling goes on"
    broken.start()
    since = len(bench.subscriber.arrivals)
    bench.subscriber.wait_message(60, contract.BATCH, since=since, count=5)
    filler.unlink()
    bench.gateway.wait_log("again|resum|recover", 30)
    bench.gateway.wait_connected(30)
    bench.settle()
    ledger = bench.ledger()
    ledger.check_complete(duplicates=True)
    assert min(ledger.values("count_0")) == 1


def test_damaged_journal(bench):
    """Set aside under a dated name, what is readable in it delivered, and a new one begun."""
    bench.start_broker()
    bench.start_slave()
    bench.broker.kill()
    bench.start_gateway(bench.config())
    bench.gateway.wait_status(lambda status: status["devices"][0]["backlog"] >= 80, 60, "backlog")
    bench.gateway.stop()
    path = bench.gateway.journal_path
    with open(path, "r+b") as journal:
        journal.write(bytes(100))
    bench.gateway.start()
    bench.gateway.wait_log(r"journal\.db\.damaged", 20)
    assert list(path.parent.glob(path.name + ".damaged-*"))
    bench.broker.start()
    bench.subscriber.wait_message(60, contract.BATCH, since=0, count=3)
    status = bench.gateway.status()
    assert status["journal"]["bytes"] > 0
    bench.settle()


def test_damaged_page_in_the_middle(bench):
    bench.start_broker()
    bench.start_slave()
    bench.broker.kill()
    bench.start_gateway(bench.config(bench.sensors(100)))
    bench.gateway.wait_status(
        lambda status: status["devices"][0]["backlog"] >= 10000, 60, "backlog")
    bench.gateway.stop()
    path = bench.gateway.journal_path
    pages = path.stat().st_size // 4096
    with open(path, "r+b") as journal:
        journal.seek(pages // 2 * 4096)
        journal.write(b"\xa5" * 4096)
    bench.gateway.start()
    bench.broker.start()
    bench.gateway.wait_connected(60)
    bench.subscriber.wait_for(lambda: len(bench.ledger()) >= 5000, 60,
                              lambda: f"what is readable: {len(bench.ledger())} came")
    bench.settle()
    ledger = bench.ledger()
    lost = sum(map(len, ledger.missing().values()))
    dropped = bench_dropped(bench)
    assert lost <= dropped + 100, f"{lost} missing, {dropped} counted"


def bench_dropped(bench):
    """As counted in the journal, asked from a fresh start."""
    bench.gateway.start()
    dropped = sum(bench.gateway.status()["journal"]["dropped"].values())
    bench.gateway.stop()
    return dropped


def test_foreign_file(bench):
    """A file of somebody else in the journal's place is kept, not overwritten."""
    bench.start_broker()
    bench.start_slave()
    gateway = bench.make_gateway(bench.config())
    gateway.journal_path.write_text("dear diary\n" * 1000)
    gateway.start()
    gateway.wait_log(r"journal\.db\.damaged", 20)
    kept, = gateway.journal_path.parent.glob("journal.db.damaged-*")
    assert kept.read_text().startswith("dear diary")
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=3)
    bench.settle()
    bench.ledger().check_complete()


def test_backlog_of_another_configuration(bench):
    """Sensors that are configured no longer still have their history delivered."""
    bench.start_broker()
    bench.start_slave()
    bench.broker.kill()
    config = bench.config(bench.sensors(4))
    bench.start_gateway(config)
    bench.gateway.wait_status(lambda status: status["devices"][0]["backlog"] >= 80, 60, "backlog")
    bench.gateway.stop()
    all_sensors = config["devices"][0]["sensors"]
    config["devices"][0]["sensors"] = all_sensors[:2]
    bench.gateway.configure(config)
    bench.gateway.start()
    bench.broker.start()
    bench.gateway.wait_connected(60)
    bench.settle()
    config["devices"][0]["sensors"] = all_sensors
    bench.gateway.configure(config)
    ledger = bench.ledger()
    ledger.check_complete(duplicates=True)
    assert min(ledger.values("count_3")) == 1
