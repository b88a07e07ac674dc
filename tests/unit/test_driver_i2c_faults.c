/* SPDX-License-Identifier: Apache-2.0 */
/* The I2C driver and chips that are absent, disturbed, reset, owned by the kernel, or hang. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "i2c_fixture.h"
#include "util.h"

/* A bus with a healthy thermometer, sensor 0. */
static struct fake_bus *bus_with(struct fake_chip *healthy)
{
	struct fake_bus *f = i2c_bus_new();

	*healthy = (struct fake_chip){.address = 0x48, .registers = {0x19}};
	fake_i2c_add(healthy);
	(void)i2c_bus_add(f, "address: 0x48, chip: tmp102");
	return f;
}

static void an_absent_chip_is_asked_ever_more_rarely(void **state)
{
	struct fake_chip healthy, absent = {.address = 0x49, .error = -ENXIO};
	struct fake_bus *f = bus_with(&healthy);
	uint32_t n_rounds = 600;

	(void)state;
	fake_i2c_add(&absent);
	(void)i2c_bus_add(f, "address: 0x49, register: 0");
	assert_int_equal(0, i2c_bus_round(f));
	assert_string_equal("0x49: nobody answers: check power, wiring and address, or the chip "
			    "refuses the command",
		i2c_bus_reason(f, 1));
	/* once is no proof */
	assert_int_equal(2, absent.n_transfers);
	for (uint32_t i = 0; i < n_rounds; i++) {
		fake_i2c.now_ns += NS_PER_S;
		assert_int_equal(0, i2c_bus_round(f));
		assert_true(i2c_bus_value(f, 0) == 25);
		(void)i2c_bus_reason(f, 1);
	}
	assert_in_range(absent.n_transfers, 12, 20);
	assert_non_null(strstr(i2c_bus_reason(f, 1), "asked again every 60 s"));
	assert_int_equal(absent.n_transfers, fake_bus_counted(f, "not_acknowledged"));
	absent.error = 0;
	fake_i2c.now_ns += 60 * NS_PER_S;
	assert_int_equal(0, i2c_bus_round(f));
	assert_true(i2c_bus_value(f, 1) == 0);
	i2c_bus_free(f);
}

static void one_disturbance_goes_unnoticed(void **state)
{
	struct fake_chip healthy;
	struct fake_bus *f = bus_with(&healthy);

	(void)state;
	assert_int_equal(0, fake_bus_open(f));
	healthy.error = -EIO;
	assert_int_equal(0, fake_bus_poll(f, f->sensors, 1));
	assert_int_equal(0, f->n_results);
	healthy.error = 0;
	assert_int_equal(0, fake_bus_poll(f, f->sensors, 1));
	assert_true(i2c_bus_value(f, 0) == 25);
	assert_int_equal(1, fake_bus_counted(f, "broken_off"));
	i2c_bus_free(f);
}

static void an_adapter_that_is_busy_has_no_owner(void **state)
{
	struct fake_chip healthy;
	struct fake_bus *f = bus_with(&healthy);

	(void)state;
	healthy.error = -EBUSY;
	assert_int_equal(0, i2c_bus_round(f));
	assert_string_equal("0x48 (tmp102): the transfer broke off: noise, or a chip that hangs",
		i2c_bus_reason(f, 0));
	healthy.error = 0;
	assert_int_equal(0, i2c_bus_round(f));
	assert_true(i2c_bus_value(f, 0) == 25);
	i2c_bus_free(f);
}

/* Says each time that it has not measured anything new. */
static int transfer_scd4x(
	struct fake_chip *chip, const uint8_t *write, size_t n_write, uint8_t *read, size_t n_read)
{
	(void)chip;
	(void)write;
	if (n_write == 0) {
		assert_int_equal(3, n_read);
		memcpy(read, "\x80\x00\xa2", 3);
	}
	return 0;
}

