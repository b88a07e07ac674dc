/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_SENSOR_MAP_H
#define SCG_SENSOR_MAP_H

/*
 * The sensors of one device as its publisher knows them: from the journal's number to the names
 * under which the platform knows the sensor, also for sensors that are not configured any more but
 * still have readings in the journal. One thread.
 */

#include <stdint.h>

#include "journal.h"

struct known_sensor {
	uint32_t number;          /* the journal's */
	const char *slug;         /* NULL: none; belongs to the journal */
	const char *uuid;         /* NULL: none */
	int64_t refused_until_ns; /* monotonic: its history is not sent before; 0: never refused */
	int64_t refused_delay_ns; /* what the next refusal costs */
	int64_t delivered_ns;     /* monotonic: its last bulk upload; 0: none yet */
};

struct sensor_map;

struct sensor_map *sensor_map_new(struct journal *journal);
void sensor_map_free(struct sensor_map *map);
/* Index of the sensor, from 0 in the order of first use. Never fails. */
uint32_t sensor_map_index(struct sensor_map *map, uint32_t number);
/* Valid until the next sensor_map_index(). */
struct known_sensor *sensor_map_at(struct sensor_map *map, uint32_t index);

#endif
