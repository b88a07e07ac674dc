/* SPDX-License-Identifier: Apache-2.0 */
#include "taken.h"

#include <string.h>

#include "util.h"

/* After a crash what the journal was not told is sent again: as much as is in flight anyway. */
#define FLUSH_READINGS 8192u
#define FLUSH_AFTER_NS (250 * NS_PER_MS)

uint32_t taken_add(struct taken *t, const struct journal_block *block)
{
	size_t size = (block->n + 7) / 8;

	GROW(t->blocks, t->n, t->capacity);
	t->blocks[t->n] = (struct taken_block){
		.id = block->id,
		.n = block->n,
		.n_left = block->n - block->n_acked,
		.told = block->n_acked,
		.acked = xcalloc(size, 1),
	};
	if (block->acked) {
		memcpy(t->blocks[t->n].acked, block->acked, size);
	}
	return t->n++;
}

bool taken_is_acked(const struct taken *t, uint32_t block, uint32_t position)
{
	return t->blocks[block].acked[position / 8] & (1u << position % 8);
}

void taken_ack(struct taken *t, uint32_t block, uint32_t position)
{
	struct taken_block *b = &t->blocks[block];
	uint8_t bit = (uint8_t)(1u << position % 8);

	if (b->acked[position / 8] & bit) {
		return;
	}
	b->acked[position / 8] |= bit;
	b->n_left--;
	if (t->unflushed++ == 0) {
		t->unflushed_since_ns = now_monotonic_ns();
	}
}

void taken_flush(struct taken *t, struct journal *journal, uint32_t device)
{
	_cleanup_(freep) struct journal_ack *acks = NULL;
	size_t n = 0;

	if (t->unflushed == 0) {
		return;
	}
	acks = xcalloc(t->n, sizeof(*acks));
	for (uint32_t i = 0; i < t->n; i++) {
		struct taken_block *b = &t->blocks[i];

		if (b->told < b->n - b->n_left) {
			acks[n++] = (struct journal_ack){.id = b->id,
				.n = b->n,
				.told = b->told,
				.acked = b->n_left > 0 ? b->acked : NULL};
			b->told = b->n - b->n_left;
		}
	}
	journal_ack(journal, device, acks, n);
	t->unflushed = 0;
}

void taken_flush_some(struct taken *t, struct journal *journal, uint32_t device, int64_t now_ns)
{
	if (t->unflushed >= FLUSH_READINGS ||
		(t->unflushed > 0 && now_ns - t->unflushed_since_ns >= FLUSH_AFTER_NS)) {
		taken_flush(t, journal, device);
	}
}

void taken_clear(struct taken *t)
{
	for (uint32_t i = 0; i < t->n; i++) {
		free(t->blocks[i].acked);
	}
	free(t->blocks);
	*t = (struct taken){0};
}
