/* SPDX-License-Identifier: Apache-2.0 */

/* /healthz and /livez: what they say of a state, and the server that says it. */

#include "controlplane/health/proxy_health.h"
#include "controlplane/httpd/listen.h"
#include "http_table.h"

#define TIMEOUT_MS PROXY_HEALTH_TIMEOUT_MS
#define RETRY_MS   30

/* A moment: `ms` after the begin, which is 2026-01-02T03:04:05Z. */
static struct proxy_time at(uint64_t ms)
{
	return (struct proxy_time) {
		.monotonic_ns = 7000000000ULL + ms * 1000000,
		.wall = { .tv_sec = 1767323045 + (time_t)(ms / 1000),
			  .tv_nsec = (long)(ms % 1000) * 1000000 },
	};
}

static void queued(struct proxy_state *state, enum proxy_family family, uint64_t ms)
{
	struct proxy_time now = at(ms);

	proxy_state_queued(state, family, &now);
}

static void updated(struct proxy_state *state, enum proxy_family family, uint64_t ms)
{
	struct proxy_time now = at(ms);

	proxy_state_updated(state, family, &now);
}

static bool is_healthy(const struct proxy_state *state, uint64_t ms)
{
	struct proxy_time now = at(ms);

	return proxy_state_healthy(state, &now, TIMEOUT_MS);
}

static struct node *parse_node(const char *text)
{
	json_t *json = json_loads(text, 0, NULL);
	char error[OBJECT_ERROR_MAX];
	struct node *node = NULL;

	ck_assert_msg(json && !node_parse(json, &node, error), "%s", error);
	json_decref(json);
	return node;
}

#define NODE(metadata, spec)                                                                       \
	"{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n\"" metadata           \
	"},\"spec\":{" spec "}}"
#define TAINT(key) "\"taints\":[{\"key\":\"" key "\",\"effect\":\"NoSchedule\"}]"

