/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/explain/decide.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "controlplane/explain/reason.h"
#include "controlplane/plan/maglev.h"

void decision_done(struct decision *decision)
{
	free(decision->endpoints);
	decision->endpoints = NULL;
	decision->n_endpoints = 0;
}

static bool may_drop_or_local(uint8_t path)
{
	return SL_PATH_CHOICE(path) == SL_CHOOSE_LOCAL || SL_PATH_CHOICE(path) == SL_CHOOSE_DROP;
}

bool decide_internal_local(const struct resolved_port *port)
{
	return may_drop_or_local(port->path[SL_PATH_CLUSTER]);
}

bool decide_external_local(const struct resolved_port *port)
{
	return may_drop_or_local(port->path[SL_PATH_OUTSIDE]);
}

const struct tables_address *decide_own(const struct decide_world *world,
					const struct sl_addr *addr, uint8_t family)
{
	for (size_t i = 0; i < world->n_addresses; i++)
		if (world->addresses[i].family == family &&
		    ip_equal(&world->addresses[i].addr, addr))
			return &world->addresses[i];
	return NULL;
}

static bool is_preferred(const struct decide_world *world, const struct resolved *service,
			 const struct resolved_port *port)
{
	return world->prefer && !strcmp(world->prefer->namespace_, service->namespace_) &&
	       !strcmp(world->prefer->service, service->name) &&
	       !strcmp(world->prefer->port, port->name);
}

/* The first claim counts, as in the tables, unless the caller knows better. */
static void take_frontend(const struct reason *r, const struct resolved *service,
			  const struct resolved_port *port,
			  const struct resolved_frontend *frontend)
{
	struct decision *d = r->decision;

	if (d->frontend)
		d->rivals++;
	if (d->frontend && !is_preferred(r->world, service, port))
		return;
	d->service = service;
	d->port = port;
	d->frontend = frontend;
}

/* Looks for the packet's port at an address; 0 stands for node ports. */
static bool find_frontend(const struct reason *r, const struct sl_addr *addr, bool node_port)
{
	const struct decide_packet *p = r->packet;

	for (size_t s = 0; s < r->world->n_services; s++) {
		const struct resolved *service = r->world->services[s];

		for (size_t i = 0; i < service->n_ports; i++) {
			const struct resolved_port *port = &service->ports[i];

			if (port->family != p->family || port->proto != p->proto)
				continue;
			for (size_t f = 0; f < port->n_frontends; f++) {
				const struct resolved_frontend *at = &port->frontends[f];

				if (at->port == p->dport &&
				    node_port == (at->kind == SL_KIND_NODE_PORT) &&
				    ip_equal(&at->addr, addr))
					take_frontend(r, service, port, at);
			}
		}
	}
	return r->decision->frontend;
}

/* A frontend that has the destination's address, best a cluster IP. */
static const struct resolved_frontend *find_address(const struct reason *r)
{
	const struct resolved_frontend *found = NULL;

	for (size_t s = 0; s < r->world->n_services; s++) {
		const struct resolved *service = r->world->services[s];

		for (size_t i = 0; i < service->n_ports; i++) {
			const struct resolved_port *port = &service->ports[i];

			for (size_t f = 0; f < port->n_frontends; f++) {
				const struct resolved_frontend *at = &port->frontends[f];

				if (port->family != r->packet->family ||
				    at->kind == SL_KIND_NODE_PORT ||
				    !ip_equal(&at->addr, &r->packet->daddr) ||
				    (found && at->kind != SL_KIND_CLUSTER_IP))
					continue;
				found = at;
				r->decision->service = service;
				if (at->kind == SL_KIND_CLUSTER_IP)
					return found;
			}
		}
	}
	return found;
}

static uint8_t mask_length(const __be32 *mask, int words)
{
	uint8_t len = 0;

	for (int i = 0; i < words; i++)
		len += (uint8_t)__builtin_popcount(mask[i]);
	return len;
}

static void prefix_of(const __be32 *addr, const __be32 *mask, uint8_t family, struct ip_prefix *ret)
{
	int words = family == 4 ? 1 : 4;

	*ret = (struct ip_prefix) { .family = family, .len = mask_length(mask, words) };
	memcpy(ret->addr.w, addr, (size_t)words * sizeof(*addr));
}

