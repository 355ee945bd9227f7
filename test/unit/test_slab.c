/* SPDX-License-Identifier: Apache-2.0 */

/* Slab of Maglev runs and the ids beside it. */

#include <check.h>
#include <errno.h>
#include <string.h>

#include "controlplane/tables/ids.h"
#include "controlplane/tables/slab.h"

#define UNITS	 1000 /* no power of two */
#define CAPACITY (UNITS * SLAB_UNIT)

static struct slab *slab;

static void setup(void)
{
	ck_assert_int_eq(slab_new(CAPACITY, &slab), 0);
}

static void teardown(void)
{
	slab_free(slab);
}

START_TEST(every_run_size_costs_little_more_than_itself)
{
	static const uint32_t sizes[] = { 251, 1021, 4093, 16381, 65521, 131071 };
	uint32_t first;

	ck_assert_int_eq(slab_take(slab, sizes[_i], &first), 0);
	ck_assert_uint_le(slab_used(slab), sizes[_i] + 15);
}
END_TEST

START_TEST(whole_capacity_can_be_used)
{
	uint32_t first;

	for (int i = 0; i < UNITS; i++)
		ck_assert_int_eq(slab_take(slab, 251, &first), 0);
	ck_assert_uint_eq(slab_used(slab), CAPACITY);
	ck_assert_int_eq(slab_take(slab, 251, &first), -ENOSPC);
}
END_TEST

START_TEST(a_run_larger_than_the_capacity_is_refused)
{
	uint32_t first = 7;

	ck_assert_int_eq(slab_take(slab, 524287, &first), -ENOSPC);
	ck_assert_uint_eq(first, 7);
}
END_TEST

START_TEST(given_back_blocks_merge)
{
	uint32_t first[UNITS], whole;

	for (int i = 0; i < UNITS; i++)
		ck_assert_int_eq(slab_take(slab, 251, &first[i]), 0);
	for (int i = 0; i < UNITS; i++)
		slab_give(slab, first[i * 7 % UNITS], 251);
	ck_assert_uint_eq(slab_used(slab), 0);
	ck_assert_int_eq(slab_take(slab, 131071, &whole), 0);
}
END_TEST

/* Against a plain array of who owns each unit. */
START_TEST(runs_never_overlap)
{
	static const uint32_t sizes[] = { 251, 1021, 4093, 16381 };
	static uint8_t owner[UNITS];
	struct {
		uint32_t first, size;
	} runs[64] = { { 0, 0 } };
	uint32_t random = 1;

	for (int step = 0; step < 20000; step++) {
		random = random * 1664525 + 1013904223;
		unsigned int i = random >> 26;
		uint32_t size = sizes[random >> 8 & 3], first;

		if (runs[i].size) {
			memset(owner + runs[i].first / SLAB_UNIT, 0, runs[i].size / SLAB_UNIT + 1);
			slab_give(slab, runs[i].first, runs[i].size);
			runs[i].size = 0;
		} else if (slab_take(slab, size, &first) == 0) {
			ck_assert_uint_le(first + size, CAPACITY);
			for (uint32_t u = 0; u < size / SLAB_UNIT + 1; u++) {
				ck_assert_uint_eq(owner[first / SLAB_UNIT + u], 0);
				owner[first / SLAB_UNIT + u] = 1;
			}
			runs[i].first = first;
			runs[i].size = size;
		}
	}
}
END_TEST

START_TEST(runs_of_an_earlier_life_can_be_reserved)
{
	uint32_t first[3], got;
	sl_auto(slab) later = NULL;

	ck_assert_int_eq(slab_take(slab, 1021, &first[0]), 0);
	ck_assert_int_eq(slab_take(slab, 251, &first[1]), 0);
	ck_assert_int_eq(slab_take(slab, 16381, &first[2]), 0);

	ck_assert_int_eq(slab_new(CAPACITY, &later), 0);
	ck_assert_int_eq(slab_reserve(later, first[2], 16381), 0);
	ck_assert_int_eq(slab_reserve(later, first[0], 1021), 0);
	ck_assert_int_eq(slab_reserve(later, first[1], 251), 0);
	ck_assert_uint_eq(slab_used(later), slab_used(slab));
	for (int i = 0; slab_take(later, 251, &got) == 0; i++) {
		ck_assert(got < first[0] || got >= first[0] + 1021);
		ck_assert_uint_ne(got, first[1]);
		ck_assert(got < first[2] || got >= first[2] + 16381);
	}
	ck_assert_uint_eq(slab_used(later), CAPACITY);
}
END_TEST

