/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * HTTP/1.1 on one listening socket, served by libmicrohttpd on a libuv loop's
 * thread. Answers are made by a callback, at once or, for those that take long,
 * later, and whole or piece by piece as the client takes them; what clients send
 * as a body is not read.
 */

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "common/mem.h"

struct httpd;

struct httpd_request {
	const char *method;
	const char *path;		/* decoded, without the query */
	void *connection;		/* for httpd_each_query() */
	struct httpd_waiting **waiting; /* for httpd_wait() */
};

#define HTTPD_HEADERS_MAX 4

struct httpd_header {
	const char *name;
	char value[64];
};

/*
 * A body that is written piece by piece, embedded in what it needs. `more`
 * writes up to `size` bytes and returns how many: 0 at the end, negative to
 * hang up. All on the loop's thread.
 */
struct httpd_stream {
	ssize_t (*more)(struct httpd_stream *stream, char *buffer, size_t size);
	void (*free)(struct httpd_stream *stream);
};

/* With neither body nor stream the server hangs up, as without memory. */
struct httpd_response {
	unsigned int status;
	char *body;		     /* from malloc(), given away */
	struct httpd_stream *stream; /* instead of a body; given away */
	struct httpd_header headers[HTTPD_HEADERS_MAX];
	size_t n_headers;
};

struct httpd_options {
	uv_loop_t *loop;
	int fd;		  /* listening, not blocking; httpd_new() takes it, also when it fails */
	const char *name; /* who speaks in the log; must outlive the server */
	unsigned int clients_max;
	bool waits; /* httpd_wait() is used, which takes a descriptor more */
	/* Fills in the response, which comes zeroed. HEAD needs no care. */
	void (*answer)(void *context, const struct httpd_request *request,
		       struct httpd_response *response);
	void *context;
};

/* Returns 0, or -errno. */
int httpd_new(const struct httpd_options *options, struct httpd **ret);

/*
 * Closes the socket and hangs up. The handles close on the loop's next turns.
 * Not to be called from `answer`. Takes NULL too.
 */
void httpd_free(struct httpd *httpd);
SL_DEFINE_AUTO(httpd)

/* Adds a header; it is for the caller to keep below HTTPD_HEADERS_MAX. */
void httpd_header(struct httpd_response *response, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The answer to a path that is none, as Go's servers have it. */
void httpd_not_found(struct httpd_response *response);

/* Calls `each` for every name of the query; `value` is "" if it has none. */
void httpd_each_query(const struct httpd_request *request,
		      void (*each)(void *context, const char *name, const char *value),
		      void *context);

/*
 * From `answer`: the client waits, and the response that `answer` fills in is
 * not used. NULL without memory, or for a request with a body.
 */
struct httpd_waiting *httpd_wait(const struct httpd_request *request);

/*
 * Answers it, from outside of `answer`, on the loop's thread; the response's
 * body or stream is given away. Has to be called once, also after httpd_free().
 */
void httpd_reply(struct httpd_waiting *waiting, const struct httpd_response *response);
