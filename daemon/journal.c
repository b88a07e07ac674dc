/* SPDX-License-Identifier: Apache-2.0 */
#include "journal.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "journal_lock.h"
#include "journal_state.h"

/* Pending readings that are committed without waiting for anything. */
#define COMMIT_READINGS 65536
/* A stalled disk is not a stuck thread: an SD card may take its time. */
#define HEARTBEAT_ALLOWANCE_NS (60 * NS_PER_S)
/* Packed readings, beside which a block in memory takes this much. */
#define BLOCK_OVERHEAD ((int64_t)sizeof(struct memory_block))

void journal_say(struct journal *j, enum journal_event event, const char *format, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list args;

	if (!j->applied.event) {
		return;
	}
	va_start(args, format);
	text = xvasprintf(format, args);
	va_end(args);
	j->applied.event(j->applied.ctx, event, text);
}

static size_t seal_bytes(const struct journal_options *options)
{
	struct journal_budget budget;

	journal_plan_budget(options, &budget);
	return budget.seal_bytes;
}

static void init_lock(struct journal *j)
{
	pthread_condattr_t attributes;

	(void)pthread_mutex_init(&j->lock, NULL);
	(void)pthread_mutex_init(&j->read_lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&j->wake, &attributes);
	(void)pthread_condattr_destroy(&attributes);
}

struct journal *journal_open(const struct journal_options *options)
{
	struct journal *j;
	int lock_fd;

	if (journal_lock(options->path, &lock_fd) < 0) {
		return NULL;
	}
	j = xcalloc(1, sizeof(*j));
	j->lock_fd = lock_fd;
	j->path = xstrdup(options->path);
	j->boot_id = xstrdup(options->boot_id ? options->boot_id : clock_boot_id());
	j->options = *options;
	j->options.path = j->path;
	j->options.boot_id = j->boot_id;
	j->applied = j->options;
	j->blocks_end = &j->blocks;
	j->ordinal = 1;
	j->expected = -1;
	j->configure = true;
	heartbeat_init(&j->heartbeat, HEARTBEAT_ALLOWANCE_NS);
	init_lock(j);
	j->seal_bytes = seal_bytes(&j->options);
	j->boot = journal_add_boot(j, j->boot_id);
	(void)writer_open(j); /* if the disk refuses, the thread tries again */
	return j;
}

int journal_start(struct journal *j)
{
	int r;

	assert(!j->started && !j->stopped);
	r = -pthread_create(&j->thread, NULL, writer_main, j);
	j->started = r == 0;
	return r;
}

void journal_stop(struct journal *j)
{
	if (j->stopped) {
		return;
	}
	(void)pthread_mutex_lock(&j->lock);
	j->stop = true;
	journal_poke(j);
	(void)pthread_mutex_unlock(&j->lock);
	if (j->started) {
		(void)pthread_join(j->thread, NULL);
	} else {
		writer_flush(j);
	}
	j->stopped = true;
	(void)pthread_mutex_lock(&j->read_lock);
	journal_db_close(steal_ptr(j->reader));
	j->repairing = true; /* for good: nobody opens it again */
	(void)pthread_mutex_unlock(&j->read_lock);
	/* the last connection copies the WAL into the file and removes it */
	journal_db_close(steal_ptr(j->writer));
	closep(&j->lock_fd);
	j->lock_fd = -1;
}

void journal_free(struct journal *j)
{
	if (!j) {
		return;
	}
	journal_stop(j);
	while (j->blocks) {
		journal_free_block(j, j->blocks);
	}
	for (size_t i = 0; i < j->n_devices; i++) {
		block_builder_clear(&j->devices[i]->builder);
		ack_set_clear(&j->devices[i]->pending);
		ack_set_clear(&j->devices[i]->committing);
		free(j->devices[i]);
	}
	free(j->devices);
	free(j->known);
	sensor_table_clear(&j->sensors);
	free(j->runtime_of_db);
	free(j->boots);
	free(j->undated);
	free(j->salvage_path);
	free(j->path);
	free(j->boot_id);
	(void)pthread_cond_destroy(&j->wake);
	(void)pthread_mutex_destroy(&j->lock);
	(void)pthread_mutex_destroy(&j->read_lock);
	free(j);
}

void journal_set_options(struct journal *j, const struct journal_options *options)
{
	(void)pthread_mutex_lock(&j->lock);
	j->options = *options;
	j->options.path = j->path;
	j->options.boot_id = j->boot_id;
	j->seal_bytes = seal_bytes(&j->options);
	j->configure = true;
	journal_poke(j);
	(void)pthread_mutex_unlock(&j->lock);
}

struct heartbeat *journal_heartbeat(struct journal *j)
{
	return &j->heartbeat;
}

