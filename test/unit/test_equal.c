/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "controlplane/store/equal.h"
#include "objects.h"

/* Pairs of specs that differ in one field that resolve reads. */
static const struct {
	const char *a, *b;
} specs[] = {
	{ "'clusterIP':'10.96.0.1'", "'clusterIP':'10.96.0.2'" },
	{ "'clusterIP':'fd00::1'", "'clusterIP':'fd00::2'" },
	{ "'clusterIP':'10.96.0.1'", "'clusterIP':'10.96.0.1','clusterIPs':['10.96.0.1','fd00::1'],"
				     "'ipFamilies':['IPv4','IPv6']" },
	{ "'clusterIP':'10.96.0.1'", "'clusterIP':'10.96.0.1','type':'NodePort'" },
	{ "'clusterIP':'10.96.0.1'", "'clusterIP':'10.96.0.1','ports':[{'port':80}]" },
	{ "'clusterIP':'10.96.0.1','ports':[{'port':80}]",
	  "'clusterIP':'10.96.0.1','ports':[{'port':81}]" },
	{ "'clusterIP':'10.96.0.1','ports':[{'port':80}]",
	  "'clusterIP':'10.96.0.1','ports':[{'port':80,'nodePort':30000}]" },
	{ "'clusterIP':'10.96.0.1','ports':[{'port':80}]",
	  "'clusterIP':'10.96.0.1','ports':[{'port':80,'protocol':'UDP'}]" },
	{ "'clusterIP':'10.96.0.1','ports':[{'port':80}]",
	  "'clusterIP':'10.96.0.1','ports':[{'port':80,'name':'a'}]" },
	{ "'clusterIP':'10.96.0.1'", "'clusterIP':'10.96.0.1','externalIPs':['192.0.2.1']" },
	{ "'clusterIP':'10.96.0.1','externalIPs':['192.0.2.1']",
	  "'clusterIP':'10.96.0.1','externalIPs':['192.0.2.2']" },
	{ "'clusterIP':'10.96.0.1'",
	  "'clusterIP':'10.96.0.1','loadBalancerSourceRanges':['192.0.2.0/24']" },
	{ "'clusterIP':'10.96.0.1','loadBalancerSourceRanges':['192.0.2.0/24']",
	  "'clusterIP':'10.96.0.1','loadBalancerSourceRanges':['192.0.2.0/25']" },
	{ "'clusterIP':'10.96.0.1','loadBalancerSourceRanges':['0.0.0.0/0']",
	  "'clusterIP':'10.96.0.1','loadBalancerSourceRanges':['::/0']" },
	{ "'clusterIP':'10.96.0.1'", "'clusterIP':'10.96.0.1','internalTrafficPolicy':'Local'" },
	{ "'clusterIP':'10.96.0.1'", "'clusterIP':'10.96.0.1','externalTrafficPolicy':'Local'" },
	{ "'clusterIP':'10.96.0.1'", "'clusterIP':'10.96.0.1','sessionAffinity':'ClientIP'" },
	{ "'clusterIP':'10.96.0.1'", "'clusterIP':'10.96.0.1','healthCheckNodePort':31000" },
	{ "'clusterIP':'10.96.0.1'", "'clusterIP':'10.96.0.1'},'status':{'loadBalancer':"
				     "{'ingress':[{'ip':'192.0.2.9'}]}" },
};

static struct service *service_with(const char *spec)
{
	char text[512];

	snprintf(text, sizeof(text), "{'metadata':{'name':'web'},'spec':{%s}}", spec);
	return service_of(text);
}

START_TEST(services_that_differ_in_any_field_are_not_equal)
{
	sl_auto(service) a = service_with(specs[_i].a);
	sl_auto(service) b = service_with(specs[_i].b);

	ck_assert_msg(!service_equal(a, b), "%s", specs[_i].b);
	ck_assert_msg(!service_equal(b, a), "%s", specs[_i].b);
}
END_TEST

START_TEST(services_that_say_the_same_are_equal)
{
	sl_auto(service) a = service_with(specs[_i].b);
	sl_auto(service) b = service_with(specs[_i].b);

	ck_assert_msg(service_equal(a, b), "%s", specs[_i].b);
}
END_TEST

