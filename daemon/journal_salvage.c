/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal_state.h"

/* Set-aside files that are kept for a person to look at. */
#define KEEP_FILES 3
/* Blocks in one transaction. */
#define SALVAGE_BATCH 64

/* --- setting aside --- */

static int rename_if_there(const char *from, const char *to)
{
	return rename(from, to) == 0 || errno == ENOENT ? 0 : -errno;
}

/* PATH.damaged-20261122T193000Z, or with a number behind it if that is taken. */
static char *choose_name(const struct journal *j)
{
	char stamp[FORMAT_MAX], compact[FORMAT_MAX];
	size_t n = 0;

	(void)format_timestamp(stamp, now_realtime_ns() / NS_PER_US, false);
	for (const char *p = stamp; *p; p++) {
		if (*p != '-' && *p != ':') {
			compact[n++] = *p;
		}
	}
	compact[n] = '\0';
	for (int i = 1;; i++) {
		_cleanup_(freep) char *name = i == 1 ? xasprintf("%s.damaged-%s", j->path, compact)
						     : xasprintf("%s.damaged-%s-%d", j->path,
							       compact, i);

		if (access(name, F_OK) < 0) {
			return steal_ptr(name);
		}
	}
}

static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == path ? xstrdup("/")
	       : slash       ? xstrndup(path, (size_t)(slash - path))
			     : xstrdup(".");
}

static int sync_directory(const char *path)
{
	_cleanup_(freep) char *name = directory_of(path);
	_cleanup_(closep) int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && fsync(fd) == 0 ? 0 : -errno;
}

static void remove_database(const char *directory, const char *name)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		_cleanup_(freep) char *path = xasprintf("%s/%s%s", directory, name, suffixes[i]);

		(void)unlink(path); /* one more file than wanted stays: no harm */
	}
}

/* Removes the earliest by name, but `newest`, until few enough are left. */
static void prune_files(const struct journal *j, const char *newest)
{
	_cleanup_(freep) char *directory = directory_of(j->path);
	_cleanup_(freep) char *prefix = NULL;
	const char *slash = strrchr(j->path, '/');
	size_t n;

	prefix = xasprintf("%s.damaged-", slash ? slash + 1 : j->path);
	newest = strrchr(newest, '/') ? strrchr(newest, '/') + 1 : newest;
	do {
		_cleanup_(freep) char *first = NULL;
		DIR *dir = opendir(directory);
		const struct dirent *entry;

		n = 0;
		while (dir && (entry = readdir(dir))) {
			const char *name = entry->d_name;

			if (strncmp(name, prefix, strlen(prefix)) != 0 || strstr(name, "-wal") ||
				strstr(name, "-shm") || strcmp(name, newest) == 0) {
				continue;
			}
			n++;
			if (!first || strcmp(name, first) < 0) {
				free(first);
				first = xstrdup(name);
			}
		}
		if (dir) {
			(void)closedir(dir); /* only read from */
		}
		if (n >= KEEP_FILES) {
			remove_database(directory, first);
			n--;
		}
	} while (n >= KEEP_FILES);
}

/* With the lock held: what the counters of the file said is no more. Returns their sum. */
static int64_t forget_counters(struct journal *j)
{
	int64_t expected = 0;

	for (size_t i = 0; i < j->n_devices; i++) {
		struct device *d = j->devices[i];

		expected += d->on_disk;
		d->on_disk = d->saved_on_disk = 0;
		d->skip_from = d->skip_to = 0;
	}
	for (size_t i = 0; i < j->n_undated; i++) {
		j->undated[i].readings = 0;
	}
	memset(j->saved_loss, 0, sizeof(j->saved_loss));
	j->all_dirty = true;
	return expected;
}

