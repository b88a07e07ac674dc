/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "log.h"
#include "thread.h"
#include "util.h"

/*
 * A driver played by the test: what it does is told in `script`, what was asked of it is recorded.
 * The bus thread and the test meet under the lock.
 */

#define SENSORS_MAX  8
#define READINGS_MAX 4096
/* What goes through the pipe: the number of a sensor, and whether it failed. */
#define FAIL 0x80
/* ... or how many there are of a thing that is counted. */
#define COUNT 0x40

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* told */
	int open_result, poll_result;
	bool silent[SENSORS_MAX]; /* fail instead of report */
	bool idle;                /* poll() deals with nothing */
	uint32_t a_call;          /* sensors dealt with in one call; 0: all */
	double value;
	int64_t age_ns;      /* of values that dispatch() reports; 0: new */
	bool block;          /* poll() waits until stopping() */
	const char *warning; /* said by each open() */
	/* recorded */
	uint32_t opens, closes, polls;
	bool is_open, misuse;
	uint32_t first_due[READINGS_MAX];
	struct reading readings[READINGS_MAX];
	uint32_t n_readings, rounds;
	int pipe[2];
} play;

static uint32_t index_of(const struct scg_bus *bus, const struct scg_sensor *sensor)
{
	for (uint32_t i = 0; i < bus->n_sensors; i++) {
		if (bus->sensors[i] == sensor) {
			return i;
		}
	}
	abort();
}

static int played_open(struct scg_bus *bus)
{
	int r;

	pthread_mutex_lock(&play.lock);
	play.misuse = play.misuse || play.is_open || bus->data || bus->fd != -1;
	play.opens++;
	r = play.open_result;
	play.is_open = r == 0;
	pthread_cond_broadcast(&play.changed);
	pthread_mutex_unlock(&play.lock);
	if (play.warning) {
		bus->host->log(bus, SCG_LOG_WARNING, "%s", play.warning);
	}
	if (r == 0) {
		bus->data = &play;
		bus->fd = play.pipe[0];
	}
	return r;
}

static int played_poll(struct scg_bus *bus, struct scg_sensor *const *due, uint32_t n_due)
{
	int r;

	pthread_mutex_lock(&play.lock);
	play.misuse = play.misuse || !play.is_open || n_due == 0;
	if (play.polls < READINGS_MAX) {
		play.first_due[play.polls] = index_of(bus, due[0]);
	}
	play.polls++;
	pthread_cond_broadcast(&play.changed);
	while (play.block && !bus->host->stopping(bus)) {
		struct timespec soon;

		(void)clock_gettime(CLOCK_REALTIME, &soon);
		soon.tv_nsec = (soon.tv_nsec + 1000000) % 1000000000;
		(void)pthread_cond_timedwait(&play.changed, &play.lock, &soon);
	}
	r = play.poll_result;
	for (uint32_t i = 0; r == 0 && !play.idle && i < n_due; i++) {
		if (play.a_call && i == play.a_call) {
			break;
		}
		if (play.silent[index_of(bus, due[i])]) {
			(bus->host->fail)(bus, due[i], "no answer"); /* cmocka has a macro fail() */
		} else {
			bus->host->report(bus, due[i], 0, play.value, SCG_GOOD);
		}
	}
	pthread_mutex_unlock(&play.lock);
	return r;
}

static int played_dispatch(struct scg_bus *bus)
{
	unsigned char which;

	if (read(bus->fd, &which, 1) != 1) {
		return -EIO;
	}
	if (which & COUNT) {
		bus->host->count(bus, "frames", which & ~COUNT);
		bus->host->count(bus, "overflow", 0);
		bus->host->count(bus, "No Name", 1);
		bus->host->count(bus, "", 1);
		bus->host->count(bus, "a_name_that_is_longer_than_it_may_be", 1);
	} else if (which & FAIL) {
		(bus->host->fail)(bus, bus->sensors[which & ~FAIL], "no answer");
	} else {
		bus->host->report(bus, bus->sensors[which],
			play.age_ns ? now_realtime_ns() - play.age_ns : 0, which, SCG_UNCERTAIN);
	}
	return 0;
}

static void played_close(struct scg_bus *bus)
{
	(void)bus;
	pthread_mutex_lock(&play.lock);
	play.misuse = play.misuse || !play.is_open;
	play.is_open = false;
	play.closes++;
	pthread_cond_broadcast(&play.changed);
	pthread_mutex_unlock(&play.lock);
}

