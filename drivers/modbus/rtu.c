/* SPDX-License-Identifier: Apache-2.0 */
#include "transport.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "line.h"

/*
 * Modbus RTU, on a serial port and through a serial device server. Citation: [SERIAL] MODBUS over
 * Serial Line Specification and Implementation Guide V1.02.
 *
 * A frame bears no number, and says neither where it begins nor where it ends: an answer that comes
 * after its time-out looks like the one to the next request of the same unit, function and size. So
 * before each request the line has to be silent for 3.5 characters, after a request without a good
 * answer for as long again as this unit may take, and such a request has to wait until twice the
 * time-out is over; whatever arrives in between is thrown away. A unit that was silent before holds
 * up only itself: it is more likely dead than late, and a late answer bears its number.
 *
 * libmodbus is not used here. Version 3.1.6 keeps no silence, takes one byte of noise before an
 * answer for a part of it, takes an answer of the right length from whatever request it is, cannot
 * be stopped, sets an unknown speed to 9600, sets up the port before anyone can ask whose it is,
 * and speaks RTU over no socket.
 */

#define FRAME_MAX   256 /* [SERIAL] 2.5.1 */
#define BUFFER_SIZE (2 * FRAME_MAX)

/* A request whose answer may still come. Another one of the same unit, function and size could not
   be told from it. */
struct owed {
	int64_t until_ns;
	uint16_t address, data_size;
	uint8_t function;
};

struct rtu_link {
	struct scg_bus *bus;
	int fd; /* -1 while a connection has to be made anew */
	bool is_tcp;
	int64_t char_ns;        /* time of a character on the wire */
	int64_t gap_ns;         /* silence before a request */
	int64_t last_ns;        /* when the last byte went over the line, either way */
	int64_t sent_ns;        /* when the last request was over */
	int64_t quiet_until_ns; /* an answer may still come until then */
	struct owed owed[256];  /* by unit */
	bool is_owed;           /* `request` had no answer */
	uint64_t n_stray;       /* bytes thrown away since the link was opened */
	uint8_t request[MODBUS_RTU_REQUEST];
	size_t data_size; /* that the answer to it has */
	size_t size;      /* received since it was sent */
	uint8_t bytes[BUFFER_SIZE];
};

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* [SERIAL] 6.2.2. Over a frame with its checksum it is 0. */
static uint16_t checksum(const uint8_t *bytes, size_t size)
{
	uint16_t crc = 0xffff;

	for (size_t i = 0; i < size; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++) {
			crc = (uint16_t)(crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1);
		}
	}
	return crc;
}

static void hang_up(struct rtu_link *link)
{
	if (link->fd < 0) {
		return;
	}
	if (link->is_tcp) {
		(void)close(link->fd); /* nothing to do about an error */
	} else {
		modbus_serial_close(link->fd);
	}
	link->fd = -1;
}

static int connect_line(struct rtu_link *link)
{
	int fd = link->is_tcp ? modbus_line_dial(link->bus) : modbus_serial_open(link->bus);

	if (fd < 0) {
		return fd;
	}
	link->fd = fd;
	link->last_ns = modbus_now_ns();
	return 0;
}

static void rtu_close(void *data)
{
	struct rtu_link *link = data;

	hang_up(link);
	free(link);
}

static void set_times(struct rtu_link *link, const union scg_value *options)
{
	link->char_ns = modbus_wire_character_ns(options);
	link->gap_ns = modbus_wire_gap_ns(options);
}

static int link_open(struct scg_bus *bus, bool is_tcp, void **ret_link)
{
	struct rtu_link *link = calloc(1, sizeof(*link));
	int r;

	if (!link) {
		return -ENOMEM;
	}
	link->bus = bus;
	link->fd = -1;
	link->is_tcp = is_tcp;
	set_times(link, bus->options);
	r = connect_line(link);
	if (r < 0) {
		rtu_close(link);
		return r;
	}
	/* Whoever had the line before may have left a request without its answer. */
	link->quiet_until_ns = link->last_ns + bus->options[BUS_RESPONSE_TIMEOUT].i;
	*ret_link = link;
	return 0;
}

