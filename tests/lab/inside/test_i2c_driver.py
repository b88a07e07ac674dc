# SPDX-License-Identifier: Apache-2.0
"""The I2C driver with adapters of the kernel: one that the test plays, i2c-stub, the chipset's."""

import json
import subprocess
from pathlib import Path

import pytest
from smbus2 import SMBus

from lab_guest import i2c, service
from lab_guest.command import load
from lab_guest.scene import BOILER, LOGIN, sensor_uuid

LM75 = {"address": 0x48, "chip": "lm75"}


def configure(device, sensors, interval="1s"):
    """{slug: options} on one bus, without a broker: readings stay in the journal."""
    service.install()
    service.edit_unit("[Service]\n" + service.suggestion("for I2C"))
    service.configure({
        "platform": {"host": "127.0.0.1", "port": 1, "tls": False, "tenant": "123"},
        "clock": {"trust": "always"},
        "buses": [{"name": "wires", "driver": "i2c", "options": {"device": device}}],
        "devices": [{"name": "board", "uuid": BOILER, "username": LOGIN[0], "password": LOGIN[1],
                     "defaults": {"bus": "wires", "interval": interval},
                     "sensors": [{"slug": slug, "uuid": sensor_uuid(i), "options": options}
                                 for i, (slug, options) in enumerate(sensors.items())]}],
    })


def gateway(*words):
    """What it prints; what it complains about is in the output of the test."""
    return subprocess.run(["sensocan-gateway", *words], check=False, text=True, timeout=120,
                          stdout=subprocess.PIPE).stdout


def read():
    """{slug: value, or the error as text}."""
    lines = [json.loads(line) for line in gateway("read", "--json").splitlines()]
    return {line["sensor"]: line["error"] if line["value"] is None else line["value"]
            for line in lines}


def thermometer(celsius=21.5):
    chip = i2c.Lm75(0x48)
    chip.set(celsius)
    return chip


def test_every_kind_of_exchange():
    """Combined transfers, a command and a wait, plain reads, checksums; two chips of a kind."""
    registers = i2c.Registers(0x20, {0x10: 0x12, 0x11: 0x34, 0x12: 0x80})
    with i2c.Adapter(thermometer(), registers, i2c.Sht3x(0x44, 25, 40),
                     i2c.Sht3x(0x45, -10, 90)) as adapter:
        block = {"address": 0x20, "auto_increment": True}
        configure(adapter.path, {
            "lm75": LM75,
            "word": {**block, "register": 0x10, "width": 2},
            "byte": {**block, "register": 0x12, "signed": True},
            "plain": {"address": 0x20, "command": "0x11", "width": 1},
            "warm": {"address": 0x44, "chip": "sht3x", "channel": "temperature"},
            "dry": {"address": 0x44, "chip": "sht3x", "channel": "humidity"},
            "cold": {"address": 0x45, "chip": "sht3x", "channel": "temperature"},
        })
        values = read()
    assert values == {
        "lm75": 21.5, "word": 0x1234, "byte": -128, "plain": 0x34,
        "warm": pytest.approx(25, abs=0.01), "dry": pytest.approx(40, abs=0.01),
        "cold": pytest.approx(-10, abs=0.01)}


@pytest.mark.parametrize("fault, reason", [
    (i2c.NAK, "nobody answers"), (i2c.SHORT, "broke off"), (i2c.HANG, "broke off")])
def test_a_fault_is_the_chips_own(fault, reason):
    broken = i2c.Registers(0x20)
    broken.fault = fault
    with i2c.Adapter(thermometer(), broken) as adapter:
        configure(adapter.path, {"lm75": LM75, "broken": {"address": 0x20, "register": 0}})
        values = read()
    assert values["lm75"] == 21.5
    assert reason in values["broken"]


def test_wrong_checksum():
    chip = i2c.Sht3x()
    chip.corrupt = True
    with i2c.Adapter(chip) as adapter:
        configure(adapter.path, {"t": {"address": 0x44, "chip": "sht3x", "channel": "humidity"}})
        assert "the checksum is wrong" in read()["t"]


def test_the_kernel_has_the_chip():
    load("lm75")
    with i2c.Adapter(thermometer()) as adapter:
        Path(f"/sys/bus/i2c/devices/{adapter.name}/new_device").write_text("lm75 0x48")
        configure(adapter.path, {"lm75": LM75})
        assert "the kernel's driver lm75 (hwmon) has this address" in read()["lm75"]
        # an address of the configuration is left alone by a scan
        configure(adapter.path, {"other": {"address": 0x20, "register": 0}})
        assert "0x48: belongs to the kernel's driver lm75 (hwmon)" in gateway("scan", "wires")


def test_adapter_by_name():
    with i2c.Adapter(thermometer(3)) as adapter:
        name = Path(f"/sys/class/i2c-dev/{adapter.name}/name").read_text().strip()
        configure(name, {"lm75": LM75})
        assert read() == {"lm75": 3}


def test_smbus_only():
    """i2c-stub: bytes, words and blocks by SMBus calls."""
    path = i2c.stub(0x48, 0x20)
    with SMBus(path) as bus:
        bus.write_word_data(0x48, 0, 0x8015)  # SMBus has the low byte first
        for register, value in enumerate((0x11, 0x22, 0x33, 0x44)):
            bus.write_byte_data(0x20, register, value)
        bus.write_word_data(0x20, 0x10, 0x3322)
    configure(path, {
        "lm75": LM75,
        "byte": {"address": 0x20, "register": 1},
        "word": {"address": 0x20, "register": 0x10, "width": 2, "byte_order": "little"},
        "block": {"address": 0x20, "register": 0, "width": 4},
        "absent": {"address": 0x21, "register": 0},
    })
    values = read()
    assert "nobody answers" in values.pop("absent")
    assert values == {"lm75": 21.5, "byte": 0x22, "word": 0x3322, "block": 0x11223344}


def test_chipset():
    path = i2c.chipset()
    with SMBus(path) as bus:
        bus.write_byte_data(0x50, 0x10, 0x5a)
    configure(path, {"eeprom": {"address": 0x50, "register": 0x10},
                     "absent": {"address": 0x20, "register": 0}})
    values = read()
    assert values["eeprom"] == 0x5a
    assert "nobody answers" in values["absent"]


def test_scan():
    identity = i2c.Registers(0x76, {0xd0: 0x60})
    command = i2c.Sht3x(0x44)
    with i2c.Adapter(identity, command) as adapter:
        configure(adapter.path, {"lm75": LM75})
        text = gateway("scan", "wires")
    assert "0x76: is bme280" in text
    assert "{address: 0x76, chip: bme280, channel: humidity}" in text
    assert "0x44: answers; could be ina219, ina226, sht3x, sht4x" in text
    assert not any(command.commands)


def test_service_unplugged_and_back():
    """The service reads, loses the adapter, and has it back."""
    chip = thermometer()
    adapter = i2c.Adapter(chip)
    configure(adapter.path, {"lm75": LM75}, interval="200ms")
    service.systemctl("start")
    service.wait_status(lambda now: now["totals"]["read"] > 2, 60, "it reads")
    adapter.unplug()
    service.wait_status(lambda now: now["buses"][0]["state"] == "down", 60, "it is down")
    with i2c.Adapter(chip) as again:
        configure(again.path, {"lm75": LM75}, interval="200ms")
        service.systemctl("reload")
        before = service.status()["totals"]["read"]
        service.wait_status(lambda now: now["totals"]["read"] > before + 2, 90, "it reads again")
        service.systemctl("stop")
    assert service.show("Result") == "success"
