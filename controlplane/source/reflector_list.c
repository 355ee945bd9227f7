/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/reflector_impl.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "controlplane/source/source.h"

/* 500 of the largest slices fit (S-273). */
#define PAGE_BYTES_MAX (512UL * 1024 * 1024)

/* Puts `objects` into the store: those of a list have no kind of their own. */
static bool apply_items(struct reflector *r, json_t *items)
{
	bool changed = false;
	size_t i;
	json_t *item;

	json_array_foreach (items, i, item) {
		if (!json_is_object(item)) {
			reflector_complain(r, COMPLAINT_BAD_LIST, "list: an item is no object");
			continue;
		}
		json_object_set_new(item, "kind", json_string(r->kind.name));
		json_object_set_new(item, "apiVersion", json_string(r->kind.api_version));
		changed |= source_apply(r->options.store, item, false);
	}
	return changed;
}

/* All pages are in. Returns true if that is worth telling. */
static bool complete_list(struct reflector *r)
{
	bool first = !store_listed(r->options.store, r->kind.kind);
	size_t removed = store_list_end(r->options.store, r->kind.kind);

	r->whole = false;
	r->lists++;
	backoff_reset(&r->list_backoff);
	reflector_set_connected(r, true);
	log_info("kube: %s: listed n=%zu removed=%zu resourceVersion=%s", r->kind.name,
		 store_count(r->options.store, r->kind.kind), removed, r->version);
	reflector_begin(r, REFLECTOR_WATCH);
	return first || removed > 0;
}

/*
 * Takes a page. Returns true if that changed something. A body that is not
 * certainly a list of ours is refused: what it lacks would be deleted.
 */
static bool take_page(struct reflector *r, json_t *page)
{
	const json_t *metadata = json_object_get(page, "metadata");
	const char *version = json_string_value(json_object_get(metadata, "resourceVersion"));
	const char *token = json_string_value(json_object_get(metadata, "continue"));
	const char *kind = json_string_value(json_object_get(page, "kind"));
	json_t *items = json_object_get(page, "items");
	size_t len = strlen(r->kind.name);

	if (!kind || strncmp(kind, r->kind.name, len) != 0 || strcmp(kind + len, "List") != 0) {
		reflector_fail(r, REFLECTOR_LIST, COMPLAINT_BAD_LIST, 0,
			       "list: kind: is not %sList", r->kind.name);
		return false;
	}
	if (!version || !*version) {
		reflector_fail(r, REFLECTOR_LIST, COMPLAINT_BAD_LIST, 0,
			       "list: metadata.resourceVersion: is missing");
		return false;
	}
	if (items && !json_is_array(items) && !json_is_null(items)) {
		reflector_fail(r, REFLECTOR_LIST, COMPLAINT_BAD_LIST, 0,
			       "list: items: is not an array");
		return false;
	}
	if (reflector_set_string(&r->page_token, token) ||
	    reflector_set_string(&r->version, version)) {
		reflector_fail(r, REFLECTOR_LIST, COMPLAINT_MEMORY, 0, "list: out of memory");
		return false;
	}

	bool changed = apply_items(r, items);
	if (!r->page_token)
		return complete_list(r) || changed;
	reflector_begin(r, REFLECTOR_LIST);
	return changed;
}

/*
 * The server has no such kind: nothing is known, nothing is wrong, and it may
 * be upgraded one day.
 */
static void take_absence(struct reflector *r)
{
	unsigned int held;

	if (complaint_allowed(&r->complaints, COMPLAINT_ABSENT, reflector_now_ms(r), UINT64_MAX,
			      &held))
		log_info("kube: %s: the API server does not have %s, going on without",
			 r->kind.name, r->kind.api_version);
	backoff_reset(&r->list_backoff);
	reflector_set_connected(r, true);
	reflector_retry(r, REFLECTOR_LIST, r->options.times->absent_ms);
}

static void on_list_done(void *context, const struct http_result *result)
{
	struct reflector *r = context;
	struct buffer body = r->page;
	json_error_t bad;

	r->request = NULL;
	r->page = (struct buffer) {};
	if (result->failure || result->status != 200) {
		bool expired = !result->failure && result->status == 410 && r->page_token;

		buffer_clear(&body);
		reflector_set_string(&r->page_token, NULL);
		if (expired) {
			r->whole = true;
			reflector_begin(r, REFLECTOR_LIST);
		} else if (!result->failure && result->status == 404 && r->kind.optional) {
			take_absence(r);
		} else {
			reflector_failed(r, REFLECTOR_LIST, result);
		}
		return;
	}

	json_t *page = json_loadb(body.data ? body.data : "", body.len, REFLECTOR_JSON, &bad);
	bool changed = false;
	buffer_clear(&body);
	if (page)
		changed = take_page(r, page);
	else
		reflector_fail(r, REFLECTOR_LIST, COMPLAINT_BAD_LIST, 0, "list: is not JSON: %s",
			       bad.text);
	json_decref(page);
	if (changed && r->options.changed)
		r->options.changed(r->options.context);
}

static void on_list_body(void *context, const char *data, size_t len, uint64_t when_ns)
{
	struct reflector *r = context;

	r->received_ms = reflector_now_ms(r);
	store_received(r->options.store, when_ns);
	if (r->page.len + len > PAGE_BYTES_MAX)
		reflector_fail(r, REFLECTOR_LIST, COMPLAINT_BAD_LIST, 0,
			       "list: a page is longer than %lu MiB", PAGE_BYTES_MAX >> 20);
	else if (buffer_add(&r->page, data, len))
		reflector_fail(r, REFLECTOR_LIST, COMPLAINT_MEMORY, 0, "list: out of memory");
}

static void on_list_begun(void *context)
{
	struct reflector *r = context;

	r->received_ms = reflector_now_ms(r);
}

const struct http_handler reflector_list_handler = {
	.begun = on_list_begun,
	.body = on_list_body,
	.done = on_list_done,
};
