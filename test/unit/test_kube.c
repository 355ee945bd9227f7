/* SPDX-License-Identifier: Apache-2.0 */

/* The Kubernetes source and a server that behaves: lists, watches, status. */

#include "kube_fixture.h"

START_TEST(all_kinds_are_listed_and_stored)
{
	list_services("web", "10", "");
	fake_list(FAKE_SLICE, 200,
		  "{\"kind\":\"EndpointSliceList\",\"apiVersion\":\"discovery.k8s.io/v1\","
		  "\"metadata\":{\"resourceVersion\":\"11\"},\"items\":[{\"metadata\":{\"name\":"
		  "\"web-1\",\"namespace\":\"default\",\"labels\":{\"kubernetes.io/service-name\":"
		  "\"web\"}},\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"10.244.0."
		  "5\"]}],"
		  "\"ports\":[{\"name\":\"\",\"port\":8080,\"protocol\":\"TCP\"}]}]}");
	fake_list(
		FAKE_NODE, 200,
		"{\"kind\":\"NodeList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":"
		"\"12\"},\"items\":[{\"metadata\":{\"name\":\"node-1\"},\"status\":{\"addresses\":"
		"[{\"type\":\"InternalIP\",\"address\":\"192.168.0.1\"}]}}]}");
	fake_list(FAKE_CIDR, 200,
		  "{\"kind\":\"ServiceCIDRList\",\"apiVersion\":\"networking.k8s.io/v1\","
		  "\"metadata\":{\"resourceVersion\":\"13\"},\"items\":[{\"metadata\":{\"name\":"
		  "\"kubernetes\"},\"spec\":{\"cidrs\":[\"10.96.0.0/12\"]}}]}");
	start();
	UNTIL(services() == 1 && store_count(store, OBJECT_SLICE) == 1 && store_node(store) &&
	      store_count(store, OBJECT_SERVICE_CIDR) == 1);
	ck_assert_str_eq(store_node(store)->name, "node-1");
	ck_assert(store_listed(store, OBJECT_SERVICE) && store_listed(store, OBJECT_SLICE));
}
END_TEST

static const struct {
	enum fake_kind kind;
	const char *uri;
} paths[] = {
	{ FAKE_SERVICE, "/api/v1/services?limit=500"
			"&labelSelector=%21service.kubernetes.io%2Fservice-proxy-name"
			"&fieldSelector=spec.clusterIP%21%3DNone" },
	{ FAKE_SLICE, "/apis/discovery.k8s.io/v1/endpointslices?limit=500"
		      "&labelSelector=%21service.kubernetes.io%2Fheadless" },
	{ FAKE_NODE, "/api/v1/nodes?limit=500&fieldSelector=metadata.name%3Dnode-1" },
	{ FAKE_CIDR, "/apis/networking.k8s.io/v1/servicecidrs?limit=500" },
};

START_TEST(lists_and_watches_carry_the_selectors)
{
	const char *selector = strchrnul(paths[_i].uri, '&');
	size_t len = strlen(selector);

	start();
	UNTIL(fake_count(paths[_i].kind, true) == 1);
	ck_assert_str_eq(fake_request(paths[_i].kind, false, 0).uri, paths[_i].uri);

	struct fake_request watch = fake_request(paths[_i].kind, true, 0);
	ck_assert_uint_gt(strlen(watch.uri), len);
	ck_assert_str_eq(watch.uri + strlen(watch.uri) - len, selector);
	if (!len)
		ck_assert_ptr_null(strstr(watch.uri, "elector"));
}
END_TEST

START_TEST(the_token_is_sent)
{
	start();
	UNTIL(watching());
	ck_assert_str_eq(fake_request(FAKE_SERVICE, false, 0).authorization, "Bearer first-token");
	ck_assert_str_eq(fake_request(FAKE_SERVICE, true, 0).authorization, "Bearer first-token");
}
END_TEST

START_TEST(an_empty_list_is_a_complete_one)
{
	start();
	UNTIL(all_listed());
	ck_assert_uint_eq(n_changed, OBJECT_KIND_MAX);
}
END_TEST

