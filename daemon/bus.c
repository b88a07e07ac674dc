/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bus_private.h"
#include "log.h"
#include "util.h"

/* A driver call may block 5 s at a time (sensocan-driver.h); this leaves room for a slow resolver.
 */
#define DRIVER_ALLOWANCE_NS (40 * NS_PER_S)
#define REOPEN_MIN_NS       NS_PER_S
#define REOPEN_MAX_NS       (60 * NS_PER_S)
/* Whole rounds without one good value, on a bus all of whose sensors are bad, before it is
 * reopened. */
#define DEAD_ROUNDS_MIN 3u
#define DEAD_ROUNDS_MAX 48u
/* A driver that neither reports nor fails what is due is asked again, but not in a tight loop. */
#define IDLE_CALL_WAIT_MS      10
#define IDLE_CALLS_MAX         100u
#define MISSED_LOG_INTERVAL_NS (3600 * NS_PER_S)
#define TOOL_LOOK_NS           (100 * NS_PER_MS)
/* A turn that never comes: that long after the start of the machine. */
#define NEVER_NS (INT64_MAX / 2)

const char *bus_state_name(enum bus_state state)
{
	switch (state) {
	case BUS_STOPPED:
		return "stopped";
	case BUS_OPENING:
		return "opening";
	case BUS_UP:
		return "up";
	case BUS_DOWN:
		return "down";
	}
	return "unknown";
}

struct bus *bus_new(struct config *config, const struct bus_config *bus_config,
	const struct clock_state *clock, const struct bus_output *output)
{
	struct bus *b = xcalloc(1, sizeof(*b));
	uint32_t n = bus_config->n_sensors;

	b->config = config_ref(config);
	b->bus_config = bus_config;
	b->driver = bus_config->driver;
	b->clock = clock;
	b->output = *output;
	b->stop_fd = event_new();
	b->tool_fd = event_new();
	b->sensors = xcalloc(n, sizeof(*b->sensors));
	b->abi_sensors = xcalloc(n, sizeof(*b->abi_sensors));
	b->due = xcalloc(n, sizeof(*b->due));
	b->dead_rounds_limit = DEAD_ROUNDS_MIN;
	b->status.sensors = n;
	for (uint32_t i = 0; i < n; i++) {
		const struct sensor_config *sensor = bus_config->sensors[i];

		b->sensors[i] = (struct bus_sensor){
			.abi = {.name = sensor->name,
				.options = sensor->options,
				.interval_ns = sensor->interval_ns},
			.index = i,
			.state = {.config = sensor, .value = NAN},
		};
		b->abi_sensors[i] = &b->sensors[i].abi;
	}
	b->abi = (struct scg_bus){
		.host = &bus_host,
		.name = bus_config->name,
		.options = bus_config->options,
		.sensors = b->abi_sensors,
		.n_sensors = n,
		.fd = -1,
	};
	heartbeat_init(&b->heartbeat, DRIVER_ALLOWANCE_NS);
	(void)pthread_mutex_init(&b->lock, NULL); /* cannot fail with default attributes */
	return b;
}

void bus_free(struct bus *b)
{
	if (!b) {
		return;
	}
	schedule_free(b->schedule);
	closep(&b->stop_fd);
	closep(&b->tool_fd);
	(void)pthread_mutex_destroy(&b->lock); /* nobody holds it */
	for (uint32_t i = 0; i < b->abi.n_sensors; i++) {
		sensor_clear(&b->sensors[i].state);
	}
	free(b->sensors);
	free(b->abi_sensors);
	free(b->due);
	config_unref(b->config);
	free(b);
}

const struct bus_config *bus_get_config(const struct bus *b)
{
	return b->bus_config;
}

struct heartbeat *bus_heartbeat(struct bus *b)
{
	return &b->heartbeat;
}

void bus_get_status(struct bus *b, struct bus_status *ret)
{
	pthread_mutex_lock(&b->lock);
	*ret = b->status;
	pthread_mutex_unlock(&b->lock);
}

void bus_for_each_sensor(
	struct bus *b, void (*visit)(void *ctx, const struct bus_sensor_status *status), void *ctx)
{
	pthread_mutex_lock(&b->lock);
	for (uint32_t i = 0; i < b->abi.n_sensors; i++) {
		const struct sensor_state *state = &b->sensors[i].state;
		struct bus_sensor_status status = {
			.sensor = state->config,
			.known = state->known,
			.good = state->good,
			.value = state->value,
			.realtime_us = state->realtime_us,
			.quality = state->quality,
		};

		if (state->known && !state->good) {
			(void)snprintf(status.error, sizeof(status.error), "%s", state->error);
		}
		visit(ctx, &status);
	}
	pthread_mutex_unlock(&b->lock);
}

/* --- the bus thread --- */

