# SPDX-License-Identifier: Apache-2.0
"""In the machine: waits for requests on a virtio port and carries them out, one after the other.

A request is a line of JSON, and so is its answer. The snapshot is taken while this waits for its
first request, so what is loaded here need not be loaded by each run.
"""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import traceback

import pytest

PORTS = "/dev/virtio-ports/"
SHARES = {"source": "ro", "build": "ro", "out": "rw"}
TREE = "/lab/source/tests"
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
    "LANG": "C.UTF-8", "TERM": "xterm", "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": f"{TREE}/lab:{TREE}/system", "BUILD_DIR": "/lab/build",
}


def boot_id_address():
    """Where the kernel keeps what it shows as boot_id; see Machine._give_boot_id()."""
    with open("/proc/kallsyms", encoding="ascii") as symbols:
        for line in symbols:
            if line.endswith(" sysctl_bootid\n"):
                return int(line.split()[0], 16)
    return 0


def prepare(request):
    """Once: the host's time and its folders, neither of which a snapshot can hold."""
    if "time" in request:
        time.clock_settime(time.CLOCK_REALTIME, request["time"])
    for share, mode in SHARES.items():
        subprocess.run(["mount", "-t", "9p", "-o", f"trans=virtio,msize=512000,cache=mmap,{mode}",
                        share, f"/lab/{share}"], check=True)
    # What the host put behind the data disk may differ from what was there when the snapshot was
    # taken; nobody has it open, so nothing of it is cached, but udev knows it by its old contents.
    subprocess.run(["udevadm", "trigger", "--settle", "/dev/vdb"], check=False)
    return {}


def enter(streams):
    """The child's standard streams are the ports."""
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
    os.chdir("/root")
    for number in (signal.SIGPIPE, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def run_tests(arguments):
    """pytest, which is loaded already, in a child of this process."""
    os.environ.clear()
    os.environ.update(ENVIRONMENT)
    sys.path[:0] = ENVIRONMENT["PYTHONPATH"].split(":")
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w", 1), open(2, "w", 1)
    status = pytest.main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    return int(status)


def start(request, streams):
    pid = os.fork()
    if pid == 0:
        status = 126
        try:
            enter(streams)
            if request["argv"][0] == "pytest":
                status = run_tests(request["argv"][1:])
            else:
                os.execvpe(request["argv"][0], request["argv"],
                           {**ENVIRONMENT, **request.get("environment", {})})
        except BaseException:  # pylint: disable=broad-except
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def run(request, streams):
    _, status = os.waitpid(start(request, streams), 0)
    return {"status": os.waitstatus_to_exitcode(status)}


def shell(request, streams):
    """A login shell on a terminal, which the ports carry to the host's."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir("/root")
        os.execvpe("bash", ["bash", "-l"], {**ENVIRONMENT, "PS1": r"lab:\w# "})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *request["size"], 0, 0))
    done = threading.Event()

    def to_host():
        try:
            while data := os.read(terminal, 65536):
                streams[1].write(data)
        except OSError:
            pass  # EIO: the shell has ended
        done.set()
    threading.Thread(target=to_host, daemon=True).start()
    while not done.is_set():
        if select.select([streams[0]], [], [], 0.2)[0]:
            os.write(terminal, streams[0].read(65536))
    _, status = os.waitpid(pid, 0)
    return {"status": os.waitstatus_to_exitcode(status)}


VERBS = {"prepare": prepare, "run": run, "shell": shell}


def main():
    subprocess.run(["systemctl", "is-system-running", "--wait"], check=False,
                   stdout=subprocess.DEVNULL)
    subprocess.run(["udevadm", "settle"], check=False)
    # Loaded before the snapshot is taken, they need not be loaded by each run.
    subprocess.run(["modprobe", "-a", "9p", "9pnet_virtio"], check=False)
    streams = [open(PORTS + "lab.in", "rb", 0), open(PORTS + "lab.out", "wb", 0),
               open(PORTS + "lab.err", "wb", 0)]
    with open(PORTS + "lab.control", "r+b", 0) as control:
        def say(answer):
            control.write(json.dumps(answer).encode() + b"\n")
        say({"ready": True, "boot_id": boot_id_address()})
        buffer = b""
        while True:
            # A port without its other end reads as its end; the host is back in a moment.
            data = control.read(65536)
            if not data:
                time.sleep(0.01)
                continue
            buffer += data
            while b"\n" in buffer:
                line, buffer = buffer.split(b"\n", 1)
                request = json.loads(line)
                try:
                    verb = VERBS[request["verb"]]
                    say(verb(request) if verb is prepare else verb(request, streams))
                except Exception as error:  # pylint: disable=broad-except
                    say({"error": f"{error}\n{traceback.format_exc()}"})


if __name__ == "__main__":
    main()
