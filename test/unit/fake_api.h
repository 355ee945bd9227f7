/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * An API server that says what a test tells it to: lists from a queue of
 * answers (or an empty list once that is empty), watches as streams that the
 * test writes to and ends. Watches that begin with all objects are refused unless
 * a test switches them on or queues an answer. Events are posted, and answered from their queue of
 * lists, else by 201. It runs on threads of its own, on loopback.
 */

#include <check.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"

enum fake_kind { FAKE_SERVICE, FAKE_SLICE, FAKE_NODE, FAKE_CIDR, FAKE_EVENT, FAKE_KIND_MAX };

enum fake_end { FAKE_OPEN, FAKE_CLEAN, FAKE_BROKEN };

struct fake_answer {
	unsigned int status;
	char *body; /* NULL: as if none were queued; for a watch: its stream */
	size_t len;
	const char *header, *value; /* one more header, or NULL */
	bool broken;		    /* cut off after the body */
	bool held;		    /* never comes */
};

struct fake_request {
	enum fake_kind kind;
	bool watch;
	bool stream; /* of all objects: a watch with sendInitialEvents */
	char uri[1024];
	char authorization[256];
	char host[256];
	char encoding[64]; /* that is accepted */
	char body[4096];   /* of a POST */
};

/* What MHD knows of a request while it comes. */
struct fake_call {
	char *uri;
	bool begun;
	char body[4096];
	size_t len;
};

struct fake_queue {
	struct fake_answer answers[32];
	size_t first, n;
};

static struct {
	struct MHD_Daemon *daemon;
	uint16_t port;
	pthread_mutex_t lock;
	pthread_cond_t more;
	bool stopping;
	struct fake_queue lists[FAKE_KIND_MAX], watches[FAKE_KIND_MAX], streams[FAKE_KIND_MAX];
	bool streams_on; /* else such a watch that is not queued is refused */
	/* The stream of a kind: what no watch has been sent yet. */
	char stream[FAKE_KIND_MAX][256 * 1024];
	size_t stream_len[FAKE_KIND_MAX];
	enum fake_end end[FAKE_KIND_MAX];
	uintptr_t n_streams[FAKE_KIND_MAX]; /* only the newest one is served */
	struct fake_request requests[1024];
	size_t n_requests;
} fake = { .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER };

static const struct {
	const char *path, *kind;
} fake_kinds[FAKE_KIND_MAX] = {
	{ "/api/v1/services", "Service" },
	{ "/apis/discovery.k8s.io/v1/endpointslices", "EndpointSlice" },
	{ "/api/v1/nodes", "Node" },
	{ "/apis/networking.k8s.io/v1/servicecidrs", "ServiceCIDR" },
	{ "/apis/events.k8s.io/v1/namespaces/", "Event" },
};

/* Sends the stream of a kind as it is written; `context` is its number and kind. */
static ssize_t fake_read_stream(void *context, uint64_t at, char *out, size_t max)
{
	enum fake_kind kind = (enum fake_kind)((uintptr_t)context % FAKE_KIND_MAX);
	uintptr_t number = (uintptr_t)context / FAKE_KIND_MAX;
	ssize_t n = 0;

	(void)at;
	pthread_mutex_lock(&fake.lock);
	while (!fake.stopping && number == fake.n_streams[kind] && fake.stream_len[kind] == 0 &&
	       fake.end[kind] == FAKE_OPEN)
		pthread_cond_wait(&fake.more, &fake.lock);
	if (fake.stopping || number != fake.n_streams[kind]) {
		n = MHD_CONTENT_READER_END_WITH_ERROR;
	} else if (fake.stream_len[kind] > 0) {
		n = (ssize_t)(fake.stream_len[kind] < max ? fake.stream_len[kind] : max);
		memcpy(out, fake.stream[kind], (size_t)n);
		fake.stream_len[kind] -= (size_t)n;
		memmove(fake.stream[kind], fake.stream[kind] + n, fake.stream_len[kind]);
	} else {
		n = fake.end[kind] == FAKE_CLEAN ? MHD_CONTENT_READER_END_OF_STREAM
						 : MHD_CONTENT_READER_END_WITH_ERROR;
		fake.end[kind] = FAKE_OPEN;
		pthread_cond_broadcast(&fake.more);
	}
	pthread_mutex_unlock(&fake.lock);
	return n;
}

/* Sends a body that is cut off, or one that never comes. */
static ssize_t fake_read_broken(void *context, uint64_t at, char *out, size_t max)
{
	const struct fake_answer *answer = context;

	pthread_mutex_lock(&fake.lock);
	while (answer->held && !fake.stopping)
		pthread_cond_wait(&fake.more, &fake.lock);
	pthread_mutex_unlock(&fake.lock);
	if (at >= answer->len || answer->held)
		return MHD_CONTENT_READER_END_WITH_ERROR;

	size_t n = answer->len - at < max ? answer->len - at : max;
	memcpy(out, answer->body + at, n);
	return (ssize_t)n;
}

