/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_CONFIG_H
#define SCG_CONFIG_H

/*
 * The configuration: the YAML file, checked in full, as structures that the rest reads and nobody
 * writes. A configuration is loaded by the main thread and is constant from then on, but for what
 * is marked below; any thread that holds a reference may read it.
 *
 * Each key, its type, range and default stands in a table in config.c or one of its parts,
 * config_*.c, and nowhere else.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "sensocan-driver.h"
#include "yaml_tree.h"

enum platform_protocol { PROTOCOL_AUTO, PROTOCOL_5, PROTOCOL_311 };
enum platform_live { LIVE_BATCH, LIVE_SINGLE, LIVE_OFF };
enum journal_when_full { WHEN_FULL_DROP_OLDEST, WHEN_FULL_DROP_NEWEST };

struct platform_config {
	const char *host;
	uint16_t port;
	const char *tenant;
	bool tls;
	const char *ca_file;   /* NULL: the system's */
	const char *cert_file; /* NULL: none; goes with key_file */
	const char *key_file;
	enum platform_protocol protocol;
	int qos; /* 0 or 1 */
	int64_t keepalive_ns;
	enum platform_live live;
	int64_t batch_interval_ns;
	int64_t live_window_ns;
	bool milliseconds; /* timestamps: milliseconds */
	uint32_t history_max_readings;
	int64_t history_rate;      /* bytes per second, 0 = no limit */
	uint32_t max_message_size; /* bytes of topic and payload */
	uint64_t fingerprint;      /* equal: nothing of it changed */
};

struct journal_config {
	const char *path;
	int64_t max_size;   /* bytes on disk, file and WAL together */
	int64_t max_age_ns; /* 0 = no limit */
	enum journal_when_full when_full;
	int64_t commit_interval_ns;
	bool sync_full;
	int64_t max_memory; /* bytes of readings kept in memory while the disk refuses them */
};

struct sensor_config;

struct bus_config {
	const char *name;
	const struct scg_driver *driver;
	const union scg_value *options;
	struct sensor_config **sensors;
	uint32_t n_sensors;
	uint32_t index;       /* among the buses of this configuration */
	uint64_t fingerprint; /* over its own keys and all its sensors': equal means it may go on */
};

struct device_config {
	const char *name;
	const char *uuid;     /* lower case */
	const char *username; /* NULL: none */
	const char
		*password; /* NULL: none. Read from password_file or the credential at load time */
	struct sensor_config **sensors;
	uint32_t n_sensors;
	const struct sensor_config *battery; /* NULL: none */
	uint32_t index;
	uint64_t fingerprint; /* over its keys and its sensors' identities */
};

struct sensor_config {
	const char *name; /* slug, else UUID: for messages */
	const char *slug; /* NULL: none; at least one of the two is there */
	const char *uuid; /* NULL: none; lower case */
	const struct bus_config *bus;
	const struct device_config *device;
	const union scg_value *options;
	int64_t interval_ns;
	double scale, offset;
	int decimals;           /* -1: do not round */
	double min, max;        /* -INFINITY, INFINITY: no limit */
	double deadband;        /* 0: report everything */
	int64_t max_silence_ns; /* 0: none */
	int64_t stale_ns;       /* silence of an event driver's sensor beyond this is a failure */
	uint32_t journal_id; /* written once by main before the threads start: journal_sensor() */
};

struct config {
	_Atomic unsigned refs;
	char *file;
	struct platform_config platform;
	struct journal_config journal;
	enum clock_trust clock_trust;
	struct bus_config **buses;
	uint32_t n_buses;
	struct device_config **devices;
	uint32_t n_devices;
	struct sensor_config **sensors; /* all of them, device by device */
	uint32_t n_sensors;
	struct arena *arena; /* owns everything above */
};

/*
 * Reads and checks `file`, loading the drivers it names. NULL if there are errors; `problems` then
 * has at least one. Warnings do not prevent a configuration. No hardware, no network is touched;
 * password files are read. The caller owns one reference.
 */
struct config *config_load(const char *file, struct problems *problems);
/* The same, but that a bus has not the time for all its sensors is a warning only: for commands
   that show what it takes, or search a bus, and do not poll. */
struct config *config_load_overloaded(const char *file, struct problems *problems);
struct config *config_ref(struct config *config);
void config_unref(struct config *config);
DEFINE_CLEANUP(struct config *, config_unref)

#endif
