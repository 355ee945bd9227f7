/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A reflector of Services before an API server that answers anything. The input is
 * its answers, each "% STATUS END\n" and a body: END is "end", "cut" for a
 * connection that breaks and "hang" for one that falls silent. What broke changes
 * nothing, and the pieces in which answers come make no difference.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "controlplane/source/reflector_impl.h"
#include "controlplane/store/equal.h"
#include "fuzz.h"

#define LINE_MAX_    600
#define ANSWERS_MAX  24
#define SERVICES_MAX 256
#define VERSION_MAX  64

const char *const fuzz_words[] = {
	"% 200 end\n",
	"% 200 cut\n",
	"% 200 hang\n",
	"% 410 end\n",
	"% 429 end\n",
	"% 504 end\n",
	"% 400 end\n",
	"% 404 end\n",
	"% 403 end\n",
	"ADDED",
	"MODIFIED",
	"DELETED",
	"BOOKMARK",
	"ERROR",
	"k8s.io/initial-events-end",
	"true",
	"type",
	"object",
	"metadata",
	"resourceVersion",
	"continue",
	"items",
	"kind",
	"ServiceList",
	"Service",
	"EndpointSlice",
	"code",
	"410",
	"429",
	"504",
	"retryAfterSeconds",
	"a",
	"b",
	"1",
	"9",
	"10",
	"18446744073709551616",
	"\n",
	NULL,
};

/* The API server: the one request that is under way. */

struct http_request {
	const struct http_handler *handler;
	void *context;
};

static struct http_request *asked;

int http_get(struct http *http, const char *path, uint64_t limit_ms,
	     const struct http_handler *handler, void *context, struct http_request **ret)
{
	(void)http;
	FUZZ_CHECK(!asked && strncmp(path, "/api/v1/services?", 17) == 0 && limit_ms > 0);
	asked = calloc(1, sizeof(*asked));
	FUZZ_CHECK(asked);
	*asked = (struct http_request) { handler, context };
	*ret = asked;
	return 0;
}

void http_cancel(struct http_request *request)
{
	FUZZ_CHECK(!request || request == asked);
	if (request)
		asked = NULL;
	free(request);
}

bool http_give_up(struct http_request *request)
{
	http_cancel(request);
	return false;
}

/* One answer of the input. */
struct answer {
	long status;
	enum { END, CUT, HANG } end;
	const char *body;
	size_t len;
};

static size_t read_answers(const char *text, size_t len, struct answer ret[ANSWERS_MAX])
{
	size_t n = 0;

	while (n < ANSWERS_MAX && len > 2 && memcmp(text, "% ", 2) == 0) {
		const char *body = memchr(text, '\n', len);
		const char *next;
		char head[32], how[8] = "";

		if (!body)
			break;
		body++;
		next = memmem(body - 1, len - (size_t)(body - 1 - text), "\n% ", 3);
		snprintf(head, sizeof(head), "%.*s", (int)(body - 1 - text), text);
		next = next ? next + 1 : text + len;
		if (sscanf(head, "%% %4ld %7s", &ret[n].status, how) < 1 || ret[n].status < 0)
			break;
		ret[n].end = how[0] == 'c' ? CUT : how[0] == 'h' ? HANG : END;
		ret[n].body = body;
		ret[n].len = next > body ? (size_t)(next - body) : 0;
		n++;
		len -= (size_t)(next - text);
		text = next;
	}
	return n;
}

/* What the store holds: its Services one after the other. */

struct state {
	size_t n;
	char names[SERVICES_MAX][2 * 300];
	uint64_t versions[SERVICES_MAX];
	uint16_t ports[SERVICES_MAX];
};

static void add_service(void *state_, const struct store_service *service)
{
	struct state *state = state_;

	if (state->n == SERVICES_MAX)
		return;
	snprintf(state->names[state->n], sizeof(state->names[0]), "%s/%s", service->namespace_,
		 service->name);
	state->versions[state->n] = service->service->version.latest;
	state->ports[state->n] = service->service->n_ports ? service->service->ports[0].port : 0;
	state->n++;
}

