/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/*
 * From the options of the sensors to chips, and to what is read from them together. Sensors are
 * sorted so that those of one measurement stand next to each other; each of them is first taken for
 * a measurement of its own, and then joined to the one before where that gives the same or, with
 * auto_increment, where it goes on.
 */

/* The options of a sensor as the wire sees them. */
struct wanted {
	struct i2c_sensor sensor;
	struct i2c_target target;
	int64_t chip_id;
	bool counts_up;
	uint32_t number; /* of the register */
	uint8_t n_steps;
	struct i2c_step steps[I2C_STEPS_MAX];
};

/* --- one sensor --- */

static void want_chip(struct wanted *w, const union scg_value *options)
{
	const struct i2c_chip *chip = i2c_chip_get(w->chip_id);
	const char *name = options[SENSOR_CHANNEL].s;
	const struct i2c_channel *channel = name ? i2c_chip_find_channel(chip, name) : NULL;
	const struct i2c_settings settings = {
		.full_scale = options[SENSOR_FULL_SCALE].d,
		.bits = (uint8_t)options[SENSOR_BITS].i,
		.shunt = options[SENSOR_SHUNT].d,
		.reference = options[SENSOR_REFERENCE].d,
	};
	const struct i2c_group *group;

	channel = channel ? channel : &chip->channels[0];
	group = &chip->groups[channel->group];
	w->sensor.channel = channel;
	w->sensor.settings = i2c_chip_settings(chip, &settings);
	w->n_steps = group->n;
	memcpy(w->steps, group->steps, group->n * sizeof(*group->steps));
	if (chip->prepare) {
		chip->prepare(channel, &w->sensor.settings, w->steps);
	}
}

static void want_raw(struct wanted *w, const union scg_value *options)
{
	const char *command = options[SENSOR_COMMAND].s;
	struct i2c_step *read;

	w->sensor.field = (struct i2c_field){
		.width = (uint8_t)options[SENSOR_WIDTH].i,
		.shift = (uint8_t)options[SENSOR_SHIFT].i,
		.is_little = options[SENSOR_BYTE_ORDER].i == ORDER_LITTLE,
		.is_signed = options[SENSOR_SIGNED].i,
		.mask = (uint32_t)options[SENSOR_MASK].i,
	};
	w->counts_up = options[SENSOR_AUTO_INCREMENT].i;
	if (command) {
		int n = i2c_options_command(command, w->steps[0].write);

		w->steps[0].n_write = (uint8_t)(n > 0 ? n : 0);
		w->steps[0].wait_us = (uint32_t)(options[SENSOR_DELAY].i / 1000);
		w->n_steps = 1;
	}
	read = &w->steps[w->n_steps++];
	read->n_read = w->sensor.field.width;
	if (options[SENSOR_REGISTER].i >= 0) {
		w->number = (uint32_t)options[SENSOR_REGISTER].i;
		read->n_write = (uint8_t)options[SENSOR_REGISTER_WIDTH].i;
		read->write[0] = (uint8_t)(read->n_write == 2 ? w->number >> 8 : w->number);
		read->write[1] = (uint8_t)(read->n_write == 2 ? w->number : 0);
	}
}

static void want(struct wanted *w, struct scg_sensor *sensor)
{
	const union scg_value *options = sensor->options;

	*w = (struct wanted){
		.sensor = {.sensor = sensor},
		.target = {.address = (uint16_t)options[SENSOR_ADDRESS].i,
			.is_ten_bit = options[SENSOR_TEN_BIT].i,
			.has_pec = options[SENSOR_PEC].i},
		.chip_id = options[SENSOR_CHIP].i,
	};
	if (w->chip_id != CHIP_NONE) {
		want_chip(w, options);
	} else {
		want_raw(w, options);
	}
}

/* --- all of them --- */

static int compare(uint32_t a, uint32_t b)
{
	return (a > b) - (a < b);
}

static int compare_devices(const struct wanted *a, const struct wanted *b)
{
	int r = compare(a->target.address, b->target.address);

	r = r ? r : compare(a->target.is_ten_bit, b->target.is_ten_bit);
	r = r ? r : compare(a->target.has_pec, b->target.has_pec);
	return r ? r : compare((uint32_t)a->chip_id, (uint32_t)b->chip_id);
}

