/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * From the store to the tables: resolves each Service that changed and applies
 * it. Also what the node is to the datapath, and all Services again when what
 * resolve reads of it changed (S-101). Nothing is programmed before the first
 * complete lists (S-240), and nothing of the node before it is known; a service
 * that can't be programmed keeps what it had and is tried again.
 */

#include <jansson.h>
#include <uv.h>

#include "common/mem.h"
#include "controlplane/checks.h"
#include "controlplane/config.h"
#include "controlplane/metrics/runs.h"
#include "controlplane/node_facts.h"
#include "controlplane/store/store.h"
#include "controlplane/tables/tables.h"

struct sync;

struct sync_options {
	uv_loop_t *loop;
	const struct config *config;
	struct store *store;
	struct tables *tables;
	struct checks *checks;	    /* told of passes and what they programmed */
	const struct node_own *own; /* the caller's; sync_own_changed() tells */
	/*
	 * Called when `own` or the Node's addresses changed, and when the Node is
	 * first known: node ports may answer elsewhere. Never before. Tried again
	 * later when it returns a negative value.
	 */
	int (*addresses_changed)(void *context);
	/*
	 * A Service failed that did not before, for the reason `why`; or, NULL, one
	 * that had failed is programmed. May be NULL.
	 */
	void (*settled)(void *context, const struct store_service *service, const char *why);
	void *settled_context;
	void *context;
	unsigned int retry_ms; /* after which a failure is tried again first, 0: 5000 */
};

/* NULL without memory. */
struct sync *sync_new(const struct sync_options *options);

/* Its handles close on the loop's next turns. Takes NULL too. */
void sync_free(struct sync *sync);
SL_DEFINE_AUTO(sync)

/* The store changed: go on at the loop's next turn. */
void sync_kick(struct sync *sync);

/* Whether there is something to do on the loop's next turn. */
bool sync_busy(const struct sync *sync);

/* What the options' `own` points to has changed. */
void sync_own_changed(struct sync *sync);

/* What it counts for /metrics. */
const struct runs *sync_runs(const struct sync *sync);

/* `pending` and `failed` of docs/api.md's Status, set into `programmed`. */
void sync_describe(const struct sync *sync, json_t *programmed);
