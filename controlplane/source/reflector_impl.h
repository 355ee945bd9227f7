/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the parts of a reflector share: reflector.c has the machine and the
 * requests, reflector_list.c and reflector_watch.c what the answers mean. */

#include "controlplane/source/aside.h"
#include "controlplane/source/items.h"
#include "controlplane/source/lines.h"
#include "controlplane/source/reflector.h"

/* The API server writes U+0000 inside a string as it is: such an annotation of
 * one object must not make the whole list unreadable. */
#define REFLECTOR_JSON JSON_ALLOW_NUL

enum reflector_step {
	REFLECTOR_STREAM, /* a watch that begins with all objects; becomes a WATCH */
	REFLECTOR_LIST,
	REFLECTOR_WATCH,
};

/* Errors that are told apart when they are held back; a CURLcode and a status
 * stand for themselves. */
enum complaint {
	COMPLAINT_MEMORY = -2,
	COMPLAINT_BAD_LIST = -3,
	COMPLAINT_BAD_EVENT = -4,
	COMPLAINT_UNKNOWN_EVENT = -5,
	COMPLAINT_LONG_EVENT = -6,
	COMPLAINT_SILENCE = -7,
	COMPLAINT_SHORT_WATCH = -8,
	COMPLAINT_RECOVERED = -9,
	COMPLAINT_ABSENT = -10,
	COMPLAINT_ORDER = -11,
	COMPLAINT_NO_STREAM = -12,
	COMPLAINT_ERROR_EVENT = -1000, /* minus its code */
};

struct reflector {
	uv_timer_t timer;	    /* first: the handle is the reflector. Without a request
				     * it waits for the next try, else for bytes. */
	struct reflector_kind kind; /* its strings are ours */
	struct reflector_options options;
	enum reflector_step step;
	struct http_request *request; /* NULL while waiting */
	uint64_t received_ms;	      /* loop time of the last sign of life of it */
	char *version;		      /* resourceVersion to watch from, NULL: none */
	char *page_token;	      /* continue, NULL: first page */
	bool whole;		      /* a continue expired: list all in one (S-275) */
	bool any_version;	      /* the server can't serve `version`: stream without */
	bool streamed;		      /* the last complete list was a stream */
	bool elsewhere;		      /* what failed may be tried at once, with another server */
	bool was_elsewhere;	      /* the step under way is such a try */
	bool answered;		      /* the request's answer has begun */
	struct aside aside;	      /* objects of a page or stream that is not whole yet */
	struct items items;	      /* of the page */
	struct lines lines;
	uint64_t watch_began_ms; /* for a stream: since it has become a watch */
	bool watch_moved;	 /* this watch brought another version */
	struct backoff list_backoff, watch_backoff;
	struct backoff relist_backoff; /* of versions that are too old */
	struct complaints complaints;
	struct reflector_state state;
	char error[OBJECT_ERROR_MAX];
	uint64_t events, lists;
};

extern const struct http_handler reflector_list_handler;
extern const struct http_handler reflector_watch_handler;

static inline uint64_t reflector_now_ms(const struct reflector *r)
{
	return uv_now(r->options.loop);
}

/* Replaces `*string` by a copy of `value`, or by NULL if that is NULL or "".
 * Returns 0 or -ENOMEM, which can't come of NULL. */
int reflector_set_string(char **string, const char *value);

/* Logs, unless the same was logged a moment ago. */
void reflector_complain(struct reflector *r, int key, const char *text);

void reflector_set_connected(struct reflector *r, bool connected);

/* The server has no such kind: nothing is known, nothing is wrong, and it may be
 * upgraded one day. */
void reflector_take_absence(struct reflector *r);

/* Sends the request of a step; a list goes on where its last page ended. */
void reflector_begin(struct reflector *r, enum reflector_step step);

/* Ends the request, if there is one, and forgets what it brought. */
void reflector_stop(struct reflector *r);

/* Counts a failure: returns how long to wait. */
static inline uint64_t reflector_delay(const struct reflector *r, struct backoff *backoff)
{
	return backoff_fail(backoff, &r->options.times->backoff, reflector_now_ms(r), arc4random());
}

/* Stops, and tries `step` after a delay. */
void reflector_retry(struct reflector *r, enum reflector_step step, uint64_t delay_ms);

/* Something went wrong: stop, say so, and try `step` again later, not before
 * `least_ms` went by. */
__attribute__((format(printf, 5, 6))) void reflector_fail(struct reflector *r,
							  enum reflector_step step, int key,
							  uint64_t least_ms, const char *format,
							  ...);

/* What an answer that is too long is about, "default/web", from how it begins; ""
 * where that does not show. Sets the two names, else both to "". */
struct reflector_name {
	char namespace_[64], name[254];
};
void reflector_find_name(const char *text, size_t len, struct reflector_name *ret);

/* The request ended without an answer that the step can use. */
void reflector_failed(struct reflector *r, enum reflector_step next,
		      const struct http_result *result);
