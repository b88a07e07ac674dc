/* SPDX-License-Identifier: Apache-2.0 */
#include "journal_db.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* "SCGJ"; sqlite.org/fileformat2.html, 1.3.14 */
#define APPLICATION_ID 0x5343474a
#define SCHEMA_VERSION 1
/* Somebody may look into the journal with sqlite3(1); nobody but us writes. */
#define BUSY_TIMEOUT_MS 2000
/* quick_check reads the whole file: 0.3 s for 100 MB from a fast disk, 4 s from an SD card. */
#define CHECK_MAX_BYTES (INT64_C(64) << 20)

#define SCHEMA                                                                                     \
	"CREATE TABLE device (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL,"                         \
	" last_seq INTEGER NOT NULL, readings INTEGER NOT NULL) STRICT;"                           \
	"CREATE TABLE sensor (id INTEGER PRIMARY KEY, device INTEGER NOT NULL,"                    \
	" slug TEXT, uuid TEXT) STRICT;"                                                           \
	"CREATE TABLE boot (id INTEGER PRIMARY KEY, boot_id TEXT NOT NULL, anchor_us INTEGER)"     \
	" STRICT;"                                                                                 \
	"CREATE TABLE undated (boot INTEGER NOT NULL, device INTEGER NOT NULL,"                    \
	" readings INTEGER NOT NULL, PRIMARY KEY (boot, device)) STRICT, WITHOUT ROWID;"           \
	"CREATE TABLE loss (cause TEXT PRIMARY KEY, readings INTEGER NOT NULL)"                    \
	" STRICT, WITHOUT ROWID;"                                                                  \
	"CREATE TABLE block (id INTEGER PRIMARY KEY, ordinal INTEGER NOT NULL,"                    \
	" readings INTEGER NOT NULL, boot INTEGER NOT NULL, first_us INTEGER NOT NULL,"            \
	" last_us INTEGER NOT NULL, offset_us INTEGER NOT NULL, clock_ok INTEGER NOT NULL,"        \
	" crc INTEGER NOT NULL, data BLOB NOT NULL) STRICT;"                                       \
	"CREATE TABLE partial (id INTEGER PRIMARY KEY, acked BLOB NOT NULL) STRICT;"

/* The data only where it is wanted: reading the other columns leaves its pages alone. */
#define SCAN(data)                                                                                 \
	"SELECT block.id, ordinal, readings, boot, first_us, last_us, offset_us, clock_ok, crc,"   \
	" partial.acked" data " FROM block LEFT JOIN partial ON partial.id = block.id"             \
	" WHERE block.id BETWEEN :first AND :last ORDER BY block.id "

enum statement {
	BEGIN,
	COMMIT,
	ROLLBACK,
	PAGE_COUNT,
	FREE_COUNT,
	SCAN_ROWS,
	SCAN_ROWS_BACK,
	SCAN_DATA,
	INSERT_BLOCK,
	DELETE_BLOCKS,
	DELETE_PARTIALS,
	SET_PARTIAL,
	LOAD_DEVICES,
	LOAD_SENSORS,
	LOAD_BOOTS,
	LOAD_UNDATED,
	LOAD_LOSSES,
	SAVE_DEVICE,
	SAVE_SENSOR,
	SAVE_BOOT,
	PRUNE_BOOTS,
	SAVE_UNDATED,
	DELETE_UNDATED,
	SAVE_LOSS,
	STATEMENTS,
};

