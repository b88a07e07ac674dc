/* SPDX-License-Identifier: Apache-2.0 */
#include "line.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* Wakes up this often in a long wait to see whether the daemon stops. */
#define SLICE_NS (100 * NS_PER_MS)
/* What was sent and not even acknowledged for so long beyond the time for an answer: the host is
   gone, or the way to it. */
#define UNACKNOWLEDGED_NS (10 * NS_PER_S)

int modbus_line_wait(struct scg_bus *bus, int fd, short events, int64_t deadline_ns)
{
	struct pollfd pollfd = {.fd = fd, .events = events};

	for (;;) {
		int64_t left_ns = deadline_ns - modbus_now_ns();
		struct timespec timeout = {0};
		int r;

		if (left_ns > 0) {
			timeout.tv_nsec = (long)(left_ns < SLICE_NS ? left_ns : SLICE_NS);
		}
		r = ppoll(&pollfd, 1, &timeout, NULL);
		if (r < 0 && errno != EINTR) {
			return -errno;
		}
		/* Also asked if something is there, for that may be noise without an end. */
		if (bus->host->stopping(bus)) {
			return -ECANCELED;
		}
		if (r > 0) {
			return pollfd.revents;
		}
		if (left_ns <= 0) {
			return 0;
		}
	}
}

static int set_options(const struct scg_bus *bus, int fd)
{
	static const int on = 1;
	int64_t limit_ns = bus->options[BUS_RESPONSE_TIMEOUT].i + UNACKNOWLEDGED_NS;
	unsigned int limit_ms = (unsigned int)(limit_ns / NS_PER_MS);

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0 ||
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit_ms, sizeof(limit_ms)) < 0) {
		return -errno;
	}
	return 0;
}

static int finish_connect(struct scg_bus *bus, int fd, int64_t deadline_ns)
{
	int events = modbus_line_wait(bus, fd, POLLOUT, deadline_ns);
	int error = 0;
	socklen_t size = sizeof(error);

	if (events < 0) {
		return events;
	}
	if (events == 0) {
		return -ETIMEDOUT;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) {
		return -errno;
	}
	return -error;
}

static int connect_address(struct scg_bus *bus, const struct addrinfo *address, int64_t deadline_ns)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0) {
		return -errno;
	}
	r = set_options(bus, fd);
	if (r == 0 && connect(fd, address->ai_addr, address->ai_addrlen) < 0) {
		r = errno == EINPROGRESS ? finish_connect(bus, fd, deadline_ns) : -errno;
	}
	if (r < 0) {
		(void)close(fd); /* nothing to do about an error */
		return r;
	}
	return fd;
}

static int lookup(struct scg_bus *bus, struct addrinfo **ret_addresses)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	char port[8];
	int r;

	(void)snprintf(port, sizeof(port), "%u", (unsigned int)bus->options[BUS_PORT].i & 0xffff);
	r = getaddrinfo(bus->options[BUS_HOST].s, port, &hints, ret_addresses);
	if (r == 0) {
		return 0;
	}
	bus->host->log(
		bus, SCG_LOG_DEBUG, "host %s: %s", bus->options[BUS_HOST].s, gai_strerror(r));
	return r == EAI_MEMORY ? -ENOMEM : -EHOSTUNREACH;
}

int modbus_line_dial(struct scg_bus *bus)
{
	int64_t left_ns = bus->options[BUS_CONNECT_TIMEOUT].i;
	struct addrinfo *addresses;
	int r = lookup(bus, &addresses);
	int64_t begin_ns = modbus_now_ns();
	int n = 0, tried = 0;

	if (r < 0) {
		return r;
	}
	for (const struct addrinfo *a = addresses; a; a = a->ai_next) {
		n++;
	}
	/* An address that swallows everything leaves time for the next one. */
	for (const struct addrinfo *a = addresses; a; a = a->ai_next) {
		tried++;
		r = connect_address(bus, a, begin_ns + left_ns * tried / n);
		if (r >= 0 || r == -ECANCELED) {
			break;
		}
	}
	freeaddrinfo(addresses);
	return r;
}
