/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE 16384u
#define ALIGNMENT  8u

struct pool_block {
	struct pool_block *before;
	size_t size, used;
	_Alignas(ALIGNMENT) unsigned char data[];
};

void *pool_alloc(struct pool *pool, size_t size)
{
	struct pool_block *block = pool->last;
	size_t rounded;
	void *p;

	if (size > SIZE_MAX / 2) {
		return NULL;
	}
	rounded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (!block || block->size - block->used < rounded) {
		size_t wanted = rounded > BLOCK_SIZE ? rounded : BLOCK_SIZE;

		block = calloc(1, sizeof(*block) + wanted);
		if (!block) {
			return NULL;
		}
		block->size = wanted;
		block->before = pool->last;
		pool->last = block;
	}
	p = block->data + block->used;
	block->used += rounded;
	return p;
}

char *pool_text(struct pool *pool, const char *text, size_t size)
{
	char *copy = pool_alloc(pool, size + 1);

	if (copy) {
		memcpy(copy, text, size);
	}
	return copy;
}

void pool_free(struct pool *pool)
{
	while (pool->last) {
		struct pool_block *before = pool->last->before;

		free(pool->last);
		pool->last = before;
	}
}
