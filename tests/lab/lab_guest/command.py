# SPDX-License-Identifier: Apache-2.0
"""Commands that have to succeed."""

import json
import subprocess


def run(*words, **more):
    """Its output, as text."""
    done = subprocess.run([str(word) for word in words], check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    assert done.returncode == 0, f"{' '.join(map(str, words))}: {done.returncode}\n{done.stdout}"
    return done.stdout


def run_json(*words):
    return json.loads(run(*words))


def load(*modules):
    """Kernel modules, by name."""
    run("modprobe", "-a", *modules)
