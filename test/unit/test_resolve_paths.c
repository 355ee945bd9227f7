/* SPDX-License-Identifier: Apache-2.0 */

/* What resolve says beside choices: masquerade, health checks, leaving, ranges. */

#include <arpa/inet.h>

#include "resolve_fixture.h"

/*
 * Each path's choice in the order of enum sl_path: cluster, local, reject or
 * drop by its first letter, with * where the source is masqueraded.
 */
static const char *paths_of(const struct resolved_port *port)
{
	static char text[3 * SL_PATH_MAX + 1];
	size_t n = 0;

	for (int path = 0; path < SL_PATH_MAX; path++) {
		text[n++] = "clrd"[SL_PATH_CHOICE(port->path[path])];
		if (port->path[path] & SL_MASQUERADE)
			text[n++] = '*';
		text[n++] = ' ';
	}
	text[n - 1] = '\0';
	return text;
}

#define MINIMAL	   .detect4 = true
#define COMPATIBLE .compatible = true, .detect4 = true
static const struct {
	struct resolve_config config;
	const char *spec, *endpoints, *want;
} masquerades[] = {
	{ { MINIMAL }, HTTP LB, REMOTE, "c c c c c" },
	{ { MINIMAL }, HTTP LB ETP, LOCAL, "c c c c l" },
	/* S-132 */
	{ { MINIMAL, .masquerade_all = true }, HTTP LB, REMOTE, "c* c* c c c" },
	{ { MINIMAL, .masquerade_all = true }, HTTP LB ITP, LOCAL, "l* l* c c c" },
	{ { COMPATIBLE, .masquerade_all = true }, HTTP LB, REMOTE, "c* c* c* c* c*" },
	{ { COMPATIBLE, .masquerade_all = true }, HTTP LB ETP, LOCAL, "c* c* c c* l" },
	/* S-133, S-134 */
	{ { COMPATIBLE }, HTTP LB, REMOTE, "c c* c* c* c*" },
	{ { COMPATIBLE }, HTTP LB, LOCAL, "c c* c* c* c*" },
	{ { COMPATIBLE }, HTTP LB ITP, LOCAL, "l l* c* c* c*" },
	/* S-113 ... S-115, S-135 */
	{ { COMPATIBLE }, HTTP LB ETP, LOCAL "," REMOTE, "c c* c c* l" },
	{ { COMPATIBLE }, HTTP LB ETP ITP, LOCAL, "l l* c c* l" },
	{ { COMPATIBLE }, HTTP_NODE ETP ",'type':'NodePort'", LOCAL, "c c* c c* l" },
	/* S-031: the policy has no effect here, so it masquerades as Cluster. */
	{ { COMPATIBLE }, HTTP ETP, LOCAL, "c c* c* c* c*" },
	/* S-131 */
	{ { .compatible = true }, HTTP LB, REMOTE, "c c c* c* c*" },
	{ { .compatible = true }, HTTP LB ETP, LOCAL, "c c l c* l" },
	{ { .compatible = true }, HTTP LB ETP, REMOTE, "c c d c* d" },
	{ { .compatible = true, .masquerade_all = true }, HTTP LB, REMOTE, "c* c* c* c* c*" },
	{ { .compatible = false }, HTTP LB ETP, LOCAL, "c c l c l" },
	{ { .compatible = false }, HTTP LB, LOCAL, "c c c c c" },
	/* Only who goes on somewhere can be masqueraded. */
	{ { COMPATIBLE }, HTTP LB, "", "r r r r r" },
	{ { COMPATIBLE, .masquerade_all = true }, HTTP LB, UNREADY, "r r r r r" },
	{ { COMPATIBLE }, HTTP LB ETP, REMOTE, "c c* c c* d" },
	{ { COMPATIBLE }, HTTP LB ITP, REMOTE, "d d c* c* c*" },
};

START_TEST(masquerade_is_marked_by_path)
{
	config = masquerades[_i].config;
	add_slice(masquerades[_i].endpoints);

	sl_auto(resolved) resolved = resolve_spec(masquerades[_i].spec, VIP);

	ck_assert_str_eq(paths_of(&resolved->ports[0]), masquerades[_i].want);
}
END_TEST

START_TEST(each_family_has_a_detector_of_its_own)
{
	config = (struct resolve_config) { .compatible = true, .detect6 = true };
	add_slice(LOCAL);
	slices[n_slices++] = slice_of(
		"{'metadata':{'name':'web-6'},'addressType':'IPv6','ports':[{'name':'http',"
		"'port':8080}],'endpoints':[{'addresses':['fd00:1::1'],'nodeName':'n1'}]}");

	sl_auto(resolved) resolved = resolve_spec(DUAL LB ETP, "");

	ck_assert_str_eq(paths_of(&resolved->ports[0]), "c c l c* l");
	ck_assert_str_eq(paths_of(&resolved->ports[1]), "c c* c c* l");
}
END_TEST

