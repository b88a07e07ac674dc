/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bus.h"
#include "control.h"
#include "driver.h"
#include "log.h"
#include "payload.h"
#include "status.h"
#include "thread.h"
#include "util.h"

/* What `read` grants a bus: opening, and a few time-outs of silent slaves. */
#define READ_PATIENCE_NS   (20 * NS_PER_S)
#define STATUS_PATIENCE_NS (5 * NS_PER_S)

static struct config *load(
	const char *file, struct config *(*function)(const char *, struct problems *), bool warn)
{
	struct problems problems;
	struct config *config;

	problems_init(&problems, file);
	config = function(file, &problems);
	problems_sort(&problems);
	for (size_t i = 0; i < problems.n; i++) {
		_cleanup_(freep) char *text = problems_format(&problems, i);

		if (!warn && problems.list[i].is_warning) {
			continue;
		}
		if (log_is_journald()) {
			log_message(
				problems.list[i].is_warning ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR,
				NULL, "%s", text);
		} else {
			(void)fprintf(stderr, "%s\n", text);
		}
	}
	problems_clear(&problems);
	return config;
}

struct config *command_load_config(const char *file)
{
	return load(file, config_load, true);
}

struct config *command_load_overloaded(const char *file, bool warn)
{
	return load(file, config_load_overloaded, warn);
}

const struct bus_config *command_find_bus(const struct config *config, const char *name)
{
	for (uint32_t i = 0; i < config->n_buses; i++) {
		if (strcmp(config->buses[i]->name, name) == 0) {
			return config->buses[i];
		}
	}
	(void)fprintf(stderr, "%s has no bus \"%s\"; there are:", config->file, name);
	for (uint32_t i = 0; i < config->n_buses; i++) {
		(void)fprintf(stderr, "%s %s", i ? "," : "", config->buses[i]->name);
	}
	(void)fputc('\n', stderr);
	return NULL;
}

int command_check(const struct command_options *options)
{
	_cleanup_(config_unrefp) struct config *config = command_load_config(options->config_file);

	if (!config) {
		return EXIT_BAD_CONFIG;
	}
	(void)printf("%s: ok: %u buses, %u devices, %u sensors\n", options->config_file,
		config->n_buses, config->n_devices, config->n_sensors);
	return EXIT_DONE;
}

/* --- drivers --- */

static void print_driver(void *ctx, const char *name, const char *path,
	const struct scg_driver *driver, const char *error)
{
	size_t *found = ctx;

	if (!driver) {
		(void)fprintf(stderr, "%s: %s\n", path, error);
		return;
	}
	(*found)++;
	(void)printf("%-12s %-10s %s\n", name, driver->version, driver->summary);
}

int command_drivers(const struct command_options *options)
{
	_cleanup_(freep) char *error = NULL;
	const struct scg_driver *driver;
	size_t found = 0;

	if (!options->driver) {
		driver_for_each(print_driver, &found);
		if (found == 0) {
			(void)fprintf(
				stderr, "no drivers found; --driver-dir names another directory\n");
			return EXIT_FAILED;
		}
		return EXIT_DONE;
	}
	driver = driver_find(options->driver, &error);
	if (!driver) {
		(void)fprintf(stderr, "%s\n", error);
		return EXIT_FAILED;
	}
	driver_describe(stdout, driver);
	return EXIT_DONE;
}

/* --- read --- */

struct read_job {
	struct bus *bus;
	struct thread thread;
	int result;
};

static void read_bus(void *arg)
{
	struct read_job *job = arg;

	job->result = bus_read_once(job->bus, READ_PATIENCE_NS);
}

static void ignore_readings(void *ctx, const struct reading *readings, size_t n, bool round_end)
{
	(void)ctx;
	(void)readings;
	(void)n;
	(void)round_end;
}

struct read_output {
	const struct command_options *options;
	uint32_t n_good, n_bad;
};

