/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver.h"

/* Texts end up in a folder of this test's own. */
static char directory[] = "/tmp/test-config-XXXXXX";

static char *format_all(struct problems *problems)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	problems_sort(problems);
	for (size_t i = 0; i < problems->n; i++) {
		_cleanup_(freep) char *line = problems_format(problems, i);

		(void)fprintf(out, "%s\n", line);
	}
	assert_int_equal(fclose(out), 0);
	return text;
}

/* Loads a file; all that was said of it is in *ret_text. */
static struct config *load(const char *file, char **ret_text)
{
	struct problems problems;
	struct config *config;

	problems_init(&problems, file);
	config = config_load(file, &problems);
	assert_true((config != NULL) == (problems.n_errors == 0));
	*ret_text = format_all(&problems);
	problems_clear(&problems);
	return config;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
	_cleanup_(freep) char *path = xasprintf("%s/%s", directory, name);
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_int_equal(fwrite(text, 1, strlen(text), out), strlen(text));
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static struct config *load_text(const char *text, char **ret_text)
{
	_cleanup_(freep) char *path = xasprintf("%s/gateway.yaml", directory);

	write_file("gateway.yaml", text, 0600);
	return load(path, ret_text);
}

/* Of a file without errors and warnings. */
static struct config *load_good(const char *file)
{
	_cleanup_(freep) char *text = NULL;
	struct config *config = load(file, &text);

	assert_string_equal(text, "");
	assert_non_null(config);
	return config;
}

static char *read_text(const char *file)
{
	char *text = xcalloc(1, 65536);
	FILE *in = fopen(file, "r");

	assert_non_null(in);
	assert_true(fread(text, 1, 65535, in) < 65535);
	(void)fclose(in);
	return text;
}

static void test_bad_files(void **state)
{
	DIR *dir = opendir(".");
	unsigned n = 0, n_wrong = 0;
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		size_t length = strlen(entry->d_name);
		_cleanup_(config_unrefp) struct config *config = NULL;
		_cleanup_(freep) char *expect = NULL;
		_cleanup_(freep) char *expected = NULL;
		_cleanup_(freep) char *text = NULL;

		if (strncmp(entry->d_name, "bad-", 4) != 0 ||
			strcmp(entry->d_name + length - 5, ".yaml") != 0) {
			continue;
		}
		expect = xasprintf("%.*s.expect", (int)(length - 5), entry->d_name);
		expected = read_text(expect);
		config = load(entry->d_name, &text);
		n++;
		if (config || strcmp(text, expected) != 0) {
			print_error("%s says:\n%sand not, as in %s:\n%s", entry->d_name, text,
				expect, expected);
			n_wrong++;
		}
	}
	(void)closedir(dir);
	assert_int_equal(n_wrong, 0);
	assert_true(n >= 50);
}

