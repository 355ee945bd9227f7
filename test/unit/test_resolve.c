/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>

#include "resolve_fixture.h"

static void assert_frontends(const struct resolved_port *port, const char *want)
{
	static const char *const kinds[SL_KIND_MAX] = { "", "cluster", "node", "vip", "external" };
	char got[1024] = "", text[IP_TEXT_MAX];

	for (size_t i = 0; i < port->n_frontends; i++) {
		const struct resolved_frontend *f = &port->frontends[i];

		sprintf(got + strlen(got), "%s %s, ", kinds[f->kind],
			ip_format_port(&f->addr, port->family, f->port, text));
	}
	ck_assert_str_eq(got, want);
}

/* "10.0.0.1:80 cluster+local, ..." */
static void assert_backends(const struct resolved_port *port, const char *want)
{
	static const char *const sets[] = { "none", "cluster", "local", "both" };
	char got[1024] = "", text[IP_TEXT_MAX];

	for (size_t i = 0; i < port->n_backends; i++) {
		const struct resolved_backend *b = &port->backends[i];

		ck_assert_uint_eq(b->weight, 1);
		sprintf(got + strlen(got), "%s %s%s, ",
			ip_format_port(&b->addr, port->family, b->port, text), sets[b->sets],
			b->local ? " here" : "");
	}
	ck_assert_str_eq(got, want);
}

static void assert_sources(const struct resolved_port *port, const char *want)
{
	char got[1024] = "", text[IP_TEXT_MAX];

	for (size_t i = 0; i < port->n_sources; i++)
		sprintf(got + strlen(got), "%s/%u, ",
			ip_format(&port->sources[i].addr, port->sources[i].family, text),
			port->sources[i].len);
	ck_assert_str_eq(got, want);
}

/* Choices for the cluster IP, from outside and from inside. */
static void assert_paths(const struct resolved_port *port, const char *want)
{
	static const char *const choices[SL_CHOOSE_MAX] = { "cluster", "local", "reject", "drop" };
	char got[64] = "";

	static const enum sl_path paths[] = { SL_PATH_CLUSTER, SL_PATH_OUTSIDE, SL_PATH_POD };

	for (int i = 0; i < 3; i++)
		strcat(strcat(got, i ? " " : ""), choices[SL_PATH_CHOICE(port->path[paths[i]])]);
	ck_assert_str_eq(got, want);
}

START_TEST(deleted_service_has_no_ports)
{
	add_slice(LOCAL);

	sl_auto(resolved) resolved = resolve(NULL);

	ck_assert_str_eq(resolved->namespace_, "default");
	ck_assert_str_eq(resolved->name, "web");
	ck_assert_uint_eq(resolved->n_ports, 0);
}
END_TEST

static const char *const skipped[] = {
	"'clusterIP':'None','ports':[{'port':80}]",
	"'type':'ExternalName','clusterIP':'10.96.0.1','ports':[{'port':80}]",
	"'type':'ExternalName','ports':[{'port':80}],'externalIPs':['192.0.2.1']",
	"'clusterIP':'10.96.0.1'",
	"'clusterIP':'10.96.0.1','ports':[]",
};

START_TEST(skipped_service_has_no_ports)
{
	add_slice(LOCAL);

	sl_auto(resolved) resolved = resolve_spec(skipped[_i], VIP);

	ck_assert_uint_eq(resolved->n_ports, 0);
}
END_TEST

START_TEST(cluster_ip_service_has_one_frontend)
{
	add_slice(LOCAL "," REMOTE);

	sl_auto(resolved) resolved = resolve_spec(HTTP, "");

	ck_assert_uint_eq(resolved->n_ports, 1);
	ck_assert_str_eq(resolved->ports[0].name, "http");
	ck_assert_uint_eq(resolved->ports[0].proto, IPPROTO_TCP);
	ck_assert_uint_eq(resolved->ports[0].family, 4);
	assert_frontends(&resolved->ports[0], "cluster 10.96.0.1:80, ");
	assert_backends(&resolved->ports[0], "10.0.1.1:8080 cluster here, 10.0.2.1:8080 cluster, ");
	assert_paths(&resolved->ports[0], "cluster cluster cluster");
	ck_assert_uint_eq(resolved->ports[0].n_sources, 0);
}
END_TEST

