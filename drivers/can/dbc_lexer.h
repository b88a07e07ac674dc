/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAN_DBC_LEXER_H
#define CAN_DBC_LEXER_H

/*
 * The words, numbers and strings of a DBC file, and the telling of what is wrong with them. The
 * parser asks for what must come next; what is not there is told once, here. Line breaks mean
 * nothing, but that a statement begins on a line of its own.
 */

#include <locale.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dbc.h"
#include "pool.h"

struct dbc_lexer {
	const char *start, *at; /* ended by NUL, which is nowhere before */
	uint32_t line;
	locale_t c_locale; /* numbers have a decimal point wherever we run */
	struct pool *pool; /* strings go there */
	int failure;       /* -ENOMEM or -EFBIG: reading cannot go on */

	const char *file;
	dbc_problem *problem;
	void *ctx;
	uint32_t n_problems, n_open_strings;
};

/* A piece of the text. */
struct dbc_word {
	const char *at;
	size_t size;
};

/*
 * Bytes of a file to UTF-8 with '\n' at the ends of lines, to be given to free(). 0, -ENOMEM, or
 * -EBADMSG with what is wrong in *ret_reason.
 */
int dbc_text_new(const void *bytes, size_t size, char **ret_text, const char **ret_reason);

/* `line` 0: the present one. What comes after DBC_MAX_PROBLEMS is not told. */
void dbc_tell(struct dbc_lexer *l, bool is_error, uint32_t line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
#define dbc_error(l, line, ...)   dbc_tell((l), true, (line), __VA_ARGS__)
#define dbc_warning(l, line, ...) dbc_tell((l), false, (line), __VA_ARGS__)

bool dbc_word_is(struct dbc_word word, const char *text);

void dbc_skip_blank(struct dbc_lexer *l);
void dbc_skip_line(struct dbc_lexer *l); /* not the line break */
/* Whether nothing but blanks stands before the present place in its line. */
bool dbc_is_line_start(const struct dbc_lexer *l);

/* These take it if it comes next, and say nothing if it does not. */
bool dbc_try_char(struct dbc_lexer *l, char c);
bool dbc_try_word(struct dbc_lexer *l, struct dbc_word *ret_word);

/*
 * These complain that `what` was expected, or what is wrong with it; false then. A string ends up
 * in the pool.
 */
bool dbc_take_char(struct dbc_lexer *l, char c);
bool dbc_take_word(struct dbc_lexer *l, const char *what, struct dbc_word *ret_word);
bool dbc_take_unsigned(struct dbc_lexer *l, const char *what, uint64_t max, uint64_t *ret_value);
bool dbc_take_integer(struct dbc_lexer *l, const char *what, int64_t *ret_value);
bool dbc_take_number(struct dbc_lexer *l, const char *what, double *ret_value);
bool dbc_take_string(struct dbc_lexer *l, const char *what, const char **ret_text);

#endif
