/* SPDX-License-Identifier: Apache-2.0 */

/* A daemon that starts again takes over what is pinned. */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <check.h>
#include <netinet/in.h>
#include <string.h>

#include "common/log.h"
#include "writer.h"

START_TEST(a_restart_changes_nothing_that_packets_see)
{
	struct sl_record record;
	uint64_t word, words[4];
	uint32_t id, ids[4];
	struct web w;

	web_three(&w);
	web_frontend(&w, NULL, 30080, SL_KIND_NODE_PORT);
	w.sources[0] = (struct ip_prefix) { .addr = ip("192.0.2.0"), .family = 4, .len = 24 };
	w.sources[1] = (struct ip_prefix) { .addr = ip("10.0.0.0"), .family = 4, .len = 8 };
	w.port.n_sources = 2;
	apply(&w);
	web_backend(&w, "10.244.1.4", CLUSTER);
	apply(&w);
	id = service_at("10.96.0.1", 80);
	word = services[id];
	record = *record_at("10.96.0.1", 80);
	for (int i = 1; i <= 3; i++) {
		ids[i] = backend_id(
			(const char *[]) { "10.244.1.1", "10.244.1.2", "10.244.1.3" }[i - 1]);
		words[i] = backends[ids[i]].word;
	}
	writer_restart();

	ck_assert_int_eq(apply(&w), 0);
	tables_synced(tables);
	settle();
	ck_assert_uint_eq(service_at("10.96.0.1", 80), id);
	ck_assert_uint_eq(SL_FRONTEND_SERVICE(frontend("0.0.0.0", 30080, IPPROTO_TCP)), id);
	ck_assert_uint_eq(services[id], word);
	ck_assert_mem_eq(record_at("10.96.0.1", 80), &record, sizeof(record));
	for (int i = 1; i <= 3; i++)
		ck_assert_uint_eq(backends[ids[i]].word, words[i]);
	ck_assert_int_eq(status("backends"), 4);
}
END_TEST

START_TEST(a_change_after_a_restart_keeps_ids_and_generations)
{
	uint32_t id, kept, gone;
	struct web w;

	web_three(&w);
	apply(&w);
	id = service_at("10.96.0.1", 80);
	kept = backend_id("10.244.1.1");
	gone = backend_id("10.244.1.3");
	writer_restart();
	w.port.n_backends = 2;
	ck_assert_int_eq(apply(&w), 1);
	ck_assert_uint_eq(service_at("10.96.0.1", 80), id);
	ck_assert_uint_eq(services[id] >> 32, 2);
	ck_assert_uint_eq(backends[kept].word, SL_BACKEND_WORD(1, BOTH, SL_BACKEND_LIVE));
	ck_assert_uint_eq(backends[gone].word, SL_BACKEND_WORD(2, 0, SL_BACKEND_GONE));
}
END_TEST

START_TEST(generations_outlive_a_restart)
{
	uint32_t id;
	struct web w;

	web_three(&w);
	apply(&w);
	id = backend_id("10.244.1.3");
	apply_gone(&w);
	writer_restart();
	/* It was not yet free when the daemon went, and is now. */
	ck_assert_uint_eq(backends[id].word, SL_BACKEND_WORD(2, 0, SL_BACKEND_FREE));
	web_three(&w);
	apply(&w);
	ck_assert_uint_ge(SL_BACKEND_GENERATION(backends[backend_id("10.244.1.3")].word), 1);
	for (uint32_t i = 1; i < MAX_BACKENDS; i++)
		ck_assert(i != id || SL_BACKEND_GENERATION(backends[i].word) >= 2);
}
END_TEST

START_TEST(what_nobody_asks_for_after_a_restart_is_removed)
{
	struct web web, other;

	web_three(&web);
	apply(&web);
	web_init(&other, "other", "10.96.0.2");
	web_backend(&other, "10.244.2.1", CLUSTER);
	apply(&other);
	writer_restart();
	apply(&web);
	/* Until the whole state is known it goes on working. */
	ck_assert_ptr_nonnull(record_at("10.96.0.2", 80));
	tables_synced(tables);
	ck_assert_uint_eq(frontend("10.96.0.2", 80, IPPROTO_TCP), 0);
	ck_assert_uint_eq(backend_id("10.244.2.1"), 0);
	ck_assert_ptr_nonnull(record_at("10.96.0.1", 80));
	ck_assert_int_eq(status("services"), 1);
}
END_TEST

