/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/tables/slab.h"

#include <assert.h>
#include <errno.h>

#define NONE   UINT32_MAX
#define ORDERS 25 /* 2^24 units are 2^32 slots */
#define BUSY   0xff

/* A block is named by its first unit. */
struct slab {
	uint32_t units;
	uint32_t used;	       /* units */
	uint32_t head[ORDERS]; /* a free block of each order, or NONE */
	/* By the first unit of a free block: */
	uint32_t *next, *prev;
	uint8_t *order; /* BUSY for every other unit */
};

static void push(struct slab *slab, uint32_t block, unsigned int order)
{
	slab->order[block] = (uint8_t)order;
	slab->next[block] = slab->head[order];
	slab->prev[block] = NONE;
	if (slab->head[order] != NONE)
		slab->prev[slab->head[order]] = block;
	slab->head[order] = block;
}

static void unlink_block(struct slab *slab, uint32_t block)
{
	unsigned int order = slab->order[block];

	if (slab->prev[block] == NONE)
		slab->head[order] = slab->next[block];
	else
		slab->next[slab->prev[block]] = slab->next[block];
	if (slab->next[block] != NONE)
		slab->prev[slab->next[block]] = slab->prev[block];
	slab->order[block] = BUSY;
}

/* Cuts a block that is in no list down, the part with `keep` staying out. */
static void split(struct slab *slab, uint32_t block, unsigned int from, unsigned int to,
		  uint32_t keep)
{
	while (from > to) {
		uint32_t half = 1U << --from;

		if (keep & half) {
			push(slab, block, from);
			block += half;
		} else {
			push(slab, block + half, from);
		}
	}
}

static unsigned int order_of(uint32_t size)
{
	uint32_t units = size / SLAB_UNIT + (size % SLAB_UNIT != 0);
	unsigned int order = 0;

	while (order < ORDERS - 1 && 1U << order < units)
		order++;
	return order;
}

int slab_new(uint32_t capacity, struct slab **ret)
{
	sl_auto(slab) slab = calloc(1, sizeof(*slab));

	if (!slab)
		return -ENOMEM;
	slab->units = capacity / SLAB_UNIT;
	slab->next = malloc((slab->units + 1UL) * sizeof(*slab->next));
	slab->prev = malloc((slab->units + 1UL) * sizeof(*slab->prev));
	slab->order = malloc(slab->units + 1UL);
	if (!slab->next || !slab->prev || !slab->order)
		return -ENOMEM;

	for (unsigned int i = 0; i < ORDERS; i++)
		slab->head[i] = NONE;
	for (uint32_t i = 0; i < slab->units; i++)
		slab->order[i] = BUSY;
	/* The largest aligned blocks that the capacity has room for. */
	for (uint32_t at = 0, order = ORDERS - 1; at < slab->units;) {
		if (slab->units - at >= 1U << order) {
			push(slab, at, order);
			at += 1U << order;
		} else {
			order--;
		}
	}
	*ret = sl_take(slab);
	return 0;
}

void slab_free(struct slab *slab)
{
	if (!slab)
		return;
	free(slab->next);
	free(slab->prev);
	free(slab->order);
	free(slab);
}

int slab_take(struct slab *slab, uint32_t size, uint32_t *ret_first)
{
	unsigned int order = order_of(size), from = order;

	assert(size > 0);
	while (from < ORDERS && slab->head[from] == NONE)
		from++;
	if (from == ORDERS)
		return -ENOSPC;

	uint32_t block = slab->head[from];

	unlink_block(slab, block);
	split(slab, block, from, order, 0);
	slab->used += 1U << order;
	*ret_first = block * SLAB_UNIT;
	return 0;
}

int slab_reserve(struct slab *slab, uint32_t first, uint32_t size)
{
	unsigned int order = order_of(size);
	uint32_t block = first / SLAB_UNIT;

	if (size == 0 || first % SLAB_UNIT || block & ((1U << order) - 1) || block >= slab->units)
		return -EINVAL;
	/* The free block that holds it begins at one of its prefixes. */
	for (unsigned int from = order; from < ORDERS; from++) {
		uint32_t base = block & ~((1U << from) - 1);

		if (slab->order[base] != from)
			continue;
		unlink_block(slab, base);
		split(slab, base, from, order, block);
		slab->used += 1U << order;
		return 0;
	}
	return -EINVAL;
}

void slab_give(struct slab *slab, uint32_t first, uint32_t size)
{
	unsigned int order = order_of(size);
	uint32_t block = first / SLAB_UNIT;

	assert(slab->order[block] == BUSY);
	slab->used -= 1U << order;
	for (; order < ORDERS - 1; order++) {
		uint32_t buddy = block ^ 1U << order;

		if (buddy >= slab->units || slab->order[buddy] != order)
			break;
		unlink_block(slab, buddy);
		block &= ~(1U << order);
	}
	push(slab, block, order);
}

uint32_t slab_used(const struct slab *slab)
{
	return slab->used * SLAB_UNIT;
}
