/* SPDX-License-Identifier: Apache-2.0 */

/* The map writer: what it writes, and when. */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "writer.h"

START_TEST(first_program_is_complete)
{
	const struct sl_record *r;
	struct web w;

	web_three(&w);
	w.port.path[SL_PATH_OUTSIDE] = SL_CHOOSE_DROP;
	w.port.affinity_s = 10800;
	ck_assert_int_eq(apply(&w), 1);
	r = record_at("10.96.0.1", 80);
	ck_assert_ptr_nonnull(r);
	ck_assert_uint_eq(SL_FRONTEND_KIND(frontend("10.96.0.1", 80, IPPROTO_TCP)),
			  SL_KIND_CLUSTER_IP);
	ck_assert_uint_eq(r->service, service_at("10.96.0.1", 80));
	ck_assert_uint_eq(r->path[SL_PATH_OUTSIDE], SL_CHOOSE_DROP);
	ck_assert_uint_eq(r->affinity_s, 10800);
	ck_assert_uint_eq(r->policy, 0);
	ck_assert_uint_eq(r->set[SL_SET_CLUSTER].slots, 509);
	ck_assert_uint_ge(share(&r->set[SL_SET_CLUSTER], backend_id("10.244.1.1")), 169);
	ck_assert_uint_ge(share(&r->set[SL_SET_CLUSTER], backend_id("10.244.1.2")), 169);
	ck_assert_uint_ge(share(&r->set[SL_SET_CLUSTER], backend_id("10.244.1.3")), 169);
	/* One backend needs no slots. */
	ck_assert_uint_eq(r->set[SL_SET_LOCAL].slots, 1);
	ck_assert_uint_eq(r->set[SL_SET_LOCAL].first, backend_id("10.244.1.1"));
}
END_TEST

START_TEST(a_backend_says_where_it_is)
{
	struct sl_backend *b;
	struct web w;

	web_three(&w);
	w.backends[0].local = true;
	apply(&w);
	b = &backends[backend_id("10.244.1.1")];
	ck_assert_uint_eq(b->word, SL_BACKEND_WORD(1, BOTH, SL_BACKEND_LIVE));
	ck_assert_uint_eq(b->port, htons(8080));
	ck_assert_uint_eq(b->family, 4);
	ck_assert_uint_eq(b->flags, SL_BACKEND_LOCAL);
	ck_assert_uint_eq(b->service, service_at("10.96.0.1", 80));
}
END_TEST

START_TEST(a_service_id_can_be_named)
{
	struct sl_identity identity;
	struct web w;
	uint32_t id;

	web_three(&w);
	apply(&w);
	id = service_at("10.96.0.1", 80);
	ck_assert_int_eq(bpf_map_lookup_elem(datapath_map(dp, DATAPATH_identities), &id, &identity),
			 0);
	ck_assert_str_eq(identity.namespace_, "default");
	ck_assert_str_eq(identity.service, "web");
	ck_assert_str_eq(identity.port, "http");
	ck_assert_uint_eq(identity.proto, IPPROTO_TCP);
	ck_assert_uint_eq(identity.family, 4);
}
END_TEST

START_TEST(applying_the_same_again_writes_nothing)
{
	struct resolved_backend first;
	uint64_t word;
	struct web w;

	web_three(&w);
	apply(&w);
	word = services[service_at("10.96.0.1", 80)];
	ck_assert_int_eq(apply(&w), 0);
	/* In another order only the backends' places change, no record. */
	first = w.backends[0];
	w.backends[0] = w.backends[2];
	w.backends[2] = first;
	ck_assert_int_eq(apply(&w), 1);
	ck_assert_uint_eq(services[service_at("10.96.0.1", 80)], word);
	ck_assert_int_eq(status("pending"), 0);
}
END_TEST

START_TEST(a_change_is_one_flip_to_another_record)
{
	uint32_t id, before, first;
	struct web w;

	web_three(&w);
	apply(&w);
	id = service_at("10.96.0.1", 80);
	before = SL_SERVICE_RECORD(services[id]);
	first = records[before].set[SL_SET_CLUSTER].first;
	web_backend(&w, "10.244.1.4", CLUSTER);
	ck_assert_int_eq(apply(&w), 1);

	ck_assert_uint_eq(service_at("10.96.0.1", 80), id);
	ck_assert_uint_ne(SL_SERVICE_RECORD(services[id]), before);
	ck_assert_uint_eq(services[id] >> 32, 2);
	ck_assert_uint_ne(record_at("10.96.0.1", 80)->set[SL_SET_CLUSTER].first, first);
	/* Who still reads the old record finds it whole. */
	ck_assert_uint_eq(records[before].service, id);
	ck_assert_uint_ge(share(&records[before].set[SL_SET_CLUSTER], backend_id("10.244.1.1")),
			  169);
}
END_TEST

