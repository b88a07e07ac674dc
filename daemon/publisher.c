/* SPDX-License-Identifier: Apache-2.0 */
#include "publisher.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "publisher_private.h"
#include "util.h"

/* A name lookup may take several of the resolver's time-outs. */
#define THREAD_ALLOWANCE_NS (120 * NS_PER_S)
#define CONNECT_TIMEOUT_NS  (15 * NS_PER_S)
#define RETRY_MIN_NS        NS_PER_S
#define RETRY_MAX_NS        (60 * NS_PER_S)
#define RETRY_TLS_MIN_NS    (10 * NS_PER_S)
#define RETRY_TLS_MAX_NS    (120 * NS_PER_S)
#define RETRY_LOGIN_MIN_NS  (30 * NS_PER_S)
#define RETRY_LOGIN_MAX_NS  (600 * NS_PER_S)
/* Halving the largest message allowed down to one reading takes less. */
#define HUNT_KILLS 24u
#define STABLE_NS  (30 * NS_PER_S)
/* A fleet that comes back together spreads its replay over this, or a quarter of the outage. */
#define REPLAY_SPREAD_NS     (30 * NS_PER_S)
#define STOP_GRACE_NS        (1500 * NS_PER_MS)
#define BACKLOG_WORTH_A_LINE 1000u

void publisher_remember_error(struct publisher *p, const char *text)
{
	pthread_mutex_lock(&p->lock);
	(void)snprintf(p->status.last_error, sizeof(p->status.last_error), "%s", text);
	p->status.last_error_us = now_realtime_ns() / NS_PER_US;
	pthread_mutex_unlock(&p->lock);
}

static void note_drained(struct publisher *p)
{
	struct log_subject subject = {.message_id = LOG_ID_BACKLOG_DONE, .device = p->device->name};

	if (!p->is_catching_up || !history_is_drained(p->history)) {
		return;
	}
	p->is_catching_up = false;
	if (p->caught_up > 0) {
		log_message(LOG_LEVEL_NOTICE, &subject, "backlog delivered, %llu readings",
			(unsigned long long)p->caught_up);
	}
}

/* Looking for the message that ends connections: what comes of it is logged, each try is not. */
static bool is_hunting(const struct publisher *p)
{
	return p->suspicion.kills > 1;
}

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
	log_message(is_hunting(p) ? LOG_LEVEL_DEBUG : LOG_LEVEL_NOTICE, &subject,
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
	if (kind == MQTT_FAILURE_CLOSED && p->suspicion.kills > 0 &&
		p->suspicion.kills < HUNT_KILLS) {
		/* each try is on a smaller message: the hunt for the one that is too large is no
		 * outage */
		p->retry_delay_ns = least;
	} else {
		p->retry_delay_ns = CLAMP(2 * p->retry_delay_ns, least, most);
	}
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

static enum log_level failure_level(const struct publisher *p, enum mqtt_failure_kind kind)
{
	if (is_hunting(p)) {
		return LOG_LEVEL_DEBUG;
	}
	return kind == MQTT_FAILURE_PROTOCOL ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING;
}

static void log_failure(
	struct publisher *p, const struct mqtt_failure *failure, int64_t delay, bool was_connected)
{
	struct log_subject subject = {.message_id = failure->kind == MQTT_FAILURE_LOGIN
							    ? LOG_ID_LOGIN_REFUSED
							    : LOG_ID_DISCONNECTED,
		.device = p->device->name};
	char wait[FORMAT_MAX];

	publisher_remember_error(p, failure->text);
	if (!was_connected && strcmp(p->logged_failure, failure->text) == 0) {
		return; /* nothing has changed since the last try */
	}
	(void)snprintf(p->logged_failure, sizeof(p->logged_failure), "%s", failure->text);
	log_message(failure_level(p, failure->kind), &subject,
		"%s: %s%s; next try in %s, readings are kept in the journal",
		was_connected ? "disconnected" : "cannot connect", failure->text,
		failure_advice(failure->kind), format_duration(wait, delay));
}

/* The connection is over: whatever was in flight goes back, and the next try is planned. */
static int64_t note_closed(struct publisher *p, bool was_connected)
{
	const struct mqtt_failure *failure = mqtt_failure(p->mqtt);
	int64_t now = now_monotonic_ns(), delay;

	if (was_connected) {
		p->disconnected_ns = now;
		if (now - p->connected_ns >= STABLE_NS) {
			p->retry_delay_ns = 0;
		}
	}
	publisher_end_flights(p, failure->kind);
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

static int64_t history_due(const struct publisher *p)
{
	int64_t due = history_has_ready(p->history) ? 0 : history_due_ns(p->history);

	return due == INT64_MAX ? due : MAX(due, MAX(p->replay_ns, p->tokens_ns));
}

/* When the thread has to look again without any event. */
static int64_t next_due(struct publisher *p, int64_t now)
{
	int64_t due = publisher_ack_deadline(p), next;
	int timeout = mqtt_timeout_ms(p->mqtt);

	if (timeout >= 0) {
		due = MIN(due, now + timeout * NS_PER_MS);
	}
	if (publisher_has_room(p)) {
		next = live_due_ns(p->live);
		if (publisher_has_history_room(p)) {
			next = MIN(next, history_due(p));
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
	if (fds[0].revents) {
		(void)event_take(p->control_fd);
	}
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
		publisher_pump(p);
		if (p->n_flights == 0) {
			history_flush(p->history);
		} else {
			history_flush_some(p->history, now_monotonic_ns());
		}
		note_drained(p);
		if (now_monotonic_ns() >= publisher_ack_deadline(p)) {
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
	struct mqtt_callbacks callbacks = {.acknowledged = publisher_acknowledged, .ctx = p};
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
	int r;

	if (p->wake_fd < 0 || p->control_fd < 0) {
		return -EMFILE;
	}
	journal_subscribe(p->journal, p->journal_device, p->wake_fd);
	(void)snprintf(name, sizeof(name), "pub %s", p->device->name);
	r = thread_start(&p->thread, name, run, p);
	if (r < 0) {
		journal_subscribe(p->journal, p->journal_device, -1);
	}
	return r;
}

void publisher_request_stop(struct publisher *p)
{
	/* here, not at its end: by then its successor may be listening */
	journal_subscribe(p->journal, p->journal_device, -1);
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
