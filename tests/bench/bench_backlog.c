/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backlog to replay, and what its replay is held against.
 *
 *   bench_backlog fill JOURNAL SENSORS READINGS
 *       writes what the gateway would have, had it read SENSORS sensors once a second while the
 *       broker was away: one block a second.
 *   bench_backlog read JOURNAL
 *       takes and unpacks all of it in the windows of the replay, and does nothing with it.
 *   bench_backlog send PORT SENSORS READINGS PER_MESSAGE
 *       sends bulk uploads of PER_MESSAGE readings, written beforehand, over one connection of
 *       libmosquitto with 20 in flight, QoS 1.
 *
 * Each prints one line of JSON. Sensors and values are those of tests/bench/world.py: a register is
 * an unsigned 16-bit number, scaled by 0.1.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <mosquitto.h>

#include "journal.h"
#include "payload.h"
#include "util.h"

#define TENANT      "123"
#define DEVICE_UUID "00000000-0000-4000-8000-d00000000000"
/* Those of history.c. */
#define WINDOW_READINGS 49152u
#define WINDOW_BLOCKS   2048u
#define IN_FLIGHT       20
#define COMMIT_WAIT_MS  10000
#define BROKER_WAIT_MS  10000

static int64_t cpu_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts); /* cannot fail */
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static void sensor_uuid(char buf[37], int64_t index)
{
	(void)snprintf(buf, 37, "00000000-0000-4000-8000-0000%08" PRIx32, (uint32_t)index);
}

static double sensor_value(int64_t sensor, int64_t second)
{
	return (double)((second * 10000 + 257 * sensor) & 0xffff) * 0.1;
}

static struct journal *open_journal(const char *path)
{
	struct journal_options options = {.path = path,
		.max_size = INT64_C(4) << 30,
		.commit_interval_ns = 1,
		.max_memory = INT64_C(64) << 20,
		.boot_id = "the boot before"};

	return journal_open(&options);
}

/* One round into the journal, and on disk before it returns. */
static bool write_round(struct journal *j, struct reading *readings, size_t n, int committed)
{
	struct pollfd fd = {.fd = committed, .events = POLLIN};
	uint64_t count;

	journal_append(j, readings, n, true);
	return poll(&fd, 1, COMMIT_WAIT_MS) == 1 &&
	       read(committed, &count, sizeof(count)) == (ssize_t)sizeof(count);
}

static int fill(const char *path, int64_t n_sensors, int64_t n_readings)
{
	int64_t rounds = n_readings / n_sensors;
	int64_t offset_us = now_realtime_ns() / NS_PER_US - (rounds + 60) * US_PER_S;
	struct journal *j = open_journal(path);
	uint32_t device = journal_device(j, DEVICE_UUID);
	int committed = eventfd(0, EFD_CLOEXEC);
	struct reading *readings = xcalloc((size_t)n_sensors, sizeof(*readings));
	struct journal_stats stats;
	char uuid[37];

	for (int64_t i = 0; i < n_sensors; i++) {
		sensor_uuid(uuid, i);
		readings[i] = (struct reading){.sensor = journal_sensor(j, device, NULL, uuid),
			.clock_ok = true,
			.offset_us = offset_us};
	}
	journal_subscribe(j, device, committed);
	if (journal_start(j) < 0) {
		return 1;
	}
	for (int64_t round = 0; round < rounds; round++) {
		for (int64_t i = 0; i < n_sensors; i++) {
			/* a hundred registers an answer, an answer each 100 us */
			readings[i].boottime_us = round * US_PER_S + i / 100 * 100;
			readings[i].value = sensor_value(i, round);
		}
		if (!write_round(j, readings, (size_t)n_sensors, committed)) {
			fprintf(stderr, "%s: not committed\n", path);
			return 1;
		}
	}
	journal_get_stats(j, &stats);
	journal_stop(j);
	printf("{\"readings\":%" PRIu64 "}\n", stats.readings);
	journal_free(j);
	free(readings);
	(void)close(committed);
	return 0;
}

static int read_all(const char *path)
{
	struct journal *j = open_journal(path);
	uint32_t device = journal_device(j, DEVICE_UUID);
	struct journal_block **blocks = xcalloc(WINDOW_BLOCKS, sizeof(*blocks));
	struct reading *readings = NULL;
	size_t capacity = 0;
	int64_t after = 0, wall = now_monotonic_ns(), cpu = cpu_ns();
	uint64_t n_readings = 0;
	double sum = 0;
	int n;

	while ((n = journal_take(j, device, after, WINDOW_READINGS, blocks, WINDOW_BLOCKS)) > 0) {
		for (int i = 0; i < n; i++) {
			while (capacity < blocks[i]->n) {
				GROW(readings, capacity, capacity);
			}
			n_readings += (uint64_t)MAX(journal_block_readings(blocks[i], readings), 0);
			sum += readings[0].value;
			after = blocks[i]->id;
			journal_block_free(blocks[i]);
		}
	}
	printf("{\"readings\":%" PRIu64 ",\"wall_s\":%.6f,\"cpu_s\":%.6f,\"check\":%.1f}\n",
		n_readings, (double)(now_monotonic_ns() - wall) / NS_PER_S,
		(double)(cpu_ns() - cpu) / NS_PER_S, sum);
	free(readings);
	free(blocks);
	journal_stop(j);
	journal_free(j);
	return n < 0 ? 1 : 0;
}

