/* SPDX-License-Identifier: Apache-2.0 */
#include "journal_block.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "util.h"

/* The tag byte before each reading; docs/journal.md has the format. */
#define TAG_SENSOR    0x80u /* a sensor other than the one after the previous */
#define TAG_TIME      0x40u /* another time than the previous */
#define TAG_UNCERTAIN 0x20u
#define TAG_FORM      0x1fu

/* Value forms: m / 10^e, the leading k bytes of the IEEE double, m * 10^-e. */
#define FORM_QUOTIENT 0u
#define FORM_RAW      10u
#define FORM_PRODUCT  19u
#define FORM_END      28u

#define MAX_EXPONENT 9u
/* Seven bytes of varint: beyond that the double itself is no longer. */
#define MANTISSA_LIMIT 0x1p48
/* Tag, sensor, time, value. */
#define MAX_PACKED (1u + 5u + 10u + 8u)
/* Both clocks are read one after the other: the offset is not known better than this. */
#define OFFSET_TOLERANCE_US (1 * US_PER_MS)

static const double power_of_ten[MAX_EXPONENT + 1] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
static const double power_of_tenth[MAX_EXPONENT + 1] = {
	1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9};

static inline uint64_t zigzag(int64_t value)
{
	return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static inline int64_t unzigzag(uint64_t value)
{
	return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

static inline uint8_t *put_varint(uint8_t *p, uint64_t value)
{
	while (value >= 0x80) {
		*p++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*p++ = (uint8_t)value;
	return p;
}

static inline unsigned varint_size(uint64_t value)
{
	return ((64 - (unsigned)__builtin_clzll(value | 1)) + 6) / 7;
}

static inline bool get_varint(const uint8_t **p, const uint8_t *end, uint64_t *ret)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64 && *p < end; shift += 7) {
		uint8_t byte = *(*p)++;

		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*ret = value;
			return true;
		}
	}
	return false;
}