static int serial_open(struct scg_bus *bus, void **ret_link)
{
	return link_open(bus, false, ret_link);
}

static int server_open(struct scg_bus *bus, void **ret_link)
{
	return link_open(bus, true, ret_link);
}

/* Takes what is there, and forgets the oldest if that is too much. How much, or a negative errno;
   a port that is unplugged and a connection that is closed have ends. */
static int receive(struct rtu_link *link)
{
	ssize_t n;

	if (link->size == BUFFER_SIZE) {
		link->size = FRAME_MAX;
		memmove(link->bytes, link->bytes + BUFFER_SIZE - FRAME_MAX, FRAME_MAX);
	}
	n = read(link->fd, link->bytes + link->size, BUFFER_SIZE - link->size);
	if (n == 0) {
		return link->is_tcp ? -ECONNRESET : -ENODEV;
	}
	if (n < 0) {
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	}
	link->size += (size_t)n;
	link->last_ns = modbus_now_ns();
	return (int)n;
}

/*
 * Size of the answer that begins at `at`: of unit, function and length that were asked for. 0 if
 * none does. Adapters that hear themselves put the request before the answer: it is none, although
 * one for 17 to 24 bits can look like one.
 */
static size_t answer_size(const struct rtu_link *link, size_t at)
{
	const uint8_t *bytes = link->bytes + at;
	size_t size = MODBUS_RTU_ANSWER + link->data_size;

	if (bytes[0] != link->request[0]) {
		return 0;
	}
	if (bytes[1] == (link->request[1] | 0x80)) {
		return MODBUS_RTU_ANSWER;
	}
	if (bytes[1] != link->request[1] || bytes[2] != link->data_size) {
		return 0;
	}
	if (size == MODBUS_RTU_REQUEST && link->size - at >= size &&
		memcmp(bytes, link->request, size) == 0) {
		return 0;
	}
	return size;
}

/*
 * Looks for the answer, past noise before it. One that has begun is waited for, since its data may
 * look like anything; only `is_last` looks past it. True with *ret_at and *ret_size.
 */
static bool find_answer(const struct rtu_link *link, bool is_last, size_t *ret_at, size_t *ret_size)
{
	for (size_t at = 0; at + MODBUS_RTU_ANSWER <= link->size; at++) {
		size_t size = answer_size(link, at);

		if (size == 0) {
			continue;
		}
		if (at + size > link->size) {
			if (is_last) {
				continue;
			}
			return false;
		}
		if (checksum(link->bytes + at, size) == 0) {
			*ret_at = at;
			*ret_size = size;
			return true;
		}
	}
	return false;
}

static void note_stray(struct rtu_link *link, size_t n)
{
	if (n == 0) {
		return;
	}
	link->n_stray += n;
	link->bus->host->log(link->bus, SCG_LOG_DEBUG,
		"threw away %zu bytes that were no answer, %llu since the line was opened", n,
		(unsigned long long)link->n_stray);
}

static uint16_t address_of(const uint8_t *pdu)
{
	return (uint16_t)(pdu[1] << 8 | pdu[2]);
}

static size_t data_size_of(const uint8_t *pdu)
{
	return modbus_data_size(pdu[0] <= 2, (uint32_t)(pdu[3] << 8 | pdu[4])); /* [AP] 6.1, 6.2 */
}

/* How long the answer to an earlier request could be taken for the one to this: not at all if that
   asked for the same. */
static int64_t ambiguous_until_ns(
	const struct rtu_link *link, uint8_t unit, const struct modbus_pdu *request)
{
	const struct owed *owed = &link->owed[unit];

	if (owed->function != request->bytes[0] ||
		owed->data_size != data_size_of(request->bytes) ||
		owed->address == address_of(request->bytes)) {
		return 0;
	}
	return owed->until_ns;
}

