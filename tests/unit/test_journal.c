/* SPDX-License-Identifier: Apache-2.0 */
#include "journal.h"
#include "journal_acks.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DEVICE_A "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
#define DEVICE_B "b1b2c3d4-e5f6-7890-abcd-ef1234567890"
#define BOOT_1   "11111111-0000-0000-0000-000000000000"
#define BOOT_2   "22222222-0000-0000-0000-000000000000"
#define OFFSET   INT64_C(1700000000000000)
#define SENSORS  100u

struct fixture {
	char directory[64];
	char path[96];
	struct journal_options options;
	struct journal *journal;
	uint32_t a, b;
	uint32_t sensors[SENSORS]; /* of device a */
	uint32_t sensor_b;
	int eventfd; /* of device a */
	pthread_mutex_t lock;
	pthread_cond_t told;
	unsigned events[JOURNAL_EVENT_DAMAGED + 1];
	char last[JOURNAL_EVENT_DAMAGED + 1][500];
};

static void record_event(void *ctx, enum journal_event event, const char *text)
{
	struct fixture *f = ctx;

	(void)pthread_mutex_lock(&f->lock);
	f->events[event]++;
	(void)snprintf(f->last[event], sizeof(f->last[event]), "%s", text);
	(void)pthread_cond_broadcast(&f->told);
	(void)pthread_mutex_unlock(&f->lock);
}

static void wait_event(struct fixture *f, enum journal_event event)
{
	(void)pthread_mutex_lock(&f->lock);
	while (f->events[event] == 0) {
		(void)pthread_cond_wait(&f->told, &f->lock);
	}
	(void)pthread_mutex_unlock(&f->lock);
}

static void make_fixture(struct fixture *f, const char *directory)
{
	f->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	(void)pthread_mutex_init(&f->lock, NULL);
	(void)pthread_cond_init(&f->told, NULL);
	(void)snprintf(f->directory, sizeof(f->directory), "%s", directory);
	(void)snprintf(f->path, sizeof(f->path), "%s/journal.db", f->directory);
	f->options = (struct journal_options){
		.path = f->path,
		.max_size = INT64_C(64) << 20,
		.commit_interval_ns = 10 * NS_PER_MS,
		.max_memory = INT64_C(4) << 20,
		.boot_id = BOOT_1,
		.event = record_event,
		.ctx = f,
	};
}

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	char directory[] = "/tmp/journal-test-XXXXXX";

	assert_non_null(mkdtemp(directory));
	make_fixture(f, directory);
	*state = f;
	return 0;
}

static void remove_tree(const char *directory)
{
	_cleanup_(freep) char *command = xasprintf("rm -rf '%s'", directory);

	assert_int_equal(system(command), 0);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	journal_free(f->journal);
	remove_tree(f->directory);
	(void)close(f->eventfd);
	free(f);
	return 0;
}

static void open_journal(struct fixture *f)
{
	f->journal = journal_open(&f->options);
	f->a = journal_device(f->journal, DEVICE_A);
	f->b = journal_device(f->journal, DEVICE_B);
	for (uint32_t i = 0; i < SENSORS; i++) {
		char slug[20];

		(void)snprintf(slug, sizeof(slug), "s%u", i);
		f->sensors[i] = journal_sensor(f->journal, f->a, slug, NULL);
		assert_int_not_equal(f->sensors[i], 0);
	}
	f->sensor_b = journal_sensor(f->journal, f->b, "b", NULL);
	journal_subscribe(f->journal, f->a, f->eventfd);
}

static void start_journal(struct fixture *f)
{
	open_journal(f);
	assert_int_equal(journal_start(f->journal), 0);
}

static void close_journal(struct fixture *f)
{
	journal_free(f->journal);
	f->journal = NULL;
}

static void reopen(struct fixture *f)
{
	close_journal(f);
	open_journal(f);
}

/* Readings of all sensors of device a; the value says which reading it is. */
static void append_round(struct fixture *f, double first_value, int64_t boottime_us, bool clock_ok)
{
	struct reading readings[SENSORS];

	for (uint32_t i = 0; i < SENSORS; i++) {
		readings[i] = (struct reading){
			.sensor = f->sensors[i],
			.clock_ok = clock_ok,
			.boottime_us = boottime_us,
			.offset_us = OFFSET,
			.value = first_value + i,
		};
	}
	journal_append(f->journal, readings, SENSORS, true);
}

static void append_value(struct fixture *f, uint32_t sensor, double value)
{
	struct reading r = {.sensor = sensor,
		.clock_ok = true,
		.boottime_us = 7,
		.offset_us = OFFSET,
		.value = value};

	journal_append(f->journal, &r, 1, true);
}

/* One block a round: sealed by closing and opening. */
static void append_blocks(struct fixture *f, int n)
{
	for (int i = 0; i < n; i++) {
		append_round(f, i * 1000, (int64_t)i * US_PER_S, true);
		reopen(f);
	}
}

/* What was there before is not new. */
static void forget_new(struct fixture *f)
{
	uint64_t n;

	(void)!read(f->eventfd, &n, sizeof(n)); /* nothing there is as well */
}

static void wait_for_new(struct fixture *f)
{
	struct pollfd fd = {.fd = f->eventfd, .events = POLLIN};
	uint64_t n;

	assert_int_equal(poll(&fd, 1, 60000), 1);
	assert_int_equal(read(f->eventfd, &n, sizeof(n)), sizeof(n));
}

