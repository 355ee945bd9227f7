/* SPDX-License-Identifier: Apache-2.0 */

#include <check.h>
#include <stdlib.h>

#include "controlplane/tables/latency.h"

static struct latency latency;

static void setup(void)
{
	latency = (struct latency) { 0 };
}

START_TEST(nothing_counted_is_zero)
{
	ck_assert_uint_eq(latency_quantile(&latency, 0.5), 0);
	ck_assert_uint_eq(latency.max_us, 0);
}
END_TEST

START_TEST(one_value_is_every_quantile)
{
	latency_add(&latency, 1234567);
	ck_assert_uint_eq(latency_quantile(&latency, 0.5), 1234567);
	ck_assert_uint_eq(latency_quantile(&latency, 0.99), 1234567);
}
END_TEST

START_TEST(small_values_are_exact)
{
	for (uint64_t us = 0; us < 10; us++)
		latency_add(&latency, us);
	ck_assert_uint_eq(latency_quantile(&latency, 0.5), 4);
	ck_assert_uint_eq(latency_quantile(&latency, 0.9), 8);
	ck_assert_uint_eq(latency_quantile(&latency, 1.0), 9);
}
END_TEST

START_TEST(quantiles_are_close_and_never_too_low)
{
	for (uint64_t us = 1; us <= 100000; us++)
		latency_add(&latency, us);
	ck_assert_uint_ge(latency_quantile(&latency, 0.5), 50000);
	ck_assert_uint_le(latency_quantile(&latency, 0.5), 50000 * 107 / 100);
	ck_assert_uint_ge(latency_quantile(&latency, 0.99), 99000);
	ck_assert_uint_le(latency_quantile(&latency, 0.99), 100000);
}
END_TEST

START_TEST(the_largest_value_fits)
{
	latency_add(&latency, UINT64_MAX);
	latency_add(&latency, 16);
	ck_assert_uint_eq(latency_quantile(&latency, 1.0), UINT64_MAX);
	ck_assert_uint_eq(latency_quantile(&latency, 0.5), 16);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("latency");
	TCase *tc = tcase_create("histogram");
	SRunner *runner = srunner_create(suite);

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, nothing_counted_is_zero);
	tcase_add_test(tc, one_value_is_every_quantile);
	tcase_add_test(tc, small_values_are_exact);
	tcase_add_test(tc, quantiles_are_close_and_never_too_low);
	tcase_add_test(tc, the_largest_value_fits);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
