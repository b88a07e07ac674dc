/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "request.h"
#include "tools.h"
#include "transport.h"

/* Between looks at a unit that is busy, if there is nothing else to do. */
#define WAIT_NS (10 * NS_PER_MS)

static void modbus_close(struct scg_bus *bus)
{
	struct modbus_bus *b = bus->data;

	if (b->link) {
		b->transport->close(b->link);
	}
	for (uint32_t i = 0; i < bus->n_sensors; i++) {
		bus->sensors[i]->data = NULL;
	}
	modbus_plan_free(b);
	free(b->probe);
	free(b);
	bus->data = NULL;
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
	r = modbus_plan_new(b);
	if (r == 0) {
		for (uint32_t i = 0; i < b->n_sensors; i++) {
			b->sensors[i].sensor->data = &b->sensors[i];
		}
		r = b->transport->open(bus, &b->link);
	}
	if (r < 0) {
		modbus_close(bus);
	}
	return r;
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
	(void)snprintf(reason, sizeof(reason), "unit %d, %s register %u: %s", s->area->unit->id,
		modbus_tables[s->table], s->address, problem);
	bus->host->fail(bus, s->sensor, reason);
}

static void report_block(
	struct modbus_bus *b, const struct modbus_block *block, const struct modbus_pdu *answer)
{
	struct scg_bus *bus = b->bus;
	int64_t time_ns = modbus_clock_ns(CLOCK_REALTIME);

	for (uint32_t i = block->begin; i < block->end; i++) {
		const struct modbus_sensor *s = &b->sensors[i];

		if (modbus_is_due(b, i)) {
			report_value(bus, s, block, answer->bytes + 2, time_ns);
		}
	}
}

/* The answer is from the right unit and to the right request, says the transport. */
static void handle_answer(struct modbus_bus *b, const struct modbus_block *block,
	const struct modbus_exchange *x, int64_t now_ns)
{
	int r = modbus_request_judge(&x->request, &x->answer);

	if (r > 0) {
		modbus_health_exception(b, block, (uint8_t)r, now_ns);
	} else if (r == 0) {
		modbus_health_good(b, block, x->turn_ns, now_ns);
		report_block(b, block, &x->answer);
		modbus_plan_done(b, block);
	} else {
		modbus_health_nonsense(b, block, now_ns);
	}
}

static int exchange(struct modbus_bus *b, const struct modbus_area *area,
	const struct modbus_block *block, struct modbus_exchange *ret)
{
	const struct modbus_unit *unit = area->unit;

	*ret = (struct modbus_exchange){
		.request = modbus_request_read(area->table, block->address, block->count),
		.unit = unit->id,
		.is_trusted = unit->misses == 0,
		.may_be_late = unit->misses == 0 && unit->turn_ns > 0,
		.limit_ns = modbus_health_limit_ns(b, unit),
		.quiet_ns = modbus_health_quiet_ns(b, unit),
	};
	return b->transport->exchange(b->link, ret);
}

/* The request that tells whether a hole is refused; nobody waits for its values. */
static int ask_test(
	struct modbus_bus *b, struct modbus_area *area, const struct modbus_block *block)
{
	struct modbus_exchange x;
	int r = exchange(b, area, block, &x);

	if (r >= 0 && r != MODBUS_STOPPED) {
		modbus_learn_tested(b, area,
			r == MODBUS_ANSWERED && modbus_request_judge(&x.request, &x.answer) == 0,
			modbus_now_ns());
	}
	return r < 0 ? r : 0;
}

/*
 * The sensor to ask for alone if this request gets no answer: one that was answered before. On a
 * serial line its answer must not look like the one that is missing, or it would have to wait until
 * that cannot come any more (rtu.c): then it is the first of the request, whose value is the same
 * in both.
 */
static uint32_t choose_ping(const struct modbus_bus *b, const struct modbus_block *block)
{
	const struct modbus_sensor *first = &b->sensors[block->begin];
	const struct modbus_unit *unit = first->area->unit;
	const struct modbus_sensor *good = &b->sensors[unit->good];
	bool is_bits = modbus_is_bit_table(first->table);
	bool looks_alike = good->table == first->table &&
			   modbus_data_size(is_bits, good->end - good->address) ==
				   modbus_data_size(is_bits, block->count);

	return unit->turn_ns == 0 || looks_alike ? block->begin : unit->good;
}

