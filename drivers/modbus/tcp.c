/* SPDX-License-Identifier: Apache-2.0 */
#include "transport.h"

#include <errno.h>
#include <modbus.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

/*
 * Modbus over TCP ([TCP] 3), on libmodbus: it connects, and takes the answers off the stream. Each
 * request has a transaction number of its own, and only the answer that bears it counts: one that
 * comes after its time-out is dropped when it comes, and the connection stays good for the other
 * units behind it.
 *
 * The request's 12 bytes are sent from here: libmodbus 3.1.6 numbers only the requests whose answer
 * it awaits by itself, which no stop ends and which takes an answer from any unit, and gives all of
 * modbus_send_raw_request() the number 0, with which a late answer passes for another request's.
 */

#define HEADER_SIZE 7 /* transaction, protocol, length, unit: [TCP] 3.1.3 */
/* Wakes up this often in a long wait to see whether the daemon stops. */
#define SLICE_NS (200 * NS_PER_MS)
/* libmodbus cannot be interrupted, so it gets no more time at once than this: to connect, starting
   with the shorter, and for the rest of an answer that has begun. */
#define CONNECT_MIN_NS NS_PER_S
#define CONNECT_MAX_NS (4 * NS_PER_S)
#define REST_MIN_NS    (20 * NS_PER_MS)
#define REST_MAX_NS    NS_PER_S
/* What was sent and not even acknowledged for so long beyond the time for an answer: the host is
   gone, or the way to it. */
#define UNACKNOWLEDGED_NS (10 * NS_PER_S)
/* What other threads may open while a connection is made. */
#define FDS_SPARE 32

struct tcp_link {
	struct scg_bus *bus;
	modbus_t *modbus;      /* without a connection if that has to be made anew */
	uint16_t transaction;  /* of the last request */
	int64_t last_ns;       /* when the last exchange ended, monotonic */
	int64_t busy_until_ns; /* a gateway may still be waiting for a unit that was silent */
};

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
	if (value < low) {
		return low;
	}
	return value > high ? high : value;
}

/* Waits for bytes until `deadline_ns`. The events of poll(), 0 if the time is over, -ECANCELED if
   the daemon stops, or another negative errno. */
