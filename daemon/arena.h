/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_ARENA_H
#define SCG_ARENA_H

/*
 * Memory that is given back all at once: a YAML tree, a configuration. Comes from the kernel in
 * whole chunks and returns there when the arena is freed, so that a large file costs nothing once
 * it is read. One thread at a time. Not for anything that grows while the gateway runs.
 */

#include <stddef.h>

#include "util.h"

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *a);
DEFINE_CLEANUP(struct arena *, arena_free)

/* Zeroed memory, aligned for pointers and numbers. Never NULL: the process aborts. */
void *arena_alloc(struct arena *a, size_t size);
/* The same for `n` elements; an overflow of n * size aborts. */
void *arena_array(struct arena *a, size_t n, size_t size);
char *arena_strdup(struct arena *a, const char *s); /* NULL stays NULL */
char *arena_strndup(struct arena *a, const char *s, size_t n);

#endif
