/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "journal_state.h"

/* Removals in one transaction for a lowered limit or for age; the rest follows in the next. */
#define REMOVE_MAX 256
/* Pages that a transaction may need beside those of its blocks. */
#define SPARE_PAGES  24
#define AGE_EVERY_NS (10 * NS_PER_S)

/*
 * The file takes three quarters of the limit, the WAL the rest: half of that starts a checkpoint,
 * the other half is room for the transaction that comes before it, evictions included.
 */
void journal_plan_budget(const struct journal_options *options, struct journal_budget *ret)
{
	int64_t wal = CLAMP(options->max_size / 4, INT64_C(256) << 10, INT64_C(8) << 20);
	int64_t memory = MAX(options->max_memory, 4096);

	ret->wal_bytes = wal;
	ret->wal_threshold = MIN(wal / 2 / JOURNAL_DB_PAGE_SIZE, 1000);
	ret->batch_bytes = wal / 4;
	ret->seal_bytes = (size_t)MIN(wal / 8, memory / 8);
	ret->db_pages = MAX((options->max_size - wal) / JOURNAL_DB_PAGE_SIZE, 64);
}

uint32_t limits_boot(struct journal *j, uint32_t db_number)
{
	uint32_t found;

	(void)pthread_mutex_lock(&j->lock);
	found = journal_find_boot(j, db_number);
	if (found == UINT32_MAX) {
		/* its row is lost: what it read with a wrong clock cannot be dated */
		found = journal_add_boot(j, "");
		j->boots[found].db_number = db_number;
	}
	(void)pthread_mutex_unlock(&j->lock);
	return found;
}

void limits_account(struct journal *j, struct device *d, uint32_t boot, bool clock_ok, int64_t n)
{
	d->next_on_disk += n;
	if (!clock_ok) {
		(void)pthread_mutex_lock(&j->lock);
		journal_undated(j, boot, d->number)->next += n;
		(void)pthread_mutex_unlock(&j->lock);
	}
}

struct removal {
	struct journal *j;
	struct device *device;
	uint64_t readings; /* not acknowledged before */
};

static int visit_removed(void *ctx, struct journal_db_block *block)
{
	struct removal *removal = ctx;
	int64_t n = block->n - (block->acked ? bitmap_count(block->acked, block->n) : 0);

	limits_account(removal->j, removal->device, limits_boot(removal->j, block->boot),
		block->clock_ok, -n);
	removal->readings += (uint64_t)n;
	return 1;
}

int limits_remove(struct journal *j, struct device *d, int64_t first, int64_t last, int cause)
{
	struct removal removal = {.j = j, .device = d};
	int r;

	r = journal_db_scan(j->writer, first, last, JOURNAL_DB_ROWS, visit_removed, &removal);
	if (r == 0) {
		r = journal_db_delete(j->writer, first, last);
	}
	if (r == 0 && cause != ACK_DELIVERED) {
		j->next_loss[cause] += removal.readings;
	}
	return r;
}

static int visit_head(void *ctx, struct journal_db_block *block)
{
	struct device *d = ctx;

	d->head_id = block->id;
	d->head_ordinal = block->ordinal;
	return 0;
}

static int find_head(struct journal *j, struct device *d)
{
	int64_t base = device_base(d->db_number);

	if (d->head_id != 0) {
		return 0;
	}
	d->head_id = -1;
	return journal_db_scan(j->writer, base, base | SEQ_MASK, JOURNAL_DB_ROWS, visit_head, d);
}

/* Drops the oldest block of all devices. 1: done, 0: there is none. */
static int drop_oldest(struct journal *j)
{
	struct device *oldest = NULL;
	int64_t id;
	int r;

	for (size_t i = 0; i < j->n_known; i++) {
		struct device *d = j->known[i];

		r = find_head(j, d);
		if (r < 0) {
			return r;
		}
		if (d->head_id > 0 && (!oldest || d->head_ordinal < oldest->head_ordinal)) {
			oldest = d;
		}
	}
	if (!oldest) {
		return 0;
	}
	id = oldest->head_id;
	oldest->head_id = 0;
	r = limits_remove(j, oldest, id, id, JOURNAL_LOSS_SIZE);
	return r < 0 ? r : 1;
}

/* The pages that a block of this size takes (sqlite.org/fileformat2.html, 1.5 and 1.6). */
static int64_t pages_of(size_t size)
{
	return 1 + ((int64_t)size + 100) / (JOURNAL_DB_PAGE_SIZE - 4);
}

