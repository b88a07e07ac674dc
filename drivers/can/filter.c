/* SPDX-License-Identifier: Apache-2.0 */
#include "filter.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "j1939.h"

/* Pairs are compared each with each: above this, neighbours are merged first. */
#define PAIRS_MAX 4096u
#define NEVER     UINT64_MAX

/* The cheapest other filter to merge with. */
struct partner {
	uint64_t cost;
	size_t index;
};

struct can_filter filter_standard(uint32_t id)
{
	return (struct can_filter){id & CAN_SFF_MASK, CAN_SFF_MASK | CAN_EFF_FLAG | CAN_RTR_FLAG};
}

struct can_filter filter_extended(uint32_t id)
{
	return (struct can_filter){
		(id & CAN_EFF_MASK) | CAN_EFF_FLAG, CAN_EFF_MASK | CAN_EFF_FLAG | CAN_RTR_FLAG};
}

struct can_filter filter_pgn(uint32_t pgn, int source)
{
	uint32_t id = (pgn & J1939_PGN_MAX) << 8;
	uint32_t mask = J1939_PGN_MAX << 8;

	if (j1939_is_addressed(pgn)) {
		mask &= ~UINT32_C(0xff00); /* where the destination is */
	}
	if (source != FILTER_ANY_SOURCE) {
		id |= (uint8_t)source;
		mask |= 0xff;
	}
	return (struct can_filter){(id & mask) | CAN_EFF_FLAG, mask | CAN_EFF_FLAG | CAN_RTR_FLAG};
}

static bool is_extended(const struct can_filter *f)
{
	return f->can_id & CAN_EFF_FLAG;
}

/* Identifiers that it lets through, as a share of all of its kind: out of 2^29. */
static uint64_t share(const struct can_filter *f)
{
	if (is_extended(f)) {
		return UINT64_C(1) << (29 - __builtin_popcount(f->can_mask & CAN_EFF_MASK));
	}
	return UINT64_C(1) << (29 - __builtin_popcount(f->can_mask & CAN_SFF_MASK));
}

/* The narrowest filter that lets through what either does. */
static struct can_filter join(const struct can_filter *a, const struct can_filter *b)
{
	uint32_t mask = a->can_mask & b->can_mask & ~(a->can_id ^ b->can_id);

	return (struct can_filter){a->can_id & mask, mask};
}

static bool covers(const struct can_filter *a, const struct can_filter *b)
{
	return (a->can_mask & b->can_mask) == a->can_mask &&
	       ((a->can_id ^ b->can_id) & a->can_mask) == 0;
}

/* What joining two lets through in addition. */
static uint64_t cost(const struct can_filter *a, const struct can_filter *b)
{
	struct can_filter joined;
	uint64_t apart = share(a) + share(b);

	if (is_extended(a) != is_extended(b)) {
		return NEVER;
	}
	joined = join(a, b);
	return share(&joined) > apart ? share(&joined) - apart : 0;
}

static int compare(const void *a, const void *b)
{
	const struct can_filter *x = a, *y = b;

	return x->can_id != y->can_id ? (x->can_id > y->can_id) - (x->can_id < y->can_id)
				      : (x->can_mask > y->can_mask) - (x->can_mask < y->can_mask);
}

/* Sorts them, and joins neighbours until there are few enough to compare each with each. */
static size_t thin_out(struct can_filter *filters, size_t n)
{
	size_t kept = 0;

	qsort(filters, n, sizeof(*filters), compare);
	for (size_t i = 0; i < n; i++) {
		if (kept == 0 || !covers(&filters[kept - 1], &filters[i])) {
			filters[kept++] = filters[i];
		}
	}
	while (kept > PAIRS_MAX) {
		size_t out = 0;

		for (size_t i = 0; i < kept; out++) {
			bool pair = i + 1 < kept &&
				    is_extended(&filters[i]) == is_extended(&filters[i + 1]);

			filters[out] = pair ? join(&filters[i], &filters[i + 1]) : filters[i];
			i += pair ? 2 : 1;
		}
		kept = out;
	}
	return kept;
}

static size_t drop_covered(struct can_filter *filters, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < n; j++) {
			if (i != j && covers(&filters[i], &filters[j])) {
				filters[j] = filters[--n];
				/* the one that was last may cover, or be covered */
				i = i == n ? j : i;
				j = (size_t)-1;
			}
		}
	}
	return n;
}

static struct partner find_partner(const struct can_filter *filters, size_t n, size_t i)
{
	struct partner best = {NEVER, i};

	for (size_t j = 0; j < n; j++) {
		uint64_t c = j == i ? NEVER : cost(&filters[i], &filters[j]);

		if (c < best.cost) {
			best = (struct partner){c, j};
		}
	}
	return best;
}

/* Joins filter `a` and its partner; the last one moves to the place that is free then. */
static size_t join_pair(struct can_filter *filters, struct partner *partners, size_t n, size_t a)
{
	size_t b = partners[a].index;

	filters[a] = join(&filters[a], &filters[b]);
	n--;
	filters[b] = filters[n];
	partners[b] = partners[n];
	a = a == n ? b : a;
	for (size_t i = 0; i < n; i++) {
		size_t with = partners[i].index;

		if (i == a || with == a || with == b || with == n) {
			partners[i] = find_partner(filters, n, i);
		} else {
			uint64_t c = cost(&filters[i], &filters[a]);

			if (c < partners[i].cost) {
				partners[i] = (struct partner){c, a};
			}
		}
	}
	return n;
}

int filter_merge(struct can_filter *filters, size_t n, size_t limit, size_t *ret_n)
{
	struct partner *partners;

	if (limit < 2) {
		return -EINVAL;
	}
	n = thin_out(filters, n);
	n = drop_covered(filters, n);
	if (n > limit) {
		partners = calloc(n, sizeof(*partners));
		if (!partners) {
			return -ENOMEM;
		}
		for (size_t i = 0; i < n; i++) {
			partners[i] = find_partner(filters, n, i);
		}
		while (n > limit) {
			size_t cheapest = 0;

			for (size_t i = 1; i < n; i++) {
				cheapest = partners[i].cost < partners[cheapest].cost ? i
										      : cheapest;
			}
			n = join_pair(filters, partners, n, cheapest);
		}
		free(partners);
		n = drop_covered(filters, n);
	}
	*ret_n = n;
	return 0;
}
