/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_STATUS_H
#define SCG_STATUS_H

/*
 * The state of the daemon as one JSON object: what `sensocan-gateway status --json` prints. And the
 * same object as a screen for people. Main thread.
 */

#include <stdio.h>

struct gateway;

/* The object as text on one line, to be freed by the caller. */
char *status_json(struct gateway *g);
/* Prints what status_json() made, for a person. 0, or -EBADMSG if it is no such object. */
int status_print(FILE *out, const char *json);

#endif
