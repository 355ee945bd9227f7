/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/explain/world.h"

#include <arpa/inet.h>
#include <errno.h>

#include "controlplane/store/intern.h"

int world_node_init(struct world_node *node, const struct config *config, const struct store *store,
		    const struct node_own *own)
{
	const struct node *object = store_node(store);
	struct node_facts facts;

	node_facts_fill(config, store, own, &facts);
	*node = (struct world_node) {
		.resolve = {
			.name = intern_get(config->node_name),
			.zone = intern_get(object && object->zone ? object->zone : ""),
			.ip4 = facts.ip4,
			.ip6 = facts.ip6,
		},
		.config = facts.resolve,
		.node = facts.entry,
		.addresses = own->addresses,
		.n_addresses = own->n_addresses,
	};
	if (node->resolve.name && node->resolve.zone)
		return 0;
	world_node_done(node);
	return -ENOMEM;
}

void world_node_done(struct world_node *node)
{
	intern_put(node->resolve.name);
	intern_put(node->resolve.zone);
	node->resolve.name = node->resolve.zone = NULL;
}

struct gather {
	struct world *world;
	const struct world_node *node;
	const struct decide_packet *packet;
	int err;
};

static bool lists(const struct object_address *list, size_t n, const struct decide_packet *packet)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].family == packet->family && ip_equal(&list[i].addr, &packet->daddr))
			return true;
	return false;
}

/* Could resolve() make a frontend of it that the packet has to do with? */
static bool concerns(const struct service *service, const struct decide_packet *packet)
{
	bool has_ip = packet->family == 4 ? service->has_ip4 : service->has_ip6;
	const struct sl_addr *ip = packet->family == 4 ? &service->ip4 : &service->ip6;

	if (has_ip && ip_equal(ip, &packet->daddr))
		return true;
	for (size_t i = 0; i < service->n_ports; i++)
		if (service->ports[i].node_port == ntohs(packet->dport))
			return true;
	return lists(service->vips, service->n_vips, packet) ||
	       lists(service->external_ips, service->n_external_ips, packet);
}

static int add(struct world *world, struct resolved *service)
{
	if (world->n_services == world->room) {
		size_t room = 2 * world->room + 4;
		struct resolved **services =
			realloc(world->services, room * sizeof(struct resolved *));

		if (!services)
			return -ENOMEM;
		world->services = services;
		world->room = room;
	}
	world->services[world->n_services++] = service;
	return 0;
}

static void take(void *context, const struct store_service *s)
{
	struct gather *gather = context;
	sl_auto(resolved) resolved = NULL;

	if (gather->err || !concerns(s->service, gather->packet))
		return;
	gather->err = resolve_service(s->namespace_, s->name, s->service, s->slices, s->n_slices,
				      &gather->node->resolve, &gather->node->config, &resolved);
	if (!gather->err)
		gather->err = add(gather->world, resolved);
	if (!gather->err)
		resolved = NULL;
}

int world_new(const struct store *store, const struct world_node *node,
	      const struct decide_packet *packet, struct world **ret)
{
	sl_auto(world) world = calloc(1, sizeof(*world));
	struct gather gather = { .node = node, .packet = packet };

	if (!world)
		return -ENOMEM;
	gather.world = world;
	store_each(store, take, &gather);
	if (gather.err)
		return gather.err;
	world->decide = (struct decide_world) {
		.services = world->services,
		.n_services = world->n_services,
		.addresses = node->addresses,
		.n_addresses = node->n_addresses,
		.node = node->node,
	};
	*ret = sl_take(world);
	return 0;
}

void world_free(struct world *world)
{
	if (!world)
		return;
	for (size_t i = 0; i < world->n_services; i++)
		resolved_free(world->services[i]);
	free(world->services);
	free(world);
}
