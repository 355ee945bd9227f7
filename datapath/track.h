/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * What happens to a flow besides being used, for each family: proof of the way
 * back and promotion, FIN and RST, the time last seen. Called for the packets
 * of `new` flows, for those with SYN, FIN or RST, and once a tick.
 */

/*
 * Is `o` the other direction of the packet's flow? Its key alone does not tell:
 * the entry may have been evicted and the key given to another flow.
 */
static __always_inline int F(is_opposite)(const struct pkt *p, const struct F(sl_flow) * o)
{
	return same_addr(o->saddr, p->F(key).daddr) && same_addr(o->daddr, p->F(key).saddr) &&
	       o->f.sport == p->F(key).dport && o->f.dport == p->F(key).sport;
}

/* Writes the other direction of the flow, whose entry is `f`, if none is there. */
static __always_inline void F(mirror)(struct pkt *p, const struct sl_flow *f,
				      const struct F(sl_tuple) * key)
{
	struct F(sl_flow) m = {
		.f = {
			.tag = F(tag_of)(key),
			.service = f->service,
			.backend = f->backend,
			.generation = f->generation,
			.state = f->state,
			.forward = f->forward,
			.flags = F(opposite_flags)(f->flags, f->forward),
			.kind = f->kind,
			.seen = p->now,
			.opened = f->opened,
			.isn = f->isn,
			.sport = p->F(key).dport,
			.dport = p->F(key).sport,
		},
	};

	copy_addr(m.saddr, p->F(key).daddr);
	copy_addr(m.daddr, p->F(key).saddr);
	if (p->table == TABLE_NEW)
		bpf_map_update_elem(&F(new), key, &m, BPF_NOEXIST);
	else
		bpf_map_update_elem(&F(established), key, &m, BPF_NOEXIST);
}

/*
 * The flow has no opposite direction of its own: the LRU table evicted it. One
 * direction is all that is needed to write the other, unless a younger flow has
 * the key now. Returns 1 if the flow must be opened anew instead: a young one
 * lost its source port together with the answers' entry. An answer has nothing
 * to open, and a tunnel's egress can't.
 */
static __always_inline int F(lonely)(struct pkt *p, const struct sl_flow *f,
				     const struct F(sl_tuple) * okey)
{
	struct F(sl_flow) * young;

	if (p->table == TABLE_NEW && f->flags & SL_FLOW_REVERSE)
		return 0;
	if (p->table == TABLE_NEW && !(f->flags & SL_FLOW_EGRESS))
		return 1;
	young = bpf_map_lookup_elem(&F(new), okey);
	if (!young || young->f.state == SL_FLOW_PROMOTED)
		F(mirror)(p, f, okey);
	return 0;
}

/*
 * Moves both directions to `established`, where no flood of new flows reaches
 * them. A translated source port is entered in `snat`, which never evicts; if
 * another flow holds it there, this one stays where it is.
 */
static __always_inline void F(promote)(struct pkt *p, struct F(sl_flow) * f, struct F(sl_flow) * o,
				       const struct F(sl_tuple) * okey)
{
	struct F(sl_flow) value;

	if (f->f.flags & SL_FLOW_SNAT &&
	    bpf_map_update_elem(&F(snat), okey, &p->F(key), BPF_NOEXIST)) {
		struct F(sl_tuple) *owner = bpf_map_lookup_elem(&F(snat), okey);

		if (!owner || !F(same_tuple)(owner, &p->F(key)))
			return;
	}

	value = *f;
	value.f.state = SL_FLOW_ESTABLISHED;
	if (bpf_map_update_elem(&F(established), &p->F(key), &value, BPF_ANY))
		return;
	value = *o;
	value.f.state = SL_FLOW_ESTABLISHED;
	if (bpf_map_update_elem(&F(established), okey, &value, BPF_ANY))
		return;
	barrier();
	f->f.state = SL_FLOW_PROMOTED;
	o->f.state = SL_FLOW_PROMOTED;
}

