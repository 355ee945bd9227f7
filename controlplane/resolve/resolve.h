/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the tables should say about one Service: a pure function of the
 * objects, the node and the configuration. No I/O, no clock, no logging. The
 * daemon, the dry run, the tests and the fuzzers call the same function.
 *
 * Source: the rules S-020 ... S-117, S-131 ... S-135 and S-205 of docs/semantics.md.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"
#include "common/mem.h"
#include "controlplane/store/object.h"

/* What resolve has to know of the node it runs for. */
struct resolve_node {
	const char *name;	 /* interned (intern.h), compared with endpoint.node */
	const char *zone;	 /* interned; "" when the node has no zone label */
	struct sl_addr ip4, ip6; /* primary addresses (S-056); 0: none */
};

/*
 * What it has to know of the configuration. Without a detector of pod traffic
 * for a family nobody there is pod traffic (S-131).
 */
struct resolve_config {
	bool compatible;	/* masquerade where kube-proxy does (S-133 ... S-135) */
	bool masquerade_all;	/* every connection to a cluster IP (S-132) */
	bool detect4, detect6;	/* there is a detector (S-130) */
	bool ranges_everywhere; /* as if every Service asked for it */
};

/* Where a service port can be reached. */
struct resolved_frontend {
	struct sl_addr addr; /* 0 for a node port */
	__be16 port;
	uint8_t kind; /* enum sl_kind */
};

struct resolved_backend {
	struct sl_addr addr;
	__be16 port;
	uint8_t sets;	 /* 1 << SL_SET_CLUSTER | 1 << SL_SET_LOCAL; 0: only serving */
	bool local;	 /* runs on this node */
	uint32_t weight; /* share of Maglev slots, 1 unless an annotation says else */
};

/*
 * One service port in one family (S-020). `backends` holds every serving
 * endpoint (S-161), sorted by "ip:port" (S-077); `sets` tells which of them
 * new connections may choose. Frontends are sorted by (kind, addr, port).
 */
struct resolved_port {
	const char *name; /* port name, interned */
	uint8_t proto;
	uint8_t family; /* 4 or 6 */
	struct resolved_frontend *frontends;
	size_t n_frontends;
	struct resolved_backend *backends;
	size_t n_backends;
	uint8_t path[SL_PATH_MAX]; /* enum sl_choice | SL_MASQUERADE */
	struct ip_prefix *sources; /* who may reach a VIP; none: everybody (S-051) */
	size_t n_sources;
	bool ranges_everywhere; /* `sources` hold for node ports and external IPs too */
	/* A Local policy, endpoints, but none of them on this node (S-234). */
	bool no_local_internal, no_local_external;
	uint32_t affinity_s; /* 0: none */
	uint8_t leave;	     /* enum sl_leave */
	uint32_t drain_s;
};

struct resolved {
	const char *namespace_; /* interned */
	char *name;
	struct resolved_port *ports; /* sorted by (family, proto, name) */
	size_t n_ports;
	/* For the balancer's health checks. */
	uint16_t health_node_port; /* 0: none (S-035) */
	uint32_t local_ready[2];   /* IPv4, IPv6: local addresses that are ready (S-205) */
};

/*
 * Resolves one Service. `service` may be NULL (deleted) or of a kind that is
 * skipped (S-007): the result then has no ports, but `local_ready`, which
 * comes from the slices alone. Slices of the wrong family or without a usable
 * endpoint have no effect.
 *
 * Returns 0 and the result, which the caller frees, or -ENOMEM.
 */
int resolve_service(const char *namespace_, const char *name, const struct service *service,
		    const struct slice *const *slices, size_t n_slices,
		    const struct resolve_node *node, const struct resolve_config *config,
		    struct resolved **ret);

/* Takes NULL too. */
void resolved_free(struct resolved *resolved);
SL_DEFINE_AUTO(resolved)
