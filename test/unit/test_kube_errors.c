/* SPDX-License-Identifier: Apache-2.0 */

/* The Kubernetes source and a server, a network or a token that misbehaves. */

#include "fake_tls.h"
#include "kube_fixture.h"

START_TEST(a_node_without_name_is_refused)
{
	struct source_options o = options();

	o.node_name = "";
	ck_assert_int_eq(source_kube_new(&o, &source, error), -EINVAL);
	ck_assert_ptr_nonnull(strstr(error, "node name"));
	ck_assert_ptr_null(source);
}
END_TEST

START_TEST(a_kubeconfig_that_is_not_there_is_refused)
{
	struct source_options o = options();

	o.kubeconfig = "/nowhere/config";
	ck_assert_int_eq(source_kube_new(&o, &source, error), -ENOENT);
	ck_assert_ptr_nonnull(strstr(error, "/nowhere/config"));
}
END_TEST

START_TEST(api_server_leads_elsewhere)
{
	struct source_options o = options();
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u", fake.port);
	fake.port = 1;
	write_config("http", "");
	o.api_server = url;
	ck_assert_int_eq(kube_new(&o, &limits, &source, error), 0);
	UNTIL(watching());
}
END_TEST

START_TEST(a_server_that_is_down_is_found_when_it_comes)
{
	uint16_t port = fake.port;

	fake_stop();
	start();
	UNTIL(logged("Service: list: ") == 1);
	list_services("web", "10", "");
	fake_start(port, NULL, NULL);
	UNTIL(watching());
	ck_assert_uint_eq(services(), 1);
	ck_assert_uint_eq(logged("Service: connected again"), 1);
}
END_TEST

START_TEST(a_server_that_goes_takes_nothing_with_it)
{
	uint16_t port = fake.port;

	list_services("web", "10", "");
	start();
	UNTIL(watching());
	send_service("ADDED", "api", 17);
	UNTIL(services() == 2);
	fake_stop();
	UNTIL(logged("Service: watch: ") >= 1);
	rest(100);
	ck_assert_uint_eq(services(), 2);

	json_t *status = source_status(source);
	ck_assert(json_is_false(json_object_get(status, "connected")));
	const char *why = json_string_value(json_object_get(status, "error"));
	ck_assert_ptr_nonnull(why);
	ck_assert_ptr_nonnull(strstr(why, ": watch: "));
	json_decref(status);

	fake_start(port, NULL, NULL);
	UNTIL(fake_count(FAKE_SERVICE, true) == 2);
	ck_assert_ptr_nonnull(
		strstr(fake_request(FAKE_SERVICE, true, 1).uri, "resourceVersion=17&"));
	ck_assert_uint_eq(fake_count(FAKE_SERVICE, false), 1);
}
END_TEST

START_TEST(the_same_error_is_logged_once)
{
	fake_stop();
	limits.times.backoff.max_ms = 20;
	start();
	rest(400);
	ck_assert_uint_eq(logged("Service: list: "), 1);
	ck_assert_uint_eq(logged("EndpointSlice: list: "), 1);
	ck_assert_uint_eq(logged("Node: list: "), 1);
}
END_TEST

START_TEST(an_error_that_stays_is_logged_again_with_its_count)
{
	fake_stop();
	limits.times.complain_ms = 150;
	start();
	UNTIL(logged("Service: list: ") == 2);
	ck_assert_uint_eq(logged("Service: list: "), 2);
	ck_assert_uint_ge(logged("repeated="), 1);
}
END_TEST

static const struct {
	unsigned int status;
	const char *body, *why;
} statuses[] = {
	{ 401, "{\"kind\":\"Status\",\"message\":\"Unauthorized\"}", "answered 401: Unauthorized" },
	{ 403, "{\"kind\":\"Status\",\"message\":\"services is forbidden\"}",
	  "answered 403: services is forbidden" },
	{ 404, "404 page not found", "answered 404" },
	{ 500, "{\"kind\":\"Status\",\"message\":\"etcd\"}", "answered 500: etcd" },
	{ 503, "<html>proxy</html>", "answered 503" },
	{ 302, "", "answered 302" },
};

