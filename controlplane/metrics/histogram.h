/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How many observations were at most so large. Pure. */

#include <stddef.h>
#include <stdint.h>

/* The most bounds of any of them. */
#define HISTOGRAM_BOUNDS_MAX 80

struct histogram {
	const double *bounds; /* ascending; the last bucket, +Inf, has none */
	size_t n_bounds;
	uint64_t count[HISTOGRAM_BOUNDS_MAX + 1]; /* by bucket, not cumulative */
	uint64_t total;
	double sum;
};

/* Those of kube-proxy's syncs and of its network programming (S-230). */
extern const double histogram_sync_bounds[15];
extern const double histogram_programming_bounds[80];

/* From the receipt of a change to its effect. */
extern const double histogram_change_bounds[17];

/* The array has to live as long. */
#define histogram_init(histogram, array)                                                           \
	histogram_init_(histogram, array, sizeof(array) / sizeof((array)[0]))
void histogram_init_(struct histogram *histogram, const double *bounds, size_t n_bounds);

/* Counts a value into the first bucket whose bound is not below. */
void histogram_add(struct histogram *histogram, double value);