/* The answer to the last request came after all. */
static void forgive(struct rtu_link *link)
{
	link->is_owed = false;
	link->quiet_until_ns = 0;
	link->owed[link->request[0]].until_ns = 0;
}

/* What the answer to the last request takes on the line. */
static int64_t answer_wire_ns(const struct rtu_link *link)
{
	return (int64_t)(MODBUS_RTU_ANSWER + link->data_size) * link->char_ns;
}

/* An answer to the last request may still come, up to twice its time. */
static void owe(struct rtu_link *link)
{
	link->owed[link->request[0]] = (struct owed){
		.until_ns = link->sent_ns + 2 * link->bus->options[BUS_RESPONSE_TIMEOUT].i +
			    answer_wire_ns(link),
		.address = address_of(link->request + 1),
		.data_size = (uint16_t)link->data_size,
		.function = link->request[1],
	};
}

/* What is known after an answer. A slave answers one request after the other: if the answer can
   only be to this one, nothing is to come any more from those before; if it can be to an earlier
   one, that to this one is still to come. */
static void settle_debts(struct rtu_link *link, const struct modbus_exchange *x)
{
	const struct owed *owed = &link->owed[x->unit];
	bool is_exception = (x->answer.bytes[0] & 0x80) != 0;
	bool is_other = owed->until_ns > modbus_now_ns() && owed->function == link->request[1] &&
			(is_exception || owed->data_size == link->data_size);

	forgive(link);
	if (is_other) {
		owe(link);
	}
}

/*
 * Waits until the line has been silent long enough for a request, and throws away what comes. 0,
 * MODBUS_DAMAGED if it is never silent, or a negative errno.
 */
static int settle(struct rtu_link *link, uint8_t unit, const struct modbus_pdu *request)
{
	int64_t now_ns = modbus_now_ns();
	int64_t quiet_ns = later(link->quiet_until_ns, ambiguous_until_ns(link, unit, request));
	int64_t begin_ns = later(quiet_ns, now_ns);
	int64_t limit_ns = begin_ns + link->gap_ns + link->bus->options[BUS_RESPONSE_TIMEOUT].i;
	size_t at, size, n_stray = 0;

	while (now_ns < limit_ns) {
		int64_t free_ns = later(link->last_ns + link->gap_ns, quiet_ns);
		int r = modbus_line_wait(link->bus, link->fd, POLLIN, free_ns);

		if (r > 0) {
			r = receive(link);
			n_stray += r > 0 ? (size_t)r : 0;
			/* The late answer is there: none is under way any more. */
			if (r > 0 && link->is_owed && find_answer(link, false, &at, &size)) {
				forgive(link);
				quiet_ns = ambiguous_until_ns(link, unit, request);
			}
		} else if (r == 0) {
			note_stray(link, n_stray);
			return 0;
		}
		if (r < 0) {
			return r;
		}
		now_ns = modbus_now_ns();
	}
	note_stray(link, n_stray);
	return MODBUS_DAMAGED;
}

/* Many device servers close a connection that was idle for a while: that is no failure, if a new
   one can be had. */
static int prepare(struct rtu_link *link, uint8_t unit, const struct modbus_pdu *request)
{
	int r = link->fd < 0 ? -ECONNRESET : settle(link, unit, request);

	if (r != -ECONNRESET || !link->is_tcp) {
		return r;
	}
	hang_up(link);
	r = connect_line(link);
	return r < 0 ? r : settle(link, unit, request);
}

static void encode(struct rtu_link *link, uint8_t unit, const struct modbus_pdu *request)
{
	uint16_t crc;

	link->request[0] = unit;
	memcpy(link->request + 1, request->bytes, MODBUS_RTU_REQUEST - 3);
	crc = checksum(link->request, MODBUS_RTU_REQUEST - 2);
	link->request[MODBUS_RTU_REQUEST - 2] = (uint8_t)crc; /* low byte first, [SERIAL] 2.5.1.2 */
	link->request[MODBUS_RTU_REQUEST - 1] = (uint8_t)(crc >> 8);
	link->data_size = data_size_of(request->bytes);
	link->size = 0;
}

