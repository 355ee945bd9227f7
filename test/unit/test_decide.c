/* SPDX-License-Identifier: Apache-2.0 */

/* Which way a packet goes, and that each reason names its rule. */

#include "explain_fixture.h"

#define POD	     "10.0.1.77"
#define NODE	     "192.168.0.2"
#define OUTSIDE	     "203.0.113.9"
#define BOTH	     "10.0.1.1:8080 10.0.2.1:8080"
#define BOTH_AS_NODE "10.0.1.1:8080+snat 10.0.2.1:8080+snat"

/* `iface` NULL: from a process of the node, if the address is the node's. */
struct row {
	const char *from, *to, *iface, *verdict, *rules, *endpoints;
};

static void check(const char *change, const struct row *row)
{
	const struct explain_query query = { .from = row->from,
					     .to = row->to,
					     .iface = row->iface };
	struct explained e = explain_on(change, &query);
	char rules[512], endpoints[512];
	const char *loss = explain_loss(e.decision.verdict);
	const char *verdict = loss ? loss : explain_verdict(e.decision.verdict);

	explained_rules(&e, rules);
	explained_endpoints(&e, endpoints);
	ck_assert_msg(!strcmp(verdict, row->verdict) && !strcmp(rules, row->rules) &&
			      !strcmp(endpoints, row->endpoints),
		      "%s -> %s: expected \"%s\", \"%s\", \"%s\"; got \"%s\", \"%s\", \"%s\"",
		      row->from, row->to, row->verdict, row->rules, row->endpoints, verdict, rules,
		      endpoints);
	explained_done(&e);
}

#define CHECK_ROWS(change, ...)                                                                    \
	do {                                                                                       \
		const struct row rows_[] = { __VA_ARGS__ };                                        \
                                                                                                   \
		for (size_t i_ = 0; i_ < SL_COUNT(rows_); i_++)                                    \
			check(change, &rows_[i_]);                                                 \
	} while (0)

START_TEST(a_cluster_ip_leads_to_the_cluster_set)
{
	CHECK_ROWS(
		NULL,
		{ POD, "10.96.0.1:80", "veth1", "forward", "S-022 S-130 S-110 S-118 S-133", BOTH },
		{ NODE, "10.96.0.1:80", NULL, "forward", "S-022 S-130 S-110 S-118 S-133",
		  BOTH_AS_NODE },
		{ OUTSIDE, "10.96.0.1:80", "eth0", "forward", "S-022 S-130 S-110 S-118 S-133",
		  BOTH_AS_NODE });
}
END_TEST

START_TEST(internal_policy_local_leads_everybody_to_local_endpoints)
{
	CHECK_ROWS(NULL,
		   { POD, "10.96.0.2:80", "veth1", "forward", "S-022 S-130 S-111 S-096,S-098 S-133",
		     "10.0.1.1:8080" },
		   { NODE, "10.96.0.2:80", NULL, "forward", "S-022 S-130 S-111 S-096,S-098 S-133",
		     "10.0.1.1:8080+snat" },
		   { POD, "10.96.0.3:80", "veth1", "no_local_endpoints", "S-022 S-130 S-111,S-120",
		     "" },
		   { POD, "10.96.0.4:80", "veth1", "no_endpoints", "S-022 S-130 S-110,S-111,S-119",
		     "" });
}
END_TEST

START_TEST(external_destinations_lead_to_the_cluster_set)
{
	CHECK_ROWS(NULL,
		   { OUTSIDE, "198.51.100.1:80", "eth0", "forward", "S-027 S-130 S-112 S-118 S-134",
		     BOTH_AS_NODE },
		   { POD, "192.0.2.1:80", "veth1", "forward", "S-025 S-130 S-112 S-118 S-134",
		     BOTH_AS_NODE },
		   { NODE, "192.168.0.2:30001", NULL, "forward",
		     "S-029,S-182 S-130 S-112 S-118 S-134", BOTH_AS_NODE },
		   { OUTSIDE, "198.51.100.4:80", "eth0", "no_endpoints",
		     "S-027 S-130 S-112,S-115,S-119", "" });
}
END_TEST

