/* SPDX-License-Identifier: Apache-2.0 */

/* libcurl's socket interface on libuv's loop. */

#include <errno.h>
#include <stdlib.h>

#include "controlplane/source/http_impl.h"

/* A socket that libcurl wants watched. */
struct http_poller {
	uv_poll_t handle; /* first: the handle is the poller */
	struct http *http;
	curl_socket_t socket;
	LIST_ENTRY(http_poller) entry;
};

static void on_timer(uv_timer_t *timer)
{
	struct http *http = timer->data;
	int running;

	curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	http_deliver(http);
}

static void on_socket(uv_poll_t *handle, int status, int events)
{
	struct http_poller *poller = (struct http_poller *)handle;
	struct http *http = poller->http;
	int flags = status < 0 ? CURL_CSELECT_ERR : 0;
	int running;

	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	curl_multi_socket_action(http->multi, poller->socket, flags, &running);
	http_deliver(http);
}

static void on_poller_closed(uv_handle_t *handle)
{
	free(handle);
}

static void poller_close(struct http_poller *poller)
{
	LIST_REMOVE(poller, entry);
	uv_poll_stop(&poller->handle);
	uv_close((uv_handle_t *)&poller->handle, on_poller_closed);
}

static struct http_poller *poller_new(struct http *http, curl_socket_t socket)
{
	struct http_poller *poller = calloc(1, sizeof(*poller));

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
	struct http_poller *poller = socket_context;
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

int http_loop_open(struct http *http)
{
	http->multi = curl_multi_init();
	if (!http->multi)
		return -ENOMEM;
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	/* Requests share a connection where the server speaks HTTP/2. */
	curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
	return 0;
}

void http_loop_close(struct http *http)
{
	struct http_poller *poller;

	curl_multi_cleanup(sl_take(http->multi));
	uv_timer_stop(&http->timer);
	while ((poller = LIST_FIRST(&http->pollers)))
		poller_close(poller);
}
