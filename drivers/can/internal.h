/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAN_INTERNAL_H
#define CAN_INTERNAL_H

/*
 * The inside of the CAN driver: what it remembers of a bus and of its sensors. can.c takes frames
 * from link.c, has table.c say what is in them, and reports; health.c looks after the controller;
 * scan.c is the tool.
 */

#include <linux/can.h>
#include <stdbool.h>

#include "j1939.h"
#include "link.h"
#include "rate.h"
#include "sensocan-driver.h"
#include "table.h"
#include "wanted.h"

/* One sensor. */
struct can_sensor {
	struct scg_sensor *sensor;
	struct rate rate;
	int64_t slack_ns;        /* so much before its time it may be reported, to go with others */
	int64_t silent_until_ns; /* no further word before about a value that is missing */
};

/* What a controller says of itself, ISO 11898-1: from bad to worse. */
enum can_state { STATE_ACTIVE, STATE_WARNING, STATE_PASSIVE, STATE_OFF };

/* What is counted of a bus, in the order of the names in health.c. */
enum can_counter {
	COUNT_FRAMES,
	COUNT_OWN,
	COUNT_OVERFLOW,
	COUNT_CONTROLLER_OVERFLOW,
	COUNT_ERROR_FRAMES,
	COUNT_WARNING,
	COUNT_PASSIVE,
	COUNT_OFF,
	COUNT_RESTARTS,
	COUNT_GROUPS,
	COUNT_GROUPS_LOST,
	N_COUNTERS
};

struct can_bus {
	struct scg_bus *bus;
	struct can_link *link;
	int timer_fd;
	int64_t armed_ns; /* when the timer ends, monotonic; 0: not set */

	struct wanted wanted;
	struct table *table;
	struct can_sensor *sensors; /* as bus->sensors */
	struct j1939_tp *tp;        /* NULL: nobody wants a parameter group */

	/* Of the dispatch() that runs. */
	int64_t now_ns;  /* monotonic */
	int64_t time_ns; /* of the frame, CLOCK_REALTIME */

	int64_t due_ns;  /* the first of the sensors that have something to report; INT64_MAX: none
			  */
	int64_t last_ns; /* the dispatch() before */
	bool is_paced;   /* the socket is read by the timer, at pace_ns */
	int64_t pace_ns;

	enum can_state state, logged_state;
	int64_t logged_ns; /* when the state was last logged; 0: never */
	int64_t tick_ns;   /* when health.c wants to be called; INT64_MAX: not at all */
	bool has_news;     /* something was counted since then */
	uint64_t counts[N_COUNTERS];
	struct j1939_counts groups; /* what of the groups has been counted */

	struct can_scan *scan; /* of the tool; NULL: it does not run */
};

/* --- health.c --- */

void can_health_begin(struct can_bus *c);
/* An error frame: the controller speaks, not the bus. */
void can_health_error_frame(struct can_bus *c, const struct canfd_frame *frame);
/* A frame came from another node, so the controller takes part. */
void can_health_frame(struct can_bus *c);
static inline void can_health_count(struct can_bus *c, enum can_counter counter, uint64_t n)
{
	c->counts[counter] += n;
	c->has_news = true;
}
/* What has to be said once a second at the most; at the end of each dispatch(). */
void can_health_tick(struct can_bus *c);
/* Counts all that is not yet counted. */
void can_health_end(struct can_bus *c);

/* --- scan.c --- */

extern const struct scg_tool can_scan_tool;
void can_scan_free(struct can_scan *scan); /* NULL: nothing */

#endif
