/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAN_LINK_H
#define CAN_LINK_H

/*
 * A raw socket on a CAN interface, as a listener needs it: filters, error frames, times, what was
 * lost, many frames at a time. It knows nothing of what is in the frames. One owner, no lock.
 */

#include <linux/can.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decode.h"
#include "sensocan-driver.h"

/* One frame. */
struct can_received {
	int64_t time_ns;                 /* CLOCK_REALTIME, by the kernel; 0: not known */
	const struct canfd_frame *frame; /* with DECODE_PADDING behind its data */
	bool is_own;                     /* sent by a program on this machine */
};

struct can_link; /* opaque */

/*
 * Opens the interface that the bus's options name, with these filters and for error frames.
 * 0; -ENODEV if there is no such interface, -ENETDOWN if it is down, and so on; what a person can
 * do about it goes to the log.
 */
int can_link_open(struct scg_bus *bus, const struct can_filter *filters, size_t n_filters,
	struct can_link **ret_link);
void can_link_close(struct can_link *link); /* NULL: nothing */
int can_link_fd(const struct can_link *link);

/*
 * Takes the frames that are there, some at a time. How many they are, 0 if there are none, or a
 * negative errno when the interface is down or gone. They are valid until the next call.
 */
#define CAN_LINK_BATCH 64
int can_link_receive(struct can_link *link, const struct can_received **ret_frames);
/* Frames that the socket had no room for, since the last call. Known when the next one arrives. */
uint32_t can_link_take_lost(struct can_link *link);

/* The part that works on any socket of datagrams; `fd` belongs to the link from then on, also if
   it fails. */
int can_link_new(int fd, struct can_link **ret_link);
/* The socket itself: what can_link_open() begins with, and tests replace. */
int can_socket_open(struct scg_bus *bus, const struct can_filter *filters, size_t n_filters);

#endif
