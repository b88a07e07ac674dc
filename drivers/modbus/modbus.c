/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "transport.h"

static int64_t clock_ns(clockid_t id)
{
	struct timespec now;

	(void)clock_gettime(id, &now); /* cannot fail for these clocks */
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void modbus_close(struct scg_bus *bus)
{
	struct modbus_bus *b = bus->data;

	if (b->link) {
		b->transport->close(b->link);
	}
	modbus_plan_free(b);
	free(b);
	bus->data = NULL;
}

static uint32_t max_gap(const struct scg_bus *bus)
{
	if (bus->options[BUS_MAX_GAP].i >= 0) {
		return (uint32_t)bus->options[BUS_MAX_GAP].i;
	}
	/* On TCP a register more is nearly free, a request more is not. */
	return bus->options[BUS_TRANSPORT].i == TRANSPORT_TCP ? MODBUS_READ_REGISTERS
							      : modbus_rtu_max_gap(bus);
}

static int modbus_open(struct scg_bus *bus)
{
	static const struct modbus_transport *const transports[] = {
		[TRANSPORT_TCP] = &modbus_tcp,
		[TRANSPORT_RTU] = &modbus_rtu,
		[TRANSPORT_RTU_TCP] = &modbus_rtu_tcp,
	};
	const union scg_value *options = bus->options;
	struct modbus_bus *b;
	int r;

	b = calloc(1, sizeof(*b));
	if (!b) {
		return -ENOMEM;
	}
	bus->data = b;
	b->bus = bus;
	b->transport = transports[options[BUS_TRANSPORT].i];
	b->max_registers = (uint32_t)options[BUS_MAX_REGISTERS].i;
	b->max_bits = (uint32_t)options[BUS_MAX_BITS].i;
	b->max_gap = max_gap(bus);
	r = modbus_plan_new(b);
	if (r == 0) {
		r = b->transport->open(bus, &b->link);
	}
	if (r < 0) {
		modbus_close(bus);
	}
	return r;
}

static uint8_t read_function(uint8_t table)
{
	/* [AP] 6.1 to 6.4 */
	static const uint8_t functions[] = {
		[TABLE_HOLDING] = 3,
		[TABLE_INPUT] = 4,
		[TABLE_COIL] = 1,
		[TABLE_DISCRETE] = 2,
	};

	return functions[table];
}

static struct modbus_pdu encode_request(uint8_t table, const struct modbus_block *block)
{
	return (struct modbus_pdu){
		.size = 5,
		.bytes = {read_function(table), (uint8_t)(block->address >> 8),
			(uint8_t)block->address, (uint8_t)(block->count >> 8),
			(uint8_t)block->count},
	};
}

/* Reports the sensor's value in the data of an answer, or why there is none. */
static void report_value(struct scg_bus *bus, const struct modbus_sensor *s,
	const struct modbus_block *block, const uint8_t *data, int64_t time_ns)
{
	uint32_t at = s->address - block->address;
	char problem[MODBUS_REASON_MAX / 2], reason[MODBUS_REASON_MAX];
	double value;
	int r;

	if (modbus_is_bit_table(s->table)) {
		/* The first bit is the lowest of the first byte, [AP] 6.1. */
		bus->host->report(bus, s->sensor, time_ns, data[at / 8] >> at % 8 & 1, SCG_GOOD);
		return;
	}
	data += 2 * (size_t)at;
	r = modbus_value_decode(&s->value, data, &value);
	if (r == 0) {
		bus->host->report(bus, s->sensor, time_ns, value, SCG_GOOD);
		return;
	}
	modbus_value_explain(&s->value, data, r, problem, sizeof(problem));
	(void)snprintf(reason, sizeof(reason), "unit %d, %s register %u: %s", s->unit->id,
		modbus_tables[s->table], s->address, problem);
	bus->host->fail(bus, s->sensor, reason);
}

static void report_block(
	struct modbus_bus *b, const struct modbus_block *block, const struct modbus_pdu *answer)
{
	struct scg_bus *bus = b->bus;
	int64_t time_ns = clock_ns(CLOCK_REALTIME);

	for (uint32_t i = block->begin; i < block->end; i++) {
		const struct modbus_sensor *s = &b->sensors[i];

		if (s->due == b->generation) {
			report_value(bus, s, block, answer->bytes + 2, time_ns);
		}
	}
}

/* `answer` is from the right unit and to the right request, says the transport. True if the same
   sensors have to be asked again, in smaller requests. */
static bool handle_answer(
	struct modbus_bus *b, const struct modbus_block *block, const struct modbus_pdu *answer)
{
	uint8_t table = b->sensors[block->begin].table;
	uint8_t function = read_function(table);
	uint32_t size = modbus_is_bit_table(table) ? (block->count + 7) / 8 : 2 * block->count;

	if (answer->size == 2 && answer->bytes[0] == (function | 0x80)) {
		return modbus_health_exception(
			b, block, answer->bytes[1], clock_ns(CLOCK_MONOTONIC));
	}
	if (answer->size == 2 + size && answer->bytes[0] == function && answer->bytes[1] == size) {
		modbus_health_good(b, block);
		report_block(b, block, answer);
	} else {
		modbus_health_nonsense(b, block);
	}
	return false;
}

/* Marks what is due and may be asked; returns the most urgent, or NULL. */
static struct modbus_sensor *mark_due(
	struct modbus_bus *b, struct scg_sensor *const *due, uint32_t n_due, int64_t now_ns)
{
	struct modbus_sensor *first = NULL;

	modbus_plan_begin(b);
	for (uint32_t i = 0; i < n_due; i++) {
		struct modbus_sensor *s = due[i]->data;

		if (modbus_health_skip(b, s, now_ns)) {
			continue;
		}
		s->due = b->generation;
		if (!first) {
			first = s;
		}
	}
	return first;
}

/* One request for `first` and what goes with it. 1 if it has to be made again, smaller; 0; or a
   negative errno if the link is gone. */
static int ask(struct modbus_bus *b, const struct modbus_sensor *first, int64_t now_ns)
{
	struct modbus_block block = modbus_plan_block(b, first, now_ns);
	int64_t timeout_ns = b->bus->options[BUS_RESPONSE_TIMEOUT].i;
	struct modbus_exchange x = {
		.request = encode_request(first->table, &block),
		.unit = first->unit->id,
		.is_trusted = first->unit->misses == 0,
		.limit_ns = timeout_ns,
		.quiet_ns = timeout_ns,
	};
	char silence[MODBUS_REASON_MAX];
	int r = b->transport->exchange(b->link, &x);

	if (r < 0) {
		return r;
	}
	switch (r) {
	case MODBUS_ANSWERED:
		return handle_answer(b, &block, &x.answer);
	case MODBUS_SILENT:
		(void)snprintf(silence, sizeof(silence), "no answer within %g s",
			(double)timeout_ns / 1e9);
		modbus_health_silent(b, &block, silence, clock_ns(CLOCK_MONOTONIC));
		return 0;
	case MODBUS_DAMAGED:
		modbus_health_silent(b, &block,
			"no readable answer: noise, wrong line settings, "
			"or two units with one id",
			clock_ns(CLOCK_MONOTONIC));
		return 0;
	case MODBUS_NONSENSE:
		modbus_health_nonsense(b, &block);
		return 0;
	default: /* stopped: nothing is known, what was due stays due */
		return 0;
	}
}

static int modbus_poll(struct scg_bus *bus, struct scg_sensor *const *due, uint32_t n_due)
{
	struct modbus_bus *b = bus->data;
	int64_t now_ns = clock_ns(CLOCK_MONOTONIC);
	const struct modbus_sensor *first = mark_due(b, due, n_due, now_ns);
	int r = 1;

	/* Each turn makes the request smaller, down to one value. */
	while (first && r > 0 && !bus->host->stopping(bus)) {
		r = ask(b, first, now_ns);
	}
	return r < 0 ? r : 0;
}

const struct scg_driver scg_driver_1 = {
	.abi = SCG_ABI_LEVEL,
	.name = "modbus",
	.version = DRIVER_VERSION,
	.summary = "Modbus slaves on serial lines and over TCP",
	.bus_options = modbus_bus_options,
	.sensor_options = modbus_sensor_options,
	.n_bus_options = N_BUS_OPTIONS,
	.n_sensor_options = N_SENSOR_OPTIONS,
	.check = modbus_check,
	.open = modbus_open,
	.poll = modbus_poll,
	.close = modbus_close,
};
