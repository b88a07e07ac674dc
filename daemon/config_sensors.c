/* SPDX-License-Identifier: Apache-2.0 */
#include "config_private.h"

#include <math.h>
#include <string.h>

#define STALE_INTERVALS 3
#define STALE_LEAST_NS  (10 * NS_PER_S)

enum {
	SENSOR_SLUG,
	SENSOR_UUID,
	SENSOR_BUS,
	SENSOR_OPTIONS,
	SENSOR_INTERVAL,
	SENSOR_SCALE,
	SENSOR_OFFSET,
	SENSOR_DECIMALS,
	SENSOR_MIN,
	SENSOR_MAX,
	SENSOR_DEADBAND,
	SENSOR_MAX_SILENCE,
	SENSOR_STALE,
	N_SENSOR,
};

/* The first that may stand in `defaults` of a device: slug and UUID are each sensor's own. */
#define SENSOR_FIRST_DEFAULT SENSOR_BUS

static const struct scg_option sensor_table[N_SENSOR] = {
	[SENSOR_SLUG] = {.name = "slug", .type = SCG_STRING, .max = CONFIG_NAME_MAX},
	[SENSOR_UUID] = {.name = "uuid", .type = SCG_STRING},
	[SENSOR_BUS] = {.name = "bus", .type = SCG_STRING},
	[SENSOR_OPTIONS] = {.name = "options", .type = OPTION_NODE},
	[SENSOR_INTERVAL] = {.name = "interval",
		.type = SCG_DURATION,
		.fallback = "10s",
		.min = 0.001,
		.max = 30 * 86400},
	[SENSOR_SCALE] = {.name = "scale", .type = SCG_NUMBER, .fallback = "1"},
	[SENSOR_OFFSET] = {.name = "offset", .type = SCG_NUMBER, .fallback = "0"},
	[SENSOR_DECIMALS] = {.name = "decimals",
		.type = SCG_INT,
		.flags = OPTION_OPTIONAL,
		.min = 0,
		.max = 15},
	[SENSOR_MIN] = {.name = "min", .type = SCG_NUMBER, .flags = OPTION_OPTIONAL},
	[SENSOR_MAX] = {.name = "max", .type = SCG_NUMBER, .flags = OPTION_OPTIONAL},
	[SENSOR_DEADBAND] =
		{.name = "deadband", .type = SCG_NUMBER, .fallback = "0", .min = 0, .max = 1e300},
	[SENSOR_MAX_SILENCE] = {.name = "max_silence", .type = SCG_DURATION, .fallback = "0"},
	[SENSOR_STALE] = {.name = "stale", .type = SCG_DURATION, .fallback = "0"},
};

/* A sensor while it is read. */
struct reading_sensor {
	struct loader *l;
	const struct sensor_place *place;
	struct sensor_config *sensor;
	struct sensor_source *source;
	const char *where;
	union scg_value values[N_SENSOR];
	const struct yaml_node *nodes[N_SENSOR];
};

/* What many sensors have by `defaults` is noted once, at its own place there. */
_printf_(4, 5) static void complain(
	struct reading_sensor *s, bool is_warning, unsigned key, const char *format, ...)
{
	const struct yaml_node *node = s->nodes[key];
	const char *name = sensor_table[key].name;
	_cleanup_(freep) char *text = NULL;
	_cleanup_(freep) char *device = NULL;
	_cleanup_(freep) char *where = NULL;
	va_list args;

	va_start(args, format);
	text = xvasprintf(format, args);
	va_end(args);
	if (node && !yaml_find(s->place->node, name)) {
		if (!config_is_new(s->l, place_of(node), text)) {
			return;
		}
		device = config_device_where(s->place->device);
		where = xasprintf("%s: defaults.", device);
	}
	problems_complain(s->l->problems, is_warning, place_of(node ? node : s->place->node),
		where ? where : s->where, name, "%s", text);
}

/* The index of the bus, or UINT32_MAX with *ret_problem saying which there are. */
static uint32_t find_bus(const struct loader *l, const char *name, char **ret_problem)
{
	_cleanup_(freep) const char **names = xcalloc(l->config->n_buses, sizeof(*names));
	_cleanup_(freep) char *list = NULL;
	char shown[TEXT_SHOW_MAX];
	uint32_t bus;

	if (name && config_names_find(&l->bus_names, name, &bus)) {
		return bus;
	}
	for (uint32_t i = 0; i < l->config->n_buses; i++) {
		names[i] = l->config->buses[i]->name;
	}
	list = options_join(names, l->config->n_buses, ", ");
	*ret_problem = name ? xasprintf("no bus has the name %s, expected one of: %s",
				      text_show(shown, name), list)
			    : xasprintf("missing, expected one of: %s", list);
	return UINT32_MAX;
}

