/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever a slave sends over TCP: an answer that the driver takes bears the transaction and the
 * unit of the request. The slave's bytes are on the connection before the requests, and it ends
 * after them, so that nothing waits. The input is a list of frames, each an opcode and what it
 * needs.
 */
#include "fuzz.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "modbus/transport.h"

#define NS_PER_MS   INT64_C(1000000)
#define REQUESTS    4
#define STREAM_MAX  8192u
#define FRAME_MAX   264u
#define HEADER_SIZE 7
#define UNIT        3
#define FUNCTION    3
#define COUNT       2
#define DATA_SIZE   (2 * COUNT)

enum op { OP_ANSWER, OP_RAW, OP_HEADER, OP_FLIP, OP_PART, OP_EXCEPTION, N_OPS };

struct script {
	const uint8_t *data;
	size_t size;
	uint8_t stream[STREAM_MAX];
	size_t n_stream;
};

static uint8_t take(struct script *s)
{
	if (s->size == 0) {
		return 0;
	}
	s->size--;
	return *s->data++;
}

static void put(struct script *s, const uint8_t *bytes, size_t size)
{
	if (s->n_stream + size <= STREAM_MAX) {
		memcpy(s->stream + s->n_stream, bytes, size);
		s->n_stream += size;
	}
}

/* The right answer to request number `n`; its data is the number. */
static size_t make_answer(uint8_t n, uint8_t *frame)
{
	const uint8_t answer[HEADER_SIZE + 2] = {
		0, n, 0, 0, 0, 3 + DATA_SIZE, UNIT, FUNCTION, DATA_SIZE};

	memcpy(frame, answer, sizeof(answer));
	memset(frame + sizeof(answer), n, DATA_SIZE);
	return sizeof(answer) + DATA_SIZE;
}

static void play(struct script *s)
{
	uint8_t frame[FRAME_MAX];
	enum op op = take(s) % N_OPS;
	size_t size = make_answer((uint8_t)(1 + take(s) % REQUESTS), frame);
	size_t at;

	switch (op) {
	case OP_RAW:
		size = take(s);
		for (at = 0; at < size; at++) {
			frame[at] = take(s);
		}
		break;
	case OP_HEADER: /* another length, unit, function and count, as much as it then has */
		frame[4] = take(s) % 2;
		frame[5] = take(s);
		frame[6] = (uint8_t)(UNIT + take(s));
		frame[7] = (uint8_t)(FUNCTION ^ take(s));
		frame[8] = take(s);
		memset(frame + 9, 0xee, sizeof(frame) - 9);
		size = take(s);
		break;
	case OP_FLIP:
		at = take(s) % size;
		frame[at] ^= take(s);
		break;
	case OP_PART:
		size = take(s) % size;
		break;
	case OP_EXCEPTION:
		frame[5] = 3;
		frame[7] |= 0x80;
		frame[8] = take(s);
		size = HEADER_SIZE + 2;
		break;
	default:
		break;
	}
	put(s, frame, size);
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

static int listen_on_loopback(int64_t *ret_port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	FUZZ_REQUIRE(fd >= 0);
	FUZZ_REQUIRE(bind(fd, (struct sockaddr *)(void *)&address, size) == 0);
	FUZZ_REQUIRE(listen(fd, 1) == 0);
	FUZZ_REQUIRE(getsockname(fd, (struct sockaddr *)(void *)&address, &size) == 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

/* A connection of the driver's on which the slave has said everything, to a port that is then
   closed: a second connection is refused. */
static int connect_both(
	struct scg_bus *bus, union scg_value *options, const struct script *s, void **ret_link)
{
	int listener = listen_on_loopback(&options[BUS_PORT].i), fd;

	FUZZ_REQUIRE(modbus_tcp.open(bus, ret_link) == 0);
	fd = accept(listener, NULL, NULL);
	FUZZ_REQUIRE(fd >= 0);
	FUZZ_REQUIRE(send(fd, s->stream, s->n_stream, MSG_NOSIGNAL) == (ssize_t)s->n_stream);
	FUZZ_REQUIRE(shutdown(fd, SHUT_WR) == 0);
	(void)close(listener);
	return fd;
}

/* The script has this answer, from the unit, to this request. */
static bool was_sent(const struct script *s, uint8_t n, const struct modbus_pdu *answer)
{
	size_t length = answer->size + 1;
	const uint8_t header[] = {0, n, 0, 0, (uint8_t)(length >> 8), (uint8_t)length, UNIT};

	for (size_t at = 0; at + HEADER_SIZE + answer->size <= s->n_stream; at++) {
		if (memcmp(s->stream + at, header, sizeof(header)) == 0 &&
			memcmp(s->stream + at + HEADER_SIZE, answer->bytes, answer->size) == 0) {
			return true;
		}
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	union scg_value options[N_BUS_OPTIONS] = {
		[BUS_HOST] = {.s = "127.0.0.1"},
		[BUS_CONNECT_TIMEOUT] = {.i = 1000 * NS_PER_MS},
		[BUS_RESPONSE_TIMEOUT] = {.i = 10 * NS_PER_MS},
	};
	struct scg_bus bus = {.host = &host, .name = "slave", .options = options};
	struct script s = {.data = data, .size = size};
	void *link;
	int fd, r = 0;

	while (s.size > 0 && s.n_stream < STREAM_MAX - FRAME_MAX) {
		play(&s);
	}
	fd = connect_both(&bus, options, &s, &link);
	for (uint8_t n = 1; n <= REQUESTS && r >= 0; n++) {
		struct modbus_exchange x = {
			.request = {.size = 5, .bytes = {FUNCTION, 0, n, 0, COUNT}},
			.unit = UNIT,
			.is_trusted = true,
			.limit_ns = options[BUS_RESPONSE_TIMEOUT].i,
			.quiet_ns = options[BUS_RESPONSE_TIMEOUT].i,
		};

		r = modbus_tcp.exchange(link, &x);
		if (r == MODBUS_ANSWERED) {
			FUZZ_REQUIRE(x.answer.size >= 1 && x.answer.size <= MODBUS_PDU_MAX);
			FUZZ_REQUIRE(was_sent(&s, n, &x.answer));
		}
	}
	modbus_tcp.close(link);
	(void)close(fd);
	return 0;
}