static int send_request(struct rtu_link *link)
{
	int64_t deadline_ns = modbus_now_ns() + link->bus->options[BUS_RESPONSE_TIMEOUT].i;
	size_t sent = 0;

	while (sent < MODBUS_RTU_REQUEST) {
		ssize_t n = write(link->fd, link->request + sent, MODBUS_RTU_REQUEST - sent);

		if (n < 0 && errno == EAGAIN) {
			int r = modbus_line_wait(link->bus, link->fd, POLLOUT, deadline_ns);

			if (r <= 0) {
				return r < 0 ? r : -ETIMEDOUT;
			}
		} else if (n < 0 && errno != EINTR) {
			return -errno;
		}
		sent += n > 0 ? (size_t)n : 0;
	}
	/* write() only fills a buffer. */
	link->last_ns = modbus_now_ns() + MODBUS_RTU_REQUEST * link->char_ns;
	link->sent_ns = link->last_ns;
	return 0;
}

/* Nothing good came in time. A whole frame with a good checksum is somebody else's, or the answer
   to something else. */
static int judge_silence(struct rtu_link *link)
{
	if (link->size == 0) {
		return MODBUS_SILENT;
	}
	note_stray(link, link->size);
	return link->size > 3 && checksum(link->bytes, link->size) == 0 ? MODBUS_NONSENSE
									: MODBUS_DAMAGED;
}

static int await_answer(struct rtu_link *link, struct modbus_exchange *x)
{
	int64_t deadline_ns = link->sent_ns + x->limit_ns + answer_wire_ns(link);
	bool is_last = false;
	size_t at, size;

	while (!find_answer(link, is_last, &at, &size)) {
		int r;

		if (is_last) {
			return judge_silence(link);
		}
		r = modbus_line_wait(link->bus, link->fd, POLLIN, deadline_ns);
		if (r > 0) {
			r = receive(link);
		}
		if (r < 0) {
			return r;
		}
		/* Noise without an end must not hold the bus. */
		is_last = modbus_now_ns() >= deadline_ns;
	}
	note_stray(link, link->size - size);
	x->answer.size = size - 3;
	memcpy(x->answer.bytes, link->bytes + at + 1, x->answer.size);
	x->turn_ns = later(link->last_ns - link->sent_ns - (int64_t)size * link->char_ns, 0);
	return MODBUS_ANSWERED;
}

static int rtu_exchange(void *data, struct modbus_exchange *x)
{
	struct rtu_link *link = data;
	int r = prepare(link, x->unit, &x->request);

	if (r == 0) {
		encode(link, x->unit, &x->request);
		r = send_request(link);
		if (r == 0) {
			r = await_answer(link, x);
		}
		if (r == MODBUS_ANSWERED) {
			settle_debts(link, x);
		} else {
			link->is_owed = true;
			owe(link);
			if (r != MODBUS_SILENT || x->may_be_late) {
				link->quiet_until_ns = modbus_now_ns() + x->quiet_ns;
			}
		}
	}
	return r == -ECANCELED ? MODBUS_STOPPED : r;
}

static int rtu_tune(void *data, const union scg_value *options)
{
	struct rtu_link *link = data;
	int r = modbus_serial_tune(options, link->fd);

	if (r == 0) {
		set_times(link, options);
		/* What comes next is made of other bits than what came before. */
		link->last_ns = modbus_now_ns();
	}
	return r;
}

const struct modbus_transport modbus_rtu = {
	.open = serial_open,
	.exchange = rtu_exchange,
	.tune = rtu_tune,
	.close = rtu_close,
};

const struct modbus_transport modbus_rtu_tcp = {
	.open = server_open,
	.exchange = rtu_exchange,
	.close = rtu_close,
};
