/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A profile as the flags of sluiced. */

#include <jansson.h>

#include "controlplane/config.h"

/*
 * The configuration of the node that a profile describes, masquerading as
 * kube-proxy does; `name` names it in errors. Returns 0 and the configuration,
 * which the caller frees, or -errno with a line in `error`.
 */
int settings_of(const json_t *profile, const char *name, struct config **ret, char error[512]);

/* The same, as the datapath wants it. */
struct datapath_options;
void settings_fill(const struct config *config, struct datapath_options *ret);
