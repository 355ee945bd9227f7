/* SPDX-License-Identifier: Apache-2.0 */

/* Loading, pinning and adopting, on a bpffs folder of our own. */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <check.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "controlplane/tables/datapath.h"

#define TCX_INGRESS 46
#define TCX_EGRESS  47
#define LO	    1

#define TEXT_(x)    #x
#define TEXT(x)	    TEXT_(x)
#define LAYOUT	    "v" TEXT(SL_LAYOUT)

static char root[64];
static char error[512];
static struct datapath *dp;

static struct datapath_options options(void)
{
	return (struct datapath_options) {
		.root = root,
		.instance = "default",
		.max_services = 64,
		.max_backends = 128,
		.max_frontends = 64,
		.max_maglev_slots = 65536,
		.max_policies = 64,
		.max_flows_new = 1024,
		.max_flows = 1024,
		.max_snat_ports = 1024,
		.max_affinity = 1024,
		.max_sockets = 1024,
		.config = { .snat_first = 61000, .snat_count = 100 },
	};
}

static int open_it(const struct datapath_options *o)
{
	error[0] = '\0';
	return datapath_open(o, &dp, error);
}

static void open_ok(void)
{
	struct datapath_options o = options();
	int err = open_it(&o);

	ck_assert_msg(err == 0, "%d: %s", err, error);
}

static void close_it(void)
{
	datapath_close(dp);
	dp = NULL;
}

static void setup(void)
{
	snprintf(root, sizeof(root), "/sys/fs/bpf/tables-test-%d/a", getpid());
}

static void teardown(void)
{
	char above[64];

	close_it();
	datapath_remove(root, "default");
	datapath_remove(root, "other");
	rmdir(root);
	snprintf(above, sizeof(above), "/sys/fs/bpf/tables-test-%d", getpid());
	rmdir(above);
}

static bool exists(const char *format, const char *name)
{
	char below[128], path[256];
	struct stat st;

	snprintf(below, sizeof(below), format, name);
	snprintf(path, sizeof(path), "%s/%s", root, below);
	return stat(path, &st) == 0;
}

static uint32_t map_id(int fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	ck_assert_int_eq(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	return info.id;
}

static uint32_t pinned_program(const char *name)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);
	char path[256];

	snprintf(path, sizeof(path), "%s/default/" LAYOUT "/programs/%s", root, name);
	int fd = bpf_obj_get(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	close(fd);
	return info.id;
}

START_TEST(first_start_pins_every_map_and_program)
{
	open_ok();
	ck_assert(!datapath_adopted(dp));
	for (int i = 0; i < DATAPATH_MAP_MAX; i++) {
		ck_assert_int_ge(datapath_map(dp, i), 0);
		ck_assert_msg(exists("default/" LAYOUT "/maps/%s", datapath_map_name(i)), "%s",
			      datapath_map_name(i));
	}
	ck_assert(exists("default/" LAYOUT "/programs/%s", "sluice_ingress"));
	ck_assert(exists("default/" LAYOUT "/programs/%s", "sluice_egress"));
	ck_assert(exists("default/" LAYOUT "/programs/%s", "sluice_xdp"));
	ck_assert(exists("default/" LAYOUT "/programs/%s", "sluice_store"));
	ck_assert(exists("default/" LAYOUT "/%s", "links"));
	ck_assert(!exists("default/" LAYOUT "/programs/%s", "sluice_xdp-new"));
}
END_TEST

START_TEST(sizes_and_configuration_are_what_was_asked_for)
{
	open_ok();
	ck_assert_uint_eq(datapath_entries(dp, DATAPATH_services), 64);
	ck_assert_uint_eq(datapath_entries(dp, DATAPATH_maglev), 32768);
	ck_assert_uint_eq(datapath_entries(dp, DATAPATH_backends), 128);
	ck_assert_uint_eq(datapath_config(dp)->snat_first, 61000);
}
END_TEST

