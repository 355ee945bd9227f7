/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Where kube-proxy deletes entries of the kernel's table, sluice's flows see
 * that their backend's generation moved. So each flow is opened before, by a
 * packet, in a state in which its backend is an endpoint of its service port;
 * then the case's objects are applied, and its next packet tells.
 */

#include "test/semantics/flows.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "test/semantics/packets.h"
#include "test/semantics/profile.h"
#include "test/semantics/state.h"

#define FLOWS_MAX 64
#define TRIES	  2000

struct flow {
	const json_t *json;
	struct ends ends;     /* of its packets */
	struct sl_addr reply; /* who answers */
	__be16 reply_port;
	const struct resolved *service; /* whose frontend it goes to, NULL: nobody's */
	const struct resolved_port *port;
	uint8_t kind;	 /* enum sl_kind */
	bool translated; /* it had a backend */
	struct fate before;
};

struct flows {
	struct check *check;
	struct world *world;
	struct state state; /* after the case's objects */
	struct flow items[FLOWS_MAX];
	size_t n;
	char iif[16];
};

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static __be16 number(const json_t *object, const char *key)
{
	return htons((uint16_t)json_integer_value(json_object_get(object, key)));
}

static bool reaches(const struct flows *flows, const struct resolved_port *port,
		    const struct resolved_frontend *frontend, const struct ends *ends)
{
	if (port->family != ends->family || port->proto != ends->proto ||
	    frontend->port != ends->dport)
		return false;
	return frontend->kind == SL_KIND_NODE_PORT
		       ? world_is_own(flows->world, &ends->daddr, ends->family)
		       : ip_equal(&frontend->addr, &ends->daddr);
}

static void find_port(const struct flows *flows, struct flow *flow)
{
	for (size_t i = 0; i < flows->state.n; i++) {
		const struct resolved *service = flows->state.services[i];

		for (size_t p = 0; p < service->n_ports; p++) {
			const struct resolved_port *port = &service->ports[p];

			for (size_t f = 0; f < port->n_frontends; f++) {
				if (!reaches(flows, port, &port->frontends[f], &flow->ends))
					continue;
				flow->service = service;
				flow->port = port;
				flow->kind = port->frontends[f].kind;
			}
		}
	}
}

static bool read_flow(const struct flows *flows, const json_t *json, struct flow *ret)
{
	int family = ip_parse(text(json, "origSrc"), &ret->ends.saddr);
	int proto = ip_protocol_parse(text(json, "proto"));

	if (family < 0 || proto < 0 ||
	    ip_parse(text(json, "origDst"), &ret->ends.daddr) != family ||
	    ip_parse(text(json, "replySrc"), &ret->reply) != family)
		return false;
	ret->json = json;
	ret->ends.family = (uint8_t)family;
	ret->ends.proto = (uint8_t)proto;
	ret->ends.dport = number(json, "origDport");
	ret->reply_port = number(json, "replySport");
	ret->translated =
		!ip_equal(&ret->reply, &ret->ends.daddr) || ret->reply_port != ret->ends.dport;
	find_port(flows, ret);
	return true;
}

/* A slice that makes the flow's backend one of its service port's, by any way. */
static json_t *slice_of(const struct flow *flow, const char *node, size_t index)
{
	char name[32], addr[IP_TEXT_MAX];

	snprintf(name, sizeof(name), "before-%zu", index);
	ip_format(&flow->reply, flow->ends.family, addr);
	return json_pack(
		"{s:s, s:s, s:{s:s, s:s, s:{s:s}}, s:s, s:[{s:[s], s:s}], s:[{s:s, s:s, s:i}]}",
		"apiVersion", "discovery.k8s.io/v1", "kind", "EndpointSlice", "metadata",
		"namespace", flow->service->namespace_, "name", name, "labels",
		"kubernetes.io/service-name", flow->service->name, "addressType",
		flow->ends.family == 4 ? "IPv4" : "IPv6", "endpoints", "addresses", addr,
		"nodeName", node, "ports", "name", flow->port->name, "protocol",
		ip_protocol_name(flow->port->proto), "port", ntohs(flow->reply_port));
}

static void put_slices(struct flows *flows, struct store *store, const char *node)
{
	for (size_t i = 0; i < flows->n; i++) {
		json_t *slice;

		if (!flows->items[i].port || !flows->items[i].translated)
			continue;
		slice = slice_of(&flows->items[i], node, i);
		profile_apply(flows->check, store, slice, false);
		json_decref(slice);
	}
}

static bool is_reply(const struct flow *flow, const struct fate *fate)
{
	return fate->verdict == VERDICT_DNAT && ip_equal(&fate->addr, &flow->reply) &&
	       fate->port == flow->reply_port;
}

