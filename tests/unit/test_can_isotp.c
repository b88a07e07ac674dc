/* SPDX-License-Identifier: Apache-2.0 */
#include "can/isotp.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "util.h"

#define MS NS_PER_MS

static struct isotp a, b;
static struct isotp_frame out;

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static void check_out(const uint8_t *data, size_t size)
{
	assert_int_equal(out.size, size);
	assert_memory_equal(out.data, data, size);
}

static void check_message(const struct isotp *t, const uint8_t *data, size_t size)
{
	size_t n;
	const uint8_t *message = isotp_message(t, &n);

	assert_int_equal(n, size);
	assert_memory_equal(message, data, size);
}

static void start(void)
{
	isotp_init(&a, ISOTP_NO_PADDING);
	isotp_init(&b, ISOTP_NO_PADDING);
}

/* The example that every manual has: a vehicle's number in three frames. */
static void test_example(void **state)
{
	(void)state;
	start();
	assert_int_equal(isotp_send(&a, BYTES(0x09, 0x02), 0, &out), 0);
	check_out(BYTES(0x02, 0x09, 0x02));
	assert_int_equal(
		isotp_receive(&a, BYTES(0x10, 0x14, 0x49, 0x02, 0x01, 0x31, 0x44, 0x34), 0, &out),
		ISOTP_NOTHING);
	check_out(BYTES(0x30, 0, 0));
	assert_int_equal(
		isotp_receive(&a, BYTES(0x21, 0x47, 0x50, 0x30, 0x30, 0x52, 0x35, 0x35), 0, &out),
		ISOTP_NOTHING);
	assert_int_equal(
		isotp_receive(&a, BYTES(0x22, 0x42, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36), 0, &out),
		ISOTP_MESSAGE);
	check_message(&a,
		(const uint8_t *)"\x49\x02\x01"
				 "1D4GP00R55B123456",
		20);
}

/* All sizes, from one to the other. */
static void test_each_size(void **state)
{
	static uint8_t data[ISOTP_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] = (uint8_t)(i * 7 + i / 256);
	}
	start();
	for (size_t size = 1; size <= ISOTP_MAX; size += size < 300 ? 1 : 211) {
		enum isotp_event event;
		struct isotp_frame back;

		isotp_init(&a, size % 2 ? 0xcc : ISOTP_NO_PADDING);
		assert_int_equal(isotp_send(&a, data, size, 0, &out), 0);
		event = isotp_receive(&b, out.data, out.size, 0, &back);
		while (event == ISOTP_NOTHING) {
			if (back.size > 0) {
				assert_int_equal(isotp_receive(&a, back.data, back.size, 0, &out),
					ISOTP_NOTHING);
			}
			(void)isotp_step(&a, 0, &out);
			assert_true(out.size > 0);
			event = isotp_receive(&b, out.data, out.size, 0, &back);
		}
		assert_int_equal(event, ISOTP_MESSAGE);
		check_message(&b, data, size);
		assert_false(a.sending);
		assert_int_equal(isotp_next_ns(&b), INT64_MAX);
	}
	assert_int_equal(isotp_send(&a, data, 0, 0, &out), -EMSGSIZE);
	assert_int_equal(isotp_send(&a, data, ISOTP_MAX + 1, 0, &out), -EMSGSIZE);
}

/* The receiver wants two frames at a time, 20 ms apart, and makes us wait. */
static void test_flow_control(void **state)
{
	uint8_t data[30] = {0};

	(void)state;
	start();
	assert_int_equal(isotp_send(&a, data, sizeof(data), 0, &out), 0);
	assert_int_equal(isotp_send(&a, data, sizeof(data), 0, &out), -EBUSY);
	assert_int_equal(isotp_receive(&a, BYTES(0x31, 0, 0), 900 * MS, &out), ISOTP_NOTHING);
	assert_int_equal(isotp_step(&a, 1899 * MS, &out), ISOTP_NOTHING);
	assert_int_equal(out.size, 0);
	assert_int_equal(isotp_receive(&a, BYTES(0x30, 2, 20), 1899 * MS, &out), ISOTP_NOTHING);
	assert_int_equal(isotp_step(&a, 1899 * MS, &out), ISOTP_NOTHING);
	assert_int_equal(out.data[0], 0x21);
	assert_int_equal(isotp_next_ns(&a), 1919 * MS);
	assert_int_equal(isotp_step(&a, 1918 * MS, &out), ISOTP_NOTHING);
	assert_int_equal(out.size, 0);
	assert_int_equal(isotp_step(&a, 1919 * MS, &out), ISOTP_NOTHING);
	assert_int_equal(out.data[0], 0x22);
	assert_int_equal(isotp_step(&a, 2500 * MS, &out), ISOTP_NOTHING); /* not cleared */
	assert_int_equal(out.size, 0);
	assert_int_equal(isotp_receive(&a, BYTES(0x30, 0, 0xf2), 2500 * MS, &out), ISOTP_NOTHING);
	assert_int_equal(isotp_step(&a, 2500 * MS, &out), ISOTP_NOTHING);
	assert_int_equal(isotp_next_ns(&a), 2500 * MS + 200 * NS_PER_US);
	assert_int_equal(isotp_step(&a, 2501 * MS, &out), ISOTP_SENT);
	check_out(BYTES(0x24, 0, 0, 0));
}