static void test_minimal(void **state)
{
	_cleanup_(config_unrefp) struct config *config = load_good("good-minimal.yaml");
	const struct sensor_config *sensor = config->sensors[0];

	assert_string_equal(config->platform.host, "localhost");
	assert_string_equal(config->platform.tenant, "123");
	assert_false(config->platform.tls);
	assert_int_equal(config->platform.port, 1883);
	assert_int_equal(config->platform.protocol, PROTOCOL_AUTO);
	assert_int_equal(config->platform.qos, 1);
	assert_int_equal(config->platform.keepalive_ns, 60 * NS_PER_S);
	assert_int_equal(config->platform.live, LIVE_BATCH);
	assert_int_equal(config->platform.batch_interval_ns, NS_PER_S);
	assert_int_equal(config->platform.live_window_ns, 10 * NS_PER_S);
	assert_false(config->platform.milliseconds);
	assert_int_equal(config->platform.history_max_readings, 500);
	assert_int_equal(config->platform.history_rate, 0);
	assert_int_equal(config->platform.max_message_size, 65536);
	assert_string_equal(config->journal.path, "/var/lib/sensocan-gateway/journal.db");
	assert_int_equal(config->journal.max_size, INT64_C(512) << 20);
	assert_int_equal(config->journal.max_age_ns, 0);
	assert_int_equal(config->journal.when_full, WHEN_FULL_DROP_OLDEST);
	assert_int_equal(config->journal.commit_interval_ns, NS_PER_S);
	assert_true(config->journal.sync_full);
	assert_int_equal(config->journal.max_memory, 4 << 20);
	assert_int_equal(config->clock_trust, CLOCK_TRUST_AUTO);
	assert_int_equal(config->n_sensors, 1);
	/* the only bus need not be named, and UUIDs are of one case in topics */
	assert_ptr_equal(sensor->bus, config->buses[0]);
	assert_string_equal(sensor->name, "fe738b8f-9efe-46a7-a1c6-b861be358442");
	assert_null(sensor->slug);
	assert_string_equal(sensor->device->uuid, "a1b2c3d4-e5f6-7890-abcd-ef1234567890");
	assert_string_equal(sensor->device->name, sensor->device->uuid);
	assert_null(sensor->device->password);
	assert_null(sensor->device->battery);
	assert_int_equal(sensor->options[0].i, 31);
	assert_int_equal(sensor->interval_ns, 10 * NS_PER_S);
	assert_int_equal(sensor->stale_ns, 30 * NS_PER_S);
	assert_true(sensor->scale == 1 && sensor->offset == 0);
	assert_int_equal(sensor->decimals, -1);
	assert_true(sensor->min == -INFINITY && sensor->max == INFINITY);
	assert_true(sensor->deadband == 0);
	assert_int_equal(sensor->max_silence_ns, 0);
}

static void test_full_platform(void **state)
{
	_cleanup_(config_unrefp) struct config *config = load_good("good-full.yaml");

	assert_string_equal(config->file, "good-full.yaml");
	assert_string_equal(config->platform.tenant, "a b");
	assert_true(config->platform.tls);
	assert_null(config->platform.ca_file);
	assert_int_equal(config->platform.port, 2883);
	assert_int_equal(config->platform.protocol, PROTOCOL_311);
	assert_int_equal(config->platform.qos, 0);
	assert_int_equal(config->platform.keepalive_ns, 300 * NS_PER_S);
	assert_int_equal(config->platform.live, LIVE_SINGLE);
	assert_int_equal(config->platform.batch_interval_ns, 250 * NS_PER_MS);
	assert_int_equal(config->platform.live_window_ns, 60 * NS_PER_S);
	assert_true(config->platform.milliseconds);
	assert_int_equal(config->platform.history_max_readings, 100);
	assert_int_equal(config->platform.history_rate, 10240);
	assert_int_equal(config->platform.max_message_size, 16384);
	assert_string_equal(config->journal.path, "/tmp/journal.db");
	assert_int_equal(config->journal.max_size, INT64_C(1) << 30);
	assert_int_equal(config->journal.max_age_ns, 7 * NS_PER_D);
	assert_int_equal(config->journal.when_full, WHEN_FULL_DROP_NEWEST);
	assert_int_equal(config->journal.commit_interval_ns, 500 * NS_PER_MS);
	assert_false(config->journal.sync_full);
	assert_int_equal(config->journal.max_memory, 1 << 20);
	assert_int_equal(config->clock_trust, CLOCK_TRUST_PLAUSIBLE);
}

