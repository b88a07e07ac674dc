/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "util.h"

/*
 * How long a reload waits for what it replaces. A driver call that takes longer ends beside the bus
 * that takes its place. A publisher that takes longer is in a name lookup, and will not send any
 * more.
 */
#define RELOAD_BUSES_NS      NS_PER_S
#define RELOAD_PUBLISHERS_NS (2 * NS_PER_S)
/* Of the time for a stop, the buses' share; the rest is for the last messages and the journal. */
#define STOP_BUSES_SHARE      2
#define STOP_PUBLISHERS_SHARE 4
#define STOP_SHARES           5
/* An anchor an hour dates what was read before the clock was right even after a power cut. */
#define ANCHOR_INTERVAL_NS NS_PER_H

struct gateway {
	struct config *config;
	struct journal *journal;
	struct clock_state *clock;
	struct bus **buses;
	uint32_t n_buses;
	struct publisher **publishers;
	uint32_t n_publishers;
	int64_t started_ns;
	int64_t anchored_ns;
	uint64_t ended_read, ended_delivered;
	/* asked to end, and not there yet: a driver call or a name lookup takes its time */
	struct bus **ending_buses;
	uint32_t n_ending_buses;
	struct publisher **ending_publishers;
	uint32_t n_ending_publishers;
};

static void on_journal_event(void *ctx, enum journal_event event, const char *text)
{
	static const struct {
		enum log_level level;
		const char *message_id;
	} kinds[] = {
		[JOURNAL_EVENT_LOST] = {LOG_LEVEL_ERROR, LOG_ID_READINGS_LOST},
		[JOURNAL_EVENT_FAILING] = {LOG_LEVEL_ERROR, LOG_ID_JOURNAL_FAILING},
		[JOURNAL_EVENT_RECOVERED] = {LOG_LEVEL_NOTICE, LOG_ID_JOURNAL_RECOVERED},
		[JOURNAL_EVENT_DAMAGED] = {LOG_LEVEL_ERROR, LOG_ID_JOURNAL_DAMAGED},
	};
	struct log_subject subject = {.message_id = kinds[event].message_id};

	(void)ctx;
	log_message(kinds[event].level, &subject, "%s", text);
}

static void on_readings(void *ctx, const struct reading *readings, size_t n, bool round_end)
{
	struct gateway *g = ctx;

	journal_append(g->journal, readings, n, round_end);
}

static struct journal_options journal_options_of(const struct config *config)
{
	const struct journal_config *journal = &config->journal;

	return (struct journal_options){
		.path = journal->path,
		.max_size = journal->max_size,
		.max_age_ns = journal->max_age_ns,
		.drop_newest = journal->when_full == WHEN_FULL_DROP_NEWEST,
		.commit_interval_ns = journal->commit_interval_ns,
		.sync_full = journal->sync_full,
		.max_memory = journal->max_memory,
		.event = on_journal_event,
	};
}

/* Gives every sensor its number in the journal. */
static void number_sensors(struct gateway *g, struct config *config)
{
	for (uint32_t i = 0; i < config->n_devices; i++) {
		struct device_config *device = config->devices[i];
		uint32_t number = journal_device(g->journal, device->uuid);

		for (uint32_t k = 0; k < device->n_sensors; k++) {
			struct sensor_config *sensor = device->sensors[k];

			sensor->journal_id = journal_sensor(
				g->journal, number, sensor->slug, sensor->uuid);
		}
	}
}

static int start_bus(struct gateway *g, struct config *config, uint32_t index)
{
	struct bus_output output = {.readings = on_readings, .ctx = g};
	struct bus *b = bus_new(config, config->buses[index], g->clock, &output);
	int r = bus_start(b);

	if (r < 0) {
		log_error("bus %s cannot be started: %s", config->buses[index]->name,
			strerrordesc_np(-r));
		bus_free(b);
		return r;
	}
	g->buses[g->n_buses++] = b;
	return 0;
}

static int start_publisher(struct gateway *g, struct config *config, uint32_t index)
{
	const struct device_config *device = config->devices[index];
	struct publisher *p = publisher_new(
		config, device, g->journal, journal_device(g->journal, device->uuid), g->clock);
	int r = publisher_start(p);

	if (r < 0) {
		log_error("device %s cannot be connected: %s", device->name, strerrordesc_np(-r));
		publisher_free(p);
		return r;
	}
	g->publishers[g->n_publishers++] = p;
	return 0;
}

