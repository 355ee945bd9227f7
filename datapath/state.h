/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* What the flow stages share about a flow's entries, for each family. */

static __always_inline int F(same_tuple)(const struct F(sl_tuple) * a, const struct F(sl_tuple) * b)
{
	return same_addr(a->saddr, b->saddr) && same_addr(a->daddr, b->daddr) &&
	       a->sport == b->sport && a->dport == b->dport && a->proto == b->proto;
}

/* The tag of the flow with this key. */
static __always_inline __u32 F(tag_of)(const struct F(sl_tuple) * key)
{
	return sl_tuple_hash(key->saddr, key->daddr, WORDS, key->sport, key->dport, key->proto);
}

/* The key of the other direction. */
static __always_inline void F(opposite_key)(const struct pkt *p, struct F(sl_tuple) * ret)
{
	copy_addr(ret->saddr, p->to.F(daddr));
	copy_addr(ret->daddr, p->to.F(saddr));
	ret->sport = p->to.dport;
	ret->dport = p->to.sport;
	ret->proto = p->F(key).proto;
	__builtin_memset(ret->pad, 0, sizeof(ret->pad));
}

/* Which hook the other direction of a flow has: see `snat4/6` in common/abi.h. */
static __always_inline __u8 F(opposite_flags)(__u8 flags, __u8 forward)
{
	__u8 snat = flags & SL_FLOW_SNAT;

	if (flags & SL_FLOW_REVERSE)
		return snat |
		       (!(flags & SL_FLOW_EGRESS) && forward == SL_TO_STACK ? SL_FLOW_EGRESS : 0);
	if (flags & SL_FLOW_EGRESS || forward != SL_TO_STACK)
		return snat | SL_FLOW_REVERSE;
	return snat | SL_FLOW_REVERSE | SL_FLOW_EGRESS;
}

/*
 * Has the flow been silent for longer than its state allows? Another CPU may
 * have seen it a tick after this one read its clock, hence the signs.
 */
static __always_inline int F(flow_expired)(const struct sl_flow *f, __u8 proto, __u32 now)
{
	__u8 state = f->state;

	if (state >= SL_FLOW_STATE_MAX)
		return 1;
	return (__s32)(now - f->seen) > (__s32)config.timeout[proto != IPPROTO_TCP][state];
}
