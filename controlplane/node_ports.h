/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "controlplane/store/object.h"

/*
 * Does a node port answer on this address of the node? `list` is
 * nodePortAddresses: prefixes, or "all" | "primary" | "localhost"; empty means
 * all. A family without an entry of its own falls to "all" (S-181). `node` is
 * the Node object, for "primary" (S-251), or NULL; without it "primary" has
 * no address, and it is skipped where that is a loopback address. Loopback
 * addresses are never served (S-184).
 *
 * Source: S-180 ... S-183.
 */
bool node_ports_serve(char *const *list, size_t n, const struct node *node,
		      const struct sl_addr *addr, uint8_t family);

/* Does the list mean every address of a family, whatever the node has (S-182)? */
bool node_ports_all(char *const *list, size_t n, uint8_t family);

/* The node's primary address of a family (S-251), or NULL. */
const struct sl_addr *node_primary_address(const struct node *node, uint8_t family);
