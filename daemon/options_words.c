/* SPDX-License-Identifier: Apache-2.0 */
#include "options_text.h"

/* The command line is no file with lines. */
static const struct place nowhere = {0, 0};

/* On the command line words may be joined by '-' as well. */
static bool is_named(const struct scg_option *option, const char *name)
{
	const char *own = option->name;

	while (*own && (*own == *name || (*own == '_' && *name == '-'))) {
		own++;
		name++;
	}
	return *own == *name;
}

static void note_unknown(const struct scg_option *table, uint32_t n, const char *name,
	const char *where, struct problems *problems)
{
	_cleanup_(freep) const char **names = xcalloc(n, sizeof(*names));
	_cleanup_(freep) char *list = NULL;
	const char *nearest;

	for (uint32_t i = 0; i < n; i++) {
		names[i] = table[i].name;
	}
	nearest = options_nearest(name, names, n);
	list = options_join(names, n, ", ");
	if (nearest) {
		problems_complain(problems, false, nowhere, where, name,
			"unknown option, did you mean %s?", nearest);
	} else {
		problems_complain(problems, false, nowhere, where, name,
			"unknown option, expected %s%s", n > 0 ? "one of: " : "none at all", list);
	}
}

/* The text of a word, or NULL with the problem noted. */
static const char *text_of(const struct scg_option *option, const struct option_word *word,
	const char *where, struct problems *problems)
{
	_cleanup_(freep) char *expected = NULL;

	if (word->value) {
		return word->value;
	}
	if (option->type == SCG_BOOL) {
		return "true";
	}
	expected = options_describe_expected(option);
	problems_complain(problems, false, nowhere, where, option->name,
		"without a value, expected %s", expected);
	return NULL;
}

size_t options_parse_words(const struct scg_option *table, uint32_t n,
	const struct option_word *words, size_t n_words, const char *where,
	struct problems *problems, union scg_value *values)
{
	_cleanup_(freep) struct yaml_node *nodes = xcalloc(n_words, sizeof(*nodes));
	_cleanup_(freep) struct yaml_pair *pairs = xcalloc(n_words, sizeof(*pairs));
	struct yaml_node mapping = {.kind = YAML_KIND_MAPPING, .pairs = pairs};
	size_t errors_before = problems->n_errors;

	for (size_t i = 0; i < n_words; i++) {
		const char *text;
		uint32_t k = 0;

		while (k < n && !is_named(&table[k], words[i].name)) {
			k++;
		}
		if (k == n) {
			note_unknown(table, n, words[i].name, where, problems);
			continue;
		}
		if (yaml_find(&mapping, table[k].name)) {
			problems_complain(problems, false, nowhere, where, table[k].name,
				"given twice, expected once");
			continue;
		}
		text = text_of(&table[k], &words[i], where, problems);
		if (text) {
			nodes[mapping.n] = (struct yaml_node){
				.kind = YAML_KIND_SCALAR, .text = text};
			pairs[mapping.n] = (struct yaml_pair){
				.key = table[k].name, .value = &nodes[mapping.n]};
			mapping.n++;
		}
	}
	/* else what was refused would also be said to be missing */
	if (problems->n_errors == errors_before) {
		(void)options_parse(table, n, &mapping, NULL, NULL, where, problems, values, NULL);
	}
	return problems->n_errors - errors_before;
}
