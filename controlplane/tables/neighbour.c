/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/tables/neighbour.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"

struct request {
	struct nlmsghdr header;
	struct ndmsg neighbour;
	struct rtattr attribute;
	__be32 addr[4];
};

int neighbour_ask(uint32_t ifindex, uint8_t family, const __be32 addr[4])
{
	size_t addr_len = family == 4 ? 4 : 16;
	struct request request = {
		.header = { .nlmsg_len = (uint32_t)(offsetof(struct request, addr) + addr_len),
			    .nlmsg_type = RTM_NEWNEIGH,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE },
		.neighbour = { .ndm_family = family == 4 ? AF_INET : AF_INET6,
			       .ndm_ifindex = (int)ifindex,
			       .ndm_flags = NTF_USE },
		.attribute = { .rta_len = (unsigned short)RTA_LENGTH(addr_len),
			       .rta_type = NDA_DST },
	};
	sl_auto_fd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	memcpy(request.addr, addr, addr_len);
	if (fd < 0 || send(fd, &request, request.header.nlmsg_len, 0) < 0)
		return -errno;
	return 0;
}
