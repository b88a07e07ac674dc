/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAN_RATE_H
#define CAN_RATE_H

/*
 * Fewer readings than values: of what a signal says within an interval, the last value, the mean,
 * the lowest or the highest. The first value after a silence is due at once; the others when the
 * interval is over, which only a clock can tell. One owner, no lock.
 */

#include <stdbool.h>
#include <stdint.h>

enum rate_sample { RATE_LAST, RATE_MEAN, RATE_MIN, RATE_MAX };

struct rate {
	int64_t interval_ns; /* 0: each value is due */
	int64_t due_ns;      /* monotonic; 0: nothing was taken yet */
	int64_t time_ns;     /* of `value` */
	double value;        /* of all since the last rate_take() */
	uint64_t n;          /* of these */
	uint8_t sample;      /* enum rate_sample */
};

/* A value and its time, in whatever clock. False if it is no finite number: then it is not one. */
bool rate_add(struct rate *r, double value, int64_t time_ns);
/* Whether there is something to take; `now_ns` is monotonic. */
bool rate_is_due(const struct rate *r, int64_t now_ns);
/*
 * The value of the interval, and the time at which it was true: of the lowest or highest its own,
 * else that of the last one. A new interval begins. Only if rate_is_due().
 */
double rate_take(struct rate *r, int64_t now_ns, int64_t *ret_time_ns);

#endif
