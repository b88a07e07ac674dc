/* SPDX-License-Identifier: Apache-2.0 */
#include "schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "util.h"

#define S NS_PER_S

static void take_all(struct schedule *s)
{
	uint32_t n;
	const uint32_t *due = schedule_due(s, &n);

	for (uint32_t i = 0; i < n; i++) {
		schedule_done(s, due[i]);
	}
}

static void test_same_interval_shares_a_turn(void **state)
{
	const int64_t intervals[] = {10 * S, 1 * S, 10 * S, 1 * S};
	struct schedule *s = schedule_new(intervals, 4, 100 * S);
	uint32_t n;
	const uint32_t *due;

	(void)state;
	assert_int_equal(schedule_advance(s, 100 * S - 1), 0);
	assert_int_equal(schedule_n_due(s), 0);
	assert_int_equal(schedule_next_ns(s), 100 * S);
	schedule_advance(s, 100 * S);
	assert_int_equal(schedule_n_due(s), 4);
	take_all(s);
	schedule_advance(s, 101 * S);
	due = schedule_due(s, &n);
	assert_int_equal(n, 2);
	assert_int_equal(due[0], 1);
	assert_int_equal(due[1], 3);
	schedule_free(s);
}

static void test_earliest_deadline_first(void **state)
{
	const int64_t intervals[] = {10 * S, 1 * S, 5 * S};
	struct schedule *s = schedule_new(intervals, 3, 0);
	uint32_t n;
	const uint32_t *due;

	(void)state;
	schedule_advance(s, 0);
	due = schedule_due(s, &n);
	assert_int_equal(n, 3);
	assert_int_equal(due[0], 1);
	assert_int_equal(due[1], 2);
	assert_int_equal(due[2], 0);
	/* the slow one is still waiting when the fast one comes due again, and has to let it pass
	 */
	schedule_done(s, 1);
	schedule_done(s, 2);
	schedule_advance(s, 1 * S);
	due = schedule_due(s, &n);
	assert_int_equal(n, 2);
	assert_int_equal(due[0], 1);
	assert_int_equal(due[1], 0);
	schedule_free(s);
}

static void test_does_not_drift(void **state)
{
	const int64_t intervals[] = {S};
	struct schedule *s = schedule_new(intervals, 1, 0);

	(void)state;
	/* each turn is noticed a little late; the grid stays where it was */
	for (int64_t i = 0; i < 100000; i++) {
		assert_int_equal(schedule_next_ns(s), i * S);
		assert_int_equal(schedule_advance(s, i * S + 300 * NS_PER_MS), 0);
		take_all(s);
	}
	schedule_free(s);
}

static void test_missed_turns_are_skipped_and_counted(void **state)
{
	const int64_t intervals[] = {S, S};
	struct schedule *s = schedule_new(intervals, 2, 0);

	(void)state;
	schedule_advance(s, 0);
	schedule_done(s, 0);
	/* sensor 1 is still waiting from turn 0 when turn 1 comes: one turn of one sensor is missed
	 */
	assert_int_equal(schedule_advance(s, S), 1);
	take_all(s);
	/* turns 2, 3 and 4 went by unseen, turn 5 is due: three turns of two sensors */
	assert_int_equal(schedule_advance(s, 5 * S + 1), 6);
	assert_int_equal(schedule_n_due(s), 2);
	assert_int_equal(schedule_next_ns(s), 6 * S);
	schedule_free(s);
}

static void test_all_due_keeps_the_grid(void **state)
{
	const int64_t intervals[] = {10 * S, S};
	struct schedule *s = schedule_new(intervals, 2, 0);

	(void)state;
	schedule_advance(s, 0);
	take_all(s);
	schedule_all_due(s, 3 * S + 500 * NS_PER_MS);
	assert_int_equal(schedule_n_due(s), 2);
	assert_int_equal(schedule_next_ns(s), 4 * S);
	take_all(s);
	assert_int_equal(schedule_n_due(s), 0);
	schedule_free(s);
}

static void test_no_sensors(void **state)
{
	struct schedule *s = schedule_new(NULL, 0, 0);

	(void)state;
	assert_int_equal(schedule_advance(s, S), 0);
	assert_int_equal(schedule_next_ns(s), INT64_MAX);
	schedule_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_interval_shares_a_turn),
		cmocka_unit_test(test_earliest_deadline_first),
		cmocka_unit_test(test_does_not_drift),
		cmocka_unit_test(test_missed_turns_are_skipped_and_counted),
		cmocka_unit_test(test_all_due_keeps_the_grid),
		cmocka_unit_test(test_no_sensors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
