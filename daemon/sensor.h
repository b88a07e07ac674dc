/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_SENSOR_H
#define SCG_SENSOR_H

/*
 * What happens to a raw value on its way to becoming a reading: scale, offset, rounding, limits,
 * report by exception; and the health of the sensor. No I/O, no locks; one thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

#define SENSOR_ERROR_MAX 120

struct sensor_state {
	const struct sensor_config *config;
	bool known;        /* was reported or failed at least once */
	bool good;         /* the last turn brought a value */
	bool has_reported; /* reported_value counts */
	uint8_t quality;
	double value;          /* last good one */
	int64_t boottime_us;   /* of it */
	int64_t realtime_us;   /* of it */
	double reported_value; /* what was last handed on */
	uint8_t reported_quality;
	int64_t reported_us;   /* boot-clock time of that */
	bool bad_logged;       /* the log says that it is bad, so it is owed the good news */
	int64_t bad_logged_ns; /* when, monotonic; 0: never */
	char *error;           /* why it is bad; NULL if it never was */
};

enum sensor_verdict {
	SENSOR_REPORT,       /* hand it on */
	SENSOR_SUPPRESS,     /* good, but within the deadband */
	SENSOR_NOT_FINITE,   /* NaN, infinity, or scaling overflowed: bad */
	SENSOR_OUT_OF_RANGE, /* outside min and max: bad */
};

/*
 * Judges a raw value taken at `boottime_us`. For the first two the state becomes good and
 * *ret_value is the value to report; for the other two it becomes bad with state->error saying why.
 */
enum sensor_verdict sensor_judge(struct sensor_state *s, double raw, uint8_t quality,
	int64_t boottime_us, double *ret_value);

/* The sensor could not be read. */
void sensor_failed(struct sensor_state *s, const char *reason);
void sensor_clear(struct sensor_state *s);

#endif
