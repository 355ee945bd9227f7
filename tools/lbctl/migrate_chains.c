/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tools/lbctl/migrate.h"
#include "tools/lbctl/text.h"

/*
 * By table, as kube-proxy 1.37 cleans up after its modes iptables and ipvs. A
 * name that ends in "-" begins those of single Services and endpoints. What is
 * kubelet's (KUBE-KUBELET-CANARY, KUBE-IPTABLES-HINT, KUBE-FIREWALL) is not here.
 */
static const struct {
	const char *table, *name;
} own[] = {
	{ "nat", "KUBE-SERVICES" },
	{ "nat", "KUBE-NODEPORTS" },
	{ "nat", "KUBE-POSTROUTING" },
	{ "nat", "KUBE-MARK-MASQ" },
	{ "nat", "KUBE-PROXY-CANARY" },
	{ "nat", "KUBE-SVC-" },
	{ "nat", "KUBE-SVL-" },
	{ "nat", "KUBE-SEP-" },
	{ "nat", "KUBE-FW-" },
	{ "nat", "KUBE-EXT-" },
	{ "nat", "KUBE-NODE-PORT" },
	{ "nat", "KUBE-LOAD-BALANCER" },
	{ "filter", "KUBE-SERVICES" },
	{ "filter", "KUBE-EXTERNAL-SERVICES" },
	{ "filter", "KUBE-FORWARD" },
	{ "filter", "KUBE-NODEPORTS" },
	{ "filter", "KUBE-PROXY-FIREWALL" },
	{ "filter", "KUBE-PROXY-CANARY" },
	{ "filter", "KUBE-NODE-PORT" },
	{ "filter", "KUBE-SOURCE-RANGES-FIREWALL" },
	{ "filter", "KUBE-IPVS-FILTER" },
	{ "filter", "KUBE-IPVS-OUT-FILTER" },
	{ "mangle", "KUBE-PROXY-CANARY" },
};

bool migrate_chain_is_own(const char *table, const char *name)
{
	for (size_t i = 0; i < SL_COUNT(own); i++) {
		size_t len = strlen(own[i].name);
		bool begins = own[i].name[len - 1] == '-';

		if (!strcmp(table, own[i].table) &&
		    (begins ? !strncmp(name, own[i].name, len) : !strcmp(name, own[i].name)))
			return true;
	}
	return false;
}

int migrate_chains_init(struct migrate_chains *chains)
{
	*chains = (struct migrate_chains) { .index = json_object() };
	return chains->index ? 0 : -ENOMEM;
}

void migrate_chains_done(struct migrate_chains *chains)
{
	free(chains->chains);
	free(chains->jumps);
	json_decref(chains->index);
	*chains = (struct migrate_chains) {};
}

static void key_of(const char *table, const char *name, char ret[96])
{
	snprintf(ret, 96, "%.16s %.64s", table, name);
}

/* Room for one more; grows to twice the size, at powers of two. */
static void *room(void *array, size_t n, size_t size)
{
	if (n & (n - 1))
		return array;
	return reallocarray(array, n ? 2 * n : 1, size);
}

int migrate_chains_add(struct migrate_chains *chains, const char *table, const char *name,
		       bool hook)
{
	struct migrate_chain *grown =
		room(chains->chains, chains->n_chains, sizeof(*chains->chains));
	struct migrate_chain *chain;
	char key[96];

	if (!grown)
		return -ENOMEM;
	chains->chains = grown;
	chain = &grown[chains->n_chains];
	*chain = (struct migrate_chain) { .hook = hook };
	snprintf(chain->table, sizeof(chain->table), "%s", table);
	snprintf(chain->name, sizeof(chain->name), "%s", name);
	key_of(table, name, key);
	if (json_object_set_new(chains->index, key, json_integer((json_int_t)chains->n_chains)))
		return -ENOMEM;
	chains->n_chains++;
	return 0;
}

