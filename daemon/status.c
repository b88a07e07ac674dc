/* SPDX-License-Identifier: Apache-2.0 */
#include "status.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "build_config.h"
#include "gateway.h"
#include "util.h"

/* Of a bus's bad sensors so many are named; the rest is a number. */
#define BAD_SENSORS_MAX 20u

static void add_string(struct json_object *object, const char *key, const char *value)
{
	json_object_object_add(object, key, value ? json_object_new_string(value) : NULL);
}

static void add_number(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

static void add_bool(struct json_object *object, const char *key, bool value)
{
	json_object_object_add(object, key, json_object_new_boolean(value));
}

static void add_time(struct json_object *object, const char *key, int64_t realtime_us)
{
	char text[FORMAT_MAX];

	add_string(object, key, realtime_us ? format_timestamp(text, realtime_us, true) : NULL);
}

static void add_bad_sensor(void *ctx, const struct bus_sensor_status *status)
{
	struct json_object *list = ctx, *sensor;

	if (!status->known || status->good || json_object_array_length(list) >= BAD_SENSORS_MAX) {
		return;
	}
	sensor = json_object_new_object();
	add_string(sensor, "device", status->sensor->device->name);
	add_string(sensor, "sensor", status->sensor->name);
	add_string(sensor, "error", status->error);
	json_object_array_add(list, sensor);
}

static struct json_object *make_counters(const struct bus_status *status)
{
	struct json_object *object = json_object_new_object();

	for (uint32_t i = 0; i < status->n_counters; i++) {
		add_number(object, status->counters[i].name, status->counters[i].value);
	}
	return object;
}

static struct json_object *make_bus(struct bus *b)
{
	struct json_object *object = json_object_new_object(), *bad = json_object_new_array();
	struct bus_status status;

	bus_get_status(b, &status);
	bus_for_each_sensor(b, add_bad_sensor, bad);
	add_string(object, "name", bus_get_config(b)->name);
	add_string(object, "driver", bus_get_config(b)->driver->name);
	add_string(object, "state", bus_state_name(status.state));
	add_number(object, "sensors", status.sensors);
	add_number(object, "failed_sensors", status.failed_sensors);
	add_number(object, "requests", status.requests);
	add_number(object, "errors", status.errors);
	add_number(object, "readings", status.readings);
	add_number(object, "out_of_range", status.out_of_range);
	add_number(object, "suppressed", status.suppressed);
	add_number(object, "missed_turns", status.missed_turns);
	add_string(object, "error", status.error[0] ? status.error : NULL);
	json_object_object_add(object, "bad_sensors", bad);
	json_object_object_add(object, "counters", make_counters(&status));
	return object;
}

static struct json_object *make_device(struct publisher *p)
{
	struct json_object *object = json_object_new_object();
	struct publisher_status status;

	publisher_get_status(p, &status);
	add_string(object, "name", publisher_get_config(p)->name);
	add_string(object, "uuid", publisher_get_config(p)->uuid);
	add_bool(object, "connected", status.connected);
	add_string(object, "protocol",
		status.protocol == 5   ? "5"
		: status.protocol == 4 ? "3.1.1"
				       : NULL);
	add_string(object, "last_error", status.last_error[0] ? status.last_error : NULL);
	add_time(object, "last_error_timestamp", status.last_error_us);
	add_number(object, "backlog", status.backlog);
	add_number(object, "delivered", status.delivered);
	add_number(object, "messages", status.messages);
	add_number(object, "refused", status.refused);
	add_number(object, "bytes", status.bytes);
	add_bool(object, "catching_up", status.catching_up);
	add_number(object, "history_rate", (uint64_t)status.history_rate);
	return object;
}

static struct json_object *make_journal(struct gateway *g, uint64_t *ret_dropped)
{
	struct json_object *object = json_object_new_object(), *dropped = json_object_new_object();
	struct journal_stats stats;

	journal_get_stats(gateway_journal(g), &stats);
	add_string(object, "path", gateway_config(g)->journal.path);
	add_string(object, "state", stats.failing ? "failing" : "ok");
	add_string(object, "error", stats.error[0] ? stats.error : NULL);
	add_number(object, "readings", stats.readings);
	add_number(object, "undated", stats.undated);
	add_number(object, "bytes", (uint64_t)MAX(stats.bytes, 0));
	add_number(object, "max_bytes", (uint64_t)gateway_config(g)->journal.max_size);
	add_number(object, "memory_bytes", (uint64_t)MAX(stats.memory_bytes, 0));
	add_time(object, "oldest_timestamp", stats.oldest_us);
	add_number(object, "commits", stats.commits);
	*ret_dropped = 0;
	for (int cause = 0; cause < JOURNAL_LOSS_CAUSES; cause++) {
		add_number(
			dropped, journal_loss_name((enum journal_loss)cause), stats.dropped[cause]);
		*ret_dropped += stats.dropped[cause];
	}
	json_object_object_add(object, "dropped", dropped);
	return object;
}

char *status_json(struct gateway *g)
{
	struct json_object *root = json_object_new_object();
	struct json_object *buses = json_object_new_array(), *devices = json_object_new_array();
	struct json_object *totals = json_object_new_object();
	uint64_t read, delivered, dropped;
	char *text;

	add_string(root, "version", PROJECT_VERSION);
	add_number(root, "uptime_s", (uint64_t)(gateway_uptime_ns(g) / NS_PER_S));
	add_time(root, "timestamp", now_realtime_ns() / NS_PER_US);
	add_string(root, "clock", clock_is_right(gateway_clock(g)) ? "synchronized" : "waiting");
	add_string(root, "clock_rule", clock_rule(gateway_clock(g)));
	add_string(root, "config", gateway_config(g)->file);
	for (uint32_t i = 0; i < gateway_n_buses(g); i++) {
		json_object_array_add(buses, make_bus(gateway_bus(g, i)));
	}
	json_object_object_add(root, "buses", buses);
	for (uint32_t i = 0; i < gateway_n_publishers(g); i++) {
		json_object_array_add(devices, make_device(gateway_publisher(g, i)));
	}
	json_object_object_add(root, "devices", devices);
	json_object_object_add(root, "journal", make_journal(g, &dropped));
	gateway_totals(g, &read, &delivered);
	add_number(totals, "read", read);
	add_number(totals, "delivered", delivered);
	add_number(totals, "dropped", dropped);
	json_object_object_add(root, "totals", totals);
	text = xstrdup(json_object_to_json_string_ext(root, JSON_C_TO_STRING_PLAIN));
	(void)json_object_put(root); /* the last reference */
	return text;
}

/* --- for people --- */

static const char *string_of(struct json_object *object, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value) || !value) {
		return "";
	}
	return json_object_get_string(value);
}

