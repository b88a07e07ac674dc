/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "chips.h"

/* BH1750FVI, 2011.11 Rev. D, instruction set and measurement sequence: once in high resolution,
   180 ms at most; 1.2 counts a lux. */
static const struct i2c_step bh1750_steps[] = {
	{.write = {0x20}, .n_write = 1, .wait_us = 185000},
	{.n_read = 2},
};
static const struct i2c_group bh1750_groups[] = {{bh1750_steps, 2}};
static const struct i2c_channel bh1750_channels[] = {
	{.name = "illuminance", .unit = "lx", .field = {.width = 2}, .scale = 1 / 1.2},
};
const struct i2c_chip i2c_bh1750 = {
	.first = 0x23,
	.last = 0x23,
	.second_first = 0x5c,
	.second_last = 0x5c,
	.takes_commands = true,
	.groups = bh1750_groups,
	.channels = bh1750_channels,
	.n_channels = 1,
};

/*
 * VEML7700, document 84286, tables 1 to 5, and Vishay's application note 84323: gain 1/8 and 100 ms
 * give 0.5376 lx a count; what is above 1000 lx is corrected by the note's polynomial, which holds
 * to the chip's limit of 140 klx. Low byte first. After a reset it is shut down (bit 0).
 */
#define VEML7700_LX    0.5376
#define VEML7700_LIMIT 140000.0
static int get_veml7700_illuminance(const struct i2c_input *in, double *ret)
{
	const struct i2c_field field = {.at = 2, .width = 2, .is_little = true};
	double x = (double)i2c_field_get(&field, in->data) * VEML7700_LX;

	if (x > 1000) {
		x = (((6.0135e-13 * x - 9.3924e-9) * x + 8.1488e-5) * x + 1.0023) * x;
	}
	if (x > VEML7700_LIMIT) {
		return -ERANGE;
	}
	*ret = x;
	return 0;
}

static const struct i2c_step veml7700_init[] = {
	{.write = {0x00, 0x00, 0x10}, .n_write = 3, .wait_us = 115000},
};
static const struct i2c_step veml7700_steps[] = {
	{I2C_READ(0x00, 2), .configured = {.width = 2, .mask = 0xffff, .value = 0x0010}},
	{I2C_READ(0x04, 2)},
};
static const struct i2c_group veml7700_groups[] = {{veml7700_steps, 2}};
static const struct i2c_channel veml7700_channels[] = {
	{.name = "illuminance", .unit = "lx", .formula = get_veml7700_illuminance},
};
const struct i2c_chip i2c_veml7700 = {
	.first = 0x10,
	.last = 0x10,
	.init = veml7700_init,
	.n_init = 1,
	.groups = veml7700_groups,
	.channels = veml7700_channels,
	.n_channels = 1,
};
