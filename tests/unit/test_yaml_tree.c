/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "yaml_tree.h"

#include <stdio.h>
#include <string.h>

/* The malformed files and what is said of them are in tests/data/config, see test_config.c. */

static struct yaml_tree *parse(const char *text)
{
	struct problems problems;
	struct yaml_tree *tree;

	problems_init(&problems, "test.yaml");
	tree = yaml_tree_parse(text, strlen(text), &problems);
	assert_int_equal(problems.n_errors, 0);
	problems_clear(&problems);
	assert_non_null(tree);
	return tree;
}

/* The only problem of `text`, as it is shown. */
static char *parse_bad(const char *text, size_t size)
{
	struct problems problems;
	struct yaml_tree *tree;
	char *shown;

	problems_init(&problems, "test.yaml");
	tree = yaml_tree_parse(text, size, &problems);
	assert_int_equal(problems.n_errors, 1);
	shown = problems_format(&problems, 0);
	problems_clear(&problems);
	yaml_tree_free(tree);
	return shown;
}

static void test_places(void **state)
{
	_cleanup_(yaml_tree_freep) struct yaml_tree *tree = parse(
		"# first\na: 1\nlist:\n  - \"x\"\n  - {k: \xc3\xa4\xc3\xb6, l: ~}\n");
	const struct yaml_node *root = yaml_tree_root(tree);
	const struct yaml_pair *list = yaml_find(root, "list");
	const struct yaml_node *inner;

	assert_int_equal(root->n, 2);
	assert_string_equal(root->pairs[0].value->text, "1");
	assert_int_equal(root->pairs[0].value->line, 2);
	assert_int_equal(root->pairs[0].value->column, 4);
	assert_int_equal(list->line, 3);
	assert_int_equal(list->column, 1);
	assert_int_equal(list->value->kind, YAML_KIND_SEQUENCE);
	assert_int_equal(list->value->n, 2);
	assert_true(list->value->items[0]->quoted);
	inner = list->value->items[1];
	assert_int_equal(inner->kind, YAML_KIND_MAPPING);
	assert_false(yaml_find(inner, "k")->value->quoted);
	/* columns count characters, not bytes */
	assert_int_equal(yaml_find(inner, "l")->column, 13);
	assert_true(yaml_find(inner, "l")->value->is_null);
	assert_null(yaml_find(inner, "m"));
}

static void test_null_and_text(void **state)
{
	_cleanup_(yaml_tree_freep) struct yaml_tree *tree = parse(
		"\xef\xbb\xbf"
		"a:\nb: null\nc: 'null'\nd: \"\"\ne: |\n  two\n  lines\n");
	const struct yaml_node *root = yaml_tree_root(tree);

	assert_int_equal(root->pairs[0].column, 1);
	assert_true(root->pairs[0].value->is_null);
	assert_true(root->pairs[1].value->is_null);
	assert_false(root->pairs[2].value->is_null);
	assert_false(root->pairs[3].value->is_null);
	assert_string_equal(root->pairs[3].value->text, "");
	assert_string_equal(root->pairs[4].value->text, "two\nlines\n");
}

static void test_deepest(void **state)
{
	/* the root is one of the 16 levels */
	_cleanup_(yaml_tree_freep) struct yaml_tree *tree = parse(
		"a: [[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]\n");
	const struct yaml_node *node = yaml_find(yaml_tree_root(tree), "a")->value;
	unsigned depth = 1;

	for (; node->kind == YAML_KIND_SEQUENCE; node = node->items[0]) {
		depth++;
	}
	assert_int_equal(depth, 16);
}

static char *repeat(const char *unit, size_t n)
{
	size_t length = strlen(unit);
	char *text = xmalloc(n * length + 1);

	for (size_t i = 0; i < n; i++) {
		memcpy(text + i * length, unit, length);
	}
	text[n * length] = '\0';
	return text;
}

static void test_too_many_values(void **state)
{
	_cleanup_(freep) char *text = repeat("- 1\n", 1000001);
	_cleanup_(freep) char *problem = parse_bad(text, strlen(text));

	/* the list itself is a value too */
	assert_string_equal(problem, "test.yaml:1000000:3: too large: more than 1000000 values");
}

static void test_too_large(void **state)
{
	_cleanup_(freep) char *text = repeat("# comment\n", 1700000);
	_cleanup_(freep) char *problem = parse_bad(text, strlen(text));

	assert_string_equal(problem, "test.yaml: too large, at most 16 MiB");
}

