/* SPDX-License-Identifier: Apache-2.0 */
#include "publisher_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "util.h"

/* What a hung broker can make us hold. */
#define FLIGHT_BYTES_MAX    (384u * 1024u)
#define SIZE_LIMIT_MIN      256u
#define ACK_TIMEOUT_MIN_NS  (60 * NS_PER_S)
#define PAUSE_MIN_NS        (5 * NS_PER_S)
#define PAUSE_MAX_NS        (300 * NS_PER_S)
#define REFUSED_LIVE_MIN_NS (60 * NS_PER_S)
#define REFUSED_LIVE_MAX_NS NS_PER_H
#define LOG_AGAIN_NS        NS_PER_H
/* A reading alone in its message is judged after it has ended that many connections. */
#define KILLS_TO_SET_ASIDE 3u
/* How long a size that was too large is not tried again. */
#define CEILING_NS       NS_PER_H
#define RATE_INTERVAL_NS (5 * NS_PER_S)

/* MQTT 5 reason codes (MQTT 5.0, 2.4). */
#define REASON_UNSPECIFIED      128
#define REASON_NOT_AUTHORISED   135
#define REASON_PACKET_TOO_LARGE 149
#define REASON_QUOTA_EXCEEDED   151

/* What the person who reads the log should look at, in the platform's own words. */
static const char *refusal_advice(int reason)
{
	switch (reason) {
	case REASON_NOT_AUTHORISED:
		return "check that tenant and device UUID are those of Device Details, that the device is "
		       "Enabled and that the tenant account is active";
	case REASON_QUOTA_EXCEEDED:
		return "the platform's quota for this device or tenant is used up";
	case REASON_PACKET_TOO_LARGE:
		return "lower platform.max_message_size or platform.history.max_readings";
	default:
		return "look at the device's Live Logs on the platform for rejected messages";
	}
}

static void log_refusal(struct publisher *p, int reason, const char *text, const char *what,
	const char *consequence)
{
	struct log_subject subject = {
		.message_id = LOG_ID_MESSAGE_REFUSED, .device = p->device->name};
	int64_t now = now_monotonic_ns();
	char line[256];

	(void)snprintf(line, sizeof(line), "%s refused: %s", what, text);
	publisher_remember_error(p, line);
	if (p->refusal_logged_ns != 0 && now - p->refusal_logged_ns < LOG_AGAIN_NS) {
		return;
	}
	p->refusal_logged_ns = now;
	log_message(LOG_LEVEL_WARNING, &subject, "the broker refuses the %s: %s; %s; %s", what,
		text, consequence, refusal_advice(reason));
}

static void log_set_aside(struct publisher *p, const char *sensor, const char *why)
{
	struct log_subject subject = {
		.message_id = LOG_ID_READINGS_LOST, .device = p->device->name, .sensor = sensor};

	log_message(LOG_LEVEL_ERROR, &subject,
		"one reading set aside for good and counted as lost (refused): %s", why);
}

/* A message got through: the window opens, the suspicion falls. */
static void note_success(struct publisher *p, const struct flight *flight, int64_t now)
{
	int64_t latency = now - flight->sent_ns;

	if (latency > p->platform->keepalive_ns / 4) {
		p->window = MAX(p->window / 2, 1);
		if (p->window == 1) {
			p->size_limit = MIN(p->size_limit, MAX(p->size_limit / 2, 4096));
		}
	} else if (p->window < WINDOW_MAX && p->suspicion.kills == 0) {
		p->window++;
	}
	if (p->suspicion.size > 0 &&
		flight->size >= MIN(p->suspicion.size, p->size_limit) / 4 * 3) {
		p->suspicion = (struct suspicion){0};
	}
	if (now >= p->ceiling_until_ns) {
		p->size_ceiling = p->platform->max_message_size;
	}
	if (p->suspicion.kills == 0 && latency < p->platform->keepalive_ns / 8) {
		p->size_limit = MIN(p->size_limit + p->size_limit / 16, p->size_ceiling);
	}
	p->pause_ns = 0;
}

static void count_delivered(struct publisher *p, const struct flight *flight, int64_t now)
{
	pthread_mutex_lock(&p->lock);
	p->status.delivered += flight->n;
	p->status.messages++;
	p->status.bytes += flight->size;
	if (!flight->is_live) {
		p->caught_up += flight->n;
		p->rate_count += flight->n;
		if (now - p->rate_since_ns >= RATE_INTERVAL_NS) {
			p->status.history_rate = (double)p->rate_count * (double)NS_PER_S /
						 (double)(now - p->rate_since_ns);
			p->rate_count = 0;
			p->rate_since_ns = now;
		}
	}
	pthread_mutex_unlock(&p->lock);
}

/* A message of that size was too large for the broker: stay well below it for a while. */
static void lower_limit(struct publisher *p, size_t size)
{
	p->size_limit = MAX(MIN(size, p->size_limit) / 2, SIZE_LIMIT_MIN);
	p->size_ceiling = p->size_limit;
	p->ceiling_until_ns = now_monotonic_ns() + CEILING_NS;
}

