/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_BUS_H
#define SCG_BUS_H

/*
 * One bus at work: a thread that opens the driver, calls it when sensors are due, turns what it
 * reports into readings, and hands these on. A bus that cannot be opened, or on which nothing
 * answers for three rounds, is closed and opened again after a growing delay, for ever.
 *
 * Where the readings go is the caller's affair: a bus knows neither journal nor publisher.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "heartbeat.h"
#include "reading.h"

/* Called from the bus's thread after each driver call that reported something, or with n == 0 when
   a round ended after all. `round_end`: nothing more is due now. */
struct bus_output {
	void (*readings)(void *ctx, const struct reading *readings, size_t n, bool round_end);
	void *ctx;
};

enum bus_state { BUS_STOPPED, BUS_OPENING, BUS_UP, BUS_DOWN };
const char *bus_state_name(enum bus_state state); /* "stopped", "opening", "up", "down" */

struct bus;

/* Keeps a reference on `config`. `n_buses` and the bus's own index spread the phases of the buses.
 */
struct bus *bus_new(struct config *config, const struct bus_config *bus_config,
	const struct clock_state *clock, const struct bus_output *output);
/* 0 or a negative errno. */
int bus_start(struct bus *b);
/* Asks the thread to end; does not wait. */
void bus_request_stop(struct bus *b);
/* Waits for the thread at most until `deadline_ns` (monotonic). 0, or -ETIMEDOUT if a driver call
   does not return: the thread is left behind and the object must not be freed. */
int bus_join(struct bus *b, int64_t deadline_ns);
void bus_free(struct bus *b);
const struct bus_config *bus_get_config(const struct bus *b);
struct heartbeat *bus_heartbeat(struct bus *b);

/* What a driver counts about its bus. */
struct bus_counter {
	char name[32];
	uint64_t value;
};

struct bus_status {
	enum bus_state state;
	uint32_t sensors;
	uint32_t failed_sensors; /* bad at the moment */
	uint64_t requests;       /* driver calls of poll(), and of dispatch() that reported */
	uint64_t errors;         /* readings that failed, and opens that failed */
	uint64_t readings;       /* accepted */
	uint64_t out_of_range;   /* outside min and max, not sent */
	uint64_t suppressed;     /* within the deadband, not sent */
	uint64_t missed_turns;   /* turns of a sensor that came due before the last was done */
	char error[160];         /* last error of the bus itself; "" if it is up */
	struct bus_counter counters[SCG_COUNTERS_MAX]; /* in the order in which they came up */
	uint32_t n_counters;
};
void bus_get_status(struct bus *b, struct bus_status *ret);

/* The state of one sensor, for status and read. */
struct bus_sensor_status {
	const struct sensor_config *sensor;
	bool known; /* was read at least once, well or badly */
	bool good;
	double value;        /* last good one; NAN if there is none */
	int64_t realtime_us; /* of it */
	uint8_t quality;
	char error[120]; /* why it is bad; "" if good */
};
/* Calls visit() for each sensor, under the bus's lock: be short. */
void bus_for_each_sensor(
	struct bus *b, void (*visit)(void *ctx, const struct bus_sensor_status *status), void *ctx);

/*
 * A driver's tool (tool_job.h) on a bus that was started: its steps are done between polls, and
 * what is due comes first. 0; -EBUSY if another is at work, -ENETDOWN if the bus is down (status
 * has the text). It ends when the tool ends, fails or is cancelled, when the bus goes down, and
 * when it is asked to stop; always by tool_job_end() with one of these:
 */
#define BUS_TOOL_DONE      0
#define BUS_TOOL_FAILED    1
#define BUS_TOOL_BAD_USAGE 64 /* the tool complained about its options */
struct tool_job;
int bus_start_tool(struct bus *b, struct tool_job *job);
/* Before bus_start(), for a bus that is opened only for a tool: the sensors are never polled. */
void bus_set_tools_only(struct bus *b);

/*
 * For `read`, instead of bus_start(): opens, polls each sensor once (waits for event-driven ones),
 * closes. On the calling thread; results by bus_for_each_sensor(). 0, or a negative errno if the
 * bus could not be opened (status has the text).
 */
int bus_read_once(struct bus *b, int64_t timeout_ns);

#endif
