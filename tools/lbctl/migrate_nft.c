/* SPDX-License-Identifier: Apache-2.0 */

/* kube-proxy's rules in nftables: its own tables, and its chains in those of iptables-nft. */

/* uapi headers want these first. */
#include <net/if.h>
#include <netinet/in.h>

#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tools/lbctl/migrate.h"

#define NFT(type) (NFNL_SUBSYS_NFTABLES << 8 | (type))

static const struct {
	uint8_t family;
	const char *table, *iptables;
} families[] = {
	{ NFPROTO_IPV4, "nftables ip", "iptables-nft" },
	{ NFPROTO_IPV6, "nftables ip6", "ip6tables-nft" },
};

/* The attributes of one level by type; those from `max` on are left out. */
static void parse(const struct nlattr *ret[], size_t max, const void *from, size_t len)
{
	const char *at = from, *end = at + len;

	memset(ret, 0, max * sizeof(*ret));
	while (end - at >= NLA_HDRLEN) {
		const struct nlattr *attribute = (const void *)at;

		if (attribute->nla_len < NLA_HDRLEN || attribute->nla_len > end - at)
			break;
		if ((attribute->nla_type & NLA_TYPE_MASK) < max)
			ret[attribute->nla_type & NLA_TYPE_MASK] = attribute;
		at += NLA_ALIGN(attribute->nla_len);
	}
}

static void parse_message(const struct nlattr *ret[], size_t max, const struct nlmsghdr *message)
{
	const char *at = (const char *)NLMSG_DATA(message) + NLMSG_ALIGN(sizeof(struct nfgenmsg));

	parse(ret, max, at, (size_t)((const char *)message + message->nlmsg_len - at));
}

static void parse_nested(const struct nlattr *ret[], size_t max, const struct nlattr *outer)
{
	if (outer)
		parse(ret, max, (const char *)outer + NLA_HDRLEN, outer->nla_len - NLA_HDRLEN);
	else
		memset(ret, 0, max * sizeof(*ret));
}

static const char *text_of(const struct nlattr *attribute)
{
	const char *text = (const char *)attribute + NLA_HDRLEN;
	size_t len = attribute ? attribute->nla_len - NLA_HDRLEN : 0;

	return attribute && strnlen(text, len) < len ? text : "";
}

static uint64_t number_of(const struct nlattr *attribute)
{
	uint64_t number;

	if (!attribute || attribute->nla_len < NLA_HDRLEN + sizeof(number))
		return 0;
	memcpy(&number, (const char *)attribute + NLA_HDRLEN, sizeof(number));
	return be64toh(number);
}

/* Where a rule's verdict goes; NULL for nowhere. An iptables rule has one at most. */
static const char *jump_of(const struct nlattr *expressions)
{
	const struct nlattr *expression[NFTA_EXPR_MAX + 1], *immediate[NFTA_IMMEDIATE_MAX + 1],
		*data[NFTA_DATA_MAX + 1], *verdict[NFTA_VERDICT_MAX + 1];
	const char *at, *end;

	if (!expressions)
		return NULL;
	at = (const char *)expressions + NLA_HDRLEN;
	end = (const char *)expressions + expressions->nla_len;
	while (end - at >= NLA_HDRLEN) {
		const struct nlattr *element = (const void *)at;

		if (element->nla_len < NLA_HDRLEN || element->nla_len > end - at)
			break;
		at += NLA_ALIGN(element->nla_len);
		parse_nested(expression, SL_COUNT(expression), element);
		if (strcmp(text_of(expression[NFTA_EXPR_NAME]), "immediate"))
			continue;
		parse_nested(immediate, SL_COUNT(immediate), expression[NFTA_EXPR_DATA]);
		parse_nested(data, SL_COUNT(data), immediate[NFTA_IMMEDIATE_DATA]);
		parse_nested(verdict, SL_COUNT(verdict), data[NFTA_DATA_VERDICT]);
		if (verdict[NFTA_VERDICT_CHAIN])
			return text_of(verdict[NFTA_VERDICT_CHAIN]);
	}
	return NULL;
}

/* kube-proxy's table */

struct count {
	size_t chains, rules;
};

