/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/store/intern.h"
#include "objects.h"

#define NODE(members) "{'metadata':{'name':'node-a'}," members "}"

static void assert_address(const struct node *node, size_t i, const char *text)
{
	struct sl_addr addr = addr_of(text);

	ck_assert_uint_lt(i, node->n_addresses);
	ck_assert_msg(ip_equal(&node->addresses[i].addr, &addr), "address %zu is not %s", i, text);
}

START_TEST(node_is_read)
{
	sl_auto(node) node =
		node_of("{'metadata':{'name':'node-a','labels':{'topology.kubernetes.io/zone':"
			"'zone-1'}},'spec':{'podCIDR':'10.0.1.0/24','podCIDRs':['10.0.1.0/24',"
			"'fd00:1::/64']},'status':{'addresses':[{'type':'InternalIP','address':"
			"'192.168.0.2'}]}}");
	const char *zone = intern_get("zone-1");

	ck_assert_str_eq(node->name, "node-a");
	ck_assert_ptr_eq(node->zone, zone);
	ck_assert_uint_eq(node->n_addresses, 1);
	assert_address(node, 0, "192.168.0.2");
	ck_assert_uint_eq(node->n_pod_cidrs, 2);
	ck_assert_uint_eq(node->pod_cidrs[0].len, 24);
	ck_assert_uint_eq(node->pod_cidrs[1].family, 6);
	intern_put(zone);
}
END_TEST

START_TEST(node_without_the_label_has_the_empty_zone)
{
	sl_auto(node) node = node_of(NODE("'status':{}"));

	ck_assert_str_eq(node->zone, "");
	ck_assert_uint_eq(node->n_addresses, 0);
	ck_assert_uint_eq(node->n_pod_cidrs, 0);
}
END_TEST

START_TEST(internal_addresses_come_before_external_ones)
{
	sl_auto(node) node =
		node_of(NODE("'status':{'addresses':[{'type':'Hostname','address':'node-a'},"
			     "{'type':'ExternalIP','address':'203.0.113.2'},"
			     "{'type':'InternalIP','address':'192.168.0.2'},"
			     "{'type':'InternalIP','address':'fd00::2'}]}"));

	ck_assert_uint_eq(node->n_addresses, 3);
	assert_address(node, 0, "192.168.0.2");
	assert_address(node, 1, "fd00::2");
	assert_address(node, 2, "203.0.113.2");
	ck_assert_uint_eq(node->addresses[1].family, 6);
}
END_TEST

START_TEST(bad_address_is_skipped_and_told)
{
	sl_auto(node) node = node_noted(
		NODE("'status':{'addresses':[{'type':'InternalIP','address':'node-a'},"
		     "{'type':'InternalIP','address':'192.168.0.2'}]}"),
		"Node node-a: status.addresses[0].address: skipped: \"node-a\" is no IP address");

	ck_assert_uint_eq(node->n_addresses, 1);
}
END_TEST

START_TEST(older_pod_cidr_counts_when_there_is_no_list)
{
	sl_auto(node) node = node_of(NODE("'spec':{'podCIDR':'10.0.1.0/24'}"));

	ck_assert_uint_eq(node->n_pod_cidrs, 1);
	ck_assert_uint_eq(node->pod_cidrs[0].len, 24);
}
END_TEST

START_TEST(bad_pod_cidr_is_skipped_and_told)
{
	sl_auto(node) node =
		node_noted(NODE("'spec':{'podCIDRs':['10.0.1.0','10.0.2.0/24']}"),
			   "Node node-a: spec.podCIDRs[0]: skipped: \"10.0.1.0\" is no CIDR");

	ck_assert_uint_eq(node->n_pod_cidrs, 1);
}
END_TEST

