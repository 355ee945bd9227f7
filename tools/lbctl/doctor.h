/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What lbctl doctor looks for. Everything here is pure but doctor_collect():
 * texts and documents in, findings out.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/ip.h"
#include "tools/lbctl/lbctl.h"

struct doctor_address {
	struct sl_addr addr;
	uint8_t family;
};

struct doctor {
	struct doctor_address *addresses; /* that clients may have as the node's */
	size_t n_addresses;
	json_t *findings; /* [ { severity, where, what, todo } ] */
	json_t *skipped;  /* [ { what, why } ]: could not be looked at */
};

enum doctor_severity { DOCTOR_ERROR, DOCTOR_WARNING, DOCTOR_NOTICE };

/* How a text of sources is about an address of the node. */
enum doctor_match {
	DOCTOR_NO,
	DOCTOR_COVERS, /* with others, but not with everyone */
	DOCTOR_NAMES,  /* alone */
};

/* doctor_base.c */

int doctor_init(struct doctor *doctor);
void doctor_done(struct doctor *doctor);
int doctor_add_address(struct doctor *doctor, const struct sl_addr *addr, uint8_t family);
void doctor_find(struct doctor *doctor, enum doctor_severity severity, const char *where,
		 const char *todo, const char *format, ...) __attribute__((format(printf, 5, 6)));
void doctor_skip(struct doctor *doctor, const char *what, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Of a prefix, and of all from `first` to `last`. `ret` gets the node's address. */
enum doctor_match doctor_match_prefix(const struct doctor *doctor, const struct ip_prefix *prefix,
				      char ret[IP_TEXT_MAX]);
enum doctor_match doctor_match_range(const struct doctor *doctor, const struct sl_addr *first,
				     const struct sl_addr *last, uint8_t family,
				     char ret[IP_TEXT_MAX]);
/* "ADDRESS", "ADDRESS/LENGTH" or "ADDRESS-ADDRESS"; what is neither matches nothing. */
enum doctor_match doctor_match_text(const struct doctor *doctor, const char *text,
				    char ret[IP_TEXT_MAX]);

/* A rule that looks at the source; `negated` for one that takes all others. */
void doctor_find_rule(struct doctor *doctor, enum doctor_match match, bool negated,
		      const char *address, const char *where);

/* Chains by name, and which of them packets get to that come from masqueraded clients. */
struct doctor_chains {
	json_t *reached; /* { name: true } */
	json_t *jumps;	 /* [ [ from, to ] ] */
};
int doctor_chains_init(struct doctor_chains *chains);
void doctor_chains_done(struct doctor_chains *chains);
void doctor_chains_begin(struct doctor_chains *chains, const char *name);
void doctor_chains_jump(struct doctor_chains *chains, const char *from, const char *to);
void doctor_chains_spread(struct doctor_chains *chains);
bool doctor_chains_reached(const struct doctor_chains *chains, const char *name);

/* What iptables-save and ip6tables-save print; doctor_iptables.c */
void doctor_iptables(struct doctor *doctor, const char *text, const char *program);

/*
 * What nft -j list ruleset prints; doctor_nft.c. Of a family whose iptables are
 * nftables too, its tables were seen already: `iptables[0]` IPv4, `[1]` IPv6.
 */
void doctor_nft(struct doctor *doctor, const json_t *ruleset, const bool iptables[2]);

/* Documents as kubectl get networkpolicies -o yaml prints; doctor_policy.c */
void doctor_policies(struct doctor *doctor, const json_t *documents, const char *file);

/* doctor_node.c: /proc/sys/net/ipv4/{ip_local_port_range,ip_local_reserved_ports} */
void doctor_ports(struct doctor *doctor, json_int_t first, json_int_t last, const char *range,
		  const char *reserved);

/*
 * AttachList, with "xdpProgram" in the items that have one, /proc/net/route
 * and /proc/net/ipv6_route.
 */
void doctor_attach(struct doctor *doctor, const json_t *list, const char *routes4,
		   const char *routes6);

/* doctor_collect.c: reads all that and looks; 0 or an exit code. */
int doctor_collect(const struct lbctl *lbctl, struct doctor *doctor);
