/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>
#include <stddef.h>

#include "line.h"
#include "value.h"

static const char *const transports[] = {"tcp", "rtu", "rtu-tcp", NULL};
static const char *const parities[] = {"none", "even", "odd", NULL};
const char *const modbus_tables[] = {"holding", "input", "coil", "discrete", NULL};
const char *const modbus_types[] = {"int16", "uint16", "int32", "uint32", "int64", "uint64",
	"float32", "float64", "bool", "int48", "uint48", "bcd16", "bcd32", "bcd48", "bcd64",
	"mod10_32", "mod10_48", "mod10_64", "string", NULL};
const char *const modbus_orders[] = {"ABCD", "CDAB", "BADC", "DCBA", "ABCDEFGH", "GHEFCDAB",
	"BADCFEHG", "HGFEDCBA", "CDABGHEF", "EFGHABCD", "DCBAHGFE", "FEHGBADC", NULL};

const struct scg_option modbus_bus_options[N_BUS_OPTIONS] = {
	[BUS_TRANSPORT] = {.name = "transport",
		.type = SCG_CHOICE,
		.fallback = "tcp",
		.choices = transports,
		.help = "How the slaves are reached: tcp over a network, rtu over a serial line, "
			"rtu-tcp through a serial device server that passes RTU frames on as they "
			"are."},
	[BUS_HOST] = {.name = "host",
		.type = SCG_STRING,
		.max = 255,
		.help = "TCP and RTU over TCP: name or address of the slave, of the gateway to the "
			"slaves, or of the device server. "
			"IPv4 and IPv6, the latter without brackets."},
	[BUS_PORT] = {.name = "port",
		.type = SCG_INT,
		.fallback = "502",
		.min = 1,
		.max = 65535,
		.help = "TCP and RTU over TCP: port."},
	[BUS_CONNECT_TIMEOUT] = {.name = "connect_timeout",
		.type = SCG_DURATION,
		.fallback = "5s",
		.min = 0.1,
		.max = 60,
		.help = "TCP and RTU over TCP: how long to try to connect."},
	[BUS_DEVICE] = {.name = "device",
		.type = SCG_STRING,
		.max = 255,
		.help = "RTU: the serial port. Better a name of /dev/serial/by-id than "
			"/dev/ttyUSB0, which may be another adapter tomorrow."},
	[BUS_BAUD] = {.name = "baud",
		.type = SCG_INT,
		.fallback = "19200",
		.min = 300,
		.max = 4000000,
		.unit = "bit/s",
		.help = "RTU: speed of the line. RTU over TCP: speed of the line behind the device "
			"server, which has to know it by itself; the times follow from it."},
	[BUS_PARITY] = {.name = "parity",
		.type = SCG_CHOICE,
		.fallback = "even",
		.choices = parities,
		.help = "RTU: parity bit."},
	[BUS_DATA_BITS] = {.name = "data_bits",
		.type = SCG_INT,
		.fallback = "8",
		.min = 7,
		.max = 8,
		.help = "RTU: data bits of a character; frames need 8."},
	[BUS_STOP_BITS] = {.name = "stop_bits",
		.type = SCG_INT,
		.fallback = "1",
		.min = 1,
		.max = 2,
		.help = "RTU: stop bits of a character; the standard asks for 2 without parity."},
	[BUS_RS485] = {.name = "rs485",
		.type = SCG_BOOL,
		.fallback = "false",
		.help = "RTU: let the kernel switch the direction of the transceiver. Adapters "
			"that do it by themselves, as nearly all on USB, need false."},
	[BUS_RESPONSE_TIMEOUT] = {.name = "response_timeout",
		.type = SCG_DURATION,
		.fallback = "1s",
		.min = 0.01,
		.max = 60,
		.help = "How long a slave may take for its whole answer; on a serial line, besides "
			"the time that request and answer take on the wire. For slaves behind a "
			"gateway it should be longer than the gateway's own time-out."},
	[BUS_REQUEST_GAP] = {.name = "request_gap",
		.type = SCG_DURATION,
		.fallback = "0s",
		.max = 2,
		.help = "Silence between an answer and the next request, for slaves that need "
			"time to recover. On RTU never less than 3.5 characters."},
	[BUS_MAX_REGISTERS] = {.name = "max_registers",
		.type = SCG_INT,
		.fallback = "125",
		.min = 1,
		.max = MODBUS_READ_REGISTERS,
		.unit = "registers",
		.help = "Most registers in one request. Some slaves allow fewer than the "
			"standard's 125."},
	[BUS_MAX_BITS] = {.name = "max_bits",
		.type = SCG_INT,
		.fallback = "2000",
		.min = 1,
		.max = MODBUS_READ_BITS,
		.unit = "bits",
		.help = "Most coils or discrete inputs in one request."},
	[BUS_MAX_GAP] = {.name = "max_gap",
		.type = SCG_INT,
		.fallback = "-1",
		.min = -1,
		.max = MODBUS_READ_REGISTERS,
		.unit = "registers",
		.help = "Longest hole of registers nobody asked for that one request may read "
			"through; for coils and discrete inputs 16 times as many. -1 is "
			"automatic: on TCP all that fits into a request, on RTU what takes no "
			"longer on the wire than another request. 0 asks for nothing that is not "
			"configured."},
};

