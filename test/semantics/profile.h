/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A node's set-up as tables name it, and its objects in a store. */

#include "controlplane/resolve/resolve.h"
#include "controlplane/store/store.h"
#include "test/semantics/check.h"

/* The Node object of a profile with these labels; a new reference. */
json_t *profile_node(const json_t *profile, const json_t *labels);

/* What resolve must know of the store's node; release with profile_release(). */
struct resolve_node profile_resolve_node(const json_t *profile, const struct store *store);
void profile_release(struct resolve_node *node);

/*
 * A store with the profile's Node and ServiceCIDRs, and with lists of Services
 * and EndpointSlices, which are NULL or arrays. What the selectors leave out
 * is compared with `watched` (NULL: of no interest). Exits without memory.
 */
struct store *profile_store(struct check *check, const json_t *profile, const json_t *services,
			    const json_t *slices, const json_t *watched);

/* Puts an object, or removes it. Says what the parser refused. */
int profile_apply(struct check *check, struct store *store, const json_t *object, bool removed);
