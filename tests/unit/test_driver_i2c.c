/* SPDX-License-Identifier: Apache-2.0 */
/* The I2C driver against an adapter that this process plays: what is read how, and how long it
   takes. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "i2c_fixture.h"
#include "util.h"

static void raw_registers_are_read(void **state)
{
	struct fake_bus *f = i2c_bus_new();
	struct fake_chip chip = {.address = 0x48, .registers = {0x19, 0x7f, 0x12, 0x34, 0xf0}};

	(void)state;
	fake_i2c_add(&chip);
	(void)i2c_bus_add(f, "address: 0x48, register: 0, width: 2, shift: 4, signed: true");
	(void)i2c_bus_add(f, "address: 0x48, register: 2, width: 2, byte_order: little");
	(void)i2c_bus_add(f, "address: 0x48, register: 4, signed: true");
	(void)i2c_bus_add(f, "address: 0x48, register: 0, width: 4, mask: 0xffff00");
	(void)i2c_bus_add(f, "address: 0x48, register: 1, width: 3");
	assert_int_equal(0, fake_bus_check(f));
	assert_int_equal(0, i2c_bus_round(f));
	assert_true(i2c_bus_value(f, 0) == 0x197);
	assert_true(i2c_bus_value(f, 1) == 0x3412);
	assert_true(i2c_bus_value(f, 2) == -16);
	assert_true(i2c_bus_value(f, 3) == 0x7f1200);
	assert_true(i2c_bus_value(f, 4) == 0x7f1234);
	i2c_bus_free(f);
}

static void registers_that_count_up_are_read_at_once(void **state)
{
	struct fake_bus *f = i2c_bus_new();
	struct fake_chip chip = {.address = 0x20, .registers = {[0x10] = 1, 2, 3, 4, 5, 6}};

	(void)state;
	fake_i2c_add(&chip);
	(void)i2c_bus_add(f, "address: 0x20, register: 0x13, width: 2, auto_increment: true");
	(void)i2c_bus_add(f, "address: 0x20, register: 0x10, width: 2, auto_increment: true");
	(void)i2c_bus_add(f, "address: 0x20, register: 0x12, auto_increment: true");
	/* not adjacent */
	(void)i2c_bus_add(f, "address: 0x20, register: 0x30, auto_increment: true");
	assert_int_equal(0, i2c_bus_round(f));
	assert_true(i2c_bus_value(f, 0) == 0x0405);
	assert_true(i2c_bus_value(f, 1) == 0x0102);
	assert_true(i2c_bus_value(f, 2) == 3);
	assert_int_equal(2, chip.n_transfers);
	i2c_bus_free(f);
}

static void sensors_of_one_register_share_it(void **state)
{
	struct fake_bus *f = i2c_bus_new();
	struct fake_chip chip = {.address = 0x20, .registers = {0xa5}};

	(void)state;
	fake_i2c_add(&chip);
	(void)i2c_bus_add(f, "address: 0x20, register: 0, shift: 4");
	(void)i2c_bus_add(f, "address: 0x20, register: 0, mask: 0x0f");
	assert_int_equal(0, i2c_bus_round(f));
	assert_true(i2c_bus_value(f, 0) == 0xa);
	assert_true(i2c_bus_value(f, 1) == 5);
	assert_int_equal(1, chip.n_transfers);
	i2c_bus_free(f);
}

static void a_command_comes_first_and_has_its_time(void **state)
{
	struct fake_bus *f = i2c_bus_new();
	struct fake_sht3x sht;

	(void)state;
	fake_sht3x_add(&sht, 0x44);
	(void)i2c_bus_add(f, "address: 0x44, command: 24 00, delay: 16ms, width: 4");
	assert_int_equal(0, i2c_bus_round(f));
	/* four bytes are no answer of this chip */
	assert_non_null(strstr(i2c_bus_reason(f, 0), "does not become ready"));
	i2c_bus_free(f);
}

/* Answers to a number of two bytes, with the checksum of SMBus. */
static int transfer_pec(
	struct fake_chip *chip, const uint8_t *write, size_t n_write, uint8_t *read, size_t n_read)
{
	const uint8_t *pec = chip->data;

	if (n_write != 1 || write[0] != 0x07 || n_read != 3) {
		return -ENXIO;
	}
	memcpy(read, "\xd2\x3a", 2);
	read[2] = *pec;
	return 0;
}