static const char *const sql[STATEMENTS] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[PAGE_COUNT] = "PRAGMA page_count",
	[FREE_COUNT] = "PRAGMA freelist_count",
	[SCAN_ROWS] = SCAN("") "ASC",
	[SCAN_ROWS_BACK] = SCAN("") "DESC",
	[SCAN_DATA] = SCAN(", data") "ASC",
	[INSERT_BLOCK] = "INSERT INTO block (id, ordinal, readings, boot, first_us, last_us,"
			 " offset_us, clock_ok, crc, data) VALUES (:id, :ordinal, :readings,"
			 " :boot, :first_us, :last_us, :offset_us, :clock_ok, :crc, :data)",
	[DELETE_BLOCKS] = "DELETE FROM block WHERE id BETWEEN :first AND :last",
	[DELETE_PARTIALS] = "DELETE FROM partial WHERE id BETWEEN :first AND :last",
	[SET_PARTIAL] = "INSERT OR REPLACE INTO partial (id, acked) VALUES (:id, :acked)",
	[LOAD_DEVICES] = "SELECT id, uuid, last_seq, readings FROM device ORDER BY id",
	[LOAD_SENSORS] = "SELECT id, device, slug, uuid FROM sensor ORDER BY id",
	[LOAD_BOOTS] = "SELECT id, boot_id, anchor_us FROM boot ORDER BY id",
	[LOAD_UNDATED] = "SELECT boot, device, readings FROM undated",
	[LOAD_LOSSES] = "SELECT cause, readings FROM loss",
	[SAVE_DEVICE] = "INSERT INTO device (id, uuid, last_seq, readings)"
			" VALUES (:id, :uuid, :last_seq, :readings) ON CONFLICT (id) DO UPDATE"
			" SET uuid = :uuid, last_seq = :last_seq, readings = :readings",
	[SAVE_SENSOR] = "INSERT OR REPLACE INTO sensor (id, device, slug, uuid)"
			" VALUES (:id, :device, :slug, :uuid)",
	[SAVE_BOOT] = "INSERT OR REPLACE INTO boot (id, boot_id, anchor_us)"
		      " VALUES (:id, :boot_id, :anchor_us)",
	[PRUNE_BOOTS] = "DELETE FROM boot WHERE id < :below",
	[SAVE_UNDATED] = "INSERT OR REPLACE INTO undated (boot, device, readings)"
			 " VALUES (:boot, :device, :readings)",
	[DELETE_UNDATED] = "DELETE FROM undated WHERE boot = :boot AND device = :device",
	[SAVE_LOSS] = "INSERT OR REPLACE INTO loss (cause, readings) VALUES (:cause, :readings)",
};

struct journal_db {
	sqlite3 *handle;
	sqlite3_stmt *statements[STATEMENTS];
	int64_t wal_pages;
	char error[200];
};

/* Notes why, and translates to errno. */
static int fail(struct journal_db *db, int code)
{
	int system_error = sqlite3_system_errno(db->handle);

	(void)snprintf(db->error, sizeof(db->error), "%s%s%s", sqlite3_errmsg(db->handle),
		system_error ? ": " : "", system_error ? strerror(system_error) : "");
	switch (code & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR:    /* a table is missing or different: SQL of ours has no other errors */
	case SQLITE_MISMATCH: /* a value that a STRICT table cannot hold */
	case SQLITE_CONSTRAINT:
	case SQLITE_FORMAT:
		return -EUCLEAN;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CANTOPEN:
		return -EACCES;
	default:
		return -EIO;
	}
}

static int prepare(struct journal_db *db, enum statement s, sqlite3_stmt **ret)
{
	int code;

	if (!db->statements[s]) {
		code = sqlite3_prepare_v3(db->handle, sql[s], -1, SQLITE_PREPARE_PERSISTENT,
			&db->statements[s], NULL);
		if (code != SQLITE_OK) {
			return fail(db, code);
		}
	}
	*ret = db->statements[s];
	return 0;
}

static int parameter(sqlite3_stmt *stmt, const char *name)
{
	return sqlite3_bind_parameter_index(stmt, name); /* 0 makes the bind fail */
}

/* Binding fails only for a name that is not in the statement, or without memory: both would leave
   a NULL that the table refuses. */
static void bind_int(sqlite3_stmt *stmt, const char *name, int64_t value)
{
	(void)sqlite3_bind_int64(stmt, parameter(stmt, name), value);
}

