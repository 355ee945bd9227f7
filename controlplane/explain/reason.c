/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/explain/reason.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>

static void add(const struct reason *r, const char *rules, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void add(const struct reason *r, const char *rules, const char *format, ...)
{
	struct decision *d = r->decision;
	struct decide_step *step;
	va_list args;

	if (d->n_steps == DECIDE_STEPS_MAX)
		return;
	step = &d->steps[d->n_steps++];
	snprintf(step->rules, sizeof(step->rules), "%s", rules);
	va_start(args, format);
	vsnprintf(step->text, sizeof(step->text), format, args);
	va_end(args);
}

const char *decide_kind_text(uint8_t kind)
{
	switch (kind) {
	case SL_KIND_CLUSTER_IP:
		return "cluster IP";
	case SL_KIND_NODE_PORT:
		return "node port";
	case SL_KIND_LOAD_BALANCER:
		return "load balancer address";
	case SL_KIND_EXTERNAL_IP:
		return "external IP";
	default:
		return "address";
	}
}

const char *decide_name(const struct resolved *service, const struct resolved_port *port,
			char text[DECIDE_NAME_MAX])
{
	bool named = port && port->name[0];

	snprintf(text, DECIDE_NAME_MAX, "%s/%s%s%s", service->namespace_, service->name,
		 named ? ":" : "", named ? port->name : "");
	return text;
}

void reason_unseen(const struct reason *r)
{
	add(r, "",
	    "sluice does not look at what comes in at %s, which has no role (lbctl attach says "
	    "why): "
	    "passed on",
	    r->packet->iface);
}

static const char *frontend_rule(uint8_t kind)
{
	switch (kind) {
	case SL_KIND_CLUSTER_IP:
		return "S-022";
	case SL_KIND_NODE_PORT:
		return "S-029,S-182";
	case SL_KIND_LOAD_BALANCER:
		return "S-027";
	default:
		return "S-025";
	}
}

void reason_frontend(const struct reason *r)
{
	const struct decide_packet *p = r->packet;
	const struct decision *d = r->decision;
	char name[DECIDE_NAME_MAX], at[IP_TEXT_MAX];

	decide_name(d->service, d->port, name);
	if (d->frontend->kind == SL_KIND_NODE_PORT)
		add(r, frontend_rule(d->frontend->kind),
		    "%s is an address of this node on which node ports answer, and %u/%s is the "
		    "node port of Service port %s",
		    ip_format(&p->daddr, p->family, at), ntohs(p->dport),
		    ip_protocol_name(p->proto), name);
	else
		add(r, frontend_rule(d->frontend->kind), "%s/%s is the %s of Service port %s",
		    ip_format_port(&p->daddr, p->family, p->dport, at), ip_protocol_name(p->proto),
		    decide_kind_text(d->frontend->kind), name);
	if (d->rivals)
		add(r, "",
		    "%zu more Service port%s the same address and port; the first that was "
		    "programmed holds it",
		    d->rivals, d->rivals == 1 ? " wants" : "s want");
}

void reason_cluster_address(const struct reason *r)
{
	const struct decide_packet *p = r->packet;
	char name[DECIDE_NAME_MAX], at[IP_TEXT_MAX];

	add(r, "S-121,S-119",
	    "%s is the cluster IP of Service %s, which has no port %u/%s: rejected with an ICMP "
	    "port "
	    "unreachable",
	    ip_format(&p->daddr, p->family, at), decide_name(r->decision->service, NULL, name),
	    ntohs(p->dport), ip_protocol_name(p->proto));
}

void reason_unallocated(const struct reason *r, const struct ip_prefix *range)
{
	char at[IP_TEXT_MAX], prefix[IP_TEXT_MAX];

	add(r, "S-122,S-120",
	    "%s lies in the ServiceCIDR %s/%u, but no Service that sluice serves has it: dropped "
	    "without an answer",
	    ip_format(&r->packet->daddr, r->packet->family, at),
	    ip_format(&range->addr, range->family, prefix), range->len);
}

/* Whether a Service has this number as its node port, on whatever address. */
static bool is_node_port(const struct reason *r)
{
	const struct decide_packet *p = r->packet;

	for (size_t s = 0; s < r->world->n_services; s++) {
		const struct resolved *service = r->world->services[s];

		for (size_t i = 0; i < service->n_ports; i++) {
			const struct resolved_port *port = &service->ports[i];

			for (size_t f = 0; f < port->n_frontends; f++)
				if (port->family == p->family && port->proto == p->proto &&
				    port->frontends[f].kind == SL_KIND_NODE_PORT &&
				    port->frontends[f].port == p->dport)
					return true;
		}
	}
	return false;
}

void reason_pass(const struct reason *r, const struct tables_address *own,
		 const struct resolved_frontend *known)
{
	const struct decide_packet *p = r->packet;
	const char *proto = ip_protocol_name(p->proto);
	bool number = is_node_port(r);
	char at[IP_TEXT_MAX];

	ip_format(&p->daddr, p->family, at);
	if (number && ip_is_loopback(&p->daddr, p->family))
		add(r, "S-184",
		    "%u/%s is a node port, but node ports don't answer on loopback: passed on",
		    ntohs(p->dport), proto);
	else if (number && own)
		add(r, "S-126,S-182",
		    "%s is an address of this node, but not one of nodePortAddresses, so node port "
		    "%u/%s does not answer there: passed on, to whatever listens on the node",
		    at, ntohs(p->dport), proto);
	else if (known)
		add(r, number ? "S-124" : "S-123",
		    "%s is the %s of a Service, which has no port %u/%s there; sluice owns the "
		    "port, "
		    "not the address: passed on",
		    at, decide_kind_text(known->kind), ntohs(p->dport), proto);
	else if (own)
		add(r, "S-125",
		    "%s is an address of this node, and no Service has node port %u/%s: passed on, "
		    "to "
		    "whatever listens on the node",
		    at, ntohs(p->dport), proto);
	else
		add(r, number ? "S-124" : "S-125",
		    "%s:%u/%s belongs to no Service that sluice serves: passed on, the node routes "
		    "it",
		    at, ntohs(p->dport), proto);
}

void reason_sources(const struct reason *r, bool allowed)
{
	const struct decision *d = r->decision;
	char at[IP_TEXT_MAX];

	if (!d->port->n_sources)
		return;
	ip_format(&r->packet->saddr, r->packet->family, at);
	if (!allowed)
		add(r, "S-055,S-120",
		    "%s is in none of the Service's loadBalancerSourceRanges: dropped without an "
		    "answer",
		    at);
	else if (decide_ranges_hold(d->port, d->frontend->kind))
		add(r, "S-055", "%s is allowed by the Service's loadBalancerSourceRanges", at);
	else
		add(r, "S-054",
		    "The Service's loadBalancerSourceRanges hold for its load balancer addresses, "
		    "not "
		    "for its %s",
		    decide_kind_text(d->frontend->kind));
}

void reason_source_kind(const struct reason *r, bool from_node)
{
	const struct decide_packet *p = r->packet;
	uint8_t detect = p->family == 4 ? r->world->node.detect4 : r->world->node.detect6;
	const char *iface = p->iface ? p->iface : "its interface";
	const char *who = p->local    ? "A process of this node"
			  : from_node ? "A source that is this node's address"
				      : "The source";
	char at[IP_TEXT_MAX];

	ip_format(&p->saddr, p->family, at);
	switch (detect) {
	case SL_DETECT_SOURCE:
		add(r, "S-130", "%s, %s, %s in the pods' range: %s", who, at,
		    r->decision->pod ? "is" : "is not",
		    r->decision->pod ? "pod traffic" : "no pod traffic");
		break;
	case SL_DETECT_INTERFACE:
		if (p->local)
			add(r, "S-130", "%s comes in by no interface: no pod traffic", who);
		else
			add(r, "S-130", "What comes in at %s is %s, by detectLocalMode", iface,
			    r->decision->pod ? "pod traffic" : "no pod traffic");
		break;
	default:
		add(r, "S-131",
		    "No pods' range of IPv%u is known, so nothing counts as pod traffic",
		    p->family);
	}
}

static void reason_cluster_path(const struct reason *r)
{
	switch (SL_PATH_CHOICE(r->decision->choice)) {
	case SL_CHOOSE_CLUSTER:
		add(r, "S-110", "internalTrafficPolicy is Cluster: one of the cluster's endpoints");
		break;
	case SL_CHOOSE_LOCAL:
		add(r, "S-111",
		    "internalTrafficPolicy is Local: one of this node's endpoints, whoever asks");
		break;
	case SL_CHOOSE_DROP:
		add(r, "S-111,S-120",
		    "internalTrafficPolicy is Local, and this node has no endpoint that can be "
		    "used "
		    "(others do): dropped without an answer");
		break;
	default:
		add(r, "S-110,S-111,S-119",
		    "No endpoint of this port can be used, here or elsewhere: rejected with an "
		    "ICMP "
		    "port unreachable");
	}
}

static void reason_external_path(const struct reason *r)
{
	const struct decision *d = r->decision;

	if (SL_PATH_CHOICE(d->choice) == SL_CHOOSE_REJECT)
		add(r, "S-112,S-115,S-119",
		    "No endpoint of this port can be used, here or elsewhere: rejected with an "
		    "ICMP "
		    "port unreachable");
	else if (!decide_external_local(d->port))
		add(r, "S-112", "externalTrafficPolicy is Cluster: one of the cluster's endpoints");
	else if (d->path == SL_PATH_POD)
		add(r, "S-113",
		    "externalTrafficPolicy is Local, but pod traffic takes a short cut, as if it "
		    "went "
		    "out to the load balancer and back: one of the cluster's endpoints");
	else if (d->path == SL_PATH_NODE)
		add(r, "S-114",
		    "externalTrafficPolicy is Local, but the source is this node itself: one of "
		    "the "
		    "cluster's endpoints");
	else if (SL_PATH_CHOICE(d->choice) == SL_CHOOSE_LOCAL)
		add(r, "S-115",
		    "externalTrafficPolicy is Local and the source is outside: one of this node's "
		    "endpoints");
	else
		add(r, "S-115,S-120",
		    "externalTrafficPolicy is Local, the source is outside, and this node has no "
		    "endpoint that can be used (others do): dropped without an answer");
}

void reason_path(const struct reason *r)
{
	if (r->decision->frontend->kind == SL_KIND_CLUSTER_IP)
		reason_cluster_path(r);
	else
		reason_external_path(r);
}

static void reason_pick(const struct reason *r)
{
	const struct decision *d = r->decision;
	char at[IP_TEXT_MAX];

	if (d->has_affinity && d->n_endpoints > 1)
		add(r, "S-140,S-142,S-143",
		    "ClientIP affinity: a client goes to the endpoint of its last new connection, "
		    "if "
		    "that was within %u s and the endpoint is still one of these",
		    d->port->affinity_s);
	if (d->chosen != DECIDE_UNKNOWN && d->n_endpoints > 1) {
		const struct resolved_backend *b = d->endpoints[d->chosen].backend;

		add(r, "S-118", "The hash of these addresses and ports picks %s",
		    ip_format_port(&b->addr, d->port->family, b->port, at));
	} else if (d->n_endpoints > 1 && r->packet->local) {
		add(r, "S-118", "Which of them is picked anew whenever a process connects");
	} else if (d->n_endpoints > 1 && !d->has_affinity) {
		add(r, "S-118",
		    "Which of them depends on a hash of both addresses and ports: give the source "
		    "port to learn it");
	}
}

void reason_endpoints(const struct reason *r)
{
	const struct decision *d = r->decision;
	bool local = SL_PATH_CHOICE(d->choice) == SL_CHOOSE_LOCAL;
	size_t n = d->port->n_backends;
	size_t others = n - d->n_endpoints;

	if (others && local)
		add(r, "S-096,S-098",
		    "%zu of %zu serving endpoints can be used; the rest run elsewhere or are not "
		    "ready",
		    d->n_endpoints, n);
	else if (others)
		add(r, "S-091,S-092,S-098",
		    "%zu of %zu serving endpoints can be used; the rest are not ready, or topology "
		    "hints keep them for other nodes or zones",
		    d->n_endpoints, n);
	reason_pick(r);
}

/* Why kube-proxy would, or would not, masquerade on this path. */
static const char *path_rule(const struct decision *d, const char **ret_why)
{
	const uint8_t *path = d->port->path;
	bool masquerade = d->choice & SL_MASQUERADE;

	if (d->frontend->kind == SL_KIND_CLUSTER_IP) {
		if (masquerade && path[SL_PATH_CLUSTER_POD] & SL_MASQUERADE) {
			*ret_why = "masqueradeAll is set";
			return "S-132";
		}
		*ret_why = d->pod ? "pod traffic to a cluster IP keeps its source"
			   : masquerade
				   ? "the destination is a cluster IP and the source no pod traffic"
				   : "without a pods' range, cluster IP traffic keeps its source";
		return d->pod || masquerade ? "S-133" : "S-131";
	}
	if (!decide_external_local(d->port)) {
		*ret_why = "externalTrafficPolicy is Cluster";
		return "S-134";
	}
	*ret_why = masquerade ? "the source is this node, and externalTrafficPolicy is Local"
			      : "externalTrafficPolicy is Local";
	return d->path == SL_PATH_NODE ? "S-114,S-135" : "S-135";
}

static void reason_compatible(const struct reason *r, size_t snat, const char *rule,
			      const char *why)
{
	const struct decision *d = r->decision;

	if (!(d->choice & SL_MASQUERADE))
		add(r, rule, "The source stays as it is: %s", why);
	else if (snat)
		add(r, rule, "The source becomes an address of this node: %s", why);
	if (d->choice & SL_MASQUERADE && snat < d->n_endpoints)
		add(r, "S-137",
		    "What is delivered to the node itself (an endpoint with the node's address) "
		    "keeps "
		    "its source");
}

static void reason_minimal(const struct reason *r, size_t snat)
{
	bool pod = r->packet->role == SL_ROLE_POD;

	if (snat)
		add(r, "S-137",
		    "For endpoints on other nodes the source becomes an address of this node, or "
		    "their answers would not come back through it");
	if (snat < r->decision->n_endpoints)
		add(r, "",
		    "masquerade is minimal: the source stays as it is %s, since answers come back "
		    "through here anyway",
		    r->packet->local ? "for the node's own processes"
		    : pod	     ? "for pods of this node"
				     : "for endpoints on this node");
}

void reason_masquerade(const struct reason *r)
{
	const struct decision *d = r->decision;
	const char *why, *rule = path_rule(d, &why);
	size_t snat = 0, hairpins = 0;
	char at[IP_TEXT_MAX];

	for (size_t i = 0; i < d->n_endpoints; i++) {
		hairpins += d->endpoints[i].hairpin;
		snat += d->endpoints[i].snat && !d->endpoints[i].hairpin;
	}
	if (r->world->node.compatible)
		reason_compatible(r, snat + hairpins, rule, why);
	else
		reason_minimal(r, snat);
	if (hairpins)
		add(r, "S-136",
		    "If the endpoint is %s itself, the source becomes an address of this node, or "
		    "the "
		    "client would get its answer from itself",
		    ip_format(&r->packet->saddr, r->packet->family, at));
}
