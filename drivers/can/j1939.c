/* SPDX-License-Identifier: Apache-2.0 */
#include "j1939.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"

#define MS INT64_C(1000000)
/* [21] 5.10.2.4: how long a node waits for the other one; a listener for both. */
#define T1_NS (750 * MS)  /* the next packet */
#define T2_NS (1250 * MS) /* the first packet after a CTS */
#define T3_NS (1250 * MS) /* a CTS, after a RTS or after the last packet that was cleared */
#define T4_NS (1050 * MS) /* the next CTS, after one that says wait */

/* Control bytes of TP.CM, [21] 5.10.3. */
enum { TP_RTS = 16, TP_CTS = 17, TP_END = 19, TP_BAM = 32, TP_ABORT = 255 };

#define PACKET_BYTES 7u

struct session {
	int64_t deadline_ns;
	uint32_t pgn;
	uint16_t size;
	uint8_t source, destination; /* of the message, not of the frame */
	uint8_t n_packets;
	uint8_t next;    /* number of the packet that must come, from 1 */
	uint8_t reached; /* the first one that never came */
	uint8_t cleared; /* the last one that may come before the next CTS */
	bool open;
	uint8_t data[J1939_SIZE_MAX + DECODE_PADDING];
};

struct j1939_tp {
	struct j1939_counts counts;
	uint32_t *pgns; /* sorted */
	uint32_t n_pgns;
	struct session sessions[J1939_SESSIONS];
};

struct j1939_id j1939_parse(uint32_t id)
{
	struct j1939_id parsed = {.pgn = id >> 8 & J1939_PGN_MAX,
		.priority = id >> 26 & 7,
		.source = (uint8_t)id,
		.destination = J1939_ALL};

	if (j1939_is_addressed(parsed.pgn)) {
		parsed.destination = (uint8_t)parsed.pgn;
		parsed.pgn &= ~UINT32_C(0xff);
	}
	return parsed;
}

uint32_t j1939_make(const struct j1939_id *id)
{
	uint32_t pgn = id->pgn & J1939_PGN_MAX;

	if (j1939_is_addressed(pgn)) {
		pgn = (pgn & ~UINT32_C(0xff)) | id->destination;
	}
	return (uint32_t)(id->priority & 7) << 26 | pgn << 8 | id->source;
}

