/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The servers at Services' healthCheckNodePorts: load balancers ask them
 * whether this node has endpoints of a Service with externalTrafficPolicy
 * Local (S-200 ... S-206). One server a Service and family.
 *
 * Servers follow the node's addresses, since this process does not end when
 * the Node's addresses change (S-207, S-253).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/ip.h"
#include "common/mem.h"
#include "controlplane/httpd/httpd.h"

struct service_health;

struct service_health_options {
	uv_loop_t *loop;
	uint64_t retry_ms;		      /* between attempts to listen; 0: 5000 */
	bool (*proxy_healthy)(void *context); /* S-212 */
	/* A server can't listen; told once for each port and reason (S-262). */
	void (*failed)(void *context, const char *namespace_, const char *name,
		       const char *message);
	void *context;
};

/* What one family of a Service has. */
struct service_health_port {
	uint16_t port;	      /* host order; 0: no server */
	uint32_t local_ready; /* S-205 */
};

/* Begins with servers on every address. Returns NULL without memory. */
struct service_health *service_health_new(const struct service_health_options *options);

/* Its handles close on the loop's next turns. Takes NULL too. */
void service_health_free(struct service_health *health);
SL_DEFINE_AUTO(service_health)

/*
 * What a Service should have: `ports` are of IPv4 and IPv6, both 0 when it is
 * gone. Counts hold and servers close at once; servers open with the next
 * service_health_commit(), since another Service may have to give up the port.
 * Returns 0 or -ENOMEM.
 */
int service_health_set(struct service_health *health, const char *namespace_, const char *name,
		       const struct service_health_port ports[2]);

/*
 * Where servers of a family listen from the next commit on: on these addresses
 * of the node, copied, link-local ones left out; or on every one with `all`
 * (S-200). Returns 0 or -ENOMEM.
 */
int service_health_listen_at(struct service_health *health, uint8_t family,
			     const struct sl_addr *addrs, size_t n, bool all);

/* Opens what should be open. What fails is tried again here and by a timer. */
void service_health_commit(struct service_health *health);

/* How many servers should be open and are not. */
size_t service_health_failing(const struct service_health *health);

/* What a server answers to any request (S-202 ... S-204). */
void service_health_answer(const char *namespace_, const char *name, uint32_t local_ready,
			   bool proxy_healthy, struct httpd_response *response);
