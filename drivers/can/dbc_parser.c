/* SPDX-License-Identifier: Apache-2.0 */
#include "dbc_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/*
 * The statements. The order is the one of the format's description, and nobody keeps to it. Those
 * without a function end with a semicolon and are of no use here.
 */
static bool read_nothing(struct dbc_parser *p);
static bool read_symbols(struct dbc_parser *p);
static bool read_nodes(struct dbc_parser *p);
static bool read_version(struct dbc_parser *p);
static bool read_message(struct dbc_parser *p);

static const struct {
	const char *word;
	bool (*read)(struct dbc_parser *p);
} statements[] = {
	{"SG_", dbc_read_signal},
	{"BO_", read_message},
	{"CM_", dbc_read_comment},
	{"VAL_", dbc_read_values},
	{"BA_", dbc_read_attribute},
	{"SG_MUL_VAL_", dbc_read_multiplexing},
	{"SIG_VALTYPE_", dbc_read_value_type},
	{"VAL_TABLE_", dbc_read_table},
	{"BA_DEF_", dbc_read_definition},
	{"BA_DEF_DEF_", dbc_read_default},
	{"VERSION", read_version},
	{"NS_", read_symbols},
	{"BS_", read_nothing},
	{"BU_", read_nodes},
	{"BA_DEF_DEF_REL_", NULL},
	{"BA_DEF_REL_", NULL},
	{"BA_DEF_SGTYPE_", NULL},
	{"BA_REL_", NULL},
	{"BA_SGTYPE_", NULL},
	{"BO_TX_BU_", NULL},
	{"BU_BO_REL_", NULL},
	{"BU_EV_REL_", NULL},
	{"BU_SG_REL_", NULL},
	{"CAT_", NULL},
	{"CAT_DEF_", NULL},
	{"ENVVAR_DATA_", NULL},
	{"EV_", NULL},
	{"EV_DATA_", NULL},
	{"FILTER", NULL},
	{"NS_DESC_", NULL},
	{"SGTYPE_", NULL},
	{"SGTYPE_VAL_", NULL},
	{"SIGTYPE_VALTYPE_", NULL},
	{"SIG_GROUP_", NULL},
	{"SIG_TYPE_REF_", NULL},
};
#define N_STATEMENTS (sizeof(statements) / sizeof(statements[0]))

/* Index in `statements`, or N_STATEMENTS. */
static size_t find_statement(struct dbc_word word)
{
	size_t i = 0;

	if (word.at[0] < 'A' || word.at[0] > 'V') {
		return N_STATEMENTS; /* most words of a file */
	}
	while (i < N_STATEMENTS && !dbc_word_is(word, statements[i].word)) {
		i++;
	}
	return i;
}

bool dbc_is_statement_next(const struct dbc_lexer *l)
{
	struct dbc_lexer ahead = *l;
	struct dbc_word word;

	return dbc_try_word(&ahead, &word) && find_statement(word) < N_STATEMENTS;
}

/* Beyond the semicolon, or to where the next statement begins on a line of its own. */
static void skip_statement(struct dbc_parser *p)
{
	struct dbc_lexer *l = &p->lexer;
	struct dbc_word word;
	const char *unused;

	while (l->failure == 0) {
		dbc_skip_blank(l);
		if (*l->at == '\0') {
			return;
		}
		if (*l->at == '"') {
			struct pool scratch = {0}, *kept = l->pool;

			l->pool = &scratch;
			(void)dbc_take_string(
				l, "a text", &unused); /* told, and gone on behind it */
			l->pool = kept;
			pool_free(&scratch);
		} else if (dbc_is_line_start(l) && dbc_is_statement_next(l)) {
			return;
		} else if (!dbc_try_word(l, &word) && *l->at++ == ';') {
			return;
		}
	}
}

bool dbc_take_end(struct dbc_lexer *l)
{
	if (dbc_try_char(l, ';')) {
		return true;
	}
	if (*l->at == '\0' || (dbc_is_line_start(l) && dbc_is_statement_next(l))) {
		dbc_warning(l, 0, "the statement before this has no ';' at its end");
		return true;
	}
	return dbc_take_char(l, ';');
}

