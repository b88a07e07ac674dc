/* SPDX-License-Identifier: Apache-2.0 */
/* What can only be seen when the whole file is read: who selects whom, what overlaps. */
#include "dbc_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Steps in looking for overlaps: a hostile file must not take minutes. */
#define OVERLAP_BUDGET 50000000u

static struct dbc_draft_signal *selector_of(struct dbc_parser *p, const struct dbc_draft_signal *s)
{
	return s->selected_by == DBC_NONE ? NULL : &p->signals[s->selected_by];
}

/* The one multiplexor that "m3" means where SG_MUL_VAL_ says nothing; DBC_NONE: none, or which? */
static uint32_t find_main_switch(
	const struct dbc_parser *p, const struct dbc_draft_message *m, uint32_t *ret_n)
{
	uint32_t found = DBC_NONE;

	*ret_n = 0;
	for (uint32_t i = m->first; i < m->first + m->message.n_signals; i++) {
		if (p->signals[i].signal.is_switch && !p->signals[i].paged) {
			found = i;
			++*ret_n;
		}
	}
	return *ret_n == 1 ? found : DBC_NONE;
}

static void select_by_page(
	struct dbc_parser *p, struct dbc_draft_signal *s, uint32_t main_switch, uint32_t n_switches)
{
	struct dbc_range *range;

	if (main_switch == DBC_NONE) {
		dbc_error(&p->lexer, s->signal.line,
			"signal %s: m%" PRIu64 ", but the message has %s multiplexor (M)%s",
			s->signal.short_name, s->page, n_switches ? "more than one" : "no",
			n_switches ? " and SG_MUL_VAL_ does not say which" : "");
		s->dropped = true;
		return;
	}
	range = pool_alloc(&p->pool, sizeof(*range));
	if (!range) {
		p->lexer.failure = -ENOMEM;
		return;
	}
	*range = (struct dbc_range){s->page, s->page};
	s->signal.ranges = range;
	s->signal.n_ranges = 1;
	s->selected_by = main_switch;
}

/* What is wrong with a signal by itself and with its direct multiplexor. */
static void check_signal(struct dbc_parser *p, struct dbc_draft_signal *s)
{
	struct dbc_draft_signal *selector = selector_of(p, s);
	struct dbc_lexer *l = &p->lexer;
	const char *name = s->signal.short_name;

	if (s->signal.layout.factor == 0) {
		dbc_warning(l, s->signal.line, "signal %s: its factor is 0", name);
	}
	if (s->signal.min > s->signal.max) {
		dbc_warning(l, s->signal.line,
			"signal %s: its minimum is above its maximum; taken as unsaid", name);
		s->signal.min = s->signal.max = 0;
	}
	if (!selector) {
		return;
	}
	if (selector->signal.layout.type == DECODE_FLOAT ||
		selector->signal.layout.type == DECODE_DOUBLE) {
		dbc_error(l, s->signal.line, "signal %s: its multiplexor %s is a float", name,
			selector->signal.short_name);
		s->dropped = true;
	}
	if (!selector->signal.is_switch) {
		dbc_warning(l, selector->signal.line,
			"signal %s: not marked as multiplexor (M), but it selects %s",
			selector->signal.short_name, name);
		selector->signal.is_switch = true;
	}
}

/* Multiplexors of multiplexors: all there, not too many, no circle. */
static void check_chain(struct dbc_parser *p, struct dbc_draft_signal *s)
{
	struct dbc_draft_signal *up = s;
	uint32_t depth = 0;

	while (!s->dropped && (up = selector_of(p, up))) {
		if (++depth > DBC_MAX_DEPTH) {
			dbc_error(&p->lexer, s->signal.line,
				"signal %s: multiplexed in a circle, or more than %u deep",
				s->signal.short_name, DBC_MAX_DEPTH);
			s->dropped = true;
		} else if (up->dropped) {
			dbc_error(&p->lexer, s->signal.line,
				"signal %s: its multiplexor %s was left out", s->signal.short_name,
				up->signal.short_name);
			s->dropped = true;
		}
	}
}

/* The place of its first bit, counted in the order in which its own bits follow each other. */
static uint32_t first_bit(const struct dbc_signal *s)
{
	return s->layout.big_endian ? s->layout.start / 8u * 8u + 7u - s->layout.start % 8u
				    : s->layout.start;
}

static uint32_t n_bytes(const struct dbc_signal *s)
{
	return (first_bit(s) + s->layout.length + 7u) / 8u;
}

static bool share_bits(const struct dbc_signal *a, const struct dbc_signal *b)
{
	uint32_t a_first = first_bit(a), b_first = first_bit(b);

	if (n_bytes(a) <= b_first / 8 || n_bytes(b) <= a_first / 8) {
		return false;
	}
	if (a->layout.big_endian == b->layout.big_endian) {
		return a_first < b_first + b->layout.length && b_first < a_first + a->layout.length;
	}
	for (uint32_t bit = a_first; bit < a_first + a->layout.length; bit++) {
		uint32_t as_other = bit / 8 * 8 + 7 - bit % 8;

		if (as_other >= b_first && as_other < b_first + b->layout.length) {
			return true;
		}
	}
	return false;
}

static bool share_values(
	const struct dbc_signal *a, const struct dbc_signal *b, uint32_t *remaining)
{
	for (uint32_t i = 0; i < a->n_ranges; i++) {
		for (uint32_t j = 0; j<b->n_ranges && * remaining> 0; j++, --*remaining) {
			if (a->ranges[i].first <= b->ranges[j].last &&
				b->ranges[j].first <= a->ranges[i].last) {
				return true;
			}
		}
	}
	return false;
}

