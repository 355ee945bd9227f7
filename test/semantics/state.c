/* SPDX-License-Identifier: Apache-2.0 */

#include "test/semantics/state.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/resolve/endpoints.h"

/* What a comparison speaks about. */
struct place {
	struct check *check;
	const char *where, *port;
};

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

uint8_t state_family(const json_t *object)
{
	const char *family = text(object, "family");

	return family && strcmp(family, "IPv6") == 0 ? 6 : 4;
}

/* Takes over the result, in place of the last of its name. */
static void keep(struct state *state, struct resolved *resolved)
{
	struct resolved **grown;

	for (size_t i = 0; i < state->n; i++) {
		if (strcmp(state->services[i]->name, resolved->name) != 0 ||
		    strcmp(state->services[i]->namespace_, resolved->namespace_) != 0)
			continue;
		resolved_free(state->services[i]);
		state->services[i] = resolved;
		return;
	}
	grown = realloc(state->services, (state->n + 1) * sizeof(*grown));
	if (!grown) {
		resolved_free(resolved);
		return;
	}
	state->services = grown;
	state->services[state->n++] = resolved;
}

void state_update(struct state *state, struct store *store, const struct resolve_node *node)
{
	/* As kube-proxy does; who is pod traffic is the packets' business. */
	const struct resolve_config config = { .compatible = true,
					       .detect4 = true,
					       .detect6 = true };
	struct store_service next;
	struct resolved *resolved;

	while (store_next_changed(store, &next)) {
		if (resolve_service(next.namespace_, next.name, next.service, next.slices,
				    next.n_slices, node, &config, &resolved) == 0)
			keep(state, resolved);
	}
}

void state_clear(struct state *state)
{
	for (size_t i = 0; i < state->n; i++)
		resolved_free(state->services[i]);
	free(state->services);
	*state = (struct state) { 0 };
}

static void port_name(const struct resolved *service, const struct resolved_port *port,
		      char name[256])
{
	snprintf(name, 256, "%s/%s:%s/%s", service->namespace_, service->name, port->name,
		 ip_protocol_name(port->proto));
}

const struct resolved_port *state_port(const struct state *state, const char *name, uint8_t family)
{
	char candidate[256];

	for (size_t i = 0; i < state->n; i++) {
		for (size_t p = 0; p < state->services[i]->n_ports; p++) {
			const struct resolved_port *port = &state->services[i]->ports[p];

			port_name(state->services[i], port, candidate);
			if (port->family == family && strcmp(candidate, name) == 0)
				return port;
		}
	}
	return NULL;
}

static int by_text(const void *a, const void *b)
{
	const json_t *const *left = a, *const *right = b;

	return strcmp(json_string_value(*left), json_string_value(*right));
}

char *state_join(const json_t *list)
{
	size_t n = json_array_size(list);
	const json_t **sorted = calloc(n + 1, sizeof(*sorted));
	json_t *copy = json_array();
	char *joined;

	for (size_t i = 0; i < n; i++)
		sorted[i] = json_array_get(list, i);
	if (n)
		qsort(sorted, n, sizeof(*sorted), by_text);
	for (size_t i = 0; i < n; i++)
		json_array_append(copy, (json_t *)sorted[i]);
	joined = json_dumps(copy, JSON_COMPACT);
	json_decref(copy);
	free(sorted);
	return joined;
}

/* Takes over `got`, a list of texts. */
static void compare_sets(const struct place *place, const char *what, const json_t *expected,
			 json_t *got)
{
	sl_auto_mem char *want = state_join(expected), *have = state_join(got);

	if (!want || !have || strcmp(want, have) != 0)
		check_say(place->check, "%s%s %s: expected %s, got %s", place->where, place->port,
			  what, want, have);
	json_decref(got);
}

static void compare_numbers(const struct place *place, const char *what, json_int_t expected,
			    json_int_t got)
{
	if (expected != got)
		check_say(place->check, "%s%s %s: expected %lld, got %lld", place->where,
			  place->port, what, (long long)expected, (long long)got);
}

