/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * Stage "filter", for each family: most packets are no service traffic and go
 * on after one or two array lookups, which the verifier inlines. A bit may be
 * set for nothing, it is never missing (design of the bitmaps: common/abi.h).
 */

/* What comes in: by destination, and by port where that is a node's own. */
static __always_inline enum sl_verdict F(filter_ingress)(struct pkt *p)
{
	__u32 slot = sl_filter_slot(p->F(key).daddr, WORDS);
	__u32 word = slot / 32;
	__u64 *bits = bpf_map_lookup_elem(&filter, &word);

	if (!bits)
		return SL_LEAVE;
	p->bits = *bits >> slot % 32 * 2 & 3;
	if (likely(p->bits == 0))
		return SL_LEAVE;
	if (p->bits & SL_FILTER_SERVICE)
		return SL_NEXT;
	return filter_node_port(p->F(key).proto, bpf_ntohs(p->F(key).dport));
}

/*
 * What goes out: answers by their source; by destination where flows get their
 * SNAT at egress: towards tunnels, and anywhere if the node is, or was, compatible.
 */
static __always_inline enum sl_verdict F(filter_egress)(struct pkt *p)
{
	if (unlikely(filter_endpoint(sl_filter_slot(p->F(key).saddr, WORDS))))
		return SL_NEXT;
	if (likely(!filter_endpoint(sl_filter_slot(p->F(key).daddr, WORDS))))
		return SL_LEAVE;
	return has_egress_snat() || iface_role(p->ifindex) == SL_ROLE_TUNNEL ? SL_NEXT : SL_LEAVE;
}
