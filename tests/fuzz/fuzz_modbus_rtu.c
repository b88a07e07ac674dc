/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever a slave on a serial line sends, and when: an answer that the driver takes has come since
 * the request, bears its unit and function, is of the right length, and has a good checksum; and no
 * request takes longer than it may. The input is the slave's script: for each request some pieces,
 * each an opcode and what it needs, up to OP_END.
 */
#include "fuzz.h"

#include <string.h>

#include "fake_line.h"

#define NS_PER_MS    INT64_C(1000000)
#define REQUESTS_MAX 12
#define PIECES_MAX   32 /* for each request */
#define TIMEOUT_NS   (50 * NS_PER_MS)

enum op {
	OP_END,
	OP_WAIT,      /* ms */
	OP_RAW,       /* size, bytes */
	OP_ANSWER,    /* the right one */
	OP_PART,      /* of the right one: from, to */
	OP_FLIP,      /* the right one with a byte changed: where, by what */
	OP_OTHER,     /* unit, function, count off by: a good frame of something else */
	OP_EXCEPTION, /* code */
	OP_ECHO,      /* the request itself */
	OP_HANG_UP,
	N_OPS
};

struct script {
	const uint8_t *data;
	size_t size;
	uint8_t tag; /* of this request's data */
	unsigned n_pieces;
	bool is_plain; /* the right answer as a whole was all that the slave sent */
	int64_t sent_ns;
};

static uint8_t take(struct script *s)
{
	if (s->size == 0) {
		return 0;
	}
	s->size--;
	return *s->data++;
}

static size_t make_frame(
	uint8_t unit, uint8_t function, uint16_t count, uint8_t tag, uint8_t *frame)
{
	size_t n = function <= 2 ? (count + 7u) / 8 : 2u * count;

	n = n > 250 ? 250 : n;
	frame[0] = unit;
	frame[1] = function;
	frame[2] = (uint8_t)n;
	memset(frame + 3, tag, n);
	return fake_line_seal(frame, 3 + n);
}

static void put(struct script *s, int64_t at_ns, const uint8_t *bytes, size_t size)
{
	if (size > 0) {
		fake_line_send(at_ns, bytes, size);
		s->n_pieces++;
	}
}

/* One piece of the script. False at its end. */
static bool play(struct script *s, const uint8_t *request, int64_t *at_ns)
{
	uint8_t frame[FAKE_LINE_FRAME_MAX];
	uint16_t count = (uint16_t)(request[4] << 8 | request[5]);
	size_t size = make_frame(request[0], request[1], count, s->tag, frame);
	enum op op = take(s) % N_OPS;
	size_t from, to;

	s->is_plain = s->is_plain && (op == OP_WAIT || op == OP_ANSWER || op == OP_END);
	switch (op) {
	case OP_WAIT:
		*at_ns += take(s) * NS_PER_MS;
		return true;
	case OP_RAW:
		size = take(s) % 64;
		for (size_t i = 0; i < size; i++) {
			frame[i] = take(s);
		}
		break;
	case OP_ANSWER:
		s->is_plain = s->is_plain && s->n_pieces == 0;
		s->sent_ns = *at_ns;
		break;
	case OP_PART:
		from = take(s) % size;
		to = take(s) % (size + 1);
		size = to > from ? to - from : 0;
		memmove(frame, frame + from, size);
		break;
	case OP_FLIP:
		from = take(s) % size;
		frame[from] ^= take(s);
		break;
	case OP_OTHER:
		frame[0] = (uint8_t)(request[0] + take(s));
		frame[1] = (uint8_t)(request[1] ^ take(s));
		size = make_frame(
			frame[0], frame[1], (uint16_t)(count + take(s) % 4), s->tag, frame);
		break;
	case OP_EXCEPTION:
		frame[1] |= 0x80;
		frame[2] = take(s);
		size = fake_line_seal(frame, 3);
		break;
	case OP_ECHO:
		memcpy(frame, request, 8);
		size = 8;
		break;
	case OP_HANG_UP:
		fake_line_send(*at_ns, frame, 0);
		return false;
	default:
		return false;
	}
	put(s, *at_ns, frame, size);
	return true;
}

static void slave(void *ctx, const uint8_t *request, size_t size)
{
	struct script *s = ctx;
	int64_t at_ns = NS_PER_MS;

	(void)size;
	s->n_pieces = 0;
	s->is_plain = true;
	s->sent_ns = INT64_MAX;
	while (s->n_pieces < PIECES_MAX && s->size > 0 && play(s, request, &at_ns)) {
	}
}

/* The answer is in what came since the request, with a good checksum. */
static bool has_arrived(uint8_t unit, const struct modbus_pdu *answer)
{
	uint8_t frame[FAKE_LINE_FRAME_MAX];
	size_t n, size;
	const uint8_t *bytes = fake_line_received(&n);

	frame[0] = unit;
	memcpy(frame + 1, answer->bytes, answer->size);
	size = fake_line_seal(frame, answer->size + 1);
	for (size_t at = 0; at + size <= n; at++) {
		if (memcmp(bytes + at, frame, size) == 0) {
			return true;
		}
	}
	return false;
}

static void check_answer(
	uint8_t unit, uint8_t function, uint16_t count, const struct modbus_pdu *answer)
{
	size_t n = function <= 2 ? (count + 7u) / 8 : 2u * count;
	bool is_exception = answer->bytes[0] == (function | 0x80);

	FUZZ_REQUIRE(answer->size == (is_exception ? 2 : 2 + n));
	FUZZ_REQUIRE(is_exception || answer->bytes[0] == function);
	FUZZ_REQUIRE(is_exception || answer->bytes[1] == n);
	FUZZ_REQUIRE(has_arrived(unit, answer));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {.data = data, .size = size};
	bool was_plain = true; /* the request before, and so its late answer was waited for */
	uint8_t last_tag = 0;

	fake_line_open(115200, TIMEOUT_NS, slave, &s);
	for (unsigned i = 0; i < REQUESTS_MAX && s.size > 0; i++) {
		uint8_t what = take(&s);
		uint8_t unit = 1 + (what & 1), function = 1 + (what >> 1 & 3);
		uint16_t count = (uint16_t)(1 + (what >> 3));
		struct fake_line_result result;

		s.tag = (uint8_t)(i + 1);
		result = fake_line_read(unit, function, i, count, true);
		/* Twice the time for an answer, until the line is silent, and the frames. */
		FUZZ_REQUIRE(result.took_ns <= 4 * TIMEOUT_NS + 60 * NS_PER_MS);
		if (result.outcome == MODBUS_ANSWERED) {
			check_answer(unit, function, count, &result.answer);
			/* A slave that was only late, and not too much, confuses nobody. */
			if (was_plain && s.is_plain && function > 2 &&
				result.answer.bytes[0] == function) {
				FUZZ_REQUIRE(result.answer.bytes[2] != last_tag);
			}
		}
		if (result.outcome < 0) {
			break; /* hung up: the daemon closes the bus */
		}
		was_plain = was_plain && s.is_plain &&
			    (s.sent_ns <= 2 * TIMEOUT_NS - 10 * NS_PER_MS ||
				    s.sent_ns == INT64_MAX);
		last_tag = s.tag;
	}
	FUZZ_REQUIRE(fake_line_waits() < 20000);
	fake_line_close();
	return 0;
}
