/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver to copy. It reads numbers from files, as the kernel offers them for many sensors:
 *
 *     buses:
 *       - name: board
 *         driver: skeleton
 *         options: {directory: /sys/class/thermal/thermal_zone0}
 *     ...
 *       sensors:
 *         - slug: cpu_temperature
 *           bus: board
 *           options: {file: temp}
 *           scale: 0.001
 *
 * What a driver may do, and when, stands in sensocan-driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sensocan-driver.h>

enum { BUS_DIRECTORY, N_BUS_OPTIONS };
enum { SENSOR_FILE, N_SENSOR_OPTIONS };

static const struct scg_option bus_options[] = {
	[BUS_DIRECTORY] = {.name = "directory",
		.type = SCG_STRING,
		.flags = SCG_REQUIRED,
		.max = 200,
		.help = "Where the files are."},
};

static const struct scg_option sensor_options[] = {
	[SENSOR_FILE] = {.name = "file",
		.type = SCG_STRING,
		.flags = SCG_REQUIRED,
		.max = 100,
		.help = "Name of a file in the directory that holds one number."},
};

/* What the driver remembers of a bus between open() and close(). */
struct skeleton {
	char path[320]; /* both options and a slash fit, by their `max` */
};

/* What the tables cannot say. No I/O here: this runs without the hardware as well. */
static void skeleton_check(struct scg_bus *bus)
{
	for (uint32_t i = 0; i < bus->n_sensors; i++) {
		const struct scg_sensor *sensor = bus->sensors[i];

		if (strchr(sensor->options[SENSOR_FILE].s, '/')) {
			bus->host->complain(
				bus, sensor, "file", "is a name in the directory, not a path");
		}
	}
}

static int skeleton_open(struct scg_bus *bus)
{
	bus->data = calloc(1, sizeof(struct skeleton));
	return bus->data ? 0 : -ENOMEM;
}

static void skeleton_close(struct scg_bus *bus)
{
	free(bus->data);
	bus->data = NULL;
}

/* Reads one number. 0 or a negative errno. */
static int read_number(const char *path, double *ret_number)
{
	FILE *file = fopen(path, "re");
	int n;

	if (!file) {
		return -errno;
	}
	n = fscanf(file, "%lf", ret_number);
	(void)fclose(file);
	return n == 1 ? 0 : -EINVAL;
}

/* One sensor that does not answer is that sensor's failure, not the bus's: the return value is 0.
 */
static int skeleton_poll(struct scg_bus *bus, struct scg_sensor *const *due, uint32_t n_due)
{
	struct skeleton *skeleton = bus->data;

	for (uint32_t i = 0; i < n_due && !bus->host->stopping(bus); i++) {
		double value = 0;
		int r;

		(void)snprintf(skeleton->path, sizeof(skeleton->path), "%s/%s",
			bus->options[BUS_DIRECTORY].s, due[i]->options[SENSOR_FILE].s);
		r = read_number(skeleton->path, &value);
		if (r == 0) {
			bus->host->report(bus, due[i], 0, value, SCG_GOOD);
		} else {
			char reason[512];

			(void)snprintf(reason, sizeof(reason), "%s: %s", skeleton->path,
				r == -EINVAL ? "holds no number" : strerror(-r));
			bus->host->fail(bus, due[i], reason);
		}
	}
	return 0;
}

const struct scg_driver scg_driver_1 = {
	.abi = SCG_ABI_LEVEL,
	.name = "skeleton",
	.version = "0.1.0",
	.summary = "Numbers from files, and a driver to copy",
	.bus_options = bus_options,
	.sensor_options = sensor_options,
	.n_bus_options = SCG_COUNT(bus_options),
	.n_sensor_options = SCG_COUNT(sensor_options),
	.check = skeleton_check,
	.open = skeleton_open,
	.poll = skeleton_poll,
	.close = skeleton_close,
};
