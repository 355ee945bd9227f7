/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A change of one service port: prepared beside what packets use, so that it
 * can still fail and leave no trace; then committed, which can't fail
 * but for frontends that the kernel refuses: those wait for claims_retry().
 */

#include "controlplane/tables/state.h"

struct change {
	struct tables_port *port;
	bool new_port;
	const struct resolved_port *wanted;

	struct tables_backend *backends;
	size_t n_backends;

	struct sl_record record;
	uint32_t index;		    /* of the record; 0: the old one stays */
	bool fresh_run[SL_SET_MAX]; /* the record's run was taken for it */
	uint64_t run_sum[SL_SET_MAX];

	struct ip_prefix *sources;
	size_t n_sources;
	bool new_policy; /* the record's policy id differs from before */

	/* What is claimed from now on, each with the kind it shall have. */
	struct claim **claims;
	uint8_t *kinds;
	size_t n_claims;

	int err; /* of change_commit(): a frontend could not be written */
};

/*
 * Returns 0, or -errno with the map in `*ret_map` (DATAPATH_MAP_MAX: none);
 * the change is then undone. `port` is what is programmed, or NULL.
 */
int change_prepare(struct tables *tables, const struct tables_service *service,
		   struct tables_port *port, const struct resolved_port *wanted, struct change *ret,
		   enum datapath_map *ret_map);

void change_undo(struct tables *tables, struct change *change);

/* The grace period must have room for state_grace_items(). Returns true if
 * anything was written. Frees what the change holds. */
bool change_commit(struct tables *tables, struct change *change);

/* Takes a port out of the tables and frees it. The same room is needed. */
void change_remove(struct tables *tables, struct tables_port *port);