/* Takes everything from `after`, asserts how many readings are not acknowledged. */
static uint64_t count(struct fixture *f, uint32_t device)
{
	struct journal_block *blocks[16];
	uint64_t total = 0;
	int64_t after = 0;
	int n;

	do {
		n = journal_take(f->journal, device, after, 4000, blocks, ARRAY_SIZE(blocks));
		assert_true(n >= 0);
		for (int i = 0; i < n; i++) {
			struct reading *out = xcalloc(blocks[i]->n, sizeof(*out));

			assert_true(blocks[i]->id > after);
			assert_int_equal(journal_block_readings(blocks[i], out), blocks[i]->n);
			total += blocks[i]->n - blocks[i]->n_acked;
			after = blocks[i]->id;
			journal_block_free(blocks[i]);
			free(out);
		}
	} while (n > 0);
	return total;
}

static struct journal_block *take_one(struct fixture *f, uint32_t device, int64_t after)
{
	struct journal_block *b = NULL;

	assert_int_equal(journal_take(f->journal, device, after, 1, &b, 1), 1);
	return b;
}

static void ack_all(struct fixture *f, uint32_t device)
{
	struct journal_block *blocks[16];
	int n;

	do {
		n = journal_take(f->journal, device, 0, UINT32_MAX, blocks, ARRAY_SIZE(blocks));
		assert_true(n >= 0);
		for (int i = 0; i < n; i++) {
			struct journal_ack ack = {.id = blocks[i]->id, .n = blocks[i]->n};

			journal_ack(f->journal, device, &ack, 1);
			journal_block_free(blocks[i]);
		}
	} while (n > 0);
}

static uint64_t lost(struct fixture *f, enum journal_loss cause)
{
	struct journal_stats s;

	journal_get_stats(f->journal, &s);
	return s.dropped[cause];
}

static uint64_t waiting(struct fixture *f)
{
	struct journal_stats s;

	journal_get_stats(f->journal, &s);
	return s.readings;
}

static int64_t size_on_disk(struct fixture *f)
{
	static const char *const suffixes[] = {"", "-wal"};
	int64_t total = 0;

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		_cleanup_(freep) char *name = xasprintf("%s%s", f->path, suffixes[i]);
		struct stat st;

		total += stat(name, &st) == 0 ? (int64_t)st.st_size : 0;
	}
	return total;
}

/* --- the normal way --- */

static void test_round_trip(void **state)
{
	struct fixture *f = *state;
	struct reading out[SENSORS];
	struct journal_block *b;
	struct journal_ack ack;
	struct journal_stats s;

	start_journal(f);
	assert_int_equal(journal_newest_id(f->journal, f->a), 0);
	append_round(f, 0.5, 1000, true);
	wait_for_new(f);
	assert_int_equal(journal_backlog(f->journal, f->a), SENSORS);
	b = take_one(f, f->a, 0);
	assert_int_equal(b->n, SENSORS);
	assert_int_equal(b->n_acked, 0);
	assert_null(b->acked);
	assert_true(b->dated && b->this_boot);
	assert_int_equal(b->id, journal_newest_id(f->journal, f->a));
	assert_int_equal(journal_block_readings(b, out), SENSORS);
	for (uint32_t i = 0; i < SENSORS; i++) {
		assert_int_equal(out[i].sensor, f->sensors[i]);
		assert_true(out[i].value == 0.5 + i);
		assert_int_equal(reading_realtime_us(&out[i]), OFFSET + 1000);
	}
	journal_get_stats(f->journal, &s);
	assert_int_equal(s.readings, SENSORS);
	assert_int_equal(s.oldest_us, OFFSET + 1000);
	assert_int_equal(s.memory_bytes, 0);
	assert_int_equal(s.bytes, size_on_disk(f));
	assert_true(s.commits >= 1);

	ack = (struct journal_ack){.id = b->id, .n = b->n};
	journal_ack(f->journal, f->a, &ack, 1);
	assert_int_equal(count(f, f->a), 0); /* at once */
	assert_int_equal(journal_backlog(f->journal, f->a), 0);
	journal_block_free(b);
	reopen(f);
	assert_int_equal(count(f, f->a), 0);
	assert_int_equal(waiting(f), 0);
	assert_int_equal(f->events[JOURNAL_EVENT_FAILING], 0);
	assert_int_equal(f->events[JOURNAL_EVENT_DAMAGED], 0);
}

static void test_ids_are_never_used_again(void **state)
{
	struct fixture *f = *state;
	int64_t last = 0;

	open_journal(f);
	for (int i = 0; i < 3; i++) {
		struct journal_block *b;

		append_round(f, 1, 1, true);
		reopen(f);
		b = take_one(f, f->a, 0);
		assert_true(b->id > last);
		last = b->id;
		journal_block_free(b);
		ack_all(f, f->a);
		reopen(f);
		assert_int_equal(waiting(f), 0);
	}
}

