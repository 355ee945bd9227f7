/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/attach/destroy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/mem.h"

/* A kernel that does not answer must not stop the daemon. */
#define PATIENCE_S    2
#define RECEIVE_BYTES 32768

/* Connections that a process holds; a listener has no peer. */
#define STATES                                                                                     \
	(1U << TCP_ESTABLISHED | 1U << TCP_SYN_SENT | 1U << TCP_FIN_WAIT1 | 1U << TCP_FIN_WAIT2 |  \
	 1U << TCP_CLOSE_WAIT | 1U << TCP_LAST_ACK | 1U << TCP_CLOSING)

/* A program for the kernel's filter: "the peer's address and port are these". */
struct filter {
	struct nlattr header;
	struct inet_diag_bc_op op;
	struct inet_diag_hostcond peer;
	__be32 addr[4];
};

struct query {
	struct nlmsghdr header;
	struct inet_diag_req_v2 request;
	struct filter filter;
};

struct kill {
	struct nlmsghdr header;
	struct inet_diag_req_v2 request;
};

/* Sockets that a dump found. */
struct found {
	const uint64_t *cookies;
	size_t n_cookies;
	struct inet_diag_sockid *ids; /* room for n_cookies */
	size_t n;
};

static int open_netlink(void)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

static void take(struct found *found, const struct inet_diag_msg *message)
{
	uint64_t cookie = message->id.idiag_cookie[0] | (uint64_t)message->id.idiag_cookie[1] << 32;

	for (size_t i = 0; i < found->n_cookies && found->n < found->n_cookies; i++)
		if (found->cookies[i] == cookie)
			found->ids[found->n++] = message->id;
}

/* Reads answers until the last; `found` may be NULL. 0 or -errno. */
static int receive(int fd, struct found *found)
{
	_Alignas(struct nlmsghdr) char buffer[RECEIVE_BYTES];

	for (;;) {
		ssize_t len = recv(fd, buffer, sizeof(buffer), 0);
		struct nlmsghdr *h = (struct nlmsghdr *)buffer;

		if (len < 0 && errno == EINTR)
			continue;
		if (len <= 0)
			return len < 0 ? -errno : -EPIPE;
		for (; NLMSG_OK(h, (size_t)len); h = NLMSG_NEXT(h, len)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
			if (found && h->nlmsg_type == SOCK_DIAG_BY_FAMILY &&
			    h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
				take(found, NLMSG_DATA(h));
		}
	}
}

/* The sockets of a family with this peer; those of IPv6 may have an IPv4 peer. */
static int dump(int fd, uint8_t sockets_of, const struct sl_socket *peer, struct found *found)
{
	size_t addr_len = peer->family == 4 ? 4 : 16;
	struct filter filter = {
		.header = { .nla_type = INET_DIAG_REQ_BYTECODE },
		.op = { .code = INET_DIAG_BC_D_COND },
		.peer = { .family = peer->family == 4 ? AF_INET : AF_INET6,
			  .prefix_len = (uint8_t)(addr_len * 8),
			  .port = ntohs(peer->port) },
	};
	size_t op_len = sizeof(filter.op) + sizeof(filter.peer) + addr_len;
	struct query query = {
		.header = { .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.request = { .sdiag_family = sockets_of,
			     .sdiag_protocol = peer->proto,
			     .idiag_states = STATES },
	};

	memcpy(filter.addr, peer->addr.w, addr_len);
	filter.op.yes = (unsigned char)op_len;
	filter.op.no = (unsigned short)(op_len + 4); /* behind the end: no */
	filter.header.nla_len = (unsigned short)(sizeof(filter.header) + op_len);
	query.filter = filter;
	query.header.nlmsg_len = (uint32_t)(offsetof(struct query, filter) + filter.header.nla_len);
	if (send(fd, &query, query.header.nlmsg_len, 0) < 0)
		return -errno;
	return receive(fd, found);
}

static int destroy(int fd, uint8_t sockets_of, uint8_t proto, const struct inet_diag_sockid *id)
{
	struct kill kill = {
		.header = { .nlmsg_len = sizeof(kill),
			    .nlmsg_type = SOCK_DESTROY,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.request = { .sdiag_family = sockets_of, .sdiag_protocol = proto, .id = *id },
	};

	if (send(fd, &kill, sizeof(kill), 0) < 0)
		return -errno;
	return receive(fd, NULL);
}

static int destroy_of(uint8_t sockets_of, const struct sl_socket *peer, struct found *found,
		      size_t *ret_closed)
{
	sl_auto_fd int fd = open_netlink();
	int result = fd < 0 ? fd : 0;

	found->n = 0;
	if (!result)
		result = dump(fd, sockets_of, peer, found);
	for (size_t i = 0; !result && i < found->n; i++) {
		int err = destroy(fd, sockets_of, peer->proto, &found->ids[i]);

		*ret_closed += err == 0;
		/* Its process may have closed it meanwhile. */
		if (err != -ENOENT)
			result = err;
	}
	return result;
}

int destroy_sockets(const struct sl_socket *peer, const uint64_t *cookies, size_t n,
		    size_t *ret_closed)
{
	sl_auto_mem struct inet_diag_sockid *ids = calloc(n + 1, sizeof(*ids));
	struct found found = { .cookies = cookies, .n_cookies = n, .ids = ids };
	int err = 0;

	if (!ids)
		return -ENOMEM;
	if (peer->family == 4)
		err = destroy_of(AF_INET, peer, &found, ret_closed);
	return destroy_of(AF_INET6, peer, &found, ret_closed) ?: err;
}
