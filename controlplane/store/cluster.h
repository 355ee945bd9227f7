/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What belongs to no Service: the node and the ServiceCIDRs, of which a
 * cluster has a few (private to store/).
 */

#include "controlplane/store/object.h"

struct held_cidr {
	struct service_cidr *cidr;
	uint32_t round;
};

/* Begins as all zero. */
struct cluster {
	struct node *node;
	uint32_t node_round;
	struct held_cidr *cidrs; /* ordered by name */
	size_t n_cidrs, cidrs_room;
	uint64_t version; /* goes up with every change */
};

void cluster_clear(struct cluster *cluster);

/*
 * As store_put_*(), store_remove() and store_list_end(); `round` is that of the
 * list under way.
 */
int cluster_put_node(struct cluster *cluster, struct node *node, uint32_t round);
int cluster_put_cidr(struct cluster *cluster, struct service_cidr *cidr, uint32_t round);
int cluster_remove(struct cluster *cluster, enum object_kind kind, const char *name);
size_t cluster_sweep(struct cluster *cluster, enum object_kind kind, uint32_t round);

/* Where the round stands in which an object was put last; NULL if there is none. */
uint32_t *cluster_round(struct cluster *cluster, enum object_kind kind, const char *name);
