/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "journal_state.h"

/* Rows of boots of which nothing is left are removed when there are this many. */
#define BOOTS_KEPT 64

struct load {
	struct journal *j;
	bool first;          /* nothing has been given a number yet */
	int64_t expected;    /* readings, by the counters of the devices */
	uint32_t max_device; /* number in the file */
};

static struct device *device_of_db(struct journal *j, int64_t db_number)
{
	for (size_t i = 0; i < j->n_devices; i++) {
		if (j->devices[i]->db_number == db_number) {
			return j->devices[i];
		}
	}
	return NULL;
}

/* Blocks in memory get ids after those of the file, should the file have used theirs already. */
static void renumber(struct journal *j, struct device *d, int64_t last_seq)
{
	if (last_seq < d->first_seq) {
		return;
	}
	ack_set_clear(&d->pending);
	d->seq = last_seq;
	for (struct memory_block *b = j->blocks; b; b = b->next) {
		if (b->device == d) {
			b->id = device_base(d->number) | ++d->seq;
		}
	}
}

static int load_device(void *ctx, int64_t id, const char *uuid, int64_t last_seq, int64_t readings)
{
	struct load *load = ctx;
	struct journal *j = load->j;
	struct device *d = NULL;

	if (id < 1 || id > DEVICES_MAX || !uuid || !is_uuid(uuid) || last_seq < 0 ||
		last_seq > SEQ_MASK || readings < 0 || device_of_db(j, id)) {
		return -EUCLEAN;
	}
	for (size_t i = 0; i < j->n_devices && !d; i++) {
		d = strcmp(j->devices[i]->uuid, uuid) == 0 ? j->devices[i] : NULL;
	}
	if (d) {
		renumber(j, d, last_seq);
	} else {
		d = journal_add_device(j, uuid);
		d->seq = last_seq;
	}
	d->first_seq = last_seq + 1;
	d->db_number = (uint32_t)id;
	d->on_disk = d->saved_on_disk = readings;
	d->saved_seq = last_seq;
	if (d->newest_id == 0 && last_seq > 0) {
		d->newest_id = device_base(d->number) | last_seq;
	}
	load->expected += readings;
	return 0;
}

static void map_sensor(struct journal *j, uint32_t db_number, uint32_t number)
{
	j->sensors.entries[number - 1].db_number = db_number;
	if (db_number > j->n_runtime_of_db) {
		j->runtime_of_db = xreallocarray(
			j->runtime_of_db, db_number, sizeof(*j->runtime_of_db));
		memset(j->runtime_of_db + j->n_runtime_of_db, 0,
			(db_number - j->n_runtime_of_db) * sizeof(*j->runtime_of_db));
		j->n_runtime_of_db = db_number;
	}
	j->runtime_of_db[db_number - 1] = number;
	j->remap |= db_number != number;
}

static int load_sensor(void *ctx, int64_t id, int64_t device, const char *slug, const char *uuid)
{
	struct load *load = ctx;
	struct journal *j = load->j;
	struct device *d = device_of_db(j, device);
	uint32_t number;

	if (id < 1 || id > SENSORS_MAX || !d || (!slug && !uuid)) {
		return -EUCLEAN;
	}
	if (load->first) {
		sensor_table_reserve(&j->sensors, (uint32_t)id);
		number = (uint32_t)id;
		j->sensors.entries[number - 1].device = d->number;
		(void)sensor_table_update(&j->sensors, number, slug, uuid);
		j->sensors.entries[number - 1].dirty = false;
	} else {
		number = sensor_table_find(&j->sensors, d->number, slug, uuid);
		if (!number || j->sensors.entries[number - 1].db_number) {
			number = sensor_table_add(&j->sensors, d->number, slug, uuid);
		}
	}
	map_sensor(j, (uint32_t)id, number);
	return 0;
}

static int load_boot(void *ctx, int64_t id, const char *boot_id, bool has_anchor, int64_t anchor_us)
{
	struct load *load = ctx;
	struct journal *j = load->j;
	uint32_t index;
	struct boot *b;

	if (id < 1 || id > UINT32_MAX || !boot_id) {
		return -EUCLEAN;
	}
	if (load->first && strcmp(boot_id, j->boot_id) == 0) {
		/* the daemon was started again: this boot goes on in its newest row */
		if (j->boots[0].db_number) {
			index = journal_add_boot(j, boot_id);
			j->boots[index] = j->boots[0];
		}
		index = 0;
	} else {
		index = journal_add_boot(j, boot_id);
	}
	b = &j->boots[index];
	b->db_number = (uint32_t)id;
	b->has_anchor = has_anchor;
	b->anchor_us = anchor_us;
	b->dirty = false;
	return 0;
}

