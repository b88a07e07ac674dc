/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "journal_db.h"
#include "journal_db_sql.h"

/* False if the row is not one that we could have written. */
static bool get_block(struct sqlite3_stmt *stmt, bool data, struct journal_db_block *block)
{
	int64_t n = sql_int(stmt, 2);
	const uint8_t *acked;
	size_t acked_size;

	*block = (struct journal_db_block){
		.id = sql_int(stmt, 0),
		.ordinal = sql_int(stmt, 1),
		.n = (uint32_t)n,
		.boot = (uint32_t)sql_int(stmt, 3),
		.first_us = sql_int(stmt, 4),
		.last_us = sql_int(stmt, 5),
		.offset_us = sql_int(stmt, 6),
		.clock_ok = sql_int(stmt, 7) != 0,
		.crc = (uint32_t)sql_int(stmt, 8),
	};
	if (n < 0 || n > INT32_MAX) {
		block->n = 0;
		return false;
	}
	acked = sql_blob(stmt, 9, &acked_size);
	if (acked_size == ((size_t)n + 7) / 8) {
		block->acked = acked;
	}
	if (data) {
		block->data = sql_blob(stmt, 10, &block->size);
	}
	return true;
}

int journal_db_scan(struct journal_db *db, int64_t first, int64_t last, enum journal_db_order order,
	journal_db_visit visit, void *ctx)
{
	static const enum sql statements[] = {
		[JOURNAL_DB_ROWS] = SQL_SCAN_ROWS,
		[JOURNAL_DB_ROWS_BACK] = SQL_SCAN_ROWS_BACK,
		[JOURNAL_DB_DATA] = SQL_SCAN_DATA,
	};
	struct journal_db_block block;
	struct sqlite3_stmt *stmt = NULL;
	int r;

	r = sql_prepare(db, statements[order], &stmt);
	if (r < 0) {
		return r;
	}
	sql_bind_int(stmt, ":first", first);
	sql_bind_int(stmt, ":last", last);
	while ((r = sql_step(db, stmt)) > 0) {
		r = get_block(stmt, order == JOURNAL_DB_DATA, &block) ? visit(ctx, &block) : 1;
		if (r <= 0) {
			break;
		}
	}
	sql_reset(stmt); /* at once: a statement that is left open keeps the WAL growing */
	return r;
}

int journal_db_insert(struct journal_db *db, const struct journal_db_block *block)
{
	struct sqlite3_stmt *stmt = NULL;
	int r = sql_prepare(db, SQL_INSERT_BLOCK, &stmt);

	if (r < 0) {
		return r;
	}
	sql_bind_int(stmt, ":id", block->id);
	sql_bind_int(stmt, ":ordinal", block->ordinal);
	sql_bind_int(stmt, ":readings", block->n);
	sql_bind_int(stmt, ":boot", block->boot);
	sql_bind_int(stmt, ":first_us", block->first_us);
	sql_bind_int(stmt, ":last_us", block->last_us);
	sql_bind_int(stmt, ":offset_us", block->offset_us);
	sql_bind_int(stmt, ":clock_ok", block->clock_ok);
	sql_bind_int(stmt, ":crc", block->crc);
	sql_bind_blob(stmt, ":data", block->data, block->size);
	return sql_run(db, stmt);
}

static int delete_range(struct journal_db *db, enum sql s, int64_t first, int64_t last)
{
	struct sqlite3_stmt *stmt = NULL;
	int r = sql_prepare(db, s, &stmt);

	if (r < 0) {
		return r;
	}
	sql_bind_int(stmt, ":first", first);
	sql_bind_int(stmt, ":last", last);
	return sql_run(db, stmt);
}

int journal_db_delete(struct journal_db *db, int64_t first, int64_t last)
{
	int r = delete_range(db, SQL_DELETE_PARTIALS, first, last);

	return r < 0 ? r : delete_range(db, SQL_DELETE_BLOCKS, first, last);
}

int journal_db_set_partial(struct journal_db *db, int64_t id, const uint8_t *acked, size_t size)
{
	struct sqlite3_stmt *stmt = NULL;
	int r = sql_prepare(db, SQL_SET_PARTIAL, &stmt);

	if (r < 0) {
		return r;
	}
	sql_bind_int(stmt, ":id", id);
	sql_bind_blob(stmt, ":acked", acked, size);
	return sql_run(db, stmt);
}

