/* SPDX-License-Identifier: Apache-2.0 */
#include "history.h"

#include <math.h>
#include <string.h>

#include "taken.h"
#include "util.h"

/* A window: enough to fill bulk uploads of a thousand sensors, 20 bytes of memory a reading. */
#define WINDOW_READINGS 49152u
#define WINDOW_BLOCKS   2048u
#define REFUSED_MIN_NS  (60 * NS_PER_S)
#define REFUSED_MAX_NS  NS_PER_H
/* After the journal could not be read. */
#define LOOK_AGAIN_NS NS_PER_S
/* Block and position in one word: a block has no more than BLOCK_MAX_READINGS, 2^14. */
#define POSITION_BITS 14u
#define POSITION_MASK ((1u << POSITION_BITS) - 1)

/* Readings [first, end) of the window, all of one sensor, in order of time. */
struct range {
	uint32_t sensor; /* index in the map */
	uint32_t first, end;
};

struct message {
	struct range range;
	bool done;
};

struct history {
	const struct platform_config *platform;
	const struct device_config *device;
	struct journal *journal;
	uint32_t journal_device;
	struct sensor_map *map;
	char *topic;

	bool is_started;
	bool is_drained;
	int64_t after;        /* blocks up to here are dealt with, but for what was refused */
	int64_t next_look_ns; /* not before */
	bool is_idle;         /* the last look found nothing that time alone would change */
	int64_t retry_ns;     /* when something that was refused may be tried again; INT64_MAX */

	/* the window */
	struct taken taken;
	struct journal_block **blocks; /* while it is being built */
	int64_t *times_us;             /* by reading, grouped by sensor */
	double *values;
	uint32_t *origins; /* block << POSITION_BITS | position */
	uint32_t n_readings;
	struct range *ranges; /* still to be sent, the next one last */
	uint32_t n_ranges, ranges_capacity;
	struct message *messages;
	uint32_t n_messages, messages_capacity;
	uint32_t n_done;
};

struct history *history_new(const struct platform_config *platform,
	const struct device_config *device, struct journal *journal, uint32_t journal_device,
	struct sensor_map *map)
{
	struct history *h = xcalloc(1, sizeof(*h));

	h->platform = platform;
	h->device = device;
	h->journal = journal;
	h->journal_device = journal_device;
	h->map = map;
	h->retry_ns = INT64_MAX;
	return h;
}

static void end_window(struct history *h)
{
	taken_flush(&h->taken, h->journal, h->journal_device);
	taken_clear(&h->taken);
	free(h->times_us);
	free(h->values);
	free(h->origins);
	h->times_us = NULL;
	h->values = NULL;
	h->origins = NULL;
	h->n_readings = 0;
	h->n_ranges = 0;
	h->n_messages = 0;
	h->n_done = 0;
}

void history_free(struct history *h)
{
	if (!h) {
		return;
	}
	taken_clear(&h->taken);
	free(h->times_us);
	free(h->values);
	free(h->origins);
	free(h->ranges);
	free(h->messages);
	free(h->topic);
	free(h);
}

void history_start(struct history *h)
{
	end_window(h);
	h->after = 0;
	h->next_look_ns = 0;
	h->is_idle = false;
	h->retry_ns = INT64_MAX;
	h->is_started = true;
	h->is_drained = false;
}

void history_stop(struct history *h)
{
	end_window(h);
	h->is_started = false;
}

/*
 * Fresh blocks are left alone for a while: their newest readings are live's, and what is left of
 * them makes fewer and larger uploads when it is collected.
 */
static int64_t linger_ns(const struct history *h)
{
	return h->platform->live == LIVE_OFF ? h->platform->batch_interval_ns
					     : h->platform->live_window_ns;
}

/* True if the sensor's readings may be sent now; else notes when. */
static bool may_send(struct history *h, uint32_t sensor, int64_t now_ns)
{
	const struct known_sensor *known = sensor_map_at(h->map, sensor);

	if (!known->slug && !known->uuid) {
		return false;
	}
	if (now_ns >= known->refused_until_ns) {
		return true;
	}
	h->retry_ns = MIN(h->retry_ns, known->refused_until_ns);
	return false;
}

/*
 * Calls add() for each reading of the block that is to be sent. Blocks are unpacked twice, once to
 * count and once to fill: cheaper than keeping them unpacked.
 */
