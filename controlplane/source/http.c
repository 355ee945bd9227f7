/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/source/http_impl.h"

/* What is kept of an answer other than 200: room for one Status object. */
#define ERROR_TEXT_MAX (64 * 1024)

static void request_free(struct http_request *request)
{
	curl_easy_cleanup(request->easy);
	curl_slist_free_all(request->headers);
	buffer_clear(&request->pending);
	free(request->path);
	free(request->body);
	free(request);
}

static void count(struct http_request *request, long status)
{
	struct http_server *servers = request->http->servers;

	if (status >= 0 && status < HTTP_STATUS_MAX)
		servers[servers[request->server].counted_as].counts[request->method][status]++;
}

static void each_count_of(const struct http_server *server, http_count *each, void *context)
{
	static const char *const names[] = { [HTTP_GET] = "GET", [HTTP_POST] = "POST" };

	for (int method = 0; method < HTTP_METHOD_MAX; method++)
		for (unsigned int status = 0; status < HTTP_STATUS_MAX; status++)
			if (server->counts[method][status])
				each(context, server->name, names[method], status,
				     server->counts[method][status]);
}

void http_each_count(const struct http *http, http_count *each, void *context)
{
	for (size_t i = 0; i < http->config->n_servers; i++)
		each_count_of(&http->servers[i], each, context);
}

static const char *reason_of(const struct http_request *request)
{
	if (request->failure != CURLE_OK && !*request->error)
		return curl_easy_strerror(request->failure);
	return request->error;
}

static void fail(struct http_request *request, CURLcode failure, const char *reason)
{
	request->finished = true;
	request->failure = failure;
	snprintf(request->error, sizeof(request->error), "%s", reason);
}

/*
 * Gives it to libcurl. While one is making a TLS connection the others wait for
 * it: only then it shows whether they can share it. (CURLOPT_PIPEWAIT leaves
 * some waiting for ever when the first connection fails.) Returns 0 or -ENOMEM.
 */
static int launch(struct http_request *request)
{
	struct http *http = request->http;
	bool tls = strncmp(http->servers[http->server].base, "https:", 6) == 0;

	if (tls && http->connecting) {
		request->stage = HTTP_WAITS_FOR_CONNECTION;
		return 0;
	}
	request->stage = HTTP_CONNECTING;
	if (http_setup(request) || (!http->multi && http_loop_open(http)) ||
	    curl_multi_add_handle(http->multi, request->easy) != CURLM_OK)
		return -ENOMEM;
	if (tls)
		http->connecting = request;
	return 0;
}

/* The same when the credentials are ready. A ping is about the connection: it
 * takes what is there. */
static int launch_with_credentials(struct http_request *request)
{
	struct http *http = request->http;

	if (!request->is_ping && !credentials_get(http->credentials)) {
		request->stage = HTTP_WAITS_FOR_CREDENTIALS;
		return 0;
	}
	return launch(request);
}

/* Launches all that waits at `stage`, or fails it for `failure`. */
static void launch_waiting(struct http *http, enum http_stage stage, CURLcode failure,
			   const char *reason)
{
	struct http_request *request;

	LIST_FOREACH(request, &http->requests, entry)
	{
		if (request->stage != stage || request->finished)
			continue;
		if (failure)
			fail(request, failure, reason);
		else if (launch(request))
			fail(request, CURLE_OUT_OF_MEMORY, "out of memory");
	}
}

/* From here on libcurl and http_deliver() know nothing of it. */
static void request_detach(struct http_request *request)
{
	struct http *http = request->http;

	curl_multi_remove_handle(http->multi, request->easy);
	LIST_REMOVE(request, entry);
	if (http->connecting == request) {
		http->connecting = NULL;
		launch_waiting(http, HTTP_WAITS_FOR_CONNECTION, CURLE_OK, NULL);
	}
}

static void on_credentials(void *context, const char *error)
{
	struct http *http = context;

	launch_waiting(http, HTTP_WAITS_FOR_CREDENTIALS, error ? CURLE_LOGIN_DENIED : CURLE_OK,
		       error);
	http_deliver(http);
}

int http_on_connected(void *context, char *remote, char *local, int remote_port, int local_port)
{
	struct http_request *request = context;

	(void)remote;
	(void)local;
	(void)remote_port;
	(void)local_port;
	request->stage = HTTP_SENT;
	return CURL_PREREQFUNC_OK;
}

