/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/reflector_impl.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"

#define PAGE_OBJECTS 500
#define WATCH_MIN_S  300
#define WATCH_MAX_S  600
/* A watch that the server does not end in time is ended here. */
#define WATCH_GRACE_S 30

void reflector_complain(struct reflector *r, int key, const char *text)
{
	unsigned int held;

	if (!complaint_allowed(&r->complaints, key, reflector_now_ms(r),
			       r->options.times->complain_ms, &held))
		return;
	if (held > 0)
		log_warn("kube: %s: %s repeated=%u", r->kind.name, text, held);
	else
		log_warn("kube: %s: %s", r->kind.name, text);
}

void reflector_set_connected(struct reflector *r, bool connected)
{
	unsigned int held;

	if (r->state.connected == connected)
		return;
	r->was_elsewhere = r->was_elsewhere && !connected;
	r->state.connected = connected;
	r->state.since = time(NULL);
	if (!connected)
		return;
	if (*r->error && complaint_allowed(&r->complaints, COMPLAINT_RECOVERED, reflector_now_ms(r),
					   r->options.times->complain_ms, &held))
		log_info("kube: %s: connected again", r->kind.name);
	r->error[0] = '\0';
}

int reflector_set_string(char **string, const char *value)
{
	char *copy = NULL;

	if (value && *value) {
		copy = strdup(value);
		if (!copy)
			return -ENOMEM;
	}
	free(*string);
	*string = copy;
	return 0;
}

void reflector_stop(struct reflector *r)
{
	http_cancel(sl_take(r->request));
	aside_clear(&r->aside);
	items_clear(&r->items);
	lines_clear(&r->lines);
}

static void on_wait_over(uv_timer_t *timer)
{
	struct reflector *r = (struct reflector *)timer;

	reflector_begin(r, r->step);
}

void reflector_retry(struct reflector *r, enum reflector_step step, uint64_t delay_ms)
{
	reflector_stop(r);
	/* A list that broke begins again, at its first page. */
	reflector_set_string(&r->page_token, NULL);
	r->step = step;
	uv_timer_start(&r->timer, on_wait_over, delay_ms, 0);
}

void reflector_fail(struct reflector *r, enum reflector_step step, int key, uint64_t least_ms,
		    const char *format, ...)
{
	va_list args;

	/* What fails is the step under way, whatever is tried next. */
	struct backoff *backoff = r->step == REFLECTOR_WATCH ? &r->watch_backoff : &r->list_backoff;

	va_start(args, format);
	vsnprintf(r->error, sizeof(r->error), format, args);
	va_end(args);
	reflector_set_connected(r, false);
	reflector_complain(r, key, r->error);

	uint64_t delay_ms = reflector_delay(r, backoff);
	/* Not twice in a row: all servers may be ill. */
	bool at_once = r->elsewhere && !r->was_elsewhere;
	if (at_once)
		delay_ms = least_ms = 0;
	r->was_elsewhere = at_once;
	r->elsewhere = false;
	reflector_retry(r, step, delay_ms > least_ms ? delay_ms : least_ms);
}

static const char *step_name(const struct reflector *r)
{
	static const char *const names[] = {
		[REFLECTOR_STREAM] = "watch list",
		[REFLECTOR_LIST] = "list",
		[REFLECTOR_WATCH] = "watch",
	};

	return names[r->step];
}

static void on_silence(uv_timer_t *timer)
{
	struct reflector *r = (struct reflector *)timer;
	const struct reflector_times *times = r->options.times;
	uint64_t quiet_ms = reflector_now_ms(r) - r->received_ms;
	uint64_t max_ms = r->answered ? times->receive_ms : times->answer_ms;
	/* A server or proxy may not know that this stream has an end of its list. */
	enum reflector_step next = r->step == REFLECTOR_WATCH ? REFLECTOR_WATCH : REFLECTOR_LIST;

	if (quiet_ms < max_ms) {
		uv_timer_start(timer, on_silence, max_ms - quiet_ms, 0);
		return;
	}
	r->elsewhere = http_give_up(sl_take(r->request));
	reflector_fail(r, next, COMPLAINT_SILENCE, 0, "%s: nothing received for %llu s",
		       step_name(r), (unsigned long long)max_ms / 1000);
}

/* "403 services is forbidden: ..." from an answer other than 200. */
static void describe_answer(const struct http_result *result, char *text, size_t size)
{
	json_t *status = json_loadb(result->text, result->text_len, REFLECTOR_JSON, NULL);
	const char *message = json_string_value(json_object_get(status, "message"));

	snprintf(text, size, "answered %ld%s%s", result->status, message ? ": " : "",
		 message ? message : "");
	json_decref(status);
}

void reflector_failed(struct reflector *r, enum reflector_step next,
		      const struct http_result *result)
{
	const char *what = step_name(r);
	char answer[OBJECT_ERROR_MAX / 2];

	r->elsewhere = result->elsewhere;
	if (result->status == 0 || result->status == 200) {
		reflector_fail(r, next, result->failure, 0, "%s: %s", what, result->reason);
		return;
	}
	describe_answer(result, answer, sizeof(answer));
	reflector_fail(r, next, (int)result->status, result->retry_after_ms, "%s: %s", what,
		       answer);
}

