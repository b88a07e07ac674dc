# SPDX-License-Identifier: Apache-2.0
"""What ./quickstart shows. Ends with 0 only if every reading arrived."""

import shutil
import signal
import sys
import tempfile
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import contract
from lib.broker import Broker
from lib.gateway import Gateway
from lib.ledger import Ledger
from lib.slave import Slave
from lib.subscriber import Subscriber
from lib.wait import NotInTime

DEVICE = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
PASSWORD = "a secret of the boiler house"

# What a person would write. The gateway reads it as it stands.
CONFIG = """\
platform:                      # where to: SensoCAN's broker; here one on this machine
  host: 127.0.0.1
  port: {broker}
  tls: false                   # true, with the system's authorities, in real life
  tenant: "123"
  keepalive: 5s
  timestamps: milliseconds

journal:                       # readings wait here until the broker has acknowledged them
  path: {directory}/gateway/journal.db
  commit_interval: 500ms

clock:
  trust: always                # a demonstration does not wait for a time server

buses:                         # what to read from: one Modbus TCP address
  - name: boiler-room
    driver: modbus
    options:
      host: 127.0.0.1
      port: {slave}

devices:                       # what the readings belong to, and its login on the platform
  - name: boiler-house
    uuid: {device}
    username: boiler
    password: {password}
    defaults: {{interval: 1s}}
    sensors:
      - slug: flow_pulses      # by slug in live batches, by UUID in history
        uuid: fe738b8f-9efe-46a7-a1c6-b861be358441
        options: {{register: 0, type: uint16}}
      - slug: return_pulses
        uuid: fe738b8f-9efe-46a7-a1c6-b861be358442
        options: {{register: 1, type: uint16}}
      - slug: pump_starts
        uuid: fe738b8f-9efe-46a7-a1c6-b861be358443
        options: {{register: 7, type: uint16}}
"""
# The same, as the ledger wants to know it.
SENSORS = {"devices": [{"uuid": DEVICE, "sensors": [
    {"slug": slug, "uuid": f"fe738b8f-9efe-46a7-a1c6-b861be35844{n}"}
    for n, slug in enumerate(("flow_pulses", "return_pulses", "pump_starts"), 1)]}]}

COLOUR = sys.stdout.isatty()
screen = threading.Lock()


def say(text="", bold=False):
    with screen:
        print(f"\033[1m{text}\033[0m" if bold and COLOUR else text, flush=True)


def step(text):
    say()
    say(f"== {text}", bold=True)


def clock(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%H:%M:%S.%f")[:-3]


def slug_of(uuid):
    return next(sensor["slug"] for sensor in SENSORS["devices"][0]["sensors"]
                if sensor["uuid"] == uuid)


class Screen:
    """Prints messages as they arrive."""

    def __init__(self):
        self.live = self.history = 0

    def show(self, arrival):
        message = arrival.message
        if message is None:
            return
        if message.kind == contract.BATCH:
            self.live += 1
            values = ", ".join(f"{reading.sensor} {reading.value:g}"
                               for reading in message.readings)
            say(f"  {clock(arrival.wall)} live     {values}")
        else:
            self.history += 1
            first, last = message.readings[0], message.readings[-1]
            say(f"  {clock(arrival.wall)} history  {slug_of(first.sensor)}: {first.value:g} taken "
                f"{clock(first.timestamp)} ... {last.value:g} taken {clock(last.timestamp)}")


def pause(seconds, why_not):
    """Lets the audience watch; ends early if something broke."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        broken = why_not()
        if broken:
            raise RuntimeError(broken)
        time.sleep(0.1)


def demonstrate(directory, parts):
    def keep(part):
        parts.append(part)
        return part

    slave = keep(Slave(directory)).start()
    broker = keep(Broker(directory / "broker", devices=[("boiler", PASSWORD, DEVICE)])).start()
    display = Screen()
    observer = keep(Subscriber(broker, display.show))
    gateway = keep(Gateway(directory / "gateway", None))
    text = CONFIG.format(broker=broker.port, slave=slave.port, directory=directory, device=DEVICE,
                         password=PASSWORD)
    gateway.config_path.write_text(text)

    step("The configuration")
    say(text)
    step("A Modbus TCP slave, a mosquitto and the gateway run. What arrives at the broker:")
    say("   Each register counts how often it was read, so a gap in the numbers is a lost reading.")

    def broken():
        return None if gateway.running() else f"the gateway ended:\n{gateway.log()}"
    gateway.start()
    pause(5, broken)
    if not display.live:
        raise RuntimeError(f"no batch arrived:\n{gateway.log()}")

    step("The broker goes away (kill -9). The gateway goes on reading, into its journal:")
    broker.kill()
    gone = time.time()
    for _ in range(2):
        pause(4, broken)
        say("$ sensocan-gateway status")
        say("\n".join("  " + line for line in gateway.status_text().splitlines()))
    waiting = gateway.backlog()
    if waiting < 20:
        raise RuntimeError(f"only {waiting} readings wait: the outage was not seen")

    step(f"The broker is back. {waiting} readings wait; the gateway connects after its pause.")
    say("   Current values come first; history follows, each with the time at which it was taken.")
    broker.start()
    back = time.time()
    observer.wait_for(lambda: gateway.backlog() <= 6, 60, "the backlog arrives")
    pause(1.5, broken)

    step("The gateway is stopped in good order, and the books are closed:")
    gateway.stop()
    time.sleep(0.3)
    ledger = Ledger(SENSORS, observer.arrivals)
    during = [reading for entries in ledger.sensors.values() for reading, _ in entries
              if reading.timestamp is not None and gone <= reading.timestamp <= back]
    for (_, sensor), entries in sorted(ledger.sensors.items()):
        values = sorted({int(reading.value) for reading, _ in entries})
        say(f"  {sensor:14} {len(values)} readings, {values[0]} to {values[-1]}, "
            f"{values[-1] - values[0] + 1 - len(values)} missing")
    say(f"  {len(during)} of them were taken while the broker was gone, and carry that time")
    problems = observer.violations + gateway.findings()
    if ledger.missing():
        problems.append(f"lost: {ledger.missing()}")
    if ledger.disorder() or ledger.redated():
        problems.append(f"wrong times: {ledger.disorder()} {ledger.redated()}")
    if len(ledger.sensors) != 3 or len(during) < 20:
        problems.append(f"too little arrived: {len(ledger)} readings, {len(during)} of the outage")
    if any(min(int(reading.value) for reading, _ in entries) != 1
           for entries in ledger.sensors.values()):
        problems.append("the first readings are missing")
    if problems:
        raise RuntimeError("\n".join(map(str, problems)))
    step("Nothing was lost.")
    say("   Next: docs/configuration.md, config/examples, sensocan-gateway drivers modbus")


def main():
    directory = Path(tempfile.mkdtemp(prefix="scg-quickstart-"))
    parts = []

    def leave(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)
    try:
        demonstrate(directory, parts)
        return 0
    except KeyboardInterrupt:
        say("\nstopped")
        return 130
    except (RuntimeError, NotInTime, AssertionError, OSError) as error:
        say(f"\nIt did not work: {error}", bold=True)
        for part in parts:
            if isinstance(part, Gateway):
                say(part.log())
        return 1
    finally:
        for part in reversed(parts):
            part.close()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
