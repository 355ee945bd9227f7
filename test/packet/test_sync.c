/* SPDX-License-Identifier: Apache-2.0 */

/* From the store to real maps: what a change of the node changes, live. */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "sync_fixture.h"

/* The record's index: another one says that the service was written anew. */
static uint32_t record_index(void)
{
	return SL_SERVICE_RECORD(services[service_at("10.96.0.1", 80)]);
}

START_TEST(nothing_is_written_before_the_node_is_known)
{
	struct sl_node before = { .detect4 = SL_DETECT_SOURCE,
				  .compatible = 1,
				  .was_compatible = 1 },
		       got;

	/* As an earlier life left it. */
	tables_set_node(tables, &before);
	list_all();
	sync_own_changed(sync_);
	go_on();
	got = node_entry();
	ck_assert_mem_eq(&got, &before, sizeof(got));
	ck_assert_int_eq(addresses_changed, 0);
	ck_assert_uint_eq(service_at("10.96.0.1", 80), 0);

	put_node(ZONE("z1"), PODS("10.244.1.0/24"), "");
	got = node_entry();
	ck_assert_uint_eq(got.pods4.addr[0], inet_addr("10.244.1.0"));
	ck_assert_uint_eq(got.addr4[0], inet_addr("192.0.2.1"));
	ck_assert_int_eq(addresses_changed, 1);
	ck_assert_uint_ne(service_at("10.96.0.1", 80), 0);
}
END_TEST

START_TEST(the_node_is_written_though_services_are_not_listed)
{
	put_node("", PODS("10.244.1.0/24"), "");
	ck_assert_uint_eq(node_entry().detect4, SL_DETECT_SOURCE);
	ck_assert_uint_eq(node_entry().compatible, 1);
	ck_assert_int_eq(addresses_changed, 1);
}
END_TEST

START_TEST(a_folder_without_a_node_is_complete)
{
	config.source = CONFIG_MANIFESTS;
	config.detect = CONFIG_DETECT_ROLE;
	go_on();
	ck_assert_int_eq(addresses_changed, 0);
	list_all();
	go_on();
	ck_assert_int_eq(addresses_changed, 1);
	ck_assert_uint_eq(node_entry().detect4, SL_DETECT_INTERFACE);
	ck_assert_uint_ne(service_at("10.96.0.1", 80), 0);
}
END_TEST

START_TEST(another_zone_chooses_other_endpoints)
{
	list_all();
	put_node(ZONE("z1"), PODS("10.244.1.0/24"), "");
	ck_assert_uint_eq(record_at("10.96.0.1", 80)->set[SL_SET_CLUSTER].first,
			  backend_id("10.244.1.1"));
	put_node(ZONE("z2"), PODS("10.244.1.0/24"), "");
	ck_assert_uint_eq(record_at("10.96.0.1", 80)->set[SL_SET_CLUSTER].first,
			  backend_id("10.244.2.1"));
	put_node("", PODS("10.244.1.0/24"), "");
	ck_assert_uint_gt(record_at("10.96.0.1", 80)->set[SL_SET_CLUSTER].slots, 1);
	ck_assert_int_eq(addresses_changed, 1);
}
END_TEST

START_TEST(pod_cidrs_that_come_late_make_a_detector)
{
	const struct sl_record *r;
	uint32_t index;

	list_all();
	put_node("", "", "");
	r = record_at("10.96.0.1", 80);
	ck_assert_uint_eq(r->path[SL_PATH_POD], SL_CHOOSE_LOCAL);
	ck_assert_uint_eq(r->path[SL_PATH_CLUSTER], SL_CHOOSE_CLUSTER);
	put_node("", PODS("10.244.1.0/24"), "");
	r = record_at("10.96.0.1", 80);
	ck_assert_uint_eq(r->path[SL_PATH_POD], SL_CHOOSE_CLUSTER);
	ck_assert_uint_eq(r->path[SL_PATH_CLUSTER], SL_CHOOSE_CLUSTER | SL_MASQUERADE);
	ck_assert_uint_eq(node_entry().detect4, SL_DETECT_SOURCE);

	/* Other ones are nothing that resolve reads. */
	index = record_index();
	put_node("", PODS("10.244.9.0/24"), "");
	ck_assert_uint_eq(node_entry().pods4.addr[0], inet_addr("10.244.9.0"));
	ck_assert_uint_eq(record_index(), index);
}
END_TEST

