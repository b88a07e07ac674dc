/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_JOURNAL_SENSORS_H
#define SCG_JOURNAL_SENSORS_H

/*
 * The sensors that the journal has ever seen: number, device, slug and uuid, found by any of them
 * in constant time. No locks of its own.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More is not a configuration but a damaged table. */
#define SENSORS_MAX (1u << 20)

struct sensor_entry {
	uint32_t device;    /* its number; 0: there is no such sensor, only its number is taken */
	uint32_t db_number; /* in the file; 0: not there yet */
	bool dirty;         /* to be saved */
	const char *slug, *uuid; /* valid until sensor_table_clear(), even when replaced */
};

struct sensor_text;

/* Zeroed is empty. The number of entries[i] is i + 1. */
struct sensor_table {
	struct sensor_entry *entries;
	size_t n, capacity;
	uint32_t *index; /* open addressing: numbers, 0 is free; stale ones just do not match */
	size_t index_size, index_used;
	struct sensor_text *texts;
};

/* By uuid, else by slug among those that have no uuid; either may be NULL. 0: not there. */
uint32_t sensor_table_find(
	const struct sensor_table *t, uint32_t device, const char *slug, const char *uuid);
uint32_t sensor_table_add(
	struct sensor_table *t, uint32_t device, const char *slug, const char *uuid);
/* Gives it these names and no others. True if that changed anything. */
bool sensor_table_update(
	struct sensor_table *t, uint32_t number, const char *slug, const char *uuid);
/* Takes numbers up to this one, so that they are not given to new sensors. */
void sensor_table_reserve(struct sensor_table *t, uint32_t number);
void sensor_table_clear(struct sensor_table *t);

#endif
