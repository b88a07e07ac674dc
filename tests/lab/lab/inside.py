# SPDX-License-Identifier: Apache-2.0
"""Files of tests that run in the machine. The host reads them, and never imports them: what they
import is there only."""

import ast

from . import HERE

INSIDE = HERE / "inside"


def _tree(path):
    return ast.parse(path.read_text()).body


def tests(path):
    """(name, line) of its test functions."""
    return [(node.name, node.lineno) for node in _tree(path)
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


def machine_options(path):
    """Its MACHINE, arguments of lab.machine.Machine."""
    for node in _tree(path):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "MACHINE":
            return ast.literal_eval(node.value)
    return {}


def command(path, test=None):
    folder = "/lab/source/tests/lab/inside"
    return ["pytest", "-c", f"{folder}/pytest.ini",
            f"{folder}/{path.name}" + (f"::{test}" if test else "")]
