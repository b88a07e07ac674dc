/* SPDX-License-Identifier: Apache-2.0 */
/* The Modbus driver's tool `probe`: what it asks a slave, and what it shows of the answer. */
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

#define COLUMNS 100
#define HINT                                                                                       \
	("\"-\" stands for what is hardly meant. If the device has a display, --expect finds "     \
	 "what it shows.")

static int setup(void **state)
{
	*state = slave_new();
	return 0;
}

static int teardown(void **state)
{
	slave_free(*state);
	return 0;
}

/* Opens a bus, runs the probe, and returns what it returned. */
static int probe(struct fake_bus *f, const char *options)
{
	int r;

	assert_non_null(f->driver->probe);
	if (!f->is_open) {
		assert_int_equal(0, fake_bus_open(f));
	}
	fake_bus_forget(f);
	r = fake_bus_run(f, f->driver->probe, options);
	assert_string_equal("", f->violation);
	for (size_t i = 0; i < f->n_lines; i++) {
		assert_true(f->lines[i].kind == SCG_TELL_PROGRESS ||
			    strlen(f->lines[i].text) <= COLUMNS);
	}
	return r;
}

static void assert_lines(
	const struct fake_bus *f, uint32_t kind, const char *const *lines, size_t n_lines)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n_lines; i++) {
		if (f->lines[i].kind == kind) {
			assert_true(n < n_lines);
			assert_string_equal(lines[n], f->lines[i].text);
			n++;
		}
	}
	assert_int_equal(n_lines, n);
}

/* 23.4 as float32 in the order CDAB, and text. */
static void put_values(struct slave *slave, int table)
{
	slave->registers[table][100] = 0x3333;
	slave->registers[table][101] = 0x41bb;
	slave->registers[table][102] = 0x4f4b;
	slave->registers[table][103] = 0xff16;
}

static void registers_are_shown_in_all_ways(void **state)
{
	static const char *const shown[] = {
		"unit 3, input registers 100 to 103:",
		"             hex   int16  uint16  bits 15 to 0         text",
		"     100  0x3333   13107   13107  0011 0011 0011 0011  33",
		"     101  0x41BB   16827   16827  0100 0001 1011 1011  A.",
		"     102  0x4F4B   20299   20299  0100 1111 0100 1011  OK",
		"     103  0xFF16    -234   65302  1111 1111 0001 0110  ..",
		"",
		" float32            ABCD            CDAB            BADC            DCBA",
		"     100               -            23.4               -    -0.002947998",
		"     101        23.41372    3.410083e+09    -0.002949435    1.361389e+07",
		"     102    3.422492e+09               -    1.357184e+07               -",
		"",
		"   int32            ABCD            CDAB            BADC            DCBA",
		"     100       858997179      1102787379       859028289     -1153354957",
		"     101      1102794571      1330332091     -1153348785      1263516481",
		"     102      1330380566       -15315125      1263474431       385829711",
		"",
		"  uint32            ABCD            CDAB            BADC            DCBA",
		"     100                                                      3141612339",
		"     101                                      3141618511                ",
		"     102                      4279652171                                ",
		"",
		HINT,
	};
	static const char *const stanza[] = {
		"- slug: unit_3_register_100",
		"  bus: test",
		"  interval: 10s",
		"  options: {unit: 3, table: input, register: 100, type: TYPE, order: ORDER}",
	};
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "");

	put_values(slave, INPUT);
	assert_int_equal(0, probe(f, "unit: 3, table: input, register: 100, count: 4"));
	assert_int_equal(1, slave->n_requests);
	assert_int_equal(4, slave->requests[0].count);
	assert_int_equal(4, slave->requests[0].function);
	assert_int_equal(3, slave->requests[0].unit);
	assert_lines(f, SCG_TELL_RESULT, shown, ARRAY_SIZE(shown));
	assert_lines(f, SCG_TELL_STANZA, stanza, ARRAY_SIZE(stanza));
	bus_done(f);
}

static void the_number_on_the_display_is_found(void **state)
{
	static const char *const shown[] = {
		"what reads as 23.4:",
		"register  type      order      scale  reads as",
		"     100  float32   CDAB           1  23.39999962",
		"     101  float32   ABCD           1  23.41371727",
		"Most of them by chance: probe again when the display shows another number.",
	};
	static const char *const stanza[] = {
		"- slug: unit_1_register_100",
		"  bus: test",
		"  interval: 10s",
		"  options: {unit: 1, table: holding, register: 100, type: float32, order: CDAB}",
	};
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "");
	size_t n = 0;

	put_values(slave, HOLDING);
	assert_int_equal(0, probe(f, "register: 100, count: 3, expect: 23.4"));
	while (strcmp(f->lines[n].text, shown[0]) != 0) {
		n++;
		assert_true(n < f->n_lines);
	}
	for (size_t i = 0; i < ARRAY_SIZE(shown); i++) {
		assert_string_equal(shown[i], f->lines[n + i].text);
	}
	assert_lines(f, SCG_TELL_STANZA, stanza, ARRAY_SIZE(stanza));
	bus_done(f);
}

