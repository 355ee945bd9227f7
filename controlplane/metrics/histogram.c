/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/metrics/histogram.h"

#include <assert.h>

const double histogram_sync_bounds[15] = {
	0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064,  0.128,
	0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384,
};

const double histogram_change_bounds[17] = {
	0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
	0.1,	0.25,	 0.5,	 1,	2.5,	5,     10,   25,
};

/* clang-format off */
const double histogram_programming_bounds[80] = {
	0.25, 0.5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
	25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49,
	50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 65, 70, 75, 80, 85, 90, 95, 100, 105, 110, 115,
	120, 150, 180, 210, 240, 270, 300,
};
/* clang-format on */

void histogram_init_(struct histogram *histogram, const double *bounds, size_t n_bounds)
{
	assert(n_bounds <= HISTOGRAM_BOUNDS_MAX);
	*histogram = (struct histogram) { .bounds = bounds, .n_bounds = n_bounds };
}

void histogram_add(struct histogram *histogram, double value)
{
	size_t low = 0, high = histogram->n_bounds;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (histogram->bounds[middle] < value)
			low = middle + 1;
		else
			high = middle;
	}
	histogram->count[low]++;
	histogram->total++;
	histogram->sum += value;
}
