/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Entries of the node's own processes: sockets of its network namespace, at the
 * root of the cgroup v2 hierarchy. The destination is chosen once, when a
 * socket is connected or a datagram names it; packets then need no translation.
 *
 * An IPv4 address in IPv6 form comes to the programs for IPv6, but for
 * datagrams, which the kernel hands to those for IPv4.
 */

#define FAMILY 4
#include "sock_pick.h"
#undef FAMILY
#define FAMILY 6
#include "sock_pick.h"
#undef FAMILY

#define SOCK_ALLOW   1
#define SOCK_REFUSE  0

#define ECONNREFUSED 111

/* The words of an address that the context has: it can't be handed on by pointer. */
#define copy_words(to_, from_)                                                                     \
	do {                                                                                       \
		(to_)[0] = (from_)[0];                                                             \
		(to_)[1] = (from_)[1];                                                             \
		(to_)[2] = (from_)[2];                                                             \
		(to_)[3] = (from_)[3];                                                             \
	} while (0)

static __always_inline int is_mapped(const __be32 *addr)
{
	return addr[0] == 0 && addr[1] == 0 && addr[2] == bpf_htonl(0xffff);
}

/* Is this a socket that asks for something we may serve? */
static __always_inline int sock_is_ours(struct bpf_sock_addr *ctx)
{
	if (ctx->protocol != IPPROTO_TCP && ctx->protocol != IPPROTO_UDP)
		return 0;
	return config.netns && bpf_get_netns_cookie(ctx) == config.netns;
}

/* The one place where a socket is refused and counted. Without bpf_set_retval()
 * the process sees EPERM, as it does for a drop. */
static __always_inline int sock_leave(const struct pkt *p, enum sl_verdict v)
{
	switch (v) {
	case SL_FORWARD:
	case SL_LEAVE:
		return SOCK_ALLOW;
	case SL_REJECT_NO_ENDPOINTS:
	case SL_REJECT_UNKNOWN_PORT:
		count_loss(p, v);
		if (config.can_refuse)
			bpf_set_retval(-ECONNREFUSED);
		return SOCK_REFUSE;
	default:
		count_loss(p, v);
		return SOCK_REFUSE;
	}
}

/* What the programs for IPv4 share; `from` is the socket's own address or 0. */
static __always_inline int sock_to4(struct bpf_sock_addr *ctx, __be32 from, int connected)
{
	struct pkt p = { .hook = HOOK_SOCKET, .family = 4, .segments = 1 };
	enum sl_verdict v;

	p.key4.daddr[0] = ctx->user_ip4;
	p.key4.dport = ctx->user_port;
	p.key4.proto = ctx->protocol;
	/* Port 0 asks for a route only, as resolvers do to sort addresses. */
	if (!p.key4.dport)
		return SOCK_ALLOW;
	sock_source4(&p, &from);
	v = sock_pick4(&p, bpf_get_socket_cookie(ctx), connected);
	if (v == SL_FORWARD) {
		ctx->user_ip4 = p.to.daddr4[0];
		ctx->user_port = p.to.dport;
	}
	return sock_leave(&p, v);
}

/* And those for IPv6. */
static __always_inline int sock_to6(struct bpf_sock_addr *ctx, const __be32 *from, int connected)
{
	struct pkt p = { .hook = HOOK_SOCKET, .segments = 1 };
	__u64 cookie = bpf_get_socket_cookie(ctx);
	enum sl_verdict v;
	__be32 to[4];

	if (!(__be16)ctx->user_port)
		return SOCK_ALLOW;
	copy_words(to, ctx->user_ip6);
	if (is_mapped(to)) {
		p.family = 4;
		p.key4.daddr[0] = to[3];
		p.key4.dport = ctx->user_port;
		p.key4.proto = ctx->protocol;
		sock_source4(&p, &from[3]);
		v = sock_pick4(&p, cookie, connected);
		if (v == SL_FORWARD)
			ctx->user_ip6[3] = p.to.daddr4[0];
	} else {
		p.family = 6;
		copy_words(p.key6.daddr, to);
		p.key6.dport = ctx->user_port;
		p.key6.proto = ctx->protocol;
		sock_source6(&p, from);
		v = sock_pick6(&p, cookie, connected);
		if (v == SL_FORWARD)
			copy_words(ctx->user_ip6, p.to.daddr6);
	}
	if (v == SL_FORWARD)
		ctx->user_port = p.to.dport;
	return sock_leave(&p, v);
}

