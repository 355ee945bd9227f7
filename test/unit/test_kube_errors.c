/* SPDX-License-Identifier: Apache-2.0 */

/* The Kubernetes source and a server or a network that misbehaves: how it begins, and its lists. */

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
	const char *const urls[] = { url };

	snprintf(url, sizeof(url), "http://127.0.0.1:%u", fake.port);
	fake.port = 1;
	write_config("http", "");
	o.api_servers = urls;
	o.n_api_servers = 1;
	ck_assert_int_eq(kube_new(&o, &limits, &source, error), 0);
	UNTIL(watching());
}
END_TEST

START_TEST(a_server_that_is_down_is_found_when_it_comes)
{
	uint16_t port = fake.port;

	fake_stop();
	start();
	UNTIL(logged("Service: watch list: ") == 1);
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
	ck_assert_uint_eq(logged("Service: watch list: "), 1);
	ck_assert_uint_eq(logged("EndpointSlice: watch list: "), 1);
	ck_assert_uint_eq(logged("Node: watch list: "), 1);
}
END_TEST

START_TEST(an_error_that_stays_is_logged_again_with_its_count)
{
	fake_stop();
	limits.times.complain_ms = 150;
	start();
	UNTIL(logged("Service: watch list: ") == 2);
	ck_assert_uint_eq(logged("Service: watch list: "), 2);
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
	"{\"kind\":\"ServiceList\",\"metadata\":{\"resourceVersion\":\"20\"},\"items\":[{]}]}",
	/* The name of the items in another spelling: it can't be told what they are. */
	"{\"kind\":\"ServiceList\",\"metadata\":{\"resourceVersion\":\"20\"},"
	"\"item\\u0073\":[{\"metadata\":{\"name\":\"web\",\"namespace\":\"default\"}}]}",
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

START_TEST(an_object_that_is_too_long_is_named_and_stays)
{
	sl_auto_mem char *page = malloc(limits.line_max + 1000);
	int len = snprintf(page, 1000,
			   "{\"kind\":\"ServiceList\",\"metadata\":{\"resourceVersion\":\"20\"},"
			   "\"items\":[{\"metadata\":{\"name\":\"a\",\"namespace\":\"default\","
			   "\"uid\":\"");
	list_services("a b", "10", "");
	start();
	UNTIL(watching());
	memset(page + len, 'x', limits.line_max);
	strcpy(page + len + limits.line_max, "\"}}]}");
	fake_list(FAKE_SERVICE, 200, page);
	send_error(410);
	UNTIL(fake_count(FAKE_SERVICE, true) == 2);
	ck_assert_ptr_nonnull(find("a"));
	ck_assert_ptr_null(find("b"));
	ck_assert_uint_eq(logged("Service default/a: is longer than 65536 bytes; what was known of "
				 "it stays"),
			  1);
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

START_TEST(a_list_that_never_comes_is_given_up)
{
	limits.times.receive_ms = limits.times.answer_ms = 100;
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
	tcase_add_test(list, an_object_that_is_too_long_is_named_and_stays);
	tcase_add_test(list, a_continue_that_expired_lists_all_in_one);
	tcase_add_test(list, a_list_that_never_comes_is_given_up);
	tcase_add_test(list, retry_after_is_honoured);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
