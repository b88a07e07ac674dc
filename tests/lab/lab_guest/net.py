# SPDX-License-Identifier: Apache-2.0
"""Networks in the machine: namespaces with bad lines to them, and a way to the host."""

import subprocess

from .command import run


class Namespace:
    """Another network, over a wire: 10.99.0.1 here, 10.99.0.2 there."""

    HERE, THERE = "10.99.0.1", "10.99.0.2"

    def __init__(self, name="far"):
        self.name = name
        run("ip", "netns", "add", name)
        run("ip", "link", "add", "near0", "type", "veth", "peer", "name", "far0", "netns", name)
        run("ip", "address", "add", f"{self.HERE}/24", "dev", "near0")
        run("ip", "link", "set", "near0", "up")
        self.run("ip", "address", "add", f"{self.THERE}/24", "dev", "far0")
        self.run("ip", "link", "set", "far0", "up")
        self.run("ip", "link", "set", "lo", "up")

    def command(self, *words):
        return ["ip", "netns", "exec", self.name, *map(str, words)]

    def run(self, *words):
        return run(*self.command(*words))

    def start(self, *words, **more):
        return subprocess.Popen(self.command(*words), stdin=subprocess.DEVNULL, **more)

    def shape(self, *netem):
        """Both directions as of tc-netem(8): shape("delay", "300ms", "loss", "10%")."""
        run("tc", "qdisc", "replace", "dev", "near0", "root", "netem", *netem)
        self.run("tc", "qdisc", "replace", "dev", "far0", "root", "netem", *netem)

    def like_2g(self):
        self.shape("delay", "300ms", "50ms", "loss", "2%", "rate", "40kbit")

    def good(self):
        run("tc", "qdisc", "delete", "dev", "near0", "root")
        self.run("tc", "qdisc", "delete", "dev", "far0", "root")

    def cut(self):
        """The line is dead, and nobody is told."""
        self.shape("loss", "100%")

    def unplug(self):
        run("ip", "link", "set", "near0", "down")

    def plug_in(self):
        run("ip", "link", "set", "near0", "up")

    def close(self):
        run("ip", "link", "delete", "near0")
        run("ip", "netns", "delete", self.name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


HOST = "10.0.2.2"


def reach_host():
    """From now on HOST is the host's loopback. There is no route to anywhere else."""
    run("ip", "address", "add", "10.0.2.15/24", "dev", "eth0")
    run("ip", "link", "set", "eth0", "up")
