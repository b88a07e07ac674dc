/* SPDX-License-Identifier: Apache-2.0 */
#include "dbc_private.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_CAPACITY 256u

/* Spreads the bits of a key (the finaliser of splitmix64). */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

uint64_t dbc_map_key(uint32_t number, const char *text, size_t size)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (size_t i = 0; i < size; i++) {
		hash = (hash ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
	}
	return hash ^ mix(number);
}

static void put(struct dbc_map *map, struct dbc_map_entry entry)
{
	uint32_t at = (uint32_t)mix(entry.key) & (map->capacity - 1);

	while (map->entries[at].index) {
		at = (at + 1) & (map->capacity - 1);
	}
	map->entries[at] = entry;
	map->n++;
}

int dbc_map_add(struct dbc_map *map, uint64_t key, uint32_t index)
{
	if (2 * map->n >= map->capacity) {
		struct dbc_map wider = {
			.capacity = map->capacity ? 2 * map->capacity : FIRST_CAPACITY};

		wider.entries = calloc(wider.capacity, sizeof(*wider.entries));
		if (!wider.entries) {
			return -ENOMEM;
		}
		for (uint32_t i = 0; i < map->capacity; i++) {
			if (map->entries[i].index) {
				put(&wider, map->entries[i]);
			}
		}
		free(map->entries);
		*map = wider;
	}
	put(map, (struct dbc_map_entry){key, index + 1});
	return 0;
}

uint32_t dbc_map_next(const struct dbc_map *map, uint64_t key, uint32_t *cursor)
{
	while (map->capacity > 0) {
		uint32_t at = ((uint32_t)mix(key) + *cursor) & (map->capacity - 1);

		if (!map->entries[at].index) {
			break;
		}
		(*cursor)++;
		if (map->entries[at].key == key) {
			return map->entries[at].index - 1;
		}
	}
	return DBC_NONE;
}

void dbc_map_free(struct dbc_map *map)
{
	free(map->entries);
	*map = (struct dbc_map){0};
}
