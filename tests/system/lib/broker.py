# SPDX-License-Identifier: Apache-2.0
"""A real mosquitto on a free loopback port, with a user and an ACL for each device."""

import shutil
import signal
import subprocess
from pathlib import Path

from . import net, wait
from .process import Process

OBSERVER = ("observer", "sees everything")


class Broker(Process):
    """Devices log in by name and may write below their own topic only, as on the platform. The
    observer may read everything.

    mosquitto forgets subscriptions when it is killed. So that nothing goes unseen between its
    return and the observer's, remember_sessions() makes it write its sessions to disk; every later
    start has them, and keeps for the observer what comes before it is back.
    """

    def __init__(self, directory, tenant="123", devices=(), tls=None, settings=(), denied=()):
        """`devices`: of (user, password, uuid). `tls`: dict of cert, key, and ca to demand client
        certificates. `settings`: more lines of mosquitto.conf. `denied`: topics nobody may use."""
        directory.mkdir(parents=True, exist_ok=True)
        super().__init__(directory / "mosquitto.log")
        self.directory = directory
        self.tenant = tenant
        self.port = net.free_port()
        self.tls_port = net.free_port() if tls else None
        self.settings = list(settings)
        self.denied = list(denied)
        self._tls = tls
        self.set_devices(devices)
        self._write_config()

    def set_devices(self, devices):
        """Users and what they may do; on a running broker in force after reload()."""
        self.devices = list(devices)
        passwords, acl = [f"{OBSERVER[0]}:{OBSERVER[1]}"], [f"user {OBSERVER[0]}", "topic read #"]
        for user, password, uuid in self.devices:
            passwords.append(f"{user}:{password}")
            acl.append(f"user {user}")
            # "deny" wins over what allows, wherever it stands (mosquitto.conf(5), acl_file).
            acl += [f"topic deny {topic}" for topic in self.denied]
            acl.append(f"topic write tenant/{self.tenant}/device/{uuid}/#")
        users = self.directory / "passwords"
        users.write_text("\n".join(passwords) + "\n")
        subprocess.run(["mosquitto_passwd", "-U", users], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        (self.directory / "acl").write_text("\n".join(acl) + "\n")

    def set_denied(self, topics):
        self.denied = list(topics)
        self.set_devices(self.devices)

    def reload(self):
        self.signal(signal.SIGHUP)

    def _write_config(self):
        lines = [
            "per_listener_settings false",
            "allow_anonymous false",
            f"password_file {self.directory}/passwords",
            f"acl_file {self.directory}/acl",
            # Only when asked by a signal, or a kill would depend on when it last wrote.
            "persistence true",
            f"persistence_location {self.directory}/",
            "autosave_interval 0",
            "max_queued_messages 0",
            "queue_qos0_messages true",
            "log_type error", "log_type warning", "log_type notice", "log_type information",
            "log_dest stderr",
            "connection_messages true",
            *self.settings,
            f"listener {self.port} {net.HOST}",
        ]
        if Path("/proc/self").stat().st_uid == 0:
            lines.insert(0, "user root")
        if self._tls:
            lines += [f"listener {self.tls_port} {net.HOST}",
                      f"certfile {self._tls['cert']}", f"keyfile {self._tls['key']}"]
            if "ca" in self._tls:
                lines += [f"cafile {self._tls['ca']}", "require_certificate true"]
        (self.directory / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def start(self):
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
        self.launch([program, "-c", self.directory / "mosquitto.conf"])
        wait.until(lambda: not self.running() or net.is_listening(self.port), 10,
                   "the broker listens")
        assert self.running(), self.log()
        return self

    def remember_sessions(self):
        database = self.directory / "mosquitto.db"
        database.unlink(missing_ok=True)
        self.signal(signal.SIGUSR1)
        # Written elsewhere and renamed: once it is there, it is complete.
        wait.until(lambda: database.exists() or self._nudge(), 10, "the broker wrote its sessions")

    def _nudge(self):
        """mosquitto looks at its signals when its loop turns, at the next event."""
        net.is_listening(self.port)
        return False
