/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/attach/role.h"

#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/ip.h"

enum sort {
	OTHER, /* judged by its routes alone */
	TUNNEL,
	UPLINK,
	BUNDLE,
	POD_LINK,
	BRIDGE,
	NOTHING,
};

/* Kinds as rtnetlink names them, in lists by what they are to us. */
static const char *const kinds[][12] = {
	[TUNNEL] = { "vxlan", "geneve", "wireguard", "ipip", "ip6tnl", "sit", "gre", "gretap",
		     "ip6gre", "ip6gretap" },
	[UPLINK] = { "vlan", "macvlan", "ipvlan" },
	[BUNDLE] = { "bond", "team" },
	[POD_LINK] = { "veth", "netkit" },
	[BRIDGE] = { "bridge", "openvswitch" },
	[NOTHING] = { "dummy", "ifb", "nlmon" },
};

static enum sort sort_of(const struct inventory_link *link)
{
	if (link->type == ARPHRD_LOOPBACK)
		return NOTHING;
	for (size_t sort = 0; sort < SL_COUNT(kinds); sort++)
		for (size_t i = 0; i < SL_COUNT(kinds[sort]) && kinds[sort][i]; i++)
			if (strcmp(link->kind, kinds[sort][i]) == 0)
				return (enum sort)sort;
	/* Hardware has no kind; but neither have a few odd devices of L3 only. */
	if (!link->kind[0] && (link->type == ARPHRD_ETHER || link->type == ARPHRD_INFINIBAND))
		return UPLINK;
	return OTHER;
}

__attribute__((format(printf, 3, 4))) static void set(struct role *ret, enum sl_role role,
						      const char *format, ...)
{
	va_list args;

	ret->role = role;
	va_start(args, format);
	vsnprintf(ret->why, sizeof(ret->why), format, args);
	va_end(args);
}

/* Says so if its routes make it an uplink. */
static bool set_by_routes(const struct inventory_link *link, struct role *ret)
{
	if (link->routes & INVENTORY_DEFAULT)
		set(ret, SL_ROLE_UPLINK, "carries the default route");
	else if (link->routes & INVENTORY_GATEWAY)
		set(ret, SL_ROLE_UPLINK, "carries routes by a gateway");
	else
		return false;
	return true;
}

static void decide_uplink(const struct inventory_link *link, const struct inventory_link *master,
			  struct role *ret)
{
	enum sort above = master ? sort_of(master) : OTHER;

	/* The bundle sees every packet of its members. A network device as
	 * master is one too: that of a virtual function which may come and go. */
	if (above == BUNDLE || above == UPLINK) {
		set(ret, SL_ROLE_NONE, "member of %s, which has the programs", master->name);
		return;
	}
	if (set_by_routes(link, ret))
		return;
	if (above == BRIDGE && master->routes & INVENTORY_DEFAULT)
		set(ret, SL_ROLE_UPLINK, "port of %s, which carries the default route",
		    master->name);
	else if (above == BRIDGE)
		set(ret, SL_ROLE_UPLINK, "port of %s, leads out of this machine", master->name);
	else
		set(ret, SL_ROLE_UPLINK, "%s device", link->kind[0] ? link->kind : "network");
}

static void decide_pod_link(const struct inventory_link *link, const struct inventory_link *master,
			    struct role *ret)
{
	if (set_by_routes(link, ret))
		return;
	if (!link->elsewhere)
		set(ret, SL_ROLE_NONE, "both ends are in this network namespace");
	else if (master && sort_of(master) == BRIDGE)
		set(ret, SL_ROLE_POD, "%s into another network namespace, port of %s", link->kind,
		    master->name);
	else if (link->routes & INVENTORY_HOST)
		set(ret, SL_ROLE_POD, "%s into another network namespace, with a host route",
		    link->kind);
	else
		set(ret, SL_ROLE_POD, "%s into another network namespace", link->kind);
}

void role_decide(const struct inventory *inventory, const struct inventory_link *link,
		 const struct attach_override *overrides, size_t n_overrides, struct role *ret)
{
	const struct inventory_link *master =
		link->master ? inventory_find(inventory, link->master) : NULL;

	for (size_t i = n_overrides; i-- > 0;)
		if (strcmp(overrides[i].name, link->name) == 0) {
			set(ret, overrides[i].role, "set by configuration");
			return;
		}

	switch (sort_of(link)) {
	case TUNNEL:
		set(ret, SL_ROLE_TUNNEL, "%s tunnel", link->kind);
		break;
	case UPLINK:
	case BUNDLE:
		decide_uplink(link, master, ret);
		break;
	case POD_LINK:
		decide_pod_link(link, master, ret);
		break;
	case BRIDGE:
		set(ret, SL_ROLE_NONE, "%s: its ports have the programs", link->kind);
		break;
	case NOTHING:
		set(ret, SL_ROLE_NONE, "%s leads nowhere", link->kind[0] ? link->kind : "loopback");
		break;
	case OTHER:
		if (!set_by_routes(link, ret))
			set(ret, SL_ROLE_NONE, "%s device without routes by a gateway",
			    link->kind[0] ? link->kind : "unknown");
	}
}

