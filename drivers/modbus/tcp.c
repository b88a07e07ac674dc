/* SPDX-License-Identifier: Apache-2.0 */
#include "transport.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/*
 * Modbus over TCP ([TCP] 3). Each request has a transaction number of its own, and only the answer
 * that bears it counts: one that comes after its time-out is dropped when it comes, and the
 * connection stays good for the other units behind it.
 *
 * Written against sockets rather than a library for what a gateway with many slaves behind one
 * address needs: answers that come late or from another unit are told apart, and every wait ends
 * when the daemon stops.
 */

#define NS_PER_MS   INT64_C(1000000)
#define NS_PER_S    INT64_C(1000000000)
#define HEADER_SIZE 7 /* transaction, protocol, length, unit: [TCP] 3.1.3 */
/* Wakes up this often in a long wait to see whether the daemon stops. */
#define SLICE_NS (200 * NS_PER_MS)
/* What was sent and not even acknowledged for so long beyond the time for an answer: the host is
   gone, or the way to it. */
#define UNACKNOWLEDGED_NS (10 * NS_PER_S)

struct tcp_link {
	struct scg_bus *bus;
	int fd;
	uint16_t transaction;  /* of the last request */
	int64_t last_ns;       /* when the last exchange ended, monotonic */
	int64_t busy_until_ns; /* a gateway may still be waiting for a unit that was silent */
	size_t n;              /* bytes of answers not yet taken */
	uint8_t buffer[HEADER_SIZE + MODBUS_PDU_MAX];
};

static int64_t monotonic_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* Waits until `deadline_ns`. 1 if the socket is ready, 0 if the time is over, -ECANCELED if the
   daemon stops, or another negative errno. */
static int wait_ready(struct tcp_link *link, short events, int64_t deadline_ns)
{
	struct pollfd pollfd = {.fd = link->fd, .events = events};

	for (;;) {
		int64_t left_ns = deadline_ns - monotonic_ns();
		struct timespec timeout;
		int r;

		if (left_ns < 0) {
			left_ns = 0;
		}
		if (left_ns > SLICE_NS) {
			timeout = (struct timespec){.tv_nsec = SLICE_NS};
		} else {
			timeout = (struct timespec){.tv_nsec = (long)left_ns};
		}
		r = ppoll(&pollfd, 1, &timeout, NULL);
		if (r > 0) {
			return 1;
		}
		if (r < 0 && errno != EINTR) {
			return -errno;
		}
		if (link->bus->host->stopping(link->bus)) {
			return -ECANCELED;
		}
		if (left_ns == 0) {
			return 0;
		}
	}
}

static void tcp_disconnect(struct tcp_link *link)
{
	if (link->fd >= 0) {
		(void)close(link->fd); /* nothing to do about an error */
		link->fd = -1;
	}
	link->n = 0;
}

static int set_options(struct tcp_link *link)
{
	static const int on = 1;
	int64_t limit_ns = link->bus->options[BUS_RESPONSE_TIMEOUT].i + UNACKNOWLEDGED_NS;
	unsigned int limit_ms = (unsigned int)(limit_ns / NS_PER_MS);

	if (setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
		setsockopt(link->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0 ||
		setsockopt(link->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit_ms, sizeof(limit_ms)) <
			0) {
		return -errno;
	}
	return 0;
}

static int await_connection(struct tcp_link *link)
{
	int64_t deadline_ns = monotonic_ns() + link->bus->options[BUS_CONNECT_TIMEOUT].i;
	int error = 0;
	socklen_t size = sizeof(error);
	int r = wait_ready(link, POLLOUT, deadline_ns);

	if (r <= 0) {
		return r < 0 ? r : -ETIMEDOUT;
	}
	if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) {
		return -errno;
	}
	return -error;
}

static int connect_address(struct tcp_link *link, const struct addrinfo *address)
{
	int r;

	link->fd = socket(
		address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (link->fd < 0) {
		return -errno;
	}
	r = set_options(link);
	if (r == 0 && connect(link->fd, address->ai_addr, address->ai_addrlen) < 0) {
		r = errno == EINPROGRESS ? await_connection(link) : -errno;
	}
	if (r < 0) {
		tcp_disconnect(link);
	}
	return r;
}

static int lookup_error(struct scg_bus *bus, int code)
{
	int saved = errno;

	bus->host->log(
		bus, SCG_LOG_DEBUG, "host %s: %s", bus->options[BUS_HOST].s, gai_strerror(code));
	switch (code) {
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return saved ? -saved : -EHOSTUNREACH;
	case EAI_AGAIN:
		return -EAGAIN;
	default:
		return -EHOSTUNREACH;
	}
}

/* Only a name is looked up, which may block as long as the resolver's own time-outs. */
static int tcp_connect(struct tcp_link *link)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM,
	};
	const union scg_value *options = link->bus->options;
	struct addrinfo *addresses = NULL;
	char port[8];
	int r;

	(void)snprintf(port, sizeof(port), "%u", (unsigned int)options[BUS_PORT].i & 0xffff);
	r = getaddrinfo(options[BUS_HOST].s, port, &hints, &addresses);
	if (r != 0) {
		return lookup_error(link->bus, r);
	}
	r = -EHOSTUNREACH;
	for (const struct addrinfo *a = addresses; a; a = a->ai_next) {
		r = connect_address(link, a);
		if (r == 0 || r == -ECANCELED) {
			break;
		}
	}
	freeaddrinfo(addresses);
	link->last_ns = monotonic_ns();
	link->busy_until_ns = 0;
	return r;
}

static void tcp_close(void *data)
{
	struct tcp_link *link = data;

	tcp_disconnect(link);
	free(link);
}

