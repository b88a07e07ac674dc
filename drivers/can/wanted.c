/* SPDX-License-Identifier: Apache-2.0 */
#include "wanted.h"

#include <errno.h>
#include <linux/can.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "j1939.h"
#include "nearest.h"
#include "options.h"

#define TEXT_MAX 500

/* What is being made, and of which sensor. */
struct making {
	const struct scg_bus *bus;
	const struct scg_sensor *sensor; /* NULL: none yet */
	wanted_problem *problem;
	struct wanted *wanted;
	bool failed; /* a sensor has no entry */
};

SCG_PRINTF(3, 4)
static void complain(struct making *m, const char *option, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args); /* cut if it is too long */
	va_end(args);
	m->problem(m->bus, m->sensor, option, text);
	m->failed = true;
}

/* --- the DBC file --- */

static void note_problem(
	void *ctx, bool is_error, const char *file, uint32_t line, const char *text)
{
	struct making *m = ctx;

	if (is_error) {
		char full[TEXT_MAX];

		(void)snprintf(full, sizeof(full), "%s:%u: %s", file, line, text);
		m->problem(m->bus, NULL, "dbc", full);
	}
}

static int load_dbc(struct making *m)
{
	const char *file = m->bus->options[BUS_DBC].s;
	int r;

	if (!file) {
		return 0;
	}
	r = dbc_load(file, note_problem, m, &m->wanted->dbc);
	if (r < 0 && r != -EFBIG && r != -EBADMSG) {
		complain(m, "dbc", "%s: %s", file, strerrordesc_np(-r));
	}
	return r;
}

/* --- a signal of the file --- */

static const struct dbc_message *find_message(struct making *m, const char *name)
{
	const struct dbc *dbc = m->wanted->dbc;
	const struct dbc_message *found = dbc_find_message(dbc, name), *all;
	struct nearest nearest;
	uint32_t n;

	if (found) {
		return found;
	}
	nearest_begin(&nearest, name);
	all = dbc_messages(dbc, &n);
	for (uint32_t i = 0; i < n; i++) {
		nearest_offer(&nearest, all[i].name);
	}
	complain(m, "message", "%s has no message \"%s\"%s%s%s", m->bus->options[BUS_DBC].s, name,
		nearest.name ? "; did you mean \"" : "", nearest.name ? nearest.name : "",
		nearest.name ? "\"?" : "");
	return NULL;
}

static const struct dbc_signal *find_signal(
	struct making *m, const struct dbc_message *message, const char *name)
{
	const struct dbc_signal *found = dbc_find_signal(message, name);
	struct nearest nearest;

	if (found) {
		return found;
	}
	nearest_begin(&nearest, name);
	for (uint32_t i = 0; i < message->n_signals; i++) {
		nearest_offer(&nearest, message->signals[i].name);
	}
	complain(m, "signal", "message %s has no signal \"%s\"%s%s%s", message->name, name,
		nearest.name ? "; did you mean \"" : "", nearest.name ? nearest.name : "",
		nearest.name ? "\"?" : "");
	return NULL;
}

/* What is for sensors without a message of a DBC file. */
static bool is_only_by_name(struct making *m)
{
	static const struct {
		uint32_t option;
		int64_t absent;
	} others[] = {
		{SENSOR_ID, -1},
		{SENSOR_PGN, -1},
		{SENSOR_START_BIT, -1},
		{SENSOR_LENGTH, 0},
		{SENSOR_EXTENDED, 0},
		{SENSOR_BYTE_ORDER, ORDER_LITTLE},
		{SENSOR_SIGNED, 0},
		{SENSOR_FLOAT, 0},
		{SENSOR_MULTIPLEXOR_START_BIT, -1},
		{SENSOR_MULTIPLEXOR_VALUE, -1},
	};

	for (uint32_t i = 0; i < SCG_COUNT(others); i++) {
		if (m->sensor->options[others[i].option].i != others[i].absent) {
			complain(m, can_sensor_options[others[i].option].name,
				"message and signal of the DBC file say this: leave one or the "
				"other out");
			return false;
		}
	}
	return true;
}

