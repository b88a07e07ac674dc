/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_CONTROL_TOOL_H
#define SCG_CONTROL_TOOL_H

/*
 * A scan or a probe asked for through the control socket, both ends. The line that asks has its
 * fields apart by tabs: the tool, the bus, and the options as NAME or NAME=VALUE. The answer is
 * lines as described in tool_job.h. Main thread.
 */

#include "control.h"
#include "options.h"

struct gateway;

/* Server side: answers such a line, as control_answer. NULL and nothing if it is none. */
char *control_tool_start(struct gateway *g, const char *line, struct control_stream *ret_stream);

/* Client side: the line, to be freed; NULL if something in it has a tab or a line break. */
char *control_tool_line(
	const char *tool, const char *bus, const struct option_word *words, size_t n_words);

#endif