/* `is_sure`: the broker said so of this very message, rather than of its limits. */
static void handle_too_large(struct publisher *p, const struct flight *flight, bool is_sure)
{
	lower_limit(p, flight->size);
	if (flight->is_live) {
		(void)live_done(p->live, flight->message, false);
		return;
	}
	if (flight->n == 1 && !is_sure) {
		/* no reading fits: that is the broker's setting, and a reason to wait, not to lose
		 */
		(void)history_done(p->history, flight->message, HISTORY_REFUSED);
		return;
	}
	if (flight->n == 1) {
		log_set_aside(p, history_sensor_name(p->history, flight->message),
			"the broker says that it is too large, alone in its message");
	}
	(void)history_done(p->history, flight->message, HISTORY_TOO_LARGE);
}

static void handle_refusal(
	struct publisher *p, const struct flight *flight, int reason, const char *text, int64_t now)
{
	const char *what = flight->is_live ? "live message" : "bulk upload";

	pthread_mutex_lock(&p->lock);
	p->status.refused++;
	pthread_mutex_unlock(&p->lock);
	if (reason == REASON_PACKET_TOO_LARGE) {
		log_refusal(p, reason, text, what, "smaller ones are tried");
		handle_too_large(p, flight, true);
	} else if (reason == REASON_QUOTA_EXCEEDED) {
		p->pause_ns = CLAMP(2 * p->pause_ns, PAUSE_MIN_NS, PAUSE_MAX_NS);
		p->paused_until_ns = now + p->pause_ns / 2 + random_below(p->pause_ns / 2);
		log_refusal(p, reason, text, what, "nothing is lost, sending pauses");
		if (flight->is_live) {
			(void)live_done(p->live, flight->message, false);
		} else {
			(void)history_done(p->history, flight->message, HISTORY_AGAIN);
		}
	} else if (flight->is_live) {
		p->refused_live_ns = CLAMP(
			2 * p->refused_live_ns, REFUSED_LIVE_MIN_NS, REFUSED_LIVE_MAX_NS);
		log_refusal(p, reason, text, what, "its readings stay in the journal as history");
		(void)live_done(p->live, flight->message, false);
		live_pause(p->live, now + p->refused_live_ns);
	} else {
		log_refusal(p, reason, text, what,
			"the sensor's readings stay in the journal and are tried again later");
		(void)history_done(p->history, flight->message, HISTORY_REFUSED);
	}
}

void publisher_acknowledged(void *ctx, int mid, int reason, const char *text)
{
	struct publisher *p = ctx;
	int64_t now = now_monotonic_ns();
	struct flight flight;
	uint32_t i = 0;

	heartbeat_busy(&p->heartbeat);
	while (i < p->n_flights && p->flights[i].mid != mid) {
		i++;
	}
	if (i == p->n_flights) {
		return; /* an acknowledgement of nothing we sent */
	}
	flight = p->flights[i];
	p->flight_bytes -= flight.size;
	p->flights[i] = p->flights[--p->n_flights];
	if (reason >= 128) {
		handle_refusal(p, &flight, reason, text, now);
		return;
	}
	note_success(p, &flight, now);
	count_delivered(p, &flight, now);
	if (flight.is_live) {
		p->refused_live_ns = 0;
		(void)live_done(p->live, flight.message, true);
	} else {
		(void)history_done(p->history, flight.message, HISTORY_DELIVERED);
	}
}

/* --- sending --- */

static size_t message_limit(const struct publisher *p)
{
	size_t limit = MIN(p->size_limit, p->platform->max_message_size);

	return MIN(limit, mqtt_max_message_size(p->mqtt));
}

/* 0, or a negative errno if nothing more can be sent now. */
static int send_message(
	struct publisher *p, bool is_live, const char *topic, uint32_t message, int64_t now)
{
	struct flight *flight = &p->flights[p->n_flights];
	int r;

	*flight = (struct flight){
		.is_live = is_live,
		.message = message,
		.n = is_live ? live_message_readings(p->live, message)
			     : history_message_readings(p->history, message),
		.size = strlen(topic) + p->payload.size,
		.sent_ns = now,
	};
	r = mqtt_publish(
		p->mqtt, topic, p->payload.data, p->payload.size, p->platform->qos, &flight->mid);
	if (r == 0) {
		p->n_flights++;
		p->flight_bytes += flight->size;
		return 0;
	}
	if (r == -EMSGSIZE) {
		handle_too_large(p, flight, false);
		return 0;
	}
	if (r != -ENOTCONN) {
		handle_refusal(p, flight, REASON_UNSPECIFIED, strerrordesc_np(-r), now);
		return 0;
	}
	/* the connection has just broken: mqtt_process() says why, and all is history then */
	return r;
}

bool publisher_has_room(const struct publisher *p)
{
	return mqtt_state(p->mqtt) == MQTT_CONNECTED && clock_is_right(p->clock) &&
	       mqtt_is_flushed(p->mqtt) &&
	       p->n_flights < MIN(MIN(p->window, WINDOW_MAX), mqtt_receive_maximum(p->mqtt)) &&
	       (p->n_flights == 0 || p->flight_bytes < FLIGHT_BYTES_MAX);
}

