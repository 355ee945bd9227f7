/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/resolve/endpoints.h"
#include "controlplane/resolve/resolve.h"
#include "controlplane/store/intern.h"

/* What a Service is to its ports in one family. */
struct scope {
	const struct service *service;
	const struct slice *const *slices;
	size_t n_slices;
	const struct resolve_node *node;
	const struct resolve_config *config;
	uint8_t family;
	struct sl_addr cluster_ip;
	size_t n_vips, n_external_ips;	     /* of this family */
	bool internal_local, external_local; /* the effective policies */
};

static void port_clear(struct resolved_port *port)
{
	intern_put(port->name);
	free(port->frontends);
	free(port->backends);
	free(port->sources);
}

void resolved_free(struct resolved *resolved)
{
	if (!resolved)
		return;
	for (size_t i = 0; i < resolved->n_ports; i++)
		port_clear(&resolved->ports[i]);
	free(resolved->ports);
	intern_put(resolved->namespace_);
	free(resolved->name);
	free(resolved);
}

static size_t count_family(const struct object_address *list, size_t n, uint8_t family)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		found += list[i].family == family;
	return found;
}

/* S-031 */
static bool external_policy_is_local(const struct service *service)
{
	if (service->external_policy != POLICY_LOCAL)
		return false;
	switch (service->type) {
	case SERVICE_NODE_PORT:
	case SERVICE_LOAD_BALANCER:
		return true;
	case SERVICE_CLUSTER_IP:
		return service->n_external_ips > 0;
	case SERVICE_EXTERNAL_NAME:
		break;
	}
	return false;
}

/* By address and port, then kind: what is one frontend twice lies together. */
static int compare_places(const void *a_, const void *b_)
{
	const struct resolved_frontend *a = a_, *b = b_;
	int order = memcmp(&a->addr, &b->addr, sizeof(a->addr));

	if (!order)
		order = ntohs(a->port) - ntohs(b->port);
	return order ? order : a->kind - b->kind;
}

static int compare_frontends(const void *a_, const void *b_)
{
	const struct resolved_frontend *a = a_, *b = b_;

	return a->kind != b->kind ? a->kind - b->kind : compare_places(a, b);
}

static void append_frontends(struct resolved_port *port, const struct scope *scope, uint8_t kind,
			     const struct object_address *list, size_t n, __be16 number)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].family == scope->family)
			port->frontends[port->n_frontends++] = (struct resolved_frontend) {
				.addr = list[i].addr,
				.port = number,
				.kind = kind,
			};
}

/* Where an address has two kinds, the first counts: a VIP that is an external
 * IP too keeps its source ranges. */
static int resolve_frontends(struct resolved_port *port, const struct scope *scope,
			     const struct service_port *service_port)
{
	const struct service *service = scope->service;
	__be16 number = htons(service_port->port);
	size_t n = 0;

	port->frontends =
		calloc(2 + scope->n_vips + scope->n_external_ips, sizeof(*port->frontends));
	if (!port->frontends)
		return -ENOMEM;
	port->frontends[port->n_frontends++] = (struct resolved_frontend) {
		.addr = scope->cluster_ip,
		.port = number,
		.kind = SL_KIND_CLUSTER_IP,
	};
	if (service_port->node_port)
		port->frontends[port->n_frontends++] = (struct resolved_frontend) {
			.port = htons(service_port->node_port),
			.kind = SL_KIND_NODE_PORT,
		};
	append_frontends(port, scope, SL_KIND_LOAD_BALANCER, service->vips, service->n_vips,
			 number);
	append_frontends(port, scope, SL_KIND_EXTERNAL_IP, service->external_ips,
			 service->n_external_ips, number);

	qsort(port->frontends, port->n_frontends, sizeof(*port->frontends), compare_places);
	for (size_t i = 0; i < port->n_frontends; i++) {
		const struct resolved_frontend *last = n ? &port->frontends[n - 1] : NULL;
		const struct resolved_frontend *next = &port->frontends[i];

		if (!last || !ip_equal(&last->addr, &next->addr) || last->port != next->port)
			port->frontends[n++] = *next;
	}
	port->n_frontends = n;
	qsort(port->frontends, n, sizeof(*port->frontends), compare_frontends);
	return 0;
}

static int compare_prefixes(const void *a_, const void *b_)
{
	const struct ip_prefix *a = a_, *b = b_;
	int order = memcmp(&a->addr, &b->addr, sizeof(a->addr));

	return order ? order : a->len - b->len;
}

/* S-051, S-052: whether the ranges restrict this family at all. */
static bool is_restricted(const struct scope *scope)
{
	const struct service *service = scope->service;
	bool found = false;

	for (size_t i = 0; i < service->n_source_ranges; i++) {
		if (service->source_ranges[i].family != scope->family)
			continue;
		if (!service->source_ranges[i].len)
			return false;
		found = true;
	}
	return found;
}