static int load_row(const struct journal_db_loader *l, enum sql s, struct sqlite3_stmt *stmt)
{
	int64_t a = sql_int(stmt, 0), b = sql_int(stmt, 1);
	int64_t c = sql_int(stmt, 2);

	switch (s) {
	case SQL_LOAD_DEVICES:
		return l->device(l->ctx, a, sql_text(stmt, 1), c, sql_int(stmt, 3));
	case SQL_LOAD_SENSORS:
		return l->sensor(l->ctx, a, b, sql_text(stmt, 2), sql_text(stmt, 3));
	case SQL_LOAD_BOOTS:
		return l->boot(l->ctx, a, sql_text(stmt, 1), !sql_is_null(stmt, 2), c);
	case SQL_LOAD_UNDATED:
		return l->undated(l->ctx, a, b, c);
	default:
		return l->loss(l->ctx, sql_text(stmt, 0), b);
	}
}

static int load_table(struct journal_db *db, const struct journal_db_loader *loader, enum sql s)
{
	struct sqlite3_stmt *stmt = NULL;
	int r = sql_prepare(db, s, &stmt);

	while (r == 0) {
		r = sql_step(db, stmt);
		if (r <= 0) {
			break;
		}
		r = load_row(loader, s, stmt);
	}
	sql_forget(db, s);
	return r;
}

int journal_db_load(struct journal_db *db, const struct journal_db_loader *loader, bool go_on)
{
	static const enum sql tables[] = {SQL_LOAD_DEVICES, SQL_LOAD_SENSORS, SQL_LOAD_BOOTS,
		SQL_LOAD_UNDATED, SQL_LOAD_LOSSES};
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
	struct sqlite3_stmt *stmt = NULL;
	int r = sql_prepare(db, SQL_SAVE_DEVICE, &stmt);

	if (r < 0) {
		return r;
	}
	sql_bind_int(stmt, ":id", id);
	sql_bind_text(stmt, ":uuid", uuid);
	sql_bind_int(stmt, ":last_seq", last_seq);
	sql_bind_int(stmt, ":readings", readings);
	return sql_run(db, stmt);
}

int journal_db_save_sensor(
	struct journal_db *db, int64_t id, int64_t device, const char *slug, const char *uuid)
{
	struct sqlite3_stmt *stmt = NULL;
	int r = sql_prepare(db, SQL_SAVE_SENSOR, &stmt);

	if (r < 0) {
		return r;
	}
	sql_bind_int(stmt, ":id", id);
	sql_bind_int(stmt, ":device", device);
	sql_bind_text(stmt, ":slug", slug);
	sql_bind_text(stmt, ":uuid", uuid);
	return sql_run(db, stmt);
}

int journal_db_save_boot(
	struct journal_db *db, int64_t id, const char *boot_id, bool has_anchor, int64_t anchor_us)
{
	struct sqlite3_stmt *stmt = NULL;
	int r = sql_prepare(db, SQL_SAVE_BOOT, &stmt);

	if (r < 0) {
		return r;
	}
	sql_bind_int(stmt, ":id", id);
	sql_bind_text(stmt, ":boot_id", boot_id);
	if (has_anchor) {
		sql_bind_int(stmt, ":anchor_us", anchor_us);
	}
	return sql_run(db, stmt);
}

int journal_db_prune_boots(struct journal_db *db, int64_t below)
{
	struct sqlite3_stmt *stmt = NULL;
	int r = sql_prepare(db, SQL_PRUNE_BOOTS, &stmt);

	if (r < 0) {
		return r;
	}
	sql_bind_int(stmt, ":below", below);
	return sql_run(db, stmt);
}

int journal_db_save_undated(struct journal_db *db, int64_t boot, int64_t device, int64_t readings)
{
	struct sqlite3_stmt *stmt = NULL;
	int r = sql_prepare(db, readings > 0 ? SQL_SAVE_UNDATED : SQL_DELETE_UNDATED, &stmt);

	if (r < 0) {
		return r;
	}
	sql_bind_int(stmt, ":boot", boot);
	sql_bind_int(stmt, ":device", device);
	if (readings > 0) {
		sql_bind_int(stmt, ":readings", readings);
	}
	return sql_run(db, stmt);
}

int journal_db_save_loss(struct journal_db *db, const char *cause, int64_t readings)
{
	struct sqlite3_stmt *stmt = NULL;
	int r = sql_prepare(db, SQL_SAVE_LOSS, &stmt);

	if (r < 0) {
		return r;
	}
	sql_bind_text(stmt, ":cause", cause);
	sql_bind_int(stmt, ":readings", readings);
	return sql_run(db, stmt);
}
