/* SPDX-License-Identifier: Apache-2.0 */

/* Events about Services and the node: from who finds out to the API server. */

#include "kube_fixture.h"

#include "controlplane/notices.h"

#define UID "01234567-89ab-cdef-fedc-ba9876543210"

static struct notices notices;

static void setup_notices(void)
{
	setup();
	notices = (struct notices) { .store = store, .node_name = "node-1" };
	store_on_wrong(store, notices_wrong, &notices);
	start();
	notices.events = events_new(&loop, source, "node-1");
	ck_assert_ptr_nonnull(notices.events);
	uv_update_time(&loop);
}

static void teardown_notices(void)
{
	events_free(notices.events);
	teardown();
}

static size_t posted(void)
{
	return fake_count(FAKE_EVENT, false);
}

/* The Event that was posted as the i-th. */
static json_t *event_at(size_t i)
{
	json_t *json = NULL;

	UNTIL(posted() > i);
	json = json_loads(fake_request(FAKE_EVENT, false, i).body, 0, NULL);
	ck_assert_ptr_nonnull(json);
	return json;
}

static const char *text_at(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

static void assert_event(size_t i, const char *type, const char *reason, const char *uid,
			 const char *note)
{
	json_t *json = event_at(i);
	const char *found = text_at(json_object_get(json, "regarding"), "uid");

	ck_assert_str_eq(text_at(json, "type"), type);
	ck_assert_str_eq(text_at(json, "reason"), reason);
	ck_assert_str_eq(found ? found : "none", uid);
	ck_assert_msg(strstr(text_at(json, "note"), note) != NULL, "the note is %s",
		      text_at(json, "note"));
	json_decref(json);
}

/* A Service as the API server has it, with members of its metadata and its spec. */
#define OBJECT(uid, metadata, spec)                                                                \
	"{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"web\","              \
	"\"namespace\":\"shop\",\"resourceVersion\":\"7\",\"uid\":\"" uid "\"" metadata            \
	"},\"spec\":{\"clusterIP\":\"10.96.0.1\"" spec "}}"
#define BAD_RANGE ",\"loadBalancerSourceRanges\":[\"192.0.2.0/24\",\"10.0.0.0/33\"]"
#define BAD_PORT  ",\"ports\":[{\"port\":0}]"
#define BAD_LEAVE ",\"annotations\":{\"sluice.dev/on-endpoint-removal\":\"drop\"}"

static void list(const char *item)
{
	char page[2048];

	snprintf(page, sizeof(page),
		 "{\"kind\":\"ServiceList\",\"apiVersion\":\"v1\",\"metadata\":"
		 "{\"resourceVersion\":\"5\"},\"items\":[%s]}",
		 item);
	fake_list(FAKE_SERVICE, 200, page);
}

static void watch(const char *type, const char *object)
{
	char line[2048];

	snprintf(line, sizeof(line), "{\"type\":\"%s\",\"object\":%s}\n", type, object);
	fake_send(FAKE_SERVICE, line);
}

static const struct {
	const char *object, *reason, *note;
} wrongs[] = {
	{ OBJECT(UID, "", BAD_RANGE), "FieldIgnored",
	  "spec.loadBalancerSourceRanges[1]: skipped: \"10.0.0.0/33\" is no CIDR" },
	{ OBJECT(UID, BAD_LEAVE, ""), "FieldIgnored", "\"drop\" is not keep, reset or drain" },
	{ OBJECT(UID, "", BAD_PORT), "ServiceRefused", "spec.ports[0].port: 0 is not in" },
};

START_TEST(what_is_wrong_with_a_listed_service_is_told)
{
	list(wrongs[_i].object);
	assert_event(0, "Warning", wrongs[_i].reason, UID, wrongs[_i].note);
	rest(20);
	ck_assert_uint_eq(posted(), 1);
}
END_TEST

START_TEST(what_is_wrong_with_a_changed_service_is_told)
{
	list(OBJECT(UID, "", ""));
	UNTIL(watching());
	watch("MODIFIED", wrongs[_i].object);
	assert_event(0, "Warning", wrongs[_i].reason, UID, wrongs[_i].note);
	ck_assert_uint_eq(logged("source: Service shop/web"), 1);
}
END_TEST

START_TEST(a_service_without_a_fault_has_no_event)
{
	list(OBJECT(UID, "", ",\"loadBalancerSourceRanges\":[\"192.0.2.0/24\"]"));
	UNTIL(services() == 1);
	rest(20);
	ck_assert_uint_eq(posted(), 0);
}
END_TEST

START_TEST(who_waits_for_a_frontend_hears_who_holds_it)
{
	list(OBJECT(UID, "", ""));
	UNTIL(services() == 1);
	notices_conflict(&notices, &(struct tables_conflict) {
					   .namespace_ = "shop",
					   .name = "web",
					   .holder_namespace = "bank",
					   .holder_name = "till",
					   .frontend = "192.0.2.7:80/TCP",
				   });
	assert_event(0, "Warning", "FrontendConflict", UID,
		     "192.0.2.7:80/TCP is held by Service bank/till");
}
END_TEST

static void settle(const char *why)
{
	struct store_service found;

	ck_assert(store_find(store, "shop", "web", &found));
	notices_settled(&notices, &found, why);
}

/* The last Event must be about how it is, however often that changed. */
START_TEST(every_failure_and_every_recovery_is_told)
{
	static const char why[] = "Service shop/web: map backends: full";

	list(OBJECT(UID, "", ""));
	UNTIL(services() == 1);
	for (size_t i = 0; i < 4; i += 2) {
		settle(why);
		settle(why);
		settle(NULL);
		settle(NULL);
		assert_event(i, "Warning", "FailedToProgram", UID, why);
		assert_event(i + 1, "Normal", "Programmed", UID, "in force");
	}
	rest(20);
	ck_assert_uint_eq(posted(), 4);
}
END_TEST

START_TEST(a_health_check_that_fails_is_told_with_the_uid)
{
	list(OBJECT(UID, "", ""));
	UNTIL(services() == 1);
	notices_check_failed(&notices, "shop", "web", "port 31000 is in use");
	assert_event(0, "Warning", "FailedToStartServiceHealthcheck", UID, "31000");
	notices_check_failed(&notices, "shop", "gone", "port 31000 is in use");
	assert_event(1, "Warning", "FailedToStartServiceHealthcheck", "none", "31000");
}
END_TEST

START_TEST(the_maps_that_are_nearly_full_are_named_on_the_node)
{
	json_t *fills =
		json_pack("[{s:s, s:i, s:i, s:b}, {s:s, s:i, s:i, s:b}]", "name", "backends",
			  "entries", 95, "maxEntries", 100, "nearlyFull", 1, "name", "policy4",
			  "entries", 1, "maxEntries", 100, "nearlyFull", 0);
	json_t *event;

	notices_pressure(&notices, fills);
	event = event_at(0);
	ck_assert_str_eq(text_at(event, "reason"), "MapNearlyFull");
	ck_assert_str_eq(text_at(event, "note"),
			 "BPF maps of sluice are nearly full: backends 95 of 100");
	ck_assert_str_eq(text_at(json_object_get(event, "regarding"), "name"), "node-1");
	json_decref(event);

	json_object_set_new(json_array_get(fills, 0), "nearlyFull", json_false());
	notices.node_name = "another";
	notices_pressure(&notices, fills);
	rest(20);
	ck_assert_uint_eq(posted(), 1);
	json_decref(fills);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notices");
	TCase *tc = tcase_create("notices");
	SRunner *runner = srunner_create(suite);

	tcase_add_checked_fixture(tc, setup_notices, teardown_notices);
	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, what_is_wrong_with_a_listed_service_is_told, 0,
			    (int)SL_COUNT(wrongs));
	tcase_add_loop_test(tc, what_is_wrong_with_a_changed_service_is_told, 0,
			    (int)SL_COUNT(wrongs));
	tcase_add_test(tc, a_service_without_a_fault_has_no_event);
	tcase_add_test(tc, who_waits_for_a_frontend_hears_who_holds_it);
	tcase_add_test(tc, every_failure_and_every_recovery_is_told);
	tcase_add_test(tc, a_health_check_that_fails_is_told_with_the_uid);
	tcase_add_test(tc, the_maps_that_are_nearly_full_are_named_on_the_node);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
