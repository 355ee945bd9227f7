/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * Stages "service", "policy" and "pick", for each family: the first packet of
 * a flow finds its frontend, is allowed or not, and gets a backend.
 */

/* The value of a frontend, or 0. An element recycled under us has another tag. */
static __always_inline __u64 F(frontend_at)(const struct F(sl_frontend) * key)
{
	__u32 tag = sl_frontend_tag(key->addr, WORDS, key->port, key->proto) & 0xffffff;
	__u64 *value, v;

	for (int i = 0; i < 2; i++) {
		value = bpf_map_lookup_elem(&F(frontends), key);
		if (!value)
			return 0;
		v = *(volatile __u64 *)value;
		if (SL_FRONTEND_TAG(v) == tag)
			return v;
	}
	return 0;
}

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

/* loadBalancerSourceRanges hold for VIPs only (S-054). */
static __always_inline enum sl_verdict F(allowed)(struct pkt *p, const struct sl_record *r)
{
	struct F(sl_policy) key = { .prefixlen = 32 + ADDR_BYTES * 8, .policy = r->policy };

	if (p->kind != SL_KIND_LOAD_BALANCER || r->policy == 0)
		return SL_NEXT;
	copy_addr(key.addr, p->F(key).saddr);
	return bpf_map_lookup_elem(&F(policy), &key) ? SL_NEXT : SL_DROP_POLICY;
}

static __always_inline __u32 F(pick_slot)(const struct pkt *p, const struct sl_record *r,
					  const struct sl_set *set)
{
	const __be32 none[4] = {};
	struct sl_slots *slots;
	__u64 hash = p->hash;
	__u32 slot, index;

	if (set->slots == 1)
		return set->first;
	/* ClientIP: the same table, hashed by the client alone. */
	if (r->affinity_s)
		hash = sl_tuple_hash(p->F(key).saddr, none, WORDS, 0, 0, 0);
	slot = set->first + (__u32)((hash >> 32) * set->slots >> 32);
	index = slot / 2;
	slots = bpf_map_lookup_elem(&maglev, &index);
	return slots ? slots->id[slot & 1] : 0;
}

static __always_inline enum sl_verdict F(pick)(struct pkt *p, const struct sl_record *r)
{
	enum sl_path path = p->kind == SL_KIND_CLUSTER_IP	    ? SL_PATH_CLUSTER
			    : iface_role(p->ifindex) == SL_ROLE_POD ? SL_PATH_POD
								    : SL_PATH_OUTSIDE;
	struct sl_backend *backend;
	__u32 id;

	switch (SL_PATH_CHOICE(r->path[path])) {
	case SL_CHOOSE_CLUSTER:
		id = F(pick_slot)(p, r, &r->set[SL_SET_CLUSTER]);
		break;
	case SL_CHOOSE_LOCAL:
		id = F(pick_slot)(p, r, &r->set[SL_SET_LOCAL]);
		break;
	case SL_CHOOSE_DROP:
		return SL_DROP_NO_LOCAL;
	default:
		return SL_REJECT_NO_ENDPOINTS;
	}

	backend = bpf_map_lookup_elem(&backends, &id);
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
