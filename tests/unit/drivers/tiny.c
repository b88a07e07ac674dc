/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver for the tests of loader and configuration: an option of each type, a check() that
 * complains in every way there is, and, by macros, the mistakes that a driver's author can make.
 */
#include "sensocan-driver.h"

#ifndef NAME
#define NAME "tiny"
#endif
#ifndef ABI
#define ABI SCG_ABI_LEVEL
#endif
#ifndef POLL
#define POLL tiny_poll
#endif
#ifndef CLOSE
#define CLOSE tiny_close
#endif
#ifndef SPEED_FALLBACK
#define SPEED_FALLBACK "9600"
#endif
#ifndef RESERVED
#define RESERVED 0
#endif
#ifndef N_BUS_OPTIONS
#define N_BUS_OPTIONS SCG_COUNT(bus_options)
#endif

enum { BUS_PATH, BUS_SPEED, BUS_SECRET, BUS_FIRST, BUS_LAST };
enum { SENSOR_CHANNEL, SENSOR_KIND, SENSOR_GAIN, SENSOR_WAIT, SENSOR_INVERT, SENSOR_BIT };
enum { KIND_WORD, KIND_BIT, KIND_ODD };

static const char *const kinds[] = {"word", "bit", "odd", NULL};

static const struct scg_option bus_options[] = {
	[BUS_PATH] = {.name = "path",
		.type = SCG_STRING,
		.flags = SCG_REQUIRED,
		.max = 20,
		.help = "Where it is."},
	[BUS_SPEED] = {.name = "speed",
		.type = SCG_INT,
		.fallback = SPEED_FALLBACK,
		.min = 300,
		.max = 115200,
		.unit = "bit/s",
		.help = "How fast it is. A second sentence makes the help so long that it does "
			"not fit into one line."},
	[BUS_SECRET] = {.name = "secret",
		.type = SCG_STRING,
		.flags = SCG_SECRET,
		.max = 8,
		.help = "What nobody may see."},
	[BUS_FIRST] = {.name = "first", .type = SCG_INT, .fallback = "0", .help = "Lowest."},
	[BUS_LAST] = {.name = "last", .type = SCG_INT, .fallback = "10", .help = "Highest."},
};

static const struct scg_option sensor_options[] = {
	[SENSOR_CHANNEL] = {.name = "channel",
		.type = SCG_INT,
		.flags = SCG_REQUIRED,
		.min = 0,
		.max = 65535,
		.help = "Which one."},
	[SENSOR_KIND] = {.name = "kind",
		.type = SCG_CHOICE,
		.fallback = "word",
		.choices = kinds,
		.help = "What it is."},
	[SENSOR_GAIN] = {.name = "gain",
		.type = SCG_NUMBER,
		.fallback = "1",
		.min = -10,
		.max = 10,
		.help = "How much."},
	[SENSOR_WAIT] = {.name = "wait",
		.type = SCG_DURATION,
		.fallback = "100ms",
		.max = 5,
		.help = "How long."},
	[SENSOR_INVERT] = {.name = "invert",
		.type = SCG_BOOL,
		.fallback = "false",
		.help = "Which way."},
	[SENSOR_BIT] = {.name = "bit",
		.type = SCG_INT,
		.fallback = "-1",
		.min = -1,
		.max = 15,
		.help = "Which bit."},
};

static void tiny_check(struct scg_bus *bus)
{
	const struct scg_host *host = bus->host;

	if (bus->options[BUS_FIRST].i > bus->options[BUS_LAST].i) {
		host->complain(bus, NULL, "first", "%d is above last, expected at most %d",
			(int)bus->options[BUS_FIRST].i, (int)bus->options[BUS_LAST].i);
	}
	if (bus->options[BUS_FIRST].i == bus->options[BUS_LAST].i) {
		host->complain(bus, NULL, NULL, "nothing lies between first and last");
	}
	for (uint32_t i = 0; i < bus->n_sensors; i++) {
		struct scg_sensor *sensor = bus->sensors[i];

		if (sensor->options[SENSOR_KIND].i == KIND_BIT &&
			sensor->options[SENSOR_BIT].i < 0) {
			host->complain(
				bus, sensor, "bit", "missing, a sensor of kind bit needs it");
		}
		if (sensor->options[SENSOR_KIND].i == KIND_ODD) {
			host->complain(bus, sensor, "kind", "odd is not possible on this bus");
		}
		if (sensor->options[SENSOR_CHANNEL].i == 13) {
			host->complain(bus, sensor, NULL, "this cannot go well");
		}
		/* allowed, and without effect here */
		host->report(bus, sensor, 0, 0, SCG_GOOD);
		host->fail(bus, sensor, "only checking");
		host->log(bus, SCG_LOG_DEBUG, "%d", host->stopping(bus));
	}
}

static int tiny_open(struct scg_bus *bus)
{
	return bus->options[BUS_PATH].s ? 0 : -1;
}

__attribute__((unused)) static int tiny_poll(
	struct scg_bus *bus, struct scg_sensor *const *due, uint32_t n_due)
{
	for (uint32_t i = 0; i < n_due; i++) {
		bus->host->report(
			bus, due[i], 0, (double)due[i]->options[SENSOR_CHANNEL].i, SCG_GOOD);
	}
	return 0;
}

__attribute__((unused)) static void tiny_close(struct scg_bus *bus)
{
	bus->data = NULL;
}

const struct scg_driver scg_driver_1 = {
	.abi = ABI,
	.reserved = RESERVED,
	.name = NAME,
	.version = "1.0",
	.summary = "Options of every type",
	.bus_options = bus_options,
	.sensor_options = sensor_options,
	.n_bus_options = N_BUS_OPTIONS,
	.n_sensor_options = SCG_COUNT(sensor_options),
	.check = tiny_check,
	.open = tiny_open,
	.poll = POLL,
	.close = CLOSE,
};
