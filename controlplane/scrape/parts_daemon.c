/* SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "controlplane/scrape/parts.h"

#define LAYOUT_(number) #number
#define LAYOUT(number)	LAYOUT_(number)

static const char *const family_names[RUNS_FAMILY_MAX] = {
	[RUNS_IPV4] = "IPv4",
	[RUNS_IPV6] = "IPv6",
};

/* The families that are programmed here. */
static bool has(const struct scrape_options *options, int family)
{
	return proxy_health_serves(options->health, family == RUNS_IPV6 ? PROXY_IPV6 : PROXY_IPV4);
}

/* A run serves every family, so each has its duration (S-230). */
static void write_runs(struct page *page, const struct scrape_options *options)
{
	const struct runs *runs = options->runs;
	const struct {
		enum metric metric;
		const struct histogram *histogram[RUNS_FAMILY_MAX];
	} histograms[] = {
		{ METRIC_SYNC_DURATION, { &runs->any, &runs->any } },
		{ METRIC_SYNC_FULL_DURATION, { &runs->full, &runs->full } },
		{ METRIC_SYNC_PARTIAL_DURATION, { &runs->partial, &runs->partial } },
		{ METRIC_NETWORK_PROGRAMMING,
		  { &runs->programming[RUNS_IPV4], &runs->programming[RUNS_IPV6] } },
	};

	for (size_t i = 0; i < SL_COUNT(histograms); i++) {
		page_begin(page, histograms[i].metric);
		for (int family = 0; family < RUNS_FAMILY_MAX; family++)
			if (has(options, family))
				page_histogram(page, histograms[i].histogram[family],
					       family_names[family]);
	}
}

static void write_times(struct page *page, const struct scrape_options *options)
{
	const struct {
		enum metric metric;
		int64_t ns;
	} times[] = {
		{ METRIC_SYNC_LAST, options->runs->last_ns },
		{ METRIC_SYNC_LAST_QUEUED, options->runs->last_queued_ns },
	};

	for (size_t i = 0; i < SL_COUNT(times); i++) {
		page_begin(page, times[i].metric);
		for (int family = 0; family < RUNS_FAMILY_MAX; family++)
			if (has(options, family))
				page_number(page, (double)times[i].ns / 1e9, family_names[family]);
	}
}

static void write_changes(struct page *page, const struct store_changes *changes)
{
	page_one_count(page, METRIC_ENDPOINT_CHANGES_PENDING, changes->slices_pending);
	page_one_count(page, METRIC_ENDPOINT_CHANGES, changes->slices);
	page_one_count(page, METRIC_SERVICE_CHANGES_PENDING, changes->services_pending);
	page_one_count(page, METRIC_SERVICE_CHANGES, changes->services);
}

static void write_tables(struct page *page, const struct scrape_options *options)
{
	struct tables_counts counts;

	tables_count(options->tables, &counts);
	page_begin(page, METRIC_NO_LOCAL_ENDPOINTS);
	for (int family = 0; family < RUNS_FAMILY_MAX; family++) {
		if (!has(options, family))
			continue;
		page_count(page, counts.no_local[family][0], family_names[family], "internal");
		page_count(page, counts.no_local[family][1], family_names[family], "external");
	}
	page_one_count(page, METRIC_SERVICES, counts.services);
	page_one_count(page, METRIC_SERVICE_PORTS, counts.service_ports);
	page_one_count(page, METRIC_BACKENDS, counts.backends);
	page_one_count(page, METRIC_SERVICES_FAILED, counts.failed);
	page_one_count(page, METRIC_GRACE_PENDING, counts.pending);
	page_one_count(page, METRIC_SYNC_FAILURES, options->runs->failed);
	page_begin(page, METRIC_CHANGE_DURATION);
	page_histogram(page, &counts.changes);
}

static void write_health(struct page *page, const struct proxy_health_counts *counts)
{
	page_begin(page, METRIC_PROXY_HEALTHZ);
	page_count(page, counts->healthz[0], "200");
	page_count(page, counts->healthz[1], "503");
	page_begin(page, METRIC_PROXY_LIVEZ);
	page_count(page, counts->livez[0], "200");
	page_count(page, counts->livez[1], "503");
}

static void write_request(void *page, const char *host, const char *method, unsigned int status,
			  uint64_t n)
{
	char code[16] = "<error>";

	if (status)
		snprintf(code, sizeof(code), "%u", status);
	page_count((struct page *)page, n, code, host, method);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void write_kinds(struct page *page, const json_t *kinds, enum metric metric, const char *key)
{
	const json_t *kind;
	size_t i;

	page_begin(page, metric);
	json_array_foreach (kinds, i, kind) {
		const json_t *value = json_object_get(kind, key);

		page_count(page,
			   json_is_integer(value) ? (uint64_t)json_integer_value(value)
						  : json_is_true(value),
			   text_of(kind, "kind"));
	}
}

static void write_source(struct page *page, const struct source *source)
{
	json_t *status = source_status(source);
	const json_t *kinds = json_object_get(status, "kinds");

	page_one_count(page, METRIC_SOURCE_CONNECTED,
		       json_is_true(json_object_get(status, "connected")),
		       text_of(status, "source"));
	write_kinds(page, kinds, METRIC_SOURCE_LISTED, "listed");
	write_kinds(page, kinds, METRIC_SOURCE_LISTS, "lists");
	write_kinds(page, kinds, METRIC_SOURCE_EVENTS, "events");
	json_decref(status);
	page_begin(page, METRIC_REST_REQUESTS);
	source_each_request(source, write_request, page);
}

/* Hooks of one role and state. There are few, however many interfaces. */
struct hook_count {
	const char *role, *hook, *state;
	uint64_t n;
};
#define HOOK_COUNTS_MAX 128

static void count_hook(struct hook_count *counts, size_t *n, const struct hook_count *one)
{
	size_t i = 0;

	while (i < *n && (strcmp(counts[i].role, one->role) || strcmp(counts[i].hook, one->hook) ||
			  strcmp(counts[i].state, one->state)))
		i++;
	if (i == HOOK_COUNTS_MAX)
		return;
	if (i == *n)
		counts[(*n)++] = *one;
	counts[i].n++;
}

static void write_attach(struct page *page, json_t *items)
{
	struct hook_count counts[HOOK_COUNTS_MAX];
	const json_t *item, *hook;
	size_t n = 0, i, j;

	json_array_foreach (items, i, item) {
		json_array_foreach (json_object_get(item, "hooks"), j, hook) {
			const struct hook_count one = {
				.role = text_of(item, "role"),
				.hook = text_of(hook, "hook"),
				.state = text_of(hook, "state"),
			};

			count_hook(counts, &n, &one);
		}
	}
	page_begin(page, METRIC_ATTACH_HOOKS);
	for (i = 0; i < n; i++)
		page_count(page, counts[i].n, counts[i].role, counts[i].hook, counts[i].state);
	json_decref(items);
}

void parts_daemon(struct page *page, const struct scrape_options *options)
{
	write_runs(page, options);
	write_times(page, options);
	write_changes(page, store_changes(options->store));
	write_tables(page, options);
	write_health(page, proxy_health_counts(options->health));
	write_source(page, options->source);
	write_attach(page, options->attach(options->context));
	page_one_count(page, METRIC_BUILD_INFO, 1, SLUICE_VERSION, LAYOUT(SL_LAYOUT));
}
