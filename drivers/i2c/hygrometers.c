/* SPDX-License-Identifier: Apache-2.0 */
#include "chips.h"

#define TEMPERATURE .name = "temperature", .unit = "degrees Celsius"
#define HUMIDITY    .name = "humidity", .unit = "percent"

/* SHT3x, datasheet version 6, 4.3 and 4.13: one measurement of high repeatability without clock
   stretching, which takes 15.5 ms at most. */
static const struct i2c_step sht3x_steps[] = {
	{.write = {0x24, 0x00}, .n_write = 2, .wait_us = 16000},
	{.n_read = 6, .check = CHECK_WORDS},
};
static const struct i2c_group sht3x_groups[] = {{sht3x_steps, 2}};
static const struct i2c_channel sht3x_channels[] = {
	{TEMPERATURE, .field = {.width = 2}, .scale = 175.0 / 65535, .offset = -45},
	{HUMIDITY, .field = {.at = 3, .width = 2}, .scale = 100.0 / 65535},
};
const struct i2c_chip i2c_sht3x = {
	.first = 0x44,
	.last = 0x45,
	.takes_commands = true,
	.groups = sht3x_groups,
	.channels = sht3x_channels,
	.n_channels = 2,
};

/* SHT4x, datasheet version 6, 4.5 and 4.6: high precision, 8.3 ms at most. Humidity may come out a
   little below 0 and above 100. */
static const struct i2c_step sht4x_steps[] = {
	{.write = {0xfd}, .n_write = 1, .wait_us = 9000},
	{.n_read = 6, .check = CHECK_WORDS},
};
static const struct i2c_group sht4x_groups[] = {{sht4x_steps, 2}};
static const struct i2c_channel sht4x_channels[] = {
	{TEMPERATURE, .field = {.width = 2}, .scale = 175.0 / 65535, .offset = -45},
	{HUMIDITY, .field = {.at = 3, .width = 2}, .scale = 125.0 / 65535, .offset = -6},
};
const struct i2c_chip i2c_sht4x = {
	.first = 0x44,
	.last = 0x46,
	.takes_commands = true,
	.groups = sht4x_groups,
	.channels = sht4x_channels,
	.n_channels = 2,
};

/* AHT20, product manual version 1.1, 5.3, 5.4 and 6: bit 7 of the status says that it measures,
   bit 3 that it is calibrated, which it is not after a reset. */
static const struct i2c_step aht20_init[] = {
	{.write = {0xbe, 0x08, 0x00}, .n_write = 3, .wait_us = 12000},
};
static const struct i2c_step aht20_steps[] = {
	{.write = {0xac, 0x33, 0x00}, .n_write = 3, .wait_us = 82000},
	{.n_read = 7,
		.check = CHECK_ALL,
		.ready = {.width = 1, .mask = 0x80, .value = 0},
		.configured = {.width = 1, .mask = 0x08, .value = 0x08}},
};
static const struct i2c_group aht20_groups[] = {{aht20_steps, 2}};
static const struct i2c_channel aht20_channels[] = {
	{TEMPERATURE, .field = {.at = 3, .width = 3, .mask = 0xfffff}, .scale = 200.0 / (1 << 20),
		.offset = -50},
	{HUMIDITY, .field = {.at = 1, .width = 3, .shift = 4}, .scale = 100.0 / (1 << 20)},
};
const struct i2c_chip i2c_aht20 = {
	.first = 0x38,
	.last = 0x38,
	.takes_commands = true,
	.init = aht20_init,
	.n_init = 1,
	.groups = aht20_groups,
	.channels = aht20_channels,
	.n_channels = 2,
};

/* HTU21D, HPC199_2 of 2013: measuring without holding the clock, 16 ms for humidity and 50 ms for
   temperature; the lowest two bits are status; a checksum that begins with 0. */