void *dbc_grow(struct dbc_parser *p, void *array, uint32_t n, uint32_t *capacity, size_t size)
{
	uint32_t wider = *capacity ? 2 * *capacity : 64;
	void *grown = array;

	if (n >= *capacity) {
		grown = reallocarray(array, wider, size);
		*capacity = grown ? wider : *capacity;
	}
	if (!grown) {
		p->lexer.failure = -ENOMEM;
	}
	return grown;
}

char *dbc_keep_word(struct dbc_parser *p, struct dbc_word word)
{
	char *text = pool_text(&p->pool, word.at, word.size);

	if (!text) {
		p->lexer.failure = -ENOMEM;
	}
	return text;
}

uint32_t dbc_message_by_id(const struct dbc_parser *p, uint32_t id)
{
	uint32_t cursor = 0;

	return dbc_map_next(&p->message_ids, id, &cursor);
}

static bool is_called(const struct dbc_draft_signal *s, struct dbc_word name)
{
	return dbc_word_is(name, s->signal.short_name) ||
	       (s->signal.name && dbc_word_is(name, s->signal.name));
}

uint32_t dbc_signal_by_name(const struct dbc_parser *p, uint32_t message, struct dbc_word name)
{
	uint64_t key = dbc_map_key(message, name.at, name.size);
	uint32_t cursor = 0, i;

	do {
		i = dbc_map_next(&p->signal_names, key, &cursor);
	} while (i != DBC_NONE &&
		 (p->signals[i].message != message || !is_called(&p->signals[i], name)));
	return i;
}

/* The rest of the line. */
static bool read_nothing(struct dbc_parser *p)
{
	dbc_skip_line(&p->lexer);
	return true;
}

static bool read_version(struct dbc_parser *p)
{
	const char *version;

	return dbc_take_string(&p->lexer, "the version", &version);
}

/* The names of statements that follow NS_ are no statements: these begin where a word does not
   stand for itself. */
static bool read_symbols(struct dbc_parser *p)
{
	struct dbc_lexer *l = &p->lexer;
	struct dbc_lexer before;
	struct dbc_word word;

	if (!dbc_take_char(l, ':')) {
		return false;
	}
	for (before = *l; dbc_try_word(l, &word); before = *l) {
		if (dbc_word_is(word, "BS_") || dbc_word_is(word, "BU_") ||
			dbc_word_is(word, "BO_")) {
			break;
		}
	}
	*l = before;
	return true;
}

static bool read_nodes(struct dbc_parser *p)
{
	struct dbc_lexer *l = &p->lexer;
	struct dbc_word word;

	if (!dbc_take_char(l, ':')) {
		return false;
	}
	while (!dbc_is_statement_next(l) && (dbc_try_word(l, &word) || dbc_try_char(l, ','))) {
	}
	return true;
}

/* False if there is no such identifier. */
static bool check_id(struct dbc_lexer *l, uint64_t *id)
{
	if ((*id & DBC_EXTENDED) && (*id & ~DBC_EXTENDED) > DBC_ID_MASK) {
		dbc_error(l, 0, "message %" PRIu64 ": an identifier has 29 bits", *id);
		return false;
	}
	if (!(*id & DBC_EXTENDED) && *id > 0x7ff) {
		if (*id > DBC_ID_MASK) {
			dbc_error(l, 0, "message %" PRIu64 ": an identifier has 29 bits", *id);
			return false;
		}
		dbc_warning(l, 0,
			"message %" PRIu64
			": more than 11 bits, but not marked as extended (bit 31); taken as it",
			*id);
		*id |= DBC_EXTENDED;
	}
	return true;
}

static bool add_message(struct dbc_parser *p, uint32_t id, uint16_t size, struct dbc_word name)
{
	struct dbc_lexer *l = &p->lexer;
	uint32_t earlier = dbc_message_by_id(p, id);
	struct dbc_draft_message *m;
	void *grown;

	if (earlier != DBC_NONE) {
		dbc_error(l, 0, "message %.*s: %s in line %" PRIu32 " has the same identifier",
			(int)name.size, name.at, p->messages[earlier].message.short_name,
			p->messages[earlier].message.line);
		return false;
	}
	if (p->n_messages >= DBC_MAX_MESSAGES) {
		l->failure = -EFBIG;
		dbc_error(l, 0, "more than %u messages", DBC_MAX_MESSAGES);
		return false;
	}
	grown = dbc_grow(
		p, p->messages, p->n_messages, &p->messages_capacity, sizeof(*p->messages));
	if (!grown) {
		return false;
	}
	p->messages = grown;
	m = &p->messages[p->n_messages];
	*m = (struct dbc_draft_message){.first = p->n_signals};
	m->message.short_name = dbc_keep_word(p, name);
	m->message.id = id & DBC_ID_MASK;
	m->message.extended = id & DBC_EXTENDED;
	m->message.size = size;
	m->message.line = l->line;
	if (dbc_map_add(&p->message_ids, id, p->n_messages) < 0) {
		l->failure = -ENOMEM;
	}
	p->current = p->n_messages++;
	return l->failure == 0;
}