static void test_full_sensors(void **state)
{
	_cleanup_(config_unrefp) struct config *config = load_good("good-full.yaml");
	const struct device_config *boiler = config->devices[0];
	const struct sensor_config *temp = boiler->sensors[0], *supply = boiler->sensors[1];

	assert_int_equal(config->n_devices, 2);
	assert_int_equal(config->n_sensors, 3);
	assert_int_equal(boiler->n_sensors, 2);
	assert_string_equal(boiler->password, " #1: \"quoted\" ");
	assert_ptr_equal(boiler->battery, supply);
	assert_int_equal(config->devices[1]->index, 1);
	assert_ptr_equal(config->devices[1]->sensors[0]->device, config->devices[1]);

	/* in its own words */
	assert_string_equal(temp->name, "temp_01");
	assert_string_equal(temp->bus->name, "one");
	assert_int_equal(temp->interval_ns, 100 * NS_PER_MS);
	assert_true(temp->scale == 0.1 && temp->offset == -5);
	assert_int_equal(temp->decimals, 1);
	assert_true(temp->min == -40 && temp->max == 125 && temp->deadband == 0.2);
	assert_int_equal(temp->max_silence_ns, 600 * NS_PER_S);
	assert_int_equal(temp->stale_ns, 2 * NS_PER_S);
	assert_int_equal(temp->options[0].i, 1);
	assert_int_equal(temp->options[1].i, 1);
	assert_true(temp->options[2].d == 2.5); /* from the defaults */
	assert_int_equal(temp->options[3].i, NS_PER_S);
	assert_int_equal(temp->options[4].i, 1);

	/* from the defaults */
	assert_string_equal(supply->bus->name, "two");
	assert_int_equal(supply->interval_ns, 5 * NS_PER_S);
	assert_int_equal(supply->decimals, 2);
	assert_true(supply->min == -1 && supply->max == INFINITY);
	assert_int_equal(supply->options[0].i, 7);
	assert_int_equal(supply->stale_ns, 15 * NS_PER_S);

	assert_int_equal(config->n_buses, 2);
	assert_int_equal(config->buses[0]->n_sensors, 2);
	assert_int_equal(config->buses[1]->n_sensors, 1);
	assert_ptr_equal(config->buses[1]->sensors[0], supply);
	assert_int_equal(config->buses[1]->index, 1);
	assert_string_equal(config->buses[0]->options[0].s, "/dev/one");
	assert_string_equal(config->buses[0]->options[2].s, "it's");
	assert_null(config->buses[1]->options[2].s);
	assert_int_equal(config->buses[0]->options[4].i, 32);
}

static void test_references(void **state)
{
	struct config *config = load_good("good-minimal.yaml");
	struct config *again = config_ref(config);

	assert_ptr_equal(config, again);
	config_unref(config);
	assert_string_equal(again->platform.host, "localhost");
	config_unref(again);
	config_unref(NULL);
}

#define BUSES "buses: [{name: one, driver: tiny, options: {path: /dev/one}}]\n"

/* A configuration with one line of the device's for the password. */
static struct config *load_with_password(const char *line, char **ret_text)
{
	_cleanup_(freep) char *text = xasprintf("platform: {host: h, tenant: t, tls: false}\n" BUSES
						"devices:\n"
						"  - uuid: a1b2c3d4-e5f6-7890-abcd-ef1234567890\n"
						"    username: u\n"
						"    %s\n"
						"    sensors: [{slug: s, options: {channel: 1}}]\n",
		line);

	return load_text(text, ret_text);
}

static void check_password(const char *line, const char *expected)
{
	_cleanup_(freep) char *text = NULL;
	_cleanup_(config_unrefp) struct config *config = load_with_password(line, &text);

	assert_string_equal(text, "");
	assert_string_equal(config->devices[0]->password, expected);
}

static void test_password_files(void **state)
{
	_cleanup_(freep) char *absolute = xasprintf("password_file: %s/password", directory);

	write_file("password", "secret\n", 0600);
	check_password(absolute, "secret");
	/* from the folder of the configuration */
	check_password("password_file: password", "secret");
	write_file("password", "secret", 0640);
	check_password("password_file: password", "secret");
	write_file("password", "two\n\n", 0600);
	check_password("password_file: password", "two\n");
	write_file("password", "dos\r\n", 0600);
	check_password("password_file: password", "dos");
	write_file("password", "", 0600);
	check_password("password_file: password", "");
	check_password("password: \"\"", "");
	check_password("password: 0123", "0123");
}