START_TEST(a_list_that_is_refused_is_logged_and_tried_again)
{
	fake_list(FAKE_SERVICE, statuses[_i].status, statuses[_i].body);
	fake_list(FAKE_SERVICE, statuses[_i].status, statuses[_i].body);
	list_services("web", "10", "");
	start();
	UNTIL(services() == 1);
	ck_assert_uint_eq(fake_count(FAKE_SERVICE, false), 3);
	ck_assert_uint_eq(logged(statuses[_i].why), 1);
	ck_assert_uint_eq(logged("warn  kube: Service: list: "), 1);
}
END_TEST

/* S-240 */
START_TEST(a_server_without_service_cidrs_lacks_nothing)
{
	fake_list(FAKE_CIDR, 404, "404 page not found");
	start();
	UNTIL(watching() && fake_count(FAKE_SLICE, true) && fake_count(FAKE_NODE, true) &&
	      logged("ServiceCIDR: the API server does not have networking.k8s.io/v1") == 1);

	json_t *status = source_status(source);
	const json_t *cidrs = json_array_get(json_object_get(status, "kinds"), OBJECT_SERVICE_CIDR);
	ck_assert(json_is_true(json_object_get(status, "connected")));
	ck_assert_ptr_null(json_object_get(status, "error"));
	ck_assert_str_eq(json_string_value(json_object_get(cidrs, "kind")), "ServiceCIDR");
	ck_assert(json_is_false(json_object_get(cidrs, "listed")));
	json_decref(status);
	rest(100);
	ck_assert_uint_eq(fake_count(FAKE_CIDR, false), 1);
	ck_assert_uint_eq(fake_count(FAKE_CIDR, true), 0);
	ck_assert_uint_eq(logged("ServiceCIDR: list"), 0);
}
END_TEST

START_TEST(a_server_that_learns_of_service_cidrs_is_asked_again)
{
	limits.times.absent_ms = 20;
	fake_list(FAKE_CIDR, 404, "404 page not found");
	fake_list(FAKE_CIDR, 404, "404 page not found");
	start();
	UNTIL(store_listed(store, OBJECT_SERVICE_CIDR) && fake_count(FAKE_CIDR, true) == 1);
	ck_assert_uint_eq(fake_count(FAKE_CIDR, false), 3);
	ck_assert_uint_eq(logged("ServiceCIDR: the API server does not have"), 1);
}
END_TEST

START_TEST(service_cidrs_that_may_not_be_read_are_an_error)
{
	fake_list(FAKE_CIDR, 403, "{\"kind\":\"Status\",\"message\":\"forbidden\"}");
	start();
	UNTIL(logged("ServiceCIDR: list: answered 403: forbidden") == 1);
	UNTIL(store_listed(store, OBJECT_SERVICE_CIDR));
}
END_TEST

START_TEST(a_list_that_fails_between_pages_begins_again_and_removes_nothing)
{
	list_services("a b", "10", "");
	start();
	UNTIL(watching());
	list_services("a", "20", "t1");
	fake_list(FAKE_SERVICE, _i == 0 ? 500 : 200, "oops");
	list_services("a", "21", "t2");
	fake_push(&fake.lists[FAKE_SERVICE], (struct fake_answer) { .status = 200, .held = true });
	send_error(410);
	UNTIL(fake_count(FAKE_SERVICE, false) == 5);
	ck_assert_uint_eq(services(), 2);
	ck_assert_ptr_null(strstr(fake_request(FAKE_SERVICE, false, 3).uri, "continue="));
	ck_assert_ptr_nonnull(strstr(fake_request(FAKE_SERVICE, false, 4).uri, "continue=t2"));
}
END_TEST

START_TEST(a_list_that_is_cut_off_removes_nothing)
{
	list_services("a b", "10", "");
	start();
	UNTIL(watching());

	struct fake_answer cut = fake_text(200, "{\"kind\":\"ServiceList\",\"metadata\":"
						"{\"resourceVersion\":\"20\"},\"items\":[");
	cut.broken = true;
	fake_push(&fake.lists[FAKE_SERVICE], cut);
	list_services("a b c", "21", "");
	send_error(410);
	UNTIL(fake_count(FAKE_SERVICE, false) == 2);
	ck_assert_uint_eq(services(), 2);
	UNTIL(services() == 3);
	ck_assert_uint_eq(logged("warn  kube: Service: list: "), 1);
}
END_TEST