START_TEST(external_policy_local_tells_three_kinds_of_sources_apart)
{
	CHECK_ROWS(NULL,
		   { POD, "198.51.100.2:80", "veth1", "forward", "S-027 S-130 S-113 S-118 S-135",
		     BOTH },
		   { NODE, "198.51.100.2:80", NULL, "forward",
		     "S-027 S-130 S-114 S-118 S-114,S-135", BOTH_AS_NODE },
		   { "192.168.1.2", "198.51.100.2:80", "eth0", "forward",
		     "S-027 S-130 S-114 S-118 S-114,S-135", BOTH_AS_NODE },
		   { OUTSIDE, "192.168.0.2:30002", "eth0", "forward",
		     "S-029,S-182 S-130 S-115 S-096,S-098 S-135", "10.0.1.1:8080" },
		   { OUTSIDE, "192.0.2.3:80", "eth0", "no_local_endpoints",
		     "S-025 S-130 S-115,S-120", "" },
		   { POD, "192.0.2.3:80", "veth1", "forward", "S-025 S-130 S-113 S-135",
		     "10.0.2.1:8080" });
}
END_TEST

START_TEST(source_ranges_hold_for_load_balancer_addresses)
{
	CHECK_ROWS(NULL,
		   { OUTSIDE, "198.51.100.5:80", "eth0", "forward",
		     "S-027 S-055 S-130 S-112 S-091,S-092,S-098 S-134", "10.0.1.1:8080+snat" },
		   { POD, "198.51.100.5:80", "veth1", "source_range", "S-027 S-055,S-120", "" },
		   { POD, "192.168.0.2:30005", "veth1", "forward",
		     "S-029,S-182 S-054 S-130 S-112 S-091,S-092,S-098 S-134",
		     "10.0.1.1:8080+snat" },
		   { POD, "10.96.0.5:80", "veth1", "forward",
		     "S-022 S-054 S-130 S-110 S-091,S-092,S-098 S-133", "10.0.1.1:8080" });
}
END_TEST

START_TEST(source_ranges_everywhere_spare_the_cluster_ip)
{
	CHECK_ROWS("{'sourceRangesEverywhere':true}",
		   { POD, "192.168.0.2:30005", "veth1", "source_range", "S-029,S-182 S-055,S-120",
		     "" },
		   { OUTSIDE, "192.0.2.5:80", "eth0", "forward",
		     "S-025 S-055 S-130 S-112 S-091,S-092,S-098 S-134", "10.0.1.1:8080+snat" },
		   { POD, "10.96.0.5:80", "veth1", "forward",
		     "S-022 S-054 S-130 S-110 S-091,S-092,S-098 S-133", "10.0.1.1:8080" });
}
END_TEST

START_TEST(what_no_service_port_answers_is_told_apart)
{
	CHECK_ROWS(NULL, { POD, "10.96.0.1:81", "veth1", "unknown_port", "S-121,S-119", "" },
		   { POD, "10.96.0.1:80/udp", "veth1", "unknown_port", "S-121,S-119", "" },
		   { POD, "10.96.0.1:30001", "veth1", "unknown_port", "S-121,S-119", "" },
		   { POD, "10.96.9.9:80", "veth1", "unallocated", "S-122,S-120", "" },
		   { OUTSIDE, "198.51.100.1:81", "eth0", "pass", "S-123", "" },
		   { OUTSIDE, "192.0.2.1:30001", "eth0", "pass", "S-124", "" },
		   { OUTSIDE, "192.168.0.2:22", "eth0", "pass", "S-125", "" },
		   { OUTSIDE, "192.168.1.2:30001", "eth0", "pass", "S-126,S-182", "" },
		   { OUTSIDE, "192.168.0.3:30001", "eth0", "pass", "S-124", "" },
		   { POD, "10.0.2.1:8080", "veth1", "pass", "S-125", "" },
		   { NODE, "127.0.0.1:30001", NULL, "pass", "S-184", "" });
}
END_TEST

START_TEST(without_service_cidrs_no_address_is_unallocated)
{
	CHECK_ROWS("{'serviceCIDRs':null}", { POD, "10.96.9.9:80", "veth1", "pass", "S-125", "" });
}
END_TEST

START_TEST(node_ports_answer_where_they_should)
{
	CHECK_ROWS("{'nodePortAddresses':['all']}",
		   { OUTSIDE, "192.168.1.2:30001", "eth0", "forward",
		     "S-029,S-182 S-130 S-112 S-118 S-134", BOTH_AS_NODE });
	CHECK_ROWS("{'nodePortAddresses':['192.168.1.0/24']}",
		   { OUTSIDE, "192.168.0.2:30001", "eth0", "pass", "S-126,S-182", "" });
}
END_TEST