static void set_state(struct bus *b, enum bus_state state, const char *error)
{
	pthread_mutex_lock(&b->lock);
	b->status.state = state;
	(void)snprintf(b->status.error, sizeof(b->status.error), "%s", error);
	pthread_mutex_unlock(&b->lock);
}

/* Waits for the descriptor, the stop event, a tool if the bus is up, or the time. True if the
 * descriptor is readable. */
static bool wait_until(struct bus *b, int fd, int64_t until_ns)
{
	struct pollfd fds[] = {
		{.fd = b->stop_fd, .events = POLLIN},
		{.fd = fd, .events = POLLIN},
		{.fd = b->status.state == BUS_UP ? b->tool_fd : -1, .events = POLLIN},
	};
	int64_t left = until_ns - now_monotonic_ns();
	struct timespec limit;

	if (left <= 0 && fd < 0) {
		return false;
	}
	left = MAX(left, 0);
	limit = (struct timespec){.tv_sec = left / NS_PER_S, .tv_nsec = left % NS_PER_S};
	heartbeat_idle(&b->heartbeat);
	if (ppoll(fds, ARRAY_SIZE(fds), until_ns == INT64_MAX ? NULL : &limit, NULL) < 0) {
		fds[1].revents = fds[2].revents = 0; /* EINTR: look again */
	}
	heartbeat_busy(&b->heartbeat);
	if (fds[2].revents) {
		(void)event_take(b->tool_fd); /* the caller looks for the tool anyway */
	}
	return fd >= 0 && fds[1].revents != 0;
}

/* The link alone is not worth a line: an address may take connections and drop them for ever. */
static void announce_up(struct bus *b)
{
	struct log_subject subject = {.message_id = LOG_ID_BUS_UP, .bus = b->abi.name};

	if (!b->is_announced) {
		b->is_announced = true;
		b->down_reason[0] = '\0';
		b->driver_said[0] = '\0';
		log_message(LOG_LEVEL_NOTICE, &subject, "up, %u sensors", b->abi.n_sensors);
	}
}

/* After each driver call: what it reported goes on, what changed is logged, the round is judged. */
static void finish_callback(struct bus *b)
{
	bool round_end = schedule_n_due(b->schedule) == 0;

	if (b->n_batch > 0 || (round_end && b->progress)) {
		bus_flush_batch(b, round_end);
	}
	if (b->progress) {
		pthread_mutex_lock(&b->lock);
		b->status.requests++;
		pthread_mutex_unlock(&b->lock);
	}
	bus_log_changes(b);
	if (!round_end || !b->progress) {
		return;
	}
	if (b->round_good) {
		announce_up(b);
		b->dead_rounds = 0;
		b->dead_rounds_limit = DEAD_ROUNDS_MIN;
		b->reopen_delay_ns = 0;
	} else if (b->driver->poll && b->status.failed_sensors == b->abi.n_sensors) {
		b->dead_rounds++; /* whoever only listens has no rounds */
	}
	b->round_good = false;
}

static void begin_callback(struct bus *b)
{
	b->progress = false;
	b->time_sampled = false;
	heartbeat_busy(&b->heartbeat);
}

static int call_dispatch(struct bus *b)
{
	int r;

	begin_callback(b);
	b->in_dispatch = true;
	r = b->driver->dispatch(&b->abi);
	b->in_dispatch = false;
	finish_callback(b);
	return r;
}

static int call_poll(struct bus *b)
{
	uint32_t n;
	const uint32_t *due = schedule_due(b->schedule, &n);
	int r;

	for (uint32_t i = 0; i < n; i++) {
		b->due[i] = b->abi_sensors[due[i]];
	}
	begin_callback(b);
	r = b->driver->poll(&b->abi, b->due, n);
	finish_callback(b);
	if (r < 0 || b->progress) {
		b->idle_calls = 0;
		return r;
	}
	if (++b->idle_calls >= IDLE_CALLS_MAX) {
		b->idle_calls = 0;
		bus_fail_sensor(
			b, bus_sensor_of(b->due[0]), "the driver has not dealt with this sensor");
		bus_log_changes(b);
	}
	(void)wait_until(b, -1, now_monotonic_ns() + IDLE_CALL_WAIT_MS * NS_PER_MS);
	return 0;
}

