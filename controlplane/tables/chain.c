/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/tables/chain.h"

#include <errno.h>

#define BUCKETS_MIN 64

int chain_init(struct chain *chain)
{
	*chain = (struct chain) { .n_buckets = BUCKETS_MIN };
	chain->buckets = calloc(BUCKETS_MIN, sizeof(*chain->buckets));
	return chain->buckets ? 0 : -ENOMEM;
}

void chain_done(struct chain *chain)
{
	free(chain->buckets);
	*chain = (struct chain) { 0 };
}

static struct chain_link **bucket(const struct chain *chain, uint64_t hash)
{
	return &chain->buckets[hash & (chain->n_buckets - 1)];
}

static void grow(struct chain *chain)
{
	struct chain bigger = { .n_buckets = chain->n_buckets * 2, .n = chain->n };

	bigger.buckets = calloc(bigger.n_buckets, sizeof(*bigger.buckets));
	if (!bigger.buckets)
		return;
	for (size_t i = 0; i < chain->n_buckets; i++) {
		for (struct chain_link *link = chain->buckets[i], *next; link; link = next) {
			struct chain_link **head = bucket(&bigger, link->hash);

			next = link->next;
			link->next = *head;
			*head = link;
		}
	}
	free(chain->buckets);
	*chain = bigger;
}

void chain_add(struct chain *chain, struct chain_link *link, uint64_t hash)
{
	struct chain_link **head;

	if (chain->n >= chain->n_buckets)
		grow(chain);
	head = bucket(chain, hash);
	link->hash = hash;
	link->next = *head;
	*head = link;
	chain->n++;
}

void chain_remove(struct chain *chain, struct chain_link *link)
{
	struct chain_link **at = bucket(chain, link->hash);

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	chain->n--;
}

static struct chain_link *with_hash(struct chain_link *link, uint64_t hash)
{
	while (link && link->hash != hash)
		link = link->next;
	return link;
}

struct chain_link *chain_first(const struct chain *chain, uint64_t hash)
{
	return with_hash(*bucket(chain, hash), hash);
}

struct chain_link *chain_next(const struct chain_link *link)
{
	return with_hash(link->next, link->hash);
}

void chain_empty(struct chain *chain, void (*each)(struct chain_link *link))
{
	for (size_t i = 0; i < chain->n_buckets; i++) {
		for (struct chain_link *link = chain->buckets[i], *next; link; link = next) {
			next = link->next;
			each(link);
		}
		chain->buckets[i] = NULL;
	}
	chain->n = 0;
}

/* FNV-1a, finished so that the low bits are good. */
uint64_t chain_hash(uint64_t before, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	uint64_t h = before ^ 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3ULL;
	return h ^ h >> 32;
}
