/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A node described by a file, for explaining without one (docs/api.md has the
 * fields). The profiles of the behaviour tables are of the same form.
 */

#include <jansson.h>

#include "controlplane/explain/world.h"

struct profile_iface {
	const char *name;
	enum sl_role role;
};

/* Strings point into `json`; config has only what node_facts.h reads. */
struct profile {
	json_t *json;
	struct config config;
	struct node_own own;
	struct profile_iface *ifaces;
	size_t n_ifaces;
	struct world_node world;
};

/*
 * Reads a profile. What it says of the Node replaces that part of the store's
 * Node object. Returns 0 and the profile, -EINVAL with the field in `error`, or
 * -ENOMEM.
 */
int profile_new(const json_t *json, struct store *store, struct profile **ret, char error[512]);

/* Takes NULL too. */
void profile_free(struct profile *profile);
SL_DEFINE_AUTO(profile)

/*
 * Fills in what the interface is to the node. One that the profile does not
 * list is a pod's. Without an interface a packet with an address of the node
 * is from one of its processes.
 */
void profile_place(const struct profile *profile, struct decide_packet *packet);
