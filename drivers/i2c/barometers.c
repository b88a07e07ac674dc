/* SPDX-License-Identifier: Apache-2.0 */
#include "bosch.h"
#include "chips.h"

/*
 * BMP280, BST-BMP280-DS001 revision 1.26, and BME280, BST-BME280-DS002 revision 1.6. Each
 * measurement is forced (3.6.2 and 3.3.3): the chip sleeps between them and does not heat itself.
 * Once each for temperature, pressure and humidity takes 9.3 ms at most (BME280, 9.1). It is read
 * in one transfer from the status on (BME280, 4).
 */
#define BOSCH_IDENTITY(id)                                                                         \
	{                                                                                          \
		I2C_READ(0xd0, 1), .configured = {.width = 1, .mask = 0xff, .value = (id) }        \
	}
/* ctrl_meas: temperature and pressure once, forced mode. It also takes over what is in ctrl_hum. */
#define BOSCH_FORCED                                                                               \
	{                                                                                          \
		.write = {0xf4, 0x25}, .n_write = 2, .wait_us = 11000                              \
	}
/* From the status, whose bit 3 says that it measures: four bytes before the first of pressure. */
#define BOSCH_DATA(size)                                                                           \
	{                                                                                          \
		I2C_READ(0xf3, (size)), .ready = {.width = 1, .mask = 0x08, .value = 0 }           \
	}
#define DATA_AT 4

static struct bosch_calibration calibration_of(const struct i2c_input *in, bool has_humidity)
{
	struct bosch_calibration c;

	bosch_calibration_read(in->memory + 1, has_humidity ? in->memory + 27 : NULL, &c);
	return c;
}

static int get_temperature(const struct i2c_input *in, double *ret)
{
	const struct bosch_calibration c = calibration_of(in, false);

	return bosch_temperature(&c, in->data + DATA_AT, ret);
}

static int get_pressure(const struct i2c_input *in, double *ret)
{
	const struct bosch_calibration c = calibration_of(in, false);

	return bosch_pressure(&c, in->data + DATA_AT, ret);
}

static int get_humidity(const struct i2c_input *in, double *ret)
{
	const struct bosch_calibration c = calibration_of(in, true);

	return bosch_humidity(&c, in->data + DATA_AT, ret);
}

static const struct i2c_channel bosch_channels[] = {
	{.name = "temperature", .unit = "degrees Celsius", .formula = get_temperature},
	{.name = "pressure", .unit = "Pa", .formula = get_pressure},
	{.name = "humidity", .unit = "percent", .formula = get_humidity},
};

static const struct i2c_step bmp280_init[] = {
	BOSCH_IDENTITY(0x58),
	{I2C_READ(0x88, 24)},
};
static const struct i2c_step bmp280_steps[] = {BOSCH_FORCED, BOSCH_DATA(DATA_AT + 6)};
static const struct i2c_group bmp280_groups[] = {{bmp280_steps, 2}};
const struct i2c_chip i2c_bmp280 = {
	.first = 0x76,
	.last = 0x77,
	.has_identity = true,
	.init = bmp280_init,
	.n_init = 2,
	.groups = bmp280_groups,
	.channels = bosch_channels,
	.n_channels = 2,
};

static const struct i2c_step bme280_init[] = {
	BOSCH_IDENTITY(0x60),
	{I2C_READ(0x88, 26)},
	{I2C_READ(0xe1, 7)},
};
static const struct i2c_step bme280_steps[] = {
	{.write = {0xf2, 0x01}, .n_write = 2}, /* ctrl_hum */
	BOSCH_FORCED,
	BOSCH_DATA(DATA_AT + 8),
};
static const struct i2c_group bme280_groups[] = {{bme280_steps, 3}};
const struct i2c_chip i2c_bme280 = {
	.first = 0x76,
	.last = 0x77,
	.has_identity = true,
	.init = bme280_init,
	.n_init = 3,
	.groups = bme280_groups,
	.channels = bosch_channels,
	.n_channels = 3,
};

/* LPS22HB, DocID027083 Rev 6, 9.9, 9.14 to 9.20, and LPS22HH, DS12503, with another
   identification: one measurement; the status says that pressure and temperature are there; 1/4096
   of a hectopascal and 1/100 of a degree, low byte first. */
static const struct i2c_step lps22_init[] = {
	{I2C_READ(0x0f, 1), .configured = {.width = 1, .mask = 0xfd, .value = 0xb1}},
};
static const struct i2c_step lps22_steps[] = {
	{.write = {0x11, 0x11}, .n_write = 2, .wait_us = 16000},
	{I2C_READ(0x27, 6), .ready = {.width = 1, .mask = 0x03, .value = 0x03},
		.patience_us = 100000},
};
static const struct i2c_group lps22_groups[] = {{lps22_steps, 2}};
static const struct i2c_channel lps22_channels[] = {
	{.name = "temperature",
		.unit = "degrees Celsius",
		.field = {.at = 4, .width = 2, .is_little = true, .is_signed = true},
		.scale = 0.01},
	{.name = "pressure",
		.unit = "Pa",
		.field = {.at = 1, .width = 3, .is_little = true, .is_signed = true},
		.scale = 100.0 / 4096},
};
const struct i2c_chip i2c_lps22 = {
	.first = 0x5c,
	.last = 0x5d,
	.has_identity = true,
	.init = lps22_init,
	.n_init = 1,
	.groups = lps22_groups,
	.channels = lps22_channels,
	.n_channels = 2,
};
