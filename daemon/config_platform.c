/* SPDX-License-Identifier: Apache-2.0 */
#include "config_private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "build_config.h"

#define PORT_TLS   8883
#define PORT_PLAIN 1883

enum {
	PLATFORM_HOST,
	PLATFORM_PORT,
	PLATFORM_TLS,
	PLATFORM_TENANT,
	PLATFORM_PROTOCOL,
	PLATFORM_QOS,
	PLATFORM_KEEPALIVE,
	PLATFORM_LIVE,
	PLATFORM_BATCH_INTERVAL,
	PLATFORM_LIVE_WINDOW,
	PLATFORM_TIMESTAMPS,
	PLATFORM_HISTORY,
	PLATFORM_MAX_MESSAGE_SIZE,
	N_PLATFORM,
};

/* Choices stand in the order of the enumerations in config.h and clock.h. */
static const struct scg_option platform_table[N_PLATFORM] = {
	[PLATFORM_HOST] = {.name = "host", .type = SCG_STRING, .flags = SCG_REQUIRED, .max = 255},
	[PLATFORM_PORT] =
		{.name = "port", .type = SCG_INT, .flags = OPTION_OPTIONAL, .min = 1, .max = 65535},
	[PLATFORM_TLS] = {.name = "tls", .type = OPTION_NODE},
	[PLATFORM_TENANT] = {.name = "tenant",
		.type = SCG_STRING,
		.flags = SCG_REQUIRED,
		.max = CONFIG_NAME_MAX},
	[PLATFORM_PROTOCOL] = {.name = "protocol",
		.type = SCG_CHOICE,
		.fallback = "auto",
		.choices = (const char *const[]){"auto", "5", "3.1.1", NULL}},
	[PLATFORM_QOS] = {.name = "qos", .type = SCG_INT, .fallback = "1", .min = 0, .max = 1},
	/* libmosquitto takes 5 at least, the packet has 16 bits (MQTT 3.1.1, 3.1.2.10) */
	[PLATFORM_KEEPALIVE] = {.name = "keepalive",
		.type = SCG_DURATION,
		.fallback = "60s",
		.min = 5,
		.max = 65535},
	[PLATFORM_LIVE] = {.name = "live",
		.type = SCG_CHOICE,
		.fallback = "batch",
		.choices = (const char *const[]){"batch", "single", "off", NULL}},
	[PLATFORM_BATCH_INTERVAL] = {.name = "batch_interval",
		.type = SCG_DURATION,
		.fallback = "1s",
		.min = 0.01,
		.max = 3600},
	[PLATFORM_LIVE_WINDOW] = {.name = "live_window",
		.type = SCG_DURATION,
		.fallback = "10s",
		.min = 0.01,
		.max = 86400},
	[PLATFORM_TIMESTAMPS] = {.name = "timestamps",
		.type = SCG_CHOICE,
		.fallback = "seconds",
		.choices = (const char *const[]){"seconds", "milliseconds", NULL}},
	[PLATFORM_HISTORY] = {.name = "history", .type = OPTION_NODE},
	[PLATFORM_MAX_MESSAGE_SIZE] = {.name = "max_message_size",
		.type = OPTION_SIZE,
		.fallback = "64KiB",
		.min = 1 << 10,
		.max = 256 << 20},
};

enum { TLS_CA_FILE, TLS_CERT_FILE, TLS_KEY_FILE, N_TLS };

static const struct scg_option tls_table[N_TLS] = {
	[TLS_CA_FILE] = {.name = "ca_file", .type = SCG_STRING, .max = 4095},
	[TLS_CERT_FILE] = {.name = "cert_file", .type = SCG_STRING, .max = 4095},
	[TLS_KEY_FILE] = {.name = "key_file", .type = SCG_STRING, .max = 4095},
};

enum { HISTORY_MAX_READINGS, HISTORY_RATE, N_HISTORY };

static const struct scg_option history_table[N_HISTORY] = {
	[HISTORY_MAX_READINGS] = {.name = "max_readings",
		.type = SCG_INT,
		.fallback = "500",
		.min = 1,
		.max = 100000},
	[HISTORY_RATE] = {.name = "rate", .type = OPTION_SIZE, .fallback = "0"},
};

enum {
	JOURNAL_PATH,
	JOURNAL_MAX_SIZE,
	JOURNAL_MAX_AGE,
	JOURNAL_WHEN_FULL,
	JOURNAL_COMMIT_INTERVAL,
	JOURNAL_SYNC,
	JOURNAL_MEMORY,
	N_JOURNAL,
};

