/* SPDX-License-Identifier: Apache-2.0 */
#include "config_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "driver.h"
#include "plan.h"

/*
 * What a driver's check() gets: a bus and its sensors as it will see them when it runs, and a host
 * that can only complain.
 */
struct checked_sensor {
	struct scg_sensor sensor;
	const struct sensor_config *config;
	const struct sensor_source *source;
};

struct checked_bus {
	struct scg_bus bus;
	struct scg_host host;
	struct loader *l;
	const struct bus_config *config;
	const struct bus_source *source;
};

/* The option's value in the mapping, or NULL. */
static const struct yaml_node *find_option(const struct yaml_node *options, const char *option)
{
	const struct yaml_pair *pair = option && options && options->kind == YAML_KIND_MAPPING
					       ? yaml_find(options, option)
					       : NULL;

	return pair ? pair->value : NULL;
}

static void complain_about_bus(struct checked_bus *b, const char *option, const char *text)
{
	const struct yaml_node *node = find_option(b->source->options, option);
	_cleanup_(freep) char *where = xasprintf(
		"buses[%u] (%s)%s", b->config->index, b->config->name, option ? ": options." : "");

	problems_complain(b->l->problems, false, place_of(node ? node : b->source->node), where,
		option, "%s", text);
}

static void complain_about_sensor(struct checked_bus *b, const struct checked_sensor *sensor,
	const char *option, const char *text)
{
	const struct sensor_source *source = sensor->source;
	const struct device_config *device = sensor->config->device;
	const struct yaml_node *own = find_option(source->options, option);
	const struct yaml_node *shared = find_option(source->default_options, option);
	const struct yaml_node *node = own ? own : shared ? shared : source->node;
	_cleanup_(freep) char *whose = NULL;
	_cleanup_(freep) char *where = NULL;

	if (!own && shared) {
		if (!config_is_new(b->l, place_of(shared), text)) {
			return; /* once is enough */
		}
		whose = config_device_where(device);
		where = xasprintf("%s: defaults.options.", whose);
	} else {
		whose = config_sensor_where(device, source->index, sensor->config->name);
		where = option ? xasprintf("%s: options.", whose) : steal_ptr(whose);
	}
	problems_complain(b->l->problems, false, place_of(node), where, option, "%s", text);
}

SCG_PRINTF(4, 5)
static void complain(const struct scg_bus *bus, const struct scg_sensor *sensor, const char *option,
	const char *format, ...)
{
	struct checked_bus *b = container_of(bus, struct checked_bus, bus);
	_cleanup_(freep) char *text = NULL;
	va_list args;

	va_start(args, format);
	text = xvasprintf(format, args);
	va_end(args);
	if (sensor) {
		complain_about_sensor(
			b, container_of(sensor, const struct checked_sensor, sensor), option, text);
	} else {
		complain_about_bus(b, option, text);
	}
}

/* The bus's sensors, in its order; the loader's sources stand in the order of the configuration. */
static void make_sensors(struct checked_bus *b, uint32_t index)
{
	const struct config *config = b->l->config;
	struct checked_sensor *sensors;
	uint32_t n = 0;

	b->bus.sensors = arena_array(
		b->l->scratch, b->config->n_sensors, sizeof(struct scg_sensor *));
	sensors = arena_array(b->l->scratch, b->config->n_sensors, sizeof(*sensors));
	for (uint32_t i = 0; i < config->n_sensors; i++) {
		const struct sensor_config *sensor = config->sensors[i];

		if (b->l->sensors[i].bus != index) {
			continue;
		}
		sensors[n] = (struct checked_sensor){
			.sensor = {.name = sensor->name,
				.options = sensor->options,
				.interval_ns = sensor->interval_ns},
			.config = sensor,
			.source = &b->l->sensors[i],
		};
		b->bus.sensors[n] = &sensors[n].sensor;
		n++;
	}
	b->bus.n_sensors = n;
}

static void check_bus(struct loader *l, uint32_t index)
{
	const struct bus_config *config = l->config->buses[index];
	struct checked_bus b = {
		.bus = {.host = &b.host,
			.name = config->name,
			.options = config->options,
			.fd = -1},
		.host = driver_deaf_host,
		.l = l,
		.config = config,
		.source = &l->buses[index],
	};

	b.host.complain = complain;
	make_sensors(&b, index);
	config->driver->check(&b.bus);
}

void config_check_drivers(struct loader *l)
{
	for (uint32_t i = 0; i < l->config->n_buses; i++) {
		const struct scg_driver *driver = l->config->buses[i]->driver;

		/* values that were refused stand in for others: what the driver says of these
		 * misleads */
		if (driver && driver->check && !l->buses[i].broken) {
			check_bus(l, i);
		}
	}
}

