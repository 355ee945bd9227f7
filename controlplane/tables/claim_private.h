/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What claim.c and claim_audit.c share. */

#include "controlplane/tables/claim.h"

struct claims {
	const struct datapath *datapath;
	struct address_bits *bits;
	struct chain chain;
	uint32_t keys4, keys6; /* different keys claimed, at most what the maps hold */
	uint32_t failed;       /* claims with an `err` */
	uint64_t next_order;
};

enum datapath_map claim_map(uint8_t family);

/* Who owns a key, or NULL. */
struct claim *claim_owner_of(const struct claims *claims, const struct claim_key *key);

/* The key as the map of either family has it. */
void claim_fill_key(const struct claim_key *key, struct sl_frontend4 *ret4,
		    struct sl_frontend6 *ret6);

/* Makes the map say what the owner's value is. */
void claim_write(struct claims *claims, struct claim *claim);
