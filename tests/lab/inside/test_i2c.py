# SPDX-License-Identifier: Apache-2.0
"""The I2C hardware is there and behaves."""

import errno
from pathlib import Path

import pytest
from smbus2 import SMBus, i2c_msg

from lab_guest import i2c
from lab_guest.command import load


def combined(bus, address, register, length):
    """Write, repeated start, read."""
    write, read = i2c_msg.write(address, register), i2c_msg.read(address, length)
    bus.i2c_rdwr(write, read)
    return bytes(read)


def test_raw_adapter():
    chip = i2c.Lm75(0x48)
    chip.set(21.5)
    with i2c.Adapter(chip) as adapter, SMBus(adapter.path) as bus:
        assert combined(bus, 0x48, [0], 2) == b"\x15\x80"
        chip.set(-10)
        assert combined(bus, 0x48, [0], 2) == b"\xf6\x00"
        bus.write_i2c_block_data(0x48, 2, [0x4b, 0x00])
        assert bus.read_byte_data(0x48, 2) == 0x4b
        with pytest.raises(OSError) as absent:
            combined(bus, 0x49, [0], 1)
        assert absent.value.errno == errno.ENXIO


def test_chip_with_commands():
    chip = i2c.Sht3x(celsius=25.0, humidity=40.0)
    with i2c.Adapter(chip) as adapter, SMBus(adapter.path) as bus:
        bus.i2c_rdwr(i2c_msg.write(0x44, [0x24, 0x00]))
        read = i2c_msg.read(0x44, 6)
        bus.i2c_rdwr(read)
        answer = bytes(read)
    assert chip.commands == [b"\x24\x00"]
    assert int.from_bytes(answer[:2], "big") * 175 / 65535 - 45 == pytest.approx(25, abs=0.01)
    # the example of the data sheet
    assert i2c.Sht3x.crc(b"\xbe\xef") == 0x92
    assert answer[2] == i2c.Sht3x.crc(answer[:2])


@pytest.mark.parametrize("fault, error", [(i2c.NAK, errno.ENXIO), (i2c.HANG, errno.EIO),
                                          (i2c.SHORT, errno.EIO)])
def test_faults(fault, error):
    chip = i2c.Lm75(0x48)
    chip.set(1)
    with i2c.Adapter(chip) as adapter, SMBus(adapter.path) as bus:
        chip.fault = fault
        with pytest.raises(OSError) as failed:
            combined(bus, 0x48, [0], 2)
        assert failed.value.errno == error
        chip.fault = None
        assert combined(bus, 0x48, [0], 2) == b"\x01\x00"


def test_unplugged_and_back():
    chip = i2c.Lm75(0x48)
    adapter = i2c.Adapter(chip)
    adapter.unplug()
    assert not Path(adapter.path).exists()
    with i2c.Adapter(chip) as adapter, SMBus(adapter.path) as bus:
        assert combined(bus, 0x48, [0], 1) == b"\x00"


def test_kernel_driver_takes_a_chip():
    """As on boards whose device tree names the chip."""
    chip = i2c.Lm75(0x48)
    chip.set(30)
    load("lm75")
    with i2c.Adapter(chip) as adapter:
        device = Path(f"/sys/bus/i2c/devices/{adapter.name}")
        (device / "new_device").write_text("lm75 0x48")
        hwmon = next((device / f"{adapter.number}-0048" / "hwmon").iterdir())
        assert (hwmon / "temp1_input").read_text() == "30000\n"
        with SMBus(adapter.path) as bus, pytest.raises(OSError) as busy:
            bus.read_byte_data(0x48, 0)
        assert busy.value.errno == errno.EBUSY


def test_stub():
    with SMBus(i2c.stub(0x48, 0x76)) as bus:
        bus.write_word_data(0x76, 0x10, 0x1234)
        assert bus.read_word_data(0x76, 0x10) == 0x1234
        assert bus.read_byte_data(0x48, 0x10) == 0
        with pytest.raises(OSError):
            bus.read_byte_data(0x20, 0)


def test_chipset():
    with SMBus(i2c.chipset()) as bus:
        bus.write_byte_data(0x50, 0x10, 0x5a)
        assert bus.read_byte_data(0x50, 0x10) == 0x5a
        with pytest.raises(OSError) as absent:
            bus.read_byte_data(0x20, 0)
        assert absent.value.errno == errno.ENXIO
