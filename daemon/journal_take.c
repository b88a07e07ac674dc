/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "journal_state.h"

/* Blocks that journal_newest_us() looks at, should none of the newest have a date. */
#define NEWEST_LOOK 4096

struct take {
	struct journal *j;
	struct device *device;
	uint32_t max_readings;
	struct journal_block **blocks;
	size_t max_blocks, n;
	uint32_t readings;
	int64_t last_id; /* seen, whether taken or not */
	int64_t skip_from, skip_to;
};

void journal_block_free(struct journal_block *b)
{
	free(b);
}

int journal_block_readings(const struct journal_block *b, struct reading *out)
{
	return block_decode(b->data, b->size, b->n, b->first_us, b->offset_us, b->dated, out);
}

static bool is_full(const struct take *t)
{
	return t->n >= t->max_blocks || t->readings >= t->max_readings;
}

/* The bits that the file and the acknowledgements on their way there have together. False if all of
   it is done. With the lock held. */
static bool merge_acks(const struct device *d, int64_t id, struct journal_block *b)
{
	const struct ack_entry *entries[] = {
		ack_set_find(&d->pending, id), ack_set_find(&d->committing, id)};

	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		const struct ack_entry *e = entries[i];

		if (!e) {
			continue;
		}
		if (!e->acked) {
			return false;
		}
		if (e->n == b->n) {
			bitmap_or(b->acked, e->acked, b->n);
		}
	}
	b->n_acked = bitmap_count(b->acked, b->n);
	if (b->n_acked == 0) {
		b->acked = NULL;
	}
	return b->n_acked < b->n;
}

/* A copy in one piece: the block, its bytes, its bitmap. */
static struct journal_block *copy_block(const struct journal_db_block *row)
{
	size_t bitmap = ((size_t)row->n + 7) / 8;
	struct journal_block *b = xmalloc(sizeof(*b) + row->size + bitmap);

	*b = (struct journal_block){
		.id = row->id,
		.n = row->n,
		.acked = b->data + row->size,
		.first_us = row->first_us,
		.last_us = row->last_us,
		.offset_us = row->offset_us,
		.size = row->size,
	};
	if (row->size > 0) {
		memcpy(b->data, row->data, row->size);
	}
	if (row->acked) {
		memcpy(b->acked, row->acked, bitmap);
	} else {
		memset(b->acked, 0, bitmap);
	}
	return b;
}

static void hand_out(struct take *t, struct journal_block *b)
{
	t->blocks[t->n++] = b;
	t->readings += b->n - b->n_acked;
}

static int64_t to_runtime_id(const struct device *d, int64_t db_id)
{
	return device_base(d->number) | (db_id & SEQ_MASK);
}

static bool is_sound(const struct journal_db_block *row)
{
	return row->n >= 1 && row->n <= BLOCK_MAX_READINGS && row->data &&
	       block_checksum(row->data, row->size) == row->crc;
}

static int visit_take(void *ctx, struct journal_db_block *row)
{
	_cleanup_(journal_block_freep) struct journal_block *b = NULL;
	struct take *t = ctx;
	struct journal *j = t->j;
	struct block_builder remapped = {0};
	int64_t id = to_runtime_id(t->device, row->id), offset_us;
	enum dating dating;
	bool this_boot, sound, wanted;

	dating = journal_date(j, row, &offset_us, &this_boot);
	if (dating == DATING_NEVER) {
		if (t->last_id == t->skip_to) {
			t->skip_to = id;
		}
		t->last_id = id;
		return 1;
	}
	t->last_id = id;
	sound = is_sound(row);
	if (sound) {
		if (remap_block(j, false, row, &remapped)) {
			row->data = remapped.data;
			row->size = remapped.size;
		}
		row->id = id;
		b = copy_block(row);
		b->offset_us = offset_us;
		b->this_boot = this_boot;
		b->dated = dating == DATING_KNOWN;
		block_builder_clear(&remapped);
	}
	(void)pthread_mutex_lock(&j->lock);
	if (!sound) {
		/* the writer removes and counts it; a second time changes nothing */
		ack_set_add(&t->device->pending, id, row->n, NULL, 0, JOURNAL_LOSS_DAMAGED);
		if (j->acked_since_ns == 0) {
			j->acked_since_ns = now_monotonic_ns();
		}
		journal_poke(j);
	}
	wanted = sound && merge_acks(t->device, id, b);
	(void)pthread_mutex_unlock(&j->lock);
	if (wanted) {
		hand_out(t, steal_ptr(b));
	}
	return is_full(t) ? 0 : 1;
}

