/* SPDX-License-Identifier: Apache-2.0 */

/* The document of flows: entries joined, filters, limits. */

#include "test/packet/view_maps.h"

START_TEST(a_flow_is_one_item_with_the_counters_of_its_answers)
{
	struct sl_flow flow = {
		.service = 1,
		.backend = 9,
		.state = SL_FLOW_ESTABLISHED,
		.forward = SL_TO_STACK,
		.seen = now() - 10,
		.opened = now() - 100,
		.packets = 7,
		.bytes = 700,
	};
	struct sl_flow answer = flow;

	put_service(1, "a", "web", "http", IPPROTO_TCP, 4);
	put_flow(true, (struct ends) { "10.244.0.5", 40000, "10.96.0.10", 80 },
		 (struct ends) { "10.244.0.5", 40000, "10.244.1.2", 8080 }, IPPROTO_TCP, &flow);
	answer.flags = SL_FLOW_REVERSE | SL_FLOW_EGRESS;
	answer.packets = 5;
	answer.bytes = 900;
	put_flow(true, (struct ends) { "10.244.1.2", 8080, "10.244.0.5", 40000 },
		 (struct ends) { "10.96.0.10", 80, "10.244.0.5", 40000 }, IPPROTO_TCP, &answer);
	document = flows((struct view_flow_filter) { 0 });
	ck_assert_uint_eq(count(document), 1);
	json_int_t idle = number(item(document, 0), "idle"), age = number(item(document, 0), "age");
	ck_assert_int_ge(idle, 10);
	ck_assert_int_le(idle, 12);
	ck_assert_int_ge(age, 107);
	ck_assert_int_le(age, 109);
	json_object_del(item(document, 0), "idle");
	json_object_del(item(document, 0), "age");
	check_json(item(document, 0),
		   "{\"client\":\"10.244.0.5:40000\",\"frontend\":\"10.96.0.10:80\",\"backend\":"
		   "\"10.244.1.2:8080\",\"protocol\":\"TCP\",\"service\":\"a/web:http\","
		   "\"backendId\":9,\"state\":\"established\",\"forward\":\"stack\",\"table\":"
		   "\"established\",\"packets\":7,\"bytes\":700,\"answerPackets\":5,"
		   "\"answerBytes\":900}");
}
END_TEST

START_TEST(a_redirected_flow_names_its_translated_source)
{
	struct sl_flow flow = { .state = SL_FLOW_NEW,
				.forward = SL_REDIRECT,
				.flags = SL_FLOW_SNAT };

	put_flow(false, (struct ends) { "203.0.113.7", 50000, "192.0.2.1", 443 },
		 (struct ends) { "192.0.2.100", 61001, "10.0.0.2", 8443 }, IPPROTO_TCP, &flow);
	flow.flags = SL_FLOW_REVERSE;
	flow.packets = 1;
	put_flow(false, (struct ends) { "10.0.0.2", 8443, "192.0.2.100", 61001 },
		 (struct ends) { "192.0.2.1", 443, "203.0.113.7", 50000 }, IPPROTO_TCP, &flow);
	document = flows((struct view_flow_filter) { 0 });
	ck_assert_uint_eq(count(document), 1);
	ck_assert_str_eq(field(item(document, 0), "source"), "192.0.2.100:61001");
	ck_assert_str_eq(field(item(document, 0), "forward"), "redirect");
	ck_assert_str_eq(field(item(document, 0), "table"), "new");
	ck_assert_int_eq(number(item(document, 0), "answerPackets"), 1);
	ck_assert(json_is_null(json_object_get(item(document, 0), "service")));
}
END_TEST