/* Once it is known what became of the connection that is being made. */
static void use_connection(struct http *http)
{
	struct http_request *first = http->connecting;
	CURLcode failure = CURLE_OK;

	if (!first || (first->stage == HTTP_CONNECTING && !first->finished))
		return;
	/* The others would find the same, one after the other. */
	if (first->stage == HTTP_CONNECTING && http->config->n_servers == 1)
		failure = first->failure;
	http->connecting = NULL;
	launch_waiting(http, HTTP_WAITS_FOR_CONNECTION, failure, reason_of(first));
}

void http_cancel(struct http_request *request)
{
	if (!request)
		return;
	request_detach(request);
	request_free(request);
}

bool http_give_up(struct http_request *request)
{
	bool elsewhere = http_server_failed(request->http, request->server);

	http_cancel(request);
	return elsewhere;
}

/* libcurl's messages are gone with the next call to it: note them first. */
static void note_finished(struct http *http)
{
	struct CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left))) {
		struct http_request *request;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &request);
		request->finished = true;
		request->failure = message->data.result;
	}
}

static bool wants_header(const struct http_request *request)
{
	return request->status == 200 && !request->header_told;
}

static struct http_request *next_ready(struct http *http)
{
	struct http_request *request;

	LIST_FOREACH(request, &http->requests, entry)
	{
		if (wants_header(request) || request->finished ||
		    (request->status == 200 && request->pending.len > 0))
			return request;
	}
	return NULL;
}

/* Answered 401: sends it once more where that may help (S-271). */
static bool send_again(struct http_request *request)
{
	struct http *http = request->http;

	if (request->status != 401 || request->failure || request->sent_again || request->is_ping ||
	    !credentials_refused(http->credentials, request->generation))
		return false;
	curl_multi_remove_handle(http->multi, request->easy);
	buffer_clear(&request->pending);
	request->error[0] = '\0';
	request->status = 0;
	request->finished = false;
	request->sent_again = true;
	if (launch_with_credentials(request))
		fail(request, CURLE_OUT_OF_MEMORY, "out of memory");
	return true;
}

/* Notes what the answer says of its server. Returns http_result's `elsewhere`. */
static bool judge_server(const struct http_request *request)
{
	struct http *http = request->http;
	bool ill = request->status == 500 || request->status == 502 || request->status == 503;

	if (request->failure == CURLE_LOGIN_DENIED)
		return false;
	return (request->failure || ill) && http_server_failed(http, request->server);
}

