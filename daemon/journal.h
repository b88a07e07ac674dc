/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_JOURNAL_H
#define SCG_JOURNAL_H

/*
 * The journal: store and forward. Every reading goes in by journal_append(), is committed to disk
 * by the journal's own thread, is taken by the publisher of its device, and leaves when the
 * publisher says that the broker has acknowledged it. There is no other way through the gateway.
 *
 * Nobody who appends, takes or acknowledges ever waits for the disk to sync. When the disk refuses
 * (full, read-only, gone), committed readings can still be taken, new ones are kept in memory up to
 * a limit and can be taken from there, and writing resumes by itself.
 *
 * Readings travel in blocks (journal_block.h): one a device and commit. Block ids of a device grow
 * for ever and are never used twice. Order and eviction go by id, never by the wall clock.
 *
 * A reading's true time: if the clock was right when it was read, its wall time as seen then. If
 * not, boot-clock time plus the offset of that boot's clock once it was right
 * (journal_clock_set()). A boot that ended before its clock was ever right leaves readings that
 * cannot be dated: they are kept, counted (`undated`), never taken, and go when the size limit
 * evicts them, as the oldest.
 *
 * Every reading that is lost is counted by cause, per journal, across restarts.
 *
 * The module never logs: it tells of events by the hook. Functions may be called from any thread
 * unless said otherwise.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heartbeat.h"
#include "reading.h"
#include "util.h"

enum journal_loss {
	JOURNAL_LOSS_SIZE,    /* the size limit: oldest or newest, by policy */
	JOURNAL_LOSS_AGE,     /* older than the age limit */
	JOURNAL_LOSS_MEMORY,  /* the disk refused and the memory limit was reached */
	JOURNAL_LOSS_DAMAGED, /* in a damaged file, not readable any more */
	JOURNAL_LOSS_REFUSED, /* a single reading that the broker would not take */
	JOURNAL_LOSS_CAUSES,
};

/* "size", "age", "memory", "damaged", "refused": the names in `status --json`. */
const char *journal_loss_name(enum journal_loss cause);

enum journal_event {
	JOURNAL_EVENT_LOST,      /* readings were dropped; at most once a minute, summed up */
	JOURNAL_EVENT_FAILING,   /* the disk refuses: kept in memory from now on */
	JOURNAL_EVENT_RECOVERED, /* writing works again */
	JOURNAL_EVENT_DAMAGED,   /* the file was set aside and a new one started */
};

struct journal_options {
	const char *path;
	int64_t max_size;   /* bytes, file and WAL together; at least 1 MiB */
	int64_t max_age_ns; /* 0: no limit */
	bool drop_newest;   /* when full: refuse the new instead of dropping the oldest */
	int64_t commit_interval_ns;
	bool sync_full;
	int64_t max_memory;  /* bytes of packed readings in memory while the disk refuses */
	const char *boot_id; /* NULL: the kernel's; tests pretend to be another boot */
	/*
	 * Called for an event, with a sentence for a person that names the file, the reason, the
	 * number of readings and what happens next. From any thread, under no lock; must not call
	 * the journal.
	 */
	void (*event)(void *ctx, enum journal_event event, const char *text);
	void *ctx;
};

struct journal;

/*
 * Opens or makes the journal. A damaged or foreign file is set aside as
 * PATH.damaged-20261122T193000Z (with its WAL), and what is readable in it is copied into the new
 * one. If the disk cannot be used at all it starts in memory and keeps trying. NULL only if another
 * process has this journal open. Strings of `options` are copied. Main thread.
 */
struct journal *journal_open(const struct journal_options *options);
/*
 * Numbers for a device and its sensors, the same ones for ever. A sensor is its uuid,
 * or its slug as long as it has no uuid; a uuid given to it later, and a slug that was added,
 * changed or taken away, update it. Main thread.
 */
uint32_t journal_device(struct journal *j, const char *device_uuid);
uint32_t journal_sensor(struct journal *j, uint32_t device, const char *slug, const char *uuid);
/* Slug and uuid of a sensor, also of one that is no longer configured; either may come back NULL.
   Valid for the life of the journal. -ENOENT if there is no such sensor. */
int journal_sensor_names(
	struct journal *j, uint32_t sensor, const char **ret_slug, const char **ret_uuid);
/* Starts the thread; before it, appended readings stay in memory. Main thread. */
int journal_start(struct journal *j);
/* Commits what is there, stops the thread, closes the file. The object remains until _free. */
void journal_stop(struct journal *j);
void journal_free(struct journal *j);
/* New limits on reload; the path must be the same. Main thread. */
void journal_set_options(struct journal *j, const struct journal_options *options);
struct heartbeat *journal_heartbeat(struct journal *j);