static uint64_t number_of(struct json_object *object, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(object, key, &value) ? json_object_get_uint64(value) : 0;
}

static bool bool_of(struct json_object *object, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(object, key, &value) && json_object_get_boolean(value);
}

static size_t list_of(struct json_object *object, const char *key, struct json_object **ret)
{
	if (!json_object_object_get_ex(object, key, ret) ||
		!json_object_is_type(*ret, json_type_array)) {
		return 0;
	}
	return json_object_array_length(*ret);
}

static void print_counters(FILE *out, struct json_object *bus)
{
	struct json_object *counters;
	const char *separator = "  ";

	if (!json_object_object_get_ex(bus, "counters", &counters)) {
		return;
	}
	json_object_object_foreach(counters, name, value)
	{
		(void)fprintf(out, "%s%s %" PRIu64, separator, name, json_object_get_uint64(value));
		separator = ", ";
	}
	if (json_object_object_length(counters) > 0) {
		(void)fputc('\n', out);
	}
}

static void print_buses(FILE *out, struct json_object *root)
{
	struct json_object *buses, *bad;
	size_t n = list_of(root, "buses", &buses);

	(void)fprintf(out, "\n%-20s %-8s %-8s %8s %6s %12s %10s\n", "BUS", "DRIVER", "STATE",
		"SENSORS", "BAD", "REQUESTS", "ERRORS");
	for (size_t i = 0; i < n; i++) {
		struct json_object *bus = json_object_array_get_idx(buses, i);
		size_t n_bad = list_of(bus, "bad_sensors", &bad);

		(void)fprintf(out,
			"%-20s %-8s %-8s %8" PRIu64 " %6" PRIu64 " %12" PRIu64 " %10" PRIu64 "\n",
			string_of(bus, "name"), string_of(bus, "driver"), string_of(bus, "state"),
			number_of(bus, "sensors"), number_of(bus, "failed_sensors"),
			number_of(bus, "requests"), number_of(bus, "errors"));
		print_counters(out, bus);
		if (*string_of(bus, "error")) {
			(void)fprintf(out, "  %s\n", string_of(bus, "error"));
			continue; /* the same for all its sensors */
		}
		for (size_t k = 0; k < n_bad; k++) {
			struct json_object *sensor = json_object_array_get_idx(bad, k);

			(void)fprintf(out, "  %s/%s: %s\n", string_of(sensor, "device"),
				string_of(sensor, "sensor"), string_of(sensor, "error"));
		}
		if (number_of(bus, "failed_sensors") > n_bad) {
			(void)fprintf(out, "  ... and %" PRIu64 " more\n",
				number_of(bus, "failed_sensors") - n_bad);
		}
	}
}