static const struct scg_option journal_table[N_JOURNAL] = {
	[JOURNAL_PATH] = {.name = "path",
		.type = SCG_STRING,
		.fallback = DEFAULT_JOURNAL_FILE,
		.max = 4000},
	[JOURNAL_MAX_SIZE] = {.name = "max_size",
		.type = OPTION_SIZE,
		.fallback = "512MiB",
		.min = 1 << 20,
		.max = 1e18},
	[JOURNAL_MAX_AGE] = {.name = "max_age", .type = SCG_DURATION, .fallback = "0"},
	[JOURNAL_WHEN_FULL] = {.name = "when_full",
		.type = SCG_CHOICE,
		.fallback = "drop-oldest",
		.choices = (const char *const[]){"drop-oldest", "drop-newest", NULL}},
	[JOURNAL_COMMIT_INTERVAL] = {.name = "commit_interval",
		.type = SCG_DURATION,
		.fallback = "1s",
		.min = 0.01,
		.max = 3600},
	[JOURNAL_SYNC] = {.name = "sync",
		.type = SCG_CHOICE,
		.fallback = "full",
		.choices = (const char *const[]){"full", "normal", NULL}},
	[JOURNAL_MEMORY] = {.name = "memory",
		.type = OPTION_SIZE,
		.fallback = "4MiB",
		.min = 64 << 10,
		.max = 1 << 30},
};

enum { CLOCK_TRUST, N_CLOCK };

static const struct scg_option clock_table[N_CLOCK] = {
	[CLOCK_TRUST] = {.name = "trust",
		.type = SCG_CHOICE,
		.fallback = "auto",
		.choices = (const char *const[]){"auto", "kernel", "plausible", "always", NULL}},
};

static void complain(struct loader *l, const struct yaml_node *node, const char *key, char *text)
{
	problems_complain(l->problems, false, place_of(node), "platform", key, "%s", text);
	free(text);
}

/* A file that libmosquitto opens at each connection: it may yet appear, so its absence only warns.
 */
static const char *take_tls_file(
	struct loader *l, const struct yaml_node *node, const char *key, const char *name)
{
	const char *path = name ? config_take_path(l, name) : NULL;

	if (path && access(path, R_OK) < 0) {
		problems_complain(l->problems, true, place_of(node), "platform: tls.", key,
			"%s cannot be read now: %s", path, strerror(errno));
	}
	return path;
}

static void load_tls_files(struct loader *l, const struct yaml_node *node)
{
	struct platform_config *platform = &l->config->platform;
	const struct yaml_node *nodes[N_TLS];
	union scg_value values[N_TLS];

	(void)options_parse(
		tls_table, N_TLS, node, NULL, node, "platform: tls.", l->problems, values, nodes);
	platform->ca_file = take_tls_file(l, nodes[TLS_CA_FILE], "ca_file", values[TLS_CA_FILE].s);
	platform->cert_file = take_tls_file(
		l, nodes[TLS_CERT_FILE], "cert_file", values[TLS_CERT_FILE].s);
	platform->key_file = take_tls_file(
		l, nodes[TLS_KEY_FILE], "key_file", values[TLS_KEY_FILE].s);
	if (nodes[TLS_CERT_FILE] && !nodes[TLS_KEY_FILE]) {
		complain(l, nodes[TLS_CERT_FILE], "tls.cert_file",
			xstrdup("goes with key_file, which is missing"));
	}
	if (nodes[TLS_KEY_FILE] && !nodes[TLS_CERT_FILE]) {
		complain(l, nodes[TLS_KEY_FILE], "tls.key_file",
			xstrdup("goes with cert_file, which is missing"));
	}
}

static void load_tls(struct loader *l, const struct yaml_node *node)
{
	static const struct scg_option option = {.name = "tls", .type = SCG_BOOL};
	union scg_value value = {.i = true};

	if (node && node->kind == YAML_KIND_MAPPING) {
		load_tls_files(l, node);
	} else if (node && options_parse_value(&option, node, "", NULL, &value) < 0) {
		complain(l, node, "tls",
			xstrdup("expected true, false, or a mapping with ca_file, cert_file, key_file"));
	}
	l->config->platform.tls = value.i;
}

static void load_port(struct loader *l, const struct yaml_node *node, int64_t port)
{
	struct platform_config *platform = &l->config->platform;

	if (!node) {
		port = platform->tls ? PORT_TLS : PORT_PLAIN;
	}
	if (platform->tls && port == PORT_PLAIN) {
		problems_complain(l->problems, true, place_of(node), "platform", "port",
			"%d is the usual port without TLS, but tls is on; with TLS it is %d",
			PORT_PLAIN, PORT_TLS);
	}
	if (!platform->tls && port == PORT_TLS) {
		problems_complain(l->problems, true, place_of(node), "platform", "port",
			"%d is the usual port with TLS, but tls is false; without TLS it is %d",
			PORT_TLS, PORT_PLAIN);
	}
	platform->port = (uint16_t)port;
}

static void load_host(struct loader *l, const struct yaml_node *node, const char *host)
{
	char shown[TEXT_SHOW_MAX];

	if (!host) {
		return; /* noted */
	}
	for (const unsigned char *p = (const unsigned char *)host; *p; p++) {
		if (*p <= ' ' || *p == 0x7f || *p == '/' || *p == '@') {
			complain(l, node, "host",
				xasprintf("%s is no host, expected a name or an address without "
					  "scheme, port and path",
					text_show(shown, host)));
			return;
		}
	}
	l->config->platform.host = arena_strdup(l->arena, host);
}

