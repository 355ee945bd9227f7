/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What follows for resolve and the datapath from the configuration, the Node,
 * the ServiceCIDRs and the machine's own addresses. It may change at any time
 * and is then followed without a restart (S-101, S-246, S-253).
 */

#include "controlplane/config.h"
#include "controlplane/resolve/resolve.h"
#include "controlplane/store/store.h"
#include "controlplane/tables/tables.h"

/* What the kernel says of this machine. */
struct node_own {
	struct tables_address *addresses;
	size_t n_addresses;
	struct sl_iface snat; /* attach_node() */
};

/* Without uninitialised bytes: two are equal if their bytes are. */
struct node_facts {
	struct sl_addr ip4, ip6; /* the Node's primary addresses (S-251); 0: none */
	struct resolve_config resolve;
	struct sl_node entry;
	uint32_t left_out; /* ServiceCIDRs that `entry` has no room for */
};

void node_facts_fill(const struct config *config, const struct store *store,
		     const struct node_own *own, struct node_facts *ret);