START_TEST(a_set_that_stays_keeps_its_run)
{
	uint32_t first;
	struct web w;

	web_three(&w);
	apply(&w);
	first = record_at("10.96.0.1", 80)->set[SL_SET_CLUSTER].first;
	w.port.affinity_s = 60;
	ck_assert_int_eq(apply(&w), 1);
	settle();
	ck_assert_uint_eq(record_at("10.96.0.1", 80)->affinity_s, 60);
	ck_assert_uint_eq(record_at("10.96.0.1", 80)->set[SL_SET_CLUSTER].first, first);
	/* Its slots were not given to another meanwhile. */
	web_init(&w, "other", "10.96.0.9");
	web_backend(&w, "10.244.9.1", CLUSTER);
	web_backend(&w, "10.244.9.2", CLUSTER);
	apply(&w);
	ck_assert_uint_ne(record_at("10.96.0.9", 80)->set[SL_SET_CLUSTER].first, first);
}
END_TEST

START_TEST(a_backend_that_leaves_is_gone_at_once)
{
	uint32_t id;
	struct web w;

	web_three(&w);
	apply(&w);
	id = backend_id("10.244.1.3");
	w.port.n_backends = 2;
	ck_assert_int_eq(apply(&w), 1);
	ck_assert_uint_eq(backends[id].word, SL_BACKEND_WORD(2, 0, SL_BACKEND_GONE));
	ck_assert_uint_eq(share(&record_at("10.96.0.1", 80)->set[SL_SET_CLUSTER], id), 0);
	settle();
	ck_assert_uint_eq(backends[id].word, SL_BACKEND_WORD(2, 0, SL_BACKEND_FREE));
}
END_TEST

START_TEST(an_id_is_used_again_only_with_a_new_generation)
{
	uint32_t generation[MAX_BACKENDS] = { 0 };
	struct web w;

	web_init(&w, "web", "10.96.0.1");
	w.port.n_backends = 1;
	/* More endpoints, one after the other, than there are ids. */
	for (int i = 1; i < 2 * MAX_BACKENDS - 1; i++) {
		char addr[32];
		uint32_t id;

		snprintf(addr, sizeof(addr), "10.244.2.%d", i);
		w.backends[0] = (struct resolved_backend) {
			.addr = ip(addr), .port = htons(8080), .sets = CLUSTER, .weight = 1
		};
		apply(&w);
		id = backend_id(addr);
		ck_assert_uint_ne(id, 0);
		ck_assert_uint_gt(SL_BACKEND_GENERATION(backends[id].word), generation[id]);
		generation[id] = SL_BACKEND_GENERATION(backends[id].word);
		settle();
		if (i >= MAX_BACKENDS)
			ck_assert_uint_eq(generation[id], 3);
	}
}
END_TEST

START_TEST(an_id_is_not_used_again_before_a_grace_period)
{
	struct web w;

	web_init(&w, "web", "10.96.0.1");
	for (int i = 1; i < MAX_BACKENDS; i++) {
		char addr[32];

		snprintf(addr, sizeof(addr), "10.244.2.%d", i);
		web_backend(&w, addr, CLUSTER);
	}
	apply(&w);
	w.port.n_backends = 1;
	apply(&w);
	web_backend(&w, "10.244.3.1", CLUSTER);
	ck_assert_int_eq(tables_apply(tables, &w.resolved, 0, error), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(error, "backends"));
	settle();
	ck_assert_int_eq(apply(&w), 1);
}
END_TEST

START_TEST(a_serving_endpoint_in_no_set_stays_live)
{
	uint32_t id;
	struct web w;

	web_three(&w);
	apply(&w);
	id = backend_id("10.244.1.2");
	w.backends[1].sets = 0;
	apply(&w);
	ck_assert_uint_eq(backends[id].word,
			  SL_BACKEND_WORD(1, 0, SL_BACKEND_LIVE) | SL_BACKEND_ORDERED(1));
	ck_assert_uint_eq(share(&record_at("10.96.0.1", 80)->set[SL_SET_CLUSTER], id), 0);
	ck_assert(endpoint_bit("10.244.1.2"));
}
END_TEST

