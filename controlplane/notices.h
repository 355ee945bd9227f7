/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What an operator has to know of a Service or of this node, as Kubernetes
 * Events: which there are is told in docs/operations.md. The functions but the
 * first two are the callbacks of those who find out; `context` is the notices.
 */

#include <jansson.h>

#include "controlplane/events/events.h"
#include "controlplane/store/store.h"
#include "controlplane/tables/tables.h"

/* `events` may be NULL: then nobody is told. The rest is the caller's. */
struct notices {
	struct events *events;
	const struct store *store;
	const char *node_name;
};

/* sluiced started. */
void notices_started(const struct notices *notices);

/* Some maps are nearly full; `fills` is what tables_fill() gave. One Event is about
 * all of them, since they are limited by reason. */
void notices_pressure(const struct notices *notices, const json_t *fills);

/* store_on_wrong() */
void notices_wrong(void *context, const struct store_wrong *wrong);

/* tables_on_conflict() */
void notices_conflict(void *context, const struct tables_conflict *conflict);

/* `settled` of struct sync_options */
void notices_settled(void *context, const struct store_service *service, const char *why);

/* `failed` of struct checks_options: S-262 */
void notices_check_failed(void *context, const char *namespace_, const char *name,
			  const char *message);
