/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "bus_private.h"
#include "tool_job.h"
#include "util.h"

/* Polling goes first; but a bus that never rests gets a step in this often. */
#define STEP_PATIENCE_NS NS_PER_S

int bus_start_tool(struct bus *b, struct tool_job *job)
{
	int r = 0;

	pthread_mutex_lock(&b->lock);
	if (b->status.state == BUS_DOWN || b->status.state == BUS_STOPPED) {
		r = -ENETDOWN;
	} else if (b->next_tool || (b->tool && !tool_job_is_cancelled(b->tool))) {
		r = -EBUSY;
	} else {
		b->next_tool = tool_job_ref(job);
	}
	pthread_mutex_unlock(&b->lock);
	if (r == 0) {
		event_set(b->tool_fd);
	}
	return r;
}

/* The job under way, or the one that waits; NULL if there is none. */
static struct tool_job *current(struct bus *b)
{
	if (!b->tool) {
		pthread_mutex_lock(&b->lock);
		b->tool = b->next_tool;
		b->next_tool = NULL;
		pthread_mutex_unlock(&b->lock);
		b->tool_since_ns = now_monotonic_ns();
	}
	return b->tool;
}

static void end(struct bus *b, int status)
{
	struct tool_job *job = b->tool;

	pthread_mutex_lock(&b->lock);
	b->tool = NULL;
	pthread_mutex_unlock(&b->lock);
	tool_job_end(job, status);
	tool_job_unref(job);
}

static void end_with(struct bus *b, const char *text)
{
	_cleanup_(freep) char *message = xasprintf(
		"%s: bus %s: %s", tool_job_name(b->tool), b->abi.name, text);

	tool_job_say(b->tool, TOOL_MESSAGE, message);
	end(b, BUS_TOOL_FAILED);
}

void bus_tool_fail(struct bus *b, const char *reason)
{
	while (current(b)) {
		end_with(b, reason);
	}
}

bool bus_has_tool(struct bus *b)
{
	return current(b) != NULL;
}

bool bus_tool_wants_step(struct bus *b)
{
	struct tool_job *job = current(b);

	if (!job || (!tool_job_must_end(job) && !tool_job_has_room(job))) {
		return false;
	}
	return schedule_n_due(b->schedule) == 0 ||
	       now_monotonic_ns() - b->tool_since_ns >= STEP_PATIENCE_NS;
}

void bus_tool_step(struct bus *b)
{
	struct tool_job *job = b->tool;
	const char *text;
	int r = 0;

	if (!tool_job_must_end(job)) {
		b->in_step = true;
		b->has_complained = false;
		r = tool_job_step(job, &b->abi);
		b->in_step = false;
		b->tool_since_ns = now_monotonic_ns();
	}
	if (tool_job_is_cancelled(job)) {
		end_with(b, "interrupted");
	} else if (tool_job_must_end(job)) {
		end_with(b, "ended, because it says more than can be passed on");
	} else if (r == -EINVAL && b->has_complained) {
		end(b, BUS_TOOL_BAD_USAGE);
	} else if (r < 0) {
		text = strerrordesc_np(-r);
		end_with(b, text ? text : "unknown error");
	} else if (r == 0 && !atomic_load_explicit(&b->stopping, memory_order_relaxed)) {
		end(b, BUS_TOOL_DONE);
	}
}

void bus_tool_tell(struct bus *b, uint32_t kind, const char *format, va_list args)
{
	_cleanup_(freep) char *text = NULL;
	char letter = kind == SCG_TELL_STANZA     ? TOOL_STANZA
		      : kind == SCG_TELL_PROGRESS ? TOOL_PROGRESS
						  : TOOL_RESULT;

	if (b->in_step) {
		text = xvasprintf(format, args);
		tool_job_say(b->tool, letter, text);
	}
}

void bus_tool_complain(struct bus *b, const char *option, const char *format, va_list args)
{
	_cleanup_(freep) char *text = NULL;
	_cleanup_(freep) char *message = NULL;

	if (b->in_step) {
		text = xvasprintf(format, args);
		message = xasprintf("%s: %s%s%s", tool_job_name(b->tool), option ? option : "",
			option ? ": " : "", text);
		tool_job_say(b->tool, TOOL_MESSAGE, message);
		b->has_complained = true;
	}
}
