# SPDX-License-Identifier: Apache-2.0
"""All C is formatted as .clang-format says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def c_files():
    return sorted(path for folder in ("daemon", "drivers", "tests")
                  for path in (ROOT / folder).rglob("*.[ch]"))


def main():
    files = c_files()
    done = subprocess.run(["clang-format", "--dry-run", "--Werror", "--style=file", *files],
                          check=False)
    if done.returncode:
        print("put it right with: clang-format -i FILE")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
