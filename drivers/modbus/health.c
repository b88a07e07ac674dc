/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <stdio.h>

#include "clock.h"
#include "request.h"

/*
 * What to do when an answer is not what was hoped for, so that a slave that is switched off, or a
 * register that does not exist, costs the others on the bus a bounded share of its time.
 *
 * A request that gets no answer is made a second time before anything fails: one may be lost. In
 * between the unit is asked for a single value. That tells a unit that is gone from one that does
 * not like the question, and on a serial line a late answer to the request from one to the next
 * (rtu.c). Until it answers it is asked only when no healthy one has something due, so that the
 * wait falls into the time that the others do not need. After three misses it rests, for an
 * interval at first and twice as long each time, and most of its requests then wait no longer than
 * answers are known to take.
 */

#define UNIT_REST_MIN_NS NS_PER_S
#define UNIT_REST_MAX_NS (60 * NS_PER_S)
/* A bus that is never idle would never ask a unit that is suspect. */
#define WAIT_MAX_NS (5 * NS_PER_S)
/* Room for an answer that takes longer than those before. */
#define LIMIT_FACTOR   4
#define LIMIT_EXTRA_NS (100 * NS_PER_MS)
/* Of the requests to a unit that rests, one in so many waits as long as the option says. */
#define FULL_PROBE 8u
/* A slave that is busy is asked again so soon, twice as late each time, and so often. */
#define BUSY_NS  (50 * NS_PER_MS)
#define BUSY_MAX 4u

static void fail_due(struct modbus_bus *b, uint32_t begin, uint32_t end, const char *reason)
{
	for (uint32_t i = begin; i < end; i++) {
		if (modbus_is_due(b, i)) {
			b->bus->host->fail(b->bus, b->sensors[i].sensor, reason);
		}
	}
}

static void fail_block(struct modbus_bus *b, const struct modbus_block *block, const char *reason)
{
	fail_due(b, block->begin, block->end, reason);
	modbus_plan_done(b, block);
}

static void describe_exception(
	const struct modbus_sensor *sensor, uint8_t code, const char *advice, char *text)
{
	(void)snprintf(text, MODBUS_REASON_MAX, "unit %u, %s %u: %s (exception %u)%s",
		sensor->area->unit->id, modbus_table_name(sensor->table), sensor->address,
		modbus_exception_name(code), code, advice);
}

static void describe_refusal(const struct modbus_sensor *sensor, uint8_t code, char *text)
{
	describe_exception(sensor, code, ": check table, register and type", text);
}

static void describe_unheard(const struct modbus_area *area, char *text)
{
	(void)snprintf(text, MODBUS_REASON_MAX,
		"unit %u: no answer when asked for any %s, but others are answered: check table",
		area->unit->id, modbus_table_name(area->table));
}

static bool is_resting(const struct modbus_unit *unit, int64_t now_ns)
{
	return unit->misses >= MODBUS_MISSES_TO_REST && now_ns < unit->rest_until_ns;
}

enum modbus_turn modbus_health_turn(
	struct modbus_bus *b, struct modbus_sensor *sensor, int64_t now_ns)
{
	struct modbus_unit *unit = sensor->area->unit;
	uint8_t refused;

	if (is_resting(unit, now_ns)) {
		b->bus->host->fail(b->bus, sensor->sensor, unit->reason);
		return TURN_FAILED;
	}
	if (now_ns < sensor->area->rest_until_ns) {
		char reason[MODBUS_REASON_MAX];

		describe_unheard(sensor->area, reason);
		b->bus->host->fail(b->bus, sensor->sensor, reason);
		return TURN_FAILED;
	}
	refused = modbus_learn_refused(sensor, now_ns);
	if (refused) {
		char reason[MODBUS_REASON_MAX];

		describe_refusal(sensor, refused, reason);
		b->bus->host->fail(b->bus, sensor->sensor, reason);
		return TURN_FAILED;
	}
	if (now_ns < unit->busy_until_ns) {
		return TURN_WAIT;
	}
	if (unit->misses == 0) {
		return TURN_NOW;
	}
	if (unit->waiting_ns == 0) {
		unit->waiting_ns = now_ns;
	}
	return now_ns - unit->waiting_ns < WAIT_MAX_NS ? TURN_LATER : TURN_NOW;
}

