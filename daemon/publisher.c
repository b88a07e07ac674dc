/* SPDX-License-Identifier: Apache-2.0 */
#include "publisher.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "history.h"
#include "live.h"
#include "log.h"
#include "mqtt.h"
#include "payload.h"
#include "sensor_map.h"
#include "thread.h"
#include "util.h"

/* A name lookup may take several of the resolver's time-outs. */
#define THREAD_ALLOWANCE_NS (120 * NS_PER_S)
#define CONNECT_TIMEOUT_NS  (15 * NS_PER_S)

/* More than this in flight brings nothing (docs/performance.md), and is what a hung broker holds.
 */
#define WINDOW_MAX         20u
#define WINDOW_START       2u
#define FLIGHT_BYTES_MAX   (384u * 1024u)
#define SIZE_LIMIT_MIN     256u
#define ACK_TIMEOUT_MIN_NS (60 * NS_PER_S)

#define RETRY_MIN_NS       NS_PER_S
#define RETRY_MAX_NS       (60 * NS_PER_S)
#define RETRY_TLS_MIN_NS   (10 * NS_PER_S)
#define RETRY_TLS_MAX_NS   (120 * NS_PER_S)
#define RETRY_LOGIN_MIN_NS (30 * NS_PER_S)
#define RETRY_LOGIN_MAX_NS (600 * NS_PER_S)
#define STABLE_NS          (30 * NS_PER_S)
/* A fleet that comes back together spreads its replay over this, or a quarter of the outage. */
#define REPLAY_SPREAD_NS    (30 * NS_PER_S)
#define PAUSE_MIN_NS        (5 * NS_PER_S)
#define PAUSE_MAX_NS        (300 * NS_PER_S)
#define REFUSED_LIVE_MIN_NS (60 * NS_PER_S)
#define REFUSED_LIVE_MAX_NS NS_PER_H
#define LOG_AGAIN_NS        NS_PER_H
/* A reading alone in its message is given up after it has ended that many connections. */
#define KILLS_TO_SET_ASIDE    3u
#define KILLS_WITHOUT_WITNESS 8u
#define CEILING_NS            NS_PER_H
#define STOP_GRACE_NS         (1500 * NS_PER_MS)
#define BACKLOG_WORTH_A_LINE  1000u
#define RATE_INTERVAL_NS      (5 * NS_PER_S)

/* MQTT 5 reason codes (MQTT 5.0, 2.4). */
#define REASON_UNSPECIFIED      128
#define REASON_NOT_AUTHORISED   135
#define REASON_PACKET_TOO_LARGE 149
#define REASON_QUOTA_EXCEEDED   151

