/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_GATEWAY_H
#define SCG_GATEWAY_H

/*
 * The parts of the daemon wired together: one journal, a bus for each `buses:`, a publisher for
 * each `devices:`, the clock. Starting, reloading and stopping them in the right order. Main thread
 * only.
 */

#include <stdbool.h>
#include <stdint.h>

#include "bus.h"
#include "clock.h"
#include "config.h"
#include "journal.h"
#include "publisher.h"

struct gateway;

/* Opens the journal, starts all threads. Takes its own reference. NULL if threads cannot be had. */
struct gateway *gateway_start(struct config *config);

/*
 * Goes over to a new configuration: what is unchanged keeps running. 0, or -EINVAL with *ret_error
 * if it cannot be taken over without a restart (nothing has changed then); the caller frees the
 * text.
 */
int gateway_reload(struct gateway *g, struct config *config, char **ret_error);

/*
 * Stops reading, commits, sends what is fresh, closes. Ends by `deadline_ns` (monotonic) whatever
 * the slaves and brokers do. False if a thread had to be left behind: the process must end by
 * _exit().
 */
bool gateway_stop(struct gateway *g, int64_t deadline_ns);

/* Now and then: frees what a reload has replaced and what took longer to end. */
void gateway_reap(struct gateway *g);

/* The clock: when clock_fd() is readable or clock_timeout_ms() has passed. */
struct clock_state *gateway_clock(struct gateway *g);
void gateway_clock_changed(struct gateway *g);

/* A thread that makes no progress, for the watchdog: its name, or NULL if all is well. */
const char *gateway_stuck(struct gateway *g, int64_t *ret_overdue_ns);

/* "12 sensors, 1 bad; 2 of 3 devices connected; 530 readings waiting": for STATUS=. */
char *gateway_summary(struct gateway *g);

/* For status.c. */
const struct config *gateway_config(const struct gateway *g);
struct journal *gateway_journal(struct gateway *g);
int64_t gateway_uptime_ns(const struct gateway *g);
uint32_t gateway_n_buses(const struct gateway *g);
struct bus *gateway_bus(struct gateway *g, uint32_t i);
uint32_t gateway_n_publishers(const struct gateway *g);
struct publisher *gateway_publisher(struct gateway *g, uint32_t i);
/* Readings taken and delivered since start, those of parts that a reload has ended included. */
void gateway_totals(struct gateway *g, uint64_t *ret_read, uint64_t *ret_delivered);

#endif
