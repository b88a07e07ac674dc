/* SPDX-License-Identifier: Apache-2.0 */
#include "can/j1939.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "util.h"

#define PGN_LONG 65226 /* DM1, often longer than a frame */
#define NODE     0x17
#define OTHER    0x42
#define MS       NS_PER_MS

static const uint32_t pgns[] = {65260, PGN_LONG};

struct line {
	struct j1939_tp *tp;
	struct j1939_message message;
	int64_t now_ns;
};

static void setup(struct line *l)
{
	*l = (struct line){.now_ns = 5 * NS_PER_S};
	assert_int_equal(j1939_tp_new(pgns, ARRAY_SIZE(pgns), &l->tp), 0);
}

static bool manage(struct line *l, uint8_t from, uint8_t to, const uint8_t first[5], uint32_t pgn)
{
	uint8_t data[8] = {first[0], first[1], first[2], first[3], first[4], (uint8_t)pgn,
		(uint8_t)(pgn >> 8), (uint8_t)(pgn >> 16)};

	return j1939_tp_receive(l->tp, 0x1cec0000u | (uint32_t)to << 8 | from, data, sizeof(data),
		l->now_ns, &l->message);
}

/* Packet `number` of a message whose bytes count upwards. */
static bool packet(struct line *l, uint8_t from, uint8_t to, uint8_t number)
{
	uint8_t data[8] = {number};

	for (unsigned i = 0; i < 7; i++) {
		data[1 + i] = (uint8_t)((number - 1) * 7u + i);
	}
	return j1939_tp_receive(l->tp, 0x1ceb0000u | (uint32_t)to << 8 | from, data, sizeof(data),
		l->now_ns, &l->message);
}

#define BYTES(...) ((const uint8_t[5]){__VA_ARGS__})

static void check_message(const struct line *l, uint16_t size, uint8_t destination)
{
	assert_int_equal(l->message.pgn, PGN_LONG);
	assert_int_equal(l->message.size, size);
	assert_int_equal(l->message.source, NODE);
	assert_int_equal(l->message.destination, destination);
	for (unsigned i = 0; i < size; i++) {
		assert_int_equal(l->message.data[i], (uint8_t)i);
	}
}

/* Identifiers as printed in the standard and in manuals. */
static void test_identifiers(void **state)
{
	static const struct {
		uint32_t id;
		struct j1939_id parsed;
	} rows[] = {
		{0x0cf00400, {61444, 3, 0x00, 255}},  /* EEC1 of the engine */
		{0x18feca03, {65226, 6, 0x03, 255}},  /* DM1 of the transmission */
		{0x18eafff9, {59904, 6, 0xf9, 255}},  /* a request to all */
		{0x18ea00f9, {59904, 6, 0xf9, 0x00}}, /* to the engine */
		{0x1cec1721, {60416, 7, 0x21, 0x17}},
		{0x09f80203, {129026, 2, 0x03, 255}}, /* data page 1 */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct j1939_id parsed = j1939_parse(rows[i].id);

		assert_int_equal(parsed.pgn, rows[i].parsed.pgn);
		assert_int_equal(parsed.priority, rows[i].parsed.priority);
		assert_int_equal(parsed.source, rows[i].parsed.source);
		assert_int_equal(parsed.destination, rows[i].parsed.destination);
		assert_int_equal(j1939_make(&parsed), rows[i].id);
	}
}

static void test_broadcast(void **state)
{
	struct line l;

	(void)state;
	setup(&l);
	for (unsigned size = 9; size <= J1939_SIZE_MAX; size += 111) {
		uint8_t n = (uint8_t)((size + 6) / 7);

		assert_false(manage(&l, NODE, J1939_ALL,
			BYTES(32, (uint8_t)size, (uint8_t)(size >> 8), n, 0xff), PGN_LONG));
		for (unsigned i = 1; i < n; i++) {
			l.now_ns += 200 * MS; /* the longest that a sender waits */
			assert_false(packet(&l, NODE, J1939_ALL, (uint8_t)i));
		}
		assert_true(packet(&l, NODE, J1939_ALL, n));
		check_message(&l, (uint16_t)size, J1939_ALL);
	}
	j1939_tp_free(l.tp);
}