/* S-234; VIP is an ingress address of the balancer. */
static const struct {
	const char *spec, *status, *endpoints;
	bool internal, external;
} no_locals[] = {
	{ HTTP LB, VIP, REMOTE, false, false },
	{ HTTP LB ETP, VIP, REMOTE, false, true },
	{ HTTP LB ETP, VIP, LOCAL "," REMOTE, false, false },
	{ HTTP LB ETP, VIP, "", false, false },
	{ HTTP LB ETP, VIP, UNREADY, false, false },
	{ HTTP LB ITP, VIP, REMOTE, true, false },
	{ HTTP LB ITP ETP, VIP, REMOTE, true, true },
	{ HTTP LB ITP ETP, VIP, LOCAL, false, false },
	{ HTTP ITP, "", REMOTE, true, false },
	{ HTTP ITP, "", LOCAL, false, false },
	/* Nothing outside leads to it. */
	{ HTTP ETP, "", REMOTE, false, false },
	{ HTTP LB ETP, "", REMOTE, false, false },
	{ HTTP_NODE ETP ",'type':'NodePort'", "", REMOTE, false, true },
};

START_TEST(local_policies_without_local_endpoints_are_told)
{
	/* The short cut changes nothing about it. */
	config = (struct resolve_config) { .detect4 = true };
	add_slice(no_locals[_i].endpoints);

	sl_auto(resolved) resolved = resolve_spec(no_locals[_i].spec, no_locals[_i].status);

	ck_assert_uint_eq(resolved->ports[0].no_local_internal, no_locals[_i].internal);
	ck_assert_uint_eq(resolved->ports[0].no_local_external, no_locals[_i].external);
}
END_TEST

#define HEALTH ",'healthCheckNodePort':32000"
static const struct {
	const char *spec;
	uint16_t want;
} health_ports[] = {
	{ HTTP LB ETP HEALTH, 32000 },
	{ HTTP LB ETP, 0 },
	{ HTTP LB HEALTH, 0 },
	{ HTTP ETP HEALTH ",'type':'NodePort'", 0 },
	{ HTTP ETP HEALTH ",'externalIPs':['192.0.2.9']", 0 },
};

START_TEST(health_checks_need_a_balancer_with_local_policy)
{
	sl_auto(resolved) resolved = resolve_spec(health_ports[_i].spec, "");

	ck_assert_uint_eq(resolved->health_node_port, health_ports[_i].want);
}
END_TEST

#define PORT(name) "{'name':'" name "','port':8080}"
#define SLICE(name, type, ports, endpoints)                                                        \
	"{'metadata':{'name':'" name "'},'addressType':'" type "','ports':[" ports                 \
	"],'endpoints':[" endpoints "]}"
#define LOCAL6 "{'addresses':['fd00:1::1'],'nodeName':'n1'}"
#define GOING                                                                                      \
	"{'addresses':['10.0.1.1'],'nodeName':'n1',"                                               \
	"'conditions':{'ready':true,'terminating':true}}"
#define DOWN "{'addresses':['10.0.1.1'],'nodeName':'n1','conditions':{'ready':false}}"

/* Up to two slices, and the numbers for IPv4 and IPv6. */
static const struct {
	const char *one, *two;
	uint32_t want4, want6;
} ready_counts[] = {
	{ NULL, NULL, 0, 0 },
	{ SLICE("a", "IPv4", PORT("http"), LOCAL "," REMOTE "," UNREADY "," LEAVING), NULL, 1, 0 },
	{ SLICE("a", "IPv4", PORT("http"), LOCAL ",{'addresses':['10.0.1.2'],'nodeName':'n1'}"),
	  NULL, 2, 0 },
	{ SLICE("a", "IPv6", PORT("http"), LOCAL6), SLICE("b", "IPv4", PORT("http"), REMOTE), 0,
	  1 },
	/* An address counts once, whatever its ports. */
	{ SLICE("a", "IPv4", PORT("http") "," PORT("https"), LOCAL), NULL, 1, 0 },
	{ SLICE("a", "IPv4", PORT("http"), LOCAL), SLICE("b", "IPv4", PORT("https"), LOCAL), 1, 0 },
	/* A port that the Service does not have counts as well. */
	{ SLICE("a", "IPv4", PORT("other"), LOCAL), NULL, 1, 0 },
	{ SLICE("a", "IPv4", "", LOCAL), NULL, 0, 0 },
	/* S-074 */
	{ SLICE("a", "IPv4", PORT("http"), GOING "," DOWN), NULL, 0, 0 },
	{ SLICE("a", "IPv4", PORT("http"), DOWN), SLICE("b", "IPv4", PORT("http"), GOING), 0, 0 },
	{ SLICE("a", "IPv4", PORT("http"), DOWN), SLICE("b", "IPv4", PORT("https"), GOING), 1, 0 },
};

