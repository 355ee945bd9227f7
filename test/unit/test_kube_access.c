/* SPDX-License-Identifier: Apache-2.0 */

/* The Kubernetes source: tokens, certificates, and which server. */

#include "fake_tls.h"
#include "kube_fixture.h"

START_TEST(a_refused_token_is_read_again_at_once)
{
	limits.times.backoff.min_ms = 60000;
	limits.times.backoff.max_ms = 60000;
	start();
	UNTIL(watching());
	write_text(token_path, "second-token\n");
	fake_watch(FAKE_SERVICE, 401, "");
	fake_end(FAKE_SERVICE, FAKE_CLEAN);
	UNTIL(fake_count(FAKE_SERVICE, true) == 3);
	ck_assert_str_eq(fake_request(FAKE_SERVICE, true, 2).authorization, "Bearer second-token");
	ck_assert_uint_eq(logged("warn"), 0);
}
END_TEST

START_TEST(a_token_that_stays_refused_is_tried_with_delays)
{
	for (int i = 0; i < 30; i++)
		fake_list(FAKE_SERVICE, 401, "");
	limits.times.backoff.min_ms = 100;
	start();
	rest(350);
	ck_assert_uint_ge(fake_count(FAKE_SERVICE, false), 3);
	ck_assert_uint_le(fake_count(FAKE_SERVICE, false), 5);
	ck_assert_uint_eq(logged("Service: list: answered 401"), 1);
}
END_TEST

START_TEST(a_token_file_that_is_gone_leaves_the_old_token)
{
	start();
	UNTIL(watching());
	unlink(token_path);
	fake_end(FAKE_SERVICE, FAKE_CLEAN);
	UNTIL(fake_count(FAKE_SERVICE, true) == 2);
	ck_assert_str_eq(fake_request(FAKE_SERVICE, true, 1).authorization, "Bearer first-token");
	ck_assert_uint_eq(logged("token: No such file"), 1);
}
END_TEST

/* One token for all kinds, so one complaint. */
START_TEST(a_token_file_that_is_gone_is_told_once)
{
	start();
	UNTIL(watching());
	unlink(token_path);
	for (int kind = FAKE_SERVICE; kind <= FAKE_NODE; kind++)
		fake_end((enum fake_kind)kind, FAKE_CLEAN);
	UNTIL(fake_count(FAKE_SERVICE, true) == 2 && fake_count(FAKE_SLICE, true) == 2 &&
	      fake_count(FAKE_NODE, true) == 2);
	ck_assert_uint_eq(logged("token: No such file"), 1);
}
END_TEST

/* Starts the server again with TLS; the kubeconfig has `cert` as its CA. */
static void start_tls(const char *cert, const char *more)
{
	char ca_path[160], cluster[512];

	fake_stop();
	fake_start(0, fake_cert, fake_key);
	snprintf(ca_path, sizeof(ca_path), "%s/ca", folder);
	snprintf(cluster, sizeof(cluster), ", \"certificate-authority\": \"ca\"%s", more);
	write_text(ca_path, cert);
	write_config("https", cluster);
	list_services("web", "10", "");
	start();
}

static void remove_ca(void)
{
	char ca_path[160];

	snprintf(ca_path, sizeof(ca_path), "%s/ca", folder);
	unlink(ca_path);
}

START_TEST(https_is_verified_by_the_ca)
{
	start_tls(fake_cert, "");
	UNTIL(watching());
	ck_assert_uint_eq(services(), 1);
	remove_ca();
}
END_TEST

START_TEST(a_certificate_of_another_ca_is_refused)
{
	start_tls(fake_other_cert, "");
	UNTIL(logged("Service: watch list: SSL") == 1);
	ck_assert_uint_eq(fake.n_requests, 0);
	remove_ca();
}
END_TEST

START_TEST(tls_server_name_is_what_is_verified)
{
	char host[64];

	start_tls(fake_cert, ", \"tls-server-name\": \"api.sluice.test\"");
	UNTIL(watching());
	snprintf(host, sizeof(host), "127.0.0.1:%u", fake.port);
	ck_assert_str_eq(fake_request(FAKE_SERVICE, false, 0).host, host);
	remove_ca();
}
END_TEST

START_TEST(a_wrong_tls_server_name_is_refused)
{
	start_tls(fake_cert, ", \"tls-server-name\": \"other.sluice.test\"");
	UNTIL(logged("Service: watch list: SSL") == 1);
	ck_assert_uint_eq(fake.n_requests, 0);
	remove_ca();
}
END_TEST

/* No connection that another CA vouched for is used on. */
START_TEST(a_ca_that_is_replaced_is_read_again)
{
	char ca_path[160];

	snprintf(ca_path, sizeof(ca_path), "%s/ca", folder);
	limits.times.complain_ms = 0;
	start_tls(fake_other_cert, "");
	UNTIL(logged("Service: watch list: SSL") > 0 && logged("Node: watch list: SSL") > 0);
	write_text(ca_path, fake_cert);
	UNTIL(watching() && all_listed());
	write_text(ca_path, fake_other_cert);
	fake_end(FAKE_SERVICE, FAKE_CLEAN);
	UNTIL(logged("Service: watch: SSL") > 0);
	remove_ca();
}
END_TEST

/* Two names of one server, of which the second is asked next. */
static char by_number[64], by_name[64];
static const char *const both_names[] = { by_number, by_name };

