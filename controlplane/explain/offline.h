/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Explains from files alone: no daemon, no BPF. */

#include <jansson.h>

#include "controlplane/explain/query.h"

/*
 * `objects` is a folder of manifests, `profile` a file of YAML or JSON
 * (profile.h). Returns 0 and the document Explanation, or -errno with the file
 * and the reason in `error`: -EINVAL for the query and for the profile.
 */
int explain_offline(const char *objects, const char *profile, const struct explain_query *query,
		    json_t **ret, char error[512]);
