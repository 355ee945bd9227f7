/* SPDX-License-Identifier: Apache-2.0 */
#include "objects.h"

#define CIDR(members) "{'metadata':{'name':'kubernetes'}," members "}"

START_TEST(prefixes_of_both_families_are_read)
{
	sl_auto(service_cidr) cidr =
		service_cidr_of(CIDR("'spec':{'cidrs':['10.96.0.0/12','fd00:10:96::/112']},"
				     "'status':{'conditions':[{'type':'Ready'}]}"));
	struct sl_addr first = addr_of("10.96.0.0"), second = addr_of("fd00:10:96::");

	ck_assert_str_eq(cidr->name, "kubernetes");
	ck_assert_uint_eq(cidr->n_prefixes, 2);
	ck_assert(ip_equal(&cidr->prefixes[0].addr, &first));
	ck_assert_uint_eq(cidr->prefixes[0].family, 4);
	ck_assert_uint_eq(cidr->prefixes[0].len, 12);
	ck_assert(ip_equal(&cidr->prefixes[1].addr, &second));
	ck_assert_uint_eq(cidr->prefixes[1].family, 6);
	ck_assert_uint_eq(cidr->prefixes[1].len, 112);
}
END_TEST

START_TEST(host_bits_are_masked)
{
	sl_auto(service_cidr) cidr = service_cidr_of(CIDR("'spec':{'cidrs':['10.96.7.1/16']}"));
	struct sl_addr addr = addr_of("10.96.0.0");

	ck_assert(ip_equal(&cidr->prefixes[0].addr, &addr));
}
END_TEST

START_TEST(no_prefixes_are_no_error)
{
	static const char *const texts[] = { CIDR("'spec':{}"), CIDR("'spec':null"),
					     CIDR("'spec':{'cidrs':[]}") };

	sl_auto(service_cidr) cidr = service_cidr_of(texts[_i]);
	ck_assert_uint_eq(cidr->n_prefixes, 0);
}
END_TEST

START_TEST(bad_prefix_is_skipped_and_told)
{
	sl_auto(service_cidr) cidr =
		service_cidr_noted(CIDR("'spec':{'cidrs':['10.96.0.0','10.97.0.0/16']}"),
				   "ServiceCIDR kubernetes: spec.cidrs[0]: skipped: \"10.96.0.0\" "
				   "is no CIDR");

	ck_assert_uint_eq(cidr->n_prefixes, 1);
	ck_assert_uint_eq(cidr->prefixes[0].len, 16);
}
END_TEST

static const struct {
	const char *text, *error;
} refused[] = {
	{ "[]", "ServiceCIDR ?: is not an object" },
	{ "{}", "ServiceCIDR ?: metadata.name: missing" },
	{ CIDR("'spec':7"), "ServiceCIDR kubernetes: spec: is a number, not an object" },
	{ CIDR("'spec':{'cidrs':'10.96.0.0/12'}"),
	  "ServiceCIDR kubernetes: spec.cidrs: is a string, not a list" },
	{ CIDR("'spec':{'cidrs':['10.96.0.0/12',null]}"),
	  "ServiceCIDR kubernetes: spec.cidrs[1]: missing" },
};

START_TEST(malformed_cidr_is_refused_by_object_and_field)
{
	ck_assert_str_eq(service_cidr_error(refused[_i].text), refused[_i].error);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("parse_cidr");
	TCase *tc = tcase_create("cidr");

	tcase_add_test(tc, prefixes_of_both_families_are_read);
	tcase_add_test(tc, host_bits_are_masked);
	tcase_add_loop_test(tc, no_prefixes_are_no_error, 0, 3);
	tcase_add_test(tc, bad_prefix_is_skipped_and_told);
	tcase_add_loop_test(tc, malformed_cidr_is_refused_by_object_and_field, 0,
			    SL_COUNT(refused));
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
