/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/attach/inventory.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define TRIES 5

/* Older headers lack it: leave counters out of the answer. */
#define SKIP_STATS 8

/* A dump in progress: what its messages are added to. */
struct dump {
	struct inventory *inventory;
	size_t room; /* of the array that is being filled */
	int family;  /* answers of another one are not for us */
	bool failed; /* no memory */
};

/* Makes room for one more of `size` bytes in `*array`, and clears it. */
static void *grow(struct dump *dump, void **array, size_t n, size_t size)
{
	if (n >= dump->room) {
		size_t room = dump->room ? dump->room * 2 : 32;
		void *larger = realloc(*array, room * size);

		if (!larger) {
			dump->failed = true;
			return NULL;
		}
		*array = larger;
		dump->room = room;
	}
	return memset((char *)*array + n * size, 0, size);
}

static uint32_t get_u32(struct nlattr *attr)
{
	return attr ? nla_get_u32(attr) : 0;
}

static void read_kind(struct nlattr *info, char kind[INVENTORY_KIND_MAX])
{
	struct nlattr *tb[IFLA_INFO_MAX + 1];

	if (info && nla_parse_nested(tb, IFLA_INFO_MAX, info, NULL) == 0 && tb[IFLA_INFO_KIND])
		nla_strlcpy(kind, tb[IFLA_INFO_KIND], INVENTORY_KIND_MAX);
}

static int on_link(struct nl_msg *msg, void *context)
{
	struct dump *dump = context;
	struct inventory *inventory = dump->inventory;
	struct nlattr *tb[IFLA_MAX + 1];
	struct ifinfomsg *info = nlmsg_data(nlmsg_hdr(msg));

	if (nlmsg_hdr(msg)->nlmsg_type != RTM_NEWLINK || info->ifi_family != AF_UNSPEC ||
	    nlmsg_parse(nlmsg_hdr(msg), sizeof(*info), tb, IFLA_MAX, NULL) < 0 || !tb[IFLA_IFNAME])
		return NL_OK;

	struct inventory_link *link =
		grow(dump, (void **)&inventory->links, inventory->n_links, sizeof(*link));
	if (!link)
		return NL_STOP;
	inventory->n_links++;
	link->ifindex = (uint32_t)info->ifi_index;
	link->type = info->ifi_type;
	link->mtu = get_u32(tb[IFLA_MTU]);
	link->master = get_u32(tb[IFLA_MASTER]);
	link->lower = get_u32(tb[IFLA_LINK]);
	link->elsewhere = tb[IFLA_LINK_NETNSID];
	nla_strlcpy(link->name, tb[IFLA_IFNAME], sizeof(link->name));
	read_kind(tb[IFLA_LINKINFO], link->kind);
	return NL_OK;
}

static int on_address(struct nl_msg *msg, void *context)
{
	struct dump *dump = context;
	struct inventory *inventory = dump->inventory;
	struct nlattr *tb[IFA_MAX + 1];
	struct ifaddrmsg *info = nlmsg_data(nlmsg_hdr(msg));
	int bytes = info->ifa_family == AF_INET ? 4 : 16;

	if (nlmsg_hdr(msg)->nlmsg_type != RTM_NEWADDR || info->ifa_family != dump->family ||
	    nlmsg_parse(nlmsg_hdr(msg), sizeof(*info), tb, IFA_MAX, NULL) < 0)
		return NL_OK;

	/* On a point-to-point link IFA_ADDRESS is the other end's. */
	struct nlattr *attr = tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS];
	if (!attr || nla_len(attr) != bytes)
		return NL_OK;

	struct inventory_address *address = grow(dump, (void **)&inventory->addresses,
						 inventory->n_addresses, sizeof(*address));
	if (!address)
		return NL_STOP;
	inventory->n_addresses++;
	address->ifindex = info->ifa_index;
	address->family = info->ifa_family == AF_INET ? 4 : 6;
	address->len = info->ifa_prefixlen;
	address->scope = info->ifa_scope;
	address->flags = tb[IFA_FLAGS] ? nla_get_u32(tb[IFA_FLAGS]) : info->ifa_flags;
	memcpy(&address->addr, nla_data(attr), (size_t)bytes);
	return NL_OK;
}

