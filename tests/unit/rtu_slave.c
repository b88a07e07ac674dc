/* SPDX-License-Identifier: Apache-2.0 */
#include "rtu_slave.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "util.h"

#define REQUEST_SIZE 8
#define FRAME_MAX    512

/* Of the child. */
struct line {
	struct rtu_slave *slave;
	int fd;
	int64_t last_ns; /* before the last byte was sent: the silence is at least what it says */
	int64_t first_ns;
	size_t size;
	uint8_t bytes[FRAME_MAX];
};

/* Another way to compute it than the driver's. */
static uint16_t crc_of(const uint8_t *bytes, size_t size)
{
	uint32_t crc = 0xffff;

	for (size_t i = 0; i < size * 8; i++) {
		uint32_t bit = (uint32_t)bytes[i / 8] >> i % 8 & 1;

		crc = (crc ^ bit) & 1 ? crc >> 1 ^ 0xa001 : crc >> 1;
	}
	return (uint16_t)crc;
}

static size_t seal(uint8_t *frame, size_t size)
{
	uint16_t crc = crc_of(frame, size);

	frame[size] = (uint8_t)crc;
	frame[size + 1] = (uint8_t)(crc >> 8);
	return size + 2;
}

static void put(struct line *line, const uint8_t *bytes, size_t size)
{
	line->last_ns = now_monotonic_ns();
	while (size > 0) {
		ssize_t n = write(line->fd, bytes, size);

		if (n <= 0) {
			return; /* nobody there */
		}
		bytes += n;
		size -= (size_t)n;
	}
}

static void put_noise(struct line *line, size_t size)
{
	uint8_t noise[64];

	for (size_t i = 0; i < size; i++) {
		noise[i] = (uint8_t)rand();
	}
	put(line, noise, size);
}

static void pause_ms(int ms)
{
	(void)poll(NULL, 0, ms);
}

static size_t make_answer(const struct rtu_request *r, uint16_t more, uint8_t *frame)
{
	uint32_t count = (uint32_t)r->count + more;
	bool is_bits = r->function <= 2;
	size_t n = is_bits ? (count + 7) / 8 : (size_t)2 * count;

	frame[0] = r->unit;
	frame[1] = r->function;
	frame[2] = (uint8_t)n;
	memset(frame + 3, 0, n);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t value = 1000u * r->unit + r->address + i;

		if (is_bits) {
			frame[3 + i / 8] |= (uint8_t)((value & 1) << i % 8);
		} else {
			frame[3 + 2 * i] = (uint8_t)(value >> 8);
			frame[4 + 2 * i] = (uint8_t)value;
		}
	}
	return seal(frame, 3 + n);
}

/* A trick that ends with the honest answer. */
static void play_before(struct line *line, enum rtu_trick trick, const uint8_t *frame)
{
	static const uint8_t zero;

	switch (trick) {
	case RTU_LATE:
		pause_ms(line->slave->delay_ms);
		break;
	case RTU_ZERO_FIRST:
		put(line, &zero, 1);
		break;
	case RTU_NOISE_FIRST:
		put_noise(line, 1 + (size_t)rand() % 40);
		break;
	case RTU_HALF_FIRST:
		put(line, frame, 4);
		break;
	case RTU_ECHO:
		put(line, line->bytes, REQUEST_SIZE);
		pause_ms(20);
		break;
	default:
		break;
	}
}

static void answer(struct line *line, const struct rtu_request *request, enum rtu_trick trick)
{
	uint8_t frame[FRAME_MAX];
	size_t size = make_answer(request, trick == RTU_WRONG_LENGTH, frame);

	play_before(line, trick, frame);
	switch (trick) {
	case RTU_STOP:
		line->slave->stop = true;
		return;
	case RTU_SILENT:
		return;
	case RTU_ECHO_ONLY:
		put(line, line->bytes, REQUEST_SIZE);
		return;
	case RTU_SPLIT:
		for (size_t i = 0; i < size; i++) {
			put(line, frame + i, 1);
			pause_ms(1);
		}
		return;
	case RTU_WRONG_CRC:
		frame[size - 1] ^= 0x40;
		break;
	case RTU_WRONG_UNIT:
		frame[0]++;
		(void)seal(frame, size - 2);
		break;
	case RTU_WRONG_FUNCTION:
		frame[1] ^= 7; /* 3 and 4 are each other's */
		(void)seal(frame, size - 2);
		break;
	case RTU_TRUNCATED:
		size -= 2;
		break;
	case RTU_RANDOM:
		put_noise(line, 1 + (size_t)rand() % 60);
		return;
	case RTU_GARBAGE_AFTER:
		for (size_t i = 0; i < 9; i++) {
			frame[size++] = (uint8_t)rand();
		}
		break;
	case RTU_EXCEPTION:
		frame[1] |= 0x80;
		frame[2] = 4;
		size = seal(frame, 3);
		break;
	default:
		break;
	}
	put(line, frame, size);
	if (trick == RTU_HANG_UP) {
		(void)shutdown(line->fd, SHUT_RDWR);
	}
}