START_TEST(all_kinds_of_frontends_come_sorted)
{
	sl_auto(resolved) resolved =
		resolve_spec(HTTP_NODE ",'type':'LoadBalancer','externalIPs':['192.0.2.9',"
				       "'192.0.2.10','2001:db8::9']",
			     "{'ip':'198.51.100.7'},{'ip':'198.51.100.1'},{'ip':'2001:db8::7'}");

	ck_assert_uint_eq(resolved->n_ports, 1);
	assert_frontends(&resolved->ports[0],
			 "cluster 10.96.0.1:80, node 0.0.0.0:30080, vip 198.51.100.1:80, "
			 "vip 198.51.100.7:80, external 192.0.2.9:80, external 192.0.2.10:80, ");
}
END_TEST

START_TEST(frontend_named_twice_is_one)
{
	sl_auto(resolved) resolved =
		resolve_spec(HTTP ",'externalIPs':['192.0.2.9','192.0.2.9']", VIP "," VIP);

	assert_frontends(&resolved->ports[0],
			 "cluster 10.96.0.1:80, vip 198.51.100.1:80, external 192.0.2.9:80, ");
}
END_TEST

START_TEST(vip_that_is_an_external_ip_too_stays_a_vip)
{
	sl_auto(resolved) resolved = resolve_spec(
		HTTP ",'externalIPs':['198.51.100.1'],'loadBalancerSourceRanges':['10.0.0.0/8']",
		VIP);

	assert_frontends(&resolved->ports[0], "cluster 10.96.0.1:80, vip 198.51.100.1:80, ");
	assert_sources(&resolved->ports[0], "10.0.0.0/8, ");
}
END_TEST

START_TEST(each_family_has_ports_of_its_own)
{
	add_slice(LOCAL);

	sl_auto(resolved) resolved = resolve_spec(DUAL ",'type':'LoadBalancer'", VIPS);

	ck_assert_uint_eq(resolved->n_ports, 2);
	ck_assert_uint_eq(resolved->ports[0].family, 4);
	assert_frontends(&resolved->ports[0],
			 "cluster 10.96.0.1:80, node 0.0.0.0:30080, vip 198.51.100.1:80, ");
	assert_backends(&resolved->ports[0], "10.0.1.1:8080 cluster here, ");
	ck_assert_uint_eq(resolved->ports[1].family, 6);
	assert_frontends(&resolved->ports[1],
			 "cluster [fd00::1]:80, node [::]:30080, vip [2001:db8:50::1]:80, ");
	assert_backends(&resolved->ports[1], "");
	assert_paths(&resolved->ports[1], "reject reject reject");
}
END_TEST

START_TEST(family_without_a_cluster_ip_has_nothing_at_all)
{
	sl_auto(resolved) resolved =
		resolve_spec(HTTP_NODE ",'externalIPs':['2001:db8::9']", "{'ip':'2001:db8::7'}");

	ck_assert_uint_eq(resolved->n_ports, 1);
	assert_frontends(&resolved->ports[0], "cluster 10.96.0.1:80, node 0.0.0.0:30080, ");
}
END_TEST

START_TEST(ports_come_sorted_by_family_protocol_and_name)
{
	static const char *const want[] = {
		"4 6 a", "4 6 b", "4 17 a", "6 6 a", "6 6 b", "6 17 a"
	};
	sl_auto(resolved) resolved = resolve_spec(
		"'clusterIP':'fd00::1','clusterIPs':['fd00::1','10.96.0.1'],"
		"'ipFamilies':['IPv6','IPv4'],'ports':[{'name':'a','port':53,'protocol':'UDP'},"
		"{'name':'b','port':80},{'name':'a','port':53}]",
		"");

	ck_assert_uint_eq(resolved->n_ports, SL_COUNT(want));
	for (size_t i = 0; i < resolved->n_ports; i++) {
		char got[64];

		snprintf(got, sizeof(got), "%u %u %s", resolved->ports[i].family,
			 resolved->ports[i].proto, resolved->ports[i].name);
		ck_assert_str_eq(got, want[i]);
	}
}
END_TEST

START_TEST(port_takes_endpoints_of_its_name_and_protocol_only)
{
	slices[n_slices++] = slice_of(
		"{'metadata':{'name':'s'},'addressType':'IPv4','ports':[{'name':'','port':5353,"
		"'protocol':'UDP'},{'name':'','port':5300},{'name':'dns','port':53}],"
		"'endpoints':[{'addresses':['10.0.2.1']}]}");

	sl_auto(resolved) resolved =
		resolve_spec("'clusterIP':'10.96.0.1','ports':[{'port':53,'protocol':'UDP'}]", "");

	assert_backends(&resolved->ports[0], "10.0.2.1:5353 cluster, ");
}
END_TEST

