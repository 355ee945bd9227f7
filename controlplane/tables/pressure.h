/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How full the maps are, by the writer's own books, and who is to hear of it.
 * A map is nearly full from 90 % on until it is below 85 % again.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "controlplane/tables/datapath.h"

struct tables;

struct pressure {
	bool high[DATAPATH_MAP_MAX];
	void (*changed)(void *context); /* or NULL */
	void *context;
};

/* Entries in use and how many there can be; false for maps that are not
 * counted, or where being full is normal, as for flows. */
bool pressure_fill(const struct tables *tables, enum datapath_map map, uint32_t *ret_used,
		   uint32_t *ret_max);

/* Looks at all of them; logs once, and tells, what has become nearly full or is
 * so no more. Cheap. */
void pressure_check(struct tables *tables);