static void test_password_files_that_are_wrong(void **state)
{
	_cleanup_(freep) char *large = xcalloc(1, 65538);
	_cleanup_(freep) char *warned = NULL;
	_cleanup_(freep) char *refused = NULL;
	_cleanup_(config_unrefp) struct config *config = NULL;

	write_file("password", "secret\n", 0604);
	config = load_with_password("password_file: password", &warned);
	assert_string_equal(config->devices[0]->password, "secret");
	assert_non_null(strstr(warned,
		"gateway.yaml:6:20: warning: devices[0] (a1b2c3d4-e5f6-7890-abcd-ef1234567890): "
		"password_file: "));
	assert_non_null(
		strstr(warned, "/password can be read by everyone, expected mode 0640 or 0600\n"));
	assert_null(strstr(warned, "secret"));

	memset(large, 'x', 65536);
	write_file("password", large, 0600);
	assert_null(load_with_password("password_file: password", &refused));
	assert_non_null(strstr(refused, "/password is too long, expected at most 65535 bytes\n"));
}

static void test_password_with_nul(void **state)
{
	_cleanup_(freep) char *path = xasprintf("%s/password", directory);
	_cleanup_(freep) char *text = NULL;
	FILE *out = fopen(path, "w");

	assert_int_equal(fwrite("a\0b", 1, 3, out), 3);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(path, 0600), 0);
	assert_null(load_with_password("password_file: password", &text));
	assert_non_null(strstr(text, "has a NUL character in it, expected text\n"));
}

