/* SPDX-License-Identifier: Apache-2.0 */
#include "nearest.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#define NAME_MAX_BYTES 64u /* longer names are not compared */

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Levenshtein's, row by row; of names that are not too long. */
static uint32_t distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
	uint32_t row[NAME_MAX_BYTES + 1];

	for (size_t i = 0; i <= b_size; i++) {
		row[i] = (uint32_t)i;
	}
	for (size_t i = 1; i <= a_size; i++) {
		uint32_t before = row[0]; /* the place above and to the left */

		row[0] = (uint32_t)i;
		for (size_t k = 1; k <= b_size; k++) {
			bool same = tolower((unsigned char)a[i - 1]) ==
				    tolower((unsigned char)b[k - 1]);
			uint32_t changed = before + !same;

			before = row[k];
			row[k] = least(changed, least(row[k], row[k - 1]) + 1);
		}
	}
	return row[b_size];
}

void nearest_begin(struct nearest *n, const char *wanted)
{
	*n = (struct nearest){.wanted = wanted, .distance = (uint32_t)strlen(wanted) / 4 + 2};
}

void nearest_offer(struct nearest *n, const char *name)
{
	size_t wanted_size = strlen(n->wanted), size = strlen(name);
	size_t apart = size > wanted_size ? size - wanted_size : wanted_size - size;
	uint32_t d;

	if (wanted_size > NAME_MAX_BYTES || size > NAME_MAX_BYTES || apart >= n->distance) {
		return;
	}
	d = distance(n->wanted, wanted_size, name, size);
	if (d < n->distance) {
		n->distance = d;
		n->name = name;
	}
}
