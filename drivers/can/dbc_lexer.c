/* SPDX-License-Identifier: Apache-2.0 */
#include "dbc_lexer.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX       64
#define SHOWN_MAX        24 /* bytes of what was found instead */
#define OPEN_STRINGS_MAX 8

bool dbc_word_is(struct dbc_word word, const char *text)
{
	return strlen(text) == word.size && memcmp(word.at, text, word.size) == 0;
}

void dbc_skip_line(struct dbc_lexer *l)
{
	l->at += strcspn(l->at, "\n");
}

void dbc_skip_blank(struct dbc_lexer *l)
{
	for (;; l->at++) {
		if (l->at[0] == '/' && l->at[1] == '/') {
			dbc_skip_line(l);
		}
		if (*l->at == '\n') {
			l->line++;
		} else if (*l->at != ' ' && *l->at != '\t' && *l->at != '\f' && *l->at != '\v') {
			return;
		}
	}
}

bool dbc_is_line_start(const struct dbc_lexer *l)
{
	const char *p = l->at;

	while (p > l->start && (p[-1] == ' ' || p[-1] == '\t')) {
		p--;
	}
	return p == l->start || p[-1] == '\n';
}

/* What comes next, for people. */
static void expected(struct dbc_lexer *l, const char *what)
{
	size_t n = 0;

	if (*l->at == '\0') {
		dbc_error(l, 0, "expected %s, but the file ends here", what);
		return;
	}
	/* ASCII that can be seen: nothing that a terminal would obey, no part of a character */
	while (n < SHOWN_MAX && l->at[n] > ' ' && l->at[n] < 0x7f) {
		n++;
	}
	dbc_error(l, 0, "expected %s, found '%.*s'", what, (int)n, l->at);
}

bool dbc_try_char(struct dbc_lexer *l, char c)
{
	dbc_skip_blank(l);
	if (*l->at != c) {
		return false;
	}
	l->at++;
	return true;
}

bool dbc_take_char(struct dbc_lexer *l, char c)
{
	const char what[] = {'\'', c, '\'', '\0'};

	if (!dbc_try_char(l, c)) {
		expected(l, what);
		return false;
	}
	return true;
}

/* Beyond C's identifiers: letters of other languages, which some files have. */
static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || (uint8_t)c >= 0x80;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool dbc_try_word(struct dbc_lexer *l, struct dbc_word *ret_word)
{
	const char *p;

	dbc_skip_blank(l);
	for (p = l->at; is_word(*p); p++) {
	}
	if (p == l->at) {
		return false;
	}
	*ret_word = (struct dbc_word){l->at, (size_t)(p - l->at)};
	l->at = p;
	return true;
}

bool dbc_take_word(struct dbc_lexer *l, const char *what, struct dbc_word *ret_word)
{
	struct dbc_word word;

	if (!dbc_try_word(l, &word)) {
		expected(l, what);
		return false;
	}
	if (word.size > DBC_MAX_NAME) {
		dbc_error(l, 0, "%s is longer than %u bytes", what, DBC_MAX_NAME);
		return false;
	}
	*ret_word = word;
	return true;
}

bool dbc_take_unsigned(struct dbc_lexer *l, const char *what, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;
	bool fits = true;
	const char *p;

	dbc_skip_blank(l);
	for (p = l->at; is_digit(*p); p++) {
		fits = fits && !__builtin_mul_overflow(value, 10u, &value) &&
		       !__builtin_add_overflow(value, (uint64_t)(*p - '0'), &value);
	}
	if (p == l->at) {
		expected(l, what);
		return false;
	}
	if (!fits || value > max) {
		dbc_error(l, 0, "%s is out of range: '%.*s', the most is %" PRIu64, what,
			(int)(p - l->at < SHOWN_MAX ? p - l->at : SHOWN_MAX), l->at, max);
		return false;
	}
	l->at = p;
	*ret_value = value;
	return true;
}