/* A purely event-driven bus: a turn is the moment to see whether the sensor has gone silent. */
static void find_stale(struct bus *b)
{
	int64_t now_us = now_boottime_ns() / NS_PER_US;
	char reason[SENSOR_ERROR_MAX], silence[FORMAT_MAX];
	uint32_t n;
	const uint32_t *due = schedule_due(b->schedule, &n);

	for (uint32_t i = 0; i < n; i++) {
		struct bus_sensor *sensor = &b->sensors[due[i]];
		int64_t heard_us = MAX(sensor->state.boottime_us, b->opened_us);
		int64_t stale_us = sensor->state.config->stale_ns / NS_PER_US;

		schedule_done(b->schedule, due[i]);
		heard_us = MAX(heard_us, sensor->failed_us); /* the driver knows better why */
		if (stale_us > 0 && now_us - heard_us > stale_us) {
			(void)snprintf(reason, sizeof(reason), "no value for more than %s",
				format_duration(silence, stale_us * NS_PER_US));
			bus_fail_sensor(b, sensor, reason);
		}
	}
	bus_log_changes(b);
}

static void note_missed(struct bus *b, uint64_t missed)
{
	struct log_subject subject = {.message_id = LOG_ID_TURNS_MISSED, .bus = b->abi.name};
	int64_t now;

	if (missed == 0) {
		return;
	}
	pthread_mutex_lock(&b->lock);
	b->status.missed_turns += missed;
	pthread_mutex_unlock(&b->lock);
	now = now_monotonic_ns();
	if (b->missed_logged_ns == 0 || now - b->missed_logged_ns >= MISSED_LOG_INTERVAL_NS) {
		b->missed_logged_ns = now;
		log_message(LOG_LEVEL_WARNING, &subject,
			"%llu turns skipped: the sensors are due faster than the bus can be read; lengthen "
			"their interval (status counts what is missed)",
			(unsigned long long)missed);
	}
}

static void call_step(struct bus *b)
{
	begin_callback(b);
	bus_tool_step(b);
	finish_callback(b); /* a tool may report what it has read */
}

/* With work left over only look at the descriptor, else wait for it or the next turn. */
static int64_t next_work_ns(struct bus *b)
{
	if (schedule_n_due(b->schedule) > 0 || bus_tool_wants_step(b)) {
		return 0;
	}
	/* a tool whose asker has not yet taken what was said */
	return MIN(schedule_next_ns(b->schedule),
		bus_has_tool(b) ? now_monotonic_ns() + TOOL_LOOK_NS : INT64_MAX);
}

/* Calls the driver until the link is lost (negative errno), all is dead (-ETIMEDOUT) or stop (0).
 */
