/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_BUS_PRIVATE_H
#define SCG_BUS_PRIVATE_H

/*
 * What bus.c (life of a bus: thread, schedule, opening and closing) and bus_host.c (what drivers
 * call: from reports to readings, health of the sensors) and bus_tool.c (scan and probe) share. For
 * nobody else.
 */

#include <pthread.h>

#include "bus.h"
#include "schedule.h"
#include "sensor.h"
#include "thread.h"

#define BATCH_MAX 512u

/* A sensor as the driver sees it, and what we know of it. */
struct bus_sensor {
	struct scg_sensor abi; /* first: what the driver gets is a pointer to this */
	uint32_t index;
	int64_t accepted_us; /* boot-clock time at which the driver last reported it, and we took it
			      */
	int64_t failed_us;   /* at which it last said that there is no value */
	struct sensor_state state;
};

/* Changes of health within one driver call, for one line in the log instead of a thousand. */
struct health_changes {
	uint32_t n_bad, n_good;
	const struct bus_sensor *first_bad, *first_good;
};

struct bus {
	struct scg_bus abi; /* first */
	struct config *config;
	const struct bus_config *bus_config;
	const struct scg_driver *driver;
	const struct clock_state *clock;
	struct bus_output output;
	struct thread thread;
	struct heartbeat heartbeat;
	int stop_fd;
	_Atomic bool stopping;
	struct bus_sensor *sensors;
	struct scg_sensor **abi_sensors;
	struct scg_sensor **due; /* handed to poll() */

	/* the bus thread's own */
	struct schedule *schedule;
	bool progress; /* the callback reported or failed something */
	bool in_dispatch;
	bool time_sampled;
	bool round_good; /* something good came in this round */
	uint32_t dead_rounds, dead_rounds_limit;
	uint32_t idle_calls;
	int64_t reopen_delay_ns;
	int64_t missed_logged_ns;
	bool is_announced;     /* the log says that it is up */
	char down_reason[160]; /* what the log last said of it being down */
	char driver_said[256]; /* the last warning or notice of the driver, until the bus is up */
	int64_t driver_said_ns;
	int64_t opened_us; /* boot-clock time of the last open() */
	int64_t now_us,
		clock_offset_us; /* boot clock and wall clock minus it, as of this callback */
	bool clock_ok;           /* of this callback */
	struct health_changes changes;
	struct reading batch[BATCH_MAX];
	uint32_t n_batch;
	bool in_step, has_complained; /* the tool */
	int64_t tool_since_ns;        /* since its last step */

	bool tools_only; /* constant once started */
	int tool_fd;     /* set when next_tool was */
	/* guards: status, sensors[].state, next_tool; and tool, which only the bus thread sets */
	pthread_mutex_t lock;
	struct bus_status status;
	struct tool_job *next_tool, *tool;
};

/* The functions that drivers call. */
extern const struct scg_host bus_host;

struct bus_sensor *bus_sensor_of(const struct scg_sensor *abi);
/* Hands on what has been collected; with `round_end` also when that is nothing. */
void bus_flush_batch(struct bus *b, bool round_end);
void bus_fail_sensor(struct bus *b, struct bus_sensor *sensor, const char *reason);
/* All sensors are bad for one reason, which the bus has logged once for all of them. */
void bus_fail_all(struct bus *b, const char *reason);
/* bus_tool.c: the thread's side of bus_start_tool(). */
bool bus_has_tool(struct bus *b);
bool bus_tool_wants_step(struct bus *b);
void bus_tool_step(struct bus *b);
/* Ends what is under way, and what waits. */
void bus_tool_fail(struct bus *b, const char *reason);
void bus_tool_tell(struct bus *b, uint32_t kind, const char *format, va_list args) _printf_(3, 0);
void bus_tool_complain(struct bus *b, const char *option, const char *format, va_list args)
	_printf_(3, 0);
/* Logs the changes of health since the last call, in two lines at the most. */
void bus_log_changes(struct bus *b);

#endif
