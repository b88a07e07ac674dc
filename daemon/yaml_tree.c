/* SPDX-License-Identifier: Apache-2.0 */
#include "yaml_tree.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

#include "arena.h"

#define NODES_MAX 1000000u
#define DEPTH_MAX 16

struct yaml_tree {
	struct arena *arena;
	struct yaml_node *root;
};

/* A list or mapping that is being read. */
struct frame {
	struct yaml_node *node;
	size_t first;          /* its first entry in `entries` */
	bool have_key;         /* mapping: the key was read, the value is next */
	struct yaml_pair pair; /* that key; NULL if the pair is to be left out */
};

struct reader {
	yaml_parser_t parser;
	const char *text;
	size_t size;
	struct problems *problems;
	struct arena *arena;
	struct yaml_node *root;
	uint32_t n_nodes;
	bool document_ended;
	unsigned depth;
	struct frame frames[DEPTH_MAX];
	/* the finished entries of all open frames, the innermost last; of a list only the value */
	struct yaml_pair *entries;
	size_t n_entries, capacity;
};

static struct place place_of_mark(const yaml_mark_t *mark)
{
	return (struct place){(uint32_t)mark->line + 1, (uint32_t)mark->column + 1};
}

/* Line and column of a byte of the text, for the errors for which libyaml does not know them. */
static struct place place_of_offset(const struct reader *r, size_t offset)
{
	struct place place = {1, 1};

	for (size_t i = 0; i < MIN(offset, r->size); i++) {
		if (r->text[i] == '\n') {
			place.line++;
			place.column = 1;
		} else if (((unsigned char)r->text[i] & 0xc0) != 0x80) {
			place.column++;
		}
	}
	return place;
}

/* Is there a tab among the blanks that the line begins with? */
static bool is_indented_by_tab(const struct reader *r, uint32_t line)
{
	const char *p = r->text;
	const char *end = r->text + r->size;

	for (uint32_t i = 1; p && i < line; i++) {
		p = memchr(p, '\n', (size_t)(end - p));
		p = p ? p + 1 : NULL;
	}
	while (p && p < end && *p == ' ') {
		p++;
	}
	return p && p < end && *p == '\t';
}

