/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAN_DBC_RESULT_H
#define CAN_DBC_RESULT_H

/*
 * The inside of struct dbc: what dbc_finish.c makes and dbc.c hands out.
 */

#include "dbc.h"
#include "pool.h"

struct dbc_name {
	const char *name;
	const struct dbc_message *message;
};

struct dbc {
	struct pool pool;             /* all text, values and ranges */
	struct dbc_message *messages; /* by format and identifier */
	struct dbc_signal *signals;   /* of all messages */
	struct dbc_name *names;       /* by name, both names of each message */
	uint32_t n_messages, n_names;
};

#endif
