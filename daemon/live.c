/* SPDX-License-Identifier: Apache-2.0 */
#include "live.h"

#include <math.h>
#include <string.h>

#include "taken.h"
#include "util.h"

/* Readings looked at in one round: bounds memory when the publisher is far behind. */
#define ROUND_READINGS_BATCH  65536u
#define ROUND_READINGS_SINGLE 4096u
#define ROUND_BLOCKS          256u
/* Batches keep their rate on average, but one that is early by less than this share need not wait.
 */
#define EARLY_SHARE   10
#define LOOK_AGAIN_NS NS_PER_S
#define FUTURE_US     (2 * US_PER_S)
#define NO_ENTRY      UINT32_MAX

/* A reading to be sent. */
struct entry {
	uint32_t block, position; /* in taken */
	uint32_t sensor;          /* index in the map */
	int64_t boottime_us, realtime_us;
	double value;
};

/* Entries [first, end) of the round. */
struct message {
	uint32_t first, end;
	bool done;
};

struct live {
	const struct platform_config *platform;
	const struct device_config *device;
	struct journal *journal;
	uint32_t journal_device;
	struct sensor_map *map;
	char *batch_topic;
	char *single_topic;

	int64_t after;         /* blocks up to here have been looked at */
	int64_t next_batch_ns; /* not before */
	int64_t paused_until_ns;
	int64_t look_again_ns; /* the journal could not be read: not before */
	int64_t looked_us;     /* boot-clock time of the last look */
	double battery;        /* NAN: not known yet */
	bool is_started;

	/* the round */
	struct taken taken;
	struct entry *entries;
	uint32_t n_entries, entries_capacity;
	uint32_t next_entry;
	struct message *messages;
	uint32_t n_messages, messages_capacity;
	uint32_t n_done;
	uint32_t *newest; /* by sensor index: entry, or NO_ENTRY */
	uint32_t newest_capacity;
	int64_t boundary; /* while a round is open: the id before its first block */
};

struct live *live_new(const struct platform_config *platform, const struct device_config *device,
	struct journal *journal, uint32_t journal_device, struct sensor_map *map)
{
	struct live *l = xcalloc(1, sizeof(*l));

	l->platform = platform;
	l->device = device;
	l->journal = journal;
	l->journal_device = journal_device;
	l->map = map;
	l->battery = NAN;
	l->batch_topic = payload_topic_batch(platform->tenant, device->uuid);
	return l;
}

static void end_round(struct live *l)
{
	taken_flush(&l->taken, l->journal, l->journal_device);
	taken_clear(&l->taken);
	l->n_entries = 0;
	l->next_entry = 0;
	l->n_messages = 0;
	l->n_done = 0;
}

void live_free(struct live *l)
{
	if (!l) {
		return;
	}
	taken_clear(&l->taken);
	free(l->entries);
	free(l->messages);
	free(l->newest);
	free(l->batch_topic);
	free(l->single_topic);
	free(l);
}

/* Leaves everything that is too old to history, without reading it. */
static void skip_old(struct live *l)
{
	int64_t now_us = now_boottime_ns() / NS_PER_US;
	int64_t id = journal_find_newer(
		l->journal, l->journal_device, now_us - l->platform->live_window_ns / NS_PER_US);

	l->after = MAX(l->after, id);
	l->looked_us = now_us;
}

void live_start(struct live *l)
{
	end_round(l);
	if (l->platform->live != LIVE_OFF) {
		/* what a connection before this one has looked at is history, whatever became of it
		 */
		skip_old(l);
	}
	l->is_started = true;
}

void live_stop(struct live *l)
{
	end_round(l);
	l->is_started = false;
}

static bool is_fresh(const struct live *l, int64_t boottime_us, int64_t now_us)
{
	/* what seems to come from the future is of a boot that we mistake for this one */
	return boottime_us <= now_us + FUTURE_US &&
	       now_us - boottime_us <= l->platform->live_window_ns / NS_PER_US;
}

static void add_entry(struct live *l, uint32_t sensor, uint32_t block, uint32_t position,
	const struct reading *reading)
{
	struct entry entry = {
		.block = block,
		.position = position,
		.sensor = sensor,
		.boottime_us = reading->boottime_us,
		.realtime_us = reading_realtime_us(reading),
		.value = reading->value,
	};

	if (l->platform->live == LIVE_BATCH) {
		if (sensor >= l->newest_capacity) {
			uint32_t capacity = MAX(2 * l->newest_capacity, sensor + 64);

			l->newest = xreallocarray(l->newest, capacity, sizeof(*l->newest));
			memset(l->newest + l->newest_capacity, 0xff,
				(capacity - l->newest_capacity) * sizeof(*l->newest));
			l->newest_capacity = capacity;
		}
		/* a later reading of the sensor takes the place of the earlier one, which is
		 * history */
		if (l->newest[sensor] != NO_ENTRY) {
			l->entries[l->newest[sensor]] = entry;
			return;
		}
		l->newest[sensor] = l->n_entries;
	}
	GROW(l->entries, l->n_entries, l->entries_capacity);
	l->entries[l->n_entries++] = entry;
}

