/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "journal_state.h"

/* What one transaction takes with it. */
struct batch {
	struct memory_block **blocks;
	size_t n, capacity;
	int64_t bytes;
	bool more; /* did not all fit */
};

static void batch_clear(struct batch *batch)
{
	free(batch->blocks);
}

/* With the lock held: the devices as they are now, for use without it. */
static void begin_counting(struct journal *j)
{
	if (j->n_known != j->n_devices) {
		j->known = xreallocarray(j->known, j->n_devices, sizeof(*j->known));
		memcpy(j->known, j->devices, j->n_devices * sizeof(*j->known));
		j->n_known = j->n_devices;
	}
	for (size_t i = 0; i < j->n_known; i++) {
		struct device *d = j->known[i];

		d->next_on_disk = d->on_disk;
		d->head_id = 0;
		d->batch_first = d->unwritten = INT64_MAX;
		d->batch_seq = d->saved_seq;
	}
	for (size_t i = 0; i < j->n_undated; i++) {
		j->undated[i].next = j->undated[i].readings;
	}
	memset(j->next_loss, 0, sizeof(j->next_loss));
}

static void collect(struct journal *j, struct batch *batch)
{
	journal_seal_all(j);
	begin_counting(j);
	for (struct memory_block *b = j->blocks; b; b = b->next) {
		if (batch->n > 0 &&
			batch->bytes + (int64_t)b->packed.size > j->budget.batch_bytes) {
			batch->more = true;
		}
		if (batch->more) {
			b->device->unwritten = MIN(b->device->unwritten, b->id);
			continue;
		}
		GROW(batch->blocks, batch->n, batch->capacity);
		batch->blocks[batch->n++] = b;
		batch->bytes += (int64_t)b->packed.size;
		b->writing = true;
		b->device->batch_first = MIN(b->device->batch_first, b->id);
		b->device->batch_seq = b->id & SEQ_MASK;
	}
	for (size_t i = 0; i < j->n_known; i++) {
		struct device *d = j->known[i];
		struct ack_set later = {0};

		/* acknowledgements of blocks that are still to be written come after them */
		ack_set_split(&d->pending, d->unwritten, &later);
		ack_set_merge(&d->committing, &d->pending);
		ack_set_clear(&d->pending);
		d->pending = later;
	}
	j->commit_now = false;
	j->more = batch->more;
	j->pending_since_ns = j->acked_since_ns = 0;
	j->pending_readings = j->acked_readings = 0;
	j->last_commit_ns = now_monotonic_ns();
}

struct partial {
	struct journal *j;
	struct device *device;
	uint32_t n;
	uint8_t *acked;
	bool found, complete;
};

static int visit_partial(void *ctx, struct journal_db_block *block)
{
	struct partial *p = ctx;
	uint32_t before, after;

	if (block->n != p->n) {
		return 0; /* not a bitmap of this block */
	}
	p->found = true;
	before = block->acked ? bitmap_count(block->acked, p->n) : 0;
	if (block->acked) {
		bitmap_or(p->acked, block->acked, p->n);
	}
	after = bitmap_count(p->acked, p->n);
	p->complete = after == p->n;
	if (!p->complete) {
		limits_account(p->j, p->device, limits_boot(p->j, block->boot), block->clock_ok,
			(int64_t)before - after);
	}
	return 0;
}

static int apply_partial(
	struct journal *j, struct device *d, const struct ack_entry *entry, int64_t id)
{
	size_t size = ((size_t)entry->n + 7) / 8;
	_cleanup_(freep) uint8_t *acked = xmalloc(size);
	struct partial p = {.j = j, .device = d, .n = entry->n, .acked = acked};
	int r;

	memcpy(acked, entry->acked, size);
	r = journal_db_scan(j->writer, id, id, JOURNAL_DB_ROWS, visit_partial, &p);
	if (r < 0 || !p.found) {
		return r;
	}
	return p.complete ? limits_remove(j, d, id, id, ACK_DELIVERED)
			  : journal_db_set_partial(j->writer, id, acked, size);
}

