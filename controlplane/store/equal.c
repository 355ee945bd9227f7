/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "controlplane/store/equal.h"

/* Interned strings are compared by pointer; lists field by field, because the
 * padding of their elements has no value. */

static bool addresses_equal(const struct object_address *a, size_t n_a,
			    const struct object_address *b, size_t n_b)
{
	if (n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++)
		if (a[i].family != b[i].family || !ip_equal(&a[i].addr, &b[i].addr))
			return false;
	return true;
}

static bool prefixes_equal(const struct ip_prefix *a, size_t n_a, const struct ip_prefix *b,
			   size_t n_b)
{
	if (n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++)
		if (a[i].family != b[i].family || a[i].len != b[i].len ||
		    !ip_equal(&a[i].addr, &b[i].addr))
			return false;
	return true;
}

static bool service_ports_equal(const struct service *a, const struct service *b)
{
	if (a->n_ports != b->n_ports)
		return false;
	for (size_t i = 0; i < a->n_ports; i++) {
		const struct service_port *p = &a->ports[i], *q = &b->ports[i];

		if (p->name != q->name || p->port != q->port || p->node_port != q->node_port ||
		    p->proto != q->proto)
			return false;
	}
	return true;
}

bool service_equal(const struct service *a, const struct service *b)
{
	return a->type == b->type && a->headless == b->headless && a->has_ip4 == b->has_ip4 &&
	       a->has_ip6 == b->has_ip6 && ip_equal(&a->ip4, &b->ip4) &&
	       ip_equal(&a->ip6, &b->ip6) && service_ports_equal(a, b) &&
	       addresses_equal(a->external_ips, a->n_external_ips, b->external_ips,
			       b->n_external_ips) &&
	       addresses_equal(a->vips, a->n_vips, b->vips, b->n_vips) &&
	       prefixes_equal(a->source_ranges, a->n_source_ranges, b->source_ranges,
			      b->n_source_ranges) &&
	       a->internal_policy == b->internal_policy &&
	       a->external_policy == b->external_policy && a->affinity_s == b->affinity_s &&
	       a->health_check_node_port == b->health_check_node_port && a->leave == b->leave &&
	       a->drain_s == b->drain_s && a->ranges_everywhere == b->ranges_everywhere &&
	       a->skipped == b->skipped;
}

static bool names_equal(const char *const *a, size_t n_a, const char *const *b, size_t n_b)
{
	return n_a == n_b && (!n_a || !memcmp(a, b, n_a * sizeof(*a)));
}

static bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return ip_equal(&a->addr, &b->addr) && a->node == b->node && a->ready == b->ready &&
	       a->serving == b->serving && a->terminating == b->terminating &&
	       names_equal(a->zones, a->n_zones, b->zones, b->n_zones) &&
	       names_equal(a->nodes, a->n_nodes, b->nodes, b->n_nodes);
}

bool slice_equal(const struct slice *a, const struct slice *b)
{
	if (a->service != b->service || a->family != b->family || a->n_ports != b->n_ports ||
	    a->n_endpoints != b->n_endpoints)
		return false;
	for (size_t i = 0; i < a->n_ports; i++)
		if (a->ports[i].name != b->ports[i].name || a->ports[i].port != b->ports[i].port ||
		    a->ports[i].proto != b->ports[i].proto)
			return false;
	for (size_t i = 0; i < a->n_endpoints; i++)
		if (!endpoint_equal(&a->endpoints[i], &b->endpoints[i]))
			return false;
	return true;
}

bool node_equal(const struct node *a, const struct node *b)
{
	return a->zone == b->zone && a->deleting == b->deleting &&
	       a->to_be_deleted == b->to_be_deleted &&
	       addresses_equal(a->addresses, a->n_addresses, b->addresses, b->n_addresses) &&
	       prefixes_equal(a->pod_cidrs, a->n_pod_cidrs, b->pod_cidrs, b->n_pod_cidrs);
}

bool service_cidr_equal(const struct service_cidr *a, const struct service_cidr *b)
{
	return prefixes_equal(a->prefixes, a->n_prefixes, b->prefixes, b->n_prefixes);
}
