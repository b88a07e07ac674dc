/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_line.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "modbus/line.h"

#define REQUEST_SIZE 8
#define PIECES_MAX   4096u
#define RECEIVED_MAX 65536u

struct piece {
	int64_t at_ns;
	size_t size;
	uint8_t bytes[FAKE_LINE_FRAME_MAX];
};

static struct {
	struct scg_bus bus;
	union scg_value options[N_BUS_OPTIONS];
	void *link;
	fake_line_slave *slave;
	void *ctx;
	int driver_fd, slave_fd; /* -1: hung up */
	int64_t now_ns, last_ns, least_silence_ns, quiet_ns;
	size_t n_waits;
	struct piece pieces[PIECES_MAX]; /* sorted by time, from the first that is not sent */
	size_t n_pieces;
	uint8_t request[FAKE_LINE_FRAME_MAX];
	size_t request_size;
	uint8_t received[RECEIVED_MAX];
	size_t n_received;
} line;

static void require(bool ok)
{
	if (!ok) {
		abort();
	}
}

static void host_log(const struct scg_bus *bus, uint32_t level, const char *format, ...)
{
	(void)bus;
	(void)level;
	(void)format;
}

static int32_t host_stopping(const struct scg_bus *bus)
{
	(void)bus;
	return 0;
}

static const struct scg_host host = {
	.abi = SCG_ABI_LEVEL,
	.log = host_log,
	.stopping = host_stopping,
};

/* fake_line_clock(), by then. */
int clock_gettime(clockid_t id, struct timespec *now)
{
	(void)id;
	now->tv_sec = line.now_ns / NS_PER_S;
	now->tv_nsec = line.now_ns % NS_PER_S;
	return 0;
}

/* Bit by bit, without the driver's way to do it. */
size_t fake_line_seal(uint8_t *frame, size_t size)
{
	uint32_t crc = 0xffff;

	for (size_t i = 0; i < size * 8; i++) {
		uint32_t bit = (uint32_t)frame[i / 8] >> i % 8 & 1;

		crc = (crc ^ bit) & 1 ? crc >> 1 ^ 0xa001 : crc >> 1;
	}
	frame[size] = (uint8_t)crc;
	frame[size + 1] = (uint8_t)(crc >> 8);
	return size + 2;
}

static int64_t character_ns(void)
{
	return 10 * NS_PER_S / line.options[BUS_BAUD].i;
}

void fake_line_send(int64_t after_ns, const uint8_t *bytes, size_t size)
{
	int64_t at_ns = line.now_ns + after_ns;
	size_t i = line.n_pieces;

	if (line.n_pieces == PIECES_MAX || size > FAKE_LINE_FRAME_MAX) {
		return;
	}
	for (; i > 0 && line.pieces[i - 1].at_ns > at_ns; i--) {
		line.pieces[i] = line.pieces[i - 1];
	}
	line.pieces[i].at_ns = at_ns;
	line.pieces[i].size = size;
	memcpy(line.pieces[i].bytes, bytes, size);
	line.n_pieces++;
}

