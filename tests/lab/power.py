# SPDX-License-Identifier: Apache-2.0
"""Power cuts at random moments, and an account of every reading that was committed.

Broker, observer and slave are on the host and survive; the gateway, its disk and its clock are in
the machine. What was committed is what the machine has printed by the time of the cut: a reader
beside the gateway sees each commit and writes it to a port whose other end is here.
"""

import json
import random
import threading
import time
from collections import Counter, defaultdict, namedtuple

import contract
from lab.disk import Disk
from lab.machine import Machine
from lib import wait, yaml
from lib.broker import Broker
from lib.ledger import Ledger
from lib.slave import Slave
from lib.subscriber import Subscriber

POLLING, OUTAGE, REPLAY = "polling", "outage", "replay"
PHASES = (POLLING, OUTAGE, REPLAY)
DEVICE = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
SCRIPT = "/lab/source/tests/lab/inside/power_cut.py"
COMMIT_INTERVAL = 0.2
SENSORS = 10
# Of a replay, so that it lasts long enough to be cut.
BYTES_PER_S = 4000
LONGEST_WAIT = 3.0

Cut = namedtuple("Cut", "phase after committed found lost monotonic wall")


def sensor(number):
    return {"slug": f"count_{number}", "uuid": f"fe738b8f-9efe-46a7-a1c6-{number:012x}",
            "interval": "200ms", "options": {"register": number, "type": "uint16"}}