static void a_chip_that_takes_seconds_keeps_the_rules(void **state)
{
	struct fake_bus *f = i2c_bus_new();
	struct fake_chip scd = {.address = 0x62, .transfer = transfer_scd4x};
	int64_t begin_ns;

	(void)state;
	fake_i2c_add(&scd);
	(void)i2c_bus_add(f, "address: 0x62, chip: scd4x, channel: co2");
	assert_int_equal(0, fake_bus_open(f));
	begin_ns = fake_i2c.now_ns;
	assert_int_equal(0, i2c_bus_round(f));
	assert_string_equal(
		"0x62 (scd4x): the measurement does not become ready", i2c_bus_reason(f, 0));
	/* stop, start, and six seconds of looks */
	assert_in_range(fake_i2c.now_ns - begin_ns, 11500 * NS_PER_MS, 12000 * NS_PER_MS);
	i2c_bus_free(f);
}

static void a_chip_that_hangs_costs_the_others_little(void **state)
{
	struct fake_chip healthy,
		hanging = {.address = 0x20, .error = -ETIMEDOUT, .hang_ns = NS_PER_S};
	struct fake_bus *f = bus_with(&healthy);
	int64_t begin_ns, n_rounds = 600;

	(void)state;
	fake_i2c_add(&hanging);
	(void)i2c_bus_add(f, "address: 0x20, register: 0");
	assert_int_equal(0, i2c_bus_round(f));
	assert_non_null(strstr(i2c_bus_reason(f, 1), "0x20: the bus does not move"));
	/* what takes a second is not tried twice */
	assert_int_equal(1, hanging.n_transfers);
	begin_ns = fake_i2c.now_ns;
	for (int i = 0; i < n_rounds; i++) {
		fake_i2c.now_ns += NS_PER_S;
		assert_int_equal(0, i2c_bus_round(f));
		assert_true(i2c_bus_value(f, 0) == 25);
	}
	/* 3 percent of the time */
	assert_true(fake_i2c.now_ns - begin_ns - n_rounds * NS_PER_S < 20 * NS_PER_S);
	i2c_bus_free(f);
}

static void a_wrong_checksum_is_no_value(void **state)
{
	struct fake_chip healthy;
	struct fake_bus *f = bus_with(&healthy);
	struct fake_sht3x sht;

	(void)state;
	fake_sht3x_add(&sht, 0x44);
	sht.is_corrupt = true;
	(void)i2c_bus_add(f, "address: 0x44, chip: sht3x, channel: temperature");
	assert_int_equal(0, i2c_bus_round(f));
	assert_true(i2c_bus_value(f, 0) == 25);
	assert_string_equal("0x44 (sht3x): the checksum is wrong", i2c_bus_reason(f, 1));
	assert_int_equal(2, fake_bus_counted(f, "checksum"));
	sht.is_corrupt = false;
	assert_int_equal(0, i2c_bus_round(f));
	assert_true(i2c_bus_value(f, 1) == 25);
	i2c_bus_free(f);
}

static void a_chip_that_was_reset_is_configured_again(void **state)
{
	struct fake_chip healthy, chip = {.address = 0x49};
	struct fake_bus *f = bus_with(&healthy);

	(void)state;
	fake_i2c_add(&chip);
	(void)i2c_bus_add(f, "address: 0x49, chip: tmp105");
	chip.registers[1] = 0;
	assert_int_equal(0, i2c_bus_round(f));
	assert_int_equal(0x60, chip.registers[1]);
	/* without power for a moment */
	chip.registers[1] = 0;
	assert_int_equal(0, i2c_bus_round(f));
	assert_int_equal(0x60, chip.registers[1]);
	/* registers 0 and 1 are a temperature here */
	assert_true(i2c_bus_value(f, 1) == 6 * 0.0625);
	assert_int_equal(1, fake_bus_counted(f, "resets"));
	i2c_bus_free(f);
}

static void another_chip_is_not_taken_for_the_configured_one(void **state)
{
	struct fake_chip healthy, bmp = {.address = 0x76, .registers = {[0xd0] = 0x58}};
	struct fake_bus *f = bus_with(&healthy);

	(void)state;
	fake_i2c_add(&bmp);
	(void)i2c_bus_add(f, "address: 0x76, chip: bme280, channel: humidity");
	assert_int_equal(0, i2c_bus_round(f));
	assert_string_equal(
		"0x76 (bme280): another chip answers: its identification is a different one",
		i2c_bus_reason(f, 1));
	i2c_bus_free(f);
}