static json_t *frontend_addresses(const struct resolved_port *port, uint8_t kind)
{
	json_t *list = json_array();
	char addr[IP_TEXT_MAX];

	for (size_t i = 0; i < port->n_frontends; i++) {
		if (port->frontends[i].kind == kind)
			json_array_append_new(list, json_string(ip_format(&port->frontends[i].addr,
									  port->family, addr)));
	}
	return list;
}

static bool has_text(const json_t *list, const char *wanted)
{
	const json_t *item;
	size_t i;

	json_array_foreach (list, i, item)
		if (strcmp(json_string_value(item), wanted) == 0)
			return true;
	return false;
}

/* Where an external IP is a VIP too, the VIP's kind counts. */
static json_t *without(const json_t *list, const json_t *others)
{
	json_t *rest = json_array(), *item;
	size_t i;

	json_array_foreach (list, i, item)
		if (!has_text(others, json_string_value(item)) &&
		    !has_text(rest, json_string_value(item)))
			json_array_append(rest, item);
	return rest;
}

static void compare_frontends(const struct place *place, const struct resolved_port *port,
			      const json_t *expected)
{
	const json_t *vips = json_object_get(expected, "loadBalancerVIPs");
	json_t *cluster = json_pack("[O]", json_object_get(expected, "clusterIP"));
	json_t *external = without(json_object_get(expected, "externalIPs"), vips);
	json_t *unique = without(vips, NULL);
	json_int_t node_port = 0;

	for (size_t i = 0; i < port->n_frontends; i++) {
		if (port->frontends[i].kind == SL_KIND_NODE_PORT)
			node_port = ntohs(port->frontends[i].port);
		else
			compare_numbers(place, "port",
					json_integer_value(json_object_get(expected, "port")),
					ntohs(port->frontends[i].port));
	}
	compare_numbers(place, "nodePort",
			json_integer_value(json_object_get(expected, "nodePort")), node_port);
	compare_sets(place, "clusterIP", cluster, frontend_addresses(port, SL_KIND_CLUSTER_IP));
	compare_sets(place, "loadBalancerVIPs", unique,
		     frontend_addresses(port, SL_KIND_LOAD_BALANCER));
	compare_sets(place, "externalIPs", external, frontend_addresses(port, SL_KIND_EXTERNAL_IP));
	json_decref(cluster);
	json_decref(external);
	json_decref(unique);
}

/* A VIP's own address, which S-056 adds to the list. */
static bool is_own_vip(const struct resolved_port *port, const struct ip_prefix *prefix)
{
	if (prefix->len != (port->family == 4 ? 32 : 128))
		return false;
	for (size_t i = 0; i < port->n_frontends; i++)
		if (port->frontends[i].kind == SL_KIND_LOAD_BALANCER &&
		    ip_equal(&port->frontends[i].addr, &prefix->addr))
			return true;
	return false;
}

static void compare_sources(const struct place *place, const struct resolved_port *port,
			    const json_t *expected)
{
	const json_t *ranges = json_object_get(expected, "loadBalancerSourceRanges");
	json_t *got = json_array(), *want;

	/* Without a VIP nothing asks for them (S-054). */
	if (json_array_size(json_object_get(expected, "loadBalancerVIPs")) == 0) {
		json_decref(got);
		return;
	}
	want = without(ranges, NULL);
	for (size_t i = 0; i < port->n_sources; i++) {
		char addr[IP_TEXT_MAX], prefix[IP_TEXT_MAX + 8];

		ip_format(&port->sources[i].addr, port->family, addr);
		snprintf(prefix, sizeof(prefix), "%s/%u", addr, port->sources[i].len);
		if (!is_own_vip(port, &port->sources[i]) || has_text(want, prefix))
			json_array_append_new(got, json_string(prefix));
	}
	compare_sets(place, "loadBalancerSourceRanges", want, got);
	json_decref(want);
}