/* The message and the signal that are named, if all is well. */
static const struct dbc_signal *look_up(struct making *m, const struct dbc_message **ret_message)
{
	const char *message = m->sensor->options[SENSOR_MESSAGE].s;
	const char *signal = m->sensor->options[SENSOR_SIGNAL].s;

	if (!message || !signal) {
		complain(m, message ? "message" : "signal",
			"message and signal go together: %s is "
			"missing",
			message ? "signal" : "message");
		return NULL;
	}
	if (!is_only_by_name(m)) {
		return NULL;
	}
	if (!m->bus->options[BUS_DBC].s) {
		complain(m, "message", "the bus needs dbc: the file that this message is in");
		return NULL;
	}
	if (!m->wanted->dbc) {
		m->failed = true; /* that it could not be read was said */
		return NULL;
	}
	*ret_message = find_message(m, message);
	return *ret_message ? find_signal(m, *ret_message, signal) : NULL;
}

static void make_named(
	struct making *m, struct table_condition *conditions, struct table_entry *entry)
{
	const struct dbc_message *message = NULL;
	const struct dbc_signal *signal = look_up(m, &message);
	int64_t source = m->sensor->options[SENSOR_SOURCE].i;

	if (!signal) {
		return;
	}
	table_entry_of(message, signal, conditions, entry);
	if (source >= 0 && entry->kind != TABLE_GROUP) {
		complain(m, "source", "message %s is none of SAE J1939, it comes from one node",
			message->name);
	}
	entry->source = source >= 0 ? (int32_t)source : TABLE_ANY_SOURCE;
	if (message->fd && !m->bus->options[BUS_FD].i) {
		complain(m, "message", "%s is a message of CAN FD: the bus needs fd: true",
			message->name);
	}
}

/* --- a signal by its place --- */

static void check_identity(struct making *m, const struct table_entry *entry)
{
	const union scg_value *options = m->sensor->options;

	if (options[SENSOR_ID].i >= 0 && options[SENSOR_PGN].i >= 0) {
		complain(m, "pgn", "id says already which message: leave one of them out");
	} else if (options[SENSOR_ID].i >= 0 && options[SENSOR_SOURCE].i >= 0) {
		complain(m, "source", "is for pgn: an id has its source in it");
	} else if (entry->kind == TABLE_GROUP && j1939_is_addressed(entry->id) &&
		   (entry->id & 0xff) != 0) {
		complain(m, "pgn", "0x%x has a destination in its last byte: the group is 0x%x",
			entry->id, entry->id & ~0xffu);
	}
	if (entry->kind == TABLE_GROUP && options[SENSOR_EXTENDED].i) {
		complain(m, "extended", "is for id: a parameter group always is");
	}
}

/* Whether the message can have these bits; `what` is the option at fault if not. */
static bool fits(struct making *m, const struct table_entry *entry,
	const struct decode_layout *layout, const char *what)
{
	uint32_t limit = entry->kind == TABLE_GROUP  ? J1939_SIZE_MAX
			 : m->bus->options[BUS_FD].i ? CANFD_MAX_DLEN
						     : CAN_MAX_DLEN;
	struct decoder decoder;

	if (decode_prepare(layout, false, &decoder) < 0) {
		complain(m, what, "there is no signal of %u bits that begins at bit %u",
			layout->length, layout->start);
		return false;
	}
	if (decoder.n_bytes > limit) {
		complain(m, what, "the signal ends in byte %u, and %s has at most %u",
			decoder.n_bytes,
			entry->kind == TABLE_GROUP  ? "a parameter group"
			: m->bus->options[BUS_FD].i ? "a frame"
						    : "a frame of a bus without fd: true",
			limit);
		return false;
	}
	return true;
}

static void make_layout(struct making *m, struct table_entry *entry)
{
	const union scg_value *options = m->sensor->options;
	const char *by = entry->kind == TABLE_GROUP ? "pgn" : "id";

	if (options[SENSOR_START_BIT].i < 0) {
		complain(m, "start_bit", "is needed with %s", by);
		return;
	}
	if (options[SENSOR_LENGTH].i == 0) {
		complain(m, "length", "is needed with %s", by);
		return;
	}
	entry->layout = (struct decode_layout){.factor = 1,
		.start = (uint16_t)options[SENSOR_START_BIT].i,
		.length = (uint8_t)options[SENSOR_LENGTH].i,
		.type = options[SENSOR_SIGNED].i ? DECODE_SIGNED : DECODE_UNSIGNED,
		.big_endian = options[SENSOR_BYTE_ORDER].i == ORDER_BIG};
	if (options[SENSOR_FLOAT].i) {
		if (entry->layout.length != 32 && entry->layout.length != 64) {
			complain(m, "length", "a float has 32 or 64 bits");
			return;
		}
		if (options[SENSOR_SIGNED].i) {
			complain(m, "signed", "a float always is: leave it out");
		}
		entry->layout.type = entry->layout.length == 32 ? DECODE_FLOAT : DECODE_DOUBLE;
	}
	(void)fits(m, entry, &entry->layout, "start_bit"); /* it has complained */
}

