/* SPDX-License-Identifier: Apache-2.0 */

/* Servers at healthCheckNodePorts, asked over sockets of this machine. */

#include "controlplane/health/service_health.h"
#include "http_table.h"

#define RETRY_MS 30

static struct service_health *health;
static bool healthy;
static int failures;
static char failed_name[128], failed_why[256];

static bool proxy_healthy(void *context)
{
	ck_assert_ptr_eq(context, &healthy);
	return healthy;
}

static void failed(void *context, const char *namespace_, const char *name, const char *message)
{
	ck_assert_ptr_eq(context, &healthy);
	failures++;
	snprintf(failed_name, sizeof(failed_name), "%s/%s", namespace_, name);
	snprintf(failed_why, sizeof(failed_why), "%s", message);
}

static void start(void)
{
	const struct service_health_options options = {
		.loop = &loop,
		.retry_ms = RETRY_MS,
		.proxy_healthy = proxy_healthy,
		.failed = failed,
		.context = &healthy,
	};

	fixture_begin();
	healthy = true;
	failures = 0;
	health = service_health_new(&options);
	ck_assert_ptr_nonnull(health);
}

static void stop(void)
{
	service_health_free(health);
	fixture_end();
}

static void set_only(const char *namespace_, const char *name, uint16_t port4, uint32_t ready4,
		     uint16_t port6, uint32_t ready6)
{
	const struct service_health_port ports[2] = { { port4, ready4 }, { port6, ready6 } };

	ck_assert_int_eq(service_health_set(health, namespace_, name, ports), 0);
}

/* A Service of both families in namespace "default". */
static void set(const char *name, uint16_t port, uint32_t ready4, uint32_t ready6)
{
	set_only("default", name, port, ready4, port, ready6);
}

static void check_answer(const char *address, uint16_t port, int status, const char *weight)
{
	struct fixture_reply reply;
	char got[256];

	fixture_ask(address, port, "GET", "/", &reply);
	ck_assert_int_eq(reply.status, status);
	table_header(&reply, "X-Load-Balancing-Endpoint-Weight", got);
	ck_assert_str_eq(got, weight);
}

static void use_addresses(uint8_t family, const char *const *texts, size_t n)
{
	struct sl_addr addrs[8];

	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(ip_parse(texts[i], &addrs[i]), family);
	ck_assert_int_eq(service_health_listen_at(health, family, addrs, n, false), 0);
}

/* Runs the loop for some time. */
static void wait_ms(unsigned int ms)
{
	uint64_t end = uv_hrtime() + ms * 1000000ULL;

	while (uv_hrtime() < end) {
		fixture_turn();
		poll(NULL, 0, 1);
	}
}

START_TEST(every_recorded_answer_is_given)
{
	json_t *cases = table_load(), *row;
	uint16_t port = fixture_free_port();
	size_t i, n = 0;

	json_array_foreach (cases, i, row) {
		const json_t *state = json_object_get(row, "state");
		struct fixture_reply reply;

		if (strcmp(table_text(row, "server"), "healthCheckNodePort") != 0)
			continue;
		healthy = json_is_true(json_object_get(state, "proxyHealthy"));
		json_int_t ready =
			json_integer_value(json_object_get(state, "localReadyEndpoints"));
		set_only(table_text(state, "namespace"), table_text(state, "name"), port,
			 (uint32_t)ready, 0, 0);
		service_health_commit(health);
		fixture_ask("127.0.0.1", port, table_text(row, "method"), table_text(row, "path"),
			    &reply);
		table_check_head(row, &reply, NULL);
		ck_assert_msg(!strcmp(reply.body, table_text(row, "body")), "%s: %s",
			      table_text(row, "id"), reply.body);
		set_only(table_text(state, "namespace"), table_text(state, "name"), 0, 0, 0, 0);
		n++;
	}
	ck_assert_uint_eq(n, 40);
	json_decref(cases);
}
END_TEST

START_TEST(a_service_passes_with_local_endpoints_and_a_healthy_proxy)
{
	static const struct {
		uint32_t ready;
		bool healthy;
		int status;
	} rows[] = { { 0, true, 503 }, { 1, true, 200 }, { 0, false, 503 }, { 1, false, 503 } };
	uint16_t port = fixture_free_port();

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		set("web", port, rows[i].ready, 0);
		healthy = rows[i].healthy;
		service_health_commit(health);
		check_answer("127.0.0.1", port, rows[i].status, rows[i].ready ? "1" : "0");
	}
}
END_TEST

