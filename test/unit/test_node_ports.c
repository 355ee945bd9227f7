/* SPDX-License-Identifier: Apache-2.0 */

#include <check.h>
#include <stdlib.h>

#include "controlplane/node_ports.h"

/* A node with an internal address of each family. */
static struct object_address own[2];
static const struct node node = { .addresses = own, .n_addresses = 2 };

static void setup(void)
{
	own[0].family = ip_parse("192.0.2.10", &own[0].addr);
	own[1].family = ip_parse("2001:db8::10", &own[1].addr);
}

static bool serves(char **list, size_t n, const char *text)
{
	struct sl_addr addr;
	int family = ip_parse(text, &addr);

	ck_assert_int_gt(family, 0);
	return node_ports_serve(list, n, &node, &addr, family);
}

START_TEST(without_a_list_every_address_but_loopback_serves)
{
	ck_assert(serves(NULL, 0, "192.0.2.10"));
	ck_assert(serves(NULL, 0, "10.0.0.1"));
	ck_assert(serves(NULL, 0, "2001:db8::10"));
	ck_assert(!serves(NULL, 0, "127.0.0.1"));
	ck_assert(!serves(NULL, 0, "::1"));
}
END_TEST

START_TEST(primary_is_the_first_address_of_each_family)
{
	char *list[] = { "primary" };

	ck_assert(serves(list, 1, "192.0.2.10"));
	ck_assert(serves(list, 1, "2001:db8::10"));
	ck_assert(!serves(list, 1, "192.0.2.11"));
}
END_TEST

START_TEST(primary_without_a_node_has_no_address)
{
	char *list[] = { "primary" };

	ck_assert(!node_ports_serve(list, 1, NULL, &own[0].addr, 4));
}
END_TEST

START_TEST(primary_is_skipped_where_it_is_loopback)
{
	struct object_address loopback = { .family = 4 };
	const struct node lonely = { .addresses = &loopback, .n_addresses = 1 };
	char *list[] = { "primary" };

	ck_assert_int_eq(ip_parse("127.0.0.1", &loopback.addr), 4);
	ck_assert(node_ports_serve(list, 1, &lonely, &own[0].addr, 4));
	ck_assert(!node_ports_serve(list, 1, &lonely, &own[1].addr, 6));
}
END_TEST

START_TEST(prefixes_choose_addresses)
{
	char *list[] = { "10.0.0.0/8", "2001:db8:1::/48" };

	ck_assert(serves(list, 2, "10.1.2.3"));
	ck_assert(!serves(list, 2, "192.0.2.10"));
	ck_assert(!serves(list, 2, "2001:db8::10"));
	ck_assert(serves(list, 2, "2001:db8:1::1"));
}
END_TEST

START_TEST(a_family_that_is_not_listed_falls_to_all)
{
	char *list[] = { "10.0.0.0/8" };

	ck_assert(serves(list, 1, "2001:db8::10"));
	ck_assert(!serves(list, 1, "192.0.2.10"));
}
END_TEST

START_TEST(all_makes_the_rest_of_the_list_moot)
{
	char *list[] = { "10.0.0.0/8", "all" };

	ck_assert(serves(list, 2, "192.0.2.10"));
}
END_TEST

START_TEST(localhost_alone_serves_nowhere)
{
	char *list[] = { "localhost" };

	ck_assert(!serves(list, 1, "127.0.0.1"));
	ck_assert(!serves(list, 1, "192.0.2.10"));
}
END_TEST

START_TEST(a_list_may_mean_every_address_of_a_family)
{
	static const struct {
		const char *list[2];
		bool all4, all6;
	} rows[] = {
		{ { NULL }, true, true },
		{ { "all" }, true, true },
		{ { "10.0.0.0/8", "all" }, true, true },
		{ { "10.0.0.0/8" }, false, true },
		{ { "2001:db8::/32" }, true, false },
		{ { "10.0.0.0/8", "::/0" }, false, true },
		{ { "0.0.0.0/0", "10.0.0.0/8" }, true, true },
		{ { "0.0.0.0/0", "2001:db8::/32" }, true, false },
		{ { "primary" }, false, false },
		{ { "localhost", "0.0.0.0/0" }, true, false },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		char *const *list = (char *const *)rows[i].list;
		size_t n = !!list[0] + !!list[1];

		ck_assert_msg(node_ports_all(list, n, 4) == rows[i].all4, "row %zu", i);
		ck_assert_msg(node_ports_all(list, n, 6) == rows[i].all6, "row %zu", i);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("node_ports");
	TCase *tcase = tcase_create("serve");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_unchecked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, without_a_list_every_address_but_loopback_serves);
	tcase_add_test(tcase, primary_is_the_first_address_of_each_family);
	tcase_add_test(tcase, primary_without_a_node_has_no_address);
	tcase_add_test(tcase, primary_is_skipped_where_it_is_loopback);
	tcase_add_test(tcase, prefixes_choose_addresses);
	tcase_add_test(tcase, a_family_that_is_not_listed_falls_to_all);
	tcase_add_test(tcase, all_makes_the_rest_of_the_list_moot);
	tcase_add_test(tcase, localhost_alone_serves_nowhere);
	tcase_add_test(tcase, a_list_may_mean_every_address_of_a_family);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
