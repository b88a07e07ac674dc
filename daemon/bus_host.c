/* SPDX-License-Identifier: Apache-2.0 */
#include "bus_private.h"

#include <stdio.h>
#include <string.h>

#include "log.h"
#include "tool_job.h"
#include "util.h"

/* A sensor that comes and goes is not worth more than a line a minute. */
#define HEALTH_LOG_INTERVAL_NS (60 * NS_PER_S)
/* A driver that says the same again is believed to have nothing new to say for so long. */
#define DRIVER_LOG_INTERVAL_NS NS_PER_H

/* An event-driven bus is not exactly in time: a report may be early by an eighth of the interval.
 */
#define EARLY_MAX_US (100 * US_PER_MS)

/* No driver holds a value back for longer. */
#define OLDEST_US (60 * US_PER_S)

static struct bus *bus_of(const struct scg_bus *abi)
{
	return container_of(abi, struct bus, abi);
}

struct bus_sensor *bus_sensor_of(const struct scg_sensor *abi)
{
	return container_of(abi, struct bus_sensor, abi);
}

void bus_flush_batch(struct bus *b, bool round_end)
{
	if (b->n_batch > 0 || round_end) {
		b->output.readings(b->output.ctx, b->batch, b->n_batch, round_end);
	}
	b->n_batch = 0;
}

/* Keeps the count of bad sensors and what the log is to say, after a sensor's state may have
 * changed. */
static void note_health(struct bus *b, struct bus_sensor *sensor, bool was_bad)
{
	struct sensor_state *state = &sensor->state;
	int64_t now;

	b->progress = true;
	if (!state->good) {
		b->status.errors++;
	}
	if (was_bad == !state->good) {
		return;
	}
	if (state->good) {
		b->status.failed_sensors--;
		if (state->bad_logged) {
			state->bad_logged = false;
			b->changes.first_good = b->changes.n_good ? b->changes.first_good : sensor;
			b->changes.n_good++;
		}
		return;
	}
	b->status.failed_sensors++;
	now = now_monotonic_ns();
	if (state->bad_logged_ns == 0 || now - state->bad_logged_ns >= HEALTH_LOG_INTERVAL_NS) {
		state->bad_logged = true;
		state->bad_logged_ns = now;
		b->changes.first_bad = b->changes.n_bad ? b->changes.first_bad : sensor;
		b->changes.n_bad++;
	}
}

void bus_log_changes(struct bus *b)
{
	struct health_changes changes = b->changes;
	struct log_subject subject = {.bus = b->abi.name};
	char more[48] = "";

	b->changes = (struct health_changes){0};
	if (changes.n_bad > 0) {
		subject.message_id = LOG_ID_SENSOR_BAD;
		subject.device = changes.first_bad->state.config->device->name;
		subject.sensor = changes.first_bad->abi.name;
		if (changes.n_bad > 1) {
			(void)snprintf(
				more, sizeof(more), " (and %u more sensors)", changes.n_bad - 1);
		}
		/* only this thread writes the text, so it may be read without the lock */
		log_message(LOG_LEVEL_WARNING, &subject, "bad: %s%s",
			changes.first_bad->state.error, more);
	}
	if (changes.n_good > 0) {
		subject.message_id = LOG_ID_SENSOR_GOOD;
		subject.device = changes.first_good->state.config->device->name;
		subject.sensor = changes.first_good->abi.name;
		more[0] = '\0';
		if (changes.n_good > 1) {
			(void)snprintf(
				more, sizeof(more), " (and %u more sensors)", changes.n_good - 1);
		}
		log_message(LOG_LEVEL_NOTICE, &subject, "good again%s", more);
	}
}

/* The clocks, once a callback: what it reports was read within it. */
static void sample_time(struct bus *b)
{
	if (!b->time_sampled) {
		b->time_sampled = true;
		b->clock_offset_us = clock_offset_us();
		b->clock_ok = clock_is_right_at(b->clock, b->clock_offset_us);
		b->now_us = now_boottime_ns() / NS_PER_US;
	}
}

