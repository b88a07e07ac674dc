/* SPDX-License-Identifier: Apache-2.0 */
#include "history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "fake_journal.h"
#include "util.h"

#define DEVICE_UUID "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
#define TOPIC       "tenant/123/device/" DEVICE_UUID

struct fixture {
	struct platform_config platform;
	struct device_config device;
	struct sensor_map *map;
	struct history *history;
	struct text payload;
	const char *topic;
	uint32_t message;
	int64_t now_ns;
	uint32_t max_readings;
	size_t limit;
	int64_t boundary;
};

static struct fixture *start(enum platform_live mode)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	fake_journal_reset();
	f->platform = (struct platform_config){
		.tenant = "123",
		.live = mode,
		.batch_interval_ns = NS_PER_S,
		.live_window_ns = 10 * NS_PER_S,
	};
	f->device = (struct device_config){.name = "boiler", .uuid = DEVICE_UUID};
	f->map = sensor_map_new(fake_journal());
	f->history = history_new(&f->platform, &f->device, fake_journal(), 1, f->map);
	f->now_ns = now_monotonic_ns();
	f->max_readings = 500;
	f->limit = 65536;
	f->boundary = INT64_MAX;
	history_start(f->history);
	return f;
}

static void end(struct fixture *f)
{
	history_free(f->history);
	sensor_map_free(f->map);
	text_clear(&f->payload);
	free(f);
	fake_journal_reset();
}

/* Block k holds a reading of each of `n` sensors, taken k hours after 2023-10-27T09:00:00Z. */
static int64_t add_hour(uint32_t n, int hour)
{
	int64_t boottime_us = now_boottime_ns() / NS_PER_US - 100 * US_PER_S;
	struct reading readings[9];

	for (uint32_t i = 0; i < n; i++) {
		readings[i] = (struct reading){
			.sensor = i + 1,
			.boottime_us = boottime_us,
			.offset_us = (INT64_C(1698397200) + hour * 3600) * US_PER_S - boottime_us,
			.value = 24 + hour,
		};
	}
	return fake_journal_add(readings, n);
}

static bool next(struct fixture *f)
{
	bool r = history_next(f->history, f->now_ns, f->boundary, f->limit, f->max_readings,
		&f->payload, &f->topic, &f->message);

	if (r) {
		text_reserve(&f->payload, 1);
		f->payload.data[f->payload.size] = '\0';
	}
	return r;
}

static void test_bulk_upload_in_order_with_timestamps(void **state)
{
	struct fixture *f = start(LIVE_BATCH);
	char topic[200];

	(void)state;
	for (int hour = 0; hour < 3; hour++) {
		add_hour(1, hour);
	}
	assert_true(next(f));
	(void)snprintf(topic, sizeof(topic), TOPIC "/sensors/%s", fake_uuid(1));
	assert_string_equal(f->topic, topic);
	assert_string_equal(f->payload.data,
		"[{\"value\":24,\"timestamp\":\"2023-10-27T09:00:00Z\"},"
		"{\"value\":25,\"timestamp\":\"2023-10-27T10:00:00Z\"},"
		"{\"value\":26,\"timestamp\":\"2023-10-27T11:00:00Z\"}]");
	assert_false(next(f));
	assert_int_equal(fake_journal_left(), 3);
	assert_int_equal(history_done(f->history, f->message, HISTORY_DELIVERED), 3);
	assert_int_equal(fake_journal_left(), 0);
	end(f);
}

static void test_without_uuid_one_by_one(void **state)
{
	struct fixture *f = start(LIVE_BATCH);
	uint32_t messages = 0;

	(void)state;
	add_hour(2, 0);
	add_hour(2, 1);
	while (next(f)) {
		if (strstr(f->topic, "/sensor/")) {
			assert_string_equal(f->topic, TOPIC "/sensor/s2");
			assert_int_equal(f->payload.data[0], '{');
			assert_non_null(strstr(f->payload.data, "\"timestamp\":\"2023-10-27T"));
		}
		history_done(f->history, f->message, HISTORY_DELIVERED);
		messages++;
	}
	/* sensor 1 in one bulk upload, sensor 2 in two single messages */
	assert_int_equal(messages, 3);
	assert_int_equal(fake_journal_left(), 0);
	end(f);
}

static void test_messages_fit_both_limits(void **state)
{
	struct fixture *f = start(LIVE_BATCH);
	uint32_t carried = 0;

	(void)state;
	for (int hour = 0; hour < 50; hour++) {
		add_hour(1, hour);
	}
	f->max_readings = 7;
	assert_true(next(f));
	assert_int_equal(history_message_readings(f->history, f->message), 7);
	carried += history_done(f->history, f->message, HISTORY_DELIVERED);
	f->max_readings = 500;
	f->limit = 400;
	while (next(f)) {
		assert_true(strlen(f->topic) + f->payload.size <= 400);
		carried += history_done(f->history, f->message, HISTORY_DELIVERED);
	}
	assert_int_equal(carried, 50);
	assert_int_equal(fake_journal_left(), 0);
	end(f);
}

