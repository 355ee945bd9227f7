/* SPDX-License-Identifier: Apache-2.0 */

/* What the store knows beside Services: the node and the ServiceCIDRs. */

#include <stdio.h>

#include "controlplane/store/store.h"
#include "objects.h"

static struct store *store;

static void open_store(void)
{
	store = store_new();
	ck_assert_ptr_nonnull(store);
}

static void close_store(void)
{
	store_free(store);
}

static int put_cidr(const char *name, const char *cidrs)
{
	char text[256];

	snprintf(text, sizeof(text), "{'metadata':{'name':'%s'},'spec':{'cidrs':[%s]}}", name,
		 cidrs);
	return store_put_service_cidr(store, service_cidr_of(text));
}

static int put_node(const char *members)
{
	char text[256];

	snprintf(text, sizeof(text), "{'metadata':{'name':'node-a'%s}}", members);
	return store_put_node(store, node_of(text));
}

static void append(void *context, const struct ip_prefix *prefix)
{
	char text[IP_TEXT_MAX], *all = context;

	sprintf(all + strlen(all), "%s/%u ", ip_format(&prefix->addr, prefix->family, text),
		prefix->len);
}

static void assert_prefixes(const char *want)
{
	char all[512] = "";

	store_each_service_cidr(store, append, all);
	ck_assert_str_eq(all, want);
}

START_TEST(prefixes_of_all_cidrs_are_given_in_the_order_of_their_names)
{
	assert_prefixes("");
	ck_assert_int_eq(put_cidr("m", "'10.96.0.0/16','fd00::/112'"), 1);
	ck_assert_int_eq(put_cidr("z", "'10.98.0.0/16'"), 1);
	ck_assert_int_eq(put_cidr("a", "'10.97.0.0/16'"), 1);
	ck_assert_int_eq(put_cidr("n", ""), 1);
	assert_prefixes("10.97.0.0/16 10.96.0.0/16 fd00::/112 10.98.0.0/16 ");
	ck_assert_uint_eq(store_count(store, OBJECT_SERVICE_CIDR), 4);
}
END_TEST

START_TEST(cidr_of_a_name_replaces_the_one_before)
{
	put_cidr("a", "'10.96.0.0/16'");
	put_cidr("b", "'10.98.0.0/16'");
	ck_assert_int_eq(put_cidr("a", "'10.96.0.0/16'"), 0);
	ck_assert_int_eq(put_cidr("a", "'10.97.0.0/16'"), 1);
	assert_prefixes("10.97.0.0/16 10.98.0.0/16 ");
}
END_TEST

START_TEST(cidr_is_removed_by_its_name)
{
	put_cidr("a", "'10.96.0.0/16'");
	put_cidr("b", "'10.97.0.0/16'");
	put_cidr("c", "'10.98.0.0/16'");
	ck_assert_int_eq(store_remove(store, OBJECT_SERVICE_CIDR, NULL, "d"), 0);
	ck_assert_int_eq(store_remove(store, OBJECT_NODE, NULL, "b"), 0);
	ck_assert_int_eq(store_remove(store, OBJECT_SERVICE_CIDR, NULL, "b"), 1);
	assert_prefixes("10.96.0.0/16 10.98.0.0/16 ");
}
END_TEST

START_TEST(complete_list_removes_the_cidrs_it_did_not_have)
{
	put_cidr("a", "'10.96.0.0/16'");
	put_cidr("b", "'10.97.0.0/16'");
	put_cidr("c", "'10.98.0.0/16'");
	put_cidr("d", "'10.99.0.0/16'");
	store_list_begin(store, OBJECT_SERVICE_CIDR);
	put_cidr("b", "'10.97.0.0/16'");
	ck_assert_int_eq(store_keep(store, OBJECT_SERVICE_CIDR, "", "c"), 1);
	ck_assert_int_eq(store_keep(store, OBJECT_SERVICE_CIDR, "", "x"), 0);
	ck_assert(!store_listed(store, OBJECT_SERVICE_CIDR));
	ck_assert_uint_eq(store_list_end(store, OBJECT_SERVICE_CIDR), 2);
	ck_assert(store_listed(store, OBJECT_SERVICE_CIDR));
	assert_prefixes("10.97.0.0/16 10.98.0.0/16 ");
}
END_TEST