static void for_each_reading(struct history *h, uint32_t block_index, struct reading *readings,
	int64_t now_ns,
	void (*add)(
		struct history *h, uint32_t sensor, uint32_t origin, const struct reading *reading))
{
	const struct journal_block *block = h->blocks[block_index];

	if (journal_block_readings(block, readings) < 0) {
		return; /* the journal has checked it, so this does not happen; it would stay there
			 */
	}
	for (uint32_t i = 0; i < block->n; i++) {
		uint32_t sensor;

		if (taken_is_acked(&h->taken, block_index, i)) {
			continue;
		}
		sensor = sensor_map_index(h->map, readings[i].sensor);
		if (may_send(h, sensor, now_ns)) {
			add(h, sensor, block_index << POSITION_BITS | i, &readings[i]);
		}
	}
}

/* ranges[] serves as the counters while a window is built: ranges[sensor].end counts. */
static void count_reading(
	struct history *h, uint32_t sensor, uint32_t origin, const struct reading *reading)
{
	(void)origin;
	(void)reading;
	if (sensor >= h->n_ranges) {
		while (sensor >= h->ranges_capacity) {
			GROW(h->ranges, h->ranges_capacity, h->ranges_capacity);
		}
		memset(&h->ranges[h->n_ranges], 0, (sensor + 1 - h->n_ranges) * sizeof(*h->ranges));
		h->n_ranges = sensor + 1;
	}
	h->ranges[sensor].end++;
	h->n_readings++;
}

static void place_reading(
	struct history *h, uint32_t sensor, uint32_t origin, const struct reading *reading)
{
	uint32_t at = h->ranges[sensor].end++;

	h->times_us[at] = reading_realtime_us(reading);
	h->values[at] = reading->value;
	h->origins[at] = origin;
}

/* Counting sort: by sensor, and within a sensor in the order of the journal. */
static void group_by_sensor(struct history *h, uint32_t n_blocks, int64_t now_ns)
{
	_cleanup_(freep) struct reading *readings = NULL;
	uint32_t largest = 0, start = 0, kept = 0;

	for (uint32_t i = 0; i < n_blocks; i++) {
		(void)taken_add(&h->taken, h->blocks[i]);
		largest = MAX(largest, h->blocks[i]->n);
	}
	readings = xcalloc(largest, sizeof(*readings));
	h->n_ranges = 0;
	h->n_readings = 0;
	for (uint32_t i = 0; i < n_blocks; i++) {
		for_each_reading(h, i, readings, now_ns, count_reading);
	}
	h->times_us = xcalloc(h->n_readings, sizeof(*h->times_us));
	h->values = xcalloc(h->n_readings, sizeof(*h->values));
	h->origins = xcalloc(h->n_readings, sizeof(*h->origins));
	for (uint32_t i = 0; i < h->n_ranges; i++) {
		uint32_t count = h->ranges[i].end;

		h->ranges[i] = (struct range){.sensor = i, .first = start, .end = start};
		start += count;
	}
	for (uint32_t i = 0; i < n_blocks; i++) {
		for_each_reading(h, i, readings, now_ns, place_reading);
	}
	for (uint32_t i = 0; i < h->n_ranges; i++) {
		if (h->ranges[i].end > h->ranges[i].first) {
			h->ranges[kept++] = h->ranges[i];
		}
	}
	h->n_ranges = kept;
}

/*
 * How many of the blocks may be sent: those up to the boundary, once the oldest is ripe or the
 * window full. So leftovers of live are collected for a while, and then go in few and large
 * uploads.
 */
static uint32_t count_ripe(
	struct history *h, uint32_t n, bool is_full, int64_t boundary, int64_t now_ns)
{
	int64_t linger_us = linger_ns(h) / NS_PER_US;
	uint32_t ripe = 0;

	while (ripe < n && h->blocks[ripe]->id <= boundary && h->blocks[ripe]->dated) {
		ripe++;
	}
	if (ripe > 0 && !is_full && h->blocks[0]->this_boot) {
		int64_t age_us = now_boottime_ns() / NS_PER_US - h->blocks[0]->first_us;

		if (age_us < linger_us) {
			h->next_look_ns = now_ns + (linger_us - age_us) * NS_PER_US;
			return 0;
		}
	}
	return ripe;
}