static void announce_clock(struct gateway *g)
{
	struct log_subject subject = {.message_id = LOG_ID_CLOCK_WAITING};
	int64_t newest_us = journal_newest_us(g->journal);
	char now[FORMAT_MAX], newest[FORMAT_MAX];

	if (!clock_is_right(g->clock)) {
		log_message(LOG_LEVEL_WARNING, &subject,
			"the clock shows %s and is not synchronised: readings are kept in the journal and get "
			"their true time once it is (rule: %s; newest reading known: %s; see clock.trust)",
			format_timestamp(now, now_realtime_ns() / NS_PER_US, false),
			clock_rule(g->clock),
			newest_us ? format_timestamp(newest, newest_us, false) : "none");
		return;
	}
	journal_clock_set(g->journal, clock_offset_us());
	g->anchored_ns = now_monotonic_ns();
}

struct gateway *gateway_start(struct config *config)
{
	struct gateway *g = xcalloc(1, sizeof(*g));
	struct journal_options options = journal_options_of(config);
	int r;

	g->config = config_ref(config);
	g->started_ns = now_monotonic_ns();
	g->journal = journal_open(&options);
	if (!g->journal) {
		log_error(
			"%s is in use: another sensocan-gateway is running with it", options.path);
		config_unref(g->config);
		free(g);
		return NULL;
	}
	g->clock = clock_new(config->clock_trust, journal_newest_us(g->journal));
	g->buses = xcalloc(config->n_buses, sizeof(struct bus *));
	g->publishers = xcalloc(config->n_devices, sizeof(struct publisher *));
	number_sensors(g, config);
	announce_clock(g);
	r = journal_start(g->journal);
	for (uint32_t i = 0; r == 0 && i < config->n_buses; i++) {
		r = start_bus(g, config, i);
	}
	for (uint32_t i = 0; r == 0 && i < config->n_devices; i++) {
		r = start_publisher(g, config, i);
	}
	if (r < 0) {
		log_error("cannot start: %s", strerrordesc_np(-r));
		(void)gateway_stop(g, now_monotonic_ns() + 5 * NS_PER_S);
		return NULL;
	}
	return g;
}

/* --- ending parts --- */

/* Collects those of a list that have ended by the deadline; keeps the others in it. */
static void reap_buses(struct gateway *g, int64_t deadline_ns)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < g->n_ending_buses; i++) {
		struct bus *b = g->ending_buses[i];
		struct bus_status status;

		if (bus_join(b, deadline_ns) < 0) {
			g->ending_buses[kept++] = b;
			continue;
		}
		bus_get_status(b, &status);
		g->ended_read += status.readings;
		bus_free(b);
	}
	g->n_ending_buses = kept;
}

static void reap_publishers(struct gateway *g, int64_t deadline_ns)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < g->n_ending_publishers; i++) {
		struct publisher *p = g->ending_publishers[i];
		struct publisher_status status;

		if (publisher_join(p, deadline_ns) < 0) {
			g->ending_publishers[kept++] = p;
			continue;
		}
		publisher_get_status(p, &status);
		g->ended_delivered += status.delivered;
		publisher_free(p);
	}
	g->n_ending_publishers = kept;
}

static void end_bus(struct gateway *g, struct bus *b)
{
	bus_request_stop(b);
	g->ending_buses = xreallocarray(
		g->ending_buses, g->n_ending_buses + 1, sizeof(struct bus *));
	g->ending_buses[g->n_ending_buses++] = b;
}

static void end_publisher(struct gateway *g, struct publisher *p)
{
	publisher_request_stop(p);
	g->ending_publishers = xreallocarray(
		g->ending_publishers, g->n_ending_publishers + 1, sizeof(struct publisher *));
	g->ending_publishers[g->n_ending_publishers++] = p;
}

bool gateway_stop(struct gateway *g, int64_t deadline_ns)
{
	int64_t now = now_monotonic_ns();
	int64_t share = MAX(deadline_ns - now, 0) / STOP_SHARES;

	for (uint32_t i = 0; i < g->n_buses; i++) {
		end_bus(g, g->buses[i]);
	}
	reap_buses(g, now + STOP_BUSES_SHARE * share);
	for (uint32_t i = 0; i < g->n_publishers; i++) {
		end_publisher(g, g->publishers[i]);
	}
	reap_publishers(g, now + STOP_PUBLISHERS_SHARE * share);
	journal_stop(g->journal);
	if (g->n_ending_buses > 0 || g->n_ending_publishers > 0) {
		log_notice("%u driver calls and %u name lookups are left behind unfinished",
			g->n_ending_buses, g->n_ending_publishers);
		return false;
	}
	journal_free(g->journal);
	clock_free(g->clock);
	config_unref(g->config);
	free(g->buses);
	free(g->publishers);
	free(g->ending_buses);
	free(g->ending_publishers);
	free(g);
	return true;
}

