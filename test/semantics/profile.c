/* SPDX-License-Identifier: Apache-2.0 */

#include "test/semantics/profile.h"

#include <stdio.h>
#include <string.h>

#include "controlplane/node_ports.h"
#include "controlplane/source/apply.h"
#include "controlplane/store/intern.h"

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

json_t *profile_node(const json_t *profile, const json_t *labels)
{
	json_t *addresses = json_array();
	json_t *pods = json_deep_copy(json_object_get(profile, "nodePodCIDRs"));
	const char *key;
	json_t *value;

	json_object_foreach (json_object_get(profile, "nodeIPs"), key, value)
		json_array_append_new(
			addresses, json_pack("{s:s, s:O}", "type", "InternalIP", "address", value));
	return json_pack("{s:s, s:s, s:{s:s, s:O}, s:{s:o*}, s:{s:o}}", "apiVersion", "v1", "kind",
			 "Node", "metadata", "name", text(profile, "nodeName"), "labels", labels,
			 "spec", "podCIDRs", pods, "status", "addresses", addresses);
}

static json_t *service_cidr(const json_t *cidr)
{
	char name[64];

	snprintf(name, sizeof(name), "cidr-%s", json_string_value(cidr));
	for (char *c = name; *c; c++)
		*c = strchr(":/.", *c) ? '-' : *c;
	return json_pack("{s:s, s:s, s:{s:s}, s:{s:[O]}}", "apiVersion", "networking.k8s.io/v1",
			 "kind", "ServiceCIDR", "metadata", "name", name, "spec", "cidrs", cidr);
}

struct resolve_node profile_resolve_node(const json_t *profile, const struct store *store)
{
	const struct node *object = store_node(store);
	const struct sl_addr *ip4 = node_primary_address(object, 4);
	const struct sl_addr *ip6 = node_primary_address(object, 6);
	struct resolve_node node = {
		.name = intern_get(text(profile, "nodeName")),
		.zone = intern_get(object && object->zone ? object->zone : ""),
	};

	if (ip4)
		node.ip4 = *ip4;
	if (ip6)
		node.ip6 = *ip6;
	return node;
}

void profile_release(struct resolve_node *node)
{
	intern_put(node->name);
	intern_put(node->zone);
}

int profile_apply(struct check *check, struct store *store, const json_t *object, bool removed)
{
	char error[OBJECT_ERROR_MAX];
	int r = apply_object(store, object, removed, error);

	if (r < 0)
		check_say(check, "refused: %s", error);
	return r;
}

static void apply_list(struct check *check, struct store *store, const json_t *list,
		       const json_t *watched)
{
	const json_t *object;
	size_t i;

	json_array_foreach (list, i, object) {
		const json_t *metadata = json_object_get(object, "metadata");
		int r = profile_apply(check, store, object, false);
		const json_t *expected;
		char name[512];

		snprintf(name, sizeof(name), "%s %s/%s", text(object, "kind"),
			 text(metadata, "namespace"), text(metadata, "name"));
		expected = json_object_get(watched, name);
		if (!expected)
			continue;
		if (r != json_is_true(expected))
			check_say(check, "%s: expected %s, got the opposite", name,
				  json_is_true(expected) ? "watched" : "not watched");
		check_count(check, ITEM_WATCHED,
			    r == json_is_true(expected) ? RESULT_PASSED : RESULT_FAILED);
	}
}

struct store *profile_store(struct check *check, const json_t *profile, const json_t *services,
			    const json_t *slices, const json_t *watched)
{
	struct store *store = store_new();
	json_t *node = profile_node(profile, json_object_get(profile, "nodeLabels"));
	const json_t *cidr;
	size_t i;

	if (!store || !node) {
		fputs("semantics-check: out of memory\n", stderr);
		exit(2);
	}
	profile_apply(check, store, node, false);
	json_decref(node);
	json_array_foreach (json_object_get(profile, "serviceCIDRs"), i, cidr) {
		json_t *object = service_cidr(cidr);

		profile_apply(check, store, object, false);
		json_decref(object);
	}
	apply_list(check, store, services, watched);
	apply_list(check, store, slices, watched);
	return store;
}