/* What to ask for `first`. A unit that does not answer gets the smallest question that there is,
   always the same: if it answers that, it was the question that it did not like. On TCP, where no
   answer is taken for another's, the same is asked a second time before. */
static struct modbus_block find_block(
	struct modbus_bus *b, const struct modbus_sensor *first, int64_t now_ns)
{
	uint32_t enough = b->transport == &modbus_tcp ? 1 : 0;
	struct modbus_unit *unit = first->area->unit;
	struct modbus_block block;

	if (unit->misses > enough) {
		const struct modbus_sensor *s = &b->sensors[unit->ping];

		s->area->is_stale = true; /* the plan has it in a larger one */
		return (struct modbus_block){
			unit->ping, unit->ping + 1, s->address, s->end - s->address};
	}
	block = modbus_plan_block(b, first, now_ns);
	if (unit->misses == 0) {
		unit->ping = choose_ping(b, &block);
	}
	return block;
}

/* One request for `first` and what goes with it. 0, or a negative errno if the link is gone. */
static int ask(struct modbus_bus *b, const struct modbus_sensor *first, int64_t now_ns)
{
	struct modbus_area *area = first->area;
	struct modbus_block block;
	struct modbus_exchange x;
	char silence[MODBUS_REASON_MAX];
	int r;

	if (modbus_learn_has_test(b, area, &block)) {
		return ask_test(b, area, &block);
	}
	block = find_block(b, first, now_ns);
	r = exchange(b, b->sensors[block.begin].area, &block, &x);
	now_ns = modbus_now_ns();
	switch (r) {
	case MODBUS_ANSWERED:
		handle_answer(b, &block, &x, now_ns);
		return 0;
	case MODBUS_SILENT:
		(void)snprintf(silence, sizeof(silence), "no answer within %g s",
			(double)b->bus->options[BUS_RESPONSE_TIMEOUT].i / 1e9);
		modbus_health_silent(b, &block, silence, now_ns);
		return 0;
	case MODBUS_DAMAGED:
		modbus_health_silent(b, &block,
			"no readable answer: noise, wrong line settings, "
			"or two units with one id",
			now_ns);
		return 0;
	case MODBUS_NONSENSE:
		modbus_health_nonsense(b, &block, now_ns);
		return 0;
	default: /* the link is gone; or stopped: nothing is known, what was due stays due */
		return r < 0 ? r : 0;
	}
}

/* Marks what is due and may be asked. Returns what to ask for: the most urgent of a healthy unit,
   else of another one; NULL with *ret_wait if there are only such as want to be waited for. */
static struct modbus_sensor *choose(struct modbus_bus *b, struct scg_sensor *const *due,
	uint32_t n_due, int64_t now_ns, bool *ret_wait)
{
	struct modbus_sensor *first = NULL, *later = NULL;

	*ret_wait = false;
	modbus_plan_begin(b);
	for (uint32_t i = 0; i < n_due; i++) {
		struct modbus_sensor *s = due[i]->data;
		enum modbus_turn turn = modbus_health_turn(b, s, now_ns);

		if (turn == TURN_FAILED) {
			continue;
		}
		if (turn == TURN_WAIT) {
			*ret_wait = true;
			continue;
		}
		modbus_plan_mark(b, s);
		if (turn == TURN_NOW) {
			first = first ? first : s;
		} else {
			later = later ? later : s;
		}
	}
	return first ? first : later;
}

static int modbus_poll(struct scg_bus *bus, struct scg_sensor *const *due, uint32_t n_due)
{
	static const struct timespec a_while = {.tv_nsec = WAIT_NS};
	struct modbus_bus *b = bus->data;
	int64_t now_ns = modbus_now_ns();
	bool wait;
	struct modbus_sensor *first = choose(b, due, n_due, now_ns, &wait);

	if (first) {
		return ask(b, first, now_ns);
	}
	if (wait) {
		(void)nanosleep(&a_while, NULL); /* a signal only shortens it */
	}
	return 0;
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
	.plan = modbus_forecast,
	.scan = &modbus_scan,
	.probe = &modbus_probe,
};
