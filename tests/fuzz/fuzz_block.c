/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Any bytes as a block: decoding must not read beyond them, nor yield what is not finite; and what
 * it yields must survive packing. libFuzzer's entry; the first two bytes are the number of
 * readings.
 */

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "journal_block.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct reading readings[BLOCK_MAX_READINGS], again[BLOCK_MAX_READINGS];

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct block_builder b = {0};
	uint32_t n;
	int r;

	if (size < 2) {
		return 0;
	}
	n = ((uint32_t)data[0] << 8 | data[1]) % (BLOCK_MAX_READINGS + 2);
	r = block_decode(data + 2, size - 2, n, 1, 2, true, readings);
	if (r < 0) {
		check(r == -EBADMSG);
		return 0;
	}
	check((uint32_t)r == n);
	for (uint32_t i = 0; i < n; i++) {
		check(isfinite(readings[i].value));
		check(block_builder_add(&b, &readings[i]));
	}
	check(block_decode(b.data, b.size, n, b.first_us, 2, true, again) == r);
	for (uint32_t i = 0; i < n; i++) {
		check(again[i].sensor == readings[i].sensor);
		check(again[i].boottime_us == readings[i].boottime_us);
		check(memcmp(&again[i].value, &readings[i].value, sizeof(double)) == 0);
	}
	block_builder_clear(&b);
	return 0;
}