static void a_wrong_pec_is_no_value(void **state)
{
	struct fake_bus *f = i2c_bus_new();
	uint8_t pec = 0x30;
	struct fake_chip chip = {.address = 0x5a, .transfer = transfer_pec, .data = &pec};

	(void)state;
	fake_i2c_add(&chip);
	/* MLX90614 data sheet, 8.4.3: the example of read word, d2 3a with PEC 30 */
	(void)i2c_bus_add(f, "address: 0x5a, register: 7, width: 2, byte_order: little, pec: true");
	assert_int_equal(0, i2c_bus_round(f));
	assert_true(i2c_bus_value(f, 0) == 0x3ad2);
	pec = 0x31;
	assert_int_equal(0, i2c_bus_round(f));
	assert_string_equal("0x5a: the checksum (PEC) is wrong", i2c_bus_reason(f, 0));
	assert_int_equal(2, fake_bus_counted(f, "checksum"));
	i2c_bus_free(f);
}

static void ten_bit_addresses_are_others(void **state)
{
	struct fake_bus *f = i2c_bus_new();
	struct fake_chip seven = {.address = 0x48, .registers = {7}};
	struct fake_chip ten = {.address = 0x48, .is_ten_bit = true, .registers = {10}};

	(void)state;
	fake_i2c_add(&seven);
	fake_i2c_add(&ten);
	(void)i2c_bus_add(f, "address: 0x48, register: 0");
	(void)i2c_bus_add(f, "address: 0x48, register: 0, ten_bit: true");
	assert_int_equal(0, fake_bus_check(f));
	assert_int_equal(0, i2c_bus_round(f));
	assert_true(i2c_bus_value(f, 0) == 7);
	assert_true(i2c_bus_value(f, 1) == 10);
	i2c_bus_free(f);
}

static void smbus_calls_do_where_there_is_nothing_else(void **state)
{
	struct fake_bus *f = i2c_bus_new();
	struct fake_chip chip = {.address = 0x48, .registers = {0x19, 0x10, 0x33}};
	struct fake_sht3x sht;

	(void)state;
	fake_i2c_reset(FAKE_I2C_SMBUS);
	fake_i2c_add(&chip);
	fake_sht3x_add(&sht, 0x44);
	(void)i2c_bus_add(f, "address: 0x48, chip: tmp102");
	(void)i2c_bus_add(f, "address: 0x44, chip: sht3x, channel: humidity");
	assert_int_equal(0, i2c_bus_round(f));
	assert_true(i2c_bus_value(f, 0) == 25.0625);
	assert_non_null(strstr(i2c_bus_reason(f, 1), "0x44 (sht3x): this adapter cannot"));
	i2c_bus_free(f);
}

static void waits_of_different_chips_overlap(void **state)
{
	struct fake_bus *f = i2c_bus_new();
	struct fake_sht3x sht[2];
	struct fake_chip light = {.address = 0x23}; /* BH1750, 185 ms */
	int64_t begin_ns;

	(void)state;
	fake_sht3x_add(&sht[0], 0x44);
	fake_sht3x_add(&sht[1], 0x45);
	fake_i2c_add(&light);
	(void)i2c_bus_add(f, "address: 0x23, chip: bh1750");
	(void)i2c_bus_add(f, "address: 0x44, chip: sht3x, channel: temperature");
	(void)i2c_bus_add(f, "address: 0x45, chip: sht3x, channel: humidity");
	(void)i2c_bus_add(f, "address: 0x44, chip: sht3x, channel: humidity");
	assert_int_equal(0, fake_bus_open(f));
	begin_ns = fake_i2c.now_ns;
	assert_int_equal(0, i2c_bus_round(f));
	assert_in_range(fake_i2c.now_ns - begin_ns, 185 * NS_PER_MS, 190 * NS_PER_MS);
	assert_true(fabs(i2c_bus_value(f, 1) - 25) < 1e-9);
	assert_true(fabs(i2c_bus_value(f, 2) - 40) < 1e-9);
	/* one measurement for both */
	assert_int_equal(1, sht[0].n_triggers);
	i2c_bus_free(f);
}

static void a_fast_chip_does_not_wait_for_a_slow_one(void **state)
{
	struct fake_bus *f = i2c_bus_new();
	struct fake_chip fast = {.address = 0x48, .registers = {0x19}}, light = {.address = 0x23};
	struct scg_sensor *due[2];

	(void)state;
	fake_i2c_add(&fast);
	fake_i2c_add(&light);
	due[0] = i2c_bus_add(f, "address: 0x23, chip: bh1750");
	due[1] = i2c_bus_add(f, "address: 0x48, chip: tmp102");
	assert_int_equal(0, fake_bus_open(f));
	assert_int_equal(0, fake_bus_poll(f, due, 2));
	assert_int_equal(1, f->n_results);
	assert_true(i2c_bus_value(f, 1) == 25);
	i2c_bus_free(f);
}