/* As long as answers take, with room; 0 if nothing is known. */
static int64_t expected_ns(const struct modbus_bus *b, const struct modbus_unit *unit)
{
	int64_t turn_ns = unit->turn_max_ns;

	if (turn_ns == 0 && unit->misses > 0) {
		turn_ns = b->turn_max_ns; /* it never answered: like the others, perhaps */
	}
	return turn_ns ? LIMIT_FACTOR * turn_ns + LIMIT_EXTRA_NS : 0;
}

int64_t modbus_health_limit_ns(const struct modbus_bus *b, const struct modbus_unit *unit)
{
	int64_t timeout_ns = b->bus->options[BUS_RESPONSE_TIMEOUT].i;
	int64_t limit_ns = expected_ns(b, unit);

	if (unit->misses == 0 || limit_ns == 0 || unit->n_probes % FULL_PROBE == FULL_PROBE - 1) {
		return timeout_ns;
	}
	return limit_ns < timeout_ns ? limit_ns : timeout_ns;
}

int64_t modbus_health_quiet_ns(const struct modbus_bus *b, const struct modbus_unit *unit)
{
	int64_t timeout_ns = b->bus->options[BUS_RESPONSE_TIMEOUT].i;
	int64_t quiet_ns = expected_ns(b, unit);

	return quiet_ns && quiet_ns < timeout_ns ? quiet_ns : timeout_ns;
}

static void unit_rest(struct modbus_unit *unit, int64_t now_ns)
{
	int64_t most_ns = unit->interval_ns > UNIT_REST_MAX_NS ? unit->interval_ns
							       : UNIT_REST_MAX_NS;

	unit->rest_ns = unit->rest_ns ? 2 * unit->rest_ns : unit->interval_ns;
	if (unit->rest_ns < UNIT_REST_MIN_NS) {
		unit->rest_ns = UNIT_REST_MIN_NS;
	}
	if (unit->rest_ns > most_ns) {
		unit->rest_ns = most_ns;
	}
	unit->rest_until_ns = now_ns + unit->rest_ns;
	unit->n_probes++;
}

/* A request may be lost. If it is again, and the unit has answered a smaller one in between, that
   was no accident. */
static bool may_be_asked_again(
	struct modbus_bus *b, const struct modbus_block *block, int64_t now_ns)
{
	struct modbus_area *area = b->sensors[block->begin].area;

	if (modbus_learn_fruitless(b, block, now_ns) || area->lost == 0) {
		area->lost = block->count;
		return true;
	}
	area->lost = 0;
	return false;
}

/* The request has failed for good, and the unit with it if that was one too many. */
static void miss(
	struct modbus_bus *b, const struct modbus_block *block, const char *reason, int64_t now_ns)
{
	struct modbus_unit *unit = b->sensors[block->begin].area->unit;

	if (unit->misses < MODBUS_MISSES_TO_REST) {
		unit->misses++;
	}
	if (unit->misses < MODBUS_MISSES_TO_REST) {
		fail_block(b, block, reason);
		return;
	}
	unit_rest(unit, now_ns);
	(void)snprintf(unit->reason, sizeof(unit->reason), "%s; asked again every %g s", reason,
		(double)unit->rest_ns / (double)NS_PER_S);
	fail_due(b, unit->begin, unit->end, unit->reason);
	modbus_plan_done(b, block);
}

void modbus_health_silent(
	struct modbus_bus *b, const struct modbus_block *block, const char *what, int64_t now_ns)
{
	struct modbus_area *area = b->sensors[block->begin].area;
	struct modbus_unit *unit = area->unit;
	char reason[MODBUS_REASON_MAX];

