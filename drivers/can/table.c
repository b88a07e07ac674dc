/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <errno.h>
#include <linux/can.h>
#include <math.h>
#include <stdlib.h>

#include "j1939.h"

#define N_STANDARD 2048u /* identifiers of 11 bits */
/* Keys of messages: the kind above the identifier. Those below N_STANDARD are standard ones. */
#define KEY_EXTENDED (UINT64_C(1) << 32)
#define KEY_SOURCE   (UINT64_C(2) << 32)
#define KEY_GROUP    (UINT64_C(3) << 32)

struct condition {
	struct decoder selector;
	const struct dbc_range *ranges;
	uint32_t n_ranges;
};

struct signal_entry {
	struct decoder decoder;
	void *owner;
	uint32_t condition, n_conditions; /* in table.conditions */
};

/* The signals of one message. */
struct message_entry {
	uint64_t key;
	uint32_t first, n; /* in table.signals */
};

struct table {
	struct signal_entry *signals; /* by message */
	struct condition *conditions;
	struct message_entry *messages;
	uint32_t *slots; /* hash of all but the standard ones: message + 1, 0 free */
	uint32_t n_signals, n_messages;
	uint32_t slot_mask;
	bool has_extended, has_sources, has_groups;
	uint32_t standard[N_STANDARD]; /* message + 1, 0: none */
};

static uint64_t key_of(const struct table_entry *e)
{
	uint32_t pgn = e->id & J1939_PGN_MAX;

	if (e->kind == TABLE_STANDARD) {
		return e->id & CAN_SFF_MASK;
	}
	if (e->kind == TABLE_EXTENDED) {
		return KEY_EXTENDED | (e->id & CAN_EFF_MASK);
	}
	if (j1939_is_addressed(pgn)) {
		pgn &= ~UINT32_C(0xff); /* no PGN has a destination in it */
	}
	return e->source == TABLE_ANY_SOURCE ? KEY_GROUP | pgn << 8
					     : KEY_SOURCE | pgn << 8 | (uint8_t)e->source;
}

