/* SPDX-License-Identifier: Apache-2.0 */

/* What the Node, the ServiceCIDRs and the machine come to: S-122, S-130 ... */

#include <arpa/inet.h>
#include <stdio.h>

#include "controlplane/node_facts.h"
#include "objects.h"

static struct config config;
static struct store *store;
static struct tables_address addresses[4];
static struct node_own own;
static struct ip_prefix cluster[2], services[5];

static void setup(void)
{
	store = store_new();
	memset(&config, 0, sizeof(config));
	config.detect = CONFIG_DETECT_ROLE;
	config.cluster_cidrs.items = cluster;
	config.service_cidrs.items = services;
	own = (struct node_own) { .addresses = addresses };
	own.snat.addr4 = inet_addr("192.0.2.1");
	own.snat.addr6 = addr_of("2001:db8::1");
}

static void teardown(void)
{
	store_free(store);
}

static void put_node(const char *spec, const char *status)
{
	char text[1024];

	snprintf(text, sizeof(text), "{'metadata':{'name':'n1'},'spec':{%s},'status':{%s}}", spec,
		 status);
	ck_assert_int_ge(store_put_node(store, node_of(text)), 0);
}

static void put_cidr(const char *name, const char *list)
{
	char text[1024];

	snprintf(text, sizeof(text), "{'metadata':{'name':'%s'},'spec':{'cidrs':[%s]}}", name,
		 list);
	ck_assert_int_ge(store_put_service_cidr(store, service_cidr_of(text)), 0);
}

static void add(struct ip_prefix *list, size_t *n, const char *text)
{
	ck_assert_int_eq(ip_prefix_parse(text, &list[(*n)++]), 0);
}

static void own_address(const char *text)
{
	struct tables_address *address = &addresses[own.n_addresses++];

	address->family = (uint8_t)ip_parse(text, &address->addr);
}

static struct node_facts facts(void)
{
	struct node_facts ret;

	memset(&ret, 0xaa, sizeof(ret));
	node_facts_fill(&config, store, &own, &ret);
	return ret;
}

/* "10.0.0.0/255.0.0.0" */
static void assert_prefix4(const struct sl_prefix4 *prefix, const char *want)
{
	struct sl_addr addr = { .w = { prefix->addr[0] } }, mask = { .w = { prefix->mask[0] } };
	char got[2 * IP_TEXT_MAX], text[IP_TEXT_MAX];

	snprintf(got, sizeof(got), "%s/", ip_format(&addr, 4, text));
	strcat(got, ip_format(&mask, 4, text));
	ck_assert_str_eq(got, want);
}

static void assert_prefix6(const struct sl_prefix6 *prefix, const char *want)
{
	struct sl_addr addr, mask;
	char got[2 * IP_TEXT_MAX], text[IP_TEXT_MAX];

	memcpy(addr.w, prefix->addr, sizeof(addr.w));
	memcpy(mask.w, prefix->mask, sizeof(mask.w));
	snprintf(got, sizeof(got), "%s/", ip_format(&addr, 6, text));
	strcat(got, ip_format(&mask, 6, text));
	ck_assert_str_eq(got, want);
}

#define PODS "'podCIDRs':['10.244.3.0/24','fd00:3::/64','10.245.0.0/24']"

/* Detectors of both families by mode, without and with the prefixes. */
static const struct {
	enum config_detect mode;
	enum sl_detect without, with;
} detectors[] = {
	{ CONFIG_DETECT_CLUSTER_CIDR, SL_DETECT_NONE, SL_DETECT_SOURCE },
	{ CONFIG_DETECT_NODE_CIDR, SL_DETECT_NONE, SL_DETECT_SOURCE },
	{ CONFIG_DETECT_BRIDGE, SL_DETECT_INTERFACE, SL_DETECT_INTERFACE },
	{ CONFIG_DETECT_PREFIX, SL_DETECT_INTERFACE, SL_DETECT_INTERFACE },
	{ CONFIG_DETECT_ROLE, SL_DETECT_INTERFACE, SL_DETECT_INTERFACE },
};

