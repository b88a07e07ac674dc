/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subscriber that counts the readings that arrive, and tells how old they are. It looks at the
 * bytes only as far as it must, so that it takes little of the machine that it measures.
 *
 * Use: bench_counter PORT TOPIC... Prints "subscribed", and on SIGUSR1 (and SIGTERM, which ends it)
 * one line of JSON: totals since the start; times are CLOCK_MONOTONIC in nanoseconds. The ages are
 * those of the entries of live batches whose slug begins with "stamp", since the last line:
 * bench_slave.c says how a value tells when it was answered.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <mosquitto.h>

#include "util.h"

#define PACKETS_AT_ONCE 256
/* A stamp counts tenths of a millisecond and wraps. */
#define STAMP_NS     (NS_PER_MS / 10)
#define STAMP_MODULO 65536
#define SLUG_STAMP   "\"sensor_slug\":\"stamp"
#define VALUE_KEY    "\"value\":"

struct kind {
	uint64_t messages, readings, bytes;
	int64_t first_ns, last_ns;
};

static struct kind live, history;
static uint32_t *ages; /* tenths of a millisecond */
static size_t n_ages, ages_capacity;
static char **topics;
static int n_topics;

static uint64_t count(const char *text, size_t size)
{
	const char *end = text + size;
	uint64_t n = 0;

	while ((text = memmem(text, (size_t)(end - text), VALUE_KEY, strlen(VALUE_KEY)))) {
		text += strlen(VALUE_KEY);
		n++;
	}
	return n;
}

/* The number at `p` in tenths; it has at most one decimal. */
static uint32_t tenths(const char *p, const char *end)
{
	uint32_t n = 0;

	while (p < end && *p >= '0' && *p <= '9') {
		n = 10 * n + (uint32_t)(*p++ - '0');
	}
	n *= 10;
	if (end - p > 1 && *p == '.') {
		n += (uint32_t)(p[1] - '0');
	}
	return n;
}

static void note_ages(const char *text, size_t size, int64_t now)
{
	const char *end = text + size;

	while ((text = memmem(text, (size_t)(end - text), SLUG_STAMP, strlen(SLUG_STAMP)))) {
		text = memmem(text, (size_t)(end - text), VALUE_KEY, strlen(VALUE_KEY));
		if (!text) {
			return;
		}
		text += strlen(VALUE_KEY);
		GROW(ages, n_ages, ages_capacity);
		ages[n_ages++] = (uint32_t)((uint64_t)(now / STAMP_NS) - tenths(text, end)) %
				 STAMP_MODULO;
	}
}

static void on_message(struct mosquitto *m, void *ctx, const struct mosquitto_message *message)
{
	int64_t now = now_monotonic_ns();
	size_t size = (size_t)message->payloadlen;
	/* contract: bulk uploads go to .../sensors/UUID */
	bool is_history = strstr(message->topic, "/sensors/");
	struct kind *kind = is_history ? &history : &live;

	kind->messages++;
	kind->readings += count(message->payload, size);
	kind->bytes += size;
	kind->first_ns = kind->first_ns ? kind->first_ns : now;
	kind->last_ns = now;
	if (!is_history) {
		note_ages(message->payload, size, now);
	}
}

static void on_connect(struct mosquitto *m, void *ctx, int code)
{
	if (code == 0) {
		/* a failure is noticed by the missing "subscribed" */
		(void)mosquitto_subscribe_multiple(m, NULL, n_topics, topics, 0, 0, NULL);
	}
}

static void on_subscribe(struct mosquitto *m, void *ctx, int mid, int n, const int *granted)
{
	printf("subscribed\n");
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static double percentile_ms(double share)
{
	return n_ages ? ages[(size_t)((double)(n_ages - 1) * share)] / 10.0 : -1;
}

static void print_kind(const char *name, const struct kind *kind)
{
	printf("\"%s\":{\"messages\":%" PRIu64 ",\"readings\":%" PRIu64 ",\"bytes\":%" PRIu64
	       ",\"first_ns\":%" PRId64 ",\"last_ns\":%" PRId64 "},",
		name, kind->messages, kind->readings, kind->bytes, kind->first_ns, kind->last_ns);
}

static void print_totals(void)
{
	if (n_ages) {
		qsort(ages, n_ages, sizeof(*ages), compare);
	}
	printf("{");
	print_kind("live", &live);
	print_kind("history", &history);
	printf("\"now_ns\":%" PRId64 ",\"ages\":{\"n\":%zu,\"median_ms\":%.1f,\"p99_ms\":%.1f}}\n",
		now_monotonic_ns(), n_ages, percentile_ms(0.5), percentile_ms(0.99));
	n_ages = 0;
}

/* One turn: what the broker sent, what a signal asks for. False when asked to end. */
static bool turn(struct mosquitto *m, int signals)
{
	struct pollfd fds[2] = {
		{.fd = signals, .events = POLLIN}, {.fd = mosquitto_socket(m), .events = POLLIN}};
	struct signalfd_siginfo info = {0};

	if (fds[1].fd < 0) {
		(void)mosquitto_reconnect(m); /* the broker may be away for a while */
		(void)poll(fds, 1, 100);
	} else {
		fds[1].events |= mosquitto_want_write(m) ? POLLOUT : 0;
		(void)poll(fds, 2, 1000);
		if (fds[1].revents & ~POLLOUT) {
			(void)mosquitto_loop_read(m, PACKETS_AT_ONCE); /* closed: seen next turn */
		}
		if (fds[1].revents & POLLOUT) {
			(void)mosquitto_loop_write(m, 1); /* as above */
		}
		(void)mosquitto_loop_misc(m); /* as above */
	}
	if (!(fds[0].revents & POLLIN) ||
		read(signals, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
		return true;
	}
	print_totals();
	return info.ssi_signo == SIGUSR1;
}

int main(int argc, char **argv)
{
	struct mosquitto *m;
	sigset_t set;
	int64_t port;
	int signals;

	if (argc < 3 || parse_i64(argv[1], &port) < 0) {
		fprintf(stderr, "Use: bench_counter PORT TOPIC...\n");
		return 64;
	}
	topics = argv + 2;
	n_topics = argc - 2;
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	(void)mosquitto_lib_init();
	m = mosquitto_new(NULL, true, NULL);
	if (signals < 0 || !m) {
		return 1;
	}
	mosquitto_connect_callback_set(m, on_connect);
	mosquitto_subscribe_callback_set(m, on_subscribe);
	mosquitto_message_callback_set(m, on_message);
	(void)mosquitto_connect(m, "127.0.0.1", (int)port, 600); /* tried again by turn() */
	while (turn(m, signals)) {
	}
	mosquitto_destroy(m);
	(void)mosquitto_lib_cleanup();
	free(ages);
	return 0;
}