static void test_password_credential(void **state)
{
	_cleanup_(freep) char *text = NULL;

	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", directory, 1), 0);
	write_file("boiler", "from systemd\n", 0400);
	check_password("password_credential: boiler", "from systemd");
	assert_null(load_with_password("password_credential: other", &text));
	assert_non_null(strstr(text, "/other cannot be read: No such file or directory\n"));
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

static void test_tls_files(void **state)
{
	_cleanup_(freep) char *expected = xasprintf("%s/ca.pem", directory);
	_cleanup_(freep) char *text = NULL;
	_cleanup_(config_unrefp) struct config *config = NULL;

	write_file("ca.pem", "not looked into here\n", 0644);
	config = load_text("platform: {host: h, tenant: t, tls: {ca_file: ca.pem}}\n" BUSES
			   "devices:\n"
			   "  - uuid: a1b2c3d4-e5f6-7890-abcd-ef1234567890\n"
			   "    username: u\n"
			   "    sensors: [{slug: s, options: {channel: 1}}]\n",
		&text);
	assert_string_equal(text, "");
	assert_true(config->platform.tls);
	assert_int_equal(config->platform.port, 8883);
	assert_string_equal(config->platform.ca_file, expected);
	assert_null(config->platform.cert_file);
}

/* Which of the parts of a configuration differ by a change. */
struct difference {
	bool platform, bus[2], device[2];
};

static const char base[] = "platform: {host: h, tenant: t, tls: false}\n"
			   "buses:\n"
			   "  - {name: one, driver: tiny, options: {path: /dev/one}}\n"
			   "  - {name: two, driver: tiny, options: {path: /dev/two}}\n"
			   "devices:\n"
			   "  - name: a\n"
			   "    uuid: a1b2c3d4-e5f6-7890-abcd-ef1234567890\n"
			   "    username: u\n"
			   "    password: p\n"
			   "    sensors: [{slug: s, bus: one, options: {channel: 1}}]\n"
			   "  - name: b\n"
			   "    uuid: b1b2c3d4-e5f6-7890-abcd-ef1234567890\n"
			   "    username: u\n"
			   "    sensors: [{slug: t, bus: two, options: {channel: 1}}]\n";

static struct difference compare_with(const char *from, const char *to)
{
	const char *at = strstr(base, from);
	_cleanup_(config_unrefp) struct config *before = NULL;
	_cleanup_(config_unrefp) struct config *after = NULL;
	_cleanup_(freep) char *changed = NULL;
	_cleanup_(freep) char *text = NULL;
	_cleanup_(freep) char *text_after = NULL;
	struct difference d;

	assert_non_null(at);
	changed = xasprintf("%.*s%s%s", (int)(at - base), base, to, at + strlen(from));
	before = load_text(base, &text);
	after = load_text(changed, &text_after);
	assert_string_equal(text, "");
	assert_non_null(after);
	d.platform = before->platform.fingerprint != after->platform.fingerprint;
	for (int i = 0; i < 2; i++) {
		d.bus[i] = before->buses[i]->fingerprint != after->buses[i]->fingerprint;
		d.device[i] = before->devices[i]->fingerprint != after->devices[i]->fingerprint;
	}
	return d;
}

static void check_difference(const char *from, const char *to, const struct difference *expected)
{
	struct difference d = compare_with(from, to);

	if (memcmp(&d, expected, sizeof(d)) != 0) {
		fail_msg("\"%s\" to \"%s\": platform %d, buses %d %d, devices %d %d", from, to,
			d.platform, d.bus[0], d.bus[1], d.device[0], d.device[1]);
	}
}

static void test_fingerprints(void **state)
{
	static const struct difference none = {0}, platform = {.platform = true},
				       bus = {.bus = {true, false}},
				       device = {.device = {true, false}},
				       both = {.bus = {true, false}, .device = {true, false}};

	check_difference("platform:", "# a comment\nplatform:", &none);
	check_difference("{host: h, tenant: t", "{tenant: t, host: h", &none);
	check_difference("tls: false", "tls: false, port: 1883", &none);
	check_difference("tls: false", "tls: false, port: 1884", &platform);
	check_difference("tls: false", "tls: true", &platform);
	check_difference("tls: false", "tls: {ca_file: /x}", &platform);
	check_difference("tls: false", "tls: false, history: {rate: 1}", &platform);
	check_difference("tls: false", "tls: false, qos: 0", &platform);
	check_difference("host: h", "host: i", &platform);
	check_difference("buses:", "journal: {max_size: 1GiB}\nbuses:", &none);
	check_difference("path: /dev/one", "path: /dev/three", &bus);
	check_difference("path: /dev/one", "path: /dev/one, speed: 300", &bus);
	check_difference("{channel: 1}", "{channel: 2}", &bus);
	check_difference("{channel: 1}", "{channel: 1, gain: 2}", &bus);
	check_difference("bus: one,", "bus: one, interval: 11s,", &bus);
	check_difference("bus: one,", "bus: one, interval: 10s,", &none);
	check_difference("bus: one,", "bus: one, scale: 2,", &bus);
	check_difference("bus: one,", "bus: one, min: 0,", &bus);
	check_difference("bus: one,", "bus: one, decimals: 0,", &bus);
	check_difference("bus: one,", "bus: one, deadband: 1,", &bus);
	check_difference("bus: one,", "bus: one, max_silence: 1h,", &bus);
	check_difference("bus: one,", "bus: one, stale: 1h,", &bus);
	check_difference("password: p", "password: q", &device);
	check_difference("username: u", "username: v", &device);
	check_difference("password: p", "password: p\n    battery_voltage: s", &device);
	check_difference("slug: s", "slug: r", &both);
	check_difference("slug: s", "slug: s, uuid: fe738b8f-9efe-46a7-a1c6-b861be358442", &both);
	check_difference("uuid: a1", "uuid: c1", &both);
	check_difference("name: a", "name: c", &both);
}

static void test_files_of_drivers(void **state)
{
	static const char text[] =
		"platform: {host: h, tenant: t, tls: false}\n"
		"buses: [{name: one, driver: chatty, options: {path: notes}}]\n"
		"devices:\n"
		"  - {name: a, uuid: a1b2c3d4-e5f6-7890-abcd-ef1234567890, username: u,\n"
		"     password: p, sensors: [{slug: s, bus: one}]}\n";
	_cleanup_(freep) char *path = xasprintf("%s/notes", directory);
	_cleanup_(config_unrefp) struct config *missing = NULL;
	_cleanup_(config_unrefp) struct config *there = NULL;
	_cleanup_(config_unrefp) struct config *same = NULL;
	_cleanup_(config_unrefp) struct config *changed = NULL;
	char *said[4];

	missing = load_text(text, &said[0]);
	assert_string_equal(said[0], "");
	/* beside the configuration, wherever the program was started */
	assert_string_equal(missing->buses[0]->options[0].s, path);
	write_file("notes", "one", 0600);
	there = load_text(text, &said[1]);
	same = load_text(text, &said[2]);
	write_file("notes", "eleven", 0600);
	changed = load_text(text, &said[3]);
	assert_true(missing->buses[0]->fingerprint != there->buses[0]->fingerprint);
	assert_true(there->buses[0]->fingerprint == same->buses[0]->fingerprint);
	assert_true(same->buses[0]->fingerprint != changed->buses[0]->fingerprint);
	assert_int_equal(unlink(path), 0);
	for (int i = 0; i < 4; i++) {
		free(said[i]);
	}
}

static void test_too_many_buses(void **state)
{
	_cleanup_(freep) char *text = NULL;
	_cleanup_(freep) char *said = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)fprintf(out, "platform: {host: h, tenant: t, tls: false}\ndevices: [");
	for (int i = 0; i < 1001; i++) {
		(void)fprintf(out, "a,");
	}
	(void)fprintf(out, "]\nbuses: [");
	for (int i = 0; i < 1001; i++) {
		(void)fprintf(out, "a,");
	}
	(void)fprintf(out, "]\n");
	assert_int_equal(fclose(out), 0);
	assert_null(load_text(text, &said));
	assert_non_null(strstr(said, ":2:10: devices: 1001 are too many, expected at most 1000\n"));
	assert_non_null(strstr(said, ":3:8: buses: 1001 are too many, expected at most 1000\n"));
}

