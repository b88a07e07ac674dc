/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "internal.h"
#include "tools.h"

#define NS_PER_S INT64_C(1000000000)
/* A call of poll() that meets chips which hang the bus ends after this, for the sake of others. */
#define CALL_NS (NS_PER_S / 10)
/* With nothing to do but wait: so short that what comes due meanwhile is hardly late. Who waits for
   long, as the chips that take seconds, makes longer naps: a hundred calls in a row that deal with
   nothing are against the rules. */
#define NAP_NS      (NS_PER_S / 100)
#define NAP_LONG_NS (NS_PER_S / 4)
#define NAPS_SHORT  20u

static int64_t clock_ns(clockid_t id)
{
	struct timespec now;

	(void)clock_gettime(id, &now); /* cannot fail for these clocks */
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t i2c_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static void i2c_close(struct scg_bus *bus)
{
	struct i2c_bus *b = bus->data;

	i2c_adapter_close(&b->adapter);
	for (uint32_t i = 0; i < bus->n_sensors; i++) {
		bus->sensors[i]->data = NULL;
	}
	i2c_setup_free(b);
	free(b);
	bus->data = NULL;
}

static void explain_open(const struct scg_bus *bus, int r)
{
	const char *device = bus->options[BUS_DEVICE].s;
	const char *why = NULL;

	if (r == -ENOENT) {
		why = device[0] == '/' ? "is the module i2c-dev loaded?"
				       : "no adapter has this name in /sys/class/i2c-dev";
	} else if (r == -ENOTUNIQ) {
		why = "several adapters have this name: give the device file";
	} else if (r == -EACCES) {
		why = "the gateway needs the group i2c";
	} else if (r == -ENOTTY) {
		why = "that is no I2C adapter";
	}
	if (why) {
		bus->host->log(bus, SCG_LOG_DEBUG, "%s: %s", device, why);
	}
}

static int i2c_open(struct scg_bus *bus)
{
	struct i2c_bus *b = calloc(1, sizeof(*b));
	int r;

	if (!b) {
		return -ENOMEM;
	}
	bus->data = b;
	b->bus = bus;
	b->adapter.fd = -1;
	r = i2c_setup_new(b);
	if (r == 0) {
		for (uint32_t i = 0; i < b->n_sensors; i++) {
			b->sensors[i].sensor->data = &b->sensors[i];
		}
		r = i2c_adapter_open(&b->adapter, bus->options[BUS_DEVICE].s);
	}
	if (r < 0) {
		explain_open(bus, r);
		i2c_close(bus);
	}
	return r;
}

/* --- what a measurement gives --- */

static void report_sensor(struct i2c_bus *b, const struct i2c_device *device,
	const struct i2c_sensor *s, int64_t time_ns)
{
	const struct i2c_input in = {
		.data = device->data, .memory = device->memory, .settings = &s->settings};
	char name[32], reason[I2C_REASON_MAX];
	double value;
	int r;

	if (!s->channel) {
		value = (double)i2c_field_get(&s->field, device->data);
		b->bus->host->report(b->bus, s->sensor, time_ns, value, SCG_GOOD);
		return;
	}
	r = i2c_chip_value(s->channel, &in, &value);
	if (r == 0) {
		b->bus->host->report(b->bus, s->sensor, time_ns, value, SCG_GOOD);
		return;
	}
	i2c_setup_describe(device, name, sizeof(name));
	(void)snprintf(reason, sizeof(reason), "%s: %s", name,
		r == -ENODATA ? "the chip has not measured this yet"
			      : "beyond what the chip can measure");
	b->bus->host->fail(b->bus, s->sensor, reason);
}

static void report_measure(
	struct i2c_bus *b, const struct i2c_device *device, const struct i2c_measure *measure)
{
	int64_t time_ns = clock_ns(CLOCK_REALTIME);

	for (uint32_t i = measure->begin; i < measure->end; i++) {
		if (i2c_is_due(b, &b->sensors[i])) {
			report_sensor(b, device, &b->sensors[i], time_ns);
			b->sensors[i].due = b->generation - 1;
			b->n_dealt++;
		}
	}
}

/* --- poll --- */

/* Takes a chip as far as it gets without waiting. 0, or a negative errno if the adapter is gone. */
static int serve(struct i2c_bus *b, struct i2c_device *device, struct i2c_measure *wanted)
{
	int64_t begin_ns = i2c_now_ns();
	struct i2c_measure *measure;
	int error = 0;

	if (device->phase == PHASE_IDLE) {
		i2c_run_begin(device, wanted);
	}
	measure = device->measure;
	switch (i2c_run(b, device, &error)) {
	case RUN_DONE:
		i2c_health_good(device);
		report_measure(b, device, measure);
		break;
	case RUN_FAILED:
		if (error == -ENODEV) {
			return error;
		}
		i2c_health_bad(b, device, measure, error, i2c_now_ns() - begin_ns, i2c_now_ns());
		break;
	default: /* what is due stays due */
		break;
	}
	return 0;
}

/* Marks what is due; fails what is not to be asked now. */
static void mark(struct i2c_bus *b, struct scg_sensor *const *due, uint32_t n_due, int64_t now_ns)
{
	b->generation++;
	b->n_dealt = 0;
	for (uint32_t i = 0; i < n_due; i++) {
		struct i2c_sensor *s = due[i]->data;

		if (!i2c_health_rests(b, s, now_ns)) {
			s->due = b->generation;
		}
	}
}

/* When the first of the chips that were looked at wants to go on; INT64_MAX if none waits. */
static int64_t earliest_ns(const struct i2c_bus *b)
{
	int64_t earliest = INT64_MAX;

	for (uint32_t i = 0; i < b->n_devices; i++) {
		const struct i2c_device *device = &b->devices[i];

		if (device->visited == b->generation && device->phase != PHASE_IDLE &&
			device->next_ns < earliest) {
			earliest = device->next_ns;
		}
	}
	return earliest;
}

static void nap(const struct i2c_bus *b, int64_t left_ns)
{
	int64_t nap_ns = b->n_naps < NAPS_SHORT ? NAP_NS : NAP_LONG_NS;
	struct timespec pause = {.tv_nsec = nap_ns < left_ns ? nap_ns : left_ns};

	if (left_ns > 0) {
		(void)nanosleep(&pause, NULL); /* a signal only shortens it */
	}
}

static void count(struct i2c_bus *b, int64_t now_ns)
{
	if (b->n_transfers > 0 && now_ns - b->counted_ns >= NS_PER_S) {
		b->bus->host->count(b->bus, "transfers", b->n_transfers);
		b->n_transfers = 0;
		b->counted_ns = now_ns;
	}
}

static int i2c_poll(struct scg_bus *bus, struct scg_sensor *const *due, uint32_t n_due)
{
	struct i2c_bus *b = bus->data;
	int64_t begin_ns = i2c_now_ns(), now_ns = begin_ns, earliest;

	mark(b, due, n_due, now_ns);
	for (uint32_t i = 0; i < n_due; i++) {
		const struct i2c_sensor *s = due[i]->data;
		struct i2c_device *device = s->measure->device;
		int r;

		if (!i2c_is_due(b, s) || device->visited == b->generation) {
			continue;
		}
		device->visited = b->generation;
		r = serve(b, device, s->measure);
		if (r < 0) {
			return r;
		}
		now_ns = i2c_now_ns();
		if (now_ns - begin_ns > CALL_NS || bus->host->stopping(bus)) {
			break;
		}
	}
	count(b, now_ns);
	if (b->n_dealt > 0) {
		b->n_naps = 0;
		return 0;
	}
	earliest = earliest_ns(b);
	if (earliest != INT64_MAX) {
		nap(b, earliest - now_ns);
		b->n_naps++;
	}
	return 0;
}

const struct scg_driver scg_driver_1 = {
	.abi = SCG_ABI_LEVEL,
	.name = "i2c",
	.version = DRIVER_VERSION,
	.summary = "Chips and registers on I2C and SMBus",
	.bus_options = i2c_bus_options,
	.sensor_options = i2c_sensor_options,
	.n_bus_options = N_BUS_OPTIONS,
	.n_sensor_options = N_SENSOR_OPTIONS,
	.check = i2c_check,
	.open = i2c_open,
	.poll = i2c_poll,
	.close = i2c_close,
	.plan = i2c_forecast,
	.scan = &i2c_scan,
};