static int64_t boottime_of(struct bus *b, int64_t time_ns)
{
	int64_t boottime_us;

	if (time_ns == 0) {
		return now_boottime_ns() / NS_PER_US;
	}
	boottime_us = time_ns / NS_PER_US - b->clock_offset_us;
	/* stamped before the wall clock was set, or by a clock of the driver's own that is wrong */
	if (boottime_us > b->now_us + US_PER_S || boottime_us < b->now_us - OLDEST_US) {
		boottime_us = b->now_us;
	}
	return boottime_us;
}

/* An event-driven bus may say more than anybody asked for. What counts is when it says so: the
 * values may have been true at any time within the interval. */
static bool is_too_early(const struct bus *b, const struct bus_sensor *sensor)
{
	int64_t interval_us = sensor->abi.interval_ns / NS_PER_US;

	return b->in_dispatch && sensor->state.good &&
	       b->now_us - sensor->accepted_us < interval_us - MIN(interval_us / 8, EARLY_MAX_US);
}

static void host_report(struct scg_bus *abi, struct scg_sensor *abi_sensor, int64_t time_ns,
	double raw, uint32_t quality)
{
	struct bus *b = bus_of(abi);
	struct bus_sensor *sensor = bus_sensor_of(abi_sensor);
	struct sensor_state *state = &sensor->state;
	uint8_t reading_quality = quality == SCG_GOOD ? READING_GOOD : READING_UNCERTAIN;
	enum sensor_verdict verdict;
	int64_t boottime_us;
	double value = 0;
	bool was_bad;

	heartbeat_busy(&b->heartbeat);
	sample_time(b);
	boottime_us = boottime_of(b, time_ns);
	schedule_done(b->schedule, sensor->index);
	if (is_too_early(b, sensor)) {
		b->progress = true;
		return;
	}
	sensor->accepted_us = b->now_us;
	pthread_mutex_lock(&b->lock);
	was_bad = state->known && !state->good;
	verdict = sensor_judge(state, raw, reading_quality, boottime_us, &value);
	if (state->good) {
		b->round_good = true;
		state->realtime_us = boottime_us + b->clock_offset_us;
	}
	b->status.readings += verdict == SENSOR_REPORT;
	b->status.suppressed += verdict == SENSOR_SUPPRESS;
	b->status.out_of_range += verdict == SENSOR_OUT_OF_RANGE;
	note_health(b, sensor, was_bad);
	pthread_mutex_unlock(&b->lock);
	if (verdict != SENSOR_REPORT) {
		return;
	}
	if (b->n_batch == BATCH_MAX) {
		bus_flush_batch(b, false);
	}
	b->batch[b->n_batch++] = (struct reading){
		.sensor = state->config->journal_id,
		.quality = reading_quality,
		.clock_ok = b->clock_ok,
		.boottime_us = boottime_us,
		.offset_us = b->clock_offset_us,
		.value = value,
	};
}

void bus_fail_sensor(struct bus *b, struct bus_sensor *sensor, const char *reason)
{
	bool was_bad;

	schedule_done(b->schedule, sensor->index);
	pthread_mutex_lock(&b->lock);
	was_bad = sensor->state.known && !sensor->state.good;
	sensor_failed(&sensor->state, reason);
	note_health(b, sensor, was_bad);
	pthread_mutex_unlock(&b->lock);
}

void bus_fail_all(struct bus *b, const char *reason)
{
	for (uint32_t i = 0; i < b->abi.n_sensors; i++) {
		bus_fail_sensor(b, &b->sensors[i], reason);
	}
	for (uint32_t i = 0; i < b->abi.n_sensors; i++) {
		b->sensors[i].state.bad_logged = false;
	}
	b->changes = (struct health_changes){0};
}