/* Takes what is fresh of one block into the round. */
static void add_block(struct live *l, const struct journal_block *block, int64_t now_us)
{
	_cleanup_(freep) struct reading *readings = NULL;
	uint32_t index;

	if (!block->dated || !block->this_boot || !is_fresh(l, block->last_us, now_us)) {
		return;
	}
	readings = xcalloc(block->n, sizeof(*readings));
	if (journal_block_readings(block, readings) < 0) {
		return; /* history finds it damaged as well, and the journal counts it there */
	}
	index = taken_add(&l->taken, block);
	for (uint32_t i = 0; i < block->n; i++) {
		uint32_t sensor = sensor_map_index(l->map, readings[i].sensor);
		const struct known_sensor *known = sensor_map_at(l->map, sensor);

		if (taken_is_acked(&l->taken, index, i) || (!known->slug && !known->uuid) ||
			!is_fresh(l, readings[i].boottime_us, now_us)) {
			continue;
		}
		if (l->device->battery && l->device->battery->journal_id == readings[i].sensor) {
			l->battery = readings[i].value;
		}
		add_entry(l, sensor, index, i, &readings[i]);
	}
}

/* Looks at the blocks that are new; more than a round's worth is looked at in several goes. */
static void begin_round(struct live *l)
{
	bool is_batch = l->platform->live == LIVE_BATCH;
	struct journal_block *blocks[ROUND_BLOCKS];
	int64_t now_us = now_boottime_ns() / NS_PER_US;
	int64_t newest;
	int n;

	end_round(l);
	if (now_us - l->looked_us > l->platform->live_window_ns / NS_PER_US) {
		skip_old(l);
	}
	l->looked_us = now_us;
	l->boundary = l->after;
	do {
		newest = journal_newest_id(l->journal, l->journal_device);
		n = journal_take(l->journal, l->journal_device, l->after,
			is_batch ? ROUND_READINGS_BATCH : ROUND_READINGS_SINGLE, blocks,
			ROUND_BLOCKS);
		for (int i = 0; i < n; i++) {
			l->after = blocks[i]->id;
			add_block(l, blocks[i], now_us);
			journal_block_free(blocks[i]);
		}
		if (n == 0) {
			l->after = MAX(
				l->after, newest); /* delivered, dropped or damaged meanwhile */
		} else if (n < 0) {
			l->look_again_ns = now_monotonic_ns() + LOOK_AGAIN_NS;
		}
	} while (is_batch && n > 0 && l->after < newest);
	if (is_batch && l->newest) {
		memset(l->newest, 0xff, l->newest_capacity * sizeof(*l->newest));
	}
}

static uint32_t add_message(struct live *l, uint32_t first, uint32_t end)
{
	GROW(l->messages, l->n_messages, l->messages_capacity);
	l->messages[l->n_messages] = (struct message){.first = first, .end = end};
	return l->n_messages++;
}

/* What grew old while it waited for its turn is history. */
static void skip_stale(struct live *l, int64_t now_us)
{
	while (l->next_entry < l->n_entries &&
		!is_fresh(l, l->entries[l->next_entry].boottime_us, now_us)) {
		l->next_entry++;
	}
}

static bool next_batch(struct live *l, size_t limit, struct text *payload, const char **ret_topic,
	uint32_t *ret_message)
{
	size_t topic_size = strlen(l->batch_topic);
	int64_t now_us = now_boottime_ns() / NS_PER_US;
	uint32_t first;

	skip_stale(l, now_us);
	first = l->next_entry;
	limit -= MIN(limit, topic_size);
	payload_batch_begin(payload);
	while (l->next_entry < l->n_entries) {
		const struct entry *entry = &l->entries[l->next_entry];
		const struct known_sensor *sensor = sensor_map_at(l->map, entry->sensor);

		if (!is_fresh(l, entry->boottime_us, now_us)) {
			break; /* the platform would date it now */
		}
		if (!payload_batch_add(payload, limit, sensor->slug, sensor->uuid, entry->value)) {
			break;
		}
		l->next_entry++;
	}
	if (l->next_entry == first) {
		/* not even one fits: history, whose messages are smaller, has to deal with it */
		l->next_entry = l->n_entries;
		return false;
	}
	payload_batch_end(payload, l->battery);
	*ret_topic = l->batch_topic;
	*ret_message = add_message(l, first, l->next_entry);
	return true;
}

