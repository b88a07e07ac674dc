# SPDX-License-Identifier: Apache-2.0
"""The CAN driver with controllers, virtual interfaces and bad news, as a user runs it."""

import json
import re
import subprocess
from pathlib import Path

from lab_guest import can, service, slcan
from lab_guest.command import run
from lab_guest.scene import BOILER, LOGIN, sensor_uuid
from lib import wait

DBC = Path("/lab/source/tests/data/engine.dbc")
SPEED = {"message": "Engine_1", "signal": "Speed"}


def configure(interface, sensors, interval="200ms", stale="1h", **options):
    """{slug: options} on one bus, without a broker: readings stay in the journal."""
    service.install()
    service.edit_unit("[Service]\nRestrictAddressFamilies=AF_CAN\n")
    service.configure({
        "platform": {"host": "127.0.0.1", "port": 1, "tls": False, "tenant": "123"},
        "clock": {"trust": "always"},
        "buses": [{"name": "engine", "driver": "can",
                   "options": {"interface": interface, "dbc": str(DBC), **options}}],
        "devices": [{"name": "genset", "uuid": BOILER, "username": LOGIN[0], "password": LOGIN[1],
                     "defaults": {"bus": "engine", "interval": interval, "stale": stale},
                     "sensors": [{"slug": slug, "uuid": sensor_uuid(i), "options": choice}
                                 for i, (slug, choice) in enumerate(sensors.items())]}],
    })


def start(*arguments, **more):
    configure(*arguments, **more)
    service.systemctl("start")
    wait_bus(lambda bus: bus["state"] != "opening", "it was opened")


def wait_bus(condition, what, timeout=60):
    return service.wait_status(lambda now: condition(now["buses"][0]), timeout, what)["buses"][0]


def counted(name, least=1):
    return lambda bus: bus["counters"].get(name, 0) >= least


def begin_read():
    """`read`, which ends when there is a value of each sensor."""
    return subprocess.Popen(["sensocan-gateway", "read", "--json"], stdout=subprocess.PIPE,
                            text=True)


def values(process):
    text = process.communicate(timeout=60)[0]
    return {line["sensor"]: line["value"] for line in map(json.loads, text.splitlines())}


def has_receiver(name):
    """Somebody has filters for this interface."""
    return any(re.search(rf"^ *{name} ", path.read_text(), re.M)
               for path in Path("/proc/net/can").glob("rcvlist_*") if path.name != "rcvlist_err")


def wait_receiver(name):
    wait.until(lambda: has_receiver(name), 60, f"the driver listens on {name}")


def send_until(process, bus, frames):
    """Again and again: a frame that comes before the driver listens is lost."""
    def look():
        for frame in frames:
            bus.send(frame)
        return process.poll() is not None
    wait.until(look, 60, "it was read", 0.05)


def test_signals_through_real_controllers():
    can.up("can0", 250000)
    can.up("can1", 250000)
    configure("can0", {
        "speed": SPEED,
        "coolant": {"message": "Engine_1", "signal": "Coolant"},
        "torque": {"message": "Engine_1", "signal": "Torque"},
        "amp": {"message": "Pages", "signal": "Amp"},
        "rpm": {"message": "EEC1", "signal": "EngSpeed", "source": 0},
        "long": {"pgn": 0xfeca, "start_bit": 64, "length": 16},
        "plain": {"id": 0x7ff, "start_bit": 7, "length": 16, "byte_order": "big", "signed": True},
    })
    reading = begin_read()
    with can.bus("can1") as bus:
        send_until(reading, bus, [
            can.frame(0x100, bytes.fromhex("1027d8ffe010275a")),
            can.frame(300, bytes.fromhex("01f6ff0000000000")),
            can.frame(0x18f00403, bytes.fromhex("ffffff7013ffffff"), extended=True),
            can.frame(0x0cf00400, bytes.fromhex("ffffff6813ffffff"), extended=True),
            can.frame(0x1cecff21, bytes.fromhex("200a0002ffcafe00"), extended=True),
            can.frame(0x1cebff21, bytes.fromhex("0101020304050607"), extended=True),
            can.frame(0x1cebff21, bytes.fromhex("02082c01ffffffff"), extended=True),
            can.frame(0x7ff, bytes.fromhex("fffe")),
        ])
    assert values(reading) == {"speed": 1250, "coolant": -80, "torque": -1, "amp": -1, "rpm": 621,
                               "long": 300, "plain": -2}


