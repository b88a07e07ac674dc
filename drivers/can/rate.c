/* SPDX-License-Identifier: Apache-2.0 */
#include "rate.h"

#include <math.h>

bool rate_add(struct rate *r, double value, int64_t time_ns)
{
	if (!isfinite(value)) {
		return false;
	}
	r->n++;
	if (r->n > 1 && ((r->sample == RATE_MIN && value >= r->value) ||
				(r->sample == RATE_MAX && value <= r->value))) {
		return true;
	}
	if (r->sample == RATE_MEAN && r->n > 1) {
		/* no sum, which could overflow; and a value that stays the same stays the same */
		r->value += value / (double)r->n - r->value / (double)r->n;
	} else {
		r->value = value;
	}
	r->time_ns = time_ns;
	return true;
}

bool rate_is_due(const struct rate *r, int64_t now_ns)
{
	return r->n > 0 && now_ns >= r->due_ns;
}

double rate_take(struct rate *r, int64_t now_ns, int64_t *ret_time_ns)
{
	/* in step as long as something comes in each interval, so that there is no drift */
	bool in_step = now_ns - r->due_ns < r->interval_ns;

	r->due_ns = (in_step ? r->due_ns : now_ns) + r->interval_ns;
	r->n = 0;
	*ret_time_ns = r->time_ns;
	return r->value;
}
