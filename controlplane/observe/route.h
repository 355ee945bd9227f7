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

/*
 * Returns the HTTP status and, in `ret`, a new reference to the document, of
 * kind Error for another status than 200; NULL if there is no memory for one.
 */
unsigned int route(const struct control_options *options, const struct route_request *request,
		   json_t **ret);
