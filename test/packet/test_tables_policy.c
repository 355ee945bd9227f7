/* SPDX-License-Identifier: Apache-2.0 */

/* What the map writer says of paths, order, leaving, and of the node. */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <check.h>
#include <netinet/in.h>
#include <string.h>

#include "writer.h"

START_TEST(a_record_has_masquerade_leave_and_ranges)
{
	const struct sl_record *r;
	struct web w;

	web_three(&w);
	w.port.path[SL_PATH_CLUSTER] = SL_CHOOSE_CLUSTER | SL_MASQUERADE;
	w.port.path[SL_PATH_OUTSIDE] = SL_CHOOSE_LOCAL | SL_MASQUERADE;
	w.port.leave = SL_LEAVE_DRAIN;
	w.port.drain_s = 30;
	w.port.ranges_everywhere = true;
	apply(&w);
	r = record_at("10.96.0.1", 80);
	ck_assert_uint_eq(r->path[SL_PATH_CLUSTER_POD], SL_CHOOSE_CLUSTER);
	ck_assert_uint_eq(r->path[SL_PATH_CLUSTER], SL_CHOOSE_CLUSTER | SL_MASQUERADE);
	ck_assert_uint_eq(r->path[SL_PATH_OUTSIDE], SL_CHOOSE_LOCAL | SL_MASQUERADE);
	ck_assert_uint_eq(r->leave, SL_LEAVE_DRAIN);
	ck_assert_uint_eq(r->drain_s, 30);
	ck_assert_uint_eq(r->flags, SL_RECORD_RANGES_EVERYWHERE);
}
END_TEST

/* Each of these changes alone is a change; the same again is none. */
static void change(struct web *w, int what)
{
	switch (what) {
	case 0:
		w->port.path[SL_PATH_NODE] |= SL_MASQUERADE;
		break;
	case 1:
		w->port.leave = SL_LEAVE_RESET;
		break;
	case 2:
		w->port.drain_s = 5;
		break;
	case 3:
		w->port.ranges_everywhere = true;
		break;
	}
}

START_TEST(a_change_of_policy_is_written_once)
{
	struct web w;

	web_three(&w);
	apply(&w);
	change(&w, _i);
	ck_assert_int_eq(apply(&w), 1);
	ck_assert_int_eq(apply(&w), 0);
	writer_restart();
	ck_assert_int_eq(apply(&w), 0);
}
END_TEST

static unsigned int order_of(const char *addr)
{
	return SL_BACKEND_ORDER(backends[backend_id(addr)].word);
}

/* As text 10.244.1.10 comes before 10.244.1.9, as bytes after it. */
START_TEST(backends_know_their_place_by_text)
{
	struct web w;

	web_init(&w, "web", "10.96.0.1");
	web_backend(&w, "10.244.1.10", CLUSTER);
	web_backend(&w, "10.244.1.9", CLUSTER);
	apply(&w);
	ck_assert_uint_eq(order_of("10.244.1.10"), 0);
	ck_assert_uint_eq(order_of("10.244.1.9"), 1);
	ck_assert_uint_eq(SL_BACKEND_GENERATION(backends[backend_id("10.244.1.9")].word), 1);
	ck_assert_uint_eq(SL_BACKEND_SETS(backends[backend_id("10.244.1.9")].word), CLUSTER);
}
END_TEST

START_TEST(places_move_when_backends_come_and_go)
{
	uint32_t id;
	struct web w;

	web_init(&w, "web", "10.96.0.1");
	web_backend(&w, "10.244.1.10", CLUSTER);
	web_backend(&w, "10.244.1.9", CLUSTER);
	apply(&w);
	id = backend_id("10.244.1.9");

	web_init(&w, "web", "10.96.0.1");
	web_backend(&w, "10.244.1.10", CLUSTER);
	web_backend(&w, "10.244.1.100", CLUSTER);
	web_backend(&w, "10.244.1.9", CLUSTER);
	ck_assert_int_eq(apply(&w), 1);
	ck_assert_uint_eq(order_of("10.244.1.100"), 1);
	ck_assert_uint_eq(order_of("10.244.1.9"), 2);
	ck_assert_uint_eq(backend_id("10.244.1.9"), id);
	writer_restart();
	ck_assert_int_eq(apply(&w), 0);

	web_init(&w, "web", "10.96.0.1");
	web_backend(&w, "10.244.1.9", CLUSTER);
	ck_assert_int_eq(apply(&w), 1);
	ck_assert_uint_eq(order_of("10.244.1.9"), 0);
	ck_assert_uint_eq(SL_BACKEND_GENERATION(backends[id].word), 1);
}
END_TEST

static struct sl_node read_node(void)
{
	struct sl_node node;
	uint32_t zero = 0;

	ck_assert_int_eq(bpf_map_lookup_elem(datapath_map(dp, DATAPATH_node), &zero, &node), 0);
	return node;
}

