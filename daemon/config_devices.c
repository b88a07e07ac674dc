/* SPDX-License-Identifier: Apache-2.0 */
#include "config_private.h"

#include <string.h>

/* A thread and a connection each. */
#define DEVICES_MAX 1000

enum {
	DEVICE_NAME,
	DEVICE_UUID,
	DEVICE_USERNAME,
	DEVICE_PASSWORD,
	DEVICE_PASSWORD_FILE,
	DEVICE_PASSWORD_CREDENTIAL,
	DEVICE_BATTERY_VOLTAGE,
	DEVICE_DEFAULTS,
	DEVICE_SENSORS,
	N_DEVICE,
};

static const struct scg_option device_table[N_DEVICE] = {
	[DEVICE_NAME] = {.name = "name", .type = SCG_STRING, .max = CONFIG_NAME_MAX},
	[DEVICE_UUID] = {.name = "uuid", .type = SCG_STRING, .flags = SCG_REQUIRED},
	[DEVICE_USERNAME] = {.name = "username", .type = SCG_STRING, .max = 1024},
	/* MQTT counts it in 16 bits (MQTT 3.1.1, 3.1.3.5) */
	[DEVICE_PASSWORD] = {.name = "password",
		.type = SCG_STRING,
		.flags = SCG_SECRET,
		.max = 65535},
	[DEVICE_PASSWORD_FILE] = {.name = "password_file", .type = SCG_STRING, .max = 4095},
	[DEVICE_PASSWORD_CREDENTIAL] = {.name = "password_credential",
		.type = SCG_STRING,
		.max = 255},
	[DEVICE_BATTERY_VOLTAGE] = {.name = "battery_voltage",
		.type = SCG_STRING,
		.max = CONFIG_NAME_MAX},
	[DEVICE_DEFAULTS] = {.name = "defaults", .type = OPTION_NODE},
	[DEVICE_SENSORS] = {.name = "sensors", .type = OPTION_NODE},
};

struct device_names {
	struct config_names names, uuids; /* the number is the index of the device */
};

static const char *scalar(const struct yaml_node *mapping, const char *key)
{
	const struct yaml_pair *pair = mapping->kind == YAML_KIND_MAPPING ? yaml_find(mapping, key)
									  : NULL;

	return pair && pair->value->kind == YAML_KIND_SCALAR ? pair->value->text : NULL;
}

static void load_identity(struct loader *l, struct device_config *device,
	const struct yaml_node *const *nodes, const union scg_value *values, const char *where,
	struct device_names *known)
{
	uint32_t other;

	if (values[DEVICE_UUID].s) {
		device->uuid = config_take_uuid(
			l, nodes[DEVICE_UUID], where, "uuid", values[DEVICE_UUID].s);
	}
	if (device->uuid && !config_names_add(&known->uuids, device->uuid, device->index, &other)) {
		problems_complain(l->problems, false, place_of(nodes[DEVICE_UUID]), where, "uuid",
			"devices[%u] has this UUID already, expected one of its own", other);
	}
	/* replaces what served the messages so far and points into the tree */
	device->name = values[DEVICE_NAME].s ? config_take_name(l, nodes[DEVICE_NAME], where,
						       "name", values[DEVICE_NAME].s, false)
					     : device->uuid;
	if (device->name && !config_names_add(&known->names, device->name, device->index, &other)) {
		problems_complain(l->problems, false, place_of(nodes[DEVICE_NAME]), where, "name",
			"devices[%u] has this name already, expected one of its own", other);
	}
}

static void load_credentials(struct loader *l, struct device_config *device,
	const struct yaml_node *node, const struct yaml_node *const *nodes,
	const union scg_value *values, const char *where)
{
	struct password_source source = {
		.plain = nodes[DEVICE_PASSWORD],
		.file = nodes[DEVICE_PASSWORD_FILE],
		.credential = nodes[DEVICE_PASSWORD_CREDENTIAL],
	};

	if (values[DEVICE_USERNAME].s) {
		device->username = config_take_name(l, nodes[DEVICE_USERNAME], where, "username",
			values[DEVICE_USERNAME].s, false);
	} else if (!nodes[DEVICE_USERNAME]) {
		problems_complain(l->problems, true, place_of(node), where, "username",
			"missing, the platform refuses a login without username");
	}
	device->password = config_load_password(l, where, &source);
}

static void load_sensors(struct loader *l, struct device_config *device,
	const struct yaml_node *defaults, const struct yaml_node *list)
{
	struct config_names slugs = {0}, uuids = {0}, checked_drivers = {0};
	uint32_t first = l->config->n_sensors;

	for (uint32_t i = 0; i < list->n; i++) {
		struct sensor_place place = {
			.device = device,
			.node = list->items[i],
			.defaults = defaults,
			.index = i,
			.slugs = &slugs,
			.uuids = &uuids,
			.checked_drivers = &checked_drivers,
		};

		config_load_sensor(l, &place);
	}
	device->sensors = l->config->sensors + first;
	device->n_sensors = l->config->n_sensors - first;
	config_names_clear(&slugs);
	config_names_clear(&uuids);
	config_names_clear(&checked_drivers);
}

