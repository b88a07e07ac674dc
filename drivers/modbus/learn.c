/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <stdlib.h>

#include "clock.h"

/*
 * What a slave does not like to be asked. A request for several values that it refuses is cut in
 * two, at its widest hole or in the middle, and the parts are asked again, down to the value that
 * it refuses even alone. That one is left out from then on, the cuts that led to it are forgotten,
 * and the rest goes in as few requests as before. If both sides of a cut are answered, no value is
 * at fault, but the hole between them or the length of the request. A short request through the
 * hole tells which. How much the slave takes is then between the longest request that it answered
 * and the shortest that it refused, and found by halving.
 *
 * All of this is tried again after a while: slaves get new firmware, and modules are plugged in.
 */

/* If one side of it is never heard of. */
#define TRIAL_NS            (60 * NS_PER_S)
#define FIRM_NS             (300 * NS_PER_S)
#define FIRM_MAX_NS         (24 * 3600 * NS_PER_S)
#define LIMIT_NS            (24 * 3600 * NS_PER_S)
#define REFUSED_REST_NS     (10 * NS_PER_S)
#define REFUSED_REST_MAX_NS (600 * NS_PER_S)
/* So many requests that are just not answered, by a slave that answers others. */
#define FRUITLESS_MAX 3
/* And so many to a table that never answered, with answers of others in between. */
#define UNHEARD_MAX 3

/* NULL if there is no memory: then nothing is learned. */
static struct modbus_lesson *lesson_of(struct modbus_sensor *s)
{
	if (!s->lesson) {
		s->lesson = calloc(1, sizeof(*s->lesson));
	}
	return s->lesson;
}

static int64_t grow(int64_t rest_ns, int64_t first_ns, int64_t most_ns)
{
	if (rest_ns == 0) {
		return first_ns;
	}
	return rest_ns < most_ns / 2 ? 2 * rest_ns : most_ns;
}

bool modbus_learn_is_border(const struct modbus_bus *b, uint32_t i, int64_t now_ns)
{
	const struct modbus_lesson *left = b->sensors[i - 1].lesson, *right = b->sensors[i].lesson;

	return (left && left->refused) ||
	       (right && (right->refused || (right->cut && right->cut_until_ns > now_ns)));
}

static void forget_limit(struct modbus_area *area)
{
	area->is_limited = false;
	area->good = 0;
	area->bad = 0;
}

/* What was refused tells nothing about length. */
static void forget_refusal(struct modbus_area *area)
{
	if (!area->is_limited) {
		area->bad = 0;
	}
}

uint32_t modbus_learn_limit(struct modbus_area *area, uint32_t most, int64_t now_ns)
{
	uint32_t limit;

	if (area->is_limited && now_ns >= area->limited_until_ns) {
		forget_limit(area);
	}
	if (!area->is_limited) {
		return most;
	}
	/* In the middle of what is not known, until nothing is. A slave that is silent when asked
	   for too much is not asked for more than it took: each try would cost a reading. */
	limit = area->bad > area->good + 1 && !area->is_mute ? (area->good + area->bad) / 2u
							     : area->good;
	return limit < most ? limit : most;
}

uint32_t modbus_learn_raise(const struct modbus_area *area, uint32_t limit, uint32_t longest)
{
	return area->is_limited && !area->is_mute && longest <= area->good && limit < area->bad
		       ? (limit + area->bad) / 2u
		       : limit;
}

uint8_t modbus_learn_refused(const struct modbus_sensor *sensor, int64_t now_ns)
{
	const struct modbus_lesson *lesson = sensor->lesson;

	return lesson && now_ns < lesson->rest_until_ns ? lesson->refused : 0;
}

/* Which cuts to forget. */
enum { FORGET_MOOT, FORGET_TRIAL, FORGET_ALL };

static void forget_cuts(struct modbus_bus *b, struct modbus_area *area, int which)
{
	for (uint32_t i = area->begin; i < area->end; i++) {
		struct modbus_lesson *lesson = b->sensors[i].lesson;

		if (lesson && (which == FORGET_ALL ||
				      (lesson->cut == CUT_TRIAL &&
					      (lesson->is_moot || which == FORGET_TRIAL)))) {
			lesson->cut = CUT_NONE;
		}
	}
	area->is_stale = true;
}

/* The value is at fault, and no length or hole of a request that it was in. */
static void refuse_sensor(struct modbus_bus *b, uint32_t i, uint8_t code, int64_t now_ns)
{
	struct modbus_area *area = b->sensors[i].area;
	struct modbus_lesson *lesson = lesson_of(&b->sensors[i]);

	forget_cuts(b, area, FORGET_TRIAL);
	forget_refusal(area);
	if (lesson) {
		lesson->refused = code;
		lesson->rest_ns = grow(lesson->rest_ns, REFUSED_REST_NS, REFUSED_REST_MAX_NS);
		lesson->rest_until_ns = now_ns + lesson->rest_ns;
	}
}

