/* SPDX-License-Identifier: Apache-2.0 */

/* The Kubernetes source and watches that go wrong. */

#include "kube_fixture.h"

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

/* What failed before the watch got on says nothing about what fails now. */
START_TEST(a_watch_that_got_on_begins_the_delays_anew)
{
	limits.times.backoff.min_ms = 1;
	for (int i = 0; i < 7; i++)
		fake_watch(FAKE_SERVICE, 500, "");
	start();
	UNTIL(fake_count(FAKE_SERVICE, true) == 8);
	send_service("ADDED", "web", 17);
	UNTIL(services() == 1);
	/* Half a second to one if this is the first failure, else a minute or two. */
	limits.times.backoff.min_ms = 500;
	limits.times.backoff.max_ms = 1 << 30;
	fake_end(FAKE_SERVICE, FAKE_BROKEN);
	UNTIL(fake_count(FAKE_SERVICE, true) == 9);
}
END_TEST

START_TEST(a_watch_that_lasted_begins_the_delays_anew)
{
	/* Nothing new comes by it, and the delay in question is that of lists. */
	for (int i = 0; i < 7; i++)
		fake_watch(FAKE_SERVICE, 410, "");
	limits.times.backoff.min_ms = 1;
	start();
	UNTIL(fake_count(FAKE_SERVICE, true) == 8);
	limits.times.settled_ms = 1;
	rest(20);
	limits.times.backoff.min_ms = 1 << 24;
	limits.times.backoff.max_ms = 1 << 30;
	send_error(410);
	UNTIL(fake_count(FAKE_SERVICE, true) == 9);
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

START_TEST(an_event_that_is_too_long_is_named_and_passed_over)
{
	sl_auto_mem char *rest_of_it = malloc(limits.line_max + 100);

	memset(rest_of_it, 'x', limits.line_max + 99);
	rest_of_it[limits.line_max + 99] = '\0';
	list_services("huge", "10", "");
	start();
	UNTIL(watching());
	fake_send(FAKE_SERVICE, "{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"name\":"
				"\"huge\",\"namespace\":\"shop\",\"a\":\"");
	fake_send(FAKE_SERVICE, rest_of_it);
	fake_send(FAKE_SERVICE, "\"}}}\n");
	send_service("ADDED", "small", 12);
	UNTIL(services() == 2);
	ck_assert_uint_eq(
		logged("Service shop/huge: watch: an event is longer than 65536 bytes, passed"), 1);
	ck_assert_uint_eq(fake_count(FAKE_SERVICE, false), 1);
	ck_assert_uint_eq(fake_count(FAKE_SERVICE, true), 1);
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
	/* A token file is read anew before a 401 counts; 504 is about the version. */
	bool quiet = watch_statuses[_i].status == 401 || watch_statuses[_i].status == 504;
	ck_assert_uint_eq(logged("warn  kube: Service: watch: "), quiet ? 0 : 1);
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
	limits.times.receive_ms = limits.times.answer_ms = 100;
	list_services("web", "10", "");
	start();
	UNTIL(fake_count(FAKE_SERVICE, true) == 2);
	ck_assert_uint_ge(logged("Service: watch: nothing received"), 1);
	ck_assert_uint_eq(services(), 1);
}
END_TEST

START_TEST(a_watch_with_events_is_not_silent)
{
	limits.times.receive_ms = limits.times.answer_ms = 400;
	start();
	UNTIL(watching());
	for (int i = 0; i < 12; i++) {
		send_service("MODIFIED", "web", 11 + i);
		rest(50);
	}
	ck_assert_uint_eq(fake_count(FAKE_SERVICE, true), 1);
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
	Suite *suite = suite_create("kube watch");
	TCase *watch = add_case(suite, "watch");
	SRunner *runner = srunner_create(suite);

	tcase_add_loop_test(watch, a_version_that_is_too_old_lists_again_and_removes_what_is_gone,
			    0, 2);
	tcase_add_test(watch, a_version_that_is_too_old_after_an_outage_does_not_wait);
	tcase_add_test(watch, a_server_that_finds_every_version_too_old_is_not_hammered);
	tcase_add_test(watch, a_watch_that_got_on_begins_the_delays_anew);
	tcase_add_test(watch, a_watch_that_lasted_begins_the_delays_anew);
	tcase_add_test(watch, another_error_event_is_logged_and_lists_again);
	tcase_add_loop_test(watch, a_bad_event_is_logged_and_what_worked_goes_on, 0,
			    (int)SL_COUNT(bad_events));
	tcase_add_test(watch, an_event_of_unknown_type_is_passed_over);
	tcase_add_test(watch, an_event_that_is_too_long_is_named_and_passed_over);
	tcase_add_test(watch, a_stream_that_breaks_is_watched_on_from_its_last_event);
	tcase_add_loop_test(watch, a_watch_that_is_refused_is_tried_again_or_lists, 0,
			    (int)SL_COUNT(watch_statuses));
	tcase_add_test(watch, a_watch_that_ends_at_once_is_not_opened_in_a_loop);
	tcase_add_test(watch, a_watch_that_never_gets_on_is_not_opened_in_a_loop);
	tcase_add_test(watch, a_silent_connection_is_given_up);
	tcase_add_test(watch, a_watch_with_events_is_not_silent);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