/* Two nodes at the same time, and a handshake of one of them. */
static void test_messages_side_by_side(void **state)
{
	struct line l;

	(void)state;
	setup(&l);
	manage(&l, NODE, J1939_ALL, BYTES(32, 10, 0, 2, 0xff), PGN_LONG);
	manage(&l, OTHER, J1939_ALL, BYTES(32, 10, 0, 2, 0xff), 65260);
	manage(&l, NODE, OTHER, BYTES(16, 9, 0, 2, 0xff), PGN_LONG);
	manage(&l, OTHER, NODE, BYTES(17, 2, 1, 0xff, 0xff), PGN_LONG);
	assert_false(packet(&l, OTHER, J1939_ALL, 1));
	assert_false(packet(&l, NODE, OTHER, 1));
	assert_false(packet(&l, NODE, J1939_ALL, 1));
	assert_true(packet(&l, NODE, J1939_ALL, 2));
	check_message(&l, 10, J1939_ALL);
	assert_true(packet(&l, NODE, OTHER, 2));
	check_message(&l, 9, OTHER);
	assert_true(packet(&l, OTHER, J1939_ALL, 2));
	assert_int_equal(l.message.pgn, 65260);
	assert_int_equal(j1939_tp_counts(l.tp)->complete, 3);
	j1939_tp_free(l.tp);
}

/* Cleared piece by piece, made to wait, and some packets again. */
static void test_handshake(void **state)
{
	struct line l;

	(void)state;
	setup(&l);
	manage(&l, NODE, OTHER, BYTES(16, 40, 0, 6, 3), PGN_LONG);
	l.now_ns += 1200 * MS;
	manage(&l, OTHER, NODE, BYTES(17, 3, 1, 0xff, 0xff), PGN_LONG);
	assert_false(packet(&l, NODE, OTHER, 1));
	assert_false(packet(&l, NODE, OTHER, 2));
	assert_false(packet(&l, NODE, OTHER, 3));
	l.now_ns += 1200 * MS;
	manage(&l, OTHER, NODE, BYTES(17, 0, 0xff, 0xff, 0xff), PGN_LONG);
	l.now_ns += 1000 * MS;
	manage(&l, OTHER, NODE, BYTES(17, 1, 2, 0xff, 0xff), PGN_LONG);
	assert_false(packet(&l, NODE, OTHER, 2));
	manage(&l, OTHER, NODE, BYTES(17, 3, 4, 0xff, 0xff), PGN_LONG);
	assert_false(packet(&l, NODE, OTHER, 4));
	assert_false(packet(&l, NODE, OTHER, 5));
	assert_true(packet(&l, NODE, OTHER, 6));
	check_message(&l, 40, OTHER);
	manage(&l, OTHER, NODE, BYTES(19, 40, 0, 6, 0xff), PGN_LONG);
	assert_int_equal(j1939_tp_counts(l.tp)->broken, 0);
	j1939_tp_free(l.tp);
}