START_TEST(serving_endpoints_that_nobody_may_choose_are_kept)
{
	add_slice(REMOTE
		  "," UNREADY "," LEAVING
		  ",{'addresses':['10.0.1.7'],'conditions':{'ready':false,'serving':false}}");

	sl_auto(resolved) resolved = resolve_spec(HTTP, "");

	assert_backends(&resolved->ports[0], "10.0.1.8:8080 none here, 10.0.1.9:8080 none here, "
					     "10.0.2.1:8080 cluster, ");
}
END_TEST

START_TEST(ready_endpoint_that_does_not_serve_is_a_backend)
{
	add_slice("{'addresses':['10.0.2.1'],'conditions':{'ready':true,'serving':false}}");

	sl_auto(resolved) resolved = resolve_spec(HTTP, "");

	assert_backends(&resolved->ports[0], "10.0.2.1:8080 cluster, ");
}
END_TEST

START_TEST(backends_come_sorted_as_text_and_once)
{
	add_slice("{'addresses':['10.0.2.9']},{'addresses':['10.0.2.10']}");
	add_slice("{'addresses':['10.0.2.9']},{'addresses':['10.0.10.1']}");

	sl_auto(resolved) resolved = resolve_spec(HTTP, "");

	assert_backends(&resolved->ports[0], "10.0.10.1:8080 cluster, 10.0.2.10:8080 cluster, "
					     "10.0.2.9:8080 cluster, ");
}
END_TEST

START_TEST(affinity_is_passed_on)
{
	sl_auto(resolved) resolved = resolve_spec(
		DUAL ",'sessionAffinity':'ClientIP','sessionAffinityConfig':{'clientIP':{"
		     "'timeoutSeconds':90}}",
		"");

	ck_assert_uint_eq(resolved->ports[0].affinity_s, 90);
	ck_assert_uint_eq(resolved->ports[1].affinity_s, 90);
}
END_TEST

/* Policies, endpoints, and what happens on the three ways. */
static const struct {
	const char *spec, *endpoints, *paths;
} policies[] = {
	{ HTTP LB, "", "reject reject reject" },
	{ HTTP LB, UNREADY, "reject reject reject" },
	{ HTTP LB, REMOTE, "cluster cluster cluster" },
	{ HTTP LB, LEAVING, "cluster cluster cluster" },
	{ HTTP LB ITP, "", "reject reject reject" },
	{ HTTP LB ITP, REMOTE, "drop cluster cluster" },
	{ HTTP LB ITP, REMOTE "," UNREADY, "drop cluster cluster" },
	{ HTTP LB ITP, REMOTE "," LOCAL, "local cluster cluster" },
	{ HTTP LB ITP, REMOTE "," LEAVING, "local cluster cluster" },
	{ HTTP LB ETP, "", "reject reject reject" },
	{ HTTP LB ETP, UNREADY, "reject reject reject" },
	{ HTTP LB ETP, REMOTE, "cluster drop cluster" },
	{ HTTP LB ETP, LOCAL, "cluster local cluster" },
	{ HTTP LB ETP, REMOTE "," LEAVING, "cluster local cluster" },
	{ HTTP LB ETP ITP, REMOTE, "drop drop cluster" },
	{ HTTP LB ETP ITP, LOCAL, "local local cluster" },
	{ HTTP LB ETP ITP, "", "reject reject reject" },
	{ HTTP ",'type':'NodePort'" ETP, REMOTE, "cluster drop cluster" },
};

START_TEST(policies_decide_each_way)
{
	add_slice(policies[_i].endpoints);

	sl_auto(resolved) resolved = resolve_spec(policies[_i].spec, VIP);

	assert_paths(&resolved->ports[0], policies[_i].paths);
}
END_TEST

START_TEST(policy_local_marks_the_backends_of_both_sets)
{
	add_slice(LOCAL "," REMOTE "," LEAVING);

	sl_auto(resolved) resolved = resolve_spec(HTTP LB ETP, VIP);

	assert_backends(
		&resolved->ports[0],
		"10.0.1.1:8080 both here, 10.0.1.8:8080 none here, 10.0.2.1:8080 cluster, ");
}
END_TEST

START_TEST(internal_local_without_external_ways_uses_no_cluster_set)
{
	add_slice(LOCAL "," REMOTE);

	sl_auto(resolved) resolved = resolve_spec(HTTP ITP, "");

	assert_backends(&resolved->ports[0], "10.0.1.1:8080 local here, 10.0.2.1:8080 none, ");
	ck_assert_uint_eq(resolved->ports[0].path[SL_PATH_CLUSTER], SL_CHOOSE_LOCAL);
}
END_TEST

