/* SPDX-License-Identifier: Apache-2.0 */
#include "payload.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

#include <cmocka.h>

#define UUID     "fe738b8f-9efe-46a7-a1c6-b861be358442"
#define OCTOBER  INT64_C(1698400800000000) /* 2023-10-27T10:00:00Z */
#define NO_LIMIT SIZE_MAX

static void assert_text(struct text *t, const char *expected)
{
	text_reserve(t, 1);
	t->data[t->size] = '\0';
	assert_string_equal(t->data, expected);
	assert_int_equal(t->size, strlen(expected));
	text_clear(t);
}

static const char *number(double value)
{
	static char buf[PAYLOAD_NUMBER_MAX + 1];
	size_t size = payload_number(buf, value);

	assert_true(size > 0 && size < PAYLOAD_NUMBER_MAX);
	buf[size] = '\0';
	return buf;
}

static void test_number_text(void **state)
{
	assert_string_equal(number(0), "0");
	assert_string_equal(number(-0.0), "0");
	assert_string_equal(number(24.5), "24.5");
	assert_string_equal(number(-24.5), "-24.5");
	assert_string_equal(number(100), "100");
	assert_string_equal(number(0.1), "0.1");
	assert_string_equal(number(0.05), "0.05");
	assert_string_equal(number(0.1 + 0.2), "0.30000000000000004");
	assert_string_equal(number(1.0 / 3.0), "0.3333333333333333");
	assert_string_equal(number(2.0 / 3.0), "0.6666666666666666");
	assert_string_equal(number((double)24.2F), "24.200000762939453");
	assert_string_equal(number(242 * 0.1), "24.200000000000003");
	assert_string_equal(number(123456789012345), "123456789012345");
	assert_string_equal(number(12345678901234.56), "12345678901234.56");
	assert_string_equal(number(0.5), "0.5");
	assert_string_equal(number(0x1p-10), "0.0009765625");
	assert_string_equal(number(0.00001), "0.00001");
	assert_string_equal(number(0.000012345), "0.000012345");
	assert_string_equal(number(4294967295), "4294967295");
}

static void test_number_exponent_only_outside(void **state)
{
	assert_string_equal(number(999999999999999), "999999999999999");
	assert_string_equal(number(999999999999999.9), "999999999999999.9");
	assert_string_equal(number(1e15), "1e15");
	assert_string_equal(number(-1.5e20), "-1.5e20");
	assert_string_equal(number(9007199254740993.0), "9.007199254740992e15");
	assert_string_equal(number(nextafter(1e-5, 0)), "9.999999999999999e-6");
	assert_string_equal(number(1e-7), "1e-7");
	assert_string_equal(number(5e-324), "5e-324");
	assert_string_equal(number(-1.7976931348623157e308), "-1.7976931348623157e308");
}

/* RFC 8259 6, without leaning on a parser that takes more. */
static bool is_json_number(const char *s)
{
	if (*s == '-') {
		s++;
	}
	if (*s == '0') {
		s++;
	} else {
		if (*s < '1' || *s > '9') {
			return false;
		}
		s += strspn(s, "0123456789");
	}
	if (*s == '.') {
		size_t digits = strspn(s + 1, "0123456789");

		if (digits == 0) {
			return false;
		}
		s += 1 + digits;
	}
	if (*s == 'e') {
		size_t digits;

		s++;
		s += strspn(s, "-");
		digits = strspn(s, "0123456789");
		if (digits == 0) {
			return false;
		}
		s += digits;
	}
	return *s == '\0';
}

static int significant_digits(const char *s)
{
	int n = 0, zeros = 0;

	for (; *s && *s != 'e'; s++) {
		if (*s == '0') {
			zeros++;
		} else if (*s >= '1' && *s <= '9') {
			n += (n > 0 ? zeros : 0) + 1;
			zeros = 0;
		}
	}
	return n;
}