static void fake_free_answer(void *context)
{
	struct fake_answer *answer = context;

	free(answer->body);
	free(answer);
}

static struct fake_answer fake_text(unsigned int status, const char *body)
{
	return (struct fake_answer) { .status = status, .body = strdup(body), .len = strlen(body) };
}

static struct fake_answer fake_take(struct fake_queue *queue)
{
	if (queue->first == queue->n)
		return (struct fake_answer) { .status = queue == &fake.lists[FAKE_EVENT] ? 201
											 : 200 };
	return queue->answers[queue->first++];
}

/* Takes over the answer's body. `stream` is the number of a watch. */
static struct MHD_Response *fake_response(enum fake_kind kind, bool watch, uintptr_t stream,
					  struct fake_answer answer)
{
	char empty[256];

	if (answer.broken || answer.held) {
		struct fake_answer *copy = malloc(sizeof(*copy));

		*copy = answer;
		return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1024, fake_read_broken,
							 copy, fake_free_answer);
	}
	if (answer.body)
		return MHD_create_response_from_buffer(answer.len, answer.body,
						       MHD_RESPMEM_MUST_FREE);
	if (watch)
		return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1024, fake_read_stream,
							 (void *)(stream * FAKE_KIND_MAX + kind),
							 NULL);
	snprintf(empty, sizeof(empty),
		 "{\"kind\":\"%sList\",\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[]}",
		 fake_kinds[kind].kind);
	return MHD_create_response_from_buffer(strlen(empty), empty, MHD_RESPMEM_MUST_COPY);
}

static void fake_copy(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text ? text : "");
}

/* The kind that is asked for, FAKE_KIND_MAX if there is none. */
static enum fake_kind fake_kind_of(const char *url, const char *method)
{
	enum fake_kind kind = FAKE_SERVICE;
	bool posted = strcmp(method, "POST") == 0;

	if (strncmp(url, fake_kinds[FAKE_EVENT].path, strlen(fake_kinds[FAKE_EVENT].path)) == 0)
		return posted ? FAKE_EVENT : FAKE_KIND_MAX;
	while (kind < FAKE_EVENT && strcmp(url, fake_kinds[kind].path) != 0)
		kind++;
	return kind == FAKE_EVENT || posted ? FAKE_KIND_MAX : kind;
}

