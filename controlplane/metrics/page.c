/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/metrics/page.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM  16384
#define NUMBER_ROOM 32

void page_clear(struct page *page)
{
	free(page->data);
	*page = (struct page) { 0 };
}

/* Makes room for `n` bytes more and a NUL. */
static bool reserve(struct page *page, size_t n)
{
	size_t room = page->room ? page->room : FIRST_ROOM;
	char *data;

	if (page->no_memory || page->len + n < page->room)
		return !page->no_memory;
	while (room <= page->len + n)
		room *= 2;
	data = realloc(page->data, room);
	if (!data) {
		page->no_memory = true;
		return false;
	}
	page->data = data;
	page->room = room;
	return true;
}

static void add_bytes(struct page *page, const char *bytes, size_t n)
{
	if (!reserve(page, n))
		return;
	memcpy(page->data + page->len, bytes, n);
	page->len += n;
	page->data[page->len] = '\0';
}

static void add(struct page *page, const char *text)
{
	add_bytes(page, text, strlen(text));
}

/* A backslash, a newline and the characters of `also` get a backslash. */
static void add_escaped(struct page *page, const char *text, const char *also)
{
	for (; *text; text++) {
		char pair[2] = { '\\', *text == '\n' ? 'n' : *text };

		if (*text == '\\' || *text == '\n' || strchr(also, *text))
			add_bytes(page, pair, 2);
		else
			add_bytes(page, text, 1);
	}
}

void page_begin(struct page *page, enum metric metric)
{
	const struct metric_entry *entry = &metric_catalog[metric];

	assert(!page->begun[metric]);
	page->begun[metric] = true;
	page->metric = metric;
	add(page, "# HELP ");
	add(page, entry->name);
	add(page, " ");
	add_escaped(page, entry->help, "");
	add(page, "\n# TYPE ");
	add(page, entry->name);
	add(page, " ");
	add(page, metric_type_name(entry->type));
	add(page, "\n");
}

static void add_label(struct page *page, const char *name, size_t len, const char *value)
{
	add_bytes(page, name, len);
	add(page, "=\"");
	add_escaped(page, value, "\"");
	add(page, "\"");
}

/* The sample's name and labels; `le` NULL: none. */
static void add_name(struct page *page, const char *suffix, struct page_values values,
		     const char *le)
{
	const struct metric_entry *entry = &metric_catalog[page->metric];
	const char *label = entry->labels;
	size_t n = 0;

	add(page, entry->name);
	add(page, suffix);
	while (*label) {
		size_t len = strcspn(label, ",");

		assert(n < values.n);
		add(page, n ? "," : "{");
		add_label(page, label, len, values.value[n++]);
		label += len + (label[len] == ',');
	}
	assert(n == values.n);
	if (le) {
		add(page, n++ ? "," : "{");
		add_label(page, "le", 2, le);
	}
	add(page, n ? "} " : " ");
}

/* The shortest text that is read as the same number. */
static const char *number(double value, char text[NUMBER_ROOM])
{
	if (isinf(value))
		return value > 0 ? "+Inf" : "-Inf";
	for (int digits = 6; digits <= 17; digits++) {
		snprintf(text, NUMBER_ROOM, "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	return text;
}

static void add_count(struct page *page, uint64_t value)
{
	char text[NUMBER_ROOM];

	snprintf(text, sizeof(text), "%" PRIu64 "\n", value);
	add(page, text);
}

void page_count_(struct page *page, uint64_t value, struct page_values values)
{
	add_name(page, "", values, NULL);
	add_count(page, value);
}

void page_number_(struct page *page, double value, struct page_values values)
{
	char text[NUMBER_ROOM];

	add_name(page, "", values, NULL);
	add(page, number(value, text));
	add(page, "\n");
}

void page_histogram_(struct page *page, const struct histogram *histogram,
		     struct page_values values)
{
	char text[NUMBER_ROOM];
	uint64_t below = 0;

	assert(metric_catalog[page->metric].type == METRIC_HISTOGRAM);
	for (size_t i = 0; i < histogram->n_bounds; i++) {
		below += histogram->count[i];
		add_name(page, "_bucket", values, number(histogram->bounds[i], text));
		add_count(page, below);
	}
	add_name(page, "_bucket", values, "+Inf");
	add_count(page, histogram->total);
	add_name(page, "_sum", values, NULL);
	add(page, number(histogram->sum, text));
	add(page, "\n");
	add_name(page, "_count", values, NULL);
	add_count(page, histogram->total);
}