static int load_undated(void *ctx, int64_t boot, int64_t device, int64_t readings)
{
	struct load *load = ctx;
	struct journal *j = load->j;
	struct device *d = device_of_db(j, device);
	uint32_t index = boot >= 1 && boot <= UINT32_MAX ? journal_find_boot(j, (uint32_t)boot)
							 : UINT32_MAX;

	if (index == UINT32_MAX || !d || readings < 0) {
		return -EUCLEAN;
	}
	journal_undated(j, index, d->number)->readings = readings;
	return 0;
}

static int load_loss(void *ctx, const char *cause, int64_t readings)
{
	struct load *load = ctx;

	for (int i = 0; i < JOURNAL_LOSS_CAUSES && cause && readings >= 0; i++) {
		if (strcmp(cause, journal_loss_name((enum journal_loss)i)) == 0) {
			load->j->dropped[i] += (uint64_t)readings;
			load->j->saved_loss[i] = (uint64_t)readings;
		}
	}
	return 0;
}

struct ends {
	int64_t ordinal;
	uint32_t boot;
};

static int visit_end(void *ctx, struct journal_db_block *block)
{
	struct ends *ends = ctx;

	ends->ordinal = MAX(ends->ordinal, block->ordinal);
	ends->boot = MIN(ends->boot, block->boot);
	return 0;
}

/* Where the counting of blocks goes on, and which boots still have some. */
static int load_ends(struct journal *j, struct journal_db *db)
{
	struct ends ends = {.boot = UINT32_MAX};
	int64_t move;
	int r = 0;

	for (size_t i = 0; i < j->n_devices && r == 0; i++) {
		int64_t base = device_base(j->devices[i]->db_number);

		if (j->devices[i]->db_number == 0) {
			continue;
		}
		r = journal_db_scan(
			db, base, base | SEQ_MASK, JOURNAL_DB_ROWS_BACK, visit_end, &ends);
		if (r == 0) {
			r = journal_db_scan(
				db, base, base | SEQ_MASK, JOURNAL_DB_ROWS, visit_end, &ends);
		}
	}
	move = ends.ordinal;
	for (struct memory_block *b = j->blocks; b; b = b->next) {
		b->ordinal += move;
	}
	j->ordinal += move;
	j->prune_boots = j->n_boots > BOOTS_KEPT ? MIN(ends.boot, j->boots[0].db_number) : 0;
	return r;
}

/* Nobody has been given a number yet: as if nothing had been read. */
static void reset_tables(struct journal *j)
{
	for (size_t i = 0; i < j->n_devices; i++) {
		free(j->devices[i]);
	}
	j->n_devices = j->n_undated = j->n_runtime_of_db = j->n_boots = 0;
	sensor_table_clear(&j->sensors);
	j->remap = false;
	j->ordinal = 1;
	memset(j->dropped, 0, sizeof(j->dropped));
	j->boot = journal_add_boot(j, j->boot_id);
}

int load_tables(struct journal *j, struct journal_db *db, bool go_on)
{
	struct load load = {.j = j};
	const struct journal_db_loader loader = {
		.ctx = &load,
		.device = load_device,
		.sensor = load_sensor,
		.boot = load_boot,
		.undated = load_undated,
		.loss = load_loss,
	};
	int r;

	(void)pthread_mutex_lock(&j->lock);
	load.first = j->sensors.n == 0 && !j->blocks && j->n_boots == 1;
	r = journal_db_load(db, &loader, go_on);
	if (r == 0 || go_on) {
		int ends = load_ends(j, db);

		r = r < 0 ? r : ends;
	}
	if (r < 0 && !go_on && load.first) {
		reset_tables(j);
	}
	if (r == 0 || go_on) {
		j->loaded = true;
		j->expected = r == 0 || load.expected > 0 ? load.expected : -1;
	}
	(void)pthread_mutex_unlock(&j->lock);
	return r;
}

