/* SPDX-License-Identifier: Apache-2.0 */

/* Rules as nft -j lists them: libnftables-json(5). */

#include <string.h>

#include "tools/lbctl/doctor.h"
#include "tools/lbctl/text.h"

#define NAME 256

struct nft {
	struct doctor *doctor;
	const json_t *items;
	const bool *iptables;
	struct doctor_chains chains;
	const char *family, *table; /* of the rule that is looked at */
};

static void full_name(const json_t *item, const char *name, char ret[NAME])
{
	snprintf(ret, NAME, "%.10s %.100s %.100s", text_string(item, "family"),
		 text_string(item, "table"), name);
}

/* kube-proxy's, or of iptables, whose own program tells them. */
static bool is_others(const struct nft *nft, const json_t *item)
{
	static const char *const tables[] = { "raw", "mangle", "nat", "filter", "security" };
	const char *table = text_string(item, "table"), *family = text_string(item, "family");

	if (!strcmp(table, "kube-proxy"))
		return true;
	for (size_t i = 0; i < SL_COUNT(tables); i++)
		if (!strcmp(table, tables[i]))
			return (!strcmp(family, "ip") && nft->iptables[0]) ||
			       (!strcmp(family, "ip6") && nft->iptables[1]);
	return false;
}

/* Where a verdict, or a map of them, may send packets. */
static void read_jumps(struct nft *nft, const json_t *item, const char *from, const json_t *value)
{
	const char *target, *key, *text = json_string_value(value);
	const json_t *child;
	char to[NAME];
	size_t i;

	if (text && *text == '@') {
		full_name(item, text, to);
		doctor_chains_jump(&nft->chains, from, to);
	}
	json_array_foreach (value, i, child)
		read_jumps(nft, item, from, child);
	json_object_foreach ((json_t *)value, key, child) {
		target = json_string_value(json_object_get(child, "target"));
		if (target && (!strcmp(key, "jump") || !strcmp(key, "goto"))) {
			full_name(item, target, to);
			doctor_chains_jump(&nft->chains, from, to);
		} else {
			read_jumps(nft, item, from, child);
		}
	}
}

static void read_chains(struct nft *nft)
{
	static const char *const hooks[] = { "input", "forward", "postrouting" };
	const json_t *each, *item;
	char name[NAME], map[NAME];
	size_t i;

	json_array_foreach (nft->items, i, each) {
		if ((item = json_object_get(each, "chain"))) {
			full_name(item, text_string(item, "name"), name);
			for (size_t hook = 0; hook < SL_COUNT(hooks); hook++)
				if (!strcmp(text_string(item, "hook"), hooks[hook]))
					doctor_chains_begin(&nft->chains, name);
		} else if ((item = json_object_get(each, "rule"))) {
			full_name(item, text_string(item, "chain"), name);
			read_jumps(nft, item, name, json_object_get(item, "expr"));
		} else if ((item = json_object_get(each, "map"))) {
			snprintf(map, sizeof(map), "@%.200s", text_string(item, "name"));
			full_name(item, map, name);
			read_jumps(nft, item, name, json_object_get(item, "elem"));
		}
	}
	doctor_chains_spread(&nft->chains);
}

/* The elements of a set or map of the rule's table. */
static const json_t *named_set(const struct nft *nft, const char *name)
{
	const json_t *each, *set;
	size_t i;

	json_array_foreach (nft->items, i, each) {
		set = json_object_get(each, "set") ?: json_object_get(each, "map");
		if (set && !strcmp(text_string(set, "name"), name) &&
		    !strcmp(text_string(set, "table"), nft->table) &&
		    !strcmp(text_string(set, "family"), nft->family))
			return json_object_get(set, "elem");
	}
	return NULL;
}

static enum doctor_match match_value(const struct nft *nft, const json_t *value, size_t at,
				     bool map, char ret[IP_TEXT_MAX]);

static enum doctor_match match_elements(const struct nft *nft, const json_t *list, size_t at,
					bool map, char ret[IP_TEXT_MAX])
{
	enum doctor_match best = DOCTOR_NO;
	const json_t *element;
	char address[IP_TEXT_MAX];
	size_t i;

	json_array_foreach (list, i, element) {
		const json_t *key = map ? json_array_get(element, 0) : element;
		enum doctor_match match = match_value(nft, key, at, false, address);

		if (match <= best)
			continue;
		best = match;
		strcpy(ret, address);
	}
	return best;
}

