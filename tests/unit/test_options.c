/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* What is said of bad values is in tests/data/config, see test_config.c. */

enum { HOST, PORT, GAIN, WAIT, KIND, ON, N_OPTIONS };

static const struct scg_option table[N_OPTIONS] = {
	[HOST] = {.name = "host", .type = SCG_STRING, .max = 10, .help = "Where."},
	[PORT] = {.name = "port",
		.type = SCG_INT,
		.fallback = "502",
		.min = 1,
		.max = 65535,
		.help = "Which."},
	[GAIN] = {.name = "gain", .type = SCG_NUMBER, .flags = SCG_REQUIRED, .help = "How much."},
	[WAIT] = {.name = "wait",
		.type = SCG_DURATION,
		.fallback = "1s",
		.min = 0.01,
		.max = 60,
		.help = "How long."},
	[KIND] = {.name = "kind",
		.type = SCG_CHOICE,
		.fallback = "b",
		.choices = (const char *const[]){"a", "b", NULL},
		.help = "What."},
	[ON] = {.name = "on", .type = SCG_BOOL, .fallback = "true", .help = "Whether."},
};

struct fixture {
	struct problems problems;
	struct yaml_tree *tree;
	union scg_value values[N_OPTIONS];
	const struct yaml_node *nodes[N_OPTIONS];
	size_t n_errors;
};

/* Parses with keys `own` and `defaults` of the text. */
static void parse(struct fixture *f, const char *text)
{
	const struct yaml_pair *own, *defaults;

	problems_init(&f->problems, "f");
	f->tree = yaml_tree_parse(text, strlen(text), &f->problems);
	assert_non_null(f->tree);
	own = yaml_find(yaml_tree_root(f->tree), "own");
	defaults = yaml_find(yaml_tree_root(f->tree), "defaults");
	f->n_errors = options_parse(table, N_OPTIONS, own ? own->value : NULL,
		defaults ? defaults->value : NULL, yaml_tree_root(f->tree), "bus", &f->problems,
		f->values, f->nodes);
}

static void clear(struct fixture *f)
{
	problems_clear(&f->problems);
	yaml_tree_free(f->tree);
}

static void test_defaults_of_the_table(void **state)
{
	struct fixture f;

	parse(&f, "own: {gain: -2.5}\n");
	assert_int_equal(f.n_errors, 0);
	assert_null(f.values[HOST].s);
	assert_int_equal(f.values[PORT].i, 502);
	assert_true(f.values[GAIN].d == -2.5);
	assert_int_equal(f.values[WAIT].i, NS_PER_S);
	assert_int_equal(f.values[KIND].i, 1);
	assert_int_equal(f.values[ON].i, 1);
	assert_null(f.nodes[PORT]);
	assert_non_null(f.nodes[GAIN]);
	clear(&f);
}

static void test_values(void **state)
{
	struct fixture f;

	parse(&f, "own: {host: h, port: 0x10, gain: 1e3, wait: 250ms, kind: a, on: false}\n");
	assert_int_equal(f.n_errors, 0);
	assert_string_equal(f.values[HOST].s, "h");
	assert_int_equal(f.values[PORT].i, 16);
	assert_true(f.values[GAIN].d == 1000);
	assert_int_equal(f.values[WAIT].i, 250 * NS_PER_MS);
	assert_int_equal(f.values[KIND].i, 0);
	assert_int_equal(f.values[ON].i, 0);
	clear(&f);
}

static void test_own_key_wins_over_defaults(void **state)
{
	struct fixture f;

	parse(&f, "own: {port: 7}\ndefaults: {port: 8, gain: 3}\n");
	assert_int_equal(f.n_errors, 0);
	assert_int_equal(f.values[PORT].i, 7);
	assert_true(f.values[GAIN].d == 3);
	assert_int_equal(f.nodes[GAIN]->line, 2);
	clear(&f);

	parse(&f, "defaults: {port: 8, gain: 3}\n");
	assert_int_equal(f.n_errors, 0);
	assert_int_equal(f.values[PORT].i, 8);
	clear(&f);
}

