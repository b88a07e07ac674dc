/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/stat.h>

#include "journal_state.h"

const char *journal_loss_name(enum journal_loss cause)
{
	static const char *const names[JOURNAL_LOSS_CAUSES] = {
		[JOURNAL_LOSS_SIZE] = "size",
		[JOURNAL_LOSS_AGE] = "age",
		[JOURNAL_LOSS_MEMORY] = "memory",
		[JOURNAL_LOSS_DAMAGED] = "damaged",
		[JOURNAL_LOSS_REFUSED] = "refused",
	};

	return names[cause];
}

static int64_t undated_of(const struct journal *j, uint32_t device)
{
	int64_t n = 0;

	for (size_t i = 0; i < j->n_undated; i++) {
		const struct undated *u = &j->undated[i];

		if ((device == 0 || u->device == device) && boot_is_undatable(&j->boots[u->boot])) {
			n += u->readings;
		}
	}
	return n;
}

static int64_t waiting(const struct device *d)
{
	int64_t acked = (int64_t)(d->pending.counted + d->committing.counted);

	/* a block that was evicted and acknowledged at the same time is counted twice for a moment
	 */
	return MAX(d->in_memory + d->on_disk - acked, 0);
}

uint64_t journal_backlog(struct journal *j, uint32_t device)
{
	struct device *d;
	int64_t n = 0;

	(void)pthread_mutex_lock(&j->lock);
	d = journal_find_device(j, device);
	if (d) {
		n = waiting(d) - undated_of(j, device);
	}
	(void)pthread_mutex_unlock(&j->lock);
	return (uint64_t)MAX(n, 0);
}

static int64_t file_size(const char *path, const char *suffix)
{
	_cleanup_(freep) char *name = xasprintf("%s%s", path, suffix);
	struct stat st;

	return stat(name, &st) == 0 ? (int64_t)st.st_size : 0;
}

/* The oldest block of the device that has a true time; 0 if there is none. */
static int64_t oldest_of(struct journal *j, uint32_t device)
{
	_cleanup_(journal_block_freep) struct journal_block *b = NULL;

	if (journal_take(j, device, 0, 1, &b, 1) != 1 || !b->dated) {
		return 0;
	}
	return b->first_us + b->offset_us;
}

void journal_get_stats(struct journal *j, struct journal_stats *ret)
{
	struct journal_stats s = {0};
	size_t n_devices;

	(void)pthread_mutex_lock(&j->lock);
	n_devices = j->n_devices;
	for (size_t i = 0; i < n_devices; i++) {
		s.readings += (uint64_t)waiting(j->devices[i]);
	}
	s.undated = (uint64_t)undated_of(j, 0);
	s.memory_bytes = j->memory_bytes;
	memcpy(s.dropped, j->dropped, sizeof(s.dropped));
	s.commits = j->commits;
	s.failing = j->failing;
	memcpy(s.error, j->error, sizeof(s.error));
	(void)pthread_mutex_unlock(&j->lock);
	s.bytes = file_size(j->path, "") + file_size(j->path, "-wal");
	for (size_t i = 0; i < n_devices; i++) {
		int64_t oldest = oldest_of(j, (uint32_t)i + 1);

		if (oldest != 0 && (s.oldest_us == 0 || oldest < s.oldest_us)) {
			s.oldest_us = oldest;
		}
	}
	*ret = s;
}