enum { HTU_HUMIDITY, HTU_TEMPERATURE };
static const struct i2c_step htu21d_humidity[] = {
	{.write = {0xf5}, .n_write = 1, .wait_us = 18000},
	{.n_read = 3, .check = CHECK_ALL_ZERO},
};
static const struct i2c_step htu21d_temperature[] = {
	{.write = {0xf3}, .n_write = 1, .wait_us = 52000},
	{.n_read = 3, .check = CHECK_ALL_ZERO},
};
static const struct i2c_group htu21d_groups[] = {
	[HTU_HUMIDITY] = {htu21d_humidity, 2},
	[HTU_TEMPERATURE] = {htu21d_temperature, 2},
};
static const struct i2c_channel htu21d_channels[] = {
	{TEMPERATURE, .group = HTU_TEMPERATURE, .field = {.width = 2, .mask = 0xfffc},
		.scale = 175.72 / 65536, .offset = -46.85},
	{HUMIDITY, .group = HTU_HUMIDITY, .field = {.width = 2, .mask = 0xfffc},
		.scale = 125.0 / 65536, .offset = -6},
};
const struct i2c_chip i2c_htu21d = {
	.first = 0x40,
	.last = 0x40,
	.takes_commands = true,
	.groups = htu21d_groups,
	.channels = htu21d_channels,
	.n_channels = 2,
};

/* Si7021-A20, Rev. 1.3, 5.1: the same commands and formulae; humidity takes 12 ms and the 10.8 ms
   of the temperature that it measures with it. */
static const struct i2c_step si7021_humidity[] = {
	{.write = {0xf5}, .n_write = 1, .wait_us = 24000},
	{.n_read = 3, .check = CHECK_ALL_ZERO},
};
static const struct i2c_step si7021_temperature[] = {
	{.write = {0xf3}, .n_write = 1, .wait_us = 12000},
	{.n_read = 3, .check = CHECK_ALL_ZERO},
};
static const struct i2c_group si7021_groups[] = {
	[HTU_HUMIDITY] = {si7021_humidity, 2},
	[HTU_TEMPERATURE] = {si7021_temperature, 2},
};
const struct i2c_chip i2c_si7021 = {
	.first = 0x40,
	.last = 0x40,
	.takes_commands = true,
	.groups = si7021_groups,
	.channels = htu21d_channels,
	.n_channels = 2,
};

/* SCD4x, datasheet version 1.4, 3.5: it may be at work from before, so it is stopped (500 ms), and
   then measures every 5 seconds by itself. The lowest 11 bits say whether there is a new
   measurement; one that is read is gone. */
static const struct i2c_step scd4x_init[] = {
	{.write = {0x3f, 0x86}, .n_write = 2, .wait_us = 510000},
	{.write = {0x21, 0xb1}, .n_write = 2, .wait_us = 5000000},
};
static const struct i2c_step scd4x_steps[] = {
	{.write = {0xe4, 0xb8},
		.n_write = 2,
		.wait_us = 1200,
		.n_read = 3,
		.check = CHECK_WORDS,
		.ready = {.width = 2, .mask = 0x07ff, .value = 0, .is_not = true},
		.patience_us = 6000000},
	{.write = {0xec, 0x05}, .n_write = 2, .wait_us = 1200, .n_read = 9, .check = CHECK_WORDS},
};
static const struct i2c_group scd4x_groups[] = {{scd4x_steps, 2}};
static const struct i2c_channel scd4x_channels[] = {
	{.name = "co2", .unit = "ppm", .field = {.at = 3, .width = 2}, .scale = 1},
	{TEMPERATURE, .field = {.at = 6, .width = 2}, .scale = 175.0 / 65535, .offset = -45},
	{HUMIDITY, .field = {.at = 9, .width = 2}, .scale = 100.0 / 65535},
};
const struct i2c_chip i2c_scd4x = {
	.first = 0x62,
	.last = 0x62,
	.takes_commands = true,
	.init = scd4x_init,
	.n_init = 2,
	.groups = scd4x_groups,
	.channels = scd4x_channels,
	.n_channels = 3,
};
