/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A case of kind "conntrack": flows that exist before the case's objects are
 * applied, and which of them must choose anew afterwards.
 */

#include "test/semantics/check.h"
#include "test/semantics/world.h"

void flows_run(struct check *check, struct world *world, const json_t *profile,
	       const json_t *the_case);
