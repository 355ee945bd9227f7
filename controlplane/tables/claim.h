/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Who claims which frontend, and `frontends4/6`.
 *
 * A key belongs to the claim that came first; the others wait, and the oldest
 * of them takes over when it goes. The key stays in the map meanwhile: its
 * value changes in place. What an earlier life left is a claim of nobody and
 * gives way at once.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"
#include "controlplane/tables/address.h"
#include "controlplane/tables/chain.h"
#include "controlplane/tables/datapath.h"

struct claim_key {
	struct sl_addr addr; /* 0: a node port */
	uint16_t port;	     /* network byte order; 0 with proto 0: the address itself */
	uint8_t proto;
	uint8_t family;
};

enum claim_state {
	CLAIM_PREPARED, /* counts for the map's size only */
	CLAIM_WAITING,
	CLAIM_OWNER,
};

/* The parts that are not a key are read-only but for `mark`. */
struct claim {
	struct chain_link link;
	struct claim_key key;
	const void *holder; /* whose claim it is, NULL: nobody's */
	uint32_t service;   /* id, 0: the node's */
	uint8_t kind;	    /* enum sl_kind */
	uint8_t state;	    /* enum claim_state */
	bool mark;	    /* the holder's, for finding what it no longer wants */
	int16_t err;	    /* the map could not be made to say what it should, -errno */
	uint64_t order;	    /* the lower, the older */
	uint64_t value;	    /* what the map has, 0: nothing */
};

struct claims;

int claims_new(const struct datapath *datapath, struct address_bits *bits, struct claims **ret);

/* Frees the claims too; the maps stay. Takes NULL too. */
void claims_free(struct claims *claims);
SL_DEFINE_AUTO(claims)

/* The holder's claim on this key, or NULL. */
struct claim *claims_find(const struct claims *claims, const struct claim_key *key,
			  const void *holder);

/*
 * Makes a claim that does nothing yet. Returns 0, -ENOSPC when the map has no
 * room for one more key, or -ENOMEM.
 */
int claims_prepare(struct claims *claims, const struct claim_key *key, const void *holder,
		   uint32_t service, uint8_t kind, struct claim **ret);

/*
 * Turns a prepared claim into a real one: the address bit is set and the key
 * written, or, if another holds it, the claim waits. Returns the claim that
 * stands in the way, or NULL.
 */
const struct claim *claims_activate(struct claims *claims, struct claim *claim);

/* Changes the kind, and makes the map say what it should. True if it did not. */
bool claims_refresh(struct claims *claims, struct claim *claim, uint8_t kind);

/* Tries again for the keys that could not be written; cheap when there are none. */
void claims_retry(struct claims *claims);

/*
 * Audits, a slice of about `n` at a time: that the maps have the keys that are
 * owned, and none besides. The cursor starts as { 0 }. `found` is told what was
 * repaired. Return true at the end, and the cursor is { 0 } again.
 */
struct claims_cursor {
	size_t bucket;
	uint8_t map; /* of the two */
	bool started;
	uint32_t token;
};
bool claims_audit(struct claims *claims, struct claims_cursor *cursor, uint32_t n,
		  void (*found)(void *context, enum datapath_map map, const char *what),
		  void *context);
bool claims_audit_keys(struct claims *claims, struct claims_cursor *cursor, uint32_t n,
		       void (*found)(void *context, enum datapath_map map, const char *what),
		       void *context);

/* Different keys that are claimed, in a family. */
uint32_t claims_keys(const struct claims *claims, uint8_t family);

size_t claims_n(const struct claims *claims);

/* Ends a claim in any state and frees it. `left` is called with a bit that has
 * no user any more (see address_bits_leave()). */
void claims_release(struct claims *claims, struct claim *claim,
		    void (*left)(void *context, enum address_bitmap bitmap, uint32_t slot),
		    void *context);

/*
 * Takes over what the maps hold. `holder_of` names the holder of a service id,
 * NULL if there is none. Returns 0 or -errno.
 */
int claims_adopt(struct claims *claims, const void *(*holder_of)(void *context, uint32_t service),
		 void *context);

/* Calls `each` for every claim; it may release the claim. */
void claims_each(struct claims *claims, void (*each)(void *context, struct claim *claim),
		 void *context);