static void test_cannot_be_read(void **state)
{
	_cleanup_(freep) char *shown = NULL;
	struct problems problems;

	problems_init(&problems, "no-such-file.yaml");
	assert_null(yaml_tree_load("no-such-file.yaml", &problems));
	assert_int_equal(problems.n, 1);
	shown = problems_format(&problems, 0);
	assert_string_equal(shown, "no-such-file.yaml: cannot be read: No such file or directory");
	problems_clear(&problems);

	problems_init(&problems, "/");
	assert_null(yaml_tree_load("/", &problems));
	assert_int_equal(problems.n_errors, 1);
	problems_clear(&problems);
}

static uint64_t hash(const char *text)
{
	_cleanup_(yaml_tree_freep) struct yaml_tree *tree = parse(text);

	return yaml_hash(HASH_INIT, yaml_tree_root(tree));
}

static void test_hash_is_of_content(void **state)
{
	uint64_t h = hash("a: 1\nb: [x, y]\n");

	assert_true(h == hash("# other places\n\nb:\n  - x\n  - 'y'\na: 1\n"));
	assert_true(h != hash("a: 1\nb: [y, x]\n"));
	assert_true(h != hash("a: 1\nb: [x]\n"));
	assert_true(h != hash("a: 1\nc: [x, y]\n"));
	assert_true(h != hash("a: 2\nb: [x, y]\n"));
	assert_true(hash("a: ~\n") != hash("a: '~'\n"));
	assert_true(hash("a: []\n") != hash("a: {}\n"));
}

static void test_problems_are_sorted(void **state)
{
	struct yaml_node later = {.line = 7, .column = 3}, earlier = {.line = 7, .column = 1};
	static const char *const expected[] = {
		"f:7:1: one", "f:7:1: warning: two", "f:7:3: three", "f: whole"};
	struct problems problems;

	problems_init(&problems, "f");
	problems_error(&problems, NULL, "whole");
	problems_error(&problems, &later, "%s", "three");
	problems_error(&problems, &earlier, "one");
	problems_warning(&problems, &earlier, "two");
	problems_sort(&problems);
	assert_int_equal(problems.n, 4);
	assert_int_equal(problems.n_errors, 3);
	assert_int_equal(problems.n_warnings, 1);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		_cleanup_(freep) char *shown = problems_format(&problems, i);

		assert_string_equal(shown, expected[i]);
	}
	problems_clear(&problems);
}

static void test_problems_are_limited(void **state)
{
	_cleanup_(freep) char *shown = NULL;
	struct problems problems;

	problems_init(&problems, "f");
	for (int i = 0; i < 1500; i++) {
		problems_error(&problems, NULL, "%d", i);
	}
	problems_sort(&problems);
	problems_sort(&problems);
	assert_int_equal(problems.n_errors, 1500);
	assert_int_equal(problems.n, 1001);
	shown = problems_format(&problems, 1000);
	assert_string_equal(shown, "f: 500 more problems");
	problems_clear(&problems);
}

static void test_messages_are_fit_for_terminals(void **state)
{
	_cleanup_(freep) char *wide = repeat("\xe2\x82\xac", 1000);
	struct problems problems;
	char buf[TEXT_SHOW_MAX];

	problems_init(&problems, "f");
	problems_error(&problems, NULL, "a\x1b[31m\n\xc2\x9b%s", "b");
	assert_string_equal(problems.list[0].text, "a?[31m???b");
	problems_error(&problems, NULL, "%s", wide);
	assert_true(strlen(problems.list[1].text) <= 1000);
	assert_true(is_utf8(problems.list[1].text, strlen(problems.list[1].text)));
	problems_clear(&problems);

	assert_string_equal(text_show(buf, "70000"), "70000");
	assert_string_equal(text_show(buf, "-1.5ms"), "-1.5ms");
	assert_string_equal(text_show(buf, ""), "\"\"");
	assert_string_equal(text_show(buf, "-"), "\"-\"");
	assert_string_equal(text_show(buf, "5 s"), "\"5 s\"");
	assert_string_equal(text_show(buf, "name"), "\"name\"");
	(void)text_show(buf, wide);
	assert_true(is_utf8(buf, strlen(buf)));
	assert_string_equal(buf + strlen(buf) - 4, "...\"");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_null_and_text),
		cmocka_unit_test(test_deepest),
		cmocka_unit_test(test_too_many_values),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_cannot_be_read),
		cmocka_unit_test(test_hash_is_of_content),
		cmocka_unit_test(test_problems_are_sorted),
		cmocka_unit_test(test_problems_are_limited),
		cmocka_unit_test(test_messages_are_fit_for_terminals),
	};

	return cmocka_run_group_tests_name("yaml_tree", tests, NULL, NULL);
}
