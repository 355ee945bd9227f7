/* SPDX-License-Identifier: Apache-2.0 */

/* The Kubernetes source and watches that begin with all objects (S-282). */

#include "kube_fixture.h"

/* Switches the streams on; each kind but Services has no objects. */
static void setup_stream(void)
{
	setup();
	fake.streams_on = true;
}

/* The i-th stream of Services, which there must be. */
static struct fake_request stream(size_t i)
{
	for (size_t at = 0; at < fake.n_requests; at++)
		if (fake.requests[at].kind == FAKE_SERVICE && fake.requests[at].stream && i-- == 0)
			return fake.requests[at];
	ck_abort_msg("no such stream");
}

static size_t streams(void)
{
	size_t n = 0;

	pthread_mutex_lock(&fake.lock);
	for (size_t at = 0; at < fake.n_requests; at++)
		n += fake.requests[at].kind == FAKE_SERVICE && fake.requests[at].stream;
	pthread_mutex_unlock(&fake.lock);
	return n;
}

static void send_end(const char *version)
{
	char line[512];

	snprintf(line, sizeof(line),
		 "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Service\",\"apiVersion\":\"v1\","
		 "\"metadata\":{\"resourceVersion\":\"%s\",\"annotations\":"
		 "{\"k8s.io/initial-events-end\":\"true\"}}}}\n",
		 version);
	fake_send(FAKE_SERVICE, line);
}

/* Streams a and b, of version 10. */
static void start_with_two(void)
{
	start();
	UNTIL(streams() == 1);
	send_service("ADDED", "a", 3);
	send_service("ADDED", "b", 4);
	send_end("10");
	UNTIL(services() == 2);
}

START_TEST(it_asks_for_all_objects)
{
	start();
	UNTIL(streams() == 1);
	ck_assert_ptr_nonnull(strstr(stream(0).uri,
				     "/api/v1/services?watch=1&sendInitialEvents=true"
				     "&resourceVersionMatch=NotOlderThan&resourceVersion="
				     "&allowWatchBookmarks=true&timeoutSeconds="));
	ck_assert_ptr_nonnull(strstr(stream(0).uri, "&labelSelector=%21service"));
	ck_assert_uint_eq(fake_count(FAKE_SERVICE, false), 0);
}
END_TEST

START_TEST(objects_count_when_all_are_there)
{
	start();
	UNTIL(streams() == 1);
	send_service("ADDED", "a", 3);
	send_service("ADDED", "b", 4);
	send_service("MODIFIED", "a", 5);
	send_service("ADDED", "c", 6);
	send_service("DELETED", "c", 7);
	rest(50);
	ck_assert_uint_eq(services(), 0);
	ck_assert(!store_listed(store, OBJECT_SERVICE));
	size_t changed = n_changed;
	send_end("10");
	UNTIL(services() == 2);
	ck_assert(store_listed(store, OBJECT_SERVICE));
	ck_assert_uint_eq(n_changed, changed + 1);
	ck_assert_int_eq(find("a")->ports[0].port, 5);

	json_t *status = source_status(source);
	const json_t *kind = json_array_get(json_object_get(status, "kinds"), OBJECT_SERVICE);
	ck_assert_str_eq(json_string_value(json_object_get(kind, "listedBy")), "stream");
	ck_assert_str_eq(json_string_value(json_object_get(kind, "resourceVersion")), "10");
	ck_assert_int_eq(json_integer_value(json_object_get(kind, "lists")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(kind, "events")), 0);
	json_decref(status);
}
END_TEST

START_TEST(it_goes_on_as_a_watch)
{
	start_with_two();
	send_service("DELETED", "a", 11);
	UNTIL(services() == 1);
	ck_assert_uint_eq(fake_count(FAKE_SERVICE, true), 0);
	fake_end(FAKE_SERVICE, FAKE_CLEAN);
	UNTIL(fake_count(FAKE_SERVICE, true) == 1);
	ck_assert_ptr_nonnull(
		strstr(fake_request(FAKE_SERVICE, true, 0).uri, "resourceVersion=11&"));
	ck_assert_uint_eq(fake_count(FAKE_SERVICE, false), 0);
	ck_assert_uint_eq(logged("warn"), 0);
}
END_TEST

START_TEST(no_object_is_a_complete_list_too)
{
	start();
	UNTIL(streams() == 1);
	send_end("10");
	UNTIL(store_listed(store, OBJECT_SERVICE));
	ck_assert_uint_eq(services(), 0);
}
END_TEST

