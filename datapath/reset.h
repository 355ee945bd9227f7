/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * The end of a connection whose endpoint left, where the service wants that:
 * its packet is turned into the RST that answers it (RFC 9293, 3.10.7.1) and
 * sent back. What came in leaves where it came from; what was about to leave
 * comes in there, as if the client had sent it, and goes to the backend.
 */

#include "reject.h"

struct reset {
	__be16 source;
	__be16 dest;
	__be32 seq;
	__be32 ack;
	__u8 offset; /* of the data, in 4 bytes, in the upper half */
	__u8 flags;
	__be16 window;
	__u16 check;
	__be16 urgent;
};

/* The answer's TCP header, without its checksum. `header` is the length of the packet's. */
static __always_inline struct reset reset_answer(const struct pkt *p, __be16 sport, __be16 dport,
						 __u32 header)
{
	__u32 len = p->len - (p->l4 - p->l3) - header;

	len += !!(p->tcp & TCP_SYN) + !!(p->tcp & TCP_FIN);
	return (struct reset) {
		.source = dport,
		.dest = sport,
		.seq = p->tcp & TCP_ACK ? bpf_htonl(p->ack) : 0,
		.ack = p->tcp & TCP_ACK ? 0 : bpf_htonl(p->seq + len),
		.offset = sizeof(struct reset) / 4 << 4,
		.flags = p->tcp & TCP_ACK ? TCP_RST : TCP_RST | TCP_ACK,
	};
}

static __always_inline long reset4(struct __sk_buff *skb, struct pkt *p, __u32 header)
{
	struct reset tcp = reset_answer(p, p->key4.sport, p->key4.dport, header);
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = bpf_htons(sizeof(ip) + sizeof(tcp)),
		.frag_off = bpf_htons(0x4000),
		.ttl = REJECT_TTL,
		.protocol = IPPROTO_TCP,
		.saddr = p->key4.daddr[0],
		.daddr = p->key4.saddr[0],
	};
	__be32 pseudo[3] = { ip.saddr, ip.daddr, bpf_htonl(IPPROTO_TCP << 16 | sizeof(tcp)) };
	__u32 sum = bpf_csum_diff(NULL, 0, pseudo, sizeof(pseudo), 0);

	tcp.check = fold(bpf_csum_diff(NULL, 0, (__be32 *)&tcp, sizeof(tcp), sum));
	ip.check = fold(bpf_csum_diff(NULL, 0, (__be32 *)&ip, sizeof(ip), 0));
	return bpf_skb_change_tail(skb, p->l3 + sizeof(ip) + sizeof(tcp), 0) ?:
	       bpf_skb_store_bytes(skb, p->l3, &ip, sizeof(ip), BPF_F_RECOMPUTE_CSUM) ?:
	       bpf_skb_store_bytes(skb, p->l3 + sizeof(ip), &tcp, sizeof(tcp), BPF_F_RECOMPUTE_CSUM);
}

static __always_inline long reset6(struct __sk_buff *skb, struct pkt *p, __u32 header)
{
	struct reset tcp = reset_answer(p, p->key6.sport, p->key6.dport, header);
	struct ipv6hdr ip = {
		.version = 6,
		.payload_len = bpf_htons(sizeof(tcp)),
		.nexthdr = IPPROTO_TCP,
		.hop_limit = REJECT_TTL,
	};
	__be32 pseudo[2] = { bpf_htonl(sizeof(tcp)), bpf_htonl(IPPROTO_TCP) };
	__u32 sum = bpf_csum_diff(NULL, 0, pseudo, sizeof(pseudo), 0);

	__builtin_memcpy(&ip.saddr, p->key6.daddr, 16);
	__builtin_memcpy(&ip.daddr, p->key6.saddr, 16);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&ip.saddr, 32, sum);
	tcp.check = fold(bpf_csum_diff(NULL, 0, (__be32 *)&tcp, sizeof(tcp), sum));
	return bpf_skb_change_tail(skb, p->l3 + sizeof(ip) + sizeof(tcp), 0) ?:
	       bpf_skb_store_bytes(skb, p->l3, &ip, sizeof(ip), BPF_F_RECOMPUTE_CSUM) ?:
	       bpf_skb_store_bytes(skb, p->l3 + sizeof(ip), &tcp, sizeof(tcp), BPF_F_RECOMPUTE_CSUM);
}

/* Verified once. Returns what the TC program returns. */
__noinline int tc_reset(struct __sk_buff *skb, struct pkt *p)
{
	__u8 offset;
	__u32 plain; /* where TCP is without options or extension headers */

	if (!p)
		return TC_DROP;
	plain = p->l3 + (p->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	if (p->l4 != plain || bpf_skb_load_bytes(skb, p->l4 + 12, &offset, 1))
		return TC_DROP;
	if (p->family == 4 ? reset4(skb, p, offset >> 4 << 2) : reset6(skb, p, offset >> 4 << 2))
		return TC_DROP;
	if (tc_swap_macs(skb))
		return TC_DROP;
	return bpf_redirect(p->ifindex, p->hook == HOOK_EGRESS ? BPF_F_INGRESS : 0);
}