START_TEST(fields_that_are_not_read_make_no_difference)
{
	sl_auto(service) a = service_of("{'metadata':{'name':'web','resourceVersion':'1'},"
					"'spec':{'clusterIP':'10.96.0.1','selector':{'app':'a'}}}");
	sl_auto(service) b = service_of("{'metadata':{'name':'web','resourceVersion':'2'},"
					"'spec':{'clusterIP':'10.96.0.1','selector':{'app':'b'}}}");

	ck_assert(service_equal(a, b));
}
END_TEST

/* The same of slices, with addressType IPv4 where none is given. */
static const struct {
	const char *a, *b;
} contents[] = {
	{ "'addressType':'IPv4'", "'addressType':'IPv6'" },
	{ "'endpoints':[{'addresses':['10.0.0.1']}]", "'endpoints':[{'addresses':['10.0.0.2']}]" },
	{ "'endpoints':[{'addresses':['10.0.0.1']}]",
	  "'endpoints':[{'addresses':['10.0.0.1']},{'addresses':['10.0.0.2']}]" },
	{ "'endpoints':[{'addresses':['10.0.0.1']}]",
	  "'endpoints':[{'addresses':['10.0.0.1'],'nodeName':'a'}]" },
	{ "'endpoints':[{'addresses':['10.0.0.1']}]",
	  "'endpoints':[{'addresses':['10.0.0.1'],'conditions':{'ready':false}}]" },
	{ "'endpoints':[{'addresses':['10.0.0.1']}]",
	  "'endpoints':[{'addresses':['10.0.0.1'],'conditions':{'serving':false}}]" },
	{ "'endpoints':[{'addresses':['10.0.0.1']}]",
	  "'endpoints':[{'addresses':['10.0.0.1'],'conditions':{'terminating':true}}]" },
	{ "'endpoints':[{'addresses':['10.0.0.1']}]",
	  "'endpoints':[{'addresses':['10.0.0.1'],'hints':{'forZones':[{'name':'a'}]}}]" },
	{ "'endpoints':[{'addresses':['10.0.0.1'],'hints':{'forZones':[{'name':'a'}]}}]",
	  "'endpoints':[{'addresses':['10.0.0.1'],'hints':{'forZones':[{'name':'b'}]}}]" },
	{ "'endpoints':[{'addresses':['10.0.0.1'],'hints':{'forNodes':[{'name':'a'}]}}]",
	  "'endpoints':[{'addresses':['10.0.0.1'],'hints':{'forNodes':[{'name':'b'}]}}]" },
	{ "'ports':[]", "'ports':[{'name':'a','port':80}]" },
	{ "'ports':[{'name':'a','port':80}]", "'ports':[{'name':'a','port':81}]" },
	{ "'ports':[{'name':'a','port':80}]", "'ports':[{'name':'b','port':80}]" },
	{ "'ports':[{'name':'a','port':80}]", "'ports':[{'name':'a','port':80,'protocol':'UDP'}]" },
};

static struct slice *slice_with(const char *content)
{
	char text[512];

	snprintf(text, sizeof(text), "{'metadata':{'name':'s'},%s%s}",
		 strstr(content, "addressType") ? "" : "'addressType':'IPv4',", content);
	return slice_of(text);
}

START_TEST(slices_that_differ_in_any_field_are_not_equal)
{
	sl_auto(slice) a = slice_with(contents[_i].a);
	sl_auto(slice) b = slice_with(contents[_i].b);

	ck_assert_msg(!slice_equal(a, b), "%s", contents[_i].b);
	ck_assert_msg(!slice_equal(b, a), "%s", contents[_i].b);
}
END_TEST

START_TEST(slices_that_say_the_same_are_equal)
{
	sl_auto(slice) a = slice_with(contents[_i].b);
	sl_auto(slice) b = slice_with(contents[_i].b);

	ck_assert_msg(slice_equal(a, b), "%s", contents[_i].b);
}
END_TEST

