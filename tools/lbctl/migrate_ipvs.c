/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What kube-proxy's mode ipvs leaves beside its chains: an interface that holds
 * the Services' addresses, and sets of ipset. IPVS's own table of virtual
 * servers has no owners in it: it is left alone.
 */

#include <errno.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <string.h>
#include <sys/socket.h>

#include "common/mem.h"
#include "tools/lbctl/migrate.h"

#define INTERFACE "kube-ipvs0"

/* After "KUBE-", and after "KUBE-6-" for IPv6, where kube-proxy cuts what is longer
 * than the kernel takes. */
static const char *const sets[] = {
	"LOOP-BACK",
	"CLUSTER-IP",
	"EXTERNAL-IP",
	"EXTERNAL-IP-LOCAL",
	"LOAD-BALANCER",
	"LOAD-BALANCER-FW",
	"LOAD-BALANCER-LOCAL",
	"LOAD-BALANCER-SOURCE-IP",
	"LOAD-BALANCER-SOURCE-CIDR",
	"NODE-PORT-TCP",
	"NODE-PORT-LOCAL-TCP",
	"NODE-PORT-UDP",
	"NODE-PORT-LOCAL-UDP",
	"NODE-PORT-SCTP-HASH",
	"NODE-PORT-LOCAL-SCTP-HASH",
	"HEALTH-CHECK-NODE-PORT",
	"IPVS-IPS",
};

static int ask(uint16_t command, const char *name)
{
	struct migrate_batch batch = {};
	int r = migrate_batch_add(
		&batch, &(struct migrate_message) { .type = NFNL_SUBSYS_IPSET << 8 | command,
						    .family = AF_INET,
						    .byte = { IPSET_ATTR_PROTOCOL, 6 },
						    .text = { { IPSET_ATTR_SETNAME, name } } });

	return r ?: migrate_batch_send(&batch, false);
}

static void look_at_sets(struct migrate *migrate)
{
	static const char *const prefixes[] = { "KUBE-", "KUBE-6-" };
	char name[64], what[80];

	for (size_t i = 0; i < 2 * SL_COUNT(sets); i++) {
		int r;

		snprintf(name, sizeof(name), "%s%s", prefixes[i % 2], sets[i / 2]);
		name[IPSET_MAXNAMELEN - 1] = '\0';
		r = ask(IPSET_CMD_HEADER, name);
		/* A kernel without ipset has no sets. */
		if (r == -ENOENT || r == -EINVAL || r == -EPROTONOSUPPORT)
			continue;
		snprintf(what, sizeof(what), "set %s", name);
		if (r == 0)
			migrate_found(migrate, "ipset", what, 0, 0);
		if (r == 0 && migrate->remove)
			r = ask(IPSET_CMD_DESTROY, name);
		if (r)
			migrate_failed(migrate, what, strerror(-r));
		if (r == -EPERM)
			return;
	}
}

static int remove_interface(void)
{
	struct nl_sock *sock = nl_socket_alloc();
	struct rtnl_link *link = NULL;
	int r = sock ? nl_connect(sock, NETLINK_ROUTE) : -NLE_NOMEM;

	if (r == 0)
		r = rtnl_link_get_kernel(sock, 0, INTERFACE, &link);
	if (r == 0 && (!rtnl_link_get_type(link) || strcmp(rtnl_link_get_type(link), "dummy")))
		r = -NLE_OBJ_MISMATCH;
	if (r == 0)
		r = rtnl_link_delete(sock, link);
	rtnl_link_put(link);
	nl_socket_free(sock);
	switch (r) {
	case 0:
		return 0;
	case -NLE_OBJ_MISMATCH:
		return -EMEDIUMTYPE;
	case -NLE_PERM:
		return -EPERM;
	case -NLE_NOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

void migrate_ipvs(struct migrate *migrate)
{
	int r;

	if (if_nametoindex(INTERFACE)) {
		migrate_found(migrate, "ipvs", "interface " INTERFACE, 0, 0);
		if (migrate->remove && (r = remove_interface()))
			migrate_failed(migrate, "interface " INTERFACE,
				       r == -EMEDIUMTYPE ? "is no dummy, so not kube-proxy's"
							 : strerror(-r));
	}
	look_at_sets(migrate);
}
