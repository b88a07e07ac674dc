/* SPDX-License-Identifier: Apache-2.0 */
#include "sensor_map.h"

#include <string.h>

#include "util.h"

#define EMPTY UINT32_MAX

struct sensor_map {
	struct journal *journal;
	struct known_sensor *sensors;
	uint32_t n, capacity;
	uint32_t *slots; /* hash table of indexes; open addressing, never more than half full */
	uint32_t n_slots;
	uint32_t last; /* readings come in the order of the last round, so the next is mostly last +
			  1 */
};

static uint32_t find_slot(const struct sensor_map *map, uint32_t number)
{
	uint32_t slot = (number * 2654435761u) & (map->n_slots - 1);

	while (map->slots[slot] != EMPTY && map->sensors[map->slots[slot]].number != number) {
		slot = (slot + 1) & (map->n_slots - 1);
	}
	return slot;
}

static void resize(struct sensor_map *map, uint32_t n_slots)
{
	free(map->slots);
	map->slots = xmalloc(n_slots * sizeof(*map->slots));
	memset(map->slots, 0xff, n_slots * sizeof(*map->slots));
	map->n_slots = n_slots;
	for (uint32_t i = 0; i < map->n; i++) {
		map->slots[find_slot(map, map->sensors[i].number)] = i;
	}
}

struct sensor_map *sensor_map_new(struct journal *journal)
{
	struct sensor_map *map = xcalloc(1, sizeof(*map));

	map->journal = journal;
	resize(map, 64);
	return map;
}

void sensor_map_free(struct sensor_map *map)
{
	if (!map) {
		return;
	}
	free(map->sensors);
	free(map->slots);
	free(map);
}

uint32_t sensor_map_index(struct sensor_map *map, uint32_t number)
{
	uint32_t slot;

	if (map->last + 1 < map->n && map->sensors[map->last + 1].number == number) {
		return ++map->last;
	}
	slot = find_slot(map, number);
	if (map->slots[slot] == EMPTY) {
		if (2 * (map->n + 1) > map->n_slots) {
			resize(map, 2 * map->n_slots);
			slot = find_slot(map, number);
		}
		GROW(map->sensors, map->n, map->capacity);
		map->sensors[map->n] = (struct known_sensor){.number = number};
		/* an unknown number leaves both names NULL: nothing can be sent for it */
		(void)journal_sensor_names(map->journal, number, &map->sensors[map->n].slug,
			&map->sensors[map->n].uuid);
		map->slots[slot] = map->n++;
	}
	map->last = map->slots[slot];
	return map->last;
}

struct known_sensor *sensor_map_at(struct sensor_map *map, uint32_t index)
{
	return &map->sensors[index];
}