static int serve(struct bus *b)
{
	while (!atomic_load_explicit(&b->stopping, memory_order_relaxed)) {
		bool due, readable;
		int r = 0;

		note_missed(b, schedule_advance(b->schedule, now_monotonic_ns()));
		due = schedule_n_due(b->schedule) > 0;
		if (due && !b->driver->poll) {
			find_stale(b);
			due = false;
		}
		if (due) {
			r = call_poll(b);
		}
		if (r < 0) {
			return r;
		}
		/* who searches the bus because nothing answers must not be disturbed by that */
		if (b->dead_rounds >= b->dead_rounds_limit && !bus_has_tool(b)) {
			b->dead_rounds = 0;
			b->dead_rounds_limit = MIN(2 * b->dead_rounds_limit, DEAD_ROUNDS_MAX);
			return 1;
		}
		if (bus_has_tool(b)) {
			/* what has come due during the poll goes first */
			note_missed(b, schedule_advance(b->schedule, now_monotonic_ns()));
		}
		if (bus_tool_wants_step(b)) {
			call_step(b);
		}
		readable = wait_until(b, b->driver->dispatch ? b->abi.fd : -1, next_work_ns(b));
		if (readable) {
			r = call_dispatch(b);
		}
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int open_driver(struct bus *b)
{
	int r;

	b->abi.fd = -1;
	b->abi.data = NULL;
	for (uint32_t i = 0; i < b->abi.n_sensors; i++) {
		b->abi_sensors[i]->data = NULL;
	}
	heartbeat_busy(&b->heartbeat);
	r = b->driver->open(&b->abi);
	b->opened_us = now_boottime_ns() / NS_PER_US;
	return MIN(r, 0);
}

static void close_driver(struct bus *b)
{
	heartbeat_busy(&b->heartbeat);
	b->driver->close(&b->abi);
	b->abi.fd = -1;
	b->abi.data = NULL;
}

/* Full jitter, growing: many gateways behind one switch must not all knock at the same moment. */
static int64_t next_delay(struct bus *b)
{
	b->reopen_delay_ns = CLAMP(2 * b->reopen_delay_ns, REOPEN_MIN_NS, REOPEN_MAX_NS);
	return b->reopen_delay_ns / 2 + random_below(b->reopen_delay_ns / 2);
}

static const char *describe_error(int error)
{
	const char *text = strerrordesc_np(-error);

	return text ? text : "unknown error";
}

static void mark_down(struct bus *b, const char *reason)
{
	char text[SENSOR_ERROR_MAX];

	pthread_mutex_lock(&b->lock);
	b->status.errors++;
	pthread_mutex_unlock(&b->lock);
	set_state(b, BUS_DOWN, reason);
	(void)snprintf(text, sizeof(text), "the bus is down: %s", reason);
	bus_fail_all(b, text);
}

/* Says once why the bus is down, and waits before the next try. */
static void stay_down(struct bus *b, int error)
{
	struct log_subject subject = {.message_id = LOG_ID_BUS_DOWN, .bus = b->abi.name};
	const char *reason = describe_error(error);
	bool is_news = strcmp(b->down_reason, reason) != 0;
	int64_t delay = next_delay(b);
	char wait[FORMAT_MAX];

	b->is_announced = false;
	if (is_news) {
		(void)snprintf(b->down_reason, sizeof(b->down_reason), "%s", reason);
		log_message(LOG_LEVEL_WARNING, &subject, "down: %s; next try in %s", reason,
			format_duration(wait, delay));
	}
	mark_down(b, reason);
	bus_tool_fail(b, reason);
	(void)wait_until(b, -1, now_monotonic_ns() + delay);
}

static int64_t first_turn_ns(const struct bus *b)
{
	int64_t shortest = NS_PER_S;

	if (b->tools_only) {
		return NEVER_NS;
	}
	for (uint32_t i = 0; i < b->abi.n_sensors; i++) {
		shortest = MIN(shortest, b->sensors[i].abi.interval_ns);
	}
	/* the golden ratio spreads any number of buses evenly over the shortest interval */
	return now_monotonic_ns() +
	       (int64_t)(fmod(b->bus_config->index * 0.6180339887498949, 1.0) * (double)shortest);
}

static void make_schedule(struct bus *b, int64_t start_ns)
{
	_cleanup_(freep) int64_t *intervals = xcalloc(b->abi.n_sensors, sizeof(*intervals));

	for (uint32_t i = 0; i < b->abi.n_sensors; i++) {
		intervals[i] = b->sensors[i].abi.interval_ns;
	}
	schedule_free(b->schedule);
	b->schedule = schedule_new(intervals, b->abi.n_sensors, start_ns);
}

static void run(void *arg)
{
	struct bus *b = arg;
	bool is_first = true;
	int r;

	make_schedule(b, first_turn_ns(b));
	while (!atomic_load_explicit(&b->stopping, memory_order_relaxed)) {
		r = open_driver(b);
		if (r < 0) {
			is_first = false;
			stay_down(b, r);
			continue;
		}
		set_state(b, BUS_UP, "");
		if (!is_first && !b->tools_only) {
			/* turns that passed while it was down are not missed turns: it was down */
			(void)schedule_advance(b->schedule, now_monotonic_ns());
			schedule_all_due(b->schedule, now_monotonic_ns());
		}
		is_first = false;
		r = serve(b);
		close_driver(b);
		if (r > 0) {
			continue; /* half-open TCP, a hung adapter: opening again is the cure, or
				     the test */
		}
		if (r < 0) {
			stay_down(b, r);
		}
	}
	bus_flush_batch(b, true);
	set_state(b, BUS_STOPPED, "");
	bus_tool_fail(b, "it was stopped, by a signal or a new configuration");
	heartbeat_idle(&b->heartbeat);
}

int bus_start(struct bus *b)
{
	char name[32];

	if (b->stop_fd < 0 || b->tool_fd < 0) {
		return MIN(b->stop_fd, b->tool_fd);
	}
	(void)snprintf(name, sizeof(name), "bus %s", b->abi.name);
	set_state(b, BUS_OPENING, "");
	return thread_start(&b->thread, name, run, b);
}

void bus_set_tools_only(struct bus *b)
{
	b->tools_only = true;
}

void bus_request_stop(struct bus *b)
{
	atomic_store(&b->stopping, true);
	event_set(b->stop_fd);
}

int bus_join(struct bus *b, int64_t deadline_ns)
{
	return thread_join(&b->thread, deadline_ns);
}

int bus_read_once(struct bus *b, int64_t timeout_ns)
{
	int64_t deadline = now_monotonic_ns() + timeout_ns;
	int r;

	make_schedule(b, now_monotonic_ns());
	r = open_driver(b);
	if (r < 0) {
		mark_down(b, describe_error(r));
		return r;
	}
	set_state(b, BUS_UP, "");
	(void)schedule_advance(b->schedule, now_monotonic_ns());
	while (r >= 0 && schedule_n_due(b->schedule) > 0 && now_monotonic_ns() < deadline) {
		if (b->driver->poll) {
			r = call_poll(b);
		}
		if (r >= 0 && b->driver->dispatch &&
			wait_until(b, b->abi.fd, b->driver->poll ? 0 : deadline)) {
			r = call_dispatch(b);
		}
	}
	close_driver(b);
	return r;
}
