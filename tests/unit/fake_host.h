/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAKE_HOST_H
#define FAKE_HOST_H

/*
 * A daemon for one driver under test: loads the shared object, makes a bus from options as YAML
 * would give them, calls the driver, and writes down what it says. It also watches the rules of
 * sensocan-driver.h; the first one that is broken is kept as text. One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sensocan-driver.h"

struct fake_result {
	struct scg_sensor *sensor;
	bool is_good; /* report() was called, not fail() */
	double value;
	int64_t time_ns;
	uint32_t quality;
	char reason[200];
};

/* What plan() said of one transaction. */
struct fake_request {
	char *what;
	uint32_t n_sensors;
	int64_t interval_ns, least_ns, likely_ns;
};

/* What a tool said. */
struct fake_line {
	uint32_t kind; /* SCG_TELL_... */
	char *text;
};

struct fake_counter {
	char name[32];
	uint64_t value;
};

struct fake_bus {
	struct scg_bus bus; /* first: the host functions find the rest */
	const struct scg_driver *driver;
	void *library;
	struct scg_sensor **sensors;
	bool *is_due; /* by index of the sensor, during fake_bus_round() */
	struct fake_result *results;
	size_t n_results, results_capacity;
	char **complaints; /* "bus: host: text", "SENSOR: option: text" */
	size_t n_complaints, complaints_capacity;
	char violation[300];  /* "" as long as the driver keeps the rules */
	const char *callback; /* the one that runs */
	bool is_open;
	const _Atomic bool *stop; /* what stopping() says; NULL: never */
	int n_fds;                /* descriptors of the process before open() */
	unsigned n_stopping_calls;
	unsigned n_idle;     /* polls in a row that dealt with nothing */
	char *link, *advice; /* of the last fake_bus_plan(); NULL: not said */
	struct fake_request *requests;
	size_t n_requests, requests_capacity;
	struct fake_line *lines; /* until fake_bus_forget() */
	size_t n_lines, lines_capacity;
	struct fake_counter counters[SCG_COUNTERS_MAX];
	uint32_t n_counters;
	uint64_t step; /* of the tool, while its step() runs */
};

/*
 * Loads DIRECTORY/NAME.so and checks its constant and its tables. `options` is "key: value, key:
 * value"; what is not said gets its default. On any problem the process ends with a message: a
 * test that cannot begin cannot pass.
 */
struct fake_bus *fake_bus_new(const char *directory, const char *name, const char *options);
void fake_bus_free(struct fake_bus *f); /* closes if open */
/* Only before fake_bus_open(). */
struct scg_sensor *fake_bus_add(
	struct fake_bus *f, const char *name, int64_t interval_ns, const char *options);
void fake_bus_set(struct fake_bus *f, const char *options);

/* Runs check() and returns the number of complaints. */
size_t fake_bus_check(struct fake_bus *f);
bool fake_bus_complained(const struct fake_bus *f, const char *complaint);

/* Runs plan() and returns the number of requests in f->requests. */
size_t fake_bus_plan(struct fake_bus *f);
/* The share of the bus's time that they take: at the least, and probably. */
double fake_bus_least(const struct fake_bus *f);
double fake_bus_likely(const struct fake_bus *f);

int fake_bus_open(struct fake_bus *f);
void fake_bus_close(struct fake_bus *f);

/* One call of poll(). Results add up until fake_bus_forget(). */
int fake_bus_poll(struct fake_bus *f, struct scg_sensor *const *due, uint32_t n_due);
/* All sensors are due: calls poll() as the daemon does until all are dealt with. */
int fake_bus_round(struct fake_bus *f);
/* Waits until the bus's descriptor is readable, as the daemon does, and calls dispatch().
   -ETIMEDOUT if nothing comes for so long. */
int fake_bus_dispatch(struct fake_bus *f, int64_t limit_ns);
void fake_bus_forget(struct fake_bus *f);

/* One step of a tool (f->driver->scan, f->driver->probe) with options as for fake_bus_new(). */
int fake_bus_step(
	struct fake_bus *f, const struct scg_tool *tool, const char *options, uint64_t step);
/* All its steps: 0, or what the one returned that failed. */
int fake_bus_run(struct fake_bus *f, const struct scg_tool *tool, const char *options);
/* A line that the tool has told, exactly so. */
bool fake_bus_told(const struct fake_bus *f, uint32_t kind, const char *text);

/* What count() has added up to under this name; 0 if it was never said. */
uint64_t fake_bus_counted(const struct fake_bus *f, const char *name);

/* The last result for a sensor, or NULL. */
const struct fake_result *fake_bus_result(const struct fake_bus *f, const struct scg_sensor *s);

#endif
