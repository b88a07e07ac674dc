/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAN_POOL_H
#define CAN_POOL_H

/*
 * Memory for many small things that live and end together. One owner, no lock.
 */

#include <stddef.h>

struct pool {
	struct pool_block *last; /* NULL: nothing allocated */
};

/* Zeroed, aligned for anything that a DBC consists of; NULL when memory is short. */
void *pool_alloc(struct pool *pool, size_t size);
/* A copy of `size` bytes, and a NUL behind them. */
char *pool_text(struct pool *pool, const char *text, size_t size);
void pool_free(struct pool *pool);

#endif
