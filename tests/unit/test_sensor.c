/* SPDX-License-Identifier: Apache-2.0 */
#include "sensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "reading.h"
#include "util.h"

static struct sensor_config plain(void)
{
	return (struct sensor_config){
		.name = "temp_01",
		.interval_ns = 10 * NS_PER_S,
		.scale = 1,
		.decimals = -1,
		.min = -INFINITY,
		.max = INFINITY,
	};
}

static void test_scale_offset_decimals(void **state)
{
	struct sensor_config config = plain();
	struct sensor_state s = {.config = &config};
	double value;

	(void)state;
	config.scale = 0.1;
	config.offset = -40;
	assert_int_equal(sensor_judge(&s, 641, READING_GOOD, 1, &value), SENSOR_REPORT);
	assert_true(value == 641 * 0.1 - 40);
	config.decimals = 1;
	assert_int_equal(sensor_judge(&s, 641, READING_GOOD, 1, &value), SENSOR_REPORT);
	/* exactly the double that "24.1" is, not 24.099999999999994 */
	assert_true(value == 24.1);
	assert_true(s.good);
}

static void test_what_is_no_number_never_passes(void **state)
{
	const double raws[] = {NAN, INFINITY, -INFINITY, 1e308};
	struct sensor_config config = plain();
	struct sensor_state s = {.config = &config};
	double value = 42;

	(void)state;
	config.scale = 10; /* makes 1e308 overflow */
	for (size_t i = 0; i < ARRAY_SIZE(raws); i++) {
		assert_int_equal(
			sensor_judge(&s, raws[i], READING_GOOD, 1, &value), SENSOR_NOT_FINITE);
		assert_false(s.good);
		assert_non_null(strstr(s.error, "not a number"));
	}
	assert_true(value == 42);
	sensor_clear(&s);
}

static void test_limits(void **state)
{
	struct sensor_config config = plain();
	struct sensor_state s = {.config = &config};
	double value;

	(void)state;
	config.min = -40;
	config.max = 125;
	assert_int_equal(sensor_judge(&s, 125, READING_GOOD, 1, &value), SENSOR_REPORT);
	assert_int_equal(sensor_judge(&s, 125.5, READING_GOOD, 1, &value), SENSOR_OUT_OF_RANGE);
	assert_string_equal(s.error, "125.5 is above the maximum of 125");
	assert_int_equal(sensor_judge(&s, -40, READING_GOOD, 1, &value), SENSOR_REPORT);
	assert_true(s.good);
	sensor_clear(&s);
}

static void test_deadband_and_max_silence(void **state)
{
	struct sensor_config config = plain();
	struct sensor_state s = {.config = &config};
	double value;

	(void)state;
	config.deadband = 0.2;
	config.max_silence_ns = 60 * NS_PER_S;
	assert_int_equal(sensor_judge(&s, 24.0, READING_GOOD, 0, &value), SENSOR_REPORT);
	assert_int_equal(
		sensor_judge(&s, 24.1, READING_GOOD, 10 * US_PER_S, &value), SENSOR_SUPPRESS);
	assert_true(s.good);
	/* 24.2 - 24.0 is 0.1999... in binary, and still a step of 0.2 */
	assert_int_equal(
		sensor_judge(&s, 24.2, READING_GOOD, 20 * US_PER_S, &value), SENSOR_REPORT);
	for (int i = 3; i < 8; i++) {
		assert_int_equal(sensor_judge(&s, 24.2, READING_GOOD, i * 10 * US_PER_S, &value),
			SENSOR_SUPPRESS);
	}
	/* silent since 20 s: this turn, a millisecond early, is the last that keeps the promise */
	assert_int_equal(
		sensor_judge(&s, 24.2, READING_GOOD, 80 * US_PER_S - 1000, &value), SENSOR_REPORT);
}

static void test_news_is_reported_whatever_the_deadband(void **state)
{
	struct sensor_config config = plain();
	struct sensor_state s = {.config = &config};
	double value;

	(void)state;
	config.deadband = 5;
	assert_int_equal(sensor_judge(&s, 24, READING_GOOD, 0, &value), SENSOR_REPORT);
	assert_int_equal(sensor_judge(&s, 24, READING_UNCERTAIN, 1, &value), SENSOR_REPORT);
	assert_int_equal(sensor_judge(&s, 24, READING_UNCERTAIN, 2, &value), SENSOR_SUPPRESS);
	sensor_failed(&s, "no answer");
	assert_false(s.good);
	assert_string_equal(s.error, "no answer");
	assert_int_equal(sensor_judge(&s, 24, READING_UNCERTAIN, 3, &value), SENSOR_REPORT);
	sensor_clear(&s);
}

static void test_negative_zero_is_zero(void **state)
{
	struct sensor_config config = plain();
	struct sensor_state s = {.config = &config};
	double value = 1;

	(void)state;
	assert_int_equal(sensor_judge(&s, -0.0, READING_GOOD, 0, &value), SENSOR_REPORT);
	assert_false(signbit(value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scale_offset_decimals),
		cmocka_unit_test(test_what_is_no_number_never_passes),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_deadband_and_max_silence),
		cmocka_unit_test(test_news_is_reported_whatever_the_deadband),
		cmocka_unit_test(test_negative_zero_is_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
