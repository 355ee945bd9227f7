/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Which runs of Maglev slots are in use.
 *
 * The sizes of runs are primes a little below powers of two (maglev_size()),
 * so runs are cut from blocks of 2^k x SLAB_UNIT slots, each aligned to its
 * size and merged with its buddy when both are free. Pure: no maps.
 *
 * Everything costs O(log capacity).
 */

#include <stdint.h>

#include "common/mem.h"

#define SLAB_UNIT 256U

struct slab;

/* Room for `capacity` slots, cut to a multiple of SLAB_UNIT; 0 or -ENOMEM. */
int slab_new(uint32_t capacity, struct slab **ret);

/* Takes NULL too. */
void slab_free(struct slab *slab);
SL_DEFINE_AUTO(slab)

/* Finds room for `size` > 0 slots: 0 and the first one, or -ENOSPC. */
int slab_take(struct slab *slab, uint32_t size, uint32_t *ret_first);

/*
 * Takes the run that starts at `first`, as slab_take() gave it in an earlier
 * life. Returns -EINVAL when it is not free or can't have come from here.
 */
int slab_reserve(struct slab *slab, uint32_t first, uint32_t size);

/* Gives back what slab_take() or slab_reserve() took. */
void slab_give(struct slab *slab, uint32_t first, uint32_t size);

/* Slots in use, counted as blocks. */
uint32_t slab_used(const struct slab *slab);
