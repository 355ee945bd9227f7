/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What of kube-proxy is in the kernel of a node, for lbctl migrate: found, and
 * removed if that is asked for. What counts as kube-proxy's own is what
 * `kube-proxy --cleanup` of 1.37 removes.
 */

#include <jansson.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/lbctl/lbctl.h"

struct migrate {
	bool remove;	/* else only look */
	bool holds;	/* conntrack translates connections, or that is not known */
	json_t *found;	/* [ { where, what, chains, rules } ] */
	json_t *kept;	/* [ { where, what, why } ]: kube-proxy's, but others use it */
	json_t *failed; /* [ { where, why } ] */
};

void migrate_found(struct migrate *migrate, const char *where, const char *what, size_t chains,
		   size_t rules);
/* `where` as of what was found: of `where` or `what`, or both with ": " between. */
void migrate_failed(struct migrate *migrate, const char *where, const char *why);

void migrate_kept(struct migrate *migrate, const char *where, const char *what, const char *why);

/* Each looks at one kind of rules, and removes them if that is asked for. */
void migrate_nftables(struct migrate *migrate);
void migrate_iptables_nft(struct migrate *migrate);
void migrate_iptables_legacy(struct migrate *migrate);
void migrate_ipvs(struct migrate *migrate);

/*
 * Makes the kernel go on with what conntrack translates when all else that asks
 * for it is removed; migrate_nftables() finds and undoes that. 0 or -errno.
 */
int migrate_hold(void);

/* migrate_chains.c: the chains of one iptables, pure. */

enum chain_fate { CHAIN_OTHERS, CHAIN_REMOVED, CHAIN_KEPT };

struct migrate_chain {
	char table[16], name[64];
	bool hook;    /* INPUT and the like, which others fill, too */
	size_t rules; /* of it, or, of a hook, of those that jump to what is removed */
	enum chain_fate fate;
};

struct migrate_jump {
	size_t from, to; /* in `chains` */
	uint64_t rule;	 /* what the reader calls it */
};

struct migrate_chains {
	struct migrate_chain *chains;
	size_t n_chains;
	struct migrate_jump *jumps;
	size_t n_jumps;
	json_t *index; /* { "table name": place in `chains` } */
};

int migrate_chains_init(struct migrate_chains *chains);
void migrate_chains_done(struct migrate_chains *chains);
/* All chains first, then all rules. `to` is NULL for a rule that does not jump. 0 or -ENOMEM. */
int migrate_chains_add(struct migrate_chains *chains, const char *table, const char *name,
		       bool hook);
int migrate_chains_rule(struct migrate_chains *chains, const char *table, const char *from,
			const char *to, uint64_t rule);
/* Gives every chain its fate. */
void migrate_chains_decide(struct migrate_chains *chains);
/* Whether the rule of a jump is to be removed one by one: of a hook, to what is removed. */
bool migrate_chains_unhooks(const struct migrate_chains *chains, const struct migrate_jump *jump);
void migrate_chains_report(const struct migrate_chains *chains, struct migrate *migrate,
			   const char *where);
bool migrate_chain_is_own(const char *table, const char *name);

/* migrate_netlink.c: NETLINK_NETFILTER. All return 0 or -errno. */

/* Hands on every message of a dump; begins anew if the tables changed meanwhile. */
int migrate_dump(uint16_t type, uint8_t family, void (*begin)(void *arg),
		 int (*each)(const struct nlmsghdr *message, void *arg), void *arg);

/* Messages for one transaction of nftables, or one alone for another subsystem. */
struct migrate_batch {
	char *messages;
	size_t len, size, last;
	uint32_t seq;
};

/* What a message has; `attribute` 0 leaves a part out. */
struct migrate_message {
	uint16_t type, flags;
	uint8_t family;
	struct {
		uint16_t attribute;
		const char *value;
	} text[3];
	struct {
		uint16_t attribute;
		uint64_t value;
	} number;
	struct {
		uint16_t attribute;
		uint8_t value;
	} byte;
	struct {
		uint16_t attribute, len;
		const void *value;
	} nested;
};

int migrate_batch_add(struct migrate_batch *batch, const struct migrate_message *message);
/* Sends them and waits for the kernel's word; frees the batch. */
int migrate_batch_send(struct migrate_batch *batch, bool transaction);

/* migrate_running.c */

/* { running, processes: [ PID ], metrics: "127.0.0.1:10249" or null, mode } */
json_t *migrate_running(void);
/* Of conntrack, what has a translated destination: { tcp, udp, sctp, other }; NULL with *error. */
json_t *migrate_connections(int *error);
