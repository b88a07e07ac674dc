/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_HISTORY_H
#define SCG_HISTORY_H

/*
 * The backlog: everything in the journal that is not live, oldest first, each reading with its
 * timestamp: as bulk uploads of one sensor each, or one by one for a sensor that has no UUID.
 * Chooses and writes messages; sends nothing itself.
 *
 * Bulk uploads are per sensor, the journal is in order of time. So a window of blocks is taken in
 * order and grouped by sensor in memory: no index on flash, and a bounded amount of memory whatever
 * the backlog. One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "journal.h"
#include "payload.h"
#include "sensor_map.h"

struct history;

/* `map` is shared with the device's live. All arguments must outlive the object. */
struct history *history_new(const struct platform_config *platform,
	const struct device_config *device, struct journal *journal, uint32_t journal_device,
	struct sensor_map *map);
void history_free(struct history *h);

/* A connection begins, or what was refused is to be tried again: start from the oldest. */
void history_start(struct history *h);
/* The connection is gone: what was in flight will be sent again. */
void history_stop(struct history *h);

/*
 * The next message, as live_next(). `boundary`: blocks with a greater id are not to be touched.
 * `limit`: bytes of topic and payload; `max_readings`: in one message.
 */
bool history_next(struct history *h, int64_t now_ns, int64_t boundary, size_t limit,
	uint32_t max_readings, struct text *payload, const char **ret_topic, uint32_t *ret_message);

enum history_outcome {
	HISTORY_DELIVERED,
	HISTORY_AGAIN,     /* not taken now, through no fault of the message: send it again */
	HISTORY_REFUSED,   /* keep; leave this sensor alone for a growing while */
	HISTORY_TOO_LARGE, /* send again in two halves; a single reading is lost, and counted */
};
/* What became of the message. Returns how many readings it carried. */
uint32_t history_done(struct history *h, uint32_t message, enum history_outcome outcome);
/* The sensor of a message that is not done, for the log. */
const char *history_sensor_name(const struct history *h, uint32_t message);
/* Monotonic time at which a message of the same sensor was last delivered; 0: never. */
int64_t history_delivered_ns(const struct history *h, uint32_t message);
uint32_t history_message_readings(const struct history *h, uint32_t message);
void history_flush(struct history *h);
/* The same if it is worth it by now. */
void history_flush_some(struct history *h, int64_t now_ns);

/* Monotonic time at which history_next() should be asked again although nothing new is committed;
   INT64_MAX if never. */
int64_t history_due_ns(const struct history *h);
/* Messages of the window are with the broker or still to be sent. */
bool history_is_busy(const struct history *h);
/* There is a message that could be sent now. */
bool history_has_ready(const struct history *h);
/* True if the last look found nothing that could be sent. */
bool history_is_drained(const struct history *h);

#endif
