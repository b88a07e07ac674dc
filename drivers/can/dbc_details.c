/* SPDX-License-Identifier: Apache-2.0 */
/* Comments, value tables, types and extended multiplexing. */
#include "dbc_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool dbc_take_message(struct dbc_parser *p, uint32_t *ret_message)
{
	struct dbc_lexer *l = &p->lexer;
	uint32_t message;
	uint64_t id;

	if (!dbc_take_unsigned(l, "the identifier of a message", UINT32_MAX, &id)) {
		return false;
	}
	message = dbc_message_by_id(p, (uint32_t)id);
	if (message == DBC_NONE && id > 0x7ff && !(id & DBC_EXTENDED)) {
		message = dbc_message_by_id(p, (uint32_t)id | DBC_EXTENDED); /* told at BO_ */
	}
	if (message == DBC_NONE && id != DBC_ORPHANS) {
		dbc_warning(l, 0, "there is no message %" PRIu64, id);
	}
	*ret_message = message;
	return true;
}

bool dbc_take_signal(struct dbc_parser *p, uint32_t *ret_signal)
{
	struct dbc_lexer *l = &p->lexer;
	uint32_t message, signal = DBC_NONE;
	struct dbc_word name;

	if (!dbc_take_message(p, &message) || !dbc_take_word(l, "the name of a signal", &name)) {
		return false;
	}
	if (message != DBC_NONE) {
		signal = dbc_signal_by_name(p, message, name);
		if (signal == DBC_NONE) {
			dbc_warning(l, 0, "message %s has no signal %.*s",
				p->messages[message].message.short_name, (int)name.size, name.at);
		}
	}
	*ret_signal = signal;
	return true;
}

/* CM_ SG_ 2364540158 EngineSpeed "Actual engine speed"; CM_ BO_ 100 "..."; CM_ "..."; */
bool dbc_read_comment(struct dbc_parser *p)
{
	struct dbc_lexer *l = &p->lexer;
	uint32_t message = DBC_NONE, signal = DBC_NONE;
	struct dbc_word of, name;
	const char *text;

	if (dbc_try_word(l, &of)) {
		if (dbc_word_is(of, "SG_")) {
			if (!dbc_take_signal(p, &signal)) {
				return false;
			}
		} else if (dbc_word_is(of, "BO_")) {
			if (!dbc_take_message(p, &message)) {
				return false;
			}
		} else if (!dbc_take_word(l, "a name", &name)) {
			return false;
		}
	}
	if (!dbc_take_string(l, "a comment", &text)) {
		return false;
	}
	if (signal != DBC_NONE) {
		p->signals[signal].signal.comment = text;
	} else if (message != DBC_NONE) {
		p->messages[message].message.comment = text;
	}
	return dbc_take_end(l);
}

/* 0 "Off" 1 "On" -1 "Invalid" up to the end of the statement; to be given to free(). */
static bool take_values(struct dbc_parser *p, struct dbc_value **ret_values, uint32_t *ret_n)
{
	struct dbc_lexer *l = &p->lexer;
	struct dbc_value *values = NULL, *grown;
	uint32_t n = 0, capacity = 0;
	bool ok = true;

	for (dbc_skip_blank(l);
		ok && ((*l->at >= '0' && *l->at <= '9') || *l->at == '-' || *l->at == '+');
		dbc_skip_blank(l)) {
		struct dbc_value value;

		ok = dbc_take_integer(l, "a value", &value.raw) &&
		     dbc_take_string(l, "the text of a value", &value.text);
		if (ok && n >= DBC_MAX_VALUES) {
			dbc_error(l, 0, "more than %u values", DBC_MAX_VALUES);
			ok = false;
		}
		grown = ok ? dbc_grow(p, values, n, &capacity, sizeof(*values)) : NULL;
		ok = grown != NULL;
		if (ok) {
			values = grown;
			values[n++] = value;
		}
	}
	if (!ok || !dbc_take_end(l)) {
		free(values);
		return false;
	}
	*ret_values = values;
	*ret_n = n;
	return true;
}

/* By raw value, and with the same value as they came. */
static int compare_values(const void *a, const void *b)
{
	const struct dbc_value *x = a, *y = b;

	return x->raw != y->raw ? (x->raw > y->raw) - (x->raw < y->raw)
				: (x->text > y->text) - (x->text < y->text);
}

/* The values sorted, in the pool; takes them. */
static const struct dbc_value *keep_values(
	struct dbc_parser *p, struct dbc_value *values, uint32_t n)
{
	struct dbc_value *kept = NULL;

	if (n > 0) {
		qsort(values, n, sizeof(*values), compare_values);
		kept = pool_alloc(&p->pool, n * sizeof(*values));
		if (kept) {
			memcpy(kept, values, n * sizeof(*values));
		} else {
			p->lexer.failure = -ENOMEM;
		}
	}
	free(values);
	return kept;
}

static const struct dbc_table *find_table(const struct dbc_parser *p, struct dbc_word name)
{
	uint64_t key = dbc_map_key(0, name.at, name.size);
	uint32_t cursor = 0, i;

	do {
		i = dbc_map_next(&p->table_names, key, &cursor);
	} while (i != DBC_NONE && !dbc_word_is(name, p->tables[i].name));
	return i == DBC_NONE ? NULL : &p->tables[i];
}

