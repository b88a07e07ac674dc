# SPDX-License-Identifier: Apache-2.0
"""The Modbus master against an emulated line: what it asks, how much of the line it uses, whether it
keeps its times. docs/benchmarks.md says what the figures mean."""

from concurrent.futures import ThreadPoolExecutor

import layouts
import planners
from figures import Row
from layouts import Sensor
from line import GATEWAY, SERVER, TERMINAL, Line, gateway_master, rules_master

DELAY = "5ms-10ms"  # of a slave, from the end of the request that it sees
DELAY_S = 0.0075
WARM_UP_S = 6
LEARNING = 6  # turns in which the driver finds out what the slaves refuse
STARTING = 3  # readings from just after the start, when the line is still being listened to


def percentile(values, share):
    values = sorted(values)
    return values[round((len(values) - 1) * share)] if values else float("nan")


def at_once(jobs, workers):
    """Results of functions without arguments, so many at a time: lines mostly wait."""
    with ThreadPoolExecutor(workers) as pool:
        return [future.result() for future in [pool.submit(job) for job in jobs]]


# --- plan: requests against the optimum ---

class PlanRun:
    """A layout read by the gateway: cost of what it asks in a turn against the best plan."""

    def __init__(self, layout, wire, interval_s, begin, requests, rounds):
        first = begin + interval_s * LEARNING
        self.layout = layout
        steady = [r for r in requests if first <= r.begin < first + rounds * interval_s]
        best = planners.cheapest(layout, wire)
        self.best_requests, self.requests = len(best), len(steady) / rounds
        cost = sum(wire.cost(r.table, r.count) for r in steady) / rounds
        self.ratio = cost / planners.total(best, wire)
        self.learning = sum(1 for r in requests if r.begin < first and r.exception > 0)
        self.refusals = sum(1 for r in steady if r.exception > 0)

    def __str__(self):
        text = f"{self.layout.name} {self.requests:.1f}/{self.best_requests}"
        if self.learning or self.refusals:
            text += f" ({self.learning} refusals to learn, {self.refusals} later)"
        return text


def plan_run(build, directory, layout, baud, interval_s, rounds):
    tcp = baud == 0
    wire = planners.Network() if tcp else planners.Wire(baud, DELAY_S)
    seconds = interval_s * (rounds + LEARNING) + 0.5
    arguments = [f"units={layouts.UNITS}", f"baud={baud}", f"delay={DELAY}",
                 *layout.slave_arguments()]
    with Line(build, directory, arguments, GATEWAY if tcp else SERVER) as line:
        master = gateway_master(build, directory, line.bus_options(baud),
                                [(sensor, f"{interval_s}s") for sensor in layout.sensors],
                                seconds).result()
        return PlanRun(layout, wire, interval_s, master.begin, line.requests(), rounds)


def plan_figure(build, plan, directory):
    """1,000 registers in 10 units: requests against the best plan there is, nine layouts."""
    makers = layouts.ALL[::4] if plan.quick else layouts.ALL
    for name, baud, interval_s in (("TCP", 0, 1), ("115200 bit/s", 115200, 3),
                                   ("9600 bit/s", 9600, 12)):
        rounds = 2 if plan.quick or baud == 9600 else 5
        runs = at_once([lambda f=f: plan_run(build, directory / f"plan-{baud}-{f.__name__}", f(),
                                             baud, interval_s, rounds) for f in makers],
                       4 if baud == 115200 else 9)
        what = "requests" if baud == 0 else "line time"
        worst = max(runs, key=lambda run: run.ratio)
        yield Row(f"{what} above the optimum, {name}, worst layout", 100 * (worst.ratio - 1), "%",
                  2, note=f"{worst.layout.name}; requests a turn/of the best plan: "
                          + ", ".join(f"{run} {100 * (run.ratio - 1):+.1f} %" for run in runs))


# --- share: how much of the line is used when there is more to do than it can carry ---