static void handle(struct line *line)
{
	struct rtu_slave *slave = line->slave;
	const uint8_t *b = line->bytes;
	struct rtu_request request = {b[0], b[1], (uint16_t)(b[2] << 8 | b[3]),
		(uint16_t)(b[4] << 8 | b[5]),
		line->last_ns ? line->first_ns - line->last_ns : INT64_MAX};
	enum rtu_trick trick = slave->trick[request.unit];

	if (slave->n_requests < RTU_REQUESTS_MAX) {
		slave->requests[slave->n_requests] = request;
		slave->n_requests++;
	}
	if (slave->only_once) {
		slave->trick[request.unit] = RTU_HONEST;
	}
	answer(line, &request, trick);
}

/* Until the other end is gone. */
static void serve(struct rtu_slave *slave, int fd)
{
	struct line line = {.slave = slave, .fd = fd};

	for (;;) {
		struct pollfd pollfd = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (slave->babble) {
			put_noise(&line, 3);
		}
		if (poll(&pollfd, 1, slave->babble ? 1 : 5) == 0) {
			line.size = 0; /* a request comes in one go */
			continue;
		}
		n = read(fd, line.bytes + line.size, FRAME_MAX - line.size);
		if (n <= 0) {
			return;
		}
		if (line.size == 0) {
			line.first_ns = now_monotonic_ns();
		}
		line.size += (size_t)n;
		if (line.size >= REQUEST_SIZE) {
			if (crc_of(line.bytes, REQUEST_SIZE) == 0) {
				handle(&line);
			}
			line.size = 0;
		}
	}
}

_Noreturn static void run(struct rtu_slave *slave, int fd)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGPIPE, SIG_IGN);
	srand(1);
	if (!slave->is_tcp) {
		serve(slave, fd);
		_exit(0);
	}
	for (;;) {
		int client = accept(fd, NULL, NULL);

		if (client >= 0) {
			serve(slave, client);
			(void)close(client);
		}
	}
}

int rtu_open_terminal(const char *link, int *ret_other)
{
	struct termios raw;
	char name[64];
	int master, other;

	assert_int_equal(0, openpty(&master, &other, name, NULL, NULL));
	assert_int_equal(0, tcgetattr(other, &raw));
	cfmakeraw(&raw);
	assert_int_equal(0, tcsetattr(other, TCSANOW, &raw));
	(void)unlink(link);
	assert_int_equal(0, symlink(name, link));
	*ret_other = other;
	return master;
}

static int listen_on(int *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)*port)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int on = 1;

	assert_true(fd >= 0);
	assert_int_equal(0, setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
	assert_int_equal(0, bind(fd, (struct sockaddr *)(void *)&address, size));
	assert_int_equal(0, listen(fd, 8));
	assert_int_equal(0, getsockname(fd, (struct sockaddr *)(void *)&address, &size));
	*port = ntohs(address.sin_port);
	return fd;
}

void rtu_slave_restart(struct rtu_slave *slave)
{
	int other = -1;
	int fd = slave->is_tcp ? listen_on(&slave->port) : rtu_open_terminal(slave->device, &other);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		run(slave, fd);
	}
	slave->pid = pid;
	(void)close(fd);
	if (other >= 0) {
		(void)close(other); /* the child keeps its own, or it would see a hang-up */
	}
}

void rtu_slave_kill(struct rtu_slave *slave)
{
	(void)kill(slave->pid, SIGKILL);
	(void)waitpid(slave->pid, NULL, 0);
	slave->pid = 0;
}

struct rtu_slave *rtu_slave_new(bool is_tcp)
{
	struct rtu_slave *slave = mmap(
		NULL, sizeof(*slave), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(slave != MAP_FAILED);
	slave->is_tcp = is_tcp;
	(void)snprintf(slave->directory, sizeof(slave->directory), "/tmp/scg-rtu-XXXXXX");
	assert_non_null(mkdtemp(slave->directory));
	(void)snprintf(slave->device, sizeof(slave->device), "%s/port", slave->directory);
	rtu_slave_restart(slave);
	return slave;
}

void rtu_slave_free(struct rtu_slave *slave)
{
	if (slave->pid) {
		rtu_slave_kill(slave);
	}
	(void)unlink(slave->device);
	(void)rmdir(slave->directory);
	(void)munmap(slave, sizeof(*slave));
}

struct fake_bus *rtu_slave_bus(const struct rtu_slave *slave, const char *options)
{
	_cleanup_(freep) char *directory = xasprintf("%s/drivers", getenv("BUILD_DIR"));
	_cleanup_(freep) char *where = slave->is_tcp
					       ? xasprintf("transport: rtu-tcp, host: 127.0.0.1, "
							   "port: %d",
							 slave->port)
					       : xasprintf("transport: rtu, device: %s",
							 slave->device);
	struct fake_bus *f = fake_bus_new(directory, "modbus", where);

	/* A pseudo-terminal has no parity, and the driver takes no less than it asked for. */
	fake_bus_set(f, "parity: none, response_timeout: 300ms");
	fake_bus_set(f, options);
	return f;
}

void rtu_slave_open(struct fake_bus *f)
{
	union scg_value *options = (union scg_value *)f->bus.options;
	uint32_t i = 0;
	int64_t timeout_ns;

	while (strcmp(f->driver->bus_options[i].name, "response_timeout") != 0) {
		i++;
	}
	timeout_ns = options[i].i;
	fake_bus_set(f, "response_timeout: 10ms");
	assert_int_equal(0, fake_bus_open(f));
	options[i].i = timeout_ns;
}