START_TEST(a_restart_adopts_the_same_maps)
{
	uint32_t key = 1, ids[DATAPATH_MAP_MAX];
	uint64_t value = 42, got = 0;

	open_ok();
	for (int i = 0; i < DATAPATH_MAP_MAX; i++)
		ids[i] = map_id(datapath_map(dp, i));
	ck_assert_int_eq(bpf_map_update_elem(datapath_map(dp, DATAPATH_services), &key, &value, 0),
			 0);
	close_it();

	open_ok();
	ck_assert(datapath_adopted(dp));
	for (int i = 0; i < DATAPATH_MAP_MAX; i++)
		ck_assert_uint_eq(map_id(datapath_map(dp, i)), ids[i]);
	ck_assert_int_eq(bpf_map_lookup_elem(datapath_map(dp, DATAPATH_services), &key, &got), 0);
	ck_assert_uint_eq(got, 42);
}
END_TEST

START_TEST(a_restart_replaces_the_programs)
{
	uint32_t before;

	open_ok();
	before = pinned_program("sluice_ingress");
	close_it();
	open_ok();
	ck_assert_uint_ne(pinned_program("sluice_ingress"), before);
}
END_TEST

START_TEST(another_size_than_pinned_is_refused_by_name)
{
	struct datapath_options o = options();
	uint32_t program;

	open_ok();
	close_it();
	program = pinned_program("sluice_ingress");
	o.max_frontends = 128;
	ck_assert_int_eq(open_it(&o), -EEXIST);
	ck_assert_ptr_nonnull(strstr(error, "frontends4"));
	ck_assert_ptr_nonnull(strstr(error, "64"));
	ck_assert_ptr_nonnull(strstr(error, "128"));
	ck_assert_uint_eq(pinned_program("sluice_ingress"), program);
	open_ok();
}
END_TEST

START_TEST(a_pinned_map_of_another_type_is_refused_by_name)
{
	struct datapath_options o = options();
	char path[256];
	int fd;

	open_ok();
	close_it();
	snprintf(path, sizeof(path), "%s/default/" LAYOUT "/maps/policy6", root);
	ck_assert_int_eq(unlink(path), 0);
	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "odd", 4, 4, 64, NULL);
	ck_assert_int_eq(bpf_obj_pin(fd, path), 0);
	close(fd);
	ck_assert_int_eq(open_it(&o), -EEXIST);
	ck_assert_ptr_nonnull(strstr(error, "policy6"));
	ck_assert_ptr_nonnull(strstr(error, "type"));
}
END_TEST

START_TEST(newer_pins_are_left_alone)
{
	struct datapath_options o = options();
	char path[256];

	snprintf(path, sizeof(path), "/sys/fs/bpf/tables-test-%d", getpid());
	mkdir(path, 0700);
	mkdir(root, 0700);
	snprintf(path, sizeof(path), "%s/default", root);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/default/v99", root);
	ck_assert_int_eq(mkdir(path, 0700), 0);

	ck_assert_int_eq(open_it(&o), -EPROTO);
	ck_assert_ptr_nonnull(strstr(error, "99"));
	ck_assert(exists("default/%s", "v99"));
	ck_assert(!exists("default/%s", LAYOUT));
}
END_TEST

/* Its programs stay attached: beside them another's would translate twice. */
START_TEST(older_pins_are_left_alone)
{
	struct datapath_options o = options();
	char path[256];

	open_ok();
	close_it();
	ck_assert_int_eq(datapath_remove(root, "default"), 0);
	snprintf(path, sizeof(path), "%s/default", root);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/default/v%d", root, SL_LAYOUT - 1);
	ck_assert_int_eq(mkdir(path, 0700), 0);

	ck_assert_int_eq(open_it(&o), -EPROTO);
	ck_assert_ptr_nonnull(strstr(error, "older version"));
	ck_assert_ptr_nonnull(strstr(error, "--cleanup"));
	ck_assert_int_eq(access(path, F_OK), 0);
	ck_assert(!exists("default/%s", LAYOUT));

	ck_assert_int_eq(datapath_remove(root, "default"), 0);
	open_ok();
}
END_TEST

START_TEST(a_root_outside_a_bpffs_is_told_how_to_mount)
{
	struct datapath_options o = options();

	snprintf(root, sizeof(root), "/tmp/tables-test-%d", getpid());
	ck_assert_int_eq(open_it(&o), -ENODEV);
	ck_assert_ptr_nonnull(strstr(error, "mount -t bpf"));
	ck_assert_int_ne(access(root, F_OK), 0);
}
END_TEST

