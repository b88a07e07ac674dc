# SPDX-License-Identifier: Apache-2.0
"""Ports on loopback."""

import os
import random
import socket

HOST = "127.0.0.1"
_random = random.Random(os.getpid() * 7919 + os.getppid())


def free_port():
    """A port that nobody listens on. Below the range of outgoing connections: in that range a
    connection attempt to a port where nobody listens could meet itself, and a server that is
    stopped for a while could find its port taken."""
    while True:
        port = _random.randrange(12000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
                return port
            except OSError:
                continue


def is_listening(port, host=HOST):
    try:
        with socket.create_connection((host, port), 0.2):
            return True
    except OSError:
        return False
