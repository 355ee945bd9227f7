/* SPDX-License-Identifier: Apache-2.0 */

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/lock.h"

static char folder[64];
static char error[512];

static void setup(void)
{
	snprintf(folder, sizeof(folder), "/tmp/sluice-test-lock-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(an_instance_is_locked_once_and_the_holder_is_named)
{
	char pid[32];
	int fd = lock_take(folder, "default", error, sizeof(error));

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(lock_take(folder, "default", error, sizeof(error)), -EBUSY);
	snprintf(pid, sizeof(pid), "process %d ", (int)getpid());
	ck_assert_msg(strstr(error, pid), "%s", error);
	close(fd);
}
END_TEST

START_TEST(another_instance_has_a_lock_of_its_own)
{
	int a = lock_take(folder, "a", error, sizeof(error));
	int b = lock_take(folder, "b", error, sizeof(error));

	ck_assert_int_ge(a, 0);
	ck_assert_int_ge(b, 0);
	close(a);
	close(b);
}
END_TEST

START_TEST(a_lock_that_was_let_go_can_be_taken_again)
{
	close(lock_take(folder, "default", error, sizeof(error)));
	ck_assert_int_ge(lock_take(folder, "default", error, sizeof(error)), 0);
}
END_TEST

START_TEST(a_folder_that_cannot_be_made_is_named)
{
	ck_assert_int_lt(lock_take("/proc/none/such", "default", error, sizeof(error)), 0);
	ck_assert_msg(strstr(error, "/proc/none/such"), "%s", error);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lock");
	TCase *tcase = tcase_create("take");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, an_instance_is_locked_once_and_the_holder_is_named);
	tcase_add_test(tcase, another_instance_has_a_lock_of_its_own);
	tcase_add_test(tcase, a_lock_that_was_let_go_can_be_taken_again);
	tcase_add_test(tcase, a_folder_that_cannot_be_made_is_named);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
