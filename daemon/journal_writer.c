/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "journal_state.h"

#define BACKOFF_MIN_NS (100 * NS_PER_MS)
#define BACKOFF_MAX_NS (10 * NS_PER_S)
/* Acknowledged readings that are worth a commit of their own. */
#define COMMIT_ACKED  8192
#define LOST_EVERY_NS NS_PER_MIN

static bool has_backlog(const struct journal *j)
{
	for (size_t i = 0; i < j->n_devices; i++) {
		if (j->devices[i]->on_disk > 0) {
			return true;
		}
	}
	return false;
}

static uint64_t lost(const struct journal *j)
{
	uint64_t n = 0;

	for (int cause = 0; cause < JOURNAL_LOSS_CAUSES; cause++) {
		/* what the broker refuses is the publisher's to tell */
		n += cause == JOURNAL_LOSS_REFUSED ? 0 : j->dropped[cause];
	}
	return n;
}

/*
 * Acknowledgements wait half as long again as readings: they come just after a commit, and a commit
 * of their own just before the next round would make that round wait for its turn.
 */
static int64_t ack_interval(const struct journal *j)
{
	return j->options.commit_interval_ns / 2 * 3;
}

static bool must_write(const struct journal *j, int64_t now)
{
	int64_t interval = j->options.commit_interval_ns;

	return j->stop || j->commit_now || j->more || j->damaged || j->configure ||
	       j->acked_readings > COMMIT_ACKED ||
	       (j->pending_since_ns && now - j->pending_since_ns >= interval) ||
	       (j->acked_since_ns && now - j->acked_since_ns >= ack_interval(j));
}

int64_t writer_due_ns(const struct journal *j, int64_t now)
{
	int64_t interval = j->options.commit_interval_ns, due = INT64_MAX;

	if (j->stop) {
		return now;
	}
	if (j->failing) {
		due = j->retry_ns;
		if (j->pending_since_ns) {
			/* nothing is written, but blocks become visible */
			due = MIN(due, j->commit_now ? now : j->pending_since_ns + interval);
		}
		return due;
	}
	if (must_write(j, now)) {
		return now;
	}
	if (j->pending_since_ns) {
		due = MIN(due, j->pending_since_ns + interval);
	}
	if (j->acked_since_ns) {
		due = MIN(due, j->acked_since_ns + ack_interval(j));
	}
	if (lost(j) > j->told_lost) {
		due = MIN(due, j->told_at_ns + LOST_EVERY_NS);
	}
	if (j->options.max_age_ns > 0 && has_backlog(j)) {
		due = MIN(due, MAX(j->age_check_ns, now + NS_PER_MS));
	}
	return due;
}

/* Tells of what was dropped since the last time, once a minute. */
static void tell_losses(struct journal *j, bool now)
{
	uint64_t n[JOURNAL_LOSS_CAUSES], total, before;
	int64_t time = now_monotonic_ns();

	(void)pthread_mutex_lock(&j->lock);
	total = lost(j);
	before = j->told_lost;
	memcpy(n, j->dropped, sizeof(n));
	if (total > before && (now || time - j->told_at_ns >= LOST_EVERY_NS)) {
		j->told_lost = total;
		j->told_at_ns = time;
	} else {
		before = total;
	}
	(void)pthread_mutex_unlock(&j->lock);
	if (total > before) {
		journal_say(j, JOURNAL_EVENT_LOST,
			"journal %s: %" PRIu64
			" readings were dropped; since the journal was made: "
			"%" PRIu64 " by the size limit, %" PRIu64 " by age, %" PRIu64
			" from memory, %" PRIu64 " damaged",
			j->path, total - before, n[JOURNAL_LOSS_SIZE], n[JOURNAL_LOSS_AGE],
			n[JOURNAL_LOSS_MEMORY], n[JOURNAL_LOSS_DAMAGED]);
	}
}

/* --- when the disk refuses --- */

static void start_failing(struct journal *j, const char *why)
{
	int64_t now = now_monotonic_ns();
	char memory[FORMAT_MAX];
	bool was_failing;

	(void)pthread_mutex_lock(&j->lock);
	was_failing = j->failing;
	j->failing = true;
	(void)snprintf(j->error, sizeof(j->error), "%s", why);
	j->backoff_ns = was_failing ? MIN(2 * j->backoff_ns, BACKOFF_MAX_NS)
				    : CLAMP(j->options.commit_interval_ns, BACKOFF_MIN_NS,
					      BACKOFF_MAX_NS);
	j->retry_ns = now + j->backoff_ns;
	j->more = false;
	if (!was_failing) {
		/* what waited for its commit can be taken from memory from now on */
		for (struct memory_block *b = j->blocks; b; b = b->next) {
			b->device->newest_id = MAX(b->device->newest_id, b->id);
			b->device->notify = true;
		}
	}
	for (size_t i = 0; i < j->n_devices; i++) {
		if (j->devices[i]->notify) {
			journal_notify(j->devices[i]);
		}
	}
	(void)pthread_mutex_unlock(&j->lock);
	if (!was_failing) {
		journal_say(j, JOURNAL_EVENT_FAILING,
			"journal %s: %s; readings are kept in memory, up to %s, and writing is "
			"tried again at least every 10 s",
			j->path, why, format_size(memory, j->applied.max_memory));
	}
}

