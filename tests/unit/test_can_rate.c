/* SPDX-License-Identifier: Apache-2.0 */
#include "can/rate.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "util.h"

#define S NS_PER_S

static void test_what_is_sampled(void **state)
{
	static const struct {
		uint8_t sample;
		double value;
		int64_t time_ns;
	} rows[] = {{RATE_LAST, 5, 4}, {RATE_MEAN, 4, 4}, {RATE_MIN, 1, 2}, {RATE_MAX, 7, 3}};
	static const double values[] = {3, 1, 7, 5};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rate r = {.interval_ns = S, .sample = rows[i].sample};
		int64_t time_ns;

		for (size_t j = 0; j < ARRAY_SIZE(values); j++) {
			assert_true(rate_add(&r, values[j], (int64_t)j + 1));
		}
		assert_true(rate_is_due(&r, 100 * S));
		assert_true(rate_take(&r, 100 * S, &time_ns) == rows[i].value);
		assert_int_equal(time_ns, rows[i].time_ns);
		/* what was taken has no influence on what follows */
		rate_add(&r, 4, 9);
		assert_true(rate_take(&r, 101 * S, &time_ns) == 4);
		assert_int_equal(time_ns, 9);
	}
}

static void test_once_an_interval(void **state)
{
	struct rate r = {.interval_ns = 10 * S, .sample = RATE_LAST};
	int64_t time_ns, now;

	(void)state;
	assert_false(rate_is_due(&r, 100 * S));
	rate_add(&r, 1, 0);
	assert_true(rate_is_due(&r, 100 * S)); /* the first one at once */
	rate_take(&r, 100 * S, &time_ns);
	rate_add(&r, 2, 0);
	assert_false(rate_is_due(&r, 110 * S - 1));
	/* taken a little late, and still in step */
	for (now = 110 * S; now < 200 * S; now += 10 * S) {
		assert_false(rate_is_due(&r, now - 1));
		assert_true(rate_is_due(&r, now));
		rate_take(&r, now + S, &time_ns);
		assert_false(rate_is_due(&r, now + 100 * S)); /* nothing came */
		rate_add(&r, 3, 0);
	}
	rate_take(&r, now, &time_ns);
	/* after a silence the first one at once, and the interval begins there */
	rate_add(&r, 4, 0);
	assert_true(rate_is_due(&r, now + 35 * S));
	rate_take(&r, now + 35 * S, &time_ns);
	rate_add(&r, 5, 0);
	assert_false(rate_is_due(&r, now + 45 * S - 1));
	assert_true(rate_is_due(&r, now + 45 * S));
}

static void test_each_value(void **state)
{
	struct rate r = {.interval_ns = 0};
	int64_t time_ns;

	(void)state;
	for (int i = 0; i < 3; i++) {
		rate_add(&r, i, 0);
		assert_true(rate_is_due(&r, S));
		assert_true(rate_take(&r, S, &time_ns) == i);
		assert_false(rate_is_due(&r, S));
	}
}

static void test_never_anything_but_a_number(void **state)
{
	struct rate r = {.interval_ns = S, .sample = RATE_MEAN};
	int64_t time_ns;
	double mean;

	(void)state;
	assert_false(rate_add(&r, NAN, 0));
	assert_false(rate_add(&r, INFINITY, 0));
	assert_false(rate_is_due(&r, S));
	for (int i = 0; i < 1000; i++) {
		rate_add(&r, i % 2 ? DBL_MAX : -DBL_MAX, 0);
	}
	assert_true(isfinite(rate_take(&r, S, &time_ns)));
	for (int i = 0; i < 100000; i++) {
		rate_add(&r, 0.1, 0);
	}
	assert_true(rate_take(&r, 2 * S, &time_ns) == 0.1);
	for (int i = 0; i < 100000; i++) {
		rate_add(&r, i, 0);
	}
	mean = rate_take(&r, 3 * S, &time_ns);
	assert_true(fabs(mean - 49999.5) < 1e-6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_sampled),
		cmocka_unit_test(test_once_an_interval),
		cmocka_unit_test(test_each_value),
		cmocka_unit_test(test_never_anything_but_a_number),
	};

	return cmocka_run_group_tests_name("can_rate", tests, NULL, NULL);
}
