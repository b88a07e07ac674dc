/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>

/*
 * What to ask next. A request costs about the same whatever it carries, so sensors that are due and
 * near each other share one. The sensors are sorted once; a call of poll() marks those that are
 * due, and looks for company on both sides of the most urgent one: its cost is the marks and the
 * neighbourhood, never the whole bus.
 */

/*
 * How long requests stay split that the slave refused. A hole between sensors is likely to be the
 * reason for good; halves only lead to the culprit, which is asked alone from then on.
 */
#define SPLIT_HOLE_NS INT64_C(600000000000)
#define SPLIT_HALF_NS INT64_C(60000000000)

static int compare_sensors(const void *left, const void *right)
{
	const struct modbus_sensor *a = left, *b = right;

	/* Units do not exist yet at this time: the option says which. */
	int64_t unit_a = a->sensor->options[SENSOR_UNIT].i;
	int64_t unit_b = b->sensor->options[SENSOR_UNIT].i;
	if (unit_a != unit_b) {
		return unit_a < unit_b ? -1 : 1;
	}
	if (a->table != b->table) {
		return a->table < b->table ? -1 : 1;
	}
	if (a->address != b->address) {
		return a->address < b->address ? -1 : 1;
	}
	return (a->end > b->end) - (a->end < b->end);
}

static void sensor_init(struct modbus_sensor *s, struct scg_sensor *sensor)
{
	const union scg_value *options = sensor->options;

	s->sensor = sensor;
	s->table = (uint8_t)options[SENSOR_TABLE].i;
	s->value = modbus_value_of(options);
	s->address = (uint32_t)options[SENSOR_REGISTER].i;
	s->end = s->address + (modbus_is_bit_table(s->table) ? 1 : modbus_value_width(s->value));
}

static uint32_t count_units(const struct modbus_bus *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->n_sensors; i++) {
		n += i == 0 || b->sensors[i].sensor->options[SENSOR_UNIT].i !=
				       b->sensors[i - 1].sensor->options[SENSOR_UNIT].i;
	}
	return n;
}

static void assign_units(struct modbus_bus *b)
{
	struct modbus_unit *unit = NULL;

	for (uint32_t i = 0; i < b->n_sensors; i++) {
		struct modbus_sensor *s = &b->sensors[i];
		uint8_t id = (uint8_t)s->sensor->options[SENSOR_UNIT].i;

		if (!unit || unit->id != id) {
			unit = &b->units[b->n_units++];
			unit->id = id;
			unit->begin = i;
		}
		unit->end = i + 1;
		s->unit = unit;
		s->sensor->data = s;
	}
}

int modbus_plan_new(struct modbus_bus *b)
{
	struct scg_bus *bus = b->bus;

	/* One more, because calloc(0) may be NULL. */
	b->sensors = calloc((size_t)bus->n_sensors + 1, sizeof(*b->sensors));
	if (!b->sensors) {
		return -ENOMEM;
	}
	b->n_sensors = bus->n_sensors;
	for (uint32_t i = 0; i < b->n_sensors; i++) {
		sensor_init(&b->sensors[i], bus->sensors[i]);
	}
	qsort(b->sensors, b->n_sensors, sizeof(*b->sensors), compare_sensors);

	b->units = calloc((size_t)count_units(b) + 1, sizeof(*b->units));
	if (!b->units) {
		return -ENOMEM;
	}
	assign_units(b);
	return 0;
}

void modbus_plan_free(struct modbus_bus *b)
{
	for (uint32_t i = 0; i < b->n_sensors; i++) {
		b->sensors[i].sensor->data = NULL;
	}
	free(b->sensors);
	free(b->units);
	b->sensors = NULL;
	b->units = NULL;
	b->n_sensors = 0;
	b->n_units = 0;
}

void modbus_plan_begin(struct modbus_bus *b)
{
	b->generation++;
	if (b->generation == 0) {
		/* Once in four thousand million calls: old marks would come to life again. */
		for (uint32_t i = 0; i < b->n_sensors; i++) {
			b->sensors[i].due = 0;
		}
		b->generation = 1;
	}
}

