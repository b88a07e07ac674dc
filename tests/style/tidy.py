# SPDX-License-Identifier: Apache-2.0
"""clang-tidy over the files of the daemon and the drivers. Argument: a build folder of clang's."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def compiled(build):
    """The sources that the build compiles, but the tests: these are held to what they find."""
    commands = json.loads((build / "compile_commands.json").read_text())
    files = {(Path(command["directory"]) / command["file"]).resolve() for command in commands}
    return sorted(path for path in files
                  if any((ROOT / folder) in path.parents for folder in ("daemon", "drivers")))


def tidy(build, path):
    done = subprocess.run(["clang-tidy", "--quiet", "-p", build, path], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout if done.returncode else ""


def main():
    build = Path(sys.argv[1]).resolve()
    files = compiled(build)
    failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for code, output in pool.map(lambda path: tidy(build, path), files):
            failed |= code
            sys.stdout.write(output)
    print(f"{len(files)} files")
    return 1 if failed or not files else 0


if __name__ == "__main__":
    sys.exit(main())