static void a_chip_that_never_gets_ready_is_given_up(void **state)
{
	struct fake_chip healthy, mcp = {.address = 0x68};
	struct fake_bus *f = bus_with(&healthy);

	(void)state;
	/* bit 7 says that it measures */
	memset(mcp.registers, 0x88, sizeof(mcp.registers));
	fake_i2c_add(&mcp);
	(void)i2c_bus_add(f, "address: 0x68, chip: mcp3421");
	assert_int_equal(0, i2c_bus_round(f));
	assert_true(i2c_bus_value(f, 0) == 25);
	assert_string_equal(
		"0x68 (mcp3421): the measurement does not become ready", i2c_bus_reason(f, 1));
	i2c_bus_free(f);
}

static void an_address_of_the_kernel_is_left_to_it(void **state)
{
	struct fake_chip healthy, owned = {.address = 0x4a};
	struct fake_bus *f = bus_with(&healthy);

	(void)state;
	fake_i2c_add(&owned);
	fake_i2c.is_owned[0x4a] = true;
	(void)i2c_bus_add(f, "address: 0x4a, chip: tmp102");
	assert_int_equal(0, i2c_bus_round(f));
	assert_string_equal(
		"0x4a (tmp102): a driver of the kernel has this address: read it there, "
		"or take the chip from it",
		i2c_bus_reason(f, 1));
	assert_int_equal(0, owned.n_transfers);
	/* and the other way round, at any time */
	fake_i2c.is_owned[0x4a] = false;
	assert_int_equal(0, i2c_bus_round(f));
	assert_true(i2c_bus_value(f, 1) == 0);
	i2c_bus_free(f);
}

static void an_adapter_that_was_pulled_out_ends_the_bus(void **state)
{
	struct fake_chip healthy;
	struct fake_bus *f = bus_with(&healthy);
	char path[] = "/tmp/i2c-XXXXXX";
	_cleanup_(freep) char *option = NULL;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(0, unlink(path));
	assert_int_equal(0, symlink(FAKE_I2C_DEVICE, path));
	option = xasprintf("device: %s", path);
	fake_bus_set(f, option);
	assert_int_equal(0, i2c_bus_round(f));
	assert_int_equal(0, unlink(path));
	healthy.error = -EIO;
	assert_int_equal(-ENODEV, i2c_bus_round(f));
	fake_bus_close(f);
	assert_int_equal(-ENOENT, fake_bus_open(f));
	i2c_bus_free(f);
}

static void what_is_no_adapter_cannot_be_opened(void **state)
{
	struct fake_bus *f = i2c_bus_new();

	(void)state;
	fake_bus_set(f, "device: /nonexistent/i2c-1");
	assert_int_equal(-ENOENT, fake_bus_open(f));
	fake_bus_set(f, "device: no such adapter");
	assert_int_equal(-ENOENT, fake_bus_open(f));
	i2c_bus_free(f);
}

static void stop_leaves_things_as_they_are(void **state)
{
	struct fake_chip healthy;
	struct fake_bus *f = bus_with(&healthy);
	const _Atomic bool stop = true;

	(void)state;
	assert_int_equal(0, fake_bus_open(f));
	f->stop = &stop;
	assert_int_equal(0, fake_bus_poll(f, f->sensors, 1));
	assert_int_equal(0, f->n_results);
	assert_int_equal(0, healthy.n_transfers);
	i2c_bus_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_absent_chip_is_asked_ever_more_rarely),
		cmocka_unit_test(one_disturbance_goes_unnoticed),
		cmocka_unit_test(an_adapter_that_is_busy_has_no_owner),
		cmocka_unit_test(a_chip_that_takes_seconds_keeps_the_rules),
		cmocka_unit_test(a_chip_that_hangs_costs_the_others_little),
		cmocka_unit_test(a_wrong_checksum_is_no_value),
		cmocka_unit_test(a_chip_that_was_reset_is_configured_again),
		cmocka_unit_test(another_chip_is_not_taken_for_the_configured_one),
		cmocka_unit_test(a_chip_that_never_gets_ready_is_given_up),
		cmocka_unit_test(an_address_of_the_kernel_is_left_to_it),
		cmocka_unit_test(an_adapter_that_was_pulled_out_ends_the_bus),
		cmocka_unit_test(what_is_no_adapter_cannot_be_opened),
		cmocka_unit_test(stop_leaves_things_as_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
