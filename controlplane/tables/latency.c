/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/tables/latency.h"

/* Small values have a bucket each; above, the four bits after the first. */
static unsigned int bucket_of(uint64_t us)
{
	unsigned int log;

	if (us < LATENCY_SUB)
		return (unsigned int)us;
	log = 63 - (unsigned int)__builtin_clzll(us);
	return (log - 3) * LATENCY_SUB + (us >> (log - 4) & (LATENCY_SUB - 1));
}

static uint64_t largest_in(unsigned int bucket)
{
	unsigned int shift;

	if (bucket < LATENCY_SUB)
		return bucket;
	shift = bucket / LATENCY_SUB - 1;
	return ((uint64_t)(LATENCY_SUB + bucket % LATENCY_SUB) << shift) + ((1ULL << shift) - 1);
}

void latency_add(struct latency *latency, uint64_t us)
{
	latency->count++;
	latency->bucket[bucket_of(us)]++;
	if (us > latency->max_us)
		latency->max_us = us;
}

uint64_t latency_quantile(const struct latency *latency, double q)
{
	uint64_t seen = 0;

	for (unsigned int i = 0; i < LATENCY_BUCKETS; i++) {
		seen += latency->bucket[i];
		if (seen > 0 && (double)seen >= q * (double)latency->count) {
			uint64_t us = largest_in(i);

			return us < latency->max_us ? us : latency->max_us;
		}
	}
	return latency->max_us;
}
