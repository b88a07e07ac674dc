/* SPDX-License-Identifier: Apache-2.0 */
#include "util.h"

#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static void test_parse_i64(void **state)
{
	static const char *const bad[] = {
		"", " 1", "1 ", "5x", "010", "0x", "+", "-", "1.0", "1e3", "--1", "0xg", "1_000"};
	int64_t value = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse_i64(bad[i], &value), -EINVAL);
	}
	assert_int_equal(parse_i64("9223372036854775808", &value), -ERANGE);
	assert_int_equal(value, 7);
	assert_int_equal(parse_i64("-9223372036854775808", &value), 0);
	assert_true(value == INT64_MIN);
	assert_int_equal(parse_i64("0x1f", &value), 0);
	assert_int_equal(value, 31);
	assert_int_equal(parse_i64("0", &value), 0);
	assert_int_equal(value, 0);
}

static void test_parse_double_in_any_locale(void **state)
{
	static const char *const bad[] = {
		"", "nan", "inf", "-inf", "0x1p3", "1,5", "1.5 ", " 1", "e3", "1.5.2", "."};
	double value = 7;

	(void)state;
	(void)setlocale(LC_ALL, "de_DE.UTF-8"); /* where it is not installed this changes nothing */
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse_double(bad[i], &value), -EINVAL);
	}
	assert_int_equal(parse_double("1e999", &value), -ERANGE);
	assert_true(value == 7);
	assert_int_equal(parse_double("-2.5e-3", &value), 0);
	assert_true(value == -2.5e-3);
	assert_int_equal(parse_double(".5", &value), 0);
	assert_true(value == 0.5);
	(void)setlocale(LC_ALL, "C");
}

static void test_parse_duration(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
	} good[] = {{"250ms", 250 * NS_PER_MS}, {"10s", 10 * NS_PER_S}, {"5min", 300 * NS_PER_S},
		{"1h", 3600 * NS_PER_S}, {"7d", 7 * 86400 * NS_PER_S}, {"0", 0}, {"0s", 0},
		{"1.5s", 1500 * NS_PER_MS}, {"100us", 100 * NS_PER_US}};
	static const char *const bad[] = {
		"", "10", "s", "10 s", "10sec", "-1s", "1.5.5s", "0x1s", "1m"};
	int64_t value = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(parse_duration_ns(good[i].text, &value), 0);
		assert_int_equal(value, good[i].ns);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse_duration_ns(bad[i], &value), -EINVAL);
	}
	assert_int_equal(parse_duration_ns("999999999d", &value), -ERANGE);
}

static void test_parse_size(void **state)
{
	int64_t value;

	(void)state;
	assert_int_equal(parse_size("64KiB", &value), 0);
	assert_int_equal(value, 65536);
	assert_int_equal(parse_size("1GiB", &value), 0);
	assert_int_equal(value, 1 << 30);
	assert_int_equal(parse_size("4096", &value), 0);
	assert_int_equal(value, 4096);
	assert_int_equal(parse_size("64KB", &value), -EINVAL);
	assert_int_equal(parse_size("99999999999GiB", &value), -ERANGE);
}

static void test_uuid(void **state)
{
	(void)state;
	assert_true(is_uuid("a1b2c3d4-e5f6-7890-abcd-ef1234567890"));
	assert_true(is_uuid("A1B2C3D4-E5F6-7890-ABCD-EF1234567890"));
	assert_false(is_uuid(""));
	assert_false(is_uuid("a1b2c3d4e5f67890abcdef1234567890"));
	assert_false(is_uuid("a1b2c3d4-e5f6-7890-abcd-ef123456789"));
	assert_false(is_uuid("a1b2c3d4-e5f6-7890-abcd-ef12345678900"));
	assert_false(is_uuid("g1b2c3d4-e5f6-7890-abcd-ef1234567890"));
}

static void test_utf8(void **state)
{
	(void)state;
	assert_true(is_utf8("plain", 5));
	assert_true(is_utf8("\xc2\xb0\x43", 3));
	assert_true(is_utf8("\xf0\x9f\x8c\xa1", 4));
	assert_false(is_utf8("\xb0\x43", 2));         /* Latin-1 degree sign */
	assert_false(is_utf8("\xc2", 1));             /* cut short */
	assert_false(is_utf8("\xc0\xaf", 2));         /* overlong */
	assert_false(is_utf8("\xed\xa0\x80", 3));     /* surrogate */
	assert_false(is_utf8("\xf4\x90\x80\x80", 4)); /* beyond U+10FFFF */
}

static void test_timestamp_truncates(void **state)
{
	char text[FORMAT_MAX];

	(void)state;
	assert_string_equal(format_timestamp(text, INT64_C(1698400800) * US_PER_S, false),
		"2023-10-27T10:00:00Z");
	assert_string_equal(format_timestamp(text, INT64_C(1698400800) * US_PER_S + 999999, true),
		"2023-10-27T10:00:00.999Z");
	assert_string_equal(format_timestamp(text, -1, true), "1969-12-31T23:59:59.999Z");
}

static void test_format_for_people(void **state)
{
	char text[FORMAT_MAX];

	(void)state;
	assert_string_equal(format_duration(text, 250 * NS_PER_MS), "250 ms");
	assert_string_equal(format_duration(text, 1500 * NS_PER_MS), "1.5 s");
	assert_string_equal(format_duration(text, 90 * NS_PER_S), "1 min 30 s");
	assert_string_equal(format_duration(text, 26 * NS_PER_H), "1 d 2 h");
	assert_string_equal(format_duration_yaml(text, 90 * NS_PER_S), "90s");
	assert_string_equal(format_duration_yaml(text, 0), "0");
	assert_string_equal(format_size(text, 65536), "64KiB");
	assert_string_equal(format_size(text, 65537), "65537");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_i64),
		cmocka_unit_test(test_parse_double_in_any_locale),
		cmocka_unit_test(test_parse_duration),
		cmocka_unit_test(test_parse_size),
		cmocka_unit_test(test_uuid),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_timestamp_truncates),
		cmocka_unit_test(test_format_for_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
