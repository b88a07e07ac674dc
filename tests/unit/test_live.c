/* SPDX-License-Identifier: Apache-2.0 */
#include "live.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "fake_journal.h"
#include "util.h"

#define DEVICE_UUID "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
#define TOPIC       "tenant/123/device/" DEVICE_UUID

struct fixture {
	struct platform_config platform;
	struct device_config device;
	struct sensor_config battery;
	struct sensor_map *map;
	struct live *live;
	struct text payload;
	const char *topic;
	uint32_t message;
	int64_t now_ns;
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
	f->live = live_new(&f->platform, &f->device, fake_journal(), 1, f->map);
	f->now_ns = now_monotonic_ns();
	live_start(f->live);
	return f;
}

static void end(struct fixture *f)
{
	live_free(f->live);
	sensor_map_free(f->map);
	text_clear(&f->payload);
	free(f);
	fake_journal_reset();
}

static int64_t age(double seconds)
{
	return now_boottime_ns() / NS_PER_US - (int64_t)(seconds * (double)US_PER_S);
}

static bool next(struct fixture *f)
{
	bool r = live_next(f->live, f->now_ns, 65536, &f->payload, &f->topic, &f->message);

	if (r) {
		text_append(&f->payload, "");
		text_reserve(&f->payload, 1);
		f->payload.data[f->payload.size] = '\0';
	}
	return r;
}

static void test_batch_has_the_newest_of_each_sensor(void **state)
{
	struct fixture *f = start(LIVE_BATCH);
	const struct reading readings[] = {
		{.sensor = 1, .boottime_us = age(2), .value = 20},
		{.sensor = 2, .boottime_us = age(2), .value = 45.2},
		{.sensor = 1, .boottime_us = age(1), .value = 24.5},
	};
	int64_t id;

	(void)state;
	id = fake_journal_add(readings, 3);
	assert_true(next(f));
	assert_string_equal(f->topic, TOPIC);
	assert_string_equal(f->payload.data,
		"{\"data\":[{\"sensor_slug\":\"s1\",\"value\":24.5},{\"sensor_slug\":\"s2\",\"value\":45.2}]}");
	assert_false(next(f));
	assert_int_equal(fake_journal_left(), 3);
	assert_int_equal(live_done(f->live, f->message, true), 2);
	/* the earlier reading of sensor 1 is still there, for history */
	assert_int_equal(fake_journal_left(), 1);
	assert_false(fake_journal_is_acked(id, 0));
	assert_int_equal(live_boundary(f->live), id);
	end(f);
}

static void test_old_readings_never_go_live(void **state)
{
	struct fixture *f = start(LIVE_BATCH);
	const struct reading old = {.sensor = 1, .boottime_us = age(11), .value = 1};
	const struct reading mixed[] = {
		{.sensor = 2, .boottime_us = age(10.5), .value = 2},
		{.sensor = 3, .boottime_us = age(1), .value = 3},
	};

	(void)state;
	fake_journal_add(&old, 1);
	assert_false(next(f));
	fake_journal_add(mixed, 2);
	assert_true(next(f));
	assert_string_equal(f->payload.data, "{\"data\":[{\"sensor_slug\":\"s3\",\"value\":3}]}");
	end(f);
}

static void test_after_an_outage_the_newest_come_first(void **state)
{
	struct fixture *f = start(LIVE_BATCH);
	int64_t last = 0;

	(void)state;
	live_stop(f->live);
	for (int i = 60; i > 0; i--) {
		struct reading reading = {.sensor = 1, .boottime_us = age(i), .value = i};

		last = fake_journal_add(&reading, 1);
	}
	live_start(f->live);
	assert_true(next(f));
	assert_string_equal(f->payload.data, "{\"data\":[{\"sensor_slug\":\"s1\",\"value\":1}]}");
	/* what is older than the live window is history's at once, while the batch is on its way */
	assert_true(live_boundary(f->live) >= last - 11 && live_boundary(f->live) < last);
	live_done(f->live, f->message, true);
	assert_int_equal(fake_journal_left(), 59);
	assert_int_equal(live_boundary(f->live), last);
	end(f);
}

static void test_unacknowledged_becomes_history(void **state)
{
	struct fixture *f = start(LIVE_BATCH);
	const struct reading reading = {.sensor = 1, .boottime_us = age(0), .value = 7};

	(void)state;
	fake_journal_add(&reading, 1);
	assert_true(next(f));
	live_stop(f->live);
	assert_int_equal(fake_journal_left(), 1);
	/* fresh as it still is, it may have arrived: a second batch would date it twice */
	live_start(f->live);
	f->now_ns += 2 * NS_PER_S;
	assert_false(next(f));
	assert_int_equal(live_boundary(f->live), 1);
	/* refused: the same */
	fake_journal_add(&reading, 1);
	assert_true(next(f));
	live_done(f->live, f->message, false);
	assert_int_equal(fake_journal_left(), 2);
	assert_int_equal(live_boundary(f->live), 2);
	end(f);
}

static void test_nothing_to_take_is_no_reason_to_look_again(void **state)
{
	struct fixture *f = start(LIVE_BATCH);
	const struct reading reading = {.sensor = 1, .boottime_us = age(0), .value = 7};
	uint8_t all = 0xff;
	struct journal_ack ack;

	(void)state;
	/* all of it was delivered before this connection */
	ack = (struct journal_ack){.id = fake_journal_add(&reading, 1), .n = 1, .acked = &all};
	journal_ack(fake_journal(), 1, &ack, 1);
	assert_false(next(f));
	assert_true(live_due_ns(f->live) == INT64_MAX);
	end(f);
}