static void test_what_breaks_a_message(void **state)
{
	const struct j1939_counts *counts;
	struct line l;

	(void)state;
	setup(&l);
	counts = j1939_tp_counts(l.tp);
	/* a packet is missing */
	manage(&l, NODE, J1939_ALL, BYTES(32, 20, 0, 3, 0xff), PGN_LONG);
	packet(&l, NODE, J1939_ALL, 1);
	assert_false(packet(&l, NODE, J1939_ALL, 3));
	assert_int_equal(counts->broken, 1);
	assert_false(packet(&l, NODE, J1939_ALL, 2));
	/* the node begins anew */
	manage(&l, NODE, J1939_ALL, BYTES(32, 20, 0, 3, 0xff), PGN_LONG);
	manage(&l, NODE, J1939_ALL, BYTES(32, 9, 0, 2, 0xff), PGN_LONG);
	assert_int_equal(counts->broken, 2);
	/* the next packet comes too late */
	packet(&l, NODE, J1939_ALL, 1);
	l.now_ns += 751 * MS;
	assert_false(packet(&l, NODE, J1939_ALL, 2));
	assert_int_equal(counts->timed_out, 1);
	/* one of the nodes gives up */
	manage(&l, NODE, OTHER, BYTES(16, 9, 0, 2, 0xff), PGN_LONG);
	manage(&l, OTHER, NODE, BYTES(255, 3, 0xff, 0xff, 0xff), PGN_LONG);
	assert_int_equal(counts->aborted, 1);
	/* packets that nobody asked for */
	manage(&l, NODE, OTHER, BYTES(16, 9, 0, 2, 0xff), PGN_LONG);
	assert_false(packet(&l, NODE, OTHER, 1));
	assert_int_equal(counts->broken, 3);
	/* more is cleared than was heard */
	manage(&l, NODE, OTHER, BYTES(16, 9, 0, 2, 0xff), PGN_LONG);
	manage(&l, OTHER, NODE, BYTES(17, 1, 2, 0xff, 0xff), PGN_LONG);
	assert_int_equal(counts->broken, 4);
	/* all is acknowledged, and a packet was not heard */
	manage(&l, NODE, OTHER, BYTES(16, 9, 0, 2, 0xff), PGN_LONG);
	manage(&l, OTHER, NODE, BYTES(17, 2, 1, 0xff, 0xff), PGN_LONG);
	packet(&l, NODE, OTHER, 1);
	manage(&l, OTHER, NODE, BYTES(19, 9, 0, 2, 0xff), PGN_LONG);
	assert_int_equal(counts->broken, 5);
	assert_int_equal(counts->complete, 0);
	j1939_tp_free(l.tp);
}

static void test_wrong_announcements(void **state)
{
	struct line l;

	(void)state;
	setup(&l);
	manage(&l, NODE, J1939_ALL, BYTES(32, 8, 0, 2, 0xff), PGN_LONG);      /* fits a frame */
	manage(&l, NODE, J1939_ALL, BYTES(32, 0xfa, 6, 255, 0xff), PGN_LONG); /* 1786 bytes */
	manage(&l, NODE, J1939_ALL, BYTES(32, 20, 0, 2, 0xff), PGN_LONG);     /* takes 3 packets */
	manage(&l, NODE, OTHER, BYTES(32, 20, 0, 3, 0xff), PGN_LONG);         /* not to all */
	manage(&l, NODE, J1939_ALL, BYTES(16, 20, 0, 3, 0xff), PGN_LONG);     /* not to one */
	assert_int_equal(j1939_tp_counts(l.tp)->refused, 5);
	assert_false(packet(&l, NODE, J1939_ALL, 1));
	/* what nobody configured takes no place */
	manage(&l, NODE, J1939_ALL, BYTES(32, 9, 0, 2, 0xff), 65000);
	packet(&l, NODE, J1939_ALL, 1);
	assert_false(packet(&l, NODE, J1939_ALL, 2));
	assert_int_equal(j1939_tp_counts(l.tp)->refused, 5);
	j1939_tp_free(l.tp);
}

/* As many as there are places, and the one that is too many takes the place of a dead one. */
static void test_many_nodes(void **state)
{
	struct line l;

	(void)state;
	setup(&l);
	for (unsigned i = 0; i < J1939_SESSIONS + 1; i++) {
		manage(&l, (uint8_t)i, J1939_ALL, BYTES(32, 9, 0, 2, 0xff), PGN_LONG);
	}
	assert_int_equal(j1939_tp_counts(l.tp)->refused, 1);
	l.now_ns += 800 * MS;
	manage(&l, NODE + 100, J1939_ALL, BYTES(32, 9, 0, 2, 0xff), PGN_LONG);
	packet(&l, NODE + 100, J1939_ALL, 1);
	assert_true(packet(&l, NODE + 100, J1939_ALL, 2));
	assert_int_equal(j1939_tp_counts(l.tp)->refused, 1);
	j1939_tp_free(l.tp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identifiers),
		cmocka_unit_test(test_broadcast),
		cmocka_unit_test(test_messages_side_by_side),
		cmocka_unit_test(test_handshake),
		cmocka_unit_test(test_what_breaks_a_message),
		cmocka_unit_test(test_wrong_announcements),
		cmocka_unit_test(test_many_nodes),
	};

	return cmocka_run_group_tests_name("can_j1939", tests, NULL, NULL);
}