static const char *const no_lists[] = {
	"",
	"not JSON at all",
	"{}",
	"[]",
	"{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"20\"},\"items\":[]}",
	"{\"kind\":\"ServiceList\",\"items\":[]}",
	"{\"kind\":\"ServiceList\",\"metadata\":{\"resourceVersion\":\"\"},\"items\":[]}",
	"{\"kind\":\"ServiceList\",\"metadata\":{\"resourceVersion\":\"20\"},\"items\":{}}",
};

START_TEST(what_is_no_list_removes_nothing)
{
	list_services("web", "10", "");
	start();
	UNTIL(watching());
	fake_list(FAKE_SERVICE, 200, no_lists[_i]);
	fake_push(&fake.lists[FAKE_SERVICE], (struct fake_answer) { .status = 200, .held = true });
	send_error(410);
	UNTIL(fake_count(FAKE_SERVICE, false) == 3);
	ck_assert_uint_eq(services(), 1);
	ck_assert_uint_eq(logged("warn  kube: Service: list: "), 1);
}
END_TEST

START_TEST(a_malformed_object_leaves_the_others)
{
	sl_auto_mem char *web = service("web", 5);
	char page[2048];

	snprintf(page, sizeof(page),
		 "{\"kind\":\"ServiceList\",\"metadata\":{\"resourceVersion\":\"10\"},\"items\":["
		 "17, {\"metadata\":{\"name\":\"bad\",\"namespace\":\"default\"},\"spec\":"
		 "{\"clusterIP\":\"10.96.0.1\",\"ports\":\"none\"}}, %s]}",
		 web);
	fake_list(FAKE_SERVICE, 200, page);
	start();
	UNTIL(watching());
	ck_assert_ptr_nonnull(find("web"));
	ck_assert_uint_eq(logged("an item is no object"), 1);
	ck_assert_uint_eq(logged("default/bad"), 1);
}
END_TEST

START_TEST(what_is_left_out_of_an_object_is_told_once)
{
	static const char page[] =
		"{\"kind\":\"EndpointSliceList\",\"metadata\":{\"resourceVersion\":\"10\"},"
		"\"items\":[{\"metadata\":{\"name\":\"names\",\"namespace\":\"default\"},"
		"\"addressType\":\"FQDN\"}]}";

	fake_list(FAKE_SLICE, 200, page);
	fake_list(FAKE_SLICE, 200, page);
	fake_watch(FAKE_SLICE, 410, "");
	start();
	UNTIL(fake_count(FAKE_SLICE, true) == 2);
	ck_assert_uint_eq(logged("default/names: addressType: slice ignored"), 1);
}
END_TEST

START_TEST(a_continue_that_expired_lists_all_in_one)
{
	list_services("a", "10", "t1");
	fake_list(FAKE_SERVICE, 410, "{\"kind\":\"Status\",\"reason\":\"Expired\",\"code\":410}");
	list_services("a b", "11", "");
	start();
	UNTIL(watching());
	ck_assert_uint_eq(services(), 2);

	struct fake_request whole = fake_request(FAKE_SERVICE, false, 2);
	ck_assert_ptr_null(strstr(whole.uri, "limit="));
	ck_assert_ptr_null(strstr(whole.uri, "continue="));
	ck_assert_ptr_nonnull(strstr(whole.uri, "services?labelSelector="));
	ck_assert_uint_eq(logged("warn"), 0);
}
END_TEST

START_TEST(a_version_that_is_too_old_lists_again_and_removes_what_is_gone)
{
	list_services("a b", "10", "");
	start();
	UNTIL(watching());
	list_services("b c", "20", "");
	if (_i == 0) {
		send_error(410);
	} else {
		fake_watch(FAKE_SERVICE, 410, "{\"kind\":\"Status\",\"code\":410}");
		fake_end(FAKE_SERVICE, FAKE_CLEAN);
	}
	UNTIL(find("c"));
	ck_assert_ptr_null(find("a"));
	ck_assert_ptr_nonnull(find("b"));
	UNTIL(strstr(fake_request(FAKE_SERVICE, true, fake_count(FAKE_SERVICE, true) - 1).uri,
		     "resourceVersion=20&"));
}
END_TEST

