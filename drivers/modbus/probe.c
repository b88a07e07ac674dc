/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request.h"
#include "tools.h"

enum {
	PROBE_UNIT,
	PROBE_TABLE,
	PROBE_REGISTER,
	PROBE_COUNT,
	PROBE_EXPECT,
	PROBE_TOLERANCE,
	N_PROBE_OPTIONS
};

static const struct scg_option options_table[N_PROBE_OPTIONS] = {
	[PROBE_UNIT] = {.name = "unit",
		.type = SCG_INT,
		.fallback = "1",
		.max = 255,
		.help = "Unit id of the slave."},
	[PROBE_TABLE] = {.name = "table",
		.type = SCG_CHOICE,
		.fallback = "holding",
		.choices = modbus_tables,
		.help = "Which of the slave's tables."},
	[PROBE_REGISTER] = {.name = "register",
		.type = SCG_INT,
		.flags = SCG_REQUIRED,
		.max = MODBUS_ADDRESSES - 1,
		.help = "The first register to show, from 0, as on the wire: a manual's 40001 is "
			"holding register 0."},
	[PROBE_COUNT] = {.name = "count",
		.type = SCG_INT,
		.fallback = "8",
		.min = 1,
		.max = PROBE_REGISTERS_MAX,
		.unit = "registers",
		.help = "How many registers to show."},
	[PROBE_EXPECT] = {.name = "expect",
		.type = SCG_NUMBER,
		.fallback = "0",
		.min = -1e15,
		.max = 1e15,
		.help = "The number that the device's display shows: finds which registers, type, "
			"order and scale give it. 0 looks for nothing."},
	[PROBE_TOLERANCE] = {.name = "tolerance",
		.type = SCG_NUMBER,
		.fallback = "0",
		.max = 1e15,
		.help = "How far off that number may be, beyond its last digit: it may change "
			"between the look at the display and the probe."},
};

bool modbus_probe_has(const struct modbus_probe *p, uint32_t i, struct modbus_value value)
{
	uint32_t end = i + modbus_value_width(value);

	for (uint32_t at = i; at < end; at++) {
		if (at >= p->count || !p->is_there[at]) {
			return false;
		}
	}
	return true;
}

bool modbus_probe_value(
	const struct modbus_probe *p, uint32_t i, struct modbus_value value, double *ret)
{
	return modbus_probe_has(p, i, value) &&
	       modbus_value_decode(&value, p->data + (size_t)2 * i, ret) == 0;
}

void modbus_probe_stanza(struct scg_bus *bus, const struct modbus_probe *p, uint32_t i,
	const char *type, const char *order, double scale)
{
	const struct scg_host *host = bus->host;
	char more[64] = "";

	if (!modbus_is_bit_table(p->table)) {
		(void)snprintf(more, sizeof(more), ", type: %s, order: %s", type, order);
	}
	host->tell(bus, SCG_TELL_STANZA, "- slug: unit_%u_register_%u", p->unit, p->address + i);
	host->tell(bus, SCG_TELL_STANZA, "  bus: %s", bus->name);
	host->tell(bus, SCG_TELL_STANZA, "  interval: 10s");
	host->tell(bus, SCG_TELL_STANZA, "  options: {unit: %u, table: %s, register: %u%s}",
		p->unit, modbus_tables[p->table], p->address + i, more);
	if (scale != 1) {
		host->tell(bus, SCG_TELL_STANZA, "  scale: %g", scale);
	}
}

/* Options against each other and the bus. */
static int check(struct scg_bus *bus, const union scg_value *options)
{
	int r = 0;

	if (options[PROBE_UNIT].i == 0 && bus->options[BUS_TRANSPORT].i != TRANSPORT_TCP) {
		bus->host->complain(bus, NULL, "unit",
			"0 is the broadcast address of a serial line: no slave answers");
		r = -EINVAL;
	}
	if (options[PROBE_REGISTER].i + options[PROBE_COUNT].i > (int64_t)MODBUS_ADDRESSES) {
		bus->host->complain(bus, NULL, "count",
			"the last register is %u: at most %u from %u", MODBUS_ADDRESSES - 1,
			(unsigned int)(MODBUS_ADDRESSES - options[PROBE_REGISTER].i),
			(unsigned int)options[PROBE_REGISTER].i);
		r = -EINVAL;
	}
	return r;
}

static int begin(struct modbus_bus *b, const union scg_value *options)
{
	struct modbus_probe *p;
	int r = check(b->bus, options);

	if (r < 0) {
		return r;
	}
	p = b->probe ? b->probe : malloc(sizeof(*p));
	if (!p) {
		return -ENOMEM;
	}
	*p = (struct modbus_probe){
		.unit = (uint8_t)options[PROBE_UNIT].i,
		.table = (uint8_t)options[PROBE_TABLE].i,
		.address = (uint32_t)options[PROBE_REGISTER].i,
		.count = (uint32_t)options[PROBE_COUNT].i,
		.expect = options[PROBE_EXPECT].d,
		.tolerance = options[PROBE_TOLERANCE].d,
	};
	b->probe = p;
	return 0;
}

/* What comes of an answer that is there. */
static void keep(struct modbus_probe *p, uint32_t i, uint32_t count, const uint8_t *data)
{
	for (uint32_t at = 0; at < count; at++) {
		uint8_t *two = p->data + (size_t)2 * (i + at);

		if (modbus_is_bit_table(p->table)) {
			two[0] = two[1] = data[at / 8] >> at % 8 & 1;
		} else {
			memcpy(two, data + (size_t)2 * at, 2);
		}
		p->is_there[i + at] = true;
	}
	p->n_there += count;
}

