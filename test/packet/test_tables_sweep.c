/* SPDX-License-Identifier: Apache-2.0 */

/* Bits of the address bitmaps, and what sweeps free. */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <check.h>
#include <netinet/in.h>
#include <string.h>

#include "writer.h"

START_TEST(filter_and_endpoint_bits_let_packets_in)
{
	struct web w;

	ck_assert_uint_eq(filter_bits("10.96.0.1"), 0);
	web_three(&w);
	web_frontend(&w, NULL, 30080, SL_KIND_NODE_PORT);
	apply(&w);
	ck_assert_uint_eq(filter_bits("10.96.0.1"), SL_FILTER_SERVICE);
	ck_assert(endpoint_bit("10.244.1.1"));
	ck_assert(endpoint_bit("10.244.1.3"));
	ck_assert(!endpoint_bit("10.244.1.4"));
	ck_assert(port_bit(0, 30080));
	ck_assert(!port_bit(1, 30080));
	ck_assert_uint_eq(SL_FRONTEND_KIND(frontend("0.0.0.0", 30080, IPPROTO_TCP)),
			  SL_KIND_NODE_PORT);
}
END_TEST

START_TEST(source_ports_of_snat_come_back_to_us)
{
	ck_assert(port_bit(0, 61000));
	ck_assert(port_bit(1, 61099));
	ck_assert(port_bit(2, 61000));
	ck_assert(!port_bit(0, 61100));
}
END_TEST

START_TEST(bits_are_cleared_by_a_sweep_that_finds_no_flow)
{
	struct web w;

	web_three(&w);
	web_frontend(&w, NULL, 30080, SL_KIND_NODE_PORT);
	apply(&w);
	apply_gone(&w);
	ck_assert(endpoint_bit("10.244.1.1"));
	settle();
	ck_assert(endpoint_bit("10.244.1.1"));
	run_sweeps(1200);
	ck_assert(!endpoint_bit("10.244.1.1"));
	ck_assert_uint_eq(filter_bits("10.96.0.1"), 0);
	ck_assert(!port_bit(0, 30080));
	ck_assert(port_bit(0, 61000));
}
END_TEST

START_TEST(bits_stay_as_long_as_a_live_flow_needs_them)
{
	struct sl_tuple4 there = tuple("198.51.100.7", "10.96.0.1", 80);
	struct sl_tuple4 back = tuple("10.244.1.1", "198.51.100.7", 40000);
	struct sl_tuple4 dead = tuple("10.244.1.2", "198.51.100.7", 40000);
	struct web w;

	web_three(&w);
	apply(&w);
	add_flow(DATAPATH_new4, &there, 0);
	add_flow(DATAPATH_established4, &back, 10);
	add_flow(DATAPATH_established4, &dead, 1000);
	apply_gone(&w);
	settle();
	run_sweeps(1200);
	ck_assert_uint_eq(filter_bits("10.96.0.1"), SL_FILTER_SERVICE);
	ck_assert(endpoint_bit("10.244.1.1"));
	ck_assert(!endpoint_bit("10.244.1.2"));
	ck_assert(!endpoint_bit("10.244.1.3"));
}
END_TEST

START_TEST(a_bit_that_is_used_again_is_not_cleared)
{
	struct web w;

	web_three(&w);
	apply(&w);
	apply_gone(&w);
	settle();
	web_three(&w);
	apply(&w);
	run_sweeps(1200);
	ck_assert(endpoint_bit("10.244.1.1"));
	ck_assert_uint_eq(filter_bits("10.96.0.1"), SL_FILTER_SERVICE);
}
END_TEST

START_TEST(a_restart_clears_no_bit_of_a_live_flow)
{
	struct sl_tuple4 back = tuple("10.244.1.1", "198.51.100.7", 40000);
	struct web w;

	web_three(&w);
	apply(&w);
	add_flow(DATAPATH_established4, &back, 10);
	apply_gone(&w);
	writer_restart();
	tables_synced(tables);
	settle();
	ck_assert(endpoint_bit("10.244.1.2"));
	run_sweeps(1200);
	ck_assert(endpoint_bit("10.244.1.1"));
	ck_assert(!endpoint_bit("10.244.1.2"));
	ck_assert(port_bit(0, 61000));
}
END_TEST

