/* SPDX-License-Identifier: Apache-2.0 */
/* From what was read to what is used: without what was left out, in order, not to be changed. */
#include "dbc_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dbc_result.h"

static int compare_messages(const void *a, const void *b)
{
	const struct dbc_message *x = a, *y = b;

	return x->extended != y->extended ? x->extended - y->extended
					  : (x->id > y->id) - (x->id < y->id);
}

static int compare_names(const void *a, const void *b)
{
	const struct dbc_name *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	return r ? r : (x->message > y->message) - (x->message < y->message);
}

/* The signals of a message behind those at `out`; how many. `placed` has their new places. */
static uint32_t copy_signals(const struct dbc_parser *p, const struct dbc_draft_message *m,
	struct dbc_signal *out, struct dbc_signal **placed)
{
	uint32_t end = m->first + m->message.n_signals, n = 0;

	for (uint32_t i = m->first; i < end; i++) {
		if (!p->signals[i].dropped) {
			placed[i] = &out[n];
			out[n++] = p->signals[i].signal;
		}
	}
	for (uint32_t i = m->first; i < end; i++) {
		if (placed[i] && p->signals[i].selected_by != DBC_NONE) {
			placed[i]->selected_by = placed[p->signals[i].selected_by];
		}
	}
	return n;
}

static int copy_messages(const struct dbc_parser *p, struct dbc *dbc)
{
	/* one more than none: calloc(0) may say NULL */
	struct dbc_signal **placed = calloc(p->n_signals + 1u, sizeof(struct dbc_signal *));
	struct dbc_signal *out = dbc->signals;

	if (!placed) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < p->n_messages; i++) {
		const struct dbc_draft_message *m = &p->messages[i];
		struct dbc_message *message = &dbc->messages[i];

		*message = m->message;
		message->name = m->long_name && m->long_name[0] ? m->long_name
								: message->short_name;
		message->signals = out;
		message->n_signals = copy_signals(p, m, out, placed);
		out += message->n_signals;
	}
	free(placed);
	return 0;
}

/* Both names of all messages; tells of those that two have. */
static void index_names(struct dbc_parser *p, struct dbc *dbc)
{
	for (uint32_t i = 0; i < dbc->n_messages; i++) {
		const struct dbc_message *m = &dbc->messages[i];

		dbc->names[dbc->n_names++] = (struct dbc_name){m->name, m};
		if (m->name != m->short_name && strcmp(m->name, m->short_name) != 0) {
			dbc->names[dbc->n_names++] = (struct dbc_name){m->short_name, m};
		}
	}
	qsort(dbc->names, dbc->n_names, sizeof(*dbc->names), compare_names);
	for (uint32_t i = 1; i < dbc->n_names; i++) {
		const struct dbc_name *name = &dbc->names[i];

		if (strcmp(name[-1].name, name->name) == 0) {
			dbc_warning(&p->lexer, name->message->line,
				"message %s: the one in line %" PRIu32 " has this name too",
				name->name, name[-1].message->line);
		}
	}
}

int dbc_finish(struct dbc_parser *p, struct dbc **ret_dbc)
{
	struct dbc *dbc = calloc(1, sizeof(*dbc));
	int r;

	if (!dbc) {
		return -ENOMEM;
	}
	dbc->n_messages = p->n_messages;
	dbc->messages = calloc(p->n_messages, sizeof(*dbc->messages));
	dbc->signals = calloc(p->n_signals + 1u, sizeof(*dbc->signals));
	dbc->names = calloc(2u * p->n_messages, sizeof(*dbc->names));
	r = dbc->messages && dbc->signals && dbc->names ? copy_messages(p, dbc) : -ENOMEM;
	if (r < 0) {
		dbc_free(dbc);
		return r;
	}
	qsort(dbc->messages, dbc->n_messages, sizeof(*dbc->messages), compare_messages);
	index_names(p, dbc);
	dbc->pool = p->pool;
	p->pool = (struct pool){0};
	*ret_dbc = dbc;
	return 0;
}