/* A message that is with the broker. */
struct flight {
	int mid; /* -1: being handed over */
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
	size_t size;    /* of the suspect; 0: none */
	uint32_t kills; /* connections that ended with it in flight */
	bool witness;   /* another message got through since: it is not the link */
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

/* --- acknowledgements --- */

static void remember_error(struct publisher *p, const char *text)
{
	pthread_mutex_lock(&p->lock);
	(void)snprintf(p->status.last_error, sizeof(p->status.last_error), "%s", text);
	p->status.last_error_us = now_realtime_ns() / NS_PER_US;
	pthread_mutex_unlock(&p->lock);
}

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
	remember_error(p, line);
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
			p->size_limit = MAX(p->size_limit / 2, 4096);
		}
	} else if (p->window < WINDOW_MAX && p->suspicion.kills == 0) {
		p->window++;
	}
	if (p->suspicion.size > 0 && flight->size >= p->suspicion.size / 4 * 3) {
		p->suspicion = (struct suspicion){0};
	} else {
		p->suspicion.witness = true;
	}
	/* what was too large stays the ceiling for this connection, below it sizes recover */
	if (p->suspicion.kills == 0 && latency < p->platform->keepalive_ns / 8) {
		p->size_limit = MIN(
			p->size_limit + p->size_limit / 16, p->platform->max_message_size);
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

static void handle_too_large(struct publisher *p, const struct flight *flight)
{
	uint32_t set_aside = 0;

	lower_limit(p, flight->size);
	if (flight->is_live) {
		(void)live_done(p->live, flight->message, false);
		return;
	}
	if (flight->n == 1) {
		log_set_aside(p, history_sensor_name(p->history, flight->message),
			"the broker takes no message of this size, however small");
	}
	(void)history_done(p->history, flight->message, HISTORY_TOO_LARGE, &set_aside);
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
		handle_too_large(p, flight);
	} else if (reason == REASON_QUOTA_EXCEEDED) {
		p->pause_ns = CLAMP(2 * p->pause_ns, PAUSE_MIN_NS, PAUSE_MAX_NS);
		p->paused_until_ns = now + p->pause_ns / 2 + random_below(p->pause_ns / 2);
		log_refusal(p, reason, text, what, "nothing is lost, sending pauses");
		if (flight->is_live) {
			(void)live_done(p->live, flight->message, false);
		} else {
			(void)history_done(p->history, flight->message, HISTORY_AGAIN, NULL);
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
		(void)history_done(p->history, flight->message, HISTORY_REFUSED, NULL);
	}
}

static void on_acknowledged(void *ctx, int mid, int reason, const char *text)
{
	struct publisher *p = ctx;
	int64_t now = now_monotonic_ns();
	struct flight flight;
	uint32_t i = 0;

	heartbeat_busy(&p->heartbeat);
	while (i < p->n_flights && p->flights[i].mid != mid && p->flights[i].mid != -1) {
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
		(void)history_done(p->history, flight.message, HISTORY_DELIVERED, NULL);
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
	int mid = -1, r;

	*flight = (struct flight){
		.mid = -1,
		.is_live = is_live,
		.message = message,
		.n = is_live ? live_message_readings(p->live, message)
			     : history_message_readings(p->history, message),
		.size = strlen(topic) + p->payload.size,
		.sent_ns = now,
	};
	p->n_flights++;
	p->flight_bytes += flight->size;
	r = mqtt_publish(p->mqtt, topic, p->payload.data, p->payload.size, p->platform->qos, &mid);
	if (r == 0) {
		/* with QoS 0 it may be acknowledged, and gone from the list, by now */
		for (uint32_t i = 0; i < p->n_flights; i++) {
			if (p->flights[i].mid == -1) {
				p->flights[i].mid = mid;
			}
		}
		return 0;
	}
	p->n_flights--;
	p->flight_bytes -= flight->size;
	if (r == -EMSGSIZE) {
		handle_too_large(p, flight);
		return 0;
	}
	if (r != -ENOTCONN) {
		handle_refusal(p, flight, REASON_UNSPECIFIED, strerrordesc_np(-r), now);
		return 0;
	}
	/* the connection has just broken: mqtt_process() says why, and all is history then */
	return r;
}

static bool may_send_history(struct publisher *p, int64_t now)
{
	uint32_t window = p->window > 2 ? p->window - 1
					: p->window; /* one place is kept for live */

	return p->n_flights < window && now >= p->replay_ns && now >= p->tokens_ns &&
	       !atomic_load_explicit(&p->stopping, memory_order_relaxed);
}

static void pay_tokens(struct publisher *p, int64_t now)
{
	int64_t rate = p->platform->history_rate;

	if (rate > 0) {
		p->tokens_ns = MAX(p->tokens_ns, now) +
			       (int64_t)((double)p->payload.size * (double)NS_PER_S / (double)rate);
	}
}

static bool may_send(struct publisher *p, int64_t now)
{
	return mqtt_state(p->mqtt) == MQTT_CONNECTED && clock_is_right(p->clock) &&
	       now >= p->paused_until_ns && mqtt_is_flushed(p->mqtt) &&
	       p->n_flights < MIN(MIN(p->window, WINDOW_MAX), mqtt_receive_maximum(p->mqtt)) &&
	       (p->n_flights == 0 || p->flight_bytes < FLIGHT_BYTES_MAX);
}

/* Sends what may be sent now: live first. */
static void pump(struct publisher *p)
{
	for (;;) {
		int64_t now = now_monotonic_ns();
		uint32_t message;
		const char *topic;
		int r;

		if (!may_send(p, now)) {
			return;
		}
		heartbeat_busy(&p->heartbeat);
		if (live_next(p->live, now, message_limit(p), &p->payload, &topic, &message)) {
			r = send_message(p, true, topic, message, now);
		} else if (may_send_history(p, now) &&
			   history_next(p->history, now, live_boundary(p->live), message_limit(p),
				   p->platform->history_max_readings, &p->payload, &topic,
				   &message)) {
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

static void note_drained(struct publisher *p)
{
	struct log_subject subject = {.message_id = LOG_ID_BACKLOG_DONE, .device = p->device->name};

	if (p->is_catching_up && history_is_drained(p->history)) {
		p->is_catching_up = false;
		log_message(LOG_LEVEL_NOTICE, &subject, "backlog delivered, %llu readings",
			(unsigned long long)p->caught_up);
	}
}

/* --- the connection --- */

static void note_connected(struct publisher *p)
{
	struct log_subject subject = {.message_id = LOG_ID_CONNECTED, .device = p->device->name};
	uint64_t backlog = journal_backlog(p->journal, p->journal_device);
	int64_t now = now_monotonic_ns();
	int64_t outage = p->disconnected_ns ? now - p->disconnected_ns : 0;

	p->connected_ns = now;
	p->replay_ns = now + random_below(MIN(outage / 4, REPLAY_SPREAD_NS));
	p->window = p->suspicion.kills > 0 ? 1 : WINDOW_START;
	p->tokens_ns = now;
	p->is_catching_up = backlog >= BACKLOG_WORTH_A_LINE;
	p->caught_up = 0;
	p->rate_count = 0;
	p->rate_since_ns = now;
	p->logged_failure[0] = '\0';
	pthread_mutex_lock(&p->lock);
	p->status.connected = true;
	p->status.protocol = mqtt_protocol_version(p->mqtt);
	pthread_mutex_unlock(&p->lock);
	log_message(LOG_LEVEL_NOTICE, &subject,
		"connected to %s:%u (MQTT %s%s), %llu readings waiting", p->platform->host,
		p->platform->port, mqtt_protocol_version(p->mqtt) == 5 ? "5" : "3.1.1",
		p->platform->tls ? ", TLS" : "", (unsigned long long)backlog);
	if (p->platform->qos == 1 && mqtt_protocol_version(p->mqtt) != 5) {
		log_message(LOG_LEVEL_INFO, &subject,
			"MQTT 3.1.1 acknowledges also what the broker throws away; MQTT 5 would tell");
	}
	live_start(p->live);
	history_start(p->history);
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
		p->suspicion.witness = false;
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
		p->suspicion.kills >=
			(p->suspicion.witness ? KILLS_TO_SET_ASIDE : KILLS_WITHOUT_WITNESS)) {
		log_set_aside(p, history_sensor_name(p->history, largest->message),
			"the broker closes the connection whenever it gets it");
		(void)history_done(p->history, largest->message, HISTORY_TOO_LARGE, NULL);
		p->suspicion = (struct suspicion){0};
	}
}

static int64_t choose_delay(struct publisher *p, enum mqtt_failure_kind kind)
{
	int64_t least = RETRY_MIN_NS, most = RETRY_MAX_NS;

	switch (kind) {
	case MQTT_FAILURE_PROTOCOL:
		return 0;
	case MQTT_FAILURE_LOGIN:
	case MQTT_FAILURE_TAKEN_OVER:
	case MQTT_FAILURE_CONFIG:
		least = RETRY_LOGIN_MIN_NS;
		most = RETRY_LOGIN_MAX_NS;
		break;
	case MQTT_FAILURE_TLS:
		least = RETRY_TLS_MIN_NS;
		most = RETRY_TLS_MAX_NS;
		break;
	case MQTT_FAILURE_NONE:
	case MQTT_FAILURE_NETWORK:
	case MQTT_FAILURE_BUSY:
	case MQTT_FAILURE_TOO_LARGE:
	case MQTT_FAILURE_CLOSED:
	case MQTT_FAILURE_KEEPALIVE:
		break;
	}
	p->retry_delay_ns = CLAMP(2 * p->retry_delay_ns, least, most);
	return p->retry_delay_ns / 2 + random_below(p->retry_delay_ns / 2);
}

static const char *failure_advice(enum mqtt_failure_kind kind)
{
	switch (kind) {
	case MQTT_FAILURE_LOGIN:
		return "; check that the access token (username) is copied exactly from Device Details, "
		       "that the device is Enabled and that the tenant account is active";
	case MQTT_FAILURE_TAKEN_OVER:
		return "; another client logs in with this device's UUID: is there a copy of this gateway?";
	case MQTT_FAILURE_TLS:
		return "; check platform.host, platform.tls.ca_file and the clock of this machine";
	default:
		return "";
	}
}

static void log_failure(
	struct publisher *p, const struct mqtt_failure *failure, int64_t delay, bool was_connected)
{
	struct log_subject subject = {.message_id = failure->kind == MQTT_FAILURE_LOGIN
							    ? LOG_ID_LOGIN_REFUSED
							    : LOG_ID_DISCONNECTED,
		.device = p->device->name};
	char wait[FORMAT_MAX];

	remember_error(p, failure->text);
	if (!was_connected && strcmp(p->logged_failure, failure->text) == 0) {
		return; /* nothing has changed since the last try */
	}
	(void)snprintf(p->logged_failure, sizeof(p->logged_failure), "%s", failure->text);
	log_message(failure->kind == MQTT_FAILURE_PROTOCOL ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
		&subject, "%s: %s%s; next try in %s, readings are kept in the journal",
		was_connected ? "disconnected" : "cannot connect", failure->text,
		failure_advice(failure->kind), format_duration(wait, delay));
}

/* The connection is over: whatever was in flight goes back, and the next try is planned. */
static int64_t note_closed(struct publisher *p, bool was_connected)
{
	const struct mqtt_failure *failure = mqtt_failure(p->mqtt);
	int64_t now = now_monotonic_ns(), delay;

	if (was_connected) {
		suspect(p, failure->kind);
		p->disconnected_ns = now;
		if (now - p->connected_ns >= STABLE_NS) {
			p->retry_delay_ns = 0;
		}
	}
	live_stop(p->live);
	history_stop(p->history);
	p->n_flights = 0;
	p->flight_bytes = 0;
	pthread_mutex_lock(&p->lock);
	p->status.connected = false;
	p->status.protocol = 0;
	p->status.history_rate = 0;
	pthread_mutex_unlock(&p->lock);
	if (atomic_load(&p->stopping)) {
		return 0;
	}
	delay = choose_delay(p, failure->kind);
	log_failure(p, failure, delay, was_connected);
	return delay;
}

static int64_t ack_deadline(const struct publisher *p)
{
	int64_t deadline = INT64_MAX;
	int64_t patience = MAX(2 * p->platform->keepalive_ns, ACK_TIMEOUT_MIN_NS);

	for (uint32_t i = 0; i < p->n_flights; i++) {
		deadline = MIN(deadline, p->flights[i].sent_ns + patience);
	}
	return deadline;
}

/* When the thread has to look again without any event. */
static int64_t next_due(struct publisher *p, int64_t now)
{
	int64_t due = ack_deadline(p), next;
	int timeout = mqtt_timeout_ms(p->mqtt);

	if (timeout >= 0) {
		due = MIN(due, now + timeout * NS_PER_MS);
	}
	if (mqtt_state(p->mqtt) == MQTT_CONNECTED && clock_is_right(p->clock) &&
		p->n_flights < p->window) {
		next = live_due_ns(p->live);
		if (!atomic_load_explicit(&p->stopping, memory_order_relaxed)) {
			int64_t history = history_due_ns(p->history);

			if (history_has_ready(p->history)) {
				history = MAX(p->replay_ns, p->tokens_ns);
			} else if (history != INT64_MAX) {
				history = MAX(history, MAX(p->replay_ns, p->tokens_ns));
			}
			next = MIN(next, history);
		}
		due = MIN(due, next == INT64_MAX ? next : MAX(next, p->paused_until_ns));
	}
	if (p->stop_deadline_ns > 0) {
		due = MIN(due, p->stop_deadline_ns);
	}
	return due;
}

static void wait_for_events(struct publisher *p)
{
	bool listen = mqtt_state(p->mqtt) == MQTT_CONNECTED && clock_is_right(p->clock);
	struct pollfd fds[] = {
		{.fd = p->control_fd, .events = POLLIN},
		{.fd = mqtt_fd(p->mqtt), .events = mqtt_poll_events(p->mqtt)},
		{.fd = listen ? p->wake_fd : -1, .events = POLLIN},
	};
	int64_t now = now_monotonic_ns();
	int64_t due = next_due(p, now);
	struct timespec limit = {0};

	if (due > now && due != INT64_MAX) {
		limit.tv_sec = (due - now) / NS_PER_S;
		limit.tv_nsec = (due - now) % NS_PER_S;
	}
	heartbeat_idle(&p->heartbeat);
	if (ppoll(fds, ARRAY_SIZE(fds), due == INT64_MAX ? NULL : &limit, NULL) < 0) {
		fds[1].revents = 0; /* EINTR: look again */
	}
	heartbeat_busy(&p->heartbeat);
	(void)event_take(p->control_fd);
	if (listen && fds[2].revents) {
		(void)event_take(p->wake_fd);
	}
	(void)mqtt_process(p->mqtt, fds[1].revents);
}

/* True when a stop was asked for and there is nothing left worth waiting for. */
static bool is_finished(struct publisher *p)
{
	int64_t now = now_monotonic_ns();

	if (!atomic_load(&p->stopping)) {
		return false;
	}
	if (p->stop_deadline_ns == 0) {
		p->stop_deadline_ns = now + STOP_GRACE_NS;
	}
	return now >= p->stop_deadline_ns || mqtt_state(p->mqtt) != MQTT_CONNECTED ||
	       (p->n_flights == 0 && live_due_ns(p->live) > now);
}

/* One connection from the attempt to its end. Returns how long to wait before the next. */
static int64_t serve(struct publisher *p)
{
	bool was_connected = false;

	heartbeat_busy(&p->heartbeat);
	if (mqtt_connect(p->mqtt) < 0) {
		return note_closed(p, false);
	}
	while (mqtt_state(p->mqtt) != MQTT_CLOSED && !is_finished(p)) {
		wait_for_events(p);
		if (mqtt_state(p->mqtt) == MQTT_CONNECTED && !was_connected) {
			was_connected = true;
			note_connected(p);
		}
		pump(p);
		if (p->n_flights == 0) {
			history_flush(p->history);
		} else {
			history_flush_some(p->history, now_monotonic_ns());
		}
		note_drained(p);
		if (now_monotonic_ns() >= ack_deadline(p)) {
			mqtt_abort(p->mqtt, "no acknowledgement for too long");
		}
	}
	if (mqtt_state(p->mqtt) == MQTT_CONNECTED) {
		mqtt_disconnect(p->mqtt);
	}
	return note_closed(p, was_connected);
}

/* Waits for the next try; cut short by a stop, and by a clock that was set when that may be the
 * cure. */
static void wait_for_retry(struct publisher *p, int64_t delay)
{
	int64_t until = now_monotonic_ns() + delay;
	struct pollfd fd = {.fd = p->control_fd, .events = POLLIN};

	heartbeat_idle(&p->heartbeat);
	while (!atomic_load(&p->stopping)) {
		int64_t left = until - now_monotonic_ns();

		if (left <= 0 || (atomic_exchange(&p->look_again, false) &&
					 mqtt_failure(p->mqtt)->kind == MQTT_FAILURE_TLS)) {
			break;
		}
		(void)poll(
			&fd, 1, (int)MIN(left / NS_PER_MS + 1, INT32_MAX)); /* any result: look */
		(void)event_take(p->control_fd);
	}
	heartbeat_busy(&p->heartbeat);
}

static void run(void *arg)
{
	struct publisher *p = arg;

	while (!atomic_load(&p->stopping)) {
		wait_for_retry(p, serve(p));
	}
	heartbeat_idle(&p->heartbeat);
}

static struct mqtt *make_mqtt(struct publisher *p)
{
	const struct platform_config *platform = p->platform;
	struct mqtt_callbacks callbacks = {.acknowledged = on_acknowledged, .ctx = p};
	struct mqtt_options options = {
		.host = platform->host,
		.port = platform->port,
		.client_id = p->device->uuid,
		.username = p->device->username,
		.password = p->device->password,
		.keepalive_s = (int)(platform->keepalive_ns / NS_PER_S),
		.tls = platform->tls,
		.ca_file = platform->ca_file,
		.cert_file = platform->cert_file,
		.key_file = platform->key_file,
		.connect_timeout_ns = CONNECT_TIMEOUT_NS,
	};

	switch (platform->protocol) {
	case PROTOCOL_AUTO:
		options.protocol = MQTT_PROTOCOL_AUTO;
		break;
	case PROTOCOL_5:
		options.protocol = MQTT_PROTOCOL_5;
		break;
	case PROTOCOL_311:
		options.protocol = MQTT_PROTOCOL_311;
		break;
	}
	return mqtt_new(&options, &callbacks);
}

struct publisher *publisher_new(struct config *config, const struct device_config *device,
	struct journal *journal, uint32_t journal_device, const struct clock_state *clock)
{
	struct publisher *p = xcalloc(1, sizeof(*p));

	p->config = config_ref(config);
	p->platform = &config->platform;
	p->device = device;
	p->journal = journal;
	p->journal_device = journal_device;
	p->clock = clock;
	p->wake_fd = event_new();
	p->control_fd = event_new();
	p->size_limit = config->platform.max_message_size;
	p->size_ceiling = p->size_limit;
	p->window = WINDOW_START;
	p->map = sensor_map_new(journal);
	p->live = live_new(p->platform, device, journal, journal_device, p->map);
	p->history = history_new(p->platform, device, journal, journal_device, p->map);
	p->mqtt = make_mqtt(p);
	heartbeat_init(&p->heartbeat, THREAD_ALLOWANCE_NS);
	(void)pthread_mutex_init(&p->lock, NULL); /* cannot fail with default attributes */
	return p;
}

void publisher_free(struct publisher *p)
{
	if (!p) {
		return;
	}
	journal_subscribe(p->journal, p->journal_device, -1);
	mqtt_free(p->mqtt);
	live_free(p->live);
	history_free(p->history);
	sensor_map_free(p->map);
	text_clear(&p->payload);
	closep(&p->wake_fd);
	closep(&p->control_fd);
	(void)pthread_mutex_destroy(&p->lock); /* nobody holds it */
	config_unref(p->config);
	free(p);
}

int publisher_start(struct publisher *p)
{
	char name[32];

	if (p->wake_fd < 0 || p->control_fd < 0) {
		return -EMFILE;
	}
	journal_subscribe(p->journal, p->journal_device, p->wake_fd);
	(void)snprintf(name, sizeof(name), "pub %s", p->device->name);
	return thread_start(&p->thread, name, run, p);
}

void publisher_request_stop(struct publisher *p)
{
	atomic_store(&p->stopping, true);
	event_set(p->control_fd);
}

int publisher_join(struct publisher *p, int64_t deadline_ns)
{
	return thread_join(&p->thread, deadline_ns);
}

const struct device_config *publisher_get_config(const struct publisher *p)
{
	return p->device;
}

struct heartbeat *publisher_heartbeat(struct publisher *p)
{
	return &p->heartbeat;
}

void publisher_wake(struct publisher *p)
{
	atomic_store(&p->look_again, true);
	event_set(p->control_fd);
}

void publisher_get_status(struct publisher *p, struct publisher_status *ret)
{
	pthread_mutex_lock(&p->lock);
	*ret = p->status;
	pthread_mutex_unlock(&p->lock);
	ret->catching_up = atomic_load_explicit(&p->is_catching_up, memory_order_relaxed);
	ret->backlog = journal_backlog(p->journal, p->journal_device);
}