static void assert_node(const struct sl_node *want)
{
	struct sl_node got = read_node();

	ck_assert_mem_eq(&got, want, sizeof(got));
}

static struct sl_node whole_node(void)
{
	struct sl_node node = {
		.detect4 = SL_DETECT_SOURCE,
		.detect6 = SL_DETECT_INTERFACE,
		.compatible = 1,
		.was_compatible = 1,
		.n_services4 = 3,
		.n_services6 = SL_SERVICE_CIDRS,
		.pods4 = { { htonl(0x0af40000) }, { htonl(0xffff0000) } },
		.addr4 = { htonl(0xc0000201) },
	};

	for (uint32_t i = 0; i < SL_SERVICE_CIDRS; i++) {
		if (i < node.n_services4)
			node.services4[i] = (struct sl_prefix4) { { htonl(0x0a600000 + i) },
								  { htonl(0xfffff000) } };
		node.services6[i] = (struct sl_prefix6) { { htonl(0xfd000000 + i) }, { ~0U } };
	}
	node.pods6 = (struct sl_prefix6) { { htonl(0xfd100000) }, { ~0U } };
	memcpy(node.addr6, ip("2001:db8::1").w, sizeof(node.addr6));
	return node;
}

START_TEST(the_node_is_written_whole)
{
	struct sl_node node = whole_node();

	tables_set_node(tables, &node);
	assert_node(&node);
	writer_restart();
	assert_node(&node);
}
END_TEST

START_TEST(prefixes_of_the_node_come_and_go)
{
	struct sl_node node = whole_node(), got;

	tables_set_node(tables, &node);
	/* One less in the middle, then none, then more again. */
	node.services4[1] = node.services4[2];
	node.n_services4 = 2;
	node.n_services6 = 0;
	node.detect4 = SL_DETECT_NONE;
	node.compatible = 0;
	tables_set_node(tables, &node);
	got = read_node();
	ck_assert_uint_eq(got.n_services4, 2);
	ck_assert_uint_eq(got.n_services6, 0);
	ck_assert_uint_eq(got.detect4, SL_DETECT_NONE);
	ck_assert_uint_eq(got.compatible, 0);
	ck_assert_mem_eq(got.services4, node.services4, 2 * sizeof(node.services4[0]));
	node = whole_node();
	tables_set_node(tables, &node);
	assert_node(&node);
}
END_TEST

START_TEST(that_a_node_was_compatible_stays_known)
{
	struct sl_node node = { .addr4 = { htonl(0xc0000201) } };

	tables_set_node(tables, &node);
	ck_assert_uint_eq(read_node().was_compatible, 0);
	node.compatible = 1;
	tables_set_node(tables, &node);
	node.compatible = 0;
	writer_restart();
	tables_set_node(tables, &node);
	ck_assert_uint_eq(read_node().compatible, 0);
	ck_assert_uint_eq(read_node().was_compatible, 1);
}
END_TEST

START_TEST(more_prefixes_than_fit_are_cut)
{
	struct sl_node node = whole_node();

	node.n_services4 = 200;
	tables_set_node(tables, &node);
	ck_assert_uint_eq(read_node().n_services4, SL_SERVICE_CIDRS);
}
END_TEST

START_TEST(an_own_address_needs_no_filter_bit_of_a_service)
{
	struct tables_address own = { .addr = ip("192.0.2.7"), .family = 4 };

	ck_assert_int_eq(tables_set_addresses(tables, &own, 1), 0);
	ck_assert_uint_eq(filter_bits("192.0.2.7"), SL_FILTER_NODE);
	ck_assert_uint_eq(SL_FRONTEND_KIND(frontend("192.0.2.7", 0, 0)), SL_KIND_OWN_ADDRESS);
	writer_restart();
	ck_assert_int_eq(tables_set_addresses(tables, NULL, 0), 0);
	ck_assert_uint_eq(frontend("192.0.2.7", 0, 0), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tables_policy");
	TCase *tc = tcase_create("writer");
	SRunner *runner = srunner_create(suite);

	libbpf_set_print(NULL);
	tcase_add_checked_fixture(tc, writer_setup, writer_teardown);
	tcase_add_test(tc, a_record_has_masquerade_leave_and_ranges);
	tcase_add_loop_test(tc, a_change_of_policy_is_written_once, 0, 4);
	tcase_add_test(tc, backends_know_their_place_by_text);
	tcase_add_test(tc, places_move_when_backends_come_and_go);
	tcase_add_test(tc, the_node_is_written_whole);
	tcase_add_test(tc, prefixes_of_the_node_come_and_go);
	tcase_add_test(tc, that_a_node_was_compatible_stays_known);
	tcase_add_test(tc, more_prefixes_than_fit_are_cut);
	tcase_add_test(tc, an_own_address_needs_no_filter_bit_of_a_service);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
