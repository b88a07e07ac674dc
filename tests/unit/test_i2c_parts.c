/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the I2C driver that compute: fields, checksums, commands, Bosch's formulae. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "i2c/bosch.h"
#include "i2c/chip.h"
#include "i2c/crc8.h"
#include "i2c/options.h"
#include "i2c/value.h"
#include "util.h"

static int64_t get(struct i2c_field field, uint32_t bytes)
{
	const uint8_t data[] = {(uint8_t)(bytes >> 24), (uint8_t)(bytes >> 16),
		(uint8_t)(bytes >> 8), (uint8_t)bytes};

	return i2c_field_get(&field, data);
}

static void fields_are_cut_out(void **state)
{
	(void)state;
	assert_int_equal(0x12, get((struct i2c_field){.width = 1}, 0x12345678));
	assert_int_equal(0x1234, get((struct i2c_field){.width = 2}, 0x12345678));
	assert_int_equal(0x345678, get((struct i2c_field){.at = 1, .width = 3}, 0x12345678));
	assert_int_equal(0xfedcba98, get((struct i2c_field){.width = 4}, 0xfedcba98));
	assert_int_equal(
		0x3412, get((struct i2c_field){.width = 2, .is_little = true}, 0x12345678));
	assert_int_equal(0x123, get((struct i2c_field){.width = 2, .shift = 4}, 0x12345678));
	assert_int_equal(
		0x23, get((struct i2c_field){.width = 2, .shift = 4, .mask = 0xff}, 0x12345678));
}

static void the_highest_bit_that_is_left_is_the_sign(void **state)
{
	(void)state;
	assert_int_equal(-1, get((struct i2c_field){.width = 1, .is_signed = true}, 0xff000000));
	assert_int_equal(
		INT32_MIN, get((struct i2c_field){.width = 4, .is_signed = true}, 0x80000000));
	assert_int_equal(-400,
		get((struct i2c_field){.width = 2, .shift = 4, .is_signed = true}, 0xe7000000));
	assert_int_equal(-1,
		get((struct i2c_field){.width = 2, .mask = 0x1fff, .is_signed = true}, 0xffff0000));
	assert_int_equal(0xfff,
		get((struct i2c_field){.width = 2, .mask = 0x1fff, .is_signed = true}, 0x0fff0000));
}

static void checksums_are_those_of_the_documents(void **state)
{
	static const uint8_t sensirion[] = {0xbe, 0xef}, htu21d[] = {0x68, 0x3a};
	static const uint8_t smbus[] = "123456789";

	(void)state;
	/* SHT3x, 4.12 */
	assert_int_equal(0x92, i2c_crc8(CRC8_SENSIRION, 0xff, sensirion, 2));
	/* HTU21D, "CRC-8 Checksum using I2C Protocol" */
	assert_int_equal(0x7c, i2c_crc8(CRC8_SENSIRION, 0, htu21d, 2));
	/* the check value of CRC-8/SMBUS in the catalogue of CRC RevEng */
	assert_int_equal(0xf4, i2c_crc8(CRC8_SMBUS, 0, smbus, 9));
}

static void commands_are_hexadecimal_digits(void **state)
{
	uint8_t bytes[I2C_COMMAND_MAX];

	(void)state;
	assert_int_equal(2, i2c_options_command("0x2400", bytes));
	assert_memory_equal("\x24\x00", bytes, 2);
	assert_int_equal(3, i2c_options_command("ac 33 00", bytes));
	assert_memory_equal("\xac\x33\x00", bytes, 3);
	assert_int_equal(1, i2c_options_command("FD", bytes));
	assert_int_equal(8, i2c_options_command("0011223344556677", bytes));
	assert_int_equal(-E2BIG, i2c_options_command("001122334455667788", bytes));
	assert_int_equal(-EINVAL, i2c_options_command("", bytes));
	assert_int_equal(-EINVAL, i2c_options_command("0x", bytes));
	assert_int_equal(-EINVAL, i2c_options_command("240", bytes));
	assert_int_equal(-EINVAL, i2c_options_command("zz", bytes));
}

/* BMP280, BST-BMP280-DS001, 3.12: the example of a calculation. */
static const struct bosch_calibration example = {
	.t1 = 27504,
	.t2 = 26435,
	.t3 = -1000,
	.p1 = 36477,
	.p2 = -10685,
	.p3 = 3024,
	.p4 = 2855,
	.p5 = 140,
	.p6 = -7,
	.p7 = 15500,
	.p8 = -14600,
	.p9 = 6000,
	.h1 = 75,
	.h2 = 360,
	.h4 = 325,
	.h5 = 50,
	.h6 = 30,
};

