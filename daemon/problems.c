/* SPDX-License-Identifier: Apache-2.0 */
#include "yaml_tree.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Nobody reads more; a generated file with one mistake in it makes one for each sensor. */
#define PROBLEMS_MAX 1000

/* What numbers, durations and sizes are written with. */
#define NUMBER_CHARS "0123456789+-.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* Longer ones end in dots: keys and values in them come from outside. */
#define TEXT_MAX 1000

void problems_init(struct problems *p, const char *file)
{
	*p = (struct problems){.file = xstrdup(file)};
}

void problems_clear(struct problems *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->list[i].text);
	}
	free(p->list);
	free(p->file);
	*p = (struct problems){0};
}

void text_clean(char *text)
{
	size_t length = strlen(text);

	if (length > TEXT_MAX) {
		length = TEXT_MAX - 3;
		/* not in the middle of a character */
		while (((unsigned char)text[length] & 0xc0) == 0x80) {
			length--;
		}
		memcpy(text + length, "...", sizeof("..."));
	}
	for (unsigned char *p = (unsigned char *)text; *p; p++) {
		if (*p < 0x20 || *p == 0x7f) {
			*p = '?';
		} else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) {
			/* U+0080 to U+009F: some terminals obey these too */
			p[0] = '?';
			p[1] = '?';
		}
	}
}

void problems_add(struct problems *p, uint32_t line, uint32_t column, bool is_warning,
	const char *format, va_list args)
{
	if (is_warning) {
		p->n_warnings++;
	} else {
		p->n_errors++;
	}
	if (p->n >= PROBLEMS_MAX) {
		return;
	}
	GROW(p->list, p->n, p->capacity);
	p->list[p->n] = (struct problem){
		.line = line,
		.column = column,
		.order = (uint32_t)p->n,
		.is_warning = is_warning,
		.text = xvasprintf(format, args),
	};
	text_clean(p->list[p->n].text);
	p->n++;
}

void problems_error(struct problems *p, const struct yaml_node *node, const char *format, ...)
{
	struct place place = place_of(node);
	va_list args;

	va_start(args, format);
	problems_add(p, place.line, place.column, false, format, args);
	va_end(args);
}

void problems_warning(struct problems *p, const struct yaml_node *node, const char *format, ...)
{
	struct place place = place_of(node);
	va_list args;

	va_start(args, format);
	problems_add(p, place.line, place.column, true, format, args);
	va_end(args);
}

_printf_(4, 5) static void add(
	struct problems *p, struct place place, bool is_warning, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	problems_add(p, place.line, place.column, is_warning, format, args);
	va_end(args);
}

void problems_complain(struct problems *p, bool is_warning, struct place place, const char *where,
	const char *key, const char *format, ...)
{
	_cleanup_(freep) char *text = NULL;
	size_t length = strlen(where);
	bool joined = length > 0 && where[length - 1] == '.';
	const char *join = length == 0 || (joined && key) ? "" : ": ";
	va_list args;

	if (joined && !key) {
		length--;
	}
	va_start(args, format);
	text = xvasprintf(format, args);
	va_end(args);
	add(p, place, is_warning, "%.*s%s%s%s%s", (int)MIN(length, TEXT_MAX), where, join,
		key ? key : "", key ? ": " : "", text);
}

char *text_show(char buf[TEXT_SHOW_MAX], const char *text)
{
	static const char more[] = "...";
	size_t room = TEXT_SHOW_MAX - sizeof(more) - 2; /* the quotes */
	size_t n = 0;

	if (isdigit((unsigned char)text[strspn(text, "+-.")]) &&
		strspn(text, NUMBER_CHARS) == strlen(text) && strlen(text) < TEXT_SHOW_MAX) {
		memcpy(buf, text, strlen(text) + 1);
		return buf;
	}
	buf[n++] = '"';
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		/* stop before a character of several bytes that would not fit as a whole */
		if (n + ((*p & 0xc0) == 0xc0 ? 4 : 1) > room) {
			memcpy(buf + n, more, sizeof(more) - 1);
			n += sizeof(more) - 1;
			break;
		}
		buf[n++] = (char)*p;
	}
	buf[n++] = '"';
	buf[n] = '\0';
	return buf;
}

static int compare(const void *a, const void *b)
{
	const struct problem *x = a, *y = b;

	/* what concerns the file as a whole comes last: 0 - 1 is the greatest number */
	if (x->line != y->line) {
		return x->line - 1 < y->line - 1 ? -1 : 1;
	}
	if (x->column != y->column) {
		return x->column < y->column ? -1 : 1;
	}
	return x->order < y->order ? -1 : x->order > y->order;
}

/* Says how many were not kept, once, at the end of the list. */
static void note_rest(struct problems *p)
{
	size_t found = p->n_errors + p->n_warnings;

	if (p->n == PROBLEMS_MAX && found > p->n) {
		GROW(p->list, p->n, p->capacity);
		p->list[p->n++] = (struct problem){.order = UINT32_MAX,
			.text = xasprintf("%zu more problems", found - PROBLEMS_MAX)};
	}
}

void problems_sort(struct problems *p)
{
	note_rest(p);
	if (p->n > 1) {
		qsort(p->list, p->n, sizeof(*p->list), compare);
	}
}

char *problems_format(const struct problems *p, size_t i)
{
	const struct problem *problem = &p->list[i];
	const char *warning = problem->is_warning ? "warning: " : "";

	if (problem->line == 0) {
		return xasprintf("%s: %s%s", p->file, warning, problem->text);
	}
	return xasprintf(
		"%s:%u:%u: %s%s", p->file, problem->line, problem->column, warning, problem->text);
}
