/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "controlplane/source/buffer.h"

#define CONNECT_TIMEOUT_MS 10000L
/* Probes of a silent connection: a server that is gone shows within 75 s. */
#define KEEPALIVE_IDLE_S     30L
#define KEEPALIVE_INTERVAL_S 5L
/* Statuses that are counted one by one. */
#define STATUS_MAX 600
/* What is kept of an answer other than 200: room for one Status object. */
#define ERROR_TEXT_MAX (64 * 1024)

/* A socket that libcurl wants watched. */
struct poller {
	uv_poll_t handle; /* first: the handle is the poller */
	struct http *http;
	curl_socket_t socket;
	LIST_ENTRY(poller) entry;
};

enum method { METHOD_GET, METHOD_POST, METHOD_MAX };

struct http_request {
	struct http *http;
	CURL *easy;
	struct curl_slist *headers;
	enum method method;
	const struct http_handler *handler;
	void *context;
	char error[CURL_ERROR_SIZE];
	struct buffer pending; /* received, not yet handed on */
	uint64_t received_ns;  /* of its first byte */
	long status;
	bool header_told;
	bool finished;
	CURLcode failure;
	LIST_ENTRY(http_request) entry;
};

struct http {
	uv_timer_t timer; /* first: the handle is the http */
	CURLM *multi;
	const struct kubeconfig *config;
	char *base;				 /* what comes before the path */
	char *host;				 /* Host header, if it is not the base's */
	struct curl_slist *connect_to;		 /* where base leads, if not to its host */
	uint64_t counts[METHOD_MAX][STATUS_MAX]; /* by status; 0: no answer */
	LIST_HEAD(, http_request) requests;
	LIST_HEAD(, poller) pollers;
};

static void request_free(struct http_request *request)
{
	curl_easy_cleanup(request->easy);
	curl_slist_free_all(request->headers);
	buffer_clear(&request->pending);
	free(request);
}

static void count(struct http_request *request, long status)
{
	if (status >= 0 && status < STATUS_MAX)
		request->http->counts[request->method][status]++;
}

void http_each_count(const struct http *http, http_count *each, void *context)
{
	static const char *const names[] = { [METHOD_GET] = "GET", [METHOD_POST] = "POST" };

	for (int method = 0; method < METHOD_MAX; method++)
		for (unsigned int status = 0; status < STATUS_MAX; status++)
			if (http->counts[method][status])
				each(context, names[method], status, http->counts[method][status]);
}

/* From here on libcurl and deliver() know nothing of it. */
static void request_detach(struct http_request *request)
{
	curl_multi_remove_handle(request->http->multi, request->easy);
	LIST_REMOVE(request, entry);
}

void http_cancel(struct http_request *request)
{
	if (!request)
		return;
	request_detach(request);
	request_free(request);
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

static void finish(struct http_request *request)
{
	curl_off_t retry_after_s = 0;

	request_detach(request);
	if (!request->status)
		count(request, 0);
	curl_easy_getinfo(request->easy, CURLINFO_RETRY_AFTER, &retry_after_s);

	const char *reason = request->error;
	if (request->failure != CURLE_OK && !*reason)
		reason = curl_easy_strerror(request->failure);
	struct http_result result = {
		.failure = request->failure,
		.reason = reason,
		.status = request->status,
		.retry_after_ms = retry_after_s > 0 ? (uint64_t)retry_after_s * 1000 : 0,
		.text = request->pending.data ? request->pending.data : "",
		.text_len = request->pending.len,
	};
	request->handler->done(request->context, &result);
	request_free(request);
}

/* Tells the handlers what came. Each may end any request, or all of them: the
 * http itself lives until the loop's next turn. */
static void deliver(struct http *http)
{
	struct http_request *request;

	note_finished(http);
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
		} else {
			finish(request);
		}
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct http *http = (struct http *)timer;
	int running;

	curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	deliver(http);
}

static void on_socket(uv_poll_t *handle, int status, int events)
{
	struct poller *poller = (struct poller *)handle;
	struct http *http = poller->http;
	int flags = status < 0 ? CURL_CSELECT_ERR : 0;
	int running;

	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	curl_multi_socket_action(http->multi, poller->socket, flags, &running);
	deliver(http);
}

static void on_poller_closed(uv_handle_t *handle)
{
	free(handle);
}

static void poller_close(struct poller *poller)
{
	LIST_REMOVE(poller, entry);
	uv_poll_stop(&poller->handle);
	uv_close((uv_handle_t *)&poller->handle, on_poller_closed);
}

static struct poller *poller_new(struct http *http, curl_socket_t socket)
{
	struct poller *poller = calloc(1, sizeof(*poller));

