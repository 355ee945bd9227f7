/* SPDX-License-Identifier: Apache-2.0 */

#include <check.h>
#include <errno.h>
#include <string.h>

#include "common/mem.h"
#include "controlplane/attach/cgroup.h"

#define ROOT_FS "25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"

static const struct {
	const char *why, *text, *want; /* NULL: there is none */
} rows[] = {
	{ "alone at the usual place",
	  ROOT_FS "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n",
	  "/sys/fs/cgroup" },
	{ "a hybrid host has it below those of version 1",
	  "30 25 0:25 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n"
	  "31 30 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
	  "32 30 0:27 / /sys/fs/cgroup/unified rw shared:5 - cgroup2 cgroup2 rw\n",
	  "/sys/fs/cgroup/unified" },
	{ "no optional fields, several of them",
	  "32 30 0:27 / /a rw shared:5 master:1 propagate_from:2 - cgroup2 none rw\n", "/a" },
	{ "a blank and a backslash in the path",
	  "32 30 0:27 / /mnt/a\\040b\\134c rw - cgroup2 cgroup2 rw\n", "/mnt/a b\\c" },
	{ "the host's mount, led into a container, is higher than its own",
	  "32 30 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
	  "33 30 0:27 /../../.. /host/cgroup rw - cgroup2 cgroup2 rw\n",
	  "/host/cgroup" },
	{ "a part that was bound elsewhere is lower",
	  "32 30 0:27 /kubepods/x /part rw - cgroup2 cgroup2 rw\n"
	  "33 30 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
	  "/sys/fs/cgroup" },
	{ "the first of equals",
	  "32 30 0:27 / /one rw - cgroup2 cgroup2 rw\n"
	  "33 30 0:27 / /two rw - cgroup2 cgroup2 rw\n",
	  "/one" },
	{ "version 1 only", "31 30 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n", NULL },
	{ "a name that only begins so", "31 30 0:26 / /x rw - cgroup22 cgroup2 rw\n", NULL },
	{ "a line that was cut", "31 30 0:26 - cgroup2 cgroup2 rw\n", NULL },
	{ "nothing", "", NULL },
};

START_TEST(the_root_is_found)
{
	FILE *file = tmpfile();
	char root[PATH_MAX] = "";

	ck_assert_ptr_nonnull(file);
	fputs(rows[_i].text, file);
	rewind(file);
	int err = cgroup_find_root(file, root);
	fclose(file);
	if (rows[_i].want) {
		ck_assert_msg(err == 0, "%s: %d", rows[_i].why, err);
		ck_assert_msg(!strcmp(root, rows[_i].want), "%s: %s", rows[_i].why, root);
	} else {
		ck_assert_msg(err == -ENOENT, "%s: %d, %s", rows[_i].why, err, root);
	}
}
END_TEST

START_TEST(without_a_hierarchy_the_description_says_so)
{
	struct cgroup cgroup = { .why = "no cgroup v2 hierarchy is mounted" };
	json_t *item = cgroup_describe(&cgroup);

	ck_assert_str_eq(json_string_value(json_object_get(item, "why")), cgroup.why);
	ck_assert_uint_eq(json_array_size(json_object_get(item, "hooks")), 0);
	json_decref(item);
}
END_TEST

START_TEST(a_namespace_has_one_cookie)
{
	uint64_t one = 0, two = 1;

	ck_assert_int_eq(cgroup_netns_cookie(&one), 0);
	ck_assert_int_eq(cgroup_netns_cookie(&two), 0);
	ck_assert_uint_ne(one, 0);
	ck_assert_uint_eq(one, two);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cgroup");
	TCase *tcase = tcase_create("cgroup");
	SRunner *runner = srunner_create(suite);

	tcase_add_loop_test(tcase, the_root_is_found, 0, SL_COUNT(rows));
	tcase_add_test(tcase, without_a_hierarchy_the_description_says_so);
	tcase_add_test(tcase, a_namespace_has_one_cookie);
	suite_add_tcase(suite, tcase);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
