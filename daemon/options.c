/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "options_text.h"

/* Keys are longer only by mistake; nobody means a known one by them. */
#define NAME_MAX_LENGTH 63

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	return MIN(a, MIN(b, c));
}

/* Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. */
static unsigned edit_distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
	unsigned rows[3][NAME_MAX_LENGTH + 1];
	unsigned *before_last = rows[0], *last = rows[1], *row = rows[2];

	for (size_t j = 0; j <= n_b; j++) {
		last[j] = (unsigned)j;
	}
	for (size_t i = 1; i <= n_a; i++) {
		unsigned *oldest = before_last;

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= n_b; j++) {
			row[j] = min3(
				last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
				row[j] = MIN(row[j], before_last[j - 2] + 1);
			}
		}
		before_last = last;
		last = row;
		row = oldest;
	}
	return last[n_b];
}

const char *options_nearest(const char *name, const char *const *names, size_t n)
{
	size_t length = strlen(name);
	unsigned best = (unsigned)MAX(length / 3, 1) + 1;
	const char *nearest = NULL;

	if (length > NAME_MAX_LENGTH) {
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		size_t other = strlen(names[i]);
		unsigned distance;

		if (other > NAME_MAX_LENGTH) {
			continue;
		}
		distance = edit_distance(name, length, names[i], other);
		/* a letter that became another one is not what was meant: "x" is no "y" */
		if (distance < best && distance < MIN(length, other)) {
			best = distance;
			nearest = names[i];
		}
	}
	return nearest;
}