static void take_state(const struct store *store, struct state *ret)
{
	ret->n = 0;
	store_each(store, add_service, ret);
	/* It reads Services and nothing else. */
	for (int kind = 0; kind < OBJECT_KIND_MAX; kind++)
		FUZZ_CHECK(kind == OBJECT_SERVICE ||
			   store_count(store, (enum object_kind)kind) == 0);
}

static bool same_state(const struct state *a, const struct state *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->names[i], b->names[i]) != 0 || a->versions[i] != b->versions[i] ||
		    a->ports[i] != b->ports[i])
			return false;
	return true;
}

static uint32_t pieces;

static void send_body(const struct http_request *request, const struct answer *answer)
{
	for (size_t at = 0; at < answer->len && asked == request;) {
		size_t n = pieces ? 1 + (pieces >> 8) % 90 : answer->len;
		sl_auto_mem char *copy = NULL;

		pieces = pieces ? pieces * 1103515245 + 12345 : 0;
		n = n < answer->len - at ? n : answer->len - at;
		copy = malloc(n); /* its very size, so that a read beyond it is found */
		FUZZ_CHECK(copy);
		memcpy(copy, answer->body + at, n);
		request->handler->body(request->context, copy, n, 1);
		at += n;
	}
}

/* The wait is over, or the silence too long. */
static void ring(struct reflector *r)
{
	uv_timer_cb callback = r->timer.timer_cb;

	FUZZ_CHECK(uv_is_active((uv_handle_t *)&r->timer) && callback);
	uv_timer_stop(&r->timer);
	callback(&r->timer);
}

/* The silence is as long as the clock says: the last byte came long ago. */
static void fall_silent(struct reflector *r)
{
	FUZZ_CHECK(r->request);
	r->received_ms = uv_now(r->options.loop) - r->options.times->receive_ms -
			 r->options.times->answer_ms;
	ring(r);
}

static void give(struct reflector *r, const struct answer *answer)
{
	struct http_request *request = asked;
	struct http_result result = { .reason = "", .status = answer->status };

	if (answer->status == 200) {
		request->handler->begun(request->context);
		send_body(request, answer);
	} else {
		result.text = answer->body;
		result.text_len = answer->len;
	}
	if (asked != request)
		return; /* it had enough */
	if (answer->end == HANG) {
		fall_silent(r);
		return;
	}
	if (answer->end == CUT) {
		result.failure = 56;
		result.reason = "cut";
	}
	asked = NULL;
	request->handler->done(request->context, &result);
	free(request);
}

/* Whether the stream brought a Service; true as well if that can't be told. */
static bool brought(const struct answer *answer, const char *name)
{
	const char *line = answer->body, *end = answer->body + answer->len, *next;
	bool found = false;

	for (; line < end && !found; line = next) {
		char both[sizeof(((struct state *)NULL)->names[0])] = "";
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		size_t len = (size_t)((newline ? newline : end) - line);
		json_t *event = json_loadb(line, len, JSON_ALLOW_NUL, NULL);
		const json_t *metadata =
			json_object_get(json_object_get(event, "object"), "metadata");
		const char *own = json_string_value(json_object_get(metadata, "name"));
		const char *namespace_ = json_string_value(json_object_get(metadata, "namespace"));

		next = line + len + 1;
		snprintf(both, sizeof(both), "%s/%s", namespace_ ? namespace_ : "", own ? own : "");
		found = len > LINE_MAX_ || strcmp(both, name) == 0;
		json_decref(event);
	}
	return found;
}

