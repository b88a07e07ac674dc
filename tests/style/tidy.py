# SPDX-License-Identifier: Apache-2.0
"""clang-tidy over the files of the daemon and the drivers. Argument: a build folder of clang's."""

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def compiled(build):
    """The commands for the sources that the build compiles, but for the tests: these are held to what
    they find. One for each: tests compile some of the drivers' anew, and would have them examined
    twice."""
    commands = {}
    for command in json.loads((build / "compile_commands.json").read_text()):
        path = (Path(command["directory"]) / command["file"]).resolve()
        if any((ROOT / folder) in path.parents for folder in ("daemon", "drivers")):
            commands.setdefault(path, command)
    return commands


def tidy(database, path):
    done = subprocess.run(["clang-tidy", "--quiet", "-p", database, path], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout if done.returncode else ""


def main():
    commands = compiled(Path(sys.argv[1]).resolve())
    files = sorted(commands)
    failed = 0
    with tempfile.TemporaryDirectory() as database, ThreadPoolExecutor(os.cpu_count()) as pool:
        (Path(database) / "compile_commands.json").write_text(json.dumps(list(commands.values())))
        for code, output in pool.map(lambda path: tidy(database, path), files):
            failed |= code
            sys.stdout.write(output)
    print(f"{len(files)} files")
    return 1 if failed or not files else 0


if __name__ == "__main__":
    sys.exit(main())