int salvage_set_aside(struct journal *j, const char *why)
{
	_cleanup_(freep) char *name = choose_name(j);
	_cleanup_(freep) char *wal = xasprintf("%s-wal", j->path);
	_cleanup_(freep) char *new_wal = xasprintf("%s-wal", name);
	_cleanup_(freep) char *shm = xasprintf("%s-shm", j->path);
	int r;

	(void)pthread_mutex_lock(&j->read_lock);
	j->repairing = true;
	journal_db_close(steal_ptr(j->reader));
	(void)pthread_mutex_lock(&j->lock);
	j->damaged = false; /* whoever found it meant this file, not the next */
	(void)pthread_mutex_unlock(&j->lock);
	(void)pthread_mutex_unlock(&j->read_lock);
	if (j->writer) {
		journal_db_abandon(steal_ptr(j->writer));
	}
	/* the WAL first: without its file it is harmless, with a new one it would be applied */
	r = rename_if_there(wal, new_wal);
	if (r == 0) {
		r = rename_if_there(j->path, name);
	}
	if (r == 0) {
		(void)unlink(shm); /* made anew from the WAL; has no readings */
		r = sync_directory(j->path);
	}
	if (r < 0) {
		(void)pthread_mutex_lock(&j->read_lock);
		j->repairing = false;
		(void)pthread_mutex_unlock(&j->read_lock);
		return r;
	}
	prune_files(j, name);
	(void)snprintf(j->salvage_why, sizeof(j->salvage_why), "%s", why);
	(void)pthread_mutex_lock(&j->lock);
	j->expected = j->loaded ? forget_counters(j) : -1;
	(void)pthread_mutex_unlock(&j->lock);
	free(j->salvage_path);
	j->salvage_path = steal_ptr(name);
	return 0;
}

/* --- reading what is left --- */

struct salvage {
	struct journal *j;
	struct journal_db *from;
	struct device *device;
	struct reading *readings; /* BLOCK_MAX_READINGS, to see whether a block unpacks */
	int64_t id;               /* of the block seen last, 0: none */
	int error;                /* of the new file */
	int in_transaction;       /* blocks */
	uint64_t saved;           /* readings not acknowledged */
	uint64_t broken;          /* in blocks that are there, but not readable */
};

/* A transaction at a time, so that the WAL of the new file stays small. */
static int next_block(struct salvage *s)
{
	int r = 0;

	if (s->in_transaction >= SALVAGE_BATCH) {
		bool complete;

		r = commit_end(s->j);
		if (r == 0) {
			r = journal_db_checkpoint(s->j->writer, &complete);
		}
		s->in_transaction = 0;
	}
	if (r == 0 && s->in_transaction == 0) {
		heartbeat_busy(&s->j->heartbeat);
		r = commit_begin(s->j);
	}
	s->in_transaction++;
	return r;
}

static int copy(struct salvage *s, struct journal_db_block *block)
{
	uint32_t acked = block->acked ? bitmap_count(block->acked, block->n) : 0;
	struct journal *j = s->j;
	struct device *d = s->device;
	uint32_t boot, sensor = 0;
	int r;

	if (block->n < 1 || block->n > BLOCK_MAX_READINGS || !block->data ||
		block_checksum(block->data, block->size) != block->crc ||
		block_decode(block->data, block->size, block->n, block->first_us, block->offset_us,
			block->clock_ok, s->readings) < 0) {
		s->broken += MIN(block->n, BLOCK_MAX_READINGS) - MIN(acked, block->n);
		return 0;
	}
	r = next_block(s);
	if (r < 0) {
		return r;
	}
	boot = limits_boot(j, block->boot);
	for (uint32_t i = 0; i < block->n; i++) {
		sensor = MAX(sensor, s->readings[i].sensor);
	}
	(void)pthread_mutex_lock(&j->lock);
	if (!j->remap) {
		sensor_table_reserve(&j->sensors, sensor);
	}
	j->ordinal = MAX(j->ordinal, block->ordinal + 1);
	d->seq = MAX(d->seq, block->id & SEQ_MASK);
	d->batch_seq = MAX(d->batch_seq, block->id & SEQ_MASK);
	(void)pthread_mutex_unlock(&j->lock);
	r = limits_insert(j, d, boot, block);
	if (r == 0 && acked > 0) {
		limits_account(j, d, boot, block->clock_ok, -(int64_t)acked);
		r = journal_db_set_partial(
			j->writer, block->id, block->acked, ((size_t)block->n + 7) / 8);
	}
	s->saved += r == 0 ? block->n - acked : 0;
	return MIN(r, 0);
}

static int visit_copy(void *ctx, struct journal_db_block *block)
{
	struct salvage *s = ctx;

	s->id = block->id;
	s->error = copy(s, block);
	return s->error < 0 ? s->error : 1;
}

static int visit_id(void *ctx, struct journal_db_block *block)
{
	struct salvage *s = ctx;

	s->id = block->id;
	return 0;
}

/* Copies from `*first` on until the file cannot be read; `*first` is the next to try then. */
static int copy_forwards(struct salvage *s, int64_t *first, int64_t last)
{
	int r;

	s->id = 0;
	r = journal_db_scan(s->from, *first, last, JOURNAL_DB_DATA, visit_copy, s);
	if (s->id) {
		*first = s->id + 1;
	}
	return r;
}

