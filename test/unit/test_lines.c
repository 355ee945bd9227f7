/* SPDX-License-Identifier: Apache-2.0 */

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "controlplane/source/lines.h"

static struct lines lines;

static void setup(void)
{
	lines_init(&lines, 16);
}

static void teardown(void)
{
	lines_clear(&lines);
}

static void feed(const char *text)
{
	ck_assert_int_eq(lines_feed(&lines, text, strlen(text)), 0);
}

static void expect(const char *want)
{
	const char *line;
	size_t len;

	ck_assert_int_eq(lines_next(&lines, &line, &len), 1);
	ck_assert_uint_eq(len, strlen(want));
	ck_assert_mem_eq(line, want, len);
}

static void expect_none(void)
{
	const char *line;
	size_t len;

	ck_assert_int_eq(lines_next(&lines, &line, &len), 0);
}

START_TEST(a_line_in_pieces_is_given_out_whole)
{
	feed("{\"ty");
	expect_none();
	feed("pe\":1");
	expect_none();
	feed("}\n");
	expect("{\"type\":1}");
	expect_none();
}
END_TEST

START_TEST(one_piece_may_hold_several_lines_and_a_half)
{
	feed("a\nbb\nhal");
	expect("a");
	expect("bb");
	expect_none();
	feed("f\n");
	expect("half");
}
END_TEST

START_TEST(empty_lines_are_skipped)
{
	feed("\n\na\n\n");
	expect("a");
	expect_none();
}
END_TEST

START_TEST(every_way_to_cut_a_stream_gives_the_same_lines)
{
	const char *stream = "one\ntwo\n\nthree\n";

	for (size_t cut = 0; cut <= strlen(stream); cut++) {
		ck_assert_int_eq(lines_feed(&lines, stream, cut), 0);
		if (cut >= 4)
			expect("one");
		if (cut >= 8)
			expect("two");
		if (cut >= 15)
			expect("three");
		expect_none();
		feed(stream + cut);
		if (cut < 4)
			expect("one");
		if (cut < 8)
			expect("two");
		if (cut < 15)
			expect("three");
		expect_none();
	}
}
END_TEST

START_TEST(a_line_of_just_the_limit_is_taken)
{
	feed("0123456789abcdef\n");
	expect("0123456789abcdef");
}
END_TEST

START_TEST(a_line_beyond_the_limit_is_refused_with_its_beginning)
{
	const char *line;
	size_t len;

	feed("ok\n0123456789abcdefg\n");
	expect("ok");
	ck_assert_int_eq(lines_next(&lines, &line, &len), -EMSGSIZE);
	ck_assert_mem_eq(line, "0123456789", 10);
}
END_TEST

START_TEST(what_follows_a_line_beyond_the_limit_is_given_out)
{
	const char *line;
	size_t len;

	feed("0123456789abcdefg");
	ck_assert_int_eq(lines_next(&lines, &line, &len), -EMSGSIZE);
	expect_none();
	feed("hij");
	expect_none();
	feed("k\nnext\n0123456789abcdefg\nlast\n");
	expect("next");
	ck_assert_int_eq(lines_next(&lines, &line, &len), -EMSGSIZE);
	expect("last");
	expect_none();
}
END_TEST

START_TEST(a_line_without_end_is_refused_before_its_end_comes)
{
	const char *line;
	size_t len;

	for (int i = 0; i < 16; i++) {
		feed("x");
		expect_none();
	}
	feed("x");
	ck_assert_int_eq(lines_next(&lines, &line, &len), -EMSGSIZE);
}
END_TEST

START_TEST(clear_forgets_half_a_line)
{
	feed("half");
	expect_none();
	lines_clear(&lines);
	feed("new\n");
	expect("new");
}
END_TEST

START_TEST(the_memory_of_a_huge_line_is_given_back)
{
	size_t len = 4 << 20;
	sl_auto_mem char *huge = malloc(len);
	const char *line;

	memset(huge, 'x', len);
	lines.max = len;
	ck_assert_int_eq(lines_feed(&lines, huge, len), 0);
	feed("\n");
	ck_assert_int_eq(lines_next(&lines, &line, &len), 1);
	feed("a\n");
	expect("a");
	ck_assert_uint_lt(lines.buffer.size, 1 << 20);
}
END_TEST

START_TEST(the_rest_of_a_huge_line_is_passed_over_when_its_memory_was_given_back)
{
	size_t len = 4 << 20;
	sl_auto_mem char *huge = malloc(len);
	const char *line;

	memset(huge, 'x', len);
	ck_assert_int_eq(lines_feed(&lines, huge, len), 0);
	ck_assert_int_eq(lines_next(&lines, &line, &len), -EMSGSIZE);
	expect_none();
	feed("rest");
	ck_assert_uint_lt(lines.buffer.size, 1 << 20);
	expect_none();
	feed("more\nnext\n");
	expect("next");
	expect_none();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lines");
	TCase *tc = tcase_create("lines");
	SRunner *runner = srunner_create(suite);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_line_in_pieces_is_given_out_whole);
	tcase_add_test(tc, one_piece_may_hold_several_lines_and_a_half);
	tcase_add_test(tc, empty_lines_are_skipped);
	tcase_add_test(tc, every_way_to_cut_a_stream_gives_the_same_lines);
	tcase_add_test(tc, a_line_of_just_the_limit_is_taken);
	tcase_add_test(tc, a_line_beyond_the_limit_is_refused_with_its_beginning);
	tcase_add_test(tc, a_line_without_end_is_refused_before_its_end_comes);
	tcase_add_test(tc, what_follows_a_line_beyond_the_limit_is_given_out);
	tcase_add_test(tc, clear_forgets_half_a_line);
	tcase_add_test(tc, the_memory_of_a_huge_line_is_given_back);
	tcase_add_test(tc, the_rest_of_a_huge_line_is_passed_over_when_its_memory_was_given_back);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
