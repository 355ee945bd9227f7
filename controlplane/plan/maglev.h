/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Consistent-hash tables: which backend serves which hash of a flow.
 *
 * The same set of backends gives the same table on every node, whatever order
 * they are listed in. Losing one of n backends moves its own 1/n of the flows
 * and few others.
 *
 * Source: Eisenbud et al., "Maglev", NSDI 2016, section 3.4. Weights scale how
 * often a backend takes its turn.
 *
 * Pure: no I/O, no maps, no logging. The map writer stores what this computes.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"

/* The largest weight. */
#define MAGLEV_WEIGHT_MAX 65535

struct maglev_backend {
	uint32_t id;	 /* what the slots hold; never 0 */
	uint64_t seed;	 /* maglev_seed() of address and port */
	uint32_t weight; /* relative share of slots, up to MAGLEV_WEIGHT_MAX; 0: none */
};

/* What a backend's walk is made of; the same on every machine. */
uint64_t maglev_seed(const struct sl_addr *addr, uint8_t family, __be16 port);

/*
 * How many slots a service of `n` backends gets: the smallest of the primes
 * 251, 509, 1021 ... 524287, each a little below a power of two, that is at
 * least 100 x n, else 524287; 1 for one backend, 0 for none.
 */
uint32_t maglev_size(size_t n);

/*
 * Fills `slots[0 ... size - 1]` with backend ids. `size` must be one that
 * maglev_size() can return for two or more backends, and at least `n`.
 *
 * Returns 0, or, leaving `slots` untouched:
 *   -EINVAL  `size` is none of the primes or below `n`, an id is 0, a weight
 *            is too large
 *   -ENODATA no backend has any weight
 *   -ENOMEM
 */
int maglev_build(const struct maglev_backend *backends, size_t n, uint32_t *slots, uint32_t size);
