/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_JOURNAL_STATE_H
#define SCG_JOURNAL_STATE_H

/*
 * The inside of the journal, shared by its parts: journal.c and journal_stats.c (what others call),
 * journal_take.c (reading), journal_writer.c (the thread), journal_commit.c and journal_limits.c
 * (transactions), journal_load.c (the small tables), journal_salvage.c (damaged files). Nobody else
 * includes it.
 *
 * A reading's way: a device's builder -> sealed: a memory block with its id, in the list `blocks`
 * -> committed. A memory block can be taken only while the disk refuses; else it becomes visible
 * by its commit.
 *
 * Numbers: devices, sensors and boots have numbers in this process and numbers in the file. They
 * are the same unless the file could not be read at the start; then they are translated at the
 * border to the file, and what was handed out stays valid.
 *
 * Locks, in the order in which they may be taken: read_lock, lock. Neither is ever held while the
 * disk is written to.
 */

#include <pthread.h>

#include "journal.h"
#include "journal_acks.h"
#include "journal_block.h"
#include "journal_db.h"
#include "journal_sensors.h"

/* A block's id: the device above, a counter that never goes back below. */
#define SEQ_BITS 40
#define SEQ_MASK ((INT64_C(1) << SEQ_BITS) - 1)
/* A device number has to fit above the counter. */
#define DEVICES_MAX 65536u

struct boot {
	uint32_t db_number; /* 0: not in the file yet */
	char boot_id[40];
	bool this_boot;
	bool has_anchor;
	int64_t anchor_us; /* wall time minus boot-clock time */
	bool dirty;
};

/* Readings of a device with clock_ok false, by the boot that read them. */
struct undated {
	uint32_t boot; /* index */
	uint32_t device;
	int64_t readings;
	int64_t next; /* after the transaction in progress; the writer's */
};

struct memory_block {
	struct memory_block *next;
	struct device *device;
	int64_t id;
	int64_t ordinal;
	struct block_builder packed;
	uint32_t boot; /* index */
	bool writing;  /* the writer reads it without the lock: must stay */
};

struct device {
	uint32_t number, db_number;
	char uuid[37];
	int eventfd; /* -1: nobody listens */
	struct block_builder builder;
	int64_t seq;       /* of the newest block */
	int64_t first_seq; /* of the first block of this process */
	int64_t newest_id; /* that can be taken */
	int64_t in_memory; /* readings in builder and memory blocks */
	int64_t on_disk;   /* readings in the file, committed acknowledgements subtracted */
	struct ack_set pending, committing;
	bool notify;
	/* Blocks after skip_from up to skip_to can never be dated: passed over at once. */
	int64_t skip_from, skip_to;
	/* The writer's, for the transaction in progress. */
	int64_t next_on_disk;
	int64_t saved_on_disk, saved_seq; /* as the file has it; saved_seq -1: no row */
	int64_t head_id, head_ordinal;    /* oldest block, 0: not known, -1: none */
	int64_t batch_first, batch_seq;   /* first id and last counter of this batch */
	int64_t unwritten;                /* first id after it that is only in memory */
};

/* How the size limit is divided. */
struct journal_budget {
	int64_t db_pages;      /* hard limit of the file */
	int64_t wal_bytes;     /* the WAL is kept below */
	int64_t wal_threshold; /* pages: time for a checkpoint */
	int64_t batch_bytes;   /* packed bytes in one transaction */
	size_t seal_bytes;     /* a block is not greater */
};

struct journal {
	char *path;
	char *boot_id;
	int lock_fd; /* -1: no lock could be had */
	struct heartbeat heartbeat;
	pthread_t thread;
	bool started; /* main thread */
	bool stopped;

	/* The writer's own: the journal thread while it runs, else the main thread. */
	struct journal_db *writer;
	bool loaded;        /* the small tables are in memory */
	bool all_dirty;     /* the file is new: everything has to be saved into it */
	char *salvage_path; /* set aside, and not read yet */
	char salvage_why[200];
	uint32_t prune_boots;  /* rows below are of no use any more */
	int64_t expected;      /* readings that should be in it; -1: not known */
	struct device **known; /* a copy of `devices` */
	size_t n_known;
	struct journal_options applied;
	struct journal_budget budget;
	uint64_t next_loss[JOURNAL_LOSS_CAUSES];
	uint64_t saved_loss[JOURNAL_LOSS_CAUSES];
	int64_t backoff_ns;
	int64_t next_age_check_ns;
	uint64_t told_lost;
	int64_t told_at_ns;

	/* Guards the connection for reading: `reader`, `repairing`. */
	pthread_mutex_t read_lock;
	struct journal_db *reader;
	bool repairing;