static void count_begin(void *arg)
{
	*(struct count *)arg = (struct count) {};
}

static int count_one(const struct nlmsghdr *message, void *arg)
{
	const struct nlattr *at[NFTA_CHAIN_MAX + 1];
	struct count *count = arg;

	_Static_assert((int)NFTA_CHAIN_TABLE == (int)NFTA_RULE_TABLE, "read as one");
	parse_message(at, SL_COUNT(at), message);
	if (strcmp(text_of(at[NFTA_CHAIN_TABLE]), "kube-proxy"))
		return 0;
	if (message->nlmsg_type == NFT(NFT_MSG_NEWCHAIN))
		count->chains++;
	else
		count->rules++;
	return 0;
}

/* A kernel without nftables has none of this. */
static int known(int error)
{
	return error == -EPROTONOSUPPORT || error == -EINVAL || error == -EOPNOTSUPP ? 0 : error;
}

/*
 * The kernel translates connections only as long as somebody has a chain of type
 * nat in the family, and looks at packets for it only as long as a rule asks for
 * conntrack. kube-proxy's own may be the last ones: a table that does no more
 * takes their place while there are connections.
 */
#define HOLD "sluice-handover"

/* "ct state", compared with nothing. */
static int add_hold_rule(struct migrate_batch *batch, uint8_t family)
{
	const struct {
		struct nlattr element, name_head;
		char name[4];
		struct nlattr data, to_head;
		uint32_t to;
		struct nlattr key_head;
		uint32_t key;
	} ct = {
		.element = { sizeof(ct), NFTA_LIST_ELEM | NLA_F_NESTED },
		.name_head = { NLA_HDRLEN + sizeof("ct"), NFTA_EXPR_NAME },
		.name = "ct",
		.data = { NLA_HDRLEN + 2 * (NLA_HDRLEN + sizeof(uint32_t)),
			  NFTA_EXPR_DATA | NLA_F_NESTED },
		.to_head = { NLA_HDRLEN + sizeof(uint32_t), NFTA_CT_DREG },
		.to = htobe32(NFT_REG_1),
		.key_head = { NLA_HDRLEN + sizeof(uint32_t), NFTA_CT_KEY },
		.key = htobe32(NFT_CT_STATE),
	};

	return migrate_batch_add(
		batch,
		&(struct migrate_message) {
			.type = NFT(NFT_MSG_NEWRULE),
			.flags = NLM_F_CREATE | NLM_F_APPEND,
			.family = family,
			.text = { { NFTA_RULE_TABLE, HOLD }, { NFTA_RULE_CHAIN, "prerouting" } },
			.nested = { NFTA_RULE_EXPRESSIONS, sizeof(ct), &ct } });
}

static int add_hold(struct migrate_batch *batch, uint8_t family)
{
	static const struct {
		const char *name;
		uint32_t hook;
		int32_t priority;
	} chains[] = {
		{ "prerouting", NF_INET_PRE_ROUTING, -100 },
		{ "input", NF_INET_LOCAL_IN, 100 },
		{ "output", NF_INET_LOCAL_OUT, -100 },
		{ "postrouting", NF_INET_POST_ROUTING, 100 },
	};
	int r = migrate_batch_add(
		batch, &(struct migrate_message) { .type = NFT(NFT_MSG_NEWTABLE),
						   .flags = NLM_F_CREATE,
						   .family = family,
						   .text = { { NFTA_TABLE_NAME, HOLD } } });

	for (size_t i = 0; i < SL_COUNT(chains) && !r; i++) {
		const struct {
			struct nlattr number_head;
			uint32_t number;
			struct nlattr priority_head;
			uint32_t priority;
		} hook = {
			.number_head = { NLA_HDRLEN + sizeof(uint32_t), NFTA_HOOK_HOOKNUM },
			.number = htobe32(chains[i].hook),
			.priority_head = { NLA_HDRLEN + sizeof(uint32_t), NFTA_HOOK_PRIORITY },
			.priority = htobe32((uint32_t)chains[i].priority),
		};

		r = migrate_batch_add(batch,
				      &(struct migrate_message) {
					      .type = NFT(NFT_MSG_NEWCHAIN),
					      .flags = NLM_F_CREATE,
					      .family = family,
					      .text = { { NFTA_CHAIN_TABLE, HOLD },
							{ NFTA_CHAIN_NAME, chains[i].name },
							{ NFTA_CHAIN_TYPE, "nat" } },
					      .nested = { NFTA_CHAIN_HOOK, sizeof(hook), &hook } });
	}
	return r ?: add_hold_rule(batch, family);
}

