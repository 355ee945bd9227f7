/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What an interface is to us, judged by its kind and routes, never by its
 * name. Pure: no I/O, so the same inventory always gives the same answer.
 */

#include "controlplane/attach/attach.h"
#include "controlplane/attach/inventory.h"

#define ROLE_WHY_MAX 128

struct role {
	enum sl_role role;
	char why[ROLE_WHY_MAX]; /* part of a sentence: "carries the default route" */
};

/* Overrides win, by exact name; the last of a name counts. */
void role_decide(const struct inventory *inventory, const struct inventory_link *link,
		 const struct attach_override *overrides, size_t n_overrides, struct role *ret);

/* Whether XDP is to be tried on this uplink. If not, writes to `why`. */
bool role_wants_xdp(const struct inventory *inventory, const struct inventory_link *link,
		    enum attach_xdp mode, char why[ROLE_WHY_MAX]);

/*
 * The node's own addresses for SNAT: those of the first uplink that has one,
 * by preference one with the default route; else a global one of loopback,
 * where routers keep theirs. `roles` goes with the inventory's links.
 */
struct sl_iface role_node(const struct inventory *inventory, const struct role *roles);

/* Whether what comes in there is pod traffic. */
bool role_is_pod_traffic(const struct inventory *inventory, const struct inventory_link *link,
			 enum sl_role role, const struct attach_detect *detect);

/*
 * Role and SNAT addresses of one interface (S-137): its first primary global
 * address of the family, or its bridge's, or else the node's.
 */
struct sl_iface role_iface(const struct inventory *inventory, const struct inventory_link *link,
			   enum sl_role role, const struct sl_iface *node);