/* --- devices, sensors, boots --- */

struct device *journal_find_device(struct journal *j, uint32_t number)
{
	return number >= 1 && number <= j->n_devices ? j->devices[number - 1] : NULL;
}

struct device *journal_add_device(struct journal *j, const char *uuid)
{
	struct device *d = xcalloc(1, sizeof(*d));

	(void)snprintf(d->uuid, sizeof(d->uuid), "%s", uuid);
	d->eventfd = -1;
	d->saved_seq = -1;
	/*
	 * Without the file nobody knows which ids were used. The upper half of the counter, by the
	 * clock, is beyond them: no earlier block can be taken for one of these.
	 */
	if (!j->loaded) {
		d->seq = INT64_C(1) << (SEQ_BITS - 1) |
			 ((now_realtime_ns() / NS_PER_S) & UINT32_MAX) << 7;
	}
	d->first_seq = d->seq + 1;
	GROW(j->devices, j->n_devices, j->devices_capacity);
	j->devices[j->n_devices++] = d;
	d->number = (uint32_t)j->n_devices;
	return d;
}

uint32_t journal_device(struct journal *j, const char *device_uuid)
{
	uint32_t number = 0;

	(void)pthread_mutex_lock(&j->lock);
	for (size_t i = 0; i < j->n_devices && number == 0; i++) {
		if (strcmp(j->devices[i]->uuid, device_uuid) == 0) {
			number = j->devices[i]->number;
		}
	}
	if (number == 0 && j->n_devices < DEVICES_MAX) {
		number = journal_add_device(j, device_uuid)->number;
	}
	(void)pthread_mutex_unlock(&j->lock);
	return number;
}

uint32_t journal_sensor(struct journal *j, uint32_t device, const char *slug, const char *uuid)
{
	uint32_t number = 0;

	(void)pthread_mutex_lock(&j->lock);
	if (journal_find_device(j, device) && (slug || uuid)) {
		number = sensor_table_find(&j->sensors, device, slug, uuid);
		if (number) {
			j->sensors_dirty |= sensor_table_update(&j->sensors, number, slug, uuid);
		} else if (j->sensors.n < SENSORS_MAX) {
			number = sensor_table_add(&j->sensors, device, slug, uuid);
			j->sensors_dirty = true;
		}
	}
	(void)pthread_mutex_unlock(&j->lock);
	return number;
}

int journal_sensor_names(
	struct journal *j, uint32_t sensor, const char **ret_slug, const char **ret_uuid)
{
	int r = -ENOENT;

	(void)pthread_mutex_lock(&j->lock);
	if (sensor >= 1 && sensor <= j->sensors.n && j->sensors.entries[sensor - 1].device) {
		*ret_slug = j->sensors.entries[sensor - 1].slug;
		*ret_uuid = j->sensors.entries[sensor - 1].uuid;
		r = 0;
	}
	(void)pthread_mutex_unlock(&j->lock);
	return r;
}

uint32_t journal_add_boot(struct journal *j, const char *boot_id)
{
	struct boot *b;

	GROW(j->boots, j->n_boots, j->boots_capacity);
	b = &j->boots[j->n_boots];
	*b = (struct boot){.dirty = true, .this_boot = strcmp(boot_id, j->boot_id) == 0};
	(void)snprintf(b->boot_id, sizeof(b->boot_id), "%s", boot_id);
	return (uint32_t)j->n_boots++;
}

struct undated *journal_undated(struct journal *j, uint32_t boot, uint32_t device)
{
	for (size_t i = 0; i < j->n_undated; i++) {
		if (j->undated[i].boot == boot && j->undated[i].device == device) {
			return &j->undated[i];
		}
	}
	GROW(j->undated, j->n_undated, j->undated_capacity);
	j->undated[j->n_undated] = (struct undated){.boot = boot, .device = device};
	return &j->undated[j->n_undated++];
}

uint32_t journal_find_boot(const struct journal *j, uint32_t db_number)
{
	/* the newest are asked for most */
	for (size_t i = j->n_boots; i > 0; i--) {
		if (j->boots[i - 1].db_number == db_number) {
			return (uint32_t)i - 1;
		}
	}
	return UINT32_MAX;
}

enum dating journal_date_boot(const struct journal *j, uint32_t boot, bool clock_ok,
	int64_t *offset_us, bool *ret_this_boot)
{
	const struct boot *b = boot < j->n_boots ? &j->boots[boot] : NULL;

	*ret_this_boot = b && b->this_boot;
	if (clock_ok) {
		return DATING_KNOWN;
	}
	if (b && b->has_anchor) {
		*offset_us = b->anchor_us;
		return DATING_KNOWN;
	}
	return *ret_this_boot ? DATING_WAITS : DATING_NEVER;
}