static int tcp_open(struct scg_bus *bus, void **ret_link)
{
	struct tcp_link *link = calloc(1, sizeof(*link));
	int r;

	if (!link) {
		return -ENOMEM;
	}
	link->bus = bus;
	link->fd = -1;
	r = tcp_connect(link);
	if (r < 0) {
		tcp_close(link);
		return r;
	}
	*ret_link = link;
	return 0;
}

/*
 * Many slaves close a connection that was idle for a while, some after each answer: that is no
 * failure, if a new one can be had.
 */
static int revive(struct tcp_link *link)
{
	uint8_t byte;
	ssize_t n;

	n = recv(link->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) {
		return 0;
	}
	tcp_disconnect(link);
	return tcp_connect(link);
}

static void wait_gap(const struct tcp_link *link)
{
	int64_t gap_ns = link->bus->options[BUS_REQUEST_GAP].i;
	int64_t end_ns = link->last_ns + gap_ns;
	const struct timespec end = {.tv_sec = end_ns / NS_PER_S, .tv_nsec = end_ns % NS_PER_S};

	if (gap_ns > 0) {
		/* At most 2 s by the option's range; a signal only shortens it. */
		(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
	}
}

static int send_request(struct tcp_link *link, uint8_t unit, const struct modbus_pdu *request)
{
	uint8_t frame[HEADER_SIZE + MODBUS_PDU_MAX];
	size_t size = HEADER_SIZE + request->size;
	ssize_t n;

	link->transaction++;
	frame[0] = (uint8_t)(link->transaction >> 8);
	frame[1] = (uint8_t)link->transaction;
	frame[2] = 0;
	frame[3] = 0;
	frame[4] = (uint8_t)((request->size + 1) >> 8);
	frame[5] = (uint8_t)(request->size + 1);
	frame[6] = unit;
	memcpy(frame + HEADER_SIZE, request->bytes, request->size);

	do {
		n = send(link->fd, frame, size, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		/* A buffer full of requests that nobody takes is a dead link as well. */
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	}
	return (size_t)n == size ? 0 : -ETIMEDOUT;
}

/*
 * Takes the first frame out of the buffer. 1 if it is the answer, 0 if there is no whole frame,
 * -EAGAIN for an answer to an earlier request, -EPROTO for what is no Modbus.
 */
static int take_frame(struct tcp_link *link, uint8_t *ret_unit, struct modbus_pdu *ret_answer)
{
	const uint8_t *frame = link->buffer;
	size_t length, size;
	bool is_mine;

	if (link->n < HEADER_SIZE) {
		return 0;
	}
	length = (size_t)frame[4] << 8 | frame[5]; /* of unit and PDU */
	if (frame[2] != 0 || frame[3] != 0 || length < 3 || length > 1 + MODBUS_PDU_MAX) {
		return -EPROTO;
	}
	size = HEADER_SIZE - 1 + length;
	if (link->n < size) {
		return 0;
	}
	is_mine = ((uint16_t)frame[0] << 8 | frame[1]) == link->transaction;
	if (is_mine) {
		*ret_unit = frame[6];
		ret_answer->size = length - 1;
		memcpy(ret_answer->bytes, frame + HEADER_SIZE, length - 1);
	}
	link->n -= size;
	memmove(link->buffer, link->buffer + size, link->n);
	return is_mine ? 1 : -EAGAIN;
}

/* Reads what is there. 0, or a negative errno if the link is gone. */
static int receive(struct tcp_link *link)
{
	ssize_t n = recv(link->fd, link->buffer + link->n, sizeof(link->buffer) - link->n, 0);

	if (n > 0) {
		link->n += (size_t)n;
		return 0;
	}
	if (n == 0) {
		return -ECONNRESET;
	}
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

static int await_answer(
	struct tcp_link *link, uint8_t unit, bool patient, struct modbus_pdu *ret_answer)
{
	int64_t timeout_ns = link->bus->options[BUS_RESPONSE_TIMEOUT].i;
	int64_t begin_ns = monotonic_ns();
	bool is_over = false;
	uint8_t from;
	int r;

	if (patient && link->busy_until_ns > begin_ns) {
		begin_ns = link->busy_until_ns;
	}
	for (;;) {
		do {
			r = take_frame(link, &from, ret_answer);
		} while (r == -EAGAIN);
		if (r < 0) {
			return r;
		}
		if (r == 1) {
			link->busy_until_ns = 0;
			return from == unit ? MODBUS_ANSWERED : MODBUS_NONSENSE;
		}
		/* A slave that goes on sending something else must not hold the bus. */
		if (is_over) {
			break;
		}
		is_over = monotonic_ns() >= begin_ns + timeout_ns;
		r = wait_ready(link, POLLIN, begin_ns + timeout_ns);
		if (r == 0) {
			break;
		}
		r = r > 0 ? receive(link) : r;
		if (r < 0) {
			return r;
		}
	}
	link->busy_until_ns = begin_ns + 2 * timeout_ns;
	return MODBUS_SILENT;
}

static int tcp_exchange(void *data, uint8_t unit, const struct modbus_pdu *request, bool patient,
	struct modbus_pdu *ret_answer)
{
	struct tcp_link *link = data;
	int r;

	wait_gap(link);
	r = revive(link);
	if (r == 0) {
		r = send_request(link, unit, request);
	}
	if (r == 0) {
		r = await_answer(link, unit, patient, ret_answer);
	}
	link->last_ns = monotonic_ns();
	return r == -ECANCELED ? MODBUS_STOPPED : r;
}

const struct modbus_transport modbus_tcp = {
	.open = tcp_open,
	.exchange = tcp_exchange,
	.close = tcp_close,
};
