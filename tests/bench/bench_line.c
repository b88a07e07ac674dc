/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A serial line with Modbus slaves that takes the time of a real one: each byte its start, data and
 * stop bits, the slave its 3.5 characters to see the end of a request and its own delay. Behind a
 * pseudo-terminal, a device server's port, or Modbus TCP as a gateway has it. Citation: [SERIAL]
 * MODBUS over Serial Line Specification and Implementation Guide V1.02.
 *
 * Two clocks. The line's: when a byte would have been over, had the machine been idle; all waits
 * are for points in time on it. And the wall's: when the machine came to it. What is late is
 * written down for each request: how long this process, awake, had waited for a core before it saw
 * the request (the kernel says so, and it is taken off at once), and how much later than the line
 * the answer was there. The master's silence begins when it really had the answer. So the sum of
 * silences and line times is what the master needs on an idle machine, whatever this one does.
 *
 * Use: bench_line KEY=VALUE..., see line_setup.h. Prints "listening". The record has a line for
 * each request: begin (CLOCK_MONOTONIC), silence before it, unit, function, address, count, size of
 * the answer, time of the request, of the slave, of the answer on the line, exception (0: none, -1:
 * no answer), answer late, seen late; times in nanoseconds. Complete after SIGTERM.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "line_setup.h"
#include "util.h"

#define CHAR_BITS     10                 /* start, 8 data, stop */
#define SILENCE_MIN   (1750 * NS_PER_US) /* [SERIAL] 2.5.1.1 */
#define REQUEST_SIZE  8                  /* of all requests that read, with unit and checksum */
#define ANSWER_MAX    256
#define HEADER_SIZE   7 /* MODBUS Messaging on TCP/IP V1.0b, 3.1.3 */
#define TCP_REQUEST   12
#define CHUNK         8 /* bytes that a port hands over at once while more come */
#define IDLE_MS       20
#define STALL_NS      (5 * NS_PER_MS)
#define GATEWAY_FAULT 11

struct request {
	uint8_t unit, function;
	uint32_t address, count;
	int64_t begin_ns, silence_ns, seen_late_ns;
};

static struct line_setup setup;
static FILE *record;
static int64_t start_ns, char_ns, silence_ns;
static int64_t last_ns; /* when the line was last in use */
static int schedstat = -1;
static uint64_t seed = 0x9e3779b97f4a7c15;

static int64_t random_between(int64_t from, int64_t to)
{
	/* xorshift64: the same delays in each run */
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return from + (int64_t)(seed % (uint64_t)(to - from + 1));
}

/* For how long in all this process was ready to run, and another one had the core. */
static int64_t waited_ns(void)
{
	char text[96];
	ssize_t n = schedstat < 0 ? -1 : pread(schedstat, text, sizeof(text) - 1, 0);
	char *space, *end;
	int64_t waited;

	if (n <= 0) {
		return 0;
	}
	text[n] = '\0';
	space = strchr(text, ' ');
	end = space ? strchr(space + 1, ' ') : NULL;
	if (!end) {
		return 0;
	}
	*end = '\0';
	return parse_i64(space + 1, &waited) < 0 ? 0 : waited;
}

static void wait_for(int64_t ns)
{
	const struct timespec until = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
	}
}

static uint16_t checksum(const uint8_t *bytes, size_t size)
{
	uint16_t crc = 0xffff; /* [SERIAL] 6.2.2 */

	for (size_t i = 0; i < size; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++) {
			crc = (uint16_t)(crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1);
		}
	}
	return crc;
}

/* Unit, function and data; returns the size. A register holds its own address. */
static size_t make_answer(const struct request *r, uint8_t exception, uint8_t *frame)
{
	size_t n = r->function <= 2 ? (r->count + 7) / 8 : 2 * (size_t)r->count;

	frame[0] = r->unit;
	frame[1] = r->function;
	if (exception) {
		frame[1] |= 0x80;
		frame[2] = exception;
		return 3;
	}
	frame[2] = (uint8_t)n;
	for (size_t i = 0; i < n; i++) {
		uint32_t value = r->address + (uint32_t)(i / 2);

		frame[3 + i] = (uint8_t)(i % 2 ? value : value >> 8);
	}
	return 3 + n;
}

static void put(int fd, const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, bytes, size);

		if (n <= 0) {
			return; /* nobody there */
		}
		bytes += n;
		size -= (size_t)n;
	}
}

/* Bytes as they come over the line from `begin_ns` on; how late the last one was. */
static int64_t put_in_time(int fd, const uint8_t *bytes, size_t size, int64_t begin_ns)
{
	for (size_t done = 0; done < size;) {
		size_t n = MIN(size - done, CHUNK);

		wait_for(begin_ns + (int64_t)(done + n) * char_ns);
		put(fd, bytes + done, n);
		done += n;
	}
	return now_monotonic_ns() - (begin_ns + (int64_t)size * char_ns);
}