/* BO_ 2364540158 EEC1: 8 Engine */
static bool read_message(struct dbc_parser *p)
{
	struct dbc_lexer *l = &p->lexer;
	struct dbc_word name, sender;
	uint64_t id, size;

	p->current = DBC_NONE;
	p->in_message = true;
	if (!dbc_take_unsigned(l, "the identifier of a message", UINT32_MAX, &id) ||
		!dbc_take_word(l, "the name of a message", &name) || !dbc_take_char(l, ':') ||
		!dbc_take_unsigned(l, "the size of a message", DBC_MAX_SIZE, &size)) {
		return false;
	}
	if (id != DBC_ORPHANS && check_id(l, &id)) {
		/* without it its signals go too; the statement itself was understood */
		(void)add_message(p, (uint32_t)id, (uint16_t)size, name);
	}
	if (!dbc_is_statement_next(l)) {
		(void)dbc_try_word(l, &sender); /* some files have none */
	}
	return true;
}

static void read_statement(struct dbc_parser *p)
{
	struct dbc_lexer *l = &p->lexer;
	struct dbc_word word;
	size_t i;

	if (!dbc_try_word(l, &word)) {
		if (!dbc_try_char(l, ';')) { /* one too many */
			dbc_error(l, 0, "expected the beginning of a statement");
			skip_statement(p);
		}
		return;
	}
	i = find_statement(word);
	if (i == N_STATEMENTS) {
		dbc_warning(l, 0, "'%.*s' is not known here and passed over",
			word.size < 40 ? (int)word.size : 40, word.at);
	}
	p->in_message = p->in_message && i < N_STATEMENTS && statements[i].read == dbc_read_signal;
	if (i == N_STATEMENTS || !statements[i].read || !statements[i].read(p)) {
		skip_statement(p);
	}
}

static int parse(struct dbc_parser *p, struct dbc **ret_dbc)
{
	struct dbc_lexer *l = &p->lexer;

	for (dbc_skip_blank(l); *l->at != '\0' && l->failure == 0; dbc_skip_blank(l)) {
		read_statement(p);
	}
	if (l->failure < 0) {
		return l->failure;
	}
	if (p->n_messages == 0) {
		dbc_error(l, 0, "there is no message in this file");
		return -EBADMSG;
	}
	dbc_check(p);
	return dbc_finish(p, ret_dbc);
}

static void free_parser(struct dbc_parser *p)
{
	free(p->messages);
	free(p->signals);
	free(p->tables);
	dbc_map_free(&p->message_ids);
	dbc_map_free(&p->signal_names);
	dbc_map_free(&p->table_names);
	pool_free(&p->pool);
}

int dbc_parse(const char *file, const void *bytes, size_t size, dbc_problem *problem, void *ctx,
	struct dbc **ret_dbc)
{
	struct dbc_parser p = {.current = DBC_NONE};
	struct dbc_lexer *l = &p.lexer;
	const char *reason = NULL;
	char *text = NULL;
	int r;

	*l = (struct dbc_lexer){
		.file = file, .problem = problem, .ctx = ctx, .line = 1, .pool = &p.pool};
	if (size > DBC_MAX_FILE) {
		dbc_error(l, 0, "the file is larger than %u MiB", DBC_MAX_FILE >> 20);
		return -EFBIG;
	}
	r = dbc_text_new(bytes, size, &text, &reason);
	if (r < 0) {
		if (reason) {
			dbc_error(l, 0, "%s", reason);
		}
		return r;
	}
	l->start = l->at = text;
	l->c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	r = l->c_locale ? parse(&p, ret_dbc) : -ENOMEM;
	if (l->c_locale) {
		freelocale(l->c_locale);
	}
	free(text);
	free_parser(&p);
	return r;
}