static void check_number(double value)
{
	const char *text = number(value);
	char printed[64];
	double back;
	int digits;

	if (!is_json_number(text)) {
		fail_msg("%a: %s is not a JSON number", value, text);
	}
	back = strtod(text, NULL);
	if (memcmp(&back, &value, sizeof(back)) != 0) {
		fail_msg("%a became %s, which is %a", value, text, back);
	}
	if (fabs(value) >= 1e-5 && fabs(value) < 1e15 && strchr(text, 'e')) {
		fail_msg("%a: exponent in %s", value, text);
	}
	for (digits = 1; digits <= 17; digits++) {
		(void)snprintf(printed, sizeof(printed), "%.*e", digits - 1, value);
		if (strtod(printed, NULL) == value) {
			break;
		}
	}
	if (significant_digits(text) > digits) {
		fail_msg("%a: %s is longer than %s", value, text, printed);
	}
}

static uint64_t random_state = 88172645463325252U;

static uint64_t random_bits(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void test_number_reads_back(void **state)
{
	for (int i = 0; i < 20000; i++) {
		uint64_t bits = random_bits();
		double value;

		memcpy(&value, &bits, sizeof(value));
		if (isfinite(value) && value != 0) {
			check_number(value);
		}
		/* in the range without exponent */
		value = ldexp((double)(random_bits() >> 11), (int)(random_bits() % 66) - 69);
		if (value != 0) {
			check_number(value);
			check_number((double)(float)value);
		}
	}
}

static void test_number_reads_back_decimals(void **state)
{
	for (int i = 0; i < 40000; i++) {
		int decimals = (int)(random_bits() % 12);
		double raw = (double)((int64_t)random_bits() >> (1 + random_bits() % 60));
		double value = raw / pow(10, decimals);

		if (value != 0) {
			check_number(value);
			check_number(raw * pow(10, -decimals));
			check_number(nextafter(value, INFINITY));
		}
	}
}

static void test_number_at_borders(void **state)
{
	for (int e = -1074; e < 1024; e++) {
		double power = ldexp(1, e);

		if (e < -16 || e > 49) {
			/* half an interval below a power of two: one digit more may be spent */
			assert_true(strtod(number(power), NULL) == power);
		} else {
			check_number(power);
		}
		check_number(nextafter(power, INFINITY));
		if (nextafter(power, 0) != 0) {
			check_number(nextafter(power, 0));
		}
	}
	for (int e = -20; e <= 22; e++) {
		double power = strtod(
			(char[]){'1', 'e', e < 0 ? '-' : '+', (char)('0' + abs(e) / 10),
				(char)('0' + abs(e) % 10), '\0'},
			NULL);

		check_number(power);
		check_number(nextafter(power, 0));
		check_number(nextafter(power, INFINITY));
		check_number(-power);
	}
}

static void test_topics(void **state)
{
	_cleanup_(freep) char *batch = payload_topic_batch("123", UUID);
	_cleanup_(freep) char *single = payload_topic_single("123", UUID, "temp_01");
	_cleanup_(freep) char *history = payload_topic_history("123", UUID, UUID);

	assert_string_equal(batch, "tenant/123/device/" UUID);
	assert_string_equal(single, "tenant/123/device/" UUID "/sensor/temp_01");
	assert_string_equal(history, "tenant/123/device/" UUID "/sensors/" UUID);
}

static void test_batch(void **state)
{
	struct text t = {0};

	payload_batch_begin(&t);
	assert_true(payload_batch_add(&t, NO_LIMIT, "temp_01", NULL, 24.5));
	assert_true(payload_batch_add(&t, NO_LIMIT, "humidity_01", UUID, 45.2));
	assert_true(payload_batch_add(&t, NO_LIMIT, NULL, UUID, 100));
	payload_batch_end(&t, 3.7);
	assert_text(&t, "{\"data\":[{\"sensor_slug\":\"temp_01\",\"value\":24.5},"
			"{\"sensor_slug\":\"humidity_01\",\"value\":45.2},"
			"{\"sensor_uuid\":\"" UUID "\",\"value\":100}],\"battery_voltage\":3.7}");

	payload_batch_begin(&t);
	assert_true(payload_batch_add(&t, NO_LIMIT, "a", NULL, -1));
	payload_batch_end(&t, NAN);
	assert_text(&t, "{\"data\":[{\"sensor_slug\":\"a\",\"value\":-1}]}");
}

static void test_single(void **state)
{
	struct text t = {0};

	payload_single(&t, 24.5, OCTOBER, false, NAN);
	assert_text(&t, "{\"value\":24.5,\"timestamp\":\"2023-10-27T10:00:00Z\"}");
	payload_single(&t, 24.5, OCTOBER + 123999, true, 3.7);
	assert_text(&t, "{\"value\":24.5,\"timestamp\":\"2023-10-27T10:00:00.123Z\","
			"\"battery_voltage\":3.7}");
	payload_single(&t, 25.3, INT64_MIN, true, NAN);
	assert_text(&t, "{\"value\":25.3}");
}

static void test_history(void **state)
{
	struct text t = {0};

	payload_history_begin(&t);
	assert_true(payload_history_add(&t, NO_LIMIT, 24.0, OCTOBER - 3600 * US_PER_S, false));
	assert_true(payload_history_add(&t, NO_LIMIT, 24.2, OCTOBER, false));
	payload_history_end(&t);
	assert_text(&t, "[{\"value\":24,\"timestamp\":\"2023-10-27T09:00:00Z\"},"
			"{\"value\":24.2,\"timestamp\":\"2023-10-27T10:00:00Z\"}]");
}

static void test_greatest_sizes(void **state)
{
	struct text t = {0};
	double longest = -1.2345678901234567e-300;
	size_t size;

	payload_single(&t, longest, OCTOBER, true, longest);
	assert_true(t.size <= PAYLOAD_SINGLE_MAX);
	text_clear(&t);

	payload_history_begin(&t);
	assert_true(payload_history_add(&t, NO_LIMIT, longest, OCTOBER, true));
	size = t.size;
	assert_true(payload_history_add(&t, NO_LIMIT, longest, OCTOBER, true));
	assert_true(t.size - size <= PAYLOAD_HISTORY_ENTRY_MAX);
	text_clear(&t);

	payload_batch_begin(&t);
	size = t.size;
	payload_batch_end(&t, longest);
	assert_true(t.size - size <= PAYLOAD_BATCH_END_MAX);
	text_clear(&t);
}

static void test_history_limit(void **state)
{
	/* "[" + 49 + "," + 49 + "]" */
	static const size_t entry =
		sizeof("{\"value\":24.5,\"timestamp\":\"2023-10-27T10:00:00Z\"}") - 1;
	struct text t = {0};

	payload_history_begin(&t);
	assert_false(payload_history_add(&t, entry + 1, 24.5, OCTOBER, false));
	assert_int_equal(t.size, 1);
	assert_true(payload_history_add(&t, entry + 2, 24.5, OCTOBER, false));
	assert_false(payload_history_add(&t, 2 * entry + 2, 24.5, OCTOBER, false));
	assert_true(payload_history_add(&t, 2 * entry + 3, 24.5, OCTOBER, false));
	payload_history_end(&t);
	assert_int_equal(t.size, 2 * entry + 3);
	text_clear(&t);
}

static void test_batch_limit(void **state)
{
	struct text t = {0};

	for (size_t limit = 1; limit < 400; limit++) {
		int n = 0;

		payload_batch_begin(&t);
		while (payload_batch_add(&t, limit, "a\"b", NULL, -1.5e-300)) {
			n++;
		}
		payload_batch_end(&t, -1.2345678901234567e-300);
		/* an empty batch is the caller's not to send */
		assert_true(n == 0 || t.size <= limit);
		assert_true(limit < 200 || n > 0);
		text_clear(&t);
	}
}

static void test_names_are_escaped(void **state)
{
	static const char name[] = "a\"b\\c\x01\x1f\n/\xc3\xa4";
	struct text t = {0};
	struct json_object *root, *entry;

	payload_batch_begin(&t);
	assert_true(payload_batch_add(&t, NO_LIMIT, name, NULL, 1));
	payload_batch_end(&t, NAN);
	text_append(&t, "");
	text_reserve(&t, 1);
	t.data[t.size] = '\0';
	root = json_tokener_parse(t.data);
	assert_non_null(root);
	entry = json_object_array_get_idx(json_object_object_get(root, "data"), 0);
	assert_string_equal(
		json_object_get_string(json_object_object_get(entry, "sensor_slug")), name);
	(void)json_object_put(root);
	assert_text(&t, "{\"data\":[{\"sensor_slug\":\"a\\\"b\\\\c\\u0001\\u001f\\u000a/\xc3\xa4\","
			"\"value\":1}]}");
}

static void check_time(int64_t us)
{
	time_t seconds = (time_t)(us / US_PER_S);
	char expected[80], date[32];
	struct text t = {0};
	struct tm tm;

	assert_non_null(gmtime_r(&seconds, &tm));
	assert_true(strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) > 0);
	(void)snprintf(expected, sizeof(expected), "{\"value\":1,\"timestamp\":\"%s.%03dZ\"}", date,
		(int)(us % US_PER_S / US_PER_MS));
	payload_single(&t, 1, us, true, NAN);
	assert_text(&t, expected);
}