START_TEST(a_tunnelled_flow_of_four_entries_is_one_item)
{
	struct sl_flow flow = { .state = SL_FLOW_ESTABLISHED,
				.forward = SL_TO_STACK,
				.packets = 4 };

	/* ingress: destination only */
	put_flow(true, (struct ends) { "203.0.113.7", 50000, "192.0.2.1", 443 },
		 (struct ends) { "203.0.113.7", 50000, "10.244.2.2", 8443 }, IPPROTO_TCP, &flow);
	/* egress of the tunnel: source */
	flow.flags = SL_FLOW_EGRESS | SL_FLOW_SNAT;
	put_flow(true, (struct ends) { "203.0.113.7", 50000, "10.244.2.2", 8443 },
		 (struct ends) { "10.244.0.0", 61001, "10.244.2.2", 8443 }, IPPROTO_TCP, &flow);
	/* ingress of the tunnel: back to the client */
	flow.flags = SL_FLOW_REVERSE;
	flow.packets = 99;
	put_flow(true, (struct ends) { "10.244.2.2", 8443, "10.244.0.0", 61001 },
		 (struct ends) { "10.244.2.2", 8443, "203.0.113.7", 50000 }, IPPROTO_TCP, &flow);
	/* egress to the client: the frontend's address */
	flow.flags = SL_FLOW_REVERSE | SL_FLOW_EGRESS;
	flow.packets = 3;
	put_flow(true, (struct ends) { "10.244.2.2", 8443, "203.0.113.7", 50000 },
		 (struct ends) { "192.0.2.1", 443, "203.0.113.7", 50000 }, IPPROTO_TCP, &flow);
	document = flows((struct view_flow_filter) { 0 });
	ck_assert_uint_eq(count(document), 1);
	ck_assert_str_eq(field(item(document, 0), "client"), "203.0.113.7:50000");
	ck_assert_str_eq(field(item(document, 0), "source"), "10.244.0.0:61001");
	ck_assert_int_eq(number(item(document, 0), "packets"), 4);
	ck_assert_int_eq(number(item(document, 0), "answerPackets"), 3);
}
END_TEST

START_TEST(answers_are_found_in_the_other_table)
{
	struct sl_flow flow = { .state = SL_FLOW_ESTABLISHED, .forward = SL_HAIRPIN };

	put_flow(true, (struct ends) { "fd00::5", 1000, "fd00::a", 80 },
		 (struct ends) { "fd00::a", 1001, "fd00::5", 81 }, IPPROTO_UDP, &flow);
	flow.flags = SL_FLOW_REVERSE;
	flow.packets = 6;
	put_flow(false, (struct ends) { "fd00::5", 81, "fd00::a", 1001 },
		 (struct ends) { "fd00::a", 80, "fd00::5", 1000 }, IPPROTO_UDP, &flow);
	document = flows((struct view_flow_filter) { 0 });
	ck_assert_uint_eq(count(document), 1);
	ck_assert_int_eq(number(item(document, 0), "answerPackets"), 6);
	ck_assert_str_eq(field(item(document, 0), "client"), "[fd00::5]:1000");
	ck_assert_str_eq(field(item(document, 0), "forward"), "hairpin");
	ck_assert_str_eq(field(item(document, 0), "source"), "[fd00::a]:1001");
}
END_TEST

START_TEST(a_promoted_flow_is_listed_once_and_a_reopened_one_twice)
{
	const struct ends from = { "10.244.0.5", 40000, "10.96.0.10", 80 };
	const struct ends to = { "10.244.0.5", 40000, "10.244.1.2", 8080 };
	struct sl_flow flow = { .state = SL_FLOW_ESTABLISHED, .opened = 50 };

	put_flow(true, from, to, IPPROTO_TCP, &flow);
	put_flow(false, from, to, IPPROTO_TCP, &flow);
	document = flows((struct view_flow_filter) { 0 });
	ck_assert_uint_eq(count(document), 1);
	ck_assert_str_eq(field(item(document, 0), "table"), "established");
	json_decref(document);
	flow.opened = 51;
	put_flow(false, from, to, IPPROTO_TCP, &flow);
	document = flows((struct view_flow_filter) { 0 });
	ck_assert_uint_eq(count(document), 2);
}
END_TEST