static void answer(struct reflector *r, const struct answer *answer)
{
	static struct state before, after;
	enum reflector_step step = r->step;
	uint64_t lists = r->lists, events = r->events;
	sl_auto_mem char *version = strdup(r->version ? r->version : "");

	FUZZ_CHECK(version);
	take_state(r->options.store, &before);
	give(r, answer);
	take_state(r->options.store, &after);

	/* Not the whole of a stream, not one object of it. */
	if (step == REFLECTOR_STREAM && r->lists == lists)
		FUZZ_CHECK(same_state(&before, &after));
	/* The whole, and nothing of one that broke before it. */
	for (size_t i = 0; step == REFLECTOR_STREAM && r->lists > lists && i < after.n; i++)
		FUZZ_CHECK(brought(answer, after.names[i]));
	if (step == REFLECTOR_LIST && (answer->status != 200 || answer->end != END))
		FUZZ_CHECK(same_state(&before, &after) && r->lists == lists);
	/* A page that was refused is as if it had not come. */
	if (step == REFLECTOR_LIST && !r->request)
		FUZZ_CHECK(same_state(&before, &after));
	if (step == REFLECTOR_WATCH && r->events == events)
		FUZZ_CHECK(same_state(&before, &after));
	if (answer->status != 200)
		FUZZ_CHECK(same_state(&before, &after) && r->lists == lists &&
			   strcmp(r->version ? r->version : "", version) == 0);
	FUZZ_CHECK(r->lists <= lists + 1);
	/* A watch goes on from somewhere, and somebody is asked or will be. */
	FUZZ_CHECK(r->step != REFLECTOR_WATCH || r->version);
	FUZZ_CHECK(store_listed(r->options.store, OBJECT_SERVICE) == (r->lists > 0));
	FUZZ_CHECK((r->request != NULL) == (asked != NULL));
	FUZZ_CHECK(uv_is_active((uv_handle_t *)&r->timer));
}

/* What a conversation came to. */
struct outcome {
	struct state state;
	enum reflector_step step;
	uint64_t lists, events;
	char version[VERSION_MAX];
};

static void talk(const struct answer *answers, size_t n, uint32_t seed, struct outcome *ret)
{
	static const struct reflector_kind kind = { OBJECT_SERVICE,	"Service", "v1",
						    "/api/v1/services", "",	   false };
	static const struct reflector_times times = {
		.backoff = { 1, 10, 1000 },
		.list_ms = 60000,
		.answer_ms = 30000,
		.receive_ms = 30000,
		.short_ms = 1000,
		.settled_ms = 10000,
		.complain_ms = 1000,
		.absent_ms = 1000,
	};
	sl_auto(store) store = store_new();
	struct reflector *r = NULL;
	uv_loop_t loop;

	FUZZ_CHECK(store && !uv_loop_init(&loop));
	const struct reflector_options options = {
		.loop = &loop, .store = store, .times = &times, .line_max = LINE_MAX_
	};
	FUZZ_CHECK(!reflector_new(&kind, &options, &r));
	pieces = seed;
	for (size_t i = 0; i < n; i++) {
		if (!r->request)
			ring(r);
		answer(r, &answers[i]);
	}
	take_state(store, &ret->state);
	ret->step = r->step;
	ret->lists = r->lists;
	ret->events = r->events;
	snprintf(ret->version, sizeof(ret->version), "%s", r->version ? r->version : "");
	reflector_free(r);
	FUZZ_CHECK(!asked);
	uv_run(&loop, UV_RUN_DEFAULT);
	FUZZ_CHECK(!uv_loop_close(&loop));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outcome whole, split;
	struct answer answers[ANSWERS_MAX];
	size_t n = read_answers((const char *)data, size, answers);

	if (!n)
		return 0;
	log_set_level(LOG_LEVEL_ERROR);
	talk(answers, n, 0, &whole);
	talk(answers, n, (uint32_t)size | 1, &split);
	FUZZ_CHECK(same_state(&whole.state, &split.state) && whole.step == split.step);
	FUZZ_CHECK(whole.lists == split.lists && whole.events == split.events);
	FUZZ_CHECK(strcmp(whole.version, split.version) == 0);
	return 0;
}
