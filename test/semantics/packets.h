/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The packets of a case, each by its way through the loaded programs. */

#include "test/semantics/check.h"
#include "test/semantics/ways.h"

/* A packet of a table; source ports are the caller's. */
bool packets_read(const json_t *packet, struct ends *ret);

/* All `packets` of a case. `affinity`: a Service remembers its clients. */
void packets_run(struct check *check, struct world *world, const json_t *packets, bool affinity);
