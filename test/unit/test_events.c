/* SPDX-License-Identifier: Apache-2.0 */

/* Events on their way to an API server, and what they say. */

#include "kube_fixture.h"

#include "controlplane/events/document.h"
#include "controlplane/events/events.h"
#include "controlplane/events/limit.h"

static struct events *events;

static const struct event port_taken = {
	.kind = "Service",
	.namespace_ = "shop",
	.name = "web",
	.type = EVENT_WARNING,
	.reason = "FailedToStartServiceHealthcheck",
	.action = "Listen",
	.note = "port 31000 is in use",
};

static const struct event starting = {
	.kind = "Node",
	.name = "node-1",
	.type = EVENT_NORMAL,
	.reason = "Starting",
	.action = "Start",
	.note = "",
};

static void setup_events(void)
{
	setup();
	start();
	events = events_new(&loop, source, "node-1");
	ck_assert_ptr_nonnull(events);
	uv_update_time(&loop);
}

static void teardown_events(void)
{
	events_free(events);
	teardown();
}

static size_t posted(void)
{
	return fake_count(FAKE_EVENT, false);
}

/* An event about the i-th of many Services. */
static void emit_about(int i)
{
	struct event event = port_taken;
	char name[16];

	snprintf(name, sizeof(name), "web-%d", i);
	event.name = name;
	events_emit(events, &event);
}

