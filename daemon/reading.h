/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_READING_H
#define SCG_READING_H

/*
 * The reading: what a sensor said, and when. Everything that flows through the gateway is this.
 *
 * The time of a reading is kept as boot-clock time (CLOCK_BOOTTIME) and the distance of the wall
 * clock from it at that moment, so that a reading taken before the wall clock was set can be given
 * its true time later, and one taken after is never re-dated.
 */

#include <stdbool.h>
#include <stdint.h>

enum reading_quality {
	READING_GOOD = 0,
	READING_UNCERTAIN = 1,
};

struct reading {
	uint32_t sensor; /* journal_sensor() number: stable across restarts, names sensor and device
			  */
	uint8_t quality; /* enum reading_quality */
	bool clock_ok;   /* the wall clock was known to be right when this was read */
	int64_t boottime_us; /* CLOCK_BOOTTIME, microseconds */
	int64_t offset_us;   /* CLOCK_REALTIME minus CLOCK_BOOTTIME at that moment, microseconds */
	double value;        /* finite; scaled and rounded */
};

/* Wall-clock time in microseconds since 1970, as the clock showed it when the reading was taken. */
static inline int64_t reading_realtime_us(const struct reading *r)
{
	return r->boottime_us + r->offset_us;
}

#endif
