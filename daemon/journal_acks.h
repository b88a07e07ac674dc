/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_JOURNAL_ACKS_H
#define SCG_JOURNAL_ACKS_H

/*
 * Acknowledgements of one device that are not on disk yet. Blocks that are done are kept as ranges
 * of ids, so that a whole drained backlog is one entry; a block that is partly done has a bitmap.
 * A block that turned out damaged is done as well, with the cause of the loss. No locks of its own.
 */

#include <stddef.h>
#include <stdint.h>

/* Not a loss: delivered. */
#define ACK_DELIVERED (-1)

struct ack_entry {
	int64_t first, last;
	uint8_t *acked;   /* of block `first`, which has n readings; NULL: all are done */
	uint32_t n;       /* with a bitmap */
	int cause;        /* enum journal_loss, or ACK_DELIVERED */
	uint64_t counted; /* readings done by it that were not before */
};

/* Zeroed is empty. */
struct ack_set {
	struct ack_entry *entries; /* in the order of ids, none overlapping */
	size_t n, capacity;
	size_t bitmap_bytes;
	uint64_t counted; /* sum over the entries */
};

/* `acked` NULL: all. A bitmap is copied. `fresh`: readings done by this that were not before. */
void ack_set_add(struct ack_set *set, int64_t id, uint32_t n, const uint8_t *acked, uint64_t fresh,
	int cause);
const struct ack_entry *ack_set_find(const struct ack_set *set, int64_t id);
/* How many readings of a block of `n` an entry (NULL: none) says are done. */
uint32_t ack_entry_done(const struct ack_entry *e, uint32_t n);
/* Adds what is in `from`, which is empty afterwards. */
void ack_set_merge(struct ack_set *set, struct ack_set *from);
/* Moves the entries for ids from `id` on to `rest`, which is empty before. */
void ack_set_split(struct ack_set *set, int64_t id, struct ack_set *rest);
void ack_set_remove(struct ack_set *set, int64_t id);
void ack_set_clear(struct ack_set *set);

/* Bits 0 to n - 1 that are set. */
uint32_t bitmap_count(const uint8_t *bitmap, uint32_t n);
void bitmap_or(uint8_t *bitmap, const uint8_t *other, uint32_t n);

#endif
