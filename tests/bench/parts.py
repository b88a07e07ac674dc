# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of single modules: programs that print lines of their own, shown as they are."""


def show(build, name, *arguments):
    if not build.program(name).exists():
        print(f"{name}: skipped, not in this build")
        return
    for line in build.run(name, *arguments, timeout=300).splitlines():
        print(f"    {line}", flush=True)


def payload(build, plan, directory):
    """What writing JSON costs, against json-c and snprintf."""
    show(build, "bench_payload")
    return ()


PARTS = {"payload": payload}
