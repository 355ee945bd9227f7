/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The bitmaps that keep packets away from hashes: `filter`, `endpoint_set` and
 * `node_ports`. Several addresses share a bit, so users of each are counted.
 *
 * A bit without users may still be needed by flows that live. It is cleared
 * only after a sweep of the flow tables, begun a grace period after the last
 * user went, has found none (design: "Generations, not scans").
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/tables/memory.h"

enum address_bitmap {
	ADDRESS_SERVICE,  /* `filter`: a frontend has the address */
	ADDRESS_NODE,	  /* `filter`: this node has it */
	ADDRESS_ENDPOINT, /* `endpoint_set` */
	ADDRESS_PORT,	  /* `node_ports` */
	ADDRESS_BITMAP_MAX,
};

struct address_bits;

/* 0 or -ENOMEM. The bits in `memory` stay as they are. */
int address_bits_new(const struct memory *memory, struct address_bits **ret);

/* Takes NULL too. */
void address_bits_free(struct address_bits *bits);
SL_DEFINE_AUTO(address_bits)

/* Slots of the first three bitmaps, and of ADDRESS_PORT (port in network byte
 * order; -1 for a protocol without ports). */
uint32_t address_slot(const struct sl_addr *addr, uint8_t family);
int64_t address_port_slot(uint8_t proto, uint16_t port);

/* One more user: the bit is set when this returns. */
void address_bits_use(struct address_bits *bits, enum address_bitmap bitmap, uint32_t slot);

/* One user less; true if it was the last: pass the slot to
 * address_bits_retire() after a grace period. */
bool address_bits_leave(struct address_bits *bits, enum address_bitmap bitmap, uint32_t slot);

/* The slot may be cleared by the next sweep if it still has no users. */
void address_bits_retire(struct address_bits *bits, enum address_bitmap bitmap, uint32_t slot);

/* So may every bit that is set and has no users: what an earlier life left. */
void address_bits_retire_unused(struct address_bits *bits);

/* Bits that wait for a sweep. */
size_t address_bits_retired(const struct address_bits *bits);

/* Slots of a bitmap. */
uint32_t address_bits_slots(const struct address_bits *bits, enum address_bitmap bitmap);

/*
 * Repairs a slot: a bit that is missing is set, which gives 1; one that nobody
 * uses, or used and still needs, is retired if `strays` says so: -1; else 0.
 */
int address_bits_audit(struct address_bits *bits, enum address_bitmap bitmap, uint32_t slot,
		       bool strays);

/* A sweep begins: it decides about what is retired by now. */
void address_bits_sweep_begin(struct address_bits *bits);

/* The sweep has found a live flow that needs the bit. */
void address_bits_sweep_needs(struct address_bits *bits, enum address_bitmap bitmap, uint32_t slot);

/* It has seen every flow: clears what nobody needs. Returns how many. */
size_t address_bits_sweep_end(struct address_bits *bits);
