/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How long something took, in buckets of 1/16 of a power of two: quantiles are
 * at most 6 % too high, the largest value is exact.
 */

#include <stdint.h>

#define LATENCY_SUB	16
#define LATENCY_BUCKETS ((64 - 4 + 1) * LATENCY_SUB)

struct latency {
	uint64_t count, max_us;
	uint64_t bucket[LATENCY_BUCKETS];
};

void latency_add(struct latency *latency, uint64_t us);

/* The value that a share `q` (0 ... 1) of all is not above; 0 if there are none. */
uint64_t latency_quantile(const struct latency *latency, double q);