START_TEST(null_items_are_an_empty_list)
{
	fake_list(FAKE_SERVICE, 200,
		  "{\"kind\":\"ServiceList\",\"metadata\":{\"resourceVersion\":\"10\"},"
		  "\"items\":null}");
	start();
	UNTIL(store_listed(store, OBJECT_SERVICE));
	ck_assert_uint_eq(fake_count(FAKE_SERVICE, false), 1);
}
END_TEST

START_TEST(a_list_is_read_page_by_page)
{
	list_services("a b", "10", "to+ken/1");
	list_services("c", "10", "t2");
	list_services("d", "10", "");
	start();
	UNTIL(watching());
	ck_assert_uint_eq(services(), 4);
	ck_assert_uint_eq(fake_count(FAKE_SERVICE, false), 3);
	ck_assert_ptr_nonnull(strstr(fake_request(FAKE_SERVICE, false, 1).uri,
				     "?limit=500&continue=to%2Bken%2F1&labelSelector="));
	ck_assert_ptr_nonnull(strstr(fake_request(FAKE_SERVICE, false, 2).uri, "continue=t2&"));
}
END_TEST

START_TEST(nothing_counts_as_listed_before_the_last_page)
{
	list_services("a", "10", "t1");
	fake_push(&fake.lists[FAKE_SERVICE], (struct fake_answer) { .status = 200, .held = true });
	start();
	UNTIL(fake_count(FAKE_SERVICE, false) == 2);
	ck_assert_uint_eq(services(), 1);
	ck_assert(!store_listed(store, OBJECT_SERVICE));
}
END_TEST

START_TEST(a_compressed_list_is_read)
{
	/* An empty ServiceList of version 10, as gzip -9n makes it. */
	static const unsigned char gz[] = {
		0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0x56, 0xca, 0xce,
		0xcc, 0x4b, 0x51, 0xb2, 0x52, 0x0a, 0x4e, 0x2d, 0x2a, 0xcb, 0x4c, 0x4e, 0xf5, 0xc9,
		0x2c, 0x2e, 0x51, 0xd2, 0x51, 0x4a, 0x2c, 0xc8, 0x0c, 0x4b, 0x2d, 0x2a, 0xce, 0xcc,
		0xcf, 0x03, 0x4a, 0x95, 0x19, 0x02, 0x45, 0x72, 0x53, 0x4b, 0x12, 0x53, 0x12, 0x4b,
		0x12, 0x95, 0xac, 0xaa, 0x95, 0x8a, 0x52, 0x8b, 0xf3, 0x4b, 0x8b, 0x92, 0x53, 0x11,
		0x4a, 0x0c, 0x0d, 0x94, 0x6a, 0x75, 0x94, 0x32, 0x4b, 0x52, 0x73, 0x8b, 0x95, 0xac,
		0xa2, 0x63, 0x6b, 0x01, 0xaa, 0x53, 0xe1, 0x17, 0x57, 0x00, 0x00, 0x00,
	};
	char *body = malloc(sizeof(gz));

	memcpy(body, gz, sizeof(gz));
	fake_push(&fake.lists[FAKE_SERVICE], (struct fake_answer) { .status = 200,
								    .body = body,
								    .len = sizeof(gz),
								    .header = "Content-Encoding",
								    .value = "gzip" });
	start();
	UNTIL(watching());
	ck_assert_uint_eq(fake_count(FAKE_SERVICE, false), 1);
	/* A watch is not: see http_handler. */
	ck_assert_str_eq(fake_request(FAKE_SERVICE, false, 0).encoding, "gzip");
	ck_assert_str_eq(fake_request(FAKE_SERVICE, true, 0).encoding, "");
}
END_TEST

START_TEST(a_nul_in_an_annotation_spoils_nothing)
{
	fake_list(FAKE_SERVICE, 200,
		  "{\"kind\":\"ServiceList\",\"metadata\":{\"resourceVersion\":\"10\"},\"items\":["
		  "{\"metadata\":{\"name\":\"web\",\"namespace\":\"default\",\"annotations\":"
		  "{\"a\":\"x\\u0000y\"}},\"spec\":{\"clusterIP\":\"10.96.0.1\","
		  "\"ipFamilies\":[\"IPv4\"],\"clusterIPs\":[\"10.96.0.1\"],"
		  "\"ports\":[{\"port\":80}]}}]}");
	start();
	UNTIL(watching());
	ck_assert_uint_eq(services(), 1);
}
END_TEST