START_TEST(ready_addresses_of_the_node_are_counted)
{
	if (ready_counts[_i].one)
		slices[n_slices++] = slice_of(ready_counts[_i].one);
	if (ready_counts[_i].two)
		slices[n_slices++] = slice_of(ready_counts[_i].two);

	sl_auto(resolved) resolved = resolve_spec(HTTP, "");
	sl_auto(resolved) nobodys = resolve(NULL);

	ck_assert_uint_eq(resolved->local_ready[0], ready_counts[_i].want4);
	ck_assert_uint_eq(resolved->local_ready[1], ready_counts[_i].want6);
	ck_assert_uint_eq(nobodys->local_ready[0], ready_counts[_i].want4);
	ck_assert_uint_eq(nobodys->health_node_port, 0);
}
END_TEST

START_TEST(leave_policy_is_passed_on)
{
	sl_auto(service) service =
		service_of("{'metadata':{'name':'web'},'spec':{" DUAL "},'status':{}}");

	service->drain_s = 30;
	sl_auto(resolved) keep = resolve(service);
	service->leave = SL_LEAVE_DRAIN;
	sl_auto(resolved) drain = resolve(service);

	ck_assert_uint_eq(keep->ports[0].leave, SL_LEAVE_KEEP);
	ck_assert_uint_eq(keep->ports[0].drain_s, 0);
	ck_assert_uint_eq(drain->ports[1].leave, SL_LEAVE_DRAIN);
	ck_assert_uint_eq(drain->ports[1].drain_s, 30);
}
END_TEST

#define RANGE ",'loadBalancerSourceRanges':['10.0.0.0/8']"
static const struct {
	const char *spec;
	bool by_service, by_config;
	size_t n_sources;
	bool want;
} everywhere[] = {
	{ HTTP_NODE RANGE, false, false, 0, false },
	{ HTTP_NODE RANGE, true, false, 1, true },
	{ HTTP_NODE RANGE, false, true, 1, true },
	{ HTTP RANGE ",'externalIPs':['192.0.2.9']", true, false, 1, true },
	/* Nothing to restrict, or nothing that restricts. */
	{ HTTP RANGE, true, true, 0, false },
	{ HTTP_NODE, true, true, 0, false },
	{ HTTP_NODE ",'loadBalancerSourceRanges':['0.0.0.0/0']", true, true, 0, false },
};

START_TEST(source_ranges_hold_everywhere_when_asked_for)
{
	char text[512];

	snprintf(text, sizeof(text), "{'metadata':{'name':'web'},'spec':{%s}}",
		 everywhere[_i].spec);

	sl_auto(service) service = service_of(text);

	service->ranges_everywhere = everywhere[_i].by_service;
	config.ranges_everywhere = everywhere[_i].by_config;

	sl_auto(resolved) resolved = resolve(service);

	ck_assert_uint_eq(resolved->ports[0].n_sources, everywhere[_i].n_sources);
	ck_assert(resolved->ports[0].ranges_everywhere == everywhere[_i].want);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("resolve_paths");
	TCase *tc = tcase_create("paths");

	tcase_add_checked_fixture(tc, open_node, close_node);
	tcase_add_loop_test(tc, masquerade_is_marked_by_path, 0, SL_COUNT(masquerades));
	tcase_add_test(tc, each_family_has_a_detector_of_its_own);
	tcase_add_loop_test(tc, local_policies_without_local_endpoints_are_told, 0,
			    SL_COUNT(no_locals));
	tcase_add_loop_test(tc, health_checks_need_a_balancer_with_local_policy, 0,
			    SL_COUNT(health_ports));
	tcase_add_loop_test(tc, ready_addresses_of_the_node_are_counted, 0, SL_COUNT(ready_counts));
	tcase_add_test(tc, leave_policy_is_passed_on);
	tcase_add_loop_test(tc, source_ranges_hold_everywhere_when_asked_for, 0,
			    SL_COUNT(everywhere));
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
