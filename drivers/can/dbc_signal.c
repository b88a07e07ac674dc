/* SPDX-License-Identifier: Apache-2.0 */
/* One line of a message: a signal. */
#include "dbc_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* "M", "m3", "m3M" between name and colon. */
static bool read_multiplexor(struct dbc_lexer *l, struct dbc_draft_signal *s)
{
	struct dbc_word word;
	size_t i = 1;

	if (!dbc_try_word(l, &word)) {
		return true;
	}
	if (dbc_word_is(word, "M")) {
		s->signal.is_switch = true;
		return true;
	}
	for (; i < word.size && word.at[i] >= '0' && word.at[i] <= '9' && i < 19; i++) {
		s->page = 10 * s->page + (uint64_t)(word.at[i] - '0');
	}
	s->signal.is_switch = i + 1 == word.size && word.at[i] == 'M';
	s->paged = true;
	if (word.at[0] != 'm' || i == 1 || i + s->signal.is_switch != word.size) {
		dbc_error(l, 0, "expected M, m and a number, or ':', found '%.*s'",
			word.size < 24 ? (int)word.size : 24, word.at);
		return false;
	}
	return true;
}

/* " : 24|16@1+": where, how long, byte order, sign. */
static bool read_place(struct dbc_lexer *l, struct dbc_draft_signal *draft)
{
	struct dbc_signal *s = &draft->signal;
	uint64_t start, length, order;

	if (!dbc_take_char(l, ':') ||
		!dbc_take_unsigned(l, "the start bit", 8 * DBC_MAX_SIZE - 1, &start) ||
		!dbc_take_char(l, '|') ||
		!dbc_take_unsigned(l, "the length", UINT16_MAX, &length) ||
		!dbc_take_char(l, '@') || !dbc_take_unsigned(l, "the byte order", 1, &order)) {
		return false;
	}
	if (dbc_try_char(l, '-')) {
		s->layout.type = DECODE_SIGNED;
	} else if (!dbc_take_char(l, '+')) {
		return false;
	}
	s->layout.start = (uint16_t)start;
	s->layout.length = (uint8_t)length;
	if (length < 1 || length > 64) {
		dbc_error(l, 0,
			"signal %s: its length is %" PRIu64 " bits, and a number has 1 to 64",
			s->short_name, length);
		draft->dropped = true;
	}
	s->layout.big_endian = order == 0;
	return true;
}

/* "[0|8031.875]"; what is no number there, as some tools write, is not worth a signal. */
static bool read_limits(struct dbc_lexer *l, struct dbc_signal *s)
{
	struct dbc_lexer quiet;

	if (!dbc_take_char(l, '[')) {
		return false;
	}
	quiet = *l;
	quiet.n_problems = DBC_MAX_PROBLEMS;
	if (dbc_take_number(&quiet, "the minimum", &s->min) && dbc_take_char(&quiet, '|') &&
		dbc_take_number(&quiet, "the maximum", &s->max) && dbc_take_char(&quiet, ']')) {
		l->at = quiet.at;
		l->line = quiet.line;
		return true;
	}
	s->min = s->max = 0;
	l->at += strcspn(l->at, "]\n");
	dbc_warning(l, 0, "signal %s: its minimum and maximum are no numbers", s->short_name);
	return dbc_take_char(l, ']');
}

/* Names up to the end of the line; with a comma at its end, also of the next one. */
static void skip_receivers(struct dbc_lexer *l)
{
	struct dbc_word word;
	bool comma = false;

	for (;;) {
		dbc_skip_blank(l);
		if ((dbc_is_line_start(l) && !comma) || dbc_is_statement_next(l) ||
			!dbc_try_word(l, &word)) {
			return;
		}
		comma = dbc_try_char(l, ',');
	}
}

static bool add_signal(struct dbc_parser *p, const struct dbc_draft_signal *s, struct dbc_word name)
{
	struct dbc_lexer *l = &p->lexer;
	struct dbc_draft_message *m = &p->messages[p->current];
	uint32_t earlier = dbc_signal_by_name(p, p->current, name);
	void *grown;

	if (earlier != DBC_NONE) {
		dbc_error(l, s->signal.line,
			"signal %s: message %s has another one of this name, in line %" PRIu32,
			s->signal.short_name, m->message.short_name,
			p->signals[earlier].signal.line);
		return true;
	}
	if (p->n_signals >= DBC_MAX_SIGNALS || m->message.n_signals >= DBC_MAX_SIGNALS_EACH) {
		l->failure = -EFBIG;
		dbc_error(l, 0, "more than %u signals, or %u in a message", DBC_MAX_SIGNALS,
			DBC_MAX_SIGNALS_EACH);
		return false;
	}
	grown = dbc_grow(p, p->signals, p->n_signals, &p->signals_capacity, sizeof(*p->signals));
	if (!grown) {
		return false;
	}
	p->signals = grown;
	if (dbc_map_add(&p->signal_names, dbc_map_key(p->current, name.at, name.size),
		    p->n_signals) < 0) {
		l->failure = -ENOMEM;
		return false;
	}
	p->signals[p->n_signals++] = *s;
	m->message.n_signals++;
	return true;
}

/* SG_ EngineSpeed : 24|16@1+ (0.125,0) [0|8031.875] "rpm" Dash,Logger */
bool dbc_read_signal(struct dbc_parser *p)
{
	struct dbc_lexer *l = &p->lexer;
	struct dbc_draft_signal draft = {.selected_by = DBC_NONE, .message = p->current};
	struct dbc_signal *s = &draft.signal;
	struct dbc_word name;

	s->line = l->line;
	if (!p->in_message) {
		dbc_error(l, 0, "a signal that follows no message");
		return false;
	}
	if (!dbc_take_word(l, "the name of a signal", &name)) {
		return false;
	}
	s->short_name = dbc_keep_word(p, name);
	if (!s->short_name || !read_multiplexor(l, &draft) || !read_place(l, &draft) ||
		!dbc_take_char(l, '(') || !dbc_take_number(l, "the factor", &s->layout.factor) ||
		!dbc_take_char(l, ',') || !dbc_take_number(l, "the offset", &s->layout.offset) ||
		!dbc_take_char(l, ')') || !read_limits(l, s) ||
		!dbc_take_string(l, "the unit", &s->unit)) {
		return false;
	}
	skip_receivers(l);
	return draft.dropped || p->current == DBC_NONE || add_signal(p, &draft, name);
}