START_TEST(list_of_nodes_leaves_the_cidrs)
{
	put_cidr("a", "'10.96.0.0/16'");
	put_node("");
	store_list_begin(store, OBJECT_NODE);
	ck_assert_uint_eq(store_list_end(store, OBJECT_NODE), 1);
	assert_prefixes("10.96.0.0/16 ");
	put_node("");
	store_list_begin(store, OBJECT_SERVICE_CIDR);
	ck_assert_uint_eq(store_list_end(store, OBJECT_SERVICE_CIDR), 1);
	ck_assert_ptr_nonnull(store_node(store));
}
END_TEST

static uint64_t version;

/* True if the version went up since this was asked last. */
static bool moved(void)
{
	uint64_t before = version;

	version = store_node_version(store);
	ck_assert_uint_ge(version, before);
	return version > before;
}

START_TEST(version_moves_with_every_change_of_a_cidr_and_with_nothing_else)
{
	version = store_node_version(store);
	put_cidr("a", "'10.96.0.0/16'");
	ck_assert(moved());
	put_cidr("a", "'10.96.0.0/16'");
	ck_assert(!moved());
	put_cidr("a", "'10.97.0.0/16'");
	ck_assert(moved());
	store_put_service(store, service_of("{'metadata':{'name':'web'},'spec':{'clusterIP':"
					    "'10.97.0.1'}}"));
	store_list_begin(store, OBJECT_SERVICE_CIDR);
	store_keep(store, OBJECT_SERVICE_CIDR, NULL, "a");
	store_list_end(store, OBJECT_SERVICE_CIDR);
	ck_assert(!moved());
	store_remove(store, OBJECT_SERVICE_CIDR, NULL, "a");
	ck_assert(moved());
	put_cidr("a", "'10.96.0.0/16'");
	moved();
	store_list_begin(store, OBJECT_SERVICE_CIDR);
	ck_assert(!moved());
	store_list_end(store, OBJECT_SERVICE_CIDR);
	ck_assert(moved());
}
END_TEST

START_TEST(version_moves_with_every_change_of_the_node)
{
	static const char *const states[] = {
		"",
		",'labels':{'topology.kubernetes.io/zone':'a'}",
		",'labels':{'topology.kubernetes.io/zone':'b'}",
		",'labels':{}",
		",'deletionTimestamp':'2026-01-02T03:04:05Z'",
		"},'spec':{'taints':[{'key':'ToBeDeletedByClusterAutoscaler'}]",
		"},'spec':{'podCIDRs':['10.244.0.0/24']",
		"},'status':{'addresses':[{'type':'InternalIP','address':'192.168.0.1'}]",
	};

	version = store_node_version(store);
	for (size_t i = 0; i < SL_COUNT(states); i++) {
		put_node(states[i]);
		ck_assert_msg(moved(), "%s", states[i]);
		put_node(states[i]);
		ck_assert_msg(!moved(), "%s", states[i]);
	}
	store_remove(store, OBJECT_NODE, NULL, "node-a");
	ck_assert(moved());
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cluster");
	TCase *tc = tcase_create("cluster");

	tcase_add_checked_fixture(tc, open_store, close_store);
	tcase_add_test(tc, prefixes_of_all_cidrs_are_given_in_the_order_of_their_names);
	tcase_add_test(tc, cidr_of_a_name_replaces_the_one_before);
	tcase_add_test(tc, cidr_is_removed_by_its_name);
	tcase_add_test(tc, complete_list_removes_the_cidrs_it_did_not_have);
	tcase_add_test(tc, list_of_nodes_leaves_the_cidrs);
	tcase_add_test(tc, version_moves_with_every_change_of_a_cidr_and_with_nothing_else);
	tcase_add_test(tc, version_moves_with_every_change_of_the_node);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
