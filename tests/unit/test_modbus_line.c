/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RTU frames that are damaged in every way there is at one place: without waiting, so that all of
 * them can be tried. Whatever the slave does, a reading is right or there is none, and the next
 * request is answered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "fake_line.h"
#include "util.h"

#define TIMEOUT_NS (200 * NS_PER_MS)
#define CHAR_NS    (NS_PER_S * 10 / 9600)
#define COUNT      3
#define FRAME_SIZE (5 + 2 * COUNT)

/* What the slave does with its next answer; then it is honest. */
struct trick {
	size_t cut; /* bytes that it sends */
	int flip;   /* bit that it turns, or -1 */
	int header; /* byte 0 to 2 that has `value` in it, checksum and all, or -1 */
	uint8_t value;
	size_t pause_at; /* waits before this byte */
	int64_t pause_ns;
	int64_t late_ns;
	size_t n_before, n_after; /* bytes of noise */
	bool is_used;
	int64_t free_ns; /* it answers one request after the other */
	unsigned n_requests;
};

/* Registers are 256 * unit + address. */
static size_t make_answer(const uint8_t *request, uint8_t *frame)
{
	uint16_t address = (uint16_t)(request[2] << 8 | request[3]);
	uint8_t count = MIN(request[5], (FAKE_LINE_FRAME_MAX - 5) / 2);

	frame[0] = request[0];
	frame[1] = request[1];
	frame[2] = (uint8_t)(2 * count);
	for (uint8_t i = 0; i < count; i++) {
		frame[3 + 2 * i] = request[0];
		frame[4 + 2 * i] = (uint8_t)(address + i);
	}
	return fake_line_seal(frame, 3 + 2 * (size_t)count);
}

static void send_noise(int64_t after_ns, size_t n)
{
	uint8_t noise[64];

	for (size_t i = 0; i < n; i++) {
		noise[i] = (uint8_t)rand();
	}
	if (n > 0) {
		fake_line_send(after_ns, noise, n);
	}
}

static void answer(void *ctx, const uint8_t *request, size_t size)
{
	struct trick *t = ctx;
	uint8_t frame[FAKE_LINE_FRAME_MAX];
	size_t end = make_answer(request, frame);
	int64_t at_ns = 5 * NS_PER_MS;

	(void)size;
	t->n_requests++;
	if (t->is_used) {
		fake_line_send(at_ns, frame, end);
		return;
	}
	t->is_used = true;
	at_ns += t->late_ns;
	if (t->flip >= 0) {
		frame[t->flip / 8] ^= (uint8_t)(1 << t->flip % 8);
	}
	if (t->header >= 0) {
		frame[t->header] = t->value;
		end = fake_line_seal(frame, end - 2);
	}
	end = MIN(end, t->cut);
	send_noise(at_ns, t->n_before);
	if (t->pause_at > 0 && t->pause_at < end) {
		fake_line_send(at_ns, frame, t->pause_at);
		fake_line_send(at_ns + t->pause_ns, frame + t->pause_at, end - t->pause_at);
		at_ns += t->pause_ns;
	} else if (end > 0) {
		fake_line_send(at_ns, frame, end);
	}
	send_noise(at_ns, t->n_after);
}

static bool is_right(const struct fake_line_result *result, uint8_t unit, uint8_t address)
{
	const uint8_t *bytes = result->answer.bytes;

	assert_int_equal(2 + 2 * COUNT, result->answer.size);
	assert_int_equal(3, bytes[0]);
	assert_int_equal(2 * COUNT, bytes[1]);
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(unit, bytes[2 + 2 * i]);
		assert_int_equal((uint8_t)(address + i), bytes[3 + 2 * i]);
	}
	return true;
}

/* A request that the trick is played upon, and three that are not. True if the first was answered;
   nothing is answered wrongly. */
static bool play(struct trick t)
{
	struct fake_line_result result;
	bool survived;

	fake_line_open(9600, TIMEOUT_NS, answer, &t);
	result = fake_line_read(1, 3, 10, COUNT, true);
	survived = result.outcome == MODBUS_ANSWERED && is_right(&result, 1, 10);
	assert_true(result.outcome >= 0);
	/* The silence after opening, the time for an answer, and that of the frames. */
	assert_true(result.took_ns <= 2 * TIMEOUT_NS + 60 * CHAR_NS);
	for (uint8_t i = 1; i < 4; i++) {
		result = fake_line_read((uint8_t)(1 + i % 2), 3, (uint8_t)(10 * i), COUNT, true);
		assert_int_equal(MODBUS_ANSWERED, result.outcome);
		assert_true(is_right(&result, (uint8_t)(1 + i % 2), (uint8_t)(10 * i)));
	}
	assert_int_equal(4, t.n_requests);
	assert_true(fake_line_least_silence_ns() >= CHAR_NS * 7 / 2);
	fake_line_close();
	return survived;
}

#define HONEST                                                                                     \
	(struct trick)                                                                             \
	{                                                                                          \
		.cut = SIZE_MAX, .flip = -1, .header = -1                                          \
	}

/* The first request is answered so late that a second one has been made and takes the answer for
   its own; the answer to that comes when a third one has been made. */
