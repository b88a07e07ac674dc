# SPDX-License-Identifier: Apache-2.0
"""A raw I2C adapter whose chips are Python objects: i2c-tiny-usb over USB/IP.

The kernel's own driver for that USB adapter is bound to a device that the test plays, so programs
see an ordinary /dev/i2c-N with combined transfers. Each chip answers what the test wants, faults
included. There are, besides, stub(): registers in the kernel, SMBus calls only, and chipset(): the
SMBus of the mainboard with EEPROMs at 0x50 to 0x57.
"""

import socket
import threading
from pathlib import Path

from lib import wait

from . import usbip
from .command import load, run

ADAPTERS = Path("/sys/bus/i2c/devices")
# The requests of the adapter and their flags: linux/drivers/i2c/busses/i2c-tiny-usb.c
GET_FUNCTIONALITY, SET_DELAY, GET_STATUS, TRANSFER = 1, 2, 3, 4
STOP = 2
READ = 1
ACKNOWLEDGED, NOT_ACKNOWLEDGED = 1, 2
# linux/i2c.h: I2C_FUNC_I2C and I2C_FUNC_SMBUS_EMUL
FUNCTIONALITY = 0x00000001 | 0x0eff0008

NAK, HANG, SHORT = "nak", "hang", "short"


class Chip:
    """Subclasses say what a write means and what a read returns.

    `fault`: None; NAK, as if it were not there (ENXIO); HANG, the adapter does not answer (EIO
    after two seconds); SHORT, a transfer ends early (EIO).
    """

    def __init__(self, address):
        self.address = address
        self.fault = None
        self.transfers = 0

    def write(self, data):
        """A message to the chip."""

    def read(self, length):
        """A message from the chip: that many bytes."""
        return bytes(length)


class Registers(Chip):
    """Registers of one byte; the first byte written picks one, and it counts up."""

    def __init__(self, address, content=None):
        super().__init__(address)
        self.registers = dict(content or {})
        self.pointer = 0

    def write(self, data):
        if data:
            self.pointer = data[0]
        for offset, value in enumerate(data[1:]):
            self.registers[self.pointer + offset] = value

    def read(self, length):
        return bytes(self.registers.get(self.pointer + i, 0) for i in range(length))


class Lm75(Registers):
    """Temperature in register 0: 9 bits, half degrees, the high byte first (LM75A, 7.4.2)."""

    def set(self, celsius):
        self.registers.update(enumerate((round(celsius * 2) * 128 & 0xffff).to_bytes(2, "big")))


class Sht3x(Chip):
    """Temperature and humidity by command, each with its checksum (SHT3x datasheet, 4.12)."""

    def __init__(self, address=0x44, celsius=20.0, humidity=50.0):
        super().__init__(address)
        self.celsius, self.humidity = celsius, humidity
        self.corrupt = False
        self.commands = []

    def write(self, data):
        self.commands.append(bytes(data))

    @staticmethod
    def crc(data):
        value = 0xff
        for byte in data:
            value ^= byte
            for _ in range(8):
                value = (value << 1 ^ (0x31 if value & 0x80 else 0)) & 0xff
        return value

    def read(self, length):
        answer = b""
        for part in ((self.celsius + 45) / 175, self.humidity / 100):
            word = round(part * 0xffff).to_bytes(2, "big")
            answer += word + bytes([self.crc(word) ^ (0xff if self.corrupt else 0)])
        return answer[:length].ljust(length, b"\xff")


class Adapter:
    """Plugged in when made; `path` is its /dev/i2c-N. `with Adapter(Lm75(0x48)) as adapter: ...`"""

    def __init__(self, *chips):
        # Loaded by name: nothing does it by itself. The unit of the gateway has to care for that.
        load("i2c-dev", "vhci-hcd", "i2c-tiny-usb")
        self.chips = {chip.address: chip for chip in chips}
        self._status = 0
        before = set(ADAPTERS.glob("i2c-*"))
        ours, theirs = socket.socketpair()
        self._device = usbip.Device(ours, vendor=0x0403, product=0xc631, control=self._control)
        threading.Thread(target=self._device.serve, daemon=True).start()
        self._port = usbip.plug_in(theirs)
        wait.until(lambda: set(ADAPTERS.glob("i2c-*")) - before, 30, "the adapter is there")
        self.name = (set(ADAPTERS.glob("i2c-*")) - before).pop().name
        self.number = int(self.name.removeprefix("i2c-"))
        self.path = f"/dev/{self.name}"
        wait.until(lambda: Path(self.path).exists(), 20, f"{self.path} is there")

    def add(self, chip):
        self.chips[chip.address] = chip
        return chip

    def _control(self, setup, data):
        """A request of the USB driver: the answer, None for never, or usbip.Stall."""
        if setup.request == GET_FUNCTIONALITY:
            return FUNCTIONALITY.to_bytes(4, "little")
        if setup.request == GET_STATUS:
            return bytes([self._status])
        if setup.request & ~3 == TRANSFER:
            return self._transfer(self.chips.get(setup.index), setup, data)
        return b""

    def _transfer(self, chip, setup, data):
        if chip is None or chip.fault == NAK:
            self._status = NOT_ACKNOWLEDGED
            return bytes(setup.length) if setup.value & READ else b""
        self._status = ACKNOWLEDGED
        chip.transfers += 1
        if chip.fault == HANG:
            return None
        if chip.fault == SHORT:
            return b"" if setup.value & READ else usbip.STALL
        if setup.value & READ:
            return bytes(chip.read(setup.length))
        chip.write(bytes(data))
        return b""

    def unplug(self):
        """What is open stays open, and fails with ENODEV or EIO."""
        usbip.unplug(self._port)
        wait.until(lambda: not (ADAPTERS / self.name).exists() or self._held(), 20, "unplugged")

    def _held(self):
        """The driver waits for those who have it open; the device node goes at once."""
        return not Path(self.path).exists()

    close = unplug

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.unplug()


def stub(*addresses):
    """Chips of 256 registers that hold what is written; the device's path."""
    load("i2c-dev")
    before = set(ADAPTERS.glob("i2c-*"))
    run("modprobe", "i2c-stub", "functionality=0xffffffff",
        "chip_addr=" + ",".join(hex(address) for address in addresses))
    return f"/dev/{(set(ADAPTERS.glob('i2c-*')) - before).pop().name}"


def chipset():
    """The path of the mainboard's SMBus."""
    load("i2c-dev", "i2c-i801")
    for adapter in ADAPTERS.glob("i2c-*"):
        if "I801" in (adapter / "name").read_text():
            return f"/dev/{adapter.name}"
    raise AssertionError("no I801 adapter")
