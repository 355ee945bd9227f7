/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

#include "maps.h"
#include "store.h"

/* Set by sluiced before load and frozen after: branches on it cost nothing. */
const volatile struct sl_config config;

SEC("tc")
int sluice_ingress(struct __sk_buff *skb)
{
	return skb->len ? -1 : 0;
}

SEC("tc")
int sluice_egress(struct __sk_buff *skb)
{
	return skb->len ? -1 : 0;
}

SEC("xdp.frags")
int sluice_xdp(struct xdp_md *ctx)
{
	return ctx->ingress_ifindex ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
