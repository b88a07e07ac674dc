# SPDX-License-Identifier: Apache-2.0
"""Register layouts as they are found in the field: about 1,000 registers in 10 units each."""

import random

UNITS = 10
REGISTERS = 100  # of a unit, about
WIDTHS = {"uint16": 1, "uint32": 2, "uint64": 4}


class Sensor:
    """A value: registers or bits address..end-1."""

    def __init__(self, unit, address, kind="uint16", table="holding"):
        self.unit, self.address, self.kind, self.table = unit, address, kind, table
        self.end = address + (WIDTHS[kind] if table in ("holding", "input") else 1)

    @property
    def width(self):
        return self.end - self.address

    @property
    def options(self):
        options = {"unit": self.unit, "table": self.table, "register": self.address}
        if self.table in ("holding", "input"):
            options["type"] = self.kind
        return options


class Layout:
    """`refused`: (unit, first, last) that the slave has not; `most`: registers in a request that a
    unit takes, where it is less than the standard's."""

    def __init__(self, name, sensors, refused=(), most=None):
        self.name, self.sensors = name, sensors
        self.refused, self.most = list(refused), dict(most or {})

    def is_refused(self, sensor):
        return any(unit == sensor.unit and first < sensor.end and sensor.address <= last
                   for unit, first, last in self.refused)

    def cap(self, unit):
        return self.most.get(unit, 125)

    @property
    def registers(self):
        return sum(sensor.width for sensor in self.sensors)

    def slave_arguments(self):
        return [f"refuse.{unit}={first}-{last}" for unit, first, last in self.refused] + \
            [f"max.{unit}={most}" for unit, most in self.most.items()]


def meters():
    """Energy meters: pairs of registers, many holes of a few pairs, three far apart groups."""
    pairs = [*range(0, 38, 2), 42, 46, 48, 52, 56, 60, 62, 66, *range(70, 80, 2), *range(80, 88, 2),
             100, 102, 104, 106, 200, 202, 204, 206, 224, *range(234, 246, 2), 248, 250, 254,
             *range(258, 264, 2)]
    return Layout("energy meters", [Sensor(unit, address, "uint32", "input")
                                    for unit in range(1, UNITS + 1) for address in pairs[:50]])


def inverters():
    """Inverters: states, strings, phases, battery and meter at addresses far apart."""
    singles = [32000, 32002, 32003, *range(32008, 32011), *range(32016, 32032),
               *range(32066, 32072), 32084, 32085, 32086, 32087, 32089, 32090, 37000, 37003, 37004,
               37022, 37100, 37117, 37118]
    pairs = [32064, *range(32072, 32084, 2), 32106, 32114, 37001, 37015, 37017, *range(37101, 37117,
                                                                                      2),
             37119, 37121, 37126, 37128, 37130, 37132, 37134, 37136]
    return Layout("inverters", [
        sensor for unit in range(1, UNITS + 1)
        for sensor in [*(Sensor(unit, address) for address in singles),
                       *(Sensor(unit, address, "uint32") for address in pairs)]])


def blocks():
    """PLCs: three blocks without holes, and some coils."""
    sensors = []
    for unit in range(1, UNITS + 1):
        for first, n in ((0, 40), (100, 40), (1000, 20)):
            sensors += [Sensor(unit, first + i) for i in range(n)]
        sensors += [Sensor(unit, 2 * i, table="coil") for i in range(16)]
    return Layout("PLC blocks", sensors)


def dense():
    """One long block in each unit: fills requests to the last register."""
    return Layout("one block a unit", [Sensor(unit, i) for unit in range(1, UNITS + 1)
                                       for i in range(REGISTERS)])


def scatter(name, seed, gaps, kinds=("uint16", "uint16", "uint32", "uint64")):
    """Values one after the other with a gap from `gaps` between them."""
    draw = random.Random(seed)
    sensors = []
    for unit in range(1, UNITS + 1):
        address, n = draw.randrange(0, 100), 0
        while n < REGISTERS:
            sensor = Sensor(unit, address, draw.choice(kinds))
            sensors.append(sensor)
            n += sensor.width
            address = sensor.end + draw.choice(gaps)
    return Layout(name, sensors)


def holes():
    return scatter("random, with holes", 1, [0, 0, 0, 0, 1, 2, 3, 5, 8, 20])


def edge():
    """Holes about as long as what makes another request worth it, and requests that fill up."""
    return scatter("holes near the limit", 2, [0, 0, 0, 0, 0, *range(6, 24, 2)])


def far():
    return scatter("random, far apart", 3, [0, 0, 0, 10, 30, 60, 120])


def refused():
    """As `holes`, but a hole in each unit cannot be read through, and two values do not exist."""
    base = holes()
    draw = random.Random(4)
    ranges = []
    for unit in range(1, UNITS + 1):
        own = sorted((s for s in base.sensors if s.unit == unit), key=lambda s: s.address)
        gaps = [(a.end, b.address - 1) for a, b in zip(own, own[1:]) if b.address - a.end > 2]
        first, last = draw.choice(gaps)
        ranges.append((unit, first, last))
        if unit in (3, 7):
            victim = own[len(own) // 2]
            ranges.append((unit, victim.address, victim.end - 1))
    return Layout("registers refused", base.sensors, ranges)


def small():
    """Slaves that take 32 registers in a request at the most, or 60."""
    base = holes()
    return Layout("small requests", base.sensors,
                  most={unit: 32 if unit % 2 else 60 for unit in range(1, UNITS + 1)})


ALL = [meters, inverters, blocks, dense, holes, edge, far, refused, small]
