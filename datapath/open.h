/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * Stage "open", for each family: writes the entries of a new flow.
 *
 * A pair is a flow's entry towards the backend and the one for its answers. A
 * flow is one pair; with SNAT at egress it is two, each with a life of its own. The answers' entry
 * is reserved first: the client may already have a flow with the same one (another VIP with the
 * same backend), then this flow gets another source port.
 */

struct F(pair) {
	struct F(sl_tuple) key; /* of the forward entry */
	__be32 source[WORDS];	/* what the client's address becomes */
	__be16 sport;		/* and its port; set by reserve */
	__u8 flags;		/* of the forward entry */
	__u8 any_port;		/* 0: begin with the client's own port */
};

/* The common part of both entries of a pair. */
static __always_inline void F(fill)(struct pkt *p, struct F(sl_flow) * v,
				    const struct F(sl_tuple) * key, __u8 flags)
{
	int syn = (p->tcp & (TCP_SYN | TCP_ACK)) == TCP_SYN;

	v->f = (struct sl_flow) {
		.tag = F(tag_of)(key),
		.service = p->service,
		.backend = p->backend,
		.generation = p->generation,
		.state = SL_FLOW_NEW,
		.forward = p->forward,
		.flags = flags,
		.kind = p->kind,
		.seen = p->now,
		.opened = p->now,
		.isn = p->seq,
	};
	if (p->F(key).proto == IPPROTO_TCP && !syn)
		v->f.flags |= SL_FLOW_MIDSTREAM;
}

/*
 * May the entry `e` for answers be overwritten by the pair? Yes if it is the
 * pair's own, or dead.
 */
static __always_inline int F(replaceable)(struct pkt *p, const struct F(pair) * pair,
					  const struct F(sl_flow) * e)
{
	if (F(flow_expired)(&e->f, pair->key.proto, p->now) || e->f.state >= SL_FLOW_CLOSING)
		return 1;
	return same_addr(e->saddr, pair->key.daddr) && same_addr(e->daddr, pair->key.saddr) &&
	       e->f.sport == pair->key.dport && e->f.dport == pair->key.sport;
}

/* Tries to write the entry for answers with the source port in pair->sport. */
__noinline int F(reserve_port)(struct pkt *p, struct F(pair) * pair)
{
	struct F(sl_tuple) key = {};
	struct F(sl_tuple) * owner;
	struct F(sl_flow) v, *e;
	__u64 how = BPF_NOEXIST;

	if (!p || !pair)
		return FULL;
	copy_addr(key.saddr, p->to.F(daddr));
	copy_addr(key.daddr, pair->source);
	key.sport = p->to.dport;
	key.dport = pair->sport;
	key.proto = pair->key.proto;

	owner = bpf_map_lookup_elem(&F(snat), &key);
	if (owner && !F(same_tuple)(owner, &pair->key))
		return TAKEN;
	e = bpf_map_lookup_elem(&F(established), &key);
	if (e) {
		if (!F(replaceable)(p, pair, e))
			return TAKEN;
		bpf_map_delete_elem(&F(established), &key);
	}
	e = bpf_map_lookup_elem(&F(new), &key);
	if (e) {
		if (!F(replaceable)(p, pair, e))
			return TAKEN;
		how = BPF_ANY;
	}

	F(fill)(p, &v, &key, F(opposite_flags)(pair->flags, p->forward));
	copy_addr(v.saddr, pair->key.daddr);
	copy_addr(v.daddr, pair->key.saddr);
	v.f.sport = pair->key.dport;
	v.f.dport = pair->key.sport;
	switch (bpf_map_update_elem(&F(new), &key, &v, how)) {
	case 0:
		return RESERVED;
	case -17: /* EEXIST: another CPU was faster */
		return TAKEN;
	default:
		return FULL;
	}
}

/*
 * The search begins where a hash of the pair says, so that a retransmission,
 * or a flow that was evicted, finds its own port again.
 */