class Share:
    """What arrived between two requests, against what the line could have carried in that time."""

    def __init__(self, layout, baud, requests, readings, lateness):
        self.lateness = lateness
        begin = requests[0].begin + WARM_UP_S
        window = [r for r in requests if r.begin >= begin][:-1]
        wire = planners.Wire(baud, 0)
        # what the slaves really took, not what was drawn from
        wire.delay_s = sum(r.slave for r in window) / len(window) - wire.silence_s
        ideal_s = planners.total(planners.cheapest(layout, wire), wire)
        start, end = window[0].begin, window[-1].end + 0.002
        arrived = [layout.sensors[i].width for i, time in readings if start <= time <= end]
        readable = sum(s.width for s in layout.sensors if not layout.is_refused(s))
        line_s = sum(r.silence + r.line for r in window) - window[0].silence + wire.silence_s
        wall_s = window[-1].end - window[0].begin + wire.silence_s
        self.rate = sum(arrived) / line_s
        self.share = 100 * ideal_s * sum(arrived) / readable / line_s
        self.wall_share = self.share * line_s / wall_s
        needed = wire.silence_s
        silences = [r.silence for r in window]
        self.idle_ms = 1e3 * (sum(silences) / len(silences) - needed)
        self.short = sum(1 for silence in silences if silence < 0.98 * needed)
        self.requests = len(window)
        self.ideal_rate = readable / ideal_s

    def __str__(self):
        return (f"{self.rate:.0f} registers/s of {self.ideal_rate:.0f}, {self.requests} requests, "
                f"{self.idle_ms:.2f} ms between them beyond the standard's silence, "
                f"{self.short} too early; {self.wall_share:.1f} % by the wall clock; "
                + self.lateness)


def share_run(build, directory, layout, baud, seconds, rules):
    with Line(build, directory, [f"units={layouts.UNITS}", f"baud={baud}", f"delay={DELAY}",
                                 *layout.slave_arguments()], SERVER) as line:
        options = line.bus_options(baud)
        if rules:
            plan = rules(layout, planners.Wire(baud, DELAY_S))
            master = rules_master(build, directory, options, layout.sensors, plan, seconds)
        else:
            master = gateway_master(build, directory, options,
                                    [(sensor, "1min") for sensor in layout.sensors], seconds,
                                    "100ms")
        master.result()
        requests = line.requests()
        return Share(layout, baud, requests, master.readings, line.lateness(requests))


MASTERS = {
    "": None,
    "best plan, same driver": planners.cheapest,
    "wb-mqtt-serial's rules, holes of 10": planners.wb_rules,
    "wb-mqtt-serial's rules, no holes": lambda layout, wire: planners.wb_rules(layout, wire, 0),
    "collectd's one read a value": lambda layout, wire: planners.one_by_one(layout),
}


def share_figure(build, plan, directory):
    """Share of what a saturated line can carry, 9600 and 115200 bit/s; and others' rules."""
    makers = [layouts.dense, layouts.holes]
    for baud, workers in ((9600, 10), (115200, 2)):
        seconds = WARM_UP_S + (4 if plan.quick else 30 if baud == 9600 else 12)
        jobs = [(make, name) for make in makers for name in MASTERS]
        results = at_once([
            lambda m=make, n=name, i=i: share_run(build, directory / f"share-{baud}-{i}", m(),
                                                  baud, seconds, MASTERS[n])
            for i, (make, name) in enumerate(jobs)], workers)
        for (make, name), share in zip(jobs, results):
            label = f"share of the line, {baud} bit/s, {make().name}"
            if name:
                yield Row(f"  {name}", share.share, "%", note=str(share))
            else:
                yield Row(label, share.share, "%", 95, True, note=str(share))


# --- period: a fast sensor beside many slow ones ---

def period_sensors(slow):
    """One sensor at 1 s in unit 1; 200 slow ones in 8 other units, half of them alone in their
    request, half in requests of 100 registers."""
    sensors = [(Sensor(1, 0), "1s")]
    for unit in range(2, 10):
        if unit % 2:
            sensors += [(Sensor(unit, 4 * i, "uint64"), slow) for i in range(25)]
        else:
            sensors += [(Sensor(unit, 500 * i), slow) for i in range(25)]
    return sensors


def period_figure(build, plan, directory):
    """Period error of a 1 s sensor beside a round of 200 slow sensors, 9600 bit/s."""
    slow_s, seconds = (10, 22) if plan.quick else (60, 185)
    where = directory / "period"
    with Line(build, where, ["units=10", "baud=9600", f"delay={DELAY}"], SERVER) as line:
        master = gateway_master(build, where, line.bus_options(9600),
                                period_sensors(f"{slow_s}s"), seconds).result()
        requests = line.requests()
    times = [time for i, time in master.readings if i == 0][STARTING:]
    errors = [abs(after - before - 1) for before, after in zip(times, times[1:])]
    slow = [r for r in requests if r.unit != 1]
    longest = max(r.line + r.silence for r in requests if r.unit != 1 and r.silence < 0.05)
    after_turn = [(time - master.begin) % 1 for time in times]
    yield Row("period error of a 1 s sensor, p99", 1e3 * percentile(errors, 0.99), "ms",
              round(1e3 * longest, 1),
              note=f"goal: the longest request; median {1e3 * percentile(errors, 0.5):.2f} ms, max "
                   f"{1e3 * max(errors):.1f} ms; from the turn to the reading median "
                   f"{1e3 * percentile(after_turn, 0.5):.0f} ms, max {1e3 * max(after_turn):.0f} "
                   f"ms; {len(times)} of {seconds - STARTING} readings, {len(slow)} slow requests; "
                   + line.lateness(requests))