static void print_devices(FILE *out, struct json_object *root)
{
	struct json_object *devices;
	size_t n = list_of(root, "devices", &devices);

	(void)fprintf(out, "\n%-20s %-12s %12s %12s  %s\n", "DEVICE", "CONNECTION", "BACKLOG",
		"DELIVERED", "LAST ERROR");
	for (size_t i = 0; i < n; i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);
		uint64_t rate = number_of(device, "history_rate");
		uint64_t backlog = number_of(device, "backlog");
		char wait[FORMAT_MAX];

		(void)fprintf(out, "%-20s %-12s %12" PRIu64 " %12" PRIu64 "  %s\n",
			string_of(device, "name"),
			bool_of(device, "connected") ? "connected" : "down", backlog,
			number_of(device, "delivered"), string_of(device, "last_error"));
		if (rate > 0 && bool_of(device, "catching_up")) {
			(void)fprintf(out, "  catching up: %s left\n",
				format_duration(wait, (int64_t)(backlog / rate) * NS_PER_S));
		}
	}
}

static void print_journal(FILE *out, struct json_object *root)
{
	struct json_object *journal, *dropped;

	if (!json_object_object_get_ex(root, "journal", &journal)) {
		return;
	}
	(void)fprintf(out, "\nJOURNAL %s: %" PRIu64 " readings, %.1f of %.1f MiB",
		string_of(journal, "state"), number_of(journal, "readings"),
		(double)number_of(journal, "bytes") / 1048576.0,
		(double)number_of(journal, "max_bytes") / 1048576.0);
	if (*string_of(journal, "oldest_timestamp")) {
		(void)fprintf(out, ", oldest of %s", string_of(journal, "oldest_timestamp"));
	}
	(void)fprintf(out, "\n");
	if (*string_of(journal, "error")) {
		(void)fprintf(out, "  %s; %" PRIu64 " bytes kept in memory\n",
			string_of(journal, "error"), number_of(journal, "memory_bytes"));
	}
	if (number_of(journal, "undated") > 0) {
		(void)fprintf(out,
			"  %" PRIu64
			" readings of an earlier start cannot be dated and are not sent\n",
			number_of(journal, "undated"));
	}
	if (json_object_object_get_ex(journal, "dropped", &dropped)) {
		json_object_object_foreach(dropped, cause, count)
		{
			if (json_object_get_uint64(count) > 0) {
				(void)fprintf(out, "  LOST (%s): %" PRIu64 " readings\n", cause,
					json_object_get_uint64(count));
			}
		}
	}
}

int status_print(FILE *out, const char *json)
{
	struct json_object *root = json_tokener_parse(json), *totals;
	char uptime[FORMAT_MAX];

	if (!json_object_is_type(root, json_type_object)) {
		(void)json_object_put(root); /* NULL or of another type */
		return -EBADMSG;
	}
	(void)fprintf(out, "sensocan-gateway %s, up %s, clock %s\n", string_of(root, "version"),
		format_duration(uptime, (int64_t)MAX(number_of(root, "uptime_s"), 1) * NS_PER_S),
		string_of(root, "clock"));
	print_buses(out, root);
	print_devices(out, root);
	print_journal(out, root);
	if (json_object_object_get_ex(root, "totals", &totals)) {
		(void)fprintf(out,
			"\nTOTALS %" PRIu64 " read, %" PRIu64 " delivered since start, %" PRIu64
			" lost ever\n",
			number_of(totals, "read"), number_of(totals, "delivered"),
			number_of(totals, "dropped"));
	}
	(void)json_object_put(root); /* the last reference */
	return 0;
}
