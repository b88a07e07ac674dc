/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What receiving a CAN frame costs: the driver as it is, on a socket of this program, with 500
 * signals in 100 messages, each frame with the kernel's time; against a bare loop that receives the
 * same frames in the same way and does nothing with them, and against one that receives each by
 * itself. All three look each 5 ms. Processor time a frame, without that of sending; best of
 * several rounds.
 */
#include <linux/can.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../unit/fake_host.h"
#include "util.h"

#define MESSAGES 100
#define SIGNALS  5  /* in each */
#define PORTION  45 /* frames that gather in 5 ms of 9,000 a second */
#define PACE_NS  (5 * NS_PER_MS)
#define PORTIONS 400
#define ROUNDS   7

static int tx, rx;
static int64_t next_ns; /* when the bare loops look next */

static double cpu_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void send_portion(unsigned first)
{
	struct can_frame frame = {.len = 8};

	for (unsigned i = first; i < first + PORTION; i++) {
		frame.can_id = 0x100 + i % MESSAGES;
		memset(frame.data, (int)i, sizeof(frame.data));
		if (send(tx, &frame, sizeof(frame), 0) != sizeof(frame)) {
			perror("send");
			exit(1);
		}
	}
}

/* As long as the driver does. */
static void wait_next(void)
{
	struct timespec left = {0};
	int64_t now_ns = now_monotonic_ns();

	left.tv_nsec = CLAMP(next_ns - now_ns, 0, PACE_NS);
	(void)ppoll(NULL, 0, &left, NULL);
	next_ns = now_monotonic_ns() + PACE_NS;
}

static void bare_batches(void *ctx)
{
	static struct mmsghdr headers[64];
	static struct iovec vectors[64];
	static struct canfd_frame frames[64];
	static _Alignas(struct cmsghdr) uint8_t control[64][64];
	(void)ctx;
	for (int i = 0; i < 64; i++) {
		vectors[i] = (struct iovec){&frames[i], sizeof(frames[i])};
		headers[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i],
			.msg_iovlen = 1,
			.msg_control = control[i],
			.msg_controllen = sizeof(control[i])};
	}
	wait_next();
	if (recvmmsg(rx, headers, 64, MSG_DONTWAIT, NULL) != PORTION) {
		(void)fprintf(stderr, "frames are missing\n");
		exit(1);
	}
}

static void bare_single(void *ctx)
{
	struct canfd_frame frame;
	struct iovec vector = {&frame, sizeof(frame)};
	_Alignas(struct cmsghdr) uint8_t control[64];
	int n = 0;

	(void)ctx;
	wait_next();
	for (;;) {
		struct msghdr header = {.msg_iov = &vector,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control)};

		if (recvmsg(rx, &header, MSG_DONTWAIT) < 0) {
			break;
		}
		n++;
	}
	if (n != PORTION) {
		(void)fprintf(stderr, "frames are missing\n");
		exit(1);
	}
}

static void driver(void *ctx)
{
	struct fake_bus *f = ctx;

	if (fake_bus_dispatch(f, NS_PER_S) < 0) {
		(void)fprintf(stderr, "dispatch failed\n");
		exit(1);
	}
	/* the readings are the daemon's */
	fake_bus_forget(f);
}

/* Processor time of receiving one frame. */
static double measure(void (*receive)(void *ctx), void *ctx)
{
	double spent = 0;

	for (unsigned i = 0; i < PORTIONS; i++) {
		double start;

		send_portion(i * PORTION);
		start = cpu_ns();
		receive(ctx);
		spent += cpu_ns() - start;
	}
	return spent / ((double)PORTIONS * PORTION);
}

static struct fake_bus *open_driver(const char *build)
{
	_cleanup_(freep) char *directory = xasprintf("%s/tests/unit/can", build);
	_cleanup_(freep) char *options = xasprintf("interface: %d", rx);
	struct fake_bus *f = fake_bus_new(directory, "can", options);

	for (int i = 0; i < MESSAGES * SIGNALS; i++) {
		char name[16], place[80];

		(void)snprintf(name, sizeof(name), "s%d", i);
		(void)snprintf(place, sizeof(place), "id: %d, start_bit: %d, length: 11",
			0x100 + i / SIGNALS, i % SIGNALS * 12);
		(void)fake_bus_add(f, name, NS_PER_S, place);
	}
	if (fake_bus_open(f) < 0) {
		(void)fprintf(stderr, "the driver cannot be opened\n");
		exit(1);
	}
	return f;
}

int main(int argc, char **argv)
{
	int fds[2], on = 1;
	double batches = INFINITY, single = INFINITY, ours = INFINITY;
	struct fake_bus *f;

	if (argc != 2 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
		(void)fprintf(stderr, "usage: bench_can BUILD_FOLDER\n");
		return 1;
	}
	tx = fds[0];
	rx = fds[1];
	if (setsockopt(rx, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) < 0) {
		return 1;
	}
	f = open_driver(argv[1]);
	/* by turns: a machine with other work is not always as fast */
	for (int round = 0; round < ROUNDS; round++) {
		batches = fmin(batches, measure(bare_batches, NULL));
		single = fmin(single, measure(bare_single, NULL));
		ours = fmin(ours, measure(driver, f));
	}
	printf("driver %.0f ns a frame; bare loop, many at a time %.0f ns (x %.2f), one at a time "
	       "%.0f ns (x %.2f)\n",
		ours, batches, ours / batches, single, ours / single);
	fake_bus_free(f);
	return 0;
}