START_TEST(a_watch_begins_where_the_list_ended)
{
	list_services("web", "4711", "");
	start();
	UNTIL(watching());

	struct fake_request watch = fake_request(FAKE_SERVICE, true, 0);
	const char *timeout = strstr(watch.uri, "&timeoutSeconds=");
	ck_assert_ptr_nonnull(strstr(watch.uri, "?watch=1&resourceVersion=4711&"));
	ck_assert_ptr_nonnull(strstr(watch.uri, "&allowWatchBookmarks=true"));
	ck_assert_ptr_nonnull(timeout);
	ck_assert_int_ge(atoi(timeout + 16), 300);
	ck_assert_int_le(atoi(timeout + 16), 600);
}
END_TEST

START_TEST(events_add_change_and_remove_objects)
{
	list_services("web", "10", "");
	start();
	UNTIL(watching());
	send_service("ADDED", "api", 11);
	UNTIL(services() == 2);
	send_service("MODIFIED", "web", 12);
	UNTIL(find("web")->ports[0].port == 12);
	send_service("DELETED", "api", 13);
	UNTIL(services() == 1);
	ck_assert_ptr_null(find("api"));
}
END_TEST

START_TEST(an_event_may_come_in_pieces)
{
	sl_auto_mem char *object = service("web", 11);
	size_t half = strlen(object) / 2;
	char *rest_of_it = strdup(object + half);

	start();
	UNTIL(watching());
	object[half] = '\0';
	fake_send(FAKE_SERVICE, "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Service\",");
	rest(20);
	fake_send(FAKE_SERVICE, "\"apiVersion\":\"v1\",");
	fake_send(FAKE_SERVICE, object + 1);
	rest(20);
	ck_assert_uint_eq(services(), 0);
	fake_send(FAKE_SERVICE, rest_of_it);
	fake_send(FAKE_SERVICE, "}\n");
	free(rest_of_it);
	UNTIL(services() == 1);
}
END_TEST

START_TEST(events_change_the_service_cidrs)
{
	start();
	UNTIL(fake_count(FAKE_CIDR, true) == 1);
	fake_send(FAKE_CIDR,
		  "{\"type\":\"ADDED\",\"object\":{\"kind\":\"ServiceCIDR\",\"apiVersion\":"
		  "\"networking.k8s.io/v1\",\"metadata\":{\"name\":\"more\","
		  "\"resourceVersion\":\"14\"},\"spec\":{\"cidrs\":[\"10.112.0.0/16\"]}}}\n");
	UNTIL(store_count(store, OBJECT_SERVICE_CIDR) == 1);

	uint64_t version = store_node_version(store);
	fake_send(FAKE_CIDR,
		  "{\"type\":\"DELETED\",\"object\":{\"kind\":\"ServiceCIDR\","
		  "\"apiVersion\":\"networking.k8s.io/v1\",\"metadata\":{\"name\":\"more\","
		  "\"resourceVersion\":\"15\"},\"spec\":{\"cidrs\":[\"10.112.0.0/16\"]}}}\n");
	UNTIL(store_count(store, OBJECT_SERVICE_CIDR) == 0);
	ck_assert_uint_gt(store_node_version(store), version);
}
END_TEST

START_TEST(a_stream_that_ends_is_watched_on_from_its_last_event)
{
	start();
	UNTIL(watching());
	send_service("ADDED", "web", 17);
	fake_end(FAKE_SERVICE, FAKE_CLEAN);
	UNTIL(fake_count(FAKE_SERVICE, true) == 2);
	ck_assert_ptr_nonnull(
		strstr(fake_request(FAKE_SERVICE, true, 1).uri, "&resourceVersion=17&"));
	ck_assert_uint_eq(fake_count(FAKE_SERVICE, false), 1);
	ck_assert_uint_eq(services(), 1);
	ck_assert_uint_eq(logged("warn"), 0);
}
END_TEST

