# SPDX-License-Identifier: Apache-2.0
"""Builds and tests everything; called by ./test, which has installed what it takes.

Each step has a time limit and a log in build/logs. Results of meson and pytest are counted test by
test, every other step as one check. The last line is "N passed, N failed".
"""

import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
LOGS = BUILD / "logs"
JOBS = os.cpu_count() or 1
PYTHON = "/usr/bin/python3"
# Waiting, not computing, is what the scenarios do: more of them than cores can run at a time.
SYSTEM_WORKERS = 2 * JOBS

SANITIZERS = {
    "ASAN_OPTIONS": "abort_on_error=0:exitcode=99:detect_stack_use_after_return=1:"
                    "strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
    "TSAN_OPTIONS": "halt_on_error=0:exitcode=99:second_deadlock_stack=1",
}


class Result:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.skipped = []

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped


def run(command, log, limit, env=None):
    """Runs a command, its output to `log`. True if it ended in time with status 0."""
    with open(log, "ab") as out:
        out.write(("$ " + " ".join(map(str, command)) + "\n").encode())
        out.flush()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   cwd=ROOT, env={**os.environ, **(env or {})},
                                   start_new_session=True)
        try:
            return process.wait(limit) == 0
        except subprocess.TimeoutExpired:
            out.write(f"\nnot done after {limit} s\n".encode())
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return False


def count_junit(path):
    """Test cases of a JUnit file, as meson and pytest write them."""
    result = Result()
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = f"{case.get('classname', '')} {case.get('name', '')}".strip()
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            result.failed += 1
        elif skipped is not None:
            reason = (skipped.get("message") or skipped.text or "it gave no reason").strip()
            result.skipped.append(f"{name}: {reason.splitlines()[0]}")
        else:
            result.passed += 1
    return result


def check(command, log, limit=300, env=None):
    result = Result()
    if run(command, log, limit, env):
        result.passed = 1
    else:
        result.failed = 1
    return result


def tests(command, junit, log, limit, env=None):
    """A command that writes JUnit. A failure that it does not explain counts as one."""
    junit.unlink(missing_ok=True)
    fine = run(command, log, limit, env)
    if not junit.exists():
        result = Result()
        result.failed = 1
        return result
    result = count_junit(junit)
    if not fine and result.failed == 0:
        result.failed = 1
    return result


def build(name, options=(), env=None):
    """Sets up and builds in build/NAME; one check."""
    def step(log):
        directory = BUILD / name
        setup = ["meson", "setup", directory, "-Dwerror=true", *options]
        if (directory / "build.ninja").exists():
            setup.insert(2, "--reconfigure")
        result = Result()
        if run(setup, log, 120, env) and run(["ninja", "-C", directory], log, 600, env):
            result.passed = 1
        else:
            result.failed = 1
        return result
    return step


def unit(name, factor=1, arguments=()):
    def step(log):
        directory = BUILD / name
        return tests(["meson", "test", "-C", directory, "--no-rebuild", "--print-errorlogs",
                      "--num-processes", str(JOBS), "-t", str(factor), *arguments],
                     directory / "meson-logs" / "testlog.junit.xml", log, 600, SANITIZERS)
    return step


def system(name, arguments=()):
    def step(log):
        junit = BUILD / name / "system.junit.xml"
        return tests([PYTHON, "-m", "pytest", "-c", "tests/system/pytest.ini", "-n",
                      str(SYSTEM_WORKERS), f"--junitxml={junit}", *arguments, "tests/system"],
                     junit, log, 900,
                     {**SANITIZERS, "BUILD_DIR": str(BUILD / name), "PYTHONDONTWRITEBYTECODE": "1"})
    return step


def install_lab(log):
    """As a user would install it, into a folder that the machine of the lab copies. Warnings are a
    matter of the other builds: optimised further, compilers warn of what they cannot see through."""
    result = build("lab", ["-Dwerror=false", "--prefix=/usr", "--buildtype=release"])(log)
    directory = BUILD / "lab"
    if result.passed and not run(["meson", "install", "-C", directory, "--no-rebuild", "--destdir",
                                  directory / "install"], log, 60):
        result.passed, result.failed = 0, 1
    return result


def lab(log):
    junit = BUILD / "lab" / "lab.junit.xml"
    return tests([PYTHON, "-m", "pytest", "-c", "tests/lab/pytest.ini", "-n", str(JOBS),
                  f"--junitxml={junit}", "tests/lab"], junit, log, 2400,
                 {"BUILD_DIR": str(BUILD / "lab"), "PYTHONDONTWRITEBYTECODE": "1"})


def style(script):
    return lambda log: check([PYTHON, f"tests/style/{script}"], log)


def tidy(log):
    return check([PYTHON, "tests/style/tidy.py", BUILD / "clang"], log, 600)


def documents(log):
    return check([PYTHON, "tests/style/documents.py", BUILD / "gcc"], log)


ASAN = ["-Db_sanitize=address,undefined", "-Db_lundef=false"]
TSAN = ["-Db_sanitize=thread", "-Db_lundef=false"]
CLANG = {"CC": "clang"}

# What needs what: a step whose build failed has nothing to say.
NEEDS = {
    "unit-gcc": "build-gcc", "documents": "build-gcc", "system": "build-gcc",
    "unit-clang": "build-clang", "tidy": "build-clang",
    "unit-asan": "build-asan", "system-asan": "build-asan",
    "unit-tsan": "build-tsan", "system-tsan": "build-tsan",
    "lab": "build-lab",
}

STEPS = {
    "format": style("format.py"),
    "rules": style("rules.py"),
    "build-gcc": build("gcc"),
    "unit-gcc": unit("gcc"),
    "build-clang": build("clang", env=CLANG),
    "unit-clang": unit("clang"),
    "tidy": tidy,
    "documents": documents,
    "build-asan": build("asan", ASAN),
    "unit-asan": unit("asan", 4),
    "build-tsan": build("tsan", TSAN, env=CLANG),
    "unit-tsan": unit("tsan", 6),
    "system": system("gcc"),
    "system-asan": system("asan", ["-m", "core"]),
    "system-tsan": system("tsan", ["-m", "core"]),
    "build-lab": install_lab,
    "lab": lab,
}


def tail(log, lines=60):
    text = log.read_text(errors="replace").splitlines()
    return "\n".join("    " + line for line in text[-lines:])


def main():
    names = sys.argv[1:] or list(STEPS)
    if names == ["--list"]:
        print("\n".join(STEPS))
        return 0
    unknown = [name for name in names if name not in STEPS]
    if unknown:
        print(f"no step {', '.join(unknown)}; there are: {', '.join(STEPS)}", file=sys.stderr)
        return 64

    LOGS.mkdir(parents=True, exist_ok=True)
    total = Result()
    broken = set()
    for name in names:
        if NEEDS.get(name) in broken:
            total.skipped.append(f"{name}: {NEEDS[name]} failed")
            continue
        log = LOGS / f"{name}.log"
        log.unlink(missing_ok=True)
        begin = time.monotonic()
        result = STEPS[name](log)
        total.add(result)
        verdict = "ok    " if result.failed == 0 else "FAILED"
        print(f"{verdict} {name:12} {result.passed} passed, {result.failed} failed, "
              f"{len(result.skipped)} skipped ({time.monotonic() - begin:.0f} s)", flush=True)
        if result.failed:
            broken.add(name)
            print(f"    the end of {log.relative_to(ROOT)}:")
            print(tail(log), flush=True)
    for skipped in dict.fromkeys(total.skipped):
        print(f"skipped: {skipped}")
    print(f"{total.passed} passed, {total.failed} failed")
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
