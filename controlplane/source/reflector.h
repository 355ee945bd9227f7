/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Keeps the store's objects of one kind equal to the API server's: all of them,
 * and then a watch from where these ended (S-274 ... S-282).
 *
 *   stream of all objects that goes on as a watch -> watch -> (stream ended) watch -> ...
 *     ^   | a server that has no such streams        |
 *     |   v                                          |
 *     |  list, page by page -------------------------+
 *     +----------------------------------------------+ the server no longer
 *                                                      knows where we were
 *
 * Objects of a stream are collected aside, as small as the store has them, and
 * replace what is there in one go; of a list, page by page. Whatever goes wrong
 * is logged with the kind's name, the store stays as it is and the same step is
 * tried again later.
 */

#include <jansson.h>
#include <uv.h>

#include "controlplane/source/backoff.h"
#include "controlplane/source/http.h"
#include "controlplane/store/store.h"

struct reflector_kind {
	enum object_kind kind;
	const char *name; /* "Service" */
	const char *api_version;
	const char *path;     /* "/api/v1/services" */
	const char *selector; /* encoded query, begins with &; or "" */
	bool optional;	      /* an older API server may not have it: no failure */
};

/* Longer than what a healthy server keeps us waiting; tests are in a hurry. */
struct reflector_times {
	struct backoff_limits backoff;
	uint64_t list_ms;     /* the longest that a page may take */
	uint64_t answer_ms;   /* the longest that an answer may take to begin */
	uint64_t receive_ms;  /* without a byte: the connection is dead (S-285) */
	uint64_t short_ms;    /* a watch of less without news is a failure (S-281) ... */
	uint64_t settled_ms;  /* ... and after one of more delays begin anew */
	uint64_t complain_ms; /* the same error is logged once in so long */
	uint64_t absent_ms;   /* until a kind that the server lacks is asked for again */
};

/* All of it has to live until reflector_free(). */
struct reflector_options {
	uv_loop_t *loop;
	struct http *http;
	struct store *store;
	const struct reflector_times *times;
	size_t line_max; /* bytes of the longest event or object */
	/* The store changed, or a first list was completed. */
	void (*changed)(void *context);
	void *context;
};

struct reflector_state {
	bool connected;
	time_t since;	   /* of the last change of `connected` */
	const char *error; /* why not connected; "" if none */
};

struct reflector;

/* Begins. `kind` and its strings are copied. Returns 0 or -ENOMEM. */
int reflector_new(const struct reflector_kind *kind, const struct reflector_options *options,
		  struct reflector **ret);

/* Ends it, before the http it uses; its timer closes on the loop's next turn.
 * May be called from `changed`. Takes NULL too. */
void reflector_free(struct reflector *reflector);
SL_DEFINE_AUTO(reflector)

/* Its part of source_status(): an element of "kinds". */
json_t *reflector_status(const struct reflector *reflector);

/* `error` is valid until the loop runs again. */
struct reflector_state reflector_state(const struct reflector *reflector);