/* What was collected must not be mixed with what comes the next time. */
START_TEST(a_stream_that_breaks_before_its_end_is_thrown_away)
{
	start();
	UNTIL(streams() == 1);
	send_service("ADDED", "a", 3);
	fake_end(FAKE_SERVICE, FAKE_BROKEN);
	UNTIL(streams() == 2);
	ck_assert_uint_eq(services(), 0);
	ck_assert_uint_eq(logged("warn  kube: Service: watch list: "), 1);
	send_service("ADDED", "b", 4);
	send_end("10");
	UNTIL(services() == 1);
	ck_assert_ptr_nonnull(find("b"));
}
END_TEST

START_TEST(after_410_the_difference_is_applied)
{
	start_with_two();
	send_error(410);
	UNTIL(streams() == 2);
	ck_assert_ptr_nonnull(strstr(stream(1).uri, "&resourceVersion=10&"));
	send_service("ADDED", "b", 4);
	send_service("ADDED", "c", 21);
	rest(50);
	ck_assert_ptr_nonnull(find("a"));
	size_t changed = n_changed;
	send_end("30");
	UNTIL(find("c"));
	ck_assert_ptr_null(find("a"));
	ck_assert_ptr_nonnull(find("b"));
	ck_assert_uint_eq(n_changed, changed + 1);
}
END_TEST

static const struct {
	unsigned int status;
	const char *text;
} unknown_versions[] = {
	{ 410, "{\"code\":410}" },
	{ 504, "{\"code\":504}" },
	{ 200, "{\"type\":\"ERROR\",\"object\":{\"code\":410}}\n" },
	{ 200, "{\"type\":\"ERROR\",\"object\":{\"code\":504}}\n" },
};

START_TEST(a_version_that_the_server_lacks_is_left_out)
{
	start_with_two();
	fake_stream(FAKE_SERVICE, unknown_versions[_i].status, unknown_versions[_i].text);
	send_error(410);
	UNTIL(streams() == 3);
	ck_assert_ptr_nonnull(strstr(stream(1).uri, "&resourceVersion=10&"));
	ck_assert_ptr_nonnull(strstr(stream(2).uri, "&resourceVersion=&"));
	ck_assert_uint_eq(services(), 2);
	/* The one after that has a version again. */
	send_service("ADDED", "b", 4);
	send_end("5");
	UNTIL(services() == 1);
	send_error(410);
	UNTIL(streams() == 4);
	ck_assert_ptr_nonnull(strstr(stream(3).uri, "&resourceVersion=5&"));
}
END_TEST

/* A version that is too large for the server, as after a restore. */
START_TEST(a_watch_of_an_unknown_version_streams_without_one)
{
	start_with_two();
	send_error(504);
	UNTIL(streams() == 2);
	ck_assert_ptr_nonnull(strstr(stream(1).uri, "&resourceVersion=&"));
}
END_TEST

static const unsigned int refusals[] = { 400, 403, 422 };

START_TEST(pages_are_read_where_streams_are_refused)
{
	fake_stream(FAKE_SERVICE, refusals[_i], "{}");
	list_services("a b", "10", "");
	start();
	UNTIL(fake_count(FAKE_SERVICE, true) == 1);
	ck_assert_uint_eq(services(), 2);
	ck_assert_uint_eq(logged("Service: the API server does not stream lists"), 1);
	ck_assert_uint_eq(logged("warn"), 0);

	json_t *status = source_status(source);
	const json_t *kind = json_array_get(json_object_get(status, "kinds"), OBJECT_SERVICE);
	ck_assert_str_eq(json_string_value(json_object_get(kind, "listedBy")), "pages");
	json_decref(status);
}
END_TEST

/* A proxy or an old server may take it for an ordinary watch. */
START_TEST(pages_are_read_where_the_end_never_comes)
{
	limits.times.receive_ms = limits.times.answer_ms = 300;
	list_services("b", "10", "");
	start();
	UNTIL(streams() == 1);
	send_service("ADDED", "a", 3);
	if (_i)
		fake_end(FAKE_SERVICE, FAKE_CLEAN);
	UNTIL(fake_count(FAKE_SERVICE, true) >= 1);
	ck_assert_ptr_nonnull(find("b"));
	ck_assert_ptr_null(find("a"));
}
END_TEST