static void test_partial_acks_survive(void **state)
{
	struct fixture *f = *state;
	uint8_t bitmap[(SENSORS + 7) / 8] = {0x05, 0x80};
	struct journal_block *b;
	struct journal_ack ack;

	open_journal(f);
	append_blocks(f, 2);
	b = take_one(f, f->a, 0);
	ack = (struct journal_ack){.id = b->id, .n = b->n, .acked = bitmap};
	journal_block_free(b);
	journal_ack(f->journal, f->a, &ack, 1);
	b = take_one(f, f->a, 0);
	assert_int_equal(b->n_acked, 3);
	assert_memory_equal(b->acked, bitmap, sizeof(bitmap));
	journal_block_free(b);
	assert_int_equal(journal_backlog(f->journal, f->a), 2 * SENSORS - 3);
	reopen(f);
	b = take_one(f, f->a, 0);
	assert_int_equal(b->n_acked, 3);
	assert_memory_equal(b->acked, bitmap, sizeof(bitmap));
	journal_block_free(b);
	assert_int_equal(waiting(f), 2 * SENSORS - 3);

	/* more bits are added to those on disk */
	bitmap[0] = 0x02;
	bitmap[1] = 0;
	journal_ack(f->journal, f->a, &ack, 1);
	reopen(f);
	b = take_one(f, f->a, 0);
	assert_int_equal(b->n_acked, 4);
	assert_int_equal(b->acked[0], 0x07);
	assert_int_equal(b->acked[1], 0x80);
	journal_block_free(b);
	assert_int_equal(waiting(f), 2 * SENSORS - 4);

	/* all bits together are the whole block */
	memset(bitmap, 0xff, sizeof(bitmap));
	journal_ack(f->journal, f->a, &ack, 1);
	reopen(f);
	assert_int_equal(waiting(f), SENSORS);
	assert_int_equal(count(f, f->a), SENSORS);
}

static void test_ack_ranges(void **state)
{
	static const uint8_t bits[] = {0x01};
	struct ack_set set = {0}, other = {0};

	for (int64_t id = 1; id <= 5; id++) {
		ack_set_add(&set, id, 8, NULL, 8, ACK_DELIVERED);
	}
	ack_set_add(&set, 9, 8, bits, bitmap_count(bits, 8), ACK_DELIVERED);
	assert_int_equal(set.n, 2);
	assert_int_equal(set.counted, 41);
	/* a second word on the same blocks takes nothing away */
	ack_set_add(&other, 5, 8, NULL, 8, ACK_DELIVERED);
	ack_set_add(&other, 6, 8, NULL, 8, ACK_DELIVERED);
	ack_set_merge(&set, &other);
	for (int64_t id = 1; id <= 6; id++) {
		assert_non_null(ack_set_find(&set, id));
	}
	assert_null(ack_set_find(&set, 0));
	assert_null(ack_set_find(&set, 7));
	assert_int_equal(other.n, 0);
	/* a damaged block keeps its cause beside delivered ones */
	ack_set_add(&set, 7, 8, NULL, 8, JOURNAL_LOSS_DAMAGED);
	assert_int_equal(ack_set_find(&set, 7)->cause, JOURNAL_LOSS_DAMAGED);
	assert_int_equal(ack_set_find(&set, 6)->cause, ACK_DELIVERED);
	ack_set_split(&set, 7, &other);
	assert_null(ack_set_find(&set, 7));
	assert_non_null(ack_set_find(&other, 9));
	ack_set_clear(&set);
	ack_set_clear(&other);
}

static void test_two_devices_interleaved(void **state)
{
	struct fixture *f = *state;
	struct reading out;
	struct journal_block *b;

	open_journal(f);
	for (int i = 0; i < 5; i++) {
		append_round(f, i, i, true);
		append_value(f, f->sensor_b, i);
		reopen(f);
	}
	assert_int_equal(count(f, f->a), 5 * SENSORS);
	assert_int_equal(count(f, f->b), 5);
	b = take_one(f, f->b, 0);
	assert_int_equal(journal_block_readings(b, &out), 1);
	assert_int_equal(out.sensor, f->sensor_b);
	journal_block_free(b);
	ack_all(f, f->a);
	reopen(f);
	assert_int_equal(count(f, f->a), 0);
	assert_int_equal(count(f, f->b), 5);
}

static void test_unknown_numbers(void **state)
{
	struct fixture *f = *state;
	struct journal_ack ack = {.id = 12345, .n = 3};
	struct journal_block *b = NULL;
	const char *slug, *uuid;

	open_journal(f);
	append_value(f, 0, 1);
	append_value(f, 99999, 1);
	assert_int_equal(waiting(f), 0);
	assert_int_equal(journal_take(f->journal, 77, 0, 1, &b, 1), -ENOENT);
	assert_int_equal(journal_take(f->journal, 0, 0, 1, &b, 1), -ENOENT);
	journal_ack(f->journal, 77, &ack, 1);
	journal_ack(f->journal, f->a, &ack, 1);
	ack.id = (int64_t)f->a << 40 | 999;
	journal_ack(f->journal, f->a, &ack, 1);
	assert_int_equal(journal_backlog(f->journal, 77), 0);
	assert_int_equal(journal_newest_id(f->journal, 77), 0);
	assert_int_equal(journal_find_newer(f->journal, 77, 0), 0);
	journal_subscribe(f->journal, 77, f->eventfd);
	assert_int_equal(journal_sensor_names(f->journal, 0, &slug, &uuid), -ENOENT);
	assert_int_equal(journal_sensor_names(f->journal, 99999, &slug, &uuid), -ENOENT);
	assert_int_equal(journal_sensor(f->journal, 77, "x", NULL), 0);
	append_round(f, 1, 1, true);
	reopen(f);
	assert_int_equal(count(f, f->a), SENSORS);
}

