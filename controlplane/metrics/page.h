/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A page in Prometheus' text format 0.0.4, made of metrics of the catalog: each
 * begins once, and its samples follow with a value for every label it has. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/metrics/catalog.h"
#include "controlplane/metrics/histogram.h"

#define PAGE_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Starts as { 0 }. */
struct page {
	char *data; /* ends in NUL; page_clear() frees it */
	size_t len, room;
	bool no_memory; /* `data` is not whole */
	bool begun[METRIC_MAX];
	enum metric metric; /* that samples belong to */
};

void page_clear(struct page *page);

/* Writes HELP and TYPE. */
void page_begin(struct page *page, enum metric metric);

/*
 * One sample of the metric that began last. The label values follow in the
 * catalog's order; any bytes may be in them.
 */
#define page_count(page, value, ...)	 page_count_(page, value, PAGE_VALUES(__VA_ARGS__))
#define page_number(page, value, ...)	 page_number_(page, value, PAGE_VALUES(__VA_ARGS__))
#define page_histogram(page, value, ...) page_histogram_(page, value, PAGE_VALUES(__VA_ARGS__))

/* A metric with one sample. */
#define page_one_count(page, metric, value, ...)                                                   \
	(page_begin(page, metric), page_count(page, value, ##__VA_ARGS__))
#define page_one_number(page, metric, value, ...)                                                  \
	(page_begin(page, metric), page_number(page, value, ##__VA_ARGS__))

struct page_values {
	const char *const *value;
	size_t n;
};
#define PAGE_VALUES(...)                                                                           \
	((struct page_values) {                                                                    \
		(const char *const[]) { "", ##__VA_ARGS__ } + 1,                                   \
		sizeof((const char *const[]) { "", ##__VA_ARGS__ }) / sizeof(char *) - 1,          \
	})
void page_count_(struct page *page, uint64_t value, struct page_values values);
void page_number_(struct page *page, double value, struct page_values values);
void page_histogram_(struct page *page, const struct histogram *histogram,
		     struct page_values values);