static const char *text_at(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

START_TEST(an_event_is_posted_to_the_namespace_of_its_object)
{
	events_emit(events, &port_taken);
	UNTIL(posted() == 1);

	struct fake_request request = fake_request(FAKE_EVENT, false, 0);
	json_t *json = json_loads(request.body, 0, NULL);

	ck_assert_ptr_nonnull(json);
	ck_assert_str_eq(request.uri, "/apis/events.k8s.io/v1/namespaces/shop/events");
	ck_assert_str_eq(request.authorization, "Bearer first-token");
	ck_assert_str_eq(text_at(json, "reason"), "FailedToStartServiceHealthcheck");
	ck_assert_uint_eq(logged("warn  events: Service shop/web: "
				 "FailedToStartServiceHealthcheck: port 31000 is in use"),
			  1);
	json_decref(json);
}
END_TEST

START_TEST(an_event_about_the_node_is_posted_to_the_default_namespace)
{
	events_emit(events, &starting);
	UNTIL(posted() == 1);
	ck_assert_str_eq(fake_request(FAKE_EVENT, false, 0).uri,
			 "/apis/events.k8s.io/v1/namespaces/default/events");
	ck_assert_uint_eq(logged("info  events: Node node-1: Starting"), 1);
}
END_TEST

START_TEST(the_same_reason_about_the_same_object_is_told_once)
{
	struct event other = port_taken;

	other.note = "port 31001 is in use";
	events_emit(events, &port_taken);
	events_emit(events, &port_taken);
	events_emit(events, &other);
	other.reason = "Other";
	events_emit(events, &other);
	UNTIL(posted() == 2);
	rest(50);
	ck_assert_uint_eq(posted(), 2);
	ck_assert_uint_eq(logged("FailedToStartServiceHealthcheck"), 1);
}
END_TEST

START_TEST(events_are_sent_in_order_and_one_by_one)
{
	for (int i = 0; i < 10; i++)
		emit_about(i);
	UNTIL(posted() == 10);
	for (size_t i = 0; i < 10; i++) {
		char name[32];

		snprintf(name, sizeof(name), "\"name\":\"web-%zu\"", i);
		ck_assert_ptr_nonnull(strstr(fake_request(FAKE_EVENT, false, i).body, name));
	}
}
END_TEST

START_TEST(a_flood_ends_at_the_burst)
{
	for (int i = 0; i < 1000; i++)
		emit_about(i);
	UNTIL(posted() == EVENTS_BURST);
	rest(50);
	ck_assert_uint_eq(posted(), EVENTS_BURST);
	ck_assert_uint_eq(logged("events: Service"), EVENTS_BURST);
}
END_TEST

START_TEST(a_refused_event_is_told_and_the_next_one_sent)
{
	fake_list(FAKE_EVENT, 403, "{\"message\":\"events is forbidden\"}");
	emit_about(1);
	emit_about(2);
	UNTIL(posted() == 2);
	UNTIL(logged("refused: answered 403: {\"message\":\"events is forbidden\"}") == 1);
	rest(50);
	ck_assert_uint_eq(posted(), 2);
}
END_TEST

static const unsigned int passing[] = { 401, 429, 500, 503 };

START_TEST(an_event_that_a_busy_server_turns_away_is_sent_again)
{
	fake_list(FAKE_EVENT, passing[_i], "");
	emit_about(1);
	UNTIL(posted() == 2);
	ck_assert_ptr_nonnull(strstr(fake_request(FAKE_EVENT, false, 0).body, "web-1"));
	ck_assert_ptr_nonnull(strstr(fake_request(FAKE_EVENT, false, 1).body, "web-1"));
	/* A token file is read anew before a 401 counts. */
	ck_assert_uint_eq(logged("can't be sent yet: answered"), passing[_i] == 401 ? 0 : 1);
}
END_TEST

START_TEST(events_wait_while_the_server_is_away)
{
	uint16_t port = fake.port;

	fake_stop();
	emit_about(1);
	emit_about(2);
	UNTIL(logged("FailedToStartServiceHealthcheck of Service web-1: can't be sent yet") == 1);
	fake_start(port, NULL, NULL);
	UNTIL(posted() == 2);
	ck_assert_uint_eq(logged("can't be sent yet"), 1);
}
END_TEST

START_TEST(they_can_be_freed_at_any_time)
{
	fake_push(&fake.lists[FAKE_EVENT], (struct fake_answer) { .status = 201, .held = true });
	for (int i = 0; i < 5; i++)
		emit_about(i);
	for (int i = 0; i < _i; i++)
		turn();
}
END_TEST

START_TEST(without_a_source_events_are_only_logged)
{
	events_free(events);
	events = events_new(&loop, NULL, "node-1");
	events_emit(events, &port_taken);
	ck_assert_uint_eq(logged("FailedToStartServiceHealthcheck"), 1);
	rest(20);
	ck_assert_uint_eq(posted(), 0);
	events_emit(NULL, &port_taken);
}
END_TEST

START_TEST(a_source_of_manifests_only_logs_them)
{
	struct source_options o = options();
	struct source *manifests = NULL;

	o.folder = folder;
	ck_assert_int_eq(source_manifests_new(&o, &manifests, error), 0);
	events_free(events);
	events = events_new(&loop, manifests, "node-1");
	emit_about(1);
	emit_about(2);
	ck_assert_uint_eq(logged("FailedToStartServiceHealthcheck"), 2);
	rest(20);
	ck_assert_uint_eq(posted(), 0);
	ck_assert_uint_eq(logged("can't be sent"), 0);
	source_free(manifests);
}
END_TEST

static const struct timeval when = { .tv_sec = 1767323045, .tv_usec = 678 };

static json_t *document_of(const struct event *event, const char *node)
{
	sl_auto_mem char *text = document_text(event, node, when);

	ck_assert_ptr_nonnull(text);
	json_t *json = json_loads(text, 0, NULL);
	ck_assert_ptr_nonnull(json);
	return json;
}

static void assert_document(const struct event *event, const char *want)
{
	json_t *json = document_of(event, "node-1");
	json_t *wanted = json_loads(want, 0, NULL);

	ck_assert_ptr_nonnull(wanted);
	if (!json_equal(json, wanted))
		ck_abort_msg("is %s", json_dumps(json, JSON_COMPACT));
	json_decref(json);
	json_decref(wanted);
}

START_TEST(the_document_has_all_that_the_api_server_asks_for)
{
	assert_document(
		&port_taken,
		"{\"apiVersion\":\"events.k8s.io/v1\",\"kind\":\"Event\",\"metadata\":{\"name\":"
		"\"web.6475ef64cf5e6\",\"namespace\":\"shop\"},\"eventTime\":"
		"\"2026-01-02T03:04:05.000678Z\",\"type\":\"Warning\",\"reason\":"
		"\"FailedToStartServiceHealthcheck\",\"action\":\"Listen\","
		"\"reportingController\":\"sluice\",\"reportingInstance\":\"sluice-node-1\","
		"\"regarding\":{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"namespace\":\"shop\","
		"\"name\":\"web\"},\"note\":\"port 31000 is in use\"}");
}
END_TEST

START_TEST(the_document_of_a_service_has_its_uid)
{
	struct event event = port_taken;

	event.uid = uid_parse("01234567-89ab-cdef-fedc-ba9876543210");
	json_t *json = document_of(&event, "node-1");

	ck_assert_str_eq(text_at(json_object_get(json, "regarding"), "uid"),
			 "01234567-89ab-cdef-fedc-ba9876543210");
	json_decref(json);
}
END_TEST

START_TEST(a_note_that_is_not_utf8_is_told_all_the_same)
{
	struct event event = port_taken;

	event.note = "\"gr\xc3\" is no CIDR";
	json_t *json = document_of(&event, "node-1");

	ck_assert_str_eq(text_at(json, "note"), "\"gr?\" is no CIDR");
	json_decref(json);
}
END_TEST

START_TEST(the_document_of_a_node_has_its_name_as_uid)
{
	json_t *json = document_of(&starting, "node-1");
	const json_t *regarding = json_object_get(json, "regarding");

	ck_assert_str_eq(text_at(json, "type"), "Normal");
	ck_assert_str_eq(text_at(json_object_get(json, "metadata"), "namespace"), "default");
	ck_assert_str_eq(text_at(regarding, "kind"), "Node");
	ck_assert_str_eq(text_at(regarding, "uid"), "node-1");
	ck_assert_ptr_null(json_object_get(regarding, "namespace"));
	json_decref(json);
}
END_TEST

START_TEST(long_texts_are_cut_to_what_the_api_server_allows)
{
	struct event event = starting;
	char name[254], note[1200];

	memset(name, 'n', 253);
	name[253] = '\0';
	memcpy(name + 195, "......", 6);
	/* Characters of two bytes, of which one lies across the limit. */
	note[0] = 'a';
	for (size_t i = 1; i + 1 < sizeof(note) - 1; i += 2)
		memcpy(note + i, "\xc3\xa9", 2);
	note[sizeof(note) - 2] = '\0';
	note[sizeof(note) - 1] = '\0';
	event.name = name;
	event.note = note;

	json_t *json = document_of(&event, name);
	const char *own = text_at(json_object_get(json, "metadata"), "name");
	ck_assert_uint_le(strlen(own), 253);
	ck_assert_ptr_eq(strstr(own, ".."), NULL);
	ck_assert_uint_eq(strlen(text_at(json, "reportingInstance")), 128);
	ck_assert_uint_eq(strlen(text_at(json, "note")), 1023);
	ck_assert_str_eq(text_at(json_object_get(json, "regarding"), "name"), name);
	json_decref(json);
}
END_TEST

START_TEST(an_event_may_repeat_after_its_time)
{
	struct limit limit = {};
	unsigned int held;

	ck_assert(limit_allows(&limit, &port_taken, 1000, &held));
	ck_assert(!limit_allows(&limit, &port_taken, 1000 + EVENTS_REPEAT_S * 1000 - 1, &held));
	ck_assert(limit_allows(&limit, &starting, 1000, &held));
	ck_assert(limit_allows(&limit, &port_taken, 1000 + EVENTS_REPEAT_S * 1000, &held));
	ck_assert(!limit_allows(&limit, &port_taken, 1001 + EVENTS_REPEAT_S * 1000, &held));
}
END_TEST

START_TEST(what_another_one_ended_may_be_told_anew)
{
	struct limit limit = {};
	struct event works = port_taken;
	unsigned int held;

	works.reason = "Works";
	works.ends = port_taken.reason;
	ck_assert(limit_allows(&limit, &port_taken, 1000, &held));
	ck_assert(limit_allows(&limit, &starting, 1000, &held));
	ck_assert(limit_allows(&limit, &works, 1000, &held));
	ck_assert(limit_allows(&limit, &port_taken, 1000, &held));
	ck_assert(!limit_allows(&limit, &port_taken, 1000, &held));
	ck_assert(!limit_allows(&limit, &starting, 1000, &held));
	/* One that is held back itself ends nothing. */
	ck_assert(!limit_allows(&limit, &works, 1000, &held));
	ck_assert(!limit_allows(&limit, &port_taken, 1000, &held));
}
END_TEST

static bool allow(struct limit *limit, unsigned int i, uint64_t now_ms, unsigned int *held)
{
	struct event event = port_taken;
	char name[16];

	snprintf(name, sizeof(name), "web-%u", i);
	event.name = name;
	return limit_allows(limit, &event, now_ms, held);
}

START_TEST(the_rate_holds_back_and_counts)
{
	struct limit limit = {};
	unsigned int held, n = 0;

	while (allow(&limit, n, 0, &held))
		n++;
	ck_assert_uint_eq(n, EVENTS_BURST);
	ck_assert(!allow(&limit, n, EVENTS_REFILL_S * 1000 - 1, &held));
	ck_assert(allow(&limit, n, EVENTS_REFILL_S * 1000, &held));
	ck_assert_uint_eq(held, 2);
	ck_assert(!allow(&limit, n + 1, EVENTS_REFILL_S * 1000, &held));
}
END_TEST

/* At the highest rate that goes through. */
START_TEST(nothing_is_forgotten_before_it_may_repeat)
{
	struct limit limit = {};
	unsigned int held;

	ck_assert(limit_allows(&limit, &port_taken, 0, &held));
	for (unsigned int i = 0; i < 10000; i++)
		allow(&limit, i, (uint64_t)i * EVENTS_REPEAT_S * 1000 / 10000, &held);
	ck_assert(!limit_allows(&limit, &port_taken, EVENTS_REPEAT_S * 1000 - 1, &held));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("events");
	TCase *sending = tcase_create("sending");
	TCase *what = tcase_create("what");
	SRunner *runner = srunner_create(suite);

	tcase_add_checked_fixture(sending, setup_events, teardown_events);
	tcase_set_timeout(sending, 30);
	tcase_add_test(sending, an_event_is_posted_to_the_namespace_of_its_object);
	tcase_add_test(sending, an_event_about_the_node_is_posted_to_the_default_namespace);
	tcase_add_test(sending, the_same_reason_about_the_same_object_is_told_once);
	tcase_add_test(sending, events_are_sent_in_order_and_one_by_one);
	tcase_add_test(sending, a_flood_ends_at_the_burst);
	tcase_add_test(sending, a_refused_event_is_told_and_the_next_one_sent);
	tcase_add_loop_test(sending, an_event_that_a_busy_server_turns_away_is_sent_again, 0,
			    (int)SL_COUNT(passing));
	tcase_add_test(sending, events_wait_while_the_server_is_away);
	tcase_add_loop_test(sending, they_can_be_freed_at_any_time, 0, 10);
	tcase_add_test(sending, without_a_source_events_are_only_logged);
	tcase_add_test(sending, a_source_of_manifests_only_logs_them);
	suite_add_tcase(suite, sending);

	tcase_add_test(what, the_document_has_all_that_the_api_server_asks_for);
	tcase_add_test(what, the_document_of_a_service_has_its_uid);
	tcase_add_test(what, a_note_that_is_not_utf8_is_told_all_the_same);
	tcase_add_test(what, the_document_of_a_node_has_its_name_as_uid);
	tcase_add_test(what, long_texts_are_cut_to_what_the_api_server_allows);
	tcase_add_test(what, an_event_may_repeat_after_its_time);
	tcase_add_test(what, what_another_one_ended_may_be_told_anew);
	tcase_add_test(what, the_rate_holds_back_and_counts);
	tcase_add_test(what, nothing_is_forgotten_before_it_may_repeat);
	suite_add_tcase(suite, what);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
