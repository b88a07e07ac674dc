/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Modbus TCP slave that costs little: every unit, every address, reading only. The registers tell
 * when they were answered, so that a subscriber on the same machine knows how old a reading is:
 * register 0 holds CLOCK_MONOTONIC in tenths of a millisecond, modulo 65536, and register N that
 * plus 257 * N, so that no two registers of an answer are alike.
 *
 * Use: bench_slave PORT. Prints "listening", at the first request "first NANOSECONDS", and on
 * SIGUSR1 "requests N registers N".
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util.h"

#define MAX_CLIENTS 64
/* Modbus Messaging on TCP/IP 3.1.3: 7 bytes of MBAP header, then the PDU. */
#define HEADER_SIZE  7
#define REQUEST_SIZE 12
#define MAX_ANSWER   260
/* Modbus Application Protocol 6.3: registers in one answer. */
#define MAX_REGISTERS 125
#define STAMP_NS      (NS_PER_MS / 10)

struct client {
	uint8_t in[4096];
	size_t n_in;
};

static struct client clients[MAX_CLIENTS];
static struct pollfd fds[2 + MAX_CLIENTS]; /* signals, listening, then one a client */
static nfds_t n_fds = 2;
static uint64_t n_requests, n_registers;

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static void put16(uint8_t *p, unsigned value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

/* Writes the answer to `out`; returns its size. */
static size_t answer(const uint8_t *request, uint8_t *out)
{
	unsigned function = request[7], first = get16(request + 8), n = get16(request + 10);
	unsigned stamp = (unsigned)(now_monotonic_ns() / STAMP_NS);

	memcpy(out, request, HEADER_SIZE);
	if ((function != 3 && function != 4) || n < 1 || n > MAX_REGISTERS) {
		put16(out + 4, 3);
		out[7] = (uint8_t)(function | 0x80);
		out[8] = function == 3 || function == 4 ? 3 : 1; /* illegal value, function */
		return 9;
	}
	if (n_requests++ == 0) {
		printf("first %" PRId64 "\n", now_monotonic_ns());
	}
	n_registers += n;
	put16(out + 4, 3 + 2 * n);
	out[7] = (uint8_t)function;
	out[8] = (uint8_t)(2 * n);
	for (unsigned i = 0; i < n; i++) {
		put16(out + 9 + 2 * (size_t)i, stamp + 257 * (first + i));
	}
	return 9 + 2 * (size_t)n;
}

/* Answers what is complete. False if the connection is to be closed. */
static bool serve(struct pollfd *fd, struct client *c)
{
	uint8_t out[MAX_ANSWER];
	size_t done = 0;
	ssize_t n = recv(fd->fd, c->in + c->n_in, sizeof(c->in) - c->n_in, MSG_DONTWAIT);

	if (n <= 0) {
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	}
	c->n_in += (size_t)n;
	while (c->n_in - done >= REQUEST_SIZE) {
		size_t size;

		if (get16(c->in + done + 4) != REQUEST_SIZE - HEADER_SIZE + 1) {
			return false; /* a request of another shape: nobody here sends any */
		}
		size = answer(c->in + done, out);
		if (send(fd->fd, out, size, MSG_NOSIGNAL) != (ssize_t)size) {
			return false;
		}
		done += REQUEST_SIZE;
	}
	memmove(c->in, c->in + done, c->n_in - done);
	c->n_in -= done;
	return true;
}

static void take_client(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	int on = 1;

	if (fd < 0) {
		return;
	}
	if (n_fds == ARRAY_SIZE(fds)) {
		(void)close(fd);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* slower without */
	clients[n_fds - 2].n_in = 0;
	fds[n_fds++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static void drop_client(nfds_t i)
{
	(void)close(fds[i].fd);
	n_fds--;
	fds[i] = fds[n_fds];
	clients[i - 2] = clients[n_fds - 2];
}

static int listen_on(int64_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(fd, MAX_CLIENTS) < 0) {
		return -errno;
	}
	return fd;
}

/* False when asked to end. */
static bool take_signal(int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info) && info.ssi_signo != SIGUSR1) {
		return false;
	}
	printf("requests %" PRIu64 " registers %" PRIu64 "\n", n_requests, n_registers);
	return true;
}

int main(int argc, char **argv)
{
	sigset_t signals;
	int64_t port;

	if (argc != 2 || parse_i64(argv[1], &port) < 0 || port < 1 || port > 65535) {
		fprintf(stderr, "Use: bench_slave PORT\n");
		return 64;
	}
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGUSR1);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	fds[0] = (struct pollfd){.fd = signalfd(-1, &signals, SFD_CLOEXEC), .events = POLLIN};
	fds[1] = (struct pollfd){.fd = listen_on(port), .events = POLLIN};
	if (fds[0].fd < 0 || fds[1].fd < 0) {
		fprintf(stderr, "bench_slave: cannot listen on port %s\n", argv[1]);
		return 1;
	}
	printf("listening\n");
	for (;;) {
		if (poll(fds, n_fds, -1) < 0) {
			return 1;
		}
		for (nfds_t i = n_fds; i-- > 2;) {
			if (fds[i].revents && !serve(&fds[i], &clients[i - 2])) {
				drop_client(i);
			}
		}
		if (fds[0].revents && !take_signal(fds[0].fd)) {
			return 0;
		}
		if (fds[1].revents) {
			take_client(fds[1].fd);
		}
	}
}