static void test_a_pause_leaves_all_to_history(void **state)
{
	struct fixture *f = start(LIVE_BATCH);
	const struct reading old = {.sensor = 1, .boottime_us = age(11), .value = 7};
	int64_t id;

	(void)state;
	live_pause(f->live, f->now_ns + 60 * NS_PER_S);
	id = fake_journal_add(&old, 1);
	assert_false(next(f));
	assert_int_equal(live_boundary(f->live), id);
	assert_in_range(live_due_ns(f->live), f->now_ns, INT64_MAX);
	end(f);
}

static void test_batch_interval(void **state)
{
	struct fixture *f = start(LIVE_BATCH);
	const struct reading reading = {.sensor = 1, .boottime_us = age(0), .value = 7};
	int batches = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		fake_journal_add(&reading, 1);
		if (next(f)) {
			live_done(f->live, f->message, true);
			batches++;
		}
		f->now_ns += 100 * NS_PER_MS;
	}
	/* ten seconds: a batch a second, and the first at once */
	assert_in_range(batches, 10, 11);
	end(f);
}

static void test_batch_is_split_to_fit(void **state)
{
	struct fixture *f = start(LIVE_BATCH);
	struct reading readings[9];
	uint32_t messages = 0, carried = 0;

	(void)state;
	for (uint32_t i = 0; i < 9; i++) {
		readings[i] = (struct reading){.sensor = i + 1, .boottime_us = age(0), .value = i};
	}
	fake_journal_add(readings, 9);
	while (live_next(f->live, f->now_ns, 160, &f->payload, &f->topic, &f->message)) {
		assert_true(strlen(f->topic) + f->payload.size <= 160);
		carried += live_done(f->live, f->message, true);
		messages++;
	}
	assert_int_equal(carried, 9);
	assert_in_range(messages, 3, 9);
	assert_int_equal(fake_journal_left(), 0);
	end(f);
}

static void test_single_sends_each_with_its_time(void **state)
{
	struct fixture *f = start(LIVE_SINGLE);
	struct reading readings[] = {
		{.sensor = 1, .boottime_us = age(1), .value = 20},
		{.sensor = 1, .boottime_us = age(0.5), .value = 21},
	};

	(void)state;
	readings[0].offset_us = INT64_C(1698400800) * US_PER_S - readings[0].boottime_us;
	readings[1].offset_us = readings[0].offset_us;
	fake_journal_add(readings, 2);
	assert_true(next(f));
	assert_string_equal(f->topic, TOPIC "/sensor/s1");
	assert_string_equal(
		f->payload.data, "{\"value\":20,\"timestamp\":\"2023-10-27T10:00:00Z\"}");
	live_done(f->live, f->message, true);
	assert_true(next(f));
	assert_non_null(strstr(f->payload.data, "\"value\":21"));
	live_done(f->live, f->message, true);
	assert_false(next(f));
	assert_int_equal(fake_journal_left(), 0);
	end(f);
}

static void test_battery_voltage(void **state)
{
	struct fixture *f = start(LIVE_BATCH);
	const struct reading readings[] = {
		{.sensor = 1, .boottime_us = age(0), .value = 20},
		{.sensor = 3, .boottime_us = age(0), .value = 3.7},
	};

	(void)state;
	f->battery.journal_id = 3;
	f->device.battery = &f->battery;
	fake_journal_add(readings, 2);
	assert_true(next(f));
	assert_string_equal(f->payload.data,
		"{\"data\":[{\"sensor_slug\":\"s1\",\"value\":20},{\"sensor_slug\":\"s3\",\"value\":3.7}],"
		"\"battery_voltage\":3.7}");
	live_done(f->live, f->message, true);
	/* it is known from now on, also when its own sensor has nothing new */
	f->now_ns += 2 * NS_PER_S;
	fake_journal_add(readings, 1);
	assert_true(next(f));
	assert_non_null(strstr(f->payload.data, "\"battery_voltage\":3.7"));
	end(f);
}

static void test_off_sends_nothing(void **state)
{
	struct fixture *f = start(LIVE_OFF);
	const struct reading reading = {.sensor = 1, .boottime_us = age(0), .value = 7};

	(void)state;
	fake_journal_add(&reading, 1);
	assert_false(next(f));
	assert_true(live_boundary(f->live) == INT64_MAX);
	assert_true(live_due_ns(f->live) == INT64_MAX);
	end(f);
}

static void test_undated_is_left_alone(void **state)
{
	struct fixture *f = start(LIVE_BATCH);
	const struct reading reading = {.sensor = 1, .boottime_us = age(0), .value = 7};

	(void)state;
	fake_journal_set_dated(fake_journal_add(&reading, 1), false);
	assert_false(next(f));
	end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_batch_has_the_newest_of_each_sensor),
		cmocka_unit_test(test_old_readings_never_go_live),
		cmocka_unit_test(test_after_an_outage_the_newest_come_first),
		cmocka_unit_test(test_unacknowledged_becomes_history),
		cmocka_unit_test(test_nothing_to_take_is_no_reason_to_look_again),
		cmocka_unit_test(test_a_pause_leaves_all_to_history),
		cmocka_unit_test(test_batch_interval),
		cmocka_unit_test(test_batch_is_split_to_fit),
		cmocka_unit_test(test_single_sends_each_with_its_time),
		cmocka_unit_test(test_battery_voltage),
		cmocka_unit_test(test_off_sends_nothing),
		cmocka_unit_test(test_undated_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
