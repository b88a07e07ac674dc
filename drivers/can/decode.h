/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAN_DECODE_H
#define CAN_DECODE_H

/*
 * A number out of the bytes of a message, whatever bits it is made of. What can be known
 * beforehand is worked out once, so that a signal then costs a load, a shift and a mask. Nothing
 * here has a state.
 *
 * Bit b of a message is bit b % 8 of byte b / 8, bit 0 the lowest. Little endian (Intel): `start`
 * is the lowest bit, the others follow upwards. Big endian (Motorola): `start` is the highest bit,
 * the others follow downwards, and after bit 0 of a byte comes bit 7 of the next one.
 */

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Bytes that can be read behind the last one of a message: it lies in a buffer with that much more.
 */
#define DECODE_PADDING 8u

enum decode_type { DECODE_UNSIGNED, DECODE_SIGNED, DECODE_FLOAT, DECODE_DOUBLE };

struct decode_layout {
	double factor, offset; /* value = raw * factor + offset */
	uint16_t start;        /* see above */
	uint8_t length;        /* bits, 1 to 64; DECODE_FLOAT 32, DECODE_DOUBLE 64 */
	uint8_t type;          /* enum decode_type */
	bool big_endian;
};

/* What the bits say: SAE J1939-71, table of transmitted signal ranges; and why there is no value.
 */
enum decode_meaning {
	DECODE_DATA,
	DECODE_SPECIAL, /* parameter specific, or reserved */
	DECODE_ERROR,
	DECODE_NOT_AVAILABLE,
	DECODE_NO_NUMBER, /* a float that is none, or infinite */
	DECODE_TOO_SHORT, /* the message ends before the signal does */
};

/* Made by decode_prepare(). Small, because a table of them is to stay in the cache. */
struct decoder {
	double factor, offset;
	uint64_t mask, sign; /* the sign bit, 0 if there is none */
	uint64_t data_max;   /* bits above it are no data */
	uint16_t byte;       /* the first one that is read */
	uint16_t n_bytes;    /* that the message must have */
	uint8_t shift;       /* DECODE_WIDE: bits of the first byte (little endian) or of the ninth
				that are not in it */
	uint8_t flags;
};

enum {
	DECODE_SWAPPED = 1, /* big endian */
	DECODE_WIDE = 2,    /* over nine bytes */
	DECODE_WHOLE = 4,   /* unsigned, and of 64 bits */
	DECODE_SINGLE = 8,
	DECODE_PRECISE = 16
};

/*
 * With `j1939`, values that the standard keeps for other things are told from data; only of
 * unsigned signals, because the standard knows no others. 0, or -EINVAL if there is no such layout.
 */
int decode_prepare(const struct decode_layout *layout, bool j1939, struct decoder *ret_decoder);

/* What bits mean that are no data. */
enum decode_meaning decode_meaning(const struct decoder *d, uint64_t bits);
/* In words for people. */
const char *decode_meaning_text(enum decode_meaning meaning);

/* The bits of a signal, as they are; `data` has n_bytes and DECODE_PADDING. */
uint64_t decode_bits(const struct decoder *d, const uint8_t *data);

/* The raw value of a signal that is no float: what value tables speak of. */
static inline int64_t decode_raw(const struct decoder *d, uint64_t bits)
{
	return (int64_t)((bits ^ d->sign) - d->sign);
}

/* The value that bits stand for. A float may be anything, also no number. */
double decode_value(const struct decoder *d, uint64_t bits);

/*
 * The two in one: what is done for each signal of each frame. False if it is no data, and then
 * nothing is written; decode_bits() and decode_meaning() know more.
 */
static inline bool decode_signal(const struct decoder *d, const uint8_t *data, double *ret_value)
{
	uint64_t x;

	if (__builtin_expect(d->flags & ~DECODE_SWAPPED, 0)) {
		x = decode_bits(d, data);
		*ret_value = x <= d->data_max ? decode_value(d, x) : *ret_value;
		return x <= d->data_max;
	}
	memcpy(&x, data + d->byte, sizeof(x));
	x = (d->flags & DECODE_SWAPPED ? be64toh(x) : le64toh(x)) >> d->shift & d->mask;
	if (__builtin_expect(x > d->data_max, 0)) {
		return false;
	}
	*ret_value = (double)decode_raw(d, x) * d->factor + d->offset;
	return true;
}

#endif
