# SPDX-License-Identifier: Apache-2.0
"""The CAN hardware is there and behaves."""

import pytest
from lib import wait

from lab_guest import can, slcan


def test_bit_rate_is_set():
    for bitrate in (125000, 250000, 1000000):
        can.up("can0", bitrate)
        assert can.link("can0")["linkinfo"]["info_data"]["bittiming"]["bitrate"] == bitrate


def test_two_controllers_on_one_bus():
    can.up("can0", 250000)
    can.up("can1", 250000)
    assert can.state("can0") == "ERROR-ACTIVE"
    with can.bus("can0") as here, can.bus("can1") as there:
        for frame in (can.frame(0x123, b"\1\2\3"), can.frame(0x18fef100, bytes(8), extended=True),
                      can.frame(0x7ff, is_remote_frame=True, dlc=4)):
            here.send(frame)
            got = there.recv(20)
            assert (got.arbitration_id, got.is_extended_id, got.is_remote_frame, got.dlc,
                    got.data) == (frame.arbitration_id, frame.is_extended_id,
                                  frame.is_remote_frame, frame.dlc, frame.data)
        there.send(can.frame(0x321))
        assert here.recv(20).arbitration_id == 0x321


def test_listen_only():
    """A controller that may not even acknowledge hears, and cannot send."""
    can.up("can0", 250000)
    can.up("can1", 250000, listen_only="on")
    assert "LISTEN-ONLY" in can.link("can1")["linkinfo"]["info_data"]["ctrlmode"]
    with can.bus("can0") as here, can.bus("can1") as there:
        here.send(can.frame(0x100, b"x"))
        assert there.recv(20).data == b"x"


def test_interface_goes_down():
    can.up("can0", 250000)
    with can.bus("can0") as bus:
        can.down("can0")
        with pytest.raises(can.can.CanOperationError):
            while True:
                bus.recv(10)


def test_flexible_data_rate():
    name = can.vcan(fd=True)
    with can.bus(name, fd=True) as here, can.bus(name, fd=True) as there:
        here.send(can.frame(0x10, bytes(range(64)), is_fd=True, bitrate_switch=True))
        frame = there.recv(20)
    assert frame.is_fd and frame.bitrate_switch and frame.data == bytes(range(64))


def test_error_frames_made_by_hand():
    name = can.vcan()
    with can.bus(name) as here, can.bus(name) as there:
        here.send(can.error_frame(can.ERROR_BUS_OFF))
        frame = there.recv(20)
    assert frame.is_error_frame and frame.arbitration_id == can.ERROR_BUS_OFF


def test_serial_line_adapter():
    with slcan.Adapter() as adapter:
        can.up(adapter.name, 250000)
        adapter.wait_command("S5")
        adapter.wait_command("O")
        with can.bus(adapter.name) as bus:
            bus.send(can.frame(0x123, b"\xaa\xbb"))
            wait.until(lambda: adapter.frames == [(0x123, b"\xaa\xbb")], 20, "it was sent")
            adapter.receive(0x18fef100, b"\1\2", extended=True)
            frame = bus.recv(20)
            assert frame.is_extended_id and frame.data == b"\1\2"


def test_bus_off_and_error_counters():
    with slcan.Adapter() as adapter:
        can.up(adapter.name, 250000)
        with can.bus(adapter.name) as bus:
            for state, counter in (("ERROR-WARNING", 100), ("ERROR-PASSIVE", 150)):
                adapter.report(state, transmit_errors=counter)
                frame = bus.recv(20)
                # linux/can/error.h: the transmit error counter is in data[6]
                assert frame.is_error_frame and frame.data[6] == counter
                assert can.state(adapter.name) == state
            adapter.report("BUS-OFF", 256, 256)
            while not bus.recv(20).arbitration_id & can.ERROR_BUS_OFF:
                pass
            can.wait_state(adapter.name, "BUS-OFF")
            wait.until(lambda: "LOWER_UP" not in can.link(adapter.name)["flags"], 20,
                       "no carrier")
        can.down(adapter.name)
        can.up(adapter.name)
        can.wait_state(adapter.name, "ERROR-ACTIVE")
