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

/* Takes the SNAT address of an interface, or the node's if that has none. */
static __always_inline enum sl_verdict F(take_source)(struct pkt *p, const struct sl_iface *iface)
{
	struct sl_node *n = this_node();

	if (FAMILY == 4)
		p->source.w[0] = iface ? iface->addr4 : 0;
	else if (iface)
		p->source = iface->addr6;
	if (p->source.w[0] == 0 && n)
		copy_addr(p->source.w, SL_PASTE(n->addr, FAMILY));
	return p->source.w[0] ? SL_NEXT : SL_DROP_NO_SNAT_ADDRESS;
}

/*
 * Is the backend what the client asked for, as where an external IP is that of
 * a host-network endpoint? Then the packet goes on as if sent there directly:
 * the entries of both its hooks would have one key.
 */
static __always_inline int F(is_backend_asked)(const struct pkt *p)
{
	return same_addr(p->to.F(daddr), p->F(key).daddr) && p->to.dport == p->F(key).dport;
}

/*
 * Away from this interface, with SNAT where `p->snat` then says. `ctx` is the
 * entry's context, `pod` tells that the packet came from a pod: its way leads
 * through the stack, where policies are.
 */
static __noinline enum sl_verdict F(route_away)(void *ctx, struct pkt *p, int pod)
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
	default: /* to this node (S-137), or nothing that we could forward */
		return SL_NEXT;
	}

	ifindex = fib.ifindex;
	iface = bpf_map_lookup_elem(&ifaces, &ifindex);
	if (iface && iface->role == SL_ROLE_UPLINK && !pod) {
		p->snat = SNAT_HERE;
		p->forward = SL_REDIRECT;
	} else if (!F(is_backend_asked)(p) &&
		   (is_compatible() || (iface && iface->role == SL_ROLE_TUNNEL))) {
		p->snat = SNAT_EGRESS;
	} else {
		return SL_NEXT;
	}
	return F(take_source)(p, iface);
}

/*
 * Sets forward, snat and source. A compatible node translates the source where
 * kube-proxy does; otherwise only where the answer would not come back.
 */
static __always_inline enum sl_verdict F(route)(void *ctx, struct pkt *p)
{
	__u32 ifindex = p->ifindex;
	struct sl_iface *iface = bpf_map_lookup_elem(&ifaces, &ifindex);
	int pod = iface && iface->role == SL_ROLE_POD;
	int itself = same_addr(p->to.F(daddr), p->F(key).saddr);

	p->forward = SL_TO_STACK;
	p->snat = SNAT_NONE;
	if (itself && pod) {
		p->snat = SNAT_HERE;
		p->forward = SL_HAIRPIN;
		return F(take_source)(p, iface);
	}
	if (is_compatible() ? !(p->choice & SL_MASQUERADE) && !(itself && p->local)
			    : pod || p->local)
		return SL_NEXT;
	return F(route_away)(ctx, p, pod);
}