/* S-122: whether the destination lies in a ServiceCIDR. */
static bool in_service_cidr(const struct reason *r, struct ip_prefix *ret)
{
	const struct sl_node *node = &r->world->node;
	uint8_t family = r->packet->family;
	int n = family == 4 ? node->n_services4 : node->n_services6;

	for (int i = 0; i < n; i++) {
		struct ip_prefix prefix;

		if (family == 4)
			prefix_of(node->services4[i].addr, node->services4[i].mask, 4, &prefix);
		else
			prefix_of(node->services6[i].addr, node->services6[i].mask, 6, &prefix);
		if (ip_prefix_has(&prefix, &r->packet->daddr, family)) {
			*ret = prefix;
			return true;
		}
	}
	return false;
}

/* Finds who answers for the destination; else the decision is done. */
static enum sl_verdict find_service(const struct reason *r)
{
	const struct decide_packet *p = r->packet;
	const struct tables_address *own = decide_own(r->world, &p->daddr, p->family);
	const struct resolved_frontend *known;
	static const struct sl_addr any;
	struct ip_prefix range;

	if (find_frontend(r, &p->daddr, false) ||
	    (own && own->node_port && find_frontend(r, &any, true))) {
		reason_frontend(r);
		return SL_NEXT;
	}
	known = find_address(r);
	if (known && known->kind == SL_KIND_CLUSTER_IP) {
		reason_cluster_address(r);
		return SL_REJECT_UNKNOWN_PORT;
	}
	r->decision->service = NULL;
	/* What comes in for the node itself is not looked at (S-122: forward, output). */
	if ((!own || p->local) && in_service_cidr(r, &range)) {
		reason_unallocated(r, &range);
		return SL_DROP_UNALLOCATED;
	}
	reason_pass(r, own, known);
	return SL_LEAVE;
}

bool decide_ranges_hold(const struct resolved_port *port, uint8_t kind)
{
	return kind == SL_KIND_LOAD_BALANCER ||
	       (port->ranges_everywhere && kind != SL_KIND_CLUSTER_IP);
}

static bool is_allowed(const struct reason *r)
{
	const struct resolved_port *port = r->decision->port;

	if (!port->n_sources || !decide_ranges_hold(port, r->decision->frontend->kind))
		return true;
	for (size_t i = 0; i < port->n_sources; i++)
		if (ip_prefix_has(&port->sources[i], &r->packet->saddr, port->family))
			return true;
	return false;
}

bool decide_is_pod(const struct decide_world *world, const struct decide_packet *packet)
{
	const struct sl_node *node = &world->node;
	struct ip_prefix pods;

	switch (packet->family == 4 ? node->detect4 : node->detect6) {
	case SL_DETECT_SOURCE:
		if (packet->family == 4)
			prefix_of(node->pods4.addr, node->pods4.mask, 4, &pods);
		else
			prefix_of(node->pods6.addr, node->pods6.mask, 6, &pods);
		return ip_prefix_has(&pods, &packet->saddr, packet->family);
	case SL_DETECT_INTERFACE:
		return !packet->local && packet->pod_traffic;
	default:
		return false;
	}
}

/* Which way the packet comes, and what that leads to. */
static void find_path(const struct reason *r)
{
	struct decision *d = r->decision;
	bool from_node = r->packet->local ||
			 decide_own(r->world, &r->packet->saddr, r->packet->family) != NULL;

	d->pod = decide_is_pod(r->world, r->packet);
	if (d->frontend->kind == SL_KIND_CLUSTER_IP)
		d->path = d->pod ? SL_PATH_CLUSTER_POD : SL_PATH_CLUSTER;
	else
		d->path = d->pod ? SL_PATH_POD : from_node ? SL_PATH_NODE : SL_PATH_OUTSIDE;
	d->has_path = true;
	d->choice = d->port->path[d->path];
	reason_source_kind(r, from_node);
	reason_path(r);
}

static struct decide_endpoint judge(const struct reason *r, const struct resolved_backend *backend)
{
	const struct decide_packet *p = r->packet;
	struct decide_endpoint e = { .backend = backend };
	/* What is delivered to the node itself is never masqueraded (S-137). */
	bool leaves = p->local || !decide_own(r->world, &backend->addr, p->family);

