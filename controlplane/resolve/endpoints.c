/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/resolve/endpoints.h"

enum topology { EVERYWHERE, SAME_NODE, SAME_ZONE };

static int compare(const void *a_, const void *b_)
{
	const struct candidate *a = a_, *b = b_;
	int order = strcmp(a->text, b->text);

	if (order)
		return order;
	return a->order < b->order ? -1 : a->order > b->order;
}

static bool feeds(const struct slice_port *port, const char *name, uint8_t proto)
{
	return port->name == name && port->proto == proto;
}

/* How many candidates there are before duplicates are merged. */
static size_t count(const struct slice *const *slices, size_t n_slices, uint8_t family,
		    const char *name, uint8_t proto)
{
	size_t n = 0;

	for (size_t i = 0; i < n_slices; i++) {
		if (slices[i]->family != family)
			continue;
		for (size_t p = 0; p < slices[i]->n_ports; p++)
			if (feeds(&slices[i]->ports[p], name, proto))
				n += slices[i]->n_endpoints;
	}
	return n;
}

/* Appends a slice's endpoints under one of its ports. Returns the new count. */
static size_t append(const struct slice *slice, uint16_t port, const struct resolve_node *node,
		     struct candidate *list, size_t n)
{
	for (size_t i = 0; i < slice->n_endpoints; i++) {
		const struct endpoint *endpoint = &slice->endpoints[i];
		struct candidate *candidate = &list[n];

		candidate->endpoint = endpoint;
		candidate->port = htons(port);
		candidate->local = endpoint->node && endpoint->node == node->name;
		candidate->order = n++;
		ip_format_port(&endpoint->addr, slice->family, candidate->port, candidate->text);
	}
	return n;
}

/*
 * S-074: of the entries for one ip:port, which lie together in order of
 * appearance, the last that is not terminating, else the first.
 */
static size_t merge_duplicates(struct candidate *list, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (!kept || strcmp(list[kept - 1].text, list[i].text))
			list[kept++] = list[i];
		else if (!list[i].endpoint->terminating)
			list[kept - 1] = list[i];
	}
	return kept;
}

int endpoints_merge(const struct slice *const *slices, size_t n_slices, uint8_t family,
		    const char *name, uint8_t proto, const struct resolve_node *node,
		    struct candidate **ret, size_t *ret_n)
{
	size_t n = count(slices, n_slices, family, name, proto);
	struct candidate *list = n ? calloc(n, sizeof(*list)) : NULL;

	if (n && !list)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < n_slices; i++) {
		if (slices[i]->family != family)
			continue;
		for (size_t p = 0; p < slices[i]->n_ports; p++)
			if (feeds(&slices[i]->ports[p], name, proto))
				n = append(slices[i], slices[i]->ports[p].port, node, list, n);
	}
	if (n)
		qsort(list, n, sizeof(*list), compare);
	*ret_n = merge_duplicates(list, n);
	*ret = list;
	return 0;
}

static bool has_name(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (names[i] == name)
			return true;
	return false;
}

static bool hints_at(const struct endpoint *endpoint, enum topology topology,
		     const struct resolve_node *node)
{
	switch (topology) {
	case SAME_NODE:
		return has_name(endpoint->nodes, endpoint->n_nodes, node->name);
	case SAME_ZONE:
		return has_name(endpoint->zones, endpoint->n_zones, node->zone);
	case EVERYWHERE:
		break;
	}
	return true;
}

/* S-092, S-095 */
static enum topology find_topology(const struct candidate *candidates, size_t n,
				   const struct resolve_node *node)
{
	bool all_nodes = true, all_zones = true, this_node = false, this_zone = false;

	for (size_t i = 0; i < n; i++) {
		const struct endpoint *endpoint = candidates[i].endpoint;

		if (!endpoint->ready)
			continue;
		all_nodes = all_nodes && endpoint->n_nodes;
		all_zones = all_zones && endpoint->n_zones;
		this_node = this_node || hints_at(endpoint, SAME_NODE, node);
		this_zone = this_zone || hints_at(endpoint, SAME_ZONE, node);
	}
	if (all_nodes && this_node)
		return SAME_NODE;
	return all_zones && this_zone ? SAME_ZONE : EVERYWHERE;
}

/* S-098: what is left to use when no endpoint is ready. */
static bool is_fallback(const struct endpoint *endpoint)
{
	return endpoint->serving && endpoint->terminating;
}

