/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Answers by ICMP, out of the interface the packet came from: port unreachable
 * of a service without endpoints, from the address that was asked (S-119), and
 * what a router says of a packet that it can't send on, from its own. They
 * quote the packet up to its transport header (RFC 792, RFC 4443 3.1).
 */

#include "budget.h"
#include "checksum.h"
#include "count.h"
#include "node.h"

#define TC_NEXT	   -1
#define TC_DROP	   2
#define QUOTE_MAX  128 /* bytes; IP header with options, and a TCP header */
#define REJECT_TTL 64

/* The head of an ICMP error; the kernel's headers for it need libc's. */
struct icmp_head {
	__u8 type;
	__u8 code;
	__u16 checksum;
	__be32 mtu; /* 0 but for those that say one */
};

/* clang turns plain reads of data and data_end into arithmetic on the context,
 * which the verifier refuses. */
static __always_inline void linear(struct __sk_buff *skb, void **data, void **end)
{
	__u64 d, e;

	asm volatile("%[d] = *(u32 *)(%[skb] + %[at_d])\n\t"
		     "%[e] = *(u32 *)(%[skb] + %[at_e])"
		     : [d] "=&r"(d), [e] "=&r"(e)
		     : [skb] "r"(skb), [at_d] "i"(offsetof(struct __sk_buff, data)),
		       [at_e] "i"(offsetof(struct __sk_buff, data_end)));
	*data = (void *)d;
	*end = (void *)e;
}

/* How much of the packet the answer quotes: an even number for the checksum. */
static __always_inline __u32 quote_len(const struct pkt *p, __u8 proto)
{
	__u32 l4 = proto == IPPROTO_TCP ? 20 : 8;
	__u32 quote = p->l4 - p->l3 + l4;

	return p->len < quote ? p->len : quote;
}

/*
 * Sum over the quoted packet, which begins at `offset`. The quote's length is
 * a multiple of 4 for all headers that get here.
 */
static __always_inline __u32 sum_quote(struct __sk_buff *skb, __u32 offset, __u32 quote, __u32 sum)
{
	__be32 words[8];

	for (int i = 0; i < QUOTE_MAX / 32; i++) {
		__u32 left = quote - i * 32;

		if ((__u32)i * 32 >= quote)
			break;
		__builtin_memset(words, 0, sizeof(words));
		if (left >= 32) {
			if (bpf_skb_load_bytes(skb, offset + i * 32, words, 32))
				break;
		} else {
			left &= 31;
			if (left == 0 || bpf_skb_load_bytes(skb, offset + i * 32, words, left))
				break;
		}
		sum = bpf_csum_diff(NULL, 0, words, sizeof(words), sum);
	}
	return sum;
}

/* Cuts the packet to its quote and puts the answer's headers in front. */
static __always_inline long put_head(struct __sk_buff *skb, const struct pkt *p, __u32 quote,
				     void *head, __u32 size)
{
	long r = bpf_skb_change_tail(skb, p->l3 + quote, 0) ?:
		 bpf_skb_adjust_room(skb, size, BPF_ADJ_ROOM_MAC, 0) ?:
		 bpf_skb_store_bytes(skb, p->l3, head, size, 0);

	if (!r) /* fails unless the network card supplied a sum */
		bpf_csum_update(skb, bpf_csum_diff(NULL, 0, head, size, 0));
	return r;
}

static __always_inline struct icmp_head reject_head4(const struct pkt *p, enum sl_verdict v)
{
	switch (v) {
	case SL_DROP_MTU:
		return (struct icmp_head) { .type = 3, .code = 4, .mtu = bpf_htonl(p->mtu) };
	case SL_DROP_TTL:
		return (struct icmp_head) { .type = 11 };
	default:
		return (struct icmp_head) { .type = 3, .code = 3 };
	}
}

static __always_inline struct icmp_head reject_head6(const struct pkt *p, enum sl_verdict v)
{
	switch (v) {
	case SL_DROP_MTU:
		return (struct icmp_head) { .type = 2, .mtu = bpf_htonl(p->mtu) };
	case SL_DROP_TTL:
		return (struct icmp_head) { .type = 3 };
	default:
		return (struct icmp_head) { .type = 1, .code = 4 };
	}
}

/* Path MTU discovery needs its answers: the kernel doesn't limit these, either. */
static __always_inline int reject_is_limited(enum sl_verdict v)
{
	return v != SL_DROP_MTU;
}

/* A router speaks for itself, with the address of the link if that has one. */
static __always_inline int reject_is_routers(enum sl_verdict v)
{
	return v == SL_DROP_MTU || v == SL_DROP_TTL;
}

