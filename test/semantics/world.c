/* SPDX-License-Identifier: Apache-2.0 */

#include "test/semantics/world.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/route.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "controlplane/attach/attach.h"
#include "controlplane/node_ports.h"
#include "controlplane/sync.h"
#include "test/semantics/netns.h"
#include "test/semantics/settings.h"

#define INSTANCE      "check"
#define ADDRESSES_MAX 64
#define IFACES_MAX    32

struct own {
	struct sl_addr addr;
	uint8_t family;
};

/* A profile's node. */
struct node_place {
	char *name;
	const json_t *profile; /* of the file's */
	struct netns netns;
	struct config *config;
	struct attach *attach;
	struct attach_override *overrides;
	char links[128]; /* folder of its links' pins */
	uint32_t ifaces[IFACES_MAX];
	size_t n_ifaces;
	struct own own[ADDRESSES_MAX];
	size_t n_own;
};

struct world {
	uv_loop_t loop;
	char root[96];
	struct datapath *datapath;
	struct tables *tables;
	struct node_place *places[64];
	size_t n_places, n_made;
	struct node_place *here;
	/* Of the case at hand. */
	struct store *store;
	struct sync *sync;
};

struct datapath *world_datapath(const struct world *world)
{
	return world->datapath;
}

static void turn(struct world *world)
{
	for (int i = 0; i < 4; i++)
		uv_run(&world->loop, UV_RUN_NOWAIT);
}

int world_new(struct world **ret, char error[512])
{
	struct world *world = calloc(1, sizeof(*world));
	struct datapath_options options = { .instance = INSTANCE };
	json_t *nothing = json_pack("{s:s}", "nodeName", "none");
	struct config *config = NULL;
	int err;

	snprintf(world->root, sizeof(world->root), "/sys/fs/bpf/semantics-check-%d", getpid());
	uv_loop_init(&world->loop);
	options.root = world->root;
	err = settings_of(nothing, "none", &config, error);
	json_decref(nothing);
	if (!err) {
		settings_fill(config, &options);
		err = datapath_open(&options, &world->datapath, error);
	}
	config_free(config);
	if (!err)
		err = tables_new(&world->loop, world->datapath, &world->tables, error);
	if (err) {
		world_free(world);
		return err;
	}
	*ret = world;
	return 0;
}

static void place_free(struct node_place *place)
{
	attach_free(place->attach);
	config_free(place->config);
	netns_close(&place->netns);
	free(place->overrides);
	free(place->name);
}

void world_leave(struct world *world)
{
	for (size_t i = 0; i < world->n_places; i++) {
		struct node_place *place = world->places[i];

		if (setns(place->netns.node, CLONE_NEWNET) == 0)
			attach_remove(place->links);
		rmdir(place->links);
		place_free(place);
		turn(world);
		free(place);
	}
	world->n_places = 0;
	world->here = NULL;
}

void world_free(struct world *world)
{
	if (!world)
		return;
	world_leave(world);
	tables_free(world->tables);
	uv_run(&world->loop, UV_RUN_DEFAULT);
	datapath_close(world->datapath);
	uv_loop_close(&world->loop);
	datapath_remove(world->root, INSTANCE);
	rmdir(world->root);
	free(world);
}

/* Addresses on their way to the tables. */
struct collecting {
	struct world *world;
	struct tables_address items[ADDRESSES_MAX];
	size_t n;
};

static void take_address(void *context, const struct sl_addr *addr, uint8_t family)
{
	struct collecting *list = context;
	const struct config *config = list->world->here->config;
	const struct store *store = list->world->store;

	if (list->n == ADDRESSES_MAX)
		return;
	list->items[list->n++] = (struct tables_address) {
		.addr = *addr,
		.family = family,
		.node_port =
			node_ports_serve(config->node_port_addresses, config->n_node_port_addresses,
					 store ? store_node(store) : NULL, addr, family),
	};
}

static void take_iface(void *context, uint32_t ifindex, const struct sl_iface *iface)
{
	struct world *world = context;
	struct node_place *place = world->here;

	tables_set_iface(world->tables, ifindex, iface);
	if (place->n_ifaces < IFACES_MAX)
		place->ifaces[place->n_ifaces++] = ifindex;
}

