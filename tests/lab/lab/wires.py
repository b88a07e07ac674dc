# SPDX-License-Identifier: Apache-2.0
"""What QEMU is talked to by: its monitor, its debugger stub, and the ports of the guest.

All are Unix sockets on which the host listens before QEMU starts, so nobody has to wait for a
socket to appear.
"""

import json
import selectors
import socket
import threading


class Listener:
    """One connection, made by QEMU."""

    def __init__(self, path):
        self.path = path
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(path))
        self._listening.listen(1)
        self.socket = None

    def accept(self, timeout=20):
        self._listening.settimeout(timeout)
        self.socket, _ = self._listening.accept()
        self._listening.close()
        return self.socket

    def close(self):
        self._listening.close()
        if self.socket:
            self.socket.close()


class Monitor:
    """The machine protocol of QEMU, QMP."""

    def __init__(self, connection):
        self._file = connection.makefile("rw", encoding="utf-8")
        self._events = []
        self._read()  # the greeting
        self.ask("qmp_capabilities")

    def _read(self):
        line = self._file.readline()
        if not line:
            raise ConnectionError("QEMU has ended")
        return json.loads(line)

    def ask(self, command, **arguments):
        self._file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._file.flush()
        while "event" in (answer := self._read()):
            self._events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{command}: {answer['error']['desc']}")
        return answer["return"]

    def wait_migrated(self):
        while True:
            event = self._events.pop(0) if self._events else self._read()
            status = event.get("data", {}).get("status")
            if event.get("event") == "MIGRATION" and status in ("completed", "failed"):
                if status == "failed":
                    raise RuntimeError("saving or loading the memory of the machine failed")
                return


def write_memory(connection, address, data):
    """Through the debugger stub, in the remote serial protocol of GDB; the machine is stopped."""
    connection.settimeout(10)
    packet = f"M{address:x},{len(data):x}:{data.hex()}"
    connection.sendall(f"${packet}#{sum(packet.encode()) % 256:02x}".encode())
    answer = b""
    while b"#" not in answer:
        answer += connection.recv(100)
    connection.sendall(b"+")
    if b"$OK#" not in answer:
        raise RuntimeError(f"writing the memory of the machine: {answer!r}")


class Ports:
    """The guest's ports: requests out, answers in, and what its programs print.

    An answer counts once everything that was printed before it has been read. The guest's write to
    a port ends when QEMU has passed it on, so by the time of the answer it is here.
    """

    def __init__(self, control, stdin, stdout, stderr):
        self._control, self._stdin = control, stdin
        self._outputs = {stdout: bytearray(), stderr: bytearray()}
        self.stdout, self.stderr = (self._outputs[stdout], self._outputs[stderr])
        self._answers = []
        self._partial = b""
        self.closed = False
        self.changed = threading.Condition()
        self.on_output = {}
        self._sockets = (stdout, stderr)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def tee(self, sinks):
        """Where the two outputs go as well, as functions of bytes."""
        self.on_output = dict(zip(self._sockets, sinks))

    def join(self):
        """QEMU is gone: everything that it has left behind has been read afterwards."""
        self._watcher.join(10)

    def _take(self, port):
        """What is there; false at its end."""
        while True:
            try:
                data = port.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                return False
            if port is self._control:
                self._partial += data
                continue
            self._outputs[port] += data
            if port in self.on_output:
                self.on_output[port](data)

    def _watch(self):
        with selectors.DefaultSelector() as selector:
            for port in (self._control, *self._outputs):
                selector.register(port, selectors.EVENT_READ)
            alive = True
            while alive:
                selector.select()
                # The control port first: what it says is younger than what the others hold.
                with self.changed:
                    alive = self._take(self._control)
                    for port in self._outputs:
                        self._take(port)
                    *lines, self._partial = self._partial.split(b"\n")
                    self._answers += map(json.loads, lines)
                    self.closed = not alive
                    self.changed.notify_all()

    def ask(self, **request):
        self._control.sendall(json.dumps(request).encode() + b"\n")

    def answer(self, timeout):
        """The next one, or None if it does not come."""
        with self.changed:
            self.changed.wait_for(lambda: self._answers or self.closed, timeout)
            return self._answers.pop(0) if self._answers else None

    def answered(self):
        return bool(self._answers)

    def send(self, data):
        self._stdin.sendall(data)
