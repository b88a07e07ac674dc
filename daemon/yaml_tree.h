/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_YAML_TREE_H
#define SCG_YAML_TREE_H

/*
 * A YAML file as a tree that remembers where everything stood, and the list of problems found in
 * it. Knows nothing of the gateway. The only file that knows libyaml. One thread at a time.
 *
 * Limits: a file of 16 MiB, a depth of 16, a million nodes. Refused, each with its place: a second
 * document, anchors with aliases, merge keys (<<), duplicate keys, keys that are not plain text,
 * tabs for indentation, bytes that are not UTF-8.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util.h"

enum yaml_kind { YAML_KIND_SCALAR, YAML_KIND_SEQUENCE, YAML_KIND_MAPPING };

struct yaml_pair;

struct yaml_node {
	uint8_t kind;    /* enum yaml_kind */
	bool quoted;     /* a scalar in quotes: text, never a number or a boolean */
	bool is_null;    /* an empty plain scalar, ~ or null */
	uint32_t line;   /* from 1 */
	uint32_t column; /* from 1, in characters */
	uint32_t n;      /* items or pairs */
	union {
		const char *text;         /* scalar */
		struct yaml_node **items; /* sequence */
		struct yaml_pair *pairs;  /* mapping, in the order of the file */
	};
};

struct yaml_pair {
	const char *key;
	uint32_t line, column; /* of the key */
	struct yaml_node *value;
};

/* Where something stands in the file. */
struct place {
	uint32_t line, column; /* 0: the file as a whole */
};

static inline struct place place_of(const struct yaml_node *node)
{
	return node ? (struct place){node->line, node->column} : (struct place){0, 0};
}

static inline struct place place_of_key(const struct yaml_pair *pair)
{
	return (struct place){pair->line, pair->column};
}

/*
 * Problems of a file, in the order found; sorted by place when printed. A thousand are kept, the
 * others only counted.
 */
struct problem {
	uint32_t line, column; /* 0: the file as a whole */
	uint32_t order;        /* of discovery, for those at one place */
	bool is_warning;
	char *text; /* "where: key: what is wrong, what is allowed" */
};

struct problems {
	char *file; /* as the user named it */
	struct problem *list;
	size_t n, capacity;
	size_t n_errors, n_warnings; /* all that were found, kept or not */
};

void problems_init(struct problems *p, const char *file);
void problems_clear(struct problems *p);
/* `node` may be NULL: the file as a whole. */
void problems_error(struct problems *p, const struct yaml_node *node, const char *format, ...)
	_printf_(3, 4);
void problems_warning(struct problems *p, const struct yaml_node *node, const char *format, ...)
	_printf_(3, 4);
void problems_add(struct problems *p, uint32_t line, uint32_t column, bool is_warning,
	const char *format, va_list args) _printf_(5, 0);
/*
 * "where: key: text". Where `where` ends with a full stop, the key is joined to it: "platform:
 * tls." and "ca_file" make "platform: tls.ca_file"; `where` may be empty, `key` NULL.
 */
void problems_complain(struct problems *p, bool is_warning, struct place place, const char *where,
	const char *key, const char *format, ...) _printf_(6, 7);
/*
 * Text from outside as it may stand in a message: what begins as a number as it is, all else in
 * quotes,
 * cut short. Writes into `buf` and returns it.
 */
#define TEXT_SHOW_MAX 96
char *text_show(char buf[TEXT_SHOW_MAX], const char *text);
/* Makes text fit for terminals and logs: control characters become '?', more than a line is cut. */
void text_clean(char *text);
/* Sorts by line and column. Then each is "FILE:LINE:COLUMN: [warning: ]text". */
void problems_sort(struct problems *p);
/* Text of problem `i` as it is shown, to be freed by the caller. */
char *problems_format(const struct problems *p, size_t i);

struct yaml_tree;

/* The largest file, in bytes. */
#define YAML_FILE_MAX ((size_t)16 << 20)

/*
 * Reads `file`. NULL with problems noted if it cannot be read or is no YAML; duplicate keys and the
 * like are noted and the tree is still returned, so that one run shows as much as possible.
 */
struct yaml_tree *yaml_tree_load(const char *file, struct problems *problems);
/* The same from memory. */
struct yaml_tree *yaml_tree_parse(const char *text, size_t size, struct problems *problems);
void yaml_tree_free(struct yaml_tree *tree);
DEFINE_CLEANUP(struct yaml_tree *, yaml_tree_free)

/* The root: always a mapping (anything else is a problem and yields NULL from load). */
const struct yaml_node *yaml_tree_root(const struct yaml_tree *tree);
/* The pair of that key, or NULL. */
const struct yaml_pair *yaml_find(const struct yaml_node *mapping, const char *key);
/* A hash over content, not over places: equal for equal configuration. */
uint64_t yaml_hash(uint64_t hash, const struct yaml_node *node);

#endif