/* libyaml's words for the mistakes that people make most, and ours. */
static const char *explain(const char *problem)
{
	static const struct {
		const char *theirs, *ours;
	} table[] = {
		{"mapping values are not allowed in this context",
			"no \": \" is allowed here; the line before lacks one, the indentation is "
			"wrong, or text with \": \" in it needs quotes"},
		{"did not find expected key",
			"this does not fit what stands above it; look at the indentation"},
		{"did not find expected '-' indicator",
			"this does not fit the list above it; look at the indentation and the \"- \""},
		{"could not find expected ':'", "a key without \": \" after it"},
		{"found character that cannot start any token",
			"text that begins with this character needs quotes"},
		{"found unexpected end of stream", "a quote or a bracket that is not closed"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (strcmp(problem, table[i].theirs) == 0) {
			return table[i].ours;
		}
	}
	return problem;
}

static void note_parser_error(struct reader *r)
{
	const yaml_parser_t *parser = &r->parser;
	const char *problem = parser->problem ? parser->problem : "unknown error";
	struct place place;

	if (parser->error == YAML_READER_ERROR) {
		size_t offset = parser->problem_offset;

		/* the character is at fault, not the byte in it where that shows */
		while (strstr(problem, "trailing") && offset > 0 &&
			((unsigned char)r->text[MIN(offset, r->size - 1)] & 0xc0) != 0xc0) {
			offset--;
		}
		place = place_of_offset(r, offset);
		if (strstr(problem, "control characters")) {
			problems_complain(r->problems, false, place, "", NULL,
				"control character U+%04X, expected text",
				(unsigned)parser->problem_value);
		} else {
			problems_complain(r->problems, false, place, "", NULL,
				"not UTF-8, expected a text file in UTF-8");
		}
		return;
	}
	place = place_of_mark(&parser->problem_mark);
	if (strstr(problem, "tab character") || is_indented_by_tab(r, place.line)) {
		problems_complain(r->problems, false, place, "", NULL,
			"a tab in the indentation, YAML allows only spaces there");
		return;
	}
	problems_complain(
		r->problems, false, place, "", NULL, "not valid YAML: %s", explain(problem));
}

/* Where the innermost mapping is, as problems_complain() wants it: "devices[0] sensors[2]:
 * options."
 */
static char *describe_path(const struct reader *r)
{
	unsigned n_where = 1; /* frames that name the place; the keys below are joined by stops */
	char *path = xstrdup("");

	for (unsigned i = 0; i + 1 < r->depth; i++) {
		if (r->frames[i].node->kind == YAML_KIND_SEQUENCE) {
			n_where = i + 1;
		}
	}
	for (unsigned i = 0; i + 1 < r->depth; i++) {
		const struct frame *frame = &r->frames[i];
		_cleanup_(freep) char *before = path;
		const char *join = i == 0 ? "" : i < n_where ? " " : i == n_where ? ": " : "";

		if (frame->node->kind == YAML_KIND_SEQUENCE) {
			path = xasprintf("%s[%zu]", before, r->frames[i + 1].first - frame->first);
		} else {
			path = xasprintf("%s%s%s%s", before, join,
				frame->pair.key ? frame->pair.key : "?", i >= n_where ? "." : "");
		}
	}
	return path;
}

static int compare_keys(const void *a, const void *b)
{
	const struct yaml_pair *x = *(struct yaml_pair *const *)a;
	const struct yaml_pair *y = *(struct yaml_pair *const *)b;
	int order = strcmp(x->key, y->key);

	return order ? order : x < y ? -1 : x > y;
}

static void note_duplicate_keys(struct reader *r, const struct yaml_node *mapping)
{
	_cleanup_(freep) struct yaml_pair **sorted = NULL;

	if (mapping->n < 2) {
		return;
	}
	sorted = xreallocarray(NULL, mapping->n, sizeof(struct yaml_pair *));
	for (uint32_t i = 0; i < mapping->n; i++) {
		sorted[i] = &mapping->pairs[i];
	}
	qsort(sorted, mapping->n, sizeof(struct yaml_pair *), compare_keys);
	for (uint32_t i = 1; i < mapping->n; i++) {
		if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0) {
			_cleanup_(freep) char *where = describe_path(r);

			problems_complain(r->problems, false, place_of_key(sorted[i]), where,
				sorted[i]->key, "given twice, first in line %u",
				sorted[i - 1]->line);
		}
	}
}

static struct yaml_node *node_new(struct reader *r, enum yaml_kind kind, const yaml_event_t *event)
{
	struct place place = place_of_mark(&event->start_mark);
	struct yaml_node *node;

	if (++r->n_nodes > NODES_MAX) {
		problems_complain(r->problems, false, place, "", NULL,
			"too large: more than %u values", NODES_MAX);
		return NULL;
	}
	node = arena_alloc(r->arena, sizeof(*node));
	node->kind = (uint8_t)kind;
	node->line = place.line;
	node->column = place.column;
	return node;
}

static struct frame *innermost(struct reader *r)
{
	return r->depth ? &r->frames[r->depth - 1] : NULL;
}

static bool expects_key(struct reader *r)
{
	const struct frame *frame = innermost(r);

	return frame && frame->node->kind == YAML_KIND_MAPPING && !frame->have_key;
}

/* Puts a finished value where it belongs. NULL: leaves it out; the reason has been noted. */
static void attach(struct reader *r, struct yaml_node *node)
{
	struct frame *frame = innermost(r);
	struct yaml_pair entry = {.value = node};

	if (!frame) {
		r->root = node;
		return;
	}
	if (frame->node->kind == YAML_KIND_MAPPING) {
		entry = frame->pair;
		entry.value = node;
		frame->have_key = false;
		if (!entry.key) {
			return;
		}
	}
	if (node) {
		GROW(r->entries, r->n_entries, r->capacity);
		r->entries[r->n_entries++] = entry;
	}
}