/* After an unreadable place: the blocks directly before `end`, back to `first`. */
static void copy_backwards(struct salvage *s, int64_t first, int64_t end)
{
	while (end > first && s->error == 0) {
		s->id = 0;
		if (journal_db_scan(s->from, first, end - 1, JOURNAL_DB_ROWS_BACK, visit_id, s) <
				0 ||
			s->id == 0) {
			break;
		}
		end = s->id;
		if (journal_db_scan(s->from, end, end, JOURNAL_DB_DATA, visit_copy, s) < 0) {
			break;
		}
	}
}

/*
 * All blocks of a device that can be read. Where the file cannot, farther and farther ids are tried
 * until one is found behind the damage, and the way back to it is gone block by block.
 */
static void salvage_device(struct salvage *s)
{
	int64_t base = device_base(s->device->db_number), last = base | SEQ_MASK, first = base;

	for (;;) {
		int64_t step = 1, found = 0;

		if (copy_forwards(s, &first, last) == 0 || s->error < 0) {
			break;
		}
		for (; found == 0 && first + step <= last; step *= 2) {
			s->id = 0;
			if (journal_db_scan(s->from, first + step, last, JOURNAL_DB_ROWS, visit_id,
				    s) == 0) {
				found = s->id ? s->id : last + 1;
			}
		}
		if (found == 0) {
			found = last + 1;
		}
		copy_backwards(s, first, found);
		if (found > last || s->error < 0) {
			break;
		}
		first = found;
	}
}

static void tell(struct journal *j, const struct salvage *s, uint64_t lost)
{
	if (s->from && j->expected >= 0) {
		journal_say(j, JOURNAL_EVENT_DAMAGED,
			"journal %s: %s; it was set aside as %s, a new one was started, "
			"%" PRIu64 " readings were saved from it and %" PRIu64 " are lost",
			j->path, j->salvage_why, j->salvage_path, s->saved, lost);
	} else {
		journal_say(j, JOURNAL_EVENT_DAMAGED,
			"journal %s: %s; it was set aside as %s, a new one was started, "
			"%" PRIu64 " readings were saved from it, and how many are lost is not "
			"known",
			j->path, j->salvage_why, j->salvage_path, s->saved);
	}
}

/* The new file has only copies so far: the next try makes another. */
static void start_over(struct journal *j)
{
	_cleanup_(freep) char *directory = directory_of(j->path);
	const char *slash = strrchr(j->path, '/');

	journal_db_rollback(j->writer);
	journal_db_abandon(steal_ptr(j->writer));
	remove_database(directory, slash ? slash + 1 : j->path);
}

int salvage_run(struct journal *j)
{
	_cleanup_(freep) struct reading *readings = xcalloc(BLOCK_MAX_READINGS, sizeof(*readings));
	struct salvage s = {.j = j, .readings = readings};
	uint64_t missing, lost;
	char why[200];
	int r;

	/* a file that does not even open leaves `from` NULL: nothing to be had */
	(void)journal_db_open(j->salvage_path, JOURNAL_DB_SALVAGE, why, sizeof(why), &s.from);
	if (s.from && !j->loaded) {
		(void)load_tables(j, s.from, true); /* what is there */
	}
	(void)pthread_mutex_lock(&j->lock);
	(void)forget_counters(j);
	j->loaded = true;
	(void)pthread_mutex_unlock(&j->lock);
	r = commit_begin(j);
	if (r == 0) {
		r = save_tables(j);
	}
	if (r == 0) {
		r = commit_end(j);
	}
	for (size_t i = 0; i < j->n_known && r == 0 && s.from; i++) {
		s.device = j->known[i];
		salvage_device(&s);
		r = s.error;
	}
	if (r == 0) {
		r = s.in_transaction == 0 ? commit_begin(j) : 0;
	}
	/* what the counters knew of, or else what was seen */
	missing = (uint64_t)MAX(j->expected - (int64_t)s.saved, 0);
	lost = MAX(missing, s.broken);
	if (r == 0) {
		j->next_loss[JOURNAL_LOSS_DAMAGED] += lost;
		r = commit_end(j);
	}
	journal_db_close(s.from);
	if (r < 0) {
		start_over(j);
		return r;
	}
	tell(j, &s, lost);
	free(steal_ptr(j->salvage_path));
	j->expected = -1;
	(void)pthread_mutex_lock(&j->read_lock);
	j->repairing = false;
	(void)pthread_mutex_unlock(&j->read_lock);
	return 0;
}
