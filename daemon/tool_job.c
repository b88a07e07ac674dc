/* SPDX-License-Identifier: Apache-2.0 */
#include "tool_job.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "thread.h"

/* No further step while so much text waits. */
#define ROOM_SIZE ((size_t)64 * 1024)
/* Nobody reads more; a step that says so much has lost its way. */
#define TEXT_SIZE_MAX ((size_t)1024 * 1024)

struct tool_job {
	_Atomic unsigned refs;
	const char *name;
	const struct scg_tool *tool;
	union scg_value *values;
	char **texts; /* that values point into */
	size_t n_texts;
	int fd;
	_Atomic bool is_cancelled, is_overrun;
	uint64_t step; /* the working thread's */

	pthread_mutex_t lock; /* guards the rest */
	char *text;
	size_t size, capacity;
	char *progress; /* NULL: none that is not taken */
	bool has_ended;
};

const struct scg_tool *tool_find(const struct scg_driver *driver, const char *name)
{
	if (strcmp(name, "scan") == 0) {
		return driver->scan;
	}
	return strcmp(name, "probe") == 0 ? driver->probe : NULL;
}

/* The words' values become the job's. */
static struct option_word *keep_words(
	struct tool_job *job, const struct option_word *words, size_t n_words)
{
	struct option_word *kept = xcalloc(n_words, sizeof(*kept));

	job->texts = xcalloc(n_words, sizeof(*job->texts));
	job->n_texts = n_words;
	for (size_t i = 0; i < n_words; i++) {
		job->texts[i] = xstrdup(words[i].value);
		kept[i] = (struct option_word){words[i].name, job->texts[i]};
	}
	return kept;
}

struct tool_job *tool_job_new(const struct scg_driver *driver, const char *name,
	const struct option_word *words, size_t n_words, struct problems *problems)
{
	const struct scg_tool *tool = tool_find(driver, name);
	_cleanup_(tool_job_unrefp) struct tool_job *job = NULL;
	_cleanup_(freep) struct option_word *kept = NULL;

	if (!tool) {
		problems_error(problems, NULL, "%s: the driver %s has none", name, driver->name);
		return NULL;
	}
	job = xcalloc(1, sizeof(*job));
	atomic_init(&job->refs, 1);
	(void)pthread_mutex_init(&job->lock, NULL); /* cannot fail with default attributes */
	job->name = tool == driver->scan ? "scan" : "probe";
	job->tool = tool;
	job->values = xcalloc(tool->n_options, sizeof(*job->values));
	job->fd = -1;
	kept = keep_words(job, words, n_words);
	if (options_parse_words(tool->options, tool->n_options, kept, n_words, name, problems,
		    job->values) > 0) {
		return NULL;
	}
	job->fd = event_new();
	return job->fd < 0 ? NULL : steal_ptr(job);
}

struct tool_job *tool_job_ref(struct tool_job *job)
{
	(void)atomic_fetch_add_explicit(&job->refs, 1, memory_order_relaxed);
	return job;
}

void tool_job_unref(struct tool_job *job)
{
	if (!job || atomic_fetch_sub_explicit(&job->refs, 1, memory_order_acq_rel) != 1) {
		return;
	}
	for (size_t i = 0; i < job->n_texts; i++) {
		free(job->texts[i]);
	}
	closep(&job->fd);
	(void)pthread_mutex_destroy(&job->lock); /* nobody holds it */
	free(job->texts);
	free(job->values);
	free(job->text);
	free(job->progress);
	free(job);
}

const char *tool_job_name(const struct tool_job *job)
{
	return job->name;
}

int tool_job_step(struct tool_job *job, struct scg_bus *bus)
{
	int r = job->tool->step(bus, job->values, job->step);

	job->step++;
	return r;
}

/* Under the lock. */
static void append(struct tool_job *job, char kind, const char *text)
{
	size_t length = strlen(text) + 3; /* letter, space, line break */

	if (job->size + length + 1 > job->capacity) {
		job->capacity = MAX(2 * job->capacity, job->size + length + 1);
		job->text = xreallocarray(job->text, job->capacity, 1);
	}
	(void)snprintf(job->text + job->size, length + 1, "%c %s\n", kind, text);
	job->size += length;
}

void tool_job_say(struct tool_job *job, char kind, const char *text)
{
	char *clean = xstrdup(text);

	text_clean(clean);
	pthread_mutex_lock(&job->lock);
	if (kind == TOOL_PROGRESS) {
		free(job->progress);
		job->progress = steal_ptr(clean);
	} else if (job->size < TEXT_SIZE_MAX || kind == TOOL_MESSAGE) {
		append(job, kind, clean);
	} else {
		atomic_store(&job->is_overrun, true);
	}
	pthread_mutex_unlock(&job->lock);
	free(clean);
	event_set(job->fd);
}

void tool_job_end(struct tool_job *job, int status)
{
	char number[16];

	(void)snprintf(number, sizeof(number), "%d", status);
	pthread_mutex_lock(&job->lock);
	free(steal_ptr(job->progress));
	append(job, TOOL_END, number);
	job->has_ended = true;
	pthread_mutex_unlock(&job->lock);
	event_set(job->fd);
}

bool tool_job_must_end(const struct tool_job *job)
{
	return tool_job_is_cancelled(job) || atomic_load(&job->is_overrun);
}

bool tool_job_has_room(struct tool_job *job)
{
	bool has_room;

	pthread_mutex_lock(&job->lock);
	has_room = job->size < ROOM_SIZE;
	pthread_mutex_unlock(&job->lock);
	return has_room;
}

int tool_job_fd(const struct tool_job *job)
{
	return job->fd;
}

char *tool_job_take(struct tool_job *job, bool *ret_end)
{
	char *text;

	(void)event_take(job->fd); /* what is said from here on sets it again */
	pthread_mutex_lock(&job->lock);
	if (job->progress) {
		append(job, TOOL_PROGRESS, job->progress);
		free(steal_ptr(job->progress));
	}
	text = steal_ptr(job->text);
	job->size = job->capacity = 0;
	*ret_end = job->has_ended;
	pthread_mutex_unlock(&job->lock);
	return text;
}

void tool_job_cancel(struct tool_job *job)
{
	atomic_store(&job->is_cancelled, true);
}

bool tool_job_is_cancelled(const struct tool_job *job)
{
	return atomic_load(&job->is_cancelled);
}
