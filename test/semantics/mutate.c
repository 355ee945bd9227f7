/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Addresses are XORed with one value for each family, which keeps whatever is
 * said by prefixes. It leaves the first bytes, by which an address is private,
 * loopback or multicast, and the last, which may not become a broadcast's.
 */

#include "test/semantics/mutate.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/ip.h"
#include "common/mem.h"

#define NAME_MAX_ 512

struct mutation {
	uint64_t seed, state;
	struct sl_addr mask4, mask6;
	bool addresses; /* false: they stay, since their order matters */
};

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static uint64_t draw(struct mutation *m)
{
	return m->state = mix(m->state);
}

static void choose_masks(struct mutation *m)
{
	uint64_t a = draw(m), b = draw(m);

	m->mask4.w[0] = htonl((uint32_t)a & 0x00ffff00);
	m->mask6.w[1] = htonl((uint32_t)(a >> 32));
	m->mask6.w[2] = htonl((uint32_t)b);
	m->mask6.w[3] = htonl((uint32_t)(b >> 32) & 0xffff0000);
}

/* Two letters in front, which depend on the name: another order of names. */
static json_t *rename_text(const struct mutation *m, const char *name, size_t len)
{
	uint64_t hash = m->seed;

	if (!len)
		return json_string("");
	for (size_t i = 0; i < len; i++)
		hash = mix(hash ^ (uint8_t)name[i]);
	return json_sprintf("%c%c%.*s", 'a' + (int)(hash % 26), 'a' + (int)(hash / 26 % 26),
			    (int)len, name);
}

/* "WORDS ns/service:port/PROTO" and parts of it: each name between the signs
 * / and : but a protocol, which is the last part behind a port. */
static json_t *rename_composite(const struct mutation *m, const char *text)
{
	char result[NAME_MAX_] = "";
	const char *space = strrchr(text, ' '), *at = space ? space + 1 : text;
	size_t n = (size_t)snprintf(result, sizeof(result), "%.*s", (int)(at - text), text);
	bool port = false;

	while (n < sizeof(result)) {
		size_t len = strcspn(at, "/:");
		bool protocol = port && !at[len];
		json_t *part = protocol ? json_stringn(at, len) : rename_text(m, at, len);

		n += (size_t)snprintf(result + n, sizeof(result) - n, "%s%.1s",
				      json_string_value(part), at + len);
		json_decref(part);
		if (!at[len])
			break;
		port = port || at[len] == ':';
		at += len + 1;
	}
	return json_string(result);
}

/* Within its range: node ports stay node ports. */
static json_int_t other_port(const struct mutation *m, json_int_t port)
{
	static const json_int_t ranges[][2] = { { 1, 9999 }, { 10000, 29999 }, { 30000, 32767 } };

	for (size_t i = 0; i < SL_COUNT(ranges); i++) {
		json_int_t n = ranges[i][1] - ranges[i][0] + 1;

		if (port >= ranges[i][0] && port <= ranges[i][1])
			return (port - ranges[i][0] + (json_int_t)(m->seed * 7919 % (uint64_t)n)) %
				       n +
			       ranges[i][0];
	}
	return port;
}

static void xor_address(const struct mutation *m, struct sl_addr *addr, int family)
{
	const struct sl_addr *mask = family == 4 ? &m->mask4 : &m->mask6;

	if (!m->addresses || ip_is_loopback(addr, (uint8_t)family))
		return;
	for (int i = 0; i < 4; i++)
		addr->w[i] ^= mask->w[i];
}

/* "address/length": where host bits were 0 they stay so. */
static json_t *other_prefix(const struct mutation *m, const char *text, const char *slash)
{
	char addr[IP_TEXT_MAX];
	struct ip_prefix prefix;
	struct sl_addr whole;
	int family;

	snprintf(addr, sizeof(addr), "%.*s", (int)(slash - text), text);
	family = ip_parse(addr, &whole);
	if (family < 0 || ip_prefix_parse(text, &prefix) || prefix.len == 0)
		return NULL;
	if (ip_equal(&whole, &prefix.addr)) {
		char other[IP_TEXT_MAX + 8];

		xor_address(m, &whole, family);
		snprintf(other, sizeof(other), "%s/%u", ip_format(&whole, (uint8_t)family, addr),
			 prefix.len);
		if (ip_prefix_parse(other, &prefix) == 0)
			whole = prefix.addr;
	} else {
		xor_address(m, &whole, family);
	}
	return json_sprintf("%s/%u", ip_format(&whole, (uint8_t)family, addr), prefix.len);
}