START_TEST(masquerade_all_spares_nobody)
{
	CHECK_ROWS("{'masqueradeAll':true}",
		   { POD, "10.96.0.1:80", "veth1", "forward", "S-022 S-130 S-110 S-118 S-132",
		     BOTH_AS_NODE },
		   { POD, "198.51.100.2:80", "veth1", "forward", "S-027 S-130 S-113 S-118 S-135",
		     BOTH });
}
END_TEST

START_TEST(without_a_pods_range_nothing_is_pod_traffic)
{
	CHECK_ROWS("{'clusterCIDRs':[]}",
		   { OUTSIDE, "10.96.0.1:80", "eth0", "forward", "S-022 S-131 S-110 S-118 S-131",
		     BOTH },
		   { POD, "198.51.100.2:80", "veth1", "forward",
		     "S-027 S-131 S-115 S-096,S-098 S-135", "10.0.1.1:8080" });
}
END_TEST

START_TEST(interfaces_can_tell_pod_traffic)
{
	CHECK_ROWS("{'detectLocalMode':'InterfaceNamePrefix','interfaceNamePrefix':'veth'}",
		   { OUTSIDE, "10.96.0.1:80", "veth9", "forward", "S-022 S-130 S-110 S-118 S-133",
		     BOTH },
		   { POD, "10.96.0.1:80", "eth0", "forward", "S-022 S-130 S-110 S-118 S-133",
		     BOTH_AS_NODE });
	CHECK_ROWS(
		"{'detectLocalMode':'BridgeInterface','bridgeInterface':'cbr0'}",
		{ POD, "10.96.0.1:80", "cbr0", "forward", "S-022 S-130 S-110 S-118 S-133", BOTH });
	CHECK_ROWS(
		"{'detectLocalMode':'interfaceRole'}",
		{ POD, "10.96.0.1:80", "veth1", "forward", "S-022 S-130 S-110 S-118 S-133", BOTH },
		{ NODE, "10.96.0.1:80", NULL, "forward", "S-022 S-130 S-110 S-118 S-133",
		  BOTH_AS_NODE });
}
END_TEST

START_TEST(a_hairpin_gets_the_nodes_address)
{
	CHECK_ROWS(NULL,
		   { "10.0.1.1", "10.96.0.1:80", "veth1", "forward",
		     "S-022 S-130 S-110 S-118 S-133 S-136", "10.0.1.1:8080+snat 10.0.2.1:8080" },
		   { "10.0.2.1", "10.96.0.1:80", "eth0", "forward", "S-022 S-130 S-110 S-118 S-133",
		     BOTH });
	CHECK_ROWS("{'masquerade':'minimal'}",
		   { "10.0.1.1", "10.96.0.1:80", "veth1", "forward",
		     "S-022 S-130 S-110 S-118 S-136", "10.0.1.1:8080+snat 10.0.2.1:8080" });
}
END_TEST

START_TEST(what_is_delivered_to_the_node_keeps_its_source)
{
	CHECK_ROWS(NULL,
		   { OUTSIDE, "198.51.100.7:80", "eth0", "forward", "S-027 S-130 S-112 S-137",
		     "192.168.0.2:8080" },
		   { NODE, "198.51.100.7:80", NULL, "forward", "S-027 S-130 S-112 S-134 S-136",
		     "192.168.0.2:8080+snat" });
}
END_TEST

START_TEST(minimal_masquerade_keeps_sources_whose_answers_come_back)
{
	CHECK_ROWS("{'masquerade':'minimal'}",
		   { OUTSIDE, "198.51.100.1:80", "eth0", "forward", "S-027 S-130 S-112 S-118 S-137",
		     "10.0.1.1:8080 10.0.2.1:8080+snat" },
		   { POD, "198.51.100.1:80", "veth1", "forward", "S-027 S-130 S-112 S-118", BOTH },
		   { NODE, "198.51.100.1:80", NULL, "forward", "S-027 S-130 S-112 S-118", BOTH });
}
END_TEST

START_TEST(affinity_is_told)
{
	CHECK_ROWS(NULL, { "10.0.1.77:4000", "10.96.0.6:80", "veth1", "forward",
			   "S-022 S-130 S-110 S-140,S-142,S-143 S-133", BOTH });
}
END_TEST

