/* SPDX-License-Identifier: Apache-2.0 */
#include "journal_acks.h"

#include <string.h>

#include "util.h"

static size_t bitmap_size(uint32_t n)
{
	return ((size_t)n + 7) / 8;
}

uint32_t bitmap_count(const uint8_t *bitmap, uint32_t n)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < n / 8; i++) {
		count += (uint32_t)__builtin_popcount(bitmap[i]);
	}
	if (n % 8) {
		count += (uint32_t)__builtin_popcount(bitmap[n / 8] & ((1u << n % 8) - 1));
	}
	return count;
}

void bitmap_or(uint8_t *bitmap, const uint8_t *other, uint32_t n)
{
	for (size_t i = 0; i < bitmap_size(n); i++) {
		bitmap[i] |= other[i];
	}
}

/* Index of the first entry that ends at `id` or later. */
static size_t position(const struct ack_set *set, int64_t id)
{
	size_t low = 0, high = set->n;

	/* most acknowledgements are for what is newest */
	if (high > 0 && set->entries[high - 1].last < id) {
		return high;
	}
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->entries[middle].last < id) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

static void remove_at(struct ack_set *set, size_t i)
{
	struct ack_entry *e = &set->entries[i];

	set->counted -= e->counted;
	set->bitmap_bytes -= e->acked ? bitmap_size(e->n) : 0;
	free(e->acked);
	memmove(e, e + 1, (set->n - i - 1) * sizeof(*e));
	set->n--;
}

/* Makes one of entry i and the next if nothing lies between them. */
static void join(struct ack_set *set, size_t i)
{
	struct ack_entry *a, *b;

	if (i + 1 >= set->n) {
		return;
	}
	a = &set->entries[i];
	b = a + 1;
	if (!a->acked && !b->acked && a->cause == b->cause && a->last + 1 == b->first) {
		a->last = b->last;
		a->counted += b->counted;
		b->counted = 0;
		remove_at(set, i + 1);
	}
}

static void insert_at(struct ack_set *set, size_t i, const struct ack_entry *e)
{
	GROW(set->entries, set->n, set->capacity);
	memmove(&set->entries[i + 1], &set->entries[i], (set->n - i) * sizeof(*e));
	set->entries[i] = *e;
	set->n++;
	set->counted += e->counted;
	set->bitmap_bytes += e->acked ? bitmap_size(e->n) : 0;
	if (!e->acked) {
		join(set, i);
		if (i > 0) {
			join(set, i - 1);
		}
	}
}

void ack_set_add(struct ack_set *set, int64_t id, uint32_t n, const uint8_t *acked, uint64_t fresh,
	int cause)
{
	struct ack_entry e = {.first = id, .last = id, .n = n, .cause = cause, .counted = fresh};
	size_t i = position(set, id);
	const struct ack_entry *old = i < set->n && set->entries[i].first <= id ? &set->entries[i]
										: NULL;

	if (old && (!old->acked || old->n != n)) {
		return; /* done already, or no bitmap of this block */
	}
	if (acked) {
		e.acked = xmalloc(bitmap_size(n));
		memcpy(e.acked, acked, bitmap_size(n));
		if (old) {
			bitmap_or(e.acked, old->acked, n);
		}
		if (bitmap_count(e.acked, n) == n) {
			free(steal_ptr(e.acked));
		}
	}
	if (old) {
		e.counted += old->counted;
		remove_at(set, i);
	}
	insert_at(set, i, &e);
}

const struct ack_entry *ack_set_find(const struct ack_set *set, int64_t id)
{
	size_t i = position(set, id);

	return i < set->n && set->entries[i].first <= id ? &set->entries[i] : NULL;
}

uint32_t ack_entry_done(const struct ack_entry *e, uint32_t n)
{
	if (!e) {
		return 0;
	}
	return e->acked ? bitmap_count(e->acked, e->n) : n;
}

void ack_set_merge(struct ack_set *set, struct ack_set *from)
{
	if (set->n == 0) {
		ack_set_clear(set);
		*set = *from;
		memset(from, 0, sizeof(*from));
		return;
	}
	for (size_t i = 0; i < from->n; i++) {
		struct ack_entry *e = &from->entries[i];

		if (e->first == e->last) {
			ack_set_add(set, e->first, e->n, e->acked, e->counted, e->cause);
			continue;
		}
		/* what the set has there becomes part of the range */
		for (size_t k = position(set, e->first);
			k < set->n && set->entries[k].first <= e->last;) {
			const struct ack_entry *old = &set->entries[k];

			if (!old->acked) {
				e->first = MIN(e->first, old->first);
				e->last = MAX(e->last, old->last);
			}
			e->counted += old->counted;
			remove_at(set, k);
		}
		insert_at(set, position(set, e->first), e);
	}
	ack_set_clear(from);
}

void ack_set_split(struct ack_set *set, int64_t id, struct ack_set *rest)
{
	size_t i = position(set, id);

	for (size_t k = i; k < set->n; k++) {
		insert_at(rest, rest->n, &set->entries[k]);
		set->counted -= set->entries[k].counted;
		set->bitmap_bytes -= set->entries[k].acked ? bitmap_size(set->entries[k].n) : 0;
	}
	set->n = i;
}

void ack_set_remove(struct ack_set *set, int64_t id)
{
	size_t i = position(set, id);

	if (i < set->n && set->entries[i].first == id && set->entries[i].last == id) {
		remove_at(set, i);
	}
}

void ack_set_clear(struct ack_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		free(set->entries[i].acked);
	}
	free(set->entries);
	memset(set, 0, sizeof(*set));
}