static void bind_text(sqlite3_stmt *stmt, const char *name, const char *text)
{
	(void)sqlite3_bind_text(stmt, parameter(stmt, name), text, -1, SQLITE_STATIC);
}

static void bind_blob(sqlite3_stmt *stmt, const char *name, const uint8_t *data, size_t size)
{
	(void)sqlite3_bind_blob64(stmt, parameter(stmt, name), data, size, SQLITE_STATIC);
}

/* Runs a statement that was bound, and forgets what was bound. */
static int run(struct journal_db *db, sqlite3_stmt *stmt)
{
	int code, r;

	do {
		code = sqlite3_step(stmt);
	} while (code == SQLITE_ROW);
	r = code == SQLITE_DONE ? 0 : fail(db, code);
	(void)sqlite3_reset(stmt); /* repeats the error of the step */
	(void)sqlite3_clear_bindings(stmt);
	return r;
}

static int run_simple(struct journal_db *db, enum statement s)
{
	sqlite3_stmt *stmt = NULL;
	int r = prepare(db, s, &stmt);

	return r < 0 ? r : run(db, stmt);
}

/* One number from SQL that is not worth keeping prepared, or from a statement. */
static int query_int(struct journal_db *db, sqlite3_stmt *stmt, int64_t *ret)
{
	int code = sqlite3_step(stmt);
	int r = 0;

	if (code == SQLITE_ROW) {
		*ret = sqlite3_column_int64(stmt, 0);
	} else {
		r = code == SQLITE_DONE ? -EUCLEAN : fail(db, code);
	}
	(void)sqlite3_reset(stmt);
	return r;
}

