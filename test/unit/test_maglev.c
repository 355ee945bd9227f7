/* SPDX-License-Identifier: Apache-2.0 */

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <string.h>

#include "common/mem.h"
#include "controlplane/plan/maglev.h"

#define SIZE 16381
#define MANY 100

static uint32_t slots[524287], other[524287];

/* Backend i + 1 at 10.0.(i / 250).(i % 250 + 1):80 */
static struct maglev_backend backend(size_t i, uint32_t weight)
{
	struct sl_addr addr = { { htonl(0x0a000001U + (uint32_t)(i / 250 * 256 + i % 250)) } };

	return (struct maglev_backend) {
		.id = (uint32_t)i + 1,
		.seed = maglev_seed(&addr, 4, htons(80)),
		.weight = weight,
	};
}

static void backends_init(struct maglev_backend *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		b[i] = backend(i, 1);
}

static void build(const struct maglev_backend *b, size_t n, uint32_t *to, uint32_t size)
{
	memset(to, 0, size * sizeof(*to));
	ck_assert_int_eq(maglev_build(b, n, to, size), 0);
}

static size_t owned(const uint32_t *table, uint32_t size, uint32_t id)
{
	size_t count = 0;

	for (uint32_t i = 0; i < size; i++)
		count += table[i] == id;
	return count;
}

START_TEST(every_slot_belongs_to_a_backend)
{
	struct maglev_backend b[MANY];

	backends_init(b, MANY);
	build(b, MANY, slots, SIZE);
	for (uint32_t i = 0; i < SIZE; i++) {
		ck_assert_uint_ge(slots[i], 1);
		ck_assert_uint_le(slots[i], MANY);
	}
}
END_TEST

START_TEST(equal_weights_differ_by_one_slot_at_most)
{
	struct maglev_backend b[MANY];

	backends_init(b, MANY);
	build(b, MANY, slots, SIZE);
	for (uint32_t id = 1; id <= MANY; id++) {
		ck_assert_uint_ge(owned(slots, SIZE, id), SIZE / MANY);
		ck_assert_uint_le(owned(slots, SIZE, id), SIZE / MANY + 1);
	}
}
END_TEST

START_TEST(order_of_backends_does_not_matter)
{
	struct maglev_backend b[MANY], shuffled[MANY];

	backends_init(b, MANY);
	for (size_t i = 0; i < MANY; i++)
		shuffled[i] = b[(i * 37 + 11) % MANY];
	build(b, MANY, slots, SIZE);
	build(shuffled, MANY, other, SIZE);
	ck_assert_mem_eq(slots, other, SIZE * sizeof(*slots));
}
END_TEST

START_TEST(order_does_not_matter_with_weights_either)
{
	struct maglev_backend b[MANY], shuffled[MANY];

	for (size_t i = 0; i < MANY; i++)
		b[i] = backend(i, (uint32_t)(i % 7 + 1));
	for (size_t i = 0; i < MANY; i++)
		shuffled[i] = b[(i * 37 + 11) % MANY];
	build(b, MANY, slots, SIZE);
	build(shuffled, MANY, other, SIZE);
	ck_assert_mem_eq(slots, other, SIZE * sizeof(*slots));
}
END_TEST

/* Ids are a node's own; where a backend sits must not hang on them. */
START_TEST(ids_do_not_move_slots)
{
	struct maglev_backend b[MANY];

	backends_init(b, MANY);
	build(b, MANY, slots, SIZE);
	for (size_t i = 0; i < MANY; i++)
		b[i].id = MANY + 1 - b[i].id;
	build(b, MANY, other, SIZE);
	for (uint32_t i = 0; i < SIZE; i++)
		ck_assert_uint_eq(other[i], MANY + 1 - slots[i]);
}
END_TEST

/* Moved: slots of backends that stay which belong to another one now. */
static size_t moved(uint32_t leaver)
{
	size_t count = 0;

	for (uint32_t i = 0; i < SIZE; i++)
		count += slots[i] != leaver && other[i] != leaver && slots[i] != other[i];
	return count;
}

START_TEST(losing_one_of_ten_moves_few_other_flows)
{
	struct maglev_backend b[10];

	backends_init(b, 10);
	b[_i] = backend(9, 1); /* the leaver is the last one, its place any */
	b[9] = backend((size_t)_i, 1);
	build(b, 10, slots, SIZE);
	build(b, 9, other, SIZE);
	ck_assert_uint_lt(moved(b[9].id), SIZE / 25);
}
END_TEST

START_TEST(a_new_one_takes_from_all_and_moves_few_others)
{
	struct maglev_backend b[11];
	size_t taken[11] = { 0 };

	backends_init(b, 11);
	build(b, 10, slots, SIZE);
	build(b, 11, other, SIZE);
	ck_assert_uint_lt(moved(11), SIZE / 25);
	for (uint32_t i = 0; i < SIZE; i++)
		taken[slots[i] - 1] += other[i] == 11;
	for (size_t i = 0; i < 10; i++)
		ck_assert_uint_gt(taken[i], SIZE / 11 / 10 / 2);
}
END_TEST

