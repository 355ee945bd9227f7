/* SPDX-License-Identifier: Apache-2.0 */

/* When it is told that datagrams are served which found nobody before. */

#include <bpf/libbpf.h>
#include <check.h>
#include <netinet/in.h>

#include "writer.h"

static struct web w;
static int told;

static void on_serve(void *context)
{
	(void)context;
	told++;
}

static void setup(void)
{
	writer_setup();
	tables_on_serve(tables, on_serve, NULL);
	told = 0;
	web_init(&w, "dns", "10.96.0.10");
	w.port.proto = IPPROTO_UDP;
	web_backend(&w, "10.244.1.1", BOTH);
}

START_TEST(a_new_service_is_told)
{
	tables_synced(tables);
	apply(&w);
	ck_assert_int_eq(told, 1);
}
END_TEST

START_TEST(the_first_state_on_new_maps_is_not_told)
{
	apply(&w);
	ck_assert_int_eq(told, 0);
}
END_TEST

START_TEST(the_first_state_on_adopted_maps_is_told)
{
	struct web other;

	apply(&w);
	writer_restart();
	tables_on_serve(tables, on_serve, NULL);
	apply(&w);
	ck_assert_int_eq(told, 0);
	web_init(&other, "other", "10.96.0.11");
	other.port.proto = IPPROTO_UDP;
	web_backend(&other, "10.244.1.2", BOTH);
	apply(&other);
	ck_assert_int_eq(told, 1);
}
END_TEST

START_TEST(a_new_frontend_is_told_and_a_new_endpoint_is_not)
{
	tables_synced(tables);
	apply(&w);
	web_backend(&w, "10.244.1.2", BOTH);
	apply(&w);
	ck_assert_int_eq(told, 1);
	web_frontend(&w, "203.0.113.1", htons(80), SL_KIND_LOAD_BALANCER);
	apply(&w);
	ck_assert_int_eq(told, 2);
}
END_TEST

START_TEST(the_first_endpoint_is_told)
{
	tables_synced(tables);
	w.port.n_backends = 0;
	apply(&w);
	ck_assert_int_eq(told, 0);
	w.port.n_backends = 1;
	apply(&w);
	ck_assert_int_eq(told, 1);
}
END_TEST

START_TEST(tcp_is_not_told)
{
	tables_synced(tables);
	w.port.proto = IPPROTO_TCP;
	apply(&w);
	ck_assert_int_eq(told, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tables_serve");
	TCase *tc = tcase_create("writer");
	SRunner *runner = srunner_create(suite);

	libbpf_set_print(NULL);
	tcase_add_checked_fixture(tc, setup, writer_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_new_service_is_told);
	tcase_add_test(tc, the_first_state_on_new_maps_is_not_told);
	tcase_add_test(tc, the_first_state_on_adopted_maps_is_told);
	tcase_add_test(tc, a_new_frontend_is_told_and_a_new_endpoint_is_not);
	tcase_add_test(tc, the_first_endpoint_is_told);
	tcase_add_test(tc, tcp_is_not_told);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
