/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What decoding a CAN signal costs, against the least that the same value can cost: a 64-bit load,
 * shift, mask, sign and scaling in loops that know the byte order, no signal over nine bytes and
 * none that may be "not available"; and against a loop over bits. Processor time a signal, best of
 * several rounds.
 */
#include "can/decode.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

#include "util.h"

#define SIGNALS   500
#define ROUNDS    15
#define REPEATS   4000
#define FRAME_MAX 64

struct plain {
	double factor, offset;
	uint64_t mask, sign;
	uint16_t byte;
	uint8_t shift;
};

static uint8_t frame[FRAME_MAX + DECODE_PADDING];
static struct decode_layout layouts[SIGNALS];
static struct decoder decoders[SIGNALS];
static struct plain plains[SIGNALS];
static double values[SIGNALS];
static int n_little; /* plains[]: little endian up to here */

static double cpu_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static inline double plain_value(const struct plain *p, uint64_t x)
{
	x = x >> p->shift & p->mask;
	return (double)(int64_t)((x ^ p->sign) - p->sign) * p->factor + p->offset;
}

static void with_plain(void)
{
	uint64_t x;

	for (int i = 0; i < n_little; i++) {
		memcpy(&x, frame + plains[i].byte, sizeof(x));
		values[i] = plain_value(&plains[i], le64toh(x));
	}
	for (int i = n_little; i < SIGNALS; i++) {
		memcpy(&x, frame + plains[i].byte, sizeof(x));
		values[i] = plain_value(&plains[i], be64toh(x));
	}
}

static void with_decoder(void)
{
	for (int i = 0; i < SIGNALS; i++) {
		if (!decode_signal(&decoders[i], frame, &values[i])) {
			values[i] = NAN;
		}
	}
}

static void with_bits(void)
{
	for (int i = 0; i < SIGNALS; i++) {
		const struct decode_layout *l = &layouts[i];
		unsigned at = l->start;
		uint64_t bits = 0;

		for (unsigned k = 0; k < l->length; k++) {
			uint64_t bit = frame[at / 8] >> at % 8 & 1;

			bits = l->big_endian ? bits << 1 | bit : bits | bit << k;
			at = !l->big_endian ? at + 1 : at % 8 ? at - 1 : at + 15;
		}
		if (l->type == DECODE_SIGNED && bits >> (l->length - 1)) {
			bits -= UINT64_C(1) << l->length;
		}
		values[i] = (double)(int64_t)bits * l->factor + l->offset;
	}
}

/* The processor time of one signal, and the sum of all values: exact, and so the same for all. */
static double measure(void (*decode)(void), double *ret_sum)
{
	double best = INFINITY;

	for (int round = 0; round < ROUNDS; round++) {
		double start = cpu_ns();

		for (int i = 0; i < REPEATS; i++) {
			decode();
			/* the values are read and the bytes changed, as far as the compiler knows
			 */
			__asm__ volatile("" : : "r"(values), "r"(frame) : "memory");
		}
		best = fmin(best, (cpu_ns() - start) / ((double)REPEATS * SIGNALS));
	}
	*ret_sum = 0;
	for (int i = 0; i < SIGNALS; i++) {
		*ret_sum += values[i];
	}
	return best;
}

/* Lengths as in vehicles, anywhere in 64 bytes; every `nth` one big endian, every third signed. */
static void make_signals(int nth)
{
	static const uint8_t lengths[] = {1, 2, 4, 8, 8, 10, 12, 16, 16, 16, 24, 32};
	int n_big = 0;

	n_little = 0;
	for (int i = 0; i < SIGNALS; i++) {
		struct decode_layout *l = &layouts[i];
		bool big = nth && i % nth == 0;
		struct plain *p = &plains[big ? SIGNALS - ++n_big : n_little++];

		*l = (struct decode_layout){.factor = 0.125,
			.offset = -40,
			.start = (uint16_t)(i * 37 % (8 * FRAME_MAX - 2 * 32)),
			.length = lengths[i % (int)ARRAY_SIZE(lengths)],
			.type = i % 3 ? DECODE_UNSIGNED : DECODE_SIGNED,
			.big_endian = big};
		(void)decode_prepare(l, false, &decoders[i]); /* all of them can be */
		*p = (struct plain){.factor = l->factor,
			.offset = l->offset,
			.mask = decoders[i].mask,
			.sign = decoders[i].sign,
			.byte = decoders[i].byte,
			.shift = decoders[i].shift};
	}
}

int main(void)
{
	static const struct {
		const char *name;
		int nth;
	} rows[] = {{"little endian", 0}, {"mixed", 2}, {"big endian", 1}};
	double worst = 0;

	for (int i = 0; i < FRAME_MAX; i++) {
		frame[i] = (uint8_t)(i * 89 + 7);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		double plain, ours, bits, sums[3];

		make_signals(rows[i].nth);
		plain = measure(with_plain, &sums[0]);
		ours = measure(with_decoder, &sums[1]);
		bits = measure(with_bits, &sums[2]);
		if (sums[0] != sums[1] || sums[0] != sums[2]) {
			printf("%s: not the same values\n", rows[i].name);
			return 1;
		}
		worst = fmax(worst, ours / plain);
		printf("%-14s %5.2f ns a signal, load-shift-mask %5.2f ns (x %.2f), bit by bit "
		       "%5.2f ns\n",
			rows[i].name, ours, plain, ours / plain, bits);
	}
	printf("worst ratio to load-shift-mask: %.2f\n", worst);
	return 0;
}
