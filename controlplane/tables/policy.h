/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * `policy4/6`: source ranges by policy id. A changed list gets a new id, so
 * that ranges and record change together.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"
#include "controlplane/tables/datapath.h"

/* Adds the prefixes of a policy: 0, or -errno with none of them added. */
int policy_insert(const struct datapath *datapath, uint8_t family, uint32_t policy,
		  const struct ip_prefix *prefixes, size_t n);

void policy_delete(const struct datapath *datapath, uint8_t family, uint32_t policy,
		   const struct ip_prefix *prefixes, size_t n);

/* Whether exactly this prefix is in the map. */
bool policy_has(const struct datapath *datapath, uint8_t family, uint32_t policy,
		const struct ip_prefix *prefix);

/*
 * The entry after the cursor, which starts as { 0 }. Returns 0, or -ENOENT at
 * the end. After a deletion of the cursor's entry it begins anew.
 */
struct policy_cursor {
	struct sl_policy6 key;
	bool started;
};
int policy_next(const struct datapath *datapath, uint8_t family, struct policy_cursor *cursor,
		uint32_t *ret_policy, struct ip_prefix *ret);

/* Calls `each` for every entry; stops at and returns what is not 0. `each` may
 * not change the map. */
int policy_each(const struct datapath *datapath, uint8_t family,
		int (*each)(void *context, uint32_t policy, const struct ip_prefix *prefix),
		void *context);