START_TEST(a_version_that_is_too_old_after_an_outage_does_not_wait)
{
	fake_watch(FAKE_SERVICE, 500, "");
	start();
	UNTIL(fake_count(FAKE_SERVICE, true) == 2);
	limits.times.backoff.min_ms = 60000;
	limits.times.backoff.max_ms = 60000;
	send_error(410);
	UNTIL(fake_count(FAKE_SERVICE, false) == 2);
}
END_TEST

START_TEST(a_server_that_finds_every_version_too_old_is_not_hammered)
{
	for (int i = 0; i < 30; i++)
		fake_watch(FAKE_SERVICE, 410, "");
	limits.times.backoff.min_ms = 100;
	start();
	rest(350);
	ck_assert_uint_ge(fake_count(FAKE_SERVICE, false), 2);
	ck_assert_uint_le(fake_count(FAKE_SERVICE, false), 5);
}
END_TEST

START_TEST(another_error_event_is_logged_and_lists_again)
{
	list_services("web", "10", "");
	start();
	UNTIL(watching());
	list_services("web", "20", "");
	send_error(500);
	UNTIL(fake_count(FAKE_SERVICE, true) == 2);
	ck_assert_uint_eq(fake_count(FAKE_SERVICE, false), 2);
	ck_assert_uint_eq(logged("Service: watch: ERROR event 500: what a pity"), 1);
	ck_assert_uint_eq(services(), 1);
}
END_TEST

static const struct {
	const char *line, *why;
} bad_events[] = {
	{ "garbage\n", "an event is not JSON" },
	{ "[]\n", "an event without type or object" },
	{ "{\"type\":\"ADDED\"}\n", "an event without type or object" },
	{ "{\"type\":\"ADDED\",\"object\":[]}\n", "an event without type or object" },
};

START_TEST(a_bad_event_is_logged_and_what_worked_goes_on)
{
	list_services("web", "10", "");
	start();
	UNTIL(watching());
	send_service("ADDED", "api", 11);
	fake_send(FAKE_SERVICE, bad_events[_i].line);
	list_services("web api", "20", "");
	UNTIL(fake_count(FAKE_SERVICE, true) == 2);
	ck_assert_uint_eq(services(), 2);
	ck_assert_uint_eq(logged(bad_events[_i].why), 1);
	send_service("ADDED", "new", 21);
	UNTIL(services() == 3);
}
END_TEST

START_TEST(an_event_of_unknown_type_is_passed_over)
{
	start();
	UNTIL(watching());
	send_service("RENAMED", "web", 11);
	send_service("ADDED", "api", 12);
	UNTIL(services() == 1);
	ck_assert_ptr_nonnull(find("api"));
	ck_assert_uint_eq(fake_count(FAKE_SERVICE, true), 1);
	ck_assert_uint_eq(logged("unknown type"), 1);
}
END_TEST

START_TEST(an_event_that_is_too_long_is_named_and_lists_again)
{
	sl_auto_mem char *rest_of_it = malloc(limits.line_max + 100);

	memset(rest_of_it, 'x', limits.line_max + 99);
	rest_of_it[limits.line_max + 99] = '\0';
	start();
	UNTIL(watching());
	list_services("huge", "20", "");
	fake_send(FAKE_SERVICE, "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"huge\",");
	fake_send(FAKE_SERVICE, rest_of_it);
	UNTIL(services() == 1);
	ck_assert_uint_eq(logged("Service: watch: an event is longer than 65536 bytes"), 1);
	ck_assert_uint_eq(logged("\"name\":\"huge\""), 1);
}
END_TEST