static __always_inline enum sl_verdict F(reserve)(struct pkt *p, struct F(pair) * pair)
{
	__u32 start = sl_mix(p->hash + p->backend * SL_K1);
	int r = TAKEN;

	if (!pair->any_port) {
		pair->sport = pair->key.sport;
		r = F(reserve_port)(p, pair);
	}
	for (__u32 i = 0; i < PORT_TRIES && r == TAKEN; i++) {
		pair->sport = bpf_htons(config.snat_first + (start + i) % (config.snat_count ?: 1));
		r = F(reserve_port)(p, pair);
	}
	return r == RESERVED ? SL_NEXT : r == TAKEN ? SL_DROP_NO_PORT : SL_DROP_TABLE_FULL;
}

/* Writes the forward entry. SL_LEAVE: another packet of the flow was faster. */
__noinline int F(commit)(struct pkt *p, const struct F(pair) * pair)
{
	struct F(sl_flow) v;
	__u64 how = BPF_NOEXIST;

	if (!p || !pair)
		return SL_DROP_BUG;
	F(fill)(p, &v, &pair->key, pair->flags);
	v.f.packets = p->segments;
	v.f.bytes = p->len;
	copy_addr(v.saddr, pair->source);
	copy_addr(v.daddr, p->to.F(daddr));
	v.f.sport = pair->sport;
	v.f.dport = p->to.dport;
	if (p->stale || pair->flags & SL_FLOW_EGRESS) {
		bpf_map_delete_elem(&F(established), &pair->key);
		how = BPF_ANY;
	}
	switch (bpf_map_update_elem(&F(new), &pair->key, &v, how)) {
	case 0:
		return SL_NEXT;
	case -17:
		return SL_LEAVE;
	default:
		return SL_DROP_TABLE_FULL;
	}
}

/* The pair at the client's side. */
static __always_inline void F(client_pair)(const struct pkt *p, struct F(pair) * pair)
{
	pair->key = p->F(key);
	copy_addr(pair->source, p->snat == SNAT_HERE ? p->source.w : p->F(key).saddr);
	pair->flags = p->snat == SNAT_HERE ? SL_FLOW_SNAT : 0;
	pair->any_port = p->snat == SNAT_HERE;
}

/* The pair where the packet leaves, behind one that made `sport` of the client's port. */
static __always_inline void F(egress_pair)(const struct pkt *p, struct F(pair) * pair, __be16 sport)
{
	copy_addr(pair->key.saddr, p->F(key).saddr);
	copy_addr(pair->key.daddr, p->to.F(daddr));
	pair->key.sport = sport;
	pair->key.dport = p->to.dport;
	copy_addr(pair->source, p->source.w);
	pair->flags = SL_FLOW_EGRESS | SL_FLOW_SNAT;
	pair->any_port = 1;
}

/*
 * SL_FORWARD with the translation in `p`; SL_NEXT if another packet of the
 * flow was faster, whose entry is to be used; or a drop.
 */
__noinline int F(open)(struct pkt *p)
{
	struct F(pair) pair;
	enum sl_verdict v;
	__be16 sport;

	if (!p)
		return SL_DROP_BUG;
	F(client_pair)(p, &pair);
	v = F(reserve)(p, &pair);
	sport = pair.sport;
	if (v == SL_NEXT && p->snat == SNAT_EGRESS) {
		F(egress_pair)(p, &pair, sport);
		v = F(reserve)(p, &pair);
		p->egress_port = pair.sport;
		if (v == SL_NEXT)
			v = F(commit)(p, &pair);
		F(client_pair)(p, &pair);
		pair.sport = sport;
	}
	if (v == SL_NEXT)
		v = F(commit)(p, &pair);
	if (v != SL_NEXT)
		return v == SL_LEAVE ? SL_NEXT : v;

	copy_addr(p->to.F(saddr), pair.source);
	p->to.sport = sport;
	p->flags = pair.flags;
	count_connection(p);
	return SL_FORWARD;
}
