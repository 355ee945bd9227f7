/* SPDX-License-Identifier: Apache-2.0 */

/* Looks for kube-proxy's rules in the kernel. */

/* uapi headers want these first. */
#include <net/if.h>
#include <netinet/in.h>

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "controlplane/takeover.h"

#define PATIENCE_S 2

bool takeover_is_kube_proxy(const char *table, const char *chain)
{
	return !strcmp(table, "kube-proxy") || !strcmp(chain, "KUBE-SERVICES");
}

static const char *attribute_text(const struct nlattr *at)
{
	const char *text = (const char *)at + NLA_HDRLEN;
	size_t len = at->nla_len - NLA_HDRLEN;

	return strnlen(text, len) < len ? text : "";
}

/* True if the message is a chain of kube-proxy's. */
static bool read_chain(const struct nlmsghdr *message, char ret[128])
{
	const struct nfgenmsg *family = NLMSG_DATA(message);
	const char *at = (const char *)family + NLMSG_ALIGN(sizeof(*family));
	const char *end = (const char *)message + message->nlmsg_len;
	const char *table = "", *chain = "";

	while (end - at >= NLA_HDRLEN) {
		const struct nlattr *attribute = (const void *)at;

		if (attribute->nla_len < NLA_HDRLEN || attribute->nla_len > end - at)
			break;
		switch (attribute->nla_type & NLA_TYPE_MASK) {
		case NFTA_CHAIN_TABLE:
			table = attribute_text(attribute);
			break;
		case NFTA_CHAIN_NAME:
			chain = attribute_text(attribute);
			break;
		}
		at += NLA_ALIGN(attribute->nla_len);
	}
	/* Tables of other families are not kube-proxy's, whatever their name. */
	if ((family->nfgen_family != AF_INET && family->nfgen_family != AF_INET6) ||
	    !takeover_is_kube_proxy(table, chain))
		return false;
	snprintf(ret, 128, "nftables %s table %.40s, chain %.40s",
		 family->nfgen_family == AF_INET ? "ip" : "ip6", table, chain);
	return true;
}

/* 1: found, 2: not here and no more to come, 0: more to come, or -errno. */
static int read_answer(const struct nlmsghdr *message, ssize_t len, char ret[128])
{
	for (; NLMSG_OK(message, len); message = NLMSG_NEXT(message, len)) {
		if (message->nlmsg_type == NLMSG_DONE)
			return 2;
		if (message->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(message))->error;
		if (message->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN) &&
		    read_chain(message, ret))
			return 1;
	}
	return 0;
}

/* Also the chains of iptables-nft, which are nftables' to the kernel. */
static int find_nftables(char ret[128])
{
	sl_auto_fd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	_Alignas(struct nlmsghdr) char buffer[32768];
	struct {
		struct nlmsghdr header;
		struct nfgenmsg family;
	} request = {
		.header = { .nlmsg_len = sizeof(request),
			    .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.family = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 },
	};
	int r = 0;

	/* A kernel without nftables has no rules of theirs. */
	if (fd < 0)
		return errno == EPROTONOSUPPORT ? 0 : -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (send(fd, &request, sizeof(request), 0) < 0)
		return -errno;
	while (r == 0) {
		ssize_t len = recv(fd, buffer, sizeof(buffer), 0);

		if (len < 0)
			return -errno;
		r = read_answer((const void *)buffer, len, ret);
	}
	return r == 2 || r == -EINVAL || r == -EOPNOTSUPP ? 0 : r;
}

bool takeover_has_table(const char *names, const char *table)
{
	char line[64];
	bool found = false;
	FILE *in = fopen(names, "re");

	while (in && !found && fgets(line, sizeof(line), in)) {
		line[strcspn(line, "\n")] = '\0';
		found = !strcmp(line, table);
	}
	if (in)
		fclose(in);
	return found;
}

/*
 * The table's entries as the kernel has them; a chain's head carries its name.
 * Both families' structures are alike up to what is used of them.
 */
static int find_iptables(int family, int level, const char *names, char ret[128])
{
	_Static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo), "read as one");
	_Static_assert(IPT_SO_GET_INFO == IP6T_SO_GET_INFO, "asked as one");
	_Static_assert(IPT_SO_GET_ENTRIES == IP6T_SO_GET_ENTRIES, "asked as one");
	static const char chain[] = "KUBE-SERVICES";
	struct ipt_getinfo info = { .name = "nat" };
	socklen_t len = sizeof(info);

	if (!takeover_has_table(names, info.name))
		return 0;
	sl_auto_fd int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (fd < 0 || getsockopt(fd, level, IPT_SO_GET_INFO, &info, &len))
		return -errno;
	size_t head = family == AF_INET ? offsetof(struct ipt_get_entries, entrytable)
					: offsetof(struct ip6t_get_entries, entrytable);
	sl_auto_mem struct ipt_get_entries *entries = calloc(1, head + info.size);
	if (!entries)
		return -ENOMEM;
	strcpy(entries->name, "nat");
	entries->size = info.size;
	len = (socklen_t)(head + info.size);
	if (getsockopt(fd, level, IPT_SO_GET_ENTRIES, entries, &len))
		return -errno;
	if (!memmem((const char *)entries + head, info.size, chain, sizeof(chain)))
		return 0;
	snprintf(ret, 128, "%s table nat, chain %s", family == AF_INET ? "iptables" : "ip6tables",
		 chain);
	return 1;
}

int takeover_find_kube_proxy(char ret[128])
{
	int found[] = {
		find_nftables(ret),
		0,
		0,
	};

	if (found[0] > 0)
		return 1;
	found[1] = find_iptables(AF_INET, IPPROTO_IP, "/proc/thread-self/net/ip_tables_names", ret);
	if (found[1] > 0)
		return 1;
	found[2] = find_iptables(AF_INET6, IPPROTO_IPV6, "/proc/thread-self/net/ip6_tables_names",
				 ret);
	if (found[2] > 0)
		return 1;
	return found[0] ?: found[1] ?: found[2];
}
