/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"
#include "line.h"
#include "tools.h"

/*
 * What the sensors of a bus will take of its time, from the options alone: planned as poll() plans,
 * interval by interval. Sensors come due on one grid, so that those of a longer interval go with
 * those of all shorter ones: they cost what the requests take more than without them.
 */

#define TEXT_MAX 192
/* A line as full as this still keeps its schedule when a slave dies. */
#define COMFORTABLE 0.8

/* So many different intervals in one table of a unit are told apart; of more, neighbours are taken
   for the longest of them. */
#define INTERVALS_MAX 64u

/* What the requests of an area take with those sensors that are due. */
struct total {
	int64_t least_ns, likely_ns;
};

/* The sensors of an area with intervals above `after_ns`, up to `interval_ns`. */
struct turn {
	int64_t after_ns, interval_ns;
};

static int compare_intervals(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

	return (a > b) - (a < b);
}

/* The intervals of an area, each once, the shortest first, in `all`, which has room for those of
   all its sensors. How many. */
static uint32_t find_intervals(
	const struct modbus_bus *b, const struct modbus_area *area, int64_t *all)
{
	uint32_t n = 0, kept = 0, step;

	for (uint32_t i = area->begin; i < area->end; i++) {
		all[n++] = b->sensors[i].sensor->interval_ns;
	}
	qsort(all, n, sizeof(*all), compare_intervals);
	for (uint32_t i = 0; i < n; i++) {
		if (i + 1 == n || all[i] != all[i + 1]) {
			all[kept++] = all[i];
		}
	}
	step = (kept + INTERVALS_MAX - 1) / INTERVALS_MAX;
	for (n = 0; (n + 1) * step <= kept; n++) {
		all[n] = all[(n + 1) * step - 1];
	}
	if (n * step < kept) {
		all[n++] = all[kept - 1];
	}
	return n;
}

static int64_t frame_ns(const struct modbus_bus *b, const struct modbus_area *area,
	const struct modbus_block *block)
{
	return modbus_wire_ns(&b->wire, modbus_is_bit_table(area->table), block->count);
}

/* The next request of the plan from sensor *at on, and *at after it; false if there is none. */
static bool next_block(struct modbus_bus *b, const struct modbus_area *area, uint32_t *at,
	struct modbus_block *ret)
{
	while (*at < area->end && !modbus_is_due(b, *at)) {
		(*at)++;
	}
	if (*at == area->end) {
		return false;
	}
	*ret = modbus_plan_block(b, &b->sensors[*at], 0);
	*at = ret->end;
	return true;
}

/* Makes those due that have at the most this interval. */
static struct total plan_until(
	struct modbus_bus *b, const struct modbus_area *area, int64_t interval_ns)
{
	struct total total = {0};
	struct modbus_block block;

	modbus_plan_begin(b);
	for (uint32_t i = area->begin; i < area->end; i++) {
		if (b->sensors[i].sensor->interval_ns <= interval_ns) {
			modbus_plan_mark(b, &b->sensors[i]);
		}
	}
	for (uint32_t i = area->begin; next_block(b, area, &i, &block);) {
		int64_t ns = frame_ns(b, area, &block);

		total.least_ns += ns + b->wire.least_ns;
		total.likely_ns += ns + b->wire.turn_ns;
	}
	return total;
}

/* How many sensors of a request belong to the turn. */
static uint32_t count_new(
	const struct modbus_bus *b, const struct modbus_block *block, const struct turn *turn)
{
	uint32_t n = 0;

	for (uint32_t i = block->begin; i < block->end; i++) {
		n += modbus_is_due(b, i) && b->sensors[i].sensor->interval_ns > turn->after_ns;
	}
	return n;
}

/* Tells the requests that sensors of this turn go into. What these take more than without them is
   theirs, in proportion to the length of the requests. */
static void tell_turn(struct modbus_bus *b, const struct modbus_area *area, const struct turn *turn,
	struct total more)
{
	struct modbus_block block;
	double sum_ns = 0;

