# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of single modules: programs that print lines of their own, shown as they are; what has
a goal comes as a row besides."""

import re

from figures import Row


def lines_of(build, name, *arguments):
    if not build.program(name).exists():
        print(f"{name}: skipped, not in this build")
        return ""
    text = build.run(name, *arguments, timeout=300)
    for line in text.splitlines():
        print(f"    {line}", flush=True)
    return text


def journal(build, plan, directory):
    """The journal alone: append and take at 20 million of backlog against ten thousand."""
    if plan.quick:
        print("journal: skipped with --quick")
        return
    text = lines_of(build, "bench_journal", directory)
    for what in ("append", "take"):
        match = re.search(rf"ratio of CPU.*\b{what}: ([\d.]+)", text)
        if match:
            yield Row(f"journal, {what} at 20 million against 10 thousand", float(match[1]), "x",
                      1.2)


def payload(build, plan, directory):
    """What writing JSON costs, against json-c and snprintf."""
    if plan.quick:
        print("payload: skipped with --quick")
    else:
        lines_of(build, "bench_payload")
    return ()


def decode(build, plan, directory):
    """What decoding a CAN signal costs, against a 64-bit load, shift and mask."""
    text = lines_of(build, "bench_decode")
    times = [float(ns) for ns in re.findall(r"([\d.]+) ns a signal", text)]
    ratio = re.search(r"worst ratio to load-shift-mask: ([\d.]+)", text)
    if times and ratio:
        yield Row("decoding a CAN signal", max(times), "ns", 10)
        yield Row("decoding a CAN signal against load-shift-mask", float(ratio[1]), "x", 2)


def receive(build, plan, directory):
    """What receiving a CAN frame costs, against loops that only receive."""
    text = lines_of(build, "bench_can", build.directory)
    match = re.search(r"many at a time [\d.]+ ns \(x ([\d.]+)\)", text)
    if match:
        yield Row("receiving a CAN frame against a bare loop", float(match[1]), "x", 1.5)


PARTS = {"decode": decode, "receive": receive, "journal": journal, "payload": payload}