class Story:
    def __init__(self, directory, seed):
        self.random = random.Random(seed)
        self.broker = Broker(directory / "broker", devices=[("boiler", "secret-1", DEVICE)])
        self.broker.start()
        self.observer = Subscriber(self.broker)
        self.slave = Slave(directory).start()
        self.disk = Disk(directory / "disk.ext4")
        self.committed = defaultdict(set)
        self.cuts = []
        self.breaks = []
        self._pending = None
        self._lock = threading.Lock()

    def close(self):
        self.observer.close()
        self.slave.close()
        self.broker.close()

    def config(self, rate):
        return {
            "platform": {"host": "10.0.2.2", "port": self.broker.port, "tls": False,
                         "tenant": "123", "keepalive": "5s", "timestamps": "milliseconds",
                         "batch_interval": "100ms", "live_window": "2s",
                         "history": {"rate": rate}},
            "journal": {"commit_interval": "200ms", "max_size": "16MiB"},
            "clock": {"trust": "always"},
            "buses": [{"name": "plant", "driver": "modbus",
                       "options": {"host": "10.0.2.2", "port": self.slave.port}}],
            "devices": [{"name": "boiler-house", "uuid": DEVICE, "username": "boiler",
                         "password": "secret-1", "defaults": {"bus": "plant"},
                         "sensors": [sensor(i) for i in range(SENSORS)]}],
        }

    def ledger(self):
        return Ledger(self.config(0), self.observer.arrivals)

    def delivered(self):
        ledger = self.ledger()
        return {f"count_{i}": set(ledger.values(f"count_{i}")) for i in range(SENSORS)}

    # --- a start, and what the cut before it has left ---

    def _start(self, machine, verb, rate):
        yaml.write(machine.out / "gateway.yaml", self.config(rate))
        machine.start()
        command = machine.begin(["/usr/bin/python3", SCRIPT, verb])
        found = json.loads(command.wait_line(r"^\{\"found\".*", 120).group(0))
        assert found["integrity"] == "ok", found["integrity"]
        if self._pending:
            self._account({slug: set(values) for slug, values in found["found"].items()})
        return command

    def _account(self, found):
        """Of the last cut. Nothing runs that could deliver, so what has arrived is final."""
        phase, after, committed, monotonic, wall = self._pending
        delivered = self.delivered()
        waiting = {slug: values - delivered[slug] for slug, values in committed.items()}
        lost = {slug: sorted(values - found.get(slug, set()))
                for slug, values in waiting.items() if values - found.get(slug, set())}
        n = sum(map(len, waiting.values()))
        n_lost = sum(map(len, lost.values()))
        self.cuts.append(Cut(phase, after, n, n - n_lost, lost, monotonic, wall))
        self._pending = None

    # --- phases ---

    def _wait_commits(self, command, readings):
        """Until that many readings more are known to be committed."""
        seen = 0
        while seen < readings:
            line = json.loads(command.wait_line(r"^\{\"committed\".*", 120).group(0))
            seen += sum(map(len, line["committed"].values()))

    def _reach(self, phase, command):
        since = len(self.observer.arrivals)
        if phase == REPLAY:
            self._wait_commits(command, 300)
            self.broker.start()
            self.observer.wait_subscribed()
            self.observer.wait_message(120, contract.HISTORY, since=since)
            return
        self.observer.wait_message(120, contract.BATCH, since=since)
        if phase == OUTAGE:
            self.breaks.append(time.monotonic())
            self.broker.kill()
            self._wait_commits(command, SENSORS)

    def cut(self, phase):
        if phase == REPLAY and self.broker.running():
            self.breaks.append(time.monotonic())
            self.broker.kill()
        elif phase != REPLAY and not self.broker.running():
            self.broker.start()
            self.observer.wait_subscribed()
        machine = Machine(disk=self.disk)
        try:
            command = self._start(machine, "watch", BYTES_PER_S)
            self._reach(phase, command)
            after = self.random.uniform(0, LONGEST_WAIT)
            moment = time.monotonic() + after
            wait.until(lambda: time.monotonic() >= moment, LONGEST_WAIT + 1, "the moment", 0.001)
            machine.cut()
            self._note(phase, after, command.output())
        finally:
            machine.close()

    def _note(self, phase, after, output):
        self.breaks.append(time.monotonic())
        # The last line may have been cut short.
        for line in output[:output.rfind("\n") + 1].splitlines():
            for slug, values in json.loads(line).get("committed", {}).items():
                self.committed[slug].update(values)
        self._pending = (phase, after, {slug: set(values) for slug, values in
                                        self.committed.items()}, self.breaks[-1], time.time())

    def finish(self):
        """A last start that delivers everything; then all that was committed must have arrived."""
        if not self.broker.running():
            self.broker.start()
            self.observer.wait_subscribed()
        self.slave.freeze()
        machine = Machine(disk=self.disk)
        try:
            command = self._start(machine, "finish", 0)
            done = command.wait(400)
            assert done.status == 0, done.out + done.err
            machine.power_off()
            return json.loads(done.out.splitlines()[-1])
        finally:
            machine.close()

    # --- the account ---

    def lost(self):
        """Committed once, delivered never."""
        delivered = self.delivered()
        return {slug: sorted(values - delivered[slug]) for slug, values in self.committed.items()
                if values - delivered[slug]}

    def duplicates(self):
        """{index of the cut: readings that came again after it}."""
        counts = Counter()
        for i in range(SENSORS):
            seen = set()
            for reading, arrival in self.ledger().of(f"count_{i}"):
                if reading.value in seen:
                    counts[max((index for index, cut in enumerate(self.cuts)
                                if cut.monotonic < arrival.monotonic), default=-1)] += 1
                seen.add(reading.value)
        return counts

    def table(self):
        duplicates = self.duplicates()
        lines = [f"{'cut':>3} {'phase':8} {'after':>6} {'committed':>9} {'found':>6} {'lost':>4} "
                 f"{'twice':>5}"]
        for index, cut in enumerate(self.cuts):
            lines.append(f"{index + 1:3} {cut.phase:8} {cut.after:4.1f} s {cut.committed:9} "
                         f"{cut.found:6} {sum(map(len, cut.lost.values())):4} "
                         f"{duplicates[index]:5}")
        return "\n".join(lines)