static void test_sensor_names(void **state)
{
	static const char uuid_1[] = "fe738b8f-9efe-46a7-a1c6-b861be358442";
	struct fixture *f = *state;
	const char *slug, *uuid, *old_slug;
	uint32_t n;

	open_journal(f);
	n = journal_sensor(f->journal, f->a, "temp", NULL);
	assert_int_equal(journal_sensor(f->journal, f->a, "temp", uuid_1), n);
	assert_int_not_equal(journal_sensor(f->journal, f->b, "temp", NULL), n);
	assert_int_equal(journal_sensor_names(f->journal, n, &old_slug, &uuid), 0);
	assert_string_equal(old_slug, "temp");
	assert_string_equal(uuid, uuid_1);
	reopen(f);
	assert_int_equal(journal_sensor(f->journal, f->a, "other", uuid_1), n);
	assert_int_equal(journal_sensor_names(f->journal, n, &slug, &uuid), 0);
	assert_string_equal(slug, "other");
	reopen(f);
	assert_int_equal(journal_sensor_names(f->journal, n, &slug, &uuid), 0);
	assert_string_equal(slug, "other");
	assert_string_equal(uuid, uuid_1);
	/* a slug that was taken away is not used any more, and free for another sensor */
	assert_int_equal(journal_sensor(f->journal, f->a, NULL, uuid_1), n);
	assert_int_equal(journal_sensor_names(f->journal, n, &slug, &uuid), 0);
	assert_null(slug);
	assert_int_not_equal(journal_sensor(f->journal, f->a, "temp", NULL), n);
	assert_int_not_equal(journal_sensor(f->journal, f->a, "other", NULL), n);
}

static void test_find_newer(void **state)
{
	struct fixture *f = *state;
	struct journal_block *b;
	int64_t after;

	open_journal(f);
	assert_int_equal(journal_find_newer(f->journal, f->a, 0), 0);
	append_blocks(f, 10); /* at 0 to 9 s */
	after = journal_find_newer(f->journal, f->a, 6 * US_PER_S);
	b = take_one(f, f->a, after);
	assert_int_equal(b->last_us, 7 * US_PER_S);
	journal_block_free(b);
	assert_int_equal(journal_find_newer(f->journal, f->a, 9 * US_PER_S),
		journal_newest_id(f->journal, f->a));
	b = take_one(f, f->a, journal_find_newer(f->journal, f->a, -1));
	assert_int_equal(b->last_us, 0);
	journal_block_free(b);
	/* in another boot, nothing is newer */
	f->options.boot_id = BOOT_2;
	reopen(f);
	assert_int_equal(
		journal_find_newer(f->journal, f->a, 0), journal_newest_id(f->journal, f->a));
}

/* --- time --- */

static void test_anchor_dates_readings(void **state)
{
	struct fixture *f = *state;
	struct journal_block *b;

	open_journal(f);
	append_round(f, 1, 5, false);
	reopen(f);
	b = take_one(f, f->a, 0);
	assert_false(b->dated);
	assert_true(b->this_boot);
	journal_block_free(b);
	journal_clock_set(f->journal, 4242);
	wait_for_new(f);
	b = take_one(f, f->a, 0);
	assert_true(b->dated);
	assert_int_equal(b->offset_us, 4242);
	journal_block_free(b);
	/* what is read after the clock became doubtful waits again */
	journal_clock_lost(f->journal);
	append_round(f, 2, 6, false);
	reopen(f);
	b = take_one(f, f->a, 0);
	assert_true(b->dated);
	assert_int_equal(journal_newest_us(f->journal), 5 + 4242);
	{
		struct journal_block *second = take_one(f, f->a, b->id);

		assert_false(second->dated);
		journal_block_free(second);
	}
	journal_block_free(b);
	/* after the boot the anchor still dates the first, and nothing the second */
	f->options.boot_id = BOOT_2;
	reopen(f);
	assert_int_equal(count(f, f->a), SENSORS);
	b = take_one(f, f->a, 0);
	assert_true(b->dated);
	assert_false(b->this_boot);
	assert_int_equal(b->offset_us, 4242);
	journal_block_free(b);
}

static void test_undated_are_kept_and_counted(void **state)
{
	struct fixture *f = *state;
	struct journal_stats s;

	open_journal(f);
	append_round(f, 1, 5, false);
	append_round(f, 1, 6, true);
	reopen(f);
	journal_get_stats(f->journal, &s);
	assert_int_equal(s.undated, 0); /* the clock may still become right */
	f->options.boot_id = BOOT_2;
	reopen(f);
	journal_clock_set(f->journal, 77);
	journal_get_stats(f->journal, &s);
	assert_int_equal(s.undated, SENSORS);
	assert_int_equal(s.readings, 2 * SENSORS);
	assert_int_equal(journal_backlog(f->journal, f->a), SENSORS);
	assert_int_equal(count(f, f->a), SENSORS);
	assert_int_equal(count(f, f->a), SENSORS); /* now by the short cut */
	reopen(f);
	journal_get_stats(f->journal, &s);
	assert_int_equal(s.undated, SENSORS);
}

static void test_age(void **state)
{
	struct fixture *f = *state;
	int64_t now_us = now_boottime_ns() / NS_PER_US, hour = NS_PER_H / NS_PER_US;

	f->options.max_age_ns = NS_PER_H;
	open_journal(f);
	append_round(f, 1, now_us - 3 * hour, true);
	reopen(f);
	append_round(f, 2, now_us - 2 * hour, false);
	reopen(f);
	append_round(f, 3, now_us - hour / 2, true);
	reopen(f);
	assert_int_equal(waiting(f), 3 * SENSORS); /* nobody knows what time it is */
	journal_clock_set(f->journal, OFFSET);
	reopen(f);
	append_round(f, 4, now_us, true);
	reopen(f);
	assert_int_equal(waiting(f), 2 * SENSORS);
	assert_int_equal(lost(f, JOURNAL_LOSS_AGE), 2 * SENSORS);
	assert_int_equal(count(f, f->a), 2 * SENSORS);
}