/* The node's interfaces, addresses or its Node object changed. */
static void on_node(void *context)
{
	struct world *world = context;
	struct collecting list = { .world = world };

	if (!world->here || !world->here->attach)
		return;
	world->here->n_ifaces = 0;
	attach_each_iface(world->here->attach, take_iface, world);
	attach_each_address(world->here->attach, take_address, &list);
	tables_set_addresses(world->tables, list.items, list.n);
	world->here->n_own = 0;
	for (size_t i = 0; i < list.n; i++)
		world->here->own[world->here->n_own++] =
			(struct own) { list.items[i].addr, list.items[i].family };
}

static int attach_place(struct world *world, struct node_place *place, char error[512])
{
	const struct config *config = place->config;
	struct attach_options options = {
		.loop = &world->loop,
		.ingress = datapath_program(world->datapath, DATAPATH_INGRESS),
		.egress = datapath_program(world->datapath, DATAPATH_EGRESS),
		.xdp = datapath_program(world->datapath, DATAPATH_XDP),
		.links = place->links,
		.n_overrides = config->n_interfaces,
		.xdp_mode = ATTACH_XDP_OFF,
		.changed = on_node,
		.context = world,
	};

	place->overrides = calloc(config->n_interfaces + 1, sizeof(*place->overrides));
	if (!place->overrides)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_interfaces; i++) {
		place->overrides[i].name = config->interfaces[i].name;
		place->overrides[i].role = config->interfaces[i].role;
	}
	options.overrides = place->overrides;
	return attach_new(&options, &place->attach, error);
}

/* The old node's interfaces are none of the new one's. */
static void clear_ifaces(struct world *world)
{
	static const struct sl_iface none;

	for (size_t i = 0; world->here && i < world->here->n_ifaces; i++)
		tables_set_iface(world->tables, world->here->ifaces[i], &none);
}

static int make_place(struct world *world, const char *name, const json_t *profile,
		      const json_t *cases, char error[512])
{
	struct node_place *place = calloc(1, sizeof(*place));
	int err;

	place->name = strdup(name);
	place->profile = profile;
	snprintf(place->links, sizeof(place->links), "%s/links-%zu", world->root, world->n_made++);
	err = netns_make(profile, name, cases, &place->netns, error);
	if (!err)
		err = settings_of(profile, name, &place->config, error);
	if (!err && mkdir(place->links, 0700)) {
		err = -errno;
		snprintf(error, 512, "%s: %s", place->links, strerror(errno));
	}
	if (!err) {
		clear_ifaces(world);
		world->here = place;
		err = attach_place(world, place, error);
	}
	if (err) {
		world->here = NULL;
		place_free(place);
		free(place);
		return err;
	}
	world->places[world->n_places++] = place;
	return 0;
}

int world_enter(struct world *world, const char *name, const json_t *profile, const json_t *cases,
		char error[512])
{
	if (world->here && strcmp(world->here->name, name) == 0)
		return 0;
	for (size_t i = 0; i < world->n_places; i++) {
		if (strcmp(world->places[i]->name, name) != 0)
			continue;
		if (setns(world->places[i]->netns.node, CLONE_NEWNET))
			return -errno;
		clear_ifaces(world);
		world->here = world->places[i];
		return 0;
	}
	if (world->n_places == SL_COUNT(world->places)) {
		snprintf(error, 512, "more than %zu profiles", SL_COUNT(world->places));
		return -E2BIG;
	}
	return make_place(world, name, profile, cases, error);
}

int world_begin(struct world *world, struct store *store)
{
	struct sync_options options = {
		.loop = &world->loop,
		.config = world->here->config,
		.store = store,
		.tables = world->tables,
		.node_changed = on_node,
		.context = world,
	};

	world->store = store;
	world->sync = sync_new(&options);
	if (!world->sync)
		return -ENOMEM;
	on_node(world);
	return 0;
}

void world_sync(struct world *world)
{
	sync_kick(world->sync);
	turn(world);
}

static json_int_t described(const struct world *world, const char *key)
{
	json_t *object = json_object();
	json_t *value;
	json_int_t result;

	sync_describe(world->sync, object);
	value = json_object_get(object, key);
	result = json_is_integer(value) ? json_integer_value(value) : json_is_true(value);
	json_decref(object);
	return result;
}

