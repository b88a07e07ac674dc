/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <stdio.h>

/*
 * What to do when an answer is not what was hoped for, so that a slave that is switched off, or a
 * register that does not exist, costs the others on the bus a bounded share of its time.
 */

#define NS_PER_S            INT64_C(1000000000)
#define UNIT_REST_MIN_NS    NS_PER_S
#define UNIT_REST_MAX_NS    (60 * NS_PER_S)
#define REFUSED_REST_NS     (10 * NS_PER_S)
#define REFUSED_REST_MAX_NS (600 * NS_PER_S)

/* [AP] 7 */
enum {
	EXCEPTION_FUNCTION = 1,
	EXCEPTION_ADDRESS = 2,
	EXCEPTION_VALUE = 3,
	EXCEPTION_PATH = 10,
	EXCEPTION_TARGET = 11,
};

static const char *exception_name(uint8_t code)
{
	static const char *const names[] = {
		[1] = "illegal function",
		[2] = "illegal data address",
		[3] = "illegal data value",
		[4] = "device failure",
		[5] = "acknowledged, not ready yet",
		[6] = "device busy",
		[7] = "negative acknowledge",
		[8] = "memory parity error",
		[10] = "gateway path unavailable",
		[11] = "device behind the gateway does not answer",
	};

	return code < SCG_COUNT(names) && names[code] ? names[code] : "unknown exception";
}

static const char *table_name(uint8_t table)
{
	static const char *const names[] = {
		[TABLE_HOLDING] = "holding register",
		[TABLE_INPUT] = "input register",
		[TABLE_COIL] = "coil",
		[TABLE_DISCRETE] = "discrete input",
	};

	return names[table];
}

static void fail_due(struct modbus_bus *b, uint32_t begin, uint32_t end, const char *reason)
{
	for (uint32_t i = begin; i < end; i++) {
		if (b->sensors[i].due == b->generation) {
			b->bus->host->fail(b->bus, b->sensors[i].sensor, reason);
		}
	}
}

static void describe_exception(
	const struct modbus_sensor *sensor, uint8_t code, const char *advice, char *text)
{
	(void)snprintf(text, MODBUS_REASON_MAX, "unit %u, %s %u: %s (exception %u)%s",
		sensor->unit->id, table_name(sensor->table), sensor->address, exception_name(code),
		code, advice);
}

static void describe_refusal(const struct modbus_sensor *sensor, char *text)
{
	describe_exception(sensor, sensor->refused, ": check table, register and type", text);
}

bool modbus_health_skip(struct modbus_bus *b, struct modbus_sensor *sensor, int64_t now_ns)
{
	const struct modbus_unit *unit = sensor->unit;

	if (unit->misses >= MODBUS_MISSES_TO_REST && now_ns < unit->rest_until_ns) {
		b->bus->host->fail(b->bus, sensor->sensor, unit->reason);
		return true;
	}
	if (sensor->refused && now_ns < sensor->rest_until_ns) {
		char reason[MODBUS_REASON_MAX];

		describe_refusal(sensor, reason);
		b->bus->host->fail(b->bus, sensor->sensor, reason);
		return true;
	}
	return false;
}

static void unit_rest(struct modbus_unit *unit, int64_t interval_ns, int64_t now_ns)
{
	int64_t most_ns = interval_ns > UNIT_REST_MAX_NS ? interval_ns : UNIT_REST_MAX_NS;

	unit->rest_ns = unit->rest_ns ? 2 * unit->rest_ns : interval_ns;
	if (unit->rest_ns < UNIT_REST_MIN_NS) {
		unit->rest_ns = UNIT_REST_MIN_NS;
	}
	if (unit->rest_ns > most_ns) {
		unit->rest_ns = most_ns;
	}
	unit->rest_until_ns = now_ns + unit->rest_ns;
}

void modbus_health_silent(
	struct modbus_bus *b, const struct modbus_block *block, const char *what, int64_t now_ns)
{
	struct modbus_sensor *first = &b->sensors[block->begin];
	struct modbus_unit *unit = first->unit;

	if (unit->misses < MODBUS_MISSES_TO_REST) {
		unit->misses++;
	}
	if (unit->misses < MODBUS_MISSES_TO_REST) {
		char reason[MODBUS_REASON_MAX];

		(void)snprintf(reason, sizeof(reason), "unit %u: %s", unit->id, what);
		fail_due(b, block->begin, block->end, reason);
		return;
	}
	unit_rest(unit, first->sensor->interval_ns, now_ns);
	(void)snprintf(unit->reason, sizeof(unit->reason), "unit %u: %s; asked again every %g s",
		unit->id, what, (double)unit->rest_ns / (double)NS_PER_S);
	fail_due(b, unit->begin, unit->end, unit->reason);
}

static void unit_answered(struct modbus_unit *unit)
{
	unit->misses = 0;
	unit->rest_ns = 0;
}

static void sensor_refused(
	struct modbus_bus *b, struct modbus_sensor *sensor, uint8_t code, int64_t now_ns)
{
	char reason[MODBUS_REASON_MAX];

	sensor->refused = code;
	sensor->rest_ns = sensor->rest_ns ? 2 * sensor->rest_ns : REFUSED_REST_NS;
	if (sensor->rest_ns > REFUSED_REST_MAX_NS) {
		sensor->rest_ns = REFUSED_REST_MAX_NS;
	}
	sensor->rest_until_ns = now_ns + sensor->rest_ns;
	describe_refusal(sensor, reason);
	b->bus->host->fail(b->bus, sensor->sensor, reason);
}

bool modbus_health_exception(
	struct modbus_bus *b, const struct modbus_block *block, uint8_t code, int64_t now_ns)
{
	struct modbus_sensor *first = &b->sensors[block->begin];
	char reason[MODBUS_REASON_MAX];

	if (code == EXCEPTION_PATH || code == EXCEPTION_TARGET) {
		(void)snprintf(
			reason, sizeof(reason), "%s (exception %u)", exception_name(code), code);
		modbus_health_silent(b, block, reason, now_ns);
		return false;
	}
	unit_answered(first->unit);
	if (code == EXCEPTION_ADDRESS || code == EXCEPTION_VALUE) {
		if (modbus_plan_split(b, block, now_ns)) {
			return true;
		}
		sensor_refused(b, first, code, now_ns);
		return false;
	}
	describe_exception(first, code, code == EXCEPTION_FUNCTION ? ": check table" : "", reason);
	fail_due(b, block->begin, block->end, reason);
	return false;
}

void modbus_health_nonsense(struct modbus_bus *b, const struct modbus_block *block)
{
	const struct modbus_sensor *first = &b->sensors[block->begin];
	char reason[MODBUS_REASON_MAX];

	(void)snprintf(reason, sizeof(reason),
		"unit %u, %s %u: the answer bears another unit, function or length than the request",
		first->unit->id, table_name(first->table), first->address);
	fail_due(b, block->begin, block->end, reason);
}

void modbus_health_good(struct modbus_bus *b, const struct modbus_block *block)
{
	struct modbus_sensor *first = &b->sensors[block->begin];

	unit_answered(first->unit);
	/* A refused sensor is always asked alone. */
	if (first->refused) {
		first->refused = 0;
		first->rest_ns = 0;
	}
}
