/* SPDX-License-Identifier: Apache-2.0 */
#include "can/obd.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "util.h"

static void test_requests(void **state)
{
	uint8_t message[OBD_REQUEST_MAX];

	(void)state;
	assert_int_equal(obd_encode(&(struct obd_request){OBD_CURRENT_DATA, 0x0c}, message), 2);
	assert_memory_equal(message, ((const uint8_t[]){0x01, 0x0c}), 2);
	assert_int_equal(
		obd_encode(&(struct obd_request){OBD_READ_BY_IDENTIFIER, 0xf190}, message), 3);
	assert_memory_equal(message, ((const uint8_t[]){0x22, 0xf1, 0x90}), 3);
}

static void test_answers(void **state)
{
	static const struct {
		struct obd_request request;
		uint8_t message[6];
		size_t size;
		enum obd_answer answer;
		uint8_t rest; /* bytes of data, or the code */
	} rows[] = {
		{{OBD_CURRENT_DATA, 0x0c}, {0x41, 0x0c, 0x1a, 0xf8}, 4, OBD_DATA, 2},
		{{OBD_CURRENT_DATA, 0x0c}, {0x41, 0x0d, 0x1a}, 3, OBD_OTHER, 0},
		{{OBD_CURRENT_DATA, 0x0c}, {0x41, 0x0c}, 2, OBD_OTHER, 0},    /* no data */
		{{OBD_CURRENT_DATA, 0x0c}, {0x01, 0x0c, 0}, 3, OBD_OTHER, 0}, /* the request */
		{{OBD_CURRENT_DATA, 0x0c}, {0x7f, 0x01, 0x12}, 3, OBD_REFUSED, 0x12},
		{{OBD_CURRENT_DATA, 0x0c}, {0x7f, 0x01, 0x78}, 3, OBD_PENDING, 0},
		{{OBD_CURRENT_DATA, 0x0c}, {0x7f, 0x22, 0x12}, 3, OBD_OTHER, 0},
		{{OBD_CURRENT_DATA, 0x0c}, {0x7f, 0x01}, 2, OBD_OTHER, 0},
		{{OBD_CURRENT_DATA, 0x0c}, {0}, 0, OBD_OTHER, 0},
		{{OBD_READ_BY_IDENTIFIER, 0xf40c}, {0x62, 0xf4, 0x0c, 7}, 4, OBD_DATA, 1},
		{{OBD_READ_BY_IDENTIFIER, 0xf40c}, {0x62, 0xf4, 0x0d, 7}, 4, OBD_OTHER, 0},
		{{OBD_READ_BY_IDENTIFIER, 0xf40c}, {0x7f, 0x22, 0x31}, 3, OBD_REFUSED, 0x31},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct obd_reply reply = {0};

		assert_int_equal(obd_match(&rows[i].request, rows[i].message, rows[i].size, &reply),
			rows[i].answer);
		assert_int_equal(
			rows[i].answer == OBD_DATA ? reply.size : reply.code, rows[i].rest);
		if (rows[i].answer == OBD_DATA) {
			assert_ptr_equal(reply.data + reply.size, rows[i].message + rows[i].size);
		}
	}
	assert_string_equal(obd_refusal_text(0x31), "request out of range: no such identifier");
}

/* Answers of vehicles as in manuals. */
static void test_values(void **state)
{
	static const struct {
		const char *name;
		uint8_t data[4 + 8 + DECODE_PADDING];
		double value;
	} rows[] = {
		{"engine_speed", {0x1a, 0xf8}, 1726},
		{"coolant_temperature", {0x7b}, 83},
		{"vehicle_speed", {0x32}, 50},
		{"engine_load", {0xff}, 100},
		{"short_fuel_trim_1", {0x80}, 0},
		{"timing_advance", {0x80}, 0},
		{"air_flow", {0x01, 0xf4}, 5},
		{"evap_vapor_pressure", {0xff, 0xfc}, -1},
		{"module_voltage", {0x36, 0xb0}, 14},
		{"torque", {0x7d}, 0},
		{"odometer", {0x00, 0x01, 0x86, 0xa0}, 10000},
		{"mil", {0x83}, 1},
		{"dtc_count", {0x83}, 3},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct obd_value *value = obd_find(rows[i].name);
		struct decoder d;
		double x = 0;

		assert_non_null(value);
		assert_int_equal(decode_prepare(&value->layout, false, &d), 0);
		assert_true(decode_signal(&d, rows[i].data, &x));
		assert_true(fabs(x - rows[i].value) < 1e-9);
	}
	assert_null(obd_find("flux_capacitor"));
}

static void test_table(void **state)
{
	size_t n;
	const struct obd_value *values = obd_values(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		struct decoder d;

		assert_int_equal(decode_prepare(&values[i].layout, false, &d), 0);
		assert_true(d.n_bytes <= 4);
		assert_ptr_equal(obd_find(values[i].name), &values[i]); /* no name twice */
		assert_true(i == 0 || values[i].pid >= values[i - 1].pid);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests_name("can_obd", tests, NULL, NULL);
}