static int remove_table(uint8_t family, const char *table)
{
	struct migrate_batch batch = {};
	int r = migrate_batch_add(&batch,
				  &(struct migrate_message) { .type = NFNL_MSG_BATCH_BEGIN });

	if (r == 0)
		r = migrate_batch_add(&batch, &(struct migrate_message) {
						      .type = NFT(NFT_MSG_DELTABLE),
						      .family = family,
						      .text = { { NFTA_TABLE_NAME, table } } });
	if (r) {
		free(batch.messages);
		return r;
	}
	return migrate_batch_send(&batch, true);
}

struct tables {
	bool kube_proxys, hold;
};

static int read_table(const struct nlmsghdr *message, void *arg)
{
	const struct nlattr *at[NFTA_TABLE_MAX + 1];
	struct tables *tables = arg;
	const char *name;

	parse_message(at, SL_COUNT(at), message);
	name = text_of(at[NFTA_TABLE_NAME]);
	tables->kube_proxys |= !strcmp(name, "kube-proxy");
	tables->hold |= !strcmp(name, HOLD);
	return 0;
}

static int look_at_table(struct migrate *migrate, uint8_t family, const char *where)
{
	struct count count = {}, rules = {};
	int r = migrate_dump(NFT(NFT_MSG_GETCHAIN), family, count_begin, count_one, &count);

	if (r == 0)
		r = migrate_dump(NFT(NFT_MSG_GETRULE), family, count_begin, count_one, &rules);
	if (r)
		return r;
	migrate_found(migrate, where, "table kube-proxy", count.chains, rules.rules);
	return migrate->remove ? remove_table(family, "kube-proxy") : 0;
}

static int hold(uint8_t family)
{
	struct migrate_batch batch = {};
	struct tables tables = {};
	int r = migrate_dump(NFT(NFT_MSG_GETTABLE), family, NULL, read_table, &tables);

	if (r || tables.hold)
		return r;
	r = migrate_batch_add(&batch, &(struct migrate_message) { .type = NFNL_MSG_BATCH_BEGIN });
	if (r == 0)
		r = add_hold(&batch, family);
	if (r) {
		free(batch.messages);
		return r;
	}
	return migrate_batch_send(&batch, true);
}

int migrate_hold(void)
{
	for (size_t i = 0; i < SL_COUNT(families); i++) {
		int r = known(hold(families[i].family));

		if (r)
			return r;
	}
	return 0;
}

void migrate_nftables(struct migrate *migrate)
{
	for (size_t i = 0; i < SL_COUNT(families); i++) {
		uint8_t family = families[i].family;
		const char *where = families[i].table;
		struct tables tables = {};
		int r = migrate_dump(NFT(NFT_MSG_GETTABLE), family, NULL, read_table, &tables);

		if (r == 0 && tables.kube_proxys)
			r = look_at_table(migrate, family, where);
		if (r == 0 && tables.hold && migrate->holds)
			migrate_kept(migrate, where, "table " HOLD,
				     "conntrack needs it for the connections that it translates; "
				     "remove it with another migrate cleanup when they have ended");
		else if (r == 0 && tables.hold) {
			migrate_found(migrate, where, "table " HOLD, 0, 0);
			if (migrate->remove)
				r = remove_table(family, HOLD);
		}
		if (known(r))
			migrate_failed(migrate, where, strerror(-r));
	}
}

/* its chains in the tables of iptables-nft */

static void chains_begin(void *arg)
{
	struct migrate_chains *chains = arg;

	chains->n_chains = 0;
	json_object_clear(chains->index);
}

static void rules_begin(void *arg)
{
	struct migrate_chains *chains = arg;

	chains->n_jumps = 0;
	for (size_t i = 0; i < chains->n_chains; i++)
		chains->chains[i].rules = 0;
}