static void test_stays_below_the_boundary(void **state)
{
	struct fixture *f = start(LIVE_BATCH);

	(void)state;
	f->boundary = add_hour(1, 0);
	add_hour(1, 1);
	assert_true(next(f));
	assert_int_equal(history_done(f->history, f->message, HISTORY_DELIVERED), 1);
	assert_false(next(f));
	/* live is done with the second block and has left it */
	f->boundary = 2;
	assert_true(next(f));
	end(f);
}

static void test_fresh_leftovers_are_collected_first(void **state)
{
	struct fixture *f = start(LIVE_BATCH);
	struct reading reading = {
		.sensor = 1, .boottime_us = now_boottime_ns() / NS_PER_US - US_PER_S, .value = 1};

	(void)state;
	fake_journal_add(&reading, 1);
	assert_false(next(f));
	/* due when the reading is as old as the live window, nine seconds from now */
	assert_in_range(
		history_due_ns(f->history), f->now_ns + 8 * NS_PER_S, f->now_ns + 9 * NS_PER_S);
	end(f);
}

static void test_refused_sensor_does_not_hold_up_others(void **state)
{
	struct fixture *f = start(LIVE_BATCH);
	uint32_t delivered = 0;

	(void)state;
	f->max_readings = 1;
	for (int hour = 0; hour < 4; hour++) {
		add_hour(3, hour);
	}
	while (next(f)) {
		bool is_third = strstr(f->topic, fake_uuid(3)) != NULL;

		delivered += !is_third;
		history_done(
			f->history, f->message, is_third ? HISTORY_REFUSED : HISTORY_DELIVERED);
	}
	assert_int_equal(delivered, 8);
	assert_int_equal(fake_journal_left(), 4);
	/* after a minute it is tried again, from the oldest */
	f->now_ns = history_due_ns(f->history);
	assert_in_range(
		f->now_ns, now_monotonic_ns() + 50 * NS_PER_S, now_monotonic_ns() + 70 * NS_PER_S);
	assert_true(next(f));
	assert_non_null(strstr(f->topic, fake_uuid(3)));
	assert_non_null(strstr(f->payload.data, "09:00:00Z"));
	end(f);
}

static void test_too_large_is_halved_down_to_one(void **state)
{
	struct fixture *f = start(LIVE_BATCH);
	uint32_t carried;

	(void)state;
	for (int hour = 0; hour < 4; hour++) {
		add_hour(1, hour);
	}
	assert_true(next(f));
	assert_int_equal(history_done(f->history, f->message, HISTORY_TOO_LARGE), 4);
	assert_int_equal(fake_journal_lost(JOURNAL_LOSS_REFUSED), 0);
	assert_true(next(f));
	carried = history_message_readings(f->history, f->message);
	assert_int_equal(carried, 2);
	assert_non_null(strstr(f->payload.data, "09:00:00Z"));
	history_done(f->history, f->message, HISTORY_TOO_LARGE);
	assert_true(next(f));
	assert_int_equal(history_message_readings(f->history, f->message), 1);
	history_done(f->history, f->message, HISTORY_TOO_LARGE);
	assert_int_equal(fake_journal_lost(JOURNAL_LOSS_REFUSED), 1);
	/* the other three go on */
	carried = 0;
	while (next(f)) {
		carried += history_done(f->history, f->message, HISTORY_DELIVERED);
	}
	assert_int_equal(carried, 3);
	assert_int_equal(fake_journal_left(), 0);
	end(f);
}

static void test_a_broken_connection_starts_over(void **state)
{
	struct fixture *f = start(LIVE_BATCH);

	(void)state;
	f->max_readings = 1;
	add_hour(1, 0);
	add_hour(1, 1);
	assert_true(next(f));
	assert_non_null(strstr(f->payload.data, "09:00:00Z"));
	history_done(f->history, f->message, HISTORY_DELIVERED);
	assert_true(next(f));
	assert_non_null(strstr(f->payload.data, "10:00:00Z"));
	history_stop(f->history);
	assert_int_equal(fake_journal_left(), 1);
	assert_false(next(f));
	history_start(f->history);
	assert_true(next(f));
	assert_non_null(strstr(f->payload.data, "10:00:00Z"));
	end(f);
}

static void test_partly_delivered_block(void **state)
{
	struct fixture *f = start(LIVE_BATCH);
	uint8_t bits = 0x1; /* sensor 1 went live */
	struct journal_ack ack;

	(void)state;
	ack = (struct journal_ack){.id = add_hour(3, 0), .n = 3, .acked = &bits};
	journal_ack(fake_journal(), 1, &ack, 1);
	for (int i = 0; i < 2; i++) {
		assert_true(next(f));
		assert_null(strstr(f->topic, fake_uuid(1)));
		history_done(f->history, f->message, HISTORY_DELIVERED);
	}
	assert_false(next(f));
	assert_int_equal(fake_journal_left(), 0);
	end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bulk_upload_in_order_with_timestamps),
		cmocka_unit_test(test_without_uuid_one_by_one),
		cmocka_unit_test(test_messages_fit_both_limits),
		cmocka_unit_test(test_stays_below_the_boundary),
		cmocka_unit_test(test_fresh_leftovers_are_collected_first),
		cmocka_unit_test(test_refused_sensor_does_not_hold_up_others),
		cmocka_unit_test(test_too_large_is_halved_down_to_one),
		cmocka_unit_test(test_a_broken_connection_starts_over),
		cmocka_unit_test(test_partly_delivered_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