static const struct scg_driver polled = {.abi = 1,
	.name = "played",
	.open = played_open,
	.poll = played_poll,
	.close = played_close};
static const struct scg_driver event_driven = {.abi = 1,
	.name = "played",
	.open = played_open,
	.dispatch = played_dispatch,
	.close = played_close};

static void take_readings(void *ctx, const struct reading *readings, size_t n, bool round_end)
{
	(void)ctx;
	pthread_mutex_lock(&play.lock);
	for (size_t i = 0; i < n && play.n_readings < READINGS_MAX; i++) {
		play.readings[play.n_readings++] = readings[i];
	}
	play.rounds += round_end;
	pthread_cond_broadcast(&play.changed);
	pthread_mutex_unlock(&play.lock);
}

/* An expression over what the driver recorded, looked at under the lock. */
#define locked(expression)                                                                         \
	({                                                                                         \
		pthread_mutex_lock(&play.lock);                                                    \
		__typeof__(expression) value_ = (expression);                                      \
		pthread_mutex_unlock(&play.lock);                                                  \
		value_;                                                                            \
	})

/* Waits for something to become true; fails the test after ten seconds. */
#define wait_for(condition)                                                                        \
	do {                                                                                       \
		int64_t until_ = now_monotonic_ns() + 10 * NS_PER_S;                               \
		bool met_;                                                                         \
		pthread_mutex_lock(&play.lock);                                                    \
		while (!(met_ = (condition)) && now_monotonic_ns() < until_) {                     \
			struct timespec soon_;                                                     \
			(void)clock_gettime(CLOCK_REALTIME, &soon_);                               \
			soon_.tv_sec += 1;                                                         \
			(void)pthread_cond_timedwait(&play.changed, &play.lock, &soon_);           \
		}                                                                                  \
		pthread_mutex_unlock(&play.lock);                                                  \
		assert_true(met_);                                                                 \
	} while (0)

struct fixture {
	struct config *config;
	struct bus_config bus_config;
	struct device_config device;
	struct sensor_config sensors[SENSORS_MAX];
	struct sensor_config *sensor_list[SENSORS_MAX];
	struct clock_state *clock;
	struct bus *bus;
};

static struct fixture *make(const struct scg_driver *driver, uint32_t n, int64_t interval_ns)
{
	struct bus_output output = {.readings = take_readings};
	struct fixture *f = xcalloc(1, sizeof(*f));

	memset(&play, 0, sizeof(play));
	(void)pthread_mutex_init(&play.lock, NULL);
	(void)pthread_cond_init(&play.changed, NULL);
	assert_int_equal(pipe(play.pipe), 0);
	play.value = 21.5;
	f->config = xcalloc(1, sizeof(*f->config));
	f->config->refs = 2; /* ours, never given up: it was not made by config_load() */
	f->device.name = "boiler";
	for (uint32_t i = 0; i < n; i++) {
		f->sensors[i] = (struct sensor_config){.name = "s",
			.device = &f->device,
			.interval_ns = interval_ns,
			.scale = 1,
			.decimals = -1,
			.min = -INFINITY,
			.max = INFINITY,
			.stale_ns = 20 * NS_PER_MS,
			.journal_id = i};
		f->sensor_list[i] = &f->sensors[i];
	}
	f->bus_config = (struct bus_config){
		.name = "rs485-0", .driver = driver, .sensors = f->sensor_list, .n_sensors = n};
	f->clock = clock_new(CLOCK_TRUST_ALWAYS, 0);
	f->bus = bus_new(f->config, &f->bus_config, f->clock, &output);
	return f;
}

static void finish(struct fixture *f)
{
	bus_request_stop(f->bus);
	assert_int_equal(bus_join(f->bus, now_monotonic_ns() + 5 * NS_PER_S), 0);
	assert_false(play.misuse);
	assert_int_equal(play.opens - play.closes, play.open_result ? play.opens : 0);
	bus_free(f->bus);
	clock_free(f->clock);
	free(f->config);
	free(f);
	(void)close(play.pipe[0]);
	(void)close(play.pipe[1]);
}

