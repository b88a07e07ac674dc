/* SPDX-License-Identifier: Apache-2.0 */
#include "bosch.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

/* What stands in a register that was not measured: BME280, 5.4.7 to 5.4.9. */
#define SKIPPED_20 0x80000
#define SKIPPED_16 0x8000
/* Fine temperature is in 1/5120 of a degree; what is farther away than this is no measurement, and
   within it the formulae for humidity cannot overflow. */
#define FINE_MIN (-60 * 5120)
#define FINE_MAX (120 * 5120)

static uint16_t u16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static int16_t s16(const uint8_t *bytes)
{
	return (int16_t)u16(bytes);
}

/* Twelve bits with their sign. */
static int16_t s12(int32_t bits)
{
	return (int16_t)(bits & 0x800 ? bits - 0x1000 : bits);
}

void bosch_calibration_read(const uint8_t *low, const uint8_t *high, struct bosch_calibration *ret)
{
	/* BME280, table 16; BMP280, table 17 */
	*ret = (struct bosch_calibration){
		.t1 = u16(low),
		.t2 = s16(low + 2),
		.t3 = s16(low + 4),
		.p1 = u16(low + 6),
		.p2 = s16(low + 8),
		.p3 = s16(low + 10),
		.p4 = s16(low + 12),
		.p5 = s16(low + 14),
		.p6 = s16(low + 16),
		.p7 = s16(low + 18),
		.p8 = s16(low + 20),
		.p9 = s16(low + 22),
	};
	if (!high) {
		return;
	}
	ret->h1 = low[25];
	ret->h2 = s16(high);
	ret->h3 = high[2];
	/* they share a byte */
	ret->h4 = s12(high[3] << 4 | (high[4] & 0x0f));
	ret->h5 = s12(high[5] << 4 | high[4] >> 4);
	ret->h6 = (int8_t)high[6];
}

static int32_t raw_20(const uint8_t *bytes)
{
	return bytes[0] << 12 | bytes[1] << 4 | bytes[2] >> 4;
}

static int fine_temperature(const struct bosch_calibration *c, const uint8_t *data, int64_t *ret)
{
	int64_t raw = raw_20(data + 3), half, square;

	if (raw == SKIPPED_20) {
		return -ENODATA;
	}
	half = (((raw >> 3) - 2 * (int64_t)c->t1) * c->t2) >> 11;
	square = (raw >> 4) - c->t1;
	square = (((square * square) >> 12) * c->t3) >> 14;
	if (half + square < FINE_MIN || half + square > FINE_MAX) {
		return -ERANGE;
	}
	*ret = half + square;
	return 0;
}

int bosch_temperature(const struct bosch_calibration *c, const uint8_t *data, double *ret)
{
	int64_t fine;
	int r = fine_temperature(c, data, &fine);

	if (r == 0) {
		*ret = (double)((fine * 5 + 128) >> 8) / 100;
	}
	return r;
}

/* (a + b) * factor; false if it does not fit. */
static bool sum_times(int64_t a, int64_t b, int64_t factor, int64_t *ret)
{
	return !__builtin_add_overflow(a, b, ret) && !__builtin_mul_overflow(*ret, factor, ret);
}

/* The part of the formula that is of the second order in pressure. */
static int finish_pressure(const struct bosch_calibration *c, int64_t p, double *ret)
{
	int64_t square, linear;

	/* over 16 million Pa */
	if (p < 0 || p > INT64_C(1) << 36) {
		return -ERANGE;
	}
	square = (c->p9 * (p >> 13) * (p >> 13)) >> 25;
	linear = (p * c->p8) >> 19;
	*ret = (double)(((p + square + linear) >> 8) + c->p7 * INT64_C(16)) / 256;
	return 0;
}

int bosch_pressure(const struct bosch_calibration *c, const uint8_t *data, double *ret)
{
	int64_t raw = raw_20(data), fine, offset, slope;
	int r = fine_temperature(c, data, &fine);

	if (r < 0) {
		return r;
	}
	if (raw == SKIPPED_20) {
		return -ENODATA;
	}
	fine -= 128000;
	offset = fine * fine * c->p6 + fine * c->p5 * (INT64_C(1) << 17) +
		 c->p4 * (INT64_C(1) << 35);
	slope = ((fine * fine * c->p3) >> 8) + fine * c->p2 * 4096;
	if (!sum_times(INT64_C(1) << 47, slope, c->p1, &slope) || slope >> 33 == 0) {
		return -ERANGE;
	}
	slope >>= 33;
	if (!sum_times((1048576 - raw) * (INT64_C(1) << 31), -offset, 3125, &raw)) {
		return -ERANGE;
	}
	return finish_pressure(c, raw / slope, ret);
}

int bosch_humidity(const struct bosch_calibration *c, const uint8_t *data, double *ret)
{
	int64_t raw = data[6] << 8 | data[7], fine, slope, v;
	int r = fine_temperature(c, data, &fine);

	if (r < 0) {
		return r;
	}
	if (raw == SKIPPED_16) {
		return -ENODATA;
	}
	fine -= 76800;
	slope = ((((fine * c->h6) >> 10) * (((fine * c->h3) >> 11) + 32768)) >> 10) + 2097152;
	slope = (slope * c->h2 + 8192) >> 14;
	v = raw * 16384 - c->h4 * INT64_C(1048576) - c->h5 * fine + 16384;
	v = (v >> 15) * slope;
	v -= ((((v >> 15) * (v >> 15)) >> 7) * c->h1) >> 4;
	v = v < 0 ? 0 : v;
	v = v > 419430400 ? 419430400 : v;
	*ret = (double)(v >> 12) / 1024;
	return 0;
}
