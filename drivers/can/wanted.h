/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAN_WANTED_H
#define CAN_WANTED_H

/*
 * Which signals the sensors of a bus want: from their options, and the DBC file if there is one, to
 * the entries of a table. All that is wrong with these comes up here. Reads the file, and does
 * nothing else.
 */

#include "sensocan-driver.h"
#include "table.h"

/* What is wrong, as for scg_host.complain. */
typedef void wanted_problem(const struct scg_bus *bus, const struct scg_sensor *sensor,
	const char *option, const char *text);

/* What the sensors want; freed as a whole. Tables made of it need it as long as they live. */
struct wanted {
	struct dbc *dbc;                    /* NULL: none */
	struct table_entry *entries;        /* as many as sensors, without owners */
	struct table_condition *conditions; /* DBC_MAX_DEPTH for each entry */
	struct dbc_range *ranges;           /* one for each entry */
	uint32_t n;
};

/*
 * 0; -EINVAL if there were problems, all of which were told; -ENOMEM; what opening and reading the
 * file said, told as well. wanted_clear() in each case.
 */
int wanted_make(const struct scg_bus *bus, wanted_problem *problem, struct wanted *ret_wanted);
void wanted_clear(struct wanted *w);

#endif
