/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A case of kind "affinity": connections in order, and who remembers whom. */

#include "test/semantics/check.h"
#include "test/semantics/world.h"

void affinity_run(struct check *check, struct world *world, const json_t *profile,
		  const json_t *the_case);