START_TEST(the_node_s_addresses_are_followed)
{
	struct tables_address mine[] = { { .addr = ip("192.0.2.8"), .family = 4 },
					 { .addr = ip("192.0.2.9"), .family = 4 } };

	own.addresses = mine;
	own.n_addresses = 2;
	put_node("", "", IP("192.0.2.8"));
	ck_assert_int_eq(addresses_changed, 1);
	ck_assert_uint_eq(node_entry().addr4[0], inet_addr("192.0.2.8"));
	put_node("", "", IP("192.0.2.9"));
	ck_assert_int_eq(addresses_changed, 2);
	ck_assert_uint_eq(node_entry().addr4[0], inet_addr("192.0.2.9"));
	/* A label of no zone, and a second address: nothing answers elsewhere. */
	put_node("'a':'b'", "", IP("192.0.2.9") "," IP("192.0.2.8"));
	ck_assert_int_eq(addresses_changed, 2);
	own.n_addresses = 0;
	sync_own_changed(sync_);
	ck_assert_int_eq(addresses_changed, 3);
	ck_assert_uint_eq(node_entry().addr4[0], inet_addr("192.0.2.1"));
	store_remove(store, OBJECT_NODE, NULL, "n1");
	go_on();
	own.n_addresses = 2;
	sync_own_changed(sync_);
	put_node("", "", IP("192.0.2.8"));
	ck_assert_uint_eq(node_entry().addr4[0], inet_addr("192.0.2.8"));
}
END_TEST

START_TEST(service_cidrs_are_followed)
{
	uint32_t index;

	list_all();
	put_node("", PODS("10.244.1.0/24"), "");
	index = record_index();
	ck_assert_uint_eq(node_entry().n_services4, 0);
	store_put_service_cidr(store, service_cidr_of("{'metadata':{'name':'kubernetes'},'spec':{"
						      "'cidrs':['10.96.0.0/12']}}"));
	go_on();
	ck_assert_uint_eq(node_entry().n_services4, 1);
	ck_assert_uint_eq(node_entry().services4[0].addr[0], inet_addr("10.96.0.0"));
	store_remove(store, OBJECT_SERVICE_CIDR, NULL, "kubernetes");
	go_on();
	ck_assert_uint_eq(node_entry().n_services4, 0);
	ck_assert_uint_eq(record_index(), index);
	ck_assert_int_eq(addresses_changed, 1);
}
END_TEST

START_TEST(what_changes_does_not_put_a_retry_off)
{
	list_all();
	put_node("", PODS("10.244.1.0/24"), "");
	put_service("hog", "10.96.0.2", 80, MAX_BACKENDS - 8);
	go_on();
	put_service("late", "10.96.0.3", 80, 16);
	go_on();
	ck_assert_int_eq(failed(), 1);
	put_service("hog", "10.96.0.2", 80, 1);
	/* Something is always new. */
	for (int i = 0; i < 100 && !service_at("10.96.0.3", 80); i++) {
		put_service("busy", "10.96.0.4", 1000 + i, 1);
		go_on();
		usleep(10000);
	}
	ck_assert_uint_ne(service_at("10.96.0.3", 80), 0);
	ck_assert_int_eq(failed(), 0);
}
END_TEST

START_TEST(addresses_that_did_not_fit_are_tried_again)
{
	addresses_fail = 2;
	list_all();
	put_node("", PODS("10.244.1.0/24"), "");
	ck_assert_int_eq(addresses_changed, 1);
	for (int i = 0; i < 40; i++) {
		usleep(10000);
		go_on();
	}
	ck_assert_int_eq(addresses_changed, 3);
	ck_assert_int_eq(failed(), 0);
}
END_TEST

START_TEST(many_failures_are_few_lines)
{
	FILE *before = stderr;
	char *text = NULL;
	size_t len, lines = 0;

	list_all();
	put_node("", PODS("10.244.1.0/24"), "");
	stderr = open_memstream(&text, &len);
	for (int i = 0; i < 3 * MAX_SERVICES; i++) {
		char name[16], ip[16];

		snprintf(name, sizeof(name), "s%d", i);
		snprintf(ip, sizeof(ip), "10.96.1.%d", i + 1);
		put_service(name, ip, 80, 0);
	}
	/* Some retries, too. */
	for (int i = 0; i < 40; i++) {
		go_on();
		usleep(10000);
	}
	fclose(stderr);
	stderr = before;
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	ck_assert_int_gt(failed(), MAX_SERVICES);
	ck_assert_ptr_nonnull(strstr(text, "Service default/s"));
	ck_assert_msg(lines <= 12, "%s", text);
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sync");
	TCase *tc = tcase_create("node");

	log_set_level(LOG_LEVEL_ERROR);
	libbpf_set_print(NULL);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, nothing_is_written_before_the_node_is_known);
	tcase_add_test(tc, the_node_is_written_though_services_are_not_listed);
	tcase_add_test(tc, a_folder_without_a_node_is_complete);
	tcase_add_test(tc, another_zone_chooses_other_endpoints);
	tcase_add_test(tc, pod_cidrs_that_come_late_make_a_detector);
	tcase_add_test(tc, the_node_s_addresses_are_followed);
	tcase_add_test(tc, service_cidrs_are_followed);
	suite_add_tcase(suite, tc);
	tc = tcase_create("failures");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_changes_does_not_put_a_retry_off);
	tcase_add_test(tc, addresses_that_did_not_fit_are_tried_again);
	tcase_add_test(tc, many_failures_are_few_lines);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
