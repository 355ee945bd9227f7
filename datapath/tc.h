/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * The TC entries: every interface, both directions. The kernel's helpers keep
 * the checksum state of the packet right (unfinished, complete or none).
 */

#include "reject.h"
#include "reset.h"
#include "sctp.h"

static __always_inline long tc_rewrite_sctp(struct __sk_buff *skb, const struct pkt *p, __u32 from,
					    __u32 to)
{
	__u32 check;

	if (from == to)
		return 0;
	if (bpf_skb_load_bytes(skb, p->l4 + SCTP_CHECK, &check, sizeof(check)))
		return -1;
	check ^= sctp_check_difference(from ^ to, p->len - (p->l4 - p->l3));
	return bpf_skb_store_bytes(skb, p->l4 + SCTP_CHECK, &check, 4, BPF_F_RECOMPUTE_CSUM)
		       ?: bpf_skb_store_bytes(skb, p->l4, &to, 4, BPF_F_RECOMPUTE_CSUM);
}

/* `diff` is what the addresses' change adds to the sum of the pseudo header. */
static __always_inline long tc_rewrite_l4(struct __sk_buff *skb, const struct pkt *p, __u8 proto,
					  __u32 from, __u64 diff)
{
	__u32 to = ports_word(p->to.sport, p->to.dport);
	__u64 udp = proto == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	__u32 check = p->l4 + (proto == IPPROTO_TCP ? offsetof(struct tcphdr, check)
						    : offsetof(struct udphdr, check));
	long r;

	if (proto == IPPROTO_SCTP)
		return tc_rewrite_sctp(skb, p, from, to);
	r = bpf_l4_csum_replace(skb, check, 0, diff, BPF_F_PSEUDO_HDR | udp);
	if (r || from == to)
		return r;
	/* Both ports lie at the start of TCP and UDP headers. */
	return bpf_l4_csum_replace(skb, check, from, to, 4 | udp)
		       ?: bpf_skb_store_bytes(skb, p->l4, &to, 4, 0);
}

static __always_inline long tc_rewrite4(struct __sk_buff *skb, const struct pkt *p)
{
	__be32 from[2] = { p->key4.saddr[0], p->key4.daddr[0] };
	__be32 to[2] = { p->to.saddr4[0], p->to.daddr4[0] };
	__s64 diff = bpf_csum_diff(from, sizeof(from), to, sizeof(to), 0);

	return tc_rewrite_l4(skb, p, p->key4.proto, ports_word(p->key4.sport, p->key4.dport), diff) ?:
	       bpf_l3_csum_replace(skb, p->l3 + offsetof(struct iphdr, check), 0, diff, 0) ?:
	       bpf_skb_store_bytes(skb, p->l3 + offsetof(struct iphdr, saddr), to, sizeof(to), 0);
}

static __always_inline long tc_rewrite6(struct __sk_buff *skb, const struct pkt *p)
{
	/*
	 * The addresses stand side by side in the key, the packet and `to`. No IP
	 * header checksum balances their change in the sum that a network card
	 * supplied (CHECKSUM_COMPLETE), so storing them has to.
	 */
	__s64 diff = bpf_csum_diff((__be32 *)p->key6.saddr, 32, (__be32 *)p->to.saddr6, 32, 0);

	return tc_rewrite_l4(skb, p, p->key6.proto, ports_word(p->key6.sport, p->key6.dport), diff)
		       ?: bpf_skb_store_bytes(skb, p->l3 + offsetof(struct ipv6hdr, saddr),
					      p->to.saddr6, 32, BPF_F_RECOMPUTE_CSUM);
}

static __always_inline long tc_rewrite(struct __sk_buff *skb, const struct pkt *p)
{
	return p->family == 4 ? tc_rewrite4(skb, p) : tc_rewrite6(skb, p);
}

/* The next router's work: one hop less. */
static __always_inline enum sl_verdict tc_decrement_ttl(struct __sk_buff *skb, const struct pkt *p)
{
	__u32 offset = p->l3 + (p->family == 4 ? offsetof(struct iphdr, ttl)
					       : offsetof(struct ipv6hdr, hop_limit));
	__u64 flags = p->family == 4 ? 0 : BPF_F_RECOMPUTE_CSUM;
	__u8 ttl;

	if (bpf_skb_load_bytes(skb, offset, &ttl, 1))
		return SL_DROP_BUG;
	if (ttl <= 1)
		return SL_DROP_TTL;
	ttl--;
	/* TTL is the upper byte of its 16 bit word of the IPv4 header. */
	if (p->family == 4 &&
	    bpf_l3_csum_replace(skb, p->l3 + offsetof(struct iphdr, check),
				bpf_htons((__u16)(ttl + 1) << 8), bpf_htons((__u16)ttl << 8), 2))
		return SL_DROP_BUG;
	return bpf_skb_store_bytes(skb, offset, &ttl, 1, flags) ? SL_DROP_BUG : SL_NEXT;
}