# --- dead: one dead slave of ten ---

class Turns:
    """Readings of sensors with one interval, held against their turns: on time, late (in the next
    turn), or lost."""

    def __init__(self, master, sensors, interval_s, seconds):
        turns = int((seconds - 0.5) / interval_s)
        self.late = self.lost = 0
        self.total = turns * len(sensors)
        self.empty_at = []
        for number in sensors:
            counts = [0] * (turns + 2)
            for i, time in master.readings:
                turn = int((time - master.begin) / interval_s)
                if i == number and 0 <= turn < len(counts):
                    counts[turn] += 1
            for turn in range(turns):
                if counts[turn]:
                    continue
                self.empty_at.append(turn)
                if counts[turn + 1]:
                    self.late += 1
                else:
                    self.lost += 1

    def percent(self):
        return 100 * (self.late + self.lost) / self.total

    def __str__(self):
        seen = sorted(set(self.empty_at))
        return (f"of {self.total} readings {self.late} late, {self.lost} lost; "
                f"turns with any: {', '.join(map(str, seen[:12])) or 'none'}"
                + ("..." if len(seen) > 12 else ""))


class DeadRun:
    """`dead`: when unit 10 is silent, as bench_line has it. `timeout`: the gateway's own, for
    TCP."""

    def __init__(self, name, dead, kind=SERVER, timeout=None, options=None):
        self.name, self.dead, self.kind, self.timeout = name, dead, kind, timeout
        self.options = options or {}

    def run(self, build, directory, seconds):
        arguments = ["units=10", "baud=9600", f"delay={DELAY}", f"dead.10={self.dead}"]
        if self.timeout:
            arguments.append(f"timeout={self.timeout}")
        sensors = [(Sensor(unit, i), "1s") for unit in range(1, 11) for i in range(20)]
        with Line(build, directory, arguments, self.kind) as line:
            master = gateway_master(build, directory, {**line.bus_options(9600), **self.options},
                                    sensors, seconds).result()
            requests = line.requests()
        alive = [i for i, (sensor, _) in enumerate(sensors) if sensor.unit != 10]
        turns = Turns(master, alive, 1, seconds)
        probes = [r for r in requests if r.unit == 10 and (not r.answered or r.exception > 0)]
        used = sum(r.line for r in requests if r.unit != 10) / seconds
        costs = [after.begin - r.begin for r, after in zip(requests, requests[1:])
                 if r in probes]
        note = f"{turns}; {len(probes)} probes"
        if costs:
            note += f", until the next request {min(costs):.2f} to {max(costs):.2f} s"
        return turns, f"{note}; the others need {100 * used:.0f} % of the line; " \
            + line.lateness(requests)


DEAD_RUNS = [
    DeadRun("9600 bit/s", "0s"),
    DeadRun("9600 bit/s, response_timeout 200ms", "0s", options={"response_timeout": "200ms"}),
    DeadRun("9600 bit/s, dies after 30 s", "30s-1h"),
    DeadRun("9600 bit/s, away from 30 s to 60 s, a pseudo-terminal", "30s-60s", TERMINAL),
    DeadRun("TCP gateway, exception after 200 ms", "0s", GATEWAY, "200ms"),
    DeadRun("TCP gateway that says nothing", "0s", GATEWAY),
]


def dead_figure(build, plan, directory):
    """One dead slave of ten: readings of the others that are late or lost."""
    seconds = 20 if plan.quick else 180
    results = at_once([lambda r=run, i=i: r.run(build, directory / f"dead{i}", seconds)
                       for i, run in enumerate(DEAD_RUNS)], len(DEAD_RUNS))
    for run, (turns, note) in zip(DEAD_RUNS, results):
        yield Row(f"1 dead of 10, others late, {run.name}", turns.percent(), "%", 2, note=note)
    lost = sum(turns.lost for turns, _ in results)
    yield Row("1 dead of 10, others lost, all of these", lost, "", 0)


FIELDBUS = {
    "plan": plan_figure,
    "share": share_figure,
    "period": period_figure,
    "dead": dead_figure,
}