START_TEST(a_service_that_had_just_been_made_again_is_served_on)
{
	struct sl_identity identity;
	uint32_t old, id;
	struct web w;

	web_three(&w);
	apply(&w);
	old = service_at("10.96.0.1", 80);
	apply_gone(&w);
	web_three(&w);
	apply(&w);
	id = service_at("10.96.0.1", 80);
	ck_assert_uint_ne(id, old);
	/* The old id's name waits for a grace period, whose end this life never sees. */
	writer_restart();
	ck_assert_ptr_nonnull(record_at("10.96.0.1", 80));
	ck_assert_int_eq(status("servicePorts"), 1);
	ck_assert_int_eq(apply(&w), 0);
	ck_assert_uint_eq(service_at("10.96.0.1", 80), id);
	ck_assert_int_eq(
		bpf_map_lookup_elem(datapath_map(dp, DATAPATH_identities), &old, &identity), 0);
	ck_assert_uint_eq(identity.family, 0);
}
END_TEST

START_TEST(a_run_that_was_spoilt_is_repaired_after_a_restart)
{
	uint32_t key, first;
	struct sl_slots wrong = { { 7, 7 } };
	struct web w;

	web_three(&w);
	apply(&w);
	first = record_at("10.96.0.1", 80)->set[SL_SET_CLUSTER].first;
	key = first / 2 + 5;
	ck_assert_int_eq(bpf_map_update_elem(datapath_map(dp, DATAPATH_maglev), &key, &wrong, 0),
			 0);
	writer_restart();
	ck_assert_int_eq(apply(&w), 1);
	ck_assert_uint_eq(share(&record_at("10.96.0.1", 80)->set[SL_SET_CLUSTER], 7), 0);
}
END_TEST

START_TEST(a_frontend_of_nobody_goes_or_gives_way)
{
	struct sl_frontend4 key = { .addr = { ip("10.96.0.1").w[0] },
				    .port = htons(80),
				    .proto = IPPROTO_TCP };
	uint64_t value = SL_FRONTEND_VALUE(9, SL_KIND_CLUSTER_IP, 1);
	int map = datapath_map(dp, DATAPATH_frontends4);
	struct web w;

	ck_assert_int_eq(bpf_map_update_elem(map, &key, &value, 0), 0);
	key.port = htons(81);
	ck_assert_int_eq(bpf_map_update_elem(map, &key, &value, 0), 0);
	writer_restart();
	web_three(&w);
	apply(&w);
	ck_assert_ptr_nonnull(record_at("10.96.0.1", 80));
	tables_synced(tables);
	ck_assert_int_ne(bpf_map_lookup_elem(datapath_map(dp, DATAPATH_frontends4), &key, &value),
			 0);
	ck_assert_ptr_nonnull(record_at("10.96.0.1", 80));
}
END_TEST

START_TEST(a_service_word_that_makes_no_sense_is_cleared)
{
	uint64_t word = SL_SERVICE_WORD(3, 5);
	uint32_t key = 7;

	ck_assert_int_eq(bpf_map_update_elem(datapath_map(dp, DATAPATH_services), &key, &word, 0),
			 0);
	log_set_level(LOG_LEVEL_ERROR);
	writer_restart();
	ck_assert_uint_eq(services[7], SL_SERVICE_WORD(0, 5));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tables_restart");
	TCase *tc = tcase_create("writer");
	SRunner *runner = srunner_create(suite);

	libbpf_set_print(NULL);
	tcase_add_checked_fixture(tc, writer_setup, writer_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_restart_changes_nothing_that_packets_see);
	tcase_add_test(tc, a_change_after_a_restart_keeps_ids_and_generations);
	tcase_add_test(tc, generations_outlive_a_restart);
	tcase_add_test(tc, what_nobody_asks_for_after_a_restart_is_removed);
	tcase_add_test(tc, a_service_that_had_just_been_made_again_is_served_on);
	tcase_add_test(tc, a_run_that_was_spoilt_is_repaired_after_a_restart);
	tcase_add_test(tc, a_frontend_of_nobody_goes_or_gives_way);
	tcase_add_test(tc, a_service_word_that_makes_no_sense_is_cleared);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