START_TEST(each_family_has_its_own_count)
{
	uint16_t port = fixture_free_port();

	set("web", port, 3, 0);
	service_health_commit(health);
	check_answer("127.0.0.1", port, 200, "3");
	check_answer("::1", port, 503, "0");
	set("web", port, 0, 2);
	check_answer("127.0.0.1", port, 503, "0");
	check_answer("::1", port, 200, "2");
}
END_TEST

START_TEST(a_family_that_the_service_has_not_is_not_served)
{
	uint16_t port = fixture_free_port();

	set_only("default", "web", 0, 0, port, 1);
	service_health_commit(health);
	ck_assert(fixture_refuses("127.0.0.1", port));
	check_answer("::1", port, 200, "1");
	set_only("default", "web", port, 1, 0, 0);
	service_health_commit(health);
	check_answer("127.0.0.1", port, 200, "1");
	ck_assert(fixture_refuses("::1", port));
}
END_TEST

START_TEST(servers_open_with_the_commit)
{
	uint16_t port = fixture_free_port();

	set("web", port, 1, 1);
	ck_assert(fixture_refuses("127.0.0.1", port));
	service_health_commit(health);
	ck_assert(!fixture_refuses("127.0.0.1", port));
}
END_TEST

START_TEST(a_changed_port_closes_the_old_one_at_once)
{
	uint16_t old = fixture_free_port(), new = fixture_free_port();

	set("web", old, 1, 1);
	service_health_commit(health);
	set("web", new, 1, 1);
	ck_assert(fixture_refuses("127.0.0.1", old));
	ck_assert(fixture_refuses("::1", old));
	service_health_commit(health);
	check_answer("127.0.0.1", new, 200, "1");
	check_answer("::1", new, 200, "1");
	ck_assert_int_eq(failures, 0);
}
END_TEST

START_TEST(a_service_that_is_gone_has_no_server)
{
	uint16_t port = fixture_free_port();

	set("web", port, 1, 1);
	service_health_commit(health);
	set("web", 0, 0, 0);
	ck_assert(fixture_refuses("127.0.0.1", port));
	ck_assert(fixture_refuses("::1", port));
	set("web", 0, 0, 0);
	set("never-there", 0, 0, 0);
}
END_TEST

START_TEST(a_port_can_go_from_one_service_to_another_in_one_pass)
{
	uint16_t port = fixture_free_port();

	set("old", port, 1, 1);
	service_health_commit(health);
	set("new", port, 5, 5);
	set("old", 0, 0, 0);
	service_health_commit(health);
	ck_assert_int_eq(failures, 0);
	check_answer("127.0.0.1", port, 200, "5");
}
END_TEST

START_TEST(same_names_in_other_namespaces_are_other_services)
{
	uint16_t a = fixture_free_port(), b = fixture_free_port();

	set_only("one", "web", a, 1, a, 1);
	set_only("two", "web", b, 2, b, 2);
	service_health_commit(health);
	check_answer("127.0.0.1", a, 200, "1");
	check_answer("127.0.0.1", b, 200, "2");
	set_only("one", "web", 0, 0, 0, 0);
	ck_assert(fixture_refuses("127.0.0.1", a));
	check_answer("127.0.0.1", b, 200, "2");
}
END_TEST

START_TEST(only_the_given_addresses_are_listened_at)
{
	static const char *const addresses[] = { "127.0.0.2", "127.0.0.3" };
	uint16_t port = fixture_free_port();

	use_addresses(4, addresses, 2);
	set("web", port, 1, 1);
	service_health_commit(health);
	check_answer("127.0.0.2", port, 200, "1");
	check_answer("127.0.0.3", port, 200, "1");
	ck_assert(fixture_refuses("127.0.0.1", port));
	check_answer("::1", port, 200, "1");
}
END_TEST

