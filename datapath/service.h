/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * Stages "service", "policy" and "pick", for each family: the first packet of
 * a flow finds its frontend, is allowed or not, and gets a backend.
 */

/* Sets service and kind, or says what becomes of a packet that has none. */
static __always_inline enum sl_verdict F(service)(struct pkt *p)
{
	struct F(sl_frontend) key = { .port = p->F(key).dport, .proto = p->F(key).proto };
	__u64 value = 0;

	copy_addr(key.addr, p->F(key).daddr);
	if (p->F(key).dport)
		value = F(frontend_at)(&key);
	if (!value) {
		key.port = 0;
		key.proto = 0;
		value = F(frontend_at)(&key);
		if (SL_FRONTEND_KIND(value) == SL_KIND_CLUSTER_ADDRESS) {
			p->service = SL_FRONTEND_SERVICE(value);
			return p->fragment ? SL_DROP_FRAGMENT : SL_REJECT_UNKNOWN_PORT;
		}
		if (SL_FRONTEND_KIND(value) != SL_KIND_NODE_ADDRESS || !p->F(key).dport)
			return SL_LEAVE;
		__builtin_memset(key.addr, 0, ADDR_BYTES);
		key.port = p->F(key).dport;
		key.proto = p->F(key).proto;
		value = F(frontend_at)(&key);
		if (!value)
			return SL_LEAVE;
	}

	p->service = SL_FRONTEND_SERVICE(value);
	p->kind = SL_FRONTEND_KIND(value);
	return p->fragment ? SL_DROP_FRAGMENT : SL_NEXT;
}

/* loadBalancerSourceRanges hold for VIPs (S-054), or for all but the cluster IP. */
static __always_inline enum sl_verdict F(allowed)(struct pkt *p, const struct sl_record *r)
{
	struct F(sl_policy) key = { .prefixlen = 32 + ADDR_BYTES * 8, .policy = r->policy };
	int everywhere = r->flags & SL_RECORD_RANGES_EVERYWHERE && p->kind != SL_KIND_CLUSTER_IP;

	if (r->policy == 0 || (p->kind != SL_KIND_LOAD_BALANCER && !everywhere))
		return SL_NEXT;
	copy_addr(key.addr, p->F(key).saddr);
	return bpf_map_lookup_elem(&F(policy), &key) ? SL_NEXT : SL_DROP_POLICY;
}

/* The backend's part of the translation. */
static __always_inline enum sl_verdict F(use_backend)(struct pkt *p, __u32 id)
{
	struct sl_backend *backend = bpf_map_lookup_elem(&backends, &id);

	if (!backend || id == 0)
		return SL_DROP_BUG;
	p->backend = id;
	p->generation = SL_BACKEND_GENERATION(*(volatile __u64 *)&backend->word);
	p->local = backend->flags & SL_BACKEND_LOCAL;
	copy_addr(p->to.F(daddr), backend->addr.w);
	copy_addr(p->to.F(saddr), p->F(key).saddr);
	p->to.sport = p->F(key).sport;
	p->to.dport = backend->port;
	return SL_NEXT;
}

/* From the set of the packet's path: whom the client had, or by hash. */
static __always_inline enum sl_verdict F(pick)(struct pkt *p, const struct sl_record *r)
{
	enum sl_verdict v;
	__u32 id = 0;
	int set;

	p->path = F(path_of)(p);
	p->choice = r->path[p->path & 7];
	switch (SL_PATH_CHOICE(p->choice)) {
	case SL_CHOOSE_CLUSTER:
		set = SL_SET_CLUSTER;
		break;
	case SL_CHOOSE_LOCAL:
		set = SL_SET_LOCAL;
		break;
	case SL_CHOOSE_DROP:
		return SL_DROP_NO_LOCAL;
	default:
		return SL_REJECT_NO_ENDPOINTS;
	}

	if (r->affinity_s)
		id = F(recall)(p, r, 1 << set);
	if (!id)
		id = pick_slot(p->hash, set == SL_SET_LOCAL ? &r->set[SL_SET_LOCAL]
							    : &r->set[SL_SET_CLUSTER]);
	v = F(use_backend)(p, id);
	if (v == SL_NEXT && r->affinity_s && !p->asks_only)
		F(remember)(p);
	return v;
}

/* SL_NEXT with a backend in `p`, or what becomes of the packet without one. */
__noinline int F(choose)(struct pkt *p)
{
	enum sl_verdict v;
	struct sl_record *record;
	__u64 *word;
	__u32 index;

	if (!p)
		return SL_DROP_BUG;
	v = F(service)(p);
	if (v == SL_LEAVE && F(is_unallocated)(p))
		return SL_DROP_UNALLOCATED;
	/* A switch floods frames to others; a pod's go to its bridge, if it has one. */
	if (p->astray && iface_role(p->ifindex) == SL_ROLE_UPLINK)
		return SL_LEAVE;
	if (v != SL_LEAVE && F(is_forged)(p))
		return SL_DROP_NO_ROUTE;
	if (v != SL_NEXT)
		return v;

	index = p->service;
	word = bpf_map_lookup_elem(&services, &index);
	if (!word)
		return SL_DROP_BUG;
	index = SL_SERVICE_RECORD(*(volatile __u64 *)word);
	record = bpf_map_lookup_elem(&records, &index);
	if (!record || index == 0)
		return SL_LEAVE;

	v = F(allowed)(p, record);
	if (v == SL_NEXT)
		v = F(pick)(p, record);
	return v;
}