bool world_programmed(const struct world *world)
{
	return !described(world, "pending");
}

size_t world_failed(const struct world *world)
{
	return (size_t)described(world, "failed");
}

json_t *world_status(const struct world *world)
{
	return tables_status(world->tables);
}

void world_end(struct world *world)
{
	/* Empty lists: everything in the store goes. */
	store_list_begin(world->store, OBJECT_SERVICE);
	store_list_end(world->store, OBJECT_SERVICE);
	store_list_begin(world->store, OBJECT_SLICE);
	store_list_end(world->store, OBJECT_SLICE);
	world_sync(world);
	sync_free(world->sync);
	turn(world);
	world->sync = NULL;
	world->store = NULL;
}

static void clear_map(struct world *world, enum datapath_map map)
{
	int fd = datapath_map(world->datapath, map);
	uint8_t key[64];

	while (bpf_map_get_next_key(fd, NULL, key) == 0 && bpf_map_delete_elem(fd, key) == 0)
		;
}

void world_forget_flows(struct world *world)
{
	static const enum datapath_map maps[] = { DATAPATH_new4,	 DATAPATH_new6,
						  DATAPATH_established4, DATAPATH_established6,
						  DATAPATH_snat4,	 DATAPATH_snat6 };

	for (size_t i = 0; i < SL_COUNT(maps); i++)
		clear_map(world, maps[i]);
}

void world_forget_clients(struct world *world)
{
	clear_map(world, DATAPATH_affinity4);
	clear_map(world, DATAPATH_affinity6);
}

uint32_t world_link(const struct world *world, const char *iif)
{
	char port[32];

	if (!netns_is_bridge(world->here->profile, iif))
		return if_nametoindex(iif);
	snprintf(port, sizeof(port), NETNS_PORT, iif);
	return if_nametoindex(port);
}

bool world_uplink(const struct world *world, char ret[16])
{
	const char *name = netns_uplink(world->here->profile);

	if (name)
		snprintf(ret, 16, "%s", name);
	return name;
}

bool world_is_own(const struct world *world, const struct sl_addr *addr, uint8_t family)
{
	for (size_t i = 0; i < world->here->n_own; i++)
		if (world->here->own[i].family == family &&
		    ip_equal(&world->here->own[i].addr, addr))
			return true;
	return false;
}

static bool is_ours(const struct world *world, uint32_t ifindex)
{
	for (size_t i = 0; i < world->here->n_ifaces; i++)
		if (world->here->ifaces[i] == ifindex)
			return true;
	return false;
}

/* The interface of the route to `dst`; 0: none. */
static uint32_t look_up(const struct sl_addr *dst, uint8_t family)
{
	struct nl_addr *addr =
		nl_addr_build(family == 4 ? AF_INET : AF_INET6, dst, family == 4 ? 4 : 16);
	struct nl_sock *sock = nl_socket_alloc();
	struct rtnl_route *route = NULL;
	uint32_t ifindex = 0;

	if (sock && addr && nl_connect(sock, NETLINK_ROUTE) == 0 &&
	    rtnl_route_lookup(sock, addr, &route) == 0 && rtnl_route_get_nnexthops(route) > 0)
		ifindex = rtnl_route_nh_get_ifindex(rtnl_route_nexthop_n(route, 0));
	rtnl_route_put(route);
	nl_socket_free(sock);
	nl_addr_put(addr);
	return ifindex;
}

size_t world_route(struct world *world, const struct sl_addr *dst, uint8_t family,
		   uint32_t ret[WORLD_ROUTE_MAX])
{
	char name[IF_NAMESIZE] = "";
	uint32_t ifindex = world_is_own(world, dst, family) ? 0 : look_up(dst, family);
	uint32_t port;
	size_t n = 0;

	if (!ifindex || !if_indextoname(ifindex, name))
		return 0;
	port = world_link(world, name);
	if (is_ours(world, ifindex))
		ret[n++] = ifindex;
	if (port != ifindex && is_ours(world, port))
		ret[n++] = port;
	return n;
}
