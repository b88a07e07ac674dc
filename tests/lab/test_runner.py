# SPDX-License-Identifier: Apache-2.0
"""The runner and the machine keep their promises."""

import subprocess

import pytest
from lab import HERE
from lab.disk import Disk
from lab.machine import Ended, Machine

RUN = HERE / "run"


def run(*words):
    return subprocess.run([RUN, *words], check=False, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=300)


def test_status_and_output(tmp_path):
    script = tmp_path / "script.sh"
    script.write_text("echo out; echo err >&2; id -u; echo kept >/lab/out/file; exit 3\n")
    done = run("--out", tmp_path / "out", script)
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n0\n", "err\n")
    assert (tmp_path / "out" / "file").read_text() == "kept\n"


def test_killed_by_a_signal(tmp_path):
    script = tmp_path / "script.sh"
    script.write_text("kill -9 $$\n")
    assert run(script).returncode == 128 + 9


def test_each_start_is_a_boot():
    ids = set()
    for _ in range(2):
        with Machine() as machine:
            ids.add(machine.check(["cat", "/proc/sys/kernel/random/boot_id"]))
            assert machine.run(["test", "-e", "/root/trace"]).status == 1
            machine.check(["touch", "/root/trace"])
    assert len(ids) == 2


def test_real_boot():
    with Machine(cold=True, kernel_words="lab.word") as machine:
        assert "lab.word" in machine.check(["cat", "/proc/cmdline"])
        assert machine.check(["systemctl", "is-system-running", "--wait"]) == "running\n"


def test_disk_loses_what_was_not_flushed(tmp_path):
    """Blocks that are in the file already, so that the file system has nothing to flush."""
    disk = Disk(tmp_path / "disk.ext4")
    with Machine(disk=disk) as machine:
        machine.check(["sh", "-c", "mount /dev/vdb /mnt && cd /mnt && "
                       "dd if=/dev/urandom bs=64k count=1 of=flushed && cp flushed lazy"])
        machine.power_off()
    write = "dd if=/dev/zero bs=4096 count=16 oflag=direct conv=notrunc{} of=/mnt/{}"
    with Machine(disk=disk) as machine:
        machine.check(["sh", "-c", f"mount -o noatime /dev/vdb /mnt && "
                       f"{write.format(',fsync', 'flushed')} && {write.format('', 'lazy')}"])
        machine.cut()
    with Machine(disk=disk) as machine:
        machine.check(["mount", "/dev/vdb", "/mnt"])
        zero = ["cmp", "-s", "-n", "65536", "/dev/zero"]
        assert machine.run([*zero, "/mnt/flushed"]).status == 0
        assert machine.run([*zero, "/mnt/lazy"]).status == 1


def test_plug_pulled_at_a_line(tmp_path):
    script = tmp_path / "script.sh"
    script.write_text("mount /dev/vdb /mnt; cat /mnt/file; "
                      "echo once >/mnt/file; sync; echo now; sleep 1000\n")
    disk = tmp_path / "disk.ext4"
    for wanted in ("now\n", "once\nnow\n"):
        done = run("--disk", disk, "--cut-at", "^now", script)
        assert done.returncode == 0 and done.stdout == wanted


def test_machine_that_ends():
    with Machine() as machine:
        command = machine.begin(["sleep", "1000"])
        machine.cut()
        with pytest.raises(Ended):
            command.wait(60)
