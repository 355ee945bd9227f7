/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/store/store.h"
#include "objects.h"

#define UID	  "01234567-89ab-cdef-fedc-ba9876543210"
#define OTHER_UID "ffffffff-ffff-ffff-ffff-fffffffffff0"

static const char *round_trip(const char *text)
{
	static char written[UID_TEXT_MAX];
	struct object_uid uid = uid_parse(text);

	return uid_format(&uid, written);
}

START_TEST(a_uid_is_written_as_it_was_read)
{
	ck_assert_str_eq(round_trip(UID), UID);
	ck_assert_str_eq(round_trip(OTHER_UID), OTHER_UID);
	ck_assert_uint_eq(uid_parse(UID).byte[1], 0x23);
}
END_TEST

static const char *const no_uids[] = {
	"",
	"web",
	"00000000-0000-0000-0000-000000000000",
	"01234567-89ab-cdef-fedc-ba987654321",
	"01234567-89ab-cdef-fedc-ba98765432100",
	"0123456789abcdeffedcba9876543210",
	"01234567-89AB-cdef-fedc-ba9876543210",
	"01234567-89ab-cdef-fedc-ba987654321g",
	"01234567-89ab-cdef-fedc_ba9876543210",
};

START_TEST(what_is_no_uuid_is_no_uid)
{
	ck_assert_ptr_null(round_trip(no_uids[_i]));
	ck_assert_ptr_null(round_trip(NULL));
}
END_TEST

static struct service *web(const char *uid)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "{'metadata':{'name':'web','namespace':'shop','uid':'%s'},"
		 "'spec':{'clusterIP':'10.96.0.1'}}",
		 uid);
	return service_of(text);
}

/* Deleted and made again while nobody watched: another object that says the same. */
START_TEST(the_store_has_the_uid_that_came_last)
{
	sl_auto(store) store = store_new();
	struct store_service found;
	char text[UID_TEXT_MAX];

	ck_assert_int_eq(store_put_service(store, web(UID)), 1);
	ck_assert_int_eq(store_put_service(store, web(OTHER_UID)), 0);
	ck_assert(store_find(store, "shop", "web", &found));
	ck_assert_str_eq(uid_format(&found.service->uid, text), OTHER_UID);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("uid");
	TCase *tc = tcase_create("uid");
	SRunner *runner = srunner_create(suite);

	tcase_add_test(tc, a_uid_is_written_as_it_was_read);
	tcase_add_loop_test(tc, what_is_no_uuid_is_no_uid, 0, (int)SL_COUNT(no_uids));
	tcase_add_test(tc, the_store_has_the_uid_that_came_last);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
