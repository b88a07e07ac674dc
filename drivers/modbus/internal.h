/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODBUS_INTERNAL_H
#define MODBUS_INTERNAL_H

/*
 * The inside of the Modbus driver: what it remembers of a bus, of its units and of its sensors.
 * modbus.c asks plan.c what to ask next, and a transport to ask it; health.c judges what came of
 * it, and learn.c remembers what a slave does not like to be asked.
 *
 * Citations: [AP] MODBUS Application Protocol Specification V1.1b3, [TCP] MODBUS Messaging on
 * TCP/IP Implementation Guide V1.0b.
 */

#include <stdbool.h>

#include "options.h"
#include "sensocan-driver.h"
#include "value.h"
#include "wire.h"

#define MODBUS_PDU_MAX        253u /* [AP] 4.1 */
#define MODBUS_MISSES_TO_REST 3    /* then a unit is asked more rarely */
#define MODBUS_REASON_MAX     160

/* One slave. */
struct modbus_unit {
	uint32_t begin, end; /* its sensors are sensors[begin..end) of the bus */
	int64_t interval_ns; /* the shortest of its sensors */
	uint32_t n_answers;
	uint32_t good; /* the sensor that the last good answer began with, if there was an answer */
	uint32_t ping; /* the sensor that it is asked for alone while it is silent */
	uint32_t misses;       /* requests without an answer since the last answer */
	uint32_t n_probes;     /* of these, those since it rests */
	int64_t rest_until_ns; /* monotonic: not asked before, once `misses` says so */
	int64_t rest_ns;
	int64_t waiting_ns; /* since when it waits for its turn behind healthy ones; 0: does not */
	int64_t busy_until_ns; /* it said that it is busy: not asked before, and nothing failed */
	uint32_t n_busy;       /* how often in a row it said so */
	int64_t turn_ns;       /* how long its answers take, without the wire: mean; 0: not known */
	int64_t turn_max_ns;   /* and the longest of late */
	uint8_t id;
	char reason[MODBUS_REASON_MAX]; /* why it rests */
};

/* The sensors of one table of one unit: what can share requests. */
struct modbus_area {
	struct modbus_unit *unit;
	uint32_t begin, end; /* sensors[begin..end) of the bus */
	uint8_t table;
	bool is_stale;      /* the plan no longer holds */
	uint32_t n_planned; /* sensors that it covers */
	uint32_t n_due;     /* in this call of poll() */
	uint32_t lost;      /* registers or bits of a request that had no answer; 0: none */

	/* How much the slave takes in one request (learn.c). */
	bool is_limited;
	bool is_mute; /* it is silent when asked for more, where others refuse */
	uint16_t good,
		bad; /* the largest that it answered, the smallest that it refused; 0: none */
	uint8_t n_fruitless; /* requests for several values without an answer, one after another */
	int64_t limited_until_ns;
	uint32_t test; /* the sensor after the hole that has to be tried by itself; 0: none */

	/* Whether the slave knows the table: some are silent where others refuse. */
	bool is_heard;
	uint8_t n_unheard;
	uint32_t n_answers; /* of the unit, when this had none the last time */
	int64_t rest_until_ns, rest_ns;
};

enum modbus_cut { CUT_NONE, CUT_TRIAL, CUT_FIRM };

/* What was learned of a sensor, and of the border between the sensor before and this one. */
struct modbus_lesson {
	/* No request crosses the border until then. On trial it is until both sides of it were
	   answered, which proves that it was the border, or a smaller part was found guilty. */
	uint8_t cut;
	uint8_t cut_code; /* the exception; 0: none came */
	bool has_hole, left_good, right_good;
	bool is_moot; /* something else explains why it was made */
	int64_t cut_until_ns, cut_rest_ns;
	/* The slave refuses it even alone: asked alone and rarely, its neighbours without it. */
	uint8_t refused; /* the exception code, 0: it does not */
	int64_t rest_until_ns, rest_ns;
};

/* One sensor as the wire sees it. */
struct modbus_sensor {
	struct scg_sensor *sensor;
	struct modbus_area *area;
	struct modbus_lesson *lesson; /* NULL: none */
	uint32_t address, end;        /* registers or bits [address, end) of the table */
	uint32_t due; /* equals modbus_bus.generation if due in this call of poll() */
	uint32_t plan_begin, plan_end; /* sensors[plan_begin..plan_end) share a request; 0, 0: not
					  planned */
	struct modbus_value value;
	uint8_t table;
};

struct modbus_transport;

struct modbus_bus {
	struct scg_bus *bus;
	const struct modbus_transport *transport;
	void *link; /* the transport's */
	struct modbus_wire wire;
	struct modbus_sensor *sensors; /* sorted by unit, table, address */
	uint32_t n_sensors;
	struct modbus_area *areas;
	uint32_t n_areas;
	struct modbus_unit *units;
	uint32_t n_units;
	struct modbus_step *steps; /* room for planning the largest area */
	uint32_t generation;
	uint32_t max_registers, max_bits, max_gap; /* max_gap in registers */
	int64_t turn_max_ns;                       /* the longest of all units */
	struct modbus_probe *probe;                /* of the tool probe; freed with the bus */
	uint32_t n_found;                          /* units, by the tool scan */
};