START_TEST(the_mode_decides_about_the_detector)
{
	struct node_facts without, with;

	config.detect = detectors[_i].mode;
	without = facts();
	put_node(PODS, "");
	add(cluster, &config.cluster_cidrs.n, "10.244.0.0/16");
	add(cluster, &config.cluster_cidrs.n, "fd00:2::/48");
	with = facts();
	ck_assert_uint_eq(without.entry.detect4, detectors[_i].without);
	ck_assert_uint_eq(without.entry.detect6, detectors[_i].without);
	ck_assert(without.resolve.detect4 == (detectors[_i].without != SL_DETECT_NONE));
	ck_assert_uint_eq(with.entry.detect4, detectors[_i].with);
	ck_assert_uint_eq(with.entry.detect6, detectors[_i].with);
	ck_assert(with.resolve.detect4 && with.resolve.detect6);
}
END_TEST

START_TEST(cluster_cidrs_are_pods_wherever_they_run)
{
	struct node_facts got;

	config.detect = CONFIG_DETECT_CLUSTER_CIDR;
	add(cluster, &config.cluster_cidrs.n, "10.0.0.0/8");
	put_node(PODS, "");
	got = facts();
	assert_prefix4(&got.entry.pods4, "10.0.0.0/255.0.0.0");
	ck_assert_uint_eq(got.entry.detect6, SL_DETECT_NONE);
	ck_assert(!got.resolve.detect6);
}
END_TEST

START_TEST(the_first_pod_cidr_of_a_family_counts)
{
	struct node_facts got;

	config.detect = CONFIG_DETECT_NODE_CIDR;
	put_node(PODS, "");
	got = facts();
	assert_prefix4(&got.entry.pods4, "10.244.3.0/255.255.255.0");
	assert_prefix6(&got.entry.pods6, "fd00:3::/ffff:ffff:ffff:ffff::");
}
END_TEST

