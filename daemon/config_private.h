/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_CONFIG_PRIVATE_H
#define SCG_CONFIG_PRIVATE_H

/*
 * What the parts of the configuration share while a file is read: config.c puts them together,
 * config_platform.c reads platform, journal and clock, config_buses.c the buses, config_devices.c
 * and config_sensors.c the devices with their sensors, config_password.c their passwords;
 * config_check.c asks the drivers and makes the fingerprints. For everyone else there is config.h.
 */

#include "arena.h"
#include "config.h"
#include "options.h"

/* Longest name, slug or tenant, in bytes. */
#define CONFIG_NAME_MAX 128

/* Names and a number for each: finds duplicates without comparing each with each. */
struct config_names {
	struct config_name {
		const char *name;
		uint32_t value;
	} * slots;
	size_t n, capacity;
};

/* False if the name is there already; then *ret_value, if not NULL, is its number. The name must
   outlive the table. */
bool config_names_add(
	struct config_names *names, const char *name, uint32_t value, uint32_t *ret_value);
bool config_names_find(const struct config_names *names, const char *name, uint32_t *ret_value);
void config_names_clear(struct config_names *names);

/* Where a bus came from; as many as config.buses. */
struct bus_source {
	const struct yaml_node *node;
	const struct yaml_node *options; /* NULL: none */
	bool broken;                     /* has errors: the driver need not check it */
};

/* Where a sensor came from; as many as config.sensors. */
struct sensor_source {
	const struct yaml_node *node;
	const struct yaml_node *options;         /* NULL: none */
	const struct yaml_node *default_options; /* those of the device, NULL: none */
	uint32_t index;                          /* in the device's list */
	uint32_t bus;                            /* UINT32_MAX: none */
};

struct loader {
	struct problems *problems;
	struct arena *arena; /* of the configuration */
	struct config *config;
	struct bus_source *buses;
	struct config_names bus_names; /* the number is the index in config.buses */
	struct sensor_source *sensors;
	struct arena *scratch;     /* until the file is read */
	struct config_names noted; /* problems of values that sensors share by `defaults` */
	bool allow_overload;       /* a bus that needs more than its time is a warning only */
};

void config_load_platform(struct loader *l, const struct yaml_node *node);
void config_load_journal(struct loader *l, const struct yaml_node *node);
void config_load_clock(struct loader *l, const struct yaml_node *node);
void config_load_buses(struct loader *l, const struct yaml_node *node);
void config_load_devices(struct loader *l, const struct yaml_node *node);

/* One sensor of a device. `slugs` and `uuids` are those of the device so far, with their lines. */
struct sensor_place {
	struct device_config *device;
	const struct yaml_node *node, *defaults;
	uint32_t index;
	struct config_names *slugs, *uuids, *checked_drivers;
};
void config_load_sensor(struct loader *l, const struct sensor_place *place);
/* Notes what is wrong in `defaults` of a device, but for the driver's options in it. */
void config_check_defaults(
	struct loader *l, const struct device_config *device, const struct yaml_node *defaults);

/* The sources of a password; each NULL if it is not given. */
struct password_source {
	const struct yaml_node *plain, *file, *credential;
};
/* The password in the arena, or NULL: none is given, or a problem was noted. */
const char *config_load_password(
	struct loader *l, const char *where, const struct password_source *source);

/* After all else: the drivers' own checks. */
void config_check_drivers(struct loader *l);
/* And if there are no errors: has each bus the time for its sensors? */
void config_check_plans(struct loader *l);
/* Fingerprints of buses and devices. */
void config_make_fingerprints(struct loader *l);

/* "devices[0] (boiler-house)" and "... sensors[2] (temp_oil)"; to be freed. */
char *config_device_where(const struct device_config *device);
char *config_sensor_where(const struct device_config *device, uint32_t index, const char *name);
/* False if config_is_new() was asked before about a problem with this text at this place. */
bool config_is_new(struct loader *l, struct place place, const char *text);
/* The name in the arena, or NULL with a problem noted: empty, control characters and, with `topic`,
   what MQTT topics are made of. */
const char *config_take_name(struct loader *l, const struct yaml_node *node, const char *where,
	const char *key, const char *name, bool topic);
/* The UUID in lower case in the arena, or NULL with a problem noted. */
const char *config_take_uuid(struct loader *l, const struct yaml_node *node, const char *where,
	const char *key, const char *uuid);
/* In the arena; a relative path starts from the directory of the configuration file. */
const char *config_take_path(struct loader *l, const char *path);
/* `node` if it is a list with something in it, else NULL with a problem noted. */
const struct yaml_node *config_expect_list(
	struct loader *l, const struct yaml_node *node, const char *where, const char *key);
/* The same, but that an empty list, or nothing at all, is no problem. */
const struct yaml_node *config_expect_list_or_none(
	struct loader *l, const struct yaml_node *node, const char *where, const char *key);
/* A hash over the values of a table. */
uint64_t config_hash_values(
	uint64_t hash, const struct scg_option *table, uint32_t n, const union scg_value *values);
/* Copies the texts that came from the file into the arena, for the tree goes away. */
void config_keep_texts(
	struct loader *l, const struct scg_option *table, uint32_t n, union scg_value *values);

#endif
