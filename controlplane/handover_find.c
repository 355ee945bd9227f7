/* SPDX-License-Identifier: Apache-2.0 */

/* Asks the kernel's conntrack for connections whose destination it translates. */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "common/mem.h"
#include "controlplane/handover.h"

#define PATIENCE_S 2

static bool is_translated(const struct nlmsghdr *message)
{
	const char *at = (const char *)NLMSG_DATA(message) + NLMSG_ALIGN(sizeof(struct nfgenmsg));
	const char *end = (const char *)message + message->nlmsg_len;
	uint32_t bits;

	while (end - at >= NLA_HDRLEN) {
		const struct nlattr *attribute = (const void *)at;

		if (attribute->nla_len < NLA_HDRLEN || attribute->nla_len > end - at)
			break;
		if ((attribute->nla_type & NLA_TYPE_MASK) == CTA_STATUS &&
		    attribute->nla_len >= NLA_HDRLEN + sizeof(bits)) {
			memcpy(&bits, at + NLA_HDRLEN, sizeof(bits));
			return ntohl(bits) & IPS_DST_NAT;
		}
		at += NLA_ALIGN(attribute->nla_len);
	}
	return false;
}

/* 1: found, or one may have been missed; 2: none and no more to come; 0: more to
 * come; or -errno. */
static int read_answer(const struct nlmsghdr *message, ssize_t len)
{
	for (; NLMSG_OK(message, len); message = NLMSG_NEXT(message, len)) {
		if (message->nlmsg_flags & NLM_F_DUMP_INTR)
			return 1;
		if (message->nlmsg_type == NLMSG_DONE)
			return 2;
		if (message->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(message))->error ?: 2;
		if (is_translated(message))
			return 1;
	}
	return 0;
}

int handover_find_connection(void)
{
	sl_auto_fd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	_Alignas(struct nlmsghdr) char buffer[32768];
	/* Newer kernels send only what matches; older ones all. */
	struct {
		struct nlmsghdr header;
		struct nfgenmsg family;
		struct nlattr status_head;
		uint32_t status;
		struct nlattr mask_head;
		uint32_t mask;
	} request = {
		.header = { .nlmsg_len = sizeof(request),
			    .nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.family = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 },
		.status_head = { NLA_HDRLEN + sizeof(uint32_t), CTA_STATUS },
		.status = htonl(IPS_DST_NAT),
		.mask_head = { NLA_HDRLEN + sizeof(uint32_t), CTA_STATUS_MASK },
		.mask = htonl(IPS_DST_NAT),
	};
	int r = 0;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (send(fd, &request, sizeof(request), 0) < 0)
		return -errno;
	while (r == 0) {
		ssize_t len = recv(fd, buffer, sizeof(buffer), 0);

		if (len < 0)
			return -errno;
		r = read_answer((const void *)buffer, len);
	}
	/* A kernel without conntrack holds none. */
	return r == 2 || r == -EINVAL ? 0 : r;
}