static void test_every_day(void **state)
{
	int64_t day = 86400 * US_PER_S;

	for (int64_t i = 0; i < 2932897; i += i < 100000 ? 1 : 97) {
		check_time(i * day);
		check_time(i * day + day - 1);
	}
	for (int i = 0; i < 100000; i++) {
		check_time((int64_t)(random_bits() % 253402300800000000U));
	}
}

static void test_times_outside(void **state)
{
	struct text t = {0};

	payload_single(&t, 1, -1, false, NAN);
	assert_text(&t, "{\"value\":1,\"timestamp\":\"1970-01-01T00:00:00Z\"}");
	payload_single(&t, 1, INT64_MAX, true, NAN);
	assert_text(&t, "{\"value\":1,\"timestamp\":\"9999-12-31T23:59:59.999Z\"}");
}

static void test_another_parser_agrees(void **state)
{
	struct text t = {0};
	struct json_object *root;
	double values[200];

	payload_history_begin(&t);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		uint64_t bits;

		do {
			bits = random_bits();
			memcpy(&values[i], &bits, sizeof(bits));
		} while (!isfinite(values[i]) || values[i] == 0);
		assert_true(payload_history_add(&t, NO_LIMIT, values[i], OCTOBER, i % 2));
	}
	payload_history_end(&t);
	text_reserve(&t, 1);
	t.data[t.size] = '\0';
	root = json_tokener_parse(t.data);
	assert_non_null(root);
	assert_int_equal(json_object_array_length(root), ARRAY_SIZE(values));
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		struct json_object *entry = json_object_array_get_idx(root, i);

		assert_int_equal(json_object_object_length(entry), 2);
		assert_true(json_object_get_double(json_object_object_get(entry, "value")) ==
			    values[i]);
	}
	(void)json_object_put(root);
	text_clear(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number_text),
		cmocka_unit_test(test_number_exponent_only_outside),
		cmocka_unit_test(test_number_reads_back),
		cmocka_unit_test(test_number_reads_back_decimals),
		cmocka_unit_test(test_number_at_borders),
		cmocka_unit_test(test_topics),
		cmocka_unit_test(test_batch),
		cmocka_unit_test(test_single),
		cmocka_unit_test(test_history),
		cmocka_unit_test(test_greatest_sizes),
		cmocka_unit_test(test_history_limit),
		cmocka_unit_test(test_batch_limit),
		cmocka_unit_test(test_names_are_escaped),
		cmocka_unit_test(test_every_day),
		cmocka_unit_test(test_times_outside),
		cmocka_unit_test(test_another_parser_agrees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