static uint32_t first_slot(const struct table *t, uint64_t key)
{
	return (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & t->slot_mask;
}

static const struct message_entry *find(const struct table *t, uint64_t key)
{
	uint32_t at = first_slot(t, key);

	while (t->slots[at]) {
		const struct message_entry *m = &t->messages[t->slots[at] - 1];

		if (m->key == key) {
			return m;
		}
		at = (at + 1) & t->slot_mask;
	}
	return NULL;
}

static bool holds(const struct condition *c, const uint8_t *data, uint32_t size)
{
	uint64_t bits;

	if (c->selector.n_bytes > size) {
		return false;
	}
	bits = decode_bits(&c->selector, data);
	for (uint32_t i = 0; i < c->n_ranges; i++) {
		if (bits >= c->ranges[i].first && bits <= c->ranges[i].last) {
			return true;
		}
	}
	return false;
}

static bool all_hold(
	const struct table *t, const struct signal_entry *s, const uint8_t *data, uint32_t size)
{
	for (uint32_t i = 0; i < s->n_conditions; i++) {
		if (!holds(&t->conditions[s->condition + i], data, size)) {
			return false;
		}
	}
	return true;
}

static uint32_t report_message(const struct table *t, const struct message_entry *m,
	const uint8_t *data, uint32_t size, table_report *report, void *ctx)
{
	uint32_t n = 0;

	for (uint32_t i = m->first; i < m->first + m->n; i++) {
		const struct signal_entry *s = &t->signals[i];
		enum decode_meaning meaning = DECODE_DATA;
		double value = 0;

		if (s->n_conditions > 0 && !all_hold(t, s, data, size)) {
			continue;
		}
		if (s->decoder.n_bytes > size) {
			meaning = DECODE_TOO_SHORT;
		} else if (!decode_signal(&s->decoder, data, &value)) {
			meaning = decode_meaning(&s->decoder, decode_bits(&s->decoder, data));
		} else if (!isfinite(value)) {
			meaning = DECODE_NO_NUMBER;
			value = 0;
		}
		report(ctx, s->owner, meaning, value);
		n++;
	}
	return n;
}

uint32_t table_group(const struct table *t, uint32_t pgn, uint8_t source, const uint8_t *data,
	uint32_t size, table_report *report, void *ctx)
{
	const struct message_entry *of_all, *of_source;
	uint32_t n = 0;

	of_all = t->has_groups ? find(t, KEY_GROUP | (uint64_t)pgn << 8) : NULL;
	of_source = t->has_sources ? find(t, KEY_SOURCE | (uint64_t)pgn << 8 | source) : NULL;
	if (of_all) {
		n += report_message(t, of_all, data, size, report, ctx);
	}
	if (of_source) {
		n += report_message(t, of_source, data, size, report, ctx);
	}
	return n;
}

uint32_t table_frame(const struct table *t, uint32_t can_id, const uint8_t *data, uint32_t size,
	table_report *report, void *ctx)
{
	const struct message_entry *m = NULL;
	uint32_t n;

	if (can_id & (CAN_RTR_FLAG | CAN_ERR_FLAG)) {
		return 0; /* no data */
	}
	if (!(can_id & CAN_EFF_FLAG)) {
		uint32_t index = t->standard[can_id & CAN_SFF_MASK];

		return index ? report_message(t, &t->messages[index - 1], data, size, report, ctx)
			     : 0;
	}
	if (t->has_extended) {
		m = find(t, KEY_EXTENDED | (can_id & CAN_EFF_MASK));
	}
	n = m ? report_message(t, m, data, size, report, ctx) : 0;
	if (t->has_groups || t->has_sources) {
		struct j1939_id id = j1939_parse(can_id & CAN_EFF_MASK);

		n += table_group(t, id.pgn, id.source, data, size, report, ctx);
	}
	return n;
}

void table_entry_of(const struct dbc_message *message, const struct dbc_signal *signal,
	struct table_condition conditions[DBC_MAX_DEPTH], struct table_entry *ret_entry)
{
	struct table_entry e = {.kind = message->j1939      ? TABLE_GROUP
					: message->extended ? TABLE_EXTENDED
							    : TABLE_STANDARD,
		.id = message->j1939 ? j1939_parse(message->id).pgn : message->id,
		.source = TABLE_ANY_SOURCE,
		.j1939 = message->j1939,
		.layout = signal->layout,
		.conditions = conditions};

	for (; signal->selected_by; signal = signal->selected_by) {
		conditions[e.n_conditions++] = (struct table_condition){
			signal->selected_by->layout, signal->ranges, signal->n_ranges};
	}
	*ret_entry = e;
}

/* An entry and where it was: what is of one message stays in the order of the configuration. */
struct sorted {
	const struct table_entry *entry;
	uint64_t key;
};

static int compare(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;

	return x->key != y->key ? (x->key > y->key) - (x->key < y->key)
				: (x->entry > y->entry) - (x->entry < y->entry);
}

static int add_signal(struct table *t, const struct table_entry *e, uint32_t *n_conditions)
{
	struct signal_entry *s = &t->signals[t->n_signals++];

	s->owner = e->owner;
	s->condition = *n_conditions;
	s->n_conditions = e->n_conditions;
	for (uint32_t i = 0; i < e->n_conditions; i++) {
		struct condition *c = &t->conditions[(*n_conditions)++];

		if (e->conditions[i].selector.type >= DECODE_FLOAT ||
			decode_prepare(&e->conditions[i].selector, false, &c->selector) < 0) {
			return -EINVAL;
		}
		c->ranges = e->conditions[i].ranges;
		c->n_ranges = e->conditions[i].n_ranges;
	}
	return decode_prepare(&e->layout, e->j1939, &s->decoder);
}

static void add_message(struct table *t, uint64_t key)
{
	uint32_t at = first_slot(t, key);

	t->messages[t->n_messages++] = (struct message_entry){.key = key, .first = t->n_signals};
	if (key < N_STANDARD) {
		t->standard[key] = t->n_messages;
		return;
	}
	while (t->slots[at]) {
		at = (at + 1) & t->slot_mask;
	}
	t->slots[at] = t->n_messages;
	t->has_extended = t->has_extended || key >> 32 == KEY_EXTENDED >> 32;
	t->has_sources = t->has_sources || key >> 32 == KEY_SOURCE >> 32;
	t->has_groups = t->has_groups || key >> 32 == KEY_GROUP >> 32;
}

/* Room for as many signals, messages and conditions as there can be. */
static int allocate(struct table *t, const struct table_entry *entries, uint32_t n)
{
	size_t n_conditions = 0, n_slots = 16;

	for (uint32_t i = 0; i < n; i++) {
		n_conditions += entries[i].n_conditions;
	}
	while (n_slots < 2 * (size_t)n) {
		n_slots *= 2;
	}
	t->slot_mask = (uint32_t)n_slots - 1;
	t->slots = calloc(n_slots, sizeof(*t->slots));
	t->signals = calloc(n + 1u, sizeof(*t->signals)); /* never of nothing */
	t->messages = calloc(n + 1u, sizeof(*t->messages));
	t->conditions = calloc(n_conditions + 1, sizeof(*t->conditions));
	return t->slots && t->signals && t->messages && t->conditions ? 0 : -ENOMEM;
}

int table_new(const struct table_entry *entries, uint32_t n_entries, struct table **ret_table)
{
	struct sorted *sorted = calloc(n_entries + 1u, sizeof(*sorted));
	struct table *t = calloc(1, sizeof(*t));
	int r = sorted && t ? allocate(t, entries, n_entries) : -ENOMEM;
	uint32_t n_conditions = 0;

	for (uint32_t i = 0; r == 0 && i < n_entries; i++) {
		sorted[i] = (struct sorted){&entries[i], key_of(&entries[i])};
	}
	if (r == 0) {
		qsort(sorted, n_entries, sizeof(*sorted), compare);
	}
	for (uint32_t i = 0; r == 0 && i < n_entries; i++) {
		if (i == 0 || sorted[i].key != sorted[i - 1].key) {
			add_message(t, sorted[i].key);
		}
		t->messages[t->n_messages - 1].n++;
		r = add_signal(t, sorted[i].entry, &n_conditions);
	}
	free(sorted);
	if (r < 0) {
		table_free(t);
		return r;
	}
	*ret_table = t;
	return 0;
}

void table_free(struct table *t)
{
	if (t) {
		free(t->slots);
		free(t->signals);
		free(t->messages);
		free(t->conditions);
		free(t);
	}
}