static int compare_steps(const struct wanted *a, const struct wanted *b)
{
	int r = compare(a->n_steps, b->n_steps);

	for (uint8_t i = 0; r == 0 && i < a->n_steps; i++) {
		const struct i2c_step *one = &a->steps[i], *two = &b->steps[i];

		r = compare(one->n_write, two->n_write);
		r = r ? r : memcmp(one->write, two->write, sizeof(one->write));
		r = r ? r : compare(one->wait_us, two->wait_us);
		r = r ? r : compare(one->n_read, two->n_read);
	}
	return r;
}

/* Registers that count up stand in their order, whatever the lengths. */
static int compare_wanted(const void *left, const void *right)
{
	const struct wanted *a = left, *b = right;
	int r = compare_devices(a, b);

	r = r ? r : compare(a->counts_up, b->counts_up);
	if (r == 0 && a->counts_up) {
		r = compare(a->steps[0].n_write, b->steps[0].n_write);
		r = r ? r : compare(a->number, b->number);
	}
	return r ? r : compare_steps(a, b);
}

/* Puts the sensor into the measurement, if it gives that as well or can be made to. */
static bool join(struct i2c_measure *m, const struct wanted *first, const struct wanted *w,
	struct i2c_sensor *sensor)
{
	uint32_t at = w->number - first->number, end = at + w->steps[0].n_read;

	if (compare_devices(first, w) != 0 || first->counts_up != w->counts_up) {
		return false;
	}
	if (!w->counts_up) {
		return compare_steps(first, w) == 0;
	}
	if (first->steps[0].n_write != w->steps[0].n_write || at > m->steps[0].n_read ||
		end > I2C_READ_MAX) {
		return false;
	}
	if (end > m->steps[0].n_read) {
		m->steps[0].n_read = (uint8_t)end;
	}
	sensor->field.at = (uint8_t)at;
	return true;
}

static void add_measure(struct i2c_bus *b, const struct wanted *w, bool is_new_device, uint32_t i)
{
	struct i2c_measure *m = &b->measures[b->n_measures];

	if (is_new_device) {
		b->devices[b->n_devices++] = (struct i2c_device){
			.target = w->target,
			.chip_id = w->chip_id,
			.chip = i2c_chip_get(w->chip_id),
			.begin = b->n_measures,
		};
	}
	*m = (struct i2c_measure){
		.device = &b->devices[b->n_devices - 1], .begin = i, .n_steps = w->n_steps};
	memcpy(m->steps, w->steps, sizeof(m->steps));
	b->n_measures++;
	m->device->end = b->n_measures;
}

static void fill(struct i2c_bus *b, const struct wanted *all)
{
	const struct wanted *first = NULL;

	for (uint32_t i = 0; i < b->n_sensors; i++) {
		const struct wanted *w = &all[i];

		b->sensors[i] = w->sensor;
		if (!first || !join(&b->measures[b->n_measures - 1], first, w, &b->sensors[i])) {
			add_measure(b, w, !first || compare_devices(first, w) != 0, i);
			first = w;
		}
		b->sensors[i].measure = &b->measures[b->n_measures - 1];
		b->sensors[i].measure->end = i + 1;
	}
}

int i2c_setup_new(struct i2c_bus *b)
{
	size_t n = b->bus->n_sensors;
	struct wanted *all = calloc(n + 1, sizeof(*all));

	b->n_sensors = b->bus->n_sensors;
	b->sensors = calloc(n + 1, sizeof(*b->sensors));
	b->measures = calloc(n + 1, sizeof(*b->measures));
	b->devices = calloc(n + 1, sizeof(*b->devices));
	if (!all || !b->sensors || !b->measures || !b->devices) {
		free(all);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		want(&all[i], b->bus->sensors[i]);
	}
	qsort(all, n, sizeof(*all), compare_wanted);
	fill(b, all);
	free(all);
	return 0;
}

void i2c_setup_free(struct i2c_bus *b)
{
	free(b->sensors);
	free(b->measures);
	free(b->devices);
}

void i2c_setup_describe(const struct i2c_device *device, char *ret_text, size_t size)
{
	int digits = device->target.is_ten_bit ? 3 : 2;

	if (device->chip) {
		(void)snprintf(ret_text, size, "0x%0*x (%s)", digits, device->target.address,
			i2c_chip_names[device->chip_id]);
	} else {
		(void)snprintf(ret_text, size, "0x%0*x", digits, device->target.address);
	}
}
