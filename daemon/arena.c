/* SPDX-License-Identifier: Apache-2.0 */
#include "arena.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/*
 * malloc() would keep the chunks: each one freed raises its threshold for returning memory. Under
 * the address sanitizer each allocation is one of malloc's, so that an overrun or a leak shows.
 */
#if defined(__SANITIZE_ADDRESS__)
#define USE_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define USE_MALLOC 1
#endif
#endif
#ifndef USE_MALLOC
#define USE_MALLOC 0
#endif

#define CHUNK_SIZE ((size_t)256 << 10)

struct chunk {
	struct chunk *next;
	size_t size; /* with this header */
	size_t used; /* with this header */
};

struct arena {
	struct chunk *chunks; /* the first one has room, the others are full */
};

static struct chunk *chunk_new(size_t room)
{
	struct chunk *chunk;
	size_t size;

	if (__builtin_add_overflow(room, sizeof(*chunk), &size)) {
		size = SIZE_MAX;
	}
	if (USE_MALLOC) {
		chunk = xcalloc(1, size);
	} else {
		size = MAX(size, CHUNK_SIZE);
		chunk = mmap(
			NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (chunk == MAP_FAILED) {
			(void)fputs("out of memory\n", stderr);
			abort();
		}
	}
	chunk->size = size;
	chunk->used = sizeof(*chunk);
	return chunk;
}

static void chunk_free(struct chunk *chunk)
{
	if (USE_MALLOC) {
		free(chunk);
	} else {
		(void)munmap(chunk, chunk->size); /* cannot fail for a whole mapping of ours */
	}
}

struct arena *arena_new(void)
{
	return xcalloc(1, sizeof(struct arena));
}

void arena_free(struct arena *a)
{
	struct chunk *next;

	if (!a) {
		return;
	}
	for (struct chunk *chunk = a->chunks; chunk; chunk = next) {
		next = chunk->next;
		chunk_free(chunk);
	}
	free(a);
}

static void *take(struct arena *a, size_t size, size_t align)
{
	struct chunk *chunk = a->chunks;
	size_t start = chunk ? (chunk->used + align - 1) & ~(align - 1) : 0;

	if (!chunk || start > chunk->size || size > chunk->size - start) {
		chunk = chunk_new(size);
		start = chunk->used;
		/* something large gets a chunk of its own, and the one in use goes on */
		if (a->chunks && size > CHUNK_SIZE / 4) {
			chunk->next = a->chunks->next;
			a->chunks->next = chunk;
		} else {
			chunk->next = a->chunks;
			a->chunks = chunk;
		}
	}
	chunk->used = start + size;
	return (char *)chunk + start;
}

void *arena_alloc(struct arena *a, size_t size)
{
	return take(a, size, _Alignof(union {
		int64_t i;
		double d;
		void *p;
	}));
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total)) {
		total = SIZE_MAX;
	}
	return arena_alloc(a, total);
}

static char *copy_text(struct arena *a, const char *s, size_t length)
{
	char *copy = take(a, length + 1, 1);

	memcpy(copy, s, length); /* the end is zero already */
	return copy;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	return copy_text(a, s, strnlen(s, n));
}

char *arena_strdup(struct arena *a, const char *s)
{
	return s ? copy_text(a, s, strlen(s)) : NULL;
}
