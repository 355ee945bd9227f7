/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * The XDP entry, for uplinks whose frames come off a wire with finished
 * checksums. What it can't do itself (reject, a neighbour not known yet, a way
 * out without XDP) it passes on untouched: our TC program on the same
 * interface does it.
 */

#include "tc.h"

static __always_inline void *xdp_at(struct xdp_md *ctx, __u32 offset, __u32 len)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (offset > 0x1ff || data + offset + len > end)
		return NULL;
	return data + offset;
}

static __always_inline long xdp_rewrite_l4(struct xdp_md *ctx, const struct pkt *p, __u8 proto,
					   __u32 old_ports, __u32 diff)
{
	__be32 from = old_ports, to = ports_word(p->to.sport, p->to.dport);

	diff = bpf_csum_diff(&from, 4, &to, 4, diff);
	if (proto == IPPROTO_SCTP) {
		struct sctp *sctp = xdp_at(ctx, p->l4, sizeof(*sctp));

		if (!sctp)
			return -1;
		sctp->source = p->to.sport;
		sctp->dest = p->to.dport;
		if (from != to)
			sctp->check ^= sctp_check_difference(from ^ to, p->len - (p->l4 - p->l3));
	} else if (proto == IPPROTO_TCP) {
		struct tcphdr *tcp = xdp_at(ctx, p->l4, sizeof(*tcp));

		if (!tcp)
			return -1;
		tcp->source = p->to.sport;
		tcp->dest = p->to.dport;
		tcp->check = check_add(tcp->check, diff);
	} else {
		struct udphdr *udp = xdp_at(ctx, p->l4, sizeof(*udp));

		if (!udp)
			return -1;
		udp->source = p->to.sport;
		udp->dest = p->to.dport;
		if (udp->check) /* 0: the sender made none */
			udp->check = check_add(udp->check, diff) ?: 0xffff;
	}
	return 0;
}

/* The next router's work: one hop less. */
static __always_inline void xdp_hop4(struct iphdr *ip)
{
	ip->ttl--;
	ip->check = check_add(ip->check, (__u16)~bpf_htons(0x0100));
}

static __always_inline long xdp_rewrite4(struct xdp_md *ctx, const struct pkt *p, __u8 hop)
{
	__be32 from[2] = { p->key4.saddr[0], p->key4.daddr[0] };
	__be32 to[2] = { p->to.saddr4[0], p->to.daddr4[0] };
	__u32 diff = bpf_csum_diff(from, sizeof(from), to, sizeof(to), 0);
	struct iphdr *ip = xdp_at(ctx, p->l3, sizeof(*ip));

	if (!ip)
		return -1;
	ip->saddr = to[0];
	ip->daddr = to[1];
	ip->check = check_add(ip->check, diff);
	if (hop)
		xdp_hop4(ip);
	return xdp_rewrite_l4(ctx, p, p->key4.proto, ports_word(p->key4.sport, p->key4.dport),
			      diff);
}

static __always_inline long xdp_rewrite6(struct xdp_md *ctx, const struct pkt *p, __u8 hop)
{
	__u32 diff = bpf_csum_diff((__be32 *)p->key6.saddr, 32, (__be32 *)p->to.saddr6, 32, 0);
	struct ipv6hdr *ip = xdp_at(ctx, p->l3, sizeof(*ip));

	if (!ip)
		return -1;
	__builtin_memcpy(&ip->saddr, p->to.saddr6, 16);
	__builtin_memcpy(&ip->daddr, p->to.daddr6, 16);
	ip->hop_limit -= hop;
	return xdp_rewrite_l4(ctx, p, p->key6.proto, ports_word(p->key6.sport, p->key6.dport),
			      diff);
}

static __always_inline long xdp_rewrite(struct xdp_md *ctx, const struct pkt *p, __u8 hop)
{
	return p->family == 4 ? xdp_rewrite4(ctx, p, hop) : xdp_rewrite6(ctx, p, hop);
}

static __always_inline int xdp_last_hop(struct xdp_md *ctx, const struct pkt *p)
{
	struct iphdr *ip = xdp_at(ctx, p->l3, sizeof(*ip));
	struct ipv6hdr *ip6 = (void *)ip;

	if (!ip)
		return 1;
	return (p->family == 4 ? ip->ttl : ip6->hop_limit) <= 1;
}

/* TC is to do it, with the packet untouched. */
static __always_inline enum sl_verdict xdp_hand_on(const struct pkt *p)
{
	if (p->family == 4)
		uncount4(p);
	else
		uncount6(p);
	return SL_LEAVE;
}

static __always_inline int xdp_sendable(__u32 ifindex)
{
	struct sl_iface *iface = bpf_map_lookup_elem(&ifaces, &ifindex);

	return iface && iface->xdp;
}

/* Can we send a packet with the ends in *fib where the route leads? Else TC must. */
static __always_inline int xdp_next_hop(struct xdp_md *ctx, const struct pkt *p,
					struct bpf_fib_lookup *fib)
{
	fib->ifindex = p->ifindex;
	fib->tot_len = p->len;
	return !bpf_fib_lookup(ctx, fib, sizeof(*fib), 0) && xdp_sendable(fib->ifindex) &&
	       !xdp_last_hop(ctx, p);
}