static void note(
	const struct request *r, size_t size, int64_t slave_ns, int exception, int64_t late_ns)
{
	if (!record) {
		return;
	}
	(void)fprintf(record,
		"%" PRId64 " %" PRId64 " %u %u %u %u %zu %" PRId64 " %" PRId64 " %" PRId64
		" %d %" PRId64 " %" PRId64 "\n",
		r->begin_ns, r->silence_ns, r->unit, r->function, r->address, r->count, size,
		REQUEST_SIZE * char_ns, slave_ns, (int64_t)size * char_ns, exception, late_ns,
		r->seen_late_ns);
}

/* The slave's side: from the request on the line to its answer. */
static void serve_line(int fd, const struct request *r)
{
	const struct line_unit *unit = &setup.units[r->unit];
	int64_t end_ns = r->begin_ns + REQUEST_SIZE * char_ns;
	int64_t slave_ns = silence_ns + random_between(unit->delay_min_ns, unit->delay_max_ns);
	uint8_t frame[ANSWER_MAX], exception;
	int64_t late_ns;
	uint16_t crc;
	size_t size;

	if (line_setup_is_silent(&setup, r->unit, r->begin_ns - start_ns)) {
		note(r, 0, 0, -1, 0);
		last_ns = end_ns;
		return;
	}
	exception = line_setup_exception(&setup, r->unit, r->function, r->address, r->count);
	size = make_answer(r, exception, frame);
	crc = checksum(frame, size);
	frame[size++] = (uint8_t)crc; /* low byte first, [SERIAL] 2.5.1.2 */
	frame[size++] = (uint8_t)(crc >> 8);
	late_ns = put_in_time(fd, frame, size, end_ns + slave_ns);
	last_ns = end_ns + slave_ns + (int64_t)size * char_ns + late_ns;
	note(r, size, slave_ns, exception, late_ns);
}

/* A gateway: the line is behind it, and it waits for a silent slave as any master does. */
static void serve_gateway(int fd, const uint8_t *header, const struct request *r)
{
	const struct line_unit *unit = &setup.units[r->unit];
	int64_t end_ns = r->begin_ns + REQUEST_SIZE * char_ns;
	int64_t slave_ns = 2 * silence_ns + random_between(unit->delay_min_ns, unit->delay_max_ns);
	bool is_silent = line_setup_is_silent(&setup, r->unit, r->begin_ns - start_ns);
	uint8_t frame[HEADER_SIZE - 1 + ANSWER_MAX], exception = GATEWAY_FAULT;
	int64_t late_ns;
	size_t size;

	if (is_silent && !setup.timeout_ns) {
		note(r, 0, 0, -1, 0);
		last_ns = end_ns;
		return;
	}
	if (is_silent) {
		slave_ns = setup.timeout_ns;
	} else {
		exception = line_setup_exception(
			&setup, r->unit, r->function, r->address, r->count);
	}
	size = make_answer(r, exception, frame + HEADER_SIZE - 1);
	memcpy(frame, header, HEADER_SIZE - 1);
	frame[4] = (uint8_t)(size >> 8);
	frame[5] = (uint8_t)size;
	wait_for(end_ns + slave_ns + (is_silent ? 0 : (int64_t)(size + 2) * char_ns));
	put(fd, frame, HEADER_SIZE - 1 + size);
	last_ns = now_monotonic_ns();
	late_ns = last_ns - (end_ns + slave_ns + (is_silent ? 0 : (int64_t)(size + 2) * char_ns));
	note(r, is_silent ? 0 : size + 2, slave_ns, exception, late_ns);
}

static struct request make_request(
	uint8_t unit, const uint8_t *pdu, int64_t seen_ns, int64_t seen_late_ns)
{
	/* it cannot have come before the line was free */
	int64_t begin_ns = MAX(seen_ns - seen_late_ns, last_ns);

	return (struct request){
		.unit = unit,
		.function = pdu[0],
		.address = (uint32_t)pdu[1] << 8 | pdu[2],
		.count = (uint32_t)pdu[3] << 8 | pdu[4],
		.begin_ns = begin_ns,
		.silence_ns = begin_ns - last_ns,
		.seen_late_ns = seen_ns - begin_ns,
	};
}

struct input {
	uint8_t bytes[1024];
	size_t size;
	int64_t seen_ns, seen_late_ns; /* of the first byte */
};

static void consume(struct input *input, size_t size)
{
	input->size -= size;
	memmove(input->bytes, input->bytes + size, input->size);
}

