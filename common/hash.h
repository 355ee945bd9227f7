/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Hashes that the datapath and user space must compute alike. Words are taken
 * as they lie in memory, so both sides agree on one machine; what has to agree
 * between machines (Maglev) hashes host-order values in maglev.c.
 */

#include "common/abi.h"

#define SL_K1 0x9e3779b97f4a7c15ULL /* 2^64 / golden ratio */
#define SL_K2 0xd6e8feb86659fd93ULL

static inline __attribute__((always_inline)) __u64 sl_mix(__u64 h)
{
	h ^= h >> 32;
	h *= SL_K2;
	return h ^ h >> 32;
}

/* Slot of an address of `words` (1 or 4, a constant) in the filter bitmaps. */
static inline __attribute__((always_inline)) __u32 sl_filter_slot(const __be32 *w, int words)
{
	__u64 h = (__u64)w[0] * SL_K1;

	if (words == 4) {
		h = ((__u64)w[0] | (__u64)w[1] << 32) * SL_K1;
		h ^= h >> 29;
		h = (h + ((__u64)w[2] | (__u64)w[3] << 32)) * SL_K2;
	}
	return h >> (64 - SL_FILTER_BITS);
}

/* Hash of a 5-tuple: picks the Maglev slot, and its low half tags flows. */
static inline __attribute__((always_inline)) __u64 sl_tuple_hash(const __be32 *saddr,
								 const __be32 *daddr, int words,
								 __be16 sport, __be16 dport,
								 __u8 proto)
{
	__u64 h = SL_K1 ^ ((__u64)saddr[0] << 32 | daddr[0]);

	for (int i = 1; i < words; i++)
		h = sl_mix(h) + ((__u64)saddr[i] << 32 | daddr[i]);
	h = sl_mix(h) + ((__u64)sport << 32 | (__u64)dport << 8 | proto);
	return sl_mix(h * SL_K1);
}

/* The tag of a frontend's value. */
static inline __attribute__((always_inline)) __u32 sl_frontend_tag(const __be32 *addr, int words,
								   __be16 port, __u8 proto)
{
	__u64 h = (__u64)port << 8 | proto;

	for (int i = 0; i < words; i++)
		h = sl_mix(h + addr[i]) * SL_K1;
	return h >> 40;
}
