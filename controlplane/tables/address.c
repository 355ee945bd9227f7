/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/tables/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "common/hash.h"

#define ADDRESS_SLOTS (1U << SL_FILTER_BITS)
#define PORT_SLOTS    (SL_PORT_PROTOCOLS * 65536U)

struct bitmap {
	__u64 *words;		  /* the map's */
	unsigned int bits, shift; /* of a slot; which of them is ours */
	uint32_t slots;
	uint32_t *users;
	/* One bit a slot: may be cleared; this sweep may clear it. */
	uint64_t *retired, *swept;
};

struct address_bits {
	struct bitmap of[ADDRESS_BITMAP_MAX];
	size_t n_retired;
};

static int bitmap_init(struct bitmap *b, __u64 *words, unsigned int bits, unsigned int shift,
		       uint32_t slots)
{
	*b = (struct bitmap) {
		.words = words,
		.bits = bits,
		.shift = shift,
		.slots = slots,
		.users = calloc(slots, sizeof(*b->users)),
		.retired = calloc(slots / 64, sizeof(*b->retired)),
		.swept = calloc(slots / 64, sizeof(*b->swept)),
	};
	return b->users && b->retired && b->swept ? 0 : -ENOMEM;
}

int address_bits_new(const struct memory *memory, struct address_bits **ret)
{
	sl_auto(address_bits) bits = calloc(1, sizeof(*bits));
	struct bitmap *of;

	if (!bits)
		return -ENOMEM;
	of = bits->of;
	if (bitmap_init(&of[ADDRESS_SERVICE], memory->filter, 2, 0, ADDRESS_SLOTS) ||
	    bitmap_init(&of[ADDRESS_NODE], memory->filter, 2, 1, ADDRESS_SLOTS) ||
	    bitmap_init(&of[ADDRESS_ENDPOINT], memory->endpoint_set, 1, 0, ADDRESS_SLOTS) ||
	    bitmap_init(&of[ADDRESS_PORT], memory->node_ports, 1, 0, PORT_SLOTS))
		return -ENOMEM;
	*ret = sl_take(bits);
	return 0;
}

void address_bits_free(struct address_bits *bits)
{
	if (!bits)
		return;
	for (int i = 0; i < ADDRESS_BITMAP_MAX; i++) {
		free(bits->of[i].users);
		free(bits->of[i].retired);
		free(bits->of[i].swept);
	}
	free(bits);
}

uint32_t address_slot(const struct sl_addr *addr, uint8_t family)
{
	return family == 4 ? sl_filter_slot(addr->w, 1) : sl_filter_slot(addr->w, 4);
}

int64_t address_port_slot(uint8_t proto, uint16_t port)
{
	switch (proto) {
	case IPPROTO_TCP:
		return ntohs(port);
	case IPPROTO_UDP:
		return 65536 + ntohs(port);
	case IPPROTO_SCTP:
		return 2 * 65536 + ntohs(port);
	default:
		return -1;
	}
}

static __u64 *word_of(const struct bitmap *b, uint32_t slot, uint64_t *ret_mask)
{
	uint32_t at = slot * b->bits + b->shift;

	*ret_mask = 1ULL << at % 64;
	return &b->words[at / 64];
}

static bool flag(const uint64_t *flags, uint32_t slot)
{
	return flags[slot / 64] >> slot % 64 & 1;
}

static void flag_clear(uint64_t *flags, uint32_t slot)
{
	flags[slot / 64] &= ~(1ULL << slot % 64);
}

void address_bits_use(struct address_bits *bits, enum address_bitmap bitmap, uint32_t slot)
{
	struct bitmap *b = &bits->of[bitmap];
	uint64_t mask;
	__u64 *word = word_of(b, slot, &mask);

	b->users[slot]++;
	if (flag(b->retired, slot)) {
		flag_clear(b->retired, slot);
		bits->n_retired--;
	}
	/* A sweep that has begun must not clear it, even if it is left again. */
	flag_clear(b->swept, slot);
	__atomic_fetch_or(word, mask, __ATOMIC_SEQ_CST);
}

bool address_bits_leave(struct address_bits *bits, enum address_bitmap bitmap, uint32_t slot)
{
	return --bits->of[bitmap].users[slot] == 0;
}

void address_bits_retire(struct address_bits *bits, enum address_bitmap bitmap, uint32_t slot)
{
	struct bitmap *b = &bits->of[bitmap];

	if (b->users[slot] > 0 || flag(b->retired, slot))
		return;
	b->retired[slot / 64] |= 1ULL << slot % 64;
	bits->n_retired++;
}

void address_bits_retire_unused(struct address_bits *bits)
{
	for (int i = 0; i < ADDRESS_BITMAP_MAX; i++) {
		struct bitmap *b = &bits->of[i];

		for (uint32_t slot = 0; slot < b->slots; slot++) {
			uint64_t mask;
			__u64 *word = word_of(b, slot, &mask);

			if (*word & mask)
				address_bits_retire(bits, i, slot);
		}
	}
}

uint32_t address_bits_slots(const struct address_bits *bits, enum address_bitmap bitmap)
{
	return bits->of[bitmap].slots;
}

int address_bits_audit(struct address_bits *bits, enum address_bitmap bitmap, uint32_t slot,
		       bool strays)
{
	struct bitmap *b = &bits->of[bitmap];
	uint64_t mask;
	__u64 *word;

	if (slot >= b->slots)
		return 0;
	word = word_of(b, slot, &mask);
	if (b->users[slot] > 0 && !(*word & mask)) {
		__atomic_fetch_or(word, mask, __ATOMIC_SEQ_CST);
		return 1;
	}
	if (b->users[slot] > 0 || !(*word & mask) || !strays || flag(b->retired, slot))
		return 0;
	address_bits_retire(bits, bitmap, slot);
	return -1;
}

size_t address_bits_retired(const struct address_bits *bits)
{
	return bits->n_retired;
}

void address_bits_sweep_begin(struct address_bits *bits)
{
	for (int i = 0; i < ADDRESS_BITMAP_MAX; i++)
		memcpy(bits->of[i].swept, bits->of[i].retired,
		       bits->of[i].slots / 64 * sizeof(uint64_t));
}

void address_bits_sweep_needs(struct address_bits *bits, enum address_bitmap bitmap, uint32_t slot)
{
	flag_clear(bits->of[bitmap].swept, slot);
}

size_t address_bits_sweep_end(struct address_bits *bits)
{
	size_t cleared = 0;

	for (int i = 0; i < ADDRESS_BITMAP_MAX; i++) {
		struct bitmap *b = &bits->of[i];

		for (uint32_t slot = 0; slot < b->slots; slot++) {
			uint64_t mask;
			__u64 *word;

			if (!b->swept[slot / 64]) {
				slot |= 63;
				continue;
			}
			if (!flag(b->swept, slot))
				continue;
			word = word_of(b, slot, &mask);
			__atomic_fetch_and(word, ~mask, __ATOMIC_SEQ_CST);
			flag_clear(b->swept, slot);
			flag_clear(b->retired, slot);
			bits->n_retired--;
			cleared++;
		}
	}
	return cleared;
}
