/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAN_SCAN_H
#define CAN_SCAN_H

/*
 * What the tool `scan` has seen of a bus (scan.c), and how it is said (scan_show.c).
 */

#include "internal.h"

#define SCAN_SEEN_MAX 4096u

/* One identifier. */
struct seen {
	uint32_t can_id; /* with CAN_EFF_FLAG if it is of 29 bits */
	uint8_t size, least, most;
	bool is_own, is_remote, is_fd;
	uint64_t n;
	uint8_t changed[CANFD_MAX_DLEN];               /* the bits that were not always the same */
	uint8_t data[CANFD_MAX_DLEN + DECODE_PADDING]; /* of the last one */
};

struct can_scan {
	struct can_link *link;
	int64_t begin_ns, end_ns;
	uint64_t n_frames, n_own, n_errors, n_lost, n_unseen;
	uint32_t n_seen;
	struct seen seen[SCAN_SEEN_MAX];
	uint16_t slots[2 * SCAN_SEEN_MAX]; /* hash of identifiers: index + 1, 0 free */
};

/* All that was seen, and stanzas to begin with. Puts seen[] in order. */
void can_scan_show(struct can_bus *c, struct can_scan *s);

#endif