START_TEST(internal_local_with_an_external_way_uses_both_sets)
{
	add_slice(LOCAL "," REMOTE);

	sl_auto(resolved) resolved = resolve_spec(HTTP_NODE ITP ",'type':'NodePort'", "");

	assert_backends(&resolved->ports[0], "10.0.1.1:8080 both here, 10.0.2.1:8080 cluster, ");
}
END_TEST

START_TEST(external_local_counts_for_a_cluster_ip_service_with_external_ips)
{
	add_slice(REMOTE);

	sl_auto(resolved) with = resolve_spec(HTTP ETP ",'externalIPs':['192.0.2.9']", "");
	sl_auto(resolved) without = resolve_spec(HTTP ETP, VIP);

	assert_paths(&with->ports[0], "cluster drop cluster");
	assert_paths(&without->ports[0], "cluster cluster cluster");
}
END_TEST

START_TEST(external_local_without_external_ways_fills_no_local_set)
{
	add_slice(LOCAL);

	sl_auto(resolved) resolved = resolve_spec(HTTP LB ETP, "");

	assert_backends(&resolved->ports[0], "10.0.1.1:8080 cluster here, ");
}
END_TEST

START_TEST(hints_narrow_the_cluster_set)
{
	add_slice("{'addresses':['10.0.2.1'],'hints':{'forZones':[{'name':'z1'}]}},"
		  "{'addresses':['10.0.2.2'],'hints':{'forZones':[{'name':'z2'}]}}");

	sl_auto(resolved) resolved = resolve_spec(HTTP, "");

	assert_backends(&resolved->ports[0], "10.0.2.1:8080 cluster, 10.0.2.2:8080 none, ");
}
END_TEST

/* Source ranges and what is left of them for IPv4 and IPv6 with one VIP each. */
static const struct {
	const char *ranges, *v4, *v6;
} ranges[] = {
	{ "", "", "" },
	{ "'203.0.113.7/25'", "203.0.113.0/25, ", "" },
	{ "'2001:db8:f::/64'", "", "2001:db8:f::/64, " },
	{ "'203.0.113.0/25','10.0.0.0/8','2001:db8:f::/64'", "10.0.0.0/8, 203.0.113.0/25, ",
	  "2001:db8:f::/64, " },
	{ "'10.0.0.0/8','10.0.0.1/8'", "10.0.0.0/8, ", "" },
	{ "'10.0.0.0/8','10.0.0.0/16'", "10.0.0.0/8, 10.0.0.0/16, ", "" },
	/* A prefix of length 0 admits its whole family. */
	{ "'10.0.0.0/8','0.0.0.0/0','2001:db8:f::/64'", "", "2001:db8:f::/64, " },
	{ "'10.0.0.0/8','1.2.3.4/0'", "", "" },
	{ "'10.0.0.0/8','::/0'", "10.0.0.0/8, ", "" },
	/* Ranges with the node's own address admit the VIPs too. */
	{ "'192.168.0.0/24'", "192.168.0.0/24, 198.51.100.1/32, ", "" },
	{ "'fd00:168::/32','10.0.0.0/8'", "10.0.0.0/8, ", "2001:db8:50::1/128, fd00:168::/32, " },
};

START_TEST(source_ranges_restrict_their_family)
{
	char spec[512];

	snprintf(spec, sizeof(spec), "%s,'type':'LoadBalancer','loadBalancerSourceRanges':[%s]",
		 DUAL, ranges[_i].ranges);

	sl_auto(resolved) resolved = resolve_spec(spec, VIPS);

	assert_sources(&resolved->ports[0], ranges[_i].v4);
	assert_sources(&resolved->ports[1], ranges[_i].v6);
}
END_TEST

START_TEST(source_ranges_do_not_admit_vips_when_the_node_has_no_address)
{
	memset(&node.ip4, 0, sizeof(node.ip4));

	sl_auto(resolved) resolved = resolve_spec(
		HTTP LB ",'loadBalancerSourceRanges':['192.168.0.0/24','0.0.0.0/8']", VIP);

	assert_sources(&resolved->ports[0], "0.0.0.0/8, 192.168.0.0/24, ");
}
END_TEST

