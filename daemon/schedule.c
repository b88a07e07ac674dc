/* SPDX-License-Identifier: Apache-2.0 */
#include "schedule.h"

#include <stdbool.h>
#include <string.h>

#include "util.h"

/* Sensors with the same interval. */
struct turn {
	int64_t interval_ns;
	int64_t next_ns;
	uint32_t *sensors;
	uint32_t n;
};

struct schedule {
	struct turn *turns;
	uint32_t n_turns;
	uint32_t *members;    /* of all turns, one after the other */
	uint32_t *due;        /* in order of deadline; done ones are dropped when asked for */
	uint32_t n_due;       /* entries of due[], done ones included */
	uint32_t n_waiting;   /* really due */
	bool *is_due;         /* by sensor */
	int64_t *deadline_ns; /* by sensor, while due */
	uint32_t n;
};

struct by_interval {
	int64_t interval_ns;
	uint32_t sensor;
};

static int compare_interval(const void *a, const void *b)
{
	const struct by_interval *x = a, *y = b;

	if (x->interval_ns != y->interval_ns) {
		return x->interval_ns < y->interval_ns ? -1 : 1;
	}
	return x->sensor < y->sensor ? -1 : x->sensor > y->sensor;
}

struct schedule *schedule_new(const int64_t *intervals_ns, uint32_t n, int64_t start_ns)
{
	_cleanup_(freep) struct by_interval *order = xcalloc(n, sizeof(*order));
	struct schedule *s = xcalloc(1, sizeof(*s));

	s->n = n;
	s->members = xcalloc(n, sizeof(*s->members));
	s->due = xcalloc(n, sizeof(*s->due));
	s->is_due = xcalloc(n, sizeof(*s->is_due));
	s->deadline_ns = xcalloc(n, sizeof(*s->deadline_ns));
	for (uint32_t i = 0; i < n; i++) {
		order[i].interval_ns = MAX(intervals_ns[i], 1);
		order[i].sensor = i;
	}
	qsort(order, n, sizeof(*order), compare_interval);
	for (uint32_t i = 0; i < n; i++) {
		s->n_turns += i == 0 || order[i].interval_ns != order[i - 1].interval_ns;
	}
	s->turns = xcalloc(s->n_turns, sizeof(*s->turns));
	s->n_turns = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (i == 0 || order[i].interval_ns != order[i - 1].interval_ns) {
			s->turns[s->n_turns++] = (struct turn){
				.interval_ns = order[i].interval_ns,
				.next_ns = start_ns,
				.sensors = &s->members[i],
			};
		}
		s->members[i] = order[i].sensor;
		s->turns[s->n_turns - 1].n++;
	}
	return s;
}

void schedule_free(struct schedule *s)
{
	if (!s) {
		return;
	}
	free(s->turns);
	free(s->members);
	free(s->due);
	free(s->is_due);
	free(s->deadline_ns);
	free(s);
}

/* Drops what is done from the list, keeping the order. */
static void compact(struct schedule *s)
{
	uint32_t kept = 0;

	if (s->n_due == s->n_waiting) {
		return;
	}
	for (uint32_t i = 0; i < s->n_due; i++) {
		if (s->is_due[s->due[i]]) {
			s->due[kept++] = s->due[i];
		}
	}
	s->n_due = kept;
}

/*
 * Adds the sensors of a turn. The list stays in order of deadline: what is added has a later one
 * than what waits from before, unless a long interval's turn came first in the same call.
 */
static uint64_t add_turn(struct schedule *s, const struct turn *turn, int64_t deadline_ns)
{
	uint64_t missed = 0;
	uint32_t at, added = 0;

	compact(s);
	at = s->n_due;
	while (at > 0 && s->deadline_ns[s->due[at - 1]] > deadline_ns) {
		at--;
	}
	for (uint32_t i = 0; i < turn->n; i++) {
		added += !s->is_due[turn->sensors[i]];
	}
	memmove(&s->due[at + added], &s->due[at], (s->n_due - at) * sizeof(*s->due));
	for (uint32_t i = 0; i < turn->n; i++) {
		uint32_t sensor = turn->sensors[i];

		if (s->is_due[sensor]) {
			missed++;
			continue;
		}
		s->is_due[sensor] = true;
		s->deadline_ns[sensor] = deadline_ns;
		s->due[at++] = sensor;
	}
	s->n_due += added;
	s->n_waiting += added;
	return missed;
}

uint64_t schedule_advance(struct schedule *s, int64_t now_ns)
{
	uint64_t missed = 0;

	for (uint32_t i = 0; i < s->n_turns; i++) {
		struct turn *turn = &s->turns[i];
		int64_t skipped;

		if (turn->next_ns > now_ns) {
			continue;
		}
		/* whole turns that went by unseen while a driver call took its time */
		skipped = (now_ns - turn->next_ns) / turn->interval_ns;
		missed += (uint64_t)skipped * turn->n;
		turn->next_ns += (skipped + 1) * turn->interval_ns;
		/* a deadline is the end of the turn: short intervals go first */
		missed += add_turn(s, turn, turn->next_ns);
	}
	return missed;
}

void schedule_all_due(struct schedule *s, int64_t now_ns)
{
	for (uint32_t i = 0; i < s->n_turns; i++) {
		struct turn *turn = &s->turns[i];

		if (turn->next_ns <= now_ns) {
			turn->next_ns += ((now_ns - turn->next_ns) / turn->interval_ns + 1) *
					 turn->interval_ns;
		}
		(void)add_turn(s, turn, turn->next_ns); /* what is due already is not missed */
	}
}

int64_t schedule_next_ns(const struct schedule *s)
{
	int64_t next = INT64_MAX;

	for (uint32_t i = 0; i < s->n_turns; i++) {
		next = MIN(next, s->turns[i].next_ns);
	}
	return next;
}

const uint32_t *schedule_due(struct schedule *s, uint32_t *ret_n)
{
	compact(s);
	*ret_n = s->n_due;
	return s->due;
}

void schedule_done(struct schedule *s, uint32_t sensor)
{
	if (s->is_due[sensor]) {
		s->is_due[sensor] = false;
		s->n_waiting--;
	}
}

uint32_t schedule_n_due(const struct schedule *s)
{
	return s->n_waiting;
}
