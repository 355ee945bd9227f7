/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>
#include <stdio.h>

#include "controlplane/store/intern.h"
#include "objects.h"

/* A Service whose spec has `members` beside a cluster IP. */
#define SPEC(members)                                                                              \
	"{'metadata':{'name':'web','namespace':'shop'},"                                           \
	"'spec':{'clusterIP':'10.96.0.1'" members "}}"

#define PORTS(list) SPEC(",'ports':[" list "]")

/* A Service with a whole spec of its own. */
#define WHOLE(spec) "{'metadata':{'name':'web','namespace':'shop'},'spec':{" spec "}}"

#define STATUS(ingress)                                                                            \
	"{'metadata':{'name':'web','namespace':'shop'},'spec':{'clusterIP':'10.96.0.1'},"          \
	"'status':{'loadBalancer':{'ingress':" ingress "}}}"

static bool same(struct sl_addr a, const char *text)
{
	struct sl_addr b = addr_of(text);

	return ip_equal(&a, &b);
}

START_TEST(minimal_service_has_the_defaults)
{
	sl_auto(service) service = service_of(SPEC(""));

	ck_assert_str_eq(service->namespace_, "shop");
	ck_assert_str_eq(service->name, "web");
	ck_assert_int_eq(service->type, SERVICE_CLUSTER_IP);
	ck_assert(!service->headless);
	ck_assert_uint_eq(service->n_ports, 0);
	ck_assert_uint_eq(service->n_external_ips, 0);
	ck_assert_uint_eq(service->n_vips, 0);
	ck_assert_uint_eq(service->n_source_ranges, 0);
	ck_assert_int_eq(service->internal_policy, POLICY_CLUSTER);
	ck_assert_int_eq(service->external_policy, POLICY_CLUSTER);
	ck_assert_uint_eq(service->affinity_s, 0);
	ck_assert_uint_eq(service->health_check_node_port, 0);
}
END_TEST

START_TEST(namespace_is_default_when_a_manifest_leaves_it_out)
{
	sl_auto(service) service =
		service_of("{'metadata':{'name':'web'},'spec':{'clusterIP':'10.96.0.1'}}");

	ck_assert_str_eq(service->namespace_, "default");
}
END_TEST

START_TEST(namespace_and_port_names_are_interned)
{
	sl_auto(service) service = service_of(PORTS("{'name':'http','port':80}"));
	const char *namespace_ = intern_get("shop"), *port = intern_get("http");

	ck_assert_ptr_eq(service->namespace_, namespace_);
	ck_assert_ptr_eq(service->ports[0].name, port);
	intern_put(namespace_);
	intern_put(port);
}
END_TEST

static const struct {
	const char *name;
	enum service_type type;
} types[] = {
	{ "ClusterIP", SERVICE_CLUSTER_IP },
	{ "NodePort", SERVICE_NODE_PORT },
	{ "LoadBalancer", SERVICE_LOAD_BALANCER },
	{ "ExternalName", SERVICE_EXTERNAL_NAME },
};

START_TEST(type_is_read)
{
	char text[256];

	snprintf(text, sizeof(text), SPEC(",'type':'%s'"), types[_i].name);

	sl_auto(service) service = service_of(text);

	ck_assert_int_eq(service->type, types[_i].type);
}
END_TEST

START_TEST(cluster_ips_belong_to_the_family_at_their_place)
{
	sl_auto(service) service =
		service_of(WHOLE("'clusterIP':'fd00::1','clusterIPs':['fd00::1','10.96.0.1'],"
				 "'ipFamilies':['IPv6','IPv4']"));

	ck_assert(service->has_ip4 && service->has_ip6);
	ck_assert(same(service->ip4, "10.96.0.1"));
	ck_assert(same(service->ip6, "fd00::1"));
}
END_TEST