static void start_with_two_servers(void)
{
	struct source_options o = options();

	snprintf(by_name, sizeof(by_name), "http://localhost:%u", fake.port);
	if (!*by_number)
		snprintf(by_number, sizeof(by_number), "http://127.0.0.1:%u", fake.port);
	o.api_servers = both_names;
	o.n_api_servers = 2;
	limits.times.backoff.min_ms = limits.times.backoff.max_ms = 60000;
	ck_assert_int_eq(kube_new(&o, &limits, &source, error), 0);
}

START_TEST(a_server_that_is_down_is_followed_by_the_next_at_once)
{
	strcpy(by_number, "http://127.0.0.1:1");
	start_with_two_servers();
	UNTIL(watching());
	ck_assert_ptr_nonnull(strstr(fake_request(FAKE_SERVICE, true, 0).host, "localhost:"));
	ck_assert_uint_eq(logged("fails, going on with http://localhost"), 1);
}
END_TEST

/* By host and status. */
static size_t answered, unanswered, mixed_up;

static void note_request(void *context, const char *host, const char *method, unsigned int status,
			 uint64_t n)
{
	(void)context;
	(void)method;
	if (status && !strncmp(host, "localhost:", 10))
		answered += n;
	else if (!status && !strcmp(host, "127.0.0.1:1"))
		unanswered += n;
	else
		mixed_up += n;
}

/* A counter must not move to another server's name with all that it counted. */
START_TEST(requests_are_counted_at_the_server_that_they_went_to)
{
	strcpy(by_number, "http://127.0.0.1:1");
	start_with_two_servers();
	UNTIL(watching());
	source_each_request(source, note_request, NULL);
	ck_assert_uint_gt(answered, 0);
	ck_assert_uint_gt(unanswered, 0);
	ck_assert_uint_eq(mixed_up, 0);
}
END_TEST

static void note_host(void *context, const char *host, const char *method, unsigned int status,
		      uint64_t n)
{
	(void)host;
	(void)method;
	(void)n;
	*(size_t *)context += status == 503;
}

/* Two samples of the same labels would make the whole page worthless. */
START_TEST(servers_of_one_host_are_counted_as_one)
{
	size_t samples = 0;

	for (int i = 0; i < 30; i++)
		fake_list(FAKE_SERVICE, 503, "");
	snprintf(by_number, sizeof(by_number), "http://localhost:%u/", fake.port);
	start_with_two_servers();
	UNTIL(fake_count(FAKE_SERVICE, false) == 2);
	rest(50);
	source_each_request(source, note_host, &samples);
	ck_assert_uint_eq(samples, 1);
}
END_TEST

static const unsigned int ill[] = { 500, 502, 503 };

START_TEST(a_server_that_is_ill_is_followed_by_the_next_which_stays)
{
	by_number[0] = '\0';
	fake_list(FAKE_SERVICE, ill[_i], "");
	start_with_two_servers();
	UNTIL(watching());
	ck_assert_ptr_nonnull(strstr(fake_request(FAKE_SERVICE, false, 0).host, "127.0.0.1:"));
	ck_assert_ptr_nonnull(strstr(fake_request(FAKE_SERVICE, false, 1).host, "localhost:"));
	fake_end(FAKE_SERVICE, FAKE_CLEAN);
	UNTIL(fake_count(FAKE_SERVICE, true) == 2);
	ck_assert_ptr_nonnull(strstr(fake_request(FAKE_SERVICE, true, 1).host, "localhost:"));
	ck_assert_uint_eq(logged("going on with"), 1);
}
END_TEST

START_TEST(when_all_servers_are_ill_they_are_tried_with_delays)
{
	by_number[0] = '\0';
	for (int i = 0; i < 30; i++)
		fake_list(FAKE_SERVICE, 503, "");
	start_with_two_servers();
	rest(300);
	ck_assert_uint_eq(fake_count(FAKE_SERVICE, false), 2);
}
END_TEST

/* 403 is the same wherever one asks. */
START_TEST(a_refusal_is_not_the_servers_fault)
{
	by_number[0] = '\0';
	fake_list(FAKE_SERVICE, 403, "");
	start_with_two_servers();
	UNTIL(logged("Service: list: answered 403") == 1);
	rest(50);
	ck_assert_uint_eq(logged("going on with"), 0);
	ck_assert_uint_eq(fake_count(FAKE_SERVICE, false), 1);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("kube access");
	TCase *token = add_case(suite, "token");
	TCase *servers = add_case(suite, "servers");
	TCase *tls = add_case(suite, "tls");
	SRunner *runner = srunner_create(suite);

	tcase_add_test(token, a_refused_token_is_read_again_at_once);
	tcase_add_test(token, a_token_that_stays_refused_is_tried_with_delays);
	tcase_add_test(token, a_token_file_that_is_gone_leaves_the_old_token);
	tcase_add_test(token, a_token_file_that_is_gone_is_told_once);

	tcase_add_test(servers, a_server_that_is_down_is_followed_by_the_next_at_once);
	tcase_add_test(servers, requests_are_counted_at_the_server_that_they_went_to);
	tcase_add_test(servers, servers_of_one_host_are_counted_as_one);
	tcase_add_loop_test(servers, a_server_that_is_ill_is_followed_by_the_next_which_stays, 0,
			    (int)SL_COUNT(ill));
	tcase_add_test(servers, when_all_servers_are_ill_they_are_tried_with_delays);
	tcase_add_test(servers, a_refusal_is_not_the_servers_fault);

	tcase_add_test(tls, https_is_verified_by_the_ca);
	tcase_add_test(tls, a_ca_that_is_replaced_is_read_again);
	tcase_add_test(tls, a_certificate_of_another_ca_is_refused);
	tcase_add_test(tls, tls_server_name_is_what_is_verified);
	tcase_add_test(tls, a_wrong_tls_server_name_is_refused);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
