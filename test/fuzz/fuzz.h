/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A fuzzer is a program with this entry point, which libFuzzer and driver.c
 * know alike: it feeds the bytes to the code under test and aborts if that
 * breaks a promise. What the sanitizers find ends it as well.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Words that driver.c puts into inputs, up to NULL. */
extern const char *const fuzz_words[];

/* Holds in every build, unlike assert(). */
#define FUZZ_CHECK(condition)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__,           \
				#condition);                                                       \
			abort();                                                                   \
		}                                                                                  \
	} while (0)
