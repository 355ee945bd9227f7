/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * Stage "handover", for each family: while a node goes from kube-proxy to
 * sluice, or back, each translates its own connections until they end. Packets
 * without a flow of ours come here before one is opened for them.
 */

static __noinline int F(ct_ask_for)(struct __sk_buff *skb, const struct F(sl_tuple) * key,
				    struct ct_answer *ret)
{
	struct bpf_sock_tuple tuple = {};

#if FAMILY == 4
	tuple.ipv4.saddr = key->saddr[0];
	tuple.ipv4.daddr = key->daddr[0];
	tuple.ipv4.sport = key->sport;
	tuple.ipv4.dport = key->dport;
	return ct_ask(skb, &tuple, sizeof(tuple.ipv4), key->proto, ret);
#else
	copy_addr(tuple.ipv6.saddr, key->saddr);
	copy_addr(tuple.ipv6.daddr, key->daddr);
	tuple.ipv6.sport = key->sport;
	tuple.ipv6.dport = key->dport;
	return ct_ask(skb, &tuple, sizeof(tuple.ipv6), key->proto, ret);
#endif
}

/*
 * Does conntrack translate the packet's connection? One that begins anew is not
 * held by what the last one with its ports left, but by its own first SYN. UDP
 * leaves an endpoint that is gone: nobody else takes its entry away once
 * kube-proxy is stopped.
 */
static __noinline int F(ct_holds)(struct __sk_buff *skb, struct pkt *p)
{
	int syn = (p->tcp & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	struct ct_answer answer = {};

	if (!config.can_ask_conntrack)
		return p->F(key).proto == IPPROTO_TCP && !syn;
	if (!F(ct_ask_for)(skb, &p->F(key), &answer))
		return 0;
	if (p->F(key).proto == IPPROTO_TCP)
		return !syn || answer.tcp_state == CT_TCP_SYN_SENT ||
		       answer.tcp_state == CT_TCP_SYN_RECV || answer.tcp_state == CT_TCP_SYN_SENT2;
	if (p->F(key).proto == IPPROTO_UDP && !answer.reply)
		return filter_endpoint(sl_filter_slot(answer.backend, WORDS));
	return 1;
}

/* Forgets the dead flow of a packet that is not ours any more. */
static __noinline void F(forget)(const struct pkt *p)
{
	bpf_map_delete_elem(&F(established), &p->F(key));
	bpf_map_delete_elem(&F(new), &p->F(key));
}

/* Is the packet another's? `tc` is a constant: XDP can't ask and lets TC do it. */
static __always_inline int F(handed_over)(void *ctx, struct pkt *p, int tc)
{
	struct sl_node *n = this_node();

	if (likely(!n || !n->handover))
		return 0;
	if (!tc)
		return 1;
	if (n->handover == SL_HANDOVER_FROM)
		return F(ct_holds)(ctx, p);
	if (p->stale)
		F(forget)(p);
	return 1;
}

/*
 * Would the flow's answers be those of a connection that conntrack translates?
 * Then its port is taken: it is reserved for a stranger, which the sweep of
 * reservations undoes later, and the flow has to be opened anew.
 */
static __noinline int F(port_clashes)(struct __sk_buff *skb, struct pkt *p, int egress)
{
	static const struct F(sl_tuple) stranger;
	struct F(sl_tuple) key = {};
	struct ct_answer answer = {};

	copy_addr(key.saddr, p->to.F(daddr));
	copy_addr(key.daddr, egress ? p->source.w : p->to.F(saddr));
	key.sport = p->to.dport;
	key.dport = egress ? p->egress_port : p->to.sport;
	key.proto = p->F(key).proto;
	if (!F(ct_ask_for)(skb, &key, &answer))
		return 0;
	bpf_map_update_elem(&F(snat), &key, &stranger, BPF_NOEXIST);
	bpf_map_delete_elem(&F(new), &key);
	p->stale = 1;
	return 1;
}

#define CLASH_TRIES 4

/* open(), with a port that no connection of conntrack's has. */
static __always_inline enum sl_verdict F(open_beside)(void *ctx, struct pkt *p)
{
	struct sl_node *n = this_node();
	enum sl_verdict v = F(open)(p);

	if (likely(!n || n->handover != SL_HANDOVER_FROM))
		return v;
	for (int i = 0; i < CLASH_TRIES && v == SL_FORWARD; i++) {
		int clash = F(port_clashes)(ctx, p, 0);

		if (p->snat == SNAT_EGRESS)
			clash |= F(port_clashes)(ctx, p, 1);
		if (!clash)
			return v;
		v = F(open)(p);
	}
	return v == SL_FORWARD ? SL_DROP_NO_PORT : v;
}