const struct scg_option modbus_sensor_options[N_SENSOR_OPTIONS] = {
	[SENSOR_UNIT] = {.name = "unit",
		.type = SCG_INT,
		.fallback = "1",
		.min = 0,
		.max = 255,
		.help = "Unit id, the slave's address on the line. Devices with a network socket "
			"of their own usually want 1 or 255."},
	[SENSOR_TABLE] = {.name = "table",
		.type = SCG_CHOICE,
		.fallback = "holding",
		.choices = modbus_tables,
		.help = "Holding registers (function 3), input registers (4), coils (1) or "
			"discrete inputs (2)."},
	[SENSOR_REGISTER] = {.name = "register",
		.type = SCG_INT,
		.flags = SCG_REQUIRED,
		.min = 0,
		.max = MODBUS_ADDRESSES - 1,
		.help = "Address from 0, as on the wire: a manual's 40001 is holding register 0, "
			"its 30001 input register 0."},
	[SENSOR_TYPE] = {.name = "type",
		.type = SCG_CHOICE,
		.fallback = "uint16",
		.choices = modbus_types,
		.help = "What the registers hold: 16 bits a register, so that types of 32 bits "
			"take two, of 48 three, of 64 four. bcd has a decimal digit in each 4 "
			"bits, mod10 four decimal digits in each register. Readings are "
			"double-precision numbers: integers beyond 2^53 are rounded. Coils and "
			"discrete inputs are 0 or 1 and need no type; string is no number, and "
			"refused."},
	[SENSOR_ORDER] = {.name = "order",
		.type = SCG_CHOICE,
		.fallback = "ABCD",
		.choices = modbus_orders,
		.help = "Order of the bytes on the wire: ABCD is the standard's, CDAB has the low "
			"register first, BADC swaps the bytes of each register, DCBA both. A type "
			"of 16 bits knows only plain (ABCD, CDAB) and swapped (BADC, DCBA). The "
			"orders of eight letters are for types of 64 bits."},
	[SENSOR_BIT] = {.name = "bit",
		.type = SCG_INT,
		.fallback = "-1",
		.min = -1,
		.max = 63,
		.help = "The lowest bit of a field within the value, 0 being the value's lowest. "
			"-1 takes the whole value."},
	[SENSOR_BITS] = {.name = "bits",
		.type = SCG_INT,
		.fallback = "1",
		.min = 1,
		.max = 64,
		.unit = "bits",
		.help = "With bit: how many bits the field has. A single bit is 0 or 1; a longer "
			"field is signed if the type is."},
	[SENSOR_NO_VALUE] = {.name = "no_value",
		.type = SCG_STRING,
		.max = 20,
		.help = "What the device sends when it has no value, as a sensor that is broken: "
			"then there is no reading. 0x8000 means these bits in the registers, in "
			"the right order; -999 means the number before scale and offset. NaN never "
			"is a reading."},
};

