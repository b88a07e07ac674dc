/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any frames to a node that receives and sends: 10 bytes each, of which the first says how many
 * count, and the second what time passes; some begin to send. It must neither leave its buffers nor
 * be at work for ever; what it answers must be a frame.
 */
#include "fuzz.h"

#include <string.h>

#include "can/isotp.h"

#define FRAME_BYTES 10

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct isotp t;
	static uint8_t message[ISOTP_MAX];
	struct isotp_frame out;
	int64_t now_ns = 0;

	isotp_init(&t, size % 2 ? 0xaa : ISOTP_NO_PADDING);
	for (; size >= FRAME_BYTES; size -= FRAME_BYTES, data += FRAME_BYTES) {
		uint8_t frame[8];
		enum isotp_event event;
		size_t n;

		now_ns += (int64_t)data[1] * 5000000;
		memcpy(frame, data + 2, sizeof(frame));
		if (data[0] & 0x80) {
			(void)isotp_send(&t, message, (size_t)data[2] * 17, now_ns, &out);
		}
		event = isotp_receive(&t, frame, data[0] & 0x0f, now_ns, &out);
		FUZZ_REQUIRE(out.size <= 8);
		if (event == ISOTP_MESSAGE) {
			FUZZ_REQUIRE(isotp_message(&t, &n) && n > 0 && n <= ISOTP_MAX);
		}
		(void)isotp_step(&t, now_ns, &out);
		FUZZ_REQUIRE(out.size <= 8);
	}
	for (int i = 0; isotp_next_ns(&t) != INT64_MAX; i++) {
		FUZZ_REQUIRE(i < 1000);
		now_ns = isotp_next_ns(&t) > now_ns ? isotp_next_ns(&t) : now_ns;
		(void)isotp_step(&t, now_ns, &out);
	}
	return 0;
}
