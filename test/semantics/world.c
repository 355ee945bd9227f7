/* SPDX-License-Identifier: Apache-2.0 */

#include "test/semantics/world.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/route.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "common/log.h"
#include "controlplane/attach/attach.h"
#include "controlplane/attach/cgroup.h"
#include "controlplane/checks.h"
#include "controlplane/node_ports.h"
#include "controlplane/sync.h"
#include "test/semantics/cgroups.h"
#include "test/semantics/netns.h"
#include "test/semantics/settings.h"

#define INSTANCE      "check"
#define ADDRESSES_MAX 256
#define IFACES_MAX    32

struct world {
	const char *name;
	const json_t *profile;
	uv_loop_t loop;
	char root[96]; /* of the pins */
	struct config *config;
	struct netns netns;
	struct cgroups cgroups;
	struct datapath *datapath;
	struct tables *tables;
	struct attach_override *overrides;
	struct attach *attach;
	struct node_own own;
	uint32_t ifaces[IFACES_MAX];
	size_t n_ifaces;
	/* Of the case at hand. */
	struct store *store;
	struct checks *checks;
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

static void take_address(void *context, const struct sl_addr *addr, uint8_t family)
{
	struct node_own *own = context;

	if (own->n_addresses < ADDRESSES_MAX)
		own->addresses[own->n_addresses++] =
			(struct tables_address) { .addr = *addr, .family = family };
}

static void take_iface(void *context, uint32_t ifindex, const struct sl_iface *iface)
{
	struct world *world = context;

	tables_set_iface(world->tables, ifindex, iface);
	if (world->n_ifaces < IFACES_MAX)
		world->ifaces[world->n_ifaces++] = ifindex;
}

static void on_interfaces(void *context)
{
	struct world *world = context;

	world->n_ifaces = 0;
	attach_each_iface(world->attach, take_iface, world);
	world->own.n_addresses = 0;
	attach_each_address(world->attach, take_address, &world->own);
	world->own.snat = attach_node(world->attach);
	if (world->sync)
		sync_own_changed(world->sync);
}

static int on_addresses(void *context)
{
	struct world *world = context;
	const struct config *config = world->config;
	int r;

	for (size_t i = 0; i < world->own.n_addresses; i++) {
		struct tables_address *address = &world->own.addresses[i];

		address->node_port =
			node_ports_serve(config->node_port_addresses, config->n_node_port_addresses,
					 store_node(world->store), &address->addr, address->family);
	}
	r = tables_set_addresses(world->tables, world->own.addresses, world->own.n_addresses);
	checks_addresses(world->checks, world->own.addresses, world->own.n_addresses);
	return r;
}

static int open_datapath(struct world *world, char error[512])
{
	struct datapath_options options = { .root = world->root, .instance = INSTANCE };
	uint64_t netns;
	int err = cgroup_netns_cookie(&netns);

	if (err) {
		snprintf(error, 512, "the network namespace has no cookie: %s", strerror(-err));
		return err;
	}
	settings_fill(world->config, &options);
	options.config.netns = netns;
	options.config.can_refuse = 1;
	err = datapath_open(&options, &world->datapath, error);
	return err ?: tables_new(&world->loop, world->datapath, &world->tables, error);
}

static int attach_links(struct world *world, char error[512])
{
	const struct config *config = world->config;
	struct attach_options options = {
		.loop = &world->loop,
		.ingress = datapath_program(world->datapath, DATAPATH_INGRESS),
		.egress = datapath_program(world->datapath, DATAPATH_EGRESS),
		.xdp = datapath_program(world->datapath, DATAPATH_XDP),
		.links = datapath_links_folder(world->datapath),
		.n_overrides = config->n_interfaces,
		.xdp_mode = ATTACH_XDP_OFF,
		.detect = settings_detect(config),
		.changed = on_interfaces,
		.context = world,
	};

	world->overrides = calloc(config->n_interfaces + 1, sizeof(*world->overrides));
	world->own.addresses = calloc(ADDRESSES_MAX, sizeof(*world->own.addresses));
	if (!world->overrides || !world->own.addresses)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_interfaces; i++) {
		world->overrides[i].name = config->interfaces[i].name;
		world->overrides[i].role = config->interfaces[i].role;
	}
	options.overrides = world->overrides;
	return attach_new(&options, &world->attach, error);
}