/* The name of who answers, or is connected to. */
static __always_inline void sock_from4(struct bpf_sock_addr *ctx)
{
	__be32 addr = ctx->user_ip4;
	__be16 port = ctx->user_port;

	sock_restore4(bpf_get_socket_cookie(ctx), ctx->protocol, &addr, &port);
	ctx->user_ip4 = addr;
	ctx->user_port = port;
}

static __always_inline void sock_from6(struct bpf_sock_addr *ctx)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	__be16 port = ctx->user_port;
	__be32 addr[4];

	copy_words(addr, ctx->user_ip6);
	if (is_mapped(addr))
		sock_restore4(cookie, ctx->protocol, &addr[3], &port);
	else
		sock_restore6(cookie, ctx->protocol, addr, &port);
	copy_words(ctx->user_ip6, addr);
	ctx->user_port = port;
}

SEC("cgroup/connect4")
int sluice_connect4(struct bpf_sock_addr *ctx)
{
	return sock_is_ours(ctx) ? sock_to4(ctx, ctx->sk->src_ip4, 1) : SOCK_ALLOW;
}

SEC("cgroup/connect6")
int sluice_connect6(struct bpf_sock_addr *ctx)
{
	__be32 from[4];

	if (!sock_is_ours(ctx))
		return SOCK_ALLOW;
	copy_words(from, ctx->sk->src_ip6);
	return sock_to6(ctx, from, 1);
}

SEC("cgroup/sendmsg4")
int sluice_sendmsg4(struct bpf_sock_addr *ctx)
{
	return sock_is_ours(ctx) ? sock_to4(ctx, ctx->msg_src_ip4, 0) : SOCK_ALLOW;
}

SEC("cgroup/sendmsg6")
int sluice_sendmsg6(struct bpf_sock_addr *ctx)
{
	__be32 from[4];

	if (!sock_is_ours(ctx))
		return SOCK_ALLOW;
	copy_words(from, ctx->msg_src_ip6);
	return sock_to6(ctx, from, 0);
}

#define SOCK_FROM(hook_, family_)                                                                  \
	SEC("cgroup/" #hook_ #family_)                                                             \
	int sluice_##hook_##family_(struct bpf_sock_addr *ctx)                                     \
	{                                                                                          \
		if (sock_is_ours(ctx))                                                             \
			sock_from##family_(ctx);                                                   \
		return SOCK_ALLOW;                                                                 \
	}

SOCK_FROM(recvmsg, 4)
SOCK_FROM(recvmsg, 6)
SOCK_FROM(getpeername, 4)
SOCK_FROM(getpeername, 6)

/*
 * A connected socket is closed: its entries make room for those of others. The
 * entry of a destination that a datagram named stays until it is the oldest.
 */
SEC("cgroup/sock_release")
int sluice_release(struct bpf_sock *sk)
{
	struct sl_socket key = {
		.port = sk->dst_port,
		.proto = sk->protocol,
	};
	struct sl_socket second;
	struct sl_asked *asked;

	if (!key.port || !config.netns || bpf_get_netns_cookie(sk) != config.netns)
		return SOCK_ALLOW;
	key.cookie = bpf_get_socket_cookie(sk);
	key.family = sk->family == AF_INET ? 4 : 6;
	if (key.family == 4) {
		key.addr.w[0] = sk->dst_ip4;
	} else {
		copy_words(key.addr.w, sk->dst_ip6);
		if (is_mapped(key.addr.w)) {
			key.addr = (struct sl_addr) { .w = { key.addr.w[3] } };
			key.family = 4;
		}
	}
	asked = bpf_map_lookup_elem(&sockets, &key);
	if (!asked)
		return SOCK_ALLOW;
	second = key;
	second.addr = asked->addr;
	second.port = asked->port;
	bpf_map_delete_elem(&sockets, &key);
	if (key.proto == IPPROTO_UDP)
		bpf_map_delete_elem(&sockets, &second);
	return SOCK_ALLOW;
}