enum dating journal_date(struct journal *j, const struct journal_db_block *block,
	int64_t *ret_offset_us, bool *ret_this_boot)
{
	enum dating dating;

	*ret_offset_us = block->offset_us;
	(void)pthread_mutex_lock(&j->lock);
	dating = journal_date_boot(j, journal_find_boot(j, block->boot), block->clock_ok,
		ret_offset_us, ret_this_boot);
	(void)pthread_mutex_unlock(&j->lock);
	return dating;
}

/* --- appending --- */

void journal_free_block(struct journal *j, struct memory_block *b)
{
	struct memory_block **p = &j->blocks;

	while (*p != b) {
		p = &(*p)->next;
	}
	*p = b->next;
	if (!b->next) {
		j->blocks_end = p;
	}
	b->device->in_memory -= b->packed.n;
	j->memory_bytes -= (int64_t)b->packed.size + BLOCK_OVERHEAD;
	block_builder_clear(&b->packed);
	free(b);
}

static void seal(struct journal *j, struct device *d)
{
	struct memory_block *b;

	if (d->builder.n == 0) {
		return;
	}
	b = xcalloc(1, sizeof(*b));
	b->device = d;
	b->id = device_base(d->number) | ++d->seq;
	b->ordinal = j->ordinal++;
	b->boot = j->boot;
	b->packed = d->builder;
	memset(&d->builder, 0, sizeof(d->builder));
	*j->blocks_end = b;
	j->blocks_end = &b->next;
	j->memory_bytes += BLOCK_OVERHEAD;
	if (j->failing) {
		d->newest_id = b->id;
		d->notify = true;
	}
}

void journal_seal_all(struct journal *j)
{
	for (size_t i = 0; i < j->n_devices; i++) {
		seal(j, j->devices[i]);
	}
}

/* Drops the oldest block in memory that nobody is writing. False if there is none. */
static bool drop_oldest(struct journal *j)
{
	for (struct memory_block *b = j->blocks; b; b = b->next) {
		const struct ack_entry *e;

		if (b->writing) {
			continue;
		}
		e = ack_set_find(&b->device->pending, b->id);
		j->dropped[JOURNAL_LOSS_MEMORY] += b->packed.n - ack_entry_done(e, b->packed.n);
		ack_set_remove(&b->device->pending, b->id);
		journal_free_block(j, b);
		return true;
	}
	return false;
}

static bool make_room(struct journal *j)
{
	int64_t limit = j->options.max_memory;

	while (j->memory_bytes >= limit) {
		if (j->options.drop_newest || !drop_oldest(j)) {
			return false;
		}
	}
	return true;
}

static void append_one(struct journal *j, const struct reading *r)
{
	struct block_builder *b;
	struct device *d;
	size_t before;

	d = r->sensor >= 1 && r->sensor <= j->sensors.n
		    ? journal_find_device(j, j->sensors.entries[r->sensor - 1].device)
		    : NULL;
	if (!d || !isfinite(r->value)) {
		return; /* not a reading */
	}
	if (j->memory_bytes >= j->options.max_memory && !make_room(j)) {
		j->dropped[JOURNAL_LOSS_MEMORY]++;
		return;
	}
	b = &d->builder;
	before = b->size;
	if (!block_builder_add(b, r)) {
		seal(j, d);
		before = 0;
		(void)block_builder_add(b, r); /* an empty one takes anything */
	}
	j->memory_bytes += (int64_t)(b->size - before);
	d->in_memory++;
	j->pending_readings++;
	if (b->size >= j->seal_bytes) {
		seal(j, d);
	}
}

void journal_append(struct journal *j, const struct reading *readings, size_t n, bool round_end)
{
	int64_t now = now_monotonic_ns();

	(void)pthread_mutex_lock(&j->lock);
	if (j->boot_waits && n > 0) {
		journal_seal_all(j);
		j->boot = journal_add_boot(j, j->boot_id);
		j->boot_waits = false;
	}
	for (size_t i = 0; i < n; i++) {
		append_one(j, &readings[i]);
	}
	if (j->pending_readings > 0) {
		if (j->pending_since_ns == 0) {
			j->pending_since_ns = now;
		}
		if (j->pending_readings >= COMMIT_READINGS ||
			(round_end &&
				now - j->last_commit_ns >= j->options.commit_interval_ns / 2)) {
			j->commit_now = true;
		}
		journal_poke(j);
	}
	(void)pthread_mutex_unlock(&j->lock);
}

void journal_poke(struct journal *j)
{
	int64_t due = writer_due_ns(j, now_monotonic_ns());

	if (due < j->sleeping_until_ns) {
		j->sleeping_until_ns = due;
		(void)pthread_cond_signal(&j->wake);
	}
}

