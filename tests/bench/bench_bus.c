/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's own scheduler and driver on one bus, without what comes after: no journal, no
 * broker. So a field bus can be measured alone.
 *
 * Use: bench_bus CONFIG DRIVERS SECONDS INTERVAL READINGS. CONFIG has one bus. INTERVAL, unless it
 * is 0, takes the place of all intervals: `check` would refuse some that are wanted here. READINGS
 * is a file to write: for each reading the sensor's number in the configuration, from 0, and when
 * it was taken, CLOCK_MONOTONIC in nanoseconds; then a line "turns NANOSECONDS", the first turn of
 * all sensors. Prints one line of JSON.
 */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bus.h"
#include "driver.h"
#include "log.h"
#include "util.h"

#define STOP_NS (10 * NS_PER_S)

struct taken {
	uint32_t sensor;
	int64_t time_ns;
};

/* Written by the bus's thread; read when that has ended. */
static struct taken *readings;
static size_t n_readings, capacity;

static void take(void *ctx, const struct reading *list, size_t n, bool round_end)
{
	int64_t now_ns = now_monotonic_ns();
	int64_t offset_ns = now_boottime_ns() - now_ns;

	(void)ctx;
	(void)round_end;
	for (size_t i = 0; i < n; i++) {
		GROW(readings, n_readings, capacity);
		readings[n_readings++] = (struct taken){
			list[i].sensor, list[i].boottime_us * NS_PER_US - offset_ns};
	}
}

static struct config *load(const char *file, int64_t interval_ns)
{
	struct problems problems;
	struct config *config;

	problems_init(&problems, file);
	config = config_load(file, &problems);
	for (size_t i = 0; i < problems.n; i++) {
		_cleanup_(freep) char *text = problems_format(&problems, i);

		if (!problems.list[i].is_warning) {
			fprintf(stderr, "%s\n", text);
		}
	}
	problems_clear(&problems);
	for (uint32_t i = 0; config && i < config->n_sensors; i++) {
		config->sensors[i]->journal_id = i;
		if (interval_ns > 0) {
			config->sensors[i]->interval_ns = interval_ns;
		}
	}
	return config;
}

static void wait_for(int64_t ns)
{
	const struct timespec until = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};

	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static int save(const char *file, int64_t begin_ns)
{
	FILE *out = fopen(file, "we");

	if (!out) {
		return -1;
	}
	for (size_t i = 0; i < n_readings; i++) {
		(void)fprintf(out, "%u %" PRId64 "\n", readings[i].sensor, readings[i].time_ns);
	}
	(void)fprintf(out, "turns %" PRId64 "\n", begin_ns);
	return fclose(out);
}

static int run(struct config *config, int64_t duration_ns, const char *file)
{
	struct clock_state *clock = clock_new(CLOCK_TRUST_ALWAYS, 0);
	struct bus *bus = bus_new(
		config, config->buses[0], clock, &(struct bus_output){.readings = take});
	struct bus_status status;
	int64_t begin_ns = now_monotonic_ns(); /* the first bus begins at once */

	if (bus_start(bus) < 0) {
		return 1;
	}
	wait_for(begin_ns + duration_ns);
	bus_get_status(bus, &status);
	bus_request_stop(bus);
	if (bus_join(bus, now_monotonic_ns() + STOP_NS) < 0) {
		return 1;
	}
	printf("{\"state\":\"%s\",\"begin_ns\":%" PRId64 ",\"calls\":%" PRIu64
	       ",\"errors\":%" PRIu64 ",\"readings\":%" PRIu64 ",\"missed\":%" PRIu64
	       ",\"failed\":%u}\n",
		bus_state_name(status.state), begin_ns, status.requests, status.errors,
		status.readings, status.missed_turns, status.failed_sensors);
	bus_free(bus);
	clock_free(clock);
	return save(file, begin_ns) < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	const struct sched_param priority = {.sched_priority = 5};
	_cleanup_(config_unrefp) struct config *config = NULL;
	int64_t duration_ns, interval_ns;
	int r;

	if (argc != 6 || parse_duration_ns(argv[3], &duration_ns) < 0 ||
		parse_duration_ns(argv[4], &interval_ns) < 0) {
		fprintf(stderr, "Use: bench_bus CONFIG DRIVERS DURATION INTERVAL READINGS\n");
		return 64;
	}
	log_open(LOG_LEVEL_NOTICE);
	driver_add_directory(argv[2]);
	config = load(argv[1], interval_ns);
	if (!config || config->n_buses != 1) {
		fprintf(stderr, "bench_bus: no configuration with one bus\n");
		return 1;
	}
	/* Of what else runs here the driver can do nothing; see bench_line.c. */
	(void)sched_setscheduler(0, SCHED_FIFO, &priority);
	r = run(config, duration_ns, argv[5]);
	free(readings);
	return r;
}
