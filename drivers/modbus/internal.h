/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODBUS_INTERNAL_H
#define MODBUS_INTERNAL_H

/*
 * The inside of the Modbus driver: what it remembers of a bus, of its units and of
 * its sensors. modbus.c calls plan.c for what to ask next, a transport to ask it, and health.c when
 * the answer is not what was hoped for.
 *
 * Citations: [AP] MODBUS Application Protocol Specification V1.1b3, [TCP] MODBUS Messaging on
 * TCP/IP Implementation Guide V1.0b.
 */

#include <stdbool.h>

#include "options.h"
#include "sensocan-driver.h"
#include "value.h"

#define MODBUS_PDU_MAX        253u /* [AP] 4.1 */
#define MODBUS_MISSES_TO_REST 3    /* then a unit is asked more rarely */
#define MODBUS_REASON_MAX     160

/* One slave. Its sensors are sensors[begin..end) of the bus. */
struct modbus_unit {
	uint32_t begin, end;
	int64_t rest_until_ns; /* monotonic: not asked before, once `misses` says so */
	int64_t rest_ns;
	uint32_t misses; /* requests without an answer since the last answer */
	uint8_t id;
	char reason[MODBUS_REASON_MAX]; /* why it rests */
};

/* One sensor as the wire sees it. */
struct modbus_sensor {
	struct scg_sensor *sensor;
	struct modbus_unit *unit;
	uint32_t address, end; /* registers or bits [address, end) of the table */
	uint32_t due;          /* equals modbus_bus.generation if due in this call of poll() */
	uint8_t table;
	struct modbus_value value;
	/* No request crosses the border between the sensor before and this one until then. */
	int64_t cut_until_ns;
	/* The slave refuses it even alone: asked alone and rarely, its neighbours without it. */
	uint8_t refused; /* the exception code, 0: it does not */
	int64_t rest_until_ns;
	int64_t rest_ns;
};

struct modbus_transport;

struct modbus_bus {
	struct scg_bus *bus;
	const struct modbus_transport *transport;
	void *link;                    /* the transport's */
	struct modbus_sensor *sensors; /* sorted by unit, table, address */
	uint32_t n_sensors;
	struct modbus_unit *units;
	uint32_t n_units;
	uint32_t generation;
	uint32_t max_registers, max_bits, max_gap; /* max_gap in registers */
};

/* One request: reads `count` from `address`, for those of sensors[begin..end) that are due. */
struct modbus_block {
	uint32_t begin, end;
	uint32_t address, count;
};

/* Fills b->sensors and b->units from b->bus. 0 or -ENOMEM; modbus_plan_free() in either case. */
int modbus_plan_new(struct modbus_bus *b);
void modbus_plan_free(struct modbus_bus *b);
/* Begins a call of poll(): nothing is due. */
void modbus_plan_begin(struct modbus_bus *b);
/* The request to make for `first`, which is due, and for as many others as fit. */
struct modbus_block modbus_plan_block(
	const struct modbus_bus *b, const struct modbus_sensor *first, int64_t now_ns);
/* Makes requests stop somewhere within `block` for a time. False if it is one value alone. */
bool modbus_plan_split(struct modbus_bus *b, const struct modbus_block *block, int64_t now_ns);

/* If `sensor` is not to be asked now: fails it and returns true. */
bool modbus_health_skip(struct modbus_bus *b, struct modbus_sensor *sensor, int64_t now_ns);
/* The unit did not answer, or not so that one could read it; `what` says so ("no answer within
   1 s"). */
void modbus_health_silent(
	struct modbus_bus *b, const struct modbus_block *block, const char *what, int64_t now_ns);
/* The unit answered with an exception. True if it may take the same in smaller requests: the next
   plan makes them smaller. */
bool modbus_health_exception(
	struct modbus_bus *b, const struct modbus_block *block, uint8_t code, int64_t now_ns);
/* The answer was none to the question. */
void modbus_health_nonsense(struct modbus_bus *b, const struct modbus_block *block);
/* The answer was good. */
void modbus_health_good(struct modbus_bus *b, const struct modbus_block *block);

#endif
