/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * ICMP errors, for each family. One about a packet of a flow goes the other way
 * than that packet, so it follows the flow as an answer to it would (S-129). It
 * is no packet of the flow: it opens nothing, and changes no state, time or
 * counter. What concerns no flow is left alone.
 */

/* SL_FORWARD with the flow's translation in `p`, or SL_LEAVE. */
static __always_inline enum sl_verdict F(error_flow)(struct pkt *p)
{
	struct F(sl_flow) * f;

	p->now = ticks();
	p->hash = sl_tuple_hash(p->F(key).saddr, p->F(key).daddr, WORDS, p->F(key).sport,
				p->F(key).dport, p->F(key).proto);
	f = F(flow_in)(p, &F(established), TABLE_ESTABLISHED);
	if (!f)
		f = F(flow_in)(p, &F(new), TABLE_NEW);
	if (!f && p->stale) /* promoted in between */
		f = F(flow_in)(p, &F(established), TABLE_ESTABLISHED);
	return f ? SL_FORWARD : SL_LEAVE;
}

/*
 * Whose error it becomes: the frontend's where it is the backend's, and another
 * router's stays that, so that its hop is seen. Towards a backend that must not
 * see the client's address its network need not let others' through either.
 */
static __always_inline void F(error_source)(const struct pkt *p, struct quote *q)
{
	int snat = !(p->flags & SL_FLOW_REVERSE) && !same_addr(p->to.F(saddr), p->F(key).saddr);

	if (snat || same_addr(q->from, p->F(key).saddr))
		copy_addr(q->source, p->to.F(saddr));
	else
		copy_addr(q->source, q->from);
}

/* Finds the flow that the error concerns: SL_FORWARD, SL_DROP_REDIRECT or SL_LEAVE. */
static __always_inline enum sl_verdict F(error_walk)(void *ctx, int xdp, struct pkt *p,
						     struct quote *q)
{
	enum sl_verdict v = F(quote_parse)(ctx, xdp, p, q);

	if (v == SL_NEXT)
		v = p->hook == HOOK_EGRESS ? F(filter_egress)(p) : F(filter_ingress)(p);
	if (v != SL_NEXT)
		return SL_LEAVE;
	/* A switch floods frames to others. */
	if (p->astray && iface_role(p->ifindex) == SL_ROLE_UPLINK)
		return SL_LEAVE;
	v = F(error_flow)(p);
	if (v != SL_FORWARD)
		return v;
	if (q->redirect)
		return SL_DROP_REDIRECT;
	if (p->hook == HOOK_INGRESS && p->forward != SL_TO_STACK && F(is_martian)(q->from))
		return SL_LEAVE;
	F(error_source)(p, q);
	return SL_FORWARD;
}

/* The quoted transport header's ports and checksum, as far as it is quoted. */
static __always_inline long F(quote_rewrite_l4)(void *ctx, int xdp, const struct pkt *p,
						struct quote *q, __u32 diff)
{
	__be32 from = ports_word(p->F(key).dport, p->F(key).sport);
	__be32 to = ports_word(p->to.dport, p->to.sport);
	__u8 proto = p->F(key).proto;
	__u32 check = q->l4 + (proto == IPPROTO_TCP ? offsetof(struct tcphdr, check)
						    : offsetof(struct udphdr, check));
	long r = 0;

	if (proto == IPPROTO_SCTP) {
		if (from != to && q->l4 + SCTP_CHECK + 4 <= q->end)
			r = quote_add_sctp(ctx, xdp, q, from ^ to);
	} else if (check + 2 <= q->end) {
		diff = bpf_csum_diff(&from, 4, &to, 4, diff);
		r = quote_add(ctx, xdp, check, diff, proto == IPPROTO_UDP, &q->sum);
	}
	q->sum = bpf_csum_diff(&from, 4, &to, 4, q->sum);
	return r ?: quote_store(ctx, xdp, q->l4, &to, 4);
}

/* Puts both addresses into the IP header at `l3`. */
static __always_inline long F(error_readdress)(void *ctx, int xdp, __u32 l3, const __be32 *saddr,
					       const __be32 *daddr)
{
	__u32 at = l3 +
		   (FAMILY == 4 ? offsetof(struct iphdr, saddr) : offsetof(struct ipv6hdr, saddr));

	return quote_store(ctx, xdp, at, saddr, ADDR_BYTES)
		       ?: quote_store(ctx, xdp, at + ADDR_BYTES, daddr, ADDR_BYTES);
}

/* Translates what the error quotes, whose ends are those of the key turned around. */
static __always_inline long F(quote_rewrite)(void *ctx, int xdp, const struct pkt *p,
					     struct quote *q)
{
	/* Both addresses stand side by side, and a sum does not ask which is first. */
	__be32 *from = (__be32 *)p->F(key).saddr, *to = (__be32 *)p->to.F(saddr);
	__u32 diff = bpf_csum_diff(from, 2 * ADDR_BYTES, to, 2 * ADDR_BYTES, 0);

	q->sum = bpf_csum_diff(from, 2 * ADDR_BYTES, to, 2 * ADDR_BYTES, q->sum);
	if (F(error_readdress)(ctx, xdp, q->l3, p->to.F(daddr), p->to.F(saddr)))
		return -1;
	if (FAMILY == 4 &&
	    quote_add(ctx, xdp, q->l3 + offsetof(struct iphdr, check), diff, 0, &q->sum))
		return -1;
	return F(quote_rewrite_l4)(ctx, xdp, p, q, diff);
}

/* Translates the error itself, after what it quotes. */
static __always_inline long F(error_rewrite)(void *ctx, int xdp, const struct pkt *p,
					     struct quote *q)
{
	__be32 *from = (__be32 *)p->F(key).daddr, *to = (__be32 *)p->to.F(daddr);
	__u32 diff, rest = 0;

	if (F(quote_rewrite)(ctx, xdp, p, q) || F(error_readdress)(ctx, xdp, p->l3, q->source, to))
		return -1;
	/* The header of IPv4 has a checksum; that of IPv6 is in ICMPv6's. */
	diff = bpf_csum_diff(from, ADDR_BYTES, to, ADDR_BYTES, FAMILY == 4 ? 0 : q->sum);
	diff = bpf_csum_diff(q->from, ADDR_BYTES, q->source, ADDR_BYTES, diff);
	if (FAMILY == 4) {
		if (quote_add(ctx, xdp, p->l3 + offsetof(struct iphdr, check), diff, 0, &rest))
			return -1;
		diff = q->sum;
	}
	return quote_add(ctx, xdp, p->l4 + ICMP_CHECK, diff, 0, &rest);
}
