/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "driver.h"

#include <stdio.h>
#include <string.h>

#include "util.h"

static void test_good_driver(void **state)
{
	_cleanup_(freep) char *error = NULL;
	const struct scg_driver *driver = driver_find("tiny", &error);

	assert_non_null(driver);
	assert_null(error);
	assert_string_equal(driver->name, "tiny");
	assert_int_equal(driver->abi, SCG_ABI_LEVEL);
	/* loaded once */
	assert_ptr_equal(driver, driver_find("tiny", &error));
}

static void test_bad_drivers(void **state)
{
	static const struct {
		const char *name, *expected;
	} cases[] = {
		{"no-symbol", "it does not export scg_driver_1, so it is no driver"},
		{"garbage", "driver \"garbage\" cannot be loaded: "},
		{"too-new", "built for driver ABI 3, this daemon has 2; "},
		{"level-zero", "built for driver ABI 0, this daemon has 2; "},
		{"reserved", "its reserved word is not zero"},
		{"misnamed", "it calls itself \"tiny\", expected the name of the file"},
		{"nameless", "it calls itself \"\", expected the name of the file"},
		{"no-poll", "it has neither poll() nor dispatch()"},
		{"no-close", "it lacks open() or close()"},
		{"miscounted", "the number of its options is wrong"},
		{"greedy", "scan options: --config is the gateway's own"},
		{"bad-default",
			"bus options: row 1 (speed): default \"fast\" does not fit, expected a "
			"whole number, 300 to 115200"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(freep) char *error = NULL;

		assert_null(driver_find(cases[i].name, &error));
		assert_non_null(error);
		if (!strstr(error, cases[i].expected)) {
			fail_msg("%s: %s", cases[i].name, error);
		}
	}
}

static void test_no_such_driver(void **state)
{
	_cleanup_(freep) char *near = NULL;
	_cleanup_(freep) char *far = NULL;

	assert_null(driver_find("tinny", &near));
	assert_non_null(strstr(near, "no driver \"tinny\" in "));
	assert_non_null(strstr(near, "/tests/unit/drivers or "));
	assert_non_null(strstr(near, ", did you mean tiny? There are: "));
	assert_null(driver_find("something-else", &far));
	assert_non_null(strstr(far, "; there are: bad-default, chatty, garbage, "));
}

static void test_never_a_path(void **state)
{
	static const char *const names[] = {"", ".", "..", "../drivers/tiny", "/tmp/tiny",
		"tiny.so", "Tiny", "tiny\n", "t\xc3\xadny"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_(freep) char *error = NULL;

		assert_null(driver_find(names[i], &error));
		assert_non_null(strstr(error, "is no driver name"));
	}
}

struct visited {
	unsigned n_good, n_bad;
	char last[64];
};

static void visit(void *ctx, const char *name, const char *path, const struct scg_driver *driver,
	const char *error)
{
	struct visited *visited = ctx;

	assert_true((driver != NULL) != (error != NULL));
	assert_non_null(strstr(path, name));
	assert_true(strcmp(visited->last, name) < 0);
	(void)snprintf(visited->last, sizeof(visited->last), "%s", name ? name : "");
	if (strcmp(name, "tiny") == 0) {
		assert_non_null(driver);
		visited->n_good++;
	}
	visited->n_bad += error != NULL;
}

static void test_for_each_is_sorted_and_complete(void **state)
{
	struct visited visited = {0};

	driver_for_each(visit, &visited);
	assert_int_equal(visited.n_good, 1);
	assert_true(visited.n_bad >= 11);
}

static void test_describe(void **state)
{
	_cleanup_(freep) char *error = NULL;
	_cleanup_(freep) char *text = NULL;
	const struct scg_driver *driver = driver_find("tiny", &error);
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(driver);
	driver_describe(out, driver);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(strncmp(text,
				 "tiny 1.0: Options of every type\n"
				 "\n"
				 "Bus options:\n"
				 "  path: text, at most 20 bytes, required\n"
				 "      Where it is.\n",
				 100),
		0);
	assert_non_null(strstr(text, "\nSensor options:\n"
				     "  channel: whole number, 0 to 65535, required\n"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_driver),
		cmocka_unit_test(test_bad_drivers),
		cmocka_unit_test(test_no_such_driver),
		cmocka_unit_test(test_never_a_path),
		cmocka_unit_test(test_for_each_is_sorted_and_complete),
		cmocka_unit_test(test_describe),
	};
	_cleanup_(freep) char *directory = xasprintf("%s/tests/unit/drivers", getenv("BUILD_DIR"));

	/* one that is not there does no harm */
	driver_add_directory("/nonexistent");
	driver_add_directory(directory);
	return cmocka_run_group_tests_name("driver", tests, NULL, NULL);
}