START_TEST(servers_follow_the_addresses_and_keep_connections_of_those_that_stay)
{
	static const char *const before[] = { "127.0.0.2", "127.0.0.3" };
	static const char *const after[] = { "127.0.0.4", "127.0.0.3" };
	struct fixture_reply reply;
	uint16_t port = fixture_free_port();
	int fd;

	use_addresses(4, before, 2);
	set("web", port, 1, 1);
	service_health_commit(health);
	fd = fixture_dial("127.0.0.3", port);
	fixture_turn();
	use_addresses(4, after, 2);
	service_health_commit(health);
	ck_assert(fixture_refuses("127.0.0.2", port));
	check_answer("127.0.0.4", port, 200, "1");
	fixture_send(fd, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	fixture_read(fd, NULL, &reply);
	ck_assert_int_eq(reply.status, 200);
	close(fd);

	ck_assert_int_eq(service_health_listen_at(health, 4, NULL, 0, true), 0);
	service_health_commit(health);
	check_answer("127.0.0.1", port, 200, "1");
	ck_assert_int_eq(failures, 0);
}
END_TEST

START_TEST(without_an_address_there_is_no_server_and_no_failure)
{
	static const char *const link_local[] = { "fe80::1" };
	uint16_t port = fixture_free_port();

	use_addresses(4, NULL, 0);
	use_addresses(6, link_local, 1);
	set("web", port, 1, 1);
	service_health_commit(health);
	ck_assert(fixture_refuses("127.0.0.1", port));
	ck_assert(fixture_refuses("::1", port));
	ck_assert_int_eq(failures, 0);
	ck_assert_uint_eq(service_health_failing(health), 0);
}
END_TEST

START_TEST(a_port_that_is_taken_is_told_once_and_opens_when_it_is_free)
{
	uint16_t taken, other = fixture_free_port();
	int fd = fixture_listener("127.0.0.1", &taken);
	char want[256];

	set_only("shop", "web", taken, 1, 0, 0);
	set("other", other, 1, 1);
	service_health_commit(health);
	ck_assert_int_eq(failures, 1);
	ck_assert_str_eq(failed_name, "shop/web");
	snprintf(want, sizeof(want),
		 "health check node port: listen on 0.0.0.0:%u: Address already in use", taken);
	ck_assert_str_eq(failed_why, want);
	ck_assert_uint_eq(service_health_failing(health), 1);
	check_answer("127.0.0.1", other, 200, "1");

	wait_ms(3 * RETRY_MS);
	ck_assert_int_eq(failures, 1);
	close(fd);
	wait_ms(3 * RETRY_MS);
	check_answer("127.0.0.1", taken, 200, "1");
	ck_assert_uint_eq(service_health_failing(health), 0);
	ck_assert_int_eq(failures, 1);
}
END_TEST

START_TEST(a_failure_at_another_port_is_told_anew)
{
	uint16_t a, b;
	int fd_a = fixture_listener("127.0.0.1", &a), fd_b = fixture_listener("127.0.0.1", &b);

	set_only("default", "web", a, 1, 0, 0);
	service_health_commit(health);
	set_only("default", "web", b, 1, 0, 0);
	service_health_commit(health);
	ck_assert_int_eq(failures, 2);
	set_only("default", "web", 0, 0, 0, 0);
	service_health_commit(health);
	ck_assert_uint_eq(service_health_failing(health), 0);
	close(fd_a);
	close(fd_b);
}
END_TEST

START_TEST(one_address_that_fails_leaves_the_others)
{
	static const char *const addresses[] = { "192.0.2.77", "127.0.0.2", "192.0.2.78" };
	uint16_t port = fixture_free_port();

	use_addresses(4, addresses, 3);
	set_only("default", "web", port, 1, 0, 0);
	service_health_commit(health);
	check_answer("127.0.0.2", port, 200, "1");
	ck_assert_uint_eq(service_health_failing(health), 2);
	wait_ms(3 * RETRY_MS);
	ck_assert_int_eq(failures, 1);
	ck_assert_ptr_nonnull(strstr(failed_why, "192.0.2.77"));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("service_health");
	TCase *servers = tcase_create("servers");

	tcase_add_checked_fixture(servers, start, stop);
	tcase_add_test(servers, every_recorded_answer_is_given);
	tcase_add_test(servers, a_service_passes_with_local_endpoints_and_a_healthy_proxy);
	tcase_add_test(servers, each_family_has_its_own_count);
	tcase_add_test(servers, a_family_that_the_service_has_not_is_not_served);
	tcase_add_test(servers, servers_open_with_the_commit);
	tcase_add_test(servers, a_changed_port_closes_the_old_one_at_once);
	tcase_add_test(servers, a_service_that_is_gone_has_no_server);
	tcase_add_test(servers, a_port_can_go_from_one_service_to_another_in_one_pass);
	tcase_add_test(servers, same_names_in_other_namespaces_are_other_services);
	tcase_add_test(servers, only_the_given_addresses_are_listened_at);
	tcase_add_test(servers,
		       servers_follow_the_addresses_and_keep_connections_of_those_that_stay);
	tcase_add_test(servers, without_an_address_there_is_no_server_and_no_failure);
	tcase_add_test(servers, a_port_that_is_taken_is_told_once_and_opens_when_it_is_free);
	tcase_add_test(servers, a_failure_at_another_port_is_told_anew);
	tcase_add_test(servers, one_address_that_fails_leaves_the_others);
	suite_add_tcase(s, servers);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed_tests;

	srunner_run_all(runner, CK_ENV);
	failed_tests = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed_tests != 0;
}