START_TEST(a_failed_load_leaves_no_pins)
{
	struct datapath_options o = options();

	o.max_flows = UINT32_MAX; /* the kernel refuses */
	ck_assert_int_lt(open_it(&o), 0);
	ck_assert_msg(strstr(error, "established4"), "%s", error);
	ck_assert_int_ne(access(root, F_OK), 0);
}
END_TEST

START_TEST(a_failed_pin_takes_back_what_it_made)
{
	struct datapath_options o = options();
	char path[256];

	/* A folder where the last map's pin should go. */
	open_ok();
	close_it();
	datapath_remove(root, "default");
	ck_assert(!exists("%s", "default"));
	snprintf(path, sizeof(path), "%s/default", root);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/default/" LAYOUT, root);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/default/" LAYOUT "/programs", root);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/default/" LAYOUT "/programs/sluice_xdp-new", root);
	mkdir(path, 0700);

	ck_assert_int_lt(open_it(&o), 0);
	ck_assert_ptr_nonnull(strstr(error, "programs"));
	ck_assert(!exists("default/" LAYOUT "/%s", "maps"));
	ck_assert(!exists("default/" LAYOUT "/programs/%s", "sluice_ingress-new"));
	rmdir(path);
}
END_TEST

static const struct {
	const char *name;
	int want;
} names[] = {
	{ "", -EINVAL },	   { "Default", -EINVAL },
	{ "a/b", -EINVAL },	   { "..", -EINVAL },
	{ "with space", -EINVAL }, { "123456789012345678901234567890123", -EINVAL },
};

START_TEST(bad_instance_names_are_refused)
{
	struct datapath_options o = options();

	o.instance = names[_i].name;
	ck_assert_int_eq(open_it(&o), names[_i].want);
	ck_assert_str_ne(error, "");
}
END_TEST

START_TEST(a_size_of_zero_is_refused_by_name)
{
	struct datapath_options o = options();

	o.max_backends = 0;
	ck_assert_int_eq(open_it(&o), -EINVAL);
	ck_assert_ptr_nonnull(strstr(error, "backends"));
}
END_TEST

START_TEST(instances_do_not_share_maps)
{
	struct datapath_options o = options();
	struct datapath *first;

	open_ok();
	first = dp;
	o.instance = "other";
	ck_assert_int_eq(open_it(&o), 0);
	ck_assert(!datapath_adopted(dp));
	ck_assert_uint_ne(map_id(datapath_map(first, DATAPATH_services)),
			  map_id(datapath_map(dp, DATAPATH_services)));
	datapath_close(first);
}
END_TEST

START_TEST(a_map_that_is_missing_is_made_anew)
{
	char path[256];

	open_ok();
	close_it();
	snprintf(path, sizeof(path), "%s/default/" LAYOUT "/maps/snat6", root);
	ck_assert_int_eq(unlink(path), 0);
	open_ok();
	ck_assert(datapath_adopted(dp));
	ck_assert(exists("default/" LAYOUT "/maps/%s", "snat6"));
}
END_TEST

START_TEST(remove_leaves_nothing)
{
	open_ok();
	close_it();
	ck_assert_int_eq(datapath_remove(root, "default"), 0);
	ck_assert(!exists("%s", "default"));
	ck_assert_int_eq(datapath_remove(root, "default"), 0);
}
END_TEST

START_TEST(remove_never_touches_another_file_system)
{
	char path[256];

	snprintf(root, sizeof(root), "/tmp/tables-test-%d", getpid());
	mkdir(root, 0700);
	snprintf(path, sizeof(path), "%s/default", root);
	mkdir(path, 0700);
	ck_assert_int_eq(datapath_remove(root, "default"), -ENODEV);
	ck_assert_int_eq(rmdir(path), 0);
	rmdir(root);
}
END_TEST

