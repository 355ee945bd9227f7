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
	bool (*wanted)(void *context, const struct inet_diag_msg *message);
	void *context;
	struct inet_diag_sockid *ids;
	size_t n, room;
};

struct cookies {
	const uint64_t *at;
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

static uint64_t cookie_of(const struct inet_diag_msg *message)
{
	return message->id.idiag_cookie[0] | (uint64_t)message->id.idiag_cookie[1] << 32;
}

static bool has_a_cookie(void *context, const struct inet_diag_msg *message)
{
	const struct cookies *cookies = context;
	uint64_t cookie = cookie_of(message);

	for (size_t i = 0; i < cookies->n; i++)
		if (cookies->at[i] == cookie)
			return true;
	return false;
}

static void take(struct found *found, const struct inet_diag_msg *message)
{
	if (found->n < found->room && found->wanted(found->context, message))
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

/* The sockets of a family with this peer, or all that are connected; those of
 * IPv6 may have an IPv4 peer. */
static int dump(int fd, uint8_t sockets_of, uint8_t proto, const struct sl_socket *peer,
		struct found *found)
{
	size_t addr_len = peer && peer->family == 4 ? 4 : 16;
	struct filter filter = {
		.header = { .nla_type = INET_DIAG_REQ_BYTECODE },
		.op = { .code = INET_DIAG_BC_D_COND },
	};
	size_t op_len = sizeof(filter.op) + sizeof(filter.peer) + addr_len;
	struct query query = {
		.header = { .nlmsg_len = offsetof(struct query, filter),
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.request = { .sdiag_family = sockets_of,
			     .sdiag_protocol = proto,
			     .idiag_states = peer ? STATES : 1U << TCP_ESTABLISHED },
	};

	if (peer) {
		filter.peer = (struct inet_diag_hostcond) {
			.family = peer->family == 4 ? AF_INET : AF_INET6,
			.prefix_len = (uint8_t)(addr_len * 8),
			.port = ntohs(peer->port),
		};
		memcpy(filter.addr, peer->addr.w, addr_len);
		filter.op.yes = (unsigned char)op_len;
		filter.op.no = (unsigned short)(op_len + 4); /* behind the end: no */
		filter.header.nla_len = (unsigned short)(sizeof(filter.header) + op_len);
		query.filter = filter;
		query.header.nlmsg_len += filter.header.nla_len;
	}
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

static int destroy_of(uint8_t sockets_of, uint8_t proto, const struct sl_socket *peer,
		      struct found *found, size_t *ret_closed)
{
	sl_auto_fd int fd = open_netlink();
	int result = fd < 0 ? fd : 0;

	found->n = 0;
	if (!result)
		result = dump(fd, sockets_of, proto, peer, found);
	for (size_t i = 0; !result && i < found->n; i++) {
		int err = destroy(fd, sockets_of, proto, &found->ids[i]);

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
	struct cookies some = { cookies, n };
	struct found found = { .wanted = has_a_cookie, .context = &some, .ids = ids, .room = n };
	int err = 0;

	if (!ids)
		return -ENOMEM;
	if (peer->family == 4)
		err = destroy_of(AF_INET, peer->proto, peer, &found, ret_closed);
	return destroy_of(AF_INET6, peer->proto, peer, &found, ret_closed) ?: err;
}

struct asker {
	bool (*wanted)(void *context, const struct destroy_udp *socket);
	void *context;
};

static bool is_mapped(const __be32 *addr)
{
	return addr[0] == 0 && addr[1] == 0 && addr[2] == htonl(0xffff);
}

static bool ask(void *context, const struct inet_diag_msg *message)
{
	const struct asker *asker = context;
	const struct inet_diag_sockid *id = &message->id;
	bool mapped = message->idiag_family == AF_INET6 && is_mapped(id->idiag_dst);
	struct destroy_udp socket = {
		.port = id->idiag_sport,
		.peer_port = id->idiag_dport,
		.family = message->idiag_family == AF_INET || mapped ? 4 : 6,
		.cookie = cookie_of(message),
	};
	size_t skip = mapped ? 3 : 0, len = socket.family == 4 ? 4 : 16;

	memcpy(socket.addr.w, id->idiag_src + skip, len);
	memcpy(socket.peer.w, id->idiag_dst + skip, len);
	return asker->wanted(asker->context, &socket);
}

int destroy_udp(bool (*wanted)(void *context, const struct destroy_udp *socket), void *context,
		size_t *ret_closed)
{
	sl_auto_mem struct inet_diag_sockid *ids = calloc(DESTROY_UDP_MAX, sizeof(*ids));
	struct asker asker = { wanted, context };
	struct found found = {
		.wanted = ask, .context = &asker, .ids = ids, .room = DESTROY_UDP_MAX
	};
	int err;

	if (!ids)
		return -ENOMEM;
	err = destroy_of(AF_INET, IPPROTO_UDP, NULL, &found, ret_closed);
	return destroy_of(AF_INET6, IPPROTO_UDP, NULL, &found, ret_closed) ?: err;
}