START_TEST(source_ranges_without_a_vip_restrict_nothing)
{
	sl_auto(resolved) resolved = resolve_spec(HTTP ",'loadBalancerSourceRanges':['10.0.0.0/8'],"
						       "'externalIPs':['192.0.2.9']",
						  "");

	ck_assert_uint_eq(resolved->ports[0].n_sources, 0);
}
END_TEST

START_TEST(order_of_slices_and_lists_makes_no_difference)
{
	add_slice(LOCAL);
	add_slice(REMOTE);

	sl_auto(resolved) one = resolve_spec(
		HTTP LB ",'loadBalancerSourceRanges':['10.0.0.0/8','192.0.2.0/24']", VIP);
	struct slice *first = slices[0];

	slices[0] = slices[1];
	slices[1] = first;

	sl_auto(resolved) two = resolve_spec(
		HTTP LB ",'loadBalancerSourceRanges':['192.0.2.0/24','10.0.0.0/8']", VIP);

	assert_backends(&one->ports[0], "10.0.1.1:8080 cluster here, 10.0.2.1:8080 cluster, ");
	assert_backends(&two->ports[0], "10.0.1.1:8080 cluster here, 10.0.2.1:8080 cluster, ");
	assert_sources(&one->ports[0], "10.0.0.0/8, 192.0.2.0/24, ");
	assert_sources(&two->ports[0], "10.0.0.0/8, 192.0.2.0/24, ");
}
END_TEST

START_TEST(result_outlives_the_objects)
{
	struct resolved *resolved;

	add_slice(LOCAL);
	resolved = resolve_spec(HTTP, "");
	slice_free(slices[--n_slices]);
	ck_assert_str_eq(resolved->ports[0].name, "http");
	assert_backends(&resolved->ports[0], "10.0.1.1:8080 cluster here, ");
	resolved_free(resolved);
	resolved_free(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("resolve");
	TCase *ports = tcase_create("ports"), *ways = tcase_create("ways");
	TCase *sources = tcase_create("sources");

	tcase_add_checked_fixture(ports, open_node, close_node);
	tcase_add_test(ports, deleted_service_has_no_ports);
	tcase_add_loop_test(ports, skipped_service_has_no_ports, 0, SL_COUNT(skipped));
	tcase_add_test(ports, cluster_ip_service_has_one_frontend);
	tcase_add_test(ports, all_kinds_of_frontends_come_sorted);
	tcase_add_test(ports, frontend_named_twice_is_one);
	tcase_add_test(ports, vip_that_is_an_external_ip_too_stays_a_vip);
	tcase_add_test(ports, each_family_has_ports_of_its_own);
	tcase_add_test(ports, family_without_a_cluster_ip_has_nothing_at_all);
	tcase_add_test(ports, ports_come_sorted_by_family_protocol_and_name);
	tcase_add_test(ports, port_takes_endpoints_of_its_name_and_protocol_only);
	tcase_add_test(ports, serving_endpoints_that_nobody_may_choose_are_kept);
	tcase_add_test(ports, ready_endpoint_that_does_not_serve_is_a_backend);
	tcase_add_test(ports, backends_come_sorted_as_text_and_once);
	tcase_add_test(ports, affinity_is_passed_on);
	tcase_add_test(ports, order_of_slices_and_lists_makes_no_difference);
	tcase_add_test(ports, result_outlives_the_objects);
	tcase_add_checked_fixture(ways, open_node, close_node);
	tcase_add_loop_test(ways, policies_decide_each_way, 0, SL_COUNT(policies));
	tcase_add_test(ways, policy_local_marks_the_backends_of_both_sets);
	tcase_add_test(ways, internal_local_without_external_ways_uses_no_cluster_set);
	tcase_add_test(ways, internal_local_with_an_external_way_uses_both_sets);
	tcase_add_test(ways, external_local_counts_for_a_cluster_ip_service_with_external_ips);
	tcase_add_test(ways, external_local_without_external_ways_fills_no_local_set);
	tcase_add_test(ways, hints_narrow_the_cluster_set);
	tcase_add_checked_fixture(sources, open_node, close_node);
	tcase_add_loop_test(sources, source_ranges_restrict_their_family, 0, SL_COUNT(ranges));
	tcase_add_test(sources, source_ranges_do_not_admit_vips_when_the_node_has_no_address);
	tcase_add_test(sources, source_ranges_without_a_vip_restrict_nothing);
	suite_add_tcase(suite, ports);
	suite_add_tcase(suite, ways);
	suite_add_tcase(suite, sources);
	return run_suite(suite);
}
