# SPDX-License-Identifier: Apache-2.0
"""The figures. Each function measures one world and yields rows of the table; docs/benchmarks.md
says what they mean."""

import json
import os
import shutil
import signal
import statistics
import time

from measure import MemoryWatch, Usage, peak_kib, pss_kib, rss_kib
from world import DEVICE, TENANT, World, sensor_uuid, wait

MB = 1024 * 1024


class Row:
    """`limit`: what the goal says, to hold the value against; None: no goal."""

    def __init__(self, name, value, unit, limit=None, at_least=False, note=""):
        self.name, self.value, self.unit = name, value, unit
        self.limit, self.at_least, self.note = limit, at_least, note

    def goal(self):
        if self.limit is None:
            return ""
        return f"{'≥' if self.at_least else '≤'} {number(self.limit)}"

    def verdict(self):
        if self.limit is None:
            return ""
        met = self.value >= self.limit if self.at_least else self.value <= self.limit
        return "met" if met else "MISSED"


def number(value):
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


class Plan:
    """How long and how much."""

    def __init__(self, quick):
        self.quick = quick
        self.warm_up_s = 2 if quick else 4
        self.steady_s = 4 if quick else 40
        self.short_s = 3 if quick else 10
        self.outage_s = 4 if quick else 60
        self.backlog = 100_000 if quick else 2_000_000
        self.repeats = 1 if quick else 3
        self.levels_ms = [5] if quick else [5, 3, 2, 1.5, 1]
        self.start_ups = 1 if quick else 5


def settle(seconds):
    """The time over which something is measured: nothing to wait for but that it passes."""
    time.sleep(seconds)


def per_10000(cpu_s, readings):
    return 1e4 * cpu_s / max(readings, 1)


def steady(build, plan, directory):
    """Workload W: processor time, wakeups, memory, bytes written, age at the subscriber."""
    with World(build, directory / "steady") as world:
        world.start()
        settle(plan.warm_up_s)
        pid = world.gateway.pid
        before, counted = Usage(pid), world.counter.totals()
        settle(plan.steady_s)
        spent, now = Usage(pid).since(before), world.counter.totals()
        seconds = (now["now_ns"] - counted["now_ns"]) / 1e9
        readings = now["readings"] - counted["readings"]
        late = now["history"]["readings"] - counted["history"]["readings"]
        status = world.gateway.status()
        yield Row("CPU for 10,000 readings delivered live", per_10000(spent.cpu_s, readings), "s",
                  0.025, note=f"{readings} readings in {seconds:.0f} s, {late} of them as history")
        yield Row("wakeups a second", spent.wakeups / seconds, "/s", 15)
        yield Row("resident memory", rss_kib(pid) / 1024, "MB", 8,
                  note=f"PSS {pss_kib(pid) / 1024:.1f} MB, peak {peak_kib(pid) / 1024:.1f} MB")
        yield Row("answer of the slave to batch at the subscriber, median",
                  now["ages"]["median_ms"], "ms", 50, note=f"p99 {now['ages']['p99_ms']:.1f} ms")
        yield Row("readings dropped", status["totals"]["dropped"], "", 0)
        yield Row("written to the block device a reading, online", spent.written / readings, "B",
                  60)
        yield whole_life_written(world)


def whole_life_written(world):
    """Stops the gateway: what it wrote from start to end, the last checkpoint included."""
    world.gateway.signal(signal.SIGTERM)
    _, status, usage = os.wait4(world.gateway.pid, 0)
    world.gateway.process.returncode = os.waitstatus_to_exitcode(status)
    settle(0.2)
    delivered = world.counter.totals()["readings"]
    return Row("the same from start to stop", usage.ru_oublock * 512 / delivered, "B",
               note=f"{delivered} readings, {world.slave.registers()} registers answered")


def with_tls(build, plan, directory):
    """Workload W with TLS: memory."""
    with World(build, directory / "tls", tls=True) as world:
        world.start()
        settle(plan.short_s)
        pid = world.gateway.pid
        yield Row("resident memory with TLS", rss_kib(pid) / 1024, "MB", 12,
                  note=f"PSS {pss_kib(pid) / 1024:.1f} MB, peak {peak_kib(pid) / 1024:.1f} MB")


