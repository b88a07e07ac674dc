/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a DBC file. What comes out must be within the limits, hang together and be UTF-8,
 * and what is told must be one line.
 */
#include "fuzz.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "can/dbc.h"
#include "util.h"

static void note(void *ctx, bool is_error, const char *file, uint32_t line, const char *text)
{
	unsigned *n = ctx;

	FUZZ_REQUIRE(++*n <= DBC_MAX_PROBLEMS + 2 && line > 0 && !strchr(text, '\n'));
}

static void check_text(const char *text)
{
	FUZZ_REQUIRE(is_utf8(text, strlen(text)) && !strchr(text, '\033'));
}

static void check_signal(const struct dbc_message *m, const struct dbc_signal *s)
{
	const struct dbc_signal *up = s;
	unsigned depth = 0;

	check_text(s->name);
	check_text(s->unit);
	FUZZ_REQUIRE(s->layout.length >= 1 && s->layout.length <= 64 &&
		     s->layout.start < 8 * DBC_MAX_SIZE);
	FUZZ_REQUIRE(isfinite(s->layout.factor) && isfinite(s->layout.offset) && s->min <= s->max);
	FUZZ_REQUIRE(s->layout.type != DECODE_FLOAT || s->layout.length == 32);
	FUZZ_REQUIRE(s->layout.type != DECODE_DOUBLE || s->layout.length == 64);
	FUZZ_REQUIRE(!s->selected_by == !s->n_ranges);
	while ((up = up->selected_by)) {
		FUZZ_REQUIRE(up >= m->signals && up < m->signals + m->n_signals);
		FUZZ_REQUIRE(up->is_switch && ++depth <= DBC_MAX_DEPTH);
	}
	for (uint32_t i = 0; i < s->n_ranges; i++) {
		FUZZ_REQUIRE(s->ranges[i].first <= s->ranges[i].last);
	}
	for (uint32_t i = 0; i < s->n_values; i++) {
		check_text(s->values[i].text);
		FUZZ_REQUIRE(i == 0 || s->values[i - 1].raw <= s->values[i].raw);
		FUZZ_REQUIRE(dbc_value_text(s, s->values[i].raw));
	}
	FUZZ_REQUIRE(dbc_find_signal(m, s->name) == s || strcmp(s->name, s->short_name) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct dbc_message *messages;
	struct dbc *dbc = NULL;
	unsigned n_told = 0;
	uint32_t n;
	int r = dbc_parse("f", data, size, note, &n_told, &dbc);

	if (r < 0) {
		FUZZ_REQUIRE(!dbc && n_told > 0 && (r == -EBADMSG || r == -EFBIG));
		return 0;
	}
	messages = dbc_messages(dbc, &n);
	FUZZ_REQUIRE(n > 0 && n <= DBC_MAX_MESSAGES);
	for (uint32_t i = 0; i < n; i++) {
		const struct dbc_message *m = &messages[i];

		check_text(m->name);
		FUZZ_REQUIRE(m->id <= (m->extended ? 0x1fffffffu : 0x7ffu));
		FUZZ_REQUIRE(m->size <= DBC_MAX_SIZE && m->n_signals <= DBC_MAX_SIGNALS_EACH);
		FUZZ_REQUIRE(!m->j1939 || m->extended);
		FUZZ_REQUIRE(dbc_find_message(dbc, m->name));
		for (uint32_t j = 0; j < m->n_signals; j++) {
			check_signal(m, &m->signals[j]);
		}
	}
	dbc_free(dbc);
	return 0;
}
