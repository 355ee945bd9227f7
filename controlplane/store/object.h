/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The Kubernetes objects that sluice reads, reduced to the fields it uses.
 *
 * Strings that many objects share (namespaces, node, zone and port names) are
 * interned (intern.h), so equal strings are equal pointers. Every object owns
 * what it points to. A list that is absent, null or empty has n == 0 (S-286).
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"
#include "common/mem.h"
#include "controlplane/store/uid.h"

enum object_kind {
	OBJECT_SERVICE,
	OBJECT_SLICE,
	OBJECT_NODE,
	OBJECT_SERVICE_CIDR,
	OBJECT_KIND_MAX,
};

/*
 * metadata.resourceVersion, which is a decimal number since Kubernetes 1.35 and
 * was one before; 0: none, or no number. It is no part of what an object says.
 */
struct object_version {
	uint64_t latest;
	uint64_t programmed; /* the last one that was in force; kept by the store */
};

/* An address with its family (4 or 6). */
struct object_address {
	struct sl_addr addr;
	uint8_t family;
};

struct service_port {
	const char *name;   /* interned, "" when absent */
	uint16_t port;	    /* host order, 1 ... 65535 */
	uint16_t node_port; /* host order, 0: none */
	uint8_t proto;	    /* IPPROTO_TCP, _UDP or _SCTP */
};

enum traffic_policy { POLICY_CLUSTER, POLICY_LOCAL };

enum service_type {
	SERVICE_CLUSTER_IP,
	SERVICE_NODE_PORT,
	SERVICE_LOAD_BALANCER,
	SERVICE_EXTERNAL_NAME,
};

/* Service, core/v1 */
struct service {
	const char *namespace_; /* interned */
	char *name;
	enum service_type type;
	bool headless; /* clusterIP is "None" or "" (S-007) */
	/* By S-022, S-023: the cluster IP of each family, if has_ip. */
	bool has_ip4, has_ip6;
	struct sl_addr ip4, ip6;
	struct service_port *ports;
	size_t n_ports;
	struct object_address *external_ips; /* S-025 */
	size_t n_external_ips;
	struct object_address *vips; /* S-027 */
	size_t n_vips;
	/* S-050: what could be parsed; S-052 is resolve's business. */
	struct ip_prefix *source_ranges;
	size_t n_source_ranges;
	enum traffic_policy internal_policy; /* S-032 */
	enum traffic_policy external_policy; /* as written; S-031 is resolve's */
	uint32_t affinity_s;		     /* 0: no ClientIP affinity (S-036) */
	uint16_t health_check_node_port;     /* 0: none */
	/* Annotations of sluice's own (docs/annotations.md). */
	enum sl_leave leave;
	uint32_t drain_s; /* with SL_LEAVE_DRAIN; else 0 */
	/*
	 * Hash of the line that tells what was skipped, 0: nothing was. A part of what
	 * it says: who writes another wrong value is to hear of it.
	 */
	uint32_t skipped;
	bool ranges_everywhere; /* source_ranges hold for node ports and external IPs too */
	struct object_version version;
	struct object_uid uid; /* as the version, no part of what it says */
};

struct slice_port {
	const char *name; /* interned, "" when present and empty (S-070) */
	uint16_t port;	  /* host order, never 0: such ports are dropped */
	uint8_t proto;
};

struct endpoint {
	struct sl_addr addr; /* addresses[0] (S-071) */
	const char *node;    /* interned, NULL when absent (S-073) */
	const char **zones;  /* hints.forZones, interned (S-078) */
	const char **nodes;  /* hints.forNodes, interned */
	uint16_t n_zones, n_nodes;
	bool ready, serving, terminating; /* defaults applied (S-072) */
};

/* EndpointSlice, discovery.k8s.io/v1 */
struct slice {
	const char *namespace_; /* interned */
	char *name;
	const char *service; /* interned; label kubernetes.io/service-name, "" if none */
	uint8_t family;	     /* 4 or 6; 0: FQDN or unknown, has no effect (S-011) */
	struct slice_port *ports;
	size_t n_ports;
	struct endpoint *endpoints;
	size_t n_endpoints;
	/* When what changed it happened, in ns since 1970; 0: not said (S-235). */
	int64_t triggered_ns;
	struct object_version version;
};

/* That of a slice that changed. */
struct trigger {
	int64_t when_ns;
	uint8_t family;
};

/* Node, core/v1 */
struct node {
	char *name;
	const char *zone; /* interned, "" when the label is absent */
	/* InternalIPs, then ExternalIPs (S-251). */
	struct object_address *addresses;
	size_t n_addresses;
	struct ip_prefix *pod_cidrs;
	size_t n_pod_cidrs;
	bool deleting;	    /* it has a deletionTimestamp (S-214) */
	bool to_be_deleted; /* tainted ToBeDeletedByClusterAutoscaler (S-214) */
};

/* ServiceCIDR, networking.k8s.io/v1: what cluster IPs are allocated from (S-122). */
struct service_cidr {
	char *name;
	struct ip_prefix *prefixes;
	size_t n_prefixes;
};

/*
 * Room for one line that says what is wrong with an object: "Service
 * default/web: spec.ports[1].port: 0 is not in 1 ... 65535".
 */
#define OBJECT_ERROR_MAX 512

/*
 * Read an object of apiVersion/kind as the API server or a manifest has it.
 * Unknown fields are ignored. A field that S-nnn tells to skip one by one
 * (a bad external IP or source range) is skipped and told in `error`, which is
 * then not empty though the call succeeds.
 *
 * Returns 0 and the object, which the caller frees, or, leaving `*ret`
 * untouched and the reason in `error`: -EINVAL or -ENOMEM.
 */
int service_parse(const json_t *json, struct service **ret, char error[OBJECT_ERROR_MAX]);
int slice_parse(const json_t *json, struct slice **ret, char error[OBJECT_ERROR_MAX]);
int node_parse(const json_t *json, struct node **ret, char error[OBJECT_ERROR_MAX]);
int service_cidr_parse(const json_t *json, struct service_cidr **ret, char error[OBJECT_ERROR_MAX]);

/* Take NULL too. */
void service_free(struct service *service);
void slice_free(struct slice *slice);
void node_free(struct node *node);
void service_cidr_free(struct service_cidr *cidr);
SL_DEFINE_AUTO(service)
SL_DEFINE_AUTO(slice)
SL_DEFINE_AUTO(node)
SL_DEFINE_AUTO(service_cidr)
