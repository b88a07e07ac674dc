# SPDX-License-Identifier: Apache-2.0
"""What a request costs, the best plan there is, and plans by the rules of others."""

import itertools

CHAR_BITS = 10  # bench_line's: start, 8 data, stop
REQUEST_CHARS = 8
ANSWER_CHARS = 5  # besides the data
SILENCE_MIN_S = 0.00175


class Wire:
    """A serial line and the time its slaves take. Costs in seconds of the line, from the end of a
    silence to the end of the next one."""

    def __init__(self, baud, delay_s):
        self.baud, self.delay_s = baud, delay_s
        self.char_s = CHAR_BITS / baud
        self.silence_s = max(3.5 * self.char_s, SILENCE_MIN_S)

    def cost(self, table, count):
        chars = REQUEST_CHARS + ANSWER_CHARS + data_bytes(table, count)
        return chars * self.char_s + 2 * self.silence_s + self.delay_s


class Network:
    """A request costs one, and a register next to nothing."""

    def cost(self, table, count):
        return 1 + count * 1e-6


def data_bytes(table, count):
    return 2 * count if table in ("holding", "input") else (count + 7) // 8


def most_in(layout, unit, table):
    return layout.cap(unit) if table in ("holding", "input") else 2000


def groups(layout):
    """Sensors that can share requests, by address; without those that nobody can read."""
    def key(sensor):
        return sensor.unit, sensor.table

    readable = [sensor for sensor in layout.sensors if not layout.is_refused(sensor)]
    readable.sort(key=lambda sensor: (*key(sensor), sensor.address, sensor.end))
    for (unit, table), members in itertools.groupby(readable, key):
        yield unit, table, list(members)


def is_allowed(layout, unit, table, first, end):
    return end - first <= most_in(layout, unit, table) and not any(
        refused == unit and begin < end and first <= last
        for refused, begin, last in layout.refused)


def cheapest(layout, wire):
    """The plan of least cost: lists of sensors. Exact: an order by address can always be had at no
    more cost, and for each number of first sensors the cheapest plan is kept."""
    plan = []
    for unit, table, members in groups(layout):
        best = [0.0] + [float("inf")] * len(members)
        begin_of = [0] * (len(members) + 1)
        for begin in range(len(members)):
            end = 0
            for after in range(begin + 1, len(members) + 1):
                end = max(end, members[after - 1].end)
                if not is_allowed(layout, unit, table, members[begin].address, end):
                    break
                cost = best[begin] + wire.cost(table, end - members[begin].address)
                if cost < best[after]:
                    best[after], begin_of[after] = cost, begin
        after, requests = len(members), []
        while after > 0:
            requests.append(members[begin_of[after]:after])
            after = begin_of[after]
        plan += reversed(requests)
    return plan


def one_by_one(layout):
    """collectd: a request for each value."""
    return [[sensor] for _, _, members in groups(layout) for sensor in members]


# What wb-mqtt-serial counts for a request before it is made, beside the bytes: two frame time-outs
# of 20 ms; and it takes on no more than 100 ms of the line at a time.
WB_OVERHEAD_S = 0.040
WB_BUDGET_S = 0.100


def wb_rules(layout, wire, max_hole=10):
    """wb-mqtt-serial once it has learned which registers there are, all read as fast as possible:
    in the order of addresses while the hole is at most `max_hole` (its own value where it sets one;
    its default is 0), and its estimate of the request is within its budget."""
    plan = []
    for unit, table, members in groups(layout):
        request, end = [], 0
        for sensor in members:
            is_bits = table not in ("holding", "input")
            if request:
                first, new_end = request[0].address, max(end, sensor.end)
                hole = 8 * max_hole if is_bits else max_hole
                chars = 15 + data_bytes(table, new_end - first)
                estimate = chars * wire.char_s + wire.silence_s + wire.delay_s + WB_OVERHEAD_S
                if sensor.address <= end + hole and estimate <= WB_BUDGET_S and \
                        is_allowed(layout, unit, table, first, new_end):
                    request.append(sensor)
                    end = new_end
                    continue
                plan.append(request)
            request, end = [sensor], sensor.end
        plan.append(request)
    return plan


def extent(request):
    """Table and count of a request for these sensors."""
    return request[0].table, max(s.end for s in request) - request[0].address


def total(plan, wire):
    return sum(wire.cost(*extent(request)) for request in plan)
