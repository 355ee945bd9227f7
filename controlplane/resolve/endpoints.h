/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Which endpoints a service port has, and which of them new connections may
 * choose: sections 4 and 5 of docs/semantics.md (private to resolve/).
 */

#include "controlplane/resolve/resolve.h"

/* An endpoint under one port of its slice. */
struct candidate {
	const struct endpoint *endpoint;
	__be16 port;
	uint8_t sets;		/* 1 << SL_SET_CLUSTER | 1 << SL_SET_LOCAL */
	bool local;		/* runs on this node (S-073) */
	size_t order;		/* of appearance in the slices */
	char text[IP_TEXT_MAX]; /* "ip:port" */
};

/*
 * Merges what the slices say of one service port: each ip:port once (S-074),
 * sorted (S-077). `name` is interned.
 *
 * Returns 0 and the list, which the caller frees, NULL when it is empty; or
 * -ENOMEM.
 */
int endpoints_merge(const struct slice *const *slices, size_t n_slices, uint8_t family,
		    const char *name, uint8_t proto, const struct resolve_node *node,
		    struct candidate **ret, size_t *ret_n);

/*
 * Counts the different addresses of this node that are ready in a family, over
 * all ports of the slices (S-205). Returns 0 or -ENOMEM.
 */
int endpoints_count_ready(const struct slice *const *slices, size_t n_slices, uint8_t family,
			  const struct resolve_node *node, uint32_t *ret);

/* What endpoints_choose() found. */
struct endpoint_choice {
	bool has_cluster; /* the cluster set is not empty */
	bool has_local;	  /* the local set is not empty */
	bool has_any;	  /* S-091, S-097: else connections are rejected */
};

/*
 * Fills in `sets` of every candidate: the cluster set if `use_cluster`, the
 * local set if `use_local` (S-034, S-091 ... S-100).
 */
struct endpoint_choice endpoints_choose(struct candidate *candidates, size_t n, bool use_cluster,
					bool use_local, const struct resolve_node *node);
