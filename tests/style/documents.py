# SPDX-License-Identifier: Apache-2.0
"""Documents say what the program does. Argument: a build folder; --write puts it right.

- docs/drivers/NAME.md has, between <!-- options --> and <!-- /options -->, what
  `sensocan-gateway drivers NAME` prints.
- Links from one document to another lead somewhere.
- Manual pages are clean under mandoc -T lint.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECTION = re.compile(r"(<!-- options -->\n).*?(<!-- /options -->)", re.S)

problems = []


def describe(build, name):
    """The driver's options as the program prints them."""
    with tempfile.TemporaryDirectory() as directory:
        for driver in (build / "drivers").rglob("*.so"):
            (Path(directory) / driver.name).symlink_to(driver)
        done = subprocess.run([build / "daemon" / "sensocan-gateway", "drivers", name,
                               "--driver-dir", directory], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        problems.append(f"drivers {name}: {done.stdout}")
    return done.stdout


def check_driver_pages(build, write):
    for page in sorted((ROOT / "docs" / "drivers").glob("*.md")):
        text = page.read_text()
        if not SECTION.search(text):
            problems.append(f"{page.relative_to(ROOT)}: no <!-- options --> section")
            continue
        printed = describe(build, page.stem)
        wanted = SECTION.sub(lambda match: f"{match[1]}```\n{printed}```\n{match[2]}", text)
        if wanted == text:
            continue
        if write:
            page.write_text(wanted)
        else:
            problems.append(f"{page.relative_to(ROOT)}: not what the driver says; put it right "
                            f"with: tests/style/documents.py BUILD --write")


def check_links():
    for page in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"),
                        *(ROOT / "drivers").rglob("*.md")]):
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                problems.append(f"{page.relative_to(ROOT)}: leads nowhere: {target}")


def check_manual():
    for page in sorted((ROOT / "docs" / "man").glob("*.[1-9]")):
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        if done.returncode:
            problems.append(done.stdout)


def main():
    build = Path(sys.argv[1]).resolve()
    check_driver_pages(build, "--write" in sys.argv)
    check_links()
    check_manual()
    print("\n".join(problems) or "documents are right")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
