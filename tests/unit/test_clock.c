/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "util.h"

/* What the kernel says and what happens at a step is tested on the whole daemon, with a clock that
   the test can set (tests/system/test_clock.py). */

static void test_always_is_right(void **state)
{
	struct clock_state *c = clock_new(CLOCK_TRUST_ALWAYS, INT64_MAX);

	(void)state;
	assert_true(clock_is_right(c));
	assert_string_equal(clock_rule(c), "always");
	assert_int_equal(clock_timeout_ms(c), -1);
	assert_int_equal(clock_update(c, NULL), CLOCK_UNCHANGED);
	clock_free(c);
}

static void test_plausible_is_not_before_the_newest_reading(void **state)
{
	int64_t now_us = now_realtime_ns() / NS_PER_US;
	struct clock_state *c = clock_new(CLOCK_TRUST_PLAUSIBLE, now_us + 3600 * US_PER_S);

	(void)state;
	assert_false(clock_is_right(c));
	assert_true(clock_timeout_ms(c) > 0);
	assert_int_equal(clock_update(c, NULL), CLOCK_UNCHANGED);
	clock_free(c);
	c = clock_new(CLOCK_TRUST_PLAUSIBLE, now_us - 3600 * US_PER_S);
	assert_true(clock_is_right(c));
	assert_string_equal(clock_rule(c), "plausible");
	clock_free(c);
}

static void test_a_new_rule_is_applied_at_the_next_update(void **state)
{
	struct clock_state *c = clock_new(CLOCK_TRUST_PLAUSIBLE, INT64_MAX);

	(void)state;
	assert_false(clock_is_right(c));
	clock_set_trust(c, CLOCK_TRUST_ALWAYS);
	assert_int_equal(clock_update(c, NULL), CLOCK_BECAME_RIGHT);
	assert_true(clock_is_right(c));
	clock_set_trust(c, CLOCK_TRUST_PLAUSIBLE);
	assert_int_equal(clock_update(c, NULL), CLOCK_BECAME_WRONG);
	clock_free(c);
}

static void test_offset_joins_the_two_clocks(void **state)
{
	int64_t before = now_realtime_ns() / NS_PER_US;
	int64_t wall = now_boottime_ns() / NS_PER_US + clock_offset_us();
	int64_t after = now_realtime_ns() / NS_PER_US;

	(void)state;
	assert_true(wall >= before - US_PER_MS);
	assert_true(wall <= after + US_PER_MS);
}

static void test_boot_id(void **state)
{
	(void)state;
	assert_true(strlen(clock_boot_id()) >= 7);
	assert_ptr_equal(clock_boot_id(), clock_boot_id());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_always_is_right),
		cmocka_unit_test(test_plausible_is_not_before_the_newest_reading),
		cmocka_unit_test(test_a_new_rule_is_applied_at_the_next_update),
		cmocka_unit_test(test_offset_joins_the_two_clocks),
		cmocka_unit_test(test_boot_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
