/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "controlplane/store/intern.h"
#include "controlplane/store/table.h"
#include "objects.h"

#define MANY 5000

START_TEST(equal_strings_are_one_pointer)
{
	char one[] = "default", two[] = "default";
	const char *a = intern_get(one), *b = intern_get(two);

	ck_assert_ptr_eq(a, b);
	ck_assert_ptr_ne(a, one);
	ck_assert_str_eq(a, "default");
	intern_put(a);
	intern_put(b);
}
END_TEST

START_TEST(different_strings_are_different_pointers)
{
	const char *a = intern_get("zone-a"), *b = intern_get("zone-b"), *none = intern_get("");

	ck_assert_ptr_ne(a, b);
	ck_assert_ptr_ne(a, none);
	ck_assert_str_eq(none, "");
	intern_put(a);
	intern_put(b);
	intern_put(none);
}
END_TEST

START_TEST(no_string_is_no_string)
{
	ck_assert_ptr_null(intern_get(NULL));
	intern_put(NULL);
}
END_TEST

START_TEST(string_lives_until_its_last_user_gives_it_back)
{
	const char *a = intern_get("node-1"), *b = intern_get("node-1"), *c;

	intern_put(a);
	c = intern_get("node-1");
	ck_assert_ptr_eq(c, b);
	ck_assert_str_eq(c, "node-1");
	intern_put(b);
	intern_put(c);
}
END_TEST

START_TEST(many_strings_keep_their_pointers_while_others_come_and_go)
{
	const char *kept[MANY];
	char text[32];

	for (int i = 0; i < MANY; i++) {
		sprintf(text, "name-%d", i);
		kept[i] = intern_get(text);
	}
	for (int i = 0; i < MANY; i += 2)
		intern_put(kept[i]);
	for (int i = 1; i < MANY; i += 2) {
		const char *again;

		sprintf(text, "name-%d", i);
		ck_assert_str_eq(kept[i], text);
		again = intern_get(text);
		ck_assert_ptr_eq(again, kept[i]);
		intern_put(again);
		intern_put(kept[i]);
	}
}
END_TEST

struct number {
	int value;
};

static bool is_number(const void *item, const void *key)
{
	return ((const struct number *)item)->value == *(const int *)key;
}

/* Hashes that make long runs around the end of the index. */
static uint64_t crowded(int value)
{
	return (uint64_t)(value % 3) - 1;
}

START_TEST(table_finds_items_whose_hashes_collide)
{
	struct table table = { 0 };
	struct number numbers[300];

	for (int i = 0; i < 300; i++) {
		numbers[i].value = i;
		ck_assert_int_eq(table_add(&table, crowded(i), &numbers[i]), 0);
	}
	for (int i = 0; i < 300; i++)
		ck_assert_ptr_eq(table_find(&table, crowded(i), is_number, &i), &numbers[i]);
	table_clear(&table);
}
END_TEST

START_TEST(table_finds_the_others_after_any_item_is_removed)
{
	struct number numbers[40];

	for (int gone = 0; gone < 40; gone++) {
		struct table table = { 0 };

		for (int i = 0; i < 40; i++) {
			numbers[i].value = i;
			ck_assert_int_eq(table_add(&table, crowded(i), &numbers[i]), 0);
		}
		table_remove(&table, crowded(gone), &numbers[gone]);
		for (int i = 0; i < 40; i++)
			ck_assert_ptr_eq(table_find(&table, crowded(i), is_number, &i),
					 i == gone ? NULL : &numbers[i]);
		table_clear(&table);
	}
}
END_TEST

START_TEST(table_can_be_emptied_from_the_end_and_filled_again)
{
	struct table table = { 0 };
	struct number numbers[100];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 100; i++) {
			numbers[i].value = i;
			ck_assert_int_eq(table_add(&table, crowded(i), &numbers[i]), 0);
		}
		for (size_t i = table.n; i > 0; i--)
			if (i % 3)
				table_remove(&table, table.items[i - 1].hash,
					     table.items[i - 1].item);
		while (table.n)
			table_remove(&table, table.items[0].hash, table.items[0].item);
		for (int i = 0; i < 100; i++)
			ck_assert_ptr_null(table_find(&table, crowded(i), is_number, &i));
	}
	table_clear(&table);
}
END_TEST

START_TEST(empty_table_finds_nothing)
{
	struct table table = { 0 };
	int key = 1;

	ck_assert_ptr_null(table_find(&table, 1, is_number, &key));
	table_clear(&table);
}
END_TEST

START_TEST(hash_tells_where_one_string_ends_and_the_next_begins)
{
	uint64_t a = table_hash("bc", table_hash("a", 0)), b = table_hash("c", table_hash("ab", 0));

	ck_assert_uint_ne(a, b);
	ck_assert_uint_ne(table_hash("a", 0), table_hash("b", 0));
	ck_assert_uint_eq(table_hash("a", 0), table_hash("a", 0));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("intern");
	TCase *strings = tcase_create("strings"), *table = tcase_create("table");

	tcase_add_test(strings, equal_strings_are_one_pointer);
	tcase_add_test(strings, different_strings_are_different_pointers);
	tcase_add_test(strings, no_string_is_no_string);
	tcase_add_test(strings, string_lives_until_its_last_user_gives_it_back);
	tcase_add_test(strings, many_strings_keep_their_pointers_while_others_come_and_go);
	tcase_add_test(table, table_finds_items_whose_hashes_collide);
	tcase_add_test(table, table_finds_the_others_after_any_item_is_removed);
	tcase_add_test(table, table_can_be_emptied_from_the_end_and_filled_again);
	tcase_add_test(table, empty_table_finds_nothing);
	tcase_add_test(table, hash_tells_where_one_string_ends_and_the_next_begins);
	suite_add_tcase(suite, strings);
	suite_add_tcase(suite, table);
	return run_suite(suite);
}