static int wait_readable(const struct tcp_link *link, int64_t deadline_ns)
{
	struct pollfd pollfd = {.fd = modbus_get_socket(link->modbus), .events = POLLIN};

	for (;;) {
		int64_t left_ns = clamp(deadline_ns - modbus_now_ns(), 0, SLICE_NS);
		struct timespec timeout = {.tv_nsec = (long)left_ns};
		int r = ppoll(&pollfd, 1, &timeout, NULL);

		if (r > 0) {
			return pollfd.revents;
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

static void set_limit(const struct tcp_link *link, int64_t limit_ns)
{
	int64_t limit_us = limit_ns / NS_PER_US;

	/* Refuses only 0. */
	(void)modbus_set_response_timeout(
		link->modbus, (uint32_t)(limit_us / 1000000), (uint32_t)(limit_us % 1000000));
}

/* libmodbus puts its descriptor into an fd_set, and one that is too high for that ends the
   process: to be found out before. */
static int check_room(struct scg_bus *bus)
{
	int fd = eventfd(0, EFD_CLOEXEC); /* the lowest number that is free */

	if (fd < 0) {
		return -errno;
	}
	(void)close(fd); /* nothing to do about an error */
	if (fd < FD_SETSIZE - FDS_SPARE) {
		return 0;
	}
	bus->host->log(bus, SCG_LOG_DEBUG,
		"the next descriptor would be %d, and libmodbus takes none above %d", fd,
		FD_SETSIZE - 1);
	return -EMFILE;
}

static int set_options(const struct tcp_link *link)
{
	static const int on = 1;
	int fd = modbus_get_socket(link->modbus);
	int64_t limit_ns = link->bus->options[BUS_RESPONSE_TIMEOUT].i + UNACKNOWLEDGED_NS;
	unsigned int limit_ms = (unsigned int)(limit_ns / NS_PER_MS);

	/* libmodbus sets the first on IPv4 only. */
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0 ||
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit_ms, sizeof(limit_ms)) < 0) {
		return -errno;
	}
	return 0;
}

static int connect_once(struct tcp_link *link, int64_t limit_ns)
{
	int r = check_room(link->bus);

	if (r < 0) {
		return r;
	}
	set_limit(link, limit_ns);
	errno = 0;
	if (modbus_connect(link->modbus) < 0) {
		/* What 3.1.6 leaves behind when the time is over. */
		if (errno == EINPROGRESS) {
			return -ETIMEDOUT;
		}
		return errno ? -errno : -EIO;
	}
	r = set_options(link);
	if (r < 0) {
		modbus_close(link->modbus);
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

/* How many addresses the host has. libmodbus looks them up again, but says of a name that does not
   exist that the connection was refused. */
static int count_addresses(struct scg_bus *bus)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *addresses = NULL;
	int r = getaddrinfo(bus->options[BUS_HOST].s, NULL, &hints, &addresses);
	int n = 0;

	if (r != 0) {
		return lookup_error(bus, r);
	}
	for (const struct addrinfo *a = addresses; a; a = a->ai_next) {
		n++;
	}
	freeaddrinfo(addresses);
	return n > 0 ? n : -EHOSTUNREACH;
}

/* Only a name is looked up, which may block as long as the resolver's own time-outs. */
static int tcp_connect(struct tcp_link *link)
{
	int64_t left_ns = link->bus->options[BUS_CONNECT_TIMEOUT].i;
	int64_t limit_ns = CONNECT_MIN_NS;
	int n = count_addresses(link->bus);
	int64_t deadline_ns = modbus_now_ns() + left_ns;
	int r = -ETIMEDOUT;

	if (n < 0) {
		return n;
	}
	/* libmodbus tries all addresses before it comes back. */
	while (r == -ETIMEDOUT && left_ns >= NS_PER_MS) {
		limit_ns = clamp(limit_ns, NS_PER_MS, CONNECT_MAX_NS / n);
		r = connect_once(link, left_ns < limit_ns ? left_ns : limit_ns);
		if (r == -ETIMEDOUT && link->bus->host->stopping(link->bus)) {
			return -ECANCELED;
		}
		limit_ns *= 2;
		left_ns = deadline_ns - modbus_now_ns();
	}
	link->last_ns = modbus_now_ns();
	link->busy_until_ns = 0;
	return r;
}

static void tcp_close(void *data)
{
	struct tcp_link *link = data;

	if (link->modbus) {
		modbus_close(link->modbus);
		modbus_free(link->modbus);
	}
	free(link);
}

static int tcp_open(struct scg_bus *bus, void **ret_link)
{
	struct tcp_link *link = calloc(1, sizeof(*link));
	char port[8];
	int r = -ENOMEM;

	if (!link) {
		return -ENOMEM;
	}
	(void)snprintf(port, sizeof(port), "%u", (unsigned int)bus->options[BUS_PORT].i & 0xffff);
	link->bus = bus;
	link->modbus = modbus_new_tcp_pi(bus->options[BUS_HOST].s, port);
	if (link->modbus) {
		/* None: an answer as a whole has to come in its time. */
		(void)modbus_set_byte_timeout(link->modbus, 0, 0);
		(void)modbus_set_error_recovery(link->modbus, MODBUS_ERROR_RECOVERY_NONE);
		r = tcp_connect(link);
	}
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
	int fd = modbus_get_socket(link->modbus);
	uint8_t byte;

	if (fd >= 0) {
		ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

		if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) {
			return 0;
		}
		modbus_close(link->modbus);
	}
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
		n = send(modbus_get_socket(link->modbus), frame, size, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		/* A buffer full of requests that nobody takes is a dead link as well. */
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	}
	return (size_t)n == size ? 0 : -ETIMEDOUT;
}

/* Takes one frame off the stream, of the length that its function says. Its size, at least 9, or a
   negative errno, after which the stream may be anywhere within a frame. */
static int receive_frame(
	const struct tcp_link *link, int64_t deadline_ns, uint8_t frame[MODBUS_TCP_MAX_ADU_LENGTH])
{
	int n;

	set_limit(link, clamp(deadline_ns - modbus_now_ns(), REST_MIN_NS, REST_MAX_NS));
	n = modbus_receive_confirmation(link->modbus, frame);
	if (n < 0) {
		return errno > MODBUS_ENOBASE ? -EPROTO : -errno;
	}
	return n;
}

/*
 * MODBUS_ANSWERED if it is the answer, MODBUS_SILENT if it is one to an earlier request, -EPROTO
 * for what is no Modbus. A peer that confuses units or lengths may confuse more: MODBUS_NONSENSE,
 * and a new connection for the next request.
 */
static int take_frame(struct tcp_link *link, const uint8_t *frame, int n, struct modbus_exchange *x)
{
	int length = frame[4] << 8 | frame[5]; /* of unit and PDU */
	bool is_whole = n == HEADER_SIZE - 1 + length;

	if (frame[2] != 0 || frame[3] != 0) {
		return -EPROTO;
	}
	if ((frame[0] << 8 | frame[1]) != link->transaction) {
		return is_whole ? MODBUS_SILENT : -EPROTO;
	}
	if (!is_whole || frame[6] != x->unit) {
		modbus_close(link->modbus);
		return MODBUS_NONSENSE;
	}
	x->answer.size = (size_t)length - 1;
	memcpy(x->answer.bytes, frame + HEADER_SIZE, x->answer.size);
	return MODBUS_ANSWERED;
}

static int await_answer(struct tcp_link *link, struct modbus_exchange *x)
{
	int64_t timeout_ns = x->limit_ns;
	int64_t sent_ns = modbus_now_ns();
	int64_t begin_ns = sent_ns;
	uint8_t frame[MODBUS_TCP_MAX_ADU_LENGTH];

	if (x->is_trusted && link->busy_until_ns > begin_ns) {
		begin_ns = link->busy_until_ns;
	}
	/* A slave that goes on sending something else must not hold the bus. */
	do {
		int events = wait_readable(link, begin_ns + timeout_ns);
		int r;

		if (events < 0) {
			return events;
		}
		if (events == 0) {
			break;
		}
		r = receive_frame(link, begin_ns + timeout_ns, frame);
		if (r == -ETIMEDOUT && !(events & POLLERR)) {
			/* It stopped in the middle: its rest would be taken for another frame. */
			modbus_close(link->modbus);
			break;
		}
		if (r >= 0) {
			r = take_frame(link, frame, r, x);
		}
		if (r != MODBUS_SILENT) {
			link->busy_until_ns = 0;
			x->turn_ns = modbus_now_ns() - sent_ns;
			return r;
		}
		if (link->bus->host->stopping(link->bus)) {
			return -ECANCELED;
		}
	} while (modbus_now_ns() < begin_ns + timeout_ns);
	link->busy_until_ns = begin_ns + timeout_ns + link->bus->options[BUS_RESPONSE_TIMEOUT].i;
	return MODBUS_SILENT;
}

static int tcp_exchange(void *data, struct modbus_exchange *x)
{
	struct tcp_link *link = data;
	int r;

	wait_gap(link);
	r = revive(link);
	if (r == 0) {
		r = send_request(link, x->unit, &x->request);
	}
	if (r == 0) {
		r = await_answer(link, x);
	}
	link->last_ns = modbus_now_ns();
	return r == -ECANCELED ? MODBUS_STOPPED : r;
}

const struct modbus_transport modbus_tcp = {
	.open = tcp_open,
	.exchange = tcp_exchange,
	.close = tcp_close,
};
