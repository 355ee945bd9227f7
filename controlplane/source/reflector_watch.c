/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/reflector_impl.h"

#include <string.h>

#include "common/log.h"
#include "controlplane/source/source.h"

static void on_watch_begun(void *context)
{
	struct reflector *r = context;

	r->received_ms = reflector_now_ms(r);
	reflector_set_connected(r, true);
}

/*
 * The server has forgotten the version we are at, as it does when it restarts.
 * No delay then, whatever the outage before made of the other ones, but for a
 * server that does so again and again.
 */
static void relist(struct reflector *r)
{
	uint64_t delay_ms = reflector_delay(r, &r->relist_backoff);

	log_info("kube: %s: version is too old, listing again resourceVersion=%s", r->kind.name,
		 r->version);
	reflector_retry(r, REFLECTOR_LIST, r->relist_backoff.failures == 1 ? 0 : delay_ms);
}

/* An ERROR event (S-279). */
static void take_error(struct reflector *r, const json_t *status)
{
	const char *message = json_string_value(json_object_get(status, "message"));
	int code = (int)json_integer_value(json_object_get(status, "code"));

	if (code == 410)
		relist(r);
	else
		reflector_fail(r, REFLECTOR_LIST, COMPLAINT_ERROR_EVENT - code, 0,
			       "watch: ERROR event %d: %s", code,
			       message ? message : "without a message");
}

/*
 * Versions are decimal numbers that grow. What is none is not older than
 * anything.
 */
static bool is_older(const char *version, const char *than)
{
	size_t len = strlen(version), than_len = strlen(than);

	if (strspn(version, "0123456789") != len || strspn(than, "0123456789") != than_len)
		return false;
	return len != than_len ? len < than_len : strcmp(version, than) < 0;
}

/* Takes one event; `*changed` is set if it changed the store. */
static void take_event(struct reflector *r, json_t *event, bool *changed)
{
	const char *type = json_string_value(json_object_get(event, "type"));
	const json_t *object = json_object_get(event, "object");
	const json_t *metadata = json_object_get(object, "metadata");
	const char *version = json_string_value(json_object_get(metadata, "resourceVersion"));

	if (!type || !json_is_object(object)) {
		reflector_fail(r, REFLECTOR_LIST, COMPLAINT_BAD_EVENT, 0,
			       "watch: an event without type or object");
		return;
	}
	if (strcmp(type, "ERROR") == 0) {
		take_error(r, object);
		return;
	}

	/* An old object after a new one would undo it, for good. */
	bool older = version && r->version && is_older(version, r->version);
	if (older && strcmp(type, "BOOKMARK") != 0) {
		reflector_fail(r, REFLECTOR_LIST, COMPLAINT_ORDER, 0,
			       "watch: an event of version %.32s after one of %.32s", version,
			       r->version);
		return;
	}

	bool removed = strcmp(type, "DELETED") == 0;
	if (removed || strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0) {
		r->events++;
		*changed |= source_apply(r->options.store, object, removed);
	} else if (strcmp(type, "BOOKMARK") != 0) {
		reflector_complain(r, COMPLAINT_UNKNOWN_EVENT,
				   "watch: an event of unknown type, ignored");
	}
	if (!version || !*version || older || strcmp(version, r->version) == 0)
		return;
	r->watch_moved = true;
	if (reflector_set_string(&r->version, version))
		reflector_fail(r, REFLECTOR_WATCH, COMPLAINT_MEMORY, 0, "watch: out of memory");
}

static void take_line(struct reflector *r, const char *line, size_t len, bool *changed)
{
	json_error_t bad;
	json_t *event = json_loadb(line, len, REFLECTOR_JSON, &bad);

	if (event)
		take_event(r, event, changed);
	else
		reflector_fail(r, REFLECTOR_LIST, COMPLAINT_BAD_EVENT, 0,
			       "watch: an event is not JSON: %s", bad.text);
	json_decref(event);
}

static void on_watch_body(void *context, const char *data, size_t len, uint64_t when_ns)
{
	struct reflector *r = context;
	const char *line;
	size_t line_len;
	bool changed = false;
	int more = 0;

	r->received_ms = reflector_now_ms(r);
	store_received(r->options.store, when_ns);
	if (lines_feed(&r->lines, data, len))
		reflector_fail(r, REFLECTOR_WATCH, COMPLAINT_MEMORY, 0, "watch: out of memory");
	while (r->request && (more = lines_next(&r->lines, &line, &line_len)) > 0)
		take_line(r, line, line_len, &changed);
	/* The object comes with the list as well, which has no such limit. */
	if (r->request && more < 0)
		reflector_fail(r, REFLECTOR_LIST, COMPLAINT_LONG_EVENT, 0,
			       "watch: an event is longer than %zu bytes, it begins: %.200s",
			       r->options.line_max, line);
	if (changed && r->options.changed)
		r->options.changed(r->options.context);
}

/* Whether a watch that was answered so can't go on from its version. */
static bool needs_list(long status)
{
	if (status == 401 || status == 403 || status == 429)
		return false;
	/* 504: the version is one that the server has yet to reach, as after a
	 * restore from a backup (S-279). */
	return (status >= 400 && status < 500) || status == 504;
}

static void on_watch_done(void *context, const struct http_result *result)
{
	struct reflector *r = context;
	uint64_t lasted_ms = reflector_now_ms(r) - r->watch_began_ms;

	r->request = NULL;
	lines_clear(&r->lines);
	if (!result->failure && result->status == 410) {
		relist(r);
	} else if (result->failure || result->status != 200) {
		reflector_failed(r, needs_list(result->status) ? REFLECTOR_LIST : REFLECTOR_WATCH,
				 result);
	} else if (!r->watch_moved && lasted_ms < r->options.times->short_ms) {
		reflector_fail(r, REFLECTOR_WATCH, COMPLAINT_SHORT_WATCH, 0,
			       "watch: ended at once, without anything new");
	} else {
		reflector_begin(r, REFLECTOR_WATCH);
	}
}

const struct http_handler reflector_watch_handler = {
	.begun = on_watch_begun,
	.body = on_watch_body,
	.done = on_watch_done,
};