START_TEST(a_stream_that_breaks_is_watched_on_from_its_last_event)
{
	start();
	UNTIL(watching());
	send_service("ADDED", "web", 17);
	fake_end(FAKE_SERVICE, FAKE_BROKEN);
	UNTIL(fake_count(FAKE_SERVICE, true) == 2);
	ck_assert_ptr_nonnull(
		strstr(fake_request(FAKE_SERVICE, true, 1).uri, "resourceVersion=17&"));
	ck_assert_uint_eq(fake_count(FAKE_SERVICE, false), 1);
	ck_assert_uint_eq(services(), 1);
	ck_assert_uint_eq(logged("warn  kube: Service: watch: "), 1);
}
END_TEST

static const struct {
	unsigned int status;
	bool lists;
} watch_statuses[] = {
	{ 401, false }, { 403, false }, { 429, false }, { 500, false },
	{ 503, false }, { 400, true },	{ 404, true },	{ 504, true },
};

START_TEST(a_watch_that_is_refused_is_tried_again_or_lists)
{
	list_services("web", "10", "");
	fake_watch(FAKE_SERVICE, watch_statuses[_i].status, "");
	start();
	UNTIL(fake_count(FAKE_SERVICE, true) == 2);
	ck_assert_uint_eq(fake_count(FAKE_SERVICE, false), watch_statuses[_i].lists ? 2 : 1);
	/* A token file is read anew before a 401 counts. */
	ck_assert_uint_eq(logged("warn  kube: Service: watch: "),
			  watch_statuses[_i].status == 401 ? 0 : 1);
}
END_TEST

START_TEST(a_watch_that_ends_at_once_is_not_opened_in_a_loop)
{
	for (int i = 0; i < 30; i++)
		fake_watch(FAKE_SERVICE, 200, "");
	limits.times.short_ms = 1000;
	limits.times.backoff.min_ms = 100;
	start();
	rest(350);
	ck_assert_uint_ge(fake_count(FAKE_SERVICE, true), 2);
	ck_assert_uint_le(fake_count(FAKE_SERVICE, true), 4);
	ck_assert_uint_eq(logged("Service: watch: ended at once"), 1);
	ck_assert_uint_eq(fake_count(FAKE_SERVICE, false), 1);
}
END_TEST

START_TEST(a_watch_that_never_gets_on_is_not_opened_in_a_loop)
{
	list_services("web", "10", "");
	for (int i = 0; i < 30; i++)
		fake_watch(FAKE_SERVICE, 200,
			   "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":"
			   "{\"resourceVersion\":\"10\"}}}\n");
	limits.times.short_ms = 1000;
	limits.times.backoff.min_ms = 100;
	start();
	rest(350);
	ck_assert_uint_ge(fake_count(FAKE_SERVICE, true), 2);
	ck_assert_uint_le(fake_count(FAKE_SERVICE, true), 4);
	ck_assert_uint_eq(logged("Service: watch: ended at once"), 1);
}
END_TEST

START_TEST(a_silent_connection_is_given_up)
{
	limits.times.receive_ms = 100;
	list_services("web", "10", "");
	start();
	UNTIL(fake_count(FAKE_SERVICE, true) == 2);
	ck_assert_uint_ge(logged("Service: watch: nothing received"), 1);
	ck_assert_uint_eq(services(), 1);
}
END_TEST

START_TEST(a_watch_with_events_is_not_silent)
{
	limits.times.receive_ms = 400;
	start();
	UNTIL(watching());
	for (int i = 0; i < 12; i++) {
		send_service("MODIFIED", "web", 11 + i);
		rest(50);
	}
	ck_assert_uint_eq(fake_count(FAKE_SERVICE, true), 1);
}
END_TEST

START_TEST(a_list_that_never_comes_is_given_up)
{
	limits.times.receive_ms = 100;
	fake_push(&fake.lists[FAKE_SERVICE], (struct fake_answer) { .status = 200, .held = true });
	list_services("web", "10", "");
	start();
	UNTIL(services() == 1);
	ck_assert_uint_eq(logged("Service: list: nothing received"), 1);
}
END_TEST

