/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/node_facts.h"

#include <arpa/inet.h>
#include <string.h>

#include "controlplane/node_ports.h"

static __be32 mask_word(unsigned int len, unsigned int word)
{
	if (len <= word * 32)
		return 0;
	return len >= (word + 1) * 32 ? ~0U : htonl(~0U << ((word + 1) * 32 - len));
}

static struct sl_prefix4 prefix4_of(const struct ip_prefix *prefix)
{
	return (struct sl_prefix4) { { prefix->addr.w[0] }, { mask_word(prefix->len, 0) } };
}

static struct sl_prefix6 prefix6_of(const struct ip_prefix *prefix)
{
	struct sl_prefix6 ret;

	memcpy(ret.addr, prefix->addr.w, sizeof(ret.addr));
	for (unsigned int i = 0; i < 4; i++)
		ret.mask[i] = mask_word(prefix->len, i);
	return ret;
}

/* Only the first of each family is used (S-130); without one there is no
 * detector in that family (S-131). */
static void detect_by_source(const struct ip_prefix *list, size_t n, struct sl_node *entry)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i].family == 4 && entry->detect4 == SL_DETECT_NONE) {
			entry->pods4 = prefix4_of(&list[i]);
			entry->detect4 = SL_DETECT_SOURCE;
		} else if (list[i].family == 6 && entry->detect6 == SL_DETECT_NONE) {
			entry->pods6 = prefix6_of(&list[i]);
			entry->detect6 = SL_DETECT_SOURCE;
		}
	}
}

static void fill_detector(const struct config *config, const struct node *object,
			  struct sl_node *entry)
{
	switch (config->detect) {
	case CONFIG_DETECT_CLUSTER_CIDR:
		detect_by_source(config->cluster_cidrs.items, config->cluster_cidrs.n, entry);
		break;
	case CONFIG_DETECT_NODE_CIDR:
		if (object)
			detect_by_source(object->pod_cidrs, object->n_pod_cidrs, entry);
		break;
	case CONFIG_DETECT_BRIDGE:
	case CONFIG_DETECT_PREFIX:
	case CONFIG_DETECT_ROLE:
		entry->detect4 = entry->detect6 = SL_DETECT_INTERFACE;
		break;
	}
}

/* For store_each_service_cidr(). */
static void add_service_cidr(void *context, const struct ip_prefix *prefix)
{
	struct node_facts *facts = context;
	struct sl_node *entry = &facts->entry;
	struct sl_prefix4 p4 = prefix4_of(prefix);
	struct sl_prefix6 p6 = prefix6_of(prefix);
	__u8 *n = prefix->family == 4 ? &entry->n_services4 : &entry->n_services6;

	for (int i = 0; i < *n; i++)
		if (prefix->family == 4 ? !memcmp(&entry->services4[i], &p4, sizeof(p4))
					: !memcmp(&entry->services6[i], &p6, sizeof(p6)))
			return;
	if (*n == SL_SERVICE_CIDRS)
		facts->left_out++;
	else if (prefix->family == 4)
		entry->services4[(*n)++] = p4;
	else
		entry->services6[(*n)++] = p6;
}

static bool is_own(const struct node_own *own, const struct sl_addr *addr, uint8_t family)
{
	for (size_t i = 0; i < own->n_addresses; i++)
		if (own->addresses[i].family == family && ip_equal(&own->addresses[i].addr, addr))
			return true;
	return false;
}

/* The Node's addresses where the machine has them: answers must come back. */
static void fill_addresses(const struct node_own *own, struct node_facts *facts)
{
	const struct sl_addr *addr6 = is_own(own, &facts->ip6, 6) ? &facts->ip6 : &own->snat.addr6;

	facts->entry.addr4[0] = is_own(own, &facts->ip4, 4) ? facts->ip4.w[0] : own->snat.addr4;
	memcpy(facts->entry.addr6, addr6->w, sizeof(facts->entry.addr6));
}

void node_facts_fill(const struct config *config, const struct store *store,
		     const struct node_own *own, struct node_facts *ret)
{
	const struct node *object = store_node(store);
	const struct sl_addr *ip4 = node_primary_address(object, 4);
	const struct sl_addr *ip6 = node_primary_address(object, 6);
	bool compatible = config->masquerade == CONFIG_MASQUERADE_COMPATIBLE;

	memset(ret, 0, sizeof(*ret));
	if (ip4)
		ret->ip4 = *ip4;
	if (ip6)
		ret->ip6 = *ip6;
	fill_detector(config, object, &ret->entry);
	for (size_t i = 0; i < config->service_cidrs.n; i++)
		add_service_cidr(ret, &config->service_cidrs.items[i]);
	store_each_service_cidr(store, add_service_cidr, ret);
	fill_addresses(own, ret);
	/* masqueradeAll, too, translates what leaves towards any endpoint. */
	ret->entry.compatible = compatible;
	ret->entry.taken_over = config->taken_over;
	ret->entry.handover = config->handover;

	ret->resolve.compatible = compatible;
	ret->resolve.masquerade_all = config->masquerade_all;
	ret->resolve.detect4 = ret->entry.detect4 != SL_DETECT_NONE;
	ret->resolve.detect6 = ret->entry.detect6 != SL_DETECT_NONE;
	ret->resolve.ranges_everywhere = config->source_ranges_everywhere;
}
