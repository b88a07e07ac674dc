/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAN_DBC_PRIVATE_H
#define CAN_DBC_PRIVATE_H

/*
 * What a DBC file is while it is read, between dbc_parser.c, which knows the statements and reads
 * messages, dbc_signal.c, which reads signals, dbc_details.c and dbc_attributes.c, which add to
 * them, dbc_check.c, which looks at the whole, and dbc_finish.c, which makes the result. A
 * statement that is not understood leaves no trace.
 */

#include "dbc.h"
#include "dbc_lexer.h"
#include "pool.h"

#define DBC_NONE     UINT32_MAX
#define DBC_EXTENDED (UINT32_C(1) << 31) /* in the identifier at BO_: 29 bits */
#define DBC_ID_MASK  UINT32_C(0x1fffffff)
/* VECTOR__INDEPENDENT_SIG_MSG: signals that are in no message */
#define DBC_ORPHANS    UINT32_C(0xc0000000)
#define DBC_MAX_FORMAT 64u /* names of frame formats */

/* Attribute VFrameFormat, as far as it matters here. */
enum dbc_format { DBC_FORMAT_UNSAID, DBC_FORMAT_PLAIN, DBC_FORMAT_FD, DBC_FORMAT_J1939 };

struct dbc_draft_signal {
	struct dbc_signal signal; /* but selected_by */
	const char *long_name;
	uint32_t message;     /* index */
	uint32_t selected_by; /* index of a signal of the same message, or DBC_NONE */
	uint64_t page;        /* with `paged` */
	bool paged;           /* m followed by a number */
	bool explained;       /* SG_MUL_VAL_ said by what and when */
	bool dropped;         /* an error: not in the result */
};

struct dbc_draft_message {
	struct dbc_message message; /* but signals */
	const char *long_name;
	uint32_t first; /* index of the first signal */
	bool has_cycle;
	uint8_t format; /* enum dbc_format */
};

struct dbc_table {
	const char *name;
	const struct dbc_value *values;
	uint32_t n_values;
};

/* A multimap from keys to indices: entries of one key are told apart by the caller. */
struct dbc_map {
	struct dbc_map_entry *entries; /* a power of two, or none */
	uint32_t capacity, n;
};

struct dbc_parser {
	struct dbc_lexer lexer;
	struct pool pool; /* all that goes into the result */
	struct dbc_draft_message *messages;
	struct dbc_draft_signal *signals; /* those of a message are neighbours */
	struct dbc_table *tables;
	uint32_t n_messages, n_signals, n_tables;
	uint32_t messages_capacity, signals_capacity, tables_capacity;
	struct dbc_map message_ids, signal_names, table_names;
	uint32_t current;       /* message that SG_ belongs to, or DBC_NONE: none, its signals go */
	bool in_message;        /* behind BO_, be it good or not */
	bool is_j1939;          /* attribute ProtocolType of the file */
	uint8_t default_format; /* of messages for which nothing is said */
	uint32_t default_cycle_ms;
	uint8_t formats[DBC_MAX_FORMAT]; /* meaning of the numbers of VFrameFormat */
	uint32_t n_formats;
};

/* dbc_map.c */
struct dbc_map_entry {
	uint64_t key;
	uint32_t index; /* plus one, 0: free */
};
uint64_t dbc_map_key(uint32_t number, const char *text, size_t size);
/* 0 or -ENOMEM. */
int dbc_map_add(struct dbc_map *map, uint64_t key, uint32_t index);
/* The entries of a key one after the other: begin with *cursor 0; DBC_NONE at the end. */
uint32_t dbc_map_next(const struct dbc_map *map, uint64_t key, uint32_t *cursor);
void dbc_map_free(struct dbc_map *map);

/* dbc_parser.c */
/* The array with room for one more element; NULL when memory is short, and then it stays as it is.
 */
void *dbc_grow(struct dbc_parser *p, void *array, uint32_t n, uint32_t *capacity, size_t size);
/* A word as text in the pool; NULL when memory is short. */
char *dbc_keep_word(struct dbc_parser *p, struct dbc_word word);
/* Index, or DBC_NONE. `id` as in the file, with bit 31. */
uint32_t dbc_message_by_id(const struct dbc_parser *p, uint32_t id);
uint32_t dbc_signal_by_name(const struct dbc_parser *p, uint32_t message, struct dbc_word name);
/* Whether a statement begins at the word that comes next; takes nothing. */
bool dbc_is_statement_next(const struct dbc_lexer *l);
/* The end of a statement, which some files forget. */
bool dbc_take_end(struct dbc_lexer *l);

/* dbc_signal.c: SG_, behind BO_ */
bool dbc_read_signal(struct dbc_parser *p);

/* dbc_details.c: statements that add to what is there; false if one was not understood. */
bool dbc_read_comment(struct dbc_parser *p);
bool dbc_read_values(struct dbc_parser *p);
bool dbc_read_table(struct dbc_parser *p);
bool dbc_read_value_type(struct dbc_parser *p);
bool dbc_read_multiplexing(struct dbc_parser *p);
/*
 * The identifier of a message, or that and the name of a signal of it. False if these are not what
 * comes next. The index is DBC_NONE if there is no such message or signal: told, unless it was left
 * out before or belongs to none.
 */
bool dbc_take_message(struct dbc_parser *p, uint32_t *ret_message);
bool dbc_take_signal(struct dbc_parser *p, uint32_t *ret_signal);

/* dbc_attributes.c */
bool dbc_read_attribute(struct dbc_parser *p);
bool dbc_read_definition(struct dbc_parser *p);
bool dbc_read_default(struct dbc_parser *p);

/* dbc_finish.c: 0 or -ENOMEM; takes the pool. */
int dbc_finish(struct dbc_parser *p, struct dbc **ret_dbc);
/* dbc_check.c: multiplexing put together, and what cannot be right told. */
void dbc_check(struct dbc_parser *p);

#endif
