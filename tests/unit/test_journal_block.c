/* SPDX-License-Identifier: Apache-2.0 */
#include "journal_block.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util.h"

static struct reading make_reading(uint32_t sensor, int64_t boottime_us, double value)
{
	return (struct reading){
		.sensor = sensor,
		.clock_ok = true,
		.boottime_us = boottime_us,
		.offset_us = INT64_C(1700000000000000),
		.value = value,
	};
}

static int decode(const struct block_builder *b, struct reading *out)
{
	return block_decode(b->data, b->size, b->n, b->first_us, b->offset_us, b->clock_ok, out);
}

static void assert_same(const struct reading *a, const struct reading *b)
{
	assert_int_equal(a->sensor, b->sensor);
	assert_int_equal(a->quality, b->quality);
	assert_int_equal(a->clock_ok, b->clock_ok);
	assert_int_equal(a->boottime_us, b->boottime_us);
	assert_int_equal(a->offset_us, b->offset_us);
	assert_memory_equal(&a->value, &b->value, sizeof(a->value));
}

/* Packs one value on its own; returns the bytes it took. */
static size_t round_trip(double value)
{
	struct block_builder b = {0};
	struct reading in = make_reading(1, 5, value), out;
	size_t size;

	assert_true(block_builder_add(&b, &in));
	assert_int_equal(decode(&b, &out), 1);
	assert_same(&in, &out);
	size = b.size;
	block_builder_clear(&b);
	return size;
}

static void test_values_bit_for_bit(void **state)
{
	static const double values[] = {0.0, -0.0, 1, -1, 0.1, 0.3, 21.3, -40.25, 1e-9, 1e9, 1e22,
		1e300, DBL_MAX, -DBL_MAX, DBL_MIN, DBL_TRUE_MIN, DBL_EPSILON, 0x1p53, 0x1p53 + 2,
		0x1p48, 0x1p48 - 1, 281474976710655.9, 1.0 / 3, M_PI, 4294967295.0,
		123456789.123456789, 3 * 0.1, 65535 * 0.001, 0.7 * 1e-9};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		(void)round_trip(values[i]);
	}
}

static void test_scaled_integers_are_short(void **state)
{
	static const double scales[] = {1, 0.1, 0.01, 0.001, 0.0001};

	for (size_t s = 0; s < ARRAY_SIZE(scales); s++) {
		for (int raw = -32768; raw <= 65535; raw += 7) {
			/* the quotient is what rounding to decimals gives, the product what a scale
			 * gives */
			assert_true(round_trip(raw * scales[s]) <= 4);
			assert_true(round_trip(raw / (1 / scales[s])) <= 4);
		}
	}
}

static void test_floats_lose_their_zero_bytes(void **state)
{
	assert_true(round_trip((double)21.3f) <= 6);
	assert_true(round_trip(0x1p40) <= 3);
	assert_true(round_trip(M_PI) <= 9);
}

static void test_random_readings(void **state)
{
	enum { N = 5000 };
	struct reading *in = xcalloc(N, sizeof(*in)), *out = xcalloc(N, sizeof(*out));
	struct block_builder b = {0};
	uint64_t seed = 1;

	for (size_t i = 0; i < N; i++) {
		uint64_t bits;

		do {
			seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
			bits = seed ^ seed >> 31;
			memcpy(&in[i].value, &bits, sizeof(bits));
		} while (!isfinite(in[i].value));
		in[i].sensor = (uint32_t)(seed >> 17);
		in[i].quality = seed >> 50 & 1 ? READING_UNCERTAIN : READING_GOOD;
		in[i].boottime_us = (int64_t)(seed >> 20) - (INT64_C(1) << 42);
		in[i].offset_us = -77;
		assert_true(block_builder_add(&b, &in[i]));
	}
	assert_int_equal(decode(&b, out), N);
	for (size_t i = 0; i < N; i++) {
		assert_same(&in[i], &out[i]);
	}
	assert_int_equal(b.first_us, in[0].boottime_us);
	block_builder_clear(&b);
	free(in);
	free(out);
}

static void test_extreme_sensors_and_times(void **state)
{
	const struct reading in[] = {
		make_reading(UINT32_MAX, INT64_MAX, 1),
		make_reading(0, INT64_MIN, 2),
		make_reading(0x80000001u, 0, 3),
		make_reading(1, -1, 4),
	};
	struct reading out[ARRAY_SIZE(in)];
	struct block_builder b = {0};

	for (size_t i = 0; i < ARRAY_SIZE(in); i++) {
		assert_true(block_builder_add(&b, &in[i]));
	}
	assert_int_equal(b.last_us, INT64_MAX);
	assert_int_equal(decode(&b, out), ARRAY_SIZE(in));
	for (size_t i = 0; i < ARRAY_SIZE(in); i++) {
		assert_same(&in[i], &out[i]);
	}
	block_builder_clear(&b);
}