/* What has to fit the next link: GSO leaves in pieces of the sender's making. */
static __always_inline __u32 tc_len(struct __sk_buff *skb, const struct pkt *p, __u8 proto)
{
	__u8 offset;

	if (!skb->gso_size)
		return p->len;
	if (proto != IPPROTO_TCP)
		return p->l4 - p->l3 + sizeof(struct udphdr) + skb->gso_size;
	if (bpf_skb_load_bytes(skb, p->l4 + 12, &offset, sizeof(offset)))
		return 0;
	return p->l4 - p->l3 + (offset >> 4 << 2) + skb->gso_size;
}

/* May the packet be cut in pieces? Then its sender need not know of MTUs. */
static __always_inline int tc_may_fragment(struct __sk_buff *skb, const struct pkt *p)
{
	__be16 field;

	return p->family == 4 && (bpf_skb_load_bytes(skb, p->l3 + offsetof(struct iphdr, frag_off),
						     &field, sizeof(field)) ||
				  !(field & bpf_htons(0x4000)));
}

/* Where the route leads a packet with the ends in *fib; it takes the hop there. */
static __always_inline enum sl_verdict tc_next_hop(struct __sk_buff *skb, struct pkt *p,
						   struct bpf_fib_lookup *fib)
{
	fib->ifindex = p->ifindex;
	fib->tot_len = tc_len(skb, p, fib->l4_protocol);
	switch (bpf_fib_lookup(skb, fib, sizeof(*fib), 0)) {
	case BPF_FIB_LKUP_RET_SUCCESS:
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		return tc_decrement_ttl(skb, p);
	case BPF_FIB_LKUP_RET_FRAG_NEEDED:
		p->mtu = tc_may_fragment(skb, p) ? 0 : fib->mtu_result;
		return SL_DROP_MTU;
	default:
		return SL_DROP_NO_ROUTE;
	}
}

static __always_inline int tc_send(const struct bpf_fib_lookup *fib)
{
	struct bpf_redir_neigh neigh = { .nh_family = fib->family };

	__builtin_memcpy(neigh.ipv6_nh, fib->ipv6_dst, sizeof(neigh.ipv6_nh));
	return bpf_redirect_neigh(fib->ifindex, &neigh, sizeof(neigh), 0);
}

/* Both ends are translated: straight out of where the route says. */
static __always_inline enum sl_verdict tc_redirect(struct __sk_buff *skb, struct pkt *p, int *ret)
{
	struct bpf_fib_lookup fib = {};
	enum sl_verdict v;

	if (p->family == 4) {
		fib.l4_protocol = p->key4.proto;
		fib_ends4(&fib, p->to.saddr4, p->to.daddr4);
	} else {
		fib.l4_protocol = p->key6.proto;
		fib_ends6(&fib, p->to.saddr6, p->to.daddr6);
	}
	v = tc_next_hop(skb, p, &fib);
	if (v != SL_NEXT)
		return v;
	if (tc_rewrite(skb, p))
		return SL_DROP_BUG;
	*ret = tc_send(&fib);
	return SL_FORWARD;
}

static __always_inline enum sl_verdict tc_hairpin(struct __sk_buff *skb, const struct pkt *p,
						  int *ret)
{
	if (tc_swap_macs(skb))
		return SL_DROP_BUG;
	*ret = bpf_redirect(p->ifindex, 0);
	return SL_FORWARD;
}

/* Sends the translated packet on; *ret is the program's return value. */
static __noinline enum sl_verdict tc_forward(struct __sk_buff *skb, struct pkt *p, int *ret)
{
	if (p->forward == SL_REDIRECT && p->hook == HOOK_INGRESS)
		return tc_redirect(skb, p, ret);
	if (tc_rewrite(skb, p))
		return SL_DROP_BUG;
	return p->forward == SL_HAIRPIN ? tc_hairpin(skb, p, ret) : SL_FORWARD;
}

