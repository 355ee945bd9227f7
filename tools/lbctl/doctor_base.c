/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tools/lbctl/doctor.h"

int doctor_init(struct doctor *doctor)
{
	*doctor = (struct doctor) { .findings = json_array(), .skipped = json_array() };
	if (doctor->findings && doctor->skipped)
		return 0;
	doctor_done(doctor);
	return -ENOMEM;
}

void doctor_done(struct doctor *doctor)
{
	free(doctor->addresses);
	json_decref(doctor->findings);
	json_decref(doctor->skipped);
	*doctor = (struct doctor) {};
}

int doctor_add_address(struct doctor *doctor, const struct sl_addr *addr, uint8_t family)
{
	struct doctor_address *grown;

	for (size_t i = 0; i < doctor->n_addresses; i++)
		if (doctor->addresses[i].family == family &&
		    ip_equal(&doctor->addresses[i].addr, addr))
			return 0;
	grown = realloc(doctor->addresses, (doctor->n_addresses + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	doctor->addresses = grown;
	grown[doctor->n_addresses++] = (struct doctor_address) { *addr, family };
	return 0;
}

void doctor_find(struct doctor *doctor, enum doctor_severity severity, const char *where,
		 const char *todo, const char *format, ...)
{
	static const char *const names[] = { "error", "warning", "notice" };
	va_list args;

	va_start(args, format);
	json_array_append_new(doctor->findings,
			      json_pack("{s:s, s:s, s:o, s:s}", "severity", names[severity],
					"where", where, "what", json_vsprintf(format, args), "todo",
					todo));
	va_end(args);
}

void doctor_skip(struct doctor *doctor, const char *what, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	json_array_append_new(doctor->skipped, json_pack("{s:s, s:o}", "what", what, "why",
							 json_vsprintf(format, args)));
	va_end(args);
}

enum doctor_match doctor_match_prefix(const struct doctor *doctor, const struct ip_prefix *prefix,
				      char ret[IP_TEXT_MAX])
{
	for (size_t i = 0; prefix->len && i < doctor->n_addresses; i++) {
		const struct doctor_address *own = &doctor->addresses[i];

		if (!ip_prefix_has(prefix, &own->addr, own->family))
			continue;
		ip_format(&own->addr, own->family, ret);
		return prefix->len == (own->family == 4 ? 32 : 128) ? DOCTOR_NAMES : DOCTOR_COVERS;
	}
	return DOCTOR_NO;
}

enum doctor_match doctor_match_range(const struct doctor *doctor, const struct sl_addr *first,
				     const struct sl_addr *last, uint8_t family,
				     char ret[IP_TEXT_MAX])
{
	size_t size = family == 4 ? 4 : 16;

	for (size_t i = 0; i < doctor->n_addresses; i++) {
		const struct doctor_address *own = &doctor->addresses[i];

		if (own->family != family || memcmp(first, &own->addr, size) > 0 ||
		    memcmp(&own->addr, last, size) > 0)
			continue;
		ip_format(&own->addr, family, ret);
		return ip_equal(first, last) ? DOCTOR_NAMES : DOCTOR_COVERS;
	}
	return DOCTOR_NO;
}

enum doctor_match doctor_match_text(const struct doctor *doctor, const char *text,
				    char ret[IP_TEXT_MAX])
{
	struct ip_prefix prefix = {};
	struct sl_addr first, last;
	const char *dash = strchr(text, '-');
	char begin[IP_TEXT_MAX];
	int family;

	if (dash) {
		snprintf(begin, sizeof(begin), "%.*s", (int)(dash - text), text);
		family = ip_parse(begin, &first);
		if (family < 0 || ip_parse(dash + 1, &last) != family)
			return DOCTOR_NO;
		return doctor_match_range(doctor, &first, &last, (uint8_t)family, ret);
	}
	if (strchr(text, '/'))
		return ip_prefix_parse(text, &prefix) ? DOCTOR_NO
						      : doctor_match_prefix(doctor, &prefix, ret);
	family = ip_parse(text, &first);
	if (family < 0)
		return DOCTOR_NO;
	return doctor_match_range(doctor, &first, &first, (uint8_t)family, ret);
}

void doctor_find_rule(struct doctor *doctor, enum doctor_match match, bool negated,
		      const char *address, const char *where)
{
	if (match == DOCTOR_NO)
		return;
	doctor_find(doctor, match == DOCTOR_NAMES ? DOCTOR_WARNING : DOCTOR_NOTICE, where,
		    "see whom it is meant for, and name the clients' own networks there before "
		    "masquerade: minimal",
		    "%s sources that %s %s, this node's address: with masquerade: compatible it "
		    "takes masqueraded clients for the node, with minimal it sees them as they are",
		    negated ? "excepts" : "matches", match == DOCTOR_NAMES ? "are" : "include",
		    address);
}

int doctor_chains_init(struct doctor_chains *chains)
{
	*chains = (struct doctor_chains) { json_object(), json_array() };
	return chains->reached && chains->jumps ? 0 : -ENOMEM;
}

void doctor_chains_done(struct doctor_chains *chains)
{
	json_decref(chains->reached);
	json_decref(chains->jumps);
}

void doctor_chains_begin(struct doctor_chains *chains, const char *name)
{
	json_object_set_new(chains->reached, name, json_true());
}

void doctor_chains_jump(struct doctor_chains *chains, const char *from, const char *to)
{
	json_array_append_new(chains->jumps, json_pack("[s, s]", from, to));
}

void doctor_chains_spread(struct doctor_chains *chains)
{
	const json_t *jump;
	bool more = true;
	size_t i;

	while (more) {
		more = false;
		json_array_foreach (chains->jumps, i, jump) {
			const char *from = json_string_value(json_array_get(jump, 0));
			const char *to = json_string_value(json_array_get(jump, 1));

			if (!doctor_chains_reached(chains, from) ||
			    doctor_chains_reached(chains, to))
				continue;
			doctor_chains_begin(chains, to);
			more = doctor_chains_reached(chains, to);
		}
	}
}

bool doctor_chains_reached(const struct doctor_chains *chains, const char *name)
{
	return json_object_get(chains->reached, name) != NULL;
}