static void test_what_does_not_belong_is_refused(void **state)
{
	struct block_builder b = {0};
	struct reading r = make_reading(1, 0, 1), other = r;
	size_t size;

	assert_true(block_builder_add(&b, &r));
	size = b.size;
	other.clock_ok = false;
	assert_false(block_builder_add(&b, &other));
	other = r;
	other.offset_us += 1001;
	assert_false(block_builder_add(&b, &other));
	other.offset_us = r.offset_us - 1001;
	assert_false(block_builder_add(&b, &other));
	assert_int_equal(b.size, size);
	assert_int_equal(b.n, 1);
	other.offset_us = r.offset_us + 1000;
	assert_true(block_builder_add(&b, &other));
	while (b.n < BLOCK_MAX_READINGS) {
		assert_true(block_builder_add(&b, &r));
	}
	assert_false(block_builder_add(&b, &r));
	block_builder_clear(&b);
	assert_true(block_builder_add(&b, &r));
	block_builder_clear(&b);
}

static void test_broken_bytes(void **state)
{
	struct reading out[64];
	struct block_builder b = {0};
	uint8_t *copy;

	for (uint32_t i = 0; i < 64; i++) {
		struct reading r = make_reading(i * 3, i * 1000, i * 1.37 + (i % 5 ? 0 : M_PI));

		assert_true(block_builder_add(&b, &r));
	}
	assert_int_equal(decode(&b, out), 64);
	/* exact-size copies, so that the address sanitizer sees a read beyond the end */
	for (size_t size = 0; size < b.size; size++) {
		copy = xmalloc(size);
		memcpy(copy, b.data, size);
		assert_int_equal(block_decode(copy, size, 64, 0, 0, true, out), -EBADMSG);
		free(copy);
	}
	assert_int_equal(block_decode(b.data, b.size, 63, 0, 0, true, out), -EBADMSG);
	assert_int_equal(
		block_decode(b.data, b.size, BLOCK_MAX_READINGS + 1, 0, 0, true, out), -EBADMSG);
	for (size_t i = 0; i < b.size; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			int r;

			b.data[i] ^= (uint8_t)(1u << bit);
			r = block_decode(b.data, b.size, 64, 0, 0, true, out);
			assert_true(r == 64 || r == -EBADMSG);
			for (int k = 0; k < r; k++) {
				assert_true(isfinite(out[k].value));
			}
			b.data[i] ^= (uint8_t)(1u << bit);
		}
	}
	block_builder_clear(&b);
}

static void test_infinity_is_no_value(void **state)
{
	/* tag: eight raw bytes */
	static const uint8_t infinity[] = {10 + 2, 0x7f, 0xf0};
	static const uint8_t unknown_form[] = {28, 0};
	static const uint8_t endless_varint[] = {
		0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00};
	struct reading out;

	assert_int_equal(block_decode(infinity, sizeof(infinity), 1, 0, 0, true, &out), -EBADMSG);
	assert_int_equal(
		block_decode(unknown_form, sizeof(unknown_form), 1, 0, 0, true, &out), -EBADMSG);
	assert_int_equal(block_decode(endless_varint, sizeof(endless_varint), 1, 0, 0, true, &out),
		-EBADMSG);
}

static void test_checksum(void **state)
{
	/* RFC 3720, appendix B.4 */
	uint8_t data[32];

	assert_int_equal(block_checksum((const uint8_t *)"123456789", 9), 0xe3069283u);
	memset(data, 0, sizeof(data));
	assert_int_equal(block_checksum(data, sizeof(data)), 0x8a9136aau);
	memset(data, 0xff, sizeof(data));
	assert_int_equal(block_checksum(data, sizeof(data)), 0x62a8ab43u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_bit_for_bit),
		cmocka_unit_test(test_scaled_integers_are_short),
		cmocka_unit_test(test_floats_lose_their_zero_bytes),
		cmocka_unit_test(test_random_readings),
		cmocka_unit_test(test_extreme_sensors_and_times),
		cmocka_unit_test(test_what_does_not_belong_is_refused),
		cmocka_unit_test(test_broken_bytes),
		cmocka_unit_test(test_infinity_is_no_value),
		cmocka_unit_test(test_checksum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
