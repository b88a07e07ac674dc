/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAN_FIXTURE_H
#define CAN_FIXTURE_H

/*
 * The CAN driver on sockets of the test: datagrams on the loopback, which are dropped and counted
 * when the buffer is full, as frames are. One thread.
 */

#include <linux/can.h>

#include "fake_host.h"

struct can_fixture {
	struct fake_bus *fake;
	int tx, rx; /* to the driver; the driver's own */
	int scan_tx, scan_rx;
};

/* Not open yet; `options` besides the interface. */
struct can_fixture *can_fixture_new(const char *options);
/* Also fails if the driver has broken a rule. */
void can_fixture_free(struct can_fixture *c);
struct scg_sensor *can_fixture_add(
	struct can_fixture *c, const char *name, int64_t interval_ns, const char *options);
void can_fixture_open(struct can_fixture *c);

/* A frame as the kernel hands it out; `can_id` with its flags. */
void can_send(int fd, uint32_t can_id, const void *data, uint8_t size);
void can_send_fd(int fd, uint32_t can_id, const void *data, uint8_t size);
/* Dispatches until there are so many results, or fails. */
void can_wait_results(struct can_fixture *c, size_t n);
/* Dispatches until the driver has taken so many frames as its counter `name` says. */
void can_wait_count(struct can_fixture *c, const char *name, uint64_t n);

#endif
