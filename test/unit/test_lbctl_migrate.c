/* SPDX-License-Identifier: Apache-2.0 */

/* Which chains lbctl migrate cleanup takes for kube-proxy's, and which it removes. */

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tools/lbctl/migrate.h"

START_TEST(kube_proxys_chains_are_known_from_kubelets_and_others)
{
	static const struct {
		const char *table, *name;
		bool own;
	} rows[] = {
		{ "nat", "KUBE-SERVICES", true },
		{ "nat", "KUBE-SVC-ABCDEFGHIJKLMNOP", true },
		{ "nat", "KUBE-SEP-ABCDEFGHIJKLMNOP", true },
		{ "nat", "KUBE-MARK-MASQ", true },
		{ "filter", "KUBE-FORWARD", true },
		{ "filter", "KUBE-IPVS-FILTER", true },
		{ "mangle", "KUBE-PROXY-CANARY", true },
		{ "mangle", "KUBE-SERVICES", false },
		{ "filter", "KUBE-SVC-ABCDEFGHIJKLMNOP", false },
		{ "filter", "KUBE-FIREWALL", false },
		{ "mangle", "KUBE-IPTABLES-HINT", false },
		{ "mangle", "KUBE-KUBELET-CANARY", false },
		{ "nat", "KUBE-KUBELET-CANARY", false },
		{ "nat", "KUBE-MARK-DROP", false },
		{ "filter", "KUBE-ROUTER-INPUT", false },
		{ "nat", "KUBE-SERVICES-2", false },
		{ "nat", "PREROUTING", false },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++)
		ck_assert_msg(migrate_chain_is_own(rows[i].table, rows[i].name) == rows[i].own,
			      "%s %s", rows[i].table, rows[i].name);
}
END_TEST

static struct migrate_chains chains;

static void add(const char *name, bool hook)
{
	ck_assert_int_eq(migrate_chains_add(&chains, "nat", name, hook), 0);
}

static void rule(const char *from, const char *to)
{
	ck_assert_int_eq(migrate_chains_rule(&chains, "nat", from, to, 1), 0);
}

static enum chain_fate fate_of(const char *name)
{
	for (size_t i = 0; i < chains.n_chains; i++)
		if (!strcmp(chains.chains[i].name, name))
			return chains.chains[i].fate;
	ck_abort_msg("no chain %s", name);
}

START_TEST(what_others_jump_to_stays_with_what_it_needs)
{
	ck_assert_int_eq(migrate_chains_init(&chains), 0);
	add("PREROUTING", true);
	add("MINE", false);
	add("KUBE-SERVICES", false);
	add("KUBE-EXT-A", false);
	add("KUBE-SVC-A", false);
	add("KUBE-SVC-B", false);
	rule("PREROUTING", "KUBE-SERVICES");
	rule("PREROUTING", "MINE");
	rule("PREROUTING", "ACCEPT");
	rule("KUBE-SERVICES", "KUBE-EXT-A");
	rule("KUBE-SERVICES", "KUBE-SVC-B");
	rule("KUBE-EXT-A", "KUBE-SVC-A");
	rule("MINE", "KUBE-EXT-A");
	migrate_chains_decide(&chains);
	ck_assert_int_eq(fate_of("PREROUTING"), CHAIN_OTHERS);
	ck_assert_int_eq(fate_of("MINE"), CHAIN_OTHERS);
	ck_assert_int_eq(fate_of("KUBE-SERVICES"), CHAIN_REMOVED);
	ck_assert_int_eq(fate_of("KUBE-SVC-B"), CHAIN_REMOVED);
	ck_assert_int_eq(fate_of("KUBE-EXT-A"), CHAIN_KEPT);
	ck_assert_int_eq(fate_of("KUBE-SVC-A"), CHAIN_KEPT);
	/* Of PREROUTING's only the first, and none of KUBE-SERVICES', which is flushed. */
	ck_assert(migrate_chains_unhooks(&chains, &chains.jumps[0]));
	for (size_t i = 1; i < chains.n_jumps; i++)
		ck_assert(!migrate_chains_unhooks(&chains, &chains.jumps[i]));
	migrate_chains_done(&chains);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lbctl migrate");
	TCase *tc = tcase_create("chains");
	SRunner *runner = srunner_create(suite);

	tcase_add_test(tc, kube_proxys_chains_are_known_from_kubelets_and_others);
	tcase_add_test(tc, what_others_jump_to_stays_with_what_it_needs);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
