# SPDX-License-Identifier: Apache-2.0
"""The base image: Debian's kernel, a small initrd, and a root file system, kept in a cache.

Made from the packages of the mirror that this host uses. Takes root, once for each recipe.
"""

import contextlib
import fcntl
import hashlib
import lzma
import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

from . import HERE, recipe

# One for all working copies.
CACHES = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
CACHE = Path(os.environ.get("LAB_CACHE") or CACHES / "sensocan-gateway-lab")
AGENT = HERE / "agent" / "agent.py"
# Few are needed: one for each branch that somebody works on.
KEEP = 3
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils", "mmdebstrap": "mmdebstrap",
    "busybox": "busybox-static", "modprobe": "kmod", "mke2fs": "e2fsprogs", "cpio": "cpio",
    "nbdkit": "nbdkit",
}

AGENT_UNIT = """\
[Unit]
Description=Runs what the host asks for
[Service]
# Without it the ports may not have their names yet.
ExecStartPre=udevadm settle
ExecStart=/usr/bin/python3 -B /usr/local/lib/lab-agent
KillMode=process
OOMScoreAdjust=-1000
[Install]
WantedBy=multi-user.target
"""

INIT = """\
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
for module in $(/bin/busybox cat /modules/order); do
	/bin/busybox insmod /modules/$module
done
while [ ! -b /dev/vda ]; do /bin/busybox usleep 10000; done
/bin/busybox mount -t ext4 -o rw /dev/vda /root
/bin/busybox umount /sys
/bin/busybox umount /proc
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init
"""


class Unavailable(Exception):
    """The lab cannot run on this machine, and why."""


def require_tools():
    if os.uname().machine != "x86_64":
        raise Unavailable(f"the lab is made for x86_64, this is {os.uname().machine}")
    missing = [package for tool, package in TOOLS.items() if not shutil.which(tool, path=PATH)]
    if missing:
        raise Unavailable(f"not installed: {' '.join(missing)} (tests/setup lab)")


def run(*command, **more):
    subprocess.run([str(word) for word in command], check=True, stdin=subprocess.DEVNULL, **more)


@contextlib.contextmanager
def locked(name):
    """Only one process makes a thing, the others wait for it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / name, "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sources():
    """Where this host's packages come from."""
    apt = Path("/etc/apt")
    found = [path for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
             if path.suffix in (".list", ".sources") and path.exists()]
    debian = [path for path in found if "/debian" in path.read_text(errors="replace")]
    return debian or ["http://deb.debian.org/debian"]


def apt_options():
    """What this host has told apt of its way to the mirror: proxies, and how old lists may be."""
    text = subprocess.run(["apt-config", "dump", "Acquire"], check=True, stdout=subprocess.PIPE,
                          text=True).stdout
    wanted = ("Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries")
    return [line.rstrip(";") for line in text.splitlines()
            if line.startswith(wanted) and not line.endswith('"";')]