static void make_multiplexor(struct making *m, struct table_condition *condition,
	struct dbc_range *range, struct table_entry *entry)
{
	const union scg_value *options = m->sensor->options;
	int64_t start = options[SENSOR_MULTIPLEXOR_START_BIT].i;
	int64_t value = options[SENSOR_MULTIPLEXOR_VALUE].i;

	if (start < 0 && value < 0) {
		return;
	}
	if (start < 0 || value < 0) {
		complain(m, start < 0 ? "multiplexor_value" : "multiplexor_start_bit",
			"needs %s as well",
			start < 0 ? "multiplexor_start_bit" : "multiplexor_value");
		return;
	}
	*range = (struct dbc_range){(uint64_t)value, (uint64_t)value};
	*condition = (struct table_condition){
		.selector = {.factor = 1,
			.start = (uint16_t)start,
			.length = (uint8_t)options[SENSOR_MULTIPLEXOR_LENGTH].i,
			.big_endian = entry->layout.big_endian},
		.ranges = range,
		.n_ranges = 1};
	if (value >> condition->selector.length) {
		complain(m, "multiplexor_value", "%lld does not fit into %u bits", (long long)value,
			condition->selector.length);
	} else if (fits(m, entry, &condition->selector, "multiplexor_start_bit")) {
		entry->conditions = condition;
		entry->n_conditions = 1;
	}
}

static void make_placed(struct making *m, struct table_condition *condition,
	struct dbc_range *range, struct table_entry *entry)
{
	const union scg_value *options = m->sensor->options;

	if (options[SENSOR_PGN].i >= 0) {
		entry->kind = TABLE_GROUP;
		entry->id = (uint32_t)options[SENSOR_PGN].i;
		entry->j1939 = true;
		entry->source = options[SENSOR_SOURCE].i >= 0 ? (int32_t)options[SENSOR_SOURCE].i
							      : TABLE_ANY_SOURCE;
	} else if (options[SENSOR_ID].i >= 0) {
		entry->id = (uint32_t)options[SENSOR_ID].i;
		entry->kind = options[SENSOR_EXTENDED].i || entry->id > CAN_SFF_MASK
				      ? TABLE_EXTENDED
				      : TABLE_STANDARD;
	} else {
		complain(m, NULL,
			"which value? message and signal name one of the bus's dbc; id or pgn with "
			"start_bit and length do it without");
		return;
	}
	check_identity(m, entry);
	make_layout(m, entry);
	make_multiplexor(m, condition, range, entry);
}

int wanted_make(const struct scg_bus *bus, wanted_problem *problem, struct wanted *ret_wanted)
{
	struct wanted *w = ret_wanted;
	struct making m = {.bus = bus, .problem = problem, .wanted = w};
	uint32_t n = bus->n_sensors;
	int r;

	*w = (struct wanted){0};
	w->entries = calloc(n + 1u, sizeof(*w->entries)); /* never of nothing */
	w->conditions = calloc(n + 1u, DBC_MAX_DEPTH * sizeof(*w->conditions));
	w->ranges = calloc(n + 1u, sizeof(*w->ranges));
	if (!w->entries || !w->conditions || !w->ranges) {
		return -ENOMEM;
	}
	r = load_dbc(&m);
	for (uint32_t i = 0; i < n; i++) {
		const union scg_value *options = bus->sensors[i]->options;
		struct table_condition *conditions = &w->conditions[(size_t)i * DBC_MAX_DEPTH];
		struct table_entry *entry = &w->entries[i];

		m.sensor = bus->sensors[i];
		if (options[SENSOR_MESSAGE].s || options[SENSOR_SIGNAL].s) {
			make_named(&m, conditions, entry);
		} else {
			make_placed(&m, conditions, &w->ranges[i], entry);
		}
	}
	w->n = n;
	return r < 0 ? r : m.failed ? -EINVAL : 0;
}

void wanted_clear(struct wanted *w)
{
	dbc_free(w->dbc);
	free(w->entries);
	free(w->conditions);
	free(w->ranges);
	*w = (struct wanted){0};
}