static uint32_t widest_hole(const struct modbus_bus *b, const struct modbus_block *block)
{
	uint32_t end = b->sensors[block->begin].end, widest = 0;

	for (uint32_t i = block->begin; i < block->end; i++) {
		const struct modbus_sensor *s = &b->sensors[i];

		if (modbus_is_due(b, i)) {
			widest = s->address > end + widest ? s->address - end : widest;
			end = s->end > end ? s->end : end;
		}
	}
	return widest;
}

/* Where to cut: before the sensor nearest to the middle, of those after a hole that is about as
   wide as any. A hole that nobody asked for is the likeliest to be what the slave refuses, and
   halves find the culprit in the fewest requests. */
static uint32_t find_cut(const struct modbus_bus *b, const struct modbus_block *block,
	uint32_t n_due, bool *ret_has_hole)
{
	uint32_t widest = widest_hole(b, block);
	uint32_t end = b->sensors[block->begin].end;
	uint32_t seen = 0, at = block->begin, nearest = UINT32_MAX;

	for (uint32_t i = block->begin; i < block->end; i++) {
		const struct modbus_sensor *s = &b->sensors[i];
		uint32_t far = seen > n_due / 2 ? seen - n_due / 2 : n_due / 2 - seen;

		if (!modbus_is_due(b, i)) {
			continue;
		}
		if (seen > 0 && far < nearest &&
			(widest == 0 || s->address >= end + (widest + 1) / 2)) {
			nearest = far;
			at = i;
		}
		end = s->end > end ? s->end : end;
		seen++;
	}
	*ret_has_hole = widest > 0;
	return at;
}

static bool is_on_trial(const struct modbus_bus *b, uint32_t i)
{
	const struct modbus_lesson *lesson = b->sensors[i].lesson;

	return lesson && lesson->cut == CUT_TRIAL;
}

/* The sensor after the cut on trial at the left edge of the block; 0 if there is none. */
static uint32_t left_cut(const struct modbus_bus *b, const struct modbus_block *block)
{
	return is_on_trial(b, block->begin) ? block->begin : 0;
}

/* The same at the right edge: before what is due next. */
static uint32_t right_cut(const struct modbus_bus *b, const struct modbus_block *block)
{
	uint32_t end = b->sensors[block->begin].area->end;

	for (uint32_t i = block->end; i < end; i++) {
		if (is_on_trial(b, i)) {
			return i;
		}
		if (modbus_is_due(b, i)) {
			break;
		}
	}
	return 0;
}

static bool cut_block(struct modbus_bus *b, const struct modbus_block *block, uint32_t n_due,
	uint8_t code, int64_t now_ns)
{
	bool has_hole;
	uint32_t at = find_cut(b, block, n_due, &has_hole);
	struct modbus_lesson *lesson = lesson_of(&b->sensors[at]);
	uint32_t left = left_cut(b, block), right = right_cut(b, block);

	if (!lesson) {
		return false;
	}
	/* The refusal that led to these is explained by something within the block. */
	if (left) {
		b->sensors[left].lesson->is_moot = true;
	}
	if (right) {
		b->sensors[right].lesson->is_moot = true;
	}
	lesson->cut = CUT_TRIAL;
	lesson->is_moot = false;
	lesson->cut_code = code;
	lesson->has_hole = has_hole;
	lesson->left_good = false;
	lesson->right_good = false;
	lesson->cut_until_ns = now_ns + TRIAL_NS;
	return true;
}

bool modbus_learn_refusal(
	struct modbus_bus *b, const struct modbus_block *block, uint8_t code, int64_t now_ns)
{
	struct modbus_area *area = b->sensors[block->begin].area;
	uint32_t n_due = 0;

	for (uint32_t i = block->begin; i < block->end; i++) {
		n_due += modbus_is_due(b, i);
	}
	area->is_stale = true;
	if (n_due < 2) {
		if (code) {
			refuse_sensor(b, block->begin, code, now_ns);
		}
		return false;
	}
	if (block->count > area->good && (area->bad == 0 || block->count < area->bad)) {
		area->bad = (uint16_t)block->count;
	}
	/* Above what it is known to take, and below what it is known not to: the limit moves. */
	if (area->is_limited && block->count > area->good) {
		return true;
	}
	return cut_block(b, block, n_due, code, now_ns);
}

bool modbus_learn_fruitless(struct modbus_bus *b, const struct modbus_block *block, int64_t now_ns)
{
	struct modbus_area *area = b->sensors[block->begin].area;

	/* What it took before it will take again. */
	if (block->count <= area->good || ++area->n_fruitless < FRUITLESS_MAX) {
		return false;
	}
	area->n_fruitless = 0;
	return modbus_learn_refusal(b, block, 0, now_ns);
}

