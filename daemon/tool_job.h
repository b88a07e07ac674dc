/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_TOOL_JOB_H
#define SCG_TOOL_JOB_H

/*
 * One run of a driver's tool (scan, probe): what was asked, and the text that goes back. Shared by
 * two threads: the bus's, which works and says what it found, and the asker's, which takes the
 * text when the descriptor is readable. The bus's thread never waits for the asker: it does no
 * more while too much text waits, and what a tool says beyond all bounds ends it.
 *
 * The text is lines of a letter, a space and what is said; so it also goes through the control
 * socket:
 *
 *   r TEXT    a result           m TEXT    a message, of something that went wrong
 *   s TEXT    a line of YAML     e STATUS  the end, always the last: the exit status
 *   p TEXT    what is being done
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"

#define TOOL_RESULT   'r'
#define TOOL_STANZA   's'
#define TOOL_PROGRESS 'p'
#define TOOL_MESSAGE  'm'
#define TOOL_END      'e'

struct tool_job;

/* The driver's tool of that name ("scan", "probe"), or NULL. */
const struct scg_tool *tool_find(const struct scg_driver *driver, const char *name);

/*
 * A job with one reference. NULL if the options are wrong, noted in `problems`; without a problem
 * noted, if there are no more descriptors. Copies what it needs of the words.
 */
struct tool_job *tool_job_new(const struct scg_driver *driver, const char *name,
	const struct option_word *words, size_t n_words, struct problems *problems);
struct tool_job *tool_job_ref(struct tool_job *job);
void tool_job_unref(struct tool_job *job);
DEFINE_CLEANUP(struct tool_job *, tool_job_unref)

const char *tool_job_name(const struct tool_job *job);

/* --- the thread that works --- */

/* Does one step, as scg_tool.step(). */
int tool_job_step(struct tool_job *job, struct scg_bus *bus);
void tool_job_say(struct tool_job *job, char kind, const char *text);
/* The last call of this thread but for tool_job_unref(). */
void tool_job_end(struct tool_job *job, int status);
/* Nobody wants it any more, or more was said than can be kept. */
bool tool_job_must_end(const struct tool_job *job);
/* Enough has been taken to go on. */
bool tool_job_has_room(struct tool_job *job);

/* --- the thread that asked --- */

/* Readable when there is something to take. */
int tool_job_fd(const struct tool_job *job);
/* What was said since the last call, to be freed; NULL if nothing. *ret_end: there is no more. */
char *tool_job_take(struct tool_job *job, bool *ret_end);
/* It is to end soon. */
void tool_job_cancel(struct tool_job *job);
bool tool_job_is_cancelled(const struct tool_job *job);

#endif
