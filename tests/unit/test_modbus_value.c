/* SPDX-License-Identifier: Apache-2.0 */
/* The Modbus driver's types, orders, fields and markers, against vectors that modbus_vectors.py
   makes, and what the options say of them. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_host.h"
#include "modbus/options.h"
#include "modbus/value.h"
#include "util.h"

static int setup(void **state)
{
	_cleanup_(freep) char *directory = xasprintf("%s/drivers", getenv("BUILD_DIR"));

	*state = fake_bus_new(directory, "modbus", "host: plc");
	return 0;
}

static int teardown(void **state)
{
	fake_bus_free(*state);
	return 0;
}

static uint8_t index_of(const struct fake_bus *f, int option, const char *word)
{
	const char *const *choices = f->driver->sensor_options[option].choices;
	uint8_t i = 0;

	while (strcmp(choices[i], word) != 0) {
		i++;
		assert_non_null(choices[i]);
	}
	return i;
}

static size_t parse_bytes(const char *hex, uint8_t *bytes)
{
	size_t n = strlen(hex) / 2;

	assert_true(n <= 2 * (size_t)MODBUS_WIDTH_MAX);
	for (size_t i = 0; i < n; i++) {
		unsigned byte;

		assert_int_equal(1, sscanf(hex + 2 * i, "%2x", &byte));
		bytes[i] = (uint8_t)byte;
	}
	return n;
}

static bool is_same(double a, double b)
{
	return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof(a)) == 0;
}

static void assert_vector(const struct fake_bus *f, const char *line)
{
	char type[16], order[16], marker[32], hex[32], reading[32];
	struct modbus_value value = {0};
	uint8_t bytes[8];
	int bit, bits, r;
	double got = 0;

	assert_int_equal(7, sscanf(line, "%15s %15s %d %d %31s %31s %31s", type, order, &bit, &bits,
				    marker, hex, reading));
	value.type = index_of(f, SENSOR_TYPE, type);
	value.order = index_of(f, SENSOR_ORDER, order);
	value.bit = (int8_t)bit;
	value.bits = (uint8_t)bits;
	assert_true(modbus_value_order_fits(value));
	if (strcmp(marker, "-") != 0 && modbus_value_set_marker(&value, marker) != 0) {
		fail_msg("marker refused: %s", line);
	}
	assert_int_equal(2 * modbus_value_width(value), parse_bytes(hex, bytes));
	r = modbus_value_decode(&value, bytes, &got);
	if (strcmp(reading, "none") == 0 || strcmp(reading, "bad") == 0) {
		if (r != (reading[0] == 'n' ? -ENODATA : -EBADMSG)) {
			fail_msg("%d, %.17g: %s", r, got, line);
		}
	} else if (r != 0 || !is_same(got, strtod(reading, NULL))) {
		fail_msg("%d, %.17g: %s", r, got, line);
	}
}

static void all_vectors_are_read(void **state)
{
	FILE *in = fopen(getenv("VECTORS"), "r");
	char line[160];
	size_t n = 0;

	assert_non_null(in);
	while (fgets(line, sizeof(line), in)) {
		assert_vector(*state, line);
		n++;
	}
	(void)fclose(in);
	assert_true(n > 10000);
}

/* What manuals print most: 1234.5 as float32 and 1234567 as uint32. */
static void the_examples_of_the_documentation_are_right(void **state)
{
	static const char *const examples[] = {
		"float32 ABCD -1 1 - 449a5000 1234.5",
		"float32 CDAB -1 1 - 5000449a 1234.5",
		"float32 BADC -1 1 - 9a440050 1234.5",
		"float32 DCBA -1 1 - 00509a44 1234.5",
		"float64 ABCDEFGH -1 1 - 40934a0000000000 1234.5",
		"float64 GHEFCDAB -1 1 - 000000004a004093 1234.5",
		"float64 BADCFEHG -1 1 - 9340004a00000000 1234.5",
		"float64 HGFEDCBA -1 1 - 00000000004a9340 1234.5",
		"float64 CDABGHEF -1 1 - 4a00409300000000 1234.5",
		"float64 EFGHABCD -1 1 - 0000000040934a00 1234.5",
		"float64 DCBAHGFE -1 1 - 004a934000000000 1234.5",
		"float64 FEHGBADC -1 1 - 000000009340004a 1234.5",
		"bcd32 ABCD -1 1 - 00123450 123450",
		"mod10_32 ABCD -1 1 - 000c0d7a 123450",
		"uint48 ABCD -1 1 - 00000001e23a 123450",
		"int16 ABCD 8 8 - ff05 -1",
	};

	for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
		assert_vector(*state, examples[i]);
	}
}

static void assert_explained(const struct fake_bus *f, const char *type, const char *marker,
	uint32_t raw, const char *words)
{
	struct modbus_value value = {.type = index_of(f, SENSOR_TYPE, type), .bit = -1, .bits = 1};
	const uint8_t wide[] = {
		(uint8_t)(raw >> 24), (uint8_t)(raw >> 16), (uint8_t)(raw >> 8), (uint8_t)raw};
	const uint8_t *bytes = wide + 4 - 2 * modbus_value_width(value);
	char text[128];
	double number;
	int r;

	if (marker) {
		assert_int_equal(0, modbus_value_set_marker(&value, marker));
	}
	r = modbus_value_decode(&value, bytes, &number);
	assert_true(r < 0);
	modbus_value_explain(&value, bytes, r, text, sizeof(text));
	assert_string_equal(words, text);
}

