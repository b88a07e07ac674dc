# SPDX-License-Identifier: Apache-2.0
"""Accounts for readings: the slave counts each register's reads up by one, so that what is missing
and what came twice can be told from the values alone."""

from collections import Counter, defaultdict


class Ledger:
    """Of what a subscriber saw. A sensor is known by slug in a batch and by UUID in history; the
    configuration says which belong together."""

    def __init__(self, config, arrivals):
        names = {}
        for device in config["devices"]:
            for sensor in device["sensors"]:
                name = sensor.get("slug") or sensor["uuid"]
                for key in ("slug", "uuid"):
                    if key in sensor:
                        names[device["uuid"], sensor[key]] = (device["uuid"], name)
        self.sensors = defaultdict(list)
        self.unknown = []
        for arrival in list(arrivals):
            if not arrival.message:
                continue
            for reading in arrival.message.readings:
                key = names.get((arrival.message.device, reading.sensor))
                if key is None:
                    self.unknown.append((arrival.topic, reading))
                else:
                    self.sensors[key].append((reading, arrival))

    def __len__(self):
        return sum(map(len, self.sensors.values()))

    def of(self, name):
        """All readings of the sensor of that name, as (reading, arrival), in order of arrival."""
        return [entry for (_, sensor), entries in self.sensors.items() if sensor == name
                for entry in entries]

    def values(self, name):
        return [int(reading.value) for reading, _ in self.of(name)]

    def missing(self):
        """{sensor: values that never came}, between the first and the last that did."""
        result = {}
        for (_, sensor), entries in self.sensors.items():
            seen = {int(reading.value) for reading, _ in entries}
            lost = sorted(set(range(min(seen), max(seen) + 1)) - seen)
            if lost:
                result[sensor] = lost
        return result

    def duplicates(self):
        """{sensor: values that came more than once}."""
        result = {}
        for (_, sensor), entries in self.sensors.items():
            counts = Counter(int(reading.value) for reading, _ in entries)
            twice = sorted(value for value, count in counts.items() if count > 1)
            if twice:
                result[sensor] = twice
        return result

    @staticmethod
    def _when(entry):
        reading, arrival = entry
        return arrival.wall if reading.timestamp is None else reading.timestamp

    def duplicates_outside(self, breaks, before=2.0):
        """Duplicates that no break explains: a message may come twice only if it was under way when
        a connection or the gateway broke, so its first copy came shortly before. `breaks`:
        monotonic times."""
        result = []
        for (_, sensor), entries in self.sensors.items():
            first = {}
            for reading, arrival in entries:
                seen = first.setdefault(int(reading.value), arrival)
                if seen is not arrival and not any(
                        moment - before <= seen.monotonic <= moment + 0.5 for moment in breaks):
                    result.append((sensor, int(reading.value), seen.monotonic))
        return result

    def missing_outside(self, kills, commit_interval, slack=1.0):
        """Lost values that no kill explains: what was read less than a commit interval before may
        have been in memory only. `kills`: wall-clock times."""
        result = []
        for (_, sensor), entries in self.sensors.items():
            when = {}
            for entry in entries:
                when[int(entry[0].value)] = self._when(entry)
            values = sorted(when)
            for a, b in zip(values, values[1:]):
                if b != a + 1 and not any(
                        kill - commit_interval - slack <= when[a] and when[b] >= kill - slack
                        for kill in kills):
                    result.append((sensor, a, b, when[a], when[b]))
        return result

    def redated(self, tolerance=1.001):
        """Readings that came twice with different times."""
        result = []
        for (_, sensor), entries in self.sensors.items():
            times = {}
            for reading, _ in entries:
                if reading.timestamp is None:
                    continue
                first = times.setdefault(int(reading.value), reading.timestamp)
                if abs(first - reading.timestamp) > tolerance:
                    result.append((sensor, reading.value, first, reading.timestamp))
        return result

    def disorder(self):
        """Neighbouring values of a sensor whose timestamps run backwards."""
        result = []
        for (_, sensor), entries in self.sensors.items():
            dated = sorted((int(reading.value), reading.timestamp) for reading, _ in entries
                           if reading.timestamp is not None)
            result += [(sensor, a, b) for a, b in zip(dated, dated[1:]) if a[1] > b[1]]
        return result

    def check_complete(self, duplicates=False):
        assert not self.unknown, f"readings of nobody: {self.unknown[:5]}"
        assert not self.missing(), f"lost: { {k: v[:10] for k, v in self.missing().items()} }"
        if not duplicates:
            assert not self.duplicates(), \
                f"twice: { {k: v[:10] for k, v in self.duplicates().items()} }"
        assert not self.redated(), f"re-dated: {self.redated()[:5]}"
        assert not self.disorder(), f"out of order: {self.disorder()[:5]}"
