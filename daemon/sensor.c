/* SPDX-License-Identifier: Apache-2.0 */
#include "sensor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

/* Beyond this a double has no fraction left to round. */
#define EXACT_MAX 9007199254740992.0 /* 2^53 */

static double round_to(double value, int decimals)
{
	static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10,
		1e11, 1e12, 1e13, 1e14, 1e15};
	double scaled;

	if (decimals < 0 || (size_t)decimals >= ARRAY_SIZE(powers)) {
		return value;
	}
	scaled = value * powers[decimals];
	if (!(fabs(scaled) < EXACT_MAX)) {
		return value;
	}
	/* the quotient of two whole numbers is the double nearest to the decimal */
	return round(scaled) / powers[decimals];
}

void sensor_failed(struct sensor_state *s, const char *reason)
{
	s->known = true;
	s->good = false;
	s->has_reported = false; /* whatever comes after the gap is news */
	/* most failures repeat the one before; only a new one costs an allocation */
	if (!s->error || strncmp(s->error, reason, SENSOR_ERROR_MAX - 1) != 0) {
		free(s->error);
		s->error = xstrndup(reason, SENSOR_ERROR_MAX - 1);
	}
}

void sensor_clear(struct sensor_state *s)
{
	free(s->error);
	s->error = NULL;
}

static bool is_within_deadband(
	const struct sensor_state *s, double value, uint8_t quality, int64_t boottime_us)
{
	const struct sensor_config *config = s->config;

	if (config->deadband <= 0 || !s->has_reported || quality != s->reported_quality) {
		return false;
	}
	if (config->max_silence_ns > 0 &&
		boottime_us - s->reported_us >=
			(config->max_silence_ns - config->interval_ns / 2) / NS_PER_US) {
		return false; /* the next turn would be too late */
	}
	/* 24.2 - 24.0 is a little less than 0.2 in binary; whoever wrote 0.2 means to see that step
	 */
	return fabs(value - s->reported_value) < config->deadband * (1 - 1e-9);
}

enum sensor_verdict sensor_judge(
	struct sensor_state *s, double raw, uint8_t quality, int64_t boottime_us, double *ret_value)
{
	const struct sensor_config *config = s->config;
	double value = round_to(raw * config->scale + config->offset, config->decimals);
	char reason[SENSOR_ERROR_MAX];

	if (!isfinite(value)) {
		(void)snprintf(
			reason, sizeof(reason), "the value read is not a number (%g)", value);
		sensor_failed(s, reason);
		return SENSOR_NOT_FINITE;
	}
	if (value < config->min || value > config->max) {
		(void)snprintf(reason, sizeof(reason), "%.10g is %s %.10g", value,
			value < config->min ? "below the minimum of" : "above the maximum of",
			value < config->min ? config->min : config->max);
		sensor_failed(s, reason);
		return SENSOR_OUT_OF_RANGE;
	}
	if (value == 0) {
		value = 0; /* a negative zero would show as "-0" */
	}
	s->known = true;
	s->good = true;
	s->quality = quality;
	s->value = value;
	s->boottime_us = boottime_us;
	*ret_value = value;
	if (is_within_deadband(s, value, quality, boottime_us)) {
		return SENSOR_SUPPRESS;
	}
	s->has_reported = true;
	s->reported_value = value;
	s->reported_quality = quality;
	s->reported_us = boottime_us;
	return SENSOR_REPORT;
}
