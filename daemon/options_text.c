/* SPDX-License-Identifier: Apache-2.0 */
#include "options_text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define LINE_WIDTH 80
/* Beyond this a limit is the type's own and not worth telling. */
#define UNLIMITED 9e15

char *options_join(const char *const *words, size_t n, const char *separator)
{
	char *text = xstrdup("");

	for (size_t i = 0; i < n; i++) {
		_cleanup_(freep) char *before = text;

		text = xasprintf("%s%s%s", before, i > 0 ? separator : "", words[i]);
	}
	return text;
}

static size_t count_choices(const struct scg_option *option)
{
	size_t n = 0;

	while (option->choices && option->choices[n]) {
		n++;
	}
	return n;
}

static char *describe_limit(const struct scg_option *option, double limit)
{
	char buf[FORMAT_MAX];

	if (option->type == SCG_DURATION) {
		return xstrdup(format_duration_yaml(buf, llround(limit * (double)NS_PER_S)));
	}
	if (option->type == OPTION_SIZE) {
		return xstrdup(format_size(buf, llround(limit)));
	}
	return xasprintf("%.15g", limit);
}

char *options_describe_range(const struct scg_option *option)
{
	_cleanup_(freep) char *min = NULL;
	_cleanup_(freep) char *max = NULL;

	if (option->type == SCG_STRING) {
		return option->max > 0 ? xasprintf("at most %.0f bytes", option->max) : xstrdup("");
	}
	if ((option->min == 0 && option->max == 0) ||
		(option->min <= -UNLIMITED && option->max >= UNLIMITED)) {
		return xstrdup("");
	}
	/* seconds: 9e9 of them do not fit into nanoseconds */
	if (option->max >= (option->type == SCG_DURATION ? 9e9 : UNLIMITED)) {
		min = describe_limit(option, option->min);
		return xasprintf("at least %s", min);
	}
	max = describe_limit(option, option->max);
	if (option->min <= -UNLIMITED) {
		return xasprintf("at most %s", max);
	}
	min = describe_limit(option, option->min);
	return xasprintf("%s to %s", min, max);
}

/* Type and range: "whole number, 1 to 65535"; with `article` "a whole number, ...". */
static char *describe_kind(const struct scg_option *option, bool article)
{
	_cleanup_(freep) char *range = options_describe_range(option);
	_cleanup_(freep) char *choices = options_join(option->choices, count_choices(option), ", ");
	const char *comma = range[0] != '\0' ? ", " : "";

	switch (option->type) {
	case SCG_INT:
		return xasprintf("%swhole number%s%s", article ? "a " : "", comma, range);
	case SCG_NUMBER:
		return xasprintf("%snumber%s%s", article ? "a " : "", comma, range);
	case SCG_BOOL:
		return xstrdup("true or false");
	case SCG_CHOICE:
		return xasprintf("one of: %s", choices);
	case SCG_DURATION:
		return article && comma[0] == '\0'
			       ? xstrdup("a duration such as 250ms, 10s, 5min, 1h, 7d")
			       : xasprintf("%sduration%s%s", article ? "a " : "", comma, range);
	case OPTION_SIZE:
		return article && comma[0] == '\0'
			       ? xstrdup("a size such as 64KiB, 512MiB, 1GiB")
			       : xasprintf("%ssize%s%s", article ? "a " : "", comma, range);
	default:
		return xasprintf("text%s%s", comma, range);
	}
}

char *options_describe_expected(const struct scg_option *option)
{
	/* the gateway's own tables say in `unit` what a list or a mapping holds */
	return option->type == OPTION_NODE ? xstrdup(option->unit) : describe_kind(option, true);
}