static inline uint64_t double_bits(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static inline double bits_double(uint64_t bits)
{
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/*
 * Finds m and e such that m / 10^e or m * 10^-e is the value, bit for bit: the first is what a
 * decimal number reads as, the second what a raw integer times a scale of 0.1 gives. Returns the
 * form, or FORM_END.
 */
static unsigned find_decimal(double value, int64_t *ret_mantissa)
{
	uint64_t bits = double_bits(value);

	for (unsigned e = 0; e <= MAX_EXPONENT; e++) {
		double scaled = value * power_of_ten[e];
		int64_t mantissa;
		double distance;

		if (!(fabs(scaled) < MANTISSA_LIMIT)) {
			break;
		}
		mantissa = (int64_t)(scaled + copysign(0.5, scaled));
		distance = fabs(scaled - (double)mantissa);
		/* at most three roundings of 2^-53 apart if it is a decimal at all */
		if (distance > fabs(scaled) * 0x1p-51) {
			continue;
		}
		*ret_mantissa = mantissa;
		if (double_bits((double)mantissa / power_of_ten[e]) == bits) {
			return FORM_QUOTIENT + e;
		}
		if (e > 0 && double_bits((double)mantissa * power_of_tenth[e]) == bits) {
			return FORM_PRODUCT + e - 1;
		}
	}
	return FORM_END;
}

/* The value at `p`; returns the form for the tag. */
static unsigned put_value(uint8_t **p, double value)
{
	uint64_t bits = double_bits(value), big_endian = htobe64(bits);
	unsigned raw_size = bits ? 8 - (unsigned)__builtin_ctzll(bits) / 8 : 0;
	int64_t mantissa;
	unsigned form = find_decimal(value, &mantissa);

	if (form != FORM_END && varint_size(zigzag(mantissa)) <= raw_size) {
		*p = put_varint(*p, zigzag(mantissa));
		return form;
	}
	memcpy(*p, &big_endian, sizeof(big_endian)); /* what is beyond raw_size is overwritten */
	*p += raw_size;
	return FORM_RAW + raw_size;
}

bool block_builder_add(struct block_builder *b, const struct reading *r)
{
	unsigned tag = r->quality == READING_UNCERTAIN ? TAG_UNCERTAIN : 0;
	uint8_t *start, *p;

	assert(isfinite(r->value));
	if (b->n == 0) {
		b->clock_ok = r->clock_ok;
		b->offset_us = r->offset_us;
		b->first_us = b->last_us = b->previous_us = r->boottime_us;
		b->previous_sensor = 0;
	} else if (b->n >= BLOCK_MAX_READINGS || b->clock_ok != r->clock_ok ||
		   r->offset_us > b->offset_us + OFFSET_TOLERANCE_US ||
		   r->offset_us < b->offset_us - OFFSET_TOLERANCE_US) {
		return false;
	}
	if (b->capacity - b->size < MAX_PACKED) {
		b->capacity = b->capacity ? 2 * b->capacity : 512;
		b->data = xreallocarray(b->data, b->capacity, 1);
	}
	start = b->data + b->size;
	p = start + 1;
	if (r->sensor != b->previous_sensor + 1) {
		tag |= TAG_SENSOR;
		p = put_varint(p, (uint32_t)zigzag((int32_t)(r->sensor - b->previous_sensor - 1)) &
					  UINT32_MAX);
	}
	if (r->boottime_us != b->previous_us) {
		tag |= TAG_TIME;
		p = put_varint(
			p, zigzag((int64_t)((uint64_t)r->boottime_us - (uint64_t)b->previous_us)));
	}
	tag |= put_value(&p, r->value);
	*start = (uint8_t)tag;
	b->size = (size_t)(p - b->data);
	b->n++;
	b->previous_sensor = r->sensor;
	b->previous_us = r->boottime_us;
	b->last_us = MAX(b->last_us, r->boottime_us);
	return true;
}

void block_builder_clear(struct block_builder *b)
{
	free(b->data);
	memset(b, 0, sizeof(*b));
}

static bool get_value(const uint8_t **p, const uint8_t *end, unsigned form, double *ret)
{
	uint64_t raw;

	if (form < FORM_RAW || form >= FORM_PRODUCT) {
		double mantissa;

		if (form >= FORM_END || !get_varint(p, end, &raw)) {
			return false;
		}
		mantissa = (double)unzigzag(raw);
		*ret = form < FORM_RAW ? mantissa / power_of_ten[form - FORM_QUOTIENT]
				       : mantissa * power_of_tenth[form - FORM_PRODUCT + 1];
		return true;
	}
	if ((size_t)(end - *p) < form - FORM_RAW) {
		return false;
	}
	raw = 0;
	for (unsigned i = 0; i < form - FORM_RAW; i++) {
		raw |= (uint64_t) * (*p)++ << (56 - 8 * i);
	}
	*ret = bits_double(raw);
	return isfinite(*ret);
}

int block_decode(const uint8_t *data, size_t size, uint32_t n, int64_t first_us, int64_t offset_us,
	bool clock_ok, struct reading *out)
{
	const uint8_t *p = data, *end = data + size;
	uint64_t time = (uint64_t)first_us, delta;
	uint32_t sensor = 0;

	if (n > BLOCK_MAX_READINGS) {
		return -EBADMSG;
	}
	for (uint32_t i = 0; i < n; i++) {
		unsigned tag;

		if (p >= end) {
			return -EBADMSG;
		}
		tag = *p++;
		sensor++;
		if (tag & TAG_SENSOR) {
			if (!get_varint(&p, end, &delta) || delta > UINT32_MAX) {
				return -EBADMSG;
			}
			sensor += (uint32_t)unzigzag(delta);
		}
		if (tag & TAG_TIME) {
			if (!get_varint(&p, end, &delta)) {
				return -EBADMSG;
			}
			time += (uint64_t)unzigzag(delta);
		}
		if (!get_value(&p, end, tag & TAG_FORM, &out[i].value)) {
			return -EBADMSG;
		}
		out[i].sensor = sensor;
		out[i].quality = tag & TAG_UNCERTAIN ? READING_UNCERTAIN : READING_GOOD;
		out[i].clock_ok = clock_ok;
		out[i].boottime_us = (int64_t)time;
		out[i].offset_us = offset_us;
	}
	return p == end ? (int)n : -EBADMSG;
}

/* CRC-32C (RFC 3720, appendix B.4), four bytes at a time. */
#define CRC32C_REFLECTED 0x82f63b78u

static uint32_t crc_table[4][256];

static void make_crc_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++) {
			crc = crc >> 1 ^ (crc & 1 ? CRC32C_REFLECTED : 0);
		}
		crc_table[0][i] = crc;
	}
	for (uint32_t i = 0; i < 256; i++) {
		for (int t = 1; t < 4; t++) {
			uint32_t crc = crc_table[t - 1][i];

			crc_table[t][i] = crc >> 8 ^ crc_table[0][crc & 0xff];
		}
	}
}

uint32_t block_checksum(const uint8_t *data, size_t size)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	uint32_t crc = UINT32_MAX, word;

	(void)pthread_once(&once, make_crc_table);
	for (; size >= sizeof(word); data += sizeof(word), size -= sizeof(word)) {
		memcpy(&word, data, sizeof(word));
		crc ^= le32toh(word);
		crc = crc_table[3][crc & 0xff] ^ crc_table[2][crc >> 8 & 0xff] ^
		      crc_table[1][crc >> 16 & 0xff] ^ crc_table[0][crc >> 24];
	}
	for (; size > 0; data++, size--) {
		crc = crc >> 8 ^ crc_table[0][(crc ^ *data) & 0xff];
	}
	return ~crc;
}