START_TEST(retry_after_is_honoured)
{
	struct fake_answer busy = fake_text(429, "");

	busy.header = "Retry-After";
	busy.value = "1";
	fake_push(&fake.lists[FAKE_SERVICE], busy);
	uint64_t began = uv_hrtime();
	start();
	UNTIL(fake_count(FAKE_SERVICE, false) == 2);
	ck_assert_uint_ge(uv_hrtime() - began, 950000000);
}
END_TEST

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
	UNTIL(logged("Service: list: SSL") == 1);
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
	UNTIL(logged("Service: list: SSL") == 1);
	ck_assert_uint_eq(fake.n_requests, 0);
	remove_ca();
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
	Suite *suite = suite_create("kube errors");
	TCase *begin = add_case(suite, "begin");
	TCase *list = add_case(suite, "list");
	TCase *watch = add_case(suite, "watch");
	TCase *token = add_case(suite, "token");
	TCase *tls = add_case(suite, "tls");
	SRunner *runner = srunner_create(suite);

	tcase_add_test(begin, a_node_without_name_is_refused);
	tcase_add_test(begin, a_kubeconfig_that_is_not_there_is_refused);
	tcase_add_test(begin, api_server_leads_elsewhere);
	tcase_add_test(begin, a_server_that_is_down_is_found_when_it_comes);
	tcase_add_test(begin, a_server_that_goes_takes_nothing_with_it);
	tcase_add_test(begin, the_same_error_is_logged_once);
	tcase_add_test(begin, an_error_that_stays_is_logged_again_with_its_count);

	tcase_add_loop_test(list, a_list_that_is_refused_is_logged_and_tried_again, 0,
			    (int)SL_COUNT(statuses));
	tcase_add_test(list, a_server_without_service_cidrs_lacks_nothing);
	tcase_add_test(list, a_server_that_learns_of_service_cidrs_is_asked_again);
	tcase_add_test(list, service_cidrs_that_may_not_be_read_are_an_error);
	tcase_add_loop_test(list, a_list_that_fails_between_pages_begins_again_and_removes_nothing,
			    0, 2);
	tcase_add_test(list, a_list_that_is_cut_off_removes_nothing);
	tcase_add_loop_test(list, what_is_no_list_removes_nothing, 0, (int)SL_COUNT(no_lists));
	tcase_add_test(list, a_malformed_object_leaves_the_others);
	tcase_add_test(list, what_is_left_out_of_an_object_is_told_once);
	tcase_add_test(list, a_continue_that_expired_lists_all_in_one);
	tcase_add_test(list, a_list_that_never_comes_is_given_up);
	tcase_add_test(list, retry_after_is_honoured);

	tcase_add_loop_test(watch, a_version_that_is_too_old_lists_again_and_removes_what_is_gone,
			    0, 2);
	tcase_add_test(watch, a_version_that_is_too_old_after_an_outage_does_not_wait);
	tcase_add_test(watch, a_server_that_finds_every_version_too_old_is_not_hammered);
	tcase_add_test(watch, another_error_event_is_logged_and_lists_again);
	tcase_add_loop_test(watch, a_bad_event_is_logged_and_what_worked_goes_on, 0,
			    (int)SL_COUNT(bad_events));
	tcase_add_test(watch, an_event_of_unknown_type_is_passed_over);
	tcase_add_test(watch, an_event_that_is_too_long_is_named_and_lists_again);
	tcase_add_test(watch, a_stream_that_breaks_is_watched_on_from_its_last_event);
	tcase_add_loop_test(watch, a_watch_that_is_refused_is_tried_again_or_lists, 0,
			    (int)SL_COUNT(watch_statuses));
	tcase_add_test(watch, a_watch_that_ends_at_once_is_not_opened_in_a_loop);
	tcase_add_test(watch, a_watch_that_never_gets_on_is_not_opened_in_a_loop);
	tcase_add_test(watch, a_silent_connection_is_given_up);
	tcase_add_test(watch, a_watch_with_events_is_not_silent);

	tcase_add_test(token, a_refused_token_is_read_again_at_once);
	tcase_add_test(token, a_token_that_stays_refused_is_tried_with_delays);
	tcase_add_test(token, a_token_file_that_is_gone_leaves_the_old_token);

	tcase_add_test(tls, https_is_verified_by_the_ca);
	tcase_add_test(tls, a_certificate_of_another_ca_is_refused);
	tcase_add_test(tls, tls_server_name_is_what_is_verified);
	tcase_add_test(tls, a_wrong_tls_server_name_is_refused);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