static void note_route(struct inventory *inventory, const struct rtmsg *route, uint32_t ifindex,
		       bool gateway)
{
	/* The inventory being filled is ours to write. */
	struct inventory_link *link = (struct inventory_link *)inventory_find(inventory, ifindex);
	int host = route->rtm_family == AF_INET ? 32 : 128;

	if (!link)
		return;
	if (route->rtm_dst_len == 0)
		link->routes |= INVENTORY_DEFAULT;
	if (gateway)
		link->routes |= INVENTORY_GATEWAY;
	else if (route->rtm_dst_len == host)
		link->routes |= INVENTORY_HOST;
}

static void note_hops(struct inventory *inventory, const struct rtmsg *route, struct nlattr *hops)
{
	struct rtnexthop *hop = nla_data(hops);
	int left = nla_len(hops);

	while (left >= (int)sizeof(*hop) && hop->rtnh_len >= sizeof(*hop) &&
	       hop->rtnh_len <= left) {
		struct nlattr *tb[RTA_MAX + 1];
		int step = RTNH_ALIGN(hop->rtnh_len);
		int len = hop->rtnh_len - (int)sizeof(*hop);

		if (nla_parse(tb, RTA_MAX, (struct nlattr *)RTNH_DATA(hop), len, NULL) == 0)
			note_route(inventory, route, (uint32_t)hop->rtnh_ifindex,
				   tb[RTA_GATEWAY] || tb[RTA_VIA]);
		left -= step;
		hop = (struct rtnexthop *)((char *)hop + step);
	}
}

static int on_route(struct nl_msg *msg, void *context)
{
	struct dump *dump = context;
	struct nlattr *tb[RTA_MAX + 1];
	struct rtmsg *route = nlmsg_data(nlmsg_hdr(msg));

	/* Kernels that don't filter a dump send every table. */
	if (nlmsg_hdr(msg)->nlmsg_type != RTM_NEWROUTE || route->rtm_family != dump->family ||
	    route->rtm_table != RT_TABLE_MAIN || route->rtm_type != RTN_UNICAST ||
	    route->rtm_flags & RTM_F_CLONED ||
	    nlmsg_parse(nlmsg_hdr(msg), sizeof(*route), tb, RTA_MAX, NULL) < 0)
		return NL_OK;

	if (tb[RTA_MULTIPATH])
		note_hops(dump->inventory, route, tb[RTA_MULTIPATH]);
	else if (tb[RTA_OIF])
		note_route(dump->inventory, route, nla_get_u32(tb[RTA_OIF]),
			   tb[RTA_GATEWAY] || tb[RTA_VIA]);
	return NL_OK;
}

/* One request of a dump and how its answer is taken. */
struct request {
	const char *name;
	int type, family;
	nl_recvmsg_msg_cb_t on_message;
};

static const struct request links = { "links", RTM_GETLINK, AF_UNSPEC, on_link };
static const struct request addresses[] = {
	{ "IPv4 addresses", RTM_GETADDR, AF_INET, on_address },
	{ "IPv6 addresses", RTM_GETADDR, AF_INET6, on_address },
};
static const struct request routes[] = {
	{ "IPv4 routes", RTM_GETROUTE, AF_INET, on_route },
	{ "IPv6 routes", RTM_GETROUTE, AF_INET6, on_route },
};

