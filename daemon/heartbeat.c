/* SPDX-License-Identifier: Apache-2.0 */
#include "heartbeat.h"

#include "util.h"

void heartbeat_init(struct heartbeat *h, int64_t allowance_ns)
{
	h->allowance_ns = allowance_ns;
	atomic_init(&h->busy_since_ns, 0);
}

void heartbeat_busy(struct heartbeat *h)
{
	atomic_store_explicit(&h->busy_since_ns, now_monotonic_ns(), memory_order_relaxed);
}

void heartbeat_idle(struct heartbeat *h)
{
	atomic_store_explicit(&h->busy_since_ns, 0, memory_order_relaxed);
}

int64_t heartbeat_overdue_ns(struct heartbeat *h)
{
	int64_t since = atomic_load_explicit(&h->busy_since_ns, memory_order_relaxed);
	int64_t overdue;

	if (since == 0) {
		return 0;
	}
	overdue = now_monotonic_ns() - since - h->allowance_ns;
	return MAX(overdue, 0);
}