/* --- reload --- */

static const struct bus_config *same_bus(const struct config *config, const struct bus_config *old)
{
	for (uint32_t i = 0; i < config->n_buses; i++) {
		if (config->buses[i]->fingerprint == old->fingerprint &&
			strcmp(config->buses[i]->name, old->name) == 0) {
			return config->buses[i];
		}
	}
	return NULL;
}

static const struct device_config *same_device(
	const struct config *config, const struct device_config *old)
{
	for (uint32_t i = 0; i < config->n_devices; i++) {
		if (config->devices[i]->fingerprint == old->fingerprint &&
			strcmp(config->devices[i]->uuid, old->uuid) == 0) {
			return config->devices[i];
		}
	}
	return NULL;
}

/* Stops the buses that the new configuration has not, or has otherwise; starts what is missing. */
static uint32_t reload_buses(struct gateway *g, struct config *config)
{
	_cleanup_(freep) struct bus **old = g->buses;
	_cleanup_(freep) bool *is_kept = xcalloc(config->n_buses, sizeof(*is_kept));
	uint32_t n_old = g->n_buses, started = 0;

	g->buses = xcalloc(config->n_buses, sizeof(struct bus *));
	g->n_buses = 0;
	for (uint32_t i = 0; i < n_old; i++) {
		const struct bus_config *same = same_bus(config, bus_get_config(old[i]));

		if (same) {
			is_kept[same->index] = true;
			g->buses[g->n_buses++] = old[i];
		} else {
			end_bus(g, old[i]);
		}
	}
	reap_buses(g, now_monotonic_ns() + RELOAD_BUSES_NS);
	for (uint32_t i = 0; i < config->n_buses; i++) {
		if (!is_kept[i] && start_bus(g, config, i) == 0) {
			started++;
		}
	}
	return started;
}

static uint32_t reload_publishers(struct gateway *g, struct config *config)
{
	_cleanup_(freep) struct publisher **old = g->publishers;
	_cleanup_(freep) bool *is_kept = xcalloc(config->n_devices, sizeof(*is_kept));
	bool same_platform = config->platform.fingerprint == g->config->platform.fingerprint;
	uint32_t n_old = g->n_publishers, started = 0;

	g->publishers = xcalloc(config->n_devices, sizeof(struct publisher *));
	g->n_publishers = 0;
	for (uint32_t i = 0; i < n_old; i++) {
		const struct device_config *same =
			same_platform ? same_device(config, publisher_get_config(old[i])) : NULL;

		if (same) {
			is_kept[same->index] = true;
			g->publishers[g->n_publishers++] = old[i];
		} else {
			end_publisher(g, old[i]);
		}
	}
	reap_publishers(g, now_monotonic_ns() + RELOAD_PUBLISHERS_NS);
	for (uint32_t i = 0; i < config->n_devices; i++) {
		if (!is_kept[i] && start_publisher(g, config, i) == 0) {
			started++;
		}
	}
	return started;
}

int gateway_reload(struct gateway *g, struct config *config, char **ret_error)
{
	struct journal_options options = journal_options_of(config);
	struct log_subject subject = {.message_id = LOG_ID_RELOADED};
	uint32_t buses, publishers;

	if (strcmp(config->journal.path, g->config->journal.path) != 0) {
		*ret_error = xasprintf(
			"journal.path has changed from %s to %s, which takes a restart: systemctl restart "
			"sensocan-gateway",
			g->config->journal.path, config->journal.path);
		return -EINVAL;
	}
	journal_set_options(g->journal, &options);
	number_sensors(g, config);
	buses = reload_buses(g, config);
	publishers = reload_publishers(g, config);
	config_unref(g->config);
	g->config = config_ref(config);
	clock_set_trust(g->clock, config->clock_trust);
	gateway_clock_changed(g);
	log_message(LOG_LEVEL_NOTICE, &subject,
		"configuration reloaded: %u of %u buses and %u of %u connections were started anew, the "
		"others went on",
		buses, g->n_buses, publishers, g->n_publishers);
	return 0;
}

/* --- the clock --- */

struct clock_state *gateway_clock(struct gateway *g)
{
	return g->clock;
}

static void wake_publishers(struct gateway *g)
{
	for (uint32_t i = 0; i < g->n_publishers; i++) {
		publisher_wake(g->publishers[i]);
	}
}

void gateway_reap(struct gateway *g)
{
	reap_buses(g, 0);
	reap_publishers(g, 0);
}