static void check_network(const struct scg_bus *bus)
{
	const char *host = bus->options[BUS_HOST].s;
	int64_t transport = bus->options[BUS_TRANSPORT].i;

	if (!host || !*host) {
		bus->host->complain(bus, NULL, "host",
			"transport %s needs the name or the address of the %s",
			transports[transport],
			transport == TRANSPORT_TCP ? "slave" : "device server");
	}
	if (bus->options[BUS_DEVICE].s) {
		bus->host->complain(bus, NULL, "device",
			"is for transport rtu, but this bus has transport %s",
			transports[transport]);
	}
}

static void check_serial(const struct scg_bus *bus)
{
	const char *device = bus->options[BUS_DEVICE].s;

	if (!device || !*device) {
		bus->host->complain(bus, NULL, "device",
			"transport rtu needs a serial port, as /dev/serial/by-id/...");
	}
	if (bus->options[BUS_HOST].s) {
		bus->host->complain(bus, NULL, "host",
			"is for transports tcp and rtu-tcp, but this bus has transport rtu");
	}
}

/* What holds for the line, be it here or behind a device server. */
static void check_line(const struct scg_bus *bus)
{
	if (!modbus_serial_has_rate(bus->options[BUS_BAUD].i)) {
		char rates[256];

		modbus_serial_list_rates(rates, sizeof(rates));
		bus->host->complain(bus, NULL, "baud",
			"%d is no speed of serial ports; there are %s",
			(int)bus->options[BUS_BAUD].i, rates);
	}
	if (bus->options[BUS_DATA_BITS].i != 8) {
		bus->host->complain(bus, NULL, "data_bits",
			"RTU frames need 8; 7 is for Modbus ASCII, which this driver does not know");
	}
	if (bus->options[BUS_RS485].i && bus->options[BUS_TRANSPORT].i != TRANSPORT_RTU) {
		bus->host->complain(bus, NULL, "rs485",
			"is for transport rtu; a device server switches by itself");
	}
	for (uint32_t i = 0; i < bus->n_sensors; i++) {
		if (bus->sensors[i]->options[SENSOR_UNIT].i == 0) {
			bus->host->complain(bus, bus->sensors[i], "unit",
				"0 is the broadcast address of a serial line: no slave answers");
		}
	}
}

static void check_bit_sensor(const struct scg_bus *bus, const struct scg_sensor *sensor)
{
	int64_t type = sensor->options[SENSOR_TYPE].i;

	/* uint16 is the default, and so cannot be told from no type at all. */
	if (type != TYPE_BOOL && type != TYPE_UINT16) {
		bus->host->complain(bus, sensor, "type",
			"%s does not fit a %s, which is a single bit: leave it out, or bool",
			modbus_types[type],
			sensor->options[SENSOR_TABLE].i == TABLE_COIL ? "coil" : "discrete input");
	}
	if (sensor->options[SENSOR_BIT].i >= 0 || sensor->options[SENSOR_BITS].i != 1) {
		bus->host->complain(bus, sensor, "bit",
			"picks a bit of a register, but table %s has no registers",
			modbus_tables[sensor->options[SENSOR_TABLE].i]);
	}
	if (sensor->options[SENSOR_NO_VALUE].s) {
		bus->host->complain(bus, sensor, "no_value",
			"is for registers: a single bit has none to spare");
	}
}