static json_t *backends_of(const struct resolved_port *port, uint8_t sets)
{
	json_t *list = json_array();
	char addr[IP_TEXT_MAX];

	for (size_t i = 0; i < port->n_backends; i++) {
		if (port->backends[i].sets & sets)
			json_array_append_new(list, json_string(ip_format_port(
							    &port->backends[i].addr, port->family,
							    port->backends[i].port, addr)));
	}
	return list;
}

static void compare_choice(const struct place *place, const struct resolved_port *port,
			   const json_t *expected)
{
	bool has_any = true;

	compare_sets(place, "clusterEndpoints", json_object_get(expected, "clusterEndpoints"),
		     backends_of(port, 1 << SL_SET_CLUSTER));
	compare_sets(place, "localEndpoints", json_object_get(expected, "localEndpoints"),
		     backends_of(port, 1 << SL_SET_LOCAL));
	compare_sets(place, "allReachableEndpoints",
		     json_object_get(expected, "allReachableEndpoints"),
		     backends_of(port, 1 << SL_SET_CLUSTER | 1 << SL_SET_LOCAL));
	for (int path = 0; path < SL_PATH_MAX; path++)
		has_any = has_any && SL_PATH_CHOICE(port->path[path]) != SL_CHOOSE_REJECT;
	compare_numbers(place, "hasAnyEndpoints",
			json_is_true(json_object_get(expected, "hasAnyEndpoints")), has_any);
}

static json_t *names(const char *const *list, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_string(list[i]));
	return array;
}

/* One endpoint as a text that has everything of it. */
static json_t *endpoint_text(const char *address, bool local, const bool conditions[3],
			     const json_t *zones, const json_t *nodes)
{
	sl_auto_mem char *zone = state_join(zones), *node = state_join(nodes);

	return json_sprintf("%s%s%s%s%s zones %s nodes %s", address, local ? " local" : "",
			    conditions[0] ? " ready" : "", conditions[1] ? " serving" : "",
			    conditions[2] ? " terminating" : "", zone, node);
}

static json_t *merged(const struct store_service *service, const struct resolved_port *port,
		      const struct resolve_node *node)
{
	sl_auto_mem struct candidate *list = NULL;
	json_t *got = json_array();
	size_t n = 0;

	if (endpoints_merge(service->slices, service->n_slices, port->family, port->name,
			    port->proto, node, &list, &n))
		return got;
	for (size_t i = 0; i < n; i++) {
		const struct endpoint *endpoint = list[i].endpoint;
		const bool conditions[] = { endpoint->ready, endpoint->serving,
					    endpoint->terminating };
		json_t *zones = names(endpoint->zones, endpoint->n_zones);
		json_t *nodes = names(endpoint->nodes, endpoint->n_nodes);

		json_array_append_new(
			got, endpoint_text(list[i].text, list[i].local, conditions, zones, nodes));
		json_decref(zones);
		json_decref(nodes);
	}
	return got;
}

static json_t *expected_endpoints(const json_t *expected)
{
	json_t *list = json_array();
	const json_t *endpoint;
	size_t i;

	json_array_foreach (json_object_get(expected, "endpoints"), i, endpoint) {
		const bool conditions[] = { json_is_true(json_object_get(endpoint, "ready")),
					    json_is_true(json_object_get(endpoint, "serving")),
					    json_is_true(
						    json_object_get(endpoint, "terminating")) };

		json_array_append_new(
			list, endpoint_text(text(endpoint, "ep"),
					    json_is_true(json_object_get(endpoint, "local")),
					    conditions, json_object_get(endpoint, "zoneHints"),
					    json_object_get(endpoint, "nodeHints")));
	}
	return list;
}

/* Finds a Service among those of a store. */
struct search {
	const char *name; /* "ns/service:port/PROTO" */
	struct store_service found;
};

static void search_one(void *context, const struct store_service *service)
{
	struct search *search = context;
	char name[256];
	int n = snprintf(name, sizeof(name), "%s/%s", service->namespace_, service->name);

	if (strncmp(search->name, name, n) == 0 && search->name[n] == ':')
		search->found = *service;
}