/* Builds the next window. True if there is something in it to send. */
static bool begin_window(struct history *h, int64_t boundary, int64_t now_ns)
{
	int64_t newest = journal_newest_id(h->journal, h->journal_device);
	uint32_t n = 0, readings = 0, ripe;
	int r = 1;

	end_window(h);
	h->next_look_ns = 0;
	h->is_idle = boundary <= h->after;
	if (h->is_idle) {
		h->is_drained = h->retry_ns == INT64_MAX;
		return false;
	}
	h->blocks = xcalloc(WINDOW_BLOCKS, sizeof(struct journal_block *));
	while (r > 0 && n < WINDOW_BLOCKS && readings < WINDOW_READINGS) {
		r = journal_take(h->journal, h->journal_device, n ? h->blocks[n - 1]->id : h->after,
			WINDOW_READINGS - readings, &h->blocks[n], WINDOW_BLOCKS - n);
		for (int i = 0; i < r; i++, n++) {
			readings += h->blocks[n]->n;
		}
	}
	ripe = count_ripe(
		h, n, n == WINDOW_BLOCKS || readings >= WINDOW_READINGS, boundary, now_ns);
	if (ripe > 0) {
		group_by_sensor(h, ripe, now_ns);
		h->after = h->blocks[ripe - 1]->id;
	}
	if (r >= 0 && (n == 0 || h->blocks[0]->id > boundary)) {
		h->after = MAX(h->after, MIN(boundary, newest));
	}
	h->is_idle = ripe == 0 && r >= 0 && h->next_look_ns == 0;
	if (r < 0) {
		h->next_look_ns = now_ns + LOOK_AGAIN_NS; /* the disk may come back */
	}
	h->is_drained = ripe == 0 && r >= 0 && h->retry_ns == INT64_MAX;
	for (uint32_t i = 0; i < n; i++) {
		journal_block_free(h->blocks[i]);
	}
	free(h->blocks);
	h->blocks = NULL;
	return h->n_ranges > 0;
}

/* Fills the payload from the front of the range; returns how many readings went in. */
static uint32_t fill(struct history *h, const struct range *range, size_t limit,
	uint32_t max_readings, struct text *payload)
{
	const struct known_sensor *sensor = sensor_map_at(h->map, range->sensor);
	size_t payload_limit;
	uint32_t n = 0;

	free(h->topic);
	payload->size = 0;
	if (!sensor->uuid) {
		h->topic = payload_topic_single(h->platform->tenant, h->device->uuid, sensor->slug);
		payload_single(payload, h->values[range->first], h->times_us[range->first],
			h->platform->milliseconds, NAN);
		return 1;
	}
	h->topic = payload_topic_history(h->platform->tenant, h->device->uuid, sensor->uuid);
	payload_limit = limit - MIN(limit, strlen(h->topic));
	payload_history_begin(payload);
	while (n < max_readings && range->first + n < range->end &&
		payload_history_add(payload, payload_limit, h->values[range->first + n],
			h->times_us[range->first + n], h->platform->milliseconds)) {
		n++;
	}
	if (n == 0) {
		/* a broker that takes less than one reading: let it say so, then the reading is
		 * counted */
		(void)payload_history_add(payload, SIZE_MAX, h->values[range->first],
			h->times_us[range->first], h->platform->milliseconds);
		n = 1;
	}
	payload_history_end(payload);
	return n;
}

bool history_next(struct history *h, int64_t now_ns, int64_t boundary, size_t limit,
	uint32_t max_readings, struct text *payload, const char **ret_topic, uint32_t *ret_message)
{
	struct range *range;
	uint32_t n;

	if (!h->is_started) {
		return false;
	}
	if (h->n_ranges == 0) {
		if (h->n_done < h->n_messages) {
			return false;
		}
		if (now_ns >= h->retry_ns) {
			history_start(h);
		}
		if (now_ns < h->next_look_ns ||
			journal_backlog(h->journal, h->journal_device) == 0 ||
			!begin_window(h, boundary, now_ns)) {
			return false;
		}
	}
	range = &h->ranges[h->n_ranges - 1];
	n = fill(h, range, limit, MAX(max_readings, 1), payload);
	GROW(h->messages, h->n_messages, h->messages_capacity);
	h->messages[h->n_messages] = (struct message){
		.range = {.sensor = range->sensor, .first = range->first, .end = range->first + n}};
	range->first += n;
	if (range->first == range->end) {
		h->n_ranges--;
	}
	*ret_topic = h->topic;
	*ret_message = h->n_messages++;
	return true;
}

