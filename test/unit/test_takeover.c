/* SPDX-License-Identifier: Apache-2.0 */

/* Which masquerade a start takes. */

#include <check.h>
#include <stdlib.h>

#include "controlplane/takeover.h"

static const enum config_masquerade minimal = CONFIG_MASQUERADE_MINIMAL;
static const enum config_masquerade compatible = CONFIG_MASQUERADE_COMPATIBLE;
static const struct sl_node unwritten;
static const struct sl_node was_minimal = { .detect4 = SL_DETECT_INTERFACE };
static const struct sl_node was_told = { .detect4 = SL_DETECT_INTERFACE, .compatible = 1 };
static const struct sl_node taken_over = {
	.detect4 = SL_DETECT_INTERFACE,
	.compatible = 1,
	.taken_over = 1,
};
/* Compatible once, minimal at last. */
static const struct sl_node has_flows = { .detect4 = SL_DETECT_INTERFACE, .was_compatible = 1 };

#define RULES "nftables ip table kube-proxy, chain services"

static void decides(const struct takeover_facts *facts, enum config_masquerade mode,
		    enum takeover_why why)
{
	struct takeover got = takeover_decide(facts);

	ck_assert_int_eq(got.mode, mode);
	ck_assert_int_eq(got.why, why);
	ck_assert_int_eq(takeover_is_kept(&got), mode == compatible && why != TAKEOVER_CONFIGURED);
}

START_TEST(a_new_node_is_minimal)
{
	decides(&(struct takeover_facts) {}, minimal, TAKEOVER_DEFAULT);
}
END_TEST

START_TEST(a_takeover_from_kube_proxy_is_compatible_and_says_what_it_found)
{
	struct takeover_facts facts = { .kube_proxy = RULES };

	decides(&facts, compatible, TAKEOVER_KUBE_PROXY);
	ck_assert_str_eq(takeover_decide(&facts).found, RULES);
}
END_TEST

START_TEST(what_is_configured_wins_over_all)
{
	struct takeover_facts facts = {
		.configured = &minimal,
		.adopted = &taken_over,
		.kube_proxy = RULES,
	};

	decides(&facts, minimal, TAKEOVER_CONFIGURED);
	decides(&(struct takeover_facts) { .configured = &compatible }, compatible,
		TAKEOVER_CONFIGURED);
}
END_TEST

START_TEST(a_takeover_and_a_default_stay_over_restarts)
{
	for (int rules = 0; rules < 2; rules++) {
		struct takeover_facts facts = { .kube_proxy = rules ? RULES : NULL };

		facts.adopted = &taken_over;
		decides(&facts, compatible, TAKEOVER_ADOPTED);
		facts.adopted = &was_minimal;
		decides(&facts, minimal, TAKEOVER_ADOPTED);
		facts.adopted = &has_flows;
		decides(&facts, minimal, TAKEOVER_ADOPTED);
	}
}
END_TEST

START_TEST(what_was_configured_ends_with_its_flag)
{
	struct takeover_facts facts = { .adopted = &was_told };

	decides(&facts, minimal, TAKEOVER_DEFAULT);
	facts.kube_proxy = RULES;
	decides(&facts, compatible, TAKEOVER_KUBE_PROXY);
}
END_TEST

START_TEST(maps_that_nobody_wrote_say_nothing)
{
	decides(&(struct takeover_facts) { .adopted = &unwritten, .kube_proxy = RULES }, compatible,
		TAKEOVER_KUBE_PROXY);
	decides(&(struct takeover_facts) { .adopted = &unwritten }, minimal, TAKEOVER_DEFAULT);
}
END_TEST

START_TEST(chains_are_told_by_kube_proxys_names)
{
	static const struct {
		const char *table, *chain;
		bool is;
	} rows[] = {
		{ "kube-proxy", "services", true },	  { "nat", "KUBE-SERVICES", true },
		{ "nat", "KUBE-KUBELET-CANARY", false },  /* kubelet's */
		{ "filter", "KUBE-ROUTER-INPUT", false }, /* kube-router's */
		{ "nat", "POSTROUTING", false },	  { "kube-proxy-less", "services", false },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++)
		ck_assert_msg(takeover_is_kube_proxy(rows[i].table, rows[i].chain) == rows[i].is,
			      "%s %s", rows[i].table, rows[i].chain);
}
END_TEST

START_TEST(status_names_mode_and_reason)
{
	static const char *const why[] = { "configured", "adopted", "kubeProxy", "default" };

	for (size_t i = 0; i < SL_COUNT(why); i++) {
		struct takeover takeover = { .mode = compatible, .why = (enum takeover_why)i };
		json_t *got = takeover_describe(&takeover);

		ck_assert_str_eq(json_string_value(json_object_get(got, "mode")), "compatible");
		ck_assert_str_eq(json_string_value(json_object_get(got, "why")), why[i]);
		json_decref(got);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("takeover");
	TCase *tc = tcase_create("decide");

	tcase_add_test(tc, a_new_node_is_minimal);
	tcase_add_test(tc, a_takeover_from_kube_proxy_is_compatible_and_says_what_it_found);
	tcase_add_test(tc, what_is_configured_wins_over_all);
	tcase_add_test(tc, a_takeover_and_a_default_stay_over_restarts);
	tcase_add_test(tc, what_was_configured_ends_with_its_flag);
	tcase_add_test(tc, maps_that_nobody_wrote_say_nothing);
	tcase_add_test(tc, chains_are_told_by_kube_proxys_names);
	tcase_add_test(tc, status_names_mode_and_reason);
	suite_add_tcase(suite, tc);

	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
