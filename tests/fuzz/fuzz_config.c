/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration file: the YAML tree, the option tables over it, and the messages about both. */
#include "fuzz.h"

#include <math.h>
#include <string.h>

#include "options.h"

static const char *const kinds[] = {"one", "two", NULL};

static const struct scg_option table[] = {
	{.name = "host", .type = SCG_STRING, .flags = SCG_REQUIRED, .max = 20, .help = "H."},
	{.name = "port", .type = SCG_INT, .fallback = "1", .min = 1, .max = 9, .help = "P."},
	{.name = "scale", .type = SCG_NUMBER, .fallback = "1", .help = "S."},
	{.name = "kind", .type = SCG_CHOICE, .fallback = "one", .choices = kinds, .help = "K."},
	{.name = "tls", .type = SCG_BOOL, .fallback = "true", .help = "T."},
	{.name = "interval", .type = SCG_DURATION, .fallback = "1s", .max = 60, .help = "I."},
	{.name = "max_size", .type = OPTION_SIZE, .fallback = "1KiB", .help = "M."},
};

/* Each mapping in the tree against the table; the values that result must keep their promises. */
static void parse_mappings(const struct yaml_node *node, struct problems *problems)
{
	union scg_value values[ARRAY_SIZE(table)];

	if (node->kind == YAML_KIND_SEQUENCE) {
		for (uint32_t i = 0; i < node->n; i++) {
			parse_mappings(node->items[i], problems);
		}
	}
	if (node->kind != YAML_KIND_MAPPING) {
		return;
	}
	(void)options_parse(
		table, ARRAY_SIZE(table), node, node, node, "here", problems, values, NULL);
	FUZZ_REQUIRE(!values[0].s || strlen(values[0].s) <= 20);
	FUZZ_REQUIRE(values[1].i >= 1 && values[1].i <= 9);
	FUZZ_REQUIRE(isfinite(values[2].d));
	FUZZ_REQUIRE(values[3].i == 0 || values[3].i == 1);
	FUZZ_REQUIRE(values[4].i == 0 || values[4].i == 1);
	FUZZ_REQUIRE(values[5].i >= 0 && values[5].i <= 60 * NS_PER_S);
	FUZZ_REQUIRE(values[6].i >= 0);
	for (uint32_t i = 0; i < node->n; i++) {
		parse_mappings(node->pairs[i].value, problems);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct problems problems;
	struct yaml_tree *tree;

	problems_init(&problems, "fuzz.yaml");
	tree = yaml_tree_parse((const char *)data, size, &problems);
	FUZZ_REQUIRE(tree || problems.n_errors > 0);
	if (tree) {
		FUZZ_REQUIRE(yaml_tree_root(tree)->kind == YAML_KIND_MAPPING);
		(void)yaml_hash(HASH_INIT, yaml_tree_root(tree));
		parse_mappings(yaml_tree_root(tree), &problems);
	}
	problems_sort(&problems);
	for (size_t i = 0; i < problems.n; i++) {
		_cleanup_(freep) char *text = problems_format(&problems, i);

		FUZZ_REQUIRE(is_utf8(text, strlen(text)));
		FUZZ_REQUIRE(!strpbrk(text, "\n\r\x1b"));
	}
	problems_clear(&problems);
	yaml_tree_free(tree);
	return 0;
}