/* --- the client --- */

static bool is_connected;
static int64_t in_flight, n_acked;

static void on_connect(struct mosquitto *m, void *ctx, int code)
{
	is_connected = code == 0;
}

static void on_publish(struct mosquitto *m, void *ctx, int mid)
{
	in_flight--;
	n_acked++;
}

/* Sends and receives what is ready; waits for something if there is nothing. */
static bool turn(struct mosquitto *m)
{
	struct pollfd fd = {.fd = mosquitto_socket(m), .events = POLLIN};

	if (fd.fd < 0) {
		return false;
	}
	if (mosquitto_want_write(m)) {
		fd.events |= POLLOUT;
	}
	if (poll(&fd, 1, BROKER_WAIT_MS) != 1) {
		return false;
	}
	return (!(fd.revents & ~POLLOUT) || mosquitto_loop_read(m, IN_FLIGHT) == 0) &&
	       (!(fd.revents & POLLOUT) || mosquitto_loop_write(m, 1) == 0) &&
	       mosquitto_loop_misc(m) == 0;
}

static struct mosquitto *connect_to(int64_t port)
{
	struct mosquitto *m;

	(void)mosquitto_lib_init(); /* never fails */
	m = mosquitto_new("bench-backlog", true, NULL);
	if (!m || mosquitto_int_option(m, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5) ||
		mosquitto_int_option(m, MOSQ_OPT_TCP_NODELAY, 1)) {
		return NULL;
	}
	mosquitto_connect_callback_set(m, on_connect);
	mosquitto_publish_callback_set(m, on_publish);
	if (mosquitto_connect(m, "127.0.0.1", (int)port, 60)) {
		return NULL;
	}
	while (!is_connected) {
		if (!turn(m)) {
			return NULL;
		}
	}
	return m;
}

static void write_message(struct text *t, int64_t sensor, int64_t n)
{
	int64_t first_us = now_realtime_ns() / NS_PER_US;

	payload_history_begin(t);
	for (int64_t i = 0; i < n; i++) {
		(void)payload_history_add(t, SIZE_MAX, sensor_value(sensor, i),
			first_us + i * US_PER_S, false); /* no limit: always fits */
	}
	payload_history_end(t);
}

static bool send_all(struct mosquitto *m, char **topics, const struct text *payloads,
	int64_t n_sensors, int64_t n_messages)
{
	for (int64_t sent = 0; n_acked < n_messages;) {
		while (in_flight < IN_FLIGHT && sent < n_messages) {
			const struct text *t = &payloads[sent % n_sensors];

			if (mosquitto_publish(m, NULL, topics[sent % n_sensors], (int)t->size,
				    t->data, 1, false)) {
				return false;
			}
			in_flight++;
			sent++;
		}
		if (!turn(m)) {
			return false;
		}
	}
	return true;
}

static int send_backlog(int64_t port, int64_t n_sensors, int64_t n_readings, int64_t per_message)
{
	char **topics = xcalloc((size_t)n_sensors, sizeof(*topics));
	struct text *payloads = xcalloc((size_t)n_sensors, sizeof(*payloads));
	int64_t n_messages = (n_readings + per_message - 1) / per_message, wall, cpu;
	struct mosquitto *m = connect_to(port);
	char uuid[37];
	bool fine;

	for (int64_t i = 0; i < n_sensors; i++) {
		sensor_uuid(uuid, i);
		topics[i] = payload_topic_history(TENANT, DEVICE_UUID, uuid);
		write_message(&payloads[i], i, per_message);
	}
	wall = now_monotonic_ns();
	cpu = cpu_ns();
	fine = m && send_all(m, topics, payloads, n_sensors, n_messages);
	printf("{\"messages\":%" PRId64 ",\"readings\":%" PRId64
	       ",\"wall_s\":%.6f,\"cpu_s\":%.6f}\n",
		n_messages, n_messages * per_message,
		(double)(now_monotonic_ns() - wall) / NS_PER_S,
		(double)(cpu_ns() - cpu) / NS_PER_S);
	for (int64_t i = 0; i < n_sensors; i++) {
		free(topics[i]);
		text_clear(&payloads[i]);
	}
	free(topics);
	free(payloads);
	mosquitto_destroy(m);
	(void)mosquitto_lib_cleanup(); /* never fails */
	return fine ? 0 : 1;
}

int main(int argc, char **argv)
{
	int64_t n[4] = {0};
	bool numbers = true;

	/* what follows the command, but for the path of a journal, are numbers above zero */
	for (int i = 2; i < argc && i < 6; i++) {
		bool is_path = i == 2 && strcmp(argv[1], "send") != 0;

		numbers = numbers &&
			  (is_path || (parse_i64(argv[i], &n[i - 2]) == 0 && n[i - 2] > 0));
	}
	if (numbers && argc == 5 && strcmp(argv[1], "fill") == 0) {
		return fill(argv[2], n[1], n[2]);
	}
	if (numbers && argc == 3 && strcmp(argv[1], "read") == 0) {
		return read_all(argv[2]);
	}
	if (numbers && argc == 6 && strcmp(argv[1], "send") == 0) {
		return send_backlog(n[0], n[1], n[2], n[3]);
	}
	fprintf(stderr, "Use: bench_backlog fill JOURNAL SENSORS READINGS | read JOURNAL |"
			" send PORT SENSORS READINGS PER_MESSAGE\n");
	return 64;
}