	e.hairpin = backend->local && ip_equal(&backend->addr, &p->saddr);
	e.masquerade = e.hairpin || r->decision->choice & SL_MASQUERADE;
	if (r->world->node.compatible)
		e.snat = e.masquerade && leaves;
	else
		e.snat = e.hairpin || (!p->local && !backend->local && p->role != SL_ROLE_POD);
	return e;
}

static int find_endpoints(const struct reason *r, int set)
{
	struct decision *d = r->decision;

	d->endpoints = calloc(d->port->n_backends + 1, sizeof(*d->endpoints));
	if (!d->endpoints)
		return -ENOMEM;
	for (size_t i = 0; i < d->port->n_backends; i++) {
		const struct resolved_backend *backend = &d->port->backends[i];

		if (backend->sets & 1 << set && backend->weight)
			d->endpoints[d->n_endpoints++] = judge(r, backend);
	}
	return 0;
}

/* What the datapath's Maglev run holds for the packet: see datapath/service.h. */
static int pick(const struct reason *r)
{
	const struct decide_packet *p = r->packet;
	struct decision *d = r->decision;
	size_t n = d->n_endpoints;
	uint32_t size = maglev_size(n);
	sl_auto_mem struct maglev_backend *members = calloc(n, sizeof(*members));
	sl_auto_mem uint32_t *slots = calloc(size, sizeof(*slots));
	uint64_t hash =
		p->family == 4
			? sl_tuple_hash(p->saddr.w, p->daddr.w, 1, p->sport, p->dport, p->proto)
			: sl_tuple_hash(p->saddr.w, p->daddr.w, 4, p->sport, p->dport, p->proto);
	int err;

	if (!members || !slots)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct resolved_backend *b = d->endpoints[i].backend;

		members[i] = (struct maglev_backend) {
			.id = (uint32_t)i + 1,
			.seed = maglev_seed(&b->addr, p->family, b->port),
			.weight = b->weight,
		};
	}
	err = maglev_build(members, n, slots, size);
	if (!err)
		d->pick = slots[(hash >> 32) * size >> 32] - 1;
	return err;
}

static int choose(const struct reason *r)
{
	struct decision *d = r->decision;
	int err;

	switch (SL_PATH_CHOICE(d->choice)) {
	case SL_CHOOSE_CLUSTER:
		err = find_endpoints(r, SL_SET_CLUSTER);
		break;
	case SL_CHOOSE_LOCAL:
		err = find_endpoints(r, SL_SET_LOCAL);
		break;
	case SL_CHOOSE_DROP:
		d->verdict = SL_DROP_NO_LOCAL;
		return 0;
	default:
		d->verdict = SL_REJECT_NO_ENDPOINTS;
		return 0;
	}
	d->verdict = SL_NEXT;
	d->has_affinity = d->port->affinity_s;
	if (!err && d->n_endpoints == 1)
		d->chosen = 0;
	else if (!err && d->n_endpoints && r->packet->sport && !r->packet->local)
		err = pick(r);
	if (err)
		return err;
	if (!d->has_affinity && d->pick != DECIDE_UNKNOWN)
		d->chosen = d->pick;
	reason_endpoints(r);
	reason_masquerade(r);
	return 0;
}

int decide(const struct decide_world *world, const struct decide_packet *packet,
	   struct decision *ret)
{
	struct decision decision = { .chosen = DECIDE_UNKNOWN, .pick = DECIDE_UNKNOWN };
	const struct reason r = { .world = world, .packet = packet, .decision = &decision };
	int err = 0;

	if (packet->iface && packet->role == SL_ROLE_NONE && !packet->local) {
		reason_unseen(&r);
		decision.verdict = SL_LEAVE;
	} else {
		decision.verdict = find_service(&r);
	}
	if (decision.verdict == SL_NEXT) {
		bool allowed = is_allowed(&r);

		reason_sources(&r, allowed);
		if (!allowed) {
			decision.verdict = SL_DROP_POLICY;
		} else {
			find_path(&r);
			err = choose(&r);
		}
	}
	if (err) {
		decision_done(&decision);
		return err;
	}
	*ret = decision;
	return 0;
}
