# SPDX-License-Identifier: Apache-2.0
"""A gateway without a battery for its clock, which is set two minutes later."""

import time
from pathlib import Path

from lib import wait

from lab_guest import clock, service
from lab_guest.modbus import Slave
from lab_guest.scene import Scene, sensors

MACHINE = {"rtc": "2000-01-01T00:00:00", "fast_forward": True}
YEAR_2000 = 946684800
COUNT, CLOCK = 0, 1
# The poll takes that long, and a batch of readings has the time of its arrival.
TOLERANCE_S = 0.5


def test_every_reading_arrives_with_its_true_time():
    # Later than the program's making, or nobody would believe it.
    true_time = clock.TrueTime(Path("/lab/build/install/usr/bin/sensocan-gateway").stat().st_mtime
                               + 86400)
    assert clock.hardware_date() == "2000-01-01"
    # systemd has moved the clock to its own making; older systems do not.
    clock.set_wall_clock(YEAR_2000)
    counts = []

    def register(address):
        if address == CLOCK:
            return round(clock.boottime() * 10)
        counts.append(address)
        return len(counts)
    scene = Scene(slave=False)
    port = scene.broker.port + 1
    Slave(register).serve_tcp(port)
    scene.config["buses"][0]["options"] = {"host": "127.0.0.1", "port": port}
    scene.config["devices"][0]["sensors"] = sensors(2, interval="1s")
    # The rule that users have: a time service is installed, so the kernel has to vouch.
    del scene.config["clock"]
    scene.set_config()

    begin = clock.boottime()
    scene.start()
    wait.until(lambda: clock.boottime() >= begin + 120, 200, "two minutes have gone by", 5)
    assert time.gmtime().tm_year == 2000
    status = service.status()
    assert status["clock"] == "waiting" and status["journal"]["readings"] >= 200
    assert not scene.subscriber.arrivals
    # Not earlier: it begins by moving the clock to its own making, too.
    clock.NtpServer(true_time)
    clock.start_timesyncd()
    wait.until(lambda: service.status()["clock"] == "synchronized", 300, "the clock is right", 5)
    assert abs(time.time() - true_time.now()) < 1
    scene.wait_messages(10, timeout=300)
    service.systemctl("stop")

    ledger = scene.ledger()
    assert not scene.subscriber.violations and not ledger.duplicates()
    assert "count_0" not in ledger.missing(), ledger.missing()["count_0"]
    assert min(ledger.values("count_0")) == 1
    dated = [reading for reading, _ in ledger.of("count_1") if reading.timestamp is not None]
    assert len(dated) >= 100
    wrong = [reading for reading in dated
             if abs(reading.timestamp - true_time.at(reading.value / 10)) > TOLERANCE_S]
    assert not wrong, wrong[:5]