START_TEST(a_removed_service_leaves_nothing_behind)
{
	uint32_t id;
	struct web w;

	web_three(&w);
	w.sources[0] = (struct ip_prefix) { .addr = ip("192.0.2.0"), .family = 4, .len = 24 };
	w.port.n_sources = 1;
	apply(&w);
	id = service_at("10.96.0.1", 80);
	ck_assert_int_eq(apply_gone(&w), 1);
	ck_assert_uint_eq(frontend("10.96.0.1", 80, IPPROTO_TCP), 0);
	ck_assert_uint_eq(frontend("10.96.0.1", 0, 0), 0);
	ck_assert_uint_eq(SL_SERVICE_RECORD(services[id]), 0);
	ck_assert_uint_eq(services[id] >> 32, 1);
	ck_assert_uint_eq(backend_id("10.244.1.1"), 0);
	ck_assert_int_eq(status("services"), 0);
	ck_assert_int_eq(status("backends"), 0);
	settle();

	struct sl_identity identity;
	struct sl_policy4 key;

	ck_assert_int_eq(bpf_map_lookup_elem(datapath_map(dp, DATAPATH_identities), &id, &identity),
			 0);
	ck_assert_uint_eq(identity.family, 0);
	ck_assert_int_ne(bpf_map_get_next_key(datapath_map(dp, DATAPATH_policy4), NULL, &key), 0);
	ck_assert_int_eq(apply_gone(&w), 0);
}
END_TEST

/* What the trie says about a source, 0 for no. */
static uint32_t allowed(uint32_t policy, const char *addr)
{
	struct sl_policy4 key = { .prefixlen = 64, .policy = policy, .addr = { ip(addr).w[0] } };
	uint32_t value = 0;

	return bpf_map_lookup_elem(datapath_map(dp, DATAPATH_policy4), &key, &value) == 0;
}

START_TEST(source_ranges_change_together_with_the_record)
{
	uint32_t before, after;
	struct web w;

	web_three(&w);
	w.sources[0] = (struct ip_prefix) { .addr = ip("192.0.2.0"), .family = 4, .len = 24 };
	w.port.n_sources = 1;
	apply(&w);
	before = record_at("10.96.0.1", 80)->policy;
	ck_assert_uint_ne(before, 0);
	ck_assert_uint_eq(allowed(before, "192.0.2.77"), 1);
	ck_assert_uint_eq(allowed(before, "192.0.3.77"), 0);

	w.sources[0].addr = ip("198.51.100.0");
	ck_assert_int_eq(apply(&w), 1);
	after = record_at("10.96.0.1", 80)->policy;
	ck_assert_uint_ne(after, before);
	ck_assert_uint_eq(allowed(after, "198.51.100.1"), 1);
	ck_assert_uint_eq(allowed(before, "192.0.2.77"), 1);
	settle();
	ck_assert_uint_eq(allowed(before, "192.0.2.77"), 0);

	w.port.n_sources = 0;
	apply(&w);
	ck_assert_uint_eq(record_at("10.96.0.1", 80)->policy, 0);
	settle();
	ck_assert_uint_eq(allowed(after, "198.51.100.1"), 0);
}
END_TEST

START_TEST(ipv6_is_programmed_alike)
{
	struct web w;

	web_init(&w, "six", "fd00:96::1");
	web_backend(&w, "fd00:244::1", CLUSTER);
	web_backend(&w, "fd00:244::2", CLUSTER);
	w.sources[0] = (struct ip_prefix) { .addr = ip("2001:db8::"), .family = 6, .len = 32 };
	w.port.n_sources = 1;
	apply(&w);
	ck_assert_ptr_nonnull(record_at("fd00:96::1", 80));
	ck_assert_uint_eq(record_at("fd00:96::1", 80)->set[0].slots, 251);
	ck_assert_uint_eq(filter_bits("fd00:96::1"), SL_FILTER_SERVICE);
	ck_assert(endpoint_bit("fd00:244::2"));
	ck_assert_uint_eq(backends[backend_id("fd00:244::2")].family, 6);
	writer_restart();
	ck_assert_int_eq(apply(&w), 0);
	ck_assert_int_eq(apply_gone(&w), 1);
	ck_assert_uint_eq(frontend("fd00:96::1", 80, IPPROTO_TCP), 0);
}
END_TEST

START_TEST(weights_reach_the_slots)
{
	const struct sl_set *set;
	struct web w;

	web_three(&w);
	w.backends[0].weight = 2;
	w.backends[2].weight = 0;
	apply(&w);
	set = &record_at("10.96.0.1", 80)->set[SL_SET_CLUSTER];
	ck_assert_uint_eq(set->slots, 251);
	ck_assert_uint_ge(share(set, backend_id("10.244.1.1")), 166);
	ck_assert_uint_eq(share(set, backend_id("10.244.1.3")), 0);
	writer_restart();
	ck_assert_int_eq(apply(&w), 0);
	w.backends[0].weight = 1;
	ck_assert_int_eq(apply(&w), 1);
}
END_TEST