/* A packet of a flow that is still in `new`: is the way back proven? */
static __always_inline void F(prove)(struct pkt *p, struct F(sl_flow) * f, struct F(sl_flow) * o,
				     const struct F(sl_tuple) * okey)
{
	if (f->f.flags & SL_FLOW_REVERSE) {
		if (p->tcp & TCP_SYN)
			o->f.proof = p->seq + 1;
		else if (p->F(key).proto == IPPROTO_TCP && !(o->f.flags & SL_FLOW_MIDSTREAM))
			return;
		o->f.flags |= SL_FLOW_ANSWERED;
		return;
	}
	if (!(f->f.flags & SL_FLOW_ANSWERED))
		return;
	if (p->F(key).proto == IPPROTO_TCP && !(f->f.flags & SL_FLOW_MIDSTREAM) &&
	    (!(p->tcp & TCP_ACK) || p->ack - f->f.proof > 1U << 30))
		return;
	F(promote)(p, f, o, okey);
}

/* After FIN both ways, or RST either way, a new SYN replaces the flow. */
static __always_inline void F(close)(struct pkt *p, struct sl_flow *f, struct sl_flow *o)
{
	if (p->tcp & TCP_RST) {
		f->state = SL_FLOW_CLOSED;
		o->state = SL_FLOW_CLOSED;
	} else if (p->tcp & TCP_FIN) {
		f->flags |= SL_FLOW_FIN;
		if (o->flags & SL_FLOW_FIN && f->state < SL_FLOW_CLOSING) {
			f->state = SL_FLOW_CLOSING;
			o->state = SL_FLOW_CLOSING;
		}
	}
}

/* The backend of the flow in `p` left: does its service want the flow ended by now? */
static __always_inline int F(flow_is_due)(const struct pkt *p)
{
	struct sl_record *record;
	struct sl_backend *backend;
	__u32 index = p->service;
	__u64 *word = bpf_map_lookup_elem(&services, &index);

	index = word ? SL_SERVICE_RECORD(*(volatile __u64 *)word) : 0;
	record = bpf_map_lookup_elem(&records, &index);
	index = p->backend;
	backend = bpf_map_lookup_elem(&backends, &index);
	if (!record || !backend || record->service != p->service || record->leave == SL_LEAVE_KEEP)
		return 0;
	/* Rather late than early; another CPU's clock may be a tick ahead. */
	return record->leave != SL_LEAVE_DRAIN ||
	       (__s32)(p->now - backend->left) > (__s64)SL_TICKS(record->drain_s);
}

/*
 * A TCP flow's backend left: 1 if its service then resets connections, at once
 * or after a time. Both directions are closed, so that a SYN opens anew. An RST
 * is never answered (RFC 9293, 3.10.7.1).
 */
__noinline int F(flow_ends)(struct pkt *p)
{
	struct F(sl_flow) * f;
	struct F(sl_tuple) okey;

	if (!p || p->tcp & TCP_RST || !F(flow_is_due)(p))
		return 0;
	F(opposite_key)(p, &okey);
	f = bpf_map_lookup_elem(&F(established), &p->F(key));
	if (f)
		f->f.state = SL_FLOW_CLOSED;
	f = bpf_map_lookup_elem(&F(established), &okey);
	if (f)
		f->f.state = SL_FLOW_CLOSED;
	return 1;
}

/*
 * Does a SYN-ACK answer somebody else's SYN? Where another opens connections it
 * may give one the port of a flow of ours that has ended (SL_HANDOVER_BACK).
 */
static __always_inline int F(is_anothers)(const struct pkt *p, const struct sl_flow *f)
{
	return (p->tcp & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK) &&
	       f->flags & SL_FLOW_REVERSE && p->ack != f->isn + 1 && hands_back();
}

/*
 * Returns 1 if the flow must be opened anew. Verified once; a separately
 * verified function can't know that `p` is set.
 */
__noinline int F(track)(struct pkt *p)
{
	struct F(sl_flow) * f, *o;
	struct F(sl_tuple) okey;

	if (!p)
		return 0;
	F(opposite_key)(p, &okey);
	if (p->table == TABLE_NEW) {
		f = bpf_map_lookup_elem(&F(new), &p->F(key));
		o = bpf_map_lookup_elem(&F(new), &okey);
	} else {
		f = bpf_map_lookup_elem(&F(established), &p->F(key));
		o = bpf_map_lookup_elem(&F(established), &okey);
	}
	if (!f)
		return 0;
	if (F(is_anothers)(p, &f->f))
		return 1;
	f->f.seen = p->now;
	if (!o || !F(is_opposite)(p, o))
		return F(lonely)(p, &f->f, &okey);
	o->f.seen = p->now;
	F(close)(p, &f->f, &o->f);
	if (p->table == TABLE_NEW && f->f.state == SL_FLOW_NEW)
		F(prove)(p, f, o, &okey);
	return 0;
}