/* With the lock held. */
static void take_memory(struct take *t)
{
	struct journal *j = t->j;

	for (struct memory_block *m = j->blocks; m && j->failing && !is_full(t); m = m->next) {
		struct journal_db_block row = {
			.id = m->id,
			.n = m->packed.n,
			.first_us = m->packed.first_us,
			.last_us = m->packed.last_us,
			.offset_us = m->packed.offset_us,
			.data = m->packed.data,
			.size = m->packed.size,
		};
		struct journal_block *b;
		enum dating dating;
		bool this_boot;

		if (m->device != t->device || m->id <= t->last_id) {
			continue;
		}
		dating = journal_date_boot(
			j, m->boot, m->packed.clock_ok, &row.offset_us, &this_boot);
		b = copy_block(&row);
		b->this_boot = this_boot;
		b->dated = dating == DATING_KNOWN;
		if (merge_acks(t->device, m->id, b)) {
			hand_out(t, b);
		} else {
			journal_block_free(b);
		}
	}
}

/*
 * With read_lock held. -ENODATA: there is no file yet. The file is opened when it is needed, and
 * anew after an error.
 */
static int scan(struct journal *j, const struct device *d, int64_t first, int64_t last,
	enum journal_db_order order, journal_db_visit visit, void *ctx)
{
	uint32_t db_number;
	char why[200];
	int r;

	if (j->repairing) {
		return -EAGAIN;
	}
	(void)pthread_mutex_lock(&j->lock);
	db_number = d->db_number;
	(void)pthread_mutex_unlock(&j->lock);
	if (db_number == 0) {
		return -ENODATA;
	}
	if (!j->reader) {
		r = journal_db_open(j->path, JOURNAL_DB_READER, why, sizeof(why), &j->reader);
		if (r < 0) {
			return r == -ENOENT ? -ENODATA : r;
		}
	}
	r = journal_db_scan(j->reader, device_base(db_number) | first,
		device_base(db_number) | last, order, visit, ctx);
	if (r < 0) {
		journal_db_close(steal_ptr(j->reader));
	}
	if (r == -EUCLEAN || r == -EMEDIUMTYPE) {
		(void)pthread_mutex_lock(&j->lock);
		j->damaged = true;
		journal_poke(j);
		(void)pthread_mutex_unlock(&j->lock);
	}
	return r;
}

/* With read_lock held. */
static int take_file(struct take *t, int64_t after)
{
	struct journal *j = t->j;
	struct device *d = t->device;
	int64_t from;
	int r;

	(void)pthread_mutex_lock(&j->lock);
	from = after >= d->skip_from && after < d->skip_to ? d->skip_to : after;
	t->skip_from = after >= d->skip_from && after < d->skip_to ? d->skip_from : after;
	(void)pthread_mutex_unlock(&j->lock);
	t->last_id = t->skip_to = from;
	if ((from & SEQ_MASK) == SEQ_MASK) {
		return 0;
	}
	r = scan(j, d, (from & SEQ_MASK) + 1, SEQ_MASK, JOURNAL_DB_DATA, visit_take, t);
	if (t->skip_to > from) {
		(void)pthread_mutex_lock(&j->lock);
		d->skip_from = t->skip_from;
		d->skip_to = t->skip_to;
		(void)pthread_mutex_unlock(&j->lock);
	}
	return r;
}