static void find_battery(struct loader *l, struct device_config *device,
	const struct yaml_node *node, const char *slug, const char *where)
{
	_cleanup_(freep) const char **slugs = xcalloc(device->n_sensors, sizeof(*slugs));
	const char *nearest;
	uint32_t n_slugs = 0;
	char shown[TEXT_SHOW_MAX];

	for (uint32_t i = 0; i < device->n_sensors; i++) {
		const struct sensor_config *sensor = device->sensors[i];

		if (sensor->slug && strcmp(sensor->slug, slug) == 0) {
			device->battery = sensor;
			return;
		}
		if (sensor->slug) {
			slugs[n_slugs++] = sensor->slug;
		}
	}
	nearest = options_nearest(slug, slugs, n_slugs);
	problems_complain(l->problems, false, place_of(node), where, "battery_voltage",
		"no sensor of this device has the slug %s, %s%s%s", text_show(shown, slug),
		nearest ? "did you mean " : "expected the slug of one of its sensors",
		nearest ? nearest : "", nearest ? "?" : "");
}

static void load_device(
	struct loader *l, const struct yaml_node *node, uint32_t index, struct device_names *known)
{
	struct device_config *device = arena_alloc(l->arena, sizeof(*device));
	_cleanup_(freep) char *where = NULL;
	const struct yaml_node *nodes[N_DEVICE];
	union scg_value values[N_DEVICE];
	const struct yaml_node *list;

	device->index = index;
	device->name = scalar(node, "name");
	device->name = device->name ? device->name : scalar(node, "uuid");
	where = config_device_where(device);
	l->config->devices[index] = device;
	(void)options_parse(
		device_table, N_DEVICE, node, NULL, node, where, l->problems, values, nodes);
	load_identity(l, device, nodes, values, where, known);
	if (node->kind == YAML_KIND_MAPPING) {
		load_credentials(l, device, node, nodes, values, where);
	}
	if (nodes[DEVICE_DEFAULTS]) {
		config_check_defaults(l, device, nodes[DEVICE_DEFAULTS]);
	}
	list = nodes[DEVICE_SENSORS]
		       ? config_expect_list_or_none(l, nodes[DEVICE_SENSORS], where, "sensors")
		       : NULL;
	if (list) {
		load_sensors(l, device, nodes[DEVICE_DEFAULTS], list);
	}
	if (values[DEVICE_BATTERY_VOLTAGE].s) {
		find_battery(l, device, nodes[DEVICE_BATTERY_VOLTAGE],
			values[DEVICE_BATTERY_VOLTAGE].s, where);
	}
}

/* The number of sensors in all devices, for arrays that do not grow. */
static uint32_t count_sensors(const struct yaml_node *devices)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < devices->n; i++) {
		const struct yaml_pair *sensors = devices->items[i]->kind == YAML_KIND_MAPPING
							  ? yaml_find(devices->items[i], "sensors")
							  : NULL;

		if (sensors && sensors->value->kind == YAML_KIND_SEQUENCE) {
			n += sensors->value->n;
		}
	}
	return n;
}

/* The sensors of each bus, in the order of the file. */
static void collect_by_bus(struct loader *l)
{
	struct config *config = l->config;
	bool all_found = true;

	for (uint32_t i = 0; i < config->n_sensors; i++) {
		if (l->sensors[i].bus != UINT32_MAX) {
			config->buses[l->sensors[i].bus]->n_sensors++;
		} else {
			all_found = false;
		}
	}
	for (uint32_t i = 0; i < config->n_buses; i++) {
		struct bus_config *bus = config->buses[i];

		bus->sensors = arena_array(
			l->arena, bus->n_sensors, sizeof(struct sensor_config *));
		if (bus->n_sensors == 0 && config->n_sensors > 0 && all_found &&
			bus->name[0] != '\0') {
			problems_complain(l->problems, true, place_of(l->buses[i].node), "", NULL,
				"buses[%u] (%s): no sensor is on this bus", i, bus->name);
		}
		bus->n_sensors = 0;
	}
	for (uint32_t i = 0; i < config->n_sensors; i++) {
		if (l->sensors[i].bus != UINT32_MAX) {
			struct bus_config *bus = config->buses[l->sensors[i].bus];

			bus->sensors[bus->n_sensors++] = config->sensors[i];
		}
	}
}

void config_load_devices(struct loader *l, const struct yaml_node *node)
{
	const struct yaml_node *list = config_expect_list_or_none(l, node, "", "devices");
	struct device_names known = {0};
	struct config *config = l->config;
	uint32_t n_sensors;

	if (!list) {
		return;
	}
	if (list->n > DEVICES_MAX) {
		problems_complain(l->problems, false, place_of(node), "", "devices",
			"%u are too many, expected at most %d", list->n, DEVICES_MAX);
		return;
	}
	n_sensors = count_sensors(list);
	config->devices = arena_array(l->arena, list->n, sizeof(struct device_config *));
	config->n_devices = list->n;
	config->sensors = arena_array(l->arena, n_sensors, sizeof(struct sensor_config *));
	l->sensors = xcalloc(n_sensors, sizeof(*l->sensors));
	for (uint32_t i = 0; i < list->n; i++) {
		load_device(l, list->items[i], i, &known);
	}
	config_names_clear(&known.names);
	config_names_clear(&known.uuids);
	collect_by_bus(l);
}
