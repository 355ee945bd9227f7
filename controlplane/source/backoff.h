/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How long to wait after a failure, and how often to speak of it. Both are
 * functions of the time they are given; neither reads a clock.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backoff_limits {
	uint64_t min_ms;   /* the first delay, doubled by every failure ... */
	uint64_t max_ms;   /* ... up to here; each is then stretched by 1 to 2 */
	uint64_t reset_ms; /* without failure for so long: begin anew */
};

/* Begins as all zero. */
struct backoff {
	unsigned int failures;
	uint64_t last_ms;
};

/*
 * A failure at `now_ms`: returns the milliseconds to wait, by S-281.
 * `random` is any evenly distributed number.
 */
uint64_t backoff_fail(struct backoff *backoff, const struct backoff_limits *limits, uint64_t now_ms,
		      uint32_t random);

void backoff_reset(struct backoff *backoff);

/* The kinds of error that are told apart at one time. */
#define COMPLAINT_KINDS 8

/* Begins as all zero. */
struct complaints {
	struct {
		int key;
		bool used;
		uint64_t said_ms;
		unsigned int held;
	} kinds[COMPLAINT_KINDS];
};

/*
 * Whether an error of kind `key` should be logged now: the same kind only once
 * in `every_ms`. `*ret_held` is how many were held back since the last one.
 */
bool complaint_allowed(struct complaints *complaints, int key, uint64_t now_ms, uint64_t every_ms,
		       unsigned int *ret_held);