START_TEST(losing_one_of_a_hundred_moves_few_other_flows)
{
	struct maglev_backend b[MANY];

	backends_init(b, MANY);
	build(b, MANY, slots, SIZE);
	build(b, MANY - 1, other, SIZE);
	ck_assert_uint_lt(moved(MANY), SIZE / 33);
}
END_TEST

/* Shares in proportion to weights, to a slot. */
static const struct {
	uint32_t weight[4];
} shares[] = {
	{ { 1, 1, 1, 3 } },	    { { 1, 2, 3, 4 } }, { { 100, 50, 25, 1 } },
	{ { 65535, 65535, 1, 1 } }, { { 7, 7, 7, 7 } }, { { 5000, 1, 1, 1 } },
	{ { 0, 3, 0, 2 } },	    { { 9, 0, 0, 0 } },
};

START_TEST(weights_scale_shares)
{
	struct maglev_backend b[4];
	uint64_t sum = 0;

	for (size_t i = 0; i < 4; i++) {
		b[i] = backend(i, shares[_i].weight[i]);
		sum += b[i].weight;
	}
	build(b, 4, slots, SIZE);
	for (size_t i = 0; i < 4; i++) {
		double want = (double)SIZE * b[i].weight / (double)sum;
		double got = (double)owned(slots, SIZE, b[i].id);

		ck_assert_msg(got > want - 1.5 && got < want + 1.5, "weight %u: %f slots, not %f",
			      b[i].weight, got, want);
	}
}
END_TEST

START_TEST(scaled_weights_give_the_same_table)
{
	struct maglev_backend b[10];

	for (size_t i = 0; i < 10; i++)
		b[i] = backend(i, (uint32_t)(i % 3 + 1) * 4);
	build(b, 10, slots, SIZE);
	for (size_t i = 0; i < 10; i++)
		b[i].weight /= 4;
	build(b, 10, other, SIZE);
	ck_assert_mem_eq(slots, other, SIZE * sizeof(*slots));
}
END_TEST

START_TEST(another_weight_moves_no_more_than_the_share)
{
	struct maglev_backend b[10];
	size_t changed = 0;

	backends_init(b, 10);
	build(b, 10, slots, SIZE);
	b[4].weight = 2;
	build(b, 10, other, SIZE);
	for (uint32_t i = 0; i < SIZE; i++)
		changed += slots[i] != other[i];
	ck_assert_uint_lt(changed, SIZE / 11 + SIZE / 25);
}
END_TEST

START_TEST(without_weight_a_backend_is_as_good_as_absent)
{
	struct maglev_backend b[10];

	backends_init(b, 10);
	b[9].weight = 0;
	build(b, 10, slots, SIZE);
	build(b, 9, other, SIZE);
	ck_assert_mem_eq(slots, other, SIZE * sizeof(*slots));
}
END_TEST

START_TEST(the_last_slot_is_not_overrun)
{
	struct maglev_backend b[2] = { backend(0, 1), backend(1, 2) };

	slots[251] = 77;
	ck_assert_int_eq(maglev_build(b, 2, slots, 251), 0);
	ck_assert_uint_eq(slots[251], 77);
}
END_TEST

START_TEST(as_many_backends_as_slots_get_one_each)
{
	static struct maglev_backend b[251];

	backends_init(b, 251);
	build(b, 251, slots, 251);
	for (uint32_t id = 1; id <= 251; id++)
		ck_assert_uint_eq(owned(slots, 251, id), 1);
}
END_TEST

START_TEST(largest_table_is_balanced)
{
	static struct maglev_backend b[5000];

	for (size_t i = 0; i < 5000; i++)
		b[i] = backend(i, (uint32_t)(i % 2 + 1));
	build(b, 5000, slots, 524287);
	for (uint32_t id = 1; id <= 5000; id += 250) {
		double want = 524287.0 * b[id - 1].weight / 7500.0;

		ck_assert_double_eq_tol((double)owned(slots, 524287, id), want, 1.5);
	}
}
END_TEST

static const struct {
	const char *why;
	struct maglev_backend b[2];
	size_t n;
	uint32_t size;
	int want;
} refused[] = {
	{ "no backends", { { 0 } }, 0, 251, -ENODATA },
	{ "no weight", { { .id = 1 }, { .id = 2 } }, 2, 251, -ENODATA },
	{ "id 0", { { .id = 1, .weight = 1 }, { .weight = 1 } }, 2, 251, -EINVAL },
	{ "weight", { { .id = 1, .weight = MAGLEV_WEIGHT_MAX + 1 } }, 1, 251, -EINVAL },
	{ "size 0", { { .id = 1, .weight = 1 } }, 1, 0, -EINVAL },
	{ "size 1", { { .id = 1, .weight = 1 } }, 1, 1, -EINVAL },
	{ "not a prime", { { .id = 1, .weight = 1 } }, 1, 250, -EINVAL },
	{ "another prime", { { .id = 1, .weight = 1 } }, 1, 257, -EINVAL },
};

