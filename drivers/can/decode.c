/* SPDX-License-Identifier: Apache-2.0 */
#include "decode.h"

#include <errno.h>

/* The highest value that is data, [SAE J1939-71]: 0xfa, 0xfaff, 0xfaffffff; of two bits 0 and 1.
   Of other lengths it says only that all ones are "not available". */
static uint64_t j1939_data_max(uint64_t mask, uint8_t length)
{
	if (length == 1) {
		return mask;
	}
	if (length == 2) {
		return 1;
	}
	return length % 8 == 0 ? mask - (UINT64_C(5) << (length - 8)) : mask - 1;
}

static uint8_t flags_of(const struct decode_layout *layout)
{
	switch (layout->type) {
	case DECODE_FLOAT:
		return DECODE_SINGLE;
	case DECODE_DOUBLE:
		return DECODE_PRECISE;
	case DECODE_UNSIGNED:
		return layout->length == 64 ? DECODE_WHOLE : 0;
	default:
		return 0;
	}
}

int decode_prepare(const struct decode_layout *layout, bool j1939, struct decoder *ret_decoder)
{
	struct decoder d = {.factor = layout->factor, .offset = layout->offset};
	uint32_t length = layout->length, within; /* bits of the first byte that come before it */
	bool wide;

	if (length < 1 || length > 64 || (layout->type == DECODE_FLOAT && length != 32) ||
		(layout->type == DECODE_DOUBLE && length != 64)) {
		return -EINVAL;
	}
	within = layout->big_endian ? 7u - layout->start % 8u : layout->start % 8u;
	wide = within + length > 64;
	d.mask = UINT64_MAX >> (64 - length);
	d.sign = layout->type == DECODE_SIGNED ? UINT64_C(1) << (length - 1) : 0;
	d.data_max = j1939 && layout->type == DECODE_UNSIGNED
			     ? j1939_data_max(d.mask, layout->length)
			     : d.mask;
	d.byte = layout->start / 8u;
	d.n_bytes = (uint16_t)(d.byte + (within + length + 7u) / 8u);
	d.flags = flags_of(layout) | (layout->big_endian ? DECODE_SWAPPED : 0) |
		  (wide ? DECODE_WIDE : 0);
	d.shift = (uint8_t)(!layout->big_endian ? within : (wide ? 72 : 64) - within - length);
	*ret_decoder = d;
	return 0;
}

uint64_t decode_bits(const struct decoder *d, const uint8_t *data)
{
	const uint8_t *p = data + d->byte;
	uint64_t x;

	memcpy(&x, p, sizeof(x));
	x = d->flags & DECODE_SWAPPED ? be64toh(x) : le64toh(x);
	if (!(d->flags & DECODE_WIDE)) {
		x >>= d->shift;
	} else if (d->flags & DECODE_SWAPPED) {
		x = x << (8 - d->shift) | (uint64_t)p[8] >> d->shift;
	} else {
		x = x >> d->shift | (uint64_t)p[8] << (64 - d->shift);
	}
	return x & d->mask;
}

double decode_value(const struct decoder *d, uint64_t bits)
{
	double raw;

	if (d->flags & DECODE_SINGLE) {
		uint32_t narrow = (uint32_t)bits;
		float value;

		memcpy(&value, &narrow, sizeof(value));
		raw = (double)value;
	} else if (d->flags & DECODE_PRECISE) {
		memcpy(&raw, &bits, sizeof(raw));
	} else {
		raw = d->flags & DECODE_WHOLE ? (double)bits : (double)decode_raw(d, bits);
	}
	return raw * d->factor + d->offset;
}

enum decode_meaning decode_meaning(const struct decoder *d, uint64_t bits)
{
	uint32_t length = 64u - (uint32_t)__builtin_clzll(d->mask);
	uint64_t highest;

	if (bits <= d->data_max) {
		return DECODE_DATA;
	}
	if (length == 2) {
		return bits == 2 ? DECODE_ERROR : DECODE_NOT_AVAILABLE;
	}
	if (length % 8 != 0) {
		return DECODE_NOT_AVAILABLE;
	}
	highest = bits >> (length - 8);
	return highest == 0xff   ? DECODE_NOT_AVAILABLE
	       : highest == 0xfe ? DECODE_ERROR
				 : DECODE_SPECIAL;
}

const char *decode_meaning_text(enum decode_meaning meaning)
{
	switch (meaning) {
	case DECODE_SPECIAL:
		return "the device sends a reserved value";
	case DECODE_ERROR:
		return "the device reports an error of this sensor";
	case DECODE_NOT_AVAILABLE:
		return "the device says that it has no value";
	case DECODE_NO_NUMBER:
		return "the device sends a float that is no number";
	case DECODE_TOO_SHORT:
		return "the message is shorter than where the signal is";
	default:
		return "data";
	}
}
