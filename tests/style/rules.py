# SPDX-License-Identifier: Apache-2.0
"""Rules that a compiler does not know: who may include whom, which functions nobody may call.

The layers are those of docs/architecture.md. A new file must be given its place here.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# A module may include its own header and those of the levels below its own; besides, what is
# listed under "also". A part of a module (config_tables of config) counts as the module.
LEVELS = [
    {"sensocan-driver", "reading", "util", "build_config"},
    {"log", "arena"},
    {"clock", "heartbeat", "thread", "yaml_tree", "problems", "journal_block", "schedule"},
    {"options", "driver", "journal_db", "journal", "mqtt", "payload"},
    {"config", "plan", "tool_job"},
    {"sensor", "sensor_map", "taken"},
    {"live", "history"},
    {"bus", "publisher"},
    {"gateway"},
    {"status", "control", "commands", "main"},
]
# Within a level.
ALSO = {
    "yaml_tree": {"problems"},
    "problems": {"yaml_tree"},
    "driver": {"options"},
    "config": {"plan"},
    "plan": {"config"},
    "journal": {"journal_db"},
    "control": {"status"},
    "commands": {"control", "status"},
    "main": {"control", "commands", "status"},
    "taken": {"sensor_map"},
    "live": {"history"},
    "history": {"live"},
}
# What readings go through, and what reads sensors, meet in the journal only.
NEVER = {
    "bus": {"journal", "journal_db", "journal_block", "publisher", "mqtt", "payload", "live",
            "history"},
    "sensor": {"journal", "journal_db", "journal_block", "publisher", "mqtt", "payload", "live",
               "history"},
    "publisher": {"bus", "sensor", "schedule", "driver"},
    "live": {"bus", "sensor", "schedule", "driver"},
    "history": {"bus", "sensor", "schedule", "driver"},
    "sensor_map": {"bus", "sensor", "schedule", "driver"},
    "taken": {"bus", "sensor", "schedule", "driver"},
    "config": {"journal", "mqtt", "payload", "log"},
}
# Levels that return what went wrong, or complain about a node, and never log.
SILENT = {"arena", "clock", "config", "driver", "heartbeat", "journal", "journal_block",
          "journal_db", "mqtt", "options", "payload", "plan", "problems", "schedule", "thread",
          "tool_job", "util", "yaml_tree"}
# One library, one file. Private parts of the module (mqtt_text.c) do not count as it.
LIBRARIES = {
    r"yaml\.h": {"daemon/yaml_tree.c"},
    r"sqlite3\.h": {"daemon/journal_db.c"},
    r"mosquitto\.h": {"daemon/mqtt.c"},
    r"json-c/.*|json\.h": {"daemon/commands.c", "daemon/commands_plan.c", "daemon/status.c"},
    r"systemd/.*": {"daemon/main.c", "daemon/log.c"},
    r"dlfcn\.h": {"daemon/driver.c"},
    r"modbus.*\.h": {"drivers/modbus"},
    r"libsocketcan\.h": {"drivers/can/bitrate.c"},
}

# Function -> (why not, files that may).
FORBIDDEN = {
    r"ato(i|l|ll|f)": ("parse_i64 and parse_double of util.h refuse what is no number", set()),
    r"strto(l|ll|ul|ull|imax|umax|f|d|ld)": ("parse_i64 and parse_double of util.h",
                                             {"daemon/util.c", "daemon/payload.c"}),
    r"v?sprintf|strcpy|strcat|stpcpy|strncpy|gets": ("no bound: snprintf or xasprintf", set()),
    r"alloca": ("the stack has no limit to test", set()),
    r"exit|_exit|quick_exit": ("only main ends the program", {"daemon/main.c"}),
    r"pthread_cancel|pthread_kill|pthread_setcanceltype": ("a thread is asked to end", set()),
    r"malloc|calloc|realloc|reallocarray|strdup|strndup|v?asprintf":
        ("xmalloc and its like in util.h never return NULL", {"daemon/util.c"}),
    r"system|popen": ("no shell", set()),
    r"s?rand|random|srandom": ("random_below of util.h", {"daemon/util.c"}),
    r"localtime|gmtime|ctime|asctime|strtok|getenv_r|readdir_r|tmpnam|mktemp":
        ("not safe with threads, or not safe at all", {"daemon/commands.c", "daemon/main.c"}),
    r"sleep|usleep|nanosleep|clock_nanosleep": ("wait for what wakes you", set()),
    r"printf|puts|putchar|perror": ("log.h, or a FILE of the caller",
                                    {"daemon/commands.c", "daemon/commands_plan.c",
                                     "daemon/commands_tool.c", "daemon/main.c"}),
    r"setlocale": ("numbers must read the same everywhere", set()),
    r"signal": ("sigaction, or signalfd", set()),
}
# Drivers live in a host that must survive them: they use the C library's allocation. They may
# wait, for the silence that a bus wants between requests.
DRIVERS_MAY = {r"malloc|calloc|realloc|reallocarray|strdup|strndup|v?asprintf",
               r"sleep|usleep|nanosleep|clock_nanosleep"}

MAX_LINES = 600

problems = []


def problem(path, line, text):
    problems.append(f"{path.relative_to(ROOT)}:{line}: {text}")


def without(text, strings=True):
    """The text with comments, and string contents if wanted, blanked; line numbers stay."""
    def blank(match):
        piece = match.group(0)
        if piece.startswith("/*") or piece.startswith("//"):
            return re.sub(r"[^\n]", " ", piece)
        return '""' if strings else piece
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


def module_of(stem, known):
    """journal_salvage is a part of journal unless it has a place of its own."""
    while stem not in known and "_" in stem:
        stem = stem.rsplit("_", 1)[0]
    return stem


def includes(code):
    for number, line in enumerate(code.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', line)
        if match:
            yield number, match.group(1), match.group(2)


def check_layers(path, code):
    known = {name for level in LEVELS for name in level}
    module = module_of(path.stem, known)
    if module not in known:
        problem(path, 1, f"has no place in the layers of {Path(__file__).name}")
        return
    level = next(i for i, names in enumerate(LEVELS) if module in names)
    below = set().union(*LEVELS[:level]) | ALSO.get(module, set()) | {module}
    allowed = below - NEVER.get(module, set())
    for number, ours, _ in includes(code):
        if not ours:
            continue
        target = Path(ours).stem
        if module_of(target, known) not in allowed:
            problem(path, number, f'may not include "{ours}": {module} is no user of it')
        elif target == "log" and module in SILENT:
            problem(path, number, f"{module} returns what went wrong, it does not log")


def check_driver_includes(path, code):
    for number, ours, _ in includes(code):
        if ours and Path(ours).name != "sensocan-driver.h":
            local = (path.parent / ours).resolve()
            if not local.exists() or "daemon" in local.parts or path.parent == ROOT / "drivers":
                problem(path, number, f'a driver includes sensocan-driver.h only, not "{ours}"')


def check_libraries(path, code):
    name = str(path.relative_to(ROOT))
    for number, ours, theirs in includes(code):
        for pattern, users in LIBRARIES.items():
            if re.fullmatch(pattern, theirs or ours) and not any(
                    name == user or name.startswith(user + "/") for user in users):
                problem(path, number,
                        f"only {', '.join(sorted(users))} may include <{theirs or ours}>")


def check_header(path, text, code):
    guard = re.search(r"#ifndef (\w+)\n#define (\w+)\n", text)
    if not guard or guard.group(1) != guard.group(2):
        problem(path, 1, "no include guard")
    if not re.search(r"#define \w+\n+/\*", text):
        problem(path, 1, "begins with a paragraph that says what the module is for")
    for number, line in enumerate(code.splitlines(), 1):
        if re.match(r"\s*typedef\s+struct\b", line):
            problem(path, number, "a struct stays a struct: no typedef")


def check_functions(path, code):
    name = str(path.relative_to(ROOT))
    for pattern, (why, users) in FORBIDDEN.items():
        if name in users or (name.startswith("drivers/") and pattern in DRIVERS_MAY):
            continue
        for number, line in enumerate(code.splitlines(), 1):
            match = re.search(rf"(?<![\w.>])({pattern})\s*\(", line)
            if match:
                problem(path, number, f"{match.group(1)}(): {why}")


def check_text(path, text, code):
    if not re.match(r"/\* SPDX-License-Identifier: Apache-2\.0 \*/\n", text):
        problem(path, 1, "the first line is the SPDX line")
    if not text.endswith("\n") or text.endswith("\n\n"):
        problem(path, text.count("\n"), "ends with one line break")
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            problem(path, number, "an open end belongs into an issue")
        if line != line.rstrip():
            problem(path, number, "white space at the end of the line")
    for number, line in enumerate(code.splitlines(), 1):
        if re.search(r"\bgoto\b", line):
            problem(path, number, "no goto: _cleanup_ releases")
    for match in re.finditer(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|(//)', text, flags=re.S):
        if match.group(1):
            problem(path, text.count("\n", 0, match.start()) + 1, "comments are /* */")


def check_source(path, code):
    own = path.with_suffix(".h")
    ours = [quoted for _, quoted, _ in includes(code)]
    first = next(includes(code), (0, None, None))
    if own.exists() and first[1] != own.name:
        problem(path, first[0] or 1, f'includes "{own.name}" first')
    if own.exists() and own.name not in ours:
        problem(path, 1, f'does not include "{own.name}"')
    lines = code.count("\n")
    if lines > MAX_LINES:
        problem(path, lines, f"more than {MAX_LINES} lines: which second thing does it do?")


def check_ours(path):
    text = path.read_text()
    includes_kept, code = without(text, strings=False), without(text)
    check_text(path, text, code)
    check_libraries(path, includes_kept)
    check_functions(path, code)
    if path.is_relative_to(ROOT / "daemon"):
        check_layers(path, includes_kept)
    else:
        check_driver_includes(path, includes_kept)
    if path.suffix == ".h":
        check_header(path, text, code)
    else:
        check_source(path, includes_kept)


def check_spdx():
    """Everything that can carry a comment says under which licence it is."""
    for folder in ("daemon", "drivers", "tests", "config", "systemd", ".ci"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".c", ".h", ".py", ".sh", ".build", ".yaml", ".service"} or \
                    path.name == "meson.build":
                if "tests/data" in str(path) or "corpus" in str(path) or "__pycache__" in str(path):
                    continue
                if "SPDX-License-Identifier" not in path.read_text(errors="replace")[:300]:
                    problem(path, 1, "no SPDX line")


def main():
    for folder in ("daemon", "drivers"):
        for path in sorted((ROOT / folder).rglob("*.[ch]")):
            check_ours(path)
    for path in sorted((ROOT / "tests").rglob("*.[ch]")):
        text = path.read_text()
        check_text(path, text, without(text))
    check_spdx()
    print("\n".join(problems) or "all rules kept")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