/* Opens the flow by the source port that leads to its backend. */
static bool open_flow(struct flows *flows, struct flow *flow)
{
	bool wants = flow->port && flow->translated;

	for (int i = 0; i < TRIES; i++) {
		flow->ends.sport = ways_port();
		flow->before = ways_inject(flows->world, &flow->ends, flows->iif);
		if (!wants)
			return flow->before.verdict != VERDICT_ERROR;
		if (is_reply(flow, &flow->before))
			return true;
	}
	return false;
}

static enum check_result say(struct flows *flows, const struct flow *flow, const char *expected,
			     const struct fate *got)
{
	char fate[160];

	check_say(flows->check, "flow \"%s\" %s to %s port %u by %s port %u: expected %s, got %s",
		  text(flow->json, "note"), text(flow->json, "proto"), text(flow->json, "origDst"),
		  ntohs(flow->ends.dport), text(flow->json, "replySrc"), ntohs(flow->reply_port),
		  expected, ways_tell(got, flow->ends.family, fate));
	return RESULT_FAILED;
}

/* Whether any endpoint of the port serves. */
static bool has_backends(const struct flow *flow)
{
	return flow->port->n_backends > 0;
}

/* What the flow's next packet meets, against what kube-proxy did. */
static enum check_result judge(struct flows *flows, const struct flow *flow)
{
	struct fate after = ways_inject(flows->world, &flow->ends, flows->iif);
	bool deleted = json_is_true(json_object_get(flow->json, "deleted"));

	if (after.verdict == VERDICT_ERROR)
		return say(flows, flow, "an answer", &after);
	/* Nobody's: kube-proxy may delete more than its own (S-162). */
	if (!flow->port)
		return after.verdict == flow->before.verdict
			       ? RESULT_PASSED
			       : say(flows, flow, "no change", &after);
	/* What met no endpoint is not remembered, so nothing has to be deleted. */
	if (!flow->translated)
		return deleted && after.verdict == VERDICT_PASS
			       ? say(flows, flow, "to be picked", &after)
			       : RESULT_PASSED;
	if (deleted)
		return is_reply(flow, &after) ? say(flows, flow, "to be picked anew", &after)
					      : RESULT_PASSED;
	if (is_reply(flow, &after))
		return RESULT_PASSED;
	/* S-163: kube-proxy leaves these to a backend that is gone. */
	if (flow->kind == SL_KIND_NODE_PORT && flow->ends.proto == IPPROTO_UDP &&
	    !has_backends(flow))
		return RESULT_DIFFERS;
	return say(flows, flow, "to stay", &after);
}

static void compare(struct flows *flows, struct store *store, const json_t *the_case)
{
	const json_t *slice;
	size_t i;

	for (i = 0; i < flows->n; i++) {
		if (!open_flow(flows, &flows->items[i]))
			say(flows, &flows->items[i], "to be opened", &flows->items[i].before);
	}
	store_list_begin(store, OBJECT_SLICE);
	json_array_foreach (json_object_get(the_case, "endpointSlices"), i, slice)
		profile_apply(flows->check, store, slice, false);
	store_list_end(store, OBJECT_SLICE);
	world_sync(flows->world);
	for (i = 0; i < flows->n; i++)
		check_count(flows->check, ITEM_FLOW, judge(flows, &flows->items[i]));
}

/* The case's own state, to find service ports in. */
static void resolve_case(struct flows *flows, const json_t *profile, const json_t *the_case)
{
	sl_auto(store) store =
		profile_store(flows->check, profile, json_object_get(the_case, "services"),
			      json_object_get(the_case, "endpointSlices"), NULL);
	struct resolve_node node = profile_resolve_node(profile, store);

	state_update(&flows->state, store, &node);
	profile_release(&node);
}

void flows_run(struct check *check, struct world *world, const json_t *profile,
	       const json_t *the_case)
{
	struct flows flows = { .check = check, .world = world };
	sl_auto(store) store =
		profile_store(check, profile, json_object_get(the_case, "services"), NULL, NULL);
	const json_t *flow;
	size_t i;

	if (!world_uplink(world, flows.iif) || world_begin(world, store))
		return;
	resolve_case(&flows, profile, the_case);
	json_array_foreach (json_object_get(the_case, "flows"), i, flow) {
		if (flows.n < FLOWS_MAX && read_flow(&flows, flow, &flows.items[flows.n]))
			flows.n++;
		else
			check_say(check, "flow %zu can't be read", i);
	}
	put_slices(&flows, store, text(profile, "nodeName"));
	store_list_end(store, OBJECT_SERVICE);
	store_list_end(store, OBJECT_SLICE);
	world_sync(world);
	compare(&flows, store, the_case);
	state_clear(&flows.state);
	world_forget_flows(world);
	world_end(world);
}