def many_sensors(build, plan, directory):
    """10,000 sensors every second: memory; and how long it takes to the first request."""
    times = []
    with World(build, directory / "many", sensors=10_000) as world:
        world.start()
        times.append((world.slave.first_request_ns() - world.gateway.started_ns) / 1e9)
        settle(plan.warm_up_s)
        pid = world.gateway.pid
        before, counted = Usage(pid), world.counter.totals()
        settle(plan.short_s)
        spent, now = Usage(pid).since(before), world.counter.totals()
        yield Row("resident memory with 10,000 sensors", rss_kib(pid) / 1024, "MB", 16,
                  note=f"PSS {pss_kib(pid) / 1024:.1f} MB, peak {peak_kib(pid) / 1024:.1f} MB; "
                       f"CPU for 10,000 readings "
                       f"{per_10000(spent.cpu_s, now['readings'] - counted['readings']):.4f} s")
    for i in range(1, plan.start_ups):
        with World(build, directory / f"many{i}", sensors=10_000) as world:
            world.gateway.start()
            first = wait.until(world.slave.first_request_ns, 20, "the first request", 0.01)
            times.append((first - world.gateway.started_ns) / 1e9)
    yield Row("start-up with 10,000 sensors to first poll", statistics.median(times), "s", 0.5,
              note=f"{min(times):.3f} to {max(times):.3f}")


def outage(build, plan, directory, hung):
    """The broker gone, or there but silent: memory and bytes written, until all is delivered."""
    name = "broker hung" if hung else "broker gone"
    with World(build, directory / ("hung" if hung else "gone")) as world:
        world.start()
        settle(plan.warm_up_s)
        pid = world.gateway.pid
        with MemoryWatch(pid) as memory:
            (world.broker.freeze if hung else world.broker.kill)()
            before, polled = Usage(pid), world.slave.registers()
            settle(plan.outage_s)
            spent, polled = Usage(pid).since(before), world.slave.registers() - polled
            (world.broker.thaw if hung else world.broker.start)()
            status = world.gateway.wait_backlog(2000, 150)
        yield Row(f"growth of memory, {name} for {plan.outage_s} s", memory.growth_mb, "MB", 2,
                  note=f"until the backlog was gone; dropped {status['totals']['dropped']}")
        if not hung:
            yield Row("written to the block device a reading, outage", spent.written / polled, "B",
                      note=f"CPU for 10,000 readings {per_10000(spent.cpu_s, polled):.4f} s")


def gone(build, plan, directory):
    """60 s without a broker."""
    return outage(build, plan, directory, False)


def hung(build, plan, directory):
    """60 s with a broker that says nothing."""
    return outage(build, plan, directory, True)


# The subscriber sees one sensor in a hundred of a replay: enough to tell when it began and ended. A
# subscriber to all of it costs as much as the broker, and on this machine takes its core from it.
SAMPLE = [f"tenant/{TENANT}/device/{DEVICE}/sensors/{sensor_uuid(i)}" for i in range(0, 1000, 111)]


def replay_once(build, plan, directory, source):
    """Rates of: gateway, journal read alone, MQTT client alone; and what the gateway took."""
    with World(build, directory / "replay", interval="1h", topics=SAMPLE) as world:
        shutil.copy(source, world.journal_path)
        alone = json.loads(build.run("bench_backlog", "read", world.journal_path))
        world.gateway.start()
        world.gateway.wait_status(lambda status: True, 20, "it answers")
        with MemoryWatch(world.gateway.pid) as memory:
            expected = plan.backlog // 1000 * len(SAMPLE)
            history = wait.until(lambda: sampled(world, expected), 120, "the backlog arrives", 0.2)
            status = world.gateway.wait_backlog(0, 30)
        spent = Usage(world.gateway.pid)
        world.gateway.close()
        per_message = max(round(history["readings"] / history["messages"]), 1)
        client = json.loads(build.run("bench_backlog", "send", world.broker.port, 1000,
                                      plan.backlog, per_message))
        return {
            "rate": plan.backlog / ((history["last_ns"] - history["first_ns"]) / 1e9),
            "journal": alone["readings"] / alone["wall_s"],
            "client": client["readings"] / client["wall_s"],
            "cpu_us": spent.cpu_ns / 1e3 / plan.backlog,
            "client_us": 1e6 * client["cpu_s"] / client["readings"],
            "waited_us": spent.waited_ns / 1e3 / plan.backlog,
            "extra": history["readings"] - expected,
            "dropped": status["totals"]["dropped"],
            "per_message": per_message,
            "growth": memory.growth_mb,
            "peak": memory.most_kib / 1024,
        }