static void finish(struct http_request *request)
{
	curl_off_t retry_after_s = 0;

	request_detach(request);
	if (!request->status)
		count(request, 0);
	curl_easy_getinfo(request->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
	if (retry_after_s > HTTP_RETRY_AFTER_MAX_S)
		retry_after_s = HTTP_RETRY_AFTER_MAX_S;

	struct http_result result = {
		.failure = request->failure,
		.reason = reason_of(request),
		.status = request->status,
		.retry_after_ms = retry_after_s > 0 ? (uint64_t)retry_after_s * 1000 : 0,
		.elsewhere = judge_server(request),
		.text = request->pending.data ? request->pending.data : "",
		.text_len = request->pending.len,
	};
	request->handler->done(request->context, &result);
	request_free(request);
}

/* Tells the handlers what came. Each may end any request, or all of them: the
 * http itself lives until the loop's next turn. */
void http_deliver(struct http *http)
{
	struct http_request *request;

	note_finished(http);
	use_connection(http);
	while ((request = next_ready(http))) {
		if (wants_header(request)) {
			request->header_told = true;
			request->handler->begun(request->context);
		} else if (request->status == 200 && request->pending.len > 0) {
			struct buffer bytes = request->pending;

			request->pending = (struct buffer) {};
			request->handler->body(request->context, bytes.data, bytes.len,
					       request->received_ns);
			buffer_clear(&bytes);
		} else if (!send_again(request)) {
			finish(request);
		}
	}
}

void http_reset(struct http *http, const char *reason)
{
	struct http_request *request;

	LIST_FOREACH(request, &http->requests, entry)
	{
		if (request->finished || request->stage < HTTP_CONNECTING)
			continue;
		curl_multi_remove_handle(http->multi, request->easy);
		fail(request, CURLE_OPERATION_TIMEDOUT, reason);
	}
	http->connecting = NULL;
	/* A stream that is only removed leaves its connection to the next one. */
	http_loop_close(http);
	http_loop_open(http);
	launch_waiting(http, HTTP_WAITS_FOR_CONNECTION, CURLE_OK, NULL);
}

/* The header's last line tells that all of it is there. */
size_t http_on_header(char *data, size_t size, size_t n, void *context)
{
	struct http_request *request = context;
	long status = 0, version = 0;

	if (n == 2 && memcmp(data, "\r\n", 2) == 0) {
		curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_getinfo(request->easy, CURLINFO_HTTP_VERSION, &version);
		/* Trailers end alike. */
		if (status >= 200 && !request->status)
			count(request, status);
		if (status >= 200)
			request->status = status;
		request->multiplexed = version == CURL_HTTP_VERSION_2_0;
		if (request->multiplexed)
			http_ping_heard(request->http);
	}
	return size * n;
}

size_t http_on_body(char *data, size_t size, size_t n, void *context)
{
	struct http_request *request = context;
	size_t len = size * n, keep = len;

	if (request->multiplexed)
		http_ping_heard(request->http);
	if (request->status != 200 && keep > ERROR_TEXT_MAX - request->pending.len)
		keep = ERROR_TEXT_MAX - request->pending.len;
	if (request->pending.len == 0)
		request->received_ns = uv_hrtime();
	return buffer_add(&request->pending, data, keep) == 0 ? len : 0;
}

/* `body` NULL: GET, else POST. */
static int begin(struct http *http, const char *path, const char *body, uint64_t limit_ms,
		 const struct http_handler *handler, void *context, struct http_request **ret)
{
	struct http_request *request = calloc(1, sizeof(*request));

	if (!request)
		return -ENOMEM;
	request->http = http;
	request->method = body ? HTTP_POST : HTTP_GET;
	request->handler = handler;
	request->context = context;
	request->limit_ms = limit_ms;
	request->is_ping = ret == &http->ping;
	request->path = strdup(path);
	request->body = body ? strdup(body) : NULL;
	request->easy = curl_easy_init();
	if (!request->easy || !request->path || (body && !request->body) ||
	    launch_with_credentials(request)) {
		request_free(request);
		return -ENOMEM;
	}
	LIST_INSERT_HEAD(&http->requests, request, entry);
	*ret = request;
	return 0;
}

int http_get(struct http *http, const char *path, uint64_t limit_ms,
	     const struct http_handler *handler, void *context, struct http_request **ret)
{
	return begin(http, path, NULL, limit_ms, handler, context, ret);
}

int http_post(struct http *http, const char *path, const char *body,
	      const struct http_handler *handler, void *context, struct http_request **ret)
{
	return begin(http, path, body, HTTP_POST_MS, handler, context, ret);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct http *http = handle->data;

	if (--http->open_handles > 0)
		return;
	free(http);
	curl_global_cleanup();
}

void http_free(struct http *http)
{
	struct http_request *request;

	if (!http)
		return;
	/* None that waits is launched any more. */
	http->connecting = NULL;
	while ((request = LIST_FIRST(&http->requests)))
		http_cancel(request);
	http_loop_close(http);
	http_servers_clear(http);
	credentials_free(http->credentials);
	uv_close((uv_handle_t *)&http->timer, on_handle_closed);
	uv_close((uv_handle_t *)&http->ping_timer, on_handle_closed);
}

int http_new(uv_loop_t *loop, struct kubeconfig *config, const struct http_times *times,
	     struct http **ret)
{
	struct http *allocated = calloc(1, sizeof(*allocated));

	if (!allocated)
		return -ENOMEM;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(allocated);
		return -ENOMEM;
	}
	uv_timer_init(loop, &allocated->timer);
	uv_timer_init(loop, &allocated->ping_timer);
	allocated->timer.data = allocated->ping_timer.data = allocated;
	allocated->open_handles = 2;
	allocated->config = config;
	allocated->times = *times;
	LIST_INIT(&allocated->requests);
	LIST_INIT(&allocated->pollers);

	/* From here on http_free() takes it apart. */
	sl_auto(http) http = allocated;
	const struct credentials_options options = {
		.loop = loop,
		.config = config,
		.run_ms = times->exec_ms,
		.ready = on_credentials,
		.context = http,
	};
	int err = http_loop_open(http);
	if (!err)
		err = http_servers_init(http);
	if (!err)
		err = credentials_new(&options, &http->credentials);
	if (err)
		return err;
	*ret = sl_take(http);
	return 0;
}