/* "1.2.3.4:80" or "[::1]:80". */
static json_t *other_endpoint(const struct mutation *m, const char *text)
{
	const char *colon = strrchr(text, ':');
	bool bracket = text[0] == '[' && colon > text && colon[-1] == ']';
	char part[IP_TEXT_MAX];
	struct sl_addr addr;
	int family;

	if (!colon || colon - text >= IP_TEXT_MAX ||
	    strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return NULL;
	snprintf(part, sizeof(part), "%.*s", (int)(colon - text) - 2 * bracket, text + bracket);
	family = ip_parse(part, &addr);
	if (family < 0)
		return NULL;
	xor_address(m, &addr, family);
	return json_string(ip_format_port(&addr, (uint8_t)family,
					  htons((uint16_t)other_port(m, atoi(colon + 1))), part));
}

/* Another text for one that has an address, else NULL. White space around it
 * is lost, which changes nothing (S-050). */
static json_t *other_address(const struct mutation *m, const char *text)
{
	char trimmed[IP_TEXT_MAX], result[IP_TEXT_MAX];
	size_t begin = strspn(text, " \t\n"), len = strlen(text + begin);
	const char *slash;
	struct sl_addr addr;
	int family;

	while (len && isspace((unsigned char)text[begin + len - 1]))
		len--;
	if (!len || len >= sizeof(trimmed))
		return NULL;
	snprintf(trimmed, sizeof(trimmed), "%.*s", (int)len, text + begin);
	slash = strchr(trimmed, '/');
	if (slash)
		return other_prefix(m, trimmed, slash);
	family = ip_parse(trimmed, &addr);
	if (family < 0)
		return other_endpoint(m, trimmed);
	xor_address(m, &addr, family);
	return json_string(ip_format(&addr, (uint8_t)family, result));
}

static bool is_one_of(const char *key, const char *const *list)
{
	for (; key && *list; list++)
		if (strcmp(key, *list) == 0)
			return true;
	return false;
}

static const char *const port_keys[] = { "port",      "nodePort",   "healthCheckNodePort",
					 "origDport", "replySport", NULL };
static const char *const name_keys[] = { "name",
					 "namespace",
					 "nodeName",
					 "zoneHints",
					 "nodeHints",
					 "kubernetes.io/service-name",
					 "topology.kubernetes.io/zone",
					 NULL };
static const char *const list_keys[] = { "services",
					 "endpointSlices",
					 "replaceSlices",
					 "externalIPs",
					 "ingress",
					 "loadBalancerSourceRanges",
					 "ports",
					 "endpoints",
					 "forZones",
					 "forNodes",
					 NULL };
/* Objects whose keys are names. */
static const char *const named_keys[] = { "watched", "localReadyEndpoints", "healthCheckNodePorts",
					  NULL };

/* Of two entries for one address the place decides (S-074). */
static bool has_duplicates(const json_t *list)
{
	const json_t *item, *other;
	size_t i, k;

	json_array_foreach (list, i, item) {
		const json_t *addresses = json_object_get(item, "addresses");

		json_array_foreach (list, k, other)
			if (k < i && addresses &&
			    json_equal(addresses, json_object_get(other, "addresses")))
				return true;
	}
	return false;
}

static void shuffle(struct mutation *m, json_t *list)
{
	for (size_t n = json_array_size(list); n > 1; n--) {
		size_t k = (size_t)(draw(m) % n);
		json_t *a = json_incref(json_array_get(list, n - 1));
		json_t *b = json_incref(json_array_get(list, k));

		json_array_set_new(list, n - 1, b);
		json_array_set_new(list, k, a);
	}
}

static json_t *mutated(struct mutation *m, const char *key, const json_t *value);

static json_t *mutated_object(struct mutation *m, const char *key, const json_t *value)
{
	json_t *result = json_object();
	bool named = is_one_of(key, named_keys);
	const char *member;
	json_t *item;

	json_object_foreach ((json_t *)value, member, item) {
		json_t *name = named ? rename_composite(m, member) : json_string(member);
		json_t *other = named && json_is_integer(item) && strcmp(key, named_keys[2]) == 0
					? json_integer(other_port(m, json_integer_value(item)))
					: mutated(m, named ? NULL : member, item);

		json_object_set_new(result, json_string_value(name), other);
		json_decref(name);
	}
	return result;
}

static json_t *mutated_array(struct mutation *m, const char *key, const json_t *value)
{
	json_t *result = json_array();
	const json_t *item;
	size_t i;

	json_array_foreach (value, i, item)
		json_array_append_new(result, mutated(m, key, item));
	if (is_one_of(key, list_keys) && !has_duplicates(result))
		shuffle(m, result);
	return result;
}

/* A changed copy of the value that is under `key`. */
static json_t *mutated(struct mutation *m, const char *key, const json_t *value)
{
	const char *text = json_string_value(value);
	json_t *other = NULL;

	if (json_is_object(value))
		return mutated_object(m, key, value);
	if (json_is_array(value))
		return mutated_array(m, key, value);
	if (text && is_one_of(key, name_keys))
		other = rename_composite(m, text);
	else if (text)
		other = other_address(m, text);
	else if (json_is_integer(value) && is_one_of(key, port_keys))
		other = json_integer(other_port(m, json_integer_value(value)));
	return other ? other : json_deep_copy(value);
}

json_t *mutate_table(const json_t *file, uint64_t seed)
{
	const char *kind = json_string_value(json_object_get(file, "kind"));
	struct mutation m = {
		.seed = mix(seed),
		.state = seed,
		/* S-146: of several endpoints the first by address wins. */
		.addresses = !kind || strcmp(kind, "affinity") != 0,
	};

	choose_masks(&m);
	return mutated(&m, NULL, file);
}