static int begin_collection(struct reader *r, enum yaml_kind kind, const yaml_event_t *event)
{
	struct place place = place_of_mark(&event->start_mark);
	struct yaml_node *node;

	if (expects_key(r)) {
		problems_complain(r->problems, false, place, "", NULL,
			"a key must be plain text; text with { or [ in it needs quotes");
		return -EINVAL;
	}
	if (r->depth == DEPTH_MAX) {
		problems_complain(r->problems, false, place, "", NULL,
			"nested deeper than %d levels", DEPTH_MAX);
		return -EINVAL;
	}
	node = node_new(r, kind, event);
	if (!node) {
		return -EINVAL;
	}
	r->frames[r->depth++] = (struct frame){.node = node, .first = r->n_entries};
	return 0;
}

static void end_collection(struct reader *r)
{
	struct frame *frame = innermost(r);
	struct yaml_node *node = frame->node;
	const struct yaml_pair *entries;

	node->n = (uint32_t)(r->n_entries - frame->first);
	entries = node->n > 0 ? &r->entries[frame->first] : NULL;
	if (node->kind == YAML_KIND_MAPPING) {
		node->pairs = arena_array(r->arena, node->n, sizeof(*node->pairs));
		if (node->n > 0) {
			memcpy(node->pairs, entries, node->n * sizeof(*node->pairs));
		}
		note_duplicate_keys(r, node);
	} else {
		node->items = arena_array(r->arena, node->n, sizeof(*node->items));
		for (uint32_t i = 0; i < node->n; i++) {
			node->items[i] = entries[i].value;
		}
	}
	r->n_entries = frame->first;
	r->depth--;
	attach(r, node);
}

/* The text of a scalar, or NULL with a problem noted. */
static const char *scalar_text(struct reader *r, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t length = event->data.scalar.length;

	if (memchr(text, '\0', length)) {
		problems_complain(r->problems, false, place_of_mark(&event->start_mark), "", NULL,
			"text must not contain a NUL character");
		return NULL;
	}
	return arena_strndup(r->arena, text, length);
}

static int read_scalar(struct reader *r, const yaml_event_t *event)
{
	bool quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	struct place place = place_of_mark(&event->start_mark);
	const char *text = scalar_text(r, event);
	struct frame *frame = innermost(r);
	struct yaml_node *node;

	if (expects_key(r)) {
		if (text && !quoted && strcmp(text, "<<") == 0) {
			problems_complain(r->problems, false, place, "", NULL,
				"merge keys (<<) are not supported, use \"defaults\" of a device");
			text = NULL;
		}
		frame->have_key = true;
		frame->pair = (struct yaml_pair){text, place.line, place.column, NULL};
		return 0;
	}
	node = node_new(r, YAML_KIND_SCALAR, event);
	if (!node) {
		return -EINVAL;
	}
	node->text = text;
	node->quoted = quoted;
	node->is_null = text && !quoted &&
			(text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
	attach(r, text ? node : NULL);
	return 0;
}

/* Anchors, aliases and tags: what YAML can do and a configuration should not. */
static void note_extras(struct reader *r, const yaml_event_t *event)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;
	const char *what = NULL;

	if (event->type == YAML_ALIAS_EVENT) {
		what = "aliases (*name) are not supported, text that begins with * needs quotes";
	} else if (event->type == YAML_SCALAR_EVENT) {
		anchor = event->data.scalar.anchor;
		tag = event->data.scalar.tag;
	} else if (event->type == YAML_SEQUENCE_START_EVENT) {
		anchor = event->data.sequence_start.anchor;
		tag = event->data.sequence_start.tag;
	} else if (event->type == YAML_MAPPING_START_EVENT) {
		anchor = event->data.mapping_start.anchor;
		tag = event->data.mapping_start.tag;
	}
	if (anchor) {
		what = "anchors (&name) are not supported, text that begins with & needs quotes";
	} else if (tag) {
		what = "tags (!name) are not supported, text that begins with ! needs quotes";
	}
	if (what) {
		problems_complain(r->problems, false, place_of_mark(&event->start_mark), "", NULL,
			"%s", what);
	}
}

