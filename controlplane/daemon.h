/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * sluiced put together: a source fills the store, sync resolves what changed
 * and hands it to the map writer, attach follows the interfaces, and the
 * control socket and metricsBindAddress show all of it.
 */

#include "controlplane/config.h"

/*
 * Runs until SIGTERM or SIGINT. Traffic goes on afterwards: maps, programs and
 * links stay pinned. Returns 0, or -errno with the reason in `error`.
 */
int daemon_run(const struct config *config, char error[512]);

/* Loads the programs, makes and pins the maps, attaches nothing (S-256). */
int daemon_init(const struct config *config, char error[512]);

/* Removes what an instance left: links, programs and maps (S-247). */
int daemon_cleanup(const struct config *config, char error[512]);
