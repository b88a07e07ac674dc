# SPDX-License-Identifier: Apache-2.0
"""A Modbus slave on Debian's libmodbus, on TCP or a serial line, whose registers are computed."""

import ctypes
import threading

_library = ctypes.CDLL("libmodbus.so.5", use_errno=True)
for _name in ("modbus_new_tcp", "modbus_new_rtu"):
    getattr(_library, _name).restype = ctypes.c_void_p
MAX_ADU = 260
HOLDING, INPUT = 3, 4


class _Mapping(ctypes.Structure):
    """modbus_mapping_t of modbus.h."""
    _fields_ = [(name, ctypes.c_int) for name in (
        "nb_bits", "start_bits", "nb_input_bits", "start_input_bits", "nb_input_registers",
        "start_input_registers", "nb_registers", "start_registers")] + [
            ("tab_bits", ctypes.c_void_p), ("tab_input_bits", ctypes.c_void_p),
            ("tab_input_registers", ctypes.POINTER(ctypes.c_uint16)),
            ("tab_registers", ctypes.POINTER(ctypes.c_uint16))]


_library.modbus_mapping_new.restype = ctypes.POINTER(_Mapping)
CHARACTERS = {"none": b"N", "even": b"E", "odd": b"O"}


class Slave:
    """`registers(address)` is asked for each register of each request. One master at a time.

    It lives as long as the test: libmodbus waits in its thread for the next request.
    """

    def __init__(self, registers, size=100):
        self._registers = registers
        self._mapping = _library.modbus_mapping_new(0, 0, size, size)
        self.requests = 0

    def serve_tcp(self, port):
        context = ctypes.c_void_p(_library.modbus_new_tcp(b"127.0.0.1", port))
        listening = _library.modbus_tcp_listen(context, 1)
        assert listening >= 0, f"port {port}: errno {ctypes.get_errno()}"

        def serve():
            while _library.modbus_tcp_accept(
                    context, ctypes.byref(ctypes.c_int(listening))) >= 0:
                self._answer_all(context, unit=6)
                _library.modbus_close(context)
        return self._start(serve)

    def serve_rtu(self, device, baud, parity, unit=1):
        context = ctypes.c_void_p(_library.modbus_new_rtu(
            device.encode(), baud, ctypes.c_char(CHARACTERS[parity]), 8, 1))
        _library.modbus_set_slave(context, unit)
        assert _library.modbus_connect(context) == 0, f"{device}: errno {ctypes.get_errno()}"
        return self._start(lambda: self._answer_all(context, unit=0))

    def _start(self, function):
        threading.Thread(target=function, daemon=True).start()
        return self

    def _answer_all(self, context, unit):
        """`unit`: where in a request its unit identifier stands."""
        request = (ctypes.c_uint8 * MAX_ADU)()
        while (length := _library.modbus_receive(context, request)) >= 0:
            if length == 0:
                continue  # for another unit
            if request[unit + 1] in (HOLDING, INPUT):
                self._fill(request, unit + 2)
            self.requests += 1
            _library.modbus_reply(context, request, length, self._mapping)

    def _fill(self, request, at):
        first = request[at] << 8 | request[at + 1]
        count = request[at + 2] << 8 | request[at + 3]
        mapping = self._mapping.contents
        for address in range(first, min(first + count, mapping.nb_registers)):
            value = self._registers(address) & 0xffff
            mapping.tab_registers[address] = mapping.tab_input_registers[address] = value