/* S-056: whether a range holds the node's own address. */
static bool admits_node(const struct scope *scope)
{
	static const struct sl_addr none;
	const struct service *service = scope->service;
	const struct sl_addr *own = scope->family == 4 ? &scope->node->ip4 : &scope->node->ip6;

	if (ip_equal(own, &none))
		return false;
	for (size_t i = 0; i < service->n_source_ranges; i++)
		if (ip_prefix_has(&service->source_ranges[i], own, scope->family))
			return true;
	return false;
}

/* Ranges hold for VIPs only (S-054), unless more was asked for. */
static int resolve_sources(struct resolved_port *port, const struct scope *scope, bool external)
{
	const struct service *service = scope->service;
	bool everywhere = service->ranges_everywhere || scope->config->ranges_everywhere;
	size_t n = 0;

	if (!(everywhere ? external : scope->n_vips > 0) || !is_restricted(scope))
		return 0;
	port->ranges_everywhere = everywhere;
	port->sources = calloc(service->n_source_ranges + scope->n_vips, sizeof(*port->sources));
	if (!port->sources)
		return -ENOMEM;
	for (size_t i = 0; i < service->n_source_ranges; i++)
		if (service->source_ranges[i].family == scope->family)
			port->sources[n++] = service->source_ranges[i];
	for (size_t i = 0; i < service->n_vips && admits_node(scope); i++)
		if (service->vips[i].family == scope->family)
			port->sources[n++] = (struct ip_prefix) {
				.addr = service->vips[i].addr,
				.family = scope->family,
				.len = scope->family == 4 ? 32 : 128,
			};

	qsort(port->sources, n, sizeof(*port->sources), compare_prefixes);
	for (size_t i = 0; i < n; i++)
		if (!i || compare_prefixes(&port->sources[port->n_sources - 1], &port->sources[i]))
			port->sources[port->n_sources++] = port->sources[i];
	return 0;
}

static int resolve_backends(struct resolved_port *port, const struct candidate *candidates,
			    size_t n)
{
	if (!n)
		return 0;
	port->backends = calloc(n, sizeof(*port->backends));
	if (!port->backends)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct candidate *candidate = &candidates[i];

		/* Ready ones may be chosen though they don't serve (S-098). */
		if (!candidate->endpoint->serving && !candidate->sets)
			continue;
		port->backends[port->n_backends++] = (struct resolved_backend) {
			.addr = candidate->endpoint->addr,
			.port = candidate->port,
			.sets = candidate->sets,
			.local = candidate->local,
			.weight = 1,
		};
	}
	return 0;
}

/* Marks what kube-proxy would masquerade, S-132 ... S-135. */
static void mark_masquerade(struct resolved_port *port, const struct scope *scope, bool detect)
{
	const struct resolve_config *config = scope->config;
	bool external = config->compatible && !scope->external_local;
	const bool masquerade[SL_PATH_MAX] = {
		[SL_PATH_CLUSTER_POD] = config->masquerade_all,
		[SL_PATH_CLUSTER] = config->masquerade_all || (config->compatible && detect),
		[SL_PATH_POD] = external,
		[SL_PATH_NODE] = config->compatible,
		[SL_PATH_OUTSIDE] = external,
	};

	for (int path = 0; path < SL_PATH_MAX; path++)
		if (masquerade[path] &&
		    (port->path[path] == SL_CHOOSE_CLUSTER || port->path[path] == SL_CHOOSE_LOCAL))
			port->path[path] |= SL_MASQUERADE;
}

/* S-110 ... S-115, S-131 */
static void resolve_paths(struct resolved_port *port, const struct scope *scope,
			  const struct endpoint_choice *choice)
{
	uint8_t none = choice->has_any ? SL_CHOOSE_DROP : SL_CHOOSE_REJECT;
	uint8_t cluster = choice->has_cluster ? SL_CHOOSE_CLUSTER : none;
	uint8_t local = choice->has_local ? SL_CHOOSE_LOCAL : none;
	bool detect = scope->family == 4 ? scope->config->detect4 : scope->config->detect6;

	port->path[SL_PATH_CLUSTER_POD] = scope->internal_local ? local : cluster;
	port->path[SL_PATH_CLUSTER] = port->path[SL_PATH_CLUSTER_POD];
	port->path[SL_PATH_OUTSIDE] = scope->external_local ? local : cluster;
	/* The short cut, as if it went out to the load balancer and back. */
	port->path[SL_PATH_POD] = detect ? cluster : port->path[SL_PATH_OUTSIDE];
	port->path[SL_PATH_NODE] = cluster;
	mark_masquerade(port, scope, detect);
}

