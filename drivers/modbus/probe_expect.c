/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

/*
 * Which registers, type, order and scale give a number that is known. Many do so by chance, the
 * more, the fewer digits it has: what devices do most often comes first.
 */

#define SCALE_LEAST (-6)
#define SCALE_MOST  6
#define SHOWN_MAX   20u
/* A number that fits anything makes many; the likeliest are among the first of each register. */
#define FOUND_MAX  512u
#define DIGITS_MAX 9
/* A float32 has 24 bits: what a display rounds from it may be off by that. */
#define FLOAT_ERROR 1e-7
/* What is exactly the number, and what begins where the person said, is likelier. */
#define COST_NEAR  2
#define COST_OTHER 2

struct found {
	uint32_t i; /* of the register in the block */
	uint8_t type, order;
	bool is_both; /* the unsigned type gives the same */
	int scale;
	int cost; /* the less, the likelier */
	double value;
};

struct search {
	const struct modbus_probe *p;
	double size, low, high; /* of the number, without its sign */
	struct found best[SHOWN_MAX];
	uint32_t n_best, n_found;
};

/* Types by how often they are met; the unsigned ones go with the signed. */
static const struct {
	uint8_t type, unsigned_type;
	int cost;
} candidates[] = {
	{TYPE_INT16, TYPE_UINT16, 0},
	{TYPE_FLOAT32, TYPE_FLOAT32, 0},
	{TYPE_INT32, TYPE_UINT32, 2},
	{TYPE_FLOAT64, TYPE_FLOAT64, 3},
	{TYPE_INT64, TYPE_UINT64, 4},
	{TYPE_BCD16, TYPE_BCD16, 5},
	{TYPE_BCD32, TYPE_BCD32, 5},
	{TYPE_INT48, TYPE_UINT48, 6},
	{TYPE_MOD10_32, TYPE_MOD10_32, 7},
	{TYPE_BCD48, TYPE_BCD48, 8},
	{TYPE_BCD64, TYPE_BCD64, 8},
	{TYPE_MOD10_48, TYPE_MOD10_48, 8},
	{TYPE_MOD10_64, TYPE_MOD10_64, 8},
};

/* Those of eight letters that have a short name are left out. */
static const struct {
	uint8_t order;
	int cost;
} orders[] = {
	{ORDER_ABCD, 0},
	{ORDER_CDAB, 1},
	{ORDER_DCBA, 3},
	{ORDER_BADC, 3},
	{ORDER_CDABGHEF, 5},
	{ORDER_EFGHABCD, 5},
	{ORDER_DCBAHGFE, 6},
	{ORDER_FEHGBADC, 6},
};

static double power_of_ten(int exponent)
{
	double power = 1;

	for (int i = 0; i < (exponent < 0 ? -exponent : exponent); i++) {
		power *= 10;
	}
	return exponent < 0 ? 1 / power : power;
}

/* The value of the last digit that the number has. */
static double last_digit(double size)
{
	for (int digits = 0; digits < DIGITS_MAX; digits++) {
		double shifted = size * power_of_ten(digits);
		double rest = shifted < 1e15 ? shifted - (double)(int64_t)(shifted + 0.5) : 0;

		if (rest < 1e-6 && rest > -1e-6) {
			return power_of_ten(-digits);
		}
	}
	return power_of_ten(-DIGITS_MAX);
}

static bool is_float(uint8_t type)
{
	return type == TYPE_FLOAT32 || type == TYPE_FLOAT64;
}

static int cost_of_scale(uint8_t type, int scale)
{
	int size = scale < 0 ? -scale : scale;

	if (scale == 0) {
		return 0;
	}
	if (is_float(type)) {
		return 4 + size; /* a float has its point already */
	}
	return scale < 0 ? (size + 1) / 2 : 2 + size;
}

static void add(struct search *s, const struct found *found)
{
	uint32_t at = s->n_best;

	s->n_found++;
	/* Registers come in their order: of equals, the first goes first. */
	while (at > 0 && s->best[at - 1].cost > found->cost) {
		at--;
	}
	if (at == SHOWN_MAX) {
		return;
	}
	s->n_best += s->n_best < SHOWN_MAX;
	for (uint32_t n = s->n_best - 1; n > at; n--) {
		s->best[n] = s->best[n - 1];
	}
	s->best[at] = *found;
}

static double scaled(const struct found *found, int scale)
{
	/* Divided, which is exact more often. */
	return scale < 0 ? found->value / power_of_ten(-scale) : found->value * power_of_ten(scale);
}