static const char *quality_of(const struct bus_sensor_status *status)
{
	if (!status->good) {
		return "bad";
	}
	return status->quality == READING_UNCERTAIN ? "uncertain" : "good";
}

static void print_json(const struct bus_sensor_status *status, const char *error)
{
	struct json_object *object = json_object_new_object();
	char number[PAYLOAD_NUMBER_MAX + 1], time[FORMAT_MAX];

	json_object_object_add(
		object, "device", json_object_new_string(status->sensor->device->name));
	json_object_object_add(object, "sensor", json_object_new_string(status->sensor->name));
	if (status->good) {
		number[payload_number(number, status->value)] = '\0';
		json_object_object_add(
			object, "value", json_object_new_double_s(status->value, number));
		json_object_object_add(object, "timestamp",
			json_object_new_string(format_timestamp(time, status->realtime_us, true)));
	} else {
		json_object_object_add(object, "value", NULL);
		json_object_object_add(object, "timestamp", NULL);
	}
	json_object_object_add(object, "quality", json_object_new_string(quality_of(status)));
	json_object_object_add(
		object, "error", status->good ? NULL : json_object_new_string(error));
	(void)puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	(void)json_object_put(object); /* the last reference */
}

static void print_sensor(void *ctx, const struct bus_sensor_status *status)
{
	const char *error = status->known ? status->error : "no value within the time allowed";
	struct read_output *output = ctx;
	char number[PAYLOAD_NUMBER_MAX + 1] = "-", time[FORMAT_MAX];

	if (output->options->device &&
		strcmp(output->options->device, status->sensor->device->name) != 0) {
		return;
	}
	output->n_good += status->good;
	output->n_bad += !status->good;
	if (output->options->json) {
		print_json(status, error);
		return;
	}
	if (status->good) {
		number[payload_number(number, status->value)] = '\0';
		error = format_timestamp(time, status->realtime_us, true);
	}
	(void)printf("%-20s %-24s %16s  %-9s  %s\n", status->sensor->device->name,
		status->sensor->name, number, quality_of(status), error);
}

static bool is_wanted(const struct config *config, const char *device)
{
	if (!device) {
		return true;
	}
	for (uint32_t i = 0; i < config->n_devices; i++) {
		if (strcmp(config->devices[i]->name, device) == 0) {
			return true;
		}
	}
	return false;
}

/* True if a sensor of the device is on the bus: the others need not be opened. */
static bool serves(const struct bus_config *bus, const char *device)
{
	for (uint32_t i = 0; i < bus->n_sensors; i++) {
		if (!device || strcmp(bus->sensors[i]->device->name, device) == 0) {
			return true;
		}
	}
	return false;
}

static void print_header(void)
{
	(void)printf("%-20s %-24s %16s  %-9s  %s\n", "DEVICE", "SENSOR", "VALUE", "QUALITY",
		"TIME OR ERROR");
}

/* --- read --watch --- */

struct watch {
	const struct config *config;
	pthread_mutex_t lock; /* of the output: each bus has a thread */
	struct read_output output;
};

static void print_readings(void *ctx, const struct reading *readings, size_t n, bool round_end)
{
	struct watch *w = ctx;

	(void)round_end;
	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < n; i++) {
		struct bus_sensor_status status = {
			.sensor = w->config->sensors[readings[i].sensor],
			.known = true,
			.good = true,
			.value = readings[i].value,
			.realtime_us = reading_realtime_us(&readings[i]),
			.quality = readings[i].quality,
		};

		print_sensor(&w->output, &status);
	}
	(void)fflush(stdout); /* who no longer listens ends this by SIGPIPE */
	pthread_mutex_unlock(&w->lock);
}

/* Until a signal ends the program, which has nothing to put in order. Returns only if no bus could
 * be started. */