static void put_20(uint8_t *bytes, uint32_t value)
{
	bytes[0] = (uint8_t)(value >> 12);
	bytes[1] = (uint8_t)(value >> 4);
	bytes[2] = (uint8_t)(value << 4);
}

static void the_example_of_the_bmp280_comes_out(void **state)
{
	uint8_t data[8];
	double value;

	(void)state;
	put_20(data, 415148);
	put_20(data + 3, 519888);
	assert_int_equal(0, bosch_temperature(&example, data, &value));
	assert_true(value == 25.08);
	/* 100653.27 Pa there, in floating point; the integer form is a little off */
	assert_int_equal(0, bosch_pressure(&example, data, &value));
	assert_true(fabs(value - 100653.27) < 0.02);
	assert_true(value == 25767233.0 / 256);
}

/* The other form that the datasheet gives, in floating point: BME280, 8.1. */
static double humidity_in_double(const struct bosch_calibration *c, double raw, double fine)
{
	double v = fine - 76800;

	v = (raw - (c->h4 * 64.0 + c->h5 / 16384.0 * v)) *
	    (c->h2 / 65536.0 * (1 + c->h6 / 67108864.0 * v * (1 + c->h3 / 67108864.0 * v)));
	v = v * (1 - c->h1 * v / 524288);
	return v > 100 ? 100 : v < 0 ? 0 : v;
}

static void both_forms_of_the_humidity_agree(void **state)
{
	uint8_t data[8];
	double value;

	(void)state;
	put_20(data + 3, 519888);
	for (uint32_t raw = 0; raw < 0xffff; raw += 97) {
		data[6] = (uint8_t)(raw >> 8);
		data[7] = (uint8_t)raw;
		assert_int_equal(0, bosch_humidity(&example, data, &value));
		/* the fine temperature of the example */
		assert_true(fabs(value - humidity_in_double(&example, raw, 128422)) < 0.02);
	}
}

static void what_was_not_measured_has_no_value(void **state)
{
	uint8_t data[8] = {0x80, 0, 0, 0x80, 0, 0, 0x80, 0};
	double value;

	(void)state;
	assert_int_equal(-ENODATA, bosch_temperature(&example, data, &value));
	assert_int_equal(-ENODATA, bosch_pressure(&example, data, &value));
	assert_int_equal(-ENODATA, bosch_humidity(&example, data, &value));
	put_20(data + 3, 519888);
	assert_int_equal(-ENODATA, bosch_pressure(&example, data, &value));
	assert_int_equal(-ENODATA, bosch_humidity(&example, data, &value));
}

static void every_chip_is_complete(void **state)
{
	(void)state;
	for (int64_t i = CHIP_NONE + 1; i < N_CHIPS; i++) {
		const struct i2c_chip *chip = i2c_chip_get(i);

		assert_non_null(i2c_chip_names[i]);
		assert_true(i == 1 || strcmp(i2c_chip_names[i - 1], i2c_chip_names[i]) < 0);
		assert_non_null(chip);
		assert_true(i2c_chip_has_address(chip, chip->first));
		assert_true(chip->n_channels > 0);
		for (uint8_t j = 0; j < chip->n_channels; j++) {
			const struct i2c_channel *channel = &chip->channels[j];

			assert_non_null(channel->unit);
			assert_ptr_equal(channel, i2c_chip_find_channel(chip, channel->name));
			assert_true(chip->groups[channel->group].n > 0);
			assert_true(chip->groups[channel->group].n <= I2C_STEPS_MAX);
			assert_true(channel->formula || channel->scale != 0);
		}
	}
	assert_null(i2c_chip_get(CHIP_NONE));
	assert_null(i2c_chip_names[N_CHIPS]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_cut_out),
		cmocka_unit_test(the_highest_bit_that_is_left_is_the_sign),
		cmocka_unit_test(checksums_are_those_of_the_documents),
		cmocka_unit_test(commands_are_hexadecimal_digits),
		cmocka_unit_test(the_example_of_the_bmp280_comes_out),
		cmocka_unit_test(both_forms_of_the_humidity_agree),
		cmocka_unit_test(what_was_not_measured_has_no_value),
		cmocka_unit_test(every_chip_is_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