static int64_t to_db_id(const struct device *d, int64_t id)
{
	return device_base(d->db_number) | (id & SEQ_MASK);
}

/* `of_batch`: those of blocks in this batch, else those of earlier ones. */
static int apply_acks(struct journal *j, struct device *d, bool of_batch)
{
	int r = 0;

	for (size_t i = 0; i < d->committing.n && r == 0; i++) {
		const struct ack_entry *e = &d->committing.entries[i];

		/* a range that reaches into the batch waits for it */
		if ((e->last >= d->batch_first) != of_batch) {
			continue;
		}
		r = e->acked ? apply_partial(j, d, e, to_db_id(d, e->first))
			     : limits_remove(
				       j, d, to_db_id(d, e->first), to_db_id(d, e->last), e->cause);
	}
	return r;
}

static int insert_memory_block(struct journal *j, const struct memory_block *b)
{
	struct block_builder remapped = {0};
	struct journal_db_block row = {
		.id = to_db_id(b->device, b->id),
		.ordinal = b->ordinal,
		.n = b->packed.n,
		.first_us = b->packed.first_us,
		.last_us = b->packed.last_us,
		.offset_us = b->packed.offset_us,
		.clock_ok = b->packed.clock_ok,
		.data = b->packed.data,
		.size = b->packed.size,
	};
	int r;

	(void)pthread_mutex_lock(&j->lock);
	row.boot = j->boots[b->boot].db_number;
	(void)pthread_mutex_unlock(&j->lock);
	if (remap_block(j, true, &row, &remapped)) {
		row.data = remapped.data;
		row.size = remapped.size;
	}
	row.crc = block_checksum(row.data, row.size);
	r = limits_insert(j, b->device, b->boot, &row);
	block_builder_clear(&remapped);
	if (r == 1) {
		const struct ack_entry *e = ack_set_find(&b->device->committing, b->id);

		j->next_loss[JOURNAL_LOSS_SIZE] += b->packed.n - ack_entry_done(e, b->packed.n);
		return 0;
	}
	return r;
}

static int write_batch(struct journal *j, const struct batch *batch)
{
	int r = save_tables(j);

	for (size_t i = 0; i < j->n_known && r == 0; i++) {
		r = apply_acks(j, j->known[i], false);
	}
	if (r == 0 && now_monotonic_ns() >= j->next_age_check_ns) {
		r = limits_drop_aged(j);
	}
	for (size_t i = 0; i < batch->n && r == 0; i++) {
		r = insert_memory_block(j, batch->blocks[i]);
	}
	for (size_t i = 0; i < j->n_known && r == 0; i++) {
		r = apply_acks(j, j->known[i], true);
	}
	return r;
}

/* With the locks held: what was counted in the transaction is so now. */
static void adopt_counters(struct journal *j)
{
	for (size_t i = 0; i < j->n_known; i++) {
		struct device *d = j->known[i];

		d->on_disk = d->saved_on_disk = d->next_on_disk;
		d->saved_seq = MAX(d->batch_seq, 0);
		ack_set_clear(&d->committing);
	}
	for (size_t i = 0; i < j->n_undated; i++) {
		j->undated[i].readings = j->undated[i].next;
	}
	for (int cause = 0; cause < JOURNAL_LOSS_CAUSES; cause++) {
		j->dropped[cause] += j->next_loss[cause];
		j->next_loss[cause] = 0;
	}
	tables_saved(j);
	j->commits++;
}