static int convert_choice(const struct scg_option *option, const char *text, int64_t *ret)
{
	for (int64_t i = 0; option->choices[i]; i++) {
		if (strcmp(option->choices[i], text) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

static bool is_within(const struct scg_option *option, double value)
{
	bool unlimited = option->min == 0 && option->max == 0;

	return unlimited || (value >= option->min && value <= option->max);
}

int options_convert(const struct scg_option *option, const char *text, union scg_value *ret)
{
	union scg_value value = {0};
	bool flag, fits = true;
	int r = 0;

	switch (option->type) {
	case SCG_INT:
		r = parse_i64(text, &value.i);
		fits = is_within(option, (double)value.i);
		break;
	case SCG_NUMBER:
		r = parse_double(text, &value.d);
		fits = is_within(option, value.d);
		break;
	case SCG_BOOL:
		r = parse_bool(text, &flag);
		value.i = r == 0 && flag;
		break;
	case SCG_STRING:
		value.s = text;
		fits = option->max <= 0 || (double)strlen(text) <= option->max;
		break;
	case SCG_CHOICE:
		r = convert_choice(option, text, &value.i);
		break;
	case SCG_DURATION:
		r = parse_duration_ns(text, &value.i);
		fits = is_within(option, (double)value.i / (double)NS_PER_S);
		break;
	case OPTION_SIZE:
		r = parse_size(text, &value.i);
		fits = is_within(option, (double)value.i);
		break;
	default:
		return -EINVAL;
	}
	if (r < 0) {
		return r;
	}
	if (!fits) {
		return -ERANGE;
	}
	*ret = value;
	return 0;
}

/* Why the text was refused, as the user should read it. */
static char *explain(const struct scg_option *option, const char *text, int error)
{
	_cleanup_(freep) char *expected = options_describe_expected(option);
	_cleanup_(freep) char *range = options_describe_range(option);
	bool secret = option->flags & SCG_SECRET;
	const char *nearest = NULL;
	char shown[TEXT_SHOW_MAX];

	(void)text_show(shown, secret ? "***" : text);
	if (error == -ERANGE && option->type == SCG_STRING) {
		return xasprintf("%zu bytes is too long, expected %s", strlen(text), range);
	}
	if (error == -ERANGE) {
		return xasprintf("%s is out of range, expected %s", shown,
			range[0] != '\0' ? range : "a smaller number");
	}
	if (option->type == SCG_CHOICE) {
		size_t n = 0;

		while (option->choices[n]) {
			n++;
		}
		nearest = options_nearest(text, option->choices, n);
		return nearest ? xasprintf("%s is unknown, did you mean %s? Expected %s", shown,
					 nearest, expected)
			       : xasprintf("%s is unknown, expected %s", shown, expected);
	}
	if (option->type == SCG_INT && text[0] == '0' &&
		strspn(text, "0123456789") == strlen(text)) {
		return xasprintf(
			"%s begins with 0, which some read as octal; expected %s", shown, expected);
	}
	if (option->type == SCG_DURATION && text[0] != '\0' &&
		strspn(text, "0123456789.") == strlen(text)) {
		return xasprintf("%s has no unit such as s or min, expected %s", shown, expected);
	}
	return xasprintf("%s does not fit, expected %s", shown, expected);
}

int options_parse_value(const struct scg_option *option, const struct yaml_node *node,
	const char *where, struct problems *problems, union scg_value *ret)
{
	_cleanup_(freep) char *text = NULL;
	_cleanup_(freep) char *expected = NULL;
	bool is_scalar = node->kind == YAML_KIND_SCALAR;
	/* a required text that is empty says nothing either */
	bool is_empty = is_scalar &&
			(node->is_null || (option->flags & SCG_REQUIRED && node->text[0] == '\0'));
	int r;

	if (is_scalar && !is_empty) {
		bool is_text = option->type == SCG_STRING || option->type == SCG_CHOICE;

		if (is_text || !node->quoted) {
			r = options_convert(option, node->text, ret);
			if (r == 0) {
				return 0;
			}
			text = explain(option, node->text, r);
		}
	}
	if (!problems) {
		return -EINVAL;
	}
	expected = options_describe_expected(option);
	if (text) {
		/* explained above */
	} else if (!is_scalar) {
		text = xasprintf("a %s, expected %s",
			node->kind == YAML_KIND_SEQUENCE ? "list" : "mapping", expected);
	} else if (is_empty) {
		text = xasprintf("empty, expected %s", expected);
	} else {
		text = xasprintf("text in quotes, expected %s", expected);
	}
	problems_complain(problems, false, place_of(node), where, option->name, "%s", text);
	return -EINVAL;
}

static void note_unknown_key(const struct scg_option *table, uint32_t n,
	const struct yaml_pair *pair, const char *where, struct problems *problems)
{
	_cleanup_(freep) const char **names = xreallocarray(NULL, n, sizeof(*names));
	_cleanup_(freep) char *list = NULL;
	const char *nearest;

	for (uint32_t i = 0; i < n; i++) {
		names[i] = table[i].name;
	}
	nearest = options_nearest(pair->key, names, n);
	if (nearest) {
		problems_complain(problems, false, place_of_key(pair), where, pair->key,
			"unknown key, did you mean %s?", nearest);
		return;
	}
	list = options_join(names, n, ", ");
	problems_complain(problems, false, place_of_key(pair), where, pair->key,
		"unknown key, expected %s%s", n > 0 ? "one of: " : "none at all", list);
}

/* nodes[i] becomes the value of option i, unless it has one; notes the unknown keys. */
static size_t match_keys(const struct scg_option *table, uint32_t n, const struct yaml_node *node,
	const char *where, struct problems *problems, const struct yaml_node **nodes)
{
	size_t n_errors = 0;

	if (!node) {
		return 0;
	}
	if (node->kind != YAML_KIND_MAPPING) {
		if (problems) {
			problems_complain(problems, false, place_of(node), where, NULL,
				"expected a mapping (\"key: value\" lines)");
		}
		return 1;
	}
	for (uint32_t i = 0; i < node->n; i++) {
		uint32_t k = 0;

		while (k < n && strcmp(table[k].name, node->pairs[i].key) != 0) {
			k++;
		}
		if (k < n) {
			nodes[k] = nodes[k] ? nodes[k] : node->pairs[i].value;
		} else if (problems) {
			note_unknown_key(table, n, &node->pairs[i], where, problems);
			n_errors++;
		}
	}
	return n_errors;
}

/* The default; `option` was found good by options_check_table() or is our own. */
static void use_fallback(const struct scg_option *option, union scg_value *ret)
{
	*ret = (union scg_value){0};
	if (option->fallback) {
		(void)options_convert(option, option->fallback, ret); /* 0 if the table is wrong */
	}
}

size_t options_parse(const struct scg_option *table, uint32_t n, const struct yaml_node *node,
	const struct yaml_node *defaults, const struct yaml_node *place, const char *where,
	struct problems *problems, union scg_value *values, const struct yaml_node **ret_nodes)
{
	_cleanup_(freep) const struct yaml_node **own = xcalloc(n, sizeof(*own));
	_cleanup_(freep) const struct yaml_node **shared = xcalloc(n, sizeof(*shared));
	size_t n_errors = match_keys(table, n, node, where, problems, own);
	/* of what is no mapping at all, more need not be said */
	bool is_usable = !node || node->kind == YAML_KIND_MAPPING;

	(void)match_keys(table, n, defaults, where, NULL, shared);
	for (uint32_t i = 0; i < n; i++) {
		const struct yaml_node *source = own[i] ? own[i] : shared[i];

		use_fallback(&table[i], &values[i]);
		if (ret_nodes) {
			ret_nodes[i] = source;
		}
		if (!source && is_usable && table[i].flags & SCG_REQUIRED) {
			_cleanup_(freep) char *expected = options_describe_expected(&table[i]);

			problems_complain(problems, false, place_of(node ? node : place), where,
				table[i].name, "missing, expected %s", expected);
			n_errors++;
		}
		if (source && table[i].type != OPTION_NODE &&
			options_parse_value(&table[i], source, where, own[i] ? problems : NULL,
				&values[i]) < 0) {
			n_errors += own[i] != NULL;
		}
	}
	return n_errors;
}

size_t options_check_partial(const struct scg_option *table, uint32_t n,
	const struct yaml_node *node, const char *where, struct problems *problems)
{
	_cleanup_(freep) const struct yaml_node **nodes = xcalloc(n, sizeof(*nodes));
	size_t n_errors = match_keys(table, n, node, where, problems, nodes);

	for (uint32_t i = 0; i < n; i++) {
		union scg_value value;

		if (nodes[i] && table[i].type != OPTION_NODE &&
			options_parse_value(&table[i], nodes[i], where, problems, &value) < 0) {
			n_errors++;
		}
	}
	return n_errors;
}
