/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <ctype.h>
#include <string.h>

#include "config_private.h"

enum { ROOT_PLATFORM, ROOT_JOURNAL, ROOT_CLOCK, ROOT_BUSES, ROOT_DEVICES, N_ROOT };

static const struct scg_option root_table[N_ROOT] = {
	[ROOT_PLATFORM] = {.name = "platform",
		.type = OPTION_NODE,
		.flags = SCG_REQUIRED,
		.unit = "a mapping with host and tenant"},
	[ROOT_JOURNAL] = {.name = "journal", .type = OPTION_NODE},
	[ROOT_CLOCK] = {.name = "clock", .type = OPTION_NODE},
	[ROOT_BUSES] = {.name = "buses",
		.type = OPTION_NODE,
		.flags = SCG_REQUIRED,
		.unit = "a list of buses"},
	[ROOT_DEVICES] = {.name = "devices", .type = OPTION_NODE},
};

static void load_root(struct loader *l, const struct yaml_node *root)
{
	const struct yaml_node *nodes[N_ROOT];
	union scg_value values[N_ROOT];

	(void)options_parse(root_table, N_ROOT, root, NULL, root, "", l->problems, values, nodes);
	if (nodes[ROOT_PLATFORM]) {
		config_load_platform(l, nodes[ROOT_PLATFORM]);
	}
	config_load_journal(l, nodes[ROOT_JOURNAL]);
	config_load_clock(l, nodes[ROOT_CLOCK]);
	if (nodes[ROOT_BUSES]) {
		config_load_buses(l, nodes[ROOT_BUSES]);
	}
	if (nodes[ROOT_DEVICES]) {
		config_load_devices(l, nodes[ROOT_DEVICES]);
	}
	/* who has not found them yet begins so */
	if (l->problems->n_errors == 0 && l->config->n_sensors == 0) {
		problems_complain(l->problems, true, place_of(nodes[ROOT_DEVICES]), "", "devices",
			"no sensors yet, nothing will be read; `sensocan-gateway scan BUS` searches a bus "
			"for them");
	}
}

static struct config *load(const char *file, struct problems *problems, bool allow_overload)
{
	_cleanup_(yaml_tree_freep) struct yaml_tree *tree = yaml_tree_load(file, problems);
	_cleanup_(config_unrefp) struct config *config = NULL;
	_cleanup_(arena_freep) struct arena *scratch = arena_new();
	struct loader l = {
		.problems = problems, .scratch = scratch, .allow_overload = allow_overload};

	if (!tree) {
		return NULL;
	}
	l.arena = arena_new();
	config = arena_alloc(l.arena, sizeof(*config));
	config->arena = l.arena;
	atomic_init(&config->refs, 1);
	config->file = arena_strdup(l.arena, file);
	l.config = config;

	load_root(&l, yaml_tree_root(tree));
	config_check_drivers(&l);
	config_check_plans(&l);
	config_make_fingerprints(&l);
	config_names_clear(&l.bus_names);
	config_names_clear(&l.noted);
	free(l.buses);
	free(l.sensors);
	return problems->n_errors == 0 ? steal_ptr(config) : NULL;
}

struct config *config_load(const char *file, struct problems *problems)
{
	return load(file, problems, false);
}

struct config *config_load_overloaded(const char *file, struct problems *problems)
{
	return load(file, problems, true);
}

struct config *config_ref(struct config *config)
{
	(void)atomic_fetch_add_explicit(&config->refs, 1, memory_order_relaxed);
	return config;
}

void config_unref(struct config *config)
{
	if (config && atomic_fetch_sub_explicit(&config->refs, 1, memory_order_acq_rel) == 1) {
		arena_free(config->arena);
	}
}

char *config_device_where(const struct device_config *device)
{
	/* without a name of its own it has that of its UUID, or none yet */
	return device->name && device->name[0] != '\0'
		       ? xasprintf("devices[%u] (%s)", device->index, device->name)
		       : xasprintf("devices[%u]", device->index);
}

char *config_sensor_where(const struct device_config *device, uint32_t index, const char *name)
{
	_cleanup_(freep) char *where = config_device_where(device);

	return name && name[0] != '\0' ? xasprintf("%s sensors[%u] (%s)", where, index, name)
				       : xasprintf("%s sensors[%u]", where, index);
}

