/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A profile as the flags of sluiced. */

#include <jansson.h>

#include "controlplane/attach/attach.h"
#include "controlplane/config.h"
#include "controlplane/tables/datapath.h"

/*
 * The configuration of the node that a profile describes, masquerading as
 * kube-proxy does; `name` names it in errors. Returns 0 and the configuration,
 * which the caller frees, or -errno with a line in `error`.
 */
int settings_of(const json_t *profile, const char *name, struct config **ret, char error[512]);

/* The same, as the datapath and the interfaces want it. */
struct attach_detect settings_detect(const struct config *config);
void settings_fill(const struct config *config, struct datapath_options *ret);
