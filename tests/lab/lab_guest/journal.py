# SPDX-License-Identifier: Apache-2.0
"""Reads the gateway's journal from outside, by what docs/journal.md says of it."""

import sqlite3
import struct
from pathlib import Path

TAG_SENSOR, TAG_TIME, TAG_FORM = 0x80, 0x40, 0x1f


def connect(path):
    """Reading only. What such a connection sees is on the disk: in WAL mode SQLite shows a
    transaction to others once its frames have been written and, with `sync: full`, synced
    (walFrames() in SQLite's wal.c writes the shared index after the sync)."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20, isolation_level=None)
    connection.execute("SELECT count(*) FROM block").fetchone()
    return connection


def numbers(data):
    """The varints and bytes of a block, as functions that take the next."""
    position = 0

    def byte():
        nonlocal position
        position += 1
        return data[position - 1]

    def varint():
        value = shift = 0
        while True:
            part = byte()
            value |= (part & 0x7f) << shift
            if part < 0x80:
                return value
            shift += 7

    def signed():
        value = varint()
        return value >> 1 ^ -(value & 1)
    return byte, signed


def value_of(form, byte, signed):
    if form < 10:
        return signed() / 10 ** form
    if form < 19:
        return struct.unpack(">d", bytes(byte() for _ in range(form - 10)).ljust(8, b"\0"))[0]
    return signed() * 10.0 ** -(form - 18)


def unpack(n, data):
    """(sensor, value) of each reading of a block."""
    byte, signed = numbers(data)
    sensor = 0
    for _ in range(n):
        tag = byte()
        sensor += 1
        if tag & TAG_SENSOR:
            sensor += signed()
        if tag & TAG_TIME:
            signed()
        yield sensor, value_of(tag & TAG_FORM, byte, signed)


def blocks(connection, known=()):
    """{block: [(slug, value)]} of readings that wait, but for blocks that are known."""
    connection.execute("BEGIN")
    try:
        slugs = dict(connection.execute("SELECT id, slug FROM sensor"))
        rows = connection.execute(
            "SELECT block.id, readings, data, acked FROM block"
            " LEFT JOIN partial ON partial.id = block.id").fetchall()
    finally:
        connection.execute("COMMIT")
    found = {}
    for block, n, data, acked in rows:
        if block not in known:
            found[block] = [(slugs[sensor], value) for i, (sensor, value)
                            in enumerate(unpack(n, data))
                            if not (acked and acked[i // 8] >> i % 8 & 1)]
    return found


def by_sensor(found):
    """{slug: [value]} of what blocks() gives."""
    result = {}
    for readings in found.values():
        for slug, value in readings:
            result.setdefault(slug, []).append(int(value))
    return result


def damaged_copies(path):
    """Files that the gateway has set aside."""
    return [file.name for file in Path(path).parent.glob("*.damaged-*")]


def integrity(path):
    connection = sqlite3.connect(path)
    try:
        return connection.execute("PRAGMA integrity_check").fetchone()[0]
    finally:
        connection.close()