/* Copies the string whose beginning is `key`, as far as it is there and has room; no
 * name has a quote or a backslash in it. */
static void copy_string(const char *text, size_t len, const char *key, char *ret, size_t size)
{
	const char *from = memmem(text, len, key, strlen(key)), *end = text + len;
	size_t n = 0;

	if (!from)
		return;
	for (from += strlen(key); from + n < end && from[n] != '"' && n + 1 < size; n++)
		ret[n] = from[n];
	ret[n] = '\0';
}

void reflector_find_name(const char *text, size_t len, struct reflector_name *ret)
{
	const char *metadata = memmem(text, len, "\"metadata\":", 11);

	*ret = (struct reflector_name) {};
	if (!metadata)
		return;
	len -= (size_t)(metadata - text);
	copy_string(metadata, len, "\"name\":\"", ret->name, sizeof(ret->name));
	copy_string(metadata, len, "\"namespace\":\"", ret->namespace_, sizeof(ret->namespace_));
}

/* What to GET for the step, to be freed; NULL without memory. */
static char *make_path(const struct reflector *r, unsigned int watch_s)
{
	const char *value = r->step == REFLECTOR_LIST ? r->page_token : r->version;
	char *encoded = NULL, *path = NULL;
	int len;

	if (r->step == REFLECTOR_STREAM && r->any_version)
		value = NULL;
	if (value) {
		encoded = curl_easy_escape(NULL, value, 0);
		if (!encoded)
			return NULL;
	}
	if (r->step != REFLECTOR_LIST)
		len = asprintf(&path,
			       "%s?watch=1%s&resourceVersion=%s&allowWatchBookmarks=true"
			       "&timeoutSeconds=%u%s",
			       r->kind.path,
			       r->step == REFLECTOR_STREAM ? "&sendInitialEvents=true"
							     "&resourceVersionMatch=NotOlderThan"
							   : "",
			       encoded ? encoded : "", watch_s, r->kind.selector);
	else if (r->whole)
		len = asprintf(&path, "%s?%s", r->kind.path,
			       *r->kind.selector ? r->kind.selector + 1 : "");
	else
		len = asprintf(&path, "%s?limit=%d%s%s%s", r->kind.path, PAGE_OBJECTS,
			       encoded ? "&continue=" : "", encoded ? encoded : "",
			       r->kind.selector);
	curl_free(encoded);
	return len < 0 ? NULL : path;
}

void reflector_begin(struct reflector *r, enum reflector_step step)
{
	unsigned int watch_s = WATCH_MIN_S + arc4random_uniform(WATCH_MAX_S - WATCH_MIN_S + 1);
	bool lists = step == REFLECTOR_LIST;

	r->step = step;
	r->answered = false;
	if (lists && !r->page_token)
		store_list_begin(r->options.store, r->kind.kind);
	r->received_ms = reflector_now_ms(r);
	r->watch_began_ms = r->received_ms;
	r->watch_moved = false;

	sl_auto_mem char *path = make_path(r, watch_s);
	uint64_t limit_ms =
		lists ? r->options.times->list_ms : (uint64_t)(watch_s + WATCH_GRACE_S) * 1000;
	if (!path ||
	    http_get(r->options.http, path, limit_ms,
		     lists ? &reflector_list_handler : &reflector_watch_handler, r, &r->request)) {
		reflector_fail(r, step, COMPLAINT_MEMORY, 0, "out of memory");
		return;
	}
	uv_timer_start(&r->timer, on_silence, r->options.times->answer_ms, 0);
}

static void on_reflector_closed(uv_handle_t *handle)
{
	struct reflector *r = (struct reflector *)handle;

	free((char *)r->kind.selector);
	free(r->version);
	free(r->page_token);
	free(r);
}

void reflector_free(struct reflector *r)
{
	if (!r)
		return;
	reflector_stop(r);
	uv_close((uv_handle_t *)&r->timer, on_reflector_closed);
}

int reflector_new(const struct reflector_kind *kind, const struct reflector_options *options,
		  struct reflector **ret)
{
	struct reflector *r = calloc(1, sizeof(*r));
	char *selector = strdup(kind->selector);

	if (!r || !selector) {
		free(r);
		free(selector);
		return -ENOMEM;
	}
	r->kind = *kind;
	r->kind.selector = selector;
	r->options = *options;
	r->state.since = time(NULL);
	aside_init(&r->aside, kind->kind);
	items_init(&r->items, options->line_max);
	lines_init(&r->lines, options->line_max);
	uv_timer_init(options->loop, &r->timer);
	reflector_begin(r, REFLECTOR_STREAM);
	*ret = r;
	return 0;
}

json_t *reflector_status(const struct reflector *r)
{
	const char *how = r->streamed ? "stream" : "pages";

	return json_pack("{s:s, s:b, s:s*, s:s, s:I, s:I}", "kind", r->kind.name, "listed",
			 r->lists > 0, "listedBy", r->lists > 0 ? how : NULL, "resourceVersion",
			 r->version ? r->version : "", "events", (json_int_t)r->events, "lists",
			 (json_int_t)r->lists);
}

struct reflector_state reflector_state(const struct reflector *r)
{
	struct reflector_state state = r->state;

	state.error = r->error;
	return state;
}
