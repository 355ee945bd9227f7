/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Stage "parse": the headers up to the ports, into struct pkt.
 *
 * Frames with a VLAN tag, and what is neither IPv4 nor IPv6, leave. So
 * does a packet that a routing header sends on from here: its checksum is about
 * another destination. ICMP has no ports here; errors go on in icmp.h.
 */

#include "pkt.h"

#define IPV6_EXTENSIONS 4 /* more than anybody sends */

struct extension {
	__u8 next;
	__u8 len; /* in 8 bytes, without the first 8 */
	union {
		__be16 offset_flags; /* of a fragment header */
		struct {
			__u8 type;
			__u8 segments_left; /* of a routing header */
		};
	};
	__be32 id;
};

/* The common header and a chunk's, which may be all there is (RFC 9260, 3.1 and 3.2). */
struct sctp {
	__be16 source;
	__be16 dest;
	__be32 tag;
	__le32 check;
	__u8 chunk;
	__u8 chunk_flags;
	__be16 chunk_len;
};

/* The start of an INIT chunk (3.3.2). */
struct sctp_init {
	struct sctp sctp;
	__be32 initiate_tag;
};

#define SCTP_INIT  1
#define SCTP_ABORT 6

/* Says that the linear part of the packet ends too early. */
#define PARSE_SHORT -1
/* An ICMP error or redirect: what it quotes tells whom it concerns. */
#define PARSE_ERROR    -2

#define ICMP4_REDIRECT 5
#define ICMP6_REDIRECT 137

/* To a flow INIT is a SYN, told from others by its tag, and ABORT an RST. */
static __always_inline int parse_sctp_chunk(struct pkt *p, void *l4, void *end)
{
	struct sctp_init *init = l4;

	if (init->sctp.chunk == SCTP_INIT) {
		if ((void *)(init + 1) > end)
			return PARSE_SHORT;
		p->tcp = TCP_SYN;
		p->seq = bpf_ntohl(init->initiate_tag);
	} else if (init->sctp.chunk == SCTP_ABORT) {
		p->tcp = TCP_RST;
	}
	return SL_NEXT;
}

static __always_inline int parse_icmp4(const struct pkt *p, __u8 type)
{
	switch (type) {
	case 8: /* echo */
		return SL_NEXT;
	case 3: /* destination unreachable, with "fragmentation needed" */
	case ICMP4_REDIRECT:
	case 11: /* time exceeded */
	case 12: /* parameter problem */
		return p->fragment ? SL_LEAVE : PARSE_ERROR;
	default:
		return SL_LEAVE;
	}
}

static __always_inline int parse_icmp6(const struct pkt *p, __u8 type)
{
	switch (type) {
	case 128: /* echo */
		return SL_NEXT;
	case 1: /* destination unreachable */
	case 2: /* packet too big */
	case 3: /* time exceeded */
	case 4: /* parameter problem */
	case ICMP6_REDIRECT:
		return p->fragment ? SL_LEAVE : PARSE_ERROR;
	default:
		return SL_LEAVE;
	}
}

static __always_inline int parse_ports(struct pkt *p, void *l4, void *end, __u8 proto,
				       __be16 *sport, __be16 *dport)
{
	struct tcphdr *tcp = l4;
	struct udphdr *udp = l4;
	struct sctp *sctp = l4;
	__u8 *icmp = l4;

	if (p->fragment == FRAGMENT_LATER)
		return SL_NEXT;

	switch (proto) {
	case IPPROTO_TCP:
		if ((void *)(tcp + 1) > end)
			return PARSE_SHORT;
		*sport = tcp->source;
		*dport = tcp->dest;
		p->seq = bpf_ntohl(tcp->seq);
		p->ack = bpf_ntohl(tcp->ack_seq);
		p->tcp = ((__u8 *)tcp)[13];
		return SL_NEXT;
	case IPPROTO_UDP:
		if ((void *)(udp + 1) > end)
			return PARSE_SHORT;
		*sport = udp->source;
		*dport = udp->dest;
		return SL_NEXT;
	case IPPROTO_SCTP:
		if ((void *)(sctp + 1) > end)
			return PARSE_SHORT;
		*sport = sctp->source;
		*dport = sctp->dest;
		return parse_sctp_chunk(p, l4, end);
	case IPPROTO_ICMP:
		if ((void *)(icmp + 1) > end)
			return PARSE_SHORT;
		return parse_icmp4(p, *icmp);
	case IPPROTO_ICMPV6:
		if ((void *)(icmp + 1) > end)
			return PARSE_SHORT;
		return parse_icmp6(p, *icmp);
	default:
		return SL_NEXT;
	}
}