static void test_ten_thousand_sensors(void **state)
{
	_cleanup_(config_unrefp) struct config *config = NULL;
	_cleanup_(freep) char *text = NULL;
	_cleanup_(freep) char *said = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)fprintf(out, "%s",
		"platform: {host: h, tenant: t, tls: false}\n" BUSES "devices:\n"
		"  - uuid: a1b2c3d4-e5f6-7890-abcd-ef1234567890\n"
		"    username: u\n"
		"    sensors:\n");
	for (int i = 0; i < 10000; i++) {
		(void)fprintf(out,
			"    - {slug: s%d, uuid: fe738b8f-9efe-46a7-a1c6-b861be35%04d, scale: 0.1, "
			"options: {channel: %d}}\n",
			i, i, i + 100);
	}
	assert_int_equal(fclose(out), 0);
	config = load_text(text, &said);
	assert_string_equal(said, "");
	assert_int_equal(config->n_sensors, 10000);
	assert_string_equal(config->buses[0]->sensors[9999]->slug, "s9999");
}

#define PLATFORM "platform: {host: h, tenant: t, tls: false}\n"
#define DEVICE                                                                                     \
	"devices:\n"                                                                               \
	"  - uuid: a1b2c3d4-e5f6-7890-abcd-ef1234567890\n"                                         \
	"    username: u\n"

/* Who is about to search for his sensors has none yet. */
static void test_no_sensors(void **state)
{
	static const char *const texts[] = {PLATFORM BUSES, PLATFORM BUSES "devices:\n",
		PLATFORM BUSES "devices: []\n", PLATFORM BUSES DEVICE,
		PLATFORM BUSES DEVICE "    sensors:\n", PLATFORM BUSES DEVICE "    sensors: []\n"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_(freep) char *said = NULL;
		_cleanup_(config_unrefp) struct config *config = load_text(texts[i], &said);

		assert_non_null(config);
		assert_int_equal(config->n_buses, 1);
		assert_int_equal(config->buses[0]->n_sensors, 0);
		assert_non_null(
			strstr(said, "warning: devices: no sensors yet, nothing will be read; "
				     "`sensocan-gateway scan BUS` searches a bus for them\n"));
		assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
	}
}

