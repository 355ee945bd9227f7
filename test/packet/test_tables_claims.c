/* SPDX-License-Identifier: Apache-2.0 */

/* Frontends that several want, and tables that are full. */

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "writer.h"

/* What fills a map, and its name in the error. */
static const struct {
	const char *map;
	size_t backends, sources, frontends;
} floods[] = {
	{ "backends", MAX_BACKENDS, 0, 0 },
	{ "maglev", 20, 0, 0 },
	{ "policy4", 2, MAX_POLICIES + 1, 0 },
	{ "frontends4", 2, 0, 7 },
};

START_TEST(a_full_table_leaves_the_service_as_it_was)
{
	struct web w, filler;
	uint64_t word;
	uint32_t id;

	web_three(&w);
	apply(&w);
	/* Leaves no room for twice 2039 slots, and for six frontends. */
	web_init(&filler, "filler", "10.96.1.0");
	if (!strcmp(floods[_i].map, "frontends4")) {
		for (int i = 0; i < 8; i++) {
			char vip[32];

			snprintf(vip, sizeof(vip), "10.96.1.%d", i);
			web_init(&filler, vip, vip);
			apply(&filler);
		}
	} else if (!strcmp(floods[_i].map, "maglev")) {
		for (int i = 0; i < 11; i++)
			web_backend(&filler,
				    (const char *[]) { "10.244.5.1", "10.244.5.2", "10.244.5.3",
						       "10.244.5.4", "10.244.5.5", "10.244.5.6",
						       "10.244.5.7", "10.244.5.8", "10.244.5.9",
						       "10.244.5.10", "10.244.5.11" }[i],
				    BOTH);
		apply(&filler);
	}
	id = service_at("10.96.0.1", 80);
	word = services[id];

	for (size_t i = w.port.n_backends; i < floods[_i].backends; i++) {
		char addr[32];

		snprintf(addr, sizeof(addr), "10.244.4.%zu", i);
		web_backend(&w, addr, BOTH);
	}
	for (size_t i = 0; i < floods[_i].sources; i++) {
		w.sources[i] = (struct ip_prefix) { .family = 4, .len = 32 };
		w.sources[i].addr.w[0] = htonl(0xc0000200U + (uint32_t)i);
		w.port.n_sources++;
	}
	for (size_t i = 0; i < floods[_i].frontends; i++)
		web_frontend(&w, "10.96.0.1", (uint16_t)(100 + i), SL_KIND_EXTERNAL_IP);

	ck_assert_int_eq(tables_apply(tables, &w.resolved, 0, error), -ENOSPC);
	ck_assert_msg(strstr(error, floods[_i].map) && strstr(error, "default/web"), "%s", error);
	ck_assert_uint_eq(services[id], word);
	ck_assert_uint_eq(backend_id("10.244.4.3"), 0);
	ck_assert_uint_eq(service_at("10.96.0.1", 80), id);
	ck_assert_uint_eq(service_at("10.96.0.1", 100), 0);
	ck_assert_int_eq(status("failed"), 1);
	ck_assert_uint_ge(
		share(&record_at("10.96.0.1", 80)->set[SL_SET_CLUSTER], backend_id("10.244.1.1")),
		169);

	/* And what fits is taken again. */
	web_three(&w);
	ck_assert_int_eq(apply(&w), 0);
	ck_assert_int_eq(status("failed"), 0);
}
END_TEST

START_TEST(a_failed_new_service_leaves_no_trace)
{
	struct web w;

	web_init(&w, "web", "10.96.0.1");
	for (int i = 0; i < 9; i++) {
		w.sources[i] = (struct ip_prefix) { .family = 4, .len = 32 };
		w.sources[i].addr.w[0] = htonl(0xc0000200U + (uint32_t)i);
	}
	w.port.n_sources = 9;
	ck_assert_int_lt(tables_apply(tables, &w.resolved, 0, error), 0);
	ck_assert_int_eq(status("failed"), 1);
	ck_assert_int_eq(status("services"), 0);
	ck_assert_uint_eq(frontend("10.96.0.1", 80, IPPROTO_TCP), 0);
	ck_assert_int_eq(apply_gone(&w), 0);
	ck_assert_int_eq(status("failed"), 0);
	/* Every service id is still there. */
	for (int i = 1; i < MAX_SERVICES; i++) {
		char name[32];

		snprintf(name, sizeof(name), "s%d", i);
		web_init(&w, name, "10.96.0.1");
		w.port.n_frontends = 0;
		apply(&w);
	}
}
END_TEST