char *options_describe_type(const struct scg_option *option)
{
	_cleanup_(freep) char *kind = describe_kind(option, false);
	_cleanup_(freep) char *unit = option->unit ? xasprintf(" %s", option->unit) : xstrdup("");
	const char *separator = option->type == SCG_CHOICE ? "; " : ", ";

	if (option->flags & SCG_REQUIRED) {
		return xasprintf("%s%s%srequired", kind, unit, separator);
	}
	if (!option->fallback) {
		return xasprintf("%s%s%soptional", kind, unit, separator);
	}
	return xasprintf("%s%s%sdefault %s", kind, unit, separator,
		option->fallback[0] != '\0' ? option->fallback : "\"\"");
}

/* Text in lines of at most LINE_WIDTH, each after `indent` spaces. */
static void print_wrapped(FILE *out, int indent, const char *text)
{
	int column = 0;

	while (*text != '\0') {
		size_t length = strcspn(text, " \n");

		if (length > 0) {
			if (column > 0 && column + 1 + (int)length > LINE_WIDTH) {
				(void)fputc('\n', out);
				column = 0;
			}
			column += column == 0
					  ? fprintf(out, "%*s%.*s", indent, "", (int)length, text)
					  : fprintf(out, " %.*s", (int)length, text);
		}
		text += length + (text[length] != '\0');
	}
	(void)fputc('\n', out);
}

void options_print(FILE *out, const struct scg_option *table, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		_cleanup_(freep) char *type = options_describe_type(&table[i]);

		(void)fprintf(out, "  %s: %s\n", table[i].name, type);
		print_wrapped(out, 6, table[i].help);
	}
}

static bool is_option_name(const char *name)
{
	return name && name[0] >= 'a' && name[0] <= 'z' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
}

/* What is wrong with one row, or NULL. */
static char *check_row(const struct scg_option *option)
{
	union scg_value value;

	if (option->type < SCG_INT || option->type > SCG_DURATION) {
		return xasprintf("unknown type %" PRIu32, option->type);
	}
	if (option->flags & ~(SCG_REQUIRED | SCG_SECRET | SCG_FILE) ||
		(option->flags & SCG_FILE && option->type != SCG_STRING)) {
		return xasprintf("unknown flags 0x%" PRIx32, option->flags);
	}
	for (size_t i = 0; i < ARRAY_SIZE(option->reserved); i++) {
		if (option->reserved[i] != 0) {
			return xstrdup("the reserved words are not zero");
		}
	}
	if (!option->help || option->help[0] == '\0') {
		return xstrdup("no help text");
	}
	if (!isfinite(option->min) || !isfinite(option->max) || option->min > option->max) {
		return xstrdup("no proper range, min is above max");
	}
	if (option->type == SCG_CHOICE && count_choices(option) == 0) {
		return xstrdup("no choices");
	}
	if (option->flags & SCG_REQUIRED) {
		return option->fallback ? xstrdup("required, and yet with a default") : NULL;
	}
	if (!option->fallback) {
		return option->type == SCG_STRING ? NULL
						  : xstrdup("neither required nor a default");
	}
	if (options_convert(option, option->fallback, &value) < 0) {
		_cleanup_(freep) char *expected = options_describe_expected(option);
		char shown[TEXT_SHOW_MAX];

		return xasprintf("default %s does not fit, expected %s",
			text_show(shown, option->fallback), expected);
	}
	return NULL;
}

int options_check_table(const struct scg_option *table, uint32_t n, char **ret_text)
{
	for (uint32_t i = 0; i < n; i++) {
		_cleanup_(freep) char *text = NULL;

		if (!is_option_name(table[i].name)) {
			*ret_text = xasprintf("row %" PRIu32 ": no name of a-z, 0-9 and _", i);
			return -EINVAL;
		}
		for (uint32_t k = 0; k < i; k++) {
			if (strcmp(table[k].name, table[i].name) == 0) {
				text = xasprintf("the same name as row %" PRIu32, k);
			}
		}
		if (!text) {
			text = check_row(&table[i]);
		}
		if (text) {
			*ret_text = xasprintf("row %" PRIu32 " (%s): %s", i, table[i].name, text);
			return -EINVAL;
		}
	}
	return 0;
}