static void load_history(struct loader *l, const struct yaml_node *node)
{
	struct platform_config *platform = &l->config->platform;
	union scg_value values[N_HISTORY];

	(void)options_parse(history_table, N_HISTORY, node, NULL, node, "platform: history.",
		l->problems, values, NULL);
	platform->history_max_readings = (uint32_t)values[HISTORY_MAX_READINGS].i;
	platform->history_rate = values[HISTORY_RATE].i;
	platform->fingerprint = config_hash_values(
		platform->fingerprint, history_table, N_HISTORY, values);
}

/* Rules between keys. */
static void check_times(struct loader *l, const struct yaml_node *const *nodes)
{
	const struct platform_config *platform = &l->config->platform;
	char window[FORMAT_MAX], interval[FORMAT_MAX];

	if (platform->keepalive_ns % NS_PER_S != 0) {
		complain(l, nodes[PLATFORM_KEEPALIVE], "keepalive",
			xasprintf("%s is not allowed, expected whole seconds",
				format_duration_yaml(window, platform->keepalive_ns)));
	}
	if (platform->live_window_ns < platform->batch_interval_ns) {
		const struct yaml_node *node = nodes[PLATFORM_LIVE_WINDOW];

		complain(l, node ? node : nodes[PLATFORM_BATCH_INTERVAL], "live_window",
			xasprintf("%s is less than batch_interval, expected at least %s",
				format_duration_yaml(window, platform->live_window_ns),
				format_duration_yaml(interval, platform->batch_interval_ns)));
	}
}

void config_load_platform(struct loader *l, const struct yaml_node *node)
{
	struct platform_config *platform = &l->config->platform;
	const struct yaml_node *nodes[N_PLATFORM];
	union scg_value values[N_PLATFORM];

	(void)options_parse(platform_table, N_PLATFORM, node, NULL, node, "platform", l->problems,
		values, nodes);
	load_host(l, nodes[PLATFORM_HOST], values[PLATFORM_HOST].s);
	load_tls(l, nodes[PLATFORM_TLS]);
	load_port(l, nodes[PLATFORM_PORT], values[PLATFORM_PORT].i);
	values[PLATFORM_PORT].i = platform->port;
	if (values[PLATFORM_TENANT].s) {
		platform->tenant = config_take_name(l, nodes[PLATFORM_TENANT], "platform", "tenant",
			values[PLATFORM_TENANT].s, true);
	}
	platform->protocol = (enum platform_protocol)values[PLATFORM_PROTOCOL].i;
	platform->qos = (int)values[PLATFORM_QOS].i;
	platform->keepalive_ns = values[PLATFORM_KEEPALIVE].i;
	platform->live = (enum platform_live)values[PLATFORM_LIVE].i;
	platform->batch_interval_ns = values[PLATFORM_BATCH_INTERVAL].i;
	platform->live_window_ns = values[PLATFORM_LIVE_WINDOW].i;
	platform->milliseconds = values[PLATFORM_TIMESTAMPS].i;
	platform->max_message_size = (uint32_t)values[PLATFORM_MAX_MESSAGE_SIZE].i;
	platform->fingerprint = config_hash_values(HASH_INIT, platform_table, N_PLATFORM, values);
	load_history(l, nodes[PLATFORM_HISTORY]);
	check_times(l, nodes);
	platform->fingerprint = hash_bytes(platform->fingerprint, &platform->tls, 1);
	platform->fingerprint = hash_string(platform->fingerprint, platform->ca_file);
	platform->fingerprint = hash_string(platform->fingerprint, platform->cert_file);
	platform->fingerprint = hash_string(platform->fingerprint, platform->key_file);
}

void config_load_journal(struct loader *l, const struct yaml_node *node)
{
	struct journal_config *journal = &l->config->journal;
	const struct yaml_node *nodes[N_JOURNAL];
	union scg_value values[N_JOURNAL];

	(void)options_parse(
		journal_table, N_JOURNAL, node, NULL, node, "journal", l->problems, values, nodes);
	journal->path = arena_strdup(l->arena, values[JOURNAL_PATH].s);
	if (journal->path[0] != '/') {
		char shown[TEXT_SHOW_MAX];

		problems_complain(l->problems, false, place_of(nodes[JOURNAL_PATH]), "journal",
			"path", "%s is relative, expected a path that begins with /",
			text_show(shown, journal->path));
	}
	journal->max_size = values[JOURNAL_MAX_SIZE].i;
	journal->max_age_ns = values[JOURNAL_MAX_AGE].i;
	journal->when_full = (enum journal_when_full)values[JOURNAL_WHEN_FULL].i;
	journal->commit_interval_ns = values[JOURNAL_COMMIT_INTERVAL].i;
	journal->sync_full = values[JOURNAL_SYNC].i == 0;
	journal->max_memory = values[JOURNAL_MEMORY].i;
}

void config_load_clock(struct loader *l, const struct yaml_node *node)
{
	union scg_value values[N_CLOCK];

	(void)options_parse(
		clock_table, N_CLOCK, node, NULL, node, "clock", l->problems, values, NULL);
	l->config->clock_trust = (enum clock_trust)values[CLOCK_TRUST].i;
}
