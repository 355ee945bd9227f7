/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * `policy4/6`: source ranges by policy id. A changed list gets a new id, so
 * that ranges and record change together.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"
#include "controlplane/tables/datapath.h"

/* Adds the prefixes of a policy: 0, or -errno with none of them added. */
int policy_insert(const struct datapath *datapath, uint8_t family, uint32_t policy,
		  const struct ip_prefix *prefixes, size_t n);

void policy_delete(const struct datapath *datapath, uint8_t family, uint32_t policy,
		   const struct ip_prefix *prefixes, size_t n);

/* Calls `each` for every entry; stops at and returns what is not 0. `each` may
 * not change the map. */
int policy_each(const struct datapath *datapath, uint8_t family,
		int (*each)(void *context, uint32_t policy, const struct ip_prefix *prefix),
		void *context);
