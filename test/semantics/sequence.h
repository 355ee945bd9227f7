/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A case of kind "sequence": changes of objects, and the state after each. */

#include "test/semantics/check.h"
#include "test/semantics/world.h"

void sequence_run(struct check *check, struct world *world, const json_t *profile,
		  const json_t *the_case);
