/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_PAYLOAD_H
#define SCG_PAYLOAD_H

/*
 * Readings to topics and JSON, exactly as the platform's MQTT contract writes them
 * (docs/platform-contract.md). Pure functions over memory: no I/O, no state, any thread.
 *
 * A JSON writer of our own, because the replay of a backlog is spent here: a general library is
 * two thirds of its cost. Numbers are the shortest text that reads back as the same double.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util.h"

/* Text that grows. Zeroed is empty; free with text_clear(). Not NUL-terminated. */
struct text {
	char *data;
	size_t size, capacity;
};
void text_clear(struct text *t);
void text_reserve(struct text *t, size_t more);
void text_append(struct text *t, const char *s);

/* Shortest number that reads back as `value`, without exponent from 1e-5 up to 1e15. `value` must
   be finite. Returns the length; writes no NUL. */
#define PAYLOAD_NUMBER_MAX 32
size_t payload_number(char buf[PAYLOAD_NUMBER_MAX], double value);

/* Topics, NUL-terminated, to be freed by the caller. `sensor` is a slug or a UUID. */
char *payload_topic_batch(const char *tenant, const char *device_uuid);
char *payload_topic_single(const char *tenant, const char *device_uuid, const char *sensor);
char *payload_topic_history(const char *tenant, const char *device_uuid, const char *sensor_uuid);

/*
 * Device batch: begin, add one entry a sensor, end. `slug` or `uuid` names the sensor (slug if
 * both). add() returns false, with nothing changed, if the message with its closing would be larger
 * than `limit` bytes. `battery` is NAN if there is none.
 */
void payload_batch_begin(struct text *t);
bool payload_batch_add(
	struct text *t, size_t limit, const char *slug, const char *uuid, double value);
void payload_batch_end(struct text *t, double battery);
/* Bytes that payload_batch_end() may add at most. */
#define PAYLOAD_BATCH_END_MAX 64

/* Single reading. `realtime_us` of INT64_MIN: without a timestamp. `battery` is NAN: none. */
void payload_single(
	struct text *t, double value, int64_t realtime_us, bool milliseconds, double battery);
/* No single message is larger than this. */
#define PAYLOAD_SINGLE_MAX 160

/* Bulk upload of one sensor: begin, add in order of time, end. add() as above. */
void payload_history_begin(struct text *t);
bool payload_history_add(
	struct text *t, size_t limit, double value, int64_t realtime_us, bool milliseconds);
void payload_history_end(struct text *t);
/* No entry of a bulk upload is larger than this, its comma included. */
#define PAYLOAD_HISTORY_ENTRY_MAX 88

#endif
