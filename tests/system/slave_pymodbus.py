#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A Modbus slave on pymodbus, of which the gateway has nothing: slave_pymodbus.py PORT | DEVICE

On 127.0.0.1, or on a serial port. Every unit has 1000 registers, coils and discrete inputs of its
own; each is how often it was read, this time included, modulo 65536 (bits: modulo 2). Prints
"listening PORT" or "listening DEVICE" when it is ready; SIGUSR1 prints
"requests R registers Q connections C", as slave_libmodbus does.
"""

import asyncio
import signal
import sys

from pymodbus.datastore import ModbusServerContext, ModbusSlaveContext
from pymodbus.datastore.store import BaseModbusDataBlock
from pymodbus.server.async_io import (ModbusConnectedRequestHandler, ModbusSerialServer,
                                      ModbusTcpServer)

REGISTERS = 1000
totals = {"requests": 0, "registers": 0, "connections": 0}


class Counters(BaseModbusDataBlock):
    """Registers that count how often they are read."""

    def __init__(self, modulus):
        self.values = [0] * REGISTERS
        self.modulus = modulus
        self.default_value = 0
        self.address = 0

    def validate(self, address, count=1):
        return 0 <= address and address + count <= REGISTERS

    def getValues(self, address, count=1):  # pylint: disable=invalid-name
        totals["requests"] += 1
        totals["registers"] += count
        for i in range(address, address + count):
            self.values[i] = (self.values[i] + 1) % self.modulus
        return self.values[address:address + count]

    def setValues(self, address, values):  # pylint: disable=invalid-name
        raise NotImplementedError("the gateway never writes")


class Connection(ModbusConnectedRequestHandler):
    """Counts itself."""

    def connection_made(self, transport):
        totals["connections"] += 1
        super().connection_made(transport)


def make_unit():
    return ModbusSlaveContext(di=Counters(2), co=Counters(2), hr=Counters(65536),
                              ir=Counters(65536), zero_mode=True)


async def serve_tcp(context, port):
    server = ModbusTcpServer(context, address=("127.0.0.1", port), handler=Connection,
                             allow_reuse_address=True)
    task = asyncio.create_task(server.serve_forever())
    await server.serving
    print(f"listening {server.server.sockets[0].getsockname()[1]}", flush=True)
    await task


async def serve_serial(context, device):
    server = ModbusSerialServer(context, port=device, baudrate=115200)
    await server.start()
    print(f"listening {device}", flush=True)
    await server.serve_forever()


async def main(where):
    units = {unit: make_unit() for unit in range(256)}
    context = ModbusServerContext(slaves=units, single=False)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: print(
        " ".join(f"{name} {n}" for name, n in totals.items()), flush=True))
    if where.isdecimal():
        await serve_tcp(context, int(where))
    else:
        await serve_serial(context, where)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "0"))