/* Twenty chips of five kinds at their addresses. */
static void add_twenty(struct fake_bus *f, struct fake_sht3x sht[2], struct fake_chip chips[18])
{
	uint32_t n = 0;

	for (uint16_t i = 0; i < 2; i++) {
		_cleanup_(freep) char *options = xasprintf(
			"address: %d, chip: sht3x, channel: temperature", 0x44 + i);

		fake_sht3x_add(&sht[i], (uint16_t)(0x44 + i));
		(void)i2c_bus_add(f, options);
	}
	for (uint16_t i = 0; i < 18; i++) {
		static const char *const kinds[] = {
			"lm75b", "register: 3, width: 2", "register: 0, width: 4"};
		uint16_t address = (uint16_t)(i < 8 ? 0x48 + i : 0x20 + i);
		const char *kind = i < 8 ? kinds[0] : kinds[1 + i % 2];
		_cleanup_(freep) char *options = xasprintf(
			"address: %d, %s%s", address, i < 8 ? "chip: " : "", kind);

		chips[n] = (struct fake_chip){.address = address};
		fake_i2c_add(&chips[n++]);
		(void)i2c_bus_add(f, options);
	}
}

static void the_plan_is_what_goes_over_the_bus(void **state)
{
	struct fake_bus *f = i2c_bus_new();
	struct fake_sht3x sht[2];
	struct fake_chip chips[18];
	uint64_t n_bits;

	(void)state;
	add_twenty(f, sht, chips);
	assert_int_equal(0, fake_bus_check(f));
	assert_int_equal(20, fake_bus_plan(f));
	assert_string_equal("100 kHz", f->link);
	n_bits = fake_i2c.n_bits;
	assert_int_equal(0, n_bits);
	assert_int_equal(0, i2c_bus_round(f));
	n_bits = fake_i2c.n_bits;
	assert_int_equal(22, fake_i2c.n_transfers);
	/* bits at 100 kHz, of a second */
	assert_true(fabs(fake_bus_least(f) - (double)n_bits / 1e5) < 1e-9);
	assert_true(fake_bus_likely(f) == fake_bus_least(f));
	i2c_bus_free(f);
}

static void what_shares_a_measurement_is_planned_once(void **state)
{
	struct fake_bus *f = i2c_bus_new();

	(void)state;
	(void)fake_bus_add(f, "a", NS_PER_S, "address: 0x44, chip: sht3x, channel: temperature");
	(void)fake_bus_add(f, "b", 10 * NS_PER_S, "address: 0x44, chip: sht3x, channel: humidity");
	assert_int_equal(2, fake_bus_plan(f));
	assert_true(f->requests[0].least_ns > 0);
	assert_int_equal(0, f->requests[1].likely_ns);
	assert_string_equal("0x44 (sht3x)", f->requests[0].what);
	i2c_bus_free(f);
}