START_TEST(without_families_the_cluster_ip_counts_for_its_own)
{
	sl_auto(service) v4 =
		service_of(WHOLE("'clusterIP':'10.96.0.1','clusterIPs':['10.96.0.1','fd00::1']"));
	sl_auto(service) v6 = service_of(WHOLE("'clusterIP':'fd00::1'"));

	ck_assert(v4->has_ip4 && !v4->has_ip6);
	ck_assert(!v6->has_ip4 && v6->has_ip6);
}
END_TEST

START_TEST(family_without_a_cluster_ip_has_none_and_is_told)
{
	sl_auto(service) service =
		service_noted(WHOLE("'clusterIP':'10.96.0.1','clusterIPs':['10.96.0.1'],"
				    "'ipFamilies':['IPv4','IPv6']"),
			      "Service shop/web: spec.ipFamilies[1]: skipped: no such entry in "
			      "spec.clusterIPs");

	ck_assert(service->has_ip4 && !service->has_ip6);
}
END_TEST

START_TEST(cluster_ip_none_is_headless)
{
	sl_auto(service) service =
		service_of(WHOLE("'clusterIP':'None','clusterIPs':['None'],'ipFamilies':['IPv4']"));

	ck_assert(service->headless);
	ck_assert(!service->has_ip4 && !service->has_ip6);
}
END_TEST

START_TEST(missing_cluster_ip_is_headless_and_told)
{
	sl_auto(service) service = service_noted(WHOLE("'ports':[{'port':80}]"),
						 "Service shop/web: spec.clusterIP: missing: the "
						 "Service has no traffic");

	ck_assert(service->headless);
}
END_TEST

START_TEST(external_name_needs_no_cluster_ip)
{
	sl_auto(service) service =
		service_of(WHOLE("'type':'ExternalName','externalName':'example.org'"));

	ck_assert_int_eq(service->type, SERVICE_EXTERNAL_NAME);
}
END_TEST

START_TEST(port_is_read)
{
	sl_auto(service) service =
		service_of(PORTS("{'name':'dns','port':53,'protocol':'UDP','nodePort':30053,"
				 "'targetPort':'dns'},{'name':'dns','port':53,'protocol':'TCP'}"));

	ck_assert_uint_eq(service->n_ports, 2);
	ck_assert_str_eq(service->ports[0].name, "dns");
	ck_assert_uint_eq(service->ports[0].port, 53);
	ck_assert_uint_eq(service->ports[0].node_port, 30053);
	ck_assert_uint_eq(service->ports[0].proto, IPPROTO_UDP);
	ck_assert_uint_eq(service->ports[1].node_port, 0);
	ck_assert_uint_eq(service->ports[1].proto, IPPROTO_TCP);
}
END_TEST

START_TEST(ports_of_one_protocol_need_different_names_and_numbers_only)
{
	sl_auto(service) service = service_of(
		PORTS("{'name':'a','port':80},{'name':'b','port':81},{'name':'c','port':82}"));

	ck_assert_uint_eq(service->n_ports, 3);
	ck_assert_str_eq(service->ports[2].name, "c");
}
END_TEST

START_TEST(port_without_name_and_protocol_is_unnamed_tcp)
{
	sl_auto(service) service = service_of(PORTS("{'port':65535,'name':null,'protocol':null}"));

	ck_assert_str_eq(service->ports[0].name, "");
	ck_assert_uint_eq(service->ports[0].proto, IPPROTO_TCP);
	ck_assert_uint_eq(service->ports[0].port, 65535);
}
END_TEST

START_TEST(external_ips_are_read_and_bad_ones_skipped_one_by_one)
{
	sl_auto(service) service = service_noted(
		SPEC(",'externalIPs':['192.000.002.250','','2001:db8::1','nonsense','0.0.0.0',"
		     "'::ffff:192.0.2.251']"),
		"Service shop/web: spec.externalIPs[1]: skipped: \"\" is no IP address (and 2 "
		"more)");

	ck_assert_uint_eq(service->n_external_ips, 3);
	ck_assert(same(service->external_ips[0].addr, "192.0.2.250"));
	ck_assert_uint_eq(service->external_ips[0].family, 4);
	ck_assert(same(service->external_ips[1].addr, "2001:db8::1"));
	ck_assert_uint_eq(service->external_ips[1].family, 6);
	ck_assert(same(service->external_ips[2].addr, "192.0.2.251"));
	ck_assert_uint_eq(service->external_ips[2].family, 4);
}
END_TEST