static void test_reports_become_readings(void **state)
{
	struct fixture *f = make(&polled, 3, 20 * NS_PER_MS);
	int64_t before = now_boottime_ns() / NS_PER_US;
	struct bus_status status;

	(void)state;
	f->sensors[1].scale = 0.1;
	assert_int_equal(bus_start(f->bus), 0);
	wait_for(play.rounds >= 3);
	pthread_mutex_lock(&play.lock);
	assert_int_equal(play.readings[1].sensor, 1);
	assert_true(play.readings[0].value == 21.5);
	assert_true(play.readings[1].value == 21.5 * 0.1);
	assert_true(play.readings[0].clock_ok);
	assert_true(play.readings[0].boottime_us >= before);
	assert_true(llabs(reading_realtime_us(&play.readings[0]) - now_realtime_ns() / NS_PER_US) <
		    10 * US_PER_S);
	pthread_mutex_unlock(&play.lock);
	bus_get_status(f->bus, &status);
	assert_int_equal(status.state, BUS_UP);
	assert_int_equal(status.failed_sensors, 0);
	assert_true(status.readings >= 9);
	finish(f);
}

static void test_partial_polls_make_one_round(void **state)
{
	struct fixture *f = make(&polled, 6, NS_PER_H);

	(void)state;
	play.a_call = 2;
	assert_int_equal(bus_start(f->bus), 0);
	wait_for(play.rounds >= 1);
	pthread_mutex_lock(&play.lock);
	assert_int_equal(play.polls, 3);
	assert_int_equal(play.n_readings, 6);
	assert_int_equal(play.rounds, 1);
	pthread_mutex_unlock(&play.lock);
	finish(f);
}

static void test_one_bad_sensor_leaves_the_others(void **state)
{
	struct fixture *f = make(&polled, 3, 10 * NS_PER_MS);
	struct bus_status status;

	(void)state;
	play.silent[1] = true;
	assert_int_equal(bus_start(f->bus), 0);
	wait_for(play.rounds >= 10);
	bus_get_status(f->bus, &status);
	assert_int_equal(status.failed_sensors, 1);
	assert_true(status.errors >= 9);
	assert_int_equal(locked(play.opens), 1);
	pthread_mutex_lock(&play.lock);
	for (uint32_t i = 0; i < play.n_readings; i++) {
		assert_int_not_equal(play.readings[i].sensor, 1);
	}
	play.silent[1] = false;
	play.rounds = 0;
	pthread_mutex_unlock(&play.lock);
	wait_for(play.rounds >= 2);
	bus_get_status(f->bus, &status);
	assert_int_equal(status.failed_sensors, 0);
	finish(f);
}

static void test_reopened_when_all_are_silent_for_three_rounds(void **state)
{
	struct fixture *f = make(&polled, 2, 5 * NS_PER_MS);

	(void)state;
	play.silent[0] = play.silent[1] = true;
	assert_int_equal(bus_start(f->bus), 0);
	wait_for(play.opens >= 2);
	assert_true(locked(play.polls) >= 3);
	finish(f);
}

static void test_lost_link_is_opened_again(void **state)
{
	struct fixture *f = make(&polled, 2, 5 * NS_PER_MS);
	struct bus_status status;

	(void)state;
	assert_int_equal(bus_start(f->bus), 0);
	wait_for(play.rounds >= 1);
	pthread_mutex_lock(&play.lock);
	play.poll_result = -ECONNRESET;
	pthread_mutex_unlock(&play.lock);
	wait_for(play.closes >= 1);
	pthread_mutex_lock(&play.lock);
	play.poll_result = 0;
	play.rounds = 0;
	pthread_mutex_unlock(&play.lock);
	wait_for(play.rounds >= 1);
	bus_get_status(f->bus, &status);
	assert_int_equal(status.state, BUS_UP);
	assert_int_equal(status.failed_sensors, 0);
	assert_true(locked(play.opens) >= 2);
	finish(f);
}

static void test_a_bus_that_cannot_be_opened_says_why(void **state)
{
	struct fixture *f = make(&polled, 2, 5 * NS_PER_MS);
	struct bus_status status;

	(void)state;
	play.open_result = -ECONNREFUSED;
	assert_int_equal(bus_start(f->bus), 0);
	wait_for(play.opens >= 1);
	do {
		bus_get_status(f->bus, &status);
	} while (status.state != BUS_DOWN || status.failed_sensors != 2);
	assert_string_equal(status.error, "Connection refused");
	finish(f); /* also: the stop does not wait for the next try */
}

