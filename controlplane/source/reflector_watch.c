/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/reflector_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "controlplane/source/source.h"

/* What a stream of all objects ends its list with. */
#define INITIAL_END "k8s.io/initial-events-end"

static bool streams(const struct reflector *r)
{
	return r->step == REFLECTOR_STREAM;
}

static void on_watch_begun(void *context)
{
	struct reflector *r = context;

	r->received_ms = reflector_now_ms(r);
	r->answered = true;
	if (!streams(r))
		reflector_set_connected(r, true);
}

/* The watch ends or fails. After one that went well for a while, what failed before
 * it must not make us wait. */
static void note_end(struct reflector *r)
{
	if (streams(r) || !r->answered ||
	    reflector_now_ms(r) - r->watch_began_ms < r->options.times->settled_ms)
		return;
	backoff_reset(&r->watch_backoff);
	backoff_reset(&r->relist_backoff);
}

/*
 * The server has forgotten the version we are at, as it does when it restarts,
 * or has yet to reach it, as after a restore from a backup (S-279). No delay then,
 * whatever the outage before made of the other ones, but for a server that does so
 * again and again.
 */
static void relist(struct reflector *r, const char *why)
{
	uint64_t delay_ms = reflector_delay(r, &r->relist_backoff);

	log_info("kube: %s: version %s, listing again resourceVersion=%s", r->kind.name, why,
		 r->version ? r->version : "");
	reflector_retry(r, REFLECTOR_STREAM, r->relist_backoff.failures == 1 ? 0 : delay_ms);
}

/* A stream that will not do: the server is older, or has it switched off. */
static void fall_back(struct reflector *r, const char *why)
{
	unsigned int held;

	if (complaint_allowed(&r->complaints, COMPLAINT_NO_STREAM, reflector_now_ms(r),
			      r->options.times->complain_ms, &held))
		log_info("kube: %s: the API server does not stream lists (%s), reading pages",
			 r->kind.name, why);
	reflector_retry(r, REFLECTOR_LIST, 0);
}

/*
 * The server can't do what it was asked for with this version, or at all: `code`
 * is of its answer or of an ERROR event. Returns true if that is taken care of.
 */
static bool take_code(struct reflector *r, int code)
{
	bool too_large = code == 504;

	if (streams(r)) {
		if ((code == 410 || too_large) && r->version && !r->any_version) {
			r->any_version = true;
			relist(r, too_large ? "is unknown" : "is too old");
			return true;
		}
		/* 400 and 422: no such streams. 403: it may be the watch that is
		 * forbidden, and a list is better than nothing. */
		if (code == 400 || code == 422 || code == 403 || code == 504) {
			fall_back(r, code == 403   ? "403"
				     : code == 504 ? "504"
						   : "it refuses sendInitialEvents");
			return true;
		}
		return false;
	}
	if (code != 410 && !too_large)
		return false;
	r->any_version = too_large;
	relist(r, too_large ? "is unknown" : "is too old");
	return true;
}

/* An ERROR event (S-279). */
static void take_error(struct reflector *r, const json_t *status)
{
	const char *message = json_string_value(json_object_get(status, "message"));
	const json_t *details = json_object_get(status, "details");
	json_int_t wait_s = json_integer_value(json_object_get(details, "retryAfterSeconds"));
	int code = (int)json_integer_value(json_object_get(status, "code"));
	/* 429: busy, and nothing is wrong with the version. */
	enum reflector_step next = code == 429 ? r->step : REFLECTOR_STREAM;

	note_end(r);
	if (take_code(r, code))
		return;
	if (wait_s < 0 || wait_s > HTTP_RETRY_AFTER_MAX_S)
		wait_s = wait_s < 0 ? 0 : HTTP_RETRY_AFTER_MAX_S;
	reflector_fail(r, next, COMPLAINT_ERROR_EVENT - code, (uint64_t)wait_s * 1000,
		       "watch: ERROR event %d: %s", code, message ? message : "without a message");
}

/* All objects of a stream are there: they replace what was known in one go (S-282).
 * The stream goes on as a watch. Returns true if that is worth telling. */
static bool complete_stream(struct reflector *r)
{
	struct store *store = r->options.store;
	bool first = !store_listed(store, r->kind.kind);

	store_list_begin(store, r->kind.kind);
	bool changed = aside_apply(&r->aside, store);
	size_t removed = store_list_end(store, r->kind.kind);

	r->step = REFLECTOR_WATCH;
	r->watch_began_ms = reflector_now_ms(r);
	r->any_version = false;
	r->streamed = true;
	r->lists++;
	backoff_reset(&r->list_backoff);
	reflector_set_connected(r, true);
	log_info("kube: %s: streamed n=%zu removed=%zu resourceVersion=%s", r->kind.name,
		 store_count(store, r->kind.kind), removed, r->version ? r->version : "");
	return first || changed || removed > 0;
}

