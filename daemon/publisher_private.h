/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_PUBLISHER_PRIVATE_H
#define SCG_PUBLISHER_PRIVATE_H

/*
 * What publisher.c (life of a connection) and publisher_send.c (what is in flight on it, and what
 * the broker says to that) share. For nobody else. All of it belongs to the publisher's thread, but
 * for what the lock guards.
 */

#include <pthread.h>

#include "history.h"
#include "live.h"
#include "mqtt.h"
#include "payload.h"
#include "publisher.h"
#include "sensor_map.h"
#include "thread.h"

#define WINDOW_MAX   20u
#define WINDOW_START 2u

/* A message that is with the broker. */
struct flight {
	int mid;
	bool is_live;
	uint32_t message; /* number in live or history */
	uint32_t n;       /* readings */
	size_t size;
	int64_t sent_ns;
};

/*
 * A broker may close the connection on a message it cannot take, and MQTT 3.1.1 has no way to say
 * which. The largest message in flight when connections end is the suspect, until one of its size
 * gets through.
 */
struct suspicion {
	size_t size;      /* of the suspect; 0: none */
	uint32_t kills;   /* connections that ended with it in flight */
	int64_t since_ns; /* when it began, monotonic */
};

struct publisher {
	struct config *config;
	const struct platform_config *platform;
	const struct device_config *device;
	struct journal *journal;
	uint32_t journal_device;
	const struct clock_state *clock;
	struct thread thread;
	struct heartbeat heartbeat;
	int wake_fd;    /* something new in the journal */
	int control_fd; /* stop, or look again */
	_Atomic bool stopping;
	_Atomic bool look_again;

	/* the thread's own */
	struct mqtt *mqtt;
	struct sensor_map *map;
	struct live *live;
	struct history *history;
	struct text payload;
	struct flight flights[WINDOW_MAX];
	uint32_t n_flights;
	size_t flight_bytes;
	uint32_t window;     /* messages that may be in flight now */
	size_t size_limit;   /* of a message, adapted; see also size_ceiling */
	size_t size_ceiling; /* size_limit recovers up to here: more was too large lately */
	int64_t ceiling_until_ns;
	struct suspicion suspicion;
	int64_t connected_ns, disconnected_ns; /* monotonic; 0: never */
	int64_t retry_delay_ns;
	int64_t replay_ns;       /* history not before */
	int64_t paused_until_ns; /* quota: nothing before */
	int64_t pause_ns;
	int64_t refused_live_ns;
	int64_t refusal_logged_ns;
	int64_t tokens_ns; /* history.rate: time up to which bytes are paid for */
	int64_t stop_deadline_ns;
	char logged_failure[256];
	_Atomic bool is_catching_up;
	uint64_t caught_up, rate_count;
	int64_t rate_since_ns;

	pthread_mutex_t lock; /* guards: status */
	struct publisher_status status;
};

void publisher_remember_error(struct publisher *p, const char *text);
/* mqtt_callbacks.acknowledged. */
void publisher_acknowledged(void *ctx, int mid, int reason, const char *text);
/* A message could go out now, and one of history, if there is one and it is time. What these wait
   for comes as an event. */
bool publisher_has_room(const struct publisher *p);
bool publisher_has_history_room(const struct publisher *p);
/* Sends what may be sent now: live first. */
void publisher_pump(struct publisher *p);
/* The connection has ended: finds what in flight may have been the cause, and forgets the flights.
 */
void publisher_end_flights(struct publisher *p, enum mqtt_failure_kind kind);
/* Monotonic time by which an acknowledgement is overdue; INT64_MAX if none is awaited. */
int64_t publisher_ack_deadline(const struct publisher *p);

#endif