static int watch_sensors(struct config *config, const struct command_options *options)
{
	struct watch w = {
		.config = config, .lock = PTHREAD_MUTEX_INITIALIZER, .output.options = options};
	struct bus_output output = {.readings = print_readings, .ctx = &w};
	struct clock_state *clock = clock_new(CLOCK_TRUST_ALWAYS, 0);
	uint32_t n_started = 0;

	for (uint32_t i = 0; i < config->n_sensors; i++) {
		config->sensors[i]->journal_id = i;
	}
	if (!options->json) {
		print_header();
	}
	for (uint32_t i = 0; i < config->n_buses; i++) {
		struct bus *bus;
		int r;

		if (!serves(config->buses[i], options->device)) {
			continue;
		}
		bus = bus_new(config, config->buses[i], clock, &output);
		r = bus_start(bus);
		if (r < 0) {
			(void)fprintf(stderr, "bus %s: %s\n", config->buses[i]->name,
				strerrordesc_np(-r));
			bus_free(bus);
			continue;
		}
		n_started++;
	}
	if (n_started == 0) {
		clock_free(clock);
		return EXIT_FAILED;
	}
	for (;;) {
		(void)pause();
	}
}

static int read_sensors(struct config *config, const struct command_options *options)
{
	struct bus_output ignore = {.readings = ignore_readings};
	struct clock_state *clock = clock_new(CLOCK_TRUST_ALWAYS, 0);
	struct read_job *jobs = xcalloc(config->n_buses, sizeof(*jobs));
	struct read_output output = {.options = options};

	for (uint32_t i = 0; i < config->n_buses; i++) {
		if (!serves(config->buses[i], options->device)) {
			continue;
		}
		jobs[i].bus = bus_new(config, config->buses[i], clock, &ignore);
		if (thread_start(&jobs[i].thread, "read", read_bus, &jobs[i]) < 0) {
			read_bus(&jobs[i]);
		}
	}
	for (uint32_t i = 0; i < config->n_buses; i++) {
		if (jobs[i].bus) {
			(void)thread_join(
				&jobs[i].thread, INT64_MAX); /* it has its own time limit */
		}
	}
	if (!options->json) {
		print_header();
	}
	for (uint32_t i = 0; i < config->n_buses; i++) {
		if (jobs[i].bus) {
			bus_for_each_sensor(jobs[i].bus, print_sensor, &output);
			bus_free(jobs[i].bus);
		}
	}
	free(jobs);
	clock_free(clock);
	return output.n_good == 0 && output.n_bad > 0 ? EXIT_FAILED : EXIT_DONE;
}

int command_read(const struct command_options *options)
{
	_cleanup_(config_unrefp) struct config *config = command_load_config(options->config_file);

	if (!config) {
		return EXIT_BAD_CONFIG;
	}
	if (!is_wanted(config, options->device)) {
		(void)fprintf(stderr, "%s has no device \"%s\"; there are:", options->config_file,
			options->device);
		for (uint32_t i = 0; i < config->n_devices; i++) {
			(void)fprintf(stderr, "%s %s", i ? "," : "", config->devices[i]->name);
		}
		(void)fputc('\n', stderr);
		return EXIT_FAILED;
	}
	return options->watch ? watch_sensors(config, options) : read_sensors(config, options);
}

/* --- status --- */

int command_status(const struct command_options *options)
{
	_cleanup_(freep) char *path = control_path(options->control_path);
	_cleanup_(freep) char *answer = NULL;
	int r = control_ask(path, "status", STATUS_PATIENCE_NS, &answer);

	if (r < 0) {
		const char *hint = "is the daemon running? (systemctl status sensocan-gateway)";

		if (r == -EACCES || r == -EPERM) {
			hint = "try again as root";
		}
		(void)fprintf(stderr, "%s: %s; %s\n", path, strerrordesc_np(-r), hint);
		return EXIT_FAILED;
	}
	if (options->json) {
		(void)puts(answer);
		return EXIT_DONE;
	}
	if (status_print(stdout, answer) < 0) {
		(void)fprintf(stderr,
			"%s: the answer is not understood: is it of another version?\n", path);
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}