START_TEST(a_kind_that_the_server_lacks_is_no_failure)
{
	fake_stream(FAKE_CIDR, 404, "404 page not found");
	start();
	UNTIL(logged("ServiceCIDR: the API server does not have networking.k8s.io/v1") == 1);
	rest(50);
	ck_assert_uint_eq(fake_count(FAKE_CIDR, false), 0);
}
END_TEST

START_TEST(a_busy_server_is_left_alone_for_as_long_as_it_says)
{
	uint64_t began;

	start_with_two();
	fake_send(FAKE_SERVICE, "{\"type\":\"ERROR\",\"object\":{\"code\":429,\"details\":"
				"{\"retryAfterSeconds\":1}}}\n");
	began = uv_hrtime();
	UNTIL(fake_count(FAKE_SERVICE, true) == 1);
	ck_assert_uint_ge(uv_hrtime() - began, 950000000);
	ck_assert_uint_eq(streams(), 1);
}
END_TEST

START_TEST(what_can_not_be_read_keeps_what_was_known_of_it)
{
	start_with_two();
	send_error(410);
	UNTIL(streams() == 2);
	fake_send(FAKE_SERVICE,
		  "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Service\",\"apiVersion\":"
		  "\"v1\",\"metadata\":{\"name\":\"a\",\"namespace\":\"default\"},"
		  "\"spec\":{\"clusterIP\":\"10.96.0.1\",\"ports\":7}}}\n");
	if (_i) {
		sl_auto_mem char *huge = malloc(limits.line_max + 2);

		memset(huge, 'x', limits.line_max + 1);
		huge[limits.line_max + 1] = '\0';
		fake_send(FAKE_SERVICE, "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":"
					"\"b\",\"namespace\":\"default\",\"c\":\"");
		fake_send(FAKE_SERVICE, huge);
		fake_send(FAKE_SERVICE, "\"}}}\n");
	}
	send_end("30");
	UNTIL(logged("Service: streamed") == 2);
	ck_assert_ptr_nonnull(find("a"));
	ck_assert(_i ? find("b") != NULL : find("b") == NULL);
	ck_assert_uint_eq(logged("default/a"), 1);
	ck_assert_uint_eq(logged("default/b: watch: an event is longer than 65536 bytes; what was "
				 "known of it stays"),
			  _i ? 1 : 0);
}
END_TEST

START_TEST(it_can_be_freed_in_the_middle_of_a_stream)
{
	start();
	UNTIL(streams() == 1);
	send_service("ADDED", "a", 3);
	rest(20);
}
END_TEST

START_TEST(it_can_be_freed_by_the_one_it_tells_of_a_stream)
{
	start();
	UNTIL(streams() == 1);
	free_when_changed = true;
	send_service("ADDED", "a", 3);
	send_end("10");
	UNTIL(!source);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kube stream");
	TCase *tc = tcase_create("stream");
	SRunner *runner = srunner_create(suite);

	tcase_add_checked_fixture(tc, setup_stream, teardown);
	tcase_add_test(tc, it_asks_for_all_objects);
	tcase_add_test(tc, objects_count_when_all_are_there);
	tcase_add_test(tc, it_goes_on_as_a_watch);
	tcase_add_test(tc, no_object_is_a_complete_list_too);
	tcase_add_test(tc, a_stream_that_breaks_before_its_end_is_thrown_away);
	tcase_add_test(tc, after_410_the_difference_is_applied);
	tcase_add_loop_test(tc, a_version_that_the_server_lacks_is_left_out, 0,
			    (int)SL_COUNT(unknown_versions));
	tcase_add_test(tc, a_watch_of_an_unknown_version_streams_without_one);
	tcase_add_loop_test(tc, pages_are_read_where_streams_are_refused, 0,
			    (int)SL_COUNT(refusals));
	tcase_add_loop_test(tc, pages_are_read_where_the_end_never_comes, 0, 2);
	tcase_add_test(tc, a_kind_that_the_server_lacks_is_no_failure);
	tcase_add_test(tc, a_busy_server_is_left_alone_for_as_long_as_it_says);
	tcase_add_loop_test(tc, what_can_not_be_read_keeps_what_was_known_of_it, 0, 2);
	tcase_add_test(tc, it_can_be_freed_in_the_middle_of_a_stream);
	tcase_add_test(tc, it_can_be_freed_by_the_one_it_tells_of_a_stream);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
