/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/plan/maglev.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/mem.h"

/* All prime, so that every walk visits every slot. */
static const uint32_t sizes[] = {
	251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071, 262139, 524287,
};

/*
 * A turn's length is 2^TURN_SHIFT / weight. The last turn begins before
 * 524287 x 2^TURN_SHIFT, which has to fit 64 bits.
 */
#define TURN_SHIFT 40

/* One backend's walk over the slots: at, at + step, ... (mod size). */
struct walk {
	uint64_t seed;
	uint64_t due;  /* when its next turn is */
	uint64_t turn; /* from one turn to the next */
	uint32_t id;
	uint32_t weight;
	uint32_t at;
	uint32_t step; /* 1 ... size - 1 */
};

/* The finaliser of splitmix64: every input bit reaches every output bit. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

uint64_t maglev_seed(const struct sl_addr *addr, uint8_t family, __be16 port)
{
	uint64_t h = mix((uint64_t)family << 16 | ntohs(port));

	for (int i = 0; i < 4; i += 2)
		h = mix(h + 0x9e3779b97f4a7c15ULL +
			((uint64_t)ntohl(addr->w[i]) << 32 | ntohl(addr->w[i + 1])));
	return h;
}

uint32_t maglev_size(size_t n)
{
	if (n < 2)
		return (uint32_t)n;
	for (size_t i = 0; i < SL_COUNT(sizes); i++) {
		if (sizes[i] / 100 >= n)
			return sizes[i];
	}
	return sizes[SL_COUNT(sizes) - 1];
}

static bool is_size(uint32_t size)
{
	for (size_t i = 0; i < SL_COUNT(sizes); i++) {
		if (sizes[i] == size)
			return true;
	}
	return false;
}

/* By what is the same on every machine; ids only tell equal seeds apart. */
static int by_seed(const void *left, const void *right)
{
	const struct walk *a = left, *b = right;

	if (a->seed != b->seed)
		return a->seed < b->seed ? -1 : 1;
	if (a->weight != b->weight)
		return a->weight < b->weight ? -1 : 1;
	return (a->id > b->id) - (a->id < b->id);
}

/* Sets up the walks of all backends that have weight; returns their number. */
static size_t walks_init(struct walk *walks, const struct maglev_backend *backends, size_t n,
			 uint32_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		if (backends[i].weight == 0)
			continue;

		uint64_t turn = (1ULL << TURN_SHIFT) / backends[i].weight;

		walks[used++] = (struct walk) {
			.seed = backends[i].seed,
			/* Half a turn ahead: shares are rounded, not cut. */
			.due = turn / 2,
			.turn = turn,
			.id = backends[i].id,
			.weight = backends[i].weight,
			.at = (uint32_t)(mix(backends[i].seed) % size),
			.step = (uint32_t)(mix(~backends[i].seed) % (size - 1)) + 1,
		};
	}
	qsort(walks, used, sizeof(*walks), by_seed);
	return used;
}

/*
 * Gives the walk's next free slot to its backend. Which slots are taken is
 * kept in bits, which stay in the first cache where the slots would not.
 */
static inline void claim(struct walk *w, uint64_t *taken, uint32_t *slots, uint32_t size)
{
	uint32_t at = w->at;

	while (taken[at / 64] >> at % 64 & 1) {
		at += w->step;
		if (at >= size)
			at -= size;
	}
	taken[at / 64] |= 1ULL << at % 64;
	slots[at] = w->id;
	w->at = at;
}

/* Equal weights: everybody has one turn a round. */
static void take_rounds(struct walk *walks, size_t n, uint64_t *taken, uint32_t *slots,
			uint32_t size)
{
	for (uint32_t left = size; left > 0;) {
		for (size_t i = 0; i < n && left > 0; i++, left--)
			claim(&walks[i], taken, slots, size);
	}
}

/* Walks are numbered by seed, so the order is the same on every machine. */
static bool sooner(const struct walk *walks, uint32_t a, uint32_t b)
{
	return walks[a].due != walks[b].due ? walks[a].due < walks[b].due : a < b;
}

static void sift_down(const struct walk *walks, uint32_t *heap, size_t n, size_t at)
{
	uint32_t moved = heap[at];

	for (size_t child; (child = 2 * at + 1) < n; at = child) {
		if (child + 1 < n && sooner(walks, heap[child + 1], heap[child]))
			child++;
		if (!sooner(walks, heap[child], moved))
			break;
		heap[at] = heap[child];
	}
	heap[at] = moved;
}

/* Different weights: whose turn is due first. `heap` has room for n numbers. */
static void take_turns(struct walk *walks, size_t n, uint32_t *heap, uint64_t *taken,
		       uint32_t *slots, uint32_t size)
{
	for (size_t i = 0; i < n; i++)
		heap[i] = (uint32_t)i;
	for (size_t i = n / 2; i-- > 0;)
		sift_down(walks, heap, n, i);

	for (uint32_t left = size; left > 0; left--) {
		struct walk *w = &walks[heap[0]];

		claim(w, taken, slots, size);
		w->due += w->turn;
		sift_down(walks, heap, n, 0);
	}
}

static int check(const struct maglev_backend *backends, size_t n, uint32_t size, bool *ret_equal)
{
	uint32_t weight = 0;
	bool equal = true;

	if (!is_size(size) || n > size)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (backends[i].id == 0 || backends[i].weight > MAGLEV_WEIGHT_MAX)
			return -EINVAL;
		if (backends[i].weight == 0)
			continue;
		equal = equal && (weight == 0 || weight == backends[i].weight);
		weight = backends[i].weight;
	}
	if (weight == 0)
		return -ENODATA;
	*ret_equal = equal;
	return 0;
}

int maglev_build(const struct maglev_backend *backends, size_t n, uint32_t *slots, uint32_t size)
{
	bool equal;
	int err = check(backends, n, size, &equal);

	if (err)
		return err;

	sl_auto_mem struct walk *walks = malloc(n * sizeof(*walks));
	sl_auto_mem uint32_t *heap = malloc(n * sizeof(*heap));
	sl_auto_mem uint64_t *taken = calloc(size / 64 + 1, sizeof(*taken));
	if (!walks || !heap || !taken)
		return -ENOMEM;

	n = walks_init(walks, backends, n, size);
	if (equal)
		take_rounds(walks, n, taken, slots, size);
	else
		take_turns(walks, n, heap, taken, slots, size);
	return 0;
}