static void ack_range(struct history *h, const struct range *range)
{
	for (uint32_t i = range->first; i < range->end; i++) {
		taken_ack(&h->taken, h->origins[i] >> POSITION_BITS, h->origins[i] & POSITION_MASK);
	}
}

static void push_range(struct history *h, uint32_t sensor, uint32_t first, uint32_t end)
{
	GROW(h->ranges, h->n_ranges, h->ranges_capacity);
	h->ranges[h->n_ranges++] = (struct range){.sensor = sensor, .first = first, .end = end};
}

/* Drops what the window still has of a sensor that was refused: it stays in the journal. */
static void postpone(struct history *h, uint32_t sensor)
{
	struct known_sensor *known = sensor_map_at(h->map, sensor);
	int64_t now = now_monotonic_ns();
	uint32_t kept = 0;

	if (now >= known->refused_until_ns) {
		known->refused_delay_ns = CLAMP(
			2 * known->refused_delay_ns, REFUSED_MIN_NS, REFUSED_MAX_NS);
		known->refused_until_ns = now + known->refused_delay_ns;
	}
	h->retry_ns = MIN(h->retry_ns, known->refused_until_ns);
	for (uint32_t i = 0; i < h->n_ranges; i++) {
		if (h->ranges[i].sensor != sensor) {
			h->ranges[kept++] = h->ranges[i];
		}
	}
	h->n_ranges = kept;
}

uint32_t history_done(struct history *h, uint32_t message, enum history_outcome outcome)
{
	struct message *m = &h->messages[message];
	struct range range = m->range;
	uint32_t n = range.end - range.first;

	if (m->done) {
		return 0;
	}
	m->done = true;
	h->n_done++;
	switch (outcome) {
	case HISTORY_DELIVERED:
		sensor_map_at(h->map, range.sensor)->refused_delay_ns = 0;
		sensor_map_at(h->map, range.sensor)->delivered_ns = now_monotonic_ns();
		ack_range(h, &range);
		break;
	case HISTORY_AGAIN:
		push_range(h, range.sensor, range.first, range.end);
		break;
	case HISTORY_REFUSED:
		postpone(h, range.sensor);
		break;
	case HISTORY_TOO_LARGE:
		if (n > 1) {
			push_range(h, range.sensor, range.first + n / 2, range.end);
			push_range(h, range.sensor, range.first, range.first + n / 2);
		} else {
			ack_range(h, &range);
			journal_count_loss(h->journal, h->journal_device, JOURNAL_LOSS_REFUSED, 1);
		}
		break;
	}
	if (h->n_ranges == 0 && h->n_done == h->n_messages) {
		end_window(h);
		h->next_look_ns = 0;
	}
	return n;
}

int64_t history_delivered_ns(const struct history *h, uint32_t message)
{
	return sensor_map_at(h->map, h->messages[message].range.sensor)->delivered_ns;
}

uint32_t history_message_readings(const struct history *h, uint32_t message)
{
	return h->messages[message].range.end - h->messages[message].range.first;
}

const char *history_sensor_name(const struct history *h, uint32_t message)
{
	const struct known_sensor *sensor = sensor_map_at(
		h->map, h->messages[message].range.sensor);

	return sensor->slug ? sensor->slug : sensor->uuid;
}

void history_flush(struct history *h)
{
	taken_flush(&h->taken, h->journal, h->journal_device);
}

void history_flush_some(struct history *h, int64_t now_ns)
{
	taken_flush_some(&h->taken, h->journal, h->journal_device, now_ns);
}

int64_t history_due_ns(const struct history *h)
{
	if (!h->is_started || history_is_busy(h) ||
		journal_backlog(h->journal, h->journal_device) == 0) {
		return INT64_MAX;
	}
	return h->is_idle ? h->retry_ns : MIN(h->next_look_ns, h->retry_ns);
}

bool history_is_busy(const struct history *h)
{
	return h->n_ranges > 0 || h->n_done < h->n_messages;
}

bool history_has_ready(const struct history *h)
{
	return h->n_ranges > 0;
}

bool history_is_drained(const struct history *h)
{
	return h->is_drained;
}
