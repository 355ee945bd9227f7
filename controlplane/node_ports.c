/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/node_ports.h"

#include <string.h>

const struct sl_addr *node_primary_address(const struct node *node, uint8_t family)
{
	for (size_t i = 0; node && i < node->n_addresses; i++) {
		if (node->addresses[i].family == family)
			return &node->addresses[i].addr;
	}
	return NULL;
}

bool node_ports_serve(char *const *list, size_t n, const struct node *node,
		      const struct sl_addr *addr, uint8_t family)
{
	const struct sl_addr *primary = node_primary_address(node, family);
	bool listed = false; /* the list says something of this family */

	if (ip_is_loopback(addr, family))
		return false;
	for (size_t i = 0; i < n; i++) {
		struct ip_prefix prefix;

		if (strcmp(list[i], "all") == 0)
			return true;
		if (strcmp(list[i], "primary") == 0) {
			/* S-180: then the list is as if it were not in it. */
			if (primary && ip_is_loopback(primary, family))
				continue;
			listed = true;
			if (primary && ip_equal(primary, addr))
				return true;
		} else if (strcmp(list[i], "localhost") == 0) {
			listed = true;
		} else if (ip_prefix_parse(list[i], &prefix) == 0 && prefix.family == family) {
			listed = true;
			if (ip_prefix_has(&prefix, addr, family))
				return true;
		}
	}
	return !listed;
}

bool node_ports_all(char *const *list, size_t n, uint8_t family)
{
	bool listed = false;

	for (size_t i = 0; i < n; i++) {
		struct ip_prefix prefix;
		bool is_prefix = !ip_prefix_parse(list[i], &prefix);

		if (!strcmp(list[i], "all") ||
		    (is_prefix && prefix.family == family && !prefix.len))
			return true;
		/* A keyword speaks of both families. */
		listed = listed || !is_prefix || prefix.family == family;
	}
	return !listed;
}