static bool keep_iface(void *context, uint32_t ifindex)
{
	return ifindex == *(const uint32_t *)context;
}

START_TEST(an_interface_is_set_and_changed)
{
	struct sl_iface iface = { .role = SL_ROLE_UPLINK, .addr4 = 1 }, got;
	int map = datapath_map(dp, DATAPATH_ifaces);
	uint32_t ifindex = 12;

	ck_assert_int_eq(tables_set_iface(tables, ifindex, &iface), 0);
	ck_assert_int_eq(bpf_map_lookup_elem(map, &ifindex, &got), 0);
	ck_assert_mem_eq(&got, &iface, sizeof(got));
	iface.addr4 = 2;
	ck_assert_int_eq(tables_set_iface(tables, ifindex, &iface), 0);
	ck_assert_int_eq(bpf_map_lookup_elem(map, &ifindex, &got), 0);
	ck_assert_mem_eq(&got, &iface, sizeof(got));
}
END_TEST

START_TEST(interfaces_that_went_are_removed)
{
	struct sl_iface iface = { .role = SL_ROLE_POD }, got;
	int map = datapath_map(dp, DATAPATH_ifaces);
	uint32_t kept = 700;

	for (uint32_t ifindex = 1; ifindex <= 1000; ifindex++)
		ck_assert_int_eq(tables_set_iface(tables, ifindex, &iface), 0);
	tables_prune_ifaces(tables, keep_iface, &kept);
	for (uint32_t ifindex = 1; ifindex <= 1000; ifindex++)
		ck_assert_int_eq(bpf_map_lookup_elem(map, &ifindex, &got) == 0, ifindex == kept);
}
END_TEST

START_TEST(latency_counts_from_receipt_to_flip)
{
	json_t *latency;
	struct web w;

	web_three(&w);
	ck_assert_int_eq(tables_apply(tables, &w.resolved, uv_hrtime() - 5000000, error), 1);
	apply(&w); /* nothing to do: not counted */
	w.port.affinity_s = 1;
	ck_assert_int_eq(tables_apply(tables, &w.resolved, 0, error), 1); /* of no source */
	latency = tables_latency(tables);
	ck_assert_int_eq(json_integer_value(json_object_get(latency, "count")), 1);
	ck_assert_int_ge(json_integer_value(json_object_get(latency, "p50Us")), 5000);
	ck_assert_int_lt(json_integer_value(json_object_get(latency, "maxUs")), 1000000);
	json_decref(latency);
}
END_TEST

START_TEST(many_flips_never_run_out_of_room)
{
	struct web w;

	web_three(&w);
	for (int i = 0; i < 100; i++) {
		w.port.n_backends = 2 + (size_t)i % 2;
		ck_assert_int_eq(apply(&w), 1);
		/* Old runs and records wait for the grace period. */
		if (i % 4 == 3)
			settle();
	}
	settle();
	ck_assert_int_eq(status("backends"), 3);
	ck_assert_int_eq(status("pending"), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tables");
	TCase *tc = tcase_create("writer");
	SRunner *runner = srunner_create(suite);

	libbpf_set_print(NULL);
	tcase_add_checked_fixture(tc, writer_setup, writer_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, first_program_is_complete);
	tcase_add_test(tc, a_backend_says_where_it_is);
	tcase_add_test(tc, a_service_id_can_be_named);
	tcase_add_test(tc, applying_the_same_again_writes_nothing);
	tcase_add_test(tc, a_change_is_one_flip_to_another_record);
	tcase_add_test(tc, a_set_that_stays_keeps_its_run);
	tcase_add_test(tc, a_backend_that_leaves_is_gone_at_once);
	tcase_add_test(tc, an_id_is_used_again_only_with_a_new_generation);
	tcase_add_test(tc, an_id_is_not_used_again_before_a_grace_period);
	tcase_add_test(tc, a_serving_endpoint_in_no_set_stays_live);
	tcase_add_test(tc, a_removed_service_leaves_nothing_behind);
	tcase_add_test(tc, source_ranges_change_together_with_the_record);
	tcase_add_test(tc, ipv6_is_programmed_alike);
	tcase_add_test(tc, weights_reach_the_slots);
	tcase_add_test(tc, an_interface_is_set_and_changed);
	tcase_add_test(tc, interfaces_that_went_are_removed);
	tcase_add_test(tc, latency_counts_from_receipt_to_flip);
	tcase_add_test(tc, many_flips_never_run_out_of_room);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
