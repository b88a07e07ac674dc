/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_TAKEN_H
#define SCG_TAKEN_H

/*
 * Blocks that a publisher has taken from the journal and not given back: which of their readings
 * are delivered, and telling the journal so. One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "journal.h"

struct taken_block {
	int64_t id;
	uint32_t n;
	uint32_t n_left; /* not delivered yet */
	uint32_t told;   /* delivered readings that the journal knows of */
	uint8_t *acked;  /* bitmap, as in struct journal_block */
};

/* Zeroed is empty. */
struct taken {
	struct taken_block *blocks;
	uint32_t n, capacity;
	uint32_t unflushed;         /* readings delivered since the last flush */
	int64_t unflushed_since_ns; /* monotonic; meaningful while unflushed > 0 */
};

/* Adds a block, with what was delivered of it before. Returns its index. */
uint32_t taken_add(struct taken *t, const struct journal_block *block);
bool taken_is_acked(const struct taken *t, uint32_t block, uint32_t position);
void taken_ack(struct taken *t, uint32_t block, uint32_t position);
/* Tells the journal. Cheap if there is nothing to tell. */
void taken_flush(struct taken *t, struct journal *journal, uint32_t device);
/* The same if it is worth it by now: enough readings, or long enough. */
void taken_flush_some(struct taken *t, struct journal *journal, uint32_t device, int64_t now_ns);
/* Forgets all blocks; flush first. */
void taken_clear(struct taken *t);

#endif
