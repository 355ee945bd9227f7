/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Kubernetes Events (events.k8s.io/v1): what a cluster's user should hear of a
 * Service or the node where `kubectl get events` shows it (S-260 ... S-262,
 * S-287). Best effort: nothing here blocks or fails. Every event is logged as
 * well; where the source has no API server that is all.
 *
 * The same reason about the same object is told once in EVENTS_REPEAT_S, unless
 * another one ended it. Beyond
 * a burst of EVENTS_BURST, one event in EVENTS_REFILL_S goes through; what that
 * holds back is counted and told with the next one.
 */

#include <uv.h>

#include "common/mem.h"
#include "controlplane/source/source.h"

#define EVENTS_REPEAT_S 300
#define EVENTS_BURST	25
#define EVENTS_REFILL_S 10

struct events;

enum event_type { EVENT_NORMAL, EVENT_WARNING };

struct event {
	/* The object that it is about: "Service" or "Node" of core/v1. */
	const char *kind;
	const char *namespace_; /* NULL or "" where the kind has none */
	const char *name;
	struct object_uid uid; /* by which kubectl describe finds it; a Node's is its name */
	enum event_type type;
	const char *reason; /* "FailedToStartServiceHealthcheck" */
	const char *ends;   /* a reason that is over with this one and may come anew; or NULL */
	const char *action; /* what was tried: "Listen" */
	const char *note;   /* a sentence; what goes beyond 1024 bytes is cut off */
};

/*
 * `source` sends them, NULL: they are only logged. It has to live until
 * events_free(). The name is copied. NULL without memory.
 */
struct events *events_new(uv_loop_t *loop, struct source *source, const char *node_name);

/* Forgets what was not sent. Its timer closes on the loop's next turn. Takes
 * NULL too. */
void events_free(struct events *events);
SL_DEFINE_AUTO(events)

/* Takes a copy. `events` NULL: nobody is to be told. */
void events_emit(struct events *events, const struct event *event);