/* --- limits --- */

/* Appends until well beyond the limit, looking at the disk after each commit. */
static uint64_t fill(struct fixture *f, int rounds)
{
	uint64_t appended = 0;
	struct reading readings[SENSORS];
	uint64_t seed = 1;

	for (int i = 0; i < rounds; i++) {
		for (uint32_t k = 0; k < SENSORS; k++) {
			seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
			readings[k] = (struct reading){
				.sensor = f->sensors[k],
				.clock_ok = true,
				.boottime_us = i,
				.offset_us = OFFSET,
				.value = (double)seed * 0x1p-70,
			};
		}
		journal_append(f->journal, readings, SENSORS, true);
		appended += SENSORS;
		if (i % 50 == 49) {
			wait_for_new(f);
			assert_true(size_on_disk(f) <= f->options.max_size);
		}
	}
	return appended;
}

static void test_size_limit_drops_oldest(void **state)
{
	struct fixture *f = *state;
	struct journal_block *b;
	uint64_t appended, left;

	f->options.max_size = INT64_C(1) << 20;
	f->options.commit_interval_ns = NS_PER_MS;
	start_journal(f);
	append_value(f, f->sensor_b, 1); /* the oldest of all, of the other device */
	appended = fill(f, 2000) + 1;
	reopen(f);
	assert_true(size_on_disk(f) <= f->options.max_size);
	left = count(f, f->a) + count(f, f->b);
	assert_true(left > 30000); /* at ten bytes each, it is well used */
	assert_int_equal(waiting(f), left);
	assert_int_equal(lost(f, JOURNAL_LOSS_SIZE), appended - left);
	assert_int_equal(count(f, f->b), 0);
	b = take_one(f, f->a, 0);
	assert_true(b->first_us > 0);
	journal_block_free(b);
	assert_int_equal(f->events[JOURNAL_EVENT_FAILING], 0);
	assert_true(f->events[JOURNAL_EVENT_LOST] >= 1);
}

static void test_size_limit_refuses_newest(void **state)
{
	struct fixture *f = *state;
	struct journal_block *b;
	uint64_t appended, left;

	f->options.max_size = INT64_C(1) << 20;
	f->options.commit_interval_ns = NS_PER_MS;
	f->options.drop_newest = true;
	start_journal(f);
	appended = fill(f, 2000);
	reopen(f);
	assert_true(size_on_disk(f) <= f->options.max_size);
	left = count(f, f->a);
	assert_true(left > 30000);
	assert_int_equal(lost(f, JOURNAL_LOSS_SIZE), appended - left);
	b = take_one(f, f->a, 0);
	assert_int_equal(b->first_us, 0);
	journal_block_free(b);
	assert_int_equal(f->events[JOURNAL_EVENT_FAILING], 0);
	/* room again */
	ack_all(f, f->a);
	reopen(f);
	append_round(f, 1, 1, true);
	reopen(f);
	assert_int_equal(count(f, f->a), SENSORS);
}

static void test_lowered_limit_shrinks_the_file(void **state)
{
	struct fixture *f = *state;
	uint64_t appended, left;

	f->options.max_size = INT64_C(16) << 20;
	f->options.commit_interval_ns = NS_PER_MS;
	start_journal(f);
	appended = fill(f, 5000);
	reopen(f);
	assert_true(size_on_disk(f) > INT64_C(3) << 20);
	close_journal(f);
	f->options.max_size = INT64_C(1) << 20;
	open_journal(f);
	reopen(f);
	assert_true(size_on_disk(f) <= f->options.max_size);
	left = count(f, f->a);
	assert_true(left > 30000);
	assert_int_equal(lost(f, JOURNAL_LOSS_SIZE), appended - left);
}

static void test_limit_can_change_while_running(void **state)
{
	struct fixture *f = *state;
	uint64_t appended;

	f->options.max_size = INT64_C(16) << 20;
	f->options.commit_interval_ns = NS_PER_MS;
	start_journal(f);
	appended = fill(f, 2000);
	f->options.max_size = INT64_C(1) << 20;
	journal_set_options(f->journal, &f->options);
	append_round(f, 1, 1, true);
	reopen(f);
	assert_true(size_on_disk(f) <= f->options.max_size);
	assert_int_equal(lost(f, JOURNAL_LOSS_SIZE) + count(f, f->a), appended + SENSORS);
}

static void test_memory_is_bounded(void **state)
{
	struct fixture *f = *state;
	struct journal_stats s;
	uint64_t left;

	f->options.max_memory = 64 << 10;
	open_journal(f); /* not started: all stays in memory */
	for (int i = 0; i < 1000; i++) {
		append_round(f, i, i, true);
		journal_get_stats(f->journal, &s);
		assert_true(s.memory_bytes <= f->options.max_memory + 64);
	}
	assert_int_equal(s.readings + s.dropped[JOURNAL_LOSS_MEMORY], 1000 * SENSORS);
	assert_true(s.dropped[JOURNAL_LOSS_MEMORY] > 0);
	left = s.readings;
	reopen(f);
	assert_int_equal(count(f, f->a), left);
	assert_int_equal(lost(f, JOURNAL_LOSS_MEMORY), 1000 * SENSORS - left);
}

