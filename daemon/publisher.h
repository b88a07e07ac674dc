/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_PUBLISHER_H
#define SCG_PUBLISHER_H

/*
 * The publisher of one device: a thread that owns the device's MQTT connection and decides what to
 * send next: fresh readings as live messages first, everything else as history beside them. A
 * reading is acknowledged in the journal when the broker has acknowledged its message, and only
 * then.
 */

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "config.h"
#include "heartbeat.h"
#include "journal.h"

struct publisher;

/* Keeps a reference on `config`. `journal_device` is the device's number in the journal. */
struct publisher *publisher_new(struct config *config, const struct device_config *device,
	struct journal *journal, uint32_t journal_device, const struct clock_state *clock);
int publisher_start(struct publisher *p);
/* Asks the thread to send what is new, wait briefly for acknowledgements, disconnect and end. */
void publisher_request_stop(struct publisher *p);
/* Waits until `deadline_ns` (monotonic). 0, or -ETIMEDOUT: the thread is left behind (a name lookup
   that does not return) and the object must not be freed. */
int publisher_join(struct publisher *p, int64_t deadline_ns);
void publisher_free(struct publisher *p);
const struct device_config *publisher_get_config(const struct publisher *p);
struct heartbeat *publisher_heartbeat(struct publisher *p);
/* The clock became right, or the rules changed: look again. Any thread. */
void publisher_wake(struct publisher *p);

struct publisher_status {
	bool connected;
	int protocol;          /* 5 or 4 (3.1.1); 0 while not connected */
	char last_error[256];  /* "" if there never was one */
	int64_t last_error_us; /* wall time of it */
	uint64_t backlog;      /* readings waiting for delivery */
	uint64_t delivered;    /* readings acknowledged, since start */
	uint64_t messages;     /* acknowledged, since start */
	uint64_t refused;      /* messages that the broker refused, since start */
	uint64_t bytes;        /* payload and topic of acknowledged messages */
	bool catching_up;      /* delivering what an outage has left */
	double history_rate;   /* readings a second of the backlog delivered lately; 0 unknown */
};
void publisher_get_status(struct publisher *p, struct publisher_status *ret);

#endif
