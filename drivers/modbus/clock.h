/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODBUS_CLOCK_H
#define MODBUS_CLOCK_H

/*
 * Nanoseconds.
 */

#include <stdint.h>
#include <time.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

static inline int64_t modbus_clock_ns(clockid_t id)
{
	struct timespec now;

	(void)clock_gettime(id, &now); /* cannot fail for the clocks that are used here */
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* Monotonic: for all that is waited for. */
static inline int64_t modbus_now_ns(void)
{
	return modbus_clock_ns(CLOCK_MONOTONIC);
}

#endif