def test_can_utils_and_flexible_data_rate():
    name = can.vcan(fd=True)
    configure(name, {"speed": SPEED, "energy": {"message": "Floats", "signal": "Energy"},
                     "last": {"id": 0x18ff0102, "start_bit": 504, "length": 8}},
              fd=True, own_frames=True)
    reading = begin_read()

    def look():
        run("cansend", name, "100#1027D8FFE010275A")
        run("cansend", name, "101##10000000000000000400921FB54442D18")
        run("cansend", name, "18FF0102##1" + "00" * 63 + "2A")
        return reading.poll() is not None
    wait.until(look, 60, "it was read", 0.05)
    assert values(reading) == {"speed": 1250, "energy": 3.141592653589793, "last": 42}


def test_own_frames_are_no_data():
    name = can.vcan()
    start(name, {"speed": SPEED})
    wait_receiver(name)
    run("cansend", name, "100#1027D8FFE010275A")
    bus = wait_bus(counted("own_frames_ignored"), "the frame was noticed")
    assert bus["counters"]["frames"] == 0 and bus["readings"] == 0


def test_unwanted_frames_never_arrive():
    name = can.vcan()
    start(name, {"speed": SPEED, "rpm": {"message": "EEC1", "signal": "EngSpeed"}},
          own_frames=True)
    wait_receiver(name)
    with can.bus(name) as bus:
        for identifier in range(0x800):
            bus.send(can.frame(identifier, bytes(8)))
        for pgn in range(0xf000, 0xf100):
            bus.send(can.frame(0x18000000 | pgn << 8 | 3, bytes(8), extended=True))
        # the same 11 bits, and no data
        bus.send(can.frame(0x100, bytes(8), extended=True))
        bus.send(can.frame(0x100, is_remote_frame=True))
        bus.send(can.frame(0x100, bytes(8)))
    found = wait_bus(counted("frames", 3), "three of all these arrived")
    service.systemctl("stop")
    assert found["counters"]["frames"] == 3


def test_more_identifiers_than_filters():
    name = can.vcan()
    start(name, {f"s{i}": {"id": 0x10000 + 7 * i, "start_bit": 0, "length": 8}
                 for i in range(600)}, own_frames=True)
    wait_receiver(name)
    with can.bus(name) as bus:
        for i in range(600):
            bus.send(can.frame(0x10000 + 7 * i, b"\1", extended=True))
    wait_bus(lambda found: found["readings"] >= 600, "all were read")


def test_reading_has_the_time_of_the_frame():
    name = can.vcan()
    configure(name, {"speed": SPEED}, own_frames=True)
    with can.bus(name) as listener:
        reading = begin_read()
        with can.bus(name) as bus:
            send_until(reading, bus, [can.frame(0x100, bytes(8))])
        line = json.loads(reading.communicate()[0])
        times = []
        while message := listener.recv(0):
            times.append(round(message.timestamp * 1000))
    seconds, millis = re.match(r".*T\d\d:\d\d:(\d\d)\.(\d\d\d)Z", line["timestamp"]).groups()
    stamp = int(seconds) * 1000 + int(millis)
    # the kernel's own time of one of the frames, as another program sees it
    assert min(abs(time % 60000 - stamp) for time in times) <= 1


def test_interface_comes_goes_and_comes_again():
    start("vcan7", {"speed": SPEED}, own_frames=True)
    wait_bus(lambda bus: bus["state"] == "down" and bus["error"] == "No such device", "is down")
    for _ in range(2):
        name = can.vcan("vcan7")
        wait_bus(lambda bus: bus["state"] == "up", "the interface was found")
        before = service.status()["buses"][0]["readings"]
        wait_receiver(name)
        with can.bus(name) as bus:
            bus.send(can.frame(0x100, bytes(8)))
        wait_bus(lambda found, n=before: found["readings"] > n, "a frame was read")
        run("ip", "link", "delete", name)
        wait_bus(lambda bus: bus["state"] == "down", "the interface is gone")
    log = service.log()
    assert log.count("there is no interface vcan7") <= 3


