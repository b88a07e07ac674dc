/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any frames of the transport protocol: 11 bytes each, of which the first says what kind, the
 * second the nodes, the third what time passes. What is put together must be what was asked for.
 */
#include "fuzz.h"

#include <string.h>

#include "can/decode.h"
#include "can/j1939.h"

#define FRAME_BYTES 11

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t pgns[] = {0, 0xfeca, 0xef00};
	struct j1939_message message;
	struct j1939_tp *tp;
	int64_t now_ns = 0;

	FUZZ_REQUIRE(j1939_tp_new(pgns, sizeof(pgns) / sizeof(pgns[0]), &tp) == 0);
	for (; size >= FRAME_BYTES; size -= FRAME_BYTES, data += FRAME_BYTES) {
		struct j1939_id id = {.pgn = data[0] & 1 ? J1939_PGN_TP_DT : J1939_PGN_TP_CM,
			.source = data[1] & 7,
			.destination = data[1] & 8 ? J1939_ALL : data[1] >> 4};
		uint8_t n = data[0] & 2 ? data[0] >> 4 & 7 : 8;
		uint8_t frame[8];
		uint32_t sum = 0;

		now_ns += (int64_t)data[2] * 10000000;
		memcpy(frame, data + 3, sizeof(frame));
		if (!j1939_tp_receive(tp, j1939_make(&id), frame, n, now_ns, &message)) {
			continue;
		}
		FUZZ_REQUIRE(message.size > 8 && message.size <= J1939_SIZE_MAX);
		FUZZ_REQUIRE(message.pgn == 0 || message.pgn == 0xfeca || message.pgn == 0xef00);
		FUZZ_REQUIRE(message.source == id.source && message.destination == id.destination);
		for (uint32_t i = 0; i < message.size + DECODE_PADDING; i++) {
			sum += message.data[i];
		}
		FUZZ_REQUIRE(sum <= 255 * (J1939_SIZE_MAX + DECODE_PADDING));
	}
	j1939_tp_free(tp);
	return 0;
}