/* The Node objects that the recorded answers name. */
static struct node *node_called(const char *name)
{
	static const struct {
		const char *name, *text;
	} rows[] = {
		{ "plain", NODE("", "") },
		{ "unschedulable", NODE("", "\"unschedulable\":true") },
		{ "other taint", NODE("", TAINT("node.kubernetes.io/not-ready")) },
		{ "ToBeDeletedByClusterAutoscaler taint",
		  NODE("", TAINT("ToBeDeletedByClusterAutoscaler")) },
		{ "deletionTimestamp set",
		  NODE(",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"", "") },
		{ "node object not seen", NULL },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++)
		if (!strcmp(rows[i].name, name))
			return rows[i].text ? parse_node(rows[i].text) : NULL;
	ck_abort_msg("no node \"%s\"", name);
	return NULL;
}

START_TEST(a_node_is_eligible_unless_it_is_unknown_or_going)
{
	static const struct {
		const char *name;
		bool eligible;
	} rows[] = {
		{ "plain", true },
		{ "unschedulable", true },
		{ "other taint", true },
		{ "ToBeDeletedByClusterAutoscaler taint", false },
		{ "deletionTimestamp set", false },
		{ "node object not seen", false },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		struct node *node = node_called(rows[i].name);

		ck_assert_msg(proxy_node_eligible(node) == rows[i].eligible, "%s", rows[i].name);
		node_free(node);
	}
}
END_TEST

START_TEST(idle_and_beginning_are_healthy)
{
	struct proxy_state state = {};

	ck_assert(is_healthy(&state, 1000000));
	updated(&state, PROXY_IPV4, 0);
	updated(&state, PROXY_IPV6, 0);
	ck_assert(is_healthy(&state, 1000000000));
}
END_TEST

START_TEST(a_change_may_wait_up_to_the_timeout)
{
	struct proxy_state state = {};

	updated(&state, PROXY_IPV4, 0);
	queued(&state, PROXY_IPV4, 5000);
	ck_assert(is_healthy(&state, 5000));
	ck_assert(is_healthy(&state, 5000 + TIMEOUT_MS - 1));
	ck_assert(!is_healthy(&state, 5000 + TIMEOUT_MS));
}
END_TEST

START_TEST(the_first_waiting_change_counts)
{
	struct proxy_state state = {};

	updated(&state, PROXY_IPV4, 0);
	queued(&state, PROXY_IPV4, 1000);
	queued(&state, PROXY_IPV4, 50000);
	ck_assert(!is_healthy(&state, 1000 + TIMEOUT_MS));
}
END_TEST

START_TEST(a_finished_sync_heals_and_the_next_change_waits_anew)
{
	struct proxy_state state = {};

	updated(&state, PROXY_IPV4, 0);
	queued(&state, PROXY_IPV4, 1000);
	updated(&state, PROXY_IPV4, 200000);
	ck_assert(is_healthy(&state, 200000));
	queued(&state, PROXY_IPV4, 300000);
	ck_assert(is_healthy(&state, 300000 + TIMEOUT_MS - 1));
	ck_assert(!is_healthy(&state, 300000 + TIMEOUT_MS));
}
END_TEST

START_TEST(one_late_family_makes_all_unhealthy)
{
	struct proxy_state state = {};

	updated(&state, PROXY_IPV4, 0);
	updated(&state, PROXY_IPV6, 0);
	queued(&state, PROXY_IPV6, 0);
	ck_assert(!is_healthy(&state, TIMEOUT_MS));
	updated(&state, PROXY_IPV4, TIMEOUT_MS);
	ck_assert(!is_healthy(&state, TIMEOUT_MS));
	updated(&state, PROXY_IPV6, TIMEOUT_MS);
	ck_assert(is_healthy(&state, TIMEOUT_MS));
}
END_TEST

START_TEST(a_family_that_never_began_does_not_count)
{
	struct proxy_state state = {};

	queued(&state, PROXY_IPV6, 0);
	ck_assert(is_healthy(&state, 10 * TIMEOUT_MS));
}
END_TEST

START_TEST(times_are_rfc_3339_in_the_local_zone)
{
	static const struct {
		const char *zone;
		long ns;
		const char *want;
	} rows[] = {
		{ "UTC0", 0, "2026-01-02T03:04:05Z" },
		{ "UTC0", 1, "2026-01-02T03:04:05.000000001Z" },
		{ "UTC0", 123456789, "2026-01-02T03:04:05.123456789Z" },
		{ "UTC0", 120000000, "2026-01-02T03:04:05.12Z" },
		{ "CET-1", 500000000, "2026-01-02T04:04:05.5+01:00" },
		{ "IST-5:30", 0, "2026-01-02T08:34:05+05:30" },
		{ "NST3:30", 0, "2026-01-01T23:34:05-03:30" },
		{ "HST10", 70, "2026-01-01T17:04:05.00000007-10:00" },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		struct timespec when = { .tv_sec = 1767323045, .tv_nsec = rows[i].ns };
		char text[PROXY_TIME_MAX];

		setenv("TZ", rows[i].zone, 1);
		tzset();
		ck_assert_str_eq(proxy_time_format(&when, text), rows[i].want);
	}
}
END_TEST

static void check_body(const struct proxy_state *state, const char *node_name, const char *path,
		       uint64_t ms, unsigned int status, const char *want)
{
	struct httpd_response response = {};
	struct proxy_time now = at(ms);
	struct node *node = node_called(node_name);

	setenv("TZ", "UTC0", 1);
	tzset();
	proxy_state_answer(state, node, path, &now, TIMEOUT_MS, &response);
	ck_assert_str_eq(response.body, want);
	ck_assert_uint_eq(response.status, status);
	free(response.body);
	node_free(node);
}

START_TEST(bodies_have_kube_proxys_fields_in_its_order)
{
	struct proxy_state state = {};

	check_body(&state, "node object not seen", "/healthz", 0, 503,
		   "{\"lastUpdated\":\"0001-01-01T00:00:00Z\","
		   "\"currentTime\":\"2026-01-02T03:04:05Z\",\"nodeEligible\":false,"
		   "\"healthy\":true}");
	check_body(&state, "plain", "/livez", 0, 200,
		   "{\"lastUpdated\":\"2026-01-02T03:04:05Z\","
		   "\"currentTime\":\"2026-01-02T03:04:05Z\",\"healthy\":true}");
	updated(&state, PROXY_IPV4, 1000);
	updated(&state, PROXY_IPV6, 2500);
	check_body(&state, "plain", "/healthz", 9000, 200,
		   "{\"lastUpdated\":\"2026-01-02T03:04:14Z\","
		   "\"currentTime\":\"2026-01-02T03:04:14Z\",\"nodeEligible\":true,"
		   "\"healthy\":true,\"status\":{"
		   "\"IPv4\":{\"lastUpdated\":\"2026-01-02T03:04:06Z\",\"healthy\":true},"
		   "\"IPv6\":{\"lastUpdated\":\"2026-01-02T03:04:07.5Z\",\"healthy\":true}}}");
	queued(&state, PROXY_IPV4, 3000);
	check_body(&state, "plain", "/livez", 3000 + TIMEOUT_MS, 503,
		   "{\"lastUpdated\":\"2026-01-02T03:04:07.5Z\","
		   "\"currentTime\":\"2026-01-02T03:05:08Z\",\"healthy\":false,\"status\":{"
		   "\"IPv4\":{\"lastUpdated\":\"2026-01-02T03:04:06Z\",\"healthy\":false},"
		   "\"IPv6\":{\"lastUpdated\":\"2026-01-02T03:04:07.5Z\",\"healthy\":true}}}");
}
END_TEST

START_TEST(an_ineligible_node_is_told_with_the_last_sync)
{
	struct proxy_state state = {};

	updated(&state, PROXY_IPV4, 1000);
	check_body(&state, "deletionTimestamp set", "/healthz", 9000, 503,
		   "{\"lastUpdated\":\"2026-01-02T03:04:06Z\","
		   "\"currentTime\":\"2026-01-02T03:04:14Z\",\"nodeEligible\":false,"
		   "\"healthy\":true,\"status\":{"
		   "\"IPv4\":{\"lastUpdated\":\"2026-01-02T03:04:06Z\",\"healthy\":true}}}");
	check_body(&state, "deletionTimestamp set", "/livez", 9000, 200,
		   "{\"lastUpdated\":\"2026-01-02T03:04:14Z\","
		   "\"currentTime\":\"2026-01-02T03:04:14Z\",\"healthy\":true,\"status\":{"
		   "\"IPv4\":{\"lastUpdated\":\"2026-01-02T03:04:06Z\",\"healthy\":true}}}");
}
END_TEST

/* A server that answers for the state and node of a recorded case. */

static struct proxy_state recorded_state;
static struct node *recorded_node;
static struct proxy_time recorded_now;

static void answer_recorded(void *context, const struct httpd_request *request,
			    struct httpd_response *response)
{
	(void)context;
	proxy_state_answer(&recorded_state, recorded_node, request->path, &recorded_now, TIMEOUT_MS,
			   response);
}

static void make_state(const char *name)
{
	struct proxy_state *state = &recorded_state;
	bool late4 = !strcmp(name, "IPv4 queued longer ago than the timeout, IPv6 fine");
	bool late = !strcmp(name, "both queued longer ago than the timeout");
	bool applied = !strcmp(name, "both families: queued and applied");
	bool never = !strcmp(name, "queued but never updated at all");
	bool started = !strcmp(name, "started, nothing queued");

	ck_assert(late4 || late || applied || never || started || !strcmp(name, "no update ever"));
	*state = (struct proxy_state) {};
	recorded_now = at(1 + TIMEOUT_MS);
	for (int i = 0; i < PROXY_FAMILY_MAX; i++) {
		if (started || late || late4)
			updated(state, i, 0);
		if (late || never || applied || (late4 && i == PROXY_IPV4))
			queued(state, i, 1);
		if (applied)
			updated(state, i, 2);
	}
}

static void hide_time(json_t *object, const char *name)
{
	const char *text = table_text(object, name);
	int year, month, day, hour, minute, second;

	ck_assert_msg(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &year, &month, &day, &hour, &minute,
			     &second) == 6,
		      "%s", text);
	if (year != 1)
		json_object_set_new(object, name, json_string("TIME"));
}

/* The body as the tables write it: times hidden, keys sorted. */
static char *normal_body(const char *text)
{
	json_t *body = json_loads(text, 0, NULL), *family;
	const char *name;
	char *normal;

	if (!body)
		return strdup(text);
	hide_time(body, "lastUpdated");
	hide_time(body, "currentTime");
	json_object_foreach (json_object_get(body, "status"), name, family)
		hide_time(family, "lastUpdated");
	normal = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(body);
	return normal;
}

START_TEST(every_recorded_answer_is_given)
{
	json_t *cases = table_load(), *row;
	struct httpd_options options = {
		.loop = &loop, .name = "test", .clients_max = 8, .answer = answer_recorded
	};
	struct httpd *httpd;
	uint16_t port;
	size_t i, n = 0;

	options.fd = fixture_listener("127.0.0.1", &port);
	ck_assert_int_eq(httpd_new(&options, &httpd), 0);
	json_array_foreach (cases, i, row) {
		const json_t *state = json_object_get(row, "state");
		bool no_path = json_integer_value(json_object_get(row, "status")) == 404;
		struct fixture_reply reply;
		sl_auto_mem char *body = NULL;

		if (strcmp(table_text(row, "server"), "healthzBindAddress") != 0)
			continue;
		make_state(table_text(state, "proxy"));
		recorded_node = node_called(table_text(state, "node"));
		fixture_ask("127.0.0.1", port, table_text(row, "method"), table_text(row, "path"),
			    &reply);
		node_free(recorded_node);
		table_check_head(row, &reply, no_path ? NULL : "Content-Length:");
		body = normal_body(reply.body);
		ck_assert_msg(!strcmp(body, table_text(row, "body")), "%s: %s",
			      table_text(row, "id"), body);
		n++;
	}
	ck_assert_uint_eq(n, 54);
	json_decref(cases);
	httpd_free(httpd);
}
END_TEST

/* The server as the daemon has it. */

static struct proxy_health *health;
static const struct node *known_node;
static uint64_t clock_ms;
static uint16_t port;

static const struct node *node_of(void *context)
{
	ck_assert_ptr_eq(context, &clock_ms);
	return known_node;
}

static void tell_time(void *context, struct proxy_time *ret)
{
	ck_assert_ptr_eq(context, &clock_ms);
	*ret = at(clock_ms);
}

static int open_at(const char *address)
{
	const struct proxy_health_options options = {
		.loop = &loop,
		.address = address,
		.retry_ms = RETRY_MS,
		.node = node_of,
		.clock = tell_time,
		.context = &clock_ms,
	};

	return proxy_health_new(&options, &health);
}

static void begin(void)
{
	fixture_begin();
	health = NULL;
	known_node = NULL;
	clock_ms = 0;
}

static void end(void)
{
	proxy_health_free(health);
	fixture_end();
}

static void open_host(const char *host)
{
	char address[IP_TEXT_MAX];

	port = fixture_free_port();
	snprintf(address, sizeof(address), "%s:%u", host, port);
	ck_assert_int_eq(open_at(address), 0);
}

static int status_of(const char *path)
{
	struct fixture_reply reply;

	fixture_ask("127.0.0.1", port, "GET", path, &reply);
	return reply.status;
}

START_TEST(a_server_begins_healthy_in_both_families)
{
	static const struct node node = { .name = (char *)"n" };
	struct fixture_reply reply;

	open_host("0.0.0.0");
	known_node = &node;
	fixture_ask("127.0.0.1", port, "GET", "/healthz", &reply);
	ck_assert_int_eq(reply.status, 200);
	ck_assert_ptr_nonnull(strstr(reply.body, "\"lastUpdated\""));
	ck_assert_ptr_nonnull(strstr(reply.body, "\"IPv4\""));
	ck_assert_ptr_nonnull(strstr(reply.body, "\"IPv6\""));
	fixture_ask("::1", port, "GET", "/livez", &reply);
	ck_assert_int_eq(reply.status, 200);
	ck_assert_int_eq(status_of("/"), 404);
	ck_assert_int_eq(status_of("/healthz/"), 404);
}
END_TEST

START_TEST(the_node_is_looked_at_with_each_request)
{
	static const struct node good = { .name = (char *)"n" };
	static const struct node going = { .name = (char *)"n", .to_be_deleted = true };

	open_host("127.0.0.1");
	ck_assert_int_eq(status_of("/healthz"), 503);
	ck_assert_int_eq(status_of("/livez"), 200);
	known_node = &good;
	ck_assert_int_eq(status_of("/healthz"), 200);
	known_node = &going;
	ck_assert_int_eq(status_of("/healthz"), 503);
	ck_assert_int_eq(status_of("/livez"), 200);
}
END_TEST

START_TEST(a_sync_that_does_not_finish_turns_it_unhealthy_until_one_does)
{
	open_host("127.0.0.1");
	proxy_health_queued(health);
	clock_ms = TIMEOUT_MS - 1;
	ck_assert_int_eq(status_of("/livez"), 200);
	proxy_health_queued(health);
	clock_ms = TIMEOUT_MS;
	ck_assert_int_eq(status_of("/livez"), 503);
	ck_assert(!proxy_health_healthy(health));
	proxy_health_finished(health);
	ck_assert_int_eq(status_of("/livez"), 200);
	ck_assert(proxy_health_healthy(health));
}
END_TEST

START_TEST(an_ipv6_address_serves_only_itself)
{
	struct fixture_reply reply;

	open_host("[::1]");
	fixture_ask("::1", port, "GET", "/livez", &reply);
	ck_assert_int_eq(reply.status, 200);
	ck_assert(fixture_refuses("127.0.0.1", port));
}
END_TEST

START_TEST(without_an_address_there_is_a_state_but_no_server)
{
	ck_assert_int_eq(open_at(""), 0);
	proxy_health_queued(health);
	ck_assert(proxy_health_healthy(health));
	clock_ms = TIMEOUT_MS;
	ck_assert(!proxy_health_healthy(health));
}
END_TEST

START_TEST(what_is_no_address_is_refused)
{
	ck_assert_int_eq(open_at("localhost:10256"), -EINVAL);
	ck_assert_int_eq(open_at("0.0.0.0"), -EINVAL);
	ck_assert_ptr_null(health);
}
END_TEST

START_TEST(a_port_that_is_taken_is_tried_again)
{
	uint64_t until;
	char address[IP_TEXT_MAX];
	int fd = fixture_listener("127.0.0.1", &port);

	snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	ck_assert_int_eq(open_at(address), 0);
	close(fd);
	ck_assert(fixture_refuses("127.0.0.1", port));
	until = uv_hrtime() + 10 * RETRY_MS * 1000000ULL;
	while (fixture_refuses("127.0.0.1", port) && uv_hrtime() < until)
		fixture_turn();
	ck_assert_int_eq(status_of("/livez"), 200);
}
END_TEST

START_TEST(the_systems_clock_is_used_without_another)
{
	const struct proxy_health_options options = {
		.loop = &loop,
		.node = node_of,
		.context = &clock_ms,
	};

	ck_assert_int_eq(proxy_health_new(&options, &health), 0);
	proxy_health_queued(health);
	ck_assert(proxy_health_healthy(health));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("proxy_health");
	TCase *states = tcase_create("state"), *server = tcase_create("server");

	tcase_add_test(states, a_node_is_eligible_unless_it_is_unknown_or_going);
	tcase_add_test(states, idle_and_beginning_are_healthy);
	tcase_add_test(states, a_change_may_wait_up_to_the_timeout);
	tcase_add_test(states, the_first_waiting_change_counts);
	tcase_add_test(states, a_finished_sync_heals_and_the_next_change_waits_anew);
	tcase_add_test(states, one_late_family_makes_all_unhealthy);
	tcase_add_test(states, a_family_that_never_began_does_not_count);
	tcase_add_test(states, times_are_rfc_3339_in_the_local_zone);
	tcase_add_test(states, bodies_have_kube_proxys_fields_in_its_order);
	tcase_add_test(states, an_ineligible_node_is_told_with_the_last_sync);
	suite_add_tcase(s, states);
	tcase_add_checked_fixture(server, begin, end);
	tcase_add_test(server, every_recorded_answer_is_given);
	tcase_add_test(server, a_server_begins_healthy_in_both_families);
	tcase_add_test(server, the_node_is_looked_at_with_each_request);
	tcase_add_test(server, a_sync_that_does_not_finish_turns_it_unhealthy_until_one_does);
	tcase_add_test(server, an_ipv6_address_serves_only_itself);
	tcase_add_test(server, without_an_address_there_is_a_state_but_no_server);
	tcase_add_test(server, what_is_no_address_is_refused);
	tcase_add_test(server, a_port_that_is_taken_is_tried_again);
	tcase_add_test(server, the_systems_clock_is_used_without_another);
	suite_add_tcase(s, server);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
