/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAN_FILTER_H
#define CAN_FILTER_H

/*
 * Filters for the kernel, from the identifiers that are configured: what nobody wants costs nothing
 * here. The kernel takes CAN_RAW_FILTER_MAX of them; where there are more, some are merged, and let
 * through a little that nobody wants, but never keep out what somebody does.
 */

#include <linux/can.h>
#include <stddef.h>
#include <stdint.h>

#define FILTER_ANY_SOURCE (-1)

/* Data frames of one identifier. These are the filters that the kernel finds by a hash. */
struct can_filter filter_standard(uint32_t id);
struct can_filter filter_extended(uint32_t id);
/* Of a parameter group of SAE J1939, whatever the priority and the destination. */
struct can_filter filter_pgn(uint32_t pgn, int source);

/*
 * Makes at most `limit` of them, in place, no two of which let through the same. 0, -ENOMEM, or
 * -EINVAL for a limit below 2: standard and extended identifiers stay apart.
 */
int filter_merge(struct can_filter *filters, size_t n, size_t limit, size_t *ret_n);

#endif