static bool next_single(
	struct live *l, struct text *payload, const char **ret_topic, uint32_t *ret_message)
{
	int64_t now_us = now_boottime_ns() / NS_PER_US;
	const struct known_sensor *sensor;
	const struct entry *entry;

	skip_stale(l, now_us);
	if (l->next_entry == l->n_entries) {
		return false;
	}
	entry = &l->entries[l->next_entry];
	sensor = sensor_map_at(l->map, entry->sensor);
	free(l->single_topic);
	l->single_topic = payload_topic_single(
		l->platform->tenant, l->device->uuid, sensor->slug ? sensor->slug : sensor->uuid);
	payload_single(
		payload, entry->value, entry->realtime_us, l->platform->milliseconds, l->battery);
	*ret_topic = l->single_topic;
	*ret_message = add_message(l, l->next_entry, l->next_entry + 1);
	l->next_entry++;
	return true;
}

static int64_t earliest_batch_ns(const struct live *l)
{
	return l->next_batch_ns - l->platform->batch_interval_ns / EARLY_SHARE;
}

/* At most one batch an interval on average, without the wait for a few milliseconds of jitter. */
static void account_batch(struct live *l, int64_t now_ns)
{
	int64_t interval = l->platform->batch_interval_ns;

	l->next_batch_ns = MAX(l->next_batch_ns, now_ns - interval / EARLY_SHARE) + interval;
}

/* Nothing is in flight and nothing left to send: what the round took is history's now. */
static void end_round_if_done(struct live *l)
{
	if (l->next_entry == l->n_entries && l->n_done == l->n_messages) {
		end_round(l);
	}
}

/* True if there is a round with something left to send, which may be a new one. */
static bool have_round(struct live *l, int64_t now_ns)
{
	bool is_batch = l->platform->live == LIVE_BATCH;

	if (l->next_entry < l->n_entries) {
		return true;
	}
	if (live_is_busy(l) || now_ns < l->look_again_ns ||
		(is_batch && now_ns < earliest_batch_ns(l))) {
		return false;
	}
	if (journal_newest_id(l->journal, l->journal_device) <= l->after) {
		return false; /* asked after each acknowledgement of a replay: no query for nothing
			       */
	}
	begin_round(l);
	if (is_batch && l->n_entries > 0) {
		account_batch(l, now_ns);
	}
	return l->n_entries > 0;
}

bool live_next(struct live *l, int64_t now_ns, size_t limit, struct text *payload,
	const char **ret_topic, uint32_t *ret_message)
{
	bool r = false;

	if (!l->is_started || l->platform->live == LIVE_OFF) {
		return false;
	}
	if (now_ns < l->paused_until_ns) {
		if (!live_is_busy(l)) {
			skip_old(l); /* so that history goes on */
		}
		return false;
	}
	if (have_round(l, now_ns)) {
		payload->size = 0;
		r = l->platform->live == LIVE_BATCH
			    ? next_batch(l, limit, payload, ret_topic, ret_message)
			    : next_single(l, payload, ret_topic, ret_message);
	}
	if (!r) {
		end_round_if_done(l);
	}
	return r;
}

uint32_t live_message_readings(const struct live *l, uint32_t message)
{
	return l->messages[message].end - l->messages[message].first;
}

uint32_t live_done(struct live *l, uint32_t message, bool delivered)
{
	struct message *m = &l->messages[message];
	uint32_t n = m->end - m->first;

	if (m->done) {
		return 0;
	}
	m->done = true;
	l->n_done++;
	for (uint32_t i = m->first; delivered && i < m->end; i++) {
		taken_ack(&l->taken, l->entries[i].block, l->entries[i].position);
	}
	taken_flush_some(&l->taken, l->journal, l->journal_device, now_monotonic_ns());
	end_round_if_done(l);
	return n;
}

int64_t live_boundary(const struct live *l)
{
	if (l->platform->live == LIVE_OFF) {
		return INT64_MAX;
	}
	return l->taken.n > 0 ? l->boundary : l->after;
}

bool live_is_busy(const struct live *l)
{
	return l->n_done < l->n_messages || l->next_entry < l->n_entries;
}

int64_t live_due_ns(const struct live *l)
{
	int64_t due = MAX(l->paused_until_ns, l->look_again_ns);

	if (!l->is_started || l->platform->live == LIVE_OFF || live_is_busy(l) ||
		journal_newest_id(l->journal, l->journal_device) <= l->after) {
		return INT64_MAX;
	}
	if (l->platform->live == LIVE_BATCH) {
		due = MAX(due, earliest_batch_ns(l));
	}
	return due;
}

void live_pause(struct live *l, int64_t until_ns)
{
	l->paused_until_ns = until_ns;
	/* the rest of the round would be refused as well */
	l->next_entry = l->n_entries;
	end_round_if_done(l);
}
