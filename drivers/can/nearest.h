/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAN_NEAREST_H
#define CAN_NEAREST_H

/*
 * Which of many names somebody may have meant: the one with the fewest letters to be changed, as
 * long as these are few. Capitals do not count.
 */

#include <stdbool.h>
#include <stdint.h>

struct nearest {
	const char *wanted;
	const char *name;  /* NULL: none is near */
	uint32_t distance; /* of `name`; without one, the first that is too far */
};

void nearest_begin(struct nearest *n, const char *wanted);
/* `name` must outlive `n`. */
void nearest_offer(struct nearest *n, const char *name);

#endif
