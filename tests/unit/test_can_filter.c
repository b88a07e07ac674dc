/* SPDX-License-Identifier: Apache-2.0 */
#include "can/filter.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <cmocka.h>

#include "util.h"

#define KERNEL_MAX 512 /* CAN_RAW_FILTER_MAX of linux/can/raw.h */

/* As the kernel does: net/can/af_can.c. */
static bool passes(const struct can_filter *filters, size_t n, uint32_t can_id)
{
	for (size_t i = 0; i < n; i++) {
		if ((can_id & filters[i].can_mask) == (filters[i].can_id & filters[i].can_mask)) {
			return true;
		}
	}
	return false;
}

static size_t count_standard(const struct can_filter *filters, size_t n)
{
	size_t count = 0;

	for (uint32_t id = 0; id <= CAN_SFF_MASK; id++) {
		count += passes(filters, n, id);
	}
	return count;
}

static void test_exactly_one(void **state)
{
	struct can_filter f = filter_standard(0x123);

	(void)state;
	assert_true(passes(&f, 1, 0x123));
	assert_false(passes(&f, 1, 0x122));
	assert_false(passes(&f, 1, 0x123 | CAN_EFF_FLAG)); /* the same number, another message */
	assert_false(passes(&f, 1, 0x123 | CAN_RTR_FLAG));
	f = filter_extended(0x123);
	assert_true(passes(&f, 1, 0x123 | CAN_EFF_FLAG));
	assert_false(passes(&f, 1, 0x123));
}

static void test_parameter_groups(void **state)
{
	struct can_filter f = filter_pgn(61444, FILTER_ANY_SOURCE); /* EEC1 */

	(void)state;
	assert_true(passes(&f, 1, 0x0cf00400 | CAN_EFF_FLAG));
	assert_true(passes(&f, 1, 0x18f00417 | CAN_EFF_FLAG)); /* other priority and source */
	assert_false(passes(&f, 1, 0x0cf00500 | CAN_EFF_FLAG));
	assert_false(passes(&f, 1, 0x0df00400 | CAN_EFF_FLAG)); /* data page */
	f = filter_pgn(61444, 0x17);
	assert_true(passes(&f, 1, 0x18f00417 | CAN_EFF_FLAG));
	assert_false(passes(&f, 1, 0x18f00400 | CAN_EFF_FLAG));
	f = filter_pgn(0xec00, FILTER_ANY_SOURCE); /* to whomever */
	assert_true(passes(&f, 1, 0x1cecff00 | CAN_EFF_FLAG));
	assert_true(passes(&f, 1, 0x1cec1700 | CAN_EFF_FLAG));
}

/* Few enough: nothing else passes, and what is there twice goes. */
static void test_no_merging_without_need(void **state)
{
	struct can_filter filters[600];
	size_t n = 0, n_merged;

	(void)state;
	for (uint32_t id = 0; id < 600; id++) {
		filters[n++] = filter_standard(id % 300 * 5);
	}
	assert_int_equal(filter_merge(filters, n, KERNEL_MAX, &n_merged), 0);
	assert_int_equal(n_merged, 300);
	assert_int_equal(count_standard(filters, n_merged), 300);
	assert_int_equal(filter_merge(filters, n_merged, 1, &n_merged), -EINVAL);
}

/* Ids that differ in a bit cost nothing to merge. */
static void test_merges_what_costs_least(void **state)
{
	struct can_filter filters[12];
	size_t n = 0, n_merged;

	(void)state;
	for (uint32_t id = 0x200; id < 0x208; id++) {
		filters[n++] = filter_standard(id);
	}
	filters[n++] = filter_standard(0x7f0);
	filters[n++] = filter_standard(0x00f);
	filters[n++] = filter_extended(5);
	assert_int_equal(filter_merge(filters, n, 4, &n_merged), 0);
	assert_int_equal(n_merged, 4);
	assert_int_equal(count_standard(filters, n_merged), 10);
}

static uint32_t next_random(uint64_t *random)
{
	*random = *random * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t)(*random >> 33);
}

static struct can_filter random_filter(uint64_t *random)
{
	uint32_t x = next_random(random), kind = next_random(random) % 4;

	if (kind == 0) {
		return filter_standard(x & CAN_SFF_MASK);
	}
	if (kind == 1) {
		return filter_extended(x & CAN_EFF_MASK);
	}
	return filter_pgn(x % 0x40000, kind == 2 ? FILTER_ANY_SOURCE : (int)(x >> 20 & 0xff));
}

/* Whatever is configured, and however few filters there may be: it passes. */
static void test_nothing_wanted_is_kept_out(void **state)
{
	static const struct {
		size_t n, limit;
	} rows[] = {{1, 2}, {3, 2}, {40, 7}, {700, KERNEL_MAX}, {2000, 64}, {9000, KERNEL_MAX}};
	uint64_t random = 3;

	(void)state;
	for (size_t row = 0; row < ARRAY_SIZE(rows); row++) {
		size_t n = rows[row].n, n_merged;
		struct can_filter *wanted = xcalloc(n, sizeof(*wanted));
		struct can_filter *filters = xcalloc(n, sizeof(*filters));

		for (size_t i = 0; i < n; i++) {
			wanted[i] = filters[i] = random_filter(&random);
		}
		assert_int_equal(filter_merge(filters, n, rows[row].limit, &n_merged), 0);
		assert_in_range(n_merged, 1, rows[row].limit);
		for (size_t i = 0; i < n; i++) {
			/* any frame that the one filter is for */
			uint32_t others = next_random(&random) & CAN_EFF_MASK & ~wanted[i].can_mask;

			assert_true(passes(filters, n_merged, wanted[i].can_id | others));
		}
		free(wanted);
		free(filters);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exactly_one),
		cmocka_unit_test(test_parameter_groups),
		cmocka_unit_test(test_no_merging_without_need),
		cmocka_unit_test(test_merges_what_costs_least),
		cmocka_unit_test(test_nothing_wanted_is_kept_out),
	};

	return cmocka_run_group_tests_name("can_filter", tests, NULL, NULL);
}
