/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which idle connections the sweep sees to when a backend leaves. The tests run
 * where nobody can be reached, so each probe that was tried is counted as
 * unreachable.
 */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <check.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>

#include "common/hash.h"
#include "writer.h"

#define CLIENT	 "198.51.100.7"
#define VIP	 "10.96.0.1"
#define MANY	 300 /* more than one slice's probes */
#define PATIENCE 300

static struct web w;

static void setup(void)
{
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	writer_setup();
	web_three(&w);
}

static void apply_policy(uint8_t leave, uint32_t drain_s)
{
	w.port.leave = leave;
	w.port.drain_s = drain_s;
	apply(&w);
}

/* The last of three leaves. */
static void leave_one(void)
{
	w.port.n_backends = 2;
	apply(&w);
}

static struct sl_tuple4 key_of(uint16_t port)
{
	struct sl_tuple4 key = tuple(CLIENT, VIP, 80);

	key.sport = htons(port);
	return key;
}

/* A flow of a client's port to a backend. */
static void connect_to(const char *backend, uint16_t port, uint8_t state, uint8_t flags)
{
	struct sl_tuple4 key = key_of(port);
	struct sl_flow4 flow;
	int map = datapath_map(dp, DATAPATH_established4);
	uint32_t id = backend_id(backend);

	ck_assert_uint_ne(id, 0);
	add_flow(DATAPATH_established4, &key, 0);
	ck_assert_int_eq(bpf_map_lookup_elem(map, &key, &flow), 0);
	flow.f.tag =
		(uint32_t)sl_tuple_hash(key.saddr, key.daddr, 1, key.sport, key.dport, key.proto);
	flow.f.service = backends[id].service;
	flow.f.backend = id;
	flow.f.generation = SL_BACKEND_GENERATION(backends[id].word);
	flow.f.state = state;
	flow.f.flags = flags;
	ck_assert_int_eq(bpf_map_update_elem(map, &key, &flow, BPF_EXIST), 0);
}

static int probes_of(uint16_t port)
{
	struct sl_tuple4 key = key_of(port);
	struct sl_flow4 flow;

	ck_assert_int_eq(bpf_map_lookup_elem(datapath_map(dp, DATAPATH_established4), &key, &flow),
			 0);
	return SL_FLOW_PROBES(flow.f.flags);
}

static json_int_t unreachable(void)
{
	json_t *all = tables_idle(tables);
	json_int_t n = json_integer_value(json_object_get(all, "unreachable"));

	ck_assert_int_eq(json_integer_value(json_object_get(all, "sent")), 0);
	json_decref(all);
	return n;
}

/* Lets the sweep go on until a flow had `n` probes. */
static void wait_for(uint16_t port, int n)
{
	for (int i = 0; probes_of(port) < n; i++) {
		ck_assert_msg(i < PATIENCE, "port %u has %d probes", port, probes_of(port));
		run_sweeps(50);
	}
}

START_TEST(idle_flows_of_a_backend_that_left_are_probed)
{
	apply_policy(SL_LEAVE_RESET, 0);
	connect_to("10.244.1.3", 1, SL_FLOW_ESTABLISHED, 0);
	connect_to("10.244.1.2", 2, SL_FLOW_ESTABLISHED, 0);
	connect_to("10.244.1.3", 3, SL_FLOW_CLOSING, 0);
	connect_to("10.244.1.3", 4, SL_FLOW_CLOSED, 0);
	connect_to("10.244.1.3", 5, SL_FLOW_ESTABLISHED, SL_FLOW_REVERSE);
	connect_to("10.244.1.3", 6, SL_FLOW_ESTABLISHED, SL_FLOW_EGRESS);
	leave_one();
	wait_for(1, SL_PROBES_MAX);
	for (uint16_t port = 2; port <= 6; port++)
		ck_assert_int_eq(probes_of(port), 0);
	ck_assert_int_eq(unreachable(), SL_PROBES_MAX);
}
END_TEST

START_TEST(changes_begin_new_rounds)
{
	struct web other;

	apply_policy(SL_LEAVE_KEEP, 0);
	connect_to("10.244.1.3", 1, SL_FLOW_ESTABLISHED, 0);
	leave_one();
	/* Another service's flow shows that rounds pass. */
	web_init(&other, "other", "10.96.0.2");
	web_backend(&other, "10.244.1.9", BOTH);
	other.port.leave = SL_LEAVE_RESET;
	apply(&other);
	connect_to("10.244.1.9", 2, SL_FLOW_ESTABLISHED, 0);
	other.port.n_backends = 0;
	apply(&other);
	wait_for(2, SL_PROBES_MAX);
	ck_assert_int_eq(probes_of(1), 0);
	apply_policy(SL_LEAVE_RESET, 0);
	wait_for(1, SL_PROBES_MAX);
	/* With its last probe the rounds end, until another backend leaves. */
	connect_to("10.244.1.2", 3, SL_FLOW_ESTABLISHED, 0);
	w.port.n_backends = 1;
	apply(&w);
	wait_for(3, 1);
}
END_TEST

START_TEST(the_deadline_of_drained_flows_is_kept_without_a_change)
{
	apply_policy(SL_LEAVE_DRAIN, 8); /* longer than two rounds */
	connect_to("10.244.1.3", 1, SL_FLOW_ESTABLISHED, 0);
	leave_one();
	wait_for(1, 1);
}
END_TEST

START_TEST(what_left_before_the_start_is_found)
{
	apply_policy(SL_LEAVE_RESET, 0);
	connect_to("10.244.1.3", 1, SL_FLOW_ESTABLISHED, 0);
	leave_one();
	writer_restart();
	wait_for(1, 1);
}
END_TEST

START_TEST(more_flows_than_a_slice_may_probe_are_all_probed)
{
	apply_policy(SL_LEAVE_RESET, 0);
	for (uint16_t port = 1; port <= MANY; port++)
		connect_to("10.244.1.3", port, SL_FLOW_ESTABLISHED, 0);
	leave_one();
	for (uint16_t port = 1; port <= MANY; port++)
		wait_for(port, SL_PROBES_MAX);
	ck_assert_int_eq(unreachable(), MANY * SL_PROBES_MAX);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tables_idle");
	TCase *tc = tcase_create("writer");
	SRunner *runner = srunner_create(suite);

	libbpf_set_print(NULL);
	tcase_add_checked_fixture(tc, setup, writer_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, idle_flows_of_a_backend_that_left_are_probed);
	tcase_add_test(tc, changes_begin_new_rounds);
	tcase_add_test(tc, the_deadline_of_drained_flows_is_kept_without_a_change);
	tcase_add_test(tc, what_left_before_the_start_is_found);
	tcase_add_test(tc, more_flows_than_a_slice_may_probe_are_all_probed);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
