/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * Stage "affinity", for each family: a Service with ClientIP affinity sends a
 * client where its last new connection went (S-140 ... S-149). A client may be
 * remembered with several backends, because each path has its own set.
 */

static __always_inline __u32 F(client_tag)(const struct F(sl_client) * key)
{
	__u64 h = key->service * SL_K1;

	for (int i = 0; i < WORDS; i++)
		h = sl_mix(h + key->addr[i]) * SL_K1;
	return h >> 32;
}

static __always_inline void F(client_key)(const struct pkt *p, struct F(sl_client) * ret)
{
	ret->service = p->service;
	copy_addr(ret->addr, p->F(key).saddr);
}

/* The backend that the client is to have again, the first in S-077's order; 0: any. */
static __always_inline __u32 F(recall)(const struct pkt *p, const struct sl_record *r, __u8 set)
{
	struct F(sl_client) key;
	struct sl_affinity *a;
	__u32 now = now_ms(), id = 0;
	int best = 0x10000;

	F(client_key)(p, &key);
	a = bpf_map_lookup_elem(&F(affinity), &key);
	if (!a || a->tag != F(client_tag)(&key))
		return 0;
	for (int i = 0; i < AFFINITY_PLACES; i++) {
		int order;

		if (affinity_age(now, a->at[i].used) > r->affinity_s * 1000)
			continue;
		order = affinity_order(a->at[i].backend, a->at[i].generation, set);
		if (order >= 0 && order < best) {
			best = order;
			id = a->at[i].backend;
		}
	}
	return id;
}

/* A new connection of the client went to p->backend. */
static __always_inline void F(remember)(const struct pkt *p)
{
	struct F(sl_client) key;
	struct sl_affinity *a, fresh = {};
	__u32 now = now_ms();
	int i = 0;

	F(client_key)(p, &key);
	a = bpf_map_lookup_elem(&F(affinity), &key);
	if (a && a->tag == F(client_tag)(&key)) {
		i = affinity_place(a, p->backend, now);
		if (i < 0 || i >= AFFINITY_PLACES)
			return;
		a->at[i].backend = p->backend;
		a->at[i].generation = p->generation;
		a->at[i].used = now;
		return;
	}
	fresh.tag = F(client_tag)(&key);
	fresh.at[0].backend = p->backend;
	fresh.at[0].generation = p->generation;
	fresh.at[0].used = now;
	bpf_map_update_elem(&F(affinity), &key, &fresh, BPF_ANY);
}