static bool is_due(const struct modbus_bus *b, uint32_t i)
{
	return b->sensors[i].due == b->generation;
}

/* True if no request may hold both sensor `i` and the one before it. */
static bool is_border(const struct modbus_bus *b, uint32_t i, int64_t now_ns)
{
	const struct modbus_sensor *left = &b->sensors[i - 1], *right = &b->sensors[i];

	return left->unit != right->unit || left->table != right->table || left->refused ||
	       right->refused || right->cut_until_ns > now_ns;
}

/* Where the run of due sensors begins that are near enough to `first` to be asked with it, or with
   one that is. */
static uint32_t run_begin(
	const struct modbus_bus *b, uint32_t first, uint32_t max_gap, int64_t now_ns)
{
	uint32_t begin = first;

	for (uint32_t i = first; i > 0 && !is_border(b, i, now_ns); i--) {
		const struct modbus_sensor *s = &b->sensors[i - 1];

		if (s->address + MODBUS_WIDTH_MAX + max_gap < b->sensors[begin].address) {
			break;
		}
		if (is_due(b, i - 1) && s->end + max_gap >= b->sensors[begin].address) {
			begin = i - 1;
		}
	}
	return begin;
}

/* As much as fits from sensor `begin` on. */
static struct modbus_block fill_block(const struct modbus_bus *b, uint32_t begin, uint32_t max_gap,
	uint32_t max_count, int64_t now_ns)
{
	uint32_t address = b->sensors[begin].address;
	uint32_t end = b->sensors[begin].end;
	uint32_t after = begin + 1;

	for (uint32_t i = begin + 1; i < b->n_sensors && !is_border(b, i, now_ns); i++) {
		const struct modbus_sensor *s = &b->sensors[i];
		uint32_t new_end = s->end > end ? s->end : end;

		if (s->address > end + max_gap) {
			break;
		}
		if (!is_due(b, i)) {
			continue;
		}
		if (new_end - address > max_count) {
			break;
		}
		end = new_end;
		after = i + 1;
	}
	return (struct modbus_block){begin, after, address, end - address};
}

struct modbus_block modbus_plan_block(
	const struct modbus_bus *b, const struct modbus_sensor *first, int64_t now_ns)
{
	bool bits = modbus_is_bit_table(first->table);
	uint32_t max_count = bits ? b->max_bits : b->max_registers;
	uint32_t max_gap = bits ? 16 * b->max_gap : b->max_gap; /* the same bytes on the wire */
	uint32_t at = (uint32_t)(first - b->sensors);
	uint32_t begin = run_begin(b, at, max_gap, now_ns);

	/* Filling from the left of the run needs the fewest requests in the end; the one that holds
	   the most urgent sensor goes first. */
	for (;;) {
		struct modbus_block block = fill_block(b, begin, max_gap, max_count, now_ns);

		if (at < block.end) {
			return block;
		}
		begin = block.end;
		while (!is_due(b, begin)) {
			begin++;
		}
	}
}

bool modbus_plan_split(struct modbus_bus *b, const struct modbus_block *block, int64_t now_ns)
{
	uint32_t end = b->sensors[block->begin].end;
	uint32_t n_due = 0, seen = 0, at = block->begin, widest = 0;

	for (uint32_t i = block->begin; i < block->end; i++) {
		n_due += is_due(b, i);
	}
	if (n_due < 2) {
		return false;
	}
	/* A hole that nobody asked for is the likeliest to be what the slave refuses; without one,
	   halves find the culprit in the fewest requests. */
	for (uint32_t i = block->begin; i < block->end; i++) {
		const struct modbus_sensor *s = &b->sensors[i];

		if (!is_due(b, i)) {
			continue;
		}
		if (s->address > end && s->address - end > widest) {
			widest = s->address - end;
			at = i;
		}
		if (widest == 0 && seen == n_due / 2) {
			at = i;
		}
		if (s->end > end) {
			end = s->end;
		}
		seen++;
	}
	b->sensors[at].cut_until_ns = now_ns + (widest > 0 ? SPLIT_HOLE_NS : SPLIT_HALF_NS);
	return true;
}