static size_t chosen(const char *from, const char *to, bool local)
{
	const struct explain_query query = {
		.from = from, .to = to, .iface = local ? NULL : "veth1", .local = local
	};
	struct explained e = explain_on(NULL, &query);
	size_t index = e.decision.chosen;

	explained_done(&e);
	return index;
}

START_TEST(the_source_port_decides_which_endpoint_is_chosen)
{
	size_t n[2] = { 0 };

	for (int port = 40000; port < 40064; port++) {
		char from[32];
		size_t index;

		snprintf(from, sizeof(from), "10.0.1.77:%d", port);
		index = chosen(from, "10.96.0.1:80", false);
		ck_assert_uint_lt(index, 2);
		ck_assert_uint_eq(index, chosen(from, "10.96.0.1:80", false));
		n[index]++;
	}
	ck_assert_uint_gt(n[0], 10);
	ck_assert_uint_gt(n[1], 10);
}
END_TEST

START_TEST(the_choice_is_only_told_where_it_is_known)
{
	ck_assert_uint_eq(chosen("10.0.1.77", "10.96.0.1:80", false), DECIDE_UNKNOWN);
	ck_assert_uint_eq(chosen("10.0.1.77:4000", "10.96.0.6:80", false), DECIDE_UNKNOWN);
	ck_assert_uint_eq(chosen("192.168.0.2:4000", "10.96.0.1:80", true), DECIDE_UNKNOWN);
	ck_assert_uint_eq(chosen("10.0.1.77", "10.96.0.2:80", false), 0);
}
END_TEST

START_TEST(who_holds_a_disputed_frontend_is_told)
{
	const struct explain_query query = { .from = POD, .to = "192.0.2.1:80", .iface = "veth1" };
	const struct sl_identity second = { .namespace_ = "b", .service = "web", .port = "http" };
	struct explained e = explain_on(NULL, &query);
	sl_auto(world) world = NULL;
	struct decision decision;

	explain_put(e.store,
		    "{'apiVersion':'v1','kind':'Service','metadata':{'name':'web','namespace':'b'},"
		    "'spec':{'clusterIP':'10.96.0.99','externalIPs':['192.0.2.1'],'ports':"
		    "[{'name':'http','protocol':'TCP','port':80}]}}");
	ck_assert_int_eq(world_new(e.store, &e.profile->world, &e.packet, &world), 0);
	ck_assert_int_eq(decide(&world->decide, &e.packet, &decision), 0);
	ck_assert_uint_eq(decision.rivals, 1);
	ck_assert_str_eq(decision.service->namespace_, "a");
	decision_done(&decision);

	world->decide.prefer = &second;
	ck_assert_int_eq(decide(&world->decide, &e.packet, &decision), 0);
	ck_assert_str_eq(decision.service->namespace_, "b");
	ck_assert_int_eq(decision.verdict, SL_REJECT_NO_ENDPOINTS);
	decision_done(&decision);
	explained_done(&e);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("decide");
	TCase *tc = tcase_create("packets");

	tcase_add_test(tc, a_cluster_ip_leads_to_the_cluster_set);
	tcase_add_test(tc, internal_policy_local_leads_everybody_to_local_endpoints);
	tcase_add_test(tc, external_destinations_lead_to_the_cluster_set);
	tcase_add_test(tc, external_policy_local_tells_three_kinds_of_sources_apart);
	tcase_add_test(tc, source_ranges_hold_for_load_balancer_addresses);
	tcase_add_test(tc, source_ranges_everywhere_spare_the_cluster_ip);
	tcase_add_test(tc, what_no_service_port_answers_is_told_apart);
	tcase_add_test(tc, without_service_cidrs_no_address_is_unallocated);
	tcase_add_test(tc, node_ports_answer_where_they_should);
	tcase_add_test(tc, masquerade_all_spares_nobody);
	tcase_add_test(tc, without_a_pods_range_nothing_is_pod_traffic);
	tcase_add_test(tc, interfaces_can_tell_pod_traffic);
	tcase_add_test(tc, a_hairpin_gets_the_nodes_address);
	tcase_add_test(tc, what_is_delivered_to_the_node_keeps_its_source);
	tcase_add_test(tc, minimal_masquerade_keeps_sources_whose_answers_come_back);
	tcase_add_test(tc, affinity_is_told);
	tcase_add_test(tc, the_source_port_decides_which_endpoint_is_chosen);
	tcase_add_test(tc, the_choice_is_only_told_where_it_is_known);
	tcase_add_test(tc, who_holds_a_disputed_frontend_is_told);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
