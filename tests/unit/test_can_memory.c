/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens when memory is short: each allocation fails in turn, and nothing but -ENOMEM may
 * come of it. The linker puts the functions below before those of the C library.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "can/dbc.h"
#include "can/filter.h"
#include "can/j1939.h"
#include "can/table.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void __wrap_free(void *p);

static unsigned until_failure = -1u; /* allocations that succeed */
static int n_allocated;              /* and are not freed */

static void *counted(void *before, void *after)
{
	n_allocated += !before && after;
	return after;
}

static int fails(void)
{
	if (until_failure == 0) {
		return 1;
	}
	until_failure--;
	return 0;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : counted(NULL, __real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : counted(NULL, __real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : counted(p, __real_realloc(p, size));
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : counted(p, __real_reallocarray(p, n, size));
}

void __wrap_free(void *p)
{
	n_allocated -= p != NULL;
	__real_free(p);
}

static void ignore(void *ctx, bool is_error, const char *file, uint32_t line, const char *text)
{
}

static char path[4096];

static int load(void)
{
	struct dbc *dbc = NULL;
	int r = dbc_load(path, ignore, NULL, &dbc);

	assert_int_equal(r == 0, dbc != NULL);
	dbc_free(dbc);
	return r;
}

static int make_table(void)
{
	static const struct table_entry entry = {
		.kind = TABLE_EXTENDED, .id = 7, .layout = {.length = 8}};
	struct table *t = NULL;
	int r = table_new(&entry, 1, &t);

	assert_int_equal(r == 0, t != NULL);
	table_free(t);
	return r;
}

static int merge(void)
{
	struct can_filter filters[] = {
		filter_standard(1), filter_standard(2), filter_standard(3), filter_extended(1)};
	size_t n;

	return filter_merge(filters, 4, 2, &n);
}

static int make_sessions(void)
{
	struct j1939_tp *tp = NULL;
	int r = j1939_tp_new((const uint32_t[]){65226}, 1, &tp);

	assert_int_equal(r == 0, tp != NULL);
	j1939_tp_free(tp);
	return r;
}

static void test_each_allocation_fails_in_turn(void **state)
{
	int (*const what[])(void) = {load, make_table, merge, make_sessions};

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/tests/data/engine.dbc", getenv("SOURCE_DIR"));
	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		unsigned n = 0;
		int r;

		do {
			int before = n_allocated;

			until_failure = n++;
			r = what[i]();
			until_failure = -1u;
			assert_int_equal(n_allocated, before);
			assert_true(r == 0 || r == -ENOMEM);
		} while (r == -ENOMEM);
		assert_true(n > 1); /* something was made to fail */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_allocation_fails_in_turn),
	};

	return cmocka_run_group_tests_name("can_memory", tests, NULL, NULL);
}
