/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The node's own processes: programs at the cgroup root, and sockets to close. */

#include <uv.h>

#include "controlplane/attach/cgroup.h"
#include "controlplane/config.h"
#include "controlplane/tables/tables.h"

struct host {
	struct cgroup cgroup;
	/* NULL without hostProcesses */
	struct sockets *sockets;
	struct strays *strays;
};

/* Before the datapath is loaded: what its programs for sockets need, or says in
 * host->cgroup.why why there will be none. */
void host_prepare(struct host *host, const struct config *config, struct sl_config *ret);

/* Attaches the programs, or takes those of an earlier run off. Whatever fails is
 * logged, and all else works. `host` must not move from here on. */
void host_serve(struct host *host, uv_loop_t *loop, const struct datapath *datapath,
		struct tables *tables);

/* Programs stay attached. Run the loop once more. */
void host_stop(struct host *host);