bool config_is_new(struct loader *l, struct place place, const char *text)
{
	_cleanup_(freep) char *id = xasprintf("%u:%u:%s", place.line, place.column, text);

	return config_names_add(&l->noted, arena_strdup(l->scratch, id), 0, NULL);
}

const char *config_take_name(struct loader *l, const struct yaml_node *node, const char *where,
	const char *key, const char *name, bool topic)
{
	char shown[TEXT_SHOW_MAX];

	if (name[0] == '\0') {
		problems_complain(
			l->problems, false, place_of(node), where, key, "empty, expected text");
		return NULL;
	}
	if (topic && strpbrk(name, "/+#")) {
		problems_complain(l->problems, false, place_of(node), where, key,
			"%s would break the MQTT topic, expected text without / + #",
			text_show(shown, name));
		return NULL;
	}
	for (const unsigned char *p = (const unsigned char *)name; *p; p++) {
		if (*p < ' ' || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0)) {
			problems_complain(l->problems, false, place_of(node), where, key,
				"%s has a control character in it, expected printable text",
				text_show(shown, name));
			return NULL;
		}
	}
	return arena_strdup(l->arena, name);
}

const char *config_take_uuid(struct loader *l, const struct yaml_node *node, const char *where,
	const char *key, const char *uuid)
{
	char shown[TEXT_SHOW_MAX];
	char *copy;

	if (!is_uuid(uuid)) {
		problems_complain(l->problems, false, place_of(node), where, key,
			"%s is no UUID, expected a1b2c3d4-e5f6-7890-abcd-ef1234567890 or the like",
			text_show(shown, uuid));
		return NULL;
	}
	copy = arena_strdup(l->arena, uuid);
	for (char *p = copy; *p; p++) {
		*p = (char)tolower((unsigned char)*p);
	}
	return copy;
}

const char *config_take_path(struct loader *l, const char *path)
{
	const char *file = l->config->file;
	const char *slash = strrchr(file, '/');
	_cleanup_(freep) char *joined = NULL;

	if (path[0] == '/' || !slash) {
		return arena_strdup(l->arena, path);
	}
	joined = xasprintf("%.*s/%s", (int)(slash - file), file, path);
	return arena_strdup(l->arena, joined);
}

const struct yaml_node *config_expect_list(
	struct loader *l, const struct yaml_node *node, const char *where, const char *key)
{
	const struct yaml_node *list = config_expect_list_or_none(l, node, where, key);

	if (!list && (node->is_null || node->kind == YAML_KIND_SEQUENCE)) {
		problems_complain(l->problems, false, place_of(node), where, key,
			"empty, expected one at least");
	}
	return list;
}

const struct yaml_node *config_expect_list_or_none(
	struct loader *l, const struct yaml_node *node, const char *where, const char *key)
{
	if (node->is_null) {
		return NULL;
	}
	if (node->kind != YAML_KIND_SEQUENCE) {
		problems_complain(l->problems, false, place_of(node), where, key,
			"expected a list (lines that begin with \"- \")");
		return NULL;
	}
	return node->n > 0 ? node : NULL;
}

uint64_t config_hash_values(
	uint64_t hash, const struct scg_option *table, uint32_t n, const union scg_value *values)
{
	for (uint32_t i = 0; i < n; i++) {
		if (table[i].type == SCG_STRING) {
			hash = hash_string(hash, values[i].s);
		} else if (table[i].type == SCG_NUMBER) {
			hash = hash_bytes(hash, &values[i].d, sizeof(values[i].d));
		} else {
			hash = hash_bytes(hash, &values[i].i, sizeof(values[i].i));
		}
	}
	return hash;
}

void config_keep_texts(
	struct loader *l, const struct scg_option *table, uint32_t n, union scg_value *values)
{
	for (uint32_t i = 0; i < n; i++) {
		/* a default is the driver's constant and stays */
		if (table[i].type == SCG_STRING && values[i].s != table[i].fallback) {
			values[i].s = values[i].s && table[i].flags & SCG_FILE
					      ? config_take_path(l, values[i].s)
					      : arena_strdup(l->arena, values[i].s);
		}
	}
}
