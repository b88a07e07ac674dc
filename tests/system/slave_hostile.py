#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A slave on a serial line that does all that slaves should not: slave_hostile.py DEVICE [SEED]

Register r of unit u is (1000 * u + r) modulo 65536, whenever it says so at all. Prints
"listening DEVICE" when it is ready, and "honest" when SIGUSR1 has made it so.
"""

import os
import random
import signal
import sys
import termios
import time
import tty

REQUEST_SIZE = 8


def checksum(data):
    crc = 0xffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xa001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


def frame(unit, function, data):
    body = bytes([unit, function]) + data
    return body + checksum(body)


def answer(request, more=0, unit=0, function=0):
    address, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big") + more
    values = b"".join(((1000 * request[0] + address + i) & 0xffff).to_bytes(2, "big")
                      for i in range(count))
    return frame(request[0] + unit & 0xff, request[1] ^ function, bytes([2 * count]) + values)


class Hostile:
    def __init__(self, device, seed):
        self.port = os.open(device, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.port)
        self.random = random.Random(seed)
        self.honest = False

    def be_honest(self, *_):
        self.honest = True
        print("honest", flush=True)

    def send(self, data):
        os.write(self.port, data)

    def send_split(self, data):
        for i in range(len(data)):
            self.send(data[i:i + 1])
            time.sleep(0.001)

    def send_late(self, data):
        """Not later than the driver can tell. What was sent meanwhile it did not hear."""
        time.sleep(self.random.uniform(0.05, 0.17))
        self.send(data)
        termios.tcflush(self.port, termios.TCIFLUSH)

    def play(self, request):
        """One of them by chance."""
        right = answer(request)
        noise = self.random.randbytes(self.random.randint(1, 60))
        cut = self.random.randrange(len(right))
        turned = bytearray(right)
        turned[cut] ^= 1 << self.random.randrange(8)
        self.random.choice([
            lambda: None,
            lambda: self.send(right),
            lambda: self.send(noise),
            lambda: self.send(noise + right + noise),
            lambda: self.send(right[:cut]),
            lambda: self.send(right[:cut] + right),
            lambda: self.send(bytes(turned)),
            lambda: self.send_split(right),
            lambda: self.send_late(right),
            lambda: self.send(answer(request, unit=1)),
            lambda: self.send(answer(request, function=7)),
            lambda: self.send(answer(request, more=1)),
            lambda: self.send(answer(request, more=-1)),
            lambda: self.send(request + right),
            lambda: self.send(request),
            lambda: self.send(frame(request[0], request[1] | 0x80,
                                    bytes([self.random.randint(0, 12)]))),
        ])()

    def serve(self):
        data = b""
        while True:
            data += os.read(self.port, 256)
            # a request comes in one go, and what is left of a broken one is dropped
            while len(data) >= REQUEST_SIZE:
                request, data = data[:REQUEST_SIZE], data[REQUEST_SIZE:]
                if checksum(request[:-2]) != request[-2:]:
                    data = b""
                elif self.honest:
                    self.send(answer(request))
                else:
                    self.play(request)


def main():
    slave = Hostile(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    signal.signal(signal.SIGUSR1, slave.be_honest)
    print(f"listening {sys.argv[1]}", flush=True)
    slave.serve()


if __name__ == "__main__":
    main()