def sampled(world, expected):
    history = world.counter.totals()["history"]
    return history if history["readings"] >= expected else None


def replay(build, plan, directory):
    """A backlog of two million readings against the limits of its parts."""
    source = directory / "backlog.db"
    filled = json.loads(build.run("bench_backlog", "fill", source, 1000, plan.backlog))
    size = source.stat().st_size
    yield Row("journal on disk, a reading of backlog", size / filled["readings"], "B", 14,
              note=f"{filled['readings']} readings, 1000 a commit, values of 16 bits times 0.1")
    rounds = [replay_once(build, plan, directory, source) for _ in range(plan.repeats)]
    source.unlink()
    middle = {key: statistics.median(entry[key] for entry in rounds) for key in rounds[0]}
    rates = ", ".join(number(entry["rate"]) for entry in rounds)
    yield Row("replay, readings a second", middle["rate"], "/s", 1_000_000, True,
              note=f"{rates}; CPU {middle['cpu_us']:.2f} us a reading "
                   f"(and {middle['waited_us']:.2f} waiting for a core), "
                   f"{middle['per_message']:.0f} readings a message, doubled {middle['extra']:.0f}, "
                   f"dropped {middle['dropped']:.0f}, "
                   f"memory +{middle['growth']:.1f} MB to {middle['peak']:.1f} MB")
    ratios = [entry["rate"] / min(entry["journal"], entry["client"]) for entry in rounds]
    yield Row("replay, share of the slower limit", 100 * statistics.median(ratios), "%", 60, True,
              note=f"journal alone {number(middle['journal'])}/s, "
                   f"MQTT client alone {number(middle['client'])}/s, "
                   f"{middle['client_us']:.2f} us CPU a reading")


def one_level(build, plan, directory, interval_ms):
    """Readings a second offered, delivered; growth of the backlog a second; CPU."""
    with World(build, directory / "sustained", interval=f"{interval_ms}ms",
               cpus=("0", "1")) as world:
        world.start()
        settle(plan.warm_up_s)
        pid = world.gateway.pid
        before, counted, status = Usage(pid), world.counter.totals(), world.gateway.status()
        settle(plan.short_s)
        spent, now, after = Usage(pid).since(before), world.counter.totals(), \
            world.gateway.status()
        seconds = (now["now_ns"] - counted["now_ns"]) / 1e9
        delivered = (now["readings"] - counted["readings"]) / seconds
        return {
            "read": (after["totals"]["read"] - status["totals"]["read"]) / seconds,
            "delivered": delivered,
            "growth": (after["journal"]["readings"] - status["journal"]["readings"]) / seconds,
            "cpu": per_10000(spent.cpu_s, delivered * seconds),
            "core": 100 * spent.cpu_s / seconds,
            "waited": 100 * spent.waited_s / seconds,
            "rss": rss_kib(pid) / 1024,
            "dropped": after["totals"]["dropped"],
        }


def sustained(build, plan, directory):
    """The most that goes through on one core, end to end, without the backlog growing."""
    if len(os.sched_getaffinity(0)) < 2:
        print("sustained: skipped, takes two cores")
        return
    best, tried = None, []
    for interval_ms in plan.levels_ms:
        level = one_level(build, plan, directory, interval_ms)
        holds = level["growth"] < 0.05 * level["delivered"]
        tried.append(f"{interval_ms} ms: {number(level['delivered'])}"
                     + ("" if holds else f" (backlog +{number(level['growth'])}/s)"))
        if best is None or (holds and level["delivered"] > best["delivered"]):
            best = level
        if not holds:
            break
    yield Row("sustained end to end, one core", best["delivered"], "/s", 300_000, True,
              note=f"CPU for 10,000 {best['cpu']:.4f} s, {best['core']:.0f} % of the core, "
                   f"waited for it {best['waited']:.0f} %, {best['rss']:.1f} MB, "
                   f"dropped {best['dropped']}; 1000 registers every {', '.join(tried)}")


FIGURES = {
    "steady": steady,
    "tls": with_tls,
    "many": many_sensors,
    "gone": gone,
    "hung": hung,
    "replay": replay,
    "sustained": sustained,
}
