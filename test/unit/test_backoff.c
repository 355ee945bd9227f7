/* SPDX-License-Identifier: Apache-2.0 */

#include <check.h>
#include <stdlib.h>

#include "controlplane/source/backoff.h"

static const struct backoff_limits limits = { .min_ms = 800, .max_ms = 30000, .reset_ms = 120000 };

START_TEST(delays_double_up_to_the_limit)
{
	static const uint64_t want[] = { 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000 };
	struct backoff backoff = {};

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		ck_assert_uint_eq(backoff_fail(&backoff, &limits, i, 0), want[i]);
}
END_TEST

START_TEST(delays_stay_between_once_and_twice_the_base)
{
	for (uint32_t random = 0; random < 5000; random += 7) {
		struct backoff backoff = {};
		uint64_t delay = backoff_fail(&backoff, &limits, 0, random);

		ck_assert_uint_ge(delay, 800);
		ck_assert_uint_le(delay, 1600);
	}
}
END_TEST

START_TEST(the_whole_range_of_the_jitter_is_used)
{
	struct backoff low = {}, high = {};

	ck_assert_uint_eq(backoff_fail(&low, &limits, 0, 801), 800);
	ck_assert_uint_eq(backoff_fail(&high, &limits, 0, 800), 1600);
}
END_TEST

START_TEST(two_minutes_without_failure_begin_anew)
{
	struct backoff backoff = {};

	for (int i = 0; i < 5; i++)
		backoff_fail(&backoff, &limits, 1000, 0);
	ck_assert_uint_eq(backoff_fail(&backoff, &limits, 1000 + 119999, 0), 25600);
	ck_assert_uint_eq(backoff_fail(&backoff, &limits, 1000 + 119999 + 120000, 0), 800);
}
END_TEST

START_TEST(thousands_of_failures_do_not_overflow)
{
	struct backoff backoff = {};

	for (int i = 0; i < 10000; i++)
		ck_assert_uint_le(backoff_fail(&backoff, &limits, 0, UINT32_MAX), 60000);
}
END_TEST

START_TEST(the_same_complaint_is_made_once_a_minute_and_the_rest_counted)
{
	struct complaints complaints = {};
	unsigned int held = 99;

	ck_assert(complaint_allowed(&complaints, 7, 5, 60000, &held));
	ck_assert_uint_eq(held, 0);
	for (int i = 0; i < 10; i++)
		ck_assert(!complaint_allowed(&complaints, 7, 100, 60000, &held));
	ck_assert(complaint_allowed(&complaints, 7, 60005, 60000, &held));
	ck_assert_uint_eq(held, 10);
	ck_assert(!complaint_allowed(&complaints, 7, 60006, 60000, &held));
}
END_TEST

START_TEST(another_complaint_is_not_held_back)
{
	struct complaints complaints = {};
	unsigned int held;

	for (int key = 0; key < COMPLAINT_KINDS; key++)
		ck_assert(complaint_allowed(&complaints, key, 5, 60000, &held));
	for (int key = 0; key < COMPLAINT_KINDS; key++)
		ck_assert(!complaint_allowed(&complaints, key, 6, 60000, &held));
}
END_TEST

START_TEST(one_complaint_too_many_takes_the_place_of_the_oldest)
{
	struct complaints complaints = {};
	unsigned int held;

	for (int key = 0; key < COMPLAINT_KINDS; key++)
		complaint_allowed(&complaints, key, 10 + (uint64_t)key, 60000, &held);
	ck_assert(complaint_allowed(&complaints, 100, 50, 60000, &held));
	ck_assert(!complaint_allowed(&complaints, 1, 51, 60000, &held));
	ck_assert(complaint_allowed(&complaints, 0, 52, 60000, &held));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("backoff");
	TCase *delays = tcase_create("delays");
	TCase *complaints = tcase_create("complaints");
	SRunner *runner = srunner_create(suite);

	tcase_add_test(delays, delays_double_up_to_the_limit);
	tcase_add_test(delays, delays_stay_between_once_and_twice_the_base);
	tcase_add_test(delays, the_whole_range_of_the_jitter_is_used);
	tcase_add_test(delays, two_minutes_without_failure_begin_anew);
	tcase_add_test(delays, thousands_of_failures_do_not_overflow);
	suite_add_tcase(suite, delays);
	tcase_add_test(complaints, the_same_complaint_is_made_once_a_minute_and_the_rest_counted);
	tcase_add_test(complaints, another_complaint_is_not_held_back);
	tcase_add_test(complaints, one_complaint_too_many_takes_the_place_of_the_oldest);
	suite_add_tcase(suite, complaints);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
