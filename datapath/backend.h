/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Backends and memory of them, as far as no address is involved. */

#include "maps.h"
#include "pkt.h"

#define AFFINITY_PLACES 4

static __always_inline __u32 now_ms(void)
{
	return bpf_ktime_get_coarse_ns() / 1000000;
}

/* In ms. Another CPU may have written `used` after this one read its clock. */
static __always_inline __u32 affinity_age(__u32 now, __u32 used)
{
	__u32 age = now - used;

	return age > -1000U ? 0 : age;
}

/* Is this backend in the set, and the one that was remembered? */
static __always_inline int affinity_order(__u32 id, __u32 generation, __u8 set)
{
	struct sl_backend *backend = bpf_map_lookup_elem(&backends, &id);
	__u64 word;

	if (!backend || id == 0)
		return -1;
	word = *(volatile __u64 *)&backend->word;
	if (SL_BACKEND_GENERATION(word) != generation ||
	    SL_BACKEND_STATE(word) != SL_BACKEND_LIVE || !(SL_BACKEND_SETS(word) & set))
		return -1;
	return SL_BACKEND_ORDER(word);
}

/* The place of this backend, else the one that was used least lately. */
static __always_inline int affinity_place(const struct sl_affinity *a, __u32 backend, __u32 now)
{
	int place = 0;

	for (int i = 0; i < AFFINITY_PLACES; i++) {
		if (a->at[i].backend == backend)
			return i;
		if (a->at[i].backend == 0 ||
		    affinity_age(now, a->at[i].used) > affinity_age(now, a->at[place].used))
			place = i;
	}
	return place;
}

/* The backend in the slot of a hash; 0 for a slot that is not filled. */
static __always_inline __u32 pick_slot(__u64 hash, const struct sl_set *set)
{
	struct sl_slots *slots;
	__u32 slot, index;

	if (set->slots == 1)
		return set->first;
	slot = set->first + (__u32)((hash >> 32) * set->slots >> 32);
	index = slot / 2;
	slots = bpf_map_lookup_elem(&maglev, &index);
	return slots ? slots->id[slot & 1] : 0;
}
