/* SPDX-License-Identifier: Apache-2.0 */
#include "journal_db_sql.h"

const char sql_schema[] =
	"CREATE TABLE device (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL,"
	" last_seq INTEGER NOT NULL, readings INTEGER NOT NULL) STRICT;"
	"CREATE TABLE sensor (id INTEGER PRIMARY KEY, device INTEGER NOT NULL,"
	" slug TEXT, uuid TEXT) STRICT;"
	"CREATE TABLE boot (id INTEGER PRIMARY KEY, boot_id TEXT NOT NULL, anchor_us INTEGER)"
	" STRICT;"
	"CREATE TABLE undated (boot INTEGER NOT NULL, device INTEGER NOT NULL,"
	" readings INTEGER NOT NULL, PRIMARY KEY (boot, device)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE loss (cause TEXT PRIMARY KEY, readings INTEGER NOT NULL)"
	" STRICT, WITHOUT ROWID;"
	"CREATE TABLE block (id INTEGER PRIMARY KEY, ordinal INTEGER NOT NULL,"
	" readings INTEGER NOT NULL, boot INTEGER NOT NULL, first_us INTEGER NOT NULL,"
	" last_us INTEGER NOT NULL, offset_us INTEGER NOT NULL, clock_ok INTEGER NOT NULL,"
	" crc INTEGER NOT NULL, data BLOB NOT NULL) STRICT;"
	"CREATE TABLE partial (id INTEGER PRIMARY KEY, acked BLOB NOT NULL) STRICT;";

/* The data only where it is wanted: reading the other columns leaves its pages alone. */
#define SCAN(data)                                                                                 \
	"SELECT block.id, ordinal, readings, boot, first_us, last_us, offset_us, clock_ok, crc,"   \
	" partial.acked" data " FROM block LEFT JOIN partial ON partial.id = block.id"             \
	" WHERE block.id BETWEEN :first AND :last ORDER BY block.id "

const char *const sql_texts[SQL_STATEMENTS] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_PAGE_COUNT] = "PRAGMA page_count",
	[SQL_FREE_COUNT] = "PRAGMA freelist_count",
	[SQL_SCAN_ROWS] = SCAN("") "ASC",
	[SQL_SCAN_ROWS_BACK] = SCAN("") "DESC",
	[SQL_SCAN_DATA] = SCAN(", data") "ASC",
	[SQL_INSERT_BLOCK] = "INSERT INTO block (id, ordinal, readings, boot, first_us, last_us,"
			     " offset_us, clock_ok, crc, data) VALUES (:id, :ordinal, :readings,"
			     " :boot, :first_us, :last_us, :offset_us, :clock_ok, :crc, :data)",
	[SQL_DELETE_BLOCKS] = "DELETE FROM block WHERE id BETWEEN :first AND :last",
	[SQL_DELETE_PARTIALS] = "DELETE FROM partial WHERE id BETWEEN :first AND :last",
	[SQL_SET_PARTIAL] = "INSERT OR REPLACE INTO partial (id, acked) VALUES (:id, :acked)",
	[SQL_LOAD_DEVICES] = "SELECT id, uuid, last_seq, readings FROM device ORDER BY id",
	[SQL_LOAD_SENSORS] = "SELECT id, device, slug, uuid FROM sensor ORDER BY id",
	[SQL_LOAD_BOOTS] = "SELECT id, boot_id, anchor_us FROM boot ORDER BY id",
	[SQL_LOAD_UNDATED] = "SELECT boot, device, readings FROM undated",
	[SQL_LOAD_LOSSES] = "SELECT cause, readings FROM loss",
	[SQL_SAVE_DEVICE] = "INSERT INTO device (id, uuid, last_seq, readings)"
			    " VALUES (:id, :uuid, :last_seq, :readings) ON CONFLICT (id) DO UPDATE"
			    " SET uuid = :uuid, last_seq = :last_seq, readings = :readings",
	[SQL_SAVE_SENSOR] = "INSERT OR REPLACE INTO sensor (id, device, slug, uuid)"
			    " VALUES (:id, :device, :slug, :uuid)",
	[SQL_SAVE_BOOT] = "INSERT OR REPLACE INTO boot (id, boot_id, anchor_us)"
			  " VALUES (:id, :boot_id, :anchor_us)",
	[SQL_PRUNE_BOOTS] = "DELETE FROM boot WHERE id < :below",
	[SQL_SAVE_UNDATED] = "INSERT OR REPLACE INTO undated (boot, device, readings)"
			     " VALUES (:boot, :device, :readings)",
	[SQL_DELETE_UNDATED] = "DELETE FROM undated WHERE boot = :boot AND device = :device",
	[SQL_SAVE_LOSS] =
		"INSERT OR REPLACE INTO loss (cause, readings) VALUES (:cause, :readings)",
};