static void stop_failing(struct journal *j)
{
	bool was_failing;

	(void)pthread_mutex_lock(&j->lock);
	was_failing = j->failing;
	j->failing = false;
	j->error[0] = '\0';
	(void)pthread_mutex_unlock(&j->lock);
	if (was_failing) {
		journal_say(j, JOURNAL_EVENT_RECOVERED,
			"journal %s: writing works again, and what was kept in memory is on disk",
			j->path);
	}
}

/*
 * What an error of SQLite means. A damaged file is set aside, and 0 says that it is worth trying
 * again at once; anything else makes the journal live in memory for a while.
 */
static int handle_error(struct journal *j, int error, const char *why)
{
	char text[sizeof(j->error)];
	int r;

	(void)snprintf(text, sizeof(text), "%s", why);
	if (error == -EUCLEAN || error == -EMEDIUMTYPE) {
		r = salvage_set_aside(j, text);
		if (r == 0) {
			return 0;
		}
		(void)snprintf(
			text, sizeof(text), "damaged, and cannot be renamed: %s", strerror(-r));
		error = r;
	}
	/* a descriptor may be of no use after an I/O error: a new one each time */
	if (error != -ENOSPC && error != -EBUSY) {
		journal_db_close(steal_ptr(j->writer));
	}
	start_failing(j, text);
	return error;
}

/* --- opening and limits --- */

static int configure(struct journal *j)
{
	bool more = true;
	int64_t total, free_pages;
	int r;

	(void)pthread_mutex_lock(&j->lock);
	j->applied = j->options;
	j->configure = false;
	(void)pthread_mutex_unlock(&j->lock);
	journal_plan_budget(&j->applied, &j->budget);
	r = journal_db_pages(j->writer, &total, &free_pages);
	if (r == 0) {
		/* SQLite does not take a limit below the present size: not before it has shrunk */
		r = journal_db_configure(
			j->writer, j->applied.sync_full, j->budget.db_pages, j->budget.wal_bytes);
	}
	while (r == 0 && more && total > j->budget.db_pages) {
		bool complete;

		heartbeat_busy(&j->heartbeat);
		r = commit_begin(j);
		if (r == 0) {
			r = limits_shrink(j, &more);
		}
		if (r == 0) {
			r = commit_end(j);
		}
		if (r == 0) {
			r = journal_db_checkpoint(j->writer, &complete);
		}
		if (r == 0) {
			r = journal_db_configure(j->writer, j->applied.sync_full,
				j->budget.db_pages, j->budget.wal_bytes);
		}
	}
	if (r < 0) {
		journal_db_rollback(j->writer);
		(void)pthread_mutex_lock(&j->lock);
		j->configure = true;
		(void)pthread_mutex_unlock(&j->lock);
	}
	return r;
}

static int open_once(struct journal *j, char *why, size_t why_size)
{
	bool changed;
	int r = 0;

	if (!j->writer) {
		r = journal_db_open(j->path, JOURNAL_DB_WRITER, why, why_size, &j->writer);
		if (r < 0) {
			return r;
		}
		(void)pthread_mutex_lock(&j->lock);
		j->configure = true;
		(void)pthread_mutex_unlock(&j->lock);
	}
	if (!j->loaded && !j->salvage_path) {
		r = load_tables(j, j->writer, false);
		j->told_lost = lost(j);
	}
	(void)pthread_mutex_lock(&j->lock);
	changed = j->configure;
	(void)pthread_mutex_unlock(&j->lock);
	if (r == 0 && changed) {
		r = configure(j);
	}
	if (r == 0 && j->salvage_path) {
		r = salvage_run(j);
	}
	if (r < 0) {
		(void)snprintf(why, why_size, "%s",
			j->writer ? journal_db_error(j->writer) : strerror(-r));
	}
	return r;
}

int writer_open(struct journal *j)
{
	char why[200];
	int r = 0;

	/* twice: the second time is after a damaged file was set aside */
	for (int i = 0; i < 2; i++) {
		r = open_once(j, why, sizeof(why));
		if (r == 0) {
			return 0;
		}
		r = handle_error(j, r, why);
		if (r < 0) {
			return r;
		}
	}
	return -EAGAIN;
}

