/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_FUZZ_H
#define SCG_FUZZ_H

/*
 * What a fuzz target is: one function that takes any bytes. With clang it is linked with libFuzzer
 * (ninja tests/fuzz/fuzz_NAME-libfuzzer); fuzz_main.c runs it over files, so that each compiler
 * runs the corpus as a test.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(), which a release build drops. */
#define FUZZ_REQUIRE(condition)                                                                    \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			(void)fprintf(                                                             \
				stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);  \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#endif
