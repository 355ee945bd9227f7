/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/truth.h"

#include <stdlib.h>
#include <time.h>

static const char *const states[] = {
	[STORE_PENDING] = "pending",
	[STORE_PROGRAMMED] = "programmed",
	[STORE_FAILED] = "failed",
};

static const char *iso_time(int64_t when, char text[32])
{
	time_t seconds = (time_t)when;
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return text;
}

/* As Kubernetes has it; null for none. */
static json_t *version_text(uint64_t version)
{
	return version ? json_sprintf("%llu", (unsigned long long)version) : json_null();
}

static json_t *slices_of(const struct store_service *service)
{
	json_t *list = json_array();

	for (size_t i = 0; i < service->n_slices; i++) {
		const struct slice *slice = service->slices[i];

		json_array_append_new(
			list, json_pack("{s:s, s:o, s:o}", "name", slice->name, "resourceVersion",
					version_text(slice->version.programmed), "latest",
					version_text(slice->version.latest)));
	}
	return list;
}

static json_t *describe(const struct store_service *service)
{
	const struct object_version *version = &service->service->version;
	char since[32];

	return json_pack("{s:s, s:s, s:s*, s:o, s:o, s:o}", "state", states[service->state],
			 "since", iso_time(service->since, since), "message", service->why,
			 "resourceVersion", version_text(version->programmed), "latest",
			 version_text(version->latest), "slices", slices_of(service));
}

json_t *truth_describe(const struct store *store, const char *namespace_, const char *name)
{
	struct store_service found;
	json_t *fields;

	if (!store_find(store, namespace_, name, &found))
		return NULL;
	fields = describe(&found);
	json_object_set_new(fields, "namespace", json_string(namespace_));
	json_object_set_new(fields, "name", json_string(name));
	json_object_set_new(fields, "ports", json_array());
	return fields;
}

json_t *truth_next(const struct store *store, size_t *cursor)
{
	struct store_service found;

	while (store_at(store, (*cursor)++, &found)) {
		if (found.service && found.state != STORE_PROGRAMMED)
			return truth_describe(store, found.namespace_, found.name);
	}
	return NULL;
}

struct failures {
	struct store_service *items;
	size_t n, max;
};

static int by_age(const void *a_, const void *b_)
{
	const struct store_service *a = a_, *b = b_;

	return (a->since > b->since) - (a->since < b->since);
}

/* Keeps the oldest. */
static bool take_failure(void *context, const struct store_service *service)
{
	struct failures *failures = context;

	if (failures->n < failures->max) {
		failures->items[failures->n++] = *service;
		return true;
	}
	struct store_service *newest = failures->items;

	for (size_t i = 1; i < failures->n; i++) {
		if (failures->items[i].since > newest->since)
			newest = &failures->items[i];
	}
	if (service->since < newest->since)
		*newest = *service;
	return true;
}

json_t *truth_failures(const struct store *store, size_t max)
{
	struct failures failures = { .items = calloc(max, sizeof(*failures.items)), .max = max };
	json_t *list = json_array();
	char since[32];

	if (failures.items)
		store_each_in(store, STORE_FAILED, take_failure, &failures);
	if (failures.n)
		qsort(failures.items, failures.n, sizeof(*failures.items), by_age);
	for (size_t i = 0; i < failures.n; i++) {
		const struct store_service *s = &failures.items[i];

		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s, s:s}", "namespace", s->namespace_,
						"name", s->name, "since", iso_time(s->since, since),
						"message", s->why));
	}
	free(failures.items);
	return list;
}