static int attach_sockets(struct world *world, char error[512])
{
	struct cgroup cgroup = { 0 };
	int fd[CGROUP_HOOK_MAX];
	int err = cgroups_enter(&world->cgroups, error);

	if (err)
		return err;
	for (int hook = 0; hook < CGROUP_HOOK_MAX; hook++)
		fd[hook] = datapath_program(world->datapath, DATAPATH_CONNECT4 + hook);
	err = cgroup_attach(datapath_links_folder(world->datapath), world->cgroups.path, fd,
			    &cgroup);
	if (err)
		snprintf(error, 512, "%s", cgroup.why);
	return err;
}

int world_new(const char *name, const json_t *profile, const json_t *cases, struct world **ret,
	      char error[512])
{
	struct world *world = calloc(1, sizeof(*world));
	int err;

	if (!world)
		return -ENOMEM;
	world->name = name;
	world->profile = profile;
	world->netns = (struct netns) { -1, -1 };
	snprintf(world->root, sizeof(world->root), "/sys/fs/bpf/semantics-check-%d", getpid());
	uv_loop_init(&world->loop);
	err = settings_of(profile, name, &world->config, error);
	err = err ?: netns_make(profile, name, cases, &world->netns, error);
	err = err ?: open_datapath(world, error);
	err = err ?: attach_links(world, error);
	err = err ?: attach_sockets(world, error);
	if (err) {
		world_free(world);
		return err;
	}
	*ret = world;
	return 0;
}

void world_free(struct world *world)
{
	if (!world)
		return;
	if (world->datapath) {
		attach_remove(datapath_links_folder(world->datapath));
		cgroup_detach(datapath_links_folder(world->datapath));
	}
	attach_free(world->attach);
	tables_free(world->tables);
	uv_run(&world->loop, UV_RUN_DEFAULT);
	datapath_close(world->datapath);
	uv_loop_close(&world->loop);
	datapath_remove(world->root, INSTANCE);
	rmdir(world->root);
	cgroups_leave(&world->cgroups);
	netns_close(&world->netns);
	config_free(world->config);
	free(world->overrides);
	free(world->own.addresses);
	free(world);
}

/* A health check's server that can't listen is no case's business. */
static void on_failed(void *context, const char *namespace_, const char *name, const char *message)
{
	(void)context;
	log_error("semantics-check: %s/%s: %s", namespace_, name, message);
}

int world_begin(struct world *world, struct store *store)
{
	struct checks_options checks = {
		.loop = &world->loop,
		.config = world->config,
		.store = store,
		.failed = on_failed,
	};
	struct sync_options options = {
		.loop = &world->loop,
		.config = world->config,
		.store = store,
		.tables = world->tables,
		.own = &world->own,
		.addresses_changed = on_addresses,
		.context = world,
	};

	world->store = store;
	if (checks_new(&checks, &world->checks))
		return -ENOMEM;
	options.checks = world->checks;
	world->sync = sync_new(&options);
	return world->sync ? 0 : -ENOMEM;
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
	checks_free(world->checks);
	turn(world);
	world->sync = NULL;
	world->checks = NULL;
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

	if (!netns_is_bridge(world->profile, iif))
		return if_nametoindex(iif);
	snprintf(port, sizeof(port), NETNS_PORT, iif);
	return if_nametoindex(port);
}

bool world_uplink(const struct world *world, char ret[16])
{
	const char *name = netns_uplink(world->profile);

	if (name)
		snprintf(ret, 16, "%s", name);
	return name;
}

bool world_is_own(const struct world *world, const struct sl_addr *addr, uint8_t family)
{
	for (size_t i = 0; i < world->own.n_addresses; i++)
		if (world->own.addresses[i].family == family &&
		    ip_equal(&world->own.addresses[i].addr, addr))
			return true;
	return false;
}

bool world_has_link(const struct world *world, const struct sl_addr *addr, uint8_t family)
{
	const json_t *item;
	size_t i;

	json_array_foreach (json_object_get(json_object_get(world->profile, "interfaces"), "lo"), i,
			    item) {
		struct ip_prefix prefix;
		char text[IP_TEXT_MAX];

		snprintf(text, sizeof(text), "%.50s", json_string_value(item));
		text[strcspn(text, "/")] = '\0';
		if (ip_parse(text, &prefix.addr) == family && ip_equal(&prefix.addr, addr))
			return false;
	}
	return world_is_own(world, addr, family);
}

static bool is_ours(const struct world *world, uint32_t ifindex)
{
	for (size_t i = 0; i < world->n_ifaces; i++)
		if (world->ifaces[i] == ifindex)
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