static __always_inline int parse4(struct pkt *p, void *data, void *end)
{
	struct iphdr *ip = data + ETH_HLEN;
	__be16 offset;
	__u32 header;

	if ((void *)(ip + 1) > end)
		return PARSE_SHORT;
	header = ip->ihl * 4;
	if (ip->version != 4 || header < sizeof(*ip))
		return SL_LEAVE;

	p->family = 4;
	p->l4 = ETH_HLEN + header;
	p->len = bpf_ntohs(ip->tot_len);
	p->key4.saddr[0] = ip->saddr;
	p->key4.daddr[0] = ip->daddr;
	p->key4.proto = ip->protocol;
	offset = ip->frag_off & bpf_htons(0x1fff);
	if (offset)
		p->fragment = FRAGMENT_LATER;
	else if (ip->frag_off & bpf_htons(0x2000))
		p->fragment = FRAGMENT_FIRST;
	return parse_ports(p, data + p->l4, end, ip->protocol, &p->key4.sport, &p->key4.dport);
}

static __always_inline int parse6(struct pkt *p, void *data, void *end)
{
	struct ipv6hdr *ip = data + ETH_HLEN;
	__u32 at = ETH_HLEN + sizeof(*ip);
	__u8 proto;

	if ((void *)(ip + 1) > end)
		return PARSE_SHORT;
	if (ip->version != 6)
		return SL_LEAVE;

	p->family = 6;
	p->len = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	__builtin_memcpy(p->key6.saddr, &ip->saddr, 16);
	__builtin_memcpy(p->key6.daddr, &ip->daddr, 16);
	proto = ip->nexthdr;

	for (int i = 0; i < IPV6_EXTENSIONS; i++) {
		struct extension *e = data + at;

		if (proto != IPPROTO_HOPOPTS && proto != IPPROTO_ROUTING &&
		    proto != IPPROTO_DSTOPTS && proto != IPPROTO_FRAGMENT)
			break;
		if ((void *)(e + 1) > end)
			return PARSE_SHORT;
		if (proto == IPPROTO_ROUTING && e->segments_left)
			return SL_LEAVE;
		if (proto == IPPROTO_FRAGMENT) {
			if (e->offset_flags & bpf_htons(0xfff8))
				p->fragment = FRAGMENT_LATER;
			else if (e->offset_flags & bpf_htons(1))
				p->fragment = FRAGMENT_FIRST;
			at += sizeof(*e);
		} else {
			at += (e->len + 1) * 8;
		}
		if (at > 0x1ff)
			return SL_LEAVE;
		proto = e->next;
		if (p->fragment == FRAGMENT_LATER)
			break;
	}

	p->l4 = at;
	p->key6.proto = proto;
	return parse_ports(p, data + at, end, proto, &p->key6.sport, &p->key6.dport);
}

/* SL_NEXT with the packet's key set, SL_LEAVE, or one of PARSE_*. */
static __always_inline int parse(struct pkt *p, void *data, void *end)
{
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > end)
		return PARSE_SHORT;
	p->l3 = ETH_HLEN;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return parse4(p, data, end);
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return parse6(p, data, end);
	return SL_LEAVE;
}