static void compare_port(struct check *check, const struct store *store, const struct state *state,
			 const struct resolve_node *node, const json_t *expected, const char *where)
{
	struct search search = { .name = text(expected, "name") };
	const struct resolved_port *port =
		state_port(state, text(expected, "name"), state_family(expected));
	struct place place = { check, where, text(expected, "name") };
	json_t *endpoints;

	if (!port) {
		check_say(check, "%s%s %s: expected, not there", where, text(expected, "family"),
			  place.port);
		return;
	}
	store_each(store, search_one, &search);
	compare_frontends(&place, port, expected);
	compare_sources(&place, port, expected);
	compare_numbers(&place, "affinitySeconds",
			json_integer_value(json_object_get(expected, "affinitySeconds")),
			port->affinity_s);
	endpoints = expected_endpoints(expected);
	compare_sets(&place, "endpoints", endpoints, merged(&search.found, port, node));
	json_decref(endpoints);
	compare_choice(&place, port, expected);
}

static void compare_surplus(struct check *check, const struct state *state, const json_t *expected,
			    const char *where)
{
	for (size_t i = 0; i < state->n; i++) {
		for (size_t p = 0; p < state->services[i]->n_ports; p++) {
			const struct resolved_port *port = &state->services[i]->ports[p];
			const json_t *item;
			bool found = false;
			char name[256];
			size_t k;

			port_name(state->services[i], port, name);
			json_array_foreach (expected, k, item)
				found = found || (state_family(item) == port->family &&
						  strcmp(text(item, "name"), name) == 0);
			if (!found)
				check_say(check, "%sIPv%u %s: not expected, but there", where,
					  port->family, name);
		}
	}
}

/* Takes over `got`; both are objects of numbers. */
static void compare_objects(struct check *check, const char *where, const char *what,
			    const json_t *expected, json_t *got)
{
	sl_auto_mem char *want =
		expected ? json_dumps(expected, JSON_COMPACT | JSON_SORT_KEYS) : strdup("{}");
	sl_auto_mem char *have = json_dumps(got, JSON_COMPACT | JSON_SORT_KEYS);

	if (!want || !have || strcmp(want, have) != 0)
		check_say(check, "%s%s: expected %s, got %s", where, what, want, have);
	json_decref(got);
}

static bool has_family(const struct resolved *service, uint8_t family)
{
	for (size_t i = 0; i < service->n_ports; i++)
		if (service->ports[i].family == family)
			return true;
	return false;
}

static void compare_health(struct check *check, const struct state *state, const json_t *expected,
			   const char *where)
{
	json_t *ports = json_object(), *ready = json_object();
	size_t lines = check->lines;

	for (size_t i = 0; i < state->n; i++) {
		const struct resolved *service = state->services[i];

		for (int k = 0; k < 2; k++) {
			char name[256];

			snprintf(name, sizeof(name), "IPv%d %s/%s", k ? 6 : 4, service->namespace_,
				 service->name);
			if (service->health_node_port && has_family(service, k ? 6 : 4))
				json_object_set_new(ports, name,
						    json_integer(service->health_node_port));
			if (service->local_ready[k])
				json_object_set_new(ready, name,
						    json_integer(service->local_ready[k]));
		}
	}
	compare_objects(check, where, "healthCheckNodePorts",
			json_object_get(expected, "healthCheckNodePorts"), ports);
	compare_objects(check, where, "localReadyEndpoints",
			json_object_get(expected, "localReadyEndpoints"), ready);
	check_count_since(check, ITEM_HEALTH, lines);
}

void state_check(struct check *check, const struct state *state, const struct store *store,
		 const struct resolve_node *node, const json_t *expected, const char *where)
{
	const json_t *ports = json_object_get(expected, "servicePorts"), *port;
	size_t i;

	json_array_foreach (ports, i, port) {
		size_t lines = check->lines;

		compare_port(check, store, state, node, port, where);
		check_count_since(check, ITEM_PORT, lines);
	}
	compare_surplus(check, state, ports, where);
	compare_health(check, state, expected, where);
}