bool publisher_has_history_room(const struct publisher *p)
{
	/* one place is kept for live */
	uint32_t window = p->window > 2 ? p->window - 1 : p->window;

	return p->n_flights < window && !atomic_load_explicit(&p->stopping, memory_order_relaxed);
}

static bool may_send_history(const struct publisher *p, int64_t now)
{
	return publisher_has_history_room(p) && now >= p->replay_ns && now >= p->tokens_ns;
}

static void pay_tokens(struct publisher *p, int64_t now)
{
	int64_t rate = p->platform->history_rate;

	if (rate > 0) {
		p->tokens_ns = MAX(p->tokens_ns, now) +
			       (int64_t)((double)p->payload.size * (double)NS_PER_S / (double)rate);
	}
}

/* At the smallest size a message holds one reading, so that the one at fault stands alone. */
static uint32_t readings_limit(const struct publisher *p)
{
	return p->size_limit <= SIZE_LIMIT_MIN ? 1 : p->platform->history_max_readings;
}

/* Sends what may be sent now: live first. */
void publisher_pump(struct publisher *p)
{
	for (;;) {
		int64_t now = now_monotonic_ns();
		uint32_t message;
		const char *topic;
		int r;

		if (now < p->paused_until_ns || !publisher_has_room(p)) {
			return;
		}
		heartbeat_busy(&p->heartbeat);
		if (live_next(p->live, now, message_limit(p), &p->payload, &topic, &message)) {
			r = send_message(p, true, topic, message, now);
		} else if (may_send_history(p, now) &&
			   history_next(p->history, now, live_boundary(p->live), message_limit(p),
				   readings_limit(p), &p->payload, &topic, &message)) {
			pay_tokens(p, now);
			r = send_message(p, false, topic, message, now);
		} else {
			return;
		}
		if (r < 0) {
			return;
		}
	}
}

/*
 * A reading alone in flight has ended the connection again and again. If others of its sensor got
 * through meanwhile, then it is the reading, and it goes. If none did, it may be the topic: then
 * the sensor waits, and the others go on.
 */
static void judge_reading(struct publisher *p, const struct flight *flight)
{
	const char *sensor = history_sensor_name(p->history, flight->message);

	if (history_delivered_ns(p->history, flight->message) > p->suspicion.since_ns) {
		log_set_aside(p, sensor, "the broker closes the connection whenever it gets it");
		(void)history_done(p->history, flight->message, HISTORY_TOO_LARGE);
	} else {
		log_refusal(p, REASON_UNSPECIFIED, "it closes the connection", "bulk upload",
			"the sensor's readings stay in the journal and are tried again later");
		(void)history_done(p->history, flight->message, HISTORY_REFUSED);
	}
	p->suspicion = (struct suspicion){0};
}

/* The largest message in flight when the broker closed the connection is the suspect. */
static void suspect(struct publisher *p, enum mqtt_failure_kind kind)
{
	struct flight *largest = NULL;
	bool is_sure = kind == MQTT_FAILURE_TOO_LARGE;

	if (kind != MQTT_FAILURE_CLOSED && kind != MQTT_FAILURE_TOO_LARGE) {
		return;
	}
	for (uint32_t i = 0; i < p->n_flights; i++) {
		if (!largest || p->flights[i].size > largest->size) {
			largest = &p->flights[i];
		}
	}
	if (!largest) {
		return;
	}
	if (p->suspicion.size == 0) {
		p->suspicion.since_ns = now_monotonic_ns();
	}
	p->suspicion.size = p->suspicion.size ? MIN(p->suspicion.size, largest->size)
					      : largest->size;
	p->suspicion.kills++;
	if (p->suspicion.kills < 2 && !is_sure) {
		return; /* connections end for many reasons */
	}
	lower_limit(p, largest->size);
	if (largest->is_live && p->suspicion.kills >= KILLS_TO_SET_ASIDE) {
		/* some brokers close the connection on a topic that is not allowed: let history try
		 */
		p->refused_live_ns = CLAMP(
			2 * p->refused_live_ns, REFUSED_LIVE_MIN_NS, REFUSED_LIVE_MAX_NS);
		live_pause(p->live, now_monotonic_ns() + p->refused_live_ns);
	}
	if (p->n_flights == 1 && largest->n == 1 && !largest->is_live &&
		p->suspicion.kills >= KILLS_TO_SET_ASIDE) {
		judge_reading(p, largest);
	}
}

void publisher_end_flights(struct publisher *p, enum mqtt_failure_kind kind)
{
	suspect(p, kind);
	live_stop(p->live);
	history_stop(p->history);
	p->n_flights = 0;
	p->flight_bytes = 0;
}

int64_t publisher_ack_deadline(const struct publisher *p)
{
	int64_t deadline = INT64_MAX;
	int64_t patience = MAX(2 * p->platform->keepalive_ns, ACK_TIMEOUT_MIN_NS);

	for (uint32_t i = 0; i < p->n_flights; i++) {
		deadline = MIN(deadline, p->flights[i].sent_ns + patience);
	}
	return deadline;
}
