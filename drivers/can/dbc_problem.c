/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "dbc_lexer.h"

#define PROBLEM_MAX 400

void dbc_tell(struct dbc_lexer *l, bool is_error, uint32_t line, const char *format, ...)
{
	char text[PROBLEM_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args); /* cut if it is too long */
	va_end(args);
	line = line ? line : l->line;
	/* what ends the reading is told in any case */
	if (l->n_problems++ < DBC_MAX_PROBLEMS || l->failure < 0) {
		l->problem(l->ctx, is_error, l->file, line, text);
	}
	if (l->n_problems == DBC_MAX_PROBLEMS) {
		l->problem(l->ctx, false, l->file, line, "further problems are not shown");
	}
}
