/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The server at healthzBindAddress: GET /healthz tells load balancers whether
 * to send to this node, GET /livez whether this process should be restarted
 * (S-210 ... S-216).
 */

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/mem.h"
#include "controlplane/health/proxy_state.h"

/* Twice kube-proxy's syncPeriod (S-211). */
#define PROXY_HEALTH_TIMEOUT_MS 60000

struct proxy_health;

/* Answers so far, by whether they were 200 or 503. */
struct proxy_health_counts {
	uint64_t healthz[2], livez[2];
};

struct proxy_health_options {
	uv_loop_t *loop;
	const char *address;			   /* "0.0.0.0:10256"; "" or NULL: no server */
	uint64_t retry_ms;			   /* between attempts to listen; 0: 5000 (S-210) */
	const struct node *(*node)(void *context); /* NULL while it is not known */
	void (*clock)(void *context, struct proxy_time *ret); /* NULL: the system's */
	void *context;
};

/*
 * Begins healthy and listens; a port that is taken is logged and tried again.
 * Returns 0, -EINVAL for what is no address, or -ENOMEM.
 */
int proxy_health_new(const struct proxy_health_options *options, struct proxy_health **ret);

/* Its handles close on the loop's next turns. Takes NULL too. */
void proxy_health_free(struct proxy_health *health);
SL_DEFINE_AUTO(proxy_health)

/* Something has to be programmed; again without a sync in between changes nothing. */
void proxy_health_queued(struct proxy_health *health);

/* All is programmed. */
void proxy_health_finished(struct proxy_health *health);

const struct proxy_health_counts *proxy_health_counts(const struct proxy_health *health);

/* Whether this kernel has the family (S-021). */
bool proxy_health_serves(const struct proxy_health *health, enum proxy_family family);

/* As /livez says it. */
bool proxy_health_healthy(const struct proxy_health *health);