static struct migrate_chain *chain_at(const struct migrate_chains *chains, const char *table,
				      const char *name)
{
	char key[96];
	const json_t *place;

	key_of(table, name, key);
	place = json_object_get(chains->index, key);
	return place ? &chains->chains[json_integer_value(place)] : NULL;
}

int migrate_chains_rule(struct migrate_chains *chains, const char *table, const char *from,
			const char *to, uint64_t rule)
{
	struct migrate_chain *chain = chain_at(chains, table, from);
	const struct migrate_chain *target = to ? chain_at(chains, table, to) : NULL;
	struct migrate_jump *grown;

	if (!chain)
		return 0;
	chain->rules += !chain->hook;
	if (!target)
		return 0; /* none, or ACCEPT and the like */
	grown = room(chains->jumps, chains->n_jumps, sizeof(*chains->jumps));
	if (!grown)
		return -ENOMEM;
	chains->jumps = grown;
	grown[chains->n_jumps++] = (struct migrate_jump) {
		.from = (size_t)(chain - chains->chains),
		.to = (size_t)(target - chains->chains),
		.rule = rule,
	};
	return 0;
}

bool migrate_chains_unhooks(const struct migrate_chains *chains, const struct migrate_jump *jump)
{
	return chains->chains[jump->from].hook && chains->chains[jump->to].fate == CHAIN_REMOVED;
}

void migrate_chains_decide(struct migrate_chains *chains)
{
	bool changed = true;

	for (size_t i = 0; i < chains->n_chains; i++)
		if (!chains->chains[i].hook &&
		    migrate_chain_is_own(chains->chains[i].table, chains->chains[i].name))
			chains->chains[i].fate = CHAIN_REMOVED;
	/* What others jump to stays, and with it what it needs itself. */
	while (changed) {
		changed = false;
		for (size_t i = 0; i < chains->n_jumps; i++) {
			const struct migrate_chain *from = &chains->chains[chains->jumps[i].from];
			struct migrate_chain *to = &chains->chains[chains->jumps[i].to];

			if (to->fate != CHAIN_REMOVED || from->hook || from->fate == CHAIN_REMOVED)
				continue;
			to->fate = CHAIN_KEPT;
			changed = true;
		}
	}
	for (size_t i = 0; i < chains->n_jumps; i++)
		if (migrate_chains_unhooks(chains, &chains->jumps[i]))
			chains->chains[chains->jumps[i].from].rules++;
}

static void report_kept(const struct migrate_chains *chains, struct migrate *migrate,
			const char *where)
{
	for (size_t i = 0; i < chains->n_chains; i++) {
		const struct migrate_chain *chain = &chains->chains[i];
		const char *user = "?";
		char what[128], why[128];

		if (chain->fate != CHAIN_KEPT)
			continue;
		for (size_t k = 0; k < chains->n_jumps; k++)
			if (&chains->chains[chains->jumps[k].to] == chain)
				user = chains->chains[chains->jumps[k].from].name;
		snprintf(what, sizeof(what), "table %s, chain %s", chain->table, chain->name);
		snprintf(why, sizeof(why), "chain %s jumps to it", user);
		migrate_kept(migrate, where, what, why);
	}
}

void migrate_chains_report(const struct migrate_chains *chains, struct migrate *migrate,
			   const char *where)
{
	static const char *const tables[] = { "nat", "filter", "mangle" };
	char what[32];

	for (size_t i = 0; i < SL_COUNT(tables); i++) {
		size_t n = 0, rules = 0;

		for (size_t k = 0; k < chains->n_chains; k++) {
			const struct migrate_chain *chain = &chains->chains[k];

			if (strcmp(chain->table, tables[i]) ||
			    (chain->fate != CHAIN_REMOVED && !chain->hook))
				continue;
			n += !chain->hook;
			rules += chain->rules;
		}
		snprintf(what, sizeof(what), "table %s", tables[i]);
		if (n)
			migrate_found(migrate, where, what, n, rules);
	}
	report_kept(chains, migrate, where);
}