/* VAL_ 100 Gear 0 "Neutral" 1 "First"; VAL_ 100 Gear Gears; VAL_ EnvironmentVariable 0 "Off"; */
bool dbc_read_values(struct dbc_parser *p)
{
	struct dbc_lexer *l = &p->lexer;
	const struct dbc_table *table = NULL;
	uint32_t signal = DBC_NONE, n = 0;
	struct dbc_value *values;
	const struct dbc_value *kept;
	struct dbc_word name;

	dbc_skip_blank(l);
	if (*l->at < '0' || *l->at > '9') {
		if (!dbc_take_word(l, "a message or an environment variable", &name)) {
			return false;
		}
	} else if (!dbc_take_signal(p, &signal)) {
		return false;
	}
	dbc_skip_blank(l);
	if (*l->at != '-' && (*l->at < '0' || *l->at > '9') && dbc_try_word(l, &name)) {
		table = find_table(p, name);
		if (!table) {
			dbc_warning(l, 0, "there is no VAL_TABLE_ %.*s",
				name.size < 64 ? (int)name.size : 64, name.at);
		}
	}
	if (!take_values(p, &values, &n)) {
		return false;
	}
	kept = keep_values(p, values, n);
	if (signal != DBC_NONE) {
		p->signals[signal].signal.values = table ? table->values : kept;
		p->signals[signal].signal.n_values = table ? table->n_values : kept ? n : 0;
	}
	return true;
}

/* VAL_TABLE_ Gears 0 "Neutral" 1 "First"; */
bool dbc_read_table(struct dbc_parser *p)
{
	struct dbc_lexer *l = &p->lexer;
	struct dbc_table table = {0}, *grown;
	struct dbc_value *values;
	struct dbc_word name;

	if (!dbc_take_word(l, "the name of a value table", &name) ||
		!take_values(p, &values, &table.n_values)) {
		return false;
	}
	table.name = dbc_keep_word(p, name);
	table.values = keep_values(p, values, table.n_values);
	if (l->failure < 0) {
		return false;
	}
	if (find_table(p, name)) {
		dbc_warning(l, 0, "another VAL_TABLE_ %s; the first one counts", table.name);
		return true;
	}
	grown = dbc_grow(p, p->tables, p->n_tables, &p->tables_capacity, sizeof(*p->tables));
	if (!grown) {
		return false;
	}
	p->tables = grown;
	if (dbc_map_add(&p->table_names, dbc_map_key(0, name.at, name.size), p->n_tables) < 0) {
		l->failure = -ENOMEM;
	}
	p->tables[p->n_tables++] = table;
	return l->failure == 0;
}

/* SIG_VALTYPE_ 100 Pressure : 1; 1 is an IEEE float, 2 a double. The colon is not always there. */
bool dbc_read_value_type(struct dbc_parser *p)
{
	struct dbc_lexer *l = &p->lexer;
	struct dbc_draft_signal *draft;
	uint64_t type;
	uint32_t signal;

	if (!dbc_take_signal(p, &signal)) {
		return false;
	}
	(void)dbc_try_char(l, ':');
	if (!dbc_take_unsigned(l, "a type: 0, 1 for a float or 2 for a double", 3, &type)) {
		return false;
	}
	if (signal != DBC_NONE && (type == 1 || type == 2)) {
		draft = &p->signals[signal];
		draft->signal.layout.type = type == 1 ? DECODE_FLOAT : DECODE_DOUBLE;
		if (draft->signal.layout.length != 32 * type && !draft->dropped) {
			dbc_error(l, 0,
				"signal %s: a float has 32 bits and a double 64, this has %u",
				draft->signal.short_name, draft->signal.layout.length);
			draft->dropped = true;
		}
	}
	return dbc_take_end(l);
}

/* "0-3, 7-7": values of the multiplexor, into `ranges`. */
static bool take_ranges(struct dbc_lexer *l, struct dbc_range *ranges, uint32_t *ret_n)
{
	uint32_t n = 0;

	do {
		struct dbc_range range;

		if (!dbc_take_unsigned(l, "a value of the multiplexor", UINT64_MAX, &range.first) ||
			!dbc_take_char(l, '-') ||
			!dbc_take_unsigned(
				l, "a value of the multiplexor", UINT64_MAX, &range.last)) {
			return false;
		}
		if (range.last < range.first) {
			dbc_error(l, 0, "a range that ends before it begins: %" PRIu64 "-%" PRIu64,
				range.first, range.last);
			return false;
		}
		if (n >= DBC_MAX_RANGES) {
			dbc_error(l, 0, "more than %u ranges", DBC_MAX_RANGES);
			return false;
		}
		ranges[n++] = range;
	} while (dbc_try_char(l, ','));
	*ret_n = n;
	return true;
}

/* SG_MUL_VAL_ 100 Voltage Mode 0-3, 7-7; */
bool dbc_read_multiplexing(struct dbc_parser *p)
{
	struct dbc_lexer *l = &p->lexer;
	struct dbc_range ranges[DBC_MAX_RANGES], *kept;
	struct dbc_draft_signal *draft;
	struct dbc_word name;
	uint32_t signal, selector, n;

	if (!dbc_take_signal(p, &signal) || !dbc_take_word(l, "the name of a multiplexor", &name) ||
		!take_ranges(l, ranges, &n) || !dbc_take_end(l)) {
		return false;
	}
	if (signal == DBC_NONE) {
		return true;
	}
	draft = &p->signals[signal];
	selector = dbc_signal_by_name(p, draft->message, name);
	if (selector == DBC_NONE) {
		dbc_error(l, 0, "signal %s: there is no multiplexor %.*s", draft->signal.short_name,
			(int)name.size, name.at);
		draft->dropped = true;
		return true;
	}
	kept = pool_alloc(&p->pool, n * sizeof(*kept));
	if (!kept) {
		l->failure = -ENOMEM;
		return false;
	}
	memcpy(kept, ranges, n * sizeof(*kept));
	draft->signal.ranges = kept;
	draft->signal.n_ranges = n;
	draft->selected_by = selector;
	draft->explained = true;
	return true;
}
