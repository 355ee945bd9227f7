/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/tables/policy.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#define POLICY_BITS 32

/* One family's key is the start of the other's. */
static struct sl_policy6 key_of(uint32_t policy, const struct ip_prefix *prefix)
{
	struct sl_policy6 key = { .prefixlen = POLICY_BITS + prefix->len, .policy = policy };

	memcpy(key.addr, prefix->addr.w, sizeof(key.addr));
	return key;
}
_Static_assert(offsetof(struct sl_policy4, addr) == offsetof(struct sl_policy6, addr),
	       "policy keys differ");

static int map_of(const struct datapath *datapath, uint8_t family)
{
	return datapath_map(datapath, family == 4 ? DATAPATH_policy4 : DATAPATH_policy6);
}

int policy_insert(const struct datapath *datapath, uint8_t family, uint32_t policy,
		  const struct ip_prefix *prefixes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct sl_policy6 key = key_of(policy, &prefixes[i]);
		uint32_t value = SL_POLICY_VALUE(prefixes[i].len);

		if (bpf_map_update_elem(map_of(datapath, family), &key, &value, BPF_ANY)) {
			int err = -errno;

			policy_delete(datapath, family, policy, prefixes, i);
			return err;
		}
	}
	return 0;
}

void policy_delete(const struct datapath *datapath, uint8_t family, uint32_t policy,
		   const struct ip_prefix *prefixes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct sl_policy6 key = key_of(policy, &prefixes[i]);

		bpf_map_delete_elem(map_of(datapath, family), &key);
	}
}

bool policy_has(const struct datapath *datapath, uint8_t family, uint32_t policy,
		const struct ip_prefix *prefix)
{
	struct sl_policy6 key = key_of(policy, prefix);
	uint32_t value;

	/* A lookup finds the longest prefix that is no longer. */
	return bpf_map_lookup_elem(map_of(datapath, family), &key, &value) == 0 &&
	       value == SL_POLICY_VALUE(prefix->len);
}

int policy_next(const struct datapath *datapath, uint8_t family, struct policy_cursor *cursor,
		uint32_t *ret_policy, struct ip_prefix *ret)
{
	struct sl_policy6 next;

	if (bpf_map_get_next_key(map_of(datapath, family), cursor->started ? &cursor->key : NULL,
				 &next))
		return -errno;
	cursor->started = true;
	cursor->key = next;
	*ret = (struct ip_prefix) { .family = family,
				    .len = (uint8_t)(next.prefixlen - POLICY_BITS) };
	memcpy(ret->addr.w, next.addr, family == 4 ? 4 : 16);
	*ret_policy = next.policy;
	return 0;
}

int policy_each(const struct datapath *datapath, uint8_t family,
		int (*each)(void *context, uint32_t policy, const struct ip_prefix *prefix),
		void *context)
{
	int map = map_of(datapath, family), err = 0;
	struct sl_policy6 key, next;
	bool any = bpf_map_get_next_key(map, NULL, &next) == 0;

	while (any && !err) {
		struct ip_prefix prefix = { .family = family };

		key = next;
		any = bpf_map_get_next_key(map, &key, &next) == 0;
		prefix.len = (uint8_t)(key.prefixlen - POLICY_BITS);
		memcpy(prefix.addr.w, key.addr, family == 4 ? 4 : 16);
		err = each(context, key.policy, &prefix);
	}
	return err;
}