bool role_wants_xdp(const struct inventory *inventory, const struct inventory_link *link,
		    enum attach_xdp mode, char why[ROLE_WHY_MAX])
{
	if (mode == ATTACH_XDP_OFF) {
		snprintf(why, ROLE_WHY_MAX, "switched off");
		return false;
	}
	if (mode == ATTACH_XDP_ON)
		return true;
	if (sort_of(link) == POD_LINK) {
		snprintf(why, ROLE_WHY_MAX, "not on a %s unless XDP is switched on", link->kind);
		return false;
	}
	/* A device that takes tags off hides them from XDP, which would take
	 * the VLAN's packets for the device's own. */
	for (size_t i = 0; i < inventory->n_links; i++) {
		const struct inventory_link *child = &inventory->links[i];

		if (child->lower == link->ifindex && !child->elsewhere &&
		    strcmp(child->kind, "vlan") == 0) {
			snprintf(why, ROLE_WHY_MAX, "tags of its VLAN %s may be hidden from XDP",
				 child->name);
			return false;
		}
	}
	return true;
}

/* Smaller is better; negative is unfit. */
static int rank(const struct inventory_address *address)
{
	if (address->scope != RT_SCOPE_UNIVERSE || ip_is_loopback(&address->addr, address->family))
		return -1;
	/* For IPv6 the same bit means temporary. */
	if (address->flags & (IFA_F_SECONDARY | IFA_F_DADFAILED))
		return -1;
	if (address->flags & IFA_F_TENTATIVE && !(address->flags & IFA_F_OPTIMISTIC))
		return 2;
	return address->flags & IFA_F_DEPRECATED ? 1 : 0;
}

static const struct sl_addr *primary(const struct inventory *inventory, uint32_t ifindex,
				     uint8_t family)
{
	const struct inventory_address *best = NULL;

	for (size_t i = 0; i < inventory->n_addresses; i++) {
		const struct inventory_address *address = &inventory->addresses[i];

		if (address->ifindex != ifindex || address->family != family || rank(address) < 0)
			continue;
		if (!best || rank(address) < rank(best))
			best = address;
	}
	return best ? &best->addr : NULL;
}

/* Fills in the addresses that `iface` has none of yet. */
static void take_addresses(const struct inventory *inventory, uint32_t ifindex,
			   struct sl_iface *iface)
{
	static const struct sl_addr none;
	const struct sl_addr *addr;

	if (!iface->addr4 && (addr = primary(inventory, ifindex, 4)))
		iface->addr4 = addr->w[0];
	if (ip_equal(&iface->addr6, &none) && (addr = primary(inventory, ifindex, 6)))
		iface->addr6 = *addr;
}

/* Its own, and those of the bridge that it is a port of. */
static void take_link_addresses(const struct inventory *inventory,
				const struct inventory_link *link, struct sl_iface *iface)
{
	take_addresses(inventory, link->ifindex, iface);
	if (link->master)
		take_addresses(inventory, link->master, iface);
}

static bool has_default_route(const struct inventory *inventory, const struct inventory_link *link)
{
	const struct inventory_link *master =
		link->master ? inventory_find(inventory, link->master) : NULL;

	return (link->routes | (master ? master->routes : 0)) & INVENTORY_DEFAULT;
}

struct sl_iface role_node(const struct inventory *inventory, const struct role *roles)
{
	struct sl_iface node = { 0 };

	for (int with_default = 1; with_default >= 0; with_default--)
		for (size_t i = 0; i < inventory->n_links; i++)
			if (roles[i].role == SL_ROLE_UPLINK &&
			    has_default_route(inventory, &inventory->links[i]) == with_default)
				take_link_addresses(inventory, &inventory->links[i], &node);
	for (size_t i = 0; i < inventory->n_links; i++)
		if (inventory->links[i].type == ARPHRD_LOOPBACK)
			take_addresses(inventory, inventory->links[i].ifindex, &node);
	return node;
}

struct sl_iface role_iface(const struct inventory *inventory, const struct inventory_link *link,
			   enum sl_role role, const struct sl_iface *node)
{
	struct sl_iface iface = { .role = (uint8_t)role };
	static const struct sl_addr none;

	take_link_addresses(inventory, link, &iface);
	if (!iface.addr4)
		iface.addr4 = node->addr4;
	if (ip_equal(&iface.addr6, &none))
		iface.addr6 = node->addr6;
	return iface;
}

bool role_is_pod_traffic(const struct inventory *inventory, const struct inventory_link *link,
			 enum sl_role role, const struct attach_detect *detect)
{
	const struct inventory_link *master =
		link->master ? inventory_find(inventory, link->master) : NULL;

	if (detect->role && role == SL_ROLE_POD)
		return true;
	if (detect->prefix && strncmp(link->name, detect->prefix, strlen(detect->prefix)) == 0)
		return true;
	return detect->bridge && (strcmp(link->name, detect->bridge) == 0 ||
				  (master && strcmp(master->name, detect->bridge) == 0));
}