/* Returns 0 or a negative libnl error. */
static int send_request(struct nl_sock *sock, const struct request *request)
{
	struct ifinfomsg link = { .ifi_family = AF_UNSPEC };
	struct ifaddrmsg address = { .ifa_family = (uint8_t)request->family };
	struct rtmsg route = {
		.rtm_family = (uint8_t)request->family,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_type = RTN_UNICAST,
	};
	struct nl_msg *msg = nlmsg_alloc_simple(request->type, NLM_F_DUMP);

	if (!msg)
		return -NLE_NOMEM;

	int err;
	if (request->type == RTM_GETLINK)
		err = nlmsg_append(msg, &link, sizeof(link), NLMSG_ALIGNTO);
	else if (request->type == RTM_GETADDR)
		err = nlmsg_append(msg, &address, sizeof(address), NLMSG_ALIGNTO);
	else
		err = nlmsg_append(msg, &route, sizeof(route), NLMSG_ALIGNTO);
	if (err == 0 && request->type == RTM_GETLINK)
		err = nla_put_u32(msg, IFLA_EXT_MASK, SKIP_STATS);
	if (err == 0)
		err = nl_send_auto(sock, msg);
	nlmsg_free(msg);
	return err < 0 ? err : 0;
}

static int to_errno(int err)
{
	switch (-err) {
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_NODEV:
		return -ENODEV;
	case NLE_PERM:
		return -EPERM;
	case NLE_NOACCESS:
		return -EACCES;
	default:
		return -EIO;
	}
}

/* `*n` counts what the messages add, and goes back for another try. */
static int run_request(struct nl_sock *sock, const struct request *request, struct dump *dump,
		       size_t *n, char error[512])
{
	size_t before = n ? *n : 0;
	int err = -NLE_DUMP_INTR;

	dump->family = request->family;
	nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, request->on_message, dump);
	for (int i = 0; i < TRIES && err == -NLE_DUMP_INTR; i++) {
		if (n)
			*n = before;
		err = send_request(sock, request);
		if (err == 0)
			err = nl_recvmsgs_default(sock);
	}
	if (dump->failed)
		err = -NLE_NOMEM;
	/* There is no main table before its first route. */
	if (err >= 0 || err == -NLE_DUMP_INTR || err == -NLE_OBJ_NOTFOUND)
		return 0;
	snprintf(error, 512, "netlink: reading %s: %s", request->name, nl_geterror(err));
	return to_errno(err);
}

static int by_ifindex(const void *left, const void *right)
{
	const struct inventory_link *a = left, *b = right;

	return (a->ifindex > b->ifindex) - (a->ifindex < b->ifindex);
}

static int read_all(struct nl_sock *sock, struct inventory *inventory, char error[512])
{
	struct dump dump = { .inventory = inventory };
	int err = run_request(sock, &links, &dump, &inventory->n_links, error);

	if (err)
		return err;
	if (inventory->n_links)
		qsort(inventory->links, inventory->n_links, sizeof(inventory->links[0]),
		      by_ifindex);

	dump.room = 0;
	for (size_t i = 0; err == 0 && i < SL_COUNT(addresses); i++)
		err = run_request(sock, &addresses[i], &dump, &inventory->n_addresses, error);
	for (size_t i = 0; err == 0 && i < SL_COUNT(routes); i++)
		err = run_request(sock, &routes[i], &dump, NULL, error);
	return err;
}

int inventory_read(struct inventory **ret, char error[512])
{
	sl_auto(inventory) inventory = calloc(1, sizeof(*inventory));
	struct nl_sock *sock = nl_socket_alloc();
	int on = 1;
	int err = inventory && sock ? nl_connect(sock, NETLINK_ROUTE) : -NLE_NOMEM;

	if (err) {
		snprintf(error, 512, "netlink: opening a socket: %s", nl_geterror(err));
		err = to_errno(err);
	} else {
		/* Lets the kernel (4.20) filter; without it on_route() does. */
		setsockopt(nl_socket_get_fd(sock), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on,
			   sizeof(on));
		err = read_all(sock, inventory, error);
	}
	nl_socket_free(sock);
	if (err)
		return err;
	*ret = sl_take(inventory);
	return 0;
}

void inventory_free(struct inventory *inventory)
{
	if (!inventory)
		return;
	free(inventory->links);
	free(inventory->addresses);
	free(inventory);
}

const struct inventory_link *inventory_find(const struct inventory *inventory, uint32_t ifindex)
{
	const struct inventory_link key = { .ifindex = ifindex };

	if (inventory->n_links == 0)
		return NULL;
	return bsearch(&key, inventory->links, inventory->n_links, sizeof(key), by_ifindex);
}
