/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_PLAN_H
#define SCG_PLAN_H

/*
 * What reading its sensors takes of a bus's time, as its driver says from the configuration alone.
 * Main thread only; touches no hardware.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util.h"

struct bus_config;

/* A transaction that is made again and again. */
struct plan_request {
	char *what; /* "unit 3, holding 100 to 131" */
	uint32_t n_sensors;
	int64_t interval_ns; /* above 0 */
	int64_t least_ns;    /* 0 or more */
	int64_t likely_ns;   /* not below least_ns */
};

struct plan {
	bool is_known; /* the driver has a plan() */
	char *link;    /* what goes after "at"; NULL: not said */
	char *advice;  /* what would help if the link is too slow; NULL: not said */
	struct plan_request *requests;
	size_t n, capacity;
	double least, likely; /* shares of the bus's time: 1 is all of it */
	int64_t shortest_ns;  /* interval; 0: no requests */
};

/* Asks the driver. The bus's options must be right, for the driver relies on them. */
void plan_make(const struct bus_config *config, struct plan *ret);
void plan_clear(struct plan *plan);

/* What would help a bus that needs too much. */
const char *plan_advice(const struct plan *plan);

/*
 * "1.7 s of every 1 s at 9600 baud, 8E1: a higher baud" of a share above 1: what is needed, of how
 * much. To be freed.
 */
char *plan_describe_excess(const struct plan *plan, double share);

#endif