START_TEST(slices_of_different_services_are_not_equal)
{
	sl_auto(slice) a = slice_of("{'metadata':{'name':'s','labels':"
				    "{'kubernetes.io/service-name':'a'}},'addressType':'IPv4'}");
	sl_auto(slice) b = slice_of("{'metadata':{'name':'s','labels':"
				    "{'kubernetes.io/service-name':'b'}},'addressType':'IPv4'}");

	ck_assert(!slice_equal(a, b));
}
END_TEST

static const char *const nodes[] = {
	"'status':{}",
	"'status':{'addresses':[{'type':'InternalIP','address':'192.168.0.2'}]}",
	"'status':{'addresses':[{'type':'InternalIP','address':'192.168.0.3'}]}",
	"'spec':{'podCIDR':'10.0.1.0/24'}",
	"'spec':{'podCIDR':'10.0.1.0/25'}",
	"'spec':{'taints':[{'key':'ToBeDeletedByClusterAutoscaler'}]}",
};

START_TEST(nodes_are_equal_only_to_themselves)
{
	struct node *parsed[SL_COUNT(nodes)];
	char text[256];

	for (size_t i = 0; i < SL_COUNT(nodes); i++) {
		snprintf(text, sizeof(text), "{'metadata':{'name':'n'},%s}", nodes[i]);
		parsed[i] = node_of(text);
	}
	for (size_t i = 0; i < SL_COUNT(nodes); i++)
		for (size_t j = 0; j < SL_COUNT(nodes); j++)
			ck_assert_msg(node_equal(parsed[i], parsed[j]) == (i == j), "%s, %s",
				      nodes[i], nodes[j]);
	for (size_t i = 0; i < SL_COUNT(nodes); i++)
		node_free(parsed[i]);
}
END_TEST

START_TEST(node_that_is_being_deleted_is_another_one)
{
	sl_auto(node) a = node_of("{'metadata':{'name':'n'}}");
	sl_auto(node) b = node_of("{'metadata':{'name':'n','deletionTimestamp':'x'}}");
	sl_auto(node) c = node_of("{'metadata':{'name':'n','deletionTimestamp':'y'}}");

	ck_assert(!node_equal(a, b));
	ck_assert(node_equal(b, c));
}
END_TEST

static const char *const annotations[] = {
	"'a':'b'",
	"'sluice.dev/on-endpoint-removal':'reset'",
	"'sluice.dev/on-endpoint-removal':'drain=5s'",
	"'sluice.dev/on-endpoint-removal':'drain=6s'",
	"'sluice.dev/source-ranges':'all'",
};

START_TEST(services_that_differ_in_an_annotation_of_ours_are_not_equal)
{
	struct service *parsed[SL_COUNT(annotations)];
	char text[256];

	for (size_t i = 0; i < SL_COUNT(annotations); i++) {
		snprintf(text, sizeof(text),
			 "{'metadata':{'name':'web','annotations':{%s}},"
			 "'spec':{'clusterIP':'10.96.0.1'}}",
			 annotations[i]);
		parsed[i] = service_of(text);
	}
	for (size_t i = 0; i < SL_COUNT(annotations); i++)
		for (size_t j = 0; j < SL_COUNT(annotations); j++)
			ck_assert_msg(service_equal(parsed[i], parsed[j]) == (i == j), "%s, %s",
				      annotations[i], annotations[j]);
	for (size_t i = 0; i < SL_COUNT(annotations); i++)
		service_free(parsed[i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("equal");
	TCase *tc = tcase_create("equal");

	tcase_add_loop_test(tc, services_that_differ_in_any_field_are_not_equal, 0,
			    SL_COUNT(specs));
	tcase_add_loop_test(tc, services_that_say_the_same_are_equal, 0, SL_COUNT(specs));
	tcase_add_test(tc, fields_that_are_not_read_make_no_difference);
	tcase_add_loop_test(tc, slices_that_differ_in_any_field_are_not_equal, 0,
			    SL_COUNT(contents));
	tcase_add_loop_test(tc, slices_that_say_the_same_are_equal, 0, SL_COUNT(contents));
	tcase_add_test(tc, slices_of_different_services_are_not_equal);
	tcase_add_test(tc, nodes_are_equal_only_to_themselves);
	tcase_add_test(tc, node_that_is_being_deleted_is_another_one);
	tcase_add_test(tc, services_that_differ_in_an_annotation_of_ours_are_not_equal);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