/* Also when no sensor uses it. */
static void check_default_bus(
	struct loader *l, const struct yaml_node *defaults, const char *prefix)
{
	const struct yaml_pair *pair = defaults->kind == YAML_KIND_MAPPING
					       ? yaml_find(defaults, "bus")
					       : NULL;
	const struct yaml_node *node = pair ? pair->value : NULL;
	_cleanup_(freep) char *problem = NULL;

	if (l->config->n_buses > 0 && node && node->kind == YAML_KIND_SCALAR && !node->is_null &&
		find_bus(l, node->text, &problem) == UINT32_MAX &&
		config_is_new(l, place_of(node), problem)) {
		problems_complain(l->problems, false, place_of(node), prefix, "bus", "%s", problem);
	}
}

void config_check_defaults(
	struct loader *l, const struct device_config *device, const struct yaml_node *defaults)
{
	_cleanup_(freep) char *where = config_device_where(device);
	_cleanup_(freep) char *prefix = xasprintf("%s: defaults.", where);

	(void)options_check_partial(&sensor_table[SENSOR_FIRST_DEFAULT],
		N_SENSOR - SENSOR_FIRST_DEFAULT, defaults, prefix, l->problems);
	check_default_bus(l, defaults, prefix);
}

static void load_identity(struct reading_sensor *s)
{
	struct sensor_config *sensor = s->sensor;
	const char *slug = s->values[SENSOR_SLUG].s, *uuid = s->values[SENSOR_UUID].s;
	uint32_t index = s->place->index, other;

	if (slug) {
		sensor->slug = config_take_name(
			s->l, s->nodes[SENSOR_SLUG], s->where, "slug", slug, true);
	}
	if (uuid) {
		sensor->uuid = config_take_uuid(
			s->l, s->nodes[SENSOR_UUID], s->where, "uuid", uuid);
	}
	sensor->name = sensor->slug ? sensor->slug : sensor->uuid ? sensor->uuid : "";
	if (!s->nodes[SENSOR_SLUG] && !s->nodes[SENSOR_UUID]) {
		complain(s, false, SENSOR_SLUG, "missing, expected slug or uuid or both");
	}
	if (sensor->slug && !config_names_add(s->place->slugs, sensor->slug, index, &other)) {
		complain(s, false, SENSOR_SLUG,
			"sensors[%u] of this device has it already, expected another", other);
	}
	if (sensor->uuid && !config_names_add(s->place->uuids, sensor->uuid, index, &other)) {
		complain(s, false, SENSOR_UUID,
			"sensors[%u] of this device has it already, expected another", other);
	}
}

static void load_bus(struct reading_sensor *s)
{
	const char *name = s->values[SENSOR_BUS].s;
	struct loader *l = s->l;
	_cleanup_(freep) char *problem = NULL;

	if (l->config->n_buses == 0 || (s->nodes[SENSOR_BUS] && !name)) {
		return; /* noted */
	}
	if (!name && l->config->n_buses == 1) {
		s->source->bus = 0;
	} else {
		s->source->bus = find_bus(l, name, &problem);
	}
	if (s->source->bus != UINT32_MAX) {
		s->sensor->bus = l->config->buses[s->source->bus];
	} else {
		complain(s, false, SENSOR_BUS, "%s", problem);
	}
}

static const struct yaml_node *default_options(const struct yaml_node *defaults)
{
	const struct yaml_pair *pair = defaults && defaults->kind == YAML_KIND_MAPPING
					       ? yaml_find(defaults, "options")
					       : NULL;

	return pair ? pair->value : NULL;
}

/* What is wrong in `defaults` with the options of the sensor's driver: once for each driver. */
static size_t check_default_options(struct reading_sensor *s, const struct scg_driver *driver)
{
	_cleanup_(freep) char *where = config_device_where(s->place->device);
	_cleanup_(freep) char *prefix = xasprintf("%s: defaults.options.", where);
	uint32_t broken = 0;

	if (config_names_find(s->place->checked_drivers, driver->name, &broken)) {
		return broken;
	}
	broken = options_check_partial(driver->sensor_options, driver->n_sensor_options,
			 s->source->default_options, prefix, s->l->problems) > 0;
	(void)config_names_add(s->place->checked_drivers, driver->name, broken, NULL);
	return broken;
}

