/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* What the tables say of this node: its ports, endpoints and interfaces. */

#include "maps.h"
#include "pkt.h"

/* Is this port of the node's own addresses a node port, or in the SNAT range? */
static __always_inline enum sl_verdict filter_node_port(__u8 proto, __u16 port)
{
	__u32 word = port / 64;
	__u64 *bits;

	if (proto == IPPROTO_UDP)
		word += SL_PORT_WORDS;
	else if (proto == IPPROTO_SCTP)
		word += 2 * SL_PORT_WORDS;
	else if (proto != IPPROTO_TCP)
		return SL_LEAVE;
	bits = bpf_map_lookup_elem(&node_ports, &word);
	return bits && *bits >> port % 64 & 1 ? SL_NEXT : SL_LEAVE;
}

static __always_inline int filter_endpoint(__u32 slot)
{
	__u32 word = slot / 64;
	__u64 *bits = bpf_map_lookup_elem(&endpoint_set, &word);

	return bits && *bits >> slot % 64 & 1;
}

static __always_inline struct sl_node *this_node(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&node, &zero);
}

static __always_inline int is_compatible(void)
{
	struct sl_node *n = this_node();

	return n && n->compatible;
}

/* Does SNAT happen at the egress of any interface, if only for old flows (S-139)? */
static __always_inline int has_egress_snat(void)
{
	struct sl_node *n = this_node();

	return n && (n->compatible | n->was_compatible);
}

/* Are new connections another's? */
static __always_inline int hands_back(void)
{
	struct sl_node *n = this_node();

	return n && n->handover == SL_HANDOVER_BACK;
}

static __always_inline enum sl_role iface_role(__u32 ifindex)
{
	struct sl_iface *iface = bpf_map_lookup_elem(&ifaces, &ifindex);

	return iface ? iface->role : SL_ROLE_NONE;
}