static int resolve_port(struct resolved_port *port, const struct scope *scope,
			const struct service_port *service_port)
{
	/* S-033, S-034 */
	bool external = service_port->node_port || scope->n_vips || scope->n_external_ips;
	bool use_cluster = !scope->internal_local || external;
	bool use_local = scope->internal_local || (scope->external_local && external);
	sl_auto_mem struct candidate *candidates = NULL;
	size_t n;
	int err = endpoints_merge(scope->slices, scope->n_slices, scope->family, service_port->name,
				  service_port->proto, scope->node, &candidates, &n);

	if (err)
		return err;

	struct endpoint_choice choice =
		endpoints_choose(candidates, n, use_cluster, use_local, scope->node);

	port->family = scope->family;
	port->proto = service_port->proto;
	port->no_local_internal = scope->internal_local && choice.has_any && !choice.has_local;
	port->no_local_external =
		scope->external_local && external && choice.has_any && !choice.has_local;
	port->affinity_s = scope->service->affinity_s;
	port->leave = (uint8_t)scope->service->leave;
	port->drain_s = port->leave == SL_LEAVE_DRAIN ? scope->service->drain_s : 0;
	resolve_paths(port, scope, &choice);
	port->name = intern_get(service_port->name);
	err = port->name ? 0 : -ENOMEM;
	if (!err)
		err = resolve_frontends(port, scope, service_port);
	if (!err)
		err = resolve_backends(port, candidates, n);
	return err ? err : resolve_sources(port, scope, external);
}

/* Appends the service ports of one family, if the Service has a cluster IP of
 * it (S-024). */
static int resolve_family(struct resolved *resolved, struct scope *scope, uint8_t family)
{
	const struct service *service = scope->service;

	if (family == 4 ? !service->has_ip4 : !service->has_ip6)
		return 0;
	scope->family = family;
	scope->cluster_ip = family == 4 ? service->ip4 : service->ip6;
	scope->n_vips = count_family(service->vips, service->n_vips, family);
	scope->n_external_ips =
		count_family(service->external_ips, service->n_external_ips, family);
	for (size_t i = 0; i < service->n_ports; i++) {
		struct resolved_port *port = &resolved->ports[resolved->n_ports++];
		int err = resolve_port(port, scope, &service->ports[i]);

		if (err)
			return err;
	}
	return 0;
}

static int compare_ports(const void *a_, const void *b_)
{
	const struct resolved_port *a = a_, *b = b_;

	if (a->family != b->family)
		return a->family - b->family;
	return a->proto != b->proto ? a->proto - b->proto : strcmp(a->name, b->name);
}

static int resolve_ports(struct resolved *resolved, struct scope *scope)
{
	const struct service *service = scope->service;
	int err;

	resolved->ports = calloc(2 * service->n_ports, sizeof(*resolved->ports));
	if (!resolved->ports)
		return -ENOMEM;
	err = resolve_family(resolved, scope, 4);
	if (!err)
		err = resolve_family(resolved, scope, 6);
	if (err)
		return err;
	qsort(resolved->ports, resolved->n_ports, sizeof(*resolved->ports), compare_ports);
	/* S-035 */
	if (service->type == SERVICE_LOAD_BALANCER && scope->external_local)
		resolved->health_node_port = service->health_check_node_port;
	return 0;
}

/* S-007 */
static bool is_skipped(const struct service *service)
{
	return !service || service->headless || service->type == SERVICE_EXTERNAL_NAME ||
	       !service->n_ports;
}

int resolve_service(const char *namespace_, const char *name, const struct service *service,
		    const struct slice *const *slices, size_t n_slices,
		    const struct resolve_node *node, const struct resolve_config *config,
		    struct resolved **ret)
{
	sl_auto(resolved) resolved = calloc(1, sizeof(*resolved));
	int err;

	if (!resolved)
		return -ENOMEM;
	resolved->namespace_ = intern_get(namespace_);
	resolved->name = strdup(name);
	if (!resolved->namespace_ || !resolved->name)
		return -ENOMEM;
	for (int i = 0; i < 2; i++) {
		err = endpoints_count_ready(slices, n_slices, i ? 6 : 4, node,
					    &resolved->local_ready[i]);
		if (err)
			return err;
	}
	if (!is_skipped(service)) {
		struct scope scope = {
			.service = service,
			.slices = slices,
			.n_slices = n_slices,
			.node = node,
			.config = config,
			.internal_local = service->internal_policy == POLICY_LOCAL,
			.external_local = external_policy_is_local(service),
		};

		err = resolve_ports(resolved, &scope);
		if (err)
			return err;
	}
	*ret = sl_take(resolved);
	return 0;
}