	if (!poller)
		return NULL;
	if (uv_poll_init_socket(http->timer.loop, &poller->handle, socket) < 0) {
		free(poller);
		return NULL;
	}
	poller->http = http;
	poller->socket = socket;
	LIST_INSERT_HEAD(&http->pollers, poller, entry);
	curl_multi_assign(http->multi, socket, poller);
	return poller;
}

/* libcurl: watch this socket for `what`. */
static int watch_socket(CURL *easy, curl_socket_t socket, int what, void *context,
			void *socket_context)
{
	struct http *http = context;
	struct poller *poller = socket_context;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (poller) {
			curl_multi_assign(http->multi, socket, NULL);
			poller_close(poller);
		}
		return 0;
	}
	if (!poller)
		poller = poller_new(http, socket);
	if (!poller)
		return -1;
	if (what & CURL_POLL_IN)
		events |= UV_READABLE;
	if (what & CURL_POLL_OUT)
		events |= UV_WRITABLE;
	return uv_poll_start(&poller->handle, events, on_socket) < 0 ? -1 : 0;
}

/* libcurl: call me again in so many milliseconds. */
static int set_timer(CURLM *multi, long timeout_ms, void *context)
{
	struct http *http = context;

	(void)multi;
	if (timeout_ms < 0)
		uv_timer_stop(&http->timer);
	else
		uv_timer_start(&http->timer, on_timer, (uint64_t)timeout_ms, 0);
	return 0;
}

/* The header's last line tells that all of it is there. */
static size_t on_header(char *data, size_t size, size_t n, void *context)
{
	struct http_request *request = context;
	long status = 0;

	if (n == 2 && memcmp(data, "\r\n", 2) == 0) {
		curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
		/* Trailers end alike. */
		if (status >= 200 && !request->status)
			count(request, status);
		if (status >= 200)
			request->status = status;
	}
	return size * n;
}

static size_t on_body(char *data, size_t size, size_t n, void *context)
{
	struct http_request *request = context;
	size_t len = size * n, keep = len;

	if (request->status != 200 && keep > ERROR_TEXT_MAX - request->pending.len)
		keep = ERROR_TEXT_MAX - request->pending.len;
	if (request->pending.len == 0)
		request->received_ns = uv_hrtime();
	return buffer_add(&request->pending, data, keep) == 0 ? len : 0;
}

static void set_pem(CURL *easy, const struct kubeconfig_pem *pem, CURLoption file, CURLoption blob)
{
	if (pem->data) {
		struct curl_blob bytes = { pem->data, pem->len, CURL_BLOB_COPY };

		curl_easy_setopt(easy, blob, &bytes);
	} else if (pem->file) {
		curl_easy_setopt(easy, file, pem->file);
	}
}

static void set_tls(CURL *easy, const struct kubeconfig *config)
{
	/* Only the given CA counts, never those that the system trusts. */
	curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, config->insecure ? 0L : 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, config->insecure ? 0L : 2L);
	set_pem(easy, &config->ca, CURLOPT_CAINFO, CURLOPT_CAINFO_BLOB);
	set_pem(easy, &config->cert, CURLOPT_SSLCERT, CURLOPT_SSLCERT_BLOB);
	set_pem(easy, &config->key, CURLOPT_SSLKEY, CURLOPT_SSLKEY_BLOB);
}

static void set_transfer(CURL *easy, struct http_request *request)
{
	curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->error);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
	curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	/* A connection a watch: none waits behind another's lost segment. */
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
	/* Don't wait for the thread that resolves a name: that would block the loop. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
}

/* False without memory. */
static bool add_header(struct http_request *request, const char *name, const char *value)
{
	sl_auto_mem char *line = NULL;

	if (asprintf(&line, "%s: %s", name, value) < 0) {
		line = NULL;
		return false;
	}
	struct curl_slist *grown = curl_slist_append(request->headers, line);
	if (!grown)
		return false;
	request->headers = grown;
	return true;
}

static bool set_headers(struct http_request *request)
{
	const struct http *http = request->http;
	const char *token = http->config->token;

	if (!add_header(request, "Accept", "application/json") ||
	    !add_header(request, "User-Agent", "sluice/" SLUICE_VERSION))
		return false;
	if (http->host && !add_header(request, "Host", http->host))
		return false;
	if (token) {
		sl_auto_mem char *bearer = NULL;

		if (asprintf(&bearer, "Bearer %s", token) < 0) {
			bearer = NULL;
			return false;
		}
		if (!add_header(request, "Authorization", bearer))
			return false;
	}
	curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->headers);
	return true;
}

/* `body` NULL: GET, else POST. */
static bool set_body(struct http_request *request, const char *body)
{
	if (!body)
		return true;
	curl_easy_setopt(request->easy, CURLOPT_TIMEOUT_MS, (long)HTTP_POST_MS);
	return add_header(request, "Content-Type", "application/json") &&
	       curl_easy_setopt(request->easy, CURLOPT_COPYPOSTFIELDS, body) == CURLE_OK;
}

