/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The network namespace of a profile's node, and one for what is behind its
 * links.
 */

#include <jansson.h>
#include <stdbool.h>

struct netns {
	int node, peers; /* descriptors, -1: none */
};

/*
 * Makes both and stays in the node's. `cases` tell which links packets come in
 * by and who is behind them. Returns 0, or -errno with a line in `error`.
 */
int netns_make(const json_t *profile, const char *name, const json_t *cases, struct netns *ret,
	       char error[512]);
void netns_close(struct netns *netns);

/* The port by which a bridge's packets come in. */
#define NETNS_PORT "%.10s-port"

/* The interface that leads outside, or NULL. */
const char *netns_uplink(const json_t *profile);

bool netns_is_bridge(const json_t *profile, const char *name);
