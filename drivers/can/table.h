/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAN_TABLE_H
#define CAN_TABLE_H

/*
 * From a frame to the values of the sensors that are in it. Made once from all that is configured;
 * after that nothing is allocated, and a frame costs a lookup and its signals. A struct table does
 * not change once made.
 */

#include <stdbool.h>
#include <stdint.h>

#include "dbc.h"
#include "decode.h"

#define TABLE_ANY_SOURCE (-1)

/* By what a message is known. */
enum table_kind {
	TABLE_STANDARD, /* an identifier of 11 bits */
	TABLE_EXTENDED, /* of 29 bits */
	TABLE_GROUP     /* a parameter group of SAE J1939, in a frame or in several */
};

/* The signal is there only when another one, the selector, has a value in one of the ranges. */
struct table_condition {
	struct decode_layout selector;  /* no float */
	const struct dbc_range *ranges; /* must live as long as the table */
	uint32_t n_ranges;
};

/* A signal that somebody wants. */
struct table_entry {
	uint32_t kind;  /* enum table_kind */
	uint32_t id;    /* or the PGN */
	int32_t source; /* TABLE_GROUP: the address, or TABLE_ANY_SOURCE */
	bool j1939;     /* tell data from "not available" and the like */
	struct decode_layout layout;
	const struct table_condition *conditions; /* all of which must hold */
	uint32_t n_conditions;
	void *owner; /* whose it is */
};

/* One signal of a message: a value, or why there is none; then `value` is 0. */
typedef void table_report(void *ctx, void *owner, enum decode_meaning meaning, double value);

/*
 * The entry for a signal of a DBC file, from any source; it needs room for its conditions, which
 * must stay there until the table is made.
 */
void table_entry_of(const struct dbc_message *message, const struct dbc_signal *signal,
	struct table_condition conditions[DBC_MAX_DEPTH], struct table_entry *ret_entry);

struct table; /* opaque */

/* 0, -ENOMEM, or -EINVAL if there is a layout that cannot be. */
int table_new(const struct table_entry *entries, uint32_t n_entries, struct table **ret_table);
void table_free(struct table *table);

/*
 * A frame, `can_id` with its flags; `data` has DECODE_PADDING behind `size` bytes. How many signals
 * of it were reported: a signal whose conditions do not hold is not there, and not reported.
 */
uint32_t table_frame(const struct table *table, uint32_t can_id, const uint8_t *data, uint32_t size,
	table_report *report, void *ctx);
/* The same with a message that was put together from several frames. */
uint32_t table_group(const struct table *table, uint32_t pgn, uint8_t source, const uint8_t *data,
	uint32_t size, table_report *report, void *ctx);

#endif