static __always_inline enum sl_verdict xdp_send(struct xdp_md *ctx, const struct pkt *p,
						const struct bpf_fib_lookup *fib, int *ret)
{
	struct ethhdr *eth = xdp_at(ctx, 0, sizeof(*eth));

	if (!eth)
		return SL_DROP_BUG;
	__builtin_memcpy(eth->h_dest, fib->dmac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, fib->smac, ETH_ALEN);
	*ret = fib->ifindex == p->ifindex ? XDP_TX : bpf_redirect(fib->ifindex, 0);
	return SL_FORWARD;
}

/* *ret is XDP_PASS, with the packet untouched, where TC must do it. */
static __noinline enum sl_verdict xdp_redirect(struct xdp_md *ctx, struct pkt *p, int *ret)
{
	struct bpf_fib_lookup fib = {};

	if (p->family == 4) {
		fib.l4_protocol = p->key4.proto;
		fib_ends4(&fib, p->to.saddr4, p->to.daddr4);
	} else {
		fib.l4_protocol = p->key6.proto;
		fib_ends6(&fib, p->to.saddr6, p->to.daddr6);
	}
	*ret = XDP_PASS;
	if (!xdp_next_hop(ctx, p, &fib))
		return xdp_hand_on(p);
	return xdp_rewrite(ctx, p, 1) ? SL_DROP_BUG : xdp_send(ctx, p, &fib, ret);
}

static __always_inline int xdp_leave(struct xdp_md *ctx, struct pkt *p, enum sl_verdict v)
{
	int ret = XDP_PASS;

	if (v == SL_FORWARD && p->forward == SL_REDIRECT)
		v = xdp_redirect(ctx, p, &ret);
	else if (v == SL_FORWARD && p->forward == SL_HAIRPIN)
		v = xdp_hand_on(p);
	else if (v == SL_FORWARD && xdp_rewrite(ctx, p, 0))
		v = SL_DROP_BUG;

	switch (v) {
	case SL_FORWARD:
		count_forward(p);
		return ret;
	case SL_LEAVE:
	case SL_REJECT_NO_ENDPOINTS: /* counted by TC, which answers */
	case SL_REJECT_UNKNOWN_PORT:
	case SL_RESET_LEFT:
		return XDP_PASS;
	default:
		count_loss(p, v);
		return XDP_DROP;
	}
}

static __always_inline long xdp_rewrite_error(struct xdp_md *ctx, const struct pkt *p,
					      struct quote *q)
{
	return p->family == 4 ? error_rewrite4(ctx, 1, p, q) : error_rewrite6(ctx, 1, p, q);
}

static __always_inline enum sl_verdict xdp_redirect_error(struct xdp_md *ctx, struct pkt *p,
							  struct quote *q, int *ret)
{
	struct bpf_fib_lookup fib = {};
	struct iphdr *ip;

	if (p->family == 4) {
		fib.l4_protocol = IPPROTO_ICMP;
		fib_ends4(&fib, q->source, p->to.daddr4);
	} else {
		fib.l4_protocol = IPPROTO_ICMPV6;
		fib_ends6(&fib, q->source, p->to.daddr6);
	}
	if (!xdp_next_hop(ctx, p, &fib))
		return SL_LEAVE;
	if (xdp_rewrite_error(ctx, p, q))
		return SL_DROP_BUG;
	ip = xdp_at(ctx, p->l3, sizeof(*ip));
	if (!ip)
		return SL_DROP_BUG;
	if (p->family == 4)
		xdp_hop4(ip);
	else
		((struct ipv6hdr *)ip)->hop_limit--;
	return xdp_send(ctx, p, &fib, ret);
}

/* An ICMP error. Verified once; returns what the XDP program returns. */
__noinline int xdp_error(struct xdp_md *ctx, struct pkt *p)
{
	struct quote q = {};
	enum sl_verdict v;
	int ret = XDP_PASS;

	if (!p)
		return XDP_DROP;
	v = quote_find(ctx, 1, p, &q);
	if (v == SL_NEXT)
		v = p->family == 4 ? error_walk4(ctx, 1, p, &q) : error_walk6(ctx, 1, p, &q);
	if (v == SL_FORWARD && p->forward == SL_REDIRECT)
		v = xdp_redirect_error(ctx, p, &q, &ret);
	else if (v == SL_FORWARD && p->forward == SL_HAIRPIN)
		v = SL_LEAVE;
	else if (v == SL_FORWARD && xdp_rewrite_error(ctx, p, &q))
		v = SL_DROP_BUG;
	if (v == SL_FORWARD || v == SL_LEAVE)
		return ret;
	count_loss(p, v);
	return XDP_DROP;
}

/* Frames for other hosts, which TC sees too, come here only if the card is promiscuous. */
static __always_inline int xdp_is_to_group(struct xdp_md *ctx)
{
	struct ethhdr *eth = xdp_at(ctx, 0, sizeof(*eth));

	return eth && eth->h_dest[0] & 1;
}

SEC("xdp.frags")
int sluice_xdp(struct xdp_md *ctx)
{
	struct pkt p = {
		.ifindex = ctx->ingress_ifindex,
		.hook = HOOK_INGRESS,
		.segments = 1,
	};
	int v = parse(&p, (void *)(long)ctx->data, (void *)(long)ctx->data_end);

	p.astray = xdp_is_to_group(ctx);
	if (v == SL_NEXT)
		v = p.family == 4 ? walk_ingress4(ctx, &p, 0) : walk_ingress6(ctx, &p, 0);
	else if (v == PARSE_ERROR)
		return xdp_error(ctx, &p);
	else
		v = SL_LEAVE;
	return xdp_leave(ctx, &p, v);
}
