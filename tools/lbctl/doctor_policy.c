/* SPDX-License-Identifier: Apache-2.0 */

/* NetworkPolicies that let the node in, and with it whoever is masqueraded. */

#include <string.h>

#include "tools/lbctl/doctor.h"
#include "tools/lbctl/text.h"

static bool is_excepted(const json_t *block, const char *address)
{
	const json_t *except;
	struct ip_prefix prefix;
	struct sl_addr addr;
	int family = ip_parse(address, &addr);
	size_t i;

	json_array_foreach (json_object_get(block, "except"), i, except) {
		const char *text = json_string_value(except);

		if (text && !ip_prefix_parse(text, &prefix) &&
		    ip_prefix_has(&prefix, &addr, (uint8_t)family))
			return true;
	}
	return false;
}

/* Whether a rule lets in a whole family, so that it does not matter who a client is. */
static bool lets_all_in(const json_t *from, uint8_t family)
{
	struct ip_prefix prefix;
	const json_t *peer;
	size_t i;

	json_array_foreach (from, i, peer) {
		const char *cidr = json_string_value(text_find(peer, "ipBlock.cidr"));

		if (cidr && !ip_prefix_parse(cidr, &prefix) && prefix.family == family &&
		    !prefix.len && !json_array_size(text_find(peer, "ipBlock.except")))
			return true;
	}
	return false;
}

static void look_at_rule(struct doctor *doctor, const json_t *from, size_t rule, const char *policy)
{
	char address[IP_TEXT_MAX], where[640];
	struct ip_prefix prefix;
	const json_t *peer;
	size_t i;

	json_array_foreach (from, i, peer) {
		const json_t *block = json_object_get(peer, "ipBlock");
		const char *cidr = json_string_value(json_object_get(block, "cidr"));

		if (!cidr || ip_prefix_parse(cidr, &prefix) ||
		    !doctor_match_prefix(doctor, &prefix, address) || is_excepted(block, address) ||
		    lets_all_in(from, prefix.family))
			continue;
		snprintf(where, sizeof(where), "NetworkPolicy %s, ingress[%zu].from[%zu].ipBlock",
			 policy, rule, i);
		doctor_find(
			doctor, DOCTOR_WARNING, where,
			"let in the clients' own networks, too, before masquerade: minimal",
			"%.60s lets in %s, this node's address: with masquerade: compatible "
			"every masqueraded client comes in by it, with minimal only those whose "
			"own address a peer covers",
			cidr, address);
	}
}

/* Returns how many policies there are. */
static size_t look_at(struct doctor *doctor, const json_t *object, bool listed)
{
	const char *kind = text_string(object, "kind");
	const json_t *item, *rule;
	size_t i, n = 0;
	char name[512];

	json_array_foreach (json_object_get(object, "items"), i, item)
		n += look_at(doctor, item, !strcmp(kind, "NetworkPolicyList"));
	/* The items of a NetworkPolicyList need not say what they are. */
	if (strcmp(kind, "NetworkPolicy") != 0 && !(listed && !strcmp(kind, "-")))
		return n;
	snprintf(name, sizeof(name), "%.250s/%.250s",
		 text_find(object, "metadata.namespace") ? text_string(object, "metadata.namespace")
							 : "default",
		 text_string(object, "metadata.name"));
	json_array_foreach (text_find(object, "spec.ingress"), i, rule)
		look_at_rule(doctor, json_object_get(rule, "from"), i, name);
	return n + 1;
}

void doctor_policies(struct doctor *doctor, const json_t *documents, const char *file)
{
	const json_t *document;
	size_t i, n = 0;

	json_array_foreach (documents, i, document)
		n += look_at(doctor, document, false);
	if (!n)
		doctor_skip(doctor, "NetworkPolicies", "%s has none", file);
}
