/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/reflector_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"

/* What take_item() may say when it fails. */
struct page {
	struct reflector *r;
	char why[OBJECT_ERROR_MAX];
};

/* An item that is too long to be looked into; without a name it can't be told
 * from one that is gone. */
static int take_beginning(struct page *page, const char *text, size_t len)
{
	struct reflector *r = page->r;
	struct reflector_name id;
	char why[OBJECT_ERROR_MAX];

	reflector_find_name(text, len, &id);
	if (!*id.name) {
		snprintf(page->why, sizeof(page->why),
			 "an object is longer than %zu bytes, it begins: %.200s",
			 r->options.line_max, text);
		return -EMSGSIZE;
	}
	snprintf(why, sizeof(why), "%s %s%s%s: is longer than %zu bytes", r->kind.name,
		 id.namespace_, *id.namespace_ ? "/" : "", id.name, r->options.line_max);
	return aside_keep(&r->aside, id.namespace_, id.name, why);
}

/* Items of a list have no kind of their own. */
static int take_item(void *context, const char *text, size_t len, bool whole)
{
	struct page *page = context;
	struct reflector *r = page->r;
	char error[OBJECT_ERROR_MAX];
	json_error_t bad;

	if (!whole)
		return take_beginning(page, text, len);

	json_t *item = json_loadb(text, len, REFLECTOR_JSON | JSON_DECODE_ANY, &bad);
	if (!item) {
		snprintf(page->why, sizeof(page->why), "is not JSON: %s", bad.text);
		return -EBADMSG;
	}
	if (!json_is_object(item)) {
		reflector_complain(r, COMPLAINT_BAD_LIST, "list: an item is no object");
		json_decref(item);
		return 0;
	}
	json_object_set_new(item, "kind", json_string(r->kind.name));
	json_object_set_new(item, "apiVersion", json_string(r->kind.api_version));
	int err = aside_put(&r->aside, item, error);
	if (err == -EINVAL) {
		reflector_complain(r, COMPLAINT_BAD_LIST, error);
		err = 0;
	}
	json_decref(item);
	return err;
}

/* All pages are in. Returns true if that is worth telling. */
static bool complete_list(struct reflector *r)
{
	bool first = !store_listed(r->options.store, r->kind.kind);
	size_t removed = store_list_end(r->options.store, r->kind.kind);

	r->whole = false;
	r->streamed = false;
	r->lists++;
	backoff_reset(&r->list_backoff);
	reflector_set_connected(r, true);
	log_info("kube: %s: listed n=%zu removed=%zu resourceVersion=%s", r->kind.name,
		 store_count(r->options.store, r->kind.kind), removed, r->version);
	reflector_begin(r, REFLECTOR_WATCH);
	return first || removed > 0;
}

/* True if every item was taken: each left a 0. */
static bool all_taken(const json_t *items)
{
	size_t i;
	const json_t *item;

	json_array_foreach (items, i, item) {
		if (!json_is_integer(item))
			return false;
	}
	return true;
}

/*
 * Takes a page, whose items are aside: `frame` is what surrounds them. Returns true
 * if that changed something. A body that is not certainly a list of ours is
 * refused: what it lacks would be deleted.
 */
static bool take_page(struct reflector *r, json_t *frame)
{
	const json_t *metadata = json_object_get(frame, "metadata");
	const char *version = json_string_value(json_object_get(metadata, "resourceVersion"));
	const char *token = json_string_value(json_object_get(metadata, "continue"));
	const char *kind = json_string_value(json_object_get(frame, "kind"));
	const json_t *items = json_object_get(frame, "items");
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
	if (items && !json_is_null(items) && (!json_is_array(items) || !all_taken(items))) {
		reflector_fail(r, REFLECTOR_LIST, COMPLAINT_BAD_LIST, 0,
			       "list: items: is not an array");
		return false;
	}
	if (reflector_set_string(&r->page_token, token) ||
	    reflector_set_string(&r->version, version)) {
		reflector_fail(r, REFLECTOR_LIST, COMPLAINT_MEMORY, 0, "list: out of memory");
		return false;
	}

	bool changed = aside_apply(&r->aside, r->options.store);
	if (!r->page_token)
		return complete_list(r) || changed;
	reflector_begin(r, REFLECTOR_LIST);
	return changed;
}

void reflector_take_absence(struct reflector *r)
{
	unsigned int held;

	if (complaint_allowed(&r->complaints, COMPLAINT_ABSENT, reflector_now_ms(r), UINT64_MAX,
			      &held))
		log_info("kube: %s: the API server does not have %s, going on without",
			 r->kind.name, r->kind.api_version);
	backoff_reset(&r->list_backoff);
	reflector_set_connected(r, true);
	reflector_retry(r, REFLECTOR_STREAM, r->options.times->absent_ms);
}

static void on_list_done(void *context, const struct http_result *result)
{
	struct reflector *r = context;
	struct buffer *text = &r->items.frame;
	json_error_t bad;

	r->request = NULL;
	if (result->failure || result->status != 200) {
		bool expired = !result->failure && result->status == 410 && r->page_token;

		reflector_stop(r);
		reflector_set_string(&r->page_token, NULL);
		if (expired) {
			r->whole = true;
			reflector_begin(r, REFLECTOR_LIST);
		} else if (!result->failure && result->status == 404 && r->kind.optional) {
			reflector_take_absence(r);
		} else {
			reflector_failed(r, REFLECTOR_LIST, result);
		}
		return;
	}

	json_t *frame = json_loadb(text->data ? text->data : "", text->len, REFLECTOR_JSON, &bad);
	bool changed = false;
	items_clear(&r->items);
	if (frame)
		changed = take_page(r, frame);
	else
		reflector_fail(r, REFLECTOR_LIST, COMPLAINT_BAD_LIST, 0, "list: is not JSON: %s",
			       bad.text);
	json_decref(frame);
	if (changed && r->options.changed)
		r->options.changed(r->options.context);
}

static void on_list_body(void *context, const char *data, size_t len, uint64_t when_ns)
{
	struct page page = { .r = context };
	struct reflector *r = context;

	r->received_ms = reflector_now_ms(r);
	store_received(r->options.store, when_ns);
	int err = items_feed(&r->items, data, len, take_item, &page);
	if (!err)
		return;
	if (!*page.why)
		snprintf(page.why, sizeof(page.why), "%s",
			 err == -ENOMEM ? "out of memory" : "what surrounds the items is too long");
	reflector_fail(r, REFLECTOR_LIST, err == -ENOMEM ? COMPLAINT_MEMORY : COMPLAINT_BAD_LIST, 0,
		       "list: %s", page.why);
}

static void on_list_begun(void *context)
{
	struct reflector *r = context;

	r->received_ms = reflector_now_ms(r);
	r->answered = true;
}

const struct http_handler reflector_list_handler = {
	.begun = on_list_begun,
	.body = on_list_body,
	.done = on_list_done,
};