static int read_chain(const struct nlmsghdr *message, void *arg)
{
	const struct nlattr *at[NFTA_CHAIN_MAX + 1];
	const char *table;

	parse_message(at, SL_COUNT(at), message);
	table = text_of(at[NFTA_CHAIN_TABLE]);
	if (strcmp(table, "nat") && strcmp(table, "filter") && strcmp(table, "mangle"))
		return 0;
	return migrate_chains_add(arg, table, text_of(at[NFTA_CHAIN_NAME]), at[NFTA_CHAIN_HOOK]);
}

static int read_rule(const struct nlmsghdr *message, void *arg)
{
	const struct nlattr *at[NFTA_RULE_MAX + 1];

	parse_message(at, SL_COUNT(at), message);
	return migrate_chains_rule(arg, text_of(at[NFTA_RULE_TABLE]), text_of(at[NFTA_RULE_CHAIN]),
				   jump_of(at[NFTA_RULE_EXPRESSIONS]),
				   number_of(at[NFTA_RULE_HANDLE]));
}

/* Jumps of the hooks by their handles, then all rules of our chains, then the chains. */
static int remove_chains(const struct migrate_chains *chains, uint8_t family)
{
	struct migrate_batch batch = {};
	int r = migrate_batch_add(&batch,
				  &(struct migrate_message) { .type = NFNL_MSG_BATCH_BEGIN });

	for (size_t i = 0; i < chains->n_jumps && !r; i++) {
		const struct migrate_chain *from = &chains->chains[chains->jumps[i].from];

		if (!migrate_chains_unhooks(chains, &chains->jumps[i]))
			continue;
		r = migrate_batch_add(
			&batch, &(struct migrate_message) {
					.type = NFT(NFT_MSG_DELRULE),
					.family = family,
					.text = { { NFTA_RULE_TABLE, from->table },
						  { NFTA_RULE_CHAIN, from->name } },
					.number = { NFTA_RULE_HANDLE, chains->jumps[i].rule } });
	}
	for (size_t pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < chains->n_chains && !r; i++) {
			const struct migrate_chain *chain = &chains->chains[i];

			_Static_assert((int)NFTA_CHAIN_TABLE == (int)NFTA_RULE_TABLE, "as one");
			_Static_assert((int)NFTA_CHAIN_NAME == (int)NFTA_RULE_CHAIN + 1, "not");
			if (chain->fate != CHAIN_REMOVED)
				continue;
			r = migrate_batch_add(
				&batch,
				&(struct migrate_message) {
					.type = NFT(pass ? NFT_MSG_DELCHAIN : NFT_MSG_DELRULE),
					.family = family,
					.text = { { NFTA_CHAIN_TABLE, chain->table },
						  { pass ? NFTA_CHAIN_NAME : NFTA_RULE_CHAIN,
						    chain->name } } });
		}
	if (r) {
		free(batch.messages);
		return r;
	}
	return migrate_batch_send(&batch, true);
}

static bool has_any(const struct migrate_chains *chains)
{
	for (size_t i = 0; i < chains->n_chains; i++)
		if (chains->chains[i].fate == CHAIN_REMOVED)
			return true;
	return false;
}

void migrate_iptables_nft(struct migrate *migrate)
{
	for (size_t i = 0; i < SL_COUNT(families); i++) {
		uint8_t family = families[i].family;
		struct migrate_chains chains;
		int r = migrate_chains_init(&chains);

		if (r == 0)
			r = migrate_dump(NFT(NFT_MSG_GETCHAIN), family, chains_begin, read_chain,
					 &chains);
		if (r == 0)
			r = migrate_dump(NFT(NFT_MSG_GETRULE), family, rules_begin, read_rule,
					 &chains);
		if (r == 0) {
			migrate_chains_decide(&chains);
			migrate_chains_report(&chains, migrate, families[i].iptables);
			if (migrate->remove && has_any(&chains))
				r = remove_chains(&chains, family);
		}
		if (known(r) || (r && migrate->remove && has_any(&chains)))
			migrate_failed(migrate, families[i].iptables, strerror(-r));
		migrate_chains_done(&chains);
	}
}