bool dbc_take_integer(struct dbc_lexer *l, const char *what, int64_t *ret_value)
{
	bool negative = dbc_try_char(l, '-');
	uint64_t value;

	if (!negative && *l->at == '+') {
		l->at++;
	}
	if (!dbc_take_unsigned(l, what, negative ? UINT64_C(1) << 63 : UINT64_MAX, &value)) {
		return false;
	}
	/* a whole number that was written as a real one */
	if (*l->at == '.') {
		for (l->at++; *l->at == '0'; l->at++) {
		}
		if (is_digit(*l->at)) {
			dbc_error(l, 0, "%s is no whole number", what);
			return false;
		}
	}
	*ret_value = (int64_t)(negative ? 0 - value : value);
	return true;
}

/* The end of the number at `p`, `p` if there is none: no "inf", no "nan", nothing hexadecimal. */
static const char *number_end(const char *p)
{
	const char *start = p, *digits;
	bool any;

	p += *p == '-' || *p == '+';
	for (digits = p; is_digit(*p); p++) {
	}
	any = p > digits;
	if (*p == '.') {
		for (digits = ++p; is_digit(*p); p++) {
		}
		any = any || p > digits;
	}
	if (!any) {
		return start;
	}
	if (*p == 'e' || *p == 'E') {
		const char *exponent = p + 1 + (p[1] == '-' || p[1] == '+');

		for (digits = exponent; is_digit(*exponent); exponent++) {
		}
		p = exponent > digits ? exponent : p;
	}
	return p;
}

bool dbc_take_number(struct dbc_lexer *l, const char *what, double *ret_value)
{
	char number[NUMBER_MAX];
	const char *end;
	double value;
	size_t n;

	dbc_skip_blank(l);
	end = number_end(l->at);
	n = (size_t)(end - l->at);
	if (n == 0 || is_word(*end)) {
		expected(l, what);
		return false;
	}
	if (n >= sizeof(number)) {
		dbc_error(l, 0, "%s has more than %d characters", what, NUMBER_MAX - 1);
		return false;
	}
	memcpy(number, l->at, n);
	number[n] = '\0';
	value = strtod_l(number, NULL, l->c_locale);
	if (!isfinite(value)) {
		dbc_error(l, 0, "%s is out of range: %s", what, number);
		return false;
	}
	l->at = end;
	*ret_value = value;
	return true;
}

/* Without what a terminal would obey; `\"` is a quote, and `\\` a backslash. The rest stays. */
static void unescape(char *out, const char *p, const char *end)
{
	for (; p < end; p++) {
		if (*p == '\\' && p + 1 < end && (p[1] == '"' || p[1] == '\\')) {
			p++;
		} else if ((uint8_t)*p == 0xc2 && p + 1 < end && (uint8_t)p[1] < 0xa0) {
			p++; /* U+0080 to U+009F */
			*out++ = ' ';
			continue;
		}
		*out++ = ((uint8_t)*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f ? ' ' : *p;
	}
	*out = '\0';
}

bool dbc_take_string(struct dbc_lexer *l, const char *what, const char **ret_text)
{
	uint32_t line, n_lines = 0;
	char *text = NULL;
	const char *p;

	dbc_skip_blank(l);
	if (*l->at != '"') {
		expected(l, what);
		return false;
	}
	line = l->line;
	for (p = l->at + 1; *p != '"' && *p != '\0'; p++) {
		p += *p == '\\' && (p[1] == '"' || p[1] == '\\');
		n_lines += *p == '\n';
	}
	if (*p == '\0') {
		dbc_error(l, line, "the quote that begins %s here never ends", what);
		dbc_skip_line(l);
		/* each one took a walk to the end of the file */
		l->at = ++l->n_open_strings > OPEN_STRINGS_MAX ? p : l->at;
		return false;
	}
	if (p - l->at > (ptrdiff_t)DBC_MAX_TEXT) {
		dbc_error(l, line, "%s is longer than %u bytes", what, DBC_MAX_TEXT);
	} else {
		text = pool_alloc(l->pool, (size_t)(p - l->at));
		l->failure = text ? l->failure : -ENOMEM;
	}
	if (text) {
		unescape(text, l->at + 1, p);
		*ret_text = text;
	}
	l->at = p + 1;
	l->line += n_lines;
	return text;
}