def test_interface_goes_down():
    name = can.vcan()
    start(name, {"speed": SPEED}, own_frames=True)
    wait_receiver(name)
    can.down(name)
    bus = wait_bus(lambda bus: bus["state"] == "down", "it is down")
    assert bus["error"] == "Network is down" and bus["failed_sensors"] == 1
    wait.until(lambda: "the interface vcan0 is down: systemd-networkd can" in service.log(), 60,
               "the log says what to do")
    run("ip", "link", "set", name, "up")
    wait_bus(lambda bus: bus["state"] == "up", "it is up again")


def test_bus_off_and_back():
    with slcan.Adapter() as adapter:
        can.up(adapter.name, 250000)
        start(adapter.name, {"speed": SPEED})
        wait_receiver(adapter.name)
        adapter.receive(0x100, bytes.fromhex("1027d8ffe010275a"))
        wait_bus(lambda bus: bus["readings"] == 1, "a frame was read")
        adapter.report("ERROR-WARNING", 100, 100)
        adapter.report("ERROR-PASSIVE", 150, 150)
        adapter.report("BUS-OFF", 256, 256)
        bus = wait_bus(counted("bus_off"), "bus-off was noticed")
        assert bus["counters"]["error_passive"] == 1
        bus = wait_bus(lambda bus: bus["failed_sensors"] == 1, "the sensor is bad")
        assert "bus-off" in bus["bad_sensors"][0]["error"]
        assert service.log().count("bus-off") >= 1
        # slcan has no restart of its own
        can.down(adapter.name)
        can.up(adapter.name)
        wait_bus(lambda bus: bus["state"] == "up", "the interface is up again")
        wait_receiver(adapter.name)

        def look():
            adapter.receive(0x100, bytes.fromhex("1027d8ffe010275a"))
            return service.status()["buses"][0]["failed_sensors"] == 0
        wait.until(look, 60, "it is good again", 0.2)


def test_restart_after_bus_off():
    name = can.vcan()
    start(name, {"speed": SPEED}, own_frames=True)
    wait_receiver(name)
    with can.bus(name) as bus:
        bus.send(can.error_frame(can.ERROR_BUS_OFF))
        wait_bus(lambda found: found["failed_sensors"] == 1, "bus-off was noticed")
        bus.send(can.error_frame(0x100))  # CAN_ERR_RESTARTED
        bus.send(can.frame(0x100, bytes(8)))
        wait_bus(lambda found: found["failed_sensors"] == 0, "it is good again")
    bus = wait_bus(counted("restarts"), "the restart was counted")
    assert bus["counters"]["bus_off"] == 1
    text = run("sensocan-gateway", "status")
    assert "bus_off 1" in text and "restarts 1" in text


def test_overflow_is_counted():
    """The driver is stopped until its socket is full."""
    name = can.vcan()
    start(name, {"speed": SPEED}, own_frames=True)
    wait_receiver(name)
    run("systemctl", "kill", "--signal=STOP", service.UNIT)
    with can.bus(name) as bus:
        for _ in range(5000):
            bus.send(can.frame(0x100, bytes(8)))
        run("systemctl", "kill", "--signal=CONT", service.UNIT)
        wait_bus(counted("frames"), "it goes on")
        bus.send(can.frame(0x100, bytes(8)))
        found = wait_bus(lambda found: counted("socket_overflow")(found) and
                         found["counters"]["socket_overflow"] + found["counters"]["frames"] >= 5001,
                         "the lost ones are counted")
    assert found["counters"]["socket_overflow"] + found["counters"]["frames"] == 5001