void journal_notify(struct device *d)
{
	static const uint64_t one = 1;

	d->notify = false;
	if (d->eventfd >= 0) {
		/* full means that it is readable already */
		(void)!write(d->eventfd, &one, sizeof(one));
	}
}

/* --- the clock --- */

void journal_clock_set(struct journal *j, int64_t offset_us)
{
	(void)pthread_mutex_lock(&j->lock);
	for (size_t i = 0; i < j->n_boots; i++) {
		struct boot *b = &j->boots[i];
		bool present = i == j->boot && !j->boot_waits;

		if (!b->this_boot || (b->has_anchor && !present)) {
			continue;
		}
		if (!b->has_anchor || llabs(b->anchor_us - offset_us) > US_PER_MS) {
			b->has_anchor = true;
			b->anchor_us = offset_us;
			b->dirty = true;
			if (j->acked_since_ns == 0) {
				j->acked_since_ns = now_monotonic_ns();
			}
		}
	}
	j->boot_waits = false;
	for (size_t i = 0; i < j->n_devices; i++) {
		journal_notify(j->devices[i]);
	}
	journal_poke(j);
	(void)pthread_mutex_unlock(&j->lock);
}

void journal_clock_lost(struct journal *j)
{
	(void)pthread_mutex_lock(&j->lock);
	j->boot_waits = j->boots[j->boot].has_anchor;
	(void)pthread_mutex_unlock(&j->lock);
}

/* The true time now, as far as the journal was told. With the lock held. */
int64_t journal_now_us(const struct journal *j, bool *ret_known)
{
	const struct boot *b = &j->boots[j->boot];

	*ret_known = b->has_anchor && !j->boot_waits;
	return now_boottime_ns() / NS_PER_US + b->anchor_us;
}

/* --- acknowledgements --- */

static void ack_one(struct journal *j, struct device *d, const struct journal_ack *ack)
{
	uint64_t before = d->pending.counted;
	struct memory_block *b;
	const struct ack_entry *e;
	uint32_t done;

	if (ack->n == 0 || ack->n > BLOCK_MAX_READINGS || ack->id >> SEQ_BITS != d->number ||
		(ack->id & SEQ_MASK) > d->seq) {
		return;
	}
	/* bitmaps can pile up only while the disk refuses; then some readings are sent twice */
	if (ack->acked && (int64_t)d->pending.bitmap_bytes > j->options.max_memory) {
		return;
	}
	done = ack->acked ? bitmap_count(ack->acked, ack->n) : ack->n;
	ack_set_add(&d->pending, ack->id, ack->n, ack->acked, done - MIN(ack->told, done),
		ACK_DELIVERED);
	j->acked_readings += d->pending.counted - before;
	e = ack_set_find(&d->pending, ack->id);
	if (!j->failing || !e || e->acked) {
		return;
	}
	/* a block that never reached the disk need not go there any more */
	for (b = j->blocks; b && b->id != ack->id; b = b->next) {
	}
	if (b && !b->writing) {
		ack_set_remove(&d->pending, ack->id);
		journal_free_block(j, b);
	}
}

void journal_ack(struct journal *j, uint32_t device, const struct journal_ack *acks, size_t n)
{
	struct device *d;

	(void)pthread_mutex_lock(&j->lock);
	d = journal_find_device(j, device);
	for (size_t i = 0; d && i < n; i++) {
		ack_one(j, d, &acks[i]);
	}
	if (d && d->pending.n > 0) {
		if (j->acked_since_ns == 0) {
			j->acked_since_ns = now_monotonic_ns();
		}
		journal_poke(j);
	}
	(void)pthread_mutex_unlock(&j->lock);
}

void journal_count_loss(struct journal *j, uint32_t device, enum journal_loss cause, uint64_t n)
{
	(void)pthread_mutex_lock(&j->lock);
	j->dropped[cause] += n;
	if (j->acked_since_ns == 0 && n > 0) {
		j->acked_since_ns = now_monotonic_ns();
		journal_poke(j);
	}
	(void)pthread_mutex_unlock(&j->lock);
}

void journal_subscribe(struct journal *j, uint32_t device, int eventfd)
{
	struct device *d;

	(void)pthread_mutex_lock(&j->lock);
	d = journal_find_device(j, device);
	if (d) {
		d->eventfd = eventfd;
	}
	(void)pthread_mutex_unlock(&j->lock);
}

int64_t journal_newest_id(struct journal *j, uint32_t device)
{
	struct device *d;
	int64_t id;

	(void)pthread_mutex_lock(&j->lock);
	d = journal_find_device(j, device);
	id = d ? d->newest_id : 0;
	(void)pthread_mutex_unlock(&j->lock);
	return id;
}
