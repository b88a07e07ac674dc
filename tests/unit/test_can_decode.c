/* SPDX-License-Identifier: Apache-2.0 */
#include "can/decode.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "util.h"

#define FRAME_MAX 64

/* The same numbers in each run: a failure must come again. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t x = (*state += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* Bit by bit, as the format is described. False if the signal leaves the frame. */
static bool slow_bits(
	const struct decode_layout *l, const uint8_t *data, unsigned size, uint64_t *ret_bits)
{
	unsigned at = l->start;
	uint64_t bits = 0;

	for (unsigned i = 0; i < l->length; i++) {
		uint64_t bit;

		if (at / 8 >= size) {
			return false;
		}
		bit = data[at / 8] >> at % 8 & 1;
		if (l->big_endian) {
			bits = bits << 1 | bit;
			at = at % 8 == 0 ? at + 15 : at - 1;
		} else {
			bits |= bit << i;
			at++;
		}
	}
	*ret_bits = bits;
	return true;
}

static double slow_value(const struct decode_layout *l, uint64_t bits)
{
	double raw = 0;
	float narrow;

	if (l->type == DECODE_FLOAT) {
		memcpy(&narrow, &bits, sizeof(narrow)); /* little-endian machines only */
		raw = (double)narrow;
	} else if (l->type == DECODE_DOUBLE) {
		memcpy(&raw, &bits, sizeof(raw));
	} else if (l->type == DECODE_SIGNED && bits >> (l->length - 1)) {
		raw = -(double)((UINT64_MAX >> (64 - l->length)) - bits + 1);
	} else {
		raw = (double)bits;
	}
	return raw * l->factor + l->offset;
}

static void compare(const struct decode_layout *l, uint64_t *random)
{
	/* exactly as large as is promised, so that a sanitizer sees a read beyond */
	static const unsigned sizes[] = {8, 12, 16, 20, 24, 32, 48, 64};
	unsigned size = sizes[next_random(random) % ARRAY_SIZE(sizes)];
	uint8_t *frame = xmalloc(size + DECODE_PADDING);
	struct decoder d;
	uint64_t bits;

	for (unsigned i = 0; i < size + DECODE_PADDING; i++) {
		frame[i] = (uint8_t)next_random(random);
	}
	assert_int_equal(decode_prepare(l, false, &d), 0);
	if (!slow_bits(l, frame, size, &bits)) {
		assert_true(d.n_bytes > size);
	} else {
		double value = decode_value(&d, bits), expected = slow_value(l, bits), again;

		assert_true(d.n_bytes <= size);
		if (decode_bits(&d, frame) != bits) {
			fail_msg("start %u length %u %s: 0x%jx, expected 0x%jx", l->start,
				l->length, l->big_endian ? "big" : "little",
				(uintmax_t)decode_bits(&d, frame), (uintmax_t)bits);
		}
		assert_true(isnan(expected) ? isnan(value) : value == expected);
		assert_true(decode_signal(&d, frame, &again));
		assert_memory_equal(&again, &value, sizeof(value));
	}
	free(frame);
}

/* Each start, length and byte order in 64 bytes, unsigned and signed. */
static void test_all_places(void **state)
{
	uint64_t random = 1;

	(void)state;
	for (unsigned start = 0; start < 8 * FRAME_MAX; start++) {
		for (unsigned length = 1; length <= 64; length++) {
			for (unsigned i = 0; i < 4; i++) {
				struct decode_layout l = {.factor = 1,
					.start = (uint16_t)start,
					.length = (uint8_t)length,
					.big_endian = i % 2,
					.type = i / 2 ? DECODE_SIGNED : DECODE_UNSIGNED};

				compare(&l, &random);
			}
		}
	}
}

static void test_random_layouts(void **state)
{
	uint64_t random = 2;

	(void)state;
	for (unsigned i = 0; i < 300000; i++) {
		uint64_t x = next_random(&random);
		struct decode_layout l = {.start = x % (8 * FRAME_MAX),
			.length = (uint8_t)(1 + (x >> 16) % 64),
			.big_endian = x >> 32 & 1,
			.type = (uint8_t)(x >> 33) % 4,
			.factor = ldexp((double)(x >> 44), -10),
			.offset = (double)(int16_t)x};

		l.length = l.type == DECODE_FLOAT ? 32 : l.type == DECODE_DOUBLE ? 64 : l.length;
		compare(&l, &random);
	}
}

