/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAN_ISOTP_H
#define CAN_ISOTP_H

/*
 * ISO 15765-2: messages of up to 4095 bytes over frames of eight, between this node and one other,
 * for kernels without can-isotp. Normal addressing: two identifiers, and all bytes of a frame are
 * the protocol's. It neither sends nor waits: it says what is to be sent, and when to call again.
 * One owner, no lock. All times are monotonic.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decode.h"

#define ISOTP_MAX        4095u
#define ISOTP_NO_PADDING (-1)

/* To be sent; nothing if `size` is 0. */
struct isotp_frame {
	uint8_t size;
	uint8_t data[8];
};

enum isotp_event {
	ISOTP_NOTHING,
	ISOTP_MESSAGE,   /* one was received: isotp_message() */
	ISOTP_SENT,      /* all of a message is sent */
	ISOTP_BROKEN,    /* a frame of a message is missing, or makes no sense */
	ISOTP_TIMED_OUT, /* the other node says nothing more */
	ISOTP_REFUSED    /* the other node has no room for the message */
};

struct isotp {
	int32_t padding; /* what frames are filled up with, or ISOTP_NO_PADDING */

	bool receiving;
	uint8_t rx_next; /* sequence number */
	uint16_t rx_size, rx_at;
	int64_t rx_deadline_ns;

	bool sending;
	bool cleared;       /* consecutive frames may go, else a flow control is awaited */
	uint8_t tx_next;    /* sequence number */
	uint8_t block_size; /* frames from one flow control to the next; 0: all */
	uint8_t block_left, n_waits;
	uint16_t tx_size, tx_at;
	int64_t gap_ns;     /* between frames */
	int64_t tx_time_ns; /* cleared: when the next may go; else when to give up */

	uint8_t tx[ISOTP_MAX];
	uint8_t rx[ISOTP_MAX + DECODE_PADDING];
};

void isotp_init(struct isotp *t, int padding);

/* Begins to send. 0, -EMSGSIZE for nothing or too much, -EBUSY while another one is on its way. */
int isotp_send(struct isotp *t, const uint8_t *data, size_t size, int64_t now_ns,
	struct isotp_frame *ret_frame);

/* A frame of the other node. Both directions may be at work at the same time. */
enum isotp_event isotp_receive(struct isotp *t, const uint8_t *data, uint8_t size, int64_t now_ns,
	struct isotp_frame *ret_frame);

/* What time brings: the next frame, or the end of patience. */
enum isotp_event isotp_step(struct isotp *t, int64_t now_ns, struct isotp_frame *ret_frame);
/* When isotp_step() has something to do at the earliest; INT64_MAX: never. */
int64_t isotp_next_ns(const struct isotp *t);

/* After ISOTP_MESSAGE, until the next frame; DECODE_PADDING behind it. */
const uint8_t *isotp_message(const struct isotp *t, size_t *ret_size);

#endif