/* 0, the code of an exception, or a negative errno after saying why. */
static int read_registers(struct modbus_bus *b, uint32_t i, uint32_t count)
{
	struct modbus_probe *p = b->probe;
	int64_t timeout_ns = b->bus->options[BUS_RESPONSE_TIMEOUT].i;
	struct modbus_exchange x = {
		.request = modbus_request_read(p->table, p->address + i, count),
		.unit = p->unit,
		.is_trusted = true,
		.may_be_late = true,
		.limit_ns = timeout_ns,
		.quiet_ns = timeout_ns,
	};
	int code, r = b->transport->exchange(b->link, &x);

	if (r < 0) {
		return r;
	}
	if (r == MODBUS_STOPPED) {
		return -ECANCELED;
	}
	if (r == MODBUS_SILENT) {
		b->bus->host->tell(b->bus, SCG_TELL_RESULT, "unit %u: no answer within %g s",
			p->unit, (double)timeout_ns / 1e9);
		return -ETIMEDOUT;
	}
	code = r == MODBUS_ANSWERED ? modbus_request_judge(&x.request, &x.answer) : -EBADMSG;
	if (code == 0) {
		keep(p, i, count, x.answer.bytes + 2);
	}
	if (code < 0) {
		b->bus->host->tell(b->bus, SCG_TELL_RESULT, "unit %u: %s", p->unit,
			r == MODBUS_DAMAGED ? "no readable answer: noise, wrong line settings, or "
					      "two units with one id"
					    : "the answer bears another unit, function or length "
					      "than the request");
	}
	return code;
}

/* The slave says no: to these registers, or to anything of the kind. */
static int refuse(struct modbus_bus *b, int code)
{
	const struct modbus_probe *p = b->probe;
	const char *advice = code == EXCEPTION_FUNCTION ? ": try another table" : "";

	b->bus->host->tell(b->bus, SCG_TELL_RESULT, "unit %u, %s %u: %s (exception %d)%s", p->unit,
		modbus_table_name(p->table), p->address, modbus_exception_name((uint8_t)code), code,
		advice);
	return -ENXIO;
}

static bool is_refusal(int code)
{
	return code == EXCEPTION_ADDRESS || code == EXCEPTION_VALUE;
}

static int read_all(struct modbus_bus *b)
{
	struct modbus_probe *p = b->probe;
	int r = read_registers(b, 0, p->count);

	if (r == 0) {
		p->phase = PROBE_SHOW;
		return 1;
	}
	if (is_refusal(r) && p->count > 1) {
		p->phase = PROBE_READ_EACH;
		return 1;
	}
	return r < 0 ? r : refuse(b, r);
}

static int read_next(struct modbus_bus *b)
{
	struct modbus_probe *p = b->probe;
	const struct scg_host *host = b->bus->host;
	int r;

	host->tell(b->bus, SCG_TELL_PROGRESS, "refused as a whole, so one by one: %s %u, %u of %u",
		modbus_table_name(p->table), p->address + p->next, p->next + 1, p->count);
	r = read_registers(b, p->next, 1);
	if (r < 0) {
		return r;
	}
	if (r > 0 && !is_refusal(r)) {
		return refuse(b, r);
	}
	p->next++;
	if (p->next < p->count) {
		return 1;
	}
	if (p->n_there == 0) {
		host->tell(b->bus, SCG_TELL_RESULT,
			"unit %u has none of the %ss %u to %u, or does not give them one by one: "
			"try --count 2",
			p->unit, modbus_table_name(p->table), p->address,
			p->address + p->count - 1);
		return -ENXIO;
	}
	p->phase = PROBE_SHOW;
	p->next = 0;
	return 1;
}

/* Number of the first register that there is; one of them there is. */
static uint32_t first_there(const struct modbus_probe *p)
{
	uint32_t i = 0;

	while (i + 1 < p->count && !p->is_there[i]) {
		i++;
	}
	return i;
}

static int show_next(struct modbus_bus *b)
{
	struct modbus_probe *p = b->probe;

	if (modbus_probe_show(b->bus, p, p->next)) {
		p->next++;
		return 1;
	}
	if (modbus_is_bit_table(p->table)) {
		modbus_probe_stanza(b->bus, p, first_there(p), NULL, NULL, 1);
	} else if (p->expect != 0) {
		modbus_probe_expect(b->bus, p);
	} else {
		b->bus->host->tell(b->bus, SCG_TELL_RESULT,
			"\"-\" stands for what is hardly meant. If the device has a display, "
			"--expect finds what it shows.");
		modbus_probe_stanza(b->bus, p, first_there(p), "TYPE", "ORDER", 1);
	}
	return 0;
}

static int step(struct scg_bus *bus, const union scg_value *options, uint64_t number)
{
	struct modbus_bus *b = bus->data;
	int r = number == 0 ? begin(b, options) : 0;
	const struct modbus_probe *p = b->probe;

	if (r < 0) {
		return r;
	}
	if (!p) {
		return -ECANCELED; /* the bus was opened anew since the step before */
	}
	switch (p->phase) {
	case PROBE_READ_ALL:
		return read_all(b);
	case PROBE_READ_EACH:
		return read_next(b);
	default:
		return show_next(b);
	}
}

const struct scg_tool modbus_probe = {
	.options = options_table,
	.n_options = N_PROBE_OPTIONS,
	.step = step,
};
