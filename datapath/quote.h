/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * The packet that an ICMP error quotes: where it lies, and changes to it that
 * keep the sum of the error's own checksum. TC and XDP have helpers of their
 * own for this; `xdp` is a constant that says which.
 */

#include "checksum.h"
#include "family.h"
#include "parse.h"
#include "sctp.h"

#define ICMP_HEAD   8  /* what stands in front of the quoted packet */
#define ICMP_CHECK  2  /* offset of the checksum */
#define QUOTED_L4   8  /* at least so much of its transport header is quoted */
#define ND_REDIRECT 40 /* head, target and destination, in front of options */

struct quote {
	__u16 l3; /* of the quoted packet: bytes from the start of the frame */
	__u16 l4;
	__u8 redirect;	  /* it is a redirect and no error */
	__u32 len;	  /* of the quoted packet from its transport header on, as it was */
	__u32 end;	  /* of the frame, without padding */
	__u32 sum;	  /* what the changes so far add to the error's checksum */
	__be32 from[4];	  /* who sent the error */
	__be32 source[4]; /* what that becomes */
};

static __always_inline long quote_load(void *ctx, int xdp, __u32 at, void *to, __u32 len)
{
	return xdp ? bpf_xdp_load_bytes(ctx, at, to, len) : bpf_skb_load_bytes(ctx, at, to, len);
}

static __always_inline long quote_store(void *ctx, int xdp, __u32 at, const void *from, __u32 len)
{
	return xdp ? bpf_xdp_store_bytes(ctx, at, (void *)from, len)
		   : bpf_skb_store_bytes(ctx, at, from, len, BPF_F_RECOMPUTE_CSUM);
}

/* Adds `diff` to a check field, and what that changes to `*sum`. */
static __always_inline long quote_add(void *ctx, int xdp, __u32 at, __u32 diff, int udp, __u32 *sum)
{
	__be32 from = 0, to = 0;
	__u16 check;

	if (quote_load(ctx, xdp, at, &check, sizeof(check)))
		return -1;
	if (udp && check == 0) /* its sender made none */
		return 0;
	from = check;
	check = check_add(check, diff);
	if (udp && check == 0)
		check = 0xffff;
	to = check;
	*sum = bpf_csum_diff(&from, 4, &to, 4, *sum);
	return quote_store(ctx, xdp, at, &check, sizeof(check));
}

/* SCTP's checksum is about the whole packet, of which much may not be quoted. */
static __always_inline long quote_add_sctp(void *ctx, int xdp, struct quote *q, __u32 ports)
{
	__u32 at = q->l4 + SCTP_CHECK;
	__be32 was, is;

	if (quote_load(ctx, xdp, at, &was, sizeof(was)))
		return -1;
	is = was ^ sctp_check_difference(ports, q->len);
	q->sum = bpf_csum_diff(&was, 4, &is, 4, q->sum);
	return quote_store(ctx, xdp, at, &is, sizeof(is));
}

/* Where the quoted packet is; a Neighbour Discovery redirect has it in an option. */
static __always_inline enum sl_verdict quote_find(void *ctx, int xdp, const struct pkt *p,
						  struct quote *q)
{
	__u32 at = p->l4 + ICMP_HEAD;
	__u8 type, option[2];

	if (quote_load(ctx, xdp, p->l4, &type, sizeof(type)))
		return SL_LEAVE;
	q->redirect = type == (p->family == 4 ? ICMP4_REDIRECT : ICMP6_REDIRECT);
	if (p->family == 6 && q->redirect) {
		at = p->l4 + ND_REDIRECT;
		if (quote_load(ctx, xdp, at, option, sizeof(option)))
			return SL_LEAVE;
		if (option[0] == 2 && option[1] == 1) { /* the target's MAC address */
			at += 8;
			if (quote_load(ctx, xdp, at, option, sizeof(option)))
				return SL_LEAVE;
		}
		if (option[0] != 4 /* redirected header */)
			return SL_LEAVE;
		at += 8;
	}
	q->l3 = at;
	q->end = p->l3 + p->len;
	q->sum = 0;
	return SL_NEXT;
}

static __always_inline enum sl_verdict quote_ports(void *ctx, int xdp, const struct quote *q,
						   __u8 proto, __be16 *sport, __be16 *dport)
{
	__be16 ports[2];

	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP && proto != IPPROTO_SCTP)
		return SL_LEAVE;
	if (q->l4 + QUOTED_L4 > q->end || quote_load(ctx, xdp, q->l4, ports, sizeof(ports)))
		return SL_LEAVE;
	*sport = ports[1];
	*dport = ports[0];
	return SL_NEXT;
}

/*
 * The key of the flow that goes where the error goes, which is the quoted tuple
 * turned around. As with conntrack, the quoted packet must come from where the
 * error goes to. Whether it was ever sent is for its sender to judge.
 */
static __always_inline enum sl_verdict quote_parse4(void *ctx, int xdp, struct pkt *p,
						    struct quote *q)
{
	struct iphdr ip;

	if (quote_load(ctx, xdp, q->l3, &ip, sizeof(ip)))
		return SL_LEAVE;
	if (ip.version != 4 || ip.ihl < 5 || ip.frag_off & bpf_htons(0x1fff) ||
	    ip.saddr != p->key4.daddr[0])
		return SL_LEAVE;
	q->l4 = q->l3 + ip.ihl * 4;
	q->len = bpf_ntohs(ip.tot_len) - ip.ihl * 4;
	q->from[0] = p->key4.saddr[0];
	p->key4.saddr[0] = ip.daddr;
	p->key4.proto = ip.protocol;
	return quote_ports(ctx, xdp, q, ip.protocol, &p->key4.sport, &p->key4.dport);
}

static __always_inline enum sl_verdict quote_parse6(void *ctx, int xdp, struct pkt *p,
						    struct quote *q)
{
	__u32 at = q->l3 + sizeof(struct ipv6hdr);
	struct extension e;
	struct ipv6hdr ip;
	__u8 proto;

	if (quote_load(ctx, xdp, q->l3, &ip, sizeof(ip)))
		return SL_LEAVE;
	if (ip.version != 6 || !same_words((__be32 *)&ip.saddr, p->key6.daddr, 4))
		return SL_LEAVE;
	proto = ip.nexthdr;
	for (int i = 0; i < IPV6_EXTENSIONS; i++) {
		if (proto != IPPROTO_HOPOPTS && proto != IPPROTO_ROUTING &&
		    proto != IPPROTO_DSTOPTS && proto != IPPROTO_FRAGMENT)
			break;
		if (quote_load(ctx, xdp, at, &e, sizeof(e)))
			return SL_LEAVE;
		if ((proto == IPPROTO_ROUTING && e.segments_left) ||
		    (proto == IPPROTO_FRAGMENT && e.offset_flags & bpf_htons(0xfff8)))
			return SL_LEAVE;
		at += proto == IPPROTO_FRAGMENT ? sizeof(e) : (e.len + 1) * 8;
		proto = e.next;
	}
	q->l4 = at;
	q->len = bpf_ntohs(ip.payload_len) + sizeof(ip) - (at - q->l3);
	__builtin_memcpy(q->from, p->key6.saddr, 16);
	__builtin_memcpy(p->key6.saddr, &ip.daddr, 16);
	p->key6.proto = proto;
	return quote_ports(ctx, xdp, q, proto, &p->key6.sport, &p->key6.dport);
}
