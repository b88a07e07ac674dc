/* SPDX-License-Identifier: Apache-2.0 */
#include "config_private.h"

#include "driver.h"

/* A thread each. */
#define BUSES_MAX 1000

enum { BUS_NAME, BUS_DRIVER, BUS_OPTIONS, N_BUS };

static const struct scg_option bus_table[N_BUS] = {
	[BUS_NAME] = {.name = "name",
		.type = SCG_STRING,
		.flags = SCG_REQUIRED,
		.max = CONFIG_NAME_MAX},
	[BUS_DRIVER] = {.name = "driver",
		.type = SCG_STRING,
		.flags = SCG_REQUIRED,
		.max = CONFIG_NAME_MAX},
	[BUS_OPTIONS] = {.name = "options", .type = OPTION_NODE},
};

/* "buses[0] (rs485-0)" */
static char *describe_where(const struct yaml_node *node, uint32_t index)
{
	const struct yaml_pair *name = node->kind == YAML_KIND_MAPPING ? yaml_find(node, "name")
								       : NULL;

	return name && name->value->kind == YAML_KIND_SCALAR && name->value->text[0] != '\0'
		       ? xasprintf("buses[%u] (%s)", index, name->value->text)
		       : xasprintf("buses[%u]", index);
}

static void load_driver(struct loader *l, struct bus_config *bus, const struct yaml_node *node,
	const char *name, const char *where)
{
	_cleanup_(freep) char *error = NULL;

	bus->driver = driver_find(name, &error);
	if (!bus->driver) {
		problems_complain(l->problems, false, place_of(node), where, "driver", "%s", error);
	}
}

static void load_options(
	struct loader *l, struct bus_config *bus, struct bus_source *source, const char *where)
{
	_cleanup_(freep) char *prefix = xasprintf("%s: options.", where);
	const struct scg_driver *driver = bus->driver;
	union scg_value *values = arena_array(l->arena, driver->n_bus_options, sizeof(*values));

	if (options_parse(driver->bus_options, driver->n_bus_options, source->options, NULL,
		    source->node, prefix, l->problems, values, NULL) > 0) {
		source->broken = true;
	}
	config_keep_texts(l, driver->bus_options, driver->n_bus_options, values);
	bus->options = values;
}

static void load_bus(struct loader *l, const struct yaml_node *node, uint32_t index)
{
	_cleanup_(freep) char *where = describe_where(node, index);
	struct bus_config *bus = arena_alloc(l->arena, sizeof(*bus));
	struct bus_source *source = &l->buses[index];
	const struct yaml_node *nodes[N_BUS];
	union scg_value values[N_BUS];
	uint32_t other;

	bus->index = index;
	bus->name = "";
	l->config->buses[index] = bus;
	source->node = node;
	if (options_parse(bus_table, N_BUS, node, NULL, node, where, l->problems, values, nodes) >
		0) {
		source->broken = true;
	}
	source->options = nodes[BUS_OPTIONS];
	if (values[BUS_NAME].s) {
		const char *name = config_take_name(
			l, nodes[BUS_NAME], where, "name", values[BUS_NAME].s, false);

		bus->name = name ? name : "";
	}
	if (bus->name[0] != '\0' && !config_names_add(&l->bus_names, bus->name, index, &other)) {
		problems_complain(l->problems, false, place_of(nodes[BUS_NAME]), where, "name",
			"buses[%u] has this name already, expected one of its own", other);
	}
	if (values[BUS_DRIVER].s) {
		load_driver(l, bus, nodes[BUS_DRIVER], values[BUS_DRIVER].s, where);
	}
	if (bus->driver) {
		load_options(l, bus, source, where);
	}
}

void config_load_buses(struct loader *l, const struct yaml_node *node)
{
	const struct yaml_node *list = config_expect_list(l, node, "", "buses");
	struct config *config = l->config;

	if (!list) {
		return;
	}
	if (list->n > BUSES_MAX) {
		problems_complain(l->problems, false, place_of(node), "", "buses",
			"%u are too many, expected at most %d", list->n, BUSES_MAX);
		return;
	}
	config->n_buses = list->n;
	config->buses = arena_array(l->arena, list->n, sizeof(struct bus_config *));
	l->buses = xcalloc(list->n, sizeof(*l->buses));
	for (uint32_t i = 0; i < list->n; i++) {
		load_bus(l, list->items[i], i);
	}
}
