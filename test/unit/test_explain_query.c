/* SPDX-License-Identifier: Apache-2.0 */

/* The question as people write it. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "controlplane/explain/query.h"
#include "objects.h"

static char why[512];

static int parse(const char *from, const char *to, struct decide_packet *ret)
{
	const struct explain_query query = { .from = from, .to = to };

	return explain_query_parse(&query, ret, why);
}

START_TEST(places_are_read_in_any_usual_way)
{
	static const struct {
		const char *from, *to;
		int family, sport, dport, proto;
	} rows[] = {
		{ "10.0.0.1", "10.96.0.1:80", 4, 0, 80, IPPROTO_TCP },
		{ "10.0.0.1:4000", "10.96.0.1:53/udp", 4, 4000, 53, IPPROTO_UDP },
		{ "10.0.0.1:4000", "10.96.0.1:65535/SCTP", 4, 4000, 65535, IPPROTO_SCTP },
		{ "fd00::1", "[fd00::2]:80", 6, 0, 80, IPPROTO_TCP },
		{ "[fd00::1]", "[fd00::2]:80/tcp", 6, 0, 80, IPPROTO_TCP },
		{ "[fd00::1]:1", "[fd00::2]:80", 6, 1, 80, IPPROTO_TCP },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		struct decide_packet p;

		ck_assert_msg(!parse(rows[i].from, rows[i].to, &p), "%s", why);
		ck_assert_int_eq(p.family, rows[i].family);
		ck_assert_int_eq(ntohs(p.sport), rows[i].sport);
		ck_assert_int_eq(ntohs(p.dport), rows[i].dport);
		ck_assert_int_eq(p.proto, rows[i].proto);
	}
}
END_TEST

START_TEST(addresses_go_where_they_belong)
{
	const struct sl_addr from = addr_of("10.0.0.1"), to = addr_of("10.96.0.1");
	struct decide_packet p;

	ck_assert_int_eq(parse("10.0.0.1:1", "10.96.0.1:2", &p), 0);
	ck_assert(ip_equal(&p.saddr, &from));
	ck_assert(ip_equal(&p.daddr, &to));
}
END_TEST

START_TEST(what_is_wrong_is_said)
{
	static const struct {
		const char *from, *to, *want;
	} rows[] = {
		{ NULL, "10.96.0.1:80", "from: is needed" },
		{ "10.0.0.1", NULL, "to: is needed" },
		{ "10.0.0.1", "10.96.0.1", "to: \"10.96.0.1\" is not ADDRESS:PORT" },
		{ "10.0.0.1", "10.96.0.1:0", "to: \"10.96.0.1:0\"" },
		{ "10.0.0.1", "10.96.0.1:65537", "to:" },
		{ "10.0.0.1", "10.96.0.1:80x", "to:" },
		{ "10.0.0.1", "10.96.0.1:-1", "to:" },
		{ "10.0.0.1", "10.96.0.1:80/", "does not end in tcp, udp or sctp" },
		{ "10.0.0.1", "10.96.0.1:80/icmp", "does not end in tcp, udp or sctp" },
		{ "10.0.0.1", "web:80", "to:" },
		{ "fd00::1", "fd00::2:80", "to: \"fd00::2:80\" is not ADDRESS:PORT" },
		{ "fd00::1", "[fd00::2:80", "to:" },
		{ "fd00::1", "[fd00::2]80", "to:" },
		{ "10.0.0.1:", "10.96.0.1:80", "from: \"10.0.0.1:\" is not ADDRESS" },
		{ "10.0.0.1:x", "10.96.0.1:80", "from:" },
		{ "", "10.96.0.1:80", "from:" },
		{ "fd00::1", "10.96.0.1:80", "is of another family than the destination" },
	};
	char longest[4000];

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		struct decide_packet p;

		ck_assert_int_eq(parse(rows[i].from, rows[i].to, &p), -EINVAL);
		ck_assert_msg(strstr(why, rows[i].want), "%s: %s", rows[i].to, why);
	}
	memset(longest, '1', sizeof(longest));
	longest[sizeof(longest) - 1] = 0;
	ck_assert_int_eq(parse(longest, "10.96.0.1:80", &(struct decide_packet) { 0 }), -EINVAL);
	ck_assert_int_eq(parse("10.0.0.1", longest, &(struct decide_packet) { 0 }), -EINVAL);
}
END_TEST

START_TEST(an_interface_and_a_process_exclude_each_other)
{
	const struct explain_query query = {
		.from = "10.0.0.1", .to = "10.96.0.1:80", .iface = "eth0", .local = true
	};
	struct decide_packet p;

	ck_assert_int_eq(explain_query_parse(&query, &p, why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "iface, local:"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("explain_query");
	TCase *tc = tcase_create("query");

	tcase_add_test(tc, places_are_read_in_any_usual_way);
	tcase_add_test(tc, addresses_go_where_they_belong);
	tcase_add_test(tc, what_is_wrong_is_said);
	tcase_add_test(tc, an_interface_and_a_process_exclude_each_other);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