static enum MHD_Result fake_handle(void *context, struct MHD_Connection *connection,
				   const char *url, const char *method, const char *version,
				   const char *data, size_t *len, void **call_)
{
	struct fake_call *call = *call_;
	enum fake_kind kind = fake_kind_of(url, method);
	bool watch = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "watch");

	bool stream_asked =
		MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "sendInitialEvents");

	(void)context;
	(void)version;
	if (kind == FAKE_KIND_MAX)
		return MHD_NO;
	if (kind == FAKE_EVENT && (!call->begun || *len > 0)) {
		if (*len >= sizeof(call->body) - call->len)
			return MHD_NO;
		if (*len > 0)
			memcpy(call->body + call->len, data, *len);
		call->len += *len;
		call->begun = true;
		*len = 0;
		return MHD_YES;
	}

	pthread_mutex_lock(&fake.lock);
	struct fake_request *request = &fake.requests[fake.n_requests++ % SL_COUNT(fake.requests)];
	request->kind = kind;
	request->watch = watch;
	request->stream = stream_asked;
	fake_copy(request->uri, sizeof(request->uri), call->uri);
	fake_copy(request->body, sizeof(request->body), call->body);
	fake_copy(request->authorization, sizeof(request->authorization),
		  MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization"));
	fake_copy(request->host, sizeof(request->host),
		  MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host"));
	fake_copy(request->encoding, sizeof(request->encoding),
		  MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept-Encoding"));
	struct fake_answer answer = fake_take(stream_asked ? &fake.streams[kind]
					      : watch	   ? &fake.watches[kind]
							   : &fake.lists[kind]);
	if (stream_asked && !fake.streams_on && !answer.body)
		answer = fake_text(422, "{\"kind\":\"Status\",\"message\":\"forbidden\"}");
	uintptr_t stream = fake.n_streams[kind];
	if (watch && !answer.body)
		stream = ++fake.n_streams[kind];
	pthread_cond_broadcast(&fake.more);
	pthread_mutex_unlock(&fake.lock);

	struct MHD_Response *response = fake_response(kind, watch, stream, answer);
	if (answer.header)
		MHD_add_response_header(response, answer.header, answer.value);
	enum MHD_Result result = MHD_queue_response(connection, answer.status, response);
	MHD_destroy_response(response);
	return result;
}

/* The URI as it was sent, before MHD decodes it. */
static void *fake_keep_uri(void *context, const char *uri, struct MHD_Connection *connection)
{
	(void)context;
	(void)connection;
	struct fake_call *call = calloc(1, sizeof(*call));

	if (call)
		call->uri = strdup(uri);
	return call;
}

static void fake_completed(void *context, struct MHD_Connection *connection, void **call_,
			   enum MHD_RequestTerminationCode code)
{
	struct fake_call *call = *call_;

	(void)context;
	(void)connection;
	(void)code;
	free(call->uri);
	free(call);
}

/* `cert` and `key` make it speak TLS; NULL: plain HTTP. `port` 0: any. */
static void fake_start(uint16_t port, const char *cert, const char *key)
{
	struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)cert },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key },
		{ MHD_OPTION_END, 0, NULL },
	};
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	fake.stopping = false;
	fake.daemon = MHD_start_daemon(
		MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
			(cert ? (unsigned int)MHD_USE_TLS : 0),
		port, NULL, NULL, fake_handle, NULL, MHD_OPTION_SOCK_ADDR, &address,
		MHD_OPTION_URI_LOG_CALLBACK, fake_keep_uri, NULL, MHD_OPTION_NOTIFY_COMPLETED,
		fake_completed, NULL, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_ARRAY,
		cert ? tls : tls + 2, MHD_OPTION_END);
	ck_assert_ptr_nonnull(fake.daemon);
	fake.port = MHD_get_daemon_info(fake.daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

/* Cuts all streams off. */
static void fake_stop(void)
{
	if (!fake.daemon)
		return;
	pthread_mutex_lock(&fake.lock);
	fake.stopping = true;
	pthread_cond_broadcast(&fake.more);
	pthread_mutex_unlock(&fake.lock);
	MHD_stop_daemon(fake.daemon);
	fake.daemon = NULL;
	for (int kind = 0; kind < FAKE_KIND_MAX; kind++) {
		fake.stream_len[kind] = 0;
		fake.end[kind] = FAKE_OPEN;
	}
}

/* Frees answers that were not asked for. */
static void fake_done(void)
{
	fake_stop();
	for (int kind = 0; kind < FAKE_KIND_MAX; kind++) {
		struct fake_queue *queues[] = { &fake.lists[kind], &fake.watches[kind],
						&fake.streams[kind] };

		for (size_t i = 0; i < SL_COUNT(queues); i++)
			while (queues[i]->first < queues[i]->n)
				free(queues[i]->answers[queues[i]->first++].body);
	}
}

static void fake_push(struct fake_queue *queue, struct fake_answer answer)
{
	pthread_mutex_lock(&fake.lock);
	ck_assert_uint_lt(queue->n, SL_COUNT(queue->answers));
	queue->answers[queue->n++] = answer;
	pthread_mutex_unlock(&fake.lock);
}

/* Queues the answer of the next list or watch of a kind. */
static inline void fake_list(enum fake_kind kind, unsigned int status, const char *body)
{
	fake_push(&fake.lists[kind], fake_text(status, body));
}

static inline void fake_watch(enum fake_kind kind, unsigned int status, const char *body)
{
	fake_push(&fake.watches[kind], fake_text(status, body));
}

/* Writes to the stream of a kind, or ends it when all was sent. */
static inline void fake_send(enum fake_kind kind, const char *text)
{
	size_t len = strlen(text);

	pthread_mutex_lock(&fake.lock);
	ck_assert_uint_le(fake.stream_len[kind] + len, sizeof(fake.stream[kind]));
	memcpy(fake.stream[kind] + fake.stream_len[kind], text, len);
	fake.stream_len[kind] += len;
	pthread_cond_broadcast(&fake.more);
	pthread_mutex_unlock(&fake.lock);
}

static inline void fake_end(enum fake_kind kind, enum fake_end end)
{
	pthread_mutex_lock(&fake.lock);
	fake.end[kind] = end;
	pthread_cond_broadcast(&fake.more);
	pthread_mutex_unlock(&fake.lock);
}

static inline void fake_stream(enum fake_kind kind, unsigned int status, const char *body)
{
	fake_push(&fake.streams[kind], fake_text(status, body));
}

/* How many lists or watches of a kind were asked for, without streams of all. */
static size_t fake_count(enum fake_kind kind, bool watch)
{
	size_t n = 0;

	pthread_mutex_lock(&fake.lock);
	for (size_t i = 0; i < fake.n_requests; i++)
		n += fake.requests[i].kind == kind && fake.requests[i].watch == watch &&
		     !fake.requests[i].stream;
	pthread_mutex_unlock(&fake.lock);
	return n;
}

/* The i-th list or watch (from 0) of a kind, which there must be. */
static struct fake_request fake_request(enum fake_kind kind, bool watch, size_t i)
{
	struct fake_request found = {};
	bool is_there = false;

	pthread_mutex_lock(&fake.lock);
	for (size_t at = 0; at < fake.n_requests && !is_there; at++) {
		if (fake.requests[at].kind != kind || fake.requests[at].watch != watch ||
		    fake.requests[at].stream)
			continue;
		if (i-- == 0) {
			found = fake.requests[at];
			is_there = true;
		}
	}
	pthread_mutex_unlock(&fake.lock);
	ck_assert(is_there);
	return found;
}
