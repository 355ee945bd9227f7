/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "objects.h"

/* The bytes of an address as the C library reads it. */
static struct sl_addr libc_addr(int family, const char *text)
{
	struct sl_addr addr = { 0 };

	ck_assert_int_eq(inet_pton(family, text, &addr), 1);
	return addr;
}

static void assert_same(struct sl_addr a, struct sl_addr b, const char *text)
{
	ck_assert_msg(ip_equal(&a, &b), "%s is read as another address", text);
}

START_TEST(ipv4_address_is_read)
{
	struct sl_addr addr;

	ck_assert_int_eq(ip_parse("192.0.2.255", &addr), 4);
	assert_same(addr, libc_addr(AF_INET, "192.0.2.255"), "192.0.2.255");
}
END_TEST

START_TEST(octets_with_leading_zeros_stay_decimal)
{
	struct sl_addr addr;

	ck_assert_int_eq(ip_parse("010.000.0002.0099", &addr), 4);
	assert_same(addr, libc_addr(AF_INET, "10.0.2.99"), "010.000.0002.0099");
}
END_TEST

START_TEST(mapped_address_is_ipv4)
{
	struct sl_addr addr;

	ck_assert_int_eq(ip_parse("::ffff:192.0.2.1", &addr), 4);
	assert_same(addr, libc_addr(AF_INET, "192.0.2.1"), "::ffff:192.0.2.1");
	ck_assert_int_eq(ip_parse("0:0:0:0:0:FFFF:c000:0201", &addr), 4);
	assert_same(addr, libc_addr(AF_INET, "192.0.2.1"), "0:0:0:0:0:FFFF:c000:0201");
}
END_TEST

static const char *const ipv6[] = {
	"::",
	"::1",
	"1::",
	"2001:db8::1",
	"2001:DB8:0:0:8:800:200C:417A",
	"1:2:3:4:5:6:7:8",
	"1:2:3:4:5:6:7::",
	"::2:3:4:5:6:7:8",
	"1::8",
	"fe80::1:0:0:2",
	"64:ff9b::192.0.2.33",
	"1:2:3:4:5:6:192.0.2.33",
};

START_TEST(ipv6_address_is_read_in_every_notation)
{
	struct sl_addr addr;

	ck_assert_int_eq(ip_parse(ipv6[_i], &addr), 6);
	assert_same(addr, libc_addr(AF_INET6, ipv6[_i]), ipv6[_i]);
}
END_TEST

static const char *const not_addresses[] = {
	"",
	" 192.0.2.1",
	"192.0.2.1 ",
	"192.0.2",
	"192.0.2.1.1",
	"192.0.2.256",
	"192.0.2.99999999999999999999",
	"192.0..1",
	"192.0.2.-1",
	"192.0.2.0x1",
	"a.b.c.d",
	":",
	":::",
	":1",
	"1:",
	"1:2:3:4:5:6:7",
	"1:2:3:4:5:6:7:8:",
	"1:2:3:4:5:6:7:8:9",
	"1:2:3:4:5:6:7:8::",
	"::1:2:3:4:5:6:7:8",
	"1::2::3",
	"10000::",
	"fe80::1%eth0",
	"::g",
	"::192.0.2",
	"1:2:3:4:5:6:7:192.0.2.1",
	"192.0.2.1::",
	"[::1]",
};

START_TEST(what_is_no_address_is_refused)
{
	struct sl_addr addr, before;

	memset(&addr, 0xa5, sizeof(addr));
	before = addr;
	ck_assert_msg(ip_parse(not_addresses[_i], &addr) == -EINVAL, "\"%s\" was read",
		      not_addresses[_i]);
	assert_same(addr, before, not_addresses[_i]);
}
END_TEST

static const struct {
	const char *text, *addr;
	int family, len;
} prefixes[] = {
	{ "192.0.2.0/24", "192.0.2.0", 4, 24 },
	{ "203.0.113.7/25", "203.0.113.0", 4, 25 },
	{ "203.000.113.200/0026", "203.0.113.192", 4, 26 },
	{ "1.2.3.4/0", "0.0.0.0", 4, 0 },
	{ "192.0.2.1/32", "192.0.2.1", 4, 32 },
	{ "2001:db8:f::7/64", "2001:db8:f::", 6, 64 },
	{ "2001:db8::ffff/121", "2001:db8::ff80", 6, 121 },
	{ "::/0", "::", 6, 0 },
	{ "2001:db8::1/128", "2001:db8::1", 6, 128 },
};