/* Whether both can be in the same frame: no multiplexor that they share keeps them apart. */
static bool can_meet(struct dbc_parser *p, const struct dbc_draft_signal *a,
	const struct dbc_draft_signal *b, uint32_t *remaining)
{
	for (; a->selected_by != DBC_NONE; a = selector_of(p, a)) {
		for (const struct dbc_draft_signal *c = b; c->selected_by != DBC_NONE;
			c = selector_of(p, c)) {
			if (a->selected_by == c->selected_by &&
				!share_values(&a->signal, &c->signal, remaining)) {
				return false;
			}
		}
	}
	return true;
}

/* Each signal is told once, with the first one that it overlaps. */
static void check_overlaps(
	struct dbc_parser *p, const struct dbc_draft_message *m, uint32_t *remaining)
{
	for (uint32_t i = m->first; i < m->first + m->message.n_signals; i++) {
		const struct dbc_draft_signal *s = &p->signals[i];

		for (uint32_t j = m->first; j<i && * remaining> 0 && !s->dropped; j++) {
			const struct dbc_draft_signal *other = &p->signals[j];

			--*remaining;
			if (!other->dropped && share_bits(&s->signal, &other->signal) &&
				can_meet(p, s, other, remaining)) {
				dbc_warning(&p->lexer, s->signal.line,
					"signal %s: has bits in common with %s",
					s->signal.short_name, other->signal.short_name);
				break;
			}
		}
	}
}

static void check_sizes(struct dbc_parser *p, const struct dbc_draft_message *m)
{
	if (m->message.size == 0 && m->message.n_signals > 0) {
		dbc_warning(&p->lexer, m->message.line, "message %s: has signals, but no bytes",
			m->message.short_name);
		return;
	}
	for (uint32_t i = m->first; i < m->first + m->message.n_signals; i++) {
		const struct dbc_signal *s = &p->signals[i].signal;

		if (!p->signals[i].dropped && n_bytes(s) > m->message.size) {
			dbc_warning(&p->lexer, s->line,
				"signal %s: reaches to byte %" PRIu32 ", but message %s has %u",
				s->short_name, n_bytes(s), m->message.short_name, m->message.size);
		}
	}
}

/* Which kind of frame, from what attributes and identifier say. */
static void set_format(struct dbc_parser *p, struct dbc_draft_message *m)
{
	struct dbc_message *message = &m->message;
	uint8_t format = m->format;

	if (format == DBC_FORMAT_UNSAID) {
		format = p->is_j1939 ? DBC_FORMAT_J1939 : p->default_format;
		format = format == DBC_FORMAT_J1939 && !message->extended ? DBC_FORMAT_PLAIN
									  : format;
	}
	if (format == DBC_FORMAT_J1939 && !message->extended) {
		dbc_warning(&p->lexer, message->line,
			"message %s: J1939, but its identifier has 11 bits", message->short_name);
		format = DBC_FORMAT_PLAIN;
	}
	message->j1939 = format == DBC_FORMAT_J1939;
	message->fd = !message->j1939 && message->size <= 64 &&
		      (format == DBC_FORMAT_FD || message->size > 8);
	if (!message->j1939 && message->size > 64) {
		dbc_warning(&p->lexer, message->line,
			"message %s: %u bytes; a frame of CAN FD has 64, and it is not J1939",
			message->short_name, message->size);
	}
	if (!m->has_cycle) {
		message->cycle_ms = p->default_cycle_ms;
	}
}

/* A long name replaces the one at SG_, unless another signal is called so. */
static void set_name(struct dbc_parser *p, uint32_t index)
{
	struct dbc_draft_signal *s = &p->signals[index];
	const char *name = s->long_name;
	uint32_t other;

	if (!name || name[0] == '\0') {
		s->signal.name = s->signal.short_name;
		return;
	}
	other = dbc_signal_by_name(p, s->message, (struct dbc_word){name, strlen(name)});
	if (other != DBC_NONE && other != index) {
		dbc_warning(&p->lexer, s->signal.line,
			"signal %s: its long name is that of another one; not used",
			s->signal.short_name);
		s->signal.name = s->signal.short_name;
		return;
	}
	s->signal.name = name;
	if (dbc_map_add(&p->signal_names, dbc_map_key(s->message, name, strlen(name)), index) < 0) {
		p->lexer.failure = -ENOMEM;
	}
}

void dbc_check(struct dbc_parser *p)
{
	uint32_t remaining = OVERLAP_BUDGET;

	for (uint32_t i = 0; i < p->n_messages; i++) {
		struct dbc_draft_message *m = &p->messages[i];
		uint32_t n_switches, end = m->first + m->message.n_signals;
		uint32_t main_switch = find_main_switch(p, m, &n_switches);

		set_format(p, m);
		for (uint32_t j = m->first; j < end; j++) {
			struct dbc_draft_signal *s = &p->signals[j];

			if (s->paged && !s->explained) {
				select_by_page(p, s, main_switch, n_switches);
			}
			set_name(p, j);
		}
		for (uint32_t j = m->first; j < end; j++) {
			check_signal(p, &p->signals[j]);
		}
		for (uint32_t j = m->first; j < end; j++) {
			check_chain(p, &p->signals[j]);
		}
		check_sizes(p, m);
		check_overlaps(p, m, &remaining);
	}
}
