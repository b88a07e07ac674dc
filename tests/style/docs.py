# SPDX-License-Identifier: Apache-2.0
"""Documents name everything that the program has. Argument: the built sensocan-gateway.

- Each key of the configuration's tables is in docs/configuration.md and in the manual page, with
  its default; and each key that is described there exists.
- --help and the manual page have the same commands and options.
- docs/architecture.md has a row for each source file of the daemon, and for no other.
- docs/operations.md has a row for each kind of event in log.h, and each field of the status.

The drivers' options, links and the form of the manual pages are documents.py's.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DAEMON = ROOT / "daemon"
MANUAL = ROOT / "docs" / "man"

problems = []


def compare(what, wanted, found, document):
    for name in sorted(wanted - found):
        problems.append(f"{document}: {what} {name} is missing")
    for name in sorted(found - wanted):
        problems.append(f"{document}: there is no {what} {name}")


# --- the configuration ---

def rows():
    """Key -> default in its YAML form, None without one; of all tables of config*.c."""
    found = {}
    for path in sorted(DAEMON.glob("config*.c")):
        text = path.read_text()
        for table in re.findall(r"struct scg_option \w+_table\[\w+\] = \{(.*?)\n\};", text, re.S):
            for row in re.split(r"\n\t(?=\[)", table):
                name = re.search(r'\.name = "(\w+)"', row)
                default = re.search(r'\.fallback = ("[^"]*"|\w+)', row)
                if name:
                    found.setdefault(name[1], set()).add(default and default[1].strip('"'))
    return found


def plain(cell):
    return cell.replace("`", "").strip()


def markdown_keys(text):
    """Key -> what the column "default" says, of the tables whose first column is a key."""
    found, is_table = {}, False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            is_table = False
        elif re.match(r"key( of `\w+`)?$", cells[0]):
            is_table = True
        elif is_table and re.fullmatch(r"`\w+`", cells[0]):
            found.setdefault(plain(cells[0]), set()).add(plain(cells[2]))
    return found


def manual_keys(text):
    """Key -> the default that follows it, None if none is said."""
    found = {}
    for item in re.split(r"^(?=\.It Ic )", text, flags=re.M)[1:]:
        name = re.match(r"\.It Ic (\w+)", item)[1]
        default = re.search(r"\(the default\)|Default:\s+(?:\.Pa )?(\S+?)[,.;:]?(?:\s|$)", item)
        found.setdefault(name, set()).add(default and (default[1] or "(said)"))
    return found


def check_configuration():
    keys = rows()
    if len(keys) < 40:
        problems.append(f"daemon/config*.c: only {len(keys)} keys were found in the tables")
    page = ROOT / "docs" / "configuration.md"
    described = markdown_keys(page.read_text())
    described_top = set(re.findall(r"^## `(\w+)`", page.read_text(), re.M))
    compare("key", set(keys), set(described) | described_top, page.name)
    manual = MANUAL / "sensocan-gateway.yaml.5"
    in_manual = manual_keys(manual.read_text())
    sections = {name.lower() for name in re.findall(r"^\.Sh (\w+)$", manual.read_text(), re.M)}
    compare("key", set(keys), set(in_manual) | sections & set(keys), manual.name)
    for name, defaults in keys.items():
        # names of macros and automatic defaults (0 that stands for something) are for people
        for default in defaults - {None, "DEFAULT_JOURNAL_FILE"}:
            if name == "stale":
                continue
            if default not in described.get(name, {default}):
                problems.append(f"{page.name}: {name}: the default is {default}")
            if not in_manual.get(name, set()) & {default, "(said)"}:
                problems.append(f"{manual.name}: {name}: the default is {default}")


# --- the command line ---

def check_command_line(program):
    text = subprocess.run([program, "--help"], stdout=subprocess.PIPE, text=True,
                          check=True).stdout
    commands = set(re.findall(r"^  (\w+)", text.split("Commands:")[1].split("Options:")[0], re.M))
    options = set(re.findall(r"--([a-z-]+)", text.split("Options:")[1]))
    manual = MANUAL / "sensocan-gateway.8"
    page = manual.read_text()
    compare("command", commands, set(re.findall(r"^\.It Cm (\w+)", page, re.M)), manual.name)
    compare("option", options, set(re.findall(r"^\.It Fl .*?-([a-z][a-z-]+)", page, re.M)),
            manual.name)
    if not commands or not options:
        problems.append("--help: no commands or no options were found")


# --- source files, events, status ---

def check_architecture():
    page = ROOT / "docs" / "architecture.md"
    named = set(re.findall(r"^\| `(\w+\.c)` \|", page.read_text(), re.M))
    compare("file", {path.name for path in DAEMON.glob("*.c")}, named, page.name)


def check_events():
    page = ROOT / "docs" / "operations.md"
    text = page.read_text()
    events = set(re.findall(r'#define LOG_ID_(\w+)\s+"([0-9a-f]{32})"',
                            (DAEMON / "log.h").read_text()))
    described = set(re.findall(r"^\| (\w+) \| `([0-9a-f]{32})` \|", text, re.M))
    compare("event", {" ".join(event) for event in events},
            {" ".join(event) for event in described}, page.name)
    ids = {identity for _, identity in events}
    compare("MESSAGE_ID", set(re.findall(r"MESSAGE_ID=([0-9a-f]{32})", text)) - ids, set(),
            "log.h")


def check_status():
    page = ROOT / "docs" / "operations.md"
    section = page.read_text().split("\n## The status")[1].split("\n## ")[0]
    named = {name for row in re.findall(r"^\| (`.*?) \|", section, re.M)
             for name in re.findall(r"`(\w+)(?:\[\])?`", row)}
    named |= set(re.findall(r"`(\w+)`", section))
    source = (DAEMON / "status.c").read_text()
    fields = set(re.findall(r'(?:add_\w+|json_object_object_add)\(\s*\w+, "(\w+)"', source))
    for name in sorted(fields - named):
        problems.append(f"{page.name}: status field {name} is missing")


def main():
    check_configuration()
    check_command_line(Path(sys.argv[1]).resolve())
    check_architecture()
    check_events()
    check_status()
    print("\n".join(problems) or "everything is described")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