/* The one place where a packet leaves, and where that is counted. */
static __always_inline int tc_leave(struct __sk_buff *skb, struct pkt *p, enum sl_verdict v)
{
	int ret = TC_NEXT;

	if (likely(v == SL_LEAVE))
		return TC_NEXT;
	if (v == SL_FORWARD)
		v = tc_forward(skb, p, &ret);
	if (v == SL_FORWARD) {
		count_forward(p);
		return ret;
	}
	count_loss(p, v);
	if (v == SL_REJECT_NO_ENDPOINTS || v == SL_REJECT_UNKNOWN_PORT || v == SL_DROP_TTL ||
	    (v == SL_DROP_MTU && p->mtu))
		return tc_reject(skb, p, v);
	if (v == SL_RESET_LEFT)
		return tc_reset(skb, p);
	return TC_DROP;
}

/* As parse() does, with a second try when the headers are not linear yet. */
static __always_inline int tc_parse(struct __sk_buff *skb, struct pkt *p)
{
	void *data, *end;
	int r;

	linear(skb, &data, &end);
	r = parse(p, data, end);
	if (likely(r != PARSE_SHORT))
		return r;
	if (bpf_skb_pull_data(skb, skb->len < 192 ? skb->len : 192))
		return SL_LEAVE;
	linear(skb, &data, &end);
	p->fragment = FRAGMENT_NONE;
	r = parse(p, data, end);
	return r == PARSE_SHORT ? SL_LEAVE : r;
}

static __always_inline long tc_rewrite_error(struct __sk_buff *skb, const struct pkt *p,
					     struct quote *q)
{
	return p->family == 4 ? error_rewrite4(skb, 0, p, q) : error_rewrite6(skb, 0, p, q);
}

static __always_inline enum sl_verdict tc_redirect_error(struct __sk_buff *skb, struct pkt *p,
							 struct quote *q, int *ret)
{
	struct bpf_fib_lookup fib = {};
	enum sl_verdict v;

	if (p->family == 4) {
		fib.l4_protocol = IPPROTO_ICMP;
		fib_ends4(&fib, q->source, p->to.daddr4);
	} else {
		fib.l4_protocol = IPPROTO_ICMPV6;
		fib_ends6(&fib, q->source, p->to.daddr6);
	}
	v = tc_next_hop(skb, p, &fib);
	if (v != SL_NEXT)
		return v;
	if (tc_rewrite_error(skb, p, q))
		return SL_DROP_BUG;
	*ret = tc_send(&fib);
	return SL_FORWARD;
}

/* An ICMP error. Verified once; returns what the TC program returns. */
__noinline int tc_error(struct __sk_buff *skb, struct pkt *p)
{
	struct quote q = {};
	enum sl_verdict v;
	int ret = TC_NEXT;

	if (!p)
		return TC_DROP;
	v = quote_find(skb, 0, p, &q);
	if (v == SL_NEXT)
		v = p->family == 4 ? error_walk4(skb, 0, p, &q) : error_walk6(skb, 0, p, &q);
	if (v == SL_LEAVE)
		return TC_NEXT;
	if (v == SL_FORWARD) {
		if (p->forward == SL_REDIRECT && p->hook == HOOK_INGRESS)
			v = tc_redirect_error(skb, p, &q, &ret);
		else if (tc_rewrite_error(skb, p, &q))
			v = SL_DROP_BUG;
		else if (p->forward == SL_HAIRPIN)
			v = tc_hairpin(skb, p, &ret);
	}
	if (v == SL_FORWARD)
		return ret;
	count_loss(p, v);
	return TC_DROP;
}

static __always_inline int tc_begin(struct __sk_buff *skb, struct pkt *p, enum hook hook)
{
	p->ifindex = skb->ifindex;
	p->hook = hook;
	p->astray = skb->pkt_type != PACKET_HOST;
	p->segments = skb->gso_segs ?: 1;
	if (unlikely(skb->vlan_present)) /* the VLAN device's packet, not this one's */
		return SL_LEAVE;
	return tc_parse(skb, p);
}

SEC("tc")
int sluice_ingress(struct __sk_buff *skb)
{
	struct pkt p = {};
	int v = tc_begin(skb, &p, HOOK_INGRESS);

	if (v == SL_NEXT)
		v = p.family == 4 ? walk_ingress4(skb, &p, 1) : walk_ingress6(skb, &p, 1);
	else if (v == PARSE_ERROR)
		return tc_error(skb, &p);
	return tc_leave(skb, &p, v);
}

SEC("tc")
int sluice_egress(struct __sk_buff *skb)
{
	struct pkt p = {};
	int v = tc_begin(skb, &p, HOOK_EGRESS);

	if (v == SL_NEXT)
		v = p.family == 4 ? walk_egress4(&p) : walk_egress6(&p);
	else if (v == PARSE_ERROR)
		return tc_error(skb, &p);
	return tc_leave(skb, &p, v);
}
