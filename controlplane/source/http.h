/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Requests to the API server, run by the event loop: libcurl's socket
 * interface on libuv's. Everything happens on the loop's thread, and no
 * handler is called from inside libcurl, so a handler may begin and cancel
 * requests and free the http itself.
 *
 * All requests share one connection to a server that speaks HTTP/2. None can
 * hold up the others: what comes is always taken at once, so no stream's window
 * stays full.
 */

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "controlplane/source/kubeconfig.h"

struct http;
struct http_request;

/* A server that wants us away for longer is asked again all the same. */
#define HTTP_RETRY_AFTER_MAX_S 300

/* How a request ended. */
struct http_result {
	int failure;		 /* CURLE_OK, or the CURLcode of a transfer that broke */
	const char *reason;	 /* its text, "" if none */
	long status;		 /* of the answer, 0 if none came */
	uint64_t retry_after_ms; /* 0 if the answer names none */
	bool elsewhere;		 /* another API server is in use now, which may do better */
	const char *text;	 /* beginning of the body of an answer other than 200 */
	size_t text_len;
};

struct http_handler {
	/* The header of an answer 200 is there. */
	void (*begun)(void *context);
	/* Bytes of its body, of which the first came at `when_ns` (uv_hrtime()). */
	void (*body)(void *context, const char *data, size_t len, uint64_t when_ns);
	/* It ended; the request must not be touched from here on. */
	void (*done)(void *context, const struct http_result *result);
	/*
	 * Don't let the answer be compressed. Some API servers (1.37) compress
	 * watches too, and libcurl 7.88 fails on those.
	 */
	bool plain;
};

/* Requests of a method that `host` answered with `status`; 0: not at all. */
typedef void http_count(void *context, const char *host, const char *method, unsigned int status,
			uint64_t n);

struct http_times {
	uint64_t ping_ms; /* a shared connection that was silent for so long is pinged ... */
	uint64_t pong_ms; /* ... and dead without an answer after so long */
	uint64_t exec_ms; /* the longest that an exec plug-in may run */
};

/*
 * `config` has to live until http_free(); it gives servers and certificates and
 * its credentials are kept fresh (credentials.h): an answer 401 leads to one more
 * try with what was read again. Of several servers each takes over from the one
 * before it that failed, and stays. Returns 0 or -ENOMEM.
 */
int http_new(uv_loop_t *loop, struct kubeconfig *config, const struct http_times *times,
	     struct http **ret);

/* Ends all requests without calling their handlers; its handles close on the
 * loop's next turns. Takes NULL too. */
void http_free(struct http *http);
SL_DEFINE_AUTO(http)

/*
 * Begins GET of `path`, which begins with a slash and is already encoded. It
 * fails when it has not ended after `limit_ms`. Returns 0 and the request,
 * which is good until `done` or http_cancel(), or -ENOMEM.
 */
int http_get(struct http *http, const char *path, uint64_t limit_ms,
	     const struct http_handler *handler, void *context, struct http_request **ret);

/*
 * The same with POST of `body`, which is JSON and is copied. It fails when no
 * answer is there after HTTP_POST_MS. An answer other than 200, 201 among them,
 * comes by `done` only.
 */
#define HTTP_POST_MS 10000
int http_post(struct http *http, const char *path, const char *body,
	      const struct http_handler *handler, void *context, struct http_request **ret);

/* Calls `each` for every host, method and status that there was, ever. */
void http_each_count(const struct http *http, http_count *each, void *context);

/* Ends a request; no handler of it is called any more. Takes NULL too. */
void http_cancel(struct http_request *request);

/* The same where its server is to blame. Returns http_result's `elsewhere`. */
bool http_give_up(struct http_request *request);