static void test_losses_survive(void **state)
{
	struct fixture *f = *state;

	open_journal(f);
	journal_count_loss(f->journal, f->a, JOURNAL_LOSS_REFUSED, 3);
	reopen(f);
	journal_count_loss(f->journal, f->a, JOURNAL_LOSS_REFUSED, 4);
	reopen(f);
	assert_int_equal(lost(f, JOURNAL_LOSS_REFUSED), 7);
	assert_string_equal(journal_loss_name(JOURNAL_LOSS_REFUSED), "refused");
}

/* --- what goes wrong --- */

static void test_kill_loses_nothing_committed(void **state)
{
	struct fixture *f = *state;
	int pipes[2], status;
	uint32_t committed = 0, n;
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		start_journal(f);
		for (uint32_t i = 1;; i++) {
			append_round(f, i, i, true);
			wait_for_new(f);
			if (write(pipes[1], &i, sizeof(i)) != sizeof(i)) {
				_exit(1);
			}
		}
	}
	(void)close(pipes[1]);
	while (committed < 200) {
		assert_int_equal(read(pipes[0], &committed, sizeof(committed)), sizeof(committed));
	}
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	while (read(pipes[0], &n, sizeof(n)) == sizeof(n)) {
		committed = n;
	}
	(void)close(pipes[0]);
	open_journal(f);
	assert_true(count(f, f->a) >= (uint64_t)committed * SENSORS);
	assert_int_equal(waiting(f), count(f, f->a));
	assert_int_equal(f->events[JOURNAL_EVENT_DAMAGED], 0);
}

static bool mount_small(struct fixture *f, const char *size)
{
	char options[40];

	(void)snprintf(options, sizeof(options), "size=%s", size);
	return mount("none", f->directory, "tmpfs", 0, options) == 0;
}

static void fill_disk(struct fixture *f, char ballast[120])
{
	char zeros[4096] = {0};
	int fd;

	(void)snprintf(ballast, 120, "%s/ballast", f->directory);
	fd = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	while (write(fd, zeros, sizeof(zeros)) > 0) {
	}
	(void)close(fd);
}

static void test_full_disk(void **state)
{
	struct fixture *f = *state;
	struct journal_stats s;
	char ballast[120];

	if (!mount_small(f, "4m")) {
		print_message("# no permission to mount a small file system\n");
		skip();
	}
	f->options.commit_interval_ns = NS_PER_MS;
	start_journal(f);
	append_round(f, 1, 1, true);
	wait_for_new(f);
	fill_disk(f, ballast);
	for (int i = 0; i < 50; i++) {
		append_round(f, 2, 2, true);
		(void)fill(f, 50);
	}
	wait_event(f, JOURNAL_EVENT_FAILING);
	journal_get_stats(f->journal, &s);
	assert_true(s.failing);
	assert_true(strlen(s.error) > 0);
	forget_new(f);
	append_round(f, 3, 3, true);
	wait_for_new(f); /* visible all the same */
	assert_true(count(f, f->a) + s.dropped[JOURNAL_LOSS_MEMORY] >= 1000 * SENSORS);
	ack_all(f, f->a); /* and can be acknowledged */
	assert_int_equal(count(f, f->a), 0);
	append_round(f, 4, 4, true);
	assert_int_equal(unlink(ballast), 0);
	wait_event(f, JOURNAL_EVENT_RECOVERED);
	reopen(f);
	assert_int_equal(count(f, f->a), SENSORS);
	assert_int_equal(f->events[JOURNAL_EVENT_FAILING], 1);
	close_journal(f);
	assert_int_equal(umount(f->directory), 0);
}

/* The value of each reading tells its sensor. Returns how many readings there are. */
static uint32_t check_numbers(struct fixture *f)
{
	struct journal_block *blocks[8];
	struct reading out[SENSORS];
	uint32_t total = 0;
	int n;

	n = journal_take(f->journal, f->a, 0, UINT32_MAX, blocks, ARRAY_SIZE(blocks));
	for (int i = 0; i < n; i++) {
		assert_true(blocks[i]->n <= SENSORS);
		assert_int_equal(journal_block_readings(blocks[i], out), blocks[i]->n);
		for (uint32_t k = 0; k < blocks[i]->n; k++) {
			uint32_t which = (uint32_t)out[k].value % 1000;
			const char *slug, *uuid;
			char expected[20];

			(void)snprintf(expected, sizeof(expected), "s%u", which);
			assert_int_equal(out[k].sensor, f->sensors[which]);
			assert_int_equal(
				journal_sensor_names(f->journal, out[k].sensor, &slug, &uuid), 0);
			assert_string_equal(slug, expected);
		}
		total += blocks[i]->n;
		journal_block_free(blocks[i]);
	}
	return total;
}