	unit->waiting_ns = 0;
	if (modbus_learn_unheard(area, now_ns)) {
		describe_unheard(area, reason);
		fail_due(b, area->begin, area->end, reason);
		modbus_plan_done(b, block);
		return;
	}
	if (unit->misses == 0 && may_be_asked_again(b, block, now_ns)) {
		unit->misses = 1;
		return; /* what was due stays due */
	}
	(void)snprintf(reason, sizeof(reason), "unit %u: %s", unit->id, what);
	miss(b, block, reason, now_ns);
}

static void unit_answered(struct modbus_area *area)
{
	struct modbus_unit *unit = area->unit;

	area->is_heard = true;
	unit->n_answers++;
	unit->misses = 0;
	unit->rest_ns = 0;
	unit->n_probes = 0;
	unit->waiting_ns = 0;
}

/* True if the unit is asked again soon; false if it has been asked often enough. */
static bool unit_busy(struct modbus_unit *unit, int64_t now_ns)
{
	if (unit->n_busy >= BUSY_MAX) {
		return false;
	}
	unit->busy_until_ns = now_ns + (BUSY_NS << unit->n_busy);
	unit->n_busy++;
	return true;
}

void modbus_health_exception(
	struct modbus_bus *b, const struct modbus_block *block, uint8_t code, int64_t now_ns)
{
	struct modbus_sensor *first = &b->sensors[block->begin];
	struct modbus_unit *unit = first->area->unit;
	char reason[MODBUS_REASON_MAX];

	if (code == EXCEPTION_PATH || code == EXCEPTION_TARGET) {
		(void)snprintf(reason, sizeof(reason), "%s (exception %u)",
			modbus_exception_name(code), code);
		modbus_health_silent(b, block, reason, now_ns);
		return;
	}
	unit_answered(first->area);
	if (code == EXCEPTION_ACKNOWLEDGE || code == EXCEPTION_BUSY) {
		if (unit_busy(unit, now_ns)) {
			return; /* what was due stays due */
		}
	} else {
		unit->n_busy = 0;
	}
	if (code == EXCEPTION_ADDRESS || code == EXCEPTION_VALUE) {
		if (!modbus_learn_refusal(b, block, code, now_ns)) {
			describe_refusal(first, code, reason);
			fail_block(b, block, reason);
		}
		return;
	}
	describe_exception(first, code, code == EXCEPTION_FUNCTION ? ": check table" : "", reason);
	fail_block(b, block, reason);
}

void modbus_health_nonsense(struct modbus_bus *b, const struct modbus_block *block, int64_t now_ns)
{
	const struct modbus_sensor *first = &b->sensors[block->begin];
	char reason[MODBUS_REASON_MAX];

	first->area->unit->waiting_ns = 0;
	if (modbus_learn_fruitless(b, block, now_ns)) {
		return;
	}
	(void)snprintf(reason, sizeof(reason),
		"unit %u, %s %u: the answer bears another unit, function or length than the request",
		first->area->unit->id, modbus_table_name(first->table), first->address);
	/* On a serial line it costs as much as silence. */
	miss(b, block, reason, now_ns);
}

void modbus_health_good(
	struct modbus_bus *b, const struct modbus_block *block, int64_t turn_ns, int64_t now_ns)
{
	struct modbus_area *area = b->sensors[block->begin].area;
	struct modbus_unit *unit = area->unit;
	/* One that is late, perhaps because this machine is, is no measure. */
	int64_t most_ns = 2 * unit->turn_ns + NS_PER_MS;
	int64_t usual_ns = turn_ns < most_ns ? turn_ns : most_ns;

	if (block->count >= area->lost) {
		area->lost = 0;
	}
	unit_answered(area);
	unit->good = block->begin;
	unit->n_busy = 0;
	/* A mean over some ten answers, and a maximum that fades over some hundred. */
	unit->turn_ns += unit->turn_ns ? (usual_ns - unit->turn_ns) / 8 : turn_ns + 1;
	unit->turn_max_ns -= unit->turn_max_ns / 64;
	unit->turn_max_ns = turn_ns > unit->turn_max_ns ? turn_ns : unit->turn_max_ns;
	b->turn_max_ns = unit->turn_max_ns > b->turn_max_ns ? unit->turn_max_ns : b->turn_max_ns;
	modbus_learn_good(b, block, now_ns);
}
