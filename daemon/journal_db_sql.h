/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_JOURNAL_DB_SQL_H
#define SCG_JOURNAL_DB_SQL_H

/*
 * All SQL of the journal (journal_db_sql.c), and statements without SQLite's header: journal_db.c
 * has the connection and runs them, journal_db_rows.c fills them and reads their rows. Nobody else.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal_db;
struct sqlite3_stmt;

enum sql {
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_PAGE_COUNT,
	SQL_FREE_COUNT,
	SQL_SCAN_ROWS,
	SQL_SCAN_ROWS_BACK,
	SQL_SCAN_DATA,
	SQL_INSERT_BLOCK,
	SQL_DELETE_BLOCKS,
	SQL_DELETE_PARTIALS,
	SQL_SET_PARTIAL,
	SQL_LOAD_DEVICES,
	SQL_LOAD_SENSORS,
	SQL_LOAD_BOOTS,
	SQL_LOAD_UNDATED,
	SQL_LOAD_LOSSES,
	SQL_SAVE_DEVICE,
	SQL_SAVE_SENSOR,
	SQL_SAVE_BOOT,
	SQL_PRUNE_BOOTS,
	SQL_SAVE_UNDATED,
	SQL_DELETE_UNDATED,
	SQL_SAVE_LOSS,
	SQL_STATEMENTS,
};

extern const char sql_schema[];
extern const char *const sql_texts[SQL_STATEMENTS];

/* A statement, prepared once a connection. */
int sql_prepare(struct journal_db *db, enum sql s, struct sqlite3_stmt **ret);
/* Binding fails only for a name that is not in the statement, or without memory: both would leave a
   NULL that the table refuses. Texts and blobs are not copied. */
void sql_bind_int(struct sqlite3_stmt *stmt, const char *name, int64_t value);
void sql_bind_text(struct sqlite3_stmt *stmt, const char *name, const char *text);
void sql_bind_blob(struct sqlite3_stmt *stmt, const char *name, const uint8_t *data, size_t size);
/* Runs it to the end, and forgets what was bound. */
int sql_run(struct journal_db *db, struct sqlite3_stmt *stmt);
/* 1: there is a row, 0: no more. sql_reset() has to follow in the end. */
int sql_step(struct journal_db *db, struct sqlite3_stmt *stmt);
void sql_reset(struct sqlite3_stmt *stmt);
/* Frees a statement that is not needed again. */
void sql_forget(struct journal_db *db, enum sql s);
/* Columns of the row, the first being 0; valid until the next step. */
int64_t sql_int(struct sqlite3_stmt *stmt, int column);
const char *sql_text(struct sqlite3_stmt *stmt, int column); /* NULL: none */
const uint8_t *sql_blob(struct sqlite3_stmt *stmt, int column, size_t *ret_size);
bool sql_is_null(struct sqlite3_stmt *stmt, int column);

#endif