void gateway_clock_changed(struct gateway *g)
{
	struct log_subject subject = {.message_id = LOG_ID_CLOCK_SET};
	int64_t step_us = 0, now = now_monotonic_ns();

	switch (clock_update(g->clock, &step_us)) {
	case CLOCK_UNCHANGED:
		if (clock_is_right(g->clock) && now - g->anchored_ns >= ANCHOR_INTERVAL_NS) {
			journal_clock_set(g->journal, clock_offset_us());
			g->anchored_ns = now;
		}
		return;
	case CLOCK_BECAME_RIGHT:
		log_message(LOG_LEVEL_NOTICE, &subject,
			"the clock is right now (rule: %s); readings taken before get their true time",
			clock_rule(g->clock));
		break;
	case CLOCK_STEPPED:
		subject.message_id = LOG_ID_CLOCK_STEPPED;
		log_message(LOG_LEVEL_NOTICE, &subject,
			"the clock was set by %+.3f s; readings taken before keep their time",
			(double)step_us / (double)US_PER_S);
		break;
	case CLOCK_BECAME_WRONG:
		subject.message_id = LOG_ID_CLOCK_WAITING;
		log_message(LOG_LEVEL_WARNING, &subject,
			"the clock was set by %+.3f s and is not to be trusted (rule: %s): readings are "
			"kept until it is",
			(double)step_us / (double)US_PER_S, clock_rule(g->clock));
		journal_clock_lost(g->journal);
		wake_publishers(g);
		return;
	}
	journal_clock_set(g->journal, clock_offset_us());
	g->anchored_ns = now;
	wake_publishers(g);
}

/* --- what the others want to know --- */

const char *gateway_stuck(struct gateway *g, int64_t *ret_overdue_ns)
{
	int64_t overdue = heartbeat_overdue_ns(journal_heartbeat(g->journal));
	const char *name = overdue > 0 ? "journal" : NULL;

	for (uint32_t i = 0; !name && i < g->n_buses; i++) {
		overdue = heartbeat_overdue_ns(bus_heartbeat(g->buses[i]));
		name = overdue > 0 ? bus_get_config(g->buses[i])->name : NULL;
	}
	for (uint32_t i = 0; !name && i < g->n_publishers; i++) {
		overdue = heartbeat_overdue_ns(publisher_heartbeat(g->publishers[i]));
		name = overdue > 0 ? publisher_get_config(g->publishers[i])->name : NULL;
	}
	*ret_overdue_ns = overdue;
	return name;
}

char *gateway_summary(struct gateway *g)
{
	uint32_t sensors = 0, bad = 0, connected = 0;
	uint64_t backlog = 0;

	for (uint32_t i = 0; i < g->n_buses; i++) {
		struct bus_status status;

		bus_get_status(g->buses[i], &status);
		sensors += status.sensors;
		bad += status.failed_sensors;
	}
	for (uint32_t i = 0; i < g->n_publishers; i++) {
		struct publisher_status status;

		publisher_get_status(g->publishers[i], &status);
		connected += status.connected;
		backlog += status.backlog;
	}
	return xasprintf("%u sensors, %u bad; %u of %u devices connected; %" PRIu64
			 " readings waiting%s",
		sensors, bad, connected, g->n_publishers, backlog,
		clock_is_right(g->clock) ? "" : "; waiting for the clock");
}

const struct config *gateway_config(const struct gateway *g)
{
	return g->config;
}

struct journal *gateway_journal(struct gateway *g)
{
	return g->journal;
}

int64_t gateway_uptime_ns(const struct gateway *g)
{
	return now_monotonic_ns() - g->started_ns;
}

uint32_t gateway_n_buses(const struct gateway *g)
{
	return g->n_buses;
}

struct bus *gateway_bus(struct gateway *g, uint32_t i)
{
	return g->buses[i];
}

uint32_t gateway_n_publishers(const struct gateway *g)
{
	return g->n_publishers;
}

struct publisher *gateway_publisher(struct gateway *g, uint32_t i)
{
	return g->publishers[i];
}

void gateway_totals(struct gateway *g, uint64_t *ret_read, uint64_t *ret_delivered)
{
	*ret_read = g->ended_read;
	*ret_delivered = g->ended_delivered;
	for (uint32_t i = 0; i < g->n_buses; i++) {
		struct bus_status status;

		bus_get_status(g->buses[i], &status);
		*ret_read += status.readings;
	}
	for (uint32_t i = 0; i < g->n_publishers; i++) {
		struct publisher_status status;

		publisher_get_status(g->publishers[i], &status);
		*ret_delivered += status.delivered;
	}
}