START_TEST(the_first_service_keeps_a_frontend)
{
	struct web first, second;
	uint32_t id, heir;

	web_three(&first);
	apply(&first);
	id = service_at("10.96.0.1", 80);
	web_init(&second, "second", "10.96.0.1");
	web_backend(&second, "10.244.2.1", CLUSTER);
	log_set_level(LOG_LEVEL_ERROR);
	apply(&second);
	ck_assert_uint_eq(service_at("10.96.0.1", 80), id);
	ck_assert_int_eq(apply(&second), 0);

	apply_gone(&first);
	heir = service_at("10.96.0.1", 80);
	ck_assert_uint_ne(heir, 0);
	ck_assert_uint_ne(heir, id);
	ck_assert_uint_eq(record_at("10.96.0.1", 80)->set[SL_SET_CLUSTER].first,
			  backend_id("10.244.2.1"));
	ck_assert_uint_eq(filter_bits("10.96.0.1"), SL_FILTER_SERVICE);
	settle();
	apply_gone(&second);
	ck_assert_uint_eq(service_at("10.96.0.1", 80), 0);
}
END_TEST

static int n_conflicts;
static char conflicts[4][128];

static void on_conflict(void *context, const struct tables_conflict *conflict)
{
	ck_assert_ptr_eq(context, &n_conflicts);
	ck_assert_int_lt(n_conflicts, (int)SL_COUNT(conflicts));
	snprintf(conflicts[n_conflicts++], sizeof(conflicts[0]), "%s/%s wants %s of %s/%s",
		 conflict->namespace_, conflict->name, conflict->frontend,
		 conflict->holder_namespace, conflict->holder_name);
}

START_TEST(who_waits_for_whom_is_told_once)
{
	struct web first, second;

	n_conflicts = 0;
	log_set_level(LOG_LEVEL_ERROR);
	tables_on_conflict(tables, on_conflict, &n_conflicts);
	web_init(&first, "web", "10.96.0.1");
	web_frontend(&first, "192.0.2.7", 443, SL_KIND_LOAD_BALANCER);
	web_frontend(&first, "0.0.0.0", 30080, SL_KIND_NODE_PORT);
	apply(&first);
	web_init(&second, "second", "10.96.0.2");
	web_frontend(&second, "192.0.2.7", 443, SL_KIND_LOAD_BALANCER);
	apply(&second);
	ck_assert_int_eq(n_conflicts, 1);
	ck_assert_str_eq(conflicts[0], "default/second wants 192.0.2.7:443/TCP of default/web");

	/* Another change of it tells what is new only. */
	web_frontend(&second, "0.0.0.0", 30080, SL_KIND_NODE_PORT);
	apply(&second);
	ck_assert_int_eq(n_conflicts, 2);
	ck_assert_str_eq(conflicts[1], "default/second wants nodePort 30080/TCP of default/web");
	apply(&second);
	apply_gone(&first);
	ck_assert_int_eq(n_conflicts, 2);
	apply_gone(&second);
}
END_TEST

START_TEST(a_waiting_service_can_go_without_a_trace)
{
	struct web first, second;
	uint32_t id;

	web_three(&first);
	apply(&first);
	id = service_at("10.96.0.1", 80);
	web_init(&second, "second", "10.96.0.1");
	log_set_level(LOG_LEVEL_ERROR);
	apply(&second);
	apply_gone(&second);
	ck_assert_uint_eq(service_at("10.96.0.1", 80), id);
	apply_gone(&first);
	ck_assert_uint_eq(service_at("10.96.0.1", 80), 0);
}
END_TEST