/* A bus that cannot keep its intervals whoever answers is refused; one that probably cannot is
 * not. */
static void check_plan(struct loader *l, const struct bus_config *config)
{
	_cleanup_(plan_clear) struct plan plan = {0};
	_cleanup_(freep) char *where = xasprintf("buses[%u] (%s)", config->index, config->name);
	_cleanup_(freep) char *excess = NULL;
	struct place place = place_of(l->buses[config->index].node);

	plan_make(config, &plan);
	if (plan.least > 1) {
		excess = plan_describe_excess(&plan, plan.least);
		problems_complain(
			l->problems, l->allow_overload, place, where, NULL, "needs %s", excess);
	} else if (plan.likely > 1) {
		excess = plan_describe_excess(&plan, plan.likely);
		problems_complain(
			l->problems, true, place, where, NULL, "will probably need %s", excess);
	}
}

void config_check_plans(struct loader *l)
{
	if (l->problems->n_errors > 0) {
		return; /* an interval that was refused stands in for another: sums mislead */
	}
	for (uint32_t i = 0; i < l->config->n_buses; i++) {
		check_plan(l, l->config->buses[i]);
	}
}

static uint64_t hash_sensor_identity(uint64_t hash, const struct sensor_config *sensor)
{
	hash = hash_string(hash, sensor->slug);
	return hash_string(hash, sensor->uuid);
}

static uint64_t hash_number(uint64_t hash, double value)
{
	return hash_bytes(hash, &value, sizeof(value));
}

static uint64_t hash_integer(uint64_t hash, int64_t value)
{
	return hash_bytes(hash, &value, sizeof(value));
}

/* All that a bus does with a sensor. */
static uint64_t hash_sensor(uint64_t hash, const struct sensor_config *sensor)
{
	const struct scg_driver *driver = sensor->bus->driver;

	hash = hash_string(hash, sensor->device->uuid);
	hash = hash_string(hash, sensor->device->name);
	hash = hash_sensor_identity(hash, sensor);
	hash = config_hash_values(
		hash, driver->sensor_options, driver->n_sensor_options, sensor->options);
	hash = hash_integer(hash, sensor->interval_ns);
	hash = hash_number(hash, sensor->scale);
	hash = hash_number(hash, sensor->offset);
	hash = hash_integer(hash, sensor->decimals);
	hash = hash_number(hash, sensor->min);
	hash = hash_number(hash, sensor->max);
	hash = hash_number(hash, sensor->deadband);
	hash = hash_integer(hash, sensor->max_silence_ns);
	return hash_integer(hash, sensor->stale_ns);
}

static uint64_t hash_device(const struct device_config *device)
{
	uint64_t hash = hash_string(HASH_INIT, device->name);

	hash = hash_string(hash, device->uuid);
	hash = hash_string(hash, device->username);
	hash = hash_string(hash, device->password);
	hash = hash_string(hash, device->battery ? device->battery->name : NULL);
	for (uint32_t i = 0; i < device->n_sensors; i++) {
		hash = hash_sensor_identity(hash, device->sensors[i]);
	}
	return hash;
}

/* When and how a file that an option names was last changed: the driver is to read it again. */
static uint64_t hash_files(
	uint64_t hash, const struct scg_option *table, uint32_t n, const union scg_value *values)
{
	for (uint32_t i = 0; i < n; i++) {
		struct stat st = {0};

		if (table[i].flags & SCG_FILE && values[i].s) {
			/* one that is not there counts as one that is empty */
			(void)stat(values[i].s, &st);
			hash = hash_integer(hash, st.st_size);
			hash = hash_integer(hash, (int64_t)st.st_ino);
			hash = hash_integer(hash, st.st_mtim.tv_sec);
			hash = hash_integer(hash, st.st_mtim.tv_nsec);
		}
	}
	return hash;
}

void config_make_fingerprints(struct loader *l)
{
	struct config *config = l->config;

	if (l->problems->n_errors > 0) {
		return; /* nobody will see it */
	}
	for (uint32_t i = 0; i < config->n_buses; i++) {
		struct bus_config *bus = config->buses[i];

		bus->fingerprint = yaml_hash(HASH_INIT, l->buses[i].node);
		bus->fingerprint = hash_files(bus->fingerprint, bus->driver->bus_options,
			bus->driver->n_bus_options, bus->options);
		for (uint32_t k = 0; k < bus->n_sensors; k++) {
			bus->fingerprint = hash_sensor(bus->fingerprint, bus->sensors[k]);
		}
	}
	for (uint32_t i = 0; i < config->n_devices; i++) {
		config->devices[i]->fingerprint = hash_device(config->devices[i]);
	}
}