/* 1: there is room, 0: there is not, and nothing may be dropped for it. */
static int make_room(struct journal *j, int64_t pages)
{
	int64_t total, free_pages;
	int r;

	for (;;) {
		r = journal_db_pages(j->writer, &total, &free_pages);
		if (r < 0) {
			return r;
		}
		if (total - free_pages + pages + SPARE_PAGES <= j->budget.db_pages) {
			return 1;
		}
		if (j->applied.drop_newest) {
			return 0;
		}
		r = drop_oldest(j);
		if (r <= 0) {
			return r;
		}
	}
}

int limits_insert(
	struct journal *j, struct device *d, uint32_t boot, const struct journal_db_block *block)
{
	int r = make_room(j, pages_of(block->size));

	if (r <= 0) {
		return r < 0 ? r : 1;
	}
	r = journal_db_insert(j->writer, block);
	if (r < 0) {
		return r;
	}
	if (d->head_id == -1) {
		d->head_id = 0;
	}
	limits_account(j, d, boot, block->clock_ok, block->n);
	return 0;
}

struct aged {
	struct journal *j;
	int64_t limit_us;
	int64_t id; /* of the oldest that has a date, if it is too old; 0: none */
};

static int visit_aged(void *ctx, struct journal_db_block *block)
{
	struct aged *aged = ctx;
	int64_t offset_us;
	bool this_boot;

	switch (journal_date(aged->j, block, &offset_us, &this_boot)) {
	case DATING_NEVER:
		return 1;
	case DATING_WAITS:
		return 0;
	case DATING_KNOWN:
		break;
	}
	if (block->last_us + offset_us < aged->limit_us) {
		aged->id = block->id;
	}
	return 0;
}

static int drop_aged_of(struct journal *j, struct device *d, struct aged *aged)
{
	int64_t base = device_base(d->db_number), from = base;
	int r = 0;

	(void)pthread_mutex_lock(&j->lock);
	if ((d->skip_from & SEQ_MASK) == 0) {
		from = base | (d->skip_to & SEQ_MASK);
	}
	(void)pthread_mutex_unlock(&j->lock);
	for (int n = 0; r == 0; n++) {
		aged->id = 0;
		r = journal_db_scan(
			j->writer, from, base | SEQ_MASK, JOURNAL_DB_ROWS, visit_aged, aged);
		if (r < 0 || aged->id == 0) {
			break;
		}
		if (n >= REMOVE_MAX) {
			j->next_age_check_ns = 0;
			break;
		}
		r = limits_remove(j, d, aged->id, aged->id, JOURNAL_LOSS_AGE);
		d->head_id = 0;
		from = aged->id;
	}
	return r;
}

int limits_drop_aged(struct journal *j)
{
	struct aged aged = {.j = j};
	int64_t now_us;
	bool known;
	int r = 0;

	(void)pthread_mutex_lock(&j->lock);
	now_us = journal_now_us(j, &known);
	(void)pthread_mutex_unlock(&j->lock);
	j->next_age_check_ns = now_monotonic_ns() + AGE_EVERY_NS;
	if (j->applied.max_age_ns <= 0 || !known) {
		return 0;
	}
	aged.limit_us = now_us - j->applied.max_age_ns / NS_PER_US;
	for (size_t i = 0; i < j->n_known && r == 0; i++) {
		r = drop_aged_of(j, j->known[i], &aged);
	}
	return r;
}

int limits_shrink(struct journal *j, bool *ret_more)
{
	int64_t limit = j->budget.db_pages - SPARE_PAGES, total, free_pages, surplus;
	int r;

	*ret_more = false;
	r = journal_db_pages(j->writer, &total, &free_pages);
	for (int n = 0; n < REMOVE_MAX && r == 0 && total - free_pages > limit; n++) {
		/* also with drop_newest: what does not fit any more has to go */
		r = drop_oldest(j);
		if (r <= 0) {
			break;
		}
		r = journal_db_pages(j->writer, &total, &free_pages);
	}
	if (r < 0 || total <= j->budget.db_pages) {
		return r;
	}
	surplus = MIN(total - j->budget.db_pages, free_pages);
	surplus = MIN(surplus, j->budget.batch_bytes / JOURNAL_DB_PAGE_SIZE);
	if (surplus > 0) {
		r = journal_db_shrink(j->writer, surplus);
	}
	*ret_more = r == 0 && surplus > 0;
	return r;
}
