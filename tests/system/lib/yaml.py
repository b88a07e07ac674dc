# SPDX-License-Identifier: Apache-2.0
"""Writes a configuration as a person would: block style, plain words plain."""

import json
import re

PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*|\d+(\.\d+)?(us|ms|s|min|h|d|KiB|MiB|GiB)"
                   r"|drop-(oldest|newest)")
WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def scalar(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "~"
    if isinstance(value, (int, float)):
        return repr(value)
    if PLAIN.fullmatch(value) and (value.lower() not in WORDS or value == "off"):
        return value
    return json.dumps(value)


def dump(value, indent=0):
    """Lines of the value."""
    space = "  " * indent
    lines = []
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                lines += [f"{space}{key}:", *dump(item, indent + 1)]
            else:
                lines.append(f"{space}{key}: {scalar(item) if item not in ({}, []) else item}")
    else:
        for item in value:
            if isinstance(item, (dict, list)):
                first, *rest = dump(item, indent + 1)
                lines += [f"{space}- {first.lstrip()}", *rest]
            else:
                lines.append(f"{space}- {scalar(item)}")
    return lines


def write(path, value):
    path.write_text("\n".join(dump(value)) + "\n")