static void check_field(const struct scg_bus *bus, const struct scg_sensor *sensor)
{
	const union scg_value *options = sensor->options;
	struct modbus_value value = modbus_value_of(options);
	const char *type = modbus_types[value.type];
	uint32_t n_bits = 16 * modbus_value_width(value);

	if (value.bit < 0) {
		if (value.bits != 1) {
			bus->host->complain(bus, sensor, "bits",
				"needs bit: which is the lowest of them, 0 to %u", n_bits - 1);
		}
		if (value.type == TYPE_BOOL) {
			bus->host->complain(bus, sensor, "type",
				"bool in table %s needs bit: which of the register's bits, 0 to 15",
				modbus_tables[options[SENSOR_TABLE].i]);
		}
	} else if (!modbus_value_has_bits(value)) {
		bus->host->complain(bus, sensor, "bit",
			"picks bits of an integer: type must be bool, intN or uintN, not %s", type);
	} else if (value.type == TYPE_BOOL && value.bits != 1) {
		bus->host->complain(
			bus, sensor, "bits", "bool is one bit: several are a number, uint16");
	} else if ((uint32_t)value.bit + value.bits > n_bits) {
		bus->host->complain(bus, sensor, value.bits == 1 ? "bit" : "bits",
			"%s has the bits 0 to %u, and no bit %d", type, n_bits - 1,
			value.bit + value.bits - 1);
	}
}

static void check_no_value(const struct scg_bus *bus, const struct scg_sensor *sensor)
{
	const char *text = sensor->options[SENSOR_NO_VALUE].s;
	struct modbus_value value = modbus_value_of(sensor->options);
	int r = text ? modbus_value_set_marker(&value, text) : 0;

	if (r == -ERANGE) {
		bus->host->complain(
			bus, sensor, "no_value", "%s never is %s", modbus_types[value.type], text);
	} else if (r == -E2BIG) {
		bus->host->complain(bus, sensor, "no_value",
			"%s has too many digits for a number: give the bits, as 0x8000", text);
	} else if (r < 0) {
		bus->host->complain(bus, sensor, "no_value",
			"\"%s\" is neither bits, as 0x8000, nor a whole number, as -999", text);
	}
}

static void check_place(const struct scg_bus *bus, const struct scg_sensor *sensor)
{
	const union scg_value *options = sensor->options;
	struct modbus_value value = modbus_value_of(options);
	const char *type = modbus_types[value.type];
	uint32_t width = modbus_value_width(value);

	if (!modbus_value_order_fits(value)) {
		bus->host->complain(bus, sensor, "order",
			"%s is for types of 64 bits, and %s has %u: ABCD, CDAB, BADC or DCBA",
			modbus_orders[value.order], type, 16 * width);
	}
	if ((uint64_t)options[SENSOR_REGISTER].i + width > MODBUS_ADDRESSES) {
		bus->host->complain(bus, sensor, "register",
			"%s takes %u registers from here, but the last register is %u", type, width,
			MODBUS_ADDRESSES - 1);
	}
	if (width > bus->options[BUS_MAX_REGISTERS].i) {
		bus->host->complain(bus, sensor, "type",
			"%s takes %u registers in one request, but the bus has max_registers %d",
			type, width, (int)bus->options[BUS_MAX_REGISTERS].i);
	}
}

static void check_register_sensor(const struct scg_bus *bus, const struct scg_sensor *sensor)
{
	if (sensor->options[SENSOR_TYPE].i == TYPE_STRING) {
		bus->host->complain(bus, sensor, "type",
			"a reading is a number, and string is text: leave this sensor out, or read "
			"one of its registers as uint16 if a number does");
		return;
	}
	check_field(bus, sensor);
	check_no_value(bus, sensor);
	check_place(bus, sensor);
}

void modbus_check(struct scg_bus *bus)
{
	if (bus->options[BUS_TRANSPORT].i == TRANSPORT_RTU) {
		check_serial(bus);
	} else {
		check_network(bus);
	}
	if (bus->options[BUS_TRANSPORT].i != TRANSPORT_TCP) {
		check_line(bus);
	}
	for (uint32_t i = 0; i < bus->n_sensors; i++) {
		const struct scg_sensor *sensor = bus->sensors[i];

		if (modbus_is_bit_table((uint8_t)sensor->options[SENSOR_TABLE].i)) {
			check_bit_sensor(bus, sensor);
		} else {
			check_register_sensor(bus, sensor);
		}
	}
}