static int save_counters(struct journal *j, uint64_t losses[JOURNAL_LOSS_CAUSES])
{
	int r = 0;

	for (size_t i = 0; i < j->n_known && r == 0; i++) {
		struct device *d = j->known[i];

		if (d->next_on_disk != d->saved_on_disk || d->batch_seq != d->saved_seq ||
			d->saved_seq < 0 || j->all_dirty) {
			r = journal_db_save_device(j->writer, d->db_number, d->uuid,
				MAX(d->batch_seq, 0), d->next_on_disk);
		}
	}
	for (size_t i = 0; i < j->n_undated && r == 0; i++) {
		const struct undated *u = &j->undated[i];
		uint32_t boot;

		if (u->next == u->readings) {
			continue;
		}
		(void)pthread_mutex_lock(&j->lock);
		boot = j->boots[u->boot].db_number;
		(void)pthread_mutex_unlock(&j->lock);
		r = journal_db_save_undated(
			j->writer, boot, j->known[u->device - 1]->db_number, u->next);
	}
	for (int cause = 0; cause < JOURNAL_LOSS_CAUSES && r == 0; cause++) {
		(void)pthread_mutex_lock(&j->lock);
		losses[cause] = j->dropped[cause] + j->next_loss[cause];
		(void)pthread_mutex_unlock(&j->lock);
		if (losses[cause] != j->saved_loss[cause]) {
			r = journal_db_save_loss(j->writer,
				journal_loss_name((enum journal_loss)cause),
				(int64_t)losses[cause]);
		}
	}
	return r;
}

int commit_begin(struct journal *j)
{
	(void)pthread_mutex_lock(&j->lock);
	begin_counting(j);
	(void)pthread_mutex_unlock(&j->lock);
	return journal_db_begin(j->writer);
}

/* Ends the transaction; the blocks of the batch, if any, are on disk then. */
static int end(struct journal *j, const struct batch *batch)
{
	uint64_t losses[JOURNAL_LOSS_CAUSES] = {0};
	int r = save_counters(j, losses);

	if (r == 0) {
		r = journal_db_commit(j->writer);
	}
	if (r < 0) {
		return r;
	}
	memcpy(j->saved_loss, losses, sizeof(losses));
	/* whoever is reading has seen the file either before or after: wait until he is done */
	(void)pthread_mutex_lock(&j->read_lock);
	(void)pthread_mutex_lock(&j->lock);
	adopt_counters(j);
	for (size_t i = 0; batch && i < batch->n; i++) {
		struct device *d = batch->blocks[i]->device;

		d->newest_id = MAX(d->newest_id, batch->blocks[i]->id);
		d->notify = true;
		journal_free_block(j, batch->blocks[i]);
	}
	for (size_t i = 0; i < j->n_known; i++) {
		if (j->known[i]->notify) {
			journal_notify(j->known[i]);
		}
	}
	(void)pthread_mutex_unlock(&j->lock);
	(void)pthread_mutex_unlock(&j->read_lock);
	return 0;
}

int commit_end(struct journal *j)
{
	return end(j, NULL);
}

/* The transaction failed: as if it had never been tried. */
static void give_back(struct journal *j, const struct batch *batch)
{
	(void)pthread_mutex_lock(&j->lock);
	for (size_t i = 0; i < batch->n; i++) {
		batch->blocks[i]->writing = false;
	}
	for (size_t i = 0; i < j->n_known; i++) {
		struct device *d = j->known[i];

		ack_set_merge(&d->committing, &d->pending);
		d->pending = d->committing;
		memset(&d->committing, 0, sizeof(d->committing));
	}
	memset(j->next_loss, 0, sizeof(j->next_loss));
	j->all_dirty = true; /* which rows were saved in it does not matter any more */
	(void)pthread_mutex_unlock(&j->lock);
}

int commit_batch(struct journal *j)
{
	_cleanup_(batch_clear) struct batch batch = {0};
	int r;

	(void)pthread_mutex_lock(&j->lock);
	collect(j, &batch);
	(void)pthread_mutex_unlock(&j->lock);
	r = journal_db_begin(j->writer);
	if (r == 0) {
		r = write_batch(j, &batch);
	}
	if (r == 0) {
		r = end(j, &batch);
	}
	if (r < 0) {
		journal_db_rollback(j->writer);
		give_back(j, &batch);
	}
	return r;
}
