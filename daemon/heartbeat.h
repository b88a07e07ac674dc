/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_HEARTBEAT_H
#define SCG_HEARTBEAT_H

/*
 * Is a thread still making progress? Each thread owns one heartbeat: it says busy when it starts to
 * work, again at each step forward, and idle before it waits for something that may never come.
 * The main thread asks all of them before it feeds the watchdog of systemd. No thread ever has to
 * wake up for this.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct heartbeat {
	_Atomic int64_t busy_since_ns; /* monotonic time of the last progress; 0: idle */
	int64_t allowance_ns;          /* longer without progress means stuck */
};

void heartbeat_init(struct heartbeat *h, int64_t allowance_ns);
void heartbeat_busy(struct heartbeat *h); /* progress was made, more work follows */
void heartbeat_idle(struct heartbeat *h); /* waiting, for as long as it takes */
/* Any thread. How long past its allowance the thread has been without progress; 0: it is well. */
int64_t heartbeat_overdue_ns(struct heartbeat *h);

#endif