/* What has no number in the file yet gets one. With the lock held. */
static void assign_numbers(struct journal *j)
{
	uint32_t device = 0, boot = 0;

	for (size_t i = 0; i < j->n_devices; i++) {
		device = MAX(device, j->devices[i]->db_number);
	}
	for (size_t i = 0; i < j->n_devices; i++) {
		if (j->devices[i]->db_number == 0) {
			j->devices[i]->db_number = ++device;
		}
	}
	for (size_t i = 0; i < j->n_boots; i++) {
		boot = MAX(boot, j->boots[i].db_number);
	}
	for (size_t i = 0; i < j->n_boots; i++) {
		if (j->boots[i].db_number == 0) {
			j->boots[i].db_number = ++boot;
		}
	}
	for (uint32_t i = (uint32_t)j->n_numbered; i < j->sensors.n; i++) {
		if (j->sensors.entries[i].db_number == 0) {
			map_sensor(j, (uint32_t)j->n_runtime_of_db + 1, i + 1);
		}
	}
	j->n_numbered = j->sensors.n;
}

static int save_boots(struct journal *j)
{
	struct boot b;
	int r = 0;

	for (size_t i = 0; r == 0; i++) {
		bool save;

		(void)pthread_mutex_lock(&j->lock);
		save = i < j->n_boots && (j->boots[i].dirty || j->all_dirty);
		if (i >= j->n_boots) {
			(void)pthread_mutex_unlock(&j->lock);
			break;
		}
		b = j->boots[i];
		j->boots[i].dirty = false;
		(void)pthread_mutex_unlock(&j->lock);
		if (save && b.db_number) {
			r = journal_db_save_boot(
				j->writer, b.db_number, b.boot_id, b.has_anchor, b.anchor_us);
		}
	}
	if (r == 0 && j->prune_boots > 0) {
		r = journal_db_prune_boots(j->writer, j->prune_boots);
		j->prune_boots = 0;
	}
	return r;
}

static int save_sensors(struct journal *j)
{
	_cleanup_(freep) struct sensor_entry *entries = NULL;
	size_t n = 0, capacity = 0;
	int r = 0;

	(void)pthread_mutex_lock(&j->lock);
	for (size_t i = 0; i < j->sensors.n; i++) {
		struct sensor_entry *e = &j->sensors.entries[i];

		if (e->device && (e->dirty || j->all_dirty)) {
			GROW(entries, n, capacity);
			entries[n] = *e;
			entries[n++].device = j->devices[e->device - 1]->db_number;
			e->dirty = false;
		}
	}
	j->sensors_dirty = false;
	(void)pthread_mutex_unlock(&j->lock);
	for (size_t i = 0; i < n && r == 0; i++) {
		r = journal_db_save_sensor(j->writer, entries[i].db_number, entries[i].device,
			entries[i].slug, entries[i].uuid);
	}
	return r;
}

int save_tables(struct journal *j)
{
	bool sensors;
	int r;

	(void)pthread_mutex_lock(&j->lock);
	assign_numbers(j);
	sensors = j->sensors_dirty || j->all_dirty;
	(void)pthread_mutex_unlock(&j->lock);
	r = save_boots(j);
	return r == 0 && sensors ? save_sensors(j) : r;
}

void tables_saved(struct journal *j)
{
	j->all_dirty = false;
}

bool remap_block(struct journal *j, bool to_file, const struct journal_db_block *in,
	struct block_builder *out)
{
	_cleanup_(freep) struct reading *readings = NULL;
	bool done;

	(void)pthread_mutex_lock(&j->lock);
	done = !j->remap;
	(void)pthread_mutex_unlock(&j->lock);
	if (done) {
		return false;
	}
	readings = xcalloc(MIN(in->n, BLOCK_MAX_READINGS), sizeof(*readings));
	if (block_decode(in->data, in->size, in->n, in->first_us, in->offset_us, in->clock_ok,
		    readings) < 0) {
		return false;
	}
	(void)pthread_mutex_lock(&j->lock);
	for (uint32_t i = 0; i < in->n; i++) {
		uint32_t *s = &readings[i].sensor;

		if (to_file) {
			*s = *s >= 1 && *s <= j->sensors.n ? j->sensors.entries[*s - 1].db_number
							   : 0;
		} else {
			*s = *s >= 1 && *s <= j->n_runtime_of_db ? j->runtime_of_db[*s - 1] : 0;
		}
	}
	(void)pthread_mutex_unlock(&j->lock);
	for (uint32_t i = 0; i < in->n; i++) {
		(void)block_builder_add(out, &readings[i]);
	}
	return true;
}