/* `at`: the place of the source in what is concatenated. */
static enum doctor_match match_value(const struct nft *nft, const json_t *value, size_t at,
				     bool map, char ret[IP_TEXT_MAX])
{
	const char *text = json_string_value(value);
	const json_t *inner;
	char both[2 * IP_TEXT_MAX];

	if (text && *text == '@')
		return match_elements(nft, named_set(nft, text + 1), at, map, ret);
	if (text)
		return doctor_match_text(nft->doctor, text, ret);
	if (json_is_array(value))
		return match_elements(nft, value, at, map, ret);
	if ((inner = json_object_get(value, "set")))
		/* One element stands alone. */
		return json_is_array(inner) ? match_elements(nft, inner, at, map, ret)
					    : match_value(nft, inner, at, map, ret);
	if ((inner = json_object_get(value, "elem")))
		return match_value(nft, json_object_get(inner, "val"), at, map, ret);
	if ((inner = json_object_get(value, "concat")))
		return match_value(nft, json_array_get(inner, at), 0, false, ret);
	if ((inner = json_object_get(value, "prefix"))) {
		snprintf(both, sizeof(both), "%.60s/%lld", text_string(inner, "addr"),
			 (long long)text_number(inner, "len"));
		return doctor_match_text(nft->doctor, both, ret);
	}
	if ((inner = json_object_get(value, "range")) && json_is_string(json_array_get(inner, 0)) &&
	    json_is_string(json_array_get(inner, 1))) {
		snprintf(both, sizeof(both), "%.60s-%.60s",
			 json_string_value(json_array_get(inner, 0)),
			 json_string_value(json_array_get(inner, 1)));
		return doctor_match_text(nft->doctor, both, ret);
	}
	return DOCTOR_NO;
}

static bool is_source(const json_t *value)
{
	const char *protocol = text_string(value, "payload.protocol");

	return (!strcmp(protocol, "ip") || !strcmp(protocol, "ip6")) &&
	       !strcmp(text_string(value, "payload.field"), "saddr");
}

/* Whether the source is what is looked at, and where in a concatenation. */
static bool find_source(const json_t *left, size_t *ret_at)
{
	const json_t *part;
	size_t i;

	*ret_at = 0;
	if (is_source(left))
		return true;
	json_array_foreach (json_object_get(left, "concat"), i, part) {
		*ret_at = i;
		if (is_source(part))
			return true;
	}
	return false;
}

static void look(struct nft *nft, const json_t *rule)
{
	char name[NAME], where[320], address[IP_TEXT_MAX];
	const json_t *statement, *match, *vmap;
	enum doctor_match found = DOCTOR_NO;
	size_t i, at;

	full_name(rule, text_string(rule, "chain"), name);
	if (is_others(nft, rule) || !doctor_chains_reached(&nft->chains, name))
		return;
	nft->family = text_string(rule, "family");
	nft->table = text_string(rule, "table");
	snprintf(where, sizeof(where), "nft: table %.10s %.100s, chain %.100s, handle %lld",
		 nft->family, nft->table, text_string(rule, "chain"),
		 (long long)text_number(rule, "handle"));
	json_array_foreach (json_object_get(rule, "expr"), i, statement) {
		match = json_object_get(statement, "match");
		vmap = json_object_get(statement, "vmap");
		if (find_source(json_object_get(match, "left"), &at))
			found = match_value(nft, json_object_get(match, "right"), at, false,
					    address);
		else if (find_source(json_object_get(vmap, "key"), &at))
			found = match_value(nft, json_object_get(vmap, "data"), at, true, address);
		else
			continue;
		doctor_find_rule(nft->doctor, found, !strcmp(text_string(match, "op"), "!="),
				 address, where);
	}
}

void doctor_nft(struct doctor *doctor, const json_t *ruleset, const bool iptables[2])
{
	struct nft nft = {
		.doctor = doctor,
		.items = json_object_get(ruleset, "nftables"),
		.iptables = iptables,
	};
	const json_t *each, *rule;
	size_t i;

	if (!doctor_chains_init(&nft.chains)) {
		read_chains(&nft);
		json_array_foreach (nft.items, i, each) {
			rule = json_object_get(each, "rule");
			if (rule)
				look(&nft, rule);
		}
	}
	doctor_chains_done(&nft.chains);
}