START_TEST(prefix_is_read_and_its_host_bits_are_masked)
{
	struct ip_prefix prefix;

	ck_assert_int_eq(ip_prefix_parse(prefixes[_i].text, &prefix), 0);
	ck_assert_int_eq(prefix.family, prefixes[_i].family);
	ck_assert_int_eq(prefix.len, prefixes[_i].len);
	assert_same(prefix.addr, addr_of(prefixes[_i].addr), prefixes[_i].text);
}
END_TEST

START_TEST(mapped_prefix_is_ipv4)
{
	struct ip_prefix prefix;

	ck_assert_int_eq(ip_prefix_parse("::ffff:203.0.113.7/121", &prefix), 0);
	ck_assert_int_eq(prefix.family, 4);
	ck_assert_int_eq(prefix.len, 25);
	assert_same(prefix.addr, addr_of("203.0.113.0"), "203.0.113.0");
}
END_TEST

START_TEST(mapped_prefix_that_holds_more_than_ipv4_stays_ipv6)
{
	struct ip_prefix prefix;

	ck_assert_int_eq(ip_prefix_parse("::ffff:203.0.113.7/95", &prefix), 0);
	ck_assert_int_eq(prefix.family, 6);
	ck_assert_int_eq(prefix.len, 95);
}
END_TEST

static const char *const not_prefixes[] = {
	"",
	"192.0.2.0",
	"192.0.2.0/",
	"/24",
	"192.0.2.0/33",
	"192.0.2.0/-1",
	"::/129",
	"192.0.2.0/24/1",
	"192.0.2.0/24 ",
	"192.0.2/24",
	"192.0.2.0/+24",
	"not-a-cidr",
	"2001:db8::/a",
	"192.0.2.0/9999999999999999999",
	"0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
	"0000000000000000000000000000000000000000000000000000000000000000000000000000001.2.3.4/8",
};

START_TEST(what_is_no_prefix_is_refused)
{
	struct ip_prefix prefix = { .len = 77 };

	ck_assert_msg(ip_prefix_parse(not_prefixes[_i], &prefix) == -EINVAL, "\"%s\" was read",
		      not_prefixes[_i]);
	ck_assert_int_eq(prefix.len, 77);
}
END_TEST

static const struct {
	const char *prefix, *addr;
	bool has;
} members[] = {
	{ "192.0.2.128/25", "192.0.2.128", true },
	{ "192.0.2.128/25", "192.0.2.255", true },
	{ "192.0.2.128/25", "192.0.2.127", false },
	{ "192.0.2.128/25", "192.0.3.128", false },
	{ "0.0.0.0/0", "203.0.113.9", true },
	{ "0.0.0.0/0", "2001:db8::1", false },
	{ "::/0", "192.0.2.1", false },
	{ "::/0", "2001:db8::1", true },
	{ "192.0.2.1/32", "192.0.2.1", true },
	{ "192.0.2.1/32", "192.0.2.0", false },
	{ "2001:db8::/61", "2001:db8:0:7::1", true },
	{ "2001:db8::/61", "2001:db8:0:8::1", false },
	{ "2001:db8::1/128", "2001:db8::2", false },
};

START_TEST(prefix_has_the_addresses_of_its_family_and_range)
{
	struct ip_prefix prefix;
	struct sl_addr addr;
	int family = ip_parse(members[_i].addr, &addr);

	ck_assert_int_eq(ip_prefix_parse(members[_i].prefix, &prefix), 0);
	ck_assert_msg(ip_prefix_has(&prefix, &addr, family) == members[_i].has, "%s in %s",
		      members[_i].addr, members[_i].prefix);
}
END_TEST

