/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAN_DBC_H
#define CAN_DBC_H

/*
 * DBC files: which messages are on a CAN bus, and which signals are in them. A parser of our own,
 * because the file comes from anywhere: it has limits for everything, says what is wrong in the
 * form of a compiler, and goes on behind it. It knows nothing of sockets and sensors.
 *
 * What is understood: messages, signals, multiplexing (simple and extended), IEEE floats, value
 * tables, comments, long names, and the attributes for frame format, cycle time and SPN. All else
 * is passed over. Text is UTF-8, whatever the file was.
 *
 * An error is something that is left out of the result; a warning is something that is in it and
 * deserves a look. Neither ends the reading. A struct dbc does not change once made, and any
 * thread may read it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decode.h"

#define DBC_MAX_FILE         (16u << 20) /* bytes */
#define DBC_MAX_MESSAGES     20000u
#define DBC_MAX_SIGNALS      200000u /* in the file */
#define DBC_MAX_SIGNALS_EACH 4096u   /* in a message */
#define DBC_MAX_VALUES       65536u  /* in a value table */
#define DBC_MAX_RANGES       1024u   /* of multiplexor values of a signal */
#define DBC_MAX_NAME         255u    /* bytes of a name */
#define DBC_MAX_TEXT         65536u  /* bytes of a string */
#define DBC_MAX_SIZE         1785u   /* bytes of a message: SAE J1939-21, 255 packets of 7 */
#define DBC_MAX_DEPTH        8u      /* of multiplexors that select multiplexors */
#define DBC_MAX_PROBLEMS     100u    /* reported */

/* What a value means, by its raw value. */
struct dbc_value {
	int64_t raw; /* of an unsigned signal of 64 bits: the same bits */
	const char *text;
};

/* Values of a multiplexor, both inclusive. */
struct dbc_range {
	uint64_t first, last;
};

struct dbc_signal {
	const char *name;       /* the long one where there is one */
	const char *short_name; /* as it stands at SG_ */
	const char *unit;       /* "" if none */
	const char *comment;    /* NULL if none */
	struct decode_layout layout;
	double min, max; /* of the value; 0 and 0: not said */
	bool is_switch;  /* a multiplexor: its raw value selects other signals */
	const struct dbc_signal *selected_by; /* NULL: always there */
	const struct dbc_range *ranges;       /* values of selected_by with which it is there */
	const struct dbc_value *values;
	uint32_t n_ranges, n_values;
	uint32_t spn;  /* SAE J1939 suspect parameter number; 0: not said */
	uint32_t line; /* where in the file */
};

struct dbc_message {
	const char *name;       /* the long one where there is one */
	const char *short_name; /* as it stands at BO_ */
	const char *comment;    /* NULL if none */
	struct dbc_signal *signals;
	uint32_t n_signals;
	uint32_t id; /* 11 or 29 bits, without flags */
	uint32_t line;
	uint32_t cycle_ms; /* 0: not said */
	uint16_t size;     /* bytes */
	bool extended;     /* 29 bits */
	bool fd;           /* CAN FD */
	bool j1939;        /* a parameter group: priority and source are not part of its identity */
};

struct dbc; /* opaque but for the functions below */

/* Something wrong in the file. `text` has neither file nor line in it. */
typedef void dbc_problem(
	void *ctx, bool is_error, const char *file, uint32_t line, const char *text);

/*
 * Reads a file, or text; `file` is for messages. Errors and warnings go to `problem`. 0 with the
 * result; -ENOMEM; -EFBIG beyond a limit of the whole, told; -EBADMSG if it is no DBC file (not
 * text, or nothing in it that could be read), told; from dbc_load() also what open() and read()
 * say, not told.
 */
int dbc_load(const char *file, dbc_problem *problem, void *ctx, struct dbc **ret_dbc);
int dbc_parse(const char *file, const void *bytes, size_t size, dbc_problem *problem, void *ctx,
	struct dbc **ret_dbc);
void dbc_free(struct dbc *dbc);

/* All messages, by identifier, the standard ones first. */
const struct dbc_message *dbc_messages(const struct dbc *dbc, uint32_t *ret_n);

/* By name, long or short; NULL if there is none. */
const struct dbc_message *dbc_find_message(const struct dbc *dbc, const char *name);
const struct dbc_signal *dbc_find_signal(const struct dbc_message *message, const char *name);

/* The text of a raw value; NULL if it has none. */
const char *dbc_value_text(const struct dbc_signal *signal, int64_t raw);

#endif
