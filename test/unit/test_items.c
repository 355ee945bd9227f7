/* SPDX-License-Identifier: Apache-2.0 */

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "controlplane/source/items.h"

static struct items items;
static char taken[4096]; /* each item, then "|"; "..." after one that is not whole */

static int take(void *context, const char *item, size_t len, bool whole)
{
	(void)context;
	strncat(taken, item, len);
	strcat(taken, whole ? "|" : "...|");
	return strncmp(item, "stop", 4) == 0 ? -EBADMSG : 0;
}

static void setup(void)
{
	items_init(&items, 1000);
	taken[0] = '\0';
}

static void teardown(void)
{
	items_clear(&items);
}

static const struct {
	const char *text, *items, *frame;
} lists[] = {
	{ "{\"a\":1,\"items\":[{\"b\":[2]},{}],\"c\":3}", "{\"b\":[2]}|{}|",
	  "{\"a\":1,\"items\":[0,0],\"c\":3}" },
	{ "{\"items\":[]}", "", "{\"items\":[]}" },
	{ "{\"items\":null}", "", "{\"items\":null}" },
	{ " { \"items\" : [ 17 , \"x,]\" , true ] } ", "17|\"x,]\"|true|",
	  " { \"items\" : [ 0 , 0 , 0 ] } " },
	/* Brackets and quotes inside of strings are text. */
	{ "{\"items\":[{\"a\":\"}]\\\"{[\\\\\"}]}", "{\"a\":\"}]\\\"{[\\\\\"}|",
	  "{\"items\":[0]}" },
	/* Only the outermost items are meant, and only an array. */
	{ "{\"metadata\":{\"items\":[1]},\"x\":\"items\",\"items\":[2]}", "2|",
	  "{\"metadata\":{\"items\":[1]},\"x\":\"items\",\"items\":[0]}" },
	{ "{\"items\":{\"items\":[1]}}", "", "{\"items\":{\"items\":[1]}}" },
	{ "{\"items\":1,\"b\":[2]}", "", "{\"items\":1,\"b\":[2]}" },
	{ "[[1],{\"items\":[2]}]", "", "[[1],{\"items\":[2]}]" },
	{ "{\"items\":[{\"items\":[1]}]}", "{\"items\":[1]}|", "{\"items\":[0]}" },
	{ "{\"itemsofmine\":[1]}", "", "{\"itemsofmine\":[1]}" },
	/* What is cut off leaves a frame that is no JSON. */
	{ "{\"items\":[{\"a\":1", "", "{\"items\":[" },
};

/* Whatever the pieces it comes in. */
START_TEST(items_are_split_from_what_surrounds_them)
{
	const char *text = lists[_i].text;

	for (size_t piece = 1; piece <= strlen(text); piece++) {
		for (size_t at = 0; at < strlen(text); at += piece) {
			size_t left = strlen(text) - at;

			ck_assert_int_eq(items_feed(&items, text + at, left < piece ? left : piece,
						    take, NULL),
					 0);
		}
		ck_assert_str_eq(taken, lists[_i].items);
		ck_assert_uint_eq(items.frame.len, strlen(lists[_i].frame));
		ck_assert_mem_eq(items.frame.data, lists[_i].frame, items.frame.len);
		items_clear(&items);
		taken[0] = '\0';
	}
}
END_TEST

START_TEST(an_item_beyond_the_limit_is_given_out_by_its_beginning)
{
	items.max = 16;
	ck_assert_int_eq(items_feed(&items, "{\"items\":[{\"a\":\"0123", 20, take, NULL), 0);
	ck_assert_int_eq(items_feed(&items, "456789abcdef\"},{}]}", 19, take, NULL), 0);
	ck_assert_str_eq(taken, "{\"a\":\"0123456789...|{}|");
}
END_TEST

START_TEST(a_frame_beyond_the_limit_is_refused)
{
	items.max = 16;
	ck_assert_int_eq(items_feed(&items, "{\"a\":\"0123456789abcdef\"}", 25, take, NULL),
			 -EMSGSIZE);
}
END_TEST

START_TEST(who_takes_an_item_may_end_it)
{
	const char *text = "{\"items\":[1,stop,2]}";

	ck_assert_int_eq(items_feed(&items, text, strlen(text), take, NULL), -EBADMSG);
	ck_assert_str_eq(taken, "1|stop|");
}
END_TEST

/* The point of it: what a list of any length keeps in memory. */
START_TEST(a_long_list_takes_no_more_memory_than_an_item)
{
	char item[512];

	items.max = 1 << 20;
	memset(item, ' ', sizeof(item));
	memcpy(item, "{\"a\":1},", 8);
	ck_assert_int_eq(items_feed(&items, "{\"items\":[", 10, take, NULL), 0);
	for (int i = 0; i < 10000; i++) {
		taken[0] = '\0';
		ck_assert_int_eq(items_feed(&items, item, 8, take, NULL), 0);
	}
	ck_assert_uint_le(items.item.size, 4096);
	ck_assert_uint_le(items.frame.size, 32768);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("items");
	TCase *tc = tcase_create("items");
	SRunner *runner = srunner_create(suite);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, items_are_split_from_what_surrounds_them, 0, (int)SL_COUNT(lists));
	tcase_add_test(tc, an_item_beyond_the_limit_is_given_out_by_its_beginning);
	tcase_add_test(tc, a_frame_beyond_the_limit_is_refused);
	tcase_add_test(tc, who_takes_an_item_may_end_it);
	tcase_add_test(tc, a_long_list_takes_no_more_memory_than_an_item);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
