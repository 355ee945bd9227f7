/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A hash table of pointers: the items lie densely in an array, in no lasting
 * order, and an open-addressed index of positions finds them. The table does
 * not own its items. Starts as { 0 }. Adding, finding and removing cost O(1).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_item {
	uint64_t hash;
	void *item;
};

struct table {
	struct table_item *items;
	size_t n;
	uint32_t *slots; /* position in `items` + 1; 0: free */
	size_t n_slots;	 /* 0 or a power of 2, at least 2n */
};

typedef bool table_equal(const void *item, const void *key);

/* Hash of a string, continuing from `seed`: 0, or the hash of a string before. */
uint64_t table_hash(const char *text, uint64_t seed);

/* The item with this hash for which `equal` holds, or NULL. */
void *table_find(const struct table *table, uint64_t hash, table_equal *equal, const void *key);

/* Adds an item that is not in the table. Returns 0 or -ENOMEM. */
int table_add(struct table *table, uint64_t hash, void *item);

/*
 * Removes an item that is in the table; the last item of `items` moves into
 * its place, so a loop from the last to the first may remove as it goes.
 */
void table_remove(struct table *table, uint64_t hash, const void *item);

/* Frees the table's memory; it is then empty. */
void table_clear(struct table *table);