START_TEST(a_renamed_port_takes_its_frontend_over)
{
	uint32_t id;
	struct web w;

	web_three(&w);
	apply(&w);
	id = service_at("10.96.0.1", 80);
	w.port.name = "web";
	ck_assert_int_eq(apply(&w), 1);
	ck_assert_uint_ne(service_at("10.96.0.1", 80), 0);
	ck_assert_uint_ne(service_at("10.96.0.1", 80), id);
	ck_assert_ptr_nonnull(record_at("10.96.0.1", 80));
	ck_assert_uint_ne(frontend("10.96.0.1", 0, 0), 0);
	ck_assert_int_eq(status("servicePorts"), 1);
}
END_TEST

START_TEST(a_frontend_named_twice_is_one)
{
	struct web w;

	web_three(&w);
	web_frontend(&w, "203.0.113.1", 80, SL_KIND_LOAD_BALANCER);
	web_frontend(&w, "203.0.113.1", 80, SL_KIND_EXTERNAL_IP);
	apply(&w);
	ck_assert_uint_eq(SL_FRONTEND_KIND(frontend("203.0.113.1", 80, IPPROTO_TCP)),
			  SL_KIND_LOAD_BALANCER);
	ck_assert_int_eq(apply(&w), 0);
	w.frontends[1] = w.frontends[2];
	w.port.n_frontends--;
	ck_assert_int_eq(apply(&w), 1);
	ck_assert_uint_eq(SL_FRONTEND_KIND(frontend("203.0.113.1", 80, IPPROTO_TCP)),
			  SL_KIND_EXTERNAL_IP);
}
END_TEST

START_TEST(a_cluster_address_lives_as_long_as_one_of_its_ports)
{
	struct resolved_port ports[2];
	struct resolved_frontend dns;
	uint64_t value;
	struct web w;

	web_three(&w);
	dns = (struct resolved_frontend) { .addr = ip("10.96.0.1"),
					   .port = htons(53),
					   .kind = SL_KIND_CLUSTER_IP };
	ports[0] = w.port;
	ports[1] = w.port;
	ports[1].name = "dns";
	ports[1].proto = IPPROTO_UDP;
	ports[1].frontends = &dns;
	w.resolved.ports = ports;
	w.resolved.n_ports = 2;
	apply(&w);
	value = frontend("10.96.0.1", 0, 0);
	ck_assert_uint_eq(SL_FRONTEND_KIND(value), SL_KIND_CLUSTER_ADDRESS);
	ck_assert_uint_ne(frontend("10.96.0.1", 53, IPPROTO_UDP), 0);

	w.resolved.ports = &ports[1];
	w.resolved.n_ports = 1;
	apply(&w);
	value = frontend("10.96.0.1", 0, 0);
	ck_assert_uint_eq(SL_FRONTEND_KIND(value), SL_KIND_CLUSTER_ADDRESS);
	ck_assert_uint_eq(SL_FRONTEND_SERVICE(value),
			  SL_FRONTEND_SERVICE(frontend("10.96.0.1", 53, IPPROTO_UDP)));
	apply_gone(&w);
	ck_assert_uint_eq(frontend("10.96.0.1", 0, 0), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tables_claims");
	TCase *tc = tcase_create("writer");
	SRunner *runner = srunner_create(suite);

	libbpf_set_print(NULL);
	tcase_add_checked_fixture(tc, writer_setup, writer_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_full_table_leaves_the_service_as_it_was, 0,
			    (int)SL_COUNT(floods));
	tcase_add_test(tc, a_failed_new_service_leaves_no_trace);
	tcase_add_test(tc, the_first_service_keeps_a_frontend);
	tcase_add_test(tc, who_waits_for_whom_is_told_once);
	tcase_add_test(tc, a_waiting_service_can_go_without_a_trace);
	tcase_add_test(tc, a_renamed_port_takes_its_frontend_over);
	tcase_add_test(tc, a_frontend_named_twice_is_one);
	tcase_add_test(tc, a_cluster_address_lives_as_long_as_one_of_its_ports);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