static void load_options(struct reading_sensor *s)
{
	const struct scg_driver *driver = s->sensor->bus ? s->sensor->bus->driver : NULL;
	_cleanup_(freep) char *prefix = NULL;
	union scg_value *values;
	size_t n_errors = 0;

	if (!driver) {
		return; /* noted */
	}
	/* nodes[] has the sensor's own, or that of the defaults if it has none */
	s->source->default_options = default_options(s->place->defaults);
	s->source->options = s->nodes[SENSOR_OPTIONS] != s->source->default_options
				     ? s->nodes[SENSOR_OPTIONS]
				     : NULL;
	if (s->source->default_options) {
		n_errors = check_default_options(s, driver);
	}
	prefix = xasprintf("%s: options.", s->where);
	values = arena_array(s->l->arena, driver->n_sensor_options, sizeof(*values));
	n_errors += options_parse(driver->sensor_options, driver->n_sensor_options,
		s->source->options, s->source->default_options, s->place->node, prefix,
		s->l->problems, values, NULL);
	if (n_errors > 0) {
		s->l->buses[s->source->bus].broken = true;
	}
	config_keep_texts(s->l, driver->sensor_options, driver->n_sensor_options, values);
	s->sensor->options = values;
}

static void load_value_rules(struct reading_sensor *s)
{
	struct sensor_config *sensor = s->sensor;

	sensor->scale = s->values[SENSOR_SCALE].d;
	sensor->offset = s->values[SENSOR_OFFSET].d;
	sensor->decimals = s->nodes[SENSOR_DECIMALS] ? (int)s->values[SENSOR_DECIMALS].i : -1;
	sensor->min = s->nodes[SENSOR_MIN] ? s->values[SENSOR_MIN].d : -INFINITY;
	sensor->max = s->nodes[SENSOR_MAX] ? s->values[SENSOR_MAX].d : INFINITY;
	sensor->deadband = s->values[SENSOR_DEADBAND].d;
	if (sensor->scale == 0) {
		complain(s, false, SENSOR_SCALE,
			"0 would make all readings equal, expected another");
	}
	if (sensor->min > sensor->max) {
		complain(s, false, SENSOR_MIN, "%.15g is above max, expected at most %.15g",
			sensor->min, sensor->max);
	}
}

static void load_times(struct reading_sensor *s)
{
	struct sensor_config *sensor = s->sensor;
	char buf[FORMAT_MAX];

	sensor->interval_ns = s->values[SENSOR_INTERVAL].i;
	sensor->max_silence_ns = s->values[SENSOR_MAX_SILENCE].i;
	sensor->stale_ns = s->values[SENSOR_STALE].i;
	if (sensor->stale_ns == 0) {
		sensor->stale_ns = MAX(STALE_INTERVALS * sensor->interval_ns, STALE_LEAST_NS);
	}
	if (sensor->interval_ns < NS_PER_S && s->nodes[SENSOR_INTERVAL] &&
		!s->l->config->platform.milliseconds) {
		complain(s, true, SENSOR_INTERVAL,
			"%s is less than a second, but platform.timestamps is seconds: readings "
			"will share a timestamp",
			format_duration_yaml(buf, sensor->interval_ns));
	}
}

/* What messages call the sensor before its keys have been read. */
static const char *peek_name(const struct yaml_node *node)
{
	static const char *const keys[] = {"slug", "uuid"};

	for (size_t i = 0; node->kind == YAML_KIND_MAPPING && i < ARRAY_SIZE(keys); i++) {
		const struct yaml_pair *pair = yaml_find(node, keys[i]);

		if (pair && pair->value->kind == YAML_KIND_SCALAR && !pair->value->is_null) {
			return pair->value->text;
		}
	}
	return NULL;
}

void config_load_sensor(struct loader *l, const struct sensor_place *place)
{
	_cleanup_(freep) char *where = config_sensor_where(
		place->device, place->index, peek_name(place->node));
	uint32_t n = l->config->n_sensors++;
	struct reading_sensor s = {
		.l = l,
		.place = place,
		.sensor = arena_alloc(l->arena, sizeof(struct sensor_config)),
		.source = &l->sensors[n],
		.where = where,
	};

	l->config->sensors[n] = s.sensor;
	*s.source = (struct sensor_source){
		.node = place->node, .index = place->index, .bus = UINT32_MAX};
	s.sensor->device = place->device;
	s.sensor->name = "";
	(void)options_parse(sensor_table, N_SENSOR, place->node, place->defaults, place->node,
		where, l->problems, s.values, s.nodes);
	if (place->node->kind != YAML_KIND_MAPPING) {
		return;
	}
	load_identity(&s);
	load_bus(&s);
	load_options(&s);
	load_value_rules(&s);
	load_times(&s);
}