static void it_says_why_there_is_no_value(void **state)
{
	const struct fake_bus *f = *state;

	assert_explained(f, "bcd16", NULL, 0x12ab, "0x12AB is no BCD number: a digit is above 9");
	assert_explained(f, "mod10_32", NULL, 0x12710,
		"0x00012710 is no mod10 number: a register is beyond 9999");
	assert_explained(
		f, "int16", "0x8000", 0x8000, "the device says that it has no value (0x8000)");
	assert_explained(
		f, "bcd16", "0xFFFF", 0xffff, "the device says that it has no value (0xFFFF)");
	assert_explained(
		f, "float32", "-999", 0xc479c000, "the device says that it has no value (-999)");
}

static void options_that_fit_are_taken(void **state)
{
	static const char *const fine[] = {
		"register: 65534, type: int32, bit: 8, bits: 24",
		"register: 65533, type: int48, order: DCBA",
		"register: 0, type: uint64, order: FEHGBADC, bit: 63",
		"register: 0, type: uint64, bit: 0, bits: 64",
		"register: 0, type: int16, bit: 15",
		"register: 0, type: int16, no_value: -32768",
		"register: 0, type: uint16, no_value: 0xffff",
		"register: 0, type: uint16, bit: 0, bits: 12, no_value: 4095",
		"register: 0, type: uint64, no_value: 0xffffffffffffffff",
		"register: 0, type: float32, no_value: -9999",
	};
	struct fake_bus *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(fine); i++) {
		(void)fake_bus_add(f, fine[i], NS_PER_S, fine[i]);
	}
	assert_int_equal(0, fake_bus_check(f));
}

static void options_that_do_not_fit_are_refused(void **state)
{
	static const struct {
		const char *options, *complaint;
	} cases[] = {
		{"type: string",
			"type: a reading is a number, and string is text: leave this sensor "
			"out, or read one of its registers as uint16 if a number does"},
		{"type: float32, bit: 3",
			"bit: picks bits of an integer: type must be bool, intN or "
			"uintN, not float32"},
		{"type: bcd16, bit: 3", "bit: picks bits of an integer: type must be bool, intN or "
					"uintN, not bcd16"},
		{"bit: 16", "bit: uint16 has the bits 0 to 15, and no bit 16"},
		{"type: int32, bit: 30, bits: 3",
			"bits: int32 has the bits 0 to 31, and no bit 32"},
		{"bits: 2", "bits: needs bit: which is the lowest of them, 0 to 15"},
		{"type: bool, bit: 1, bits: 2",
			"bits: bool is one bit: several are a number, uint16"},
		{"type: bool",
			"type: bool in table holding needs bit: which of the register's bits, "
			"0 to 15"},
		{"type: float32, order: GHEFCDAB", "order: GHEFCDAB is for types of 64 bits, and "
						   "float32 has 32: ABCD, CDAB, BADC or DCBA"},
		{"type: uint48, order: ABCDEFGH", "order: ABCDEFGH is for types of 64 bits, and "
						  "uint48 has 48: ABCD, CDAB, BADC or DCBA"},
		{"no_value: nothing",
			"no_value: \"nothing\" is neither bits, as 0x8000, nor a whole "
			"number, as -999"},
		{"no_value: 0x", "no_value: \"0x\" is neither bits, as 0x8000, nor a whole number, "
				 "as -999"},
		{"no_value: 0x10000", "no_value: uint16 never is 0x10000"},
		{"no_value: -1", "no_value: uint16 never is -1"},
		{"type: int16, no_value: 65535", "no_value: int16 never is 65535"},
		{"type: int64, no_value: 9223372036854775807",
			"no_value: 9223372036854775807 has too many digits for a number: give the bits, "
			"as 0x8000"},
		{"table: coil, no_value: 1",
			"no_value: is for registers: a single bit has none to spare"},
		{"table: coil, bits: 2",
			"bit: picks a bit of a register, but table coil has no registers"},
		{"register: 65534, type: bcd48", "register: bcd48 takes 3 registers from here, but "
						 "the last register is 65535"},
	};
	struct fake_bus *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(freep) char *options = xasprintf("register: 0, %s", cases[i].options);

		(void)fake_bus_add(f, cases[i].options, NS_PER_S, options);
	}
	assert_int_equal(ARRAY_SIZE(cases), fake_bus_check(f));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(freep) char *complaint = xasprintf(
			"%s: %s", cases[i].options, cases[i].complaint);

		if (!fake_bus_complained(f, complaint)) {
			fail_msg("not said: %s; but: %s", complaint, f->complaints[i]);
		}
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_vectors_are_read),
		TEST(the_examples_of_the_documentation_are_right),
		TEST(it_says_why_there_is_no_value),
		TEST(options_that_fit_are_taken),
		TEST(options_that_do_not_fit_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
