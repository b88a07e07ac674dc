/* SPDX-License-Identifier: Apache-2.0 */
#include "payload.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char two_digits[] = "00010203040506070809101112131415161718192021222324"
				 "25262728293031323334353637383940414243444546474849"
				 "50515253545556575859606162636465666768697071727374"
				 "75767778798081828384858687888990919293949596979899";

/* Writes the digits of `n` so that they end before `end`, at least `width` of them. */
static char *put_digits_before(char *end, uint64_t n, int width)
{
	char *p = end;

	while (n >= 100) {
		p -= 2;
		memcpy(p, two_digits + 2 * (n % 100), 2);
		n /= 100;
	}
	if (n >= 10) {
		p -= 2;
		memcpy(p, two_digits + 2 * n, 2);
	} else if (n > 0) {
		*--p = (char)('0' + n);
	}
	while (end - p < width) {
		*--p = '0';
	}
	return p;
}

/* n * 10^-decimals; the last digit of n is not zero if there are decimals. */
static char *put_decimal(char *p, uint64_t n, int decimals)
{
	char digits[40];
	char *end = digits + sizeof(digits);
	char *first = put_digits_before(end, n, decimals + 1);
	char *point = end - decimals;

	memcpy(p, first, (size_t)(point - first));
	p += point - first;
	if (decimals > 0) {
		*p++ = '.';
		memcpy(p, point, (size_t)decimals);
		p += decimals;
	}
	return p;
}

/* All powers of ten that a double holds exactly. */
static const double powers_of_ten[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/*
 * The common case: a few decimals. n and 10^k are exact doubles, so n / 10^k is the double nearest
 * to that decimal number, which is what reading the text yields: the comparison proves the text.
 * Below 10^15 no two decimals with k places share a double, and the product is off by less than a
 * quarter, so the rounding finds the only candidate: the first k that fits is the shortest text.
 */
static inline bool few_decimals(double value, uint64_t *ret_n, int *ret_decimals)
{
	for (int k = 0; k <= 4; k++) {
		double scaled = value * powers_of_ten[k];
		int64_t n;

		if (scaled >= 1e15) {
			return false;
		}
		n = (int64_t)(scaled + 0.5);
		if ((double)n / powers_of_ten[k] == value) {
			*ret_n = (uint64_t)n;
			*ret_decimals = k;
			return true;
		}
	}
	return false;
}

/* (a * b - minus) >> shift, exactly, without the 128-bit type that 32-bit machines lack: a below
   2^49, b below 2^56, shift from 1 to 63, and a result that fits. */
static uint64_t multiply_shift(uint64_t a, uint64_t b, unsigned minus, int shift)
{
	const uint64_t mask = UINT32_MAX;
	uint64_t low = (a & mask) * (b & mask);
	uint64_t middle = (a >> 32) * (b & mask) + (low >> 32);
	uint64_t middle2 = (a & mask) * (b >> 32) + (middle & mask);
	uint64_t high = (a >> 32) * (b >> 32) + (middle >> 32) + (middle2 >> 32);

	low = middle2 << 32 | (low & mask);
	high -= low < minus ? 1 : 0;
	low -= minus;
	return high << (64 - shift) | low >> shift;
}

/*
 * The shortest decimal number that reads back as `value`, from 1e-5 up to 1e15 and not an integer.
 *
 * value = m * 2^e. All reals between (m - 1/2) 2^e and (m + 1/2) 2^e read as value (at a power of
 * two the lower half is half as wide), the ends only if m is even, since reading rounds to even
 * (IEEE 754-2019 4.3.1). Scaled by 10^k = 5^k 2^k, so that value has 17 digits before the point,
 * both ends are an integer below 2^107, shifted: no rounding anywhere. There is always an integer
 * between them; taken is the one with the most trailing zeros, and of those the closest to value.
 */
static void shortest_decimal(double value, uint64_t *ret_n, int *ret_decimals)
{
	static const uint64_t powers_of_five[] = {1, 5, 25, 125, 625, 3125, 15625, 78125, 390625,
		1953125, 9765625, 48828125, 244140625, 1220703125, 6103515625, 30517578125,
		152587890625, 762939453125, 3814697265625, 19073486328125, 95367431640625,
		476837158203125};
	uint64_t m, low, high, n, quarter, unit = 1;
	int exponent, k, shift;
	bool even, narrow;

	m = (uint64_t)ldexp(frexp(value, &exponent), DBL_MANT_DIG);
	even = m % 2 == 0;
	narrow = m == UINT64_C(1) << (DBL_MANT_DIG - 1);
	/* 1233 / 4096 is log10(2): one less than the digits wanted, or right */
	k = 15 - (((exponent - 1) * 1233) >> 12);
	if (k < 21 && value * powers_of_ten[k] < 1e16) {
		k++;
	}
	/* in quarters of 2^e both ends are integers */
	shift = 2 - (exponent - DBL_MANT_DIG) - k;
	quarter = powers_of_five[k];
	low = multiply_shift(quarter, 4 * m - (narrow ? 1 : 2), even ? 1 : 0, shift) + 1;
	high = multiply_shift(quarter, 4 * m + 2, even ? 0 : 1, shift);

	while (high / (10 * unit) * (10 * unit) >= low) {
		unit *= 10;
		k--;
	}
	if (unit == 1) {
		n = (multiply_shift(quarter, 4 * m, 0, shift - 1) + 1) / 2;
	} else {
		n = (multiply_shift(quarter, 4 * m, 0, shift) + unit / 2) / unit;
	}
	n = CLAMP(n, (low + unit - 1) / unit, high / unit);
	*ret_n = n;
	*ret_decimals = k;
}

/* Very great and very small numbers, with an exponent. Rare: a sensor that sends garbage. */
static char *put_scientific(char *p, double value)
{
	char text[64], *out = p;

	for (int precision = 1; precision <= DBL_DECIMAL_DIG; precision++) {
		const char *in = text;
		double back;

		(void)snprintf(text, sizeof(text), "%.*e", precision - 1, value);
		out = p;
		*out++ = *in++;
		if (precision > 1) {
			/* whatever the locale writes as the point, in however many bytes */
			*out++ = '.';
			in += strcspn(in, "0123456789");
		}
		while (*in != 'e') {
			*out++ = *in++;
		}
		*out++ = *in++;
		if (*in == '-') {
			*out++ = '-';
		}
		in += strspn(in, "+-0");
		memcpy(out, in, strlen(in) + 1);
		out += strlen(in);
		if (parse_double(p, &back) == 0 && back == value) {
			break;
		}
	}
	return out;
}

size_t payload_number(char buf[PAYLOAD_NUMBER_MAX], double value)
{
	int decimals;
	char *p = buf;
	uint64_t n;

	assert(isfinite(value));
	if (value == 0) {
		*p = '0'; /* whatever its sign */
		return 1;
	}
	if (value < 0) {
		*p++ = '-';
		value = -value;
	}
	if (value >= 1e15 || value < 1e-5) {
		p = put_scientific(p, value);
	} else {
		if (!few_decimals(value, &n, &decimals)) {
			shortest_decimal(value, &n, &decimals);
		}
		p = put_decimal(p, n, decimals);
	}
	return (size_t)(p - buf);
}