START_TEST(a_bookmark_moves_the_version_and_nothing_else)
{
	list_services("web", "10", "");
	start();
	UNTIL(watching() && all_listed());
	size_t changed = n_changed;

	fake_send(FAKE_SERVICE,
		  "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Service\",\"apiVersion\":\"v1\","
		  "\"metadata\":{\"resourceVersion\":\"99\"}}}\n");
	fake_end(FAKE_SERVICE, FAKE_CLEAN);
	UNTIL(fake_count(FAKE_SERVICE, true) == 2);
	ck_assert_ptr_nonnull(
		strstr(fake_request(FAKE_SERVICE, true, 1).uri, "resourceVersion=99&"));
	ck_assert_uint_eq(services(), 1);
	ck_assert_uint_eq(n_changed, changed);
	ck_assert_uint_eq(logged("warn"), 0);
}
END_TEST

START_TEST(changed_is_called_once_for_events_that_come_together)
{
	start();
	UNTIL(watching() && all_listed());
	size_t changed = n_changed;

	sl_auto_mem char *a = service("a", 11), *b = service("b", 12);
	char both[2048];
	snprintf(both, sizeof(both),
		 "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Service\",\"apiVersion\":\"v1\",%s}\n"
		 "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Service\",\"apiVersion\":\"v1\",%s}\n",
		 a + 1, b + 1);
	fake_send(FAKE_SERVICE, both);
	UNTIL(services() == 2);
	ck_assert_uint_eq(n_changed, changed + 1);
}
END_TEST

START_TEST(the_store_learns_when_an_event_was_received)
{
	struct store_service next;

	start();
	UNTIL(watching());
	while (store_next_changed(store, &next))
		;
	uint64_t before = uv_hrtime();
	send_service("ADDED", "web", 11);
	UNTIL(services() == 1);
	ck_assert(store_next_changed(store, &next));
	ck_assert_uint_ge(next.received_ns, before);
	ck_assert_uint_le(next.received_ns, uv_hrtime());
}
END_TEST

static const json_t *member(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	ck_assert_msg(value, "no %s", name);
	return value;
}

START_TEST(status_tells_of_each_kind)
{
	list_services("web", "10", "");
	start();
	UNTIL(watching() && fake_count(FAKE_SLICE, true) && fake_count(FAKE_NODE, true) &&
	      fake_count(FAKE_CIDR, true));
	send_service("ADDED", "api", 11);
	UNTIL(services() == 2);

	json_t *status = source_status(source);
	const json_t *kind = json_array_get(member(status, "kinds"), 0);
	ck_assert_str_eq(json_string_value(member(status, "source")), "kube");
	ck_assert(json_is_true(member(status, "connected")));
	ck_assert_uint_eq(strlen(json_string_value(member(status, "since"))), 20);
	ck_assert_ptr_null(json_object_get(status, "error"));
	ck_assert_uint_eq(json_array_size(member(status, "kinds")), 4);
	ck_assert_str_eq(json_string_value(member(kind, "kind")), "Service");
	ck_assert(json_is_true(member(kind, "listed")));
	ck_assert_str_eq(json_string_value(member(kind, "resourceVersion")), "11");
	ck_assert_int_eq(json_integer_value(member(kind, "events")), 1);
	ck_assert_int_eq(json_integer_value(member(kind, "lists")), 1);
	json_decref(status);
}
END_TEST

/* Counts of requests, as text: "GET 200 8". */
static char requests[256];

static void note_request(void *context, const char *host, const char *method, unsigned int status,
			 uint64_t n)
{
	char want[64];

	ck_assert_ptr_eq(context, requests);
	snprintf(want, sizeof(want), "127.0.0.1:%u", fake.port);
	ck_assert_str_eq(host, want);
	snprintf(requests + strlen(requests), sizeof(requests) - strlen(requests), "%s %u %u;",
		 method, status, (unsigned int)n);
}

static const char *requests_made(void)
{
	requests[0] = '\0';
	source_each_request(source, note_request, requests);
	return requests;
}

START_TEST(requests_are_counted_by_what_came_of_them)
{
	fake_list(FAKE_NODE, 503, "later");
	start();
	ck_assert_str_eq(requests_made(), "");
	UNTIL(watching() && fake_count(FAKE_SLICE, true) && fake_count(FAKE_NODE, true) &&
	      fake_count(FAKE_CIDR, true));
	/* A stream, which is refused, a list and a watch of each kind, of which the answers to the
	 * latter may be on their way. */
	UNTIL(!strcmp(requests_made(), "GET 200 8;GET 422 4;GET 503 1;"));
	uint16_t port = fake.port;
	fake_stop();
	UNTIL(strstr(requests_made(), "GET 0 "));
	fake_start(port, NULL, NULL);
}
END_TEST

