/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/can/error.h>

#include "internal.h"

/*
 * The controller, and what is counted. A controller that hears too many errors becomes passive, and
 * then leaves the bus ("bus-off"), ISO 11898-1; the kernel says so in frames of its own.
 */

#define TICK_NS INT64_C(1000000000)
/* A state that comes and goes is worth a line so often. */
#define LOG_INTERVAL_NS (10 * TICK_NS)

static const char *const names[N_COUNTERS] = {
	[COUNT_FRAMES] = "frames",
	[COUNT_OWN] = "own_frames_ignored",
	[COUNT_OVERFLOW] = "socket_overflow",
	[COUNT_CONTROLLER_OVERFLOW] = "controller_overflow",
	[COUNT_ERROR_FRAMES] = "error_frames",
	[COUNT_WARNING] = "error_warning",
	[COUNT_PASSIVE] = "error_passive",
	[COUNT_OFF] = "bus_off",
	[COUNT_RESTARTS] = "restarts",
	[COUNT_GROUPS] = "long_groups",
	[COUNT_GROUPS_LOST] = "long_groups_lost",
};

#define OFF_REASON                                                                                 \
	"the controller is off the bus after too many errors (bus-off): wrong bit rate, a short "  \
	"circuit, or no terminating resistors"

static void fail_all(struct can_bus *c)
{
	for (uint32_t i = 0; i < c->bus->n_sensors; i++) {
		c->sensors[i].rate.n = 0; /* what came before is old by now */
		c->bus->host->fail(c->bus, c->bus->sensors[i], OFF_REASON);
	}
}

static void log_state(struct can_bus *c)
{
	const struct scg_host *host = c->bus->host;
	bool is_well = c->state <= STATE_WARNING, was_well = c->logged_state <= STATE_WARNING;

	if (c->state == STATE_OFF) {
		host->log(c->bus, SCG_LOG_WARNING, "%s", OFF_REASON);
	} else if (c->state == STATE_PASSIVE) {
		host->log(c->bus, SCG_LOG_WARNING,
			"the controller has seen many errors (error-passive): a cable, a "
			"terminating resistor or a node may be bad");
	} else if (is_well && !was_well) {
		host->log(c->bus, SCG_LOG_NOTICE, "the controller takes part in the bus again");
	}
	c->logged_state = c->state;
	c->logged_ns = c->now_ns;
}

static bool wants_log(const struct can_bus *c)
{
	enum can_state state = c->state == STATE_WARNING ? STATE_ACTIVE : c->state;
	enum can_state logged = c->logged_state == STATE_WARNING ? STATE_ACTIVE : c->logged_state;

	return state != logged;
}

static void set_state(struct can_bus *c, enum can_state state)
{
	static const enum can_counter counters[] = {
		[STATE_ACTIVE] = N_COUNTERS,
		[STATE_WARNING] = COUNT_WARNING,
		[STATE_PASSIVE] = COUNT_PASSIVE,
		[STATE_OFF] = COUNT_OFF,
	};

	if (c->state == state) {
		return;
	}
	if (counters[state] != N_COUNTERS && state > c->state) {
		can_health_count(c, counters[state], 1);
	}
	c->state = state;
	if (state == STATE_OFF) {
		fail_all(c);
	}
	if (wants_log(c) && (c->logged_ns == 0 || c->now_ns - c->logged_ns >= LOG_INTERVAL_NS)) {
		log_state(c);
	}
}

void can_health_error_frame(struct can_bus *c, const struct canfd_frame *frame)
{
	uint8_t controller = frame->can_id & CAN_ERR_CRTL && frame->len > 1 ? frame->data[1] : 0;

	can_health_count(c, COUNT_ERROR_FRAMES, 1);
	if (controller & CAN_ERR_CRTL_RX_OVERFLOW) {
		can_health_count(c, COUNT_CONTROLLER_OVERFLOW, 1);
	}
	if (frame->can_id & CAN_ERR_RESTARTED) {
		can_health_count(c, COUNT_RESTARTS, 1);
		set_state(c, STATE_ACTIVE);
	}
	if (frame->can_id & CAN_ERR_BUSOFF) {
		set_state(c, STATE_OFF);
	} else if (controller & (CAN_ERR_CRTL_RX_PASSIVE | CAN_ERR_CRTL_TX_PASSIVE)) {
		set_state(c, STATE_PASSIVE);
	} else if (controller & (CAN_ERR_CRTL_RX_WARNING | CAN_ERR_CRTL_TX_WARNING)) {
		set_state(c, STATE_WARNING);
	} else if (controller & CAN_ERR_CRTL_ACTIVE) {
		set_state(c, STATE_ACTIVE);
	}
}

void can_health_frame(struct can_bus *c)
{
	if (c->state == STATE_OFF) {
		set_state(c, STATE_ACTIVE);
	}
}

static void count_groups(struct can_bus *c)
{
	const struct j1939_counts *now = c->tp ? j1939_tp_counts(c->tp) : &c->groups;
	uint64_t lost = now->broken + now->timed_out + now->aborted + now->refused;
	uint64_t lost_before = c->groups.broken + c->groups.timed_out + c->groups.aborted +
			       c->groups.refused;

	c->counts[COUNT_GROUPS] += now->complete - c->groups.complete;
	c->counts[COUNT_GROUPS_LOST] += lost - lost_before;
	c->groups = *now;
}

static void tell_counts(struct can_bus *c, bool all)
{
	count_groups(c);
	for (int i = 0; i < N_COUNTERS; i++) {
		if (all || c->counts[i] > 0) {
			c->bus->host->count(c->bus, names[i], c->counts[i]);
		}
		c->counts[i] = 0;
	}
	c->has_news = false;
}

void can_health_begin(struct can_bus *c)
{
	c->tick_ns = INT64_MAX;
	tell_counts(c, true);
}

void can_health_tick(struct can_bus *c)
{
	if (c->now_ns >= c->tick_ns) {
		tell_counts(c, false);
		if (c->state == STATE_OFF) {
			fail_all(c); /* as long as it is so, silence is not what is wrong */
		}
		if (wants_log(c) && c->now_ns - c->logged_ns >= LOG_INTERVAL_NS) {
			log_state(c);
		}
		c->tick_ns = INT64_MAX;
	}
	if (c->tick_ns == INT64_MAX && (c->has_news || c->state == STATE_OFF || wants_log(c))) {
		c->tick_ns = c->now_ns + TICK_NS;
	}
}

void can_health_end(struct can_bus *c)
{
	tell_counts(c, false);
}
