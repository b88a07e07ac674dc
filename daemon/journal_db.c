/* SPDX-License-Identifier: Apache-2.0 */
#include "journal_db.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "journal_db_sql.h"

/* "SCGJ"; sqlite.org/fileformat2.html, 1.3.14 */
#define APPLICATION_ID 0x5343474a
#define SCHEMA_VERSION 1
/* Somebody may look into the journal with sqlite3(1); nobody but us writes. */
#define BUSY_TIMEOUT_MS 2000
/* quick_check reads the whole file: 0.3 s for 100 MB from a fast disk, 4 s from an SD card. */
#define CHECK_MAX_BYTES (INT64_C(64) << 20)

struct journal_db {
	sqlite3 *handle;
	sqlite3_stmt *statements[SQL_STATEMENTS];
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

int sql_prepare(struct journal_db *db, enum sql s, sqlite3_stmt **ret)
{
	int code;

	if (!db->statements[s]) {
		code = sqlite3_prepare_v3(db->handle, sql_texts[s], -1, SQLITE_PREPARE_PERSISTENT,
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

void sql_bind_int(sqlite3_stmt *stmt, const char *name, int64_t value)
{
	(void)sqlite3_bind_int64(stmt, parameter(stmt, name), value);
}

void sql_bind_text(sqlite3_stmt *stmt, const char *name, const char *text)
{
	(void)sqlite3_bind_text(stmt, parameter(stmt, name), text, -1, SQLITE_STATIC);
}

void sql_bind_blob(sqlite3_stmt *stmt, const char *name, const uint8_t *data, size_t size)
{
	(void)sqlite3_bind_blob64(stmt, parameter(stmt, name), data, size, SQLITE_STATIC);
}

int sql_run(struct journal_db *db, sqlite3_stmt *stmt)
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

int sql_step(struct journal_db *db, sqlite3_stmt *stmt)
{
	int code = sqlite3_step(stmt);

	if (code == SQLITE_ROW) {
		return 1;
	}
	return code == SQLITE_DONE ? 0 : fail(db, code);
}

void sql_reset(sqlite3_stmt *stmt)
{
	(void)sqlite3_reset(stmt); /* repeats the error of the step */
	(void)sqlite3_clear_bindings(stmt);
}

void sql_forget(struct journal_db *db, enum sql s)
{
	(void)sqlite3_finalize(db->statements[s]); /* repeats an earlier error */
	db->statements[s] = NULL;
}

int64_t sql_int(sqlite3_stmt *stmt, int column)
{
	return sqlite3_column_int64(stmt, column);
}

const char *sql_text(sqlite3_stmt *stmt, int column)
{
	return (const char *)sqlite3_column_text(stmt, column);
}

const uint8_t *sql_blob(sqlite3_stmt *stmt, int column, size_t *ret_size)
{
	const uint8_t *data = sqlite3_column_blob(stmt, column);

	*ret_size = (size_t)sqlite3_column_bytes(stmt, column);
	return data;
}

bool sql_is_null(sqlite3_stmt *stmt, int column)
{
	return sqlite3_column_type(stmt, column) == SQLITE_NULL;
}

static int run_simple(struct journal_db *db, enum sql s)
{
	sqlite3_stmt *stmt = NULL;
	int r = sql_prepare(db, s, &stmt);

	return r < 0 ? r : sql_run(db, stmt);
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
	int64_t application = 0, version = 0, tables = 0;
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
		r = execute(db, sql_schema);
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
	for (size_t i = 0; i < SQL_STATEMENTS; i++) {
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
	return run_simple(db, SQL_BEGIN);
}

int journal_db_commit(struct journal_db *db)
{
	return run_simple(db, SQL_COMMIT);
}

void journal_db_rollback(struct journal_db *db)
{
	/* after most errors SQLite has done it already (sqlite.org/lang_transaction.html, 3) */
	if (!sqlite3_get_autocommit(db->handle)) {
		char error[sizeof(db->error)];

		memcpy(error, db->error, sizeof(error));
		(void)run_simple(db, SQL_ROLLBACK); /* what remains open is closed with the file */
		memcpy(db->error, error, sizeof(error));
	}
}

int journal_db_pages(struct journal_db *db, int64_t *ret_total, int64_t *ret_free)
{
	int64_t total = 0, free_pages = 0;
	sqlite3_stmt *stmt = NULL;
	int r;

	r = sql_prepare(db, SQL_PAGE_COUNT, &stmt);
	if (r == 0) {
		r = query_int(db, stmt, &total);
	}
	if (r == 0) {
		r = sql_prepare(db, SQL_FREE_COUNT, &stmt);
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