/* Sums of source ports tell which of the three flows were found. */
START_TEST(flows_are_filtered)
{
	static const struct {
		const char *client, *service, *backend;
		int want;
	} rows[] = {
		{ NULL, NULL, NULL, 6 },
		{ "10.244.0.5", NULL, NULL, 1 },
		{ "10.244.0.0/16", NULL, NULL, 3 },
		{ "10.244.9.0/24", NULL, NULL, 2 },
		{ "fd00::/16", NULL, NULL, 3 },
		{ "::/0", NULL, NULL, 3 },
		{ NULL, "a/web", NULL, 3 },
		{ NULL, "a/web:admin", NULL, 2 },
		{ NULL, "a/webs", NULL, 3 },
		{ NULL, NULL, "10.244.1.2", 3 },
		{ NULL, NULL, "10.244.1.2:8081", 2 },
		{ NULL, NULL, "10.244.1.2:9", 0 },
		{ NULL, NULL, "fd00::2", 3 },
		{ NULL, NULL, "[fd00::2]:80", 3 },
		{ "10.244.0.5", "a/web:admin", NULL, 0 },
	};

	put_three_flows();
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		json_t *list = flows((struct view_flow_filter) {
			.client = rows[i].client,
			.service = rows[i].service,
			.backend = rows[i].backend,
		});
		int sum = 0;

		for (size_t j = 0; j < count(list); j++)
			sum += atoi(strrchr(field(item(list, j), "client"), ':') + 1);
		ck_assert_msg(sum == rows[i].want, "row %zu: %d", i, sum);
		json_decref(list);
	}
}
END_TEST

START_TEST(filters_that_cannot_be_read_are_refused_by_name)
{
	static const struct {
		struct view_flow_filter filter;
		int want;
		const char *text;
	} rows[] = {
		{ { .client = "10.0.0", .limit = 1 }, -EINVAL, "client: \"10.0.0\"" },
		{ { .client = "10.0.0.0/33", .limit = 1 }, -EINVAL, "client:" },
		{ { .backend = "10.0.0.1:0", .limit = 1 }, -EINVAL, "backend:" },
		{ { .backend = "10.0.0.1:66000", .limit = 1 }, -EINVAL, "backend:" },
		{ { .backend = "10.0.0.1:8x", .limit = 1 }, -EINVAL, "backend:" },
		{ { .backend = ":80", .limit = 1 }, -EINVAL, "backend:" },
		{ { .backend = "", .limit = 1 }, -EINVAL, "backend:" },
		{ { .service = "web", .limit = 1 }, -EINVAL, "service: \"web\"" },
		{ { .service = "/web", .limit = 1 }, -EINVAL, "service:" },
		{ { .service = "a/", .limit = 1 }, -EINVAL, "service:" },
		{ { .service = "a/none", .limit = 1 }, -ENOENT, "a/none" },
		{ { .service = "a/web:none", .limit = 1 }, -ENOENT, "a/web:none" },
		{ { .limit = 0 }, -EINVAL, "limit: 0" },
		{ { .limit = VIEW_FLOWS_MAX + 1 }, -EINVAL, "limit:" },
	};

	put_three_flows();
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		int r = view_flows(&view, &rows[i].filter, &document, error);

		ck_assert_msg(r == rows[i].want, "row %zu: %d", i, r);
		ck_assert_msg(strstr(error, rows[i].text), "row %zu: %s", i, error);
	}
}
END_TEST

START_TEST(a_list_of_flows_stops_at_its_limit_and_says_so)
{
	struct sl_flow flow = { .state = SL_FLOW_ESTABLISHED };

	for (uint16_t port = 1; port <= 3000; port++)
		put_flow(true, (struct ends) { "10.244.0.5", port, "10.96.0.10", 80 },
			 (struct ends) { "10.244.0.5", port, "10.244.1.2", 8080 }, IPPROTO_TCP,
			 &flow);
	document = flows((struct view_flow_filter) { .limit = 2999 });
	ck_assert_uint_eq(count(document), 2999);
	ck_assert(json_is_true(json_object_get(document, "truncated")));
	json_decref(document);
	document = flows((struct view_flow_filter) { .limit = 3000 });
	ck_assert_uint_eq(count(document), 3000);
	ck_assert(json_is_false(json_object_get(document, "truncated")));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("view flow");
	TCase *tcase = tcase_create("documents");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, a_flow_is_one_item_with_the_counters_of_its_answers);
	tcase_add_test(tcase, a_redirected_flow_names_its_translated_source);
	tcase_add_test(tcase, a_tunnelled_flow_of_four_entries_is_one_item);
	tcase_add_test(tcase, answers_are_found_in_the_other_table);
	tcase_add_test(tcase, a_promoted_flow_is_listed_once_and_a_reopened_one_twice);
	tcase_add_test(tcase, flows_are_filtered);
	tcase_add_test(tcase, filters_that_cannot_be_read_are_refused_by_name);
	tcase_add_test(tcase, a_list_of_flows_stops_at_its_limit_and_says_so);
	suite_add_tcase(suite, tcase);
	return run_tests(suite);
}