static void test_what_ends_a_message(void **state)
{
	uint8_t data[30] = {0};

	(void)state;
	start();
	/* a frame is missing; what comes then is nothing */
	isotp_receive(&a, BYTES(0x10, 20, 0, 0, 0, 0, 0, 0), 0, &out);
	assert_int_equal(
		isotp_receive(&a, BYTES(0x22, 0, 0, 0, 0, 0, 0, 0), 0, &out), ISOTP_BROKEN);
	assert_int_equal(
		isotp_receive(&a, BYTES(0x21, 0, 0, 0, 0, 0, 0, 0), 0, &out), ISOTP_NOTHING);
	/* a frame is shorter than what it should carry */
	isotp_receive(&a, BYTES(0x10, 20, 0, 0, 0, 0, 0, 0), 0, &out);
	assert_int_equal(isotp_receive(&a, BYTES(0x21, 0, 0), 0, &out), ISOTP_BROKEN);
	/* nothing more comes */
	isotp_receive(&a, BYTES(0x10, 20, 0, 0, 0, 0, 0, 0), 0, &out);
	assert_int_equal(isotp_next_ns(&a), 1000 * MS);
	assert_int_equal(isotp_step(&a, 999 * MS, &out), ISOTP_NOTHING);
	assert_int_equal(isotp_step(&a, 1000 * MS, &out), ISOTP_TIMED_OUT);
	/* too long for anybody */
	assert_int_equal(
		isotp_receive(&a, BYTES(0x10, 0, 0, 1, 0, 0, 0, 0), 0, &out), ISOTP_BROKEN);
	check_out(BYTES(0x32, 0, 0));
	/* the other begins anew */
	isotp_receive(&a, BYTES(0x10, 20, 0, 0, 0, 0, 0, 0), 0, &out);
	assert_int_equal(isotp_receive(&a, BYTES(0x02, 8, 9), 0, &out), ISOTP_MESSAGE);
	check_message(&a, BYTES(8, 9));
	/* the other has no room, says nonsense, nothing, or wait for ever */
	isotp_send(&a, data, sizeof(data), 0, &out);
	assert_int_equal(isotp_receive(&a, BYTES(0x32, 0, 0), 0, &out), ISOTP_REFUSED);
	isotp_send(&a, data, sizeof(data), 0, &out);
	assert_int_equal(isotp_receive(&a, BYTES(0x35, 0, 0), 0, &out), ISOTP_BROKEN);
	isotp_send(&a, data, sizeof(data), 0, &out);
	assert_int_equal(isotp_step(&a, 1000 * MS, &out), ISOTP_TIMED_OUT);
	isotp_send(&a, data, sizeof(data), 0, &out);
	for (int i = 0; i < 16; i++) {
		assert_int_equal(isotp_receive(&a, BYTES(0x31, 0, 0), 0, &out), ISOTP_NOTHING);
	}
	assert_int_equal(isotp_receive(&a, BYTES(0x31, 0, 0), 0, &out), ISOTP_TIMED_OUT);
	assert_int_equal(isotp_next_ns(&a), INT64_MAX);
}

static void test_what_is_ignored(void **state)
{
	static const uint8_t frames[][9] = {
		/* size, frame */
		{0}, {1, 0x01}, {2, 0x00, 1},   /* no bytes */
		{3, 0x03, 1, 2},                /* fewer than it says */
		{8, 0x08, 1, 2, 3, 4, 5, 6, 7}, /* more than fit */
		{8, 0x10, 7, 2, 3, 4, 5, 6, 7}, /* would fit a single frame */
		{7, 0x10, 20, 2, 3, 4, 5, 6},   /* short */
		{8, 0x21, 1, 2, 3, 4, 5, 6, 7}, /* of nothing */
		{3, 0x30, 0, 0},                /* for nothing */
		{8, 0x40, 1, 2, 3, 4, 5, 6, 7}, /* reserved */
	};

	(void)state;
	start();
	for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
		assert_int_equal(
			isotp_receive(&a, frames[i] + 1, frames[i][0], 0, &out), ISOTP_NOTHING);
		assert_int_equal(out.size, 0);
		assert_int_equal(isotp_next_ns(&a), INT64_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_each_size),
		cmocka_unit_test(test_flow_control),
		cmocka_unit_test(test_what_ends_a_message),
		cmocka_unit_test(test_what_is_ignored),
	};

	return cmocka_run_group_tests_name("can_isotp", tests, NULL, NULL);
}