START_TEST(status_before_anything_came_is_not_connected)
{
	start();
	json_t *status = source_status(source);
	const json_t *kind = json_array_get(member(status, "kinds"), 0);

	ck_assert(json_is_false(member(status, "connected")));
	ck_assert(json_is_false(member(kind, "listed")));
	ck_assert_str_eq(json_string_value(member(kind, "resourceVersion")), "");
	json_decref(status);
}
END_TEST

START_TEST(it_can_be_freed_before_the_loop_ever_ran)
{
	start();
}
END_TEST

START_TEST(it_can_be_freed_after_any_number_of_turns)
{
	list_services("a", "10", "t");
	list_services("b", "10", "");
	start();
	for (int i = 0; i < _i; i++)
		turn();
}
END_TEST

START_TEST(it_can_be_freed_while_it_waits_to_try_again)
{
	fake_stop();
	start();
	UNTIL(logged("Service: watch list") == 1);
}
END_TEST

START_TEST(it_can_be_freed_by_the_one_it_tells_of_a_list)
{
	list_services("web", "10", "");
	free_when_changed = true;
	start();
	UNTIL(!source);
}
END_TEST

START_TEST(it_can_be_freed_by_the_one_it_tells_of_an_event)
{
	start();
	UNTIL(watching() && all_listed());
	free_when_changed = true;
	send_service("ADDED", "web", 11);
	UNTIL(!source);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kube");
	TCase *list = tcase_create("list");
	TCase *watch = tcase_create("watch");
	TCase *life = tcase_create("life");
	SRunner *runner = srunner_create(suite);

	tcase_add_checked_fixture(list, setup, teardown);
	tcase_add_test(list, all_kinds_are_listed_and_stored);
	tcase_add_loop_test(list, lists_and_watches_carry_the_selectors, 0, (int)SL_COUNT(paths));
	tcase_add_test(list, the_token_is_sent);
	tcase_add_test(list, an_empty_list_is_a_complete_one);
	tcase_add_test(list, null_items_are_an_empty_list);
	tcase_add_test(list, a_list_is_read_page_by_page);
	tcase_add_test(list, nothing_counts_as_listed_before_the_last_page);
	tcase_add_test(list, a_compressed_list_is_read);
	tcase_add_test(list, a_nul_in_an_annotation_spoils_nothing);
	suite_add_tcase(suite, list);

	tcase_add_checked_fixture(watch, setup, teardown);
	tcase_add_test(watch, a_watch_begins_where_the_list_ended);
	tcase_add_test(watch, events_add_change_and_remove_objects);
	tcase_add_test(watch, events_change_the_service_cidrs);
	tcase_add_test(watch, an_event_may_come_in_pieces);
	tcase_add_test(watch, a_stream_that_ends_is_watched_on_from_its_last_event);
	tcase_add_test(watch, a_bookmark_moves_the_version_and_nothing_else);
	tcase_add_test(watch, changed_is_called_once_for_events_that_come_together);
	tcase_add_test(watch, the_store_learns_when_an_event_was_received);
	suite_add_tcase(suite, watch);

	tcase_add_checked_fixture(life, setup, teardown);
	tcase_add_test(life, status_tells_of_each_kind);
	tcase_add_test(life, requests_are_counted_by_what_came_of_them);
	tcase_add_test(life, status_before_anything_came_is_not_connected);
	tcase_add_test(life, it_can_be_freed_before_the_loop_ever_ran);
	tcase_add_loop_test(life, it_can_be_freed_after_any_number_of_turns, 1, 40);
	tcase_add_test(life, it_can_be_freed_while_it_waits_to_try_again);
	tcase_add_test(life, it_can_be_freed_by_the_one_it_tells_of_a_list);
	tcase_add_test(life, it_can_be_freed_by_the_one_it_tells_of_an_event);
	suite_add_tcase(suite, life);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
