/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_LIVE_H
#define SCG_LIVE_H

/*
 * What is fresh: readings younger than live_window, as device batches (the newest of each sensor)
 * or as single messages (each of them). Chooses and writes messages; sends nothing itself. What it
 * does not choose, and what was not acknowledged, stays in the journal and is history's.
 *
 * Works in rounds: takes the new blocks, makes messages of them, and takes more only when each
 * message has been acknowledged or given up. So no reading is ever in two messages. One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "journal.h"
#include "payload.h"
#include "sensor_map.h"

struct live;

/* `map` is shared with the device's history. All arguments must outlive the object. */
struct live *live_new(const struct platform_config *platform, const struct device_config *device,
	struct journal *journal, uint32_t journal_device, struct sensor_map *map);
void live_free(struct live *l);

/* A connection begins: start with what is fresh now. */
void live_start(struct live *l);
/* The connection is gone: what was in flight becomes history. */
void live_stop(struct live *l);

/*
 * The next message. True with *ret_topic (valid until the next call), the payload in `payload`
 * (cleared first), and a number for live_done(). False: nothing to send now. `limit`: bytes of
 * topic and payload.
 */
bool live_next(struct live *l, int64_t now_ns, size_t limit, struct text *payload,
	const char **ret_topic, uint32_t *ret_message);
/* The message was acknowledged (`delivered`), or the broker refused it: then its readings become
   history. Returns how many readings it carried. */
uint32_t live_done(struct live *l, uint32_t message, bool delivered);
/* Readings in a message that is not done. */
uint32_t live_message_readings(const struct live *l, uint32_t message);

/* Blocks up to and including this id are history's. */
int64_t live_boundary(const struct live *l);
/* Monotonic time at which live_next() should be asked again although nothing new is committed;
   INT64_MAX if never. */
int64_t live_due_ns(const struct live *l);
/* True while messages of it are with the broker. */
bool live_is_busy(const struct live *l);
/* No messages before then: the broker refuses live ones. */
void live_pause(struct live *l, int64_t until_ns);

#endif
