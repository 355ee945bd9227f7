/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/events/events.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "common/log.h"
#include "controlplane/events/document.h"
#include "controlplane/events/limit.h"
#include "controlplane/source/backoff.h"
#include "controlplane/source/post.h"

/* While the API server is away; the newest are what a user wants to see. */
#define WAITING_MAX 32
/* One event is tried for some minutes, then the next ones have their turn. */
#define TRIES_MAX 12

static const struct backoff_limits delays = { .min_ms = 1000, .max_ms = 30000, .reset_ms = 120000 };

/* An event on its way. */
struct waiting {
	char *path, *text;
	char what[160]; /* for the log */
	unsigned int tries;
	STAILQ_ENTRY(waiting) entry;
};

struct events {
	uv_timer_t timer; /* first: the handle is the events. Runs while the first one waits
			   * to be tried again. */
	struct source *source;
	char *node_name;
	STAILQ_HEAD(, waiting) queue;
	size_t n_waiting;
	struct http_request *request; /* of the first in the queue */
	struct limit limit;
	struct backoff backoff;
	bool broken; /* the last one was not taken, which is told */
};

static void send_first(struct events *events);

static void waiting_free(struct waiting *waiting)
{
	free(waiting->path);
	free(waiting->text);
	free(waiting);
}

static void drop_first(struct events *events)
{
	struct waiting *first = STAILQ_FIRST(&events->queue);

	STAILQ_REMOVE_HEAD(&events->queue, entry);
	events->n_waiting--;
	waiting_free(first);
}

static void on_timer(uv_timer_t *timer)
{
	send_first((struct events *)timer);
}

/* The first one is tried again, unless that was done often enough. */
static void retry(struct events *events, const char *why)
{
	struct waiting *first = STAILQ_FIRST(&events->queue);

	if (!events->broken)
		log_warn("events: %s: can't be sent yet: %s", first->what, why);
	events->broken = true;
	if (++first->tries == TRIES_MAX)
		drop_first(events);
	uv_timer_start(
		&events->timer, on_timer,
		backoff_fail(&events->backoff, &delays, uv_now(events->timer.loop), arc4random()),
		0);
}

/* What a later try may change: the network, a token, a busy server. */
static bool may_pass(const struct http_result *result)
{
	return result->failure || result->status == 401 || result->status == 429 ||
	       result->status >= 500;
}

static void on_done(void *context, const struct http_result *result)
{
	struct events *events = context;
	char why[160];

	events->request = NULL;
	if (result->failure)
		snprintf(why, sizeof(why), "%s", result->reason);
	else
		snprintf(why, sizeof(why), "answered %ld", result->status);
	if (may_pass(result)) {
		retry(events, why);
		return;
	}
	if (result->status < 200 || result->status > 299)
		log_warn("events: %s: refused: %s: %.*s", STAILQ_FIRST(&events->queue)->what, why,
			 (int)(result->text_len < 300 ? result->text_len : 300), result->text);
	events->broken = false;
	backoff_reset(&events->backoff);
	drop_first(events);
	send_first(events);
}

static void on_begun(void *context)
{
	(void)context;
}

static void on_body(void *context, const char *data, size_t len, uint64_t when_ns)
{
	(void)context;
	(void)data;
	(void)len;
	(void)when_ns;
}

static const struct http_handler handler = {
	.begun = on_begun,
	.body = on_body,
	.done = on_done,
};

/* Sends the first one, if there is one and none is under way. */
static void send_first(struct events *events)
{
	struct waiting *first = STAILQ_FIRST(&events->queue);

	if (!first || events->request || uv_is_active((uv_handle_t *)&events->timer))
		return;

	int err = source_post(events->source, first->path, first->text, &handler, events,
			      &events->request);
	if (err == -ENOTSUP)
		drop_first(events);
	else if (err)
		retry(events, strerror(-err));
}

/* Queues a copy; of too many, the oldest that is not under way goes. */
static void enqueue(struct events *events, const struct event *event)
{
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	struct timeval now;

	if (!waiting)
		return;
	gettimeofday(&now, NULL);
	waiting->path = document_path(event);
	waiting->text = document_text(event, events->node_name, now);
	snprintf(waiting->what, sizeof(waiting->what), "%s of %s %s", event->reason, event->kind,
		 event->name);
	if (!waiting->path || !waiting->text) {
		waiting_free(waiting);
		return;
	}
	if (events->n_waiting == WAITING_MAX) {
		struct waiting *first = STAILQ_FIRST(&events->queue);
		struct waiting *oldest = events->request ? STAILQ_NEXT(first, entry) : first;

		STAILQ_REMOVE(&events->queue, oldest, waiting, entry);
		events->n_waiting--;
		waiting_free(oldest);
	}
	STAILQ_INSERT_TAIL(&events->queue, waiting, entry);
	events->n_waiting++;
}

void events_emit(struct events *events, const struct event *event)
{
	bool placed = event->namespace_ && *event->namespace_;
	unsigned int held;

	if (!events || !limit_allows(&events->limit, event, uv_now(events->timer.loop), &held))
		return;
	log_message(event->type == EVENT_WARNING ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
		    "events: %s %s%s%s: %s: %s", event->kind, placed ? event->namespace_ : "",
		    placed ? "/" : "", event->name, event->reason, event->note);
	if (held)
		log_warn("events: too many, not told: %u", held);
	if (!events->source)
		return;
	enqueue(events, event);
	send_first(events);
}

static void on_closed(uv_handle_t *handle)
{
	struct events *events = (struct events *)handle;

	free(events->node_name);
	free(events);
}

void events_free(struct events *events)
{
	if (!events)
		return;
	http_cancel(sl_take(events->request));
	while (!STAILQ_EMPTY(&events->queue))
		drop_first(events);
	uv_close((uv_handle_t *)&events->timer, on_closed);
}

struct events *events_new(uv_loop_t *loop, struct source *source, const char *node_name)
{
	struct events *events = calloc(1, sizeof(*events));

	if (!events)
		return NULL;
	events->node_name = strdup(node_name);
	if (!events->node_name) {
		free(events);
		return NULL;
	}
	events->source = source;
	STAILQ_INIT(&events->queue);
	uv_timer_init(loop, &events->timer);
	return events;
}