/* Puts the object of an event where it belongs; true if that changed the store. */
static bool take_object(struct reflector *r, json_t *object, bool removed)
{
	const char *kind = json_string_value(json_object_get(object, "kind"));
	char error[OBJECT_ERROR_MAX];
	int err = 0;

	if (!streams(r)) {
		r->events++;
		/* The list of the other kind would not know of it, and never remove it. */
		if (kind && strcmp(kind, r->kind.name) != 0)
			return false;
		return source_apply(r->options.store, object, removed);
	}
	if (removed)
		aside_remove(&r->aside, object);
	else
		err = aside_put(&r->aside, object, error);
	if (err == -EINVAL)
		reflector_complain(r, COMPLAINT_BAD_EVENT, error);
	else if (err)
		reflector_fail(r, r->step, COMPLAINT_MEMORY, 0, "watch list: out of memory");
	return false;
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
	json_t *object = json_object_get(event, "object");
	const json_t *metadata = json_object_get(object, "metadata");
	const char *version = json_string_value(json_object_get(metadata, "resourceVersion"));
	const json_t *notes = json_object_get(metadata, "annotations");
	const char *end = json_string_value(json_object_get(notes, INITIAL_END));

	if (!type || !json_is_object(object)) {
		reflector_fail(r, REFLECTOR_STREAM, COMPLAINT_BAD_EVENT, 0,
			       "watch: an event without type or object");
		return;
	}
	if (strcmp(type, "ERROR") == 0) {
		take_error(r, object);
		return;
	}

	/* An old object after a new one would undo it, for good. */
	bool bookmark = strcmp(type, "BOOKMARK") == 0;
	bool older = !streams(r) && version && r->version && is_older(version, r->version);
	if (older && !bookmark) {
		reflector_fail(r, REFLECTOR_STREAM, COMPLAINT_ORDER, 0,
			       "watch: an event of version %.32s after one of %.32s", version,
			       r->version);
		return;
	}

	bool removed = strcmp(type, "DELETED") == 0;
	bool ends = streams(r) && bookmark && end && strcmp(end, "true") == 0;
	if (removed || strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0)
		*changed |= take_object(r, object, removed);
	else if (!bookmark)
		reflector_complain(r, COMPLAINT_UNKNOWN_EVENT,
				   "watch: an event of unknown type, ignored");
	/* Where a stream is before its end is nowhere to go on from. */
	if (older || (streams(r) && !ends))
		return;
	if (version && *version && (!r->version || strcmp(version, r->version) != 0)) {
		r->watch_moved = true;
		if (!streams(r))
			backoff_reset(&r->watch_backoff);
		if (reflector_set_string(&r->version, version)) {
			reflector_fail(r, r->step, COMPLAINT_MEMORY, 0, "watch: out of memory");
			return;
		}
	}
	if (!ends)
		return;
	if (r->version)
		*changed |= complete_stream(r);
	else
		reflector_fail(r, REFLECTOR_LIST, COMPLAINT_BAD_EVENT, 0,
			       "watch list: ends without a resourceVersion");
}

static void take_line(struct reflector *r, const char *line, size_t len, bool *changed)
{
	json_error_t bad;
	json_t *event = json_loadb(line, len, REFLECTOR_JSON, &bad);

	if (event)
		take_event(r, event, changed);
	else
		reflector_fail(r, REFLECTOR_STREAM, COMPLAINT_BAD_EVENT, 0,
			       "watch: an event is not JSON: %s", bad.text);
	json_decref(event);
}

/* An event that is too long is passed over: what was known of its object stays. */
static void take_beginning(struct reflector *r, const char *line, size_t len)
{
	char text[OBJECT_ERROR_MAX];
	struct reflector_name id;

	reflector_find_name(line, len, &id);
	snprintf(text, sizeof(text), "%s %s%s%s: watch: an event is longer than %zu bytes",
		 r->kind.name, id.namespace_, *id.namespace_ ? "/" : "",
		 *id.name ? id.name : "(no name seen)", r->options.line_max);
	if (!streams(r)) {
		log_warn("kube: %s, passed over; it begins: %.200s", text, line);
		return;
	}
	if (!*id.name)
		reflector_fail(r, REFLECTOR_STREAM, COMPLAINT_LONG_EVENT, 0,
			       "%s, it begins: %.200s", text, line);
	else if (aside_keep(&r->aside, id.namespace_, id.name, text))
		reflector_fail(r, r->step, COMPLAINT_MEMORY, 0, "watch list: out of memory");
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
		reflector_fail(r, r->step, COMPLAINT_MEMORY, 0, "watch: out of memory");
	while (r->request && (more = lines_next(&r->lines, &line, &line_len)) != 0) {
		if (more > 0)
			take_line(r, line, line_len, &changed);
		else
			take_beginning(r, line, line_len);
	}
	if (changed && r->options.changed)
		r->options.changed(r->options.context);
}

/* What to try after an answer other than 200. */
static enum reflector_step after_answer(const struct reflector *r, long status)
{
	if (streams(r))
		return REFLECTOR_STREAM;
	if (status == 401 || status == 403 || status == 429)
		return REFLECTOR_WATCH;
	return status >= 400 && status < 500 ? REFLECTOR_STREAM : REFLECTOR_WATCH;
}

static void on_watch_done(void *context, const struct http_result *result)
{
	struct reflector *r = context;
	uint64_t lasted_ms = reflector_now_ms(r) - r->watch_began_ms;
	bool answered = !result->failure && result->status != 200;

	r->request = NULL;
	note_end(r);
	lines_clear(&r->lines);
	if (answered && streams(r) && result->status == 404 && r->kind.optional)
		reflector_take_absence(r);
	else if (answered && take_code(r, (int)result->status))
		return;
	else if (result->failure || result->status != 200)
		reflector_failed(r, after_answer(r, result->status), result);
	else if (streams(r))
		reflector_fail(r, REFLECTOR_LIST, COMPLAINT_SHORT_WATCH, 0,
			       "watch list: ended before all objects came");
	else if (!r->watch_moved && lasted_ms < r->options.times->short_ms)
		reflector_fail(r, REFLECTOR_WATCH, COMPLAINT_SHORT_WATCH, 0,
			       "watch: ended at once, without anything new");
	else
		reflector_begin(r, REFLECTOR_WATCH);
}

const struct http_handler reflector_watch_handler = {
	.begun = on_watch_begun,
	.body = on_watch_body,
	.done = on_watch_done,
	.plain = true,
};
