/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What load balancers and Kubernetes can ask this node: the servers at
 * healthzBindAddress and at healthCheckNodePorts, fed by sync and the daemon.
 * They say what is programmed, so that they go on when the API server is away
 * and turn bad when programming fails.
 */

#include <uv.h>

#include "common/mem.h"
#include "controlplane/config.h"
#include "controlplane/health/proxy_health.h"
#include "controlplane/resolve/resolve.h"
#include "controlplane/store/store.h"
#include "controlplane/tables/tables.h"

struct checks;

struct checks_options {
	uv_loop_t *loop;
	const struct config *config;
	const struct store *store;
	/* A Service's server can't listen: its user should hear of it (S-262). */
	void (*failed)(void *context, const char *namespace_, const char *name,
		       const char *message);
	void *context;
};

/* Returns 0, -ENOMEM, or -EINVAL for a healthzBindAddress that is none. */
int checks_new(const struct checks_options *options, struct checks **ret);

/* The handles close on the loop's next turns. Takes NULL too. */
void checks_free(struct checks *checks);
SL_DEFINE_AUTO(checks)

/* What /metrics asks of the server at healthzBindAddress. */
const struct proxy_health *checks_proxy(const struct checks *checks);

/* The node's addresses; servers follow them with the next finished pass. */
void checks_addresses(struct checks *checks, const struct tables_address *items, size_t n);

/* A pass over changed Services begins, or goes on. */
void checks_queued(struct checks *checks);

/* A Service was programmed. Returns 0 or -ENOMEM. */
int checks_programmed(struct checks *checks, const struct resolved *resolved);

/* A pass ended; `all` says whether every Service is as it should be. */
void checks_finished(struct checks *checks, bool all);
