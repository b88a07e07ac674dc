/* SPDX-License-Identifier: Apache-2.0 */
#include "chips.h"

/* Degrees Celsius of a left-aligned number of two bytes whose lowest bits are not there. */
#define CELSIUS(at_byte, unused_bits, degrees)                                                     \
	{                                                                                          \
		.name = "temperature", .unit = "degrees Celsius", .scale = (degrees), .field = {   \
			.at = (at_byte),                                                           \
			.width = 2,                                                                \
			.shift = (unused_bits),                                                    \
			.is_signed = true                                                          \
		}                                                                                  \
	}

/* --- that measure by themselves, and need nothing but to be read --- */

static const struct i2c_step register_0[] = {{I2C_READ(0, 2)}};
static const struct i2c_group group_register_0[] = {{register_0, 1}};

/* LM75, SNOS808P 7.5: 9 bits of half a degree; the seven below are undefined. */
static const struct i2c_channel lm75_channels[] = {CELSIUS(0, 7, 0.5)};
const struct i2c_chip i2c_lm75 = {
	.first = 0x48,
	.last = 0x4f,
	.groups = group_register_0,
	.channels = lm75_channels,
	.n_channels = 1,
};

/* LM75B, NXP data sheet Rev. 6.1, 7.4.3: 11 bits of an eighth of a degree. */
static const struct i2c_channel lm75b_channels[] = {CELSIUS(0, 5, 0.125)};
const struct i2c_chip i2c_lm75b = {
	.first = 0x48,
	.last = 0x4f,
	.groups = group_register_0,
	.channels = lm75b_channels,
	.n_channels = 1,
};

/* TMP102, SBOS397H 7.5.2: 12 bits of a sixteenth of a degree, which is how it starts. */
static const struct i2c_channel tmp102_channels[] = {CELSIUS(0, 4, 0.0625)};
const struct i2c_chip i2c_tmp102 = {
	.first = 0x48,
	.last = 0x4b,
	.groups = group_register_0,
	.channels = tmp102_channels,
	.n_channels = 1,
};

/* TMP117, SNOSD82D 7.6: register 15 is the identification; temperature in 1/128 of a degree, and
   0x8000 until the first conversion. */
static const struct i2c_step tmp117_init[] = {
	{I2C_READ(0x0f, 2), .configured = {.width = 2, .mask = 0x0fff, .value = 0x0117}},
};
static const struct i2c_channel tmp117_channels[] = {
	{
		.name = "temperature",
		.unit = "degrees Celsius",
		.field = {.width = 2, .is_signed = true},
		.scale = 0.0078125,
		.has_no_value = true,
		.no_value = -32768,
	},
};
const struct i2c_chip i2c_tmp117 = {
	.first = 0x48,
	.last = 0x4b,
	.has_identity = true,
	.init = tmp117_init,
	.n_init = 1,
	.groups = group_register_0,
	.channels = tmp117_channels,
	.n_channels = 1,
};

/* MCP9808, DS25095A 5.1.3 and 5.2: the top three bits of register 5 are alarms, the next is the
   sign; register 7 is the identification, whose low byte is the revision. */
static const struct i2c_step mcp9808_init[] = {
	{I2C_READ(0x07, 2), .configured = {.width = 2, .mask = 0xff00, .value = 0x0400}},
};
static const struct i2c_step mcp9808_steps[] = {{I2C_READ(0x05, 2)}};
static const struct i2c_group mcp9808_groups[] = {{mcp9808_steps, 1}};
static const struct i2c_channel mcp9808_channels[] = {
	{
		.name = "temperature",
		.unit = "degrees Celsius",
		.field = {.width = 2, .is_signed = true, .mask = 0x1fff},
		.scale = 0.0625,
	},
};
const struct i2c_chip i2c_mcp9808 = {
	.first = 0x18,
	.last = 0x1f,
	.has_identity = true,
	.init = mcp9808_init,
	.n_init = 1,
	.groups = mcp9808_groups,
	.channels = mcp9808_channels,
	.n_channels = 1,
};

/* --- that start with 9 bits and are asked for 12 --- */

/* TMP105, SBOS648B 7.5.3, and TMP75, SBOS288L 7.5.3: R1 and R0 of register 1, and a conversion
   takes 300 ms then. */
#define TMP105_BITS 0x60
static const struct i2c_step tmp105_init[] = {
	{.write = {0x01, TMP105_BITS}, .n_write = 2, .wait_us = 330000},
};
static const struct i2c_step tmp105_steps[] = {
	{I2C_READ(0x01, 1), .configured = {.width = 1, .mask = TMP105_BITS, .value = TMP105_BITS}},
	{I2C_READ(0x00, 2)},
};
static const struct i2c_group tmp105_groups[] = {{tmp105_steps, 2}};
static const struct i2c_channel tmp105_channels[] = {CELSIUS(1, 4, 0.0625)};
const struct i2c_chip i2c_tmp105 = {
	.first = 0x48,
	.last = 0x49,
	.init = tmp105_init,
	.n_init = 1,
	.groups = tmp105_groups,
	.channels = tmp105_channels,
	.n_channels = 1,
};
const struct i2c_chip i2c_tmp75 = {
	.first = 0x48,
	.last = 0x4f,
	.init = tmp105_init,
	.n_init = 1,
	.groups = tmp105_groups,
	.channels = tmp105_channels,
	.n_channels = 1,
};