static void test_what_a_driver_says_at_each_try_is_logged_once(void **state)
{
	struct fixture *f = make(&polled, 2, 5 * NS_PER_MS);
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);
	char line[512];
	unsigned n = 0;

	(void)state;
	assert_non_null(file);
	assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
	log_set_max_level(LOG_LEVEL_WARNING);
	play.open_result = -EBUSY;
	play.warning = "the port is another's";
	assert_int_equal(bus_start(f->bus), 0);
	wait_for(play.opens >= 3);
	finish(f);
	log_set_max_level(LOG_LEVEL_ERROR);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	(void)close(saved);
	rewind(file);
	while (fgets(line, sizeof(line), file)) {
		n += strstr(line, "the port is another's") != NULL;
	}
	assert_int_equal(n, 1);
	(void)fclose(file);
}

static void test_a_driver_that_does_nothing_is_no_busy_loop(void **state)
{
	struct fixture *f = make(&polled, 1, NS_PER_H);
	struct bus_status status;

	(void)state;
	play.idle = true;
	assert_int_equal(bus_start(f->bus), 0);
	do {
		bus_get_status(f->bus, &status);
		(void)poll(NULL, 0, 5);
	} while (status.failed_sensors == 0);
	/* asked a hundred times, ten milliseconds apart, then the sensor is bad */
	assert_in_range(locked(play.polls), 100, 101);
	finish(f);
}

static void test_events_are_reported_at_most_once_an_interval(void **state)
{
	struct fixture *f = make(&event_driven, 2, NS_PER_H);
	const unsigned char frames[] = {0, 0, 0, 1, 0};

	(void)state;
	f->sensors[0].stale_ns = f->sensors[1].stale_ns = 0;
	assert_int_equal(bus_start(f->bus), 0);
	assert_int_equal(write(play.pipe[1], frames, sizeof(frames)), sizeof(frames));
	wait_for(play.n_readings >= 2);
	pthread_mutex_lock(&play.lock);
	assert_int_equal(play.n_readings, 2);
	assert_int_equal(play.readings[0].sensor, 0);
	assert_int_equal(play.readings[1].sensor, 1);
	assert_int_equal(play.readings[0].quality, READING_UNCERTAIN);
	pthread_mutex_unlock(&play.lock);
	finish(f);
}

static void send_event(unsigned char which)
{
	assert_int_equal(write(play.pipe[1], &which, 1), 1);
}

static void pass(int64_t until_ns)
{
	while (now_monotonic_ns() < until_ns) {
		(void)poll(NULL, 0, 1);
	}
}

static void test_events_are_taken_by_their_moment(void **state)
{
	struct fixture *f = make(&event_driven, 1, 400 * NS_PER_MS);
	int64_t first_ns;

	(void)state;
	f->sensors[0].stale_ns = 0;
	assert_int_equal(bus_start(f->bus), 0);
	send_event(0);
	wait_for(play.n_readings >= 1);
	first_ns = now_monotonic_ns();
	/* an eighth of the interval too early is near enough; and a value may be older than that */
	play.age_ns = 300 * NS_PER_MS;
	pass(first_ns + 351 * NS_PER_MS);
	send_event(0);
	wait_for(play.n_readings >= 2);
	finish(f);
}

static void test_a_listener_is_not_reopened(void **state)
{
	struct fixture *f = make(&event_driven, 1, NS_PER_H);
	struct bus_status status;

	(void)state;
	assert_int_equal(bus_start(f->bus), 0);
	for (int i = 0; i < 20; i++) {
		send_event(0 | FAIL);
	}
	do {
		bus_get_status(f->bus, &status);
		(void)poll(NULL, 0, 1);
	} while (status.requests < 20);
	assert_int_equal(locked(play.opens), 1);
	assert_int_equal(status.failed_sensors, 1);
	finish(f);
}

static void test_counters_add_up(void **state)
{
	struct fixture *f = make(&event_driven, 1, NS_PER_H);
	struct bus_status status;

	(void)state;
	assert_int_equal(bus_start(f->bus), 0);
	send_event(COUNT | 3);
	send_event(COUNT | 4);
	send_event(0);
	wait_for(play.n_readings >= 1);
	bus_get_status(f->bus, &status);
	assert_int_equal(status.n_counters, 2);
	assert_string_equal(status.counters[0].name, "frames");
	assert_int_equal(status.counters[0].value, 7);
	assert_string_equal(status.counters[1].name, "overflow");
	assert_int_equal(status.counters[1].value, 0);
	finish(f);
}