/* What the driver has written; a request takes its time on the line. */
static void take_request(void)
{
	uint8_t bytes[FAKE_LINE_FRAME_MAX];
	ssize_t n = line.slave_fd < 0 ? 0 : recv(line.slave_fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	for (ssize_t i = 0; i < n; i++) {
		if (line.request_size == 0) {
			int64_t silence_ns = line.now_ns - line.last_ns;

			if (silence_ns < line.least_silence_ns) {
				line.least_silence_ns = silence_ns;
			}
			line.n_received = 0;
		}
		line.request[line.request_size++] = bytes[i];
		if (line.request_size == REQUEST_SIZE) {
			line.now_ns += REQUEST_SIZE * character_ns();
			line.last_ns = line.now_ns;
			line.request_size = 0;
			line.slave(line.ctx, line.request, REQUEST_SIZE);
		}
	}
}

/* Delivers the next piece. */
static void deliver(void)
{
	const struct piece *piece = &line.pieces[0];

	if (piece->at_ns > line.now_ns) {
		line.now_ns = piece->at_ns;
	}
	if (piece->size == 0 && line.slave_fd >= 0) {
		(void)close(line.slave_fd);
		line.slave_fd = -1;
	} else if (line.slave_fd >= 0) {
		ssize_t n = send(line.slave_fd, piece->bytes, piece->size, MSG_NOSIGNAL);

		/* Nobody there is the end of what the driver reads as well. */
		if (n > 0 && line.n_received + (size_t)n <= RECEIVED_MAX) {
			memcpy(line.received + line.n_received, piece->bytes, (size_t)n);
			line.n_received += (size_t)n;
			line.last_ns = line.now_ns;
		}
	}
	line.n_pieces--;
	memmove(line.pieces, line.pieces + 1, line.n_pieces * sizeof(line.pieces[0]));
}

int modbus_line_wait(struct scg_bus *bus, int fd, short events, int64_t deadline_ns)
{
	struct pollfd pollfd = {.fd = fd, .events = events};

	(void)bus;
	line.n_waits++;
	take_request();
	for (;;) {
		if (poll(&pollfd, 1, 0) > 0) {
			return pollfd.revents;
		}
		if (line.n_pieces == 0 || line.pieces[0].at_ns > deadline_ns) {
			break;
		}
		deliver();
	}
	if (deadline_ns > line.now_ns) {
		line.now_ns = deadline_ns;
	}
	return 0;
}

static int connect_line(void)
{
	int fds[2];

	if (line.slave_fd >= 0) {
		(void)close(line.slave_fd);
	}
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	line.slave_fd = fds[1];
	line.n_pieces = 0;
	line.request_size = 0;
	line.last_ns = line.now_ns;
	return fds[0];
}

int modbus_line_dial(struct scg_bus *bus)
{
	(void)bus;
	return connect_line();
}

int modbus_serial_open(struct scg_bus *bus)
{
	(void)bus;
	return connect_line();
}

void modbus_serial_close(int fd)
{
	(void)close(fd);
}

void fake_line_open(int64_t baud, int64_t timeout_ns, fake_line_slave *slave, void *ctx)
{
	memset(&line, 0, sizeof(line));
	line.bus = (struct scg_bus){.host = &host, .name = "line", .options = line.options};
	line.options[BUS_TRANSPORT].i = TRANSPORT_RTU;
	line.options[BUS_BAUD].i = baud;
	line.options[BUS_DATA_BITS].i = 8;
	line.options[BUS_STOP_BITS].i = 1;
	line.options[BUS_RESPONSE_TIMEOUT].i = timeout_ns;
	line.quiet_ns = timeout_ns;
	line.slave = slave;
	line.ctx = ctx;
	line.slave_fd = -1;
	line.now_ns = NS_PER_S;
	line.least_silence_ns = INT64_MAX;
	require(modbus_rtu.open(&line.bus, &line.link) == 0);
}

void fake_line_close(void)
{
	modbus_rtu.close(line.link);
	if (line.slave_fd >= 0) {
		(void)close(line.slave_fd);
	}
}

void fake_line_set_quiet(int64_t quiet_ns)
{
	line.quiet_ns = quiet_ns;
}

struct fake_line_result fake_line_read(
	uint8_t unit, uint8_t function, uint16_t address, uint16_t count, bool may_be_late)
{
	struct modbus_exchange x = {
		.request = {.size = 5,
			.bytes = {function, (uint8_t)(address >> 8), (uint8_t)address,
				(uint8_t)(count >> 8), (uint8_t)count}},
		.unit = unit,
		.may_be_late = may_be_late,
		.limit_ns = line.options[BUS_RESPONSE_TIMEOUT].i,
		.quiet_ns = line.quiet_ns,
	};
	int64_t begin_ns = line.now_ns;
	struct fake_line_result result = {.outcome = modbus_rtu.exchange(line.link, &x)};

	result.took_ns = line.now_ns - begin_ns;
	result.answer = x.answer;
	return result;
}

const uint8_t *fake_line_received(size_t *ret_size)
{
	*ret_size = line.n_received;
	return line.received;
}

int64_t fake_line_least_silence_ns(void)
{
	return line.least_silence_ns;
}

size_t fake_line_waits(void)
{
	return line.n_waits;
}

int modbus_serial_tune(const union scg_value *options, int fd)
{
	(void)options;
	(void)fd;
	return 0;
}
