# SPDX-License-Identifier: Apache-2.0
"""A virtual machine: started from a snapshot in a second, or booted, and told what to run."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import uuid
from collections import namedtuple
from pathlib import Path

from lib.process import Process

from . import ROOT, recipe
from .disk import SIZE
from .image import Image, locked
from .wires import Listener, Monitor, Ports, write_memory

MEMORY = "512M"
BOOT_TIMEOUT = 240
# The memory itself stays in its file.
CAPABILITIES = [{"capability": name, "state": True} for name in ("x-ignore-shared", "events")]
PORTS = ("control", "in", "out", "err")
KERNEL_WORDS = ("root=/dev/vda rw console=ttyS0 quiet mitigations=off nokaslr cryptomgr.notests "
                "audit=0 apparmor=0 selinux=0 nowatchdog tsc=reliable net.ifnames=0 panic=-1")

Done = namedtuple("Done", "status out err")


class Ended(AssertionError):
    """The machine is gone, or does not answer."""


def build_dir():
    """Holds the installed tree, in "install". $BUILD_DIR, or what ./test makes."""
    return Path(os.environ.get("BUILD_DIR") or ROOT / "build" / "lab").resolve()


class Machine:
    """`cold`: really boot. `disk`: a Disk, else an empty one that keeps nothing. `rtc`: what the
    hardware clock shows at the start. `fast_forward`: time jumps over what is idle. `devices`,
    `kernel_words`: more of QEMU's arguments and of the kernel's. All but `disk` mean a real boot.
    """

    def __init__(self, cold=False, disk=None, rtc=None, fast_forward=False, devices=(),
                 kernel_words=""):
        self.cold = bool(cold or rtc or fast_forward or devices or kernel_words)
        self.disk = disk
        self._rtc = rtc
        self._fast_forward = fast_forward
        self._devices = list(devices)
        self._kernel_words = kernel_words
        self.directory = Path(tempfile.mkdtemp(prefix="lab-"))
        self.out = self.directory / "out"
        self.out.mkdir()
        self.image = Image()
        self._qemu = Process(self.directory / "qemu.log")
        self._listeners = {}
        self._monitor = self._ports = None
        self.boot_id = None

    # --- life ---

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    def start(self):
        self.image.ensure()
        try:
            if self.cold:
                self.boot(f"file={self.image.root},format=raw,snapshot=on", f"size={MEMORY}")
            else:
                self._resume(snapshot(self.image))
            own_time = self._rtc or self._fast_forward
            self._ports.ask(verb="prepare", **({} if own_time else {"time": time.time()}))
            self._answer(60)
        except BaseException:
            self.close()
            raise
        return self

    def boot(self, root, memory):
        """From the kernel's first instruction to an agent that waits; what the agent says."""
        self._launch([*self._arguments(root, memory), "-kernel", self.image.kernel,
                      "-initrd", self.image.initrd,
                      "-append", f"{KERNEL_WORDS} {self._kernel_words}".strip()])
        return self._answer(BOOT_TIMEOUT)

    def _resume(self, directory):
        about = json.loads((directory / "about.json").read_text())
        self._launch([*self._arguments(f"file={directory / 'root.qcow2'},format=qcow2,snapshot=on",
                                       f"size={MEMORY},mem-path={directory / 'memory'},share=off"),
                      "-S", "-incoming", "defer"])
        monitor = self._monitor
        monitor.ask("migrate-set-capabilities", capabilities=CAPABILITIES)
        monitor.ask("migrate-incoming", uri=f"exec:cat {directory / 'state'}")
        monitor.wait_migrated()
        # Each power-up is a boot of its own to whoever compares boot ids, as the gateway does.
        if about["boot_id"]:
            write_memory(self._listeners["gdb"].socket, about["boot_id"], uuid.uuid4().bytes)
        monitor.ask("cont")

    def freeze(self, directory):
        """Writes everything that boot() has led to into the folder, and ends."""
        monitor = self._monitor
        monitor.ask("stop")
        monitor.ask("migrate-set-capabilities", capabilities=CAPABILITIES)
        monitor.ask("migrate", uri=f"exec:cat >{directory / 'state'}")
        monitor.wait_migrated()
        monitor.ask("quit")
        self._qemu.process.wait(30)

    def cut(self):
        """The plug is pulled."""
        # The disk first: what the guest flushes from now on must not arrive.
        if self.disk:
            self.disk.cut()
        self._qemu.kill()

    def power_off(self):
        """Everything that was written is on the disk; the guest is not asked."""
        self.run(["sync"])
        self._qemu.kill()
        if self.disk:
            self.disk.power_off()

    def close(self):
        self.cut()
        if self._ports:
            self._ports.join()
        for listener in self._listeners.values():
            listener.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def running(self):
        return self._qemu.running()

    def console(self):
        """What the kernel and QEMU had to say."""
        path = self.directory / "console.log"
        return self._qemu.log() + (path.read_text(errors="replace") if path.exists() else "")

    # --- running things ---

    def run(self, argv, timeout=120, **more):
        """A command to its end: status, output, errors."""
        return self.begin(argv, **more).wait(timeout)

    def check(self, argv, timeout=120, **more):
        """The same, and it must end with 0; its output."""
        done = self.run(argv, timeout, **more)
        assert done.status == 0, f"{argv}: {done.status}\n{done.out}{done.err}"
        return done.out

    def begin(self, argv, environment=None):
        """A command that is talked to while it runs."""
        return Command(self, verb="run", argv=[str(word) for word in argv],
                       environment=environment or {})

    def shell(self, size):
        """See the runner, which has the terminal."""
        return Command(self, verb="shell", size=size)

    @property
    def ports(self):
        return self._ports

    def _answer(self, timeout):
        answer = self._ports.answer(timeout)
        if answer is None:
            raise Ended(f"no answer within {timeout} s\n{self.console()[-3000:]}")
        if "error" in answer:
            raise Ended(answer["error"])
        return answer

    # --- QEMU ---

    def _listen(self, name):
        self._listeners[name] = Listener(self.directory / f"{name}.sock")
        return self._listeners[name].path

    def _launch(self, arguments):
        if self.disk:
            self.disk.power_on(self.directory / "disk.sock")
        self._qemu.launch(["qemu-system-x86_64", *map(str, arguments)])
        try:
            self._monitor = Monitor(self._listeners["qmp"].accept())
            self._listeners["gdb"].accept()
            self._ports = Ports(*(self._listeners[name].accept() for name in PORTS))
        except OSError as error:
            raise Ended(f"QEMU: {error}\n{self.console()[-3000:]}") from error

    def _arguments(self, root, memory):
        """All that a machine from a snapshot must have in common with the one it was made of."""
        backend = "memory-backend-file" if "mem-path" in memory else "memory-backend-ram"
        return [
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-machine", "q35,memory-backend=ram", "-m", MEMORY,
            "-object", f"{backend},id=ram,{memory}",
            "-cpu", "qemu64,+rdrand,+ssse3,+sse4.1,+sse4.2,+popcnt", *self._time_arguments(),
            "-serial", f"file:{self.directory / 'console.log'}",
            "-chardev", f"socket,id=qmp,path={self._listen('qmp')}",
            "-mon", "chardev=qmp,mode=control",
            "-chardev", f"socket,id=gdb,path={self._listen('gdb')}", "-gdb", "chardev:gdb",
            "-drive", f"{root},if=none,id=root", "-device", "virtio-blk-pci,drive=root",
            "-blockdev", self._data_disk(), "-device", "virtio-blk-pci,drive=data",
            *self._port_arguments(), *self._share_arguments(),
            # Two CAN controllers on one bus.
            "-object", "can-bus,id=bus0", *["-device", "kvaser_pci,canbus=bus0"] * 2,
            # Two serial ports, ttyS1 and ttyS2, wired to each other.
            "-chardev", f"socket,id=uart1,path={self.directory / 'uart'},server=on,wait=off",
            "-chardev", f"socket,id=uart2,path={self.directory / 'uart'}",
            "-device", "pci-serial,chardev=uart1", "-device", "pci-serial,chardev=uart2",
            # A way to the host's loopback, which is 10.0.2.2 there; down until a test asks for it.
            "-netdev", "user,id=host", "-device", "virtio-net-pci,netdev=host,romfile=",
            *self._devices,
        ]

    def _time_arguments(self):
        rtc = [f"base={self._rtc}"] if self._rtc else []
        if not self._fast_forward:
            words = ["-accel", "tcg,thread=multi", "-smp", "2"]
        else:
            words = ["-accel", "tcg,thread=single", "-smp", "1", "-icount", "shift=2,sleep=off"]
            rtc.append("clock=vm")
        return words + (["-rtc", ",".join(rtc)] if rtc else [])

    def _data_disk(self):
        if self.disk:
            return ("driver=nbd,node-name=data,server.type=unix,"
                    f"server.path={self.directory / 'disk.sock'}")
        return f"driver=null-co,node-name=data,size={SIZE},read-zeroes=on"

    def _port_arguments(self):
        words = ["-device", "virtio-serial-pci"]
        for name in PORTS:
            words += ["-chardev", f"socket,id={name},path={self._listen(name)}",
                      "-device", f"virtserialport,chardev={name},name=lab.{name}"]
        return words

    def _share_arguments(self):
        build = build_dir()
        if not build.is_dir():
            build = self.directory / "empty"
            build.mkdir()
        words = []
        for tag, path, readonly in (("source", ROOT, "on"), ("build", build, "on"),
                                    ("out", self.out, "off")):
            words += ["-fsdev", f"local,id={tag},path={path},security_model=none,"
                                f"multidevs=remap,readonly={readonly}",
                      "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
        return words


class Command:
    """Something that runs in the machine. One at a time."""

    def __init__(self, machine, **request):
        self._machine = machine
        self._ports = machine.ports
        self._mark = {name: len(getattr(self._ports, name)) for name in ("stdout", "stderr")}
        self._seen = self._mark["stdout"]
        self._ports.ask(**request)

    def output(self):
        """What it has printed so far."""
        return self._text("stdout")

    def _text(self, name):
        with self._ports.changed:
            return bytes(getattr(self._ports, name)[self._mark[name]:]).decode(errors="replace")

    def send(self, line):
        """To its standard input."""
        self._ports.send(f"{line}\n".encode())

    def wait_line(self, pattern, timeout=60):
        """The next line of its output that matches; the match."""
        expression = re.compile(pattern)
        end = time.monotonic() + timeout
        with self._ports.changed:
            while True:
                while (stop := self._ports.stdout.find(b"\n", self._seen)) >= 0:
                    line = bytes(self._ports.stdout[self._seen:stop]).decode(errors="replace")
                    self._seen = stop + 1
                    if match := expression.search(line):
                        return match
                left = end - time.monotonic()
                if left <= 0 or self._ports.closed or self._ports.answered():
                    break
                self._ports.changed.wait(left)
        raise Ended(f"no line like {pattern!r}; there was:\n{self.output()[-3000:]}"
                    f"{self._text('stderr')[-3000:]}")

    def wait(self, timeout=120):
        answer = self._ports.answer(timeout)
        if answer is None or "error" in answer:
            reason = answer["error"] if answer else f"it did not end within {timeout} s"
            raise Ended(f"{reason}\n{self.output()[-3000:]}{self._text('stderr')[-3000:]}"
                        f"{self._machine.console()[-2000:]}")
        return Done(answer["status"], self.output(), self._text("stderr"))


def snapshot(image):
    """The folder of a machine that has booted, made once for an image and this QEMU."""
    version = subprocess.run(["qemu-system-x86_64", "--version"], check=True,
                             stdout=subprocess.PIPE).stdout
    digest = hashlib.sha256(version + Path(__file__).read_bytes())
    directory = image.directory / f"snapshot-{digest.hexdigest()[:12]}"
    if directory.is_dir():
        return directory
    with locked("snapshot.lock"):
        if not directory.is_dir():
            for old in image.directory.glob("snapshot-*"):
                shutil.rmtree(old, ignore_errors=True)
            new = Path(tempfile.mkdtemp(prefix="new-", dir=image.directory))
            try:
                _make_snapshot(new)
                new.rename(directory)
            finally:
                shutil.rmtree(new, ignore_errors=True)
    return directory


def _make_snapshot(directory):
    overlay = directory / "root.qcow2"
    # Relative, so that the cache can be moved: the finished folder lies beside the root.
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-u",
                    "-b", "../root.ext4", overlay, str(recipe.ROOT_SIZE)], check=True)
    machine = Machine(cold=True)
    try:
        (directory / "about.json").write_text(json.dumps(machine.boot(
            f"file={overlay},format=qcow2",
            f"size={MEMORY},mem-path={directory / 'memory'},share=on")))
        machine.freeze(directory)
    finally:
        machine.close()