static void test_read_only_disk(void **state)
{
	struct fixture *f = *state;

	if (!mount_small(f, "4m")) {
		print_message("# no permission to mount a small file system\n");
		skip();
	}
	f->options.commit_interval_ns = NS_PER_MS;
	open_journal(f);
	append_round(f, 0, 1, true);
	close_journal(f);
	assert_int_equal(mount("none", f->directory, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	/* numbers are given out without the file, in another order than those in it */
	f->journal = journal_open(&f->options);
	assert_int_equal(f->events[JOURNAL_EVENT_FAILING], 1);
	f->b = journal_device(f->journal, DEVICE_B);
	f->a = journal_device(f->journal, DEVICE_A);
	for (uint32_t i = 0; i < SENSORS; i++) {
		char slug[20];

		(void)snprintf(slug, sizeof(slug), "s%u", SENSORS - 1 - i);
		f->sensors[SENSORS - 1 - i] = journal_sensor(f->journal, f->a, slug, NULL);
	}
	journal_subscribe(f->journal, f->a, f->eventfd);
	assert_int_equal(journal_start(f->journal), 0);
	forget_new(f);
	append_round(f, 1000, 2, true);
	wait_for_new(f);
	assert_int_equal(count(f, f->a), SENSORS);
	assert_int_equal(mount("none", f->directory, NULL, MS_REMOUNT, NULL), 0);
	wait_event(f, JOURNAL_EVENT_RECOVERED);
	forget_new(f);
	append_round(f, 2000, 3, true);
	wait_for_new(f);
	/* those handed out remain right, for what is in the file as well */
	assert_int_equal(check_numbers(f), 3 * SENSORS);
	reopen(f);
	assert_int_equal(count(f, f->a), 3 * SENSORS);
	close_journal(f);
	assert_int_equal(umount(f->directory), 0);
}

static void overwrite(struct fixture *f, off_t offset, size_t size)
{
	_cleanup_(freep) uint8_t *junk = xmalloc(size);
	int fd = open(f->path, O_WRONLY | O_CLOEXEC);

	memset(junk, 0xa5, size);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, junk, size, offset), size);
	(void)close(fd);
}

static size_t set_aside_files(struct fixture *f)
{
	_cleanup_(freep) char *pattern = xasprintf("%s.damaged-*Z*", f->path);
	size_t n = 0;
	glob_t g;

	if (glob(pattern, 0, NULL, &g) == 0) {
		for (size_t i = 0; i < g.gl_pathc; i++) {
			n += !strstr(g.gl_pathv[i], "-wal") && !strstr(g.gl_pathv[i], "-shm");
		}
		globfree(&g);
	}
	return n;
}

static void test_damaged_header(void **state)
{
	struct fixture *f = *state;

	open_journal(f);
	append_round(f, 1, 1, true);
	close_journal(f);
	overwrite(f, 0, 100);
	open_journal(f);
	assert_int_equal(f->events[JOURNAL_EVENT_DAMAGED], 1);
	assert_int_equal(set_aside_files(f), 1);
	append_round(f, 1, 1, true);
	reopen(f);
	assert_int_equal(count(f, f->a), SENSORS);
	assert_int_equal(f->events[JOURNAL_EVENT_DAMAGED], 1);
}

static void test_damaged_pages_in_the_middle(void **state)
{
	struct fixture *f = *state;
	uint64_t appended, left;

	f->options.commit_interval_ns = NS_PER_MS;
	start_journal(f);
	journal_count_loss(f->journal, f->a, JOURNAL_LOSS_REFUSED, 5);
	appended = fill(f, 2000);
	close_journal(f);
	overwrite(f, INT64_C(60) * 4096, 8 * 4096);
	f->options.commit_interval_ns = NS_PER_S;
	start_journal(f);
	/* found when it is read: the thread repairs, and reading fails meanwhile */
	for (int tries = 0; f->events[JOURNAL_EVENT_DAMAGED] == 0; tries++) {
		struct journal_block *blocks[16];
		int64_t after = 0;
		int n;

		while ((n = journal_take(
				f->journal, f->a, after, 4000, blocks, ARRAY_SIZE(blocks))) > 0) {
			for (int i = 0; i < n; i++) {
				after = blocks[i]->id;
				journal_block_free(blocks[i]);
			}
		}
		if (n < 0) {
			wait_event(f, JOURNAL_EVENT_DAMAGED);
		}
		assert_true(tries < 3);
	}
	append_round(f, 1, 1, true);
	reopen(f);
	left = count(f, f->a);
	assert_true(left > appended * 8 / 10);
	assert_true(left < appended);
	assert_int_equal(lost(f, JOURNAL_LOSS_DAMAGED), appended + SENSORS - left);
	assert_int_equal(lost(f, JOURNAL_LOSS_REFUSED), 5);
	assert_int_equal(waiting(f), left);
	assert_int_equal(set_aside_files(f), 1);
}

static void test_block_with_wrong_checksum(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *command = NULL;

	open_journal(f);
	append_blocks(f, 3);
	close_journal(f);
	command = xasprintf("sqlite3 '%s' \"UPDATE block SET crc = crc + 1 WHERE first_us = "
			    "1000000\" >/dev/null 2>&1",
		f->path);
	if (system(command) != 0) {
		print_message("# no sqlite3 program\n");
		skip();
	}
	open_journal(f);
	assert_int_equal(count(f, f->a), 2 * SENSORS);
	reopen(f);
	assert_int_equal(waiting(f), 2 * SENSORS);
	assert_int_equal(lost(f, JOURNAL_LOSS_DAMAGED), SENSORS);
	assert_int_equal(f->events[JOURNAL_EVENT_DAMAGED], 0);
}

static void test_foreign_file(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *command = NULL;

	command = xasprintf("sqlite3 '%s' 'CREATE TABLE t (x)' >/dev/null 2>&1", f->path);
	if (system(command) != 0) {
		print_message("# no sqlite3 program\n");
		skip();
	}
	open_journal(f);
	assert_int_equal(f->events[JOURNAL_EVENT_DAMAGED], 1);
	assert_non_null(strstr(f->last[JOURNAL_EVENT_DAMAGED], "another program"));
	assert_int_equal(set_aside_files(f), 1);
}

