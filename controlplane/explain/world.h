/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* From a store of objects to what a decision needs: the Services concerned. */

#include "controlplane/explain/decide.h"
#include "controlplane/node_facts.h"
#include "controlplane/store/store.h"

/* What resolve() and the datapath know of the node. */
struct world_node {
	struct resolve_node resolve;
	struct resolve_config config;
	struct sl_node node;
	const struct tables_address *addresses;
	size_t n_addresses;
};

/*
 * Fills it in, as for the tables. `own` says which addresses node ports answer
 * on and stays the caller's. Returns 0 or -ENOMEM; world_node_done() ends it.
 */
int world_node_init(struct world_node *node, const struct config *config, const struct store *store,
		    const struct node_own *own);
void world_node_done(struct world_node *node);

struct world {
	struct decide_world decide;
	struct resolved **services;
	size_t n_services, room;
};

/*
 * Resolves every Service that has the packet's destination as an address, or
 * its port as a node port; no others, since a cluster has many. The result
 * points into `node`. Returns 0, or -ENOMEM.
 */
int world_new(const struct store *store, const struct world_node *node,
	      const struct decide_packet *packet, struct world **ret);

/* Takes NULL too. */
void world_free(struct world *world);
SL_DEFINE_AUTO(world)