START_TEST(vips_are_the_ingress_addresses_of_mode_vip)
{
	sl_auto(service) service = service_of(
		STATUS("[{'ip':'198.51.100.1'},{'ip':'198.51.100.2','ipMode':'Proxy'},"
		       "{'ip':'198.51.100.3','ipMode':'VIP'},{'ip':'198.51.100.4','ipMode':'X'},"
		       "{'hostname':'lb.example.org'},{'ip':'2001:db8::5','ipMode':null}]"));

	ck_assert_uint_eq(service->n_vips, 3);
	ck_assert(same(service->vips[0].addr, "198.51.100.1"));
	ck_assert(same(service->vips[1].addr, "198.51.100.3"));
	ck_assert(same(service->vips[2].addr, "2001:db8::5"));
	ck_assert_uint_eq(service->vips[2].family, 6);
}
END_TEST

START_TEST(bad_vip_is_skipped_and_told)
{
	sl_auto(service) service =
		service_noted(STATUS("[{'ip':'198.51.100.300'},{'ip':'198.51.100.3'}]"),
			      "Service shop/web: status.loadBalancer.ingress[0].ip: skipped: "
			      "\"198.51.100.300\" is no IP address");

	ck_assert_uint_eq(service->n_vips, 1);
}
END_TEST

START_TEST(source_ranges_are_trimmed_and_masked)
{
	sl_auto(service) service = service_of(
		SPEC(",'loadBalancerSourceRanges':[' 203.0.113.7/25\\n','\\t2001:db8::1/64 ']"));

	ck_assert_uint_eq(service->n_source_ranges, 2);
	ck_assert(same(service->source_ranges[0].addr, "203.0.113.0"));
	ck_assert_uint_eq(service->source_ranges[0].len, 25);
	ck_assert_uint_eq(service->source_ranges[1].family, 6);
	ck_assert_uint_eq(service->source_ranges[1].len, 64);
}
END_TEST

START_TEST(bad_source_range_is_skipped_and_told)
{
	sl_auto(service) service = service_noted(
		SPEC(",'loadBalancerSourceRanges':['192.0.2.0/24','203.0.113.0']"),
		"Service shop/web: spec.loadBalancerSourceRanges[1]: skipped: \"203.0.113.0\" is "
		"no CIDR");

	ck_assert_uint_eq(service->n_source_ranges, 1);
}
END_TEST

START_TEST(policies_are_local_only_when_they_say_so)
{
	sl_auto(service) local = service_of(
		SPEC(",'internalTrafficPolicy':'Local','externalTrafficPolicy':'Local'"));
	sl_auto(service) other = service_of(
		SPEC(",'internalTrafficPolicy':'local','externalTrafficPolicy':'Cluster'"));

	ck_assert_int_eq(local->internal_policy, POLICY_LOCAL);
	ck_assert_int_eq(local->external_policy, POLICY_LOCAL);
	ck_assert_int_eq(other->internal_policy, POLICY_CLUSTER);
	ck_assert_int_eq(other->external_policy, POLICY_CLUSTER);
}
END_TEST

static const struct {
	const char *members;
	uint32_t affinity_s;
} affinities[] = {
	{ ",'sessionAffinity':'None','sessionAffinityConfig':{'clientIP':{'timeoutSeconds':5}}",
	  0 },
	{ ",'sessionAffinity':'ClientIP'", 10800 },
	{ ",'sessionAffinity':'ClientIP','sessionAffinityConfig':null", 10800 },
	{ ",'sessionAffinity':'ClientIP','sessionAffinityConfig':{'clientIP':{}}", 10800 },
	{ ",'sessionAffinity':'ClientIP',"
	  "'sessionAffinityConfig':{'clientIP':{'timeoutSeconds':86400}}",
	  86400 },
};