START_TEST(bad_input_is_refused_and_changes_nothing)
{
	int err;

	memset(slots, 0x5a, 300 * sizeof(*slots));
	memset(other, 0x5a, 300 * sizeof(*other));
	err = maglev_build(refused[_i].b, refused[_i].n, slots, refused[_i].size);
	ck_assert_msg(err == refused[_i].want, "%s: got %d, want %d", refused[_i].why, err,
		      refused[_i].want);
	ck_assert_mem_eq(slots, other, 300 * sizeof(*slots));
}
END_TEST

START_TEST(more_backends_than_slots_are_refused)
{
	static struct maglev_backend b[252];

	backends_init(b, 252);
	ck_assert_int_eq(maglev_build(b, 252, slots, 251), -EINVAL);
}
END_TEST

static const struct {
	size_t n;
	uint32_t size;
} wanted_sizes[] = {
	{ 0, 0 },	  { 1, 1 },	    { 2, 251 },	      { 3, 509 },
	{ 5, 509 },	  { 6, 1021 },	    { 10, 1021 },     { 11, 2039 },
	{ 20, 2039 },	  { 21, 4093 },	    { 40, 4093 },     { 41, 8191 },
	{ 81, 8191 },	  { 82, 16381 },    { 163, 16381 },   { 164, 32749 },
	{ 327, 32749 },	  { 328, 65521 },   { 655, 65521 },   { 656, 131071 },
	{ 1310, 131071 }, { 1311, 262139 }, { 2621, 262139 }, { 2622, 524287 },
	{ 5242, 524287 }, { 100000, 524287 },
};

START_TEST(size_is_the_first_prime_of_a_hundred_slots_a_backend)
{
	ck_assert_uint_eq(maglev_size(wanted_sizes[_i].n), wanted_sizes[_i].size);
}
END_TEST

START_TEST(seeds_tell_address_port_and_family_apart)
{
	struct sl_addr a = { { htonl(0x0a000001) } }, b = { { htonl(0x0a000002) } };
	struct sl_addr low = { { 0, 0, 0, htonl(0x0a000001) } };
	uint64_t seed = maglev_seed(&a, 4, htons(80));

	ck_assert_uint_ne(seed, maglev_seed(&b, 4, htons(80)));
	ck_assert_uint_ne(seed, maglev_seed(&a, 4, htons(81)));
	ck_assert_uint_ne(seed, maglev_seed(&a, 6, htons(80)));
	ck_assert_uint_ne(seed, maglev_seed(&low, 4, htons(80)));
	ck_assert_uint_eq(seed, maglev_seed(&a, 4, htons(80)));
}
END_TEST

/* Nodes of different versions have to agree, so these numbers never change. */
START_TEST(tables_are_what_they_always_were)
{
	struct maglev_backend b[10];
	uint64_t sum = 0;

	backends_init(b, 10);
	build(b, 10, slots, 1021);
	for (uint32_t i = 0; i < 1021; i++)
		sum = sum * 31 + slots[i];
	ck_assert_uint_eq(b[0].seed, 15376154966959143698ULL);
	ck_assert_uint_eq(sum, 10184503783638163558ULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("maglev");
	TCase *tc = tcase_create("build");
	SRunner *runner = srunner_create(suite);

	tcase_add_test(tc, every_slot_belongs_to_a_backend);
	tcase_add_test(tc, equal_weights_differ_by_one_slot_at_most);
	tcase_add_test(tc, order_of_backends_does_not_matter);
	tcase_add_test(tc, order_does_not_matter_with_weights_either);
	tcase_add_test(tc, ids_do_not_move_slots);
	tcase_add_loop_test(tc, losing_one_of_ten_moves_few_other_flows, 0, 10);
	tcase_add_test(tc, a_new_one_takes_from_all_and_moves_few_others);
	tcase_add_test(tc, losing_one_of_a_hundred_moves_few_other_flows);
	tcase_add_loop_test(tc, weights_scale_shares, 0, (int)SL_COUNT(shares));
	tcase_add_test(tc, scaled_weights_give_the_same_table);
	tcase_add_test(tc, another_weight_moves_no_more_than_the_share);
	tcase_add_test(tc, without_weight_a_backend_is_as_good_as_absent);
	tcase_add_test(tc, the_last_slot_is_not_overrun);
	tcase_add_test(tc, as_many_backends_as_slots_get_one_each);
	tcase_add_test(tc, largest_table_is_balanced);
	tcase_add_loop_test(tc, bad_input_is_refused_and_changes_nothing, 0,
			    (int)SL_COUNT(refused));
	tcase_add_test(tc, more_backends_than_slots_are_refused);
	tcase_add_loop_test(tc, size_is_the_first_prime_of_a_hundred_slots_a_backend, 0,
			    (int)SL_COUNT(wanted_sizes));
	tcase_add_test(tc, seeds_tell_address_port_and_family_apart);
	tcase_add_test(tc, tables_are_what_they_always_were);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
