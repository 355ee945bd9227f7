/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/tables/ids.h"

#include <assert.h>
#include <errno.h>

struct ids {
	uint32_t max, used;
	uint32_t next; /* where the search goes on */
	uint32_t words;
	uint64_t taken[];
};

int ids_new(uint32_t max, struct ids **ret)
{
	uint32_t words = max / 64 + 1;
	struct ids *ids = calloc(1, sizeof(*ids) + words * sizeof(ids->taken[0]));

	if (!ids)
		return -ENOMEM;
	ids->max = max;
	ids->words = words;
	/* 0, and what the last word has too much, are never free. */
	ids->taken[0] = 1;
	ids->taken[words - 1] |= ~0ULL << max % 64;
	*ret = ids;
	return 0;
}

void ids_free(struct ids *ids)
{
	free(ids);
}

uint32_t ids_take(struct ids *ids)
{
	uint64_t from = ~0ULL << ids->next % 64;

	/* The word where the search begins is looked at twice. */
	for (uint32_t i = 0, at = ids->next / 64; i <= ids->words; i++) {
		uint64_t candidates = ~ids->taken[at] & from;

		if (candidates) {
			uint32_t id = at * 64 + (uint32_t)__builtin_ctzll(candidates);

			ids->taken[at] |= candidates & -candidates;
			ids->used++;
			ids->next = (id + 1) % ids->max;
			return id;
		}
		at = (at + 1) % ids->words;
		from = ~0ULL;
	}
	return 0;
}

bool ids_reserve(struct ids *ids, uint32_t id)
{
	if (id == 0 || id >= ids->max || ids->taken[id / 64] >> id % 64 & 1)
		return false;
	ids->taken[id / 64] |= 1ULL << id % 64;
	ids->used++;
	return true;
}

bool ids_taken(const struct ids *ids, uint32_t id)
{
	return id > 0 && id < ids->max && ids->taken[id / 64] >> id % 64 & 1;
}

void ids_give(struct ids *ids, uint32_t id)
{
	assert(ids_taken(ids, id));
	ids->taken[id / 64] &= ~(1ULL << id % 64);
	ids->used--;
}

bool ids_is_taken(const struct ids *ids, uint32_t id)
{
	return id < ids->max && ids->taken[id / 64] >> id % 64 & 1;
}

uint32_t ids_used(const struct ids *ids)
{
	return ids->used;
}

uint32_t ids_max(const struct ids *ids)
{
	return ids->max;
}