int journal_take(struct journal *j, uint32_t device, int64_t after, uint32_t max_readings,
	struct journal_block **blocks, size_t max_blocks)
{
	struct take t = {
		.j = j,
		.max_readings = MAX(max_readings, 1),
		.blocks = blocks,
		.max_blocks = max_blocks,
	};
	int r;

	(void)pthread_mutex_lock(&j->read_lock);
	(void)pthread_mutex_lock(&j->lock);
	t.device = journal_find_device(j, device);
	(void)pthread_mutex_unlock(&j->lock);
	if (!t.device || max_blocks == 0 || after < 0) {
		(void)pthread_mutex_unlock(&j->read_lock);
		return t.device ? 0 : -ENOENT;
	}
	/* an id of another device, or none: from the first, or after the last */
	after = CLAMP(after, device_base(device), device_base(device) | SEQ_MASK);
	r = take_file(&t, after);
	(void)pthread_mutex_lock(&j->lock);
	take_memory(&t);
	(void)pthread_mutex_unlock(&j->lock);
	(void)pthread_mutex_unlock(&j->read_lock);
	if (t.n == 0 && r < 0 && r != -ENODATA) {
		return r;
	}
	return (int)t.n;
}

struct newer {
	struct journal *j;
	int64_t boottime_us;
	int64_t id; /* the newest block that is not newer; 0: none seen */
};

static int visit_newer(void *ctx, struct journal_db_block *row)
{
	struct newer *newer = ctx;
	int64_t offset_us;
	bool this_boot;

	(void)journal_date(newer->j, row, &offset_us, &this_boot);
	if (this_boot && row->last_us > newer->boottime_us) {
		return 1;
	}
	newer->id = row->id;
	return 0;
}

/* The newest block in memory that can be taken and is not newer. With the lock held. */
static int64_t find_in_memory(struct journal *j, const struct device *d, int64_t boottime_us)
{
	int64_t id = 0;

	for (struct memory_block *m = j->blocks; m && j->failing; m = m->next) {
		if (m->device == d && m->packed.last_us <= boottime_us) {
			id = m->id;
		}
	}
	return id;
}

int64_t journal_find_newer(struct journal *j, uint32_t device, int64_t boottime_us)
{
	struct newer newer = {.j = j, .boottime_us = boottime_us};
	struct device *d;
	int64_t id = 0;

	(void)pthread_mutex_lock(&j->read_lock);
	(void)pthread_mutex_lock(&j->lock);
	d = journal_find_device(j, device);
	if (d) {
		id = find_in_memory(j, d, boottime_us);
	}
	(void)pthread_mutex_unlock(&j->lock);
	if (d && id == 0) {
		/* an error finds nothing old: what is taken then is judged by its age anyway */
		(void)scan(j, d, 0, SEQ_MASK, JOURNAL_DB_ROWS_BACK, visit_newer, &newer);
		id = newer.id ? to_runtime_id(d, newer.id) : 0;
	}
	(void)pthread_mutex_unlock(&j->read_lock);
	return id;
}

struct newest {
	struct journal *j;
	int64_t us;
	int looked;
};

static int visit_newest(void *ctx, struct journal_db_block *row)
{
	struct newest *newest = ctx;
	int64_t offset_us;
	bool this_boot;

	if (journal_date(newest->j, row, &offset_us, &this_boot) == DATING_KNOWN) {
		newest->us = MAX(newest->us, row->last_us + offset_us);
		return 0;
	}
	return ++newest->looked < NEWEST_LOOK;
}

int64_t journal_newest_us(struct journal *j)
{
	struct newest newest = {.j = j};

	(void)pthread_mutex_lock(&j->read_lock);
	for (size_t i = 0; i < j->n_devices; i++) {
		newest.looked = 0;
		(void)scan(j, j->devices[i], 0, SEQ_MASK, JOURNAL_DB_ROWS_BACK, visit_newest,
			&newest); /* what cannot be read is no lower bound for the clock */
	}
	(void)pthread_mutex_unlock(&j->read_lock);
	return newest.us;
}