START_TEST(client_ip_affinity_always_has_a_timeout)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "{'metadata':{'name':'web'},'spec':{'clusterIP':'10.96.0.1'%s}}",
		 affinities[_i].members);

	sl_auto(service) service = service_of(text);

	ck_assert_uint_eq(service->affinity_s, affinities[_i].affinity_s);
}
END_TEST

START_TEST(health_check_node_port_is_read)
{
	sl_auto(service) service = service_of(SPEC(",'healthCheckNodePort':32000"));

	ck_assert_uint_eq(service->health_check_node_port, 32000);
}
END_TEST

START_TEST(null_is_the_same_as_absent)
{
	sl_auto(service) service = service_of(
		"{'metadata':{'name':'web','namespace':null,'labels':null},"
		"'spec':{'clusterIP':'10.96.0.1','clusterIPs':null,'ipFamilies':null,'ports':null,"
		"'externalIPs':null,'loadBalancerSourceRanges':null,'type':null,"
		"'sessionAffinity':null,'internalTrafficPolicy':null,'healthCheckNodePort':null},"
		"'status':null}");

	ck_assert(service->has_ip4);
	ck_assert_uint_eq(service->n_ports + service->n_external_ips + service->n_vips, 0);
}
END_TEST

START_TEST(unknown_fields_are_ignored)
{
	sl_auto(service) service =
		service_of("{'apiVersion':'v1','kind':'Service','metadata':{'name':'web',"
			   "'managedFields':[{'fieldsV1':{'f:spec':{}}}]},'future':[1,2],"
			   "'spec':{'clusterIP':'10.96.0.1','selector':{'app':'x'},'new':{}}}");

	ck_assert_str_eq(service->name, "web");
}
END_TEST

