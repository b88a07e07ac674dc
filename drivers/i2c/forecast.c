/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "internal.h"
#include "tools.h"

/*
 * What the sensors of a bus will take of its time, from the options alone. The bus is busy while
 * bytes go over it, and free while chips measure: waits cost nothing here.
 */

#define NS_PER_S INT64_C(1000000000)
#define TEXT_MAX 96

/* Bits on the wire, UM10204 3.1: a byte and its acknowledgement are nine, and so is the address,
   which with ten bits takes a byte more; start and stop count as one each. */
static uint32_t message_bits(const struct i2c_target *target, uint32_t n, bool has_pec)
{
	return 1 + 9 * (1 + target->is_ten_bit + n + has_pec);
}

static uint32_t step_bits(const struct i2c_target *target, const struct i2c_step *step)
{
	bool is_one = step->n_write > 0 && step->n_read > 0 && step->wait_us == 0;
	bool has_pec = target->has_pec;
	uint32_t bits = 0;

	if (step->n_write > 0) {
		bits += message_bits(target, step->n_write, has_pec && !is_one) + !is_one;
	}
	if (step->n_read > 0) {
		bits += message_bits(target, step->n_read, has_pec) + 1;
	}
	return bits;
}

static int64_t measure_ns(const struct i2c_bus *b, const struct i2c_measure *m)
{
	int64_t bits = 0;

	for (uint8_t i = 0; i < m->n_steps; i++) {
		bits += step_bits(&m->device->target, &m->steps[i]);
	}
	return bits * NS_PER_S / b->bus->options[BUS_FREQUENCY].i;
}

static int64_t shortest_ns(const struct i2c_bus *b, const struct i2c_measure *m)
{
	int64_t shortest = INT64_MAX;

	for (uint32_t i = m->begin; i < m->end; i++) {
		int64_t interval_ns = b->sensors[i].sensor->interval_ns;

		shortest = interval_ns < shortest ? interval_ns : shortest;
	}
	return shortest;
}

/* "0x48 (lm75)", "0x20, register 0x10, 3 bytes" */
static void describe(const struct i2c_measure *m, char text[TEXT_MAX])
{
	const struct i2c_step *read = &m->steps[m->n_steps - 1];
	char name[32];

	i2c_setup_describe(m->device, name, sizeof(name));
	if (m->device->chip || read->n_write == 0) {
		(void)snprintf(text, TEXT_MAX, "%s", name);
		return;
	}
	(void)snprintf(text, TEXT_MAX, "%s, register 0x%02x, %u bytes", name,
		read->n_write == 2 ? read->write[0] << 8 | read->write[1] : read->write[0],
		read->n_read);
}

/* All sensors come due on one grid: those of a longer interval mostly go with the shortest, and
   whether the others do is not known. */
static void tell_measure(const struct i2c_bus *b, const struct i2c_measure *m)
{
	struct scg_bus *bus = b->bus;
	int64_t ns = measure_ns(b, m), first_ns = shortest_ns(b, m);
	uint32_t n_first = 0;
	char what[TEXT_MAX];

	describe(m, what);
	for (uint32_t i = m->begin; i < m->end; i++) {
		n_first += b->sensors[i].sensor->interval_ns == first_ns;
	}
	bus->host->plan_request(bus, what, n_first, first_ns, ns, ns);
	for (uint32_t i = m->begin; i < m->end; i++) {
		int64_t interval_ns = b->sensors[i].sensor->interval_ns;

		if (interval_ns != first_ns) {
			bus->host->plan_request(
				bus, what, 1, interval_ns, 0, interval_ns % first_ns == 0 ? 0 : ns);
		}
	}
}

void i2c_forecast(struct scg_bus *bus)
{
	struct i2c_bus b = {.bus = bus};
	char link[TEXT_MAX];

	(void)snprintf(link, sizeof(link), "%g kHz", (double)bus->options[BUS_FREQUENCY].i / 1e3);
	bus->host->plan_link(
		bus, link, "a faster clock where all chips can, longer intervals, or a second bus");
	if (i2c_setup_new(&b) == 0) {
		for (uint32_t i = 0; i < b.n_measures; i++) {
			tell_measure(&b, &b.measures[i]);
		}
	}
	i2c_setup_free(&b);
}