START_TEST(a_reserved_run_can_be_given_back)
{
	uint32_t whole;

	ck_assert_int_eq(slab_reserve(slab, 700 * SLAB_UNIT, 1021), 0);
	slab_give(slab, 700 * SLAB_UNIT, 1021);
	ck_assert_uint_eq(slab_used(slab), 0);
	ck_assert_int_eq(slab_take(slab, 131071, &whole), 0);
}
END_TEST

START_TEST(what_is_taken_or_askew_cant_be_reserved)
{
	ck_assert_int_eq(slab_reserve(slab, 512, 251), 0);
	ck_assert_int_eq(slab_reserve(slab, 512, 251), -EINVAL);
	ck_assert_int_eq(slab_reserve(slab, 0, 1021), -EINVAL); /* 512 is in it */
	ck_assert_int_eq(slab_reserve(slab, 100, 251), -EINVAL);
	ck_assert_int_eq(slab_reserve(slab, 256, 1021), -EINVAL);
	ck_assert_int_eq(slab_reserve(slab, CAPACITY, 251), -EINVAL);
	ck_assert_int_eq(slab_reserve(slab, 0, 0), -EINVAL);
	ck_assert_int_eq(slab_reserve(slab, 512 * SLAB_UNIT, 131071), -EINVAL);
}
END_TEST

START_TEST(no_capacity_has_no_room)
{
	sl_auto(slab) none = NULL;
	uint32_t first;

	ck_assert_int_eq(slab_new(SLAB_UNIT - 1, &none), 0);
	ck_assert_int_eq(slab_take(none, 251, &first), -ENOSPC);
}
END_TEST

START_TEST(ids_are_all_given_out_but_zero)
{
	sl_auto(ids) ids = NULL;
	bool seen[100] = { false };

	ck_assert_int_eq(ids_new(100, &ids), 0);
	for (int i = 1; i < 100; i++) {
		uint32_t id = ids_take(ids);

		ck_assert_uint_ge(id, 1);
		ck_assert_uint_lt(id, 100);
		ck_assert(!seen[id]);
		seen[id] = true;
	}
	ck_assert_uint_eq(ids_take(ids), 0);
	ck_assert_uint_eq(ids_used(ids), 99);
}
END_TEST

START_TEST(an_id_comes_round_as_late_as_possible)
{
	sl_auto(ids) ids = NULL;

	ck_assert_int_eq(ids_new(130, &ids), 0);
	ck_assert_uint_eq(ids_take(ids), 1);
	ids_give(ids, 1);
	for (uint32_t id = 2; id < 130; id++) {
		ck_assert_uint_eq(ids_take(ids), id);
		ids_give(ids, id);
	}
	ck_assert_uint_eq(ids_take(ids), 1);
}
END_TEST

START_TEST(an_id_can_be_reserved_once)
{
	sl_auto(ids) ids = NULL;

	ck_assert_int_eq(ids_new(64, &ids), 0);
	ck_assert(ids_reserve(ids, 63));
	ck_assert(!ids_reserve(ids, 63));
	ck_assert(!ids_reserve(ids, 0));
	ck_assert(!ids_reserve(ids, 64));
	for (int i = 1; i < 63; i++)
		ck_assert_uint_eq(ids_take(ids), (uint32_t)i);
	ck_assert_uint_eq(ids_take(ids), 0);
	ids_give(ids, 63);
	ck_assert_uint_eq(ids_take(ids), 63);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("slab");
	TCase *tc = tcase_create("runs");
	TCase *ids = tcase_create("ids");
	SRunner *runner = srunner_create(suite);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, every_run_size_costs_little_more_than_itself, 0, 6);
	tcase_add_test(tc, whole_capacity_can_be_used);
	tcase_add_test(tc, a_run_larger_than_the_capacity_is_refused);
	tcase_add_test(tc, given_back_blocks_merge);
	tcase_add_test(tc, runs_never_overlap);
	tcase_add_test(tc, runs_of_an_earlier_life_can_be_reserved);
	tcase_add_test(tc, a_reserved_run_can_be_given_back);
	tcase_add_test(tc, what_is_taken_or_askew_cant_be_reserved);
	tcase_add_test(tc, no_capacity_has_no_room);
	tcase_add_test(ids, ids_are_all_given_out_but_zero);
	tcase_add_test(ids, an_id_comes_round_as_late_as_possible);
	tcase_add_test(ids, an_id_can_be_reserved_once);
	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, ids);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
