/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>

#include "chip.h"

static const char *const byte_orders[] = {"big", "little", NULL};

const struct scg_option i2c_bus_options[N_BUS_OPTIONS] = {
	[BUS_DEVICE] = {.name = "device",
		.type = SCG_STRING,
		.flags = SCG_REQUIRED,
		.max = 255,
		.help = "The adapter: its device file, as /dev/i2c-1, or its name as "
			"/sys/class/i2c-dev/i2c-1/name has it, which stays when the numbers "
			"change. Each channel of a multiplexer is an adapter of its own."},
	[BUS_FREQUENCY] = {.name = "frequency",
		.type = SCG_INT,
		.fallback = "100000",
		.min = 1000,
		.max = 5000000,
		.unit = "Hz",
		.help = "Clock of the bus, to foresee how busy it will be. It sets nothing: that "
			"is the kernel's, by device tree or module."},
};

const struct scg_option i2c_sensor_options[N_SENSOR_OPTIONS] = {
	[SENSOR_ADDRESS] = {.name = "address",
		.type = SCG_INT,
		.flags = SCG_REQUIRED,
		.min = 0,
		.max = I2C_ADDRESS_TEN_MAX,
		.help = "Address of the chip, without the bit for reading and writing: 0x08 to "
			"0x77, with ten_bit to 0x3ff."},
	[SENSOR_TEN_BIT] = {.name = "ten_bit",
		.type = SCG_BOOL,
		.fallback = "false",
		.help = "The address is one of ten bits."},
	[SENSOR_CHIP] = {.name = "chip",
		.type = SCG_CHOICE,
		.fallback = "none",
		.choices = i2c_chip_names,
		.help = "The chip, if the driver knows it; then channel says which of its values. "
			"With none the options from register on say what to read."},
	[SENSOR_CHANNEL] = {.name = "channel",
		.type = SCG_STRING,
		.max = 31,
		.help = "Which value of the chip, as temperature, humidity, a0. May be left out "
			"where a chip has only one."},
	[SENSOR_FULL_SCALE] = {.name = "full_scale",
		.type = SCG_NUMBER,
		.fallback = "0",
		.max = 10,
		.unit = "V",
		.help = "Converters with an amplifier: the largest voltage. 0 is the chip's usual: "
			"4.096 with ads1015 and ads1115, 2.048 with mcp3421."},
	[SENSOR_BITS] = {.name = "bits",
		.type = SCG_INT,
		.fallback = "0",
		.max = 24,
		.unit = "bits",
		.help = "mcp3421: 12, 14, 16 or 18, of which each takes four times as long as the "
			"one before. 0 is 16."},
	[SENSOR_SHUNT] = {.name = "shunt",
		.type = SCG_NUMBER,
		.fallback = "0",
		.max = 1000,
		.unit = "Ohm",
		.help = "ina219 and ina226: the resistor that the current flows through. 0 is 0.1, "
			"as on most boards."},
	[SENSOR_REFERENCE] = {.name = "reference",
		.type = SCG_NUMBER,
		.fallback = "0",
		.max = 10,
		.unit = "V",
		.help = "pcf8591: the reference voltage. 0 is 3.3."},
	[SENSOR_REGISTER] = {.name = "register",
		.type = SCG_INT,
		.fallback = "-1",
		.min = -1,
		.max = 65535,
		.help = "Number of the register, which is sent before reading. -1 sends none."},
	[SENSOR_REGISTER_WIDTH] = {.name = "register_width",
		.type = SCG_INT,
		.fallback = "1",
		.min = 1,
		.max = 2,
		.unit = "bytes",
		.help = "How long the number of a register is; the high byte goes first."},
	[SENSOR_WIDTH] = {.name = "width",
		.type = SCG_INT,
		.fallback = "1",
		.min = 1,
		.max = 4,
		.unit = "bytes",
		.help = "How many bytes to read."},
	[SENSOR_BYTE_ORDER] = {.name = "byte_order",
		.type = SCG_CHOICE,
		.fallback = "big",
		.choices = byte_orders,
		.help = "Which byte comes first: the high one (big) or the low one (little)."},
	[SENSOR_SIGNED] = {.name = "signed",
		.type = SCG_BOOL,
		.fallback = "false",
		.help = "The highest bit that shift and mask leave is the sign."},
	[SENSOR_SHIFT] = {.name = "shift",
		.type = SCG_INT,
		.fallback = "0",
		.min = 0,
		.max = 31,
		.unit = "bits",
		.help = "Bits to drop at the low end."},
	[SENSOR_MASK] = {.name = "mask",
		.type = SCG_INT,
		.fallback = "0",
		.min = 0,
		.max = 4294967295.0,
		.help = "Which bits count, after the shift, as 0x0fff. 0 is all of them."},
	[SENSOR_COMMAND] = {.name = "command",
		.type = SCG_STRING,
		.max = 31,
		.help = "Bytes to send first, in hexadecimal digits, as 0x2400: what makes the "
			"chip measure. At most eight."},
	[SENSOR_DELAY] = {.name = "delay",
		.type = SCG_DURATION,
		.fallback = "0s",
		.max = 5,
		.help = "How long the chip takes after the command. Other chips are read "
			"meanwhile."},
	[SENSOR_AUTO_INCREMENT] = {.name = "auto_increment",
		.type = SCG_BOOL,
		.fallback = "false",
		.help = "The chip counts the register up by itself: sensors of adjacent registers "
			"that all say so are read in one transfer, so that they belong together. "
			"One register is one byte."},
	[SENSOR_PEC] = {.name = "pec",
		.type = SCG_BOOL,
		.fallback = "false",
		.help = "The chip sends and expects the checksum of SMBus (PEC)."},
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int i2c_options_command(const char *text, uint8_t ret_bytes[I2C_COMMAND_MAX])
{
	uint32_t n = 0;

	if (text[0] == '0' && (text[1] | 0x20) == 'x') {
		text += 2;
	}
	while (*text) {
		int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);

		if (low < 0) {
			return -EINVAL;
		}
		if (n == I2C_COMMAND_MAX) {
			return -E2BIG;
		}
		ret_bytes[n++] = (uint8_t)(high << 4 | low);
		text += 2;
		text += *text == ' ';
	}
	return n > 0 ? (int)n : -EINVAL;
}
