/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

static const char *const orders[] = {"little", "big", NULL};
/* In the order of enum rate_sample. */
static const char *const samples[] = {"last", "mean", "min", "max", NULL};

const struct scg_option can_bus_options[N_BUS_OPTIONS] = {
	[BUS_INTERFACE] = {.name = "interface",
		.type = SCG_STRING,
		.flags = SCG_REQUIRED,
		.max = CAN_INTERFACE_MAX,
		.help = "The network interface, as can0. It may appear later."},
	[BUS_DBC] = {.name = "dbc",
		.type = SCG_STRING,
		.flags = SCG_FILE,
		.max = 4095,
		.help = "A DBC file, which says where in which message a signal is. Needed for "
			"message and signal."},
	[BUS_FD] = {.name = "fd",
		.type = SCG_BOOL,
		.fallback = "false",
		.help = "Receive CAN FD frames as well, of up to 64 bytes."},
	[BUS_BITRATE] = {.name = "bitrate",
		.type = SCG_INT,
		.fallback = "0",
		.max = 1000000,
		.unit = "bit/s",
		.help = "Sets the interface to this bit rate and takes it up, if it is not so "
			"already; the service needs CAP_NET_ADMIN for that. 0 leaves the "
			"interface as systemd-networkd or somebody else has set it up."},
	[BUS_LISTEN_ONLY] = {.name = "listen_only",
		.type = SCG_BOOL,
		.fallback = "false",
		.help = "With bitrate: the controller sends nothing, not even acknowledgements. "
			"A bus with only one other node needs these."},
	[BUS_OWN_FRAMES] = {.name = "own_frames",
		.type = SCG_BOOL,
		.fallback = "false",
		.help = "Take frames for sensor data also if programs on this machine have sent "
			"them, as on a virtual interface."},
};

const struct scg_option can_sensor_options[N_SENSOR_OPTIONS] = {
	[SENSOR_MESSAGE] = {.name = "message",
		.type = SCG_STRING,
		.max = 255,
		.help = "The name of a message in the DBC file. With signal, and instead of id or "
			"pgn."},
	[SENSOR_SIGNAL] = {.name = "signal",
		.type = SCG_STRING,
		.max = 255,
		.help = "The name of a signal of that message. The DBC file's factor and offset "
			"are applied before scale and offset of the sensor."},
	[SENSOR_ID] = {.name = "id",
		.type = SCG_INT,
		.fallback = "-1",
		.min = -1,
		.max = 0x1fffffff,
		.help = "Without a DBC file: the identifier of the message, as 0x123. -1: none is "
			"said."},
	[SENSOR_EXTENDED] = {.name = "extended",
		.type = SCG_BOOL,
		.fallback = "false",
		.help = "With id: it is one of 29 bits. One above 0x7ff always is."},
	[SENSOR_PGN] = {.name = "pgn",
		.type = SCG_INT,
		.fallback = "-1",
		.min = -1,
		.max = 0x3ffff,
		.help = "Without a DBC file: a parameter group of SAE J1939, whatever its "
			"priority, in one frame or in several. Values that the standard keeps for "
			"\"not available\" and \"error\" make the sensor bad. -1: none is said."},
	[SENSOR_SOURCE] = {.name = "source",
		.type = SCG_INT,
		.fallback = "-1",
		.min = -1,
		.max = 255,
		.help = "With pgn, or with a message of SAE J1939: only from this source address. "
			"-1 takes it from all."},
	[SENSOR_START_BIT] = {.name = "start_bit",
		.type = SCG_INT,
		.fallback = "-1",
		.min = -1,
		.max = 14279, /* of 1785 bytes: SAE J1939-21, 255 packets of 7 */
		.help = "With id or pgn: where the signal begins, counted as in DBC files: bit 0 "
			"is the lowest of the first byte, bit 8 the lowest of the second one. "
			"This is the signal's lowest bit with byte_order little, and its highest "
			"with big."},
	[SENSOR_LENGTH] = {.name = "length",
		.type = SCG_INT,
		.fallback = "0",
		.max = 64,
		.unit = "bits",
		.help = "With id or pgn: the length of the signal, 1 to 64."},
	[SENSOR_BYTE_ORDER] = {.name = "byte_order",
		.type = SCG_CHOICE,
		.fallback = "little",
		.choices = orders,
		.help = "With id or pgn: little is Intel's, big is Motorola's."},
	[SENSOR_SIGNED] = {.name = "signed",
		.type = SCG_BOOL,
		.fallback = "false",
		.help = "With id or pgn: the highest bit is the sign."},
	[SENSOR_FLOAT] = {.name = "float",
		.type = SCG_BOOL,
		.fallback = "false",
		.help = "With id or pgn: an IEEE float, of 32 or 64 bits."},
	[SENSOR_MULTIPLEXOR_START_BIT] = {.name = "multiplexor_start_bit",
		.type = SCG_INT,
		.fallback = "-1",
		.min = -1,
		.max = 14279,
		.help = "With id or pgn: the signal is in the message only if another one, the "
			"multiplexor, has the value multiplexor_value. Where that one begins; its "
			"byte order is the same. -1: the signal is always there."},
	[SENSOR_MULTIPLEXOR_LENGTH] = {.name = "multiplexor_length",
		.type = SCG_INT,
		.fallback = "8",
		.min = 1,
		.max = 32,
		.unit = "bits",
		.help = "The length of the multiplexor."},
	[SENSOR_MULTIPLEXOR_VALUE] = {.name = "multiplexor_value",
		.type = SCG_INT,
		.fallback = "-1",
		.min = -1,
		.max = 4294967295,
		.help = "Its value when the signal is there; needed with multiplexor_start_bit. "
			"-1: none is said."},
	[SENSOR_SAMPLE] = {.name = "sample",
		.type = SCG_CHOICE,
		.fallback = "last",
		.choices = samples,
		.help = "What becomes the reading of an interval: the last value in it, the mean, "
			"the lowest or the highest."},
};