/* The first of what is found. */
static void expect_best(
	struct slave *slave, const char *registers, const char *expect, const char *best)
{
	struct fake_bus *f = slave_bus(slave, "");
	_cleanup_(freep) char *options = NULL;
	_cleanup_(freep) char *copy = xstrdup(registers);
	char *rest = copy, *item;
	size_t at = 0;
	int n = 0;

	while ((item = strsep(&rest, " "))) {
		slave->registers[HOLDING][200 + n++] = (uint16_t)strtoul(item, NULL, 16);
	}
	options = xasprintf("register: 200, count: %d, expect: %s", n, expect);
	assert_int_equal(0, probe(f, options));
	while (at < f->n_lines && strncmp(f->lines[at].text, "register", 8) != 0 &&
		strncmp(f->lines[at].text, "nothing", 7) != 0) {
		at++;
	}
	at += at < f->n_lines && f->lines[at].text[0] == 'r';
	assert_true(at < f->n_lines);
	assert_string_equal(best, f->lines[at].text);
	bus_done(f);
}

static void scales_and_types_are_found(void **state)
{
	struct slave *slave = *state;

	expect_best(slave, "00EA", "23.4",
		"     200  int16     ABCD         0.1  23.4  (unsigned: the same)");
	expect_best(slave, "FF16", "-23.4", "     200  int16     ABCD         0.1  -23.4");
	expect_best(slave, "EA00", "0.234",
		"     200  int16     BADC       0.001  0.234  (unsigned: the same)");
	expect_best(slave, "FFFF", "65535", "     200  uint16    ABCD           1  65535");
	expect_best(slave, "D687 0012", "1234567",
		"     200  int32     CDAB           1  1234567  (unsigned: the same)");
	expect_best(slave, "0123 4567", "1234567", "     200  bcd32     ABCD           1  1234567");
	expect_best(slave, "007B 11D7", "1234567", "     200  mod10_32  ABCD           1  1234567");
	expect_best(slave, "0000 1C92 9724 36F0", "31415926535920",
		"     200  int64     ABCD           1  3.141592654e+13  (unsigned: the same)");
	expect_best(slave, "21FB 4009 2D18 5444", "3.14159265",
		"     200  float64   CDABGHEF       1  3.141592654");
	expect_best(slave, "449A 5000", "1.2345", "     200  float32   ABCD       0.001  1.2345");
}

static void digits_cut_off_and_numbers_that_move_are_found(void **state)
{
	struct slave *slave = *state;

	/* 23.49 on a display that cuts, 23.9 when it has moved. */
	expect_best(slave, "0929", "23.4",
		"     200  int16     ABCD        0.01  23.45  (unsigned: the same)");
	expect_best(slave, "092D", "23.4",
		"     200  int16     ABCD        0.01  23.49  (unsigned: the same)");
	expect_best(slave, "00EF", "23.4, tolerance: 1",
		"     200  int16     ABCD         0.1  23.9  (unsigned: the same)");
	expect_best(slave, "00EF", "23.4",
		"nothing reads as 23.4 here: try other registers, the other table, or --tolerance");
	expect_best(slave, "0000 0000 0000 0000", "0.1, tolerance: 5",
		"nothing reads as 0.1 here: try other registers, the other table, or --tolerance");
}

static void one_digit_fits_too_much_and_it_says_so(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "");
	size_t n = 0;

	assert_int_equal(0, probe(f, "register: 4000, count: 125, expect: 5"));
	for (size_t i = 0; i < f->n_lines; i++) {
		n += strncmp(f->lines[i].text, "and ", 4) == 0;
	}
	assert_int_equal(1, n);
	bus_done(f);
}

static void a_refused_block_is_read_one_by_one(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "");

	slave->refused_from = 12;
	slave->refused_to = 14;
	slave->refused_code = 2;
	assert_int_equal(0, probe(f, "register: 10, count: 6"));
	assert_int_equal(7, slave->n_requests);
	assert_true(fake_bus_told(
		f, SCG_TELL_RESULT, "      11  0x000B      11      11  0000 0000 0000 1011  .."));
	assert_true(fake_bus_told(f, SCG_TELL_RESULT, "      12  does not exist"));
	assert_true(fake_bus_told(f, SCG_TELL_RESULT, "      13  does not exist"));
	assert_true(fake_bus_told(
		f, SCG_TELL_RESULT, "4 of 6: refused in one request, given one by one."));
	assert_true(fake_bus_told(f, SCG_TELL_PROGRESS,
		"refused as a whole, so one by one: holding register 15, 6 of 6"));
	/* Values across the hole are none. */
	assert_true(fake_bus_told(f, SCG_TELL_RESULT,
		"      10          655371          720906       167774976       184551936"));
	for (size_t i = 0; i < f->n_lines; i++) {
		assert_true(strncmp(f->lines[i].text, "      11  ", 10) != 0 ||
			    strstr(f->lines[i].text, "0x000B"));
	}
	/* The lines to begin with are for a register that there is. */
	assert_int_equal(0, probe(f, "register: 12, count: 4"));
	assert_true(fake_bus_told(f, SCG_TELL_STANZA,
		"  options: {unit: 1, table: holding, register: 14, type: TYPE, order: ORDER}"));
	assert_int_equal(-ENXIO, probe(f, "register: 12, count: 2"));
	assert_true(fake_bus_told(f, SCG_TELL_RESULT,
		"unit 1 has none of the holding registers 12 to 13, or does not give them one by "
		"one: try --count 2"));
	bus_done(f);
}

