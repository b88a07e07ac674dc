/* SPDX-License-Identifier: Apache-2.0 */
#include "line_setup.h"

#include <errno.h>
#include <string.h>

#include "util.h"

/* [AP]: MODBUS Application Protocol Specification V1.1b3. */
#define MAX_REGISTERS 125
#define MAX_BITS      2000

enum { EXCEPTION_FUNCTION = 1, EXCEPTION_ADDRESS = 2, EXCEPTION_VALUE = 3 };

struct range {
	int64_t from, to;
};

/* "A-B", or "A" for both. */
static int parse_range(
	const char *text, int (*parse)(const char *text, int64_t *ret), struct range *ret_range)
{
	const char *dash = strchr(text, '-');
	_cleanup_(freep) char *first = xstrndup(text, dash ? (size_t)(dash - text) : strlen(text));
	struct range range;

	if (parse(first, &range.from) < 0 || parse(dash ? dash + 1 : first, &range.to) < 0 ||
		range.from < 0 || range.to < range.from) {
		return -EINVAL;
	}
	*ret_range = range;
	return 0;
}

static int set_refusal(struct line_setup *setup, uint8_t unit, struct range range)
{
	if (setup->n_refusals == LINE_REFUSALS_MAX) {
		return -EINVAL;
	}
	setup->refusals[setup->n_refusals++] = (struct line_refusal){
		.unit = unit, .first = (uint32_t)range.from, .last = (uint32_t)range.to};
	return 0;
}

/* What may differ from unit to unit, for units from..to. */
static int set_units(
	struct line_setup *setup, const char *key, const char *value, struct range units)
{
	bool is_time = strcmp(key, "delay") == 0 || strcmp(key, "dead") == 0;
	struct range range;

	if (parse_range(value, is_time ? parse_duration_ns : parse_i64, &range) < 0 ||
		units.to >= LINE_UNITS) {
		return -EINVAL;
	}
	if (strcmp(key, "refuse") == 0) {
		return set_refusal(setup, (uint8_t)units.from, range);
	}
	for (int64_t i = units.from; i <= units.to; i++) {
		struct line_unit *unit = &setup->units[i];

		if (strcmp(key, "delay") == 0) {
			unit->delay_min_ns = range.from;
			unit->delay_max_ns = range.to;
		} else if (strcmp(key, "dead") == 0) {
			unit->dead_from_ns = range.from;
			unit->dead_until_ns = range.to ? range.to : INT64_MAX;
		} else if (strcmp(key, "max") == 0) {
			unit->max_registers = (uint32_t)range.to;
		} else {
			return -EINVAL;
		}
	}
	return 0;
}

static int set_there(struct line_setup *setup, const char *value)
{
	int64_t n;

	if (parse_i64(value, &n) < 0 || n < 1 || n >= LINE_UNITS) {
		return -EINVAL;
	}
	for (int64_t i = 1; i <= n; i++) {
		setup->units[i].is_there = true;
	}
	return 0;
}

static int set(struct line_setup *setup, const char *key, const char *value)
{
	const char *dot = strchr(key, '.');
	struct range units = {0, LINE_UNITS - 1};

	if (dot) {
		_cleanup_(freep) char *name = xstrndup(key, (size_t)(dot - key));

		return parse_range(dot + 1, parse_i64, &units) < 0
			       ? -EINVAL
			       : set_units(setup, name, value, units);
	}
	if (strcmp(key, "link") == 0) {
		setup->link = value;
		return 0;
	}
	if (strcmp(key, "record") == 0) {
		setup->record = value;
		return 0;
	}
	if (strcmp(key, "port") == 0) {
		return parse_i64(value, &setup->port);
	}
	if (strcmp(key, "server") == 0) {
		return parse_i64(value, &setup->server);
	}
	if (strcmp(key, "baud") == 0) {
		return parse_i64(value, &setup->baud);
	}
	if (strcmp(key, "timeout") == 0) {
		return parse_duration_ns(value, &setup->timeout_ns);
	}
	if (strcmp(key, "realtime") == 0) {
		return parse_bool(value, &setup->realtime);
	}
	if (strcmp(key, "units") == 0) {
		return set_there(setup, value);
	}
	return set_units(setup, key, value, units);
}

int line_setup_parse(struct line_setup *setup, char **arguments, const char **ret_bad)
{
	*setup = (struct line_setup){.realtime = true};
	for (size_t i = 0; i < LINE_UNITS; i++) {
		setup->units[i].max_registers = MAX_REGISTERS;
	}
	for (char **argument = arguments; *argument; argument++) {
		char *value = strchr(*argument, '=');
		_cleanup_(freep) char *key = xstrndup(
			*argument, value ? (size_t)(value - *argument) : 0);

		if (!value || set(setup, key, value + 1) < 0) {
			*ret_bad = *argument;
			return -EINVAL;
		}
	}
	if ((setup->link != NULL) + (setup->port > 0) + (setup->server > 0) != 1 ||
		MAX(setup->port, setup->server) > UINT16_MAX || setup->baud < 0 ||
		(!setup->port && !setup->baud)) {
		*ret_bad = "link, server or port, and baud but for a port";
		return -EINVAL;
	}
	return 0;
}

uint8_t line_setup_exception(const struct line_setup *setup, uint8_t unit, uint8_t function,
	uint32_t address, uint32_t count)
{
	bool is_bits = function <= 2;

	if (function < 1 || function > 4) {
		return EXCEPTION_FUNCTION;
	}
	if (count < 1 || count > (is_bits ? MAX_BITS : setup->units[unit].max_registers)) {
		return EXCEPTION_VALUE;
	}
	for (size_t i = 0; i < setup->n_refusals; i++) {
		const struct line_refusal *refusal = &setup->refusals[i];

		if (refusal->unit == unit && refusal->first < address + count &&
			address <= refusal->last) {
			return EXCEPTION_ADDRESS;
		}
	}
	return 0;
}

bool line_setup_is_silent(const struct line_setup *setup, uint8_t unit, int64_t since_start_ns)
{
	const struct line_unit *u = &setup->units[unit];

	return !u->is_there ||
	       (since_start_ns >= u->dead_from_ns && since_start_ns < u->dead_until_ns);
}