static void host_fail(struct scg_bus *abi, struct scg_sensor *abi_sensor, const char *reason)
{
	struct bus *b = bus_of(abi);
	struct bus_sensor *sensor = bus_sensor_of(abi_sensor);

	heartbeat_busy(&b->heartbeat);
	sample_time(b);
	sensor->failed_us = b->now_us;
	bus_fail_sensor(b, sensor, reason);
}

/* Outside check(), where config.c is the host, only tools may complain: about their options. */
_printf_(4, 5) static void host_complain(const struct scg_bus *abi, const struct scg_sensor *sensor,
	const char *option, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	bus_tool_complain(bus_of(abi), option, format, args);
	va_end(args);
}

_printf_(3, 4) static void host_tell(
	const struct scg_bus *abi, uint32_t kind, const char *format, ...)
{
	va_list args;

	heartbeat_busy(&bus_of(abi)->heartbeat);
	va_start(args, format);
	bus_tool_tell(bus_of(abi), kind, format, args);
	va_end(args);
}

/* What a driver says at each try to open is news the first time, until the bus has been up. */
static bool is_repeated(struct bus *b, const char *text)
{
	int64_t now = now_monotonic_ns();

	if (strcmp(b->driver_said, text) == 0 && now - b->driver_said_ns < DRIVER_LOG_INTERVAL_NS) {
		return true;
	}
	(void)snprintf(b->driver_said, sizeof(b->driver_said), "%s", text);
	b->driver_said_ns = now;
	return false;
}

_printf_(3, 4) static void host_log(
	const struct scg_bus *abi, uint32_t level, const char *format, ...)
{
	struct log_subject subject = {.bus = abi->name};
	struct bus *b = bus_of(abi);
	char text[sizeof(b->driver_said)];
	va_list args;

	heartbeat_busy(&b->heartbeat);
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	level = CLAMP(level, SCG_LOG_WARNING, SCG_LOG_DEBUG);
	if (level < SCG_LOG_INFO && is_repeated(b, text)) {
		level = SCG_LOG_DEBUG;
	}
	log_message((enum log_level)level, &subject, "%s", text);
}

static int32_t host_stopping(const struct scg_bus *abi)
{
	struct bus *b = bus_of(abi);

	heartbeat_busy(&b->heartbeat);
	return atomic_load_explicit(&b->stopping, memory_order_relaxed) ||
	       (b->in_step && tool_job_must_end(b->tool));
}

static struct bus_counter *find_counter(struct bus_status *status, const char *name)
{
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz_");
	struct bus_counter *counter;

	for (uint32_t i = 0; i < status->n_counters; i++) {
		if (strcmp(status->counters[i].name, name) == 0) {
			return &status->counters[i];
		}
	}
	if (status->n_counters == SCG_COUNTERS_MAX || length == 0 || name[length] ||
		length >= sizeof(counter->name)) {
		return NULL;
	}
	counter = &status->counters[status->n_counters++];
	memcpy(counter->name, name, length + 1);
	return counter;
}

static void host_count(struct scg_bus *abi, const char *name, uint64_t n)
{
	struct bus *b = bus_of(abi);
	struct bus_counter *counter;

	heartbeat_busy(&b->heartbeat);
	pthread_mutex_lock(&b->lock);
	counter = find_counter(&b->status, name);
	if (counter) {
		counter->value += n;
	}
	pthread_mutex_unlock(&b->lock);
}

/* Only from plan(), where plan.c is the host. */
static void ignore_link(const struct scg_bus *abi, const char *link, const char *advice)
{
}

static void ignore_request(const struct scg_bus *abi, const char *what, uint32_t n_sensors,
	int64_t interval_ns, int64_t least_ns, int64_t likely_ns)
{
}

const struct scg_host bus_host = {
	.abi = SCG_ABI_LEVEL,
	.report = host_report,
	.fail = host_fail,
	.complain = host_complain,
	.log = host_log,
	.stopping = host_stopping,
	.plan_link = ignore_link,
	.plan_request = ignore_request,
	.tell = host_tell,
	.count = host_count,
};