static void bits_are_shown(void **state)
{
	static const char *const shown[] = {
		"unit 1, coils 8 to 10:",
		"          value",
		"       8  0",
		"       9  1",
		"      10  0",
	};
	struct fake_bus *f = slave_bus(*state, "");

	assert_int_equal(0, probe(f, "table: coil, register: 8, count: 3, expect: 1"));
	assert_lines(f, SCG_TELL_RESULT, shown, ARRAY_SIZE(shown));
	assert_true(fake_bus_told(
		f, SCG_TELL_STANZA, "  options: {unit: 1, table: coil, register: 8}"));
	bus_done(f);
}

static void it_says_what_is_wrong(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "response_timeout: 200ms");

	assert_int_equal(-EINVAL, probe(f, "register: 65530, count: 7"));
	assert_true(fake_bus_complained(
		f, "bus: count: the last register is 65535: at most 6 from 65530"));
	assert_int_equal(0, slave->n_requests);
	assert_int_equal(0, probe(f, "unit: 0, register: 65529, count: 7"));
	slave->behaviour[1] = 1;
	assert_int_equal(-ENXIO, probe(f, "register: 0"));
	assert_true(fake_bus_told(f, SCG_TELL_RESULT,
		"unit 1, holding register 0: illegal function (exception 1): try another table"));
	slave->behaviour[1] = MODBUS_SERVER_SILENT;
	assert_int_equal(-ETIMEDOUT, probe(f, "register: 0"));
	assert_true(fake_bus_told(f, SCG_TELL_RESULT, "unit 1: no answer within 0.2 s"));
	slave->behaviour[1] = MODBUS_SERVER_VALUES;
	assert_int_equal(0, probe(f, "register: 0"));
	bus_done(f);
}

static void polling_goes_on_beside_it(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "");
	struct scg_sensor *sensor = fake_bus_add(f, "s", NS_PER_S, "register: 500");
	uint64_t step = 0;

	slave->refused_from = 12;
	slave->refused_to = 14;
	slave->refused_code = 2;
	assert_int_equal(0, fake_bus_open(f));
	while (fake_bus_step(f, f->driver->probe, "register: 10, count: 9", step) > 0) {
		bus_round(f);
		assert_value(f, sensor, 500);
		step++;
	}
	assert_true(step > 9);
	/* One that nobody asks to go on, and another bus later. */
	assert_int_equal(1, fake_bus_step(f, f->driver->probe, "register: 10", 0));
	fake_bus_close(f);
	assert_int_equal(0, fake_bus_open(f));
	assert_int_equal(-ECANCELED, fake_bus_step(f, f->driver->probe, "register: 10", 1));
	bus_done(f);
}

static void it_works_on_a_serial_line(void **state)
{
	struct rtu_slave *slave = rtu_slave_new(false);
	struct fake_bus *f = rtu_slave_bus(slave, "");

	assert_int_equal(0, probe(f, "unit: 2, register: 10, count: 1"));
	assert_true(fake_bus_told(
		f, SCG_TELL_RESULT, "      10  0x07DA    2010    2010  0000 0111 1101 1010  .."));
	assert_int_equal(-EINVAL, probe(f, "unit: 0, register: 10, count: 1"));
	assert_true(fake_bus_complained(
		f, "bus: unit: 0 is the broadcast address of a serial line: no slave answers"));
	slave->trick[2] = RTU_WRONG_CRC;
	assert_int_equal(-EBADMSG, probe(f, "unit: 2, register: 10, count: 1"));
	assert_true(fake_bus_told(f, SCG_TELL_RESULT,
		"unit 2: no readable answer: noise, wrong line settings, or two units with one "
		"id"));
	bus_done(f);
	rtu_slave_free(slave);
	(void)state;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(registers_are_shown_in_all_ways),
		TEST(the_number_on_the_display_is_found),
		TEST(scales_and_types_are_found),
		TEST(digits_cut_off_and_numbers_that_move_are_found),
		TEST(one_digit_fits_too_much_and_it_says_so),
		TEST(a_refused_block_is_read_one_by_one),
		TEST(bits_are_shown),
		TEST(it_says_what_is_wrong),
		TEST(polling_goes_on_beside_it),
		cmocka_unit_test(it_works_on_a_serial_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
