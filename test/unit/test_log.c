/* SPDX-License-Identifier: Apache-2.0 */

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "objects.h"

static int log_fd, stderr_fd;
static char text[4096];

static void setup(void)
{
	log_fd = open("/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	ck_assert_int_ge(log_fd, 0);
	stderr_fd = dup(STDERR_FILENO);
	dup2(log_fd, STDERR_FILENO);
}

static void teardown(void)
{
	dup2(stderr_fd, STDERR_FILENO);
	close(stderr_fd);
	close(log_fd);
}

/* What was logged, from the level on. */
static const char *logged(void)
{
	ssize_t len = pread(log_fd, text, sizeof(text) - 1, 0);

	ck_assert_int_ge(len, 26);
	text[len] = '\0';
	return text + 25;
}

START_TEST(a_message_is_one_line_whatever_it_holds)
{
	log_warn("source: %s\n", "a\nb\r\x1b[31m\x7f\t\xc3\xa9");
	ck_assert_str_eq(logged(), "warn  source: a?b??[31m??\xc3\xa9\n");
}
END_TEST

START_TEST(a_debug_message_keeps_its_lines)
{
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("libbpf: one\ntwo\n");
	ck_assert_str_eq(logged(), "debug libbpf: one\ntwo\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *tc = tcase_create("log");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_message_is_one_line_whatever_it_holds);
	tcase_add_test(tc, a_debug_message_keeps_its_lines);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