/* One request: reads `count` from `address`, for those of sensors[begin..end) that are due. */
struct modbus_block {
	uint32_t begin, end;
	uint32_t address, count;
};

static inline bool modbus_is_due(const struct modbus_bus *b, uint32_t i)
{
	return b->sensors[i].due == b->generation;
}

/* --- plan.c --- */

/* Fills what `b` has from b->bus. 0 or -ENOMEM; modbus_plan_free() in either case. Writes nothing
   to the bus's sensors. */
int modbus_plan_new(struct modbus_bus *b);
void modbus_plan_free(struct modbus_bus *b);
/* Begins a call of poll(): nothing is due. */
void modbus_plan_begin(struct modbus_bus *b);
void modbus_plan_mark(struct modbus_bus *b, struct modbus_sensor *sensor);
/* The request that `first`, which is due, goes into. */
struct modbus_block modbus_plan_block(
	struct modbus_bus *b, const struct modbus_sensor *first, int64_t now_ns);
/* The request was made and answered, or will not be made again: these are no longer planned. */
void modbus_plan_done(struct modbus_bus *b, const struct modbus_block *block);
/* Time that a request takes as far as is known, with the unit's own. */
int64_t modbus_plan_cost_ns(
	const struct modbus_bus *b, const struct modbus_area *area, uint32_t count);

/* --- learn.c --- */

/* True if no request may hold both sensor `i` and the one before it. */
bool modbus_learn_is_border(const struct modbus_bus *b, uint32_t i, int64_t now_ns);
/* Most that one request may ask for in this table, of at most `most`. */
uint32_t modbus_learn_limit(struct modbus_area *area, uint32_t most, int64_t now_ns);
/* The next higher limit to plan with, if the longest request with `limit` is no longer than what
   the slave is known to take; `limit` if there is nothing to be found out. */
uint32_t modbus_learn_raise(const struct modbus_area *area, uint32_t limit, uint32_t longest);
/* The slave refused the request, with exception `code`, or 0 if it only never answers it. True if
   it may take the same in smaller ones: the next plan makes them smaller. False if it is one value
   alone, which is remembered. */
bool modbus_learn_refusal(
	struct modbus_bus *b, const struct modbus_block *block, uint8_t code, int64_t now_ns);
/* No answer to be used, from a unit that answers others. True as above. */
bool modbus_learn_fruitless(struct modbus_bus *b, const struct modbus_block *block, int64_t now_ns);
/* No answer at all. True if the table has never had one while the unit answers others: then it is
   asked more rarely. */
bool modbus_learn_unheard(struct modbus_area *area, int64_t now_ns);
void modbus_learn_good(struct modbus_bus *b, const struct modbus_block *block, int64_t now_ns);
/* True if a hole has to be tried by itself, by a request for that block, and
   modbus_learn_tested() be told whether it was answered. */
bool modbus_learn_has_test(
	const struct modbus_bus *b, const struct modbus_area *area, struct modbus_block *ret_block);
void modbus_learn_tested(
	struct modbus_bus *b, struct modbus_area *area, bool was_answered, int64_t now_ns);
/* The exception code with which the slave refuses the sensor alone, if it is not to be tried again
   yet; else 0. */
uint8_t modbus_learn_refused(const struct modbus_sensor *sensor, int64_t now_ns);

/* --- health.c --- */

enum modbus_turn {
	TURN_NOW,    /* ask */
	TURN_LATER,  /* only if there is nothing else: the unit may cost a time-out */
	TURN_WAIT,   /* stays due: the unit asked for patience */
	TURN_FAILED, /* was failed: it is not to be asked now */
};

/* Whether to ask for a sensor that is due. */
enum modbus_turn modbus_health_turn(
	struct modbus_bus *b, struct modbus_sensor *sensor, int64_t now_ns);
/* How long to wait for the unit's answer. */
int64_t modbus_health_limit_ns(const struct modbus_bus *b, const struct modbus_unit *unit);
/* How long a late answer of the unit may still come after that. */
int64_t modbus_health_quiet_ns(const struct modbus_bus *b, const struct modbus_unit *unit);
/* The unit did not answer, or not so that one could read it; `what` says so ("no answer within
   1 s"). */
void modbus_health_silent(
	struct modbus_bus *b, const struct modbus_block *block, const char *what, int64_t now_ns);
/* The unit answered with an exception. */
void modbus_health_exception(
	struct modbus_bus *b, const struct modbus_block *block, uint8_t code, int64_t now_ns);
/* The answer was none to the question. */
void modbus_health_nonsense(struct modbus_bus *b, const struct modbus_block *block, int64_t now_ns);
/* The answer was good, and took the unit that long. */
void modbus_health_good(
	struct modbus_bus *b, const struct modbus_block *block, int64_t turn_ns, int64_t now_ns);

#endif