START_TEST(a_source_port_is_free_when_its_flow_is_dead)
{
	struct sl_tuple4 there = tuple("198.51.100.7", "10.96.0.1", 80), got;
	struct sl_tuple4 answer[3] = { tuple("10.244.1.1", "192.0.2.1", 61000),
				       tuple("10.244.1.1", "192.0.2.1", 61001),
				       tuple("10.244.1.1", "192.0.2.1", 61002) };
	struct sl_tuple4 owner[3] = { there, there, there };
	int map = datapath_map(dp, DATAPATH_snat4);

	for (int i = 0; i < 3; i++) {
		owner[i].sport = htons((uint16_t)(50000 + i));
		ck_assert_int_eq(bpf_map_update_elem(map, &answer[i], &owner[i], 0), 0);
	}
	add_flow(DATAPATH_established4, &owner[0], 0); /* alive there */
	add_flow(DATAPATH_new4, &answer[1], 0);	       /* alive back */
	add_flow(DATAPATH_established4, &owner[2], 1000);
	run_sweeps(4500);
	ck_assert_int_eq(bpf_map_lookup_elem(map, &answer[0], &got), 0);
	ck_assert_int_eq(bpf_map_lookup_elem(map, &answer[1], &got), 0);
	ck_assert_int_ne(bpf_map_lookup_elem(map, &answer[2], &got), 0);
}
END_TEST

START_TEST(own_addresses_are_filtered_and_some_serve_node_ports)
{
	struct tables_address addresses[] = {
		{ .addr = ip("192.0.2.1"), .family = 4, .node_port = true },
		{ .addr = ip("192.0.2.2"), .family = 4 },
		{ .addr = ip("2001:db8::1"), .family = 6, .node_port = true },
		{ .addr = ip("192.0.2.1"), .family = 4, .node_port = true },
	};

	ck_assert_int_eq(tables_set_addresses(tables, addresses, 4), 0);
	ck_assert_uint_eq(filter_bits("192.0.2.1"), SL_FILTER_NODE);
	ck_assert_uint_eq(filter_bits("192.0.2.2"), SL_FILTER_NODE);
	ck_assert_uint_eq(filter_bits("2001:db8::1"), SL_FILTER_NODE);
	ck_assert_uint_eq(SL_FRONTEND_KIND(frontend("192.0.2.1", 0, 0)), SL_KIND_NODE_ADDRESS);
	ck_assert_uint_eq(SL_FRONTEND_KIND(frontend("2001:db8::1", 0, 0)), SL_KIND_NODE_ADDRESS);
	ck_assert_uint_eq(SL_FRONTEND_KIND(frontend("192.0.2.2", 0, 0)), SL_KIND_OWN_ADDRESS);
	ck_assert_uint_eq(SL_FRONTEND_SERVICE(frontend("192.0.2.2", 0, 0)), 0);

	writer_restart();
	addresses[0].node_port = false;
	addresses[1].node_port = true;
	ck_assert_int_eq(tables_set_addresses(tables, addresses, 2), 0);
	ck_assert_uint_eq(SL_FRONTEND_KIND(frontend("192.0.2.1", 0, 0)), SL_KIND_OWN_ADDRESS);
	ck_assert_uint_eq(SL_FRONTEND_KIND(frontend("192.0.2.2", 0, 0)), SL_KIND_NODE_ADDRESS);
	ck_assert_uint_eq(frontend("2001:db8::1", 0, 0), 0);
	/* And live: no restart, no other address. */
	addresses[1].node_port = false;
	ck_assert_int_eq(tables_set_addresses(tables, addresses, 2), 0);
	ck_assert_uint_eq(SL_FRONTEND_KIND(frontend("192.0.2.2", 0, 0)), SL_KIND_OWN_ADDRESS);
	ck_assert_int_eq(tables_set_addresses(tables, addresses, 1), 0);
	ck_assert_uint_eq(frontend("192.0.2.2", 0, 0), 0);
	tables_synced(tables);
	settle();
	run_sweeps(1200);
	ck_assert_uint_eq(filter_bits("192.0.2.1"), SL_FILTER_NODE);
	ck_assert_uint_eq(filter_bits("2001:db8::1"), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tables_sweep");
	TCase *tc = tcase_create("writer");
	SRunner *runner = srunner_create(suite);

	libbpf_set_print(NULL);
	tcase_add_checked_fixture(tc, writer_setup, writer_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, filter_and_endpoint_bits_let_packets_in);
	tcase_add_test(tc, source_ports_of_snat_come_back_to_us);
	tcase_add_test(tc, bits_are_cleared_by_a_sweep_that_finds_no_flow);
	tcase_add_test(tc, bits_stay_as_long_as_a_live_flow_needs_them);
	tcase_add_test(tc, a_bit_that_is_used_again_is_not_cleared);
	tcase_add_test(tc, a_restart_clears_no_bit_of_a_live_flow);
	tcase_add_test(tc, a_source_port_is_free_when_its_flow_is_dead);
	tcase_add_test(tc, own_addresses_are_filtered_and_some_serve_node_ports);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