	/* Guards everything below, and the devices. Held for moments only. */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct journal_options options; /* path and boot_id as above */
	size_t seal_bytes;
	struct device **devices;
	size_t n_devices, devices_capacity;
	struct sensor_table sensors;
	bool sensors_dirty;
	size_t n_numbered;       /* sensors that have a number in the file */
	bool remap;              /* sensor numbers in the file differ */
	uint32_t *runtime_of_db; /* with remap: by number in the file - 1 */
	size_t n_runtime_of_db;
	struct boot *boots;
	size_t n_boots, boots_capacity;
	uint32_t boot;   /* index of the present one */
	bool boot_waits; /* the clock was made doubtful: the next reading starts another one */
	struct undated *undated;
	size_t n_undated, undated_capacity;
	struct memory_block *blocks, **blocks_end;
	int64_t ordinal;
	int64_t memory_bytes;
	uint64_t dropped[JOURNAL_LOSS_CAUSES];
	uint64_t commits;
	bool failing;
	char error[160];

	/* What the thread has to do, and when. Monotonic times, 0: not. */
	bool stop, commit_now, configure, damaged, more;
	int64_t pending_since_ns, acked_since_ns;
	uint64_t pending_readings, acked_readings;
	int64_t last_commit_ns;
	int64_t retry_ns, age_check_ns;
	int64_t sleeping_until_ns; /* INT64_MAX: for ever; 0: awake */
};

/* journal.c; all with the lock held */
struct device *journal_find_device(struct journal *j, uint32_t number);
struct device *journal_add_device(struct journal *j, const char *uuid);
struct undated *journal_undated(struct journal *j, uint32_t boot, uint32_t device);
uint32_t journal_add_boot(struct journal *j, const char *boot_id);
/* Makes blocks of all builders. */
void journal_seal_all(struct journal *j);
void journal_free_block(struct journal *j, struct memory_block *b);
/* Wakes the thread if it has to do something earlier than it expects. */
void journal_poke(struct journal *j);
void journal_notify(struct device *d);
int64_t journal_now_us(const struct journal *j, bool *ret_known);

/* No locks held. */
void journal_say(struct journal *j, enum journal_event event, const char *format, ...)
	_printf_(3, 4);
void journal_plan_budget(const struct journal_options *options, struct journal_budget *ret);

enum dating {
	DATING_NEVER, /* of a boot that ended before its clock was right */
	DATING_WAITS, /* of this boot, and the clock is not right yet */
	DATING_KNOWN,
};

/* `ret_offset_us`: what to add to the boot-clock times. No locks held. */
enum dating journal_date(struct journal *j, const struct journal_db_block *block,
	int64_t *ret_offset_us, bool *ret_this_boot);
/* The same with the lock held, and by the index of the boot; UINT32_MAX: not known. */
enum dating journal_date_boot(const struct journal *j, uint32_t boot, bool clock_ok,
	int64_t *offset_us, bool *ret_this_boot);
/* The index of the boot that has this number in the file, UINT32_MAX: none. With the lock held. */
uint32_t journal_find_boot(const struct journal *j, uint32_t db_number);

static inline bool boot_is_undatable(const struct boot *b)
{
	return !b->has_anchor && !b->this_boot;
}

static inline int64_t device_base(uint32_t number)
{
	return (int64_t)number << SEQ_BITS;
}

/* journal_writer.c */
int64_t writer_due_ns(const struct journal *j, int64_t now); /* with the lock held */
void *writer_main(void *arg);
/* Opens the file if it is not open; what every writing starts with. */
int writer_open(struct journal *j);
/* All that is in memory, once. For a journal without a thread. */
void writer_flush(struct journal *j);

/* journal_limits.c; in a transaction, the writer's */
uint32_t limits_boot(struct journal *j, uint32_t db_number);
/* A block comes (n > 0) or goes. */
void limits_account(struct journal *j, struct device *d, uint32_t boot, bool clock_ok, int64_t n);
/* Ids are those of the file; `cause`: of the loss, or ACK_DELIVERED. */
int limits_remove(struct journal *j, struct device *d, int64_t first, int64_t last, int cause);
/* Inserts, dropping the oldest for it. 1 if there is no room. */
int limits_insert(
	struct journal *j, struct device *d, uint32_t boot, const struct journal_db_block *block);
int limits_drop_aged(struct journal *j);
/* After the limit was lowered: one transaction's worth. */
int limits_shrink(struct journal *j, bool *ret_more);

/* journal_commit.c; the writer's */
/* Starts a transaction and the counting in it. */
int commit_begin(struct journal *j);
/* Saves the counters, commits, and makes them the present ones. */
int commit_end(struct journal *j);
/* One transaction with a batch of what is there. */
int commit_batch(struct journal *j);

/* journal_load.c: the small tables; the writer's */
int load_tables(struct journal *j, struct journal_db *db, bool go_on);
int save_tables(struct journal *j);
/* With the lock held: that was committed. */
void tables_saved(struct journal *j);
/* Packs anew with the numbers of the file, or the other way. False if the block is not readable. */
bool remap_block(struct journal *j, bool to_file, const struct journal_db_block *in,
	struct block_builder *out);

/* journal_salvage.c; the writer's */
/* Sets the file aside; what is in it is read by salvage_run() once a new one is open. */
int salvage_set_aside(struct journal *j, const char *why);

int salvage_run(struct journal *j);

#endif