/* What is refused, and the whole line that says why. */
static const struct {
	const char *text, *error;
} refused[] = {
	{ "[]", "Service ?: is not an object" },
	{ "{}", "Service ?: metadata.name: missing" },
	{ "{'metadata':null}", "Service ?: metadata.name: missing" },
	{ "{'metadata':7}", "Service ?: metadata: is a number, not an object" },
	{ "{'metadata':{'name':''}}", "Service ?: metadata.name: missing" },
	{ "{'metadata':{'name':['web']}}", "Service ?: metadata.name: is a list, not a string" },
	{ "{'metadata':{'name':'web','namespace':1}}",
	  "Service web: metadata.namespace: is a number, not a string" },
	{ "{'metadata':{'name':'web'},'spec':'x'}",
	  "Service default/web: spec: is a string, not an object" },
	{ SPEC(",'type':'Magic'"), "Service shop/web: spec.type: \"Magic\" is not a type of "
				   "Service" },
	{ WHOLE("'clusterIP':'10.96.0'"),
	  "Service shop/web: spec.clusterIP: \"10.96.0\" is no cluster IP" },
	{ WHOLE("'clusterIP':'0.0.0.0'"),
	  "Service shop/web: spec.clusterIP: \"0.0.0.0\" is no cluster IP" },
	{ WHOLE("'clusterIP':true"), "Service shop/web: spec.clusterIP: is a boolean, not a "
				     "string" },
	{ WHOLE("'clusterIP':'10.96.0.1','clusterIPs':['fd00::1'],'ipFamilies':['IPv4']"),
	  "Service shop/web: spec.clusterIPs[0]: \"fd00::1\" is not IPv4" },
	{ WHOLE("'clusterIP':'10.96.0.1','clusterIPs':[null],'ipFamilies':['IPv4']"),
	  "Service shop/web: spec.clusterIPs[0]: missing" },
	{ WHOLE("'clusterIP':'10.96.0.1','clusterIPs':['10.96.0.1'],'ipFamilies':['IPv5']"),
	  "Service shop/web: spec.ipFamilies[0]: \"IPv5\" is not IPv4 or IPv6" },
	{ SPEC(",'ports':{}"), "Service shop/web: spec.ports: is an object, not a list" },
	{ PORTS("80"), "Service shop/web: spec.ports[0]: is a number, not an object" },
	{ PORTS("null"), "Service shop/web: spec.ports[0]: missing" },
	{ PORTS("{'name':'a'}"), "Service shop/web: spec.ports[0].port: missing" },
	{ PORTS("{'name':'a','port':80},{'port':0}"),
	  "Service shop/web: spec.ports[1].port: 0 is not in 1 ... 65535" },
	{ PORTS("{'port':65536}"),
	  "Service shop/web: spec.ports[0].port: 65536 is not in 1 ... 65535" },
	{ PORTS("{'port':-1}"), "Service shop/web: spec.ports[0].port: -1 is not in 1 ... 65535" },
	{ PORTS("{'port':9223372036854775807}"),
	  "Service shop/web: spec.ports[0].port: 9223372036854775807 is not in 1 ... 65535" },
	{ PORTS("{'port':80.5}"),
	  "Service shop/web: spec.ports[0].port: 80.5 is not a whole number in 1 ... 65535" },
	{ PORTS("{'port':1e300}"),
	  "Service shop/web: spec.ports[0].port: 1e+300 is not a whole number in 1 ... 65535" },
	{ PORTS("{'port':'80'}"),
	  "Service shop/web: spec.ports[0].port: is a string, not a number" },
	{ PORTS("{'port':80,'nodePort':70000}"),
	  "Service shop/web: spec.ports[0].nodePort: 70000 is not in 0 ... 65535" },
	{ PORTS("{'port':80,'protocol':'ICMP'}"),
	  "Service shop/web: spec.ports[0].protocol: \"ICMP\" is not TCP, UDP or SCTP" },
	{ PORTS("{'port':80,'protocol':6}"),
	  "Service shop/web: spec.ports[0].protocol: is a number, not a string" },
	{ PORTS("{'port':80,'name':false}"),
	  "Service shop/web: spec.ports[0].name: is a boolean, not a string" },
	{ PORTS("{'name':'a','port':80},{'name':'a','port':81}"),
	  "Service shop/web: spec.ports[1]: same name and protocol as spec.ports[0]" },
	{ PORTS("{'name':'a','port':80},{'name':'b','port':80}"),
	  "Service shop/web: spec.ports[1]: same port and protocol as spec.ports[0]" },
	{ PORTS("{'name':'a','port':80,'nodePort':30000},"
		"{'name':'b','port':81,'nodePort':30000}"),
	  "Service shop/web: spec.ports[1]: same nodePort and protocol as spec.ports[0]" },
	{ SPEC(",'externalIPs':'192.0.2.1'"),
	  "Service shop/web: spec.externalIPs: is a string, not a list" },
	{ SPEC(",'externalIPs':[17]"),
	  "Service shop/web: spec.externalIPs[0]: is a number, not a string" },
	{ SPEC(",'loadBalancerSourceRanges':[{}]"),
	  "Service shop/web: spec.loadBalancerSourceRanges[0]: is an object, not a string" },
	{ STATUS("{}"), "Service shop/web: status.loadBalancer.ingress: is an object, not a list" },
	{ STATUS("['198.51.100.1']"),
	  "Service shop/web: status.loadBalancer.ingress[0]: is a string, not an object" },
	{ SPEC(",'sessionAffinity':'ClientIP',"
	       "'sessionAffinityConfig':{'clientIP':{'timeoutSeconds':0}}"),
	  "Service shop/web: spec.sessionAffinityConfig.clientIP.timeoutSeconds: 0 is not in 1 "
	  "... 86400" },
	{ SPEC(",'healthCheckNodePort':65536"),
	  "Service shop/web: spec.healthCheckNodePort: 65536 is not in 0 ... 65535" },
};

START_TEST(malformed_service_is_refused_by_object_and_field)
{
	ck_assert_str_eq(service_error(refused[_i].text), refused[_i].error);
}
END_TEST