static void test_problems_of_defaults_are_not_repeated(void **state)
{
	struct fixture f;

	parse(&f, "own: {host: h}\ndefaults: {gain: x, port: 0, extra: 1}\n");
	assert_int_equal(f.n_errors, 0);
	assert_int_equal(f.problems.n, 0);
	assert_int_equal(f.values[PORT].i, 502);
	assert_int_equal(
		options_check_partial(table, N_OPTIONS,
			yaml_find(yaml_tree_root(f.tree), "defaults")->value, "bus", &f.problems),
		3);
	assert_int_equal(f.problems.n, 3);
	clear(&f);
}

static void test_missing(void **state)
{
	_cleanup_(freep) char *shown = NULL;
	struct fixture f;

	parse(&f, "other: 1\n");
	assert_int_equal(f.n_errors, 1);
	shown = problems_format(&f.problems, 0);
	assert_string_equal(shown, "f:1:1: bus: gain: missing, expected a number");
	clear(&f);
}

static void test_range_is_inclusive(void **state)
{
	static const struct {
		const char *text;
		size_t n_errors;
	} cases[] = {
		{"own: {gain: 1, port: 1}\n", 0},
		{"own: {gain: 1, port: 0}\n", 1},
		{"own: {gain: 1, port: 65535}\n", 0},
		{"own: {gain: 1, port: 65536}\n", 1},
		{"own: {gain: 1, port: -9223372036854775809}\n", 1},
		{"own: {gain: 1, wait: 10ms}\n", 0},
		{"own: {gain: 1, wait: 9999us}\n", 1},
		{"own: {gain: 1, wait: 60s}\n", 0},
		{"own: {gain: 1, wait: 60001ms}\n", 1},
		{"own: {gain: 1, host: '1234567890'}\n", 0},
		{"own: {gain: 1, host: '12345678901'}\n", 1},
		{"own: {gain: 1e999}\n", 1},
		{"own: {gain: .nan}\n", 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fixture f;

		parse(&f, cases[i].text);
		assert_int_equal(f.n_errors, cases[i].n_errors);
		assert_int_equal(f.problems.n_errors, cases[i].n_errors);
		clear(&f);
	}
}

static void test_secret_is_never_shown(void **state)
{
	static const char *const choices[] = {"a", NULL};
	static const struct scg_option secrets[] = {
		{.name = "pin", .type = SCG_INT, .flags = SCG_SECRET, .fallback = "0"},
		{.name = "key", .type = SCG_STRING, .flags = SCG_SECRET, .max = 3},
		{.name = "kind",
			.type = SCG_CHOICE,
			.flags = SCG_SECRET,
			.fallback = "a",
			.choices = choices},
	};
	static const char text[] = "{pin: hunter2, key: hunter2, kind: hunter2}";
	union scg_value values[ARRAY_SIZE(secrets)];
	struct problems problems;
	_cleanup_(yaml_tree_freep) struct yaml_tree *tree = NULL;

	problems_init(&problems, "f");
	tree = yaml_tree_parse(text, strlen(text), &problems);
	assert_int_equal(options_parse(secrets, ARRAY_SIZE(secrets), yaml_tree_root(tree), NULL,
				 NULL, "", &problems, values, NULL),
		3);
	for (size_t i = 0; i < problems.n; i++) {
		assert_null(strstr(problems.list[i].text, "hunter2"));
	}
	problems_clear(&problems);
}

static void test_nearest(void **state)
{
	static const char *const names[] = {"interval", "register", "unit", "bit", "x"};
	const size_t n = ARRAY_SIZE(names);

	assert_string_equal(options_nearest("intervall", names, n), "interval");
	assert_string_equal(options_nearest("intreval", names, n), "interval");
	assert_string_equal(options_nearest("registr", names, n), "register");
	assert_string_equal(options_nearest("unti", names, n), "unit");
	assert_null(options_nearest("wavelength", names, n));
	assert_null(options_nearest("y", names, n));
	assert_null(options_nearest("", names, n));
	assert_null(options_nearest("a-name-that-is-longer-than-any-key-could-reasonably-be-"
				    "and-goes-on-and-on",
		names, n));
	assert_null(options_nearest("interval", names, 0));
}

static void check_row(const struct scg_option *row, const char *expected)
{
	_cleanup_(freep) char *text = NULL;

	assert_int_equal(options_check_table(row, 1, &text), -EINVAL);
	assert_string_equal(text, expected);
}

static void test_bad_tables(void **state)
{
	static const char *const none[] = {NULL};
	static const struct scg_option twice[] = {
		{.name = "a", .type = SCG_STRING, .help = "A."},
		{.name = "a", .type = SCG_STRING, .help = "A."},
	};
	struct scg_option row = {.name = "a", .type = SCG_INT, .fallback = "1", .help = "A."};
	_cleanup_(freep) char *text = NULL;

	assert_int_equal(options_check_table(table, N_OPTIONS, &text), 0);
	assert_int_equal(options_check_table(NULL, 0, &text), 0);
	assert_int_equal(options_check_table(&row, 1, &text), 0);
	assert_null(text);
	assert_int_equal(options_check_table(twice, 2, &text), -EINVAL);
	assert_string_equal(text, "row 1 (a): the same name as row 0");

	row.name = NULL;
	check_row(&row, "row 0: no name of a-z, 0-9 and _");
	row.name = "Big";
	check_row(&row, "row 0: no name of a-z, 0-9 and _");
	row.name = "a";
	row.help = NULL;
	check_row(&row, "row 0 (a): no help text");
	row.help = "A.";
	row.reserved[3] = 1;
	check_row(&row, "row 0 (a): the reserved words are not zero");
	row.reserved[3] = 0;
	row.flags = 0x80;
	check_row(&row, "row 0 (a): unknown flags 0x80");
	row.flags = SCG_REQUIRED;
	check_row(&row, "row 0 (a): required, and yet with a default");
	row.flags = 0;
	row.min = 2;
	check_row(&row, "row 0 (a): no proper range, min is above max");
	row.max = 3;
	check_row(&row, "row 0 (a): default 1 does not fit, expected a whole number, 2 to 3");
	row.max = INFINITY;
	check_row(&row, "row 0 (a): no proper range, min is above max");
	row.min = row.max = 0;
	row.fallback = NULL;
	check_row(&row, "row 0 (a): neither required nor a default");
	row.type = SCG_CHOICE;
	check_row(&row, "row 0 (a): no choices");
	row.choices = none;
	check_row(&row, "row 0 (a): no choices");
	row.type = OPTION_SIZE;
	check_row(&row, "row 0 (a): unknown type 256");
	row.type = 0;
	check_row(&row, "row 0 (a): unknown type 0");
}

static void test_printed_reference(void **state)
{
	static const struct scg_option rows[] = {
		{.name = "speed",
			.type = SCG_INT,
			.fallback = "9600",
			.min = 300,
			.max = 115200,
			.unit = "bit/s",
			.help = "How fast the line is. Both ends need the same, and the text is "
				"long enough to be wrapped."},
		{.name = "host",
			.type = SCG_STRING,
			.flags = SCG_REQUIRED,
			.max = 255,
			.help = "H."},
		{.name = "label", .type = SCG_STRING, .help = "L."},
	};
	static const char expected[] =
		"  speed: whole number, 300 to 115200 bit/s, default 9600\n"
		"      How fast the line is. Both ends need the same, and the text is long enough\n"
		"      to be wrapped.\n"
		"  host: text, at most 255 bytes, required\n"
		"      H.\n"
		"  label: text, optional\n"
		"      L.\n";
	_cleanup_(freep) char *text = NULL;
	_cleanup_(freep) char *kind = options_describe_type(&table[KIND]);
	_cleanup_(freep) char *wait = options_describe_type(&table[WAIT]);
	_cleanup_(freep) char *gain = options_describe_type(&table[GAIN]);
	_cleanup_(freep) char *on = options_describe_type(&table[ON]);
	size_t size;
	FILE *out = open_memstream(&text, &size);

	options_print(out, rows, ARRAY_SIZE(rows));
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, expected);
	assert_string_equal(kind, "one of: a, b; default b");
	assert_string_equal(wait, "duration, 10ms to 1min, default 1s");
	assert_string_equal(gain, "number, required");
	assert_string_equal(on, "true or false, default true");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_of_the_table),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_own_key_wins_over_defaults),
		cmocka_unit_test(test_problems_of_defaults_are_not_repeated),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_range_is_inclusive),
		cmocka_unit_test(test_secret_is_never_shown),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_bad_tables),
		cmocka_unit_test(test_printed_reference),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