START_TEST(pins_can_be_read_without_the_daemon)
{
	uint32_t key = 1;
	uint64_t value = 7, got = 0;
	int fds[DATAPATH_MAP_MAX];

	ck_assert_int_eq(datapath_open_pins(root, "default", fds), -ENOENT);
	open_ok();
	bpf_map_update_elem(datapath_map(dp, DATAPATH_services), &key, &value, 0);
	ck_assert_int_eq(datapath_open_pins(root, "default", fds), 0);
	ck_assert_int_eq(bpf_map_lookup_elem(fds[DATAPATH_services], &key, &got), 0);
	ck_assert_uint_eq(got, 7);
	/* Read-only: what a tool does can't hurt. */
	ck_assert_int_lt(bpf_map_update_elem(fds[DATAPATH_services], &key, &value, 0), 0);
	for (int i = 0; i < DATAPATH_MAP_MAX; i++)
		close(fds[i]);
}
END_TEST

START_TEST(pins_of_another_layout_are_not_read)
{
	char old[256], other[256];
	int fds[DATAPATH_MAP_MAX];

	open_ok();
	close_it();
	snprintf(old, sizeof(old), "%s/default/" LAYOUT, root);
	snprintf(other, sizeof(other), "%s/default/v7", root);
	ck_assert_int_eq(rename(old, other), 0);
	ck_assert_int_eq(datapath_open_pins(root, "default", fds), -EPROTO);
}
END_TEST

/* The same program by either way to attach it, in a namespace of our own. */
START_TEST(tc_programs_attach_by_tcx_and_by_clsact)
{
	static const struct {
		enum datapath_program program;
		int attach;
		enum bpf_tc_attach_point point;
	} ways[] = {
		{ DATAPATH_INGRESS, TCX_INGRESS, BPF_TC_INGRESS },
		{ DATAPATH_EGRESS, TCX_EGRESS, BPF_TC_EGRESS },
	};

	open_ok();
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	for (size_t i = 0; i < SL_COUNT(ways); i++) {
		int program = datapath_program(dp, ways[i].program);
		int link = bpf_link_create(program, LO, (enum bpf_attach_type)ways[i].attach, NULL);
		LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = LO, .attach_point = ways[i].point);
		LIBBPF_OPTS(bpf_tc_opts, tc, .prog_fd = program, .handle = 1, .priority = 1);
		int made;

		ck_assert_msg(link >= 0, "TCX: %s", strerror(errno));
		close(link);
		made = bpf_tc_hook_create(&hook);
		ck_assert(made == 0 || made == -EEXIST);
		ck_assert_int_eq(bpf_tc_attach(&hook, &tc), 0);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("datapath");
	TCase *tc = tcase_create("pins");
	SRunner *runner = srunner_create(suite);

	libbpf_set_print(NULL);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, first_start_pins_every_map_and_program);
	tcase_add_test(tc, sizes_and_configuration_are_what_was_asked_for);
	tcase_add_test(tc, a_restart_adopts_the_same_maps);
	tcase_add_test(tc, a_restart_replaces_the_programs);
	tcase_add_test(tc, another_size_than_pinned_is_refused_by_name);
	tcase_add_test(tc, a_pinned_map_of_another_type_is_refused_by_name);
	tcase_add_test(tc, newer_pins_are_left_alone);
	tcase_add_test(tc, older_pins_are_left_alone);
	tcase_add_test(tc, a_root_outside_a_bpffs_is_told_how_to_mount);
	tcase_add_test(tc, a_failed_load_leaves_no_pins);
	tcase_add_test(tc, a_failed_pin_takes_back_what_it_made);
	tcase_add_loop_test(tc, bad_instance_names_are_refused, 0, (int)SL_COUNT(names));
	tcase_add_test(tc, a_size_of_zero_is_refused_by_name);
	tcase_add_test(tc, instances_do_not_share_maps);
	tcase_add_test(tc, a_map_that_is_missing_is_made_anew);
	tcase_add_test(tc, remove_leaves_nothing);
	tcase_add_test(tc, remove_never_touches_another_file_system);
	tcase_add_test(tc, pins_can_be_read_without_the_daemon);
	tcase_add_test(tc, pins_of_another_layout_are_not_read);
	tcase_add_test(tc, tc_programs_attach_by_tcx_and_by_clsact);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
