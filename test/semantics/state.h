/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What resolve makes of a store, compared with a table's expected state. */

#include "controlplane/resolve/resolve.h"
#include "controlplane/store/store.h"
#include "test/semantics/check.h"

/* Every Service that a store has named, resolved. Begins as { 0 }. */
struct state {
	struct resolved **services;
	size_t n;
};

/* Resolves what changed in the store, as sync does. */
void state_update(struct state *state, struct store *store, const struct resolve_node *node);
void state_clear(struct state *state);

/* The service port that a table names "ns/service:port/PROTO", or NULL. */
const struct resolved_port *state_port(const struct state *state, const char *name, uint8_t family);

/* Compares `servicePorts`, `healthCheckNodePorts` and `localReadyEndpoints`.
 * `where` is put in front of what differs. */
void state_check(struct check *check, const struct state *state, const struct store *store,
		 const struct resolve_node *node, const json_t *expected, const char *where);

/* A list of texts, sorted, as one new string; NULL without memory. */
char *state_join(const json_t *list);

/* "IPv4" or "IPv6" -> 4 or 6. */
uint8_t state_family(const json_t *object);
