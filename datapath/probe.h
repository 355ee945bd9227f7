/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Makes the client of an idle connection send a packet, so that the connection
 * of a backend that left can be reset: no packet, no RST. The daemon makes a bare
 * ACK that is out of the client's window, and has it sent by a test run of this
 * program, which needs no raw socket, hence no CAP_NET_RAW, and passes no rule of
 * netfilter that has never seen the connection.
 */

#include "tc.h"

/* Routes as the node's own packets are routed: from the loopback interface. */
#define LOOPBACK 1

static __always_inline enum sl_probe probe_next_hop(struct __sk_buff *skb, const struct pkt *p,
						    struct bpf_fib_lookup *fib)
{
	fib->ifindex = LOOPBACK;
	fib->l4_protocol = IPPROTO_TCP;
	if (p->family == 4)
		fib_ends4(fib, p->key4.saddr, p->key4.daddr);
	else
		fib_ends6(fib, p->key6.saddr, p->key6.daddr);
	switch (bpf_fib_lookup(skb, fib, sizeof(*fib), 0)) {
	case BPF_FIB_LKUP_RET_SUCCESS:
		return SL_PROBE_SENT;
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		return SL_PROBE_NO_NEIGHBOUR;
	default:
		return SL_PROBE_NO_ROUTE;
	}
}

/* The daemon makes the kernel ask for the neighbour. */
static __always_inline void probe_tell(struct __sk_buff *skb, const struct bpf_fib_lookup *fib)
{
	skb->mark = fib->ifindex;
	skb->priority = fib->family == AF_INET ? 4 : 6;
	skb->cb[0] = fib->ipv6_dst[0];
	skb->cb[1] = fib->ipv6_dst[1];
	skb->cb[2] = fib->ipv6_dst[2];
	skb->cb[3] = fib->ipv6_dst[3];
}

SEC("tc")
int sluice_probe(struct __sk_buff *skb)
{
	struct bpf_fib_lookup fib = {};
	struct pkt p = {};
	__u8 macs[2 * ETH_ALEN];
	enum sl_probe r;

	if (tc_parse(skb, &p) != SL_NEXT)
		return SL_PROBE_NOT_DUE;
	if (!(p.family == 4 ? idle_ends4(&p) : idle_ends6(&p)))
		return SL_PROBE_NOT_DUE;
	r = probe_next_hop(skb, &p, &fib);
	if (r == SL_PROBE_NO_NEIGHBOUR)
		probe_tell(skb, &fib);
	if (r != SL_PROBE_SENT)
		return r;
	__builtin_memcpy(macs, fib.dmac, ETH_ALEN);
	__builtin_memcpy(macs + ETH_ALEN, fib.smac, ETH_ALEN);
	if (bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0) ||
	    bpf_clone_redirect(skb, fib.ifindex, 0))
		return SL_PROBE_FAILED;
	return SL_PROBE_SENT;
}