static bool is_exact(const struct search *s, double size)
{
	double off = size - s->size;

	return off <= s->size * FLOAT_ERROR && -off <= s->size * FLOAT_ERROR;
}

static void try_scales(struct search *s, struct found found)
{
	int cost = found.cost;

	if (found.value == 0 || (found.value < 0) != (s->p->expect < 0)) {
		return;
	}
	for (int scale = SCALE_LEAST; scale <= SCALE_MOST; scale++) {
		double number = scaled(&found, scale);
		double size = number < 0 ? -number : number;

		/* NaN and infinity are not. */
		if (size >= s->low && size <= s->high) {
			found.scale = scale;
			found.cost = cost + cost_of_scale(found.type, scale) +
				     (is_exact(s, size) ? 0 : COST_NEAR);
			add(s, &found);
		}
	}
}

static void try_value(struct search *s, struct found found, uint8_t unsigned_type)
{
	struct modbus_value value = {.type = found.type, .order = found.order, .bit = -1};
	bool is_negative;

	if (!modbus_probe_value(s->p, found.i, value, &found.value)) {
		return;
	}
	is_negative = found.value < 0;
	found.is_both = !is_negative && unsigned_type != found.type;
	try_scales(s, found);
	value.type = found.type = unsigned_type;
	if (is_negative && modbus_probe_value(s->p, found.i, value, &found.value)) {
		try_scales(s, found);
	}
}

static void try_register(struct search *s, uint32_t i)
{
	for (uint32_t t = 0; t < SCG_COUNT(candidates); t++) {
		for (uint32_t o = 0; o < SCG_COUNT(orders); o++) {
			struct modbus_value value = {
				.type = candidates[t].type, .order = orders[o].order};
			struct found found = {.i = i,
				.type = value.type,
				.order = value.order,
				.cost = candidates[t].cost + orders[o].cost +
					(i > 0 ? COST_OTHER : 0)};

			/* One register has no order of registers. */
			if (modbus_value_width(value) == 1 && value.order != ORDER_ABCD &&
				value.order != ORDER_BADC) {
				continue;
			}
			if (modbus_value_order_fits(value)) {
				try_value(s, found, candidates[t].unsigned_type);
			}
		}
	}
}

static void show(struct scg_bus *bus, const struct search *s)
{
	const struct scg_host *host = bus->host;

	host->tell(bus, SCG_TELL_RESULT, "what reads as %.10g:", s->p->expect);
	host->tell(bus, SCG_TELL_RESULT, "%8s  %-8s  %-8s  %6s  reads as", "register", "type",
		"order", "scale");
	for (uint32_t n = 0; n < s->n_best; n++) {
		const struct found *f = &s->best[n];

		host->tell(bus, SCG_TELL_RESULT, "%8u  %-8s  %-8s  %6g  %.10g%s",
			s->p->address + f->i, modbus_types[f->type], modbus_orders[f->order],
			power_of_ten(f->scale), scaled(f, f->scale),
			f->is_both ? "  (unsigned: the same)" : "");
	}
	if (s->n_found > s->n_best) {
		host->tell(bus, SCG_TELL_RESULT,
			"and %u more by chance: expect a number of more digits",
			s->n_found - s->n_best);
	} else if (s->n_best > 1) {
		host->tell(bus, SCG_TELL_RESULT,
			"Most of them by chance: probe again when the display shows another "
			"number.");
	}
}

void modbus_probe_expect(struct scg_bus *bus, const struct modbus_probe *p)
{
	double size = p->expect < 0 ? -p->expect : p->expect;
	double digit = last_digit(size);
	double off = digit / 2 + size * FLOAT_ERROR + p->tolerance;
	/* Some displays cut digits off where others round. */
	struct search s = {.p = p, .size = size, .low = size - off, .high = size + off + digit / 2};

	for (uint32_t i = 0; i < p->count; i++) {
		try_register(&s, i);
	}
	if (s.n_found == 0) {
		bus->host->tell(bus, SCG_TELL_RESULT,
			"nothing reads as %.10g here: try other registers, the other table, or "
			"--tolerance",
			p->expect);
		return;
	}
	show(bus, &s);
	modbus_probe_stanza(bus, p, s.best[0].i, modbus_types[s.best[0].type],
		modbus_orders[s.best[0].order], power_of_ten(s.best[0].scale));
}