	for (uint32_t i = area->begin; next_block(b, area, &i, &block);) {
		sum_ns += count_new(b, &block, turn) > 0 ? (double)frame_ns(b, area, &block) + 1
							 : 0;
	}
	for (uint32_t i = area->begin; next_block(b, area, &i, &block);) {
		uint32_t n = count_new(b, &block, turn);
		double share = ((double)frame_ns(b, area, &block) + 1) / sum_ns;
		char what[TEXT_MAX];

		if (n > 0) {
			(void)snprintf(what, sizeof(what), "unit %u, %s %u to %u", area->unit->id,
				modbus_tables[area->table], block.address,
				block.address + block.count - 1);
			b->bus->host->plan_request(b->bus, what, n, turn->interval_ns,
				(int64_t)((double)more.least_ns * share),
				(int64_t)((double)more.likely_ns * share));
		}
	}
}

static int64_t more_than(int64_t a, int64_t b)
{
	return a > b ? a - b : 0;
}

/* The share of the bus's time that the area takes at the least. */
static double forecast_area(
	struct modbus_bus *b, const struct modbus_area *area, int64_t *intervals, bool is_told)
{
	uint32_t n = find_intervals(b, area, intervals);
	struct total before = {0};
	double share = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct turn turn = {
			.after_ns = i > 0 ? intervals[i - 1] : 0, .interval_ns = intervals[i]};
		struct total after = plan_until(b, area, turn.interval_ns);
		struct total more = {
			.least_ns = more_than(after.least_ns, before.least_ns),
			.likely_ns = more_than(after.likely_ns, before.likely_ns),
		};

		share += (double)more.least_ns / (double)turn.interval_ns;
		if (is_told) {
			tell_turn(b, area, &turn, more);
		}
		before = after;
	}
	return share;
}

/* Tells all requests, or only sums up. Nothing if there is no memory. */
static double forecast(struct scg_bus *bus, bool is_told)
{
	struct modbus_bus b = {.bus = bus};
	int64_t *intervals = calloc((size_t)bus->n_sensors + 1, sizeof(*intervals));
	double share = 0;

	if (intervals && modbus_plan_new(&b) == 0) {
		for (uint32_t i = 0; i < b.n_areas; i++) {
			share += forecast_area(&b, &b.areas[i], intervals, is_told);
		}
	}
	modbus_plan_free(&b);
	free(intervals);
	return share;
}

/* The lowest speed at which the line is comfortable; 0 if there is none that is usual. */
static int64_t enough_baud(const struct scg_bus *bus, double *ret_share)
{
	static const int32_t usual[] = {9600, 19200, 38400, 57600, 115200};
	union scg_value options[N_BUS_OPTIONS];
	struct scg_bus faster = *bus;

	for (uint32_t i = 0; i < N_BUS_OPTIONS; i++) {
		options[i] = bus->options[i];
	}
	faster.options = options;
	for (uint32_t i = 0; i < SCG_COUNT(usual); i++) {
		if (usual[i] > bus->options[BUS_BAUD].i) {
			options[BUS_BAUD].i = usual[i];
			*ret_share = forecast(&faster, false);
			if (*ret_share <= COMFORTABLE) {
				return usual[i];
			}
		}
	}
	return 0;
}

static void advise(const struct scg_bus *bus, double share, char advice[TEXT_MAX])
{
	bool is_line = bus->options[BUS_TRANSPORT].i != TRANSPORT_TCP;
	double longer = ceil(share / COMFORTABLE * 10) / 10;
	double faster_share = 0;
	int64_t baud = 0;

	if (share <= COMFORTABLE) {
		(void)snprintf(advice, TEXT_MAX,
			"%slonger intervals, or a second bus for some of "
			"the units",
			is_line ? "a higher baud, " : "");
		return;
	}
	if (is_line) {
		baud = enough_baud(bus, &faster_share);
	}
	if (baud) {
		(void)snprintf(advice, TEXT_MAX,
			"%d baud would be busy for %.0f %% of its time, intervals %.1f times as "
			"long would do as well",
			(int)baud, 100 * faster_share, longer);
	} else {
		(void)snprintf(advice, TEXT_MAX,
			"intervals %.1f times as long would do, or a second bus for some of the units",
			longer);
	}
}

void modbus_forecast(struct scg_bus *bus)
{
	char link[TEXT_MAX], advice[TEXT_MAX];
	double share = forecast(bus, true);

	if (bus->options[BUS_TRANSPORT].i == TRANSPORT_TCP) {
		(void)snprintf(link, sizeof(link), "%s, port %d", bus->options[BUS_HOST].s,
			(int)bus->options[BUS_PORT].i);
	} else {
		modbus_wire_describe(bus->options, link, sizeof(link));
	}
	advise(bus, share, advice);
	bus->host->plan_link(bus, link, advice);
}
