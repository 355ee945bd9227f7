/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Numbers 1 ... max - 1 that are given out: ids of services, backends and
 * policies, indexes of records. A number that was given back comes round again
 * as late as possible. Pure: no maps.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/mem.h"

struct ids;

/* 0 or -ENOMEM */
int ids_new(uint32_t max, struct ids **ret);

/* Takes NULL too. */
void ids_free(struct ids *ids);
SL_DEFINE_AUTO(ids)

/* Returns a number, or 0 when all are taken. */
uint32_t ids_take(struct ids *ids);

/* Takes this number; false if it is taken, 0 or not below max. */
bool ids_reserve(struct ids *ids, uint32_t id);

/* False also for what is no number of these. */
bool ids_taken(const struct ids *ids, uint32_t id);

void ids_give(struct ids *ids, uint32_t id);

bool ids_is_taken(const struct ids *ids, uint32_t id);

uint32_t ids_used(const struct ids *ids);

/* What ids_new() got: every id is below. */
uint32_t ids_max(const struct ids *ids);
