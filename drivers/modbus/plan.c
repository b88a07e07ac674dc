/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>

/*
 * What to ask next. The sensors are sorted once, by unit, table and address; those of one unit and
 * table are an area. Those of an area that are due are packed into the requests that take the least
 * time together: another request costs its frame, the silence before it and the time that this unit
 * takes to answer; to read through a hole costs its bytes. The plan of an area holds until
 * something else comes due in it, so that a round of many requests is planned once.
 *
 * Which of the requests goes first is not decided here: the one with the most urgent sensor.
 */

/* The best way to ask for the first sensors of a run, as far as this one. */
struct modbus_step {
	int64_t cost_ns;
	uint32_t sensor; /* index in modbus_bus.sensors */
	uint32_t end;    /* of this sensor and all before it in the run */
	uint32_t from;   /* the step that the last request begins with */
};

static uint32_t longer(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static int64_t shorter(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int compare(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int compare_sensors(const void *left, const void *right)
{
	const struct modbus_sensor *a = left, *b = right;
	/* Units do not exist yet at this time: the option says which. */
	int r = compare(a->sensor->options[SENSOR_UNIT].i, b->sensor->options[SENSOR_UNIT].i);

	if (r == 0) {
		r = compare(a->table, b->table);
	}
	if (r == 0) {
		r = compare(a->address, b->address);
	}
	return r ? r : compare(a->end, b->end);
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

/* True if sensor `i` is the first of its unit; *ret_area: of its unit and table. */
static bool begins_unit(const struct modbus_bus *b, uint32_t i, bool *ret_area)
{
	const struct modbus_sensor *s = &b->sensors[i];
	bool unit = i == 0 ||
		    s->sensor->options[SENSOR_UNIT].i != s[-1].sensor->options[SENSOR_UNIT].i;

	*ret_area = unit || s->table != s[-1].table;
	return unit;
}

static void assign(struct modbus_bus *b)
{
	struct modbus_unit *unit = NULL;
	struct modbus_area *area = NULL;

	for (uint32_t i = 0; i < b->n_sensors; i++) {
		struct modbus_sensor *s = &b->sensors[i];
		bool is_area;

		if (begins_unit(b, i, &is_area)) {
			unit = &b->units[b->n_units++];
			unit->id = (uint8_t)s->sensor->options[SENSOR_UNIT].i;
			unit->begin = i;
			unit->interval_ns = s->sensor->interval_ns;
		}
		if (is_area) {
			area = &b->areas[b->n_areas++];
			*area = (struct modbus_area){
				.unit = unit, .begin = i, .table = s->table, .is_stale = true};
		}
		unit->interval_ns = shorter(unit->interval_ns, s->sensor->interval_ns);
		unit->end = i + 1;
		area->end = i + 1;
		s->area = area;
	}
}

int modbus_plan_new(struct modbus_bus *b)
{
	const struct scg_bus *bus = b->bus;
	uint32_t n_units = 1, n_areas = 1; /* one too many, because calloc(0) may be NULL */
	uint32_t size = 0, largest = 0;    /* of an area */

	b->wire = modbus_wire_of(bus->options);
	b->max_registers = (uint32_t)bus->options[BUS_MAX_REGISTERS].i;
	b->max_bits = (uint32_t)bus->options[BUS_MAX_BITS].i;
	/* Left to the driver, only the cost decides. */
	b->max_gap = bus->options[BUS_MAX_GAP].i < 0 ? MODBUS_READ_REGISTERS
						     : (uint32_t)bus->options[BUS_MAX_GAP].i;
	b->sensors = calloc((size_t)bus->n_sensors + 1, sizeof(*b->sensors));
	if (!b->sensors) {
		return -ENOMEM;
	}
	b->n_sensors = bus->n_sensors;
	for (uint32_t i = 0; i < b->n_sensors; i++) {
		sensor_init(&b->sensors[i], bus->sensors[i]);
	}
	qsort(b->sensors, b->n_sensors, sizeof(*b->sensors), compare_sensors);
	for (uint32_t i = 0; i < b->n_sensors; i++) {
		bool is_area;

		n_units += begins_unit(b, i, &is_area);
		n_areas += is_area;
		size = is_area ? 1 : size + 1;
		largest = longer(largest, size);
	}
	b->steps = calloc((size_t)largest + 1, sizeof(*b->steps));
	b->units = calloc(n_units, sizeof(*b->units));
	b->areas = calloc(n_areas, sizeof(*b->areas));
	if (!b->steps || !b->units || !b->areas) {
		return -ENOMEM;
	}
	assign(b);
	return 0;
}

void modbus_plan_free(struct modbus_bus *b)
{
	for (uint32_t i = 0; i < b->n_sensors; i++) {
		free(b->sensors[i].lesson);
	}
	free(b->sensors);
	free(b->steps);
	free(b->units);
	free(b->areas);
	b->sensors = NULL;
	b->steps = NULL;
	b->units = NULL;
	b->areas = NULL;
	b->n_sensors = 0;
	b->n_units = 0;
	b->n_areas = 0;
}

void modbus_plan_begin(struct modbus_bus *b)
{
	for (uint32_t i = 0; i < b->n_areas; i++) {
		b->areas[i].n_due = 0;
	}
	b->generation++;
	if (b->generation == 0) {
		/* Once in four thousand million calls: old marks would come to life again. */
		for (uint32_t i = 0; i < b->n_sensors; i++) {
			b->sensors[i].due = 0;
		}
		b->generation = 1;
	}
}

static bool is_planned(const struct modbus_sensor *s)
{
	return s->plan_end > 0;
}

void modbus_plan_mark(struct modbus_bus *b, struct modbus_sensor *sensor)
{
	sensor->due = b->generation;
	sensor->area->n_due++;
	if (!is_planned(sensor)) {
		sensor->area->is_stale = true;
	}
}

int64_t modbus_plan_cost_ns(
	const struct modbus_bus *b, const struct modbus_area *area, uint32_t count)
{
	const struct modbus_unit *unit = area->unit;
	int64_t turn_ns = unit->turn_ns ? unit->turn_ns : b->wire.turn_ns;

	return modbus_wire_ns(&b->wire, modbus_is_bit_table(area->table), count) + turn_ns;
}

/* The requests of a run of sensors, all of which may be asked for together but for their number:
   steps[0..n). Writes them into the plan. Returns the longest. */
static uint32_t plan_run(
	struct modbus_bus *b, const struct modbus_area *area, uint32_t n, uint32_t max_count)
{
	struct modbus_step *steps = b->steps;
	uint32_t longest = 0;

	for (uint32_t k = 0; k < n; k++) {
		uint32_t end = 0;

		steps[k].cost_ns = INT64_MAX;
		for (uint32_t j = k + 1; j-- > 0;) {
			const struct modbus_sensor *s = &b->sensors[steps[j].sensor];
			int64_t cost_ns;

			end = s->end > end ? s->end : end;
			if (end - s->address > max_count && j < k) {
				break;
			}
			/* Of two that take the same time the one with fewer registers. */
			cost_ns = modbus_plan_cost_ns(b, area, end - s->address) +
				  (end - s->address) + (j > 0 ? steps[j - 1].cost_ns : 0);
			if (cost_ns < steps[k].cost_ns) {
				steps[k].cost_ns = cost_ns;
				steps[k].from = j;
			}
		}
	}
	for (uint32_t k = n; k > 0; k = steps[k - 1].from) {
		uint32_t from = steps[k - 1].from;
		uint32_t address = b->sensors[steps[from].sensor].address, end = 0;

		for (uint32_t i = from; i < k; i++) {
			struct modbus_sensor *s = &b->sensors[steps[i].sensor];

			s->plan_begin = steps[from].sensor;
			s->plan_end = steps[k - 1].sensor + 1;
			end = s->end > end ? s->end : end;
		}
		longest = longer(longest, end - address);
	}
	return longest;
}

/*
 * Plans what is due of an area, run by run; returns the longest request. A run ends at a border
 * that was learned, at a hole that is longer than allowed, and at one that takes longer than
 * another request, whatever else is in it.
 */
static uint32_t plan_runs(
	struct modbus_bus *b, struct modbus_area *area, uint32_t max_count, int64_t now_ns)
{
	bool bits = modbus_is_bit_table(area->table);
	uint32_t max_gap = bits ? 16 * b->max_gap : b->max_gap; /* the same bytes on the wire */
	int64_t frame_ns = modbus_plan_cost_ns(b, area, 0);
	uint32_t n = 0, longest = 0;
	bool is_border = false;

	area->n_planned = 0;
	for (uint32_t i = area->begin; i < area->end; i++) {
		struct modbus_sensor *s = &b->sensors[i];
		uint32_t end = n > 0 ? b->steps[n - 1].end : 0;

		s->plan_end = 0;
		is_border = is_border || (i > area->begin && modbus_learn_is_border(b, i, now_ns));
		if (!modbus_is_due(b, i)) {
			continue;
		}
		if (n > 0 && s->address > end) {
			uint32_t gap = s->address - end;

			/* `gap` registers more, whatever the answer holds besides. */
			is_border = is_border || gap > max_gap ||
				    modbus_plan_cost_ns(b, area, gap) - frame_ns > frame_ns;
		}
		if (n > 0 && is_border) {
			longest = longer(longest, plan_run(b, area, n, max_count));
			n = 0;
			end = 0;
		}
		is_border = false;
		b->steps[n++] = (struct modbus_step){
			.sensor = i, .end = s->end > end ? s->end : end};
		area->n_planned++;
	}
	if (n > 0) {
		longest = longer(longest, plan_run(b, area, n, max_count));
	}
	area->is_stale = false;
	return longest;
}

static void plan_area(struct modbus_bus *b, struct modbus_area *area, int64_t now_ns)
{
	bool bits = modbus_is_bit_table(area->table);
	uint32_t limit = modbus_learn_limit(area, bits ? b->max_bits : b->max_registers, now_ns);
	uint32_t longest = plan_runs(b, area, limit, now_ns);
	uint32_t next = modbus_learn_raise(area, limit, longest);

	/* Requests that tell nothing new can as well be longer. */
	while (next != limit) {
		limit = next;
		longest = plan_runs(b, area, limit, now_ns);
		next = modbus_learn_raise(area, limit, longest);
	}
}

struct modbus_block modbus_plan_block(
	struct modbus_bus *b, const struct modbus_sensor *first, int64_t now_ns)
{
	struct modbus_area *area = first->area;
	struct modbus_block block;
	uint32_t end = 0;

	if (area->is_stale || area->n_due != area->n_planned) {
		plan_area(b, area, now_ns);
	}
	block.begin = first->plan_begin;
	block.end = first->plan_end;
	block.address = b->sensors[block.begin].address;
	for (uint32_t i = block.begin; i < block.end; i++) {
		if (modbus_is_due(b, i) && b->sensors[i].end > end) {
			end = b->sensors[i].end;
		}
	}
	block.count = end - block.address;
	return block;
}

void modbus_plan_done(struct modbus_bus *b, const struct modbus_block *block)
{
	struct modbus_area *area = b->sensors[block->begin].area;

	for (uint32_t i = block->begin; i < block->end; i++) {
		struct modbus_sensor *s = &b->sensors[i];

		if (is_planned(s)) {
			s->plan_end = 0;
			area->n_planned--;
		}
	}
}