/* Worked out by hand. */
static void test_examples(void **state)
{
	static const struct {
		struct decode_layout layout;
		uint8_t frame[9 + DECODE_PADDING];
		double value;
	} rows[] = {
		/* SAE J1939-71, EEC1: engine speed in bytes 4 and 5, 0.125 rpm a bit */
		{{.start = 24, .length = 16, .factor = 0.125}, {0, 0, 0, 0x68, 0x13}, 621},
		{{.start = 7, .length = 16, .big_endian = true, .factor = 1}, {0x12, 0x34}, 0x1234},
		/* one bit before a byte's border: bit 0 of byte 0, all of byte 1, 7 bits of byte 2
		 */
		{{.start = 0, .length = 16, .big_endian = true, .factor = 1}, {0x01, 0x80, 0x02},
			0xc001},
		{{.start = 8, .length = 8, .type = DECODE_SIGNED, .factor = 0.5, .offset = -40},
			{0, 0x80}, -104},
		{{.start = 0, .length = 64, .factor = 1}, {0, 0, 0, 0, 0, 0, 0, 0x80},
			9223372036854775808.0},
		{{.start = 0, .length = 64, .type = DECODE_SIGNED, .factor = 1},
			{0, 0, 0, 0, 0, 0, 0, 0x80}, -9223372036854775808.0},
		{{.start = 4, .length = 64, .factor = 1}, {0x10, 0, 0, 0, 0, 0, 0, 0, 0x01},
			1152921504606846977.0},
		{{.start = 0, .length = 32, .type = DECODE_FLOAT, .factor = 2}, {0, 0, 0xc0, 0x3f},
			3},
		{{.start = 7, .length = 64, .type = DECODE_DOUBLE, .big_endian = true, .factor = 1},
			{0xc0, 0x04}, -2.5},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct decoder d;
		double value;

		assert_int_equal(decode_prepare(&rows[i].layout, false, &d), 0);
		assert_true(decode_signal(&d, rows[i].frame, &value));
		assert_true(value == rows[i].value);
	}
}

static void test_no_such_layout(void **state)
{
	static const struct decode_layout none[] = {{.length = 0}, {.length = 65},
		{.length = 16, .type = DECODE_FLOAT}, {.length = 32, .type = DECODE_DOUBLE}};
	struct decoder d;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		assert_int_equal(decode_prepare(&none[i], false, &d), -EINVAL);
	}
}

/* SAE J1939-71, transmitted signal ranges. */
static void test_j1939_ranges(void **state)
{
	static const struct {
		uint8_t length;
		uint64_t bits;
		enum decode_meaning meaning;
	} rows[] = {
		{8, 0, DECODE_DATA},
		{8, 0xfa, DECODE_DATA},
		{8, 0xfb, DECODE_SPECIAL},
		{8, 0xfd, DECODE_SPECIAL},
		{8, 0xfe, DECODE_ERROR},
		{8, 0xff, DECODE_NOT_AVAILABLE},
		{16, 0xfaff, DECODE_DATA},
		{16, 0xfb00, DECODE_SPECIAL},
		{16, 0xfe00, DECODE_ERROR},
		{16, 0xfeff, DECODE_ERROR},
		{16, 0xff00, DECODE_NOT_AVAILABLE},
		{24, 0xfaffff, DECODE_DATA},
		{32, 0xfaffffff, DECODE_DATA},
		{32, 0xfb000000, DECODE_SPECIAL},
		{32, 0xfe000000, DECODE_ERROR},
		{32, 0xffffffff, DECODE_NOT_AVAILABLE},
		{64, UINT64_C(0xfaffffffffffffff), DECODE_DATA},
		{64, UINT64_MAX, DECODE_NOT_AVAILABLE},
		{1, 1, DECODE_DATA},
		{2, 1, DECODE_DATA},
		{2, 2, DECODE_ERROR},
		{2, 3, DECODE_NOT_AVAILABLE},
		{4, 0xe, DECODE_DATA},
		{4, 0xf, DECODE_NOT_AVAILABLE},
		{12, 0xfff, DECODE_NOT_AVAILABLE},
	};
	uint8_t frame[8 + DECODE_PADDING] = {0};
	struct decode_layout l = {.length = 8, .factor = 1};
	struct decoder d;
	double value;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		memcpy(frame, &rows[i].bits,
			sizeof(rows[i].bits)); /* little-endian machines only */
		l.length = rows[i].length;
		assert_int_equal(decode_prepare(&l, true, &d), 0);
		assert_int_equal(decode_meaning(&d, rows[i].bits), rows[i].meaning);
		assert_int_equal(decode_signal(&d, frame, &value), rows[i].meaning == DECODE_DATA);
		assert_int_equal(decode_prepare(&l, false, &d), 0);
		assert_true(decode_signal(&d, frame, &value));
	}
	l = (struct decode_layout){.length = 8, .type = DECODE_SIGNED, .factor = 1};
	assert_int_equal(decode_prepare(&l, true, &d), 0);
	memset(frame, 0xff, sizeof(frame));
	assert_true(decode_signal(&d, frame, &value));
	assert_true(value == -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_places),
		cmocka_unit_test(test_random_layouts),
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_no_such_layout),
		cmocka_unit_test(test_j1939_ranges),
	};

	return cmocka_run_group_tests_name("can_decode", tests, NULL, NULL);
}