class Image:
    """Paths of kernel, initrd and root.ext4, once made() is true."""

    def __init__(self):
        digest = hashlib.sha256()
        for path in (Path(recipe.__file__), Path(__file__), AGENT):
            digest.update(path.read_bytes())
        self.directory = CACHE / f"image-{digest.hexdigest()[:12]}"
        self.kernel = self.directory / "vmlinux"
        self.initrd = self.directory / "initrd.gz"
        self.root = self.directory / "root.ext4"

    def made(self):
        return self.directory.is_dir()

    def ensure(self, say=lambda text: None):
        """Makes it if it is not there."""
        require_tools()
        if not self.made():
            with locked("image.lock"):
                if not self.made():
                    self._make(say)
        os.utime(self.directory)
        return self

    def _make(self, say):
        if os.geteuid() != 0:
            raise Unavailable("there is no image yet, and making it takes root "
                              "(once: tests/lab/run --build)")
        say(f"making the image of the lab in {self.directory}: about a minute")
        with tempfile.TemporaryDirectory(prefix="new-", dir=CACHE) as temporary:
            work = Path(temporary)
            self._bootstrap(work)
            new = work / "image"
            new.mkdir()
            release = self._install_modules(work)
            self._configure(work / "root")
            (new / "vmlinux").write_bytes(vmlinux(work / "kernel" / "boot" / f"vmlinuz-{release}"))
            self._make_initrd(work, release, new / "initrd.gz")
            with open(new / "root.ext4", "wb") as file:
                file.truncate(recipe.ROOT_SIZE)
            run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal",
                "-E", "lazy_itable_init=1,root_owner=0:0", "-d", work / "root", new / "root.ext4",
                env={"PATH": PATH})
            new.rename(self.directory)
        self._forget_old()

    def _bootstrap(self, work):
        """Root file system and unpacked kernel. A mirror in the middle of an update fails once."""
        unpack = ('cd "$1/.." && export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" && '
                  f'name=$(apt-cache depends {recipe.KERNEL} | sed -n "s/.*Depends: //p" | head -1)'
                  ' && apt-get download -qq "$name" && dpkg-deb -x "$name"_*.deb kernel'
                  ' && depmod -b kernel "$(ls kernel/lib/modules)"')
        command = ["mmdebstrap", "--quiet", "--variant=essential", "--format=directory",
                   f"--include={','.join(recipe.PACKAGES)}", f"--customize-hook={unpack}",
                   *[f"--dpkgopt=path-exclude=/usr/share/{name}/*"
                     for name in ("doc", "man", "locale", "info")],
                   *[f"--aptopt={option}" for option in apt_options()],
                   recipe.SUITE, str(work / "root"), *map(str, sources())]
        for last in (False, True):
            done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  env={**os.environ, "PATH": PATH})
            if done.returncode == 0:
                return
            if last:
                raise RuntimeError(f"mmdebstrap: {done.stdout.strip()[-2000:]}")
            for name in ("root", "kernel"):
                shutil.rmtree(work / name, ignore_errors=True)

    def _install_modules(self, work):
        """Those of the recipe with what they need; the kernel's release."""
        kernel = work / "kernel"
        release = next((kernel / "lib" / "modules").iterdir()).name
        for name in needed(kernel, release, recipe.MODULES):
            target = work / "root" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(kernel / name, target)
        for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            path = Path("lib/modules") / release / name
            shutil.copy(kernel / path, work / "root" / path)
        run("depmod", "-b", work / "root", release, env={"PATH": PATH})
        return release

    def _configure(self, root):
        def write(name, text):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

        system = root / "etc/systemd/system"
        for unit in recipe.MASKED_UNITS:
            (system / unit).unlink(missing_ok=True)
            (system / unit).symlink_to("/dev/null")
        generators = root / "etc/systemd/system-generators"
        generators.mkdir(parents=True, exist_ok=True)
        for generator in (root / "lib/systemd/system-generators").iterdir():
            (generators / generator.name).symlink_to("/dev/null")
        write("etc/systemd/system/lab-agent.service", AGENT_UNIT)
        run("systemctl", f"--root={root}", "-q", "disable", *recipe.DISABLED_UNITS)
        run("systemctl", f"--root={root}", "-q", "enable", "lab-agent.service")
        write("usr/local/lib/lab-agent", AGENT.read_text())
        # Without it the first boot would make one, and call itself a first boot.
        write("etc/machine-id", "5c0ffee05c0ffee05c0ffee05c0ffee0\n")
        write("etc/hostname", "lab\n")
        write("etc/hosts", "127.0.0.1 localhost lab\n::1 localhost\n")
        write("etc/fstab", "")
        (root / "etc/resolv.conf").unlink(missing_ok=True)
        # The time stamps of /usr say that nothing has to be updated.
        for name in ("etc/.updated", "var/.updated"):
            write(name, "")
        for name in ("lab", "lab/source", "lab/build", "lab/out"):
            (root / name).mkdir()
        shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
        shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)

    def _make_initrd(self, work, release, target):
        tree = work / "initrd"
        for name in ("bin", "modules", "proc", "sys", "dev", "root"):
            (tree / name).mkdir(parents=True)
        shutil.copy(shutil.which("busybox", path=PATH), tree / "bin" / "busybox")
        order = needed(work / "kernel", release, recipe.EARLY_MODULES)
        for name in order:
            shutil.copy(work / "kernel" / name, tree / "modules")
        (tree / "modules" / "order").write_text("\n".join(Path(name).name for name in order) + "\n")
        (tree / "init").write_text(INIT)
        (tree / "init").chmod(0o755)
        run("sh", "-c", 'find . | cpio --quiet -o -H newc -R 0:0 | gzip -1 >"$0"', target, cwd=tree)

    def _forget_old(self):
        images = sorted(CACHE.glob("image-*"), key=lambda path: path.stat().st_mtime)
        for path in images[:-KEEP]:
            shutil.rmtree(path, ignore_errors=True)


def needed(kernel, release, modules):
    """Files of these modules and of those they depend on, in the order of loading."""
    done = subprocess.run(["modprobe", "-d", kernel, "-S", release, "-a", "-D", *modules],
                          check=True, stdout=subprocess.PIPE, text=True, env={"PATH": PATH})
    found = [Path(line.split()[1]).relative_to(kernel) for line in done.stdout.splitlines()
             if line.startswith("insmod ")]
    return list(dict.fromkeys(map(str, found)))


def vmlinux(bzimage):
    """The kernel as it is inside of its packed file, which saves unpacking it under emulation:
    payload_offset and payload_length of the x86 boot protocol (Documentation/arch/x86/boot.rst)."""
    data = bzimage.read_bytes()
    start = (data[0x1f1] + 1) * 512 + struct.unpack_from("<I", data, 0x248)[0]
    length = struct.unpack_from("<I", data, 0x24c)[0]
    return lzma.LZMADecompressor().decompress(data[start:start + length])
