/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A hash table of structs that carry their own link. Equal keys may occur any
 * number of times. Grows by doubling; a table that can't grow gets slower but
 * never fails.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/mem.h"

struct chain_link {
	struct chain_link *next;
	uint64_t hash;
};

struct chain {
	struct chain_link **buckets; /* a power of two of them */
	size_t n_buckets, n;
};

#define chain_entry(link, type, member) ((type *)(void *)((char *)(link) - offsetof(type, member)))

/* 0 or -ENOMEM */
int chain_init(struct chain *chain);

/* Frees the buckets; what is linked is the caller's. */
void chain_done(struct chain *chain);

void chain_add(struct chain *chain, struct chain_link *link, uint64_t hash);
void chain_remove(struct chain *chain, struct chain_link *link);

/* The first link with this hash, and the next one after it; the caller
 * compares keys. NULL at the end. */
struct chain_link *chain_first(const struct chain *chain, uint64_t hash);
struct chain_link *chain_next(const struct chain_link *link);

/* Takes every link out; `each` may free what it is part of. */
void chain_empty(struct chain *chain, void (*each)(struct chain_link *link));

/* Hash of bytes, started with what the parts before gave. */
uint64_t chain_hash(uint64_t before, const void *bytes, size_t len);