static void what_does_not_go_together_is_refused(void **state)
{
	static const char *const cases[][2] = {
		{"address: 0x90, register: 0",
			"address: 0x90 is no address of a chip, expected 0x08 to 0x77 (a datasheet "
			"that says more has the bit for reading in it: half of it)"},
		{"address: 0x50, chip: lm75", "address: 0x50, but lm75 is at 0x48 to 0x4f"},
		{"address: 0x44, chip: bh1750", "address: 0x44, but bh1750 is at 0x23 or 0x5c"},
		{"address: 0x39, chip: aht20, channel: humidity",
			"address: 0x39, but aht20 is at 0x38"},
		{"address: 0x44, chip: sht3x", "channel: missing: sht3x has temperature, humidity"},
		{"address: 0x44, chip: sht3x, channel: light",
			"channel: \"light\" is none of sht3x, which has temperature, humidity"},
		{"address: 0x48, chip: ads1115, channel: a0, full_scale: 5",
			"full_scale: ads1115 cannot have 5, only 4.096, 6.144, 2.048, 1.024, 0.512, "
			"0.256"},
		{"address: 0x48, chip: lm75, bits: 12", "bits: lm75 has no such setting"},
		{"address: 0x48, chip: lm75, register: 1",
			"register: is for raw registers, and this sensor has chip lm75"},
		{"address: 0x48, register: 0, channel: a0",
			"channel: is for chips that the driver knows: chip says which"},
		{"address: 0x48, command: xyz",
			"command: \"xyz\" is not two hexadecimal digits for each byte, as 0x2400"},
		{"address: 0x48, delay: 5ms",
			"delay: is the time after a command, and there is none"},
		{"address: 0x48, register: 0, shift: 8",
			"shift: 8 leaves nothing of a width of 1 bytes"},
		{"address: 0x48, register: 0, shift: 4, mask: 0xff",
			"mask: 0xff has bits that are not there: the shift leaves 0xf"},
		{"address: 0x48, register: 256",
			"register: 256 does not fit into one byte: register_width: 2"},
		{"address: 0x48, auto_increment: true",
			"auto_increment: needs a register to count from"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_bus *f = i2c_bus_new();
		_cleanup_(freep) char *wanted = xasprintf("s0: %s", cases[i][1]);

		(void)i2c_bus_add(f, cases[i][0]);
		assert_int_equal(1, fake_bus_check(f));
		assert_string_equal(wanted, f->complaints[0]);
		i2c_bus_free(f);
	}
}

static void two_chips_at_one_address_are_refused(void **state)
{
	struct fake_bus *f = i2c_bus_new();

	(void)state;
	(void)i2c_bus_add(f, "address: 0x48, chip: lm75");
	(void)i2c_bus_add(f, "address: 0x48, chip: tmp102");
	assert_int_equal(1, fake_bus_check(f));
	assert_string_equal(
		"s1: chip: tmp102, but at the same address s0 has lm75", f->complaints[0]);
	i2c_bus_free(f);
}

static void a_scan_finds_chips_and_harms_none(void **state)
{
	struct fake_bus *f = i2c_bus_new();
	struct fake_chip bme = {.address = 0x76, .registers = {[0xd0] = 0x60}};
	struct fake_chip mcp = {.address = 0x18, .registers = {[0x07] = 0x04}};
	struct fake_chip other = {.address = 0x30};
	struct fake_sht3x sht;

	(void)state;
	fake_i2c_add(&bme);
	fake_i2c_add(&mcp);
	fake_i2c_add(&other);
	fake_sht3x_add(&sht, 0x44);
	sht.ready_ns = 1; /* at work */
	fake_i2c.is_owned[0x48] = true;
	(void)i2c_bus_add(f, "address: 0x38, chip: aht20, channel: humidity");
	assert_int_equal(0, fake_bus_open(f));
	assert_int_equal(0, fake_bus_run(f, f->driver->scan, ""));
	assert_true(fake_bus_told(f, SCG_TELL_RESULT, "0x76: is bme280, says its identification"));
	assert_true(fake_bus_told(
		f, SCG_TELL_STANZA, "  options: {address: 0x76, chip: bme280, channel: pressure}"));
	assert_true(fake_bus_told(f, SCG_TELL_RESULT, "0x18: is mcp9808, says its identification"));
	assert_true(fake_bus_told(f, SCG_TELL_RESULT, "0x30: answers; no chip of this driver"));
	assert_true(fake_bus_told(
		f, SCG_TELL_RESULT, "0x44: answers; could be ina219, ina226, sht3x, sht4x"));
	assert_true(fake_bus_told(
		f, SCG_TELL_RESULT, "0x48: belongs to a driver of the kernel: read it there"));
	assert_true(fake_bus_told(
		f, SCG_TELL_RESULT, "0x38 (aht20): is in the configuration, and left alone"));
	/* not a byte to the chip that would take it for a command */
	assert_int_equal(0, sht.chip.n_written);
	i2c_bus_free(f);
}

static void a_scan_of_an_empty_bus_says_so(void **state)
{
	struct fake_bus *f = i2c_bus_new();

	(void)state;
	assert_int_equal(0, fake_bus_open(f));
	assert_int_equal(0, fake_bus_run(f, f->driver->scan, "first: 0x10, last: 0x12"));
	assert_true(fake_bus_told(
		f, SCG_TELL_RESULT, "nobody answers from 0x10 to 0x12: check power, SDA and SCL"));
	assert_int_equal(-EINVAL, fake_bus_step(f, f->driver->scan, "first: 0x20, last: 0x12", 0));
	i2c_bus_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(raw_registers_are_read),
		cmocka_unit_test(registers_that_count_up_are_read_at_once),
		cmocka_unit_test(sensors_of_one_register_share_it),
		cmocka_unit_test(a_command_comes_first_and_has_its_time),
		cmocka_unit_test(a_wrong_pec_is_no_value),
		cmocka_unit_test(ten_bit_addresses_are_others),
		cmocka_unit_test(smbus_calls_do_where_there_is_nothing_else),
		cmocka_unit_test(waits_of_different_chips_overlap),
		cmocka_unit_test(a_fast_chip_does_not_wait_for_a_slow_one),
		cmocka_unit_test(the_plan_is_what_goes_over_the_bus),
		cmocka_unit_test(what_shares_a_measurement_is_planned_once),
		cmocka_unit_test(what_does_not_go_together_is_refused),
		cmocka_unit_test(two_chips_at_one_address_are_refused),
		cmocka_unit_test(a_scan_finds_chips_and_harms_none),
		cmocka_unit_test(a_scan_of_an_empty_bus_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