static int execute(struct journal_db *db, const char *text)
{
	int code = sqlite3_exec(db->handle, text, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : fail(db, code);
}

static int execute_int(struct journal_db *db, const char *text, int64_t *ret)
{
	sqlite3_stmt *stmt = NULL;
	int code = sqlite3_prepare_v2(db->handle, text, -1, &stmt, NULL);
	int r = code == SQLITE_OK ? query_int(db, stmt, ret) : fail(db, code);

	(void)sqlite3_finalize(stmt);
	return r;
}

static int note_wal(void *ctx, sqlite3 *handle, const char *name, int pages)
{
	struct journal_db *db = ctx;

	db->wal_pages = pages;
	return SQLITE_OK;
}

/* Is it ours? A file without tables that nobody has marked is a new one. */
static int identify(struct journal_db *db, bool *ret_new)
{
	int64_t application, version, tables;
	int r;

	r = execute_int(db, "PRAGMA application_id", &application);
	if (r == 0) {
		r = execute_int(db, "PRAGMA user_version", &version);
	}
	if (r == 0) {
		r = execute_int(db, "SELECT count(*) FROM sqlite_schema", &tables);
	}
	if (r < 0) {
		return r;
	}
	*ret_new = application == 0 && version == 0 && tables == 0;
	if (!*ret_new && application != APPLICATION_ID) {
		(void)snprintf(db->error, sizeof(db->error), "it is a database of another program");
		return -EMEDIUMTYPE;
	}
	if (!*ret_new && (version < 1 || version > SCHEMA_VERSION)) {
		(void)snprintf(db->error, sizeof(db->error),
			"it is a journal of version %lld, and this program knows up to %d",
			(long long)version, SCHEMA_VERSION);
		return -EMEDIUMTYPE;
	}
	return 0;
}

static int make_tables(struct journal_db *db)
{
	char text[120];
	int r;

	/* takes effect only before the first page is written, and before WAL */
	r = execute(db, "PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL;"
			"PRAGMA journal_mode = WAL; BEGIN IMMEDIATE;");
	if (r == 0) {
		r = execute(db, SCHEMA);
	}
	if (r == 0) {
		(void)snprintf(text, sizeof(text),
			"PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT;",
			APPLICATION_ID, SCHEMA_VERSION);
		r = execute(db, text);
	}
	if (r < 0) {
		journal_db_rollback(db);
	}
	return r;
}

/* After a crash or a power cut: would what we are about to append to be sound? */
static int quick_check(struct journal_db *db)
{
	sqlite3_stmt *stmt = NULL;
	int code = sqlite3_prepare_v2(db->handle, "PRAGMA quick_check(1)", -1, &stmt, NULL);
	int r = 0;

	if (code == SQLITE_OK) {
		code = sqlite3_step(stmt);
	}
	if (code != SQLITE_ROW) {
		r = fail(db, code);
	} else if (strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") != 0) {
		(void)snprintf(db->error, sizeof(db->error), "%s", sqlite3_column_text(stmt, 0));
		r = -EUCLEAN;
	}
	(void)sqlite3_finalize(stmt);
	return r;
}

static int set_up(struct journal_db *db, enum journal_db_mode mode, bool check)
{
	bool is_new;
	int r;

	(void)sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
	(void)sqlite3_wal_hook(db->handle, note_wal, db); /* replaces the automatic checkpoint */
	if (mode == JOURNAL_DB_SALVAGE) {
		/* so that a file which is shorter than its header says is read at all */
		(void)sqlite3_db_config(
			db->handle, SQLITE_DBCONFIG_WRITABLE_SCHEMA, 1, (int *)NULL);
	}
	r = identify(db, &is_new);
	if (r < 0) {
		return r;
	}
	if (mode != JOURNAL_DB_WRITER) {
		return is_new ? -ENOENT : execute(db, "PRAGMA cache_size = -256");
	}
	if (is_new) {
		r = make_tables(db);
	} else if (check) {
		r = quick_check(db);
	}
	/* freed pages are not worth overwriting: they held what was sent in plain */
	return r < 0 ? r
		     : execute(db, "PRAGMA journal_mode = WAL; PRAGMA secure_delete = OFF;"
				   "PRAGMA cache_size = -512; PRAGMA temp_store = MEMORY;");
}

/* The last one to close a file copies its WAL into it, unless told otherwise. */
static void leave_as_it_is(struct journal_db *db)
{
	(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
}

/* A WAL is left behind only by those who did not close the file. */
static bool needs_check(const char *path)
{
	_cleanup_(freep) char *wal = xasprintf("%s-wal", path);
	struct stat st;

	return stat(wal, &st) == 0 && st.st_size > 0 && stat(path, &st) == 0 &&
	       st.st_size <= CHECK_MAX_BYTES;
}

int journal_db_open(const char *path, enum journal_db_mode mode, char *why, size_t why_size,
	struct journal_db **ret)
{
	_cleanup_(journal_db_closep) struct journal_db *db = xcalloc(1, sizeof(*db));
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	bool check = mode == JOURNAL_DB_WRITER && needs_check(path);
	int code, r;

	code = sqlite3_open_v2(path, &db->handle,
		flags | (mode == JOURNAL_DB_WRITER ? SQLITE_OPEN_CREATE : 0), NULL);
	if (!db->handle) {
		(void)snprintf(why, why_size, "out of memory");
		return -ENOMEM;
	}
	r = code == SQLITE_OK ? set_up(db, mode, check) : fail(db, code);
	if (r < 0 || mode == JOURNAL_DB_SALVAGE) {
		leave_as_it_is(db);
	}
	if (r < 0) {
		(void)snprintf(why, why_size, "%s", db->error);
		return r;
	}
	*ret = steal_ptr(db);
	return 0;
}

void journal_db_close(struct journal_db *db)
{
	if (!db) {
		return;
	}
	for (size_t i = 0; i < STATEMENTS; i++) {
		(void)sqlite3_finalize(db->statements[i]); /* repeats an earlier error */
	}
	(void)sqlite3_close_v2(db->handle);
	free(db);
}

void journal_db_abandon(struct journal_db *db)
{
	leave_as_it_is(db);
	journal_db_close(db);
}

const char *journal_db_error(struct journal_db *db)
{
	return db->error;
}

int journal_db_configure(
	struct journal_db *db, bool sync_full, int64_t max_pages, int64_t wal_bytes)
{
	char text[160];

	(void)snprintf(text, sizeof(text),
		"PRAGMA synchronous = %s; PRAGMA max_page_count = %lld;"
		"PRAGMA journal_size_limit = %lld;",
		sync_full ? "FULL" : "NORMAL", (long long)max_pages, (long long)wal_bytes);
	return execute(db, text);
}

int journal_db_begin(struct journal_db *db)
{
	return run_simple(db, BEGIN);
}

int journal_db_commit(struct journal_db *db)
{
	return run_simple(db, COMMIT);
}

void journal_db_rollback(struct journal_db *db)
{
	/* after most errors SQLite has done it already (sqlite.org/lang_transaction.html, 3) */
	if (!sqlite3_get_autocommit(db->handle)) {
		char error[sizeof(db->error)];

		memcpy(error, db->error, sizeof(error));
		(void)run_simple(db, ROLLBACK); /* what remains open is closed with the file */
		memcpy(db->error, error, sizeof(error));
	}
}

int journal_db_pages(struct journal_db *db, int64_t *ret_total, int64_t *ret_free)
{
	int64_t total = 0, free_pages = 0;
	sqlite3_stmt *stmt = NULL;
	int r;

	r = prepare(db, PAGE_COUNT, &stmt);
	if (r == 0) {
		r = query_int(db, stmt, &total);
	}
	if (r == 0) {
		r = prepare(db, FREE_COUNT, &stmt);
	}
	if (r == 0) {
		r = query_int(db, stmt, &free_pages);
	}
	if (r == 0) {
		*ret_total = total;
		*ret_free = free_pages;
	}
	return r;
}

int journal_db_shrink(struct journal_db *db, int64_t pages)
{
	char text[60];

	(void)snprintf(text, sizeof(text), "PRAGMA incremental_vacuum(%lld)", (long long)pages);
	return execute(db, text); /* steps to the end: each step frees one page */
}

int64_t journal_db_wal_pages(struct journal_db *db)
{
	return db->wal_pages;
}

int journal_db_checkpoint(struct journal_db *db, bool *ret_complete)
{
	int in_wal = 0, done = 0;
	int code = sqlite3_wal_checkpoint_v2(
		db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_wal, &done);

	*ret_complete = code == SQLITE_OK && in_wal == done;
	return code == SQLITE_OK || code == SQLITE_BUSY ? 0 : fail(db, code);
}

/* False if the row is not one that we could have written. */
static bool get_block(sqlite3_stmt *stmt, struct journal_db_block *block)
{
	int64_t n = sqlite3_column_int64(stmt, 2);
	int acked_size = sqlite3_column_bytes(stmt, 9);

	*block = (struct journal_db_block){
		.id = sqlite3_column_int64(stmt, 0),
		.ordinal = sqlite3_column_int64(stmt, 1),
		.n = (uint32_t)n,
		.boot = (uint32_t)sqlite3_column_int64(stmt, 3),
		.first_us = sqlite3_column_int64(stmt, 4),
		.last_us = sqlite3_column_int64(stmt, 5),
		.offset_us = sqlite3_column_int64(stmt, 6),
		.clock_ok = sqlite3_column_int(stmt, 7) != 0,
		.crc = (uint32_t)sqlite3_column_int64(stmt, 8),
	};
	if (n < 0 || n > INT32_MAX) {
		block->n = 0;
		return false;
	}
	if ((size_t)acked_size == ((size_t)n + 7) / 8) {
		block->acked = sqlite3_column_blob(stmt, 9);
	}
	if (sqlite3_column_count(stmt) > 10) {
		block->data = sqlite3_column_blob(stmt, 10);
		block->size = (size_t)sqlite3_column_bytes(stmt, 10);
	}
	return true;
}

int journal_db_scan(struct journal_db *db, int64_t first, int64_t last, enum journal_db_order order,
	journal_db_visit visit, void *ctx)
{
	static const enum statement statements[] = {
		[JOURNAL_DB_ROWS] = SCAN_ROWS,
		[JOURNAL_DB_ROWS_BACK] = SCAN_ROWS_BACK,
		[JOURNAL_DB_DATA] = SCAN_DATA,
	};
	struct journal_db_block block;
	sqlite3_stmt *stmt = NULL;
	int code, r;

	r = prepare(db, statements[order], &stmt);
	if (r < 0) {
		return r;
	}
	bind_int(stmt, ":first", first);
	bind_int(stmt, ":last", last);
	do {
		code = sqlite3_step(stmt);
		if (code == SQLITE_ROW) {
			r = get_block(stmt, &block) ? visit(ctx, &block) : 1;
		} else {
			r = code == SQLITE_DONE ? 0 : fail(db, code);
		}
	} while (r > 0);
	(void)sqlite3_reset(
		stmt); /* at once: a statement that is left open keeps the WAL growing */
	return r;
}

int journal_db_insert(struct journal_db *db, const struct journal_db_block *block)
{
	sqlite3_stmt *stmt = NULL;
	int r = prepare(db, INSERT_BLOCK, &stmt);

	if (r < 0) {
		return r;
	}
	bind_int(stmt, ":id", block->id);
	bind_int(stmt, ":ordinal", block->ordinal);
	bind_int(stmt, ":readings", block->n);
	bind_int(stmt, ":boot", block->boot);
	bind_int(stmt, ":first_us", block->first_us);
	bind_int(stmt, ":last_us", block->last_us);
	bind_int(stmt, ":offset_us", block->offset_us);
	bind_int(stmt, ":clock_ok", block->clock_ok);
	bind_int(stmt, ":crc", block->crc);
	bind_blob(stmt, ":data", block->data, block->size);
	return run(db, stmt);
}

static int delete_range(struct journal_db *db, enum statement s, int64_t first, int64_t last)
{
	sqlite3_stmt *stmt = NULL;
	int r = prepare(db, s, &stmt);

	if (r < 0) {
		return r;
	}
	bind_int(stmt, ":first", first);
	bind_int(stmt, ":last", last);
	return run(db, stmt);
}

int journal_db_delete(struct journal_db *db, int64_t first, int64_t last)
{
	int r = delete_range(db, DELETE_PARTIALS, first, last);

	return r < 0 ? r : delete_range(db, DELETE_BLOCKS, first, last);
}

int journal_db_set_partial(struct journal_db *db, int64_t id, const uint8_t *acked, size_t size)
{
	sqlite3_stmt *stmt = NULL;
	int r = prepare(db, SET_PARTIAL, &stmt);

	if (r < 0) {
		return r;
	}
	bind_int(stmt, ":id", id);
	bind_blob(stmt, ":acked", acked, size);
	return run(db, stmt);
}

static const char *text(sqlite3_stmt *stmt, int column)
{
	return (const char *)sqlite3_column_text(stmt, column);
}

static int load_row(const struct journal_db_loader *l, enum statement s, sqlite3_stmt *stmt)
{
	int64_t a = sqlite3_column_int64(stmt, 0), b = sqlite3_column_int64(stmt, 1);
	int64_t c = sqlite3_column_int64(stmt, 2);

	switch (s) {
	case LOAD_DEVICES:
		return l->device(l->ctx, a, text(stmt, 1), c, sqlite3_column_int64(stmt, 3));
	case LOAD_SENSORS:
		return l->sensor(l->ctx, a, b, text(stmt, 2), text(stmt, 3));
	case LOAD_BOOTS:
		return l->boot(
			l->ctx, a, text(stmt, 1), sqlite3_column_type(stmt, 2) != SQLITE_NULL, c);
	case LOAD_UNDATED:
		return l->undated(l->ctx, a, b, c);
	default:
		return l->loss(l->ctx, text(stmt, 0), b);
	}
}

static int load_table(
	struct journal_db *db, const struct journal_db_loader *loader, enum statement s)
{
	sqlite3_stmt *stmt = NULL;
	int r = prepare(db, s, &stmt);

	while (r == 0) {
		int code = sqlite3_step(stmt);

		if (code == SQLITE_DONE) {
			break;
		}
		r = code == SQLITE_ROW ? load_row(loader, s, stmt) : fail(db, code);
	}
	if (db->statements[s]) {
		(void)sqlite3_finalize(db->statements[s]); /* not needed again */
		db->statements[s] = NULL;
	}
	return r;
}

int journal_db_load(struct journal_db *db, const struct journal_db_loader *loader, bool go_on)
{
	static const enum statement tables[] = {
		LOAD_DEVICES, LOAD_SENSORS, LOAD_BOOTS, LOAD_UNDATED, LOAD_LOSSES};
	int result = 0, r;

	for (size_t i = 0; i < ARRAY_SIZE(tables) && (result == 0 || go_on); i++) {
		r = load_table(db, loader, tables[i]);
		if (r < 0) {
			result = r;
		}
	}
	return result;
}

int journal_db_save_device(
	struct journal_db *db, int64_t id, const char *uuid, int64_t last_seq, int64_t readings)
{
	sqlite3_stmt *stmt = NULL;
	int r = prepare(db, SAVE_DEVICE, &stmt);

	if (r < 0) {
		return r;
	}
	bind_int(stmt, ":id", id);
	bind_text(stmt, ":uuid", uuid);
	bind_int(stmt, ":last_seq", last_seq);
	bind_int(stmt, ":readings", readings);
	return run(db, stmt);
}

int journal_db_save_sensor(
	struct journal_db *db, int64_t id, int64_t device, const char *slug, const char *uuid)
{
	sqlite3_stmt *stmt = NULL;
	int r = prepare(db, SAVE_SENSOR, &stmt);

	if (r < 0) {
		return r;
	}
	bind_int(stmt, ":id", id);
	bind_int(stmt, ":device", device);
	bind_text(stmt, ":slug", slug);
	bind_text(stmt, ":uuid", uuid);
	return run(db, stmt);
}

int journal_db_save_boot(
	struct journal_db *db, int64_t id, const char *boot_id, bool has_anchor, int64_t anchor_us)
{
	sqlite3_stmt *stmt = NULL;
	int r = prepare(db, SAVE_BOOT, &stmt);

	if (r < 0) {
		return r;
	}
	bind_int(stmt, ":id", id);
	bind_text(stmt, ":boot_id", boot_id);
	if (has_anchor) {
		bind_int(stmt, ":anchor_us", anchor_us);
	}
	return run(db, stmt);
}

int journal_db_prune_boots(struct journal_db *db, int64_t below)
{
	sqlite3_stmt *stmt = NULL;
	int r = prepare(db, PRUNE_BOOTS, &stmt);

	if (r < 0) {
		return r;
	}
	bind_int(stmt, ":below", below);
	return run(db, stmt);
}

int journal_db_save_undated(struct journal_db *db, int64_t boot, int64_t device, int64_t readings)
{
	sqlite3_stmt *stmt = NULL;
	int r = prepare(db, readings > 0 ? SAVE_UNDATED : DELETE_UNDATED, &stmt);

	if (r < 0) {
		return r;
	}
	bind_int(stmt, ":boot", boot);
	bind_int(stmt, ":device", device);
	if (readings > 0) {
		bind_int(stmt, ":readings", readings);
	}
	return run(db, stmt);
}

int journal_db_save_loss(struct journal_db *db, const char *cause, int64_t readings)
{
	sqlite3_stmt *stmt = NULL;
	int r = prepare(db, SAVE_LOSS, &stmt);

	if (r < 0) {
		return r;
	}
	bind_text(stmt, ":cause", cause);
	bind_int(stmt, ":readings", readings);
	return run(db, stmt);
}