def test_silence_is_found():
    name = can.vcan()
    start(name, {"speed": SPEED}, stale="1s", own_frames=True)
    wait_receiver(name)
    run("cansend", name, "100#1027D8FFE010275A")
    bus = wait_bus(lambda found: found["failed_sensors"] == 1 and found["readings"] == 1,
                   "silence was noticed")
    assert bus["bad_sensors"][0]["error"] == "no value for more than 1 s"


def test_bit_rate_set_by_the_driver():
    configure("can0", {"speed": SPEED}, bitrate=500000, listen_only=True)
    service.edit_unit("[Service]\nRestrictAddressFamilies=AF_CAN AF_NETLINK\n"
                      "AmbientCapabilities=CAP_NET_ADMIN\nCapabilityBoundingSet=CAP_NET_ADMIN\n")
    service.systemctl("start")
    wait_bus(lambda bus: bus["state"] == "up", "the interface is up")
    data = can.link("can0")["linkinfo"]["info_data"]
    assert data["bittiming"]["bitrate"] == 500000
    assert "LISTEN-ONLY" in data["ctrlmode"]


def test_bit_rate_without_the_right_to_set_it():
    start("can0", {"speed": SPEED}, bitrate=500000)
    wait_bus(lambda bus: bus["state"] == "down", "it could not be opened")
    assert "the bit rate of can0 cannot be set to 500000 bit/s" in service.log()


def test_scan():
    name = can.vcan()
    start(name, {"speed": SPEED}, own_frames=True)
    wait_receiver(name)
    scan = subprocess.Popen(["sensocan-gateway", "scan", "engine", "--time", "3s"],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    can.wait_listener(name)
    with can.bus(name) as bus:
        for value in range(8):
            bus.send(can.frame(0x100, bytes.fromhex("1027d8ffe010275a")))
            bus.send(can.frame(0x123, bytes([5, value])))
    text = scan.communicate(timeout=60)[0]
    assert scan.returncode == 0, text
    assert "0x100, Engine_1: " in text and "    Speed 1250 rpm\n" in text
    assert re.search(r"0x123: [\d.]+/s, 2 bytes, sent by this machine; last 05 07, "
                     r"changing 00 07\n", text)
    assert "options: {message: Engine_1, signal: Speed}" in text
    assert "options: {id: 0x123, start_bit: 8, length: 8}" in text
    # and the sensors were read meanwhile
    wait_bus(lambda found: found["readings"] >= 1, "a reading")


def test_busy_bus_with_500_signals():
    """9,000 frames a second, which is all that 1 Mbit/s has room for, and nothing is lost."""
    name = can.vcan()
    sensors = {f"s{i}": {"id": 0x100 + i // 5, "start_bit": 8 * (i % 5), "length": 8}
               for i in range(500)}
    start(name, sensors, interval="1s", own_frames=True)
    wait_receiver(name)
    sender = subprocess.run(["/usr/bin/python3", "-c", SENDER, name], check=True,
                            stdout=subprocess.PIPE, text=True)
    sent, seconds = sender.stdout.split()
    bus = wait_bus(lambda found: found["counters"]["frames"] +
                   found["counters"]["socket_overflow"] >= int(sent), "all arrived")
    cpu = float(run("systemctl", "show", "-P", "CPUUsageNSec", service.UNIT)) / 1e9
    print(f"{sent} frames in {seconds} s, {bus['readings']} readings, {cpu:.2f} s of processor")
    assert bus["counters"]["socket_overflow"] == 0
    assert bus["readings"] >= 500 and bus["failed_sensors"] == 0


# Frames at a steady rate, in portions of 5 ms, from a process of its own.
SENDER = """
import socket, struct, sys, time
sock = socket.socket(socket.PF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
sock.bind((sys.argv[1],))
frames = [struct.pack("=IB3x8s", 0x100 + i, 8, bytes(range(i, i + 8))) for i in range(100)]
start, sent = time.monotonic(), 0
while sent < 9000 * 10:
    due = min(int((time.monotonic() - start) * 9000), 9000 * 10)
    for i in range(sent, due):
        sock.send(frames[i % 100])
    sent = due
    time.sleep(0.005)
print(sent, round(time.monotonic() - start, 1))
"""