/* Copies the WAL into the file in time, so that it starts anew instead of growing. */
static int checkpoint(struct journal *j)
{
	bool complete = true;
	int r = 0;

	if (journal_db_wal_pages(j->writer) < j->budget.wal_threshold) {
		return 0;
	}
	r = journal_db_checkpoint(j->writer, &complete);
	if (r == 0 && !complete) {
		/* somebody was reading an earlier state; who comes now reads the present one */
		(void)pthread_mutex_lock(&j->read_lock);
		(void)pthread_mutex_unlock(&j->read_lock);
		r = journal_db_checkpoint(j->writer, &complete);
	}
	return r;
}

static int write_once(struct journal *j)
{
	char why[200];
	int r;

	r = writer_open(j);
	if (r < 0) {
		return r;
	}
	(void)pthread_mutex_lock(&j->lock);
	r = j->damaged ? -EUCLEAN : 0;
	j->damaged = false;
	(void)pthread_mutex_unlock(&j->lock);
	(void)snprintf(why, sizeof(why), "found damaged while it was read");
	if (r == 0) {
		r = commit_batch(j);
		if (r == 0) {
			r = checkpoint(j);
		}
		if (r < 0) {
			(void)snprintf(why, sizeof(why), "%s", journal_db_error(j->writer));
		}
	}
	if (r < 0) {
		r = handle_error(j, r, why);
		(void)pthread_mutex_lock(&j->lock);
		j->more |= r == 0; /* into a new file, at once */
		(void)pthread_mutex_unlock(&j->lock);
		return r;
	}
	(void)pthread_mutex_lock(&j->lock);
	j->age_check_ns = j->next_age_check_ns;
	r = j->more ? 1 : 0;
	(void)pthread_mutex_unlock(&j->lock);
	if (r == 0) {
		stop_failing(j);
	}
	return 0;
}

/* --- the thread --- */

/* While the disk refuses: blocks become visible without being written. */
static void seal_only(struct journal *j)
{
	(void)pthread_mutex_lock(&j->lock);
	journal_seal_all(j);
	for (size_t i = 0; i < j->n_devices; i++) {
		if (j->devices[i]->notify) {
			journal_notify(j->devices[i]);
		}
	}
	j->commit_now = false;
	j->pending_since_ns = 0;
	j->pending_readings = 0;
	j->last_commit_ns = now_monotonic_ns();
	(void)pthread_mutex_unlock(&j->lock);
}

/* Waits until there is something to do. With the lock held. */
static void wait_for_work(struct journal *j)
{
	for (;;) {
		int64_t now = now_monotonic_ns(), due = writer_due_ns(j, now);
		struct timespec until = {
			.tv_sec = due / NS_PER_S,
			.tv_nsec = due % NS_PER_S,
		};

		if (due <= now) {
			break;
		}
		heartbeat_idle(&j->heartbeat);
		j->sleeping_until_ns = due;
		if (due == INT64_MAX) {
			(void)pthread_cond_wait(&j->wake, &j->lock);
		} else {
			(void)pthread_cond_timedwait(&j->wake, &j->lock, &until);
		}
	}
	j->sleeping_until_ns = 0;
	heartbeat_busy(&j->heartbeat);
}

void writer_flush(struct journal *j)
{
	bool more;

	do {
		heartbeat_busy(&j->heartbeat);
		if (write_once(j) < 0) {
			break;
		}
		(void)pthread_mutex_lock(&j->lock);
		more = j->more;
		(void)pthread_mutex_unlock(&j->lock);
	} while (more);
	(void)pthread_mutex_lock(&j->lock);
	journal_seal_all(j);
	for (struct memory_block *b = j->blocks; b; b = j->blocks) {
		/* the disk refused to the end */
		j->dropped[JOURNAL_LOSS_MEMORY] += b->packed.n;
		journal_free_block(j, b);
	}
	(void)pthread_mutex_unlock(&j->lock);
	tell_losses(j, true);
}

void *writer_main(void *arg)
{
	struct journal *j = arg;
	bool stop, write;

	for (;;) {
		int64_t now;

		(void)pthread_mutex_lock(&j->lock);
		wait_for_work(j);
		now = now_monotonic_ns();
		stop = j->stop;
		write = j->failing ? now >= j->retry_ns : must_write(j, now);
		if (j->options.max_age_ns > 0 && now >= j->age_check_ns && has_backlog(j)) {
			write |= !j->failing;
		}
		(void)pthread_mutex_unlock(&j->lock);
		if (stop) {
			break;
		}
		if (write) {
			(void)write_once(j); /* an error has been told and dealt with */
		} else if (j->failing) {
			seal_only(j);
		}
		tell_losses(j, false);
	}
	writer_flush(j);
	heartbeat_idle(&j->heartbeat);
	return NULL;
}