static int begin(struct http *http, const char *path, const char *body,
		 const struct http_handler *handler, void *context, struct http_request **ret)
{
	struct http_request *request = calloc(1, sizeof(*request));
	sl_auto_mem char *url = NULL;

	if (!request)
		return -ENOMEM;
	request->http = http;
	request->method = body ? METHOD_POST : METHOD_GET;
	request->handler = handler;
	request->context = context;
	request->easy = curl_easy_init();
	if (asprintf(&url, "%s%s", http->base, path) < 0)
		url = NULL;
	if (!request->easy || !url || !set_body(request, body) || !set_headers(request) ||
	    curl_easy_setopt(request->easy, CURLOPT_URL, url) != CURLE_OK) {
		request_free(request);
		return -ENOMEM;
	}
	set_transfer(request->easy, request);
	set_tls(request->easy, http->config);
	if (http->config->proxy)
		curl_easy_setopt(request->easy, CURLOPT_PROXY, http->config->proxy);
	if (http->connect_to)
		curl_easy_setopt(request->easy, CURLOPT_CONNECT_TO, http->connect_to);
	if (curl_multi_add_handle(http->multi, request->easy) != CURLM_OK) {
		request_free(request);
		return -ENOMEM;
	}
	LIST_INSERT_HEAD(&http->requests, request, entry);
	*ret = request;
	return 0;
}

int http_get(struct http *http, const char *path, const struct http_handler *handler, void *context,
	     struct http_request **ret)
{
	return begin(http, path, NULL, handler, context, ret);
}

int http_post(struct http *http, const char *path, const char *body,
	      const struct http_handler *handler, void *context, struct http_request **ret)
{
	return begin(http, path, body, handler, context, ret);
}

/*
 * tls-server-name: libcurl verifies the host of the URL, so the URL gets that
 * name, the connection is led to the real host, and so is the Host header.
 */
static int rename_server(struct http *http, CURLU *url)
{
	sl_auto_mem char *target = NULL, *host = NULL;
	char *real_host = NULL, *port = NULL, *base = NULL;
	const char *name = http->config->tls_server_name;
	int err = -ENOMEM;

	curl_url_get(url, CURLUPART_HOST, &real_host, 0);
	curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
	if (real_host && port && asprintf(&target, "::%s:%s", real_host, port) >= 0 &&
	    asprintf(&host, "%s:%s", real_host, port) >= 0 &&
	    curl_url_set(url, CURLUPART_HOST, name, 0) == CURLUE_OK &&
	    curl_url_get(url, CURLUPART_URL, &base, 0) == CURLUE_OK) {
		size_t len = strlen(base);

		while (len > 0 && base[len - 1] == '/')
			len--;
		free(http->base);
		http->base = strndup(base, len);
		http->host = sl_take(host);
		http->connect_to = curl_slist_append(NULL, target);
		err = http->base && http->connect_to ? 0 : -ENOMEM;
	}
	curl_free(real_host);
	curl_free(port);
	curl_free(base);
	return err;
}

static int set_base(struct http *http)
{
	http->base = strdup(http->config->server);
	if (!http->base)
		return -ENOMEM;
	if (!http->config->tls_server_name)
		return 0;

	CURLU *url = curl_url();
	int err = -ENOMEM;
	if (url && curl_url_set(url, CURLUPART_URL, http->base, 0) == CURLUE_OK)
		err = rename_server(http, url);
	curl_url_cleanup(url);
	return err;
}

static void on_http_closed(uv_handle_t *handle)
{
	struct http *http = (struct http *)handle;

	curl_slist_free_all(http->connect_to);
	free(http->base);
	free(http->host);
	free(http);
	curl_global_cleanup();
}

void http_free(struct http *http)
{
	struct http_request *request;
	struct poller *poller;

	if (!http)
		return;
	while ((request = LIST_FIRST(&http->requests)))
		http_cancel(request);
	curl_multi_cleanup(http->multi);
	while ((poller = LIST_FIRST(&http->pollers)))
		poller_close(poller);
	uv_close((uv_handle_t *)&http->timer, on_http_closed);
}

int http_new(uv_loop_t *loop, const struct kubeconfig *config, struct http **ret)
{
	struct http *allocated = calloc(1, sizeof(*allocated));

	if (!allocated)
		return -ENOMEM;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(allocated);
		return -ENOMEM;
	}
	uv_timer_init(loop, &allocated->timer);
	allocated->config = config;
	LIST_INIT(&allocated->requests);
	LIST_INIT(&allocated->pollers);

	/* From here on http_free() takes it apart. */
	sl_auto(http) http = allocated;
	http->multi = curl_multi_init();
	if (!http->multi)
		return -ENOMEM;
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);

	int err = set_base(http);
	if (err)
		return err;
	*ret = sl_take(http);
	return 0;
}
