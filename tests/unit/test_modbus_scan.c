/* SPDX-License-Identifier: Apache-2.0 */
/* The Modbus driver's tool `scan`: which units it finds, and what it says of them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "modbus_fixture.h"
#include "rtu_slave.h"
#include "util.h"

static int scan(struct fake_bus *f, const char *options)
{
	int r;

	if (!f->is_open) {
		assert_int_equal(0, fake_bus_open(f));
	}
	r = fake_bus_run(f, f->driver->scan, options);
	assert_string_equal("", f->violation);
	return r;
}

static size_t count_results(const struct fake_bus *f, const char *part)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n_lines; i++) {
		n += f->lines[i].kind == SCG_TELL_RESULT && strstr(f->lines[i].text, part);
	}
	return n;
}

static void units_behind_an_address_are_found(void **state)
{
	struct slave *slave = slave_new();
	struct fake_bus *f = slave_bus(slave, "");

	for (int unit = 1; unit < 256; unit++) {
		slave->behaviour[unit] = 11;
	}
	slave->behaviour[3] = MODBUS_SERVER_VALUES;
	slave->behaviour[17] = 2;
	slave->behaviour[200] = MODBUS_SERVER_SILENT;
	slave->registers[INPUT][100] = 0x00ea;
	assert_int_equal(
		0, scan(f, "units: 1-20,200, table: input, register: 100, timeout: 100ms"));
	assert_int_equal(21, slave->n_requests);
	assert_int_equal(1, count_results(f, "unit 3: answers in "));
	assert_int_equal(1, count_results(f, "input register 100 is 234 (0x00ea)"));
	assert_int_equal(1, count_results(f, "unit 17: is there (answers in "));
	assert_int_equal(1,
		count_results(f, "refuses input register 100: illegal data address (exception 2)"));
	assert_int_equal(2, count_results(f, ""));
	assert_true(fake_bus_told(f, SCG_TELL_PROGRESS, "21 of 21: unit 200, 2 found"));
	assert_true(fake_bus_told(
		f, SCG_TELL_STANZA, "  options: {unit: 3, table: input, register: 100}"));
	bus_done(f);
	slave_free(slave);
}

static void a_bus_on_which_nobody_answers_is_explained(void **state)
{
	struct slave *slave = slave_new();
	struct fake_bus *f = slave_bus(slave, "");

	slave->behaviour[1] = MODBUS_SERVER_SILENT;
	slave->behaviour[2] = MODBUS_SERVER_SILENT;
	assert_int_equal(0, scan(f, "units: 1,2, timeout: 50ms"));
	assert_true(fake_bus_told(f, SCG_TELL_RESULT,
		"no unit has answered: check power, wiring (A and B swapped?), and try a longer "
		"--timeout"));
	bus_done(f);
	slave_free(slave);
}

static void what_cannot_be_scanned_is_refused(void **state)
{
	static const struct {
		const char *options, *complaint;
	} cases[] = {
		{"units: 1-256", "bus: units: \"1-256\" is neither a unit nor a range of units, "
				 "expected numbers from 0 to 255 as in 1-10,17"},
		{"units: 7-3",
			"bus: units: \"7-3\" is neither a unit nor a range of units, expected "
			"numbers from 0 to 255 as in 1-10,17"},
		{"units: x", "bus: units: \"x\" is neither a unit nor a range of units, expected "
			     "numbers from 0 to 255 as in 1-10,17"},
		{"units: 0,1", "bus: units: 0 is the broadcast address of a serial line: no "
			       "slave answers"},
		{"parities: mark",
			"bus: parities: \"mark\": expected at most three of none, even and odd"},
	};
	struct rtu_slave *slave = rtu_slave_new(false);
	struct fake_bus *f = rtu_slave_bus(slave, "");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(-EINVAL, scan(f, cases[i].options));
		assert_true(fake_bus_complained(f, cases[i].complaint));
	}
	assert_int_equal(-EINVAL, scan(f, "bauds: 9601"));
	assert_int_equal(0, slave->n_requests);
	bus_done(f);
	rtu_slave_free(slave);
}

static void only_an_own_port_can_be_set(void **state)
{
	struct slave *slave = slave_new();
	struct fake_bus *f = slave_bus(slave, "");

	assert_int_equal(-EINVAL, scan(f, "bauds: 9600"));
	assert_true(fake_bus_complained(f, "bus: bauds: only a serial port of this machine can be "
					   "set, and the bus has transport tcp"));
	assert_int_equal(-EINVAL, scan(f, "parities: even"));
	bus_done(f);
	slave_free(slave);
}

/* The slave behind a pseudo-terminal hears every speed. What it cannot do is parity. */
static void a_line_is_put_back_as_it_was(void **state)
{
	struct rtu_slave *slave = rtu_slave_new(false);
	struct fake_bus *f = rtu_slave_bus(slave, "response_timeout: 300ms");
	struct scg_sensor *sensor = fake_bus_add(f, "a", NS_PER_S, "unit: 2, register: 5");

	slave->trick[3] = RTU_SILENT;
	slave->trick[4] = RTU_WRONG_CRC;
	assert_int_equal(0, scan(f, "units: 2-4, bauds: 9600,19200, parities: none,odd, "
				    "register: 5, timeout: 60ms"));
	assert_int_equal(1, count_results(f, "unit 2 at 9600 baud, 8N1: answers in "));
	assert_int_equal(1, count_results(f, "unit 2 at 19200 baud, 8N1: answers in "));
	assert_int_equal(2, count_results(f, ": something comes, but no answer that can be read"));
	assert_true(
		fake_bus_told(f, SCG_TELL_RESULT, "left out: the port cannot do 9600 baud, 8O1"));
	assert_int_equal(0, count_results(f, "unit 3"));
	/* Lines to paste are only for the settings that the bus has. */
	assert_true(fake_bus_told(
		f, SCG_TELL_STANZA, "  options: {unit: 2, table: holding, register: 5}"));
	bus_round(f);
	assert_value(f, sensor, 2005);
	bus_done(f);
	rtu_slave_free(slave);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(units_behind_an_address_are_found),
		cmocka_unit_test(a_bus_on_which_nobody_answers_is_explained),
		cmocka_unit_test(what_cannot_be_scanned_is_refused),
		cmocka_unit_test(only_an_own_port_can_be_set),
		cmocka_unit_test(a_line_is_put_back_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
