/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_JOURNAL_BLOCK_H
#define SCG_JOURNAL_BLOCK_H

/*
 * The block: readings of one device that were committed together, packed into a few bytes each, in
 * the order in which they arrived. Pure functions over memory, no I/O, no locks; the format is
 * documented in docs/journal.md and changes only with the journal's user_version.
 *
 * All readings of a block share the boot, the clock offset (to a millisecond) and clock_ok.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reading.h"

/* A block takes no more than this, so that a bitmap of it, and a damaged one, stay small. */
#define BLOCK_MAX_READINGS 16384u

/* Readings being packed. Zeroed is empty. Owned by whoever holds it; free with
 * block_builder_clear(). */
struct block_builder {
	uint8_t *data;
	size_t size, capacity;
	uint32_t n;
	int64_t offset_us;
	bool clock_ok;
	int64_t first_us; /* boot-clock time of the first reading: base of the deltas */
	int64_t last_us;  /* greatest boot-clock time in it */
	/* what the deltas refer to */
	uint32_t previous_sensor;
	int64_t previous_us;
};

/*
 * Packs one more reading. False, with nothing changed, when it does not belong into this block
 * (other clock_ok, offset off by more than 1 ms, block full): finish the block, clear, and add
 * again.
 */
bool block_builder_add(struct block_builder *b, const struct reading *r);
void block_builder_clear(struct block_builder *b);

/*
 * Unpacks. `out` has room for `n` readings; clock_ok and offset_us are set from the arguments.
 * Returns n, or -EBADMSG if the bytes are not a block of n readings (whatever they are: never reads
 * beyond `size`, never yields a value that is not finite).
 */
int block_decode(const uint8_t *data, size_t size, uint32_t n, int64_t first_us, int64_t offset_us,
	bool clock_ok, struct reading *out);

/* CRC-32C of the packed bytes, stored beside them. */
uint32_t block_checksum(const uint8_t *data, size_t size);

#endif