static void read_alias(struct reader *r)
{
	if (expects_key(r)) {
		innermost(r)->have_key = true;
		innermost(r)->pair = (struct yaml_pair){0};
	} else {
		attach(r, NULL);
	}
}

/* 1: that was the last event, 0: go on, -EINVAL: there is no sense in going on. */
static int read_event(struct reader *r, const yaml_event_t *event)
{
	note_extras(r, event);
	switch (event->type) {
	case YAML_STREAM_END_EVENT:
		return 1;
	case YAML_DOCUMENT_START_EVENT:
		if (r->document_ended) {
			problems_complain(r->problems, false, place_of_mark(&event->start_mark), "",
				NULL, "a second document begins here, expected only one");
			return 1;
		}
		return 0;
	case YAML_DOCUMENT_END_EVENT:
		r->document_ended = true;
		return 0;
	case YAML_ALIAS_EVENT:
		read_alias(r);
		return 0;
	case YAML_SCALAR_EVENT:
		return read_scalar(r, event);
	case YAML_SEQUENCE_START_EVENT:
		return begin_collection(r, YAML_KIND_SEQUENCE, event);
	case YAML_MAPPING_START_EVENT:
		return begin_collection(r, YAML_KIND_MAPPING, event);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		end_collection(r);
		return 0;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
		break;
	}
	return 0;
}

static int read_events(struct reader *r)
{
	int done = 0;

	while (done == 0) {
		_cleanup_(yaml_event_delete) yaml_event_t event = {0};

		if (!yaml_parser_parse(&r->parser, &event)) {
			note_parser_error(r);
			return -EINVAL;
		}
		done = read_event(r, &event);
	}
	return done < 0 ? done : 0;
}

static int check_root(struct reader *r)
{
	if (!r->root || r->root->is_null) {
		problems_complain(r->problems, false, (struct place){1, 1}, "", NULL,
			"the file is empty, expected keys such as \"platform\" and \"devices\"");
		return -EINVAL;
	}
	if (r->root->kind != YAML_KIND_MAPPING) {
		problems_complain(r->problems, false, place_of(r->root), "", NULL,
			"expected a mapping (\"key: value\" lines) with keys such as \"platform\" "
			"and \"devices\"");
		return -EINVAL;
	}
	return 0;
}

struct yaml_tree *yaml_tree_parse(const char *text, size_t size, struct problems *problems)
{
	static const char bom[] = "\xef\xbb\xbf";
	_cleanup_(arena_freep) struct arena *arena = arena_new();
	struct reader r = {.text = text, .size = size, .problems = problems, .arena = arena};
	struct yaml_tree *tree;
	int result;

	if (size > YAML_FILE_MAX) {
		problems_error(problems, NULL, "too large, at most 16 MiB");
		return NULL;
	}
	if (size >= sizeof(bom) - 1 && memcmp(text, bom, sizeof(bom) - 1) == 0) {
		r.text += sizeof(bom) - 1;
		r.size -= sizeof(bom) - 1;
	}
	if (!yaml_parser_initialize(&r.parser)) {
		problems_error(problems, NULL, "out of memory");
		return NULL;
	}
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)r.text, r.size);
	result = read_events(&r);
	yaml_parser_delete(&r.parser);
	free(r.entries);
	if (result < 0 || check_root(&r) < 0) {
		return NULL;
	}
	tree = arena_alloc(arena, sizeof(*tree));
	tree->root = r.root;
	tree->arena = steal_ptr(arena);
	return tree;
}

void yaml_tree_free(struct yaml_tree *tree)
{
	if (tree) {
		arena_free(tree->arena);
	}
}

const struct yaml_node *yaml_tree_root(const struct yaml_tree *tree)
{
	return tree->root;
}