static void serve(int fd, struct input *input)
{
	while (input->size >= (setup.port ? TCP_REQUEST : REQUEST_SIZE)) {
		const uint8_t *b = input->bytes;
		struct request r;

		if (setup.port) {
			uint8_t header[HEADER_SIZE];

			memcpy(header, b, HEADER_SIZE);
			r = make_request(
				b[6], b + HEADER_SIZE, input->seen_ns, input->seen_late_ns);
			consume(input, TCP_REQUEST);
			serve_gateway(fd, header, &r);
		} else if (checksum(b, REQUEST_SIZE) == 0) {
			r = make_request(b[0], b + 1, input->seen_ns, input->seen_late_ns);
			consume(input, REQUEST_SIZE);
			serve_line(fd, &r);
		} else {
			input->size = 0; /* no request that reads */
		}
		input->seen_ns = now_monotonic_ns();
		input->seen_late_ns = 0;
	}
}

/* False if nobody is there any more. */
static bool take_input(int fd, struct input *input, int64_t late_ns)
{
	ssize_t n;

	if (input->size == 0) {
		input->seen_ns = now_monotonic_ns();
		input->seen_late_ns = late_ns;
	}
	n = read(fd, input->bytes + input->size, sizeof(input->bytes) - input->size);
	if (n <= 0) {
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	}
	input->size += (size_t)n;
	serve(fd, input);
	return input->size < sizeof(input->bytes);
}

static int open_terminal(int *ret_other)
{
	struct termios raw;
	char name[64];
	int master, other;

	if (openpty(&master, &other, name, NULL, NULL) < 0) {
		return -errno;
	}
	/* kept open, or the master would see a hang-up between two runs */
	*ret_other = other;
	if (tcgetattr(other, &raw) < 0) {
		return -errno;
	}
	cfmakeraw(&raw);
	(void)unlink(setup.link);
	if (tcsetattr(other, TCSANOW, &raw) < 0 || symlink(name, setup.link) < 0) {
		return -errno;
	}
	return master;
}

static int listen_on(int64_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(fd, 4) < 0) {
		return -errno;
	}
	return fd;
}

/* The newest connection counts: a gateway has one line. */
static int take_client(int listener, int client)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), on = 1;

	if (fd < 0) {
		return client;
	}
	if (client >= 0) {
		(void)close(client);
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* slower without */
	return fd;
}

/* Nothing came for a while; was it longer than it should have been? */
static void note_idle(int64_t since_ns)
{
	int64_t late_ns = now_monotonic_ns() - since_ns - IDLE_MS * NS_PER_MS;

	if (record && late_ns > STALL_NS) {
		(void)fprintf(record, "stall %" PRId64 "\n", late_ns);
	}
}

/* Until a signal. */
static int run(int signals, int listener, int fd)
{
	struct input input = {.size = 0};

	for (;;) {
		struct pollfd fds[] = {
			{.fd = signals, .events = POLLIN},
			{.fd = fd, .events = POLLIN},
			{.fd = listener, .events = POLLIN},
		};
		int64_t before_ns = waited_ns(), since_ns = now_monotonic_ns();
		int n = poll(fds, ARRAY_SIZE(fds), IDLE_MS);

		if (n < 0 && errno != EINTR) {
			return 1;
		}
		if (n == 0) {
			note_idle(since_ns);
			input.size = 0; /* what is there is no whole frame */
		}
		if (fds[0].revents) {
			return 0;
		}
		if (fds[1].revents && !take_input(fd, &input, waited_ns() - before_ns)) {
			(void)close(fd);
			fd = -1;
			input.size = 0;
		}
		if (fds[2].revents) {
			fd = take_client(listener, fd);
			input.size = 0;
		}
	}
}

static int block_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

int main(int argc, char **argv)
{
	const struct sched_param priority = {.sched_priority = 10};
	int signals = block_signals(), listener = -1, fd = -1, other = -1, r;
	const char *bad;

	if (argc < 2 || line_setup_parse(&setup, argv + 1, &bad) < 0) {
		fprintf(stderr, "bench_line: %s\n",
			argc < 2 ? "Use: bench_line KEY=VALUE..." : bad);
		return 64;
	}
	if (setup.baud) {
		char_ns = CHAR_BITS * NS_PER_S / setup.baud;
		silence_ns = MAX(char_ns * 7 / 2, SILENCE_MIN);
	}
	record = setup.record ? fopen(setup.record, "we") : NULL;
	schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	(void)signal(SIGPIPE, SIG_IGN);
	/* Without both it works, but is late more often: the record says how late. */
	(void)prctl(PR_SET_TIMERSLACK, 1);
	if (setup.realtime) {
		(void)sched_setscheduler(0, SCHED_FIFO, &priority);
	}
	r = setup.link ? open_terminal(&other) : listen_on(MAX(setup.port, setup.server));
	if (r < 0 || signals < 0 || (setup.record && !record)) {
		fprintf(stderr, "bench_line: cannot begin: %s\n", strerror(r < 0 ? -r : errno));
		return 1;
	}
	if (setup.link) {
		fd = r;
	} else {
		listener = r;
	}
	start_ns = last_ns = now_monotonic_ns();
	printf("listening\n");
	(void)fflush(stdout);
	r = run(signals, listener, fd);
	if (record && fclose(record) != 0) {
		return 1;
	}
	return r;
}