static struct config *load_with(
	struct config *(*function)(const char *, struct problems *), char **ret_text)
{
	struct problems problems;
	struct config *config;

	problems_init(&problems, "bad-plan.yaml");
	config = function("bad-plan.yaml", &problems);
	*ret_text = format_all(&problems);
	problems_clear(&problems);
	return config;
}

/* To see what a bus takes, or to search it, the schedule need not be possible. */
static void test_overload_may_be_a_warning(void **state)
{
	_cleanup_(freep) char *refused = NULL;
	_cleanup_(freep) char *warned = NULL;
	_cleanup_(config_unrefp) struct config *config = NULL;

	assert_null(load_with(config_load, &refused));
	assert_non_null(strstr(refused, "bad-plan.yaml:4:5: buses[0] (slow): needs 1.7 s of"));
	config = load_with(config_load_overloaded, &warned);
	assert_non_null(config);
	assert_non_null(
		strstr(warned, "bad-plan.yaml:4:5: warning: buses[0] (slow): needs 1.7 s of"));
}

/* What is installed and shown as examples must be right, but for files that are not there. */
static void check_shipped(const char *name)
{
	_cleanup_(freep) char *path = xasprintf("%s/config/%s", getenv("SOURCE_DIR"), name);
	_cleanup_(freep) char *text = NULL;
	_cleanup_(config_unrefp) struct config *config = load(path, &text);

	for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
		if (!strstr(line, "cannot be read now: No such file or directory\n")) {
			fail_msg("%s", text);
		}
	}
	assert_non_null(config);
}

static void test_shipped_files(void **state)
{
	_cleanup_(freep) char *examples = xasprintf("%s/config/examples", getenv("SOURCE_DIR"));
	DIR *dir = opendir(examples);
	struct dirent *entry;
	unsigned n = 0;

	check_shipped("gateway.yaml");
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		if (strstr(entry->d_name, ".yaml")) {
			_cleanup_(freep) char *name = xasprintf("examples/%s", entry->d_name);

			check_shipped(name);
			n++;
		}
	}
	(void)closedir(dir);
	assert_true(n >= 4);
}

static int set_up(void **state)
{
	_cleanup_(freep) char *data = xasprintf("%s/tests/data/config", getenv("SOURCE_DIR"));
	_cleanup_(freep) char *tiny = xasprintf("%s/tests/unit/drivers", getenv("BUILD_DIR"));
	_cleanup_(freep) char *drivers = xasprintf("%s/drivers", getenv("BUILD_DIR"));

	driver_add_directory(tiny);
	driver_add_directory(drivers);
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	return mkdtemp(directory) ? chdir(data) : -1;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"gateway.yaml", "password", "boiler", "ca.pem"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_(freep) char *path = xasprintf("%s/%s", directory, names[i]);

		(void)unlink(path); /* those that a test made */
	}
	return rmdir(directory);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_minimal),
		cmocka_unit_test(test_full_platform),
		cmocka_unit_test(test_full_sensors),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_password_files),
		cmocka_unit_test(test_password_files_that_are_wrong),
		cmocka_unit_test(test_password_with_nul),
		cmocka_unit_test(test_password_credential),
		cmocka_unit_test(test_tls_files),
		cmocka_unit_test(test_fingerprints),
		cmocka_unit_test(test_files_of_drivers),
		cmocka_unit_test(test_too_many_buses),
		cmocka_unit_test(test_ten_thousand_sensors),
		cmocka_unit_test(test_no_sensors),
		cmocka_unit_test(test_overload_may_be_a_warning),
		cmocka_unit_test(test_shipped_files),
	};

	return cmocka_run_group_tests_name("config", tests, set_up, tear_down);
}