/*
 * Adds readings. `round_end`: a round of polling is complete, so this is a good moment to commit if
 * the last commit is a while ago; else they are committed within commit_interval. Never blocks on
 * the disk, never fails: losses are counted.
 */
void journal_append(struct journal *j, const struct reading *readings, size_t n, bool round_end);

/* The wall clock is right, and this far from the boot clock: readings of this boot taken before get
   their time. Call when it becomes right and every hour or so. Wakes all subscribers. */
void journal_clock_set(struct journal *j, int64_t offset_us);
/* Somebody made the wall clock doubtful: what is read from now on with clock_ok false waits again.
 */
void journal_clock_lost(struct journal *j);
/* Wall time of the newest reading with a right time, 0 if there is none. Main thread, before start.
 */
int64_t journal_newest_us(struct journal *j);

/* --- the publishers' side --- */

/* A block that was taken: a copy, the caller's to free with journal_block_free(). */
struct journal_block {
	int64_t id;
	uint32_t n;        /* readings in it */
	uint32_t n_acked;  /* of them, acknowledged before */
	uint8_t *acked;    /* bit i % 8 of byte i / 8: reading i; NULL: none */
	int64_t first_us;  /* boot-clock time (of its boot) of the first reading */
	int64_t last_us;   /* greatest boot-clock time in it */
	int64_t offset_us; /* wall time minus boot-clock time: the true one */
	bool this_boot;    /* boot-clock times can be compared with now_boottime_ns() */
	bool dated;        /* false: of this boot, and the clock is not right yet */
	size_t size;
	uint8_t data[];
};
void journal_block_free(struct journal_block *b);
DEFINE_CLEANUP(struct journal_block *, journal_block_free)
/* Unpacks, with offset_us of the block: `out` has room for b->n. b->n or -EBADMSG. */
int journal_block_readings(const struct journal_block *b, struct reading *out);

/* `eventfd` (an eventfd of the caller) is written to whenever there is something new to take for
   the device; -1 ends it. */
void journal_subscribe(struct journal *j, uint32_t device, int eventfd);

/*
 * Blocks of the device with an id above `after`, in order, until `max_blocks` are there or they
 * hold `max_readings` or more. Skips blocks that can never be dated. Blocks that turn out damaged
 * are counted and skipped. Returns how many, or a negative errno if the file could not be read.
 */
int journal_take(struct journal *j, uint32_t device, int64_t after, uint32_t max_readings,
	struct journal_block **blocks, size_t max_blocks);

/*
 * The id to take `after` so that what follows are the blocks of this boot with readings newer than
 * `boottime_us`; the newest id if there are none, 0 if there are no blocks.
 */
int64_t journal_find_newer(struct journal *j, uint32_t device, int64_t boottime_us);
/* The id of the newest block that can be taken, 0 if none ever was. */
int64_t journal_newest_id(struct journal *j, uint32_t device);

struct journal_ack {
	int64_t id;
	uint32_t n;    /* of the block */
	uint32_t told; /* readings of it that the journal has as acknowledged: when it was taken, or
			  by an earlier call */
	const uint8_t *acked; /* all bits so far, as in struct journal_block; NULL: all */
};
/*
 * These readings need no delivery any more. Effective at once for journal_take(), on disk with the
 * next commit: at the latest after 1.5 commit intervals or some thousand readings. Unknown ids are
 * ignored (evicted meanwhile). The bitmaps are copied.
 */
void journal_ack(struct journal *j, uint32_t device, const struct journal_ack *acks, size_t n);
/* Counts readings as lost for a reason that the publisher knows; they are also to be acked. */
void journal_count_loss(struct journal *j, uint32_t device, enum journal_loss cause, uint64_t n);

/* --- numbers, for status --- */

struct journal_stats {
	uint64_t readings;    /* not yet acknowledged, on disk and in memory */
	uint64_t undated;     /* of them, never to be dated */
	int64_t bytes;        /* on disk: file and WAL */
	int64_t memory_bytes; /* packed readings in memory that are not on disk yet */
	int64_t oldest_us;    /* wall time of the oldest that is dated; 0: none */
	uint64_t dropped[JOURNAL_LOSS_CAUSES];
	uint64_t commits; /* since start */
	bool failing;     /* the disk refuses */
	char error[160];  /* why, while failing; else "" */
};
void journal_get_stats(struct journal *j, struct journal_stats *ret);
/* Readings of the device that wait for delivery. Cheap. */
uint64_t journal_backlog(struct journal *j, uint32_t device);

#endif