/* S-214 */
static const struct {
	const char *text;
	bool deleting, to_be_deleted;
} leaving[] = {
	{ NODE("'spec':{}"), false, false },
	{ "{'metadata':{'name':'a','deletionTimestamp':'2026-01-02T03:04:05Z'}}", true, false },
	{ "{'metadata':{'name':'a','deletionTimestamp':null}}", false, false },
	{ NODE("'spec':{'taints':[{'key':'ToBeDeletedByClusterAutoscaler','value':'1700000000',"
	       "'effect':'NoSchedule'}]}"),
	  false, true },
	{ NODE("'spec':{'taints':[{'key':'other','effect':'NoExecute'},"
	       "{'key':'ToBeDeletedByClusterAutoscaler'}]}"),
	  false, true },
	{ NODE("'spec':{'unschedulable':true,'taints':[{'key':'node.kubernetes.io/unschedulable'},"
	       "{'key':'node.kubernetes.io/not-ready'},"
	       "{'key':'DeletionCandidateOfClusterAutoscaler'}]}"),
	  false, false },
};

START_TEST(node_that_leaves_is_told_from_one_that_is_only_cordoned)
{
	sl_auto(node) node = node_of(leaving[_i].text);

	ck_assert_int_eq(node->deleting, leaving[_i].deleting);
	ck_assert_int_eq(node->to_be_deleted, leaving[_i].to_be_deleted);
}
END_TEST

static const struct {
	const char *text, *error;
} refused[] = {
	{ "7", "Node ?: is not an object" },
	{ "{'metadata':{'namespace':'x'}}", "Node ?: metadata.name: missing" },
	{ NODE("'spec':[]"), "Node node-a: spec: is a list, not an object" },
	{ NODE("'spec':{'podCIDRs':'10.0.0.0/8'}"),
	  "Node node-a: spec.podCIDRs: is a string, not a list" },
	{ NODE("'spec':{'podCIDRs':[8]}"), "Node node-a: spec.podCIDRs[0]: is a number, not a "
					   "string" },
	{ NODE("'spec':{'taints':{}}"), "Node node-a: spec.taints: is an object, not a list" },
	{ NODE("'spec':{'taints':['a']}"), "Node node-a: spec.taints[0]: is a string, not an "
					   "object" },
	{ NODE("'spec':{'taints':[{'key':1}]}"),
	  "Node node-a: spec.taints[0].key: is a number, not a string" },
	{ "{'metadata':{'name':'a','deletionTimestamp':1}}",
	  "Node a: metadata.deletionTimestamp: is a number, not a string" },
	{ NODE("'status':{'addresses':[1]}"),
	  "Node node-a: status.addresses[0]: is a number, not an object" },
	{ NODE("'status':{'addresses':[{'type':'InternalIP','address':{}}]}"),
	  "Node node-a: status.addresses[0].address: is an object, not a string" },
	{ "{'metadata':{'name':'a','labels':{'topology.kubernetes.io/zone':true}}}",
	  "Node a: metadata.labels[topology.kubernetes.io/zone]: is a boolean, not a string" },
};

START_TEST(malformed_node_is_refused_by_object_and_field)
{
	ck_assert_str_eq(node_error(refused[_i].text), refused[_i].error);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("parse_node");
	TCase *tc = tcase_create("node");

	tcase_add_test(tc, node_is_read);
	tcase_add_test(tc, node_without_the_label_has_the_empty_zone);
	tcase_add_test(tc, internal_addresses_come_before_external_ones);
	tcase_add_test(tc, bad_address_is_skipped_and_told);
	tcase_add_test(tc, older_pod_cidr_counts_when_there_is_no_list);
	tcase_add_test(tc, bad_pod_cidr_is_skipped_and_told);
	tcase_add_loop_test(tc, node_that_leaves_is_told_from_one_that_is_only_cordoned, 0,
			    SL_COUNT(leaving));
	tcase_add_loop_test(tc, malformed_node_is_refused_by_object_and_field, 0,
			    SL_COUNT(refused));
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
