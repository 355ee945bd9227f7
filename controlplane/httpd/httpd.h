/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * HTTP/1.1 on one listening socket, served by libmicrohttpd on a libuv loop's
 * thread. Answers are made whole and at once by a callback; what clients send
 * as a body is not read.
 */

#include <stdbool.h>
#include <uv.h>

#include "common/mem.h"

struct httpd;

struct httpd_request {
	const char *method;
	const char *path; /* decoded, without the query */
	void *connection; /* for httpd_each_query() */
};

#define HTTPD_HEADERS_MAX 4

struct httpd_header {
	const char *name;
	char value[64];
};

struct httpd_response {
	unsigned int status;
	char *body; /* from malloc(), given away; NULL hangs up, as without memory */
	struct httpd_header headers[HTTPD_HEADERS_MAX];
	size_t n_headers;
};

struct httpd_options {
	uv_loop_t *loop;
	int fd;		  /* listening, not blocking; httpd_new() takes it, also when it fails */
	const char *name; /* who speaks in the log; must outlive the server */
	unsigned int clients_max;
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

/* Calls `each` for every name of the query; `value` is "" if it has none. */
void httpd_each_query(const struct httpd_request *request,
		      void (*each)(void *context, const char *name, const char *value),
		      void *context);