static __always_inline __be32 reject_source4(const struct pkt *p, enum sl_verdict v)
{
	__u32 ifindex = p->ifindex;
	struct sl_iface *iface = bpf_map_lookup_elem(&ifaces, &ifindex);
	struct sl_node *n = this_node();
	__be32 own = iface ? iface->addr4 : 0;

	if (own == 0 && n)
		own = n->addr4[0];
	return reject_is_routers(v) && own ? own : p->key4.daddr[0];
}

static __always_inline void reject_source6(const struct pkt *p, enum sl_verdict v, void *to)
{
	__u32 ifindex = p->ifindex;
	struct sl_iface *iface = bpf_map_lookup_elem(&ifaces, &ifindex);
	struct sl_node *n = this_node();

	if (reject_is_routers(v) && iface && iface->addr6.w[0])
		__builtin_memcpy(to, iface->addr6.w, 16);
	else if (reject_is_routers(v) && n && n->addr6[0])
		__builtin_memcpy(to, n->addr6, 16);
	else
		__builtin_memcpy(to, p->key6.daddr, 16);
}

static __always_inline long reject4(struct __sk_buff *skb, struct pkt *p, __u32 quote,
				    enum sl_verdict v)
{
	struct {
		struct iphdr ip;
		struct icmp_head icmp;
	} head = {
		.ip = {
			.version = 4,
			.ihl = 5,
			.tot_len = bpf_htons(sizeof(head) + quote),
			.frag_off = bpf_htons(0x4000),
			.ttl = REJECT_TTL,
			.protocol = IPPROTO_ICMP,
			.saddr = reject_source4(p, v),
			.daddr = p->key4.saddr[0],
		},
		.icmp = reject_head4(p, v),
	};
	__u32 sum = sum_quote(skb, p->l3, quote, 0);

	head.ip.check = fold(bpf_csum_diff(NULL, 0, (__be32 *)&head.ip, sizeof(head.ip), 0));
	head.icmp.checksum =
		fold(bpf_csum_diff(NULL, 0, (__be32 *)&head.icmp, sizeof(head.icmp), sum));
	return put_head(skb, p, quote, &head, sizeof(head));
}

static __always_inline long reject6(struct __sk_buff *skb, struct pkt *p, __u32 quote,
				    enum sl_verdict v)
{
	struct {
		struct ipv6hdr ip;
		struct icmp_head icmp;
	} head = {
		.ip = {
			.version = 6,
			.payload_len = bpf_htons(sizeof(head.icmp) + quote),
			.nexthdr = IPPROTO_ICMPV6,
			.hop_limit = REJECT_TTL,
		},
		.icmp = reject_head6(p, v),
	};
	__be32 pseudo[2] = { bpf_htonl(sizeof(head.icmp) + quote), bpf_htonl(IPPROTO_ICMPV6) };
	__u32 sum = sum_quote(skb, p->l3, quote, 0);

	reject_source6(p, v, &head.ip.saddr);
	__builtin_memcpy(&head.ip.daddr, p->key6.saddr, 16);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&head.ip.saddr, 32, sum);
	sum = bpf_csum_diff(NULL, 0, pseudo, sizeof(pseudo), sum);
	head.icmp.checksum =
		fold(bpf_csum_diff(NULL, 0, (__be32 *)&head.icmp, sizeof(head.icmp), sum));
	return put_head(skb, p, quote, &head, sizeof(head));
}

static __always_inline long tc_swap_macs(struct __sk_buff *skb)
{
	__u8 macs[12], swapped[12];

	if (bpf_skb_load_bytes(skb, 0, macs, sizeof(macs)))
		return -1;
	__builtin_memcpy(swapped, macs + 6, 6);
	__builtin_memcpy(swapped + 6, macs, 6);
	return bpf_skb_store_bytes(skb, 0, swapped, sizeof(swapped), 0);
}

/* Answers for the loss `v`. Verified once; returns what the TC program returns. */
__noinline int tc_reject(struct __sk_buff *skb, struct pkt *p, __u32 v)
{
	__u32 quote;
	long r;

	if (!p)
		return TC_DROP;
	quote = quote_len(p, p->family == 4 ? p->key4.proto : p->key6.proto);
	if (quote > QUOTE_MAX || (reject_is_limited(v) && !icmp_allowed()))
		return TC_DROP;
	r = p->family == 4 ? reject4(skb, p, quote, v) : reject6(skb, p, quote, v);
	if (r || tc_swap_macs(skb))
		return TC_DROP;
	return bpf_redirect(p->ifindex, 0);
}
