/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * Stage "flow", for each family: one lookup that is the whole answer for a
 * packet of a known flow. What happens once in a flow's life is in track.h.
 */

/* Is the backend still the one that was picked? (design: "Generations") */
static __always_inline int F(flow_backend_left)(const struct sl_flow *f)
{
	__u32 id = f->backend;
	struct sl_backend *backend = bpf_map_lookup_elem(&backends, &id);
	__u64 word;

	if (!backend)
		return 1;
	word = *(volatile __u64 *)&backend->word;
	return SL_BACKEND_GENERATION(word) != f->generation ||
	       SL_BACKEND_STATE(word) != SL_BACKEND_LIVE;
}

/*
 * Must the packet open the flow anew? UDP leaves a backend that is gone at
 * once; TCP stays with it (S-128) until a SYN comes. A SYN also replaces what
 * is closed, but not a connection that may live: its endpoint answers.
 */
static __always_inline int F(flow_dead)(struct pkt *p, const struct sl_flow *f)
{
	int syn = (p->tcp & (TCP_SYN | TCP_ACK)) == TCP_SYN;

	if (f->state == SL_FLOW_PROMOTED || F(flow_expired)(f, p->F(key).proto, p->now))
		return 1;
	if (f->flags & SL_FLOW_REVERSE)
		return 0;
	if (syn && f->isn != p->seq && f->state >= SL_FLOW_CLOSING)
		return 1;
	if (p->F(key).proto == IPPROTO_UDP || (syn && f->isn != p->seq))
		return F(flow_backend_left)(f);
	return 0;
}

/* The packet's flow in one of the tables, if the packet may use it. */
static __always_inline struct F(sl_flow) * F(flow_in)(struct pkt *p, void *map, enum table table)
{
	struct F(sl_flow) *f = bpf_map_lookup_elem(map, &p->F(key));

	if (!f)
		return NULL;
	if (!!(f->f.flags & SL_FLOW_EGRESS) != (p->hook == HOOK_EGRESS))
		return NULL;
	if (unlikely(F(flow_dead)(p, &f->f))) {
		p->stale = 1;
		return NULL;
	}

	p->table = table;
	p->flags = f->f.flags;
	p->forward = f->f.forward;
	p->service = f->f.service;
	p->backend = f->f.backend;
	p->generation = f->f.generation;
	copy_addr(p->to.F(saddr), f->saddr);
	copy_addr(p->to.F(daddr), f->daddr);
	p->to.sport = f->f.sport;
	p->to.dport = f->f.dport;
	barrier();
	return *(volatile __u32 *)&f->f.tag == (__u32)p->hash ? f : NULL;
}

/*
 * SL_FORWARD with the translation in `p`, or SL_NEXT: no flow. A SYN or RST
 * asks `new` first, all else `established`. An entry that was promoted between
 * two lookups is looked for again where it went.
 */
static __always_inline enum sl_verdict F(flow)(struct pkt *p)
{
	int early = p->tcp & (TCP_SYN | TCP_RST);
	struct F(sl_flow) *f = NULL;

	p->now = ticks();
	p->hash = sl_tuple_hash(p->F(key).saddr, p->F(key).daddr, WORDS, p->F(key).sport,
				p->F(key).dport, p->F(key).proto);
	if (!early)
		f = F(flow_in)(p, &F(established), TABLE_ESTABLISHED);
	if (!f)
		f = F(flow_in)(p, &F(new), TABLE_NEW);
	if (!f && (early || p->stale))
		f = F(flow_in)(p, &F(established), TABLE_ESTABLISHED);
	if (!f)
		return SL_NEXT;
	if (p->fragment)
		return SL_DROP_FRAGMENT;
	if (p->F(key).proto == IPPROTO_TCP && unlikely(F(flow_backend_left)(&f->f)) &&
	    F(flow_ends)(p))
		return SL_RESET_LEFT;

	if (unlikely(f->f.seen != p->now || p->table == TABLE_NEW ||
		     p->tcp & (TCP_SYN | TCP_FIN | TCP_RST)) &&
	    F(track)(p)) {
		p->stale = 1;
		return SL_NEXT;
	}
	f->f.packets += p->segments;
	f->f.bytes += p->len;
	return SL_FORWARD;
}

/* Another entry gets this packet of a known flow too, and counts it there. */
static __always_inline void F(uncount)(const struct pkt *p)
{
	struct F(sl_flow) *f = p->table == TABLE_NEW
				       ? bpf_map_lookup_elem(&F(new), &p->F(key))
				       : bpf_map_lookup_elem(&F(established), &p->F(key));

	if (!f)
		return;
	f->f.packets -= p->segments;
	f->f.bytes -= p->len;
}
