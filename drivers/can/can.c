/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/can/raw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "bitrate.h"
#include "filter.h"
#include "internal.h"
#include "options.h"

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
/*
 * A frame each 0.1 ms would be a wake-up each 0.1 ms. Where frames come more densely than this,
 * they are left to gather for as long, and the kernel notes when they came. At 9,000 frames a
 * second 45 of them gather; the smallest usual buffer has room for 278.
 */
#define PACE_NS (5 * NS_PER_MS)
/* Batches that one dispatch() takes. */
#define BATCHES 4
/* Sensors whose intervals end nearly together are reported together. */
#define SLACK_MAX_NS (50 * NS_PER_MS)

static int64_t clock_ns(clockid_t id)
{
	struct timespec now;

	(void)clock_gettime(id, &now); /* cannot fail for these clocks */
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static int64_t min_ns(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* --- values --- */

static void take(struct can_bus *c, struct can_sensor *s)
{
	int64_t time_ns;
	double value = rate_take(&s->rate, c->now_ns, &time_ns);

	c->bus->host->report(c->bus, s->sensor, time_ns, value, SCG_GOOD);
}

/* There is no value in this message; if none was in the whole interval, that is what is wrong. */
static void miss(struct can_bus *c, struct can_sensor *s, enum decode_meaning meaning)
{
	if (s->rate.n > 0 || c->now_ns < s->rate.due_ns || c->now_ns < s->silent_until_ns) {
		return;
	}
	s->silent_until_ns = c->now_ns + s->rate.interval_ns;
	c->bus->host->fail(c->bus, s->sensor, decode_meaning_text(meaning));
}

static void note_value(void *ctx, void *owner, enum decode_meaning meaning, double value)
{
	struct can_bus *c = ctx;
	struct can_sensor *s = owner;

	if (meaning != DECODE_DATA || !rate_add(&s->rate, value, c->time_ns)) {
		miss(c, s, meaning == DECODE_DATA ? DECODE_NO_NUMBER : meaning);
	} else if (rate_is_due(&s->rate, c->now_ns)) {
		take(c, s);
	} else {
		c->due_ns = min_ns(c->due_ns, s->rate.due_ns);
	}
}

/* Reports what has gathered in intervals that are over, or nearly so. */
static void take_due(struct can_bus *c)
{
	c->due_ns = INT64_MAX;
	for (uint32_t i = 0; i < c->bus->n_sensors; i++) {
		struct can_sensor *s = &c->sensors[i];

		if (rate_is_due(&s->rate, c->now_ns + s->slack_ns)) {
			take(c, s);
		} else if (s->rate.n > 0) {
			c->due_ns = min_ns(c->due_ns, s->rate.due_ns);
		}
	}
}

/* --- frames --- */

static void handle_frame(struct can_bus *c, const struct can_received *r)
{
	const struct canfd_frame *frame = r->frame;
	struct j1939_message message;

	if (r->is_own && !c->bus->options[BUS_OWN_FRAMES].i) {
		c->counts[COUNT_OWN]++;
		return;
	}
	if (frame->can_id & CAN_ERR_FLAG) {
		can_health_error_frame(c, frame);
		return;
	}
	if (c->state == STATE_OFF) {
		can_health_frame(c);
	}
	c->counts[COUNT_FRAMES]++;
	c->time_ns = r->time_ns;
	(void)table_frame(c->table, frame->can_id, frame->data, frame->len, note_value, c);
	if (c->tp && frame->can_id & CAN_EFF_FLAG &&
		j1939_tp_receive(c->tp, frame->can_id & CAN_EFF_MASK, frame->data, frame->len,
			c->now_ns, &message)) {
		(void)table_group(c->table, message.pgn, message.source, message.data, message.size,
			note_value, c);
	}
}

/* How many frames there were, or a negative errno. */
static int receive(struct can_bus *c)
{
	const struct can_received *frames;
	int n, total = 0;
	uint32_t lost;

	for (int i = 0; i < BATCHES; i++) {
		n = can_link_receive(c->link, &frames);
		if (n < 0) {
			return n;
		}
		for (int k = 0; k < n; k++) {
			handle_frame(c, &frames[k]);
		}
		total += n;
		if (n < CAN_LINK_BATCH) {
			break;
		}
	}
	lost = can_link_take_lost(c->link);
	if (lost > 0) {
		can_health_count(c, COUNT_OVERFLOW, lost);
	}
	c->has_news = c->has_news || total > 0;
	return total;
}

/* --- waiting --- */

static int watch_socket(struct can_bus *c, uint32_t events)
{
	struct epoll_event event = {.events = events};

	return epoll_ctl(c->bus->fd, EPOLL_CTL_MOD, can_link_fd(c->link), &event) < 0 ? -errno : 0;
}

/* Whether the next frame wakes us, or a while gathers what comes; errors of the socket always do.
 */
static int pace(struct can_bus *c, int n)
{
	bool was_paced = c->is_paced;

	if (!c->is_paced) {
		c->is_paced = n > 0 && c->now_ns - c->last_ns < PACE_NS;
		c->last_ns = n > 0 ? c->now_ns : c->last_ns;
	} else if (c->now_ns >= c->pace_ns) {
		c->is_paced = n > 1;
		c->last_ns = c->now_ns;
	}
	if (c->is_paced && (!was_paced || c->now_ns >= c->pace_ns)) {
		c->pace_ns = n == BATCHES * CAN_LINK_BATCH ? c->now_ns : c->now_ns + PACE_NS;
	}
	if (c->is_paced == was_paced) {
		return 0;
	}
	return watch_socket(c, c->is_paced ? 0 : EPOLLIN);
}

static int arm(struct can_bus *c)
{
	int64_t next_ns = min_ns(c->due_ns, c->tick_ns);
	struct itimerspec when = {0};

	next_ns = c->is_paced ? min_ns(next_ns, c->pace_ns) : next_ns;
	next_ns = next_ns == INT64_MAX ? 0 : next_ns;
	if (next_ns == c->armed_ns && c->now_ns < c->armed_ns) {
		return 0;
	}
	when.it_value.tv_sec = next_ns / NS_PER_S;
	when.it_value.tv_nsec = next_ns % NS_PER_S;
	if (next_ns == 0 && c->armed_ns == 0) {
		return 0;
	}
	c->armed_ns = next_ns;
	/* what has run out is reset by that as well: nothing need be read */
	return timerfd_settime(c->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0 ? -errno : 0;
}

static int can_dispatch(struct scg_bus *bus)
{
	struct can_bus *c = bus->data;
	int n, r;

	c->now_ns = clock_ns(CLOCK_MONOTONIC);
	n = receive(c);
	if (n < 0) {
		return n;
	}
	if (c->now_ns >= c->due_ns) {
		take_due(c);
	}
	r = pace(c, n);
	can_health_tick(c);
	return r < 0 ? r : arm(c);
}

/* --- open and close --- */

static void complain(const struct scg_bus *bus, const struct scg_sensor *sensor, const char *option,
	const char *text)
{
	bus->host->complain(bus, sensor, option, "%s", text);
}

static void can_check(struct scg_bus *bus)
{
	const union scg_value *options = bus->options;
	const char *name = options[BUS_INTERFACE].s;
	struct wanted wanted;

	if (!*name || strpbrk(name, "/ :") || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		complain(bus, NULL, "interface", "no interface can have this name");
	}
	if (options[BUS_BITRATE].i > 0 && !CAN_HAS_BITRATE) {
		complain(bus, NULL, "bitrate",
			"this driver was built without libsocketcan: leave it out and set up the "
			"interface by systemd-networkd");
	}
	if (options[BUS_LISTEN_ONLY].i && options[BUS_BITRATE].i == 0) {
		complain(bus, NULL, "listen_only",
			"needs bitrate: without it the interface stays as it is");
	}
	(void)wanted_make(bus, complain, &wanted); /* it has complained */
	wanted_clear(&wanted);
}

static void log_problem(const struct scg_bus *bus, const struct scg_sensor *sensor,
	const char *option, const char *text)
{
	bus->host->log(bus, SCG_LOG_WARNING, "%s%s%s%s%s", sensor ? sensor->name : "",
		sensor ? ": " : "", option ? option : "", option ? ": " : "", text);
}

static int make_sensors(struct can_bus *c)
{
	struct scg_bus *bus = c->bus;

	c->sensors = calloc(bus->n_sensors + 1u, sizeof(*c->sensors)); /* never of nothing */
	if (!c->sensors) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < bus->n_sensors; i++) {
		struct scg_sensor *sensor = bus->sensors[i];

		c->wanted.entries[i].owner = &c->sensors[i];
		c->sensors[i] = (struct can_sensor){.sensor = sensor,
			.rate = {.interval_ns = sensor->interval_ns,
				.sample = (uint8_t)sensor->options[SENSOR_SAMPLE].i},
			.slack_ns = min_ns(sensor->interval_ns / 16, SLACK_MAX_NS)};
	}
	return table_new(c->wanted.entries, c->wanted.n, &c->table);
}

/* A group may always come in several frames: how long it is may change from one to the next. */
static int make_groups(struct can_bus *c)
{
	uint32_t *pgns = calloc(c->wanted.n + 1u, sizeof(*pgns)), n = 0;
	int r = pgns ? 0 : -ENOMEM;

	for (uint32_t i = 0; r == 0 && i < c->wanted.n; i++) {
		if (c->wanted.entries[i].kind == TABLE_GROUP) {
			pgns[n++] = c->wanted.entries[i].id;
		}
	}
	if (r == 0 && n > 0) {
		r = j1939_tp_new(pgns, n, &c->tp);
	}
	free(pgns);
	return r;
}

static struct can_filter filter_of(const struct table_entry *entry)
{
	switch (entry->kind) {
	case TABLE_STANDARD:
		return filter_standard(entry->id);
	case TABLE_EXTENDED:
		return filter_extended(entry->id);
	default:
		return filter_pgn(entry->id, entry->source);
	}
}

static int open_link(struct can_bus *c)
{
	struct can_filter *filters = calloc(c->wanted.n + 2u, sizeof(*filters));
	size_t n = c->wanted.n;
	int r;

	if (!filters) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n; i++) {
		filters[i] = filter_of(&c->wanted.entries[i]);
	}
	if (c->tp) {
		/* from whomever: the receiver of a message takes part in the handshake */
		filters[n++] = filter_pgn(J1939_PGN_TP_CM, FILTER_ANY_SOURCE);
		filters[n++] = filter_pgn(J1939_PGN_TP_DT, FILTER_ANY_SOURCE);
	}
	/* none at all let nothing through */
	r = filter_merge(filters, n, CAN_RAW_FILTER_MAX, &n);
	if (r == 0) {
		r = can_link_open(c->bus, filters, n, &c->link);
	}
	free(filters);
	return r;
}

static int watch(struct can_bus *c)
{
	struct epoll_event event = {.events = EPOLLIN};

	c->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	c->bus->fd = epoll_create1(EPOLL_CLOEXEC);
	if (c->timer_fd < 0 || c->bus->fd < 0 ||
		epoll_ctl(c->bus->fd, EPOLL_CTL_ADD, c->timer_fd, &event) < 0 ||
		epoll_ctl(c->bus->fd, EPOLL_CTL_ADD, can_link_fd(c->link), &event) < 0) {
		return -errno;
	}
	return 0;
}

static void release(struct scg_bus *bus)
{
	struct can_bus *c = bus->data;

	if (bus->fd >= 0) {
		(void)close(bus->fd);
	}
	if (c->timer_fd >= 0) {
		(void)close(c->timer_fd);
	}
	can_scan_free(c->scan);
	can_link_close(c->link);
	j1939_tp_free(c->tp);
	table_free(c->table);
	free(c->sensors);
	wanted_clear(&c->wanted);
	free(c);
	bus->data = NULL;
	bus->fd = -1;
}

static int can_open(struct scg_bus *bus)
{
	struct can_bus *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		return -ENOMEM;
	}
	bus->data = c;
	c->bus = bus;
	c->timer_fd = -1;
	c->due_ns = INT64_MAX;
	r = wanted_make(bus, log_problem, &c->wanted);
	if (r == 0) {
		r = make_sensors(c);
	}
	if (r == 0) {
		r = make_groups(c);
	}
	if (r == 0) {
		r = open_link(c);
	}
	if (r == 0) {
		r = watch(c);
	}
	if (r < 0) {
		release(bus);
		return r;
	}
	can_health_begin(c);
	return 0;
}

static void can_close(struct scg_bus *bus)
{
	can_health_end(bus->data);
	release(bus);
}

const struct scg_driver scg_driver_1 = {
	.abi = SCG_ABI_LEVEL,
	.name = "can",
	.version = DRIVER_VERSION,
	.summary = "Signals on a CAN bus: DBC files, SAE J1939, CAN FD",
	.bus_options = can_bus_options,
	.sensor_options = can_sensor_options,
	.n_bus_options = N_BUS_OPTIONS,
	.n_sensor_options = N_SENSOR_OPTIONS,
	.check = can_check,
	.open = can_open,
	.dispatch = can_dispatch,
	.close = can_close,
	.scan = &can_scan_tool,
};