static int compare_pgns(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

int j1939_tp_new(const uint32_t *pgns, uint32_t n_pgns, struct j1939_tp **ret_tp)
{
	struct j1939_tp *tp = calloc(1, sizeof(*tp));

	if (!tp) {
		return -ENOMEM;
	}
	tp->pgns = calloc(n_pgns + 1u, sizeof(*pgns)); /* never of nothing */
	if (!tp->pgns) {
		free(tp);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n_pgns; i++) {
		tp->pgns[i] = pgns[i];
	}
	tp->n_pgns = n_pgns;
	qsort(tp->pgns, n_pgns, sizeof(*tp->pgns), compare_pgns);
	*ret_tp = tp;
	return 0;
}

void j1939_tp_free(struct j1939_tp *tp)
{
	if (tp) {
		free(tp->pgns);
		free(tp);
	}
}

const struct j1939_counts *j1939_tp_counts(const struct j1939_tp *tp)
{
	return &tp->counts;
}

static void end(struct session *s, uint64_t *counter)
{
	s->open = false;
	++*counter;
}

/* The open session between two nodes, NULL if there is none. */
static struct session *find_session(
	struct j1939_tp *tp, uint8_t source, uint8_t destination, int64_t now_ns)
{
	for (uint32_t i = 0; i < J1939_SESSIONS; i++) {
		struct session *s = &tp->sessions[i];

		if (s->open && s->source == source && s->destination == destination) {
			if (now_ns <= s->deadline_ns) {
				return s;
			}
			end(s, &tp->counts.timed_out);
		}
	}
	return NULL;
}

static struct session *free_session(struct j1939_tp *tp, int64_t now_ns)
{
	for (uint32_t i = 0; i < J1939_SESSIONS; i++) {
		struct session *s = &tp->sessions[i];

		if (s->open && now_ns > s->deadline_ns) {
			end(s, &tp->counts.timed_out);
		}
		if (!s->open) {
			return s;
		}
	}
	return NULL;
}

static uint32_t pgn_of(const uint8_t *data)
{
	return (uint32_t)data[5] | (uint32_t)data[6] << 8 | (uint32_t)data[7] << 16;
}

/* RTS or BAM: source and destination are those of the message. */
static void announce(
	struct j1939_tp *tp, const struct j1939_id *id, const uint8_t *data, int64_t now_ns)
{
	bool broadcast = data[0] == TP_BAM;
	uint32_t size = data[1] | (uint32_t)data[2] << 8, pgn = pgn_of(data);
	struct session *s = find_session(tp, id->source, id->destination, now_ns);

	if (s) {
		end(s, &tp->counts.broken); /* a node begins anew, [21] 5.10.3.1 */
	}
	if (!bsearch(&pgn, tp->pgns, tp->n_pgns, sizeof(*tp->pgns), compare_pgns)) {
		return;
	}
	s = free_session(tp, now_ns);
	/* a message of up to eight bytes fits a frame: [21] 5.10.1.1 */
	if (!s || size <= 8 || size > J1939_SIZE_MAX ||
		data[3] != (size + PACKET_BYTES - 1) / PACKET_BYTES ||
		broadcast != (id->destination == J1939_ALL)) {
		tp->counts.refused++;
		return;
	}
	s->open = true;
	s->source = id->source;
	s->destination = id->destination;
	s->pgn = pgn;
	s->size = (uint16_t)size;
	s->n_packets = data[3];
	s->next = s->reached = 1;
	s->cleared = broadcast ? s->n_packets : 0;
	s->deadline_ns = now_ns + (broadcast ? T1_NS : T3_NS);
}

/* CTS: the receiver of the message says which packets it wants next; also some of them again. */
static void clear_to_send(
	struct j1939_tp *tp, const struct j1939_id *id, const uint8_t *data, int64_t now_ns)
{
	struct session *s = find_session(tp, id->destination, id->source, now_ns);
	uint32_t count = data[1], next = data[2];

	if (!s || id->destination == J1939_ALL || s->pgn != pgn_of(data)) {
		return;
	}
	if (count == 0) {
		s->deadline_ns = now_ns + T4_NS;
		return;
	}
	if (next == 0 || next > s->reached || next + count - 1 > s->n_packets) {
		end(s, &tp->counts.broken); /* it has more than was heard here */
		return;
	}
	s->next = (uint8_t)next;
	s->cleared = (uint8_t)(next + count - 1);
	s->deadline_ns = now_ns + T2_NS;
}

static void end_between(struct j1939_tp *tp, uint8_t source, uint8_t destination, uint32_t pgn,
	int64_t now_ns, uint64_t *counter)
{
	struct session *s = find_session(tp, source, destination, now_ns);

	if (s && s->pgn == pgn) {
		end(s, counter);
	}
}

static void manage(
	struct j1939_tp *tp, const struct j1939_id *id, const uint8_t *data, int64_t now_ns)
{
	switch (data[0]) {
	case TP_RTS:
	case TP_BAM:
		announce(tp, id, data, now_ns);
		break;
	case TP_CTS:
		clear_to_send(tp, id, data, now_ns);
		break;
	case TP_END:
		/* the receiver has all of it, so something was not heard here */
		end_between(
			tp, id->destination, id->source, pgn_of(data), now_ns, &tp->counts.broken);
		break;
	case TP_ABORT:
		/* either node may */
		end_between(
			tp, id->source, id->destination, pgn_of(data), now_ns, &tp->counts.aborted);
		end_between(
			tp, id->destination, id->source, pgn_of(data), now_ns, &tp->counts.aborted);
		break;
	default:
		break;
	}
}

/* A packet: its number, and seven bytes, fewer of which may count in the last one. */
static bool take_packet(struct j1939_tp *tp, const struct j1939_id *id, const uint8_t *data,
	uint8_t size, int64_t now_ns, struct j1939_message *ret_message)
{
	struct session *s = find_session(tp, id->source, id->destination, now_ns);
	uint32_t at, n;

	if (!s) {
		return false;
	}
	at = (s->next - 1u) * PACKET_BYTES;
	n = s->size - at < PACKET_BYTES ? s->size - at : PACKET_BYTES;
	if (data[0] != s->next || s->next > s->cleared || size < n + 1) {
		end(s, &tp->counts.broken);
		return false;
	}
	memcpy(s->data + at, data + 1, n);
	if (s->next == s->n_packets) {
		end(s, &tp->counts.complete);
		*ret_message = (struct j1939_message){
			s->pgn, s->size, s->source, s->destination, s->data};
		return true;
	}
	s->next++;
	s->reached = s->next > s->reached ? s->next : s->reached;
	s->deadline_ns = now_ns + (s->next > s->cleared ? T3_NS : T1_NS);
	return false;
}

bool j1939_tp_receive(struct j1939_tp *tp, uint32_t id, const uint8_t *data, uint8_t size,
	int64_t now_ns, struct j1939_message *ret_message)
{
	struct j1939_id parsed = j1939_parse(id);

	if (parsed.source == J1939_ALL) {
		return false; /* nobody's address */
	}
	if (parsed.pgn == J1939_PGN_TP_CM && size == 8) {
		manage(tp, &parsed, data, now_ns);
	} else if (parsed.pgn == J1939_PGN_TP_DT && size >= 2) {
		return take_packet(tp, &parsed, data, size, now_ns, ret_message);
	}
	return false;
}