static void test_text_file_and_no_more_than_three(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 5; i++) {
		int fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		assert_int_equal(
			write(fd, "this is not a database file, but a long text\n", 45), 45);
		(void)close(fd);
		open_journal(f);
		append_round(f, 1, 1, true);
		close_journal(f);
	}
	assert_int_equal(f->events[JOURNAL_EVENT_DAMAGED], 5);
	assert_int_equal(set_aside_files(f), 3);
}

static void test_truncated_file(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	uint64_t appended, left;

	f->options.commit_interval_ns = NS_PER_MS;
	start_journal(f);
	appended = fill(f, 1000);
	close_journal(f);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(truncate(f->path, st.st_size / 2 / 4096 * 4096), 0);
	open_journal(f);
	if (f->events[JOURNAL_EVENT_DAMAGED] == 0) {
		struct journal_block *blocks[16];
		int64_t after = 0;
		int n;

		while ((n = journal_take(
				f->journal, f->a, after, 4000, blocks, ARRAY_SIZE(blocks))) > 0) {
			for (int i = 0; i < n; i++) {
				after = blocks[i]->id;
				journal_block_free(blocks[i]);
			}
		}
	}
	reopen(f);
	assert_int_equal(f->events[JOURNAL_EVENT_DAMAGED], 1);
	left = count(f, f->a);
	assert_int_equal(lost(f, JOURNAL_LOSS_DAMAGED) + left, appended);
}

/* --- many threads --- */

struct stress {
	struct fixture *f;
	uint64_t delivered;
	_Atomic bool done;
};

static void *stress_append(void *arg)
{
	struct stress *s = arg;

	for (int i = 0; i < 300; i++) {
		append_round(s->f, i, i, true);
	}
	return NULL;
}

static void *stress_deliver(void *arg)
{
	struct stress *s = arg;
	struct fixture *f = s->f;
	bool last;

	do {
		struct journal_block *blocks[8];
		int n;

		last = atomic_load(&s->done);
		while ((n = journal_take(f->journal, f->a, 0, 10000, blocks, 8)) > 0) {
			for (int i = 0; i < n; i++) {
				struct journal_ack ack = {.id = blocks[i]->id, .n = blocks[i]->n};

				s->delivered += blocks[i]->n - blocks[i]->n_acked;
				if (i % 2) {
					uint8_t bits[2048];

					memset(bits, 0xff, sizeof(bits));
					ack.acked = bits;
					journal_ack(f->journal, f->a, &ack, 1);
				} else {
					journal_ack(f->journal, f->a, &ack, 1);
				}
				journal_block_free(blocks[i]);
			}
		}
		assert_true(n == 0);
		if (!last) {
			wait_for_new(f);
		}
	} while (!last);
	return NULL;
}

static void *stress_watch(void *arg)
{
	struct stress *s = arg;
	struct journal_stats stats;

	while (!atomic_load(&s->done)) {
		journal_get_stats(s->f->journal, &stats);
		(void)journal_backlog(s->f->journal, s->f->a);
		(void)journal_find_newer(s->f->journal, s->f->a, 100);
		journal_clock_set(s->f->journal, OFFSET);
	}
	return NULL;
}

static void test_many_threads(void **state)
{
	struct fixture *f = *state;
	struct stress s = {.f = f};
	pthread_t append[3], deliver, watch;

	f->options.commit_interval_ns = NS_PER_MS;
	start_journal(f);
	for (size_t i = 0; i < ARRAY_SIZE(append); i++) {
		assert_int_equal(pthread_create(&append[i], NULL, stress_append, &s), 0);
	}
	assert_int_equal(pthread_create(&deliver, NULL, stress_deliver, &s), 0);
	assert_int_equal(pthread_create(&watch, NULL, stress_watch, &s), 0);
	for (size_t i = 0; i < ARRAY_SIZE(append); i++) {
		(void)pthread_join(append[i], NULL);
	}
	atomic_store(&s.done, true);
	(void)pthread_join(watch, NULL);
	journal_clock_set(f->journal, OFFSET); /* wakes the one that delivers */
	(void)pthread_join(deliver, NULL);
	reopen(f);
	s.delivered += count(f, f->a);
	assert_int_equal(s.delivered, 3 * 300 * SENSORS);
	ack_all(f, f->a);
	reopen(f);
	assert_int_equal(waiting(f), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_round_trip),
		TEST(test_ids_are_never_used_again),
		TEST(test_partial_acks_survive),
		TEST(test_ack_ranges),
		TEST(test_two_devices_interleaved),
		TEST(test_unknown_numbers),
		TEST(test_sensor_names),
		TEST(test_find_newer),
		TEST(test_anchor_dates_readings),
		TEST(test_undated_are_kept_and_counted),
		TEST(test_age),
		TEST(test_size_limit_drops_oldest),
		TEST(test_size_limit_refuses_newest),
		TEST(test_lowered_limit_shrinks_the_file),
		TEST(test_limit_can_change_while_running),
		TEST(test_memory_is_bounded),
		TEST(test_losses_survive),
		TEST(test_kill_loses_nothing_committed),
		TEST(test_full_disk),
		TEST(test_read_only_disk),
		TEST(test_damaged_header),
		TEST(test_damaged_pages_in_the_middle),
		TEST(test_block_with_wrong_checksum),
		TEST(test_foreign_file),
		TEST(test_text_file_and_no_more_than_three),
		TEST(test_truncated_file),
		TEST(test_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
