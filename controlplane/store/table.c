/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/mem.h"
#include "controlplane/store/table.h"

#define FIRST_SLOTS 16

uint64_t table_hash(const char *text, uint64_t seed)
{
	uint64_t h = seed ^ SL_K1;

	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 0x100000001b3ULL; /* FNV-1a */
	return sl_mix(h);
}

/* The slot that holds the position of items[position], or the free one for it. */
static size_t slot_of(const struct table *table, uint64_t hash, size_t position)
{
	size_t slot = hash & (table->n_slots - 1);

	while (table->slots[slot] && table->slots[slot] != position + 1)
		slot = (slot + 1) & (table->n_slots - 1);
	return slot;
}

void *table_find(const struct table *table, uint64_t hash, table_equal *equal, const void *key)
{
	if (!table->n_slots)
		return NULL;
	for (size_t slot = hash & (table->n_slots - 1); table->slots[slot];
	     slot = (slot + 1) & (table->n_slots - 1)) {
		const struct table_item *found = &table->items[table->slots[slot] - 1];

		if (found->hash == hash && equal(found->item, key))
			return found->item;
	}
	return NULL;
}

static int grow(struct table *table)
{
	size_t n_slots = table->n_slots ? table->n_slots * 2 : FIRST_SLOTS;
	struct table_item *items = realloc(table->items, n_slots / 2 * sizeof(*items));

	if (!items)
		return -ENOMEM;
	table->items = items;

	uint32_t *slots = calloc(n_slots, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	free(table->slots);
	table->slots = slots;
	table->n_slots = n_slots;
	for (size_t i = 0; i < table->n; i++)
		slots[slot_of(table, items[i].hash, i)] = i + 1;
	return 0;
}

int table_add(struct table *table, uint64_t hash, void *item)
{
	if (table->n * 2 >= table->n_slots && grow(table))
		return -ENOMEM;
	table->slots[slot_of(table, hash, table->n)] = table->n + 1;
	table->items[table->n++] = (struct table_item) { .hash = hash, .item = item };
	return 0;
}

/*
 * Frees a slot and moves later ones of the same run up, so that every item is
 * still found before a free slot.
 */
static void free_slot(struct table *table, size_t slot)
{
	size_t mask = table->n_slots - 1;

	for (size_t next = (slot + 1) & mask; table->slots[next]; next = (next + 1) & mask) {
		size_t home = table->items[table->slots[next] - 1].hash & mask;

		/* May move unless its home lies behind the free slot. */
		if (((next - home) & mask) >= ((next - slot) & mask)) {
			table->slots[slot] = table->slots[next];
			slot = next;
		}
	}
	table->slots[slot] = 0;
}

void table_remove(struct table *table, uint64_t hash, const void *item)
{
	size_t slot = hash & (table->n_slots - 1);

	while (table->items[table->slots[slot] - 1].item != item)
		slot = (slot + 1) & (table->n_slots - 1);

	size_t position = table->slots[slot] - 1;
	size_t last = table->n - 1;

	free_slot(table, slot);
	if (position != last) {
		table->slots[slot_of(table, table->items[last].hash, last)] = position + 1;
		table->items[position] = table->items[last];
	}
	table->n--;
}

void table_clear(struct table *table)
{
	free(table->items);
	free(table->slots);
	*table = (struct table) { 0 };
}
