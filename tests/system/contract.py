# SPDX-License-Identifier: Apache-2.0
"""Holds each message against what the platform documents, docs/platform-contract.md.

Three kinds of message, told apart by their topic alone:

    tenant/T/device/D                    device batch    {"data": [...], "battery_voltage": 3.7}
    tenant/T/device/D/sensor/SENSOR      single reading  {"value": 1, "timestamp": ...}
    tenant/T/device/D/sensors/UUID       history         [{"value": 1, "timestamp": ...}, ...]

Whatever the platform's pages do not show is a violation: other keys, other topics, values that are
no JSON numbers, empty lists, a timestamp in a batch (the platform has no such key there).
"""

import json
import math
import re
from collections import namedtuple
from datetime import datetime, timezone

BATCH, SINGLE, HISTORY = "batch", "single", "history"

Reading = namedtuple("Reading", "sensor value timestamp")
Message = namedtuple("Message", "kind tenant device readings battery")

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
TOPIC = re.compile(rf"tenant/(?P<tenant>[^/+#]+)/device/(?P<device>{UUID})"
                   rf"(?:/(?P<level>sensors?)/(?P<sensor>[^/+#]+))?")
# ISO 8601 as the examples write it: UTC, seconds, or a fraction of three digits.
TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{3}))?Z")


class Violation(Exception):
    """A message that the platform would refuse, or that its pages do not describe."""


def require(condition, what):
    if not condition:
        raise Violation(what)


def refuse_constant(name):
    raise Violation(f"{name} is no JSON")


def pairs_once(pairs):
    keys = [key for key, _ in pairs]
    require(len(keys) == len(set(keys)), f"a key stands twice: {keys}")
    return dict(pairs)


def parse(payload):
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Violation(f"not UTF-8: {error}") from error
    require(not text.startswith("\ufeff"), "begins with a byte order mark")
    try:
        return json.loads(text, object_pairs_hook=pairs_once, parse_constant=refuse_constant)
    except ValueError as error:
        raise Violation(f"not JSON: {error}") from error


def number(value, where):
    require(isinstance(value, (int, float)) and not isinstance(value, bool),
            f"{where} is {value!r}, not a number")
    require(math.isfinite(value), f"{where} is {value!r}")
    return value


def timestamp(text, where):
    """Seconds since 1970."""
    require(isinstance(text, str), f"{where} is {text!r}, not a string")
    match = TIMESTAMP.fullmatch(text)
    require(match, f"{where} is {text!r}, not like 2023-10-27T10:00:00Z")
    try:
        moment = datetime.strptime(match.group(1), "%Y-%m-%dT%H:%M:%S")
    except ValueError as error:
        raise Violation(f"{where}: {text!r} is no time") from error
    return moment.replace(tzinfo=timezone.utc).timestamp() + int(match.group(2) or 0) / 1000


def keys(value, needed, allowed, where):
    require(isinstance(value, dict), f"{where} is no object: {value!r}")
    require(needed <= value.keys(), f"{where} lacks {sorted(needed - value.keys())}")
    require(value.keys() <= allowed, f"{where} has undocumented keys: "
                                     f"{sorted(value.keys() - allowed)}")


def battery_of(value):
    return number(value["battery_voltage"], "battery_voltage") \
        if "battery_voltage" in value else None


def batch(value):
    keys(value, {"data"}, {"data", "battery_voltage"}, "the batch")
    require(isinstance(value["data"], list) and value["data"], "data is no list with entries")
    readings = []
    for index, entry in enumerate(value["data"]):
        where = f"data[{index}]"
        keys(entry, {"value"}, {"sensor_slug", "sensor_uuid", "value"}, where)
        names = [entry[key] for key in ("sensor_slug", "sensor_uuid") if key in entry]
        require(len(names) == 1, f"{where} names its sensor {len(names)} times")
        require(isinstance(names[0], str) and names[0], f"{where} names no sensor: {names[0]!r}")
        require("sensor_uuid" not in entry or re.fullmatch(UUID, names[0]),
                f"{where}: {names[0]!r} is no UUID")
        readings.append(Reading(names[0], number(entry["value"], where + ".value"), None))
    sensors = [reading.sensor for reading in readings]
    require(len(sensors) == len(set(sensors)), "a sensor stands twice in the batch")
    return readings, battery_of(value)


def single(sensor, value):
    keys(value, {"value"}, {"value", "timestamp", "battery_voltage"}, "the reading")
    moment = timestamp(value["timestamp"], "timestamp") if "timestamp" in value else None
    return [Reading(sensor, number(value["value"], "value"), moment)], battery_of(value)


def history(sensor, value):
    require(re.fullmatch(UUID, sensor), f"bulk upload for {sensor!r}, which is no UUID")
    require(isinstance(value, list) and value, "no list with entries")
    readings = []
    for index, entry in enumerate(value):
        where = f"[{index}]"
        keys(entry, {"value", "timestamp"}, {"value", "timestamp"}, where)
        readings.append(Reading(sensor, number(entry["value"], where + ".value"),
                                timestamp(entry["timestamp"], where + ".timestamp")))
    return readings, None


def check(topic, payload):
    """The message taken apart, or Violation."""
    match = TOPIC.fullmatch(topic)
    require(match, f"no documented topic: {topic!r}")
    value = parse(payload)
    if match["level"] is None:
        kind, (readings, battery) = BATCH, batch(value)
    elif match["level"] == "sensor":
        kind, (readings, battery) = SINGLE, single(match["sensor"], value)
    else:
        kind, (readings, battery) = HISTORY, history(match["sensor"], value)
    return Message(kind, match["tenant"], match["device"], readings, battery)
