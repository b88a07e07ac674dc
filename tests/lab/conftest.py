# SPDX-License-Identifier: Apache-2.0
"""Tests in and around the virtual machine.

Files in inside/ are ordinary tests that run in it: each test function gets a machine of its own,
fresh from the snapshot. The files beside this one run on the host and use lab.machine.
"""

import os
import re
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]

from lab.image import Image, Unavailable  # noqa: E402
from lab.inside import INSIDE, command, machine_options, tests  # noqa: E402
from lab.machine import Machine, build_dir, snapshot  # noqa: E402

UNAVAILABLE = "LAB_UNAVAILABLE"


def pytest_configure(config):
    """Before there are workers: what all machines are made of."""
    if hasattr(config, "workerinput"):
        return
    os.environ.pop(UNAVAILABLE, None)
    if config.option.collectonly:
        return
    try:
        if not (build_dir() / "install").is_dir():
            raise Unavailable(f"no {build_dir()}/install: ./test build-lab")
        snapshot(Image().ensure(print))
    except Unavailable as error:
        os.environ[UNAVAILABLE] = str(error)


def pytest_collection_modifyitems(items):
    # Those on the host take the longest: begun first, nobody waits for them in the end.
    items.sort(key=lambda item: isinstance(item, GuestItem))
    reason = os.environ.get(UNAVAILABLE)
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=f"the lab cannot run here: {reason}"))


def pytest_pycollect_makemodule(module_path, parent):
    if module_path.is_relative_to(INSIDE):
        return GuestFile.from_parent(parent, path=module_path)
    return None


class GuestFile(pytest.File):
    def collect(self):
        for name, line in tests(self.path):
            yield GuestItem.from_parent(self, name=name, line=line)


class Failed(Exception):
    """In the machine; its text is what was printed there."""


class GuestItem(pytest.Item):
    def __init__(self, *, line, **more):
        super().__init__(**more)
        self._line = line

    def runtest(self):
        with Machine(**machine_options(self.path)) as machine:
            done = machine.run(command(self.path, self.name), timeout=400)
        if done.status != 0:
            raise Failed(done.out + done.err)
        skipped = re.search(r"^SKIPPED .*?: (.*)", done.out, re.M)
        if skipped and not re.search(r"\d passed", done.out):
            pytest.skip(skipped[1])

    def repr_failure(self, excinfo, style=None):
        if isinstance(excinfo.value, Failed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.path, self._line, self.name


def pytest_terminal_summary(terminalreporter):
    """Tables that tests have made, whoever ran them."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, text in report.user_properties:
            if name == "table" and report.when == "call":
                terminalreporter.write_line(f"{report.nodeid}\n{text}")


@pytest.fixture
def machine():
    """One from the snapshot."""
    with Machine() as made:
        yield made