static const struct {
	const char *prefix, *want;
} masks[] = {
	{ "::/0", "::/::" },
	{ "8000::/1", "8000::/8000::" },
	{ "fd00::/32", "fd00::/ffff:ffff::" },
	{ "fd00::/33", "fd00::/ffff:ffff:8000::" },
	{ "fd00::/108", "fd00::/ffff:ffff:ffff:ffff:ffff:ffff:fff0:0" },
	{ "fd00::1/128", "fd00::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
	{ "0.0.0.0/0", "0.0.0.0/0.0.0.0" },
	{ "128.0.0.0/1", "128.0.0.0/128.0.0.0" },
	{ "10.0.0.0/31", "10.0.0.0/255.255.255.254" },
	{ "10.0.0.1/32", "10.0.0.1/255.255.255.255" },
};

START_TEST(a_length_becomes_a_mask)
{
	struct node_facts got;

	add(services, &config.service_cidrs.n, masks[_i].prefix);
	got = facts();
	if (services[0].family == 4)
		assert_prefix4(&got.entry.services4[0], masks[_i].want);
	else
		assert_prefix6(&got.entry.services6[0], masks[_i].want);
}
END_TEST

START_TEST(service_cidrs_come_from_the_file_and_from_objects)
{
	struct node_facts got;

	add(services, &config.service_cidrs.n, "10.96.0.0/12");
	put_cidr("kubernetes", "'10.96.0.0/12','fd00::/108'");
	put_cidr("more", "'10.200.0.0/16'");
	got = facts();
	ck_assert_uint_eq(got.entry.n_services4, 2);
	assert_prefix4(&got.entry.services4[0], "10.96.0.0/255.240.0.0");
	assert_prefix4(&got.entry.services4[1], "10.200.0.0/255.255.0.0");
	ck_assert_uint_eq(got.entry.n_services6, 1);
	ck_assert_uint_eq(got.left_out, 0);
	store_remove(store, OBJECT_SERVICE_CIDR, NULL, "more");
	ck_assert_uint_eq(facts().entry.n_services4, 1);
}
END_TEST

START_TEST(service_cidrs_without_room_are_counted)
{
	put_cidr("a", "'10.1.0.0/16','fd00:1::/108'");
	put_cidr("b", "'10.2.0.0/16'");
	put_cidr("c", "'10.3.0.0/16'");
	put_cidr("d", "'10.4.0.0/16','fd00:4::/108'");
	ck_assert_uint_eq(facts().left_out, 0);
	put_cidr("e", "'10.5.0.0/16','fd00:5::/108'");
	ck_assert_uint_eq(facts().left_out, 1);
	ck_assert_uint_eq(facts().entry.n_services4, SL_SERVICE_CIDRS);
	ck_assert_uint_eq(facts().entry.n_services6, 3);
}
END_TEST

#define ADDRESSES                                                                                  \
	"'addresses':[{'type':'InternalIP','address':'192.0.2.9'},"                                \
	"{'type':'InternalIP','address':'2001:db8::9'},"                                           \
	"{'type':'ExternalIP','address':'203.0.113.9'}]"

static void assert_addresses(const char *want4, const char *want6)
{
	struct node_facts got = facts();
	struct sl_addr addr4 = { .w = { got.entry.addr4[0] } }, addr6;
	char text[IP_TEXT_MAX];

	memcpy(addr6.w, got.entry.addr6, sizeof(addr6.w));
	ck_assert_str_eq(ip_format(&addr4, 4, text), want4);
	ck_assert_str_eq(ip_format(&addr6, 6, text), want6);
}

START_TEST(the_nodes_address_is_the_nodes_own_if_the_machine_has_it)
{
	assert_addresses("192.0.2.1", "2001:db8::1");
	put_node("", ADDRESSES);
	assert_addresses("192.0.2.1", "2001:db8::1");
	own_address("2001:db8::9");
	assert_addresses("192.0.2.1", "2001:db8::9");
	own_address("192.0.2.9");
	assert_addresses("192.0.2.9", "2001:db8::9");
}
END_TEST

START_TEST(primary_addresses_are_those_of_the_node)
{
	struct node_facts got = facts();
	static const struct sl_addr none;
	struct sl_addr want6;

	ck_assert(ip_equal(&got.ip4, &none) && ip_equal(&got.ip6, &none));
	put_node("", ADDRESSES);
	got = facts();
	ck_assert_uint_eq(got.ip4.w[0], inet_addr("192.0.2.9"));
	want6 = addr_of("2001:db8::9");
	ck_assert(ip_equal(&got.ip6, &want6));
}
END_TEST

START_TEST(masquerade_is_what_the_configuration_says)
{
	struct node_facts got = facts();

	ck_assert(!got.resolve.compatible && !got.resolve.masquerade_all);
	ck_assert_uint_eq(got.entry.compatible, 0);
	config.masquerade = CONFIG_MASQUERADE_COMPATIBLE;
	config.masquerade_all = true;
	config.source_ranges_everywhere = true;
	got = facts();
	ck_assert(got.resolve.compatible && got.resolve.masquerade_all);
	ck_assert(got.resolve.ranges_everywhere);
	ck_assert_uint_eq(got.entry.compatible, 1);
}
END_TEST

START_TEST(equal_facts_are_equal_bytes)
{
	struct node_facts one, two;

	put_node(PODS, ADDRESSES);
	put_cidr("kubernetes", "'10.96.0.0/12','fd00::/108'");
	memset(&one, 0x55, sizeof(one));
	memset(&two, 0xaa, sizeof(two));
	node_facts_fill(&config, store, &own, &one);
	node_facts_fill(&config, store, &own, &two);
	ck_assert_mem_eq(&one, &two, sizeof(one));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("node_facts");
	TCase *tc = tcase_create("facts");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, the_mode_decides_about_the_detector, 0, SL_COUNT(detectors));
	tcase_add_test(tc, cluster_cidrs_are_pods_wherever_they_run);
	tcase_add_test(tc, the_first_pod_cidr_of_a_family_counts);
	tcase_add_loop_test(tc, a_length_becomes_a_mask, 0, SL_COUNT(masks));
	tcase_add_test(tc, service_cidrs_come_from_the_file_and_from_objects);
	tcase_add_test(tc, service_cidrs_without_room_are_counted);
	tcase_add_test(tc, the_nodes_address_is_the_nodes_own_if_the_machine_has_it);
	tcase_add_test(tc, primary_addresses_are_those_of_the_node);
	tcase_add_test(tc, masquerade_is_what_the_configuration_says);
	tcase_add_test(tc, equal_facts_are_equal_bytes);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