START_TEST(names_longer_than_a_dns_label_are_refused)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "{'metadata':{'name':'%064d'},'spec':{'clusterIP':'10.96.0.1'}}", 0);
	ck_assert_ptr_nonnull(
		strstr(service_error(text), ": metadata.name: is longer than 63 bytes"));
	snprintf(text, sizeof(text), "{'metadata':{'name':'web','namespace':'%064d'}}", 0);
	ck_assert_ptr_nonnull(
		strstr(service_error(text), ": metadata.namespace: is longer than 63 bytes"));
	snprintf(text, sizeof(text), PORTS("{'port':80,'name':'%064d'}"), 0);
	ck_assert_str_eq(service_error(text),
			 "Service shop/web: spec.ports[0].name: is longer than 63 bytes");
}
END_TEST

START_TEST(error_stays_one_printable_line_whatever_the_names_hold)
{
	const char *error = service_error(
		"{'metadata':{'name':'a\\nb\\u001b[31m'},'spec':{'type':'x\\r\\ny'}}");

	ck_assert_str_eq(error,
			 "Service default/a?b?[31m: spec.type: \"x??y\" is not a type of Service");
}
END_TEST

START_TEST(error_of_very_long_names_fits_its_room)
{
	char text[2000];

	snprintf(text, sizeof(text), "{'metadata':{'name':'%0900d','namespace':'%0900d'}}", 0, 0);
	ck_assert_uint_lt(strlen(service_error(text)), OBJECT_ERROR_MAX - 1);
}
END_TEST

START_TEST(nothing_at_all_is_refused)
{
	struct service *service = NULL;
	char error[OBJECT_ERROR_MAX];

	ck_assert_int_eq(service_parse(NULL, &service, error), -EINVAL);
	ck_assert_str_eq(error, "Service ?: is not an object");
	service_free(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("parse_service");
	TCase *good = tcase_create("good"), *bad = tcase_create("bad");

	tcase_add_test(good, minimal_service_has_the_defaults);
	tcase_add_test(good, namespace_is_default_when_a_manifest_leaves_it_out);
	tcase_add_test(good, namespace_and_port_names_are_interned);
	tcase_add_loop_test(good, type_is_read, 0, SL_COUNT(types));
	tcase_add_test(good, cluster_ips_belong_to_the_family_at_their_place);
	tcase_add_test(good, without_families_the_cluster_ip_counts_for_its_own);
	tcase_add_test(good, family_without_a_cluster_ip_has_none_and_is_told);
	tcase_add_test(good, cluster_ip_none_is_headless);
	tcase_add_test(good, missing_cluster_ip_is_headless_and_told);
	tcase_add_test(good, external_name_needs_no_cluster_ip);
	tcase_add_test(good, port_is_read);
	tcase_add_test(good, ports_of_one_protocol_need_different_names_and_numbers_only);
	tcase_add_test(good, port_without_name_and_protocol_is_unnamed_tcp);
	tcase_add_test(good, external_ips_are_read_and_bad_ones_skipped_one_by_one);
	tcase_add_test(good, vips_are_the_ingress_addresses_of_mode_vip);
	tcase_add_test(good, bad_vip_is_skipped_and_told);
	tcase_add_test(good, source_ranges_are_trimmed_and_masked);
	tcase_add_test(good, bad_source_range_is_skipped_and_told);
	tcase_add_test(good, policies_are_local_only_when_they_say_so);
	tcase_add_loop_test(good, client_ip_affinity_always_has_a_timeout, 0, SL_COUNT(affinities));
	tcase_add_test(good, health_check_node_port_is_read);
	tcase_add_test(good, null_is_the_same_as_absent);
	tcase_add_test(good, unknown_fields_are_ignored);
	tcase_add_loop_test(bad, malformed_service_is_refused_by_object_and_field, 0,
			    SL_COUNT(refused));
	tcase_add_test(bad, names_longer_than_a_dns_label_are_refused);
	tcase_add_test(bad, error_stays_one_printable_line_whatever_the_names_hold);
	tcase_add_test(bad, error_of_very_long_names_fits_its_room);
	tcase_add_test(bad, nothing_at_all_is_refused);
	suite_add_tcase(suite, good);
	suite_add_tcase(suite, bad);
	return run_suite(suite);
}
