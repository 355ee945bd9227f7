/* SPDX-License-Identifier: Apache-2.0 */

/* What is counted of programming runs (S-230, S-231, S-235). */

#include <check.h>

#include "controlplane/metrics/runs.h"

#define S     1000000000LL
#define START (1764000000 * S) /* when the process began */

static struct runs runs;

static void begin(void)
{
	runs_init(&runs, START);
}

static void end(void)
{
	runs_clear(&runs);
}

/* A run of `ms`, which ends `at_s` after the start. */
static void run(unsigned int ms, int64_t at_s, bool all, bool full)
{
	runs_begin(&runs, 5000 * S);
	runs_end(&runs, all, full, (uint64_t)(5000 * S) + ms * 1000000ULL, START + at_s * S);
}

START_TEST(run_is_measured_by_its_kind)
{
	run(3, 10, true, true);
	run(4, 11, true, false);
	run(5, 12, true, false);
	ck_assert_uint_eq(runs.any.total, 3);
	ck_assert_uint_eq(runs.full.total, 1);
	ck_assert_uint_eq(runs.full.count[2], 1); /* at most 4 ms */
	ck_assert_uint_eq(runs.partial.total, 2);
	ck_assert_uint_eq(runs.partial.count[2], 1);
	ck_assert_uint_eq(runs.partial.count[3], 1);
	ck_assert_double_eq_tol(runs.any.sum, 0.012, 1e-9);
}
END_TEST

START_TEST(run_that_goes_on_is_one)
{
	runs_begin(&runs, 100 * S);
	runs_begin(&runs, 101 * S);
	runs_end(&runs, true, false, 102 * S, START + S);
	ck_assert_double_eq_tol(runs.any.sum, 2, 1e-9);
	runs_begin(&runs, 103 * S);
	runs_end(&runs, true, false, 104 * S, START + 2 * S);
	ck_assert_double_eq_tol(runs.any.sum, 3, 1e-9);
}
END_TEST

START_TEST(only_a_run_without_failure_is_the_last)
{
	ck_assert_int_eq(runs.last_ns, 0);
	run(1, 10, true, false);
	run(1, 20, false, false);
	ck_assert_int_eq(runs.last_ns, START + 10 * S);
	ck_assert_uint_eq(runs.failed, 1);
	ck_assert_uint_eq(runs.any.total, 2);
	runs_queued(&runs, START + 30 * S);
	ck_assert_int_eq(runs.last_queued_ns, START + 30 * S);
}
END_TEST

START_TEST(change_is_measured_to_the_end_of_the_run_and_once)
{
	runs_programmed(&runs, RUNS_IPV4, START + 1 * S);
	runs_programmed(&runs, RUNS_IPV4, START + 2 * S);
	runs_programmed(&runs, RUNS_IPV6, START + 9 * S);
	run(1, 10, true, false);
	run(1, 20, true, false);
	ck_assert_uint_eq(runs.programming[RUNS_IPV4].total, 2);
	ck_assert_double_eq_tol(runs.programming[RUNS_IPV4].sum, 9 + 8, 1e-9);
	ck_assert_uint_eq(runs.programming[RUNS_IPV6].total, 1);
	ck_assert_double_eq_tol(runs.programming[RUNS_IPV6].sum, 1, 1e-9);
}
END_TEST

START_TEST(change_before_the_process_is_not_measured)
{
	runs_programmed(&runs, RUNS_IPV4, START - S);
	runs_programmed(&runs, RUNS_IPV4, START);
	run(1, 10, true, false);
	ck_assert_uint_eq(runs.programming[RUNS_IPV4].total, 0);
	runs_programmed(&runs, RUNS_IPV4, START + 1);
	run(1, 10, true, false);
	ck_assert_uint_eq(runs.programming[RUNS_IPV4].total, 1);
}
END_TEST

START_TEST(change_of_a_clock_that_is_ahead_took_no_time)
{
	runs_programmed(&runs, RUNS_IPV4, START + 60 * S);
	run(1, 10, true, false);
	ck_assert_uint_eq(runs.programming[RUNS_IPV4].count[0], 1);
	ck_assert_double_eq(runs.programming[RUNS_IPV4].sum, 0);
}
END_TEST

START_TEST(many_changes_are_all_measured)
{
	for (int64_t i = 0; i < 1000; i++)
		runs_programmed(&runs, RUNS_IPV6, START + 1 + i);
	run(1, 2, true, true);
	ck_assert_uint_eq(runs.programming[RUNS_IPV6].total, 1000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("runs");
	TCase *tc = tcase_create("runs");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, begin, end);
	tcase_add_test(tc, run_is_measured_by_its_kind);
	tcase_add_test(tc, run_that_goes_on_is_one);
	tcase_add_test(tc, only_a_run_without_failure_is_the_last);
	tcase_add_test(tc, change_is_measured_to_the_end_of_the_run_and_once);
	tcase_add_test(tc, change_before_the_process_is_not_measured);
	tcase_add_test(tc, change_of_a_clock_that_is_ahead_took_no_time);
	tcase_add_test(tc, many_changes_are_all_measured);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
