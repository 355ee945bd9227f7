/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* From a request to its document: what docs/api.md says, without HTTP. */

#include <jansson.h>
#include <stdbool.h>

#include "controlplane/observe/control.h"

/* Names in queries: of /v1/flows, then of /v1/explain. */
#define ROUTE_QUERIES(X) X(client) X(service) X(backend) X(limit) X(from) X(to) X(iface) X(local)

enum route_query {
#define X(name) ROUTE_##name,
	ROUTE_QUERIES(X)
#undef X
		ROUTE_QUERY_MAX,
};

struct route_request {
	bool get; /* the method is GET or HEAD */
	const char *path;
	const char *query[ROUTE_QUERY_MAX]; /* NULL for none */
	const char *unknown;		    /* a name in the query that is none of these */
};

/* -1 for a name that is none. */
int route_query_parse(const char *name);

struct route_job;

/*
 * Looks at what is asked for. Returns 0 and a job, or else the HTTP status and
 * a document of kind Error, NULL if there is no memory for one.
 */
unsigned int route(const struct control_options *options, const struct route_request *request,
		   struct route_job **ret_job, json_t **ret);

/* Whether the answer is a list that is written item by item. */
bool route_is_list(const struct route_job *job);

/* The part that takes time: may run beside the loop. */
void route_read(struct route_job *job);

/* What the job came to: the text of a document, or a list; neither without
 * memory. Both are the caller's. */
struct route_answer {
	char *body;
	struct view_list *list;
};

/* The rest, on the loop's thread. Returns the HTTP status. */
unsigned int route_finish(struct route_job *job, const struct control_options *options,
			  struct route_answer *ret);

/* Takes NULL too. */
void route_job_free(struct route_job *job);
SL_DEFINE_AUTO(route_job)

/* A document of kind Error; returns `status`. */
unsigned int route_fail(unsigned int status, const char *message, json_t **ret);
