/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Other tables of the same meaning: objects, nodes and zones get other names,
 * addresses and ports others of their kind, lists another order. What is
 * expected is changed in step, so that a mutated table must pass, too.
 */

#include <jansson.h>
#include <stdint.h>

/* A changed copy of a table file's contents; NULL without memory. */
json_t *mutate_table(const json_t *file, uint64_t seed);
