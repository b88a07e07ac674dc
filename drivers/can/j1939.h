/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAN_J1939_H
#define CAN_J1939_H

/*
 * SAE J1939 as a listener needs it: what is in an identifier, and messages that are longer than a
 * frame put together from the transport protocol of other nodes, broadcast (BAM) or with a
 * handshake between two of them (RTS/CTS).
 *
 * Why not the kernel's sockets for J1939: one without an address of its own, which is all that a
 * listener is, gets single frames and broadcast messages, but of a handshake between others only
 * the raw frames; it needs CONFIG_CAN_J1939; and as its filters are other than those of raw
 * sockets, a bus would be read twice. This here works on the frames of a raw socket, behind its
 * filters, and sends nothing.
 *
 * Citations: [21] SAE J1939-21, Data Link Layer.
 */

#include <stdbool.h>
#include <stdint.h>

#define J1939_PGN_MAX   UINT32_C(0x3ffff)
#define J1939_ALL       255u   /* the destination of what is for everybody */
#define J1939_PGN_TP_CM 0xec00 /* connection management, [21] 5.10.3 */
#define J1939_PGN_TP_DT 0xeb00 /* data transfer */
#define J1939_SIZE_MAX  1785u  /* 255 packets of 7 bytes */
#define J1939_SESSIONS  32u    /* messages that are put together at the same time */

struct j1939_id {
	uint32_t pgn; /* without the destination */
	uint8_t priority, source, destination;
};

/* Of 29 bits, without flags, and back. [21] 5.2: where the PDU format is below 240 (PDU1), the byte
   behind it is the destination; else (PDU2) it belongs to the PGN, and all are meant. */
struct j1939_id j1939_parse(uint32_t id);
uint32_t j1939_make(const struct j1939_id *id);

/* Whether a destination is part of the identifier: PDU1. */
static inline bool j1939_is_addressed(uint32_t pgn)
{
	return (pgn >> 8 & 0xff) < 240;
}

/* A message that was put together. */
struct j1939_message {
	uint32_t pgn;
	uint16_t size;
	uint8_t source, destination;
	const uint8_t *data; /* with DECODE_PADDING; valid until the next frame */
};

/* What became of messages, since the start. */
struct j1939_counts {
	uint64_t complete;
	uint64_t broken;    /* a packet missing, or out of order */
	uint64_t timed_out; /* noticed when the next frame of that node comes */
	uint64_t aborted;   /* by one of the nodes */
	uint64_t refused;   /* announced wrongly, or too many at the same time */
};

struct j1939_tp; /* one a bus; one owner, no lock */

/* Messages of these parameter groups are put together, others are passed over. 0 or -ENOMEM. */
int j1939_tp_new(const uint32_t *pgns, uint32_t n_pgns, struct j1939_tp **ret_tp);
void j1939_tp_free(struct j1939_tp *tp);

/*
 * A frame with an identifier of 29 bits; others than those of the transport protocol are none of
 * its business. `now_ns` is monotonic. True if that made a message complete.
 */
bool j1939_tp_receive(struct j1939_tp *tp, uint32_t id, const uint8_t *data, uint8_t size,
	int64_t now_ns, struct j1939_message *ret_message);
const struct j1939_counts *j1939_tp_counts(const struct j1939_tp *tp);

#endif