bool modbus_learn_unheard(struct modbus_area *area, int64_t now_ns)
{
	uint32_t n_answers = area->unit->n_answers;

	if (area->is_heard || n_answers == area->n_answers) {
		return false;
	}
	area->n_answers = n_answers;
	if (area->n_unheard < UNHEARD_MAX) {
		area->n_unheard++;
	}
	if (area->n_unheard < UNHEARD_MAX) {
		return false;
	}
	area->rest_ns = grow(area->rest_ns, REFUSED_REST_NS, REFUSED_REST_MAX_NS);
	area->rest_until_ns = now_ns + area->rest_ns;
	return true;
}

static void make_firm(struct modbus_bus *b, struct modbus_area *area, struct modbus_lesson *lesson,
	int64_t now_ns)
{
	lesson->cut = CUT_FIRM;
	lesson->cut_rest_ns = grow(lesson->cut_rest_ns, FIRM_NS, FIRM_MAX_NS);
	lesson->cut_until_ns = now_ns + lesson->cut_rest_ns;
	forget_cuts(b, area, FORGET_MOOT);
}

/* The length of the request is at fault, if it can be. */
static void limit_area(struct modbus_bus *b, struct modbus_area *area, struct modbus_lesson *lesson,
	int64_t now_ns)
{
	if (area->bad <= area->good) {
		make_firm(b, area, lesson, now_ns);
		return;
	}
	area->is_limited = true;
	area->is_mute = lesson->cut_code == 0;
	area->limited_until_ns = now_ns + LIMIT_NS;
	forget_cuts(b, area, FORGET_ALL);
	area->test = 0;
}

/* Where the registers of all sensors before sensor `i` end, due or not. */
static uint32_t end_before(const struct modbus_bus *b, uint32_t i)
{
	uint32_t end = 0;

	for (uint32_t at = b->sensors[i].area->begin; at < i; at++) {
		end = b->sensors[at].end > end ? b->sensors[at].end : end;
	}
	return end;
}

/* Both sides of the cut before sensor `i` were answered. */
static void prove_cut(struct modbus_bus *b, uint32_t i, int64_t now_ns)
{
	struct modbus_area *area = b->sensors[i].area;
	struct modbus_lesson *lesson = b->sensors[i].lesson;

	if (!lesson->has_hole || !lesson->cut_code) {
		limit_area(b, area, lesson, now_ns);
		return;
	}
	make_firm(b, area, lesson, now_ns);
	if (end_before(b, i) < b->sensors[i].address) {
		area->test = i;
	} else {
		/* Sensors that were not due fill the hole: it may be one of these. */
		forget_refusal(area);
	}
}

bool modbus_learn_has_test(
	const struct modbus_bus *b, const struct modbus_area *area, struct modbus_block *ret_block)
{
	uint32_t end;

	if (area->test == 0) {
		return false;
	}
	end = end_before(b, area->test);
	*ret_block = (struct modbus_block){
		.begin = area->test,
		.end = area->test + 1,
		.address = end - 1,
		.count = b->sensors[area->test].address - end + 2,
	};
	return true;
}

void modbus_learn_tested(
	struct modbus_bus *b, struct modbus_area *area, bool was_answered, int64_t now_ns)
{
	struct modbus_lesson *lesson = b->sensors[area->test].lesson;

	area->test = 0;
	if (was_answered) {
		limit_area(b, area, lesson, now_ns);
	} else {
		forget_refusal(area); /* that was the hole's fault */
	}
}

/* All of one side of the cut before sensor `i` was answered at once. */
static void side_good(struct modbus_bus *b, uint32_t i, bool is_right, int64_t now_ns)
{
	struct modbus_lesson *lesson = b->sensors[i].lesson;

	if (i == 0 || lesson->is_moot) {
		return;
	}
	lesson->right_good = lesson->right_good || is_right;
	lesson->left_good = lesson->left_good || !is_right;
	if (lesson->left_good && lesson->right_good) {
		prove_cut(b, i, now_ns);
	}
}

void modbus_learn_good(struct modbus_bus *b, const struct modbus_block *block, int64_t now_ns)
{
	struct modbus_sensor *first = &b->sensors[block->begin];
	struct modbus_area *area = first->area;
	struct modbus_lesson *lesson = first->lesson;

	if (block->count > area->good) {
		area->good = (uint16_t)block->count;
		area->n_fruitless = 0;
	}
	if (lesson && lesson->refused) {
		lesson->refused = 0;
		lesson->rest_ns = 0;
		area->is_stale = true;
	}
	side_good(b, left_cut(b, block), true, now_ns);
	side_good(b, right_cut(b, block), false, now_ns);
}