/* S-091. Returns whether the set has members. */
static bool choose_cluster(struct candidate *candidates, size_t n, const struct resolve_node *node)
{
	enum topology topology = find_topology(candidates, n, node);
	bool found = false;

	for (size_t i = 0; i < n; i++) {
		const struct endpoint *endpoint = candidates[i].endpoint;

		if (!endpoint->ready || !hints_at(endpoint, topology, node))
			continue;
		candidates[i].sets |= 1 << SL_SET_CLUSTER;
		found = true;
	}
	if (found)
		return true;
	for (size_t i = 0; i < n; i++) {
		if (!is_fallback(candidates[i].endpoint))
			continue;
		candidates[i].sets |= 1 << SL_SET_CLUSTER;
		found = true;
	}
	return found;
}

/* S-096. Returns whether the set has members. */
static bool choose_local(struct candidate *candidates, size_t n)
{
	bool found = false;

	for (size_t i = 0; i < n; i++) {
		if (!candidates[i].local || !candidates[i].endpoint->ready)
			continue;
		candidates[i].sets |= 1 << SL_SET_LOCAL;
		found = true;
	}
	if (found)
		return true;
	for (size_t i = 0; i < n; i++) {
		if (!candidates[i].local || !is_fallback(candidates[i].endpoint))
			continue;
		candidates[i].sets |= 1 << SL_SET_LOCAL;
		found = true;
	}
	return found;
}

struct endpoint_choice endpoints_choose(struct candidate *candidates, size_t n, bool use_cluster,
					bool use_local, const struct resolve_node *node)
{
	struct endpoint_choice choice = { 0 };

	for (size_t i = 0; i < n; i++)
		candidates[i].sets = 0;
	if (use_cluster)
		choice.has_cluster = choose_cluster(candidates, n, node);
	if (use_local)
		choice.has_local = choose_local(candidates, n);
	choice.has_any = choice.has_cluster;
	for (size_t i = 0; i < n && use_local && !choice.has_any; i++)
		choice.has_any =
			candidates[i].endpoint->ready || is_fallback(candidates[i].endpoint);
	return choice;
}

/* Whether an earlier port of the slices has the same name and protocol. */
static bool seen_before(const struct slice *const *slices, size_t slice, size_t port,
			uint8_t family)
{
	const struct slice_port *own = &slices[slice]->ports[port];

	for (size_t i = 0; i <= slice; i++) {
		size_t n = i < slice ? slices[i]->n_ports : port;

		if (slices[i]->family != family)
			continue;
		for (size_t p = 0; p < n; p++)
			if (feeds(&slices[i]->ports[p], own->name, own->proto))
				return true;
	}
	return false;
}

static bool has_local_ready(const struct slice *slice, uint8_t family,
			    const struct resolve_node *node)
{
	for (size_t i = 0; slice->family == family && i < slice->n_endpoints; i++)
		if (slice->endpoints[i].ready && slice->endpoints[i].node == node->name)
			return true;
	return false;
}

/* Addresses that are counted, each once; there is room for every endpoint. */
struct counted {
	struct sl_addr *addrs;
	uint32_t n;
};

static int count_port(const struct slice *const *slices, size_t n_slices, uint8_t family,
		      const struct slice_port *port, const struct resolve_node *node,
		      struct counted *counted)
{
	sl_auto_mem struct candidate *list = NULL;
	size_t n;
	int err =
		endpoints_merge(slices, n_slices, family, port->name, port->proto, node, &list, &n);

	for (size_t i = 0; i < n && !err; i++) {
		const struct sl_addr *addr = &list[i].endpoint->addr;
		uint32_t at = 0;

		if (!list[i].local || !list[i].endpoint->ready)
			continue;
		while (at < counted->n && !ip_equal(&counted->addrs[at], addr))
			at++;
		counted->addrs[at] = *addr;
		counted->n += at == counted->n;
	}
	return err;
}

int endpoints_count_ready(const struct slice *const *slices, size_t n_slices, uint8_t family,
			  const struct resolve_node *node, uint32_t *ret)
{
	struct counted counted = { 0 };
	sl_auto_mem struct sl_addr *room = NULL;
	size_t n = 0;
	bool any = false;
	int err = 0;

	for (size_t i = 0; i < n_slices; i++) {
		n += slices[i]->n_endpoints;
		any = any || has_local_ready(slices[i], family, node);
	}
	/* So it is for most services on most nodes. */
	if (any) {
		room = calloc(n, sizeof(*room));
		if (!room)
			return -ENOMEM;
		counted.addrs = room;
	}
	for (size_t i = 0; any && i < n_slices; i++) {
		if (slices[i]->family != family)
			continue;
		for (size_t p = 0; p < slices[i]->n_ports && !err; p++)
			if (!seen_before(slices, i, p, family))
				err = count_port(slices, n_slices, family, &slices[i]->ports[p],
						 node, &counted);
	}
	if (err)
		return err;
	*ret = counted.n;
	return 0;
}