/* RFC 5952, section 4 and 5 */
static const struct {
	const char *in, *out;
} canonical[] = {
	{ "192.000.002.001", "192.0.2.1" },
	{ "0.0.0.0", "0.0.0.0" },
	{ "2001:0DB8::0001", "2001:db8::1" },
	{ "2001:db8:0:0:0:0:2:1", "2001:db8::2:1" },
	{ "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
	{ "2001:0:0:1:0:0:0:1", "2001:0:0:1::1" },
	{ "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
	{ "0:0:0:0:0:0:0:0", "::" },
	{ "0:0:0:0:0:0:0:1", "::1" },
	{ "1:0:0:0:0:0:0:0", "1::" },
	{ "::192.0.2.1", "::c000:201" },
};

START_TEST(address_is_written_in_its_canonical_form)
{
	char text[IP_TEXT_MAX];
	struct sl_addr addr;
	int family = ip_parse(canonical[_i].in, &addr);

	ck_assert_ptr_eq(ip_format(&addr, family, text), text);
	ck_assert_str_eq(text, canonical[_i].out);
}
END_TEST

START_TEST(what_is_written_is_read_back)
{
	char text[IP_TEXT_MAX];

	/* Every pattern of zero and other groups. */
	for (unsigned int groups = 0; groups < 256; groups++) {
		uint16_t words[8];
		struct sl_addr addr, back;

		for (int i = 0; i < 8; i++)
			words[i] = groups >> i & 1 ? htons(0x1a0 << i % 4) : 0;
		memcpy(&addr, words, sizeof(addr));
		ck_assert_int_eq(ip_parse(ip_format(&addr, 6, text), &back), 6);
		assert_same(back, addr, text);
	}
}
END_TEST

START_TEST(port_is_written_behind_the_address)
{
	struct sl_addr v4 = addr_of("192.0.2.1"), v6 = addr_of("2001:db8::1");
	char text[IP_TEXT_MAX];

	ck_assert_str_eq(ip_format_port(&v4, 4, htons(80), text), "192.0.2.1:80");
	ck_assert_str_eq(ip_format_port(&v6, 6, htons(65535), text), "[2001:db8::1]:65535");
}
END_TEST

START_TEST(longest_address_and_port_are_written_whole)
{
	struct sl_addr addr = addr_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	char text[IP_TEXT_MAX];

	ck_assert_str_eq(ip_format_port(&addr, 6, htons(65535), text),
			 "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}
END_TEST

START_TEST(loopback_is_known_in_both_families)
{
	static const struct {
		const char *addr;
		bool loopback;
	} rows[] = {
		{ "127.0.0.1", true },	{ "127.255.0.9", true }, { "128.0.0.1", false },
		{ "126.0.0.1", false }, { "::1", true },	 { "::2", false },
		{ "7f00::1", false },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		struct sl_addr addr;
		int family = ip_parse(rows[i].addr, &addr);

		ck_assert_msg(ip_is_loopback(&addr, family) == rows[i].loopback, "%s",
			      rows[i].addr);
	}
}
END_TEST

START_TEST(protocols_have_names)
{
	ck_assert_int_eq(ip_protocol_parse("TCP"), IPPROTO_TCP);
	ck_assert_int_eq(ip_protocol_parse("udp"), IPPROTO_UDP);
	ck_assert_int_eq(ip_protocol_parse("Sctp"), IPPROTO_SCTP);
	ck_assert_str_eq(ip_protocol_name(IPPROTO_TCP), "TCP");
	ck_assert_str_eq(ip_protocol_name(IPPROTO_UDP), "UDP");
	ck_assert_str_eq(ip_protocol_name(IPPROTO_SCTP), "SCTP");
}
END_TEST

START_TEST(unknown_protocols_have_none)
{
	ck_assert_int_eq(ip_protocol_parse(""), -EINVAL);
	ck_assert_int_eq(ip_protocol_parse("TCPX"), -EINVAL);
	ck_assert_int_eq(ip_protocol_parse("ICMP"), -EINVAL);
	ck_assert_ptr_null(ip_protocol_name(IPPROTO_ICMP));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ip");
	TCase *tc = tcase_create("ip");

	tcase_add_test(tc, ipv4_address_is_read);
	tcase_add_test(tc, octets_with_leading_zeros_stay_decimal);
	tcase_add_test(tc, mapped_address_is_ipv4);
	tcase_add_loop_test(tc, ipv6_address_is_read_in_every_notation, 0, SL_COUNT(ipv6));
	tcase_add_loop_test(tc, what_is_no_address_is_refused, 0, SL_COUNT(not_addresses));
	tcase_add_loop_test(tc, prefix_is_read_and_its_host_bits_are_masked, 0, SL_COUNT(prefixes));
	tcase_add_test(tc, mapped_prefix_is_ipv4);
	tcase_add_test(tc, mapped_prefix_that_holds_more_than_ipv4_stays_ipv6);
	tcase_add_loop_test(tc, what_is_no_prefix_is_refused, 0, SL_COUNT(not_prefixes));
	tcase_add_loop_test(tc, prefix_has_the_addresses_of_its_family_and_range, 0,
			    SL_COUNT(members));
	tcase_add_loop_test(tc, address_is_written_in_its_canonical_form, 0, SL_COUNT(canonical));
	tcase_add_test(tc, what_is_written_is_read_back);
	tcase_add_test(tc, port_is_written_behind_the_address);
	tcase_add_test(tc, longest_address_and_port_are_written_whole);
	tcase_add_test(tc, loopback_is_known_in_both_families);
	tcase_add_test(tc, protocols_have_names);
	tcase_add_test(tc, unknown_protocols_have_none);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