static void copy_error(void *ctx, const struct bus_sensor_status *status)
{
	(void)snprintf(ctx, 120, "%s", status->error);
}

/* As long as the driver says why there is no value, that is the reason, and not silence. */
static void test_reason_of_an_event_driven_sensor_stays(void **state)
{
	const int64_t stale_ns = 300 * NS_PER_MS;
	struct fixture *f = make(&event_driven, 1, 5 * NS_PER_MS);
	int64_t start_ns, last_ns, gap_ns;
	char error[120];

	(void)state;
	f->sensors[0].stale_ns = stale_ns;
	assert_int_equal(bus_start(f->bus), 0);
	do { /* again, if this machine was busy with something else */
		start_ns = last_ns = now_monotonic_ns();
		gap_ns = 0;
		while (last_ns - start_ns < 2 * stale_ns) {
			send_event(0 | FAIL);
			pass(last_ns + 5 * NS_PER_MS);
			gap_ns = MAX(gap_ns, now_monotonic_ns() - last_ns);
			last_ns = now_monotonic_ns();
		}
		bus_for_each_sensor(f->bus, copy_error, error);
	} while (gap_ns > stale_ns / 3);
	assert_string_equal(error, "no answer");
	finish(f);
}

static void test_silence_of_an_event_driven_sensor_is_found(void **state)
{
	struct fixture *f = make(&event_driven, 2, 10 * NS_PER_MS);
	struct bus_status status;

	(void)state;
	assert_int_equal(bus_start(f->bus), 0);
	do {
		bus_get_status(f->bus, &status);
		(void)poll(NULL, 0, 1);
	} while (status.failed_sensors < 2);
	finish(f);
}

static void test_stop_interrupts_a_long_poll(void **state)
{
	struct fixture *f = make(&polled, 1, 10 * NS_PER_MS);

	(void)state;
	play.block = true;
	assert_int_equal(bus_start(f->bus), 0);
	wait_for(play.polls >= 1);
	finish(f);
}

static void count_good(void *ctx, const struct bus_sensor_status *status)
{
	uint32_t *counts = ctx;

	counts[status->good ? 0 : 1]++;
	if (!status->good) {
		assert_string_equal(status->error, "no answer");
	}
}

static void test_read_once(void **state)
{
	struct fixture *f = make(&polled, 4, NS_PER_S);
	uint32_t counts[2] = {0};

	(void)state;
	play.a_call = 1;
	play.silent[2] = true;
	assert_int_equal(bus_read_once(f->bus, NS_PER_S), 0);
	bus_for_each_sensor(f->bus, count_good, counts);
	assert_int_equal(counts[0], 3);
	assert_int_equal(counts[1], 1);
	assert_int_equal(play.polls, 4);
	finish(f);
}

static int be_quiet(void **state)
{
	(void)state;
	log_open(LOG_LEVEL_ERROR);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reports_become_readings),
		cmocka_unit_test(test_partial_polls_make_one_round),
		cmocka_unit_test(test_one_bad_sensor_leaves_the_others),
		cmocka_unit_test(test_reopened_when_all_are_silent_for_three_rounds),
		cmocka_unit_test(test_lost_link_is_opened_again),
		cmocka_unit_test(test_a_bus_that_cannot_be_opened_says_why),
		cmocka_unit_test(test_what_a_driver_says_at_each_try_is_logged_once),
		cmocka_unit_test(test_a_driver_that_does_nothing_is_no_busy_loop),
		cmocka_unit_test(test_events_are_reported_at_most_once_an_interval),
		cmocka_unit_test(test_events_are_taken_by_their_moment),
		cmocka_unit_test(test_a_listener_is_not_reopened),
		cmocka_unit_test(test_counters_add_up),
		cmocka_unit_test(test_reason_of_an_event_driven_sensor_stays),
		cmocka_unit_test(test_silence_of_an_event_driven_sensor_is_found),
		cmocka_unit_test(test_stop_interrupts_a_long_poll),
		cmocka_unit_test(test_read_once),
	};

	return cmocka_run_group_tests(tests, be_quiet, NULL);
}
