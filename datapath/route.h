/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * Stage "route", for each family: how the first packet's flow will go on, and
 * whether its source must be translated so that answers come back here.
 *
 * A packet with an address of this node as source is never handed to the stack
 * from ingress (a martian): whoever translates both ends here redirects.
 */

static __always_inline void F(fib_ends)(struct bpf_fib_lookup *fib, const __be32 *saddr,
					const __be32 *daddr)
{
	if (FAMILY == 4) {
		fib->family = AF_INET;
		fib->ipv4_src = saddr[0];
		fib->ipv4_dst = daddr[0];
	} else {
		fib->family = AF_INET6;
		__builtin_memcpy(fib->ipv6_src, saddr, ADDR_BYTES);
		__builtin_memcpy(fib->ipv6_dst, daddr, ADDR_BYTES);
	}
}

/* Takes the SNAT address of an interface. */
static __always_inline enum sl_verdict F(take_source)(struct pkt *p, const struct sl_iface *iface)
{
	if (FAMILY == 4) {
		p->source.w[0] = iface->addr4;
		return iface->addr4 ? SL_NEXT : SL_DROP_NO_SNAT_ADDRESS;
	}
	p->source = iface->addr6;
	return iface->addr6.w[0] ? SL_NEXT : SL_DROP_NO_SNAT_ADDRESS;
}

/* From outside to a backend elsewhere. `ctx` is the entry's context. */
static __noinline enum sl_verdict F(route_remote)(void *ctx, struct pkt *p)
{
	struct bpf_fib_lookup fib = { .l4_protocol = p->F(key).proto, .ifindex = p->ifindex };
	struct sl_iface *iface;
	__u32 ifindex;

	F(fib_ends)(&fib, p->F(key).saddr, p->to.F(daddr));
	switch (bpf_fib_lookup(ctx, &fib, sizeof(fib), 0)) {
	case BPF_FIB_LKUP_RET_BLACKHOLE:
	case BPF_FIB_LKUP_RET_UNREACHABLE:
	case BPF_FIB_LKUP_RET_PROHIBIT:
		return SL_DROP_NO_ROUTE;
	case BPF_FIB_LKUP_RET_SUCCESS:
	case BPF_FIB_LKUP_RET_NO_NEIGH:
	case BPF_FIB_LKUP_RET_FRAG_NEEDED:
		break;
	default: /* to this node, or nothing that we could forward: the stack knows */
		return SL_NEXT;
	}

	ifindex = fib.ifindex;
	iface = bpf_map_lookup_elem(&ifaces, &ifindex);
	if (!iface)
		return SL_NEXT;
	if (iface->role == SL_ROLE_UPLINK) {
		p->snat = SNAT_HERE;
		p->forward = SL_REDIRECT;
	} else if (iface->role == SL_ROLE_TUNNEL) {
		p->snat = SNAT_TUNNEL;
	} else {
		return SL_NEXT;
	}
	return F(take_source)(p, iface);
}

/* Sets forward, snat and source. */
static __always_inline enum sl_verdict F(route)(void *ctx, struct pkt *p)
{
	__u32 ifindex = p->ifindex;
	struct sl_iface *iface = bpf_map_lookup_elem(&ifaces, &ifindex);

	p->forward = SL_TO_STACK;
	p->snat = SNAT_NONE;
	if (!iface || iface->role != SL_ROLE_POD)
		return p->local ? SL_NEXT : F(route_remote)(ctx, p);
	if (!same_addr(p->to.F(daddr), p->F(key).saddr))
		return SL_NEXT;
	p->snat = SNAT_HERE;
	p->forward = SL_HAIRPIN;
	return F(take_source)(p, iface);
}
