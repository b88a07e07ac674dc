/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_JOURNAL_DB_H
#define SCG_JOURNAL_DB_H

/*
 * The journal's tables. journal_db.c is the only file that knows SQLite. It moves rows and says
 * what went wrong; what to keep, to drop and to retry is decided above (journal_writer.c).
 *
 * A connection belongs to one thread at a time. Errors: -EUCLEAN the file is damaged, -EMEDIUMTYPE
 * it is no journal of ours, any other negative errno the disk or the file system refuses.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util.h"

struct journal_db;

enum journal_db_mode {
	JOURNAL_DB_WRITER,  /* makes the file and the tables if they are not there */
	JOURNAL_DB_READER,  /* only reads; -ENOENT if there is no file */
	JOURNAL_DB_SALVAGE, /* reads a damaged file and leaves it as it is */
};

/* `why` gets a phrase for a person on failure. */
int journal_db_open(const char *path, enum journal_db_mode mode, char *why, size_t why_size,
	struct journal_db **ret);
void journal_db_close(struct journal_db *db);
DEFINE_CLEANUP(struct journal_db *, journal_db_close)
/* Closes without touching a file that may be damaged; the WAL stays as well. */
void journal_db_abandon(struct journal_db *db);
/* The last error of the connection, for a person. */
const char *journal_db_error(struct journal_db *db);

#define JOURNAL_DB_PAGE_SIZE 4096
/* `wal_bytes`: the WAL is cut to this when it starts anew. */
int journal_db_configure(
	struct journal_db *db, bool sync_full, int64_t max_pages, int64_t wal_bytes);
int journal_db_begin(struct journal_db *db);
int journal_db_commit(struct journal_db *db);
void journal_db_rollback(struct journal_db *db); /* if a transaction is open */
int journal_db_pages(struct journal_db *db, int64_t *ret_total, int64_t *ret_free);
/* Gives up to `pages` free pages at the end of the file back to the file system. */
int journal_db_shrink(struct journal_db *db, int64_t pages);
int64_t journal_db_wal_pages(struct journal_db *db);
/* Copies the WAL into the file. `ret_complete`: all of it, the next commit starts the WAL anew. */
int journal_db_checkpoint(struct journal_db *db, bool *ret_complete);

struct journal_db_block {
	int64_t id;
	int64_t ordinal;
	uint32_t n;
	uint32_t boot;
	int64_t first_us, last_us, offset_us;
	bool clock_ok;
	uint32_t crc;
	const uint8_t *acked; /* bitmap of n bits, or NULL */
	const uint8_t *data;
	size_t size;
};

enum journal_db_order {
	JOURNAL_DB_ROWS,      /* without data, by id */
	JOURNAL_DB_ROWS_BACK, /* without data, the newest first */
	JOURNAL_DB_DATA,      /* with data, by id */
};

/* Called for each block; returns > 0 to go on, 0 to stop, negative to stop with that error. What
   the block points to is valid until it returns. */
typedef int (*journal_db_visit)(void *ctx, struct journal_db_block *block);
/* Blocks with first <= id <= last. */
int journal_db_scan(struct journal_db *db, int64_t first, int64_t last, enum journal_db_order order,
	journal_db_visit visit, void *ctx);
int journal_db_insert(struct journal_db *db, const struct journal_db_block *block);
int journal_db_delete(struct journal_db *db, int64_t first, int64_t last);
int journal_db_set_partial(struct journal_db *db, int64_t id, const uint8_t *acked, size_t size);

/* The small tables. Strings are valid only in the call; NULL: none. */
struct journal_db_loader {
	void *ctx;
	int (*device)(void *ctx, int64_t id, const char *uuid, int64_t last_seq, int64_t readings);
	int (*sensor)(void *ctx, int64_t id, int64_t device, const char *slug, const char *uuid);
	int (*boot)(void *ctx, int64_t id, const char *boot_id, bool has_anchor, int64_t anchor_us);
	int (*undated)(void *ctx, int64_t boot, int64_t device, int64_t readings);
	int (*loss)(void *ctx, const char *cause, int64_t readings);
};
/* With `go_on`, a table that cannot be read does not keep the others from being read. */
int journal_db_load(struct journal_db *db, const struct journal_db_loader *loader, bool go_on);
int journal_db_save_device(
	struct journal_db *db, int64_t id, const char *uuid, int64_t last_seq, int64_t readings);
int journal_db_save_sensor(
	struct journal_db *db, int64_t id, int64_t device, const char *slug, const char *uuid);
int journal_db_save_boot(
	struct journal_db *db, int64_t id, const char *boot_id, bool has_anchor, int64_t anchor_us);
/* Removes the rows of boots with a smaller number. */
int journal_db_prune_boots(struct journal_db *db, int64_t below);
int journal_db_save_undated(
	struct journal_db *db, int64_t boot, int64_t device, int64_t readings); /* 0 deletes */
int journal_db_save_loss(struct journal_db *db, const char *cause, int64_t readings);

#endif