static void too_late(void *ctx, const uint8_t *request, size_t size)
{
	struct trick *t = ctx;
	uint8_t frame[FAKE_LINE_FRAME_MAX];
	size_t frame_size = make_answer(request, frame);

	int64_t at_ns = 5 * NS_PER_MS;
	struct timespec now;
	int64_t now_ns;

	(void)size;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	now_ns = now.tv_sec * NS_PER_S + now.tv_nsec;
	if (t->n_requests++ < 2) {
		at_ns = TIMEOUT_NS + t->late_ns;
	}
	at_ns = MAX(at_ns, t->free_ns - now_ns + 5 * NS_PER_MS);
	t->free_ns = now_ns + at_ns;
	fake_line_send(at_ns, frame, frame_size);
}

static void an_answer_that_is_always_too_late_is_never_taken_for_anothers(void **state)
{
	struct trick t = HONEST;
	struct fake_line_result result;

	(void)state;
	for (t.late_ns = 3 * TIMEOUT_NS / 20; t.late_ns < TIMEOUT_NS;
		t.late_ns += TIMEOUT_NS / 40) {
		t.n_requests = 0;
		t.free_ns = 0;
		/* A unit that is quick as a rule leaves the line little time. */
		fake_line_open(9600, TIMEOUT_NS, too_late, &t);
		fake_line_set_quiet(TIMEOUT_NS / 10);
		result = fake_line_read(1, 3, 10, COUNT, true);
		assert_int_equal(MODBUS_SILENT, result.outcome);
		/* The same again, then something else of the same size. */
		result = fake_line_read(1, 3, 10, COUNT, false);
		assert_true(result.outcome != MODBUS_ANSWERED || is_right(&result, 1, 10));
		for (uint8_t i = 2; i < 6; i++) {
			result = fake_line_read(1, 3, (uint8_t)(10 * i), COUNT, true);
			assert_true(result.outcome != MODBUS_ANSWERED ||
				    is_right(&result, 1, (uint8_t)(10 * i)));
		}
		assert_int_equal(MODBUS_ANSWERED, result.outcome);
		fake_line_close();
	}
}

static void an_honest_answer_is_taken(void **state)
{
	assert_true(play(HONEST));
	(void)state;
}

static void no_bit_can_be_turned(void **state)
{
	for (int flip = 0; flip < 8 * FRAME_SIZE; flip++) {
		struct trick t = HONEST;

		t.flip = flip;
		assert_false(play(t));
	}
	(void)state;
}

static void a_frame_of_another_is_none(void **state)
{
	for (int header = 0; header < 3; header++) {
		for (int value = 0; value < 256; value++) {
			static const uint8_t right[] = {1, 3, 2 * COUNT};
			struct trick t = HONEST;

			t.header = header;
			t.value = (uint8_t)value;
			assert_int_equal(value == right[header], play(t));
		}
	}
	(void)state;
}

static void no_part_is_taken_for_the_whole(void **state)
{
	for (size_t cut = 0; cut < FRAME_SIZE; cut++) {
		struct trick t = HONEST;

		t.cut = cut;
		assert_false(play(t));
	}
	(void)state;
}

/* Adapters hand bytes over in pieces, whenever they like. */
static void an_answer_in_two_parts_is_whole(void **state)
{
	for (size_t at = 1; at < FRAME_SIZE; at++) {
		for (int64_t pause_ms = 1; pause_ms < 190; pause_ms += 9) {
			struct trick t = HONEST;

			t.pause_at = at;
			t.pause_ns = pause_ms * NS_PER_MS;
			assert_true(play(t));
		}
	}
	(void)state;
}

static void an_answer_whose_rest_is_late_is_none(void **state)
{
	for (size_t at = 1; at < FRAME_SIZE; at++) {
		struct trick t = HONEST;

		t.pause_at = at;
		t.pause_ns = TIMEOUT_NS + 30 * NS_PER_MS;
		assert_false(play(t));
	}
	(void)state;
}

/* Up to twice the time for an answer, which is what the silence afterwards covers. */
static void a_late_answer_is_nobodys(void **state)
{
	for (int64_t late_ms = 0; late_ms < 380; late_ms++) {
		struct trick t = HONEST;

		t.late_ns = late_ms * NS_PER_MS;
		(void)play(t);
	}
	(void)state;
}

static void noise_around_it_costs_nothing(void **state)
{
	srand(5);
	for (int i = 0; i < 3000; i++) {
		struct trick t = HONEST;

		t.n_before = (size_t)rand() % 40;
		t.n_after = (size_t)rand() % 40;
		(void)play(t);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_honest_answer_is_taken),
		cmocka_unit_test(an_answer_that_is_always_too_late_is_never_taken_for_anothers),
		cmocka_unit_test(no_bit_can_be_turned),
		cmocka_unit_test(a_frame_of_another_is_none),
		cmocka_unit_test(no_part_is_taken_for_the_whole),
		cmocka_unit_test(an_answer_in_two_parts_is_whole),
		cmocka_unit_test(an_answer_whose_rest_is_late_is_none),
		cmocka_unit_test(a_late_answer_is_nobodys),
		cmocka_unit_test(noise_around_it_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
