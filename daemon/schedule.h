/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_SCHEDULE_H
#define SCG_SCHEDULE_H

/*
 * When which sensor is due. Due times are points of a fixed grid on the monotonic clock (start plus
 * multiples of the interval), so nothing drifts; sensors of the same interval are due together, so
 * that one wake-up and few requests serve them all. A turn that comes while the one before is not
 * done yet is skipped and counted: a late bus never piles up work.
 *
 * Sensors are known by number, 0 to n-1. One thread.
 */

#include <stddef.h>
#include <stdint.h>

struct schedule;

/* Everything is due first at `start_ns` (monotonic). */
struct schedule *schedule_new(const int64_t *intervals_ns, uint32_t n, int64_t start_ns);
void schedule_free(struct schedule *s);

/* Takes note of what has come due by `now_ns`. Returns the number of turns missed. */
uint64_t schedule_advance(struct schedule *s, int64_t now_ns);
/* Makes every sensor due now, out of turn: a bus has come back. */
void schedule_all_due(struct schedule *s, int64_t now_ns);
/* The next point in time at which something comes due; INT64_MAX if there are no sensors. */
int64_t schedule_next_ns(const struct schedule *s);

/* The sensors that are due, the earliest deadline first; valid until the next call. */
const uint32_t *schedule_due(struct schedule *s, uint32_t *ret_n);
/* This sensor has had its turn. No effect if it is not due. */
void schedule_done(struct schedule *s, uint32_t sensor);
uint32_t schedule_n_due(const struct schedule *s);

#endif
