/* SPDX-License-Identifier: Apache-2.0 */

/* How full the maps are, and what happens when they are. */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "controlplane/tables/pressure.h"
#include "writer.h"

static int told;

static void on_pressure(void *context)
{
	(void)context;
	told++;
}

static const json_t *fill_of(json_t *all, const char *map)
{
	json_t *fill;
	size_t i;

	json_array_foreach (all, i, fill) {
		if (!strcmp(json_string_value(json_object_get(fill, "name")), map))
			return fill;
	}
	return NULL;
}

static json_int_t used(const char *map)
{
	json_t *all = tables_fill(tables);
	json_int_t n = json_integer_value(json_object_get(fill_of(all, map), "entries"));

	json_decref(all);
	return n;
}

static bool nearly_full(const char *map)
{
	json_t *all = tables_fill(tables);
	bool high = json_is_true(json_object_get(fill_of(all, map), "nearlyFull"));

	json_decref(all);
	return high;
}

/* Its lines from here on go to a file. */
static FILE *log_file;
static int log_was;

static void watch_log(void)
{
	log_file = tmpfile();
	fflush(stderr);
	log_was = dup(STDERR_FILENO);
	dup2(fileno(log_file), STDERR_FILENO);
}

static int lines_with(const char *text)
{
	char line[1024];
	int n = 0;

	fflush(stderr);
	rewind(log_file);
	while (fgets(line, sizeof(line), log_file))
		n += strstr(line, text) != NULL;
	return n;
}

static void unwatch_log(void)
{
	fflush(stderr);
	dup2(log_was, STDERR_FILENO);
	close(log_was);
	fclose(log_file);
}

START_TEST(what_is_used_is_counted)
{
	struct web w;

	web_three(&w);
	web_frontend(&w, "198.51.100.1", 80, SL_KIND_LOAD_BALANCER);
	w.sources[0] = (struct ip_prefix) { .family = 4, .len = 8, .addr = ip("10.0.0.0") };
	w.sources[1] = (struct ip_prefix) { .family = 4, .len = 16, .addr = ip("10.1.0.0") };
	w.port.n_sources = 2;
	apply(&w);
	ck_assert_int_eq(used("services"), 1);
	ck_assert_int_eq(used("identities"), 1);
	ck_assert_int_eq(used("records"), 1);
	ck_assert_int_eq(used("backends"), 3);
	ck_assert_int_eq(used("maglev"), 512 / 2);
	/* Two with a port, and the cluster IP as such. */
	ck_assert_int_eq(used("frontends4"), 3);
	ck_assert_int_eq(used("frontends6"), 0);
	ck_assert_int_eq(used("policy4"), 2);
	writer_restart();
	ck_assert_int_eq(used("policy4"), 2);
	ck_assert_int_eq(used("maglev"), 512 / 2);
	ck_assert_int_eq(used("backends"), 3);
	apply(&w);
	apply_gone(&w);
	settle();
	ck_assert_int_eq(used("services"), 0);
	ck_assert_int_eq(used("records"), 0);
	ck_assert_int_eq(used("backends"), 0);
	ck_assert_int_eq(used("maglev"), 0);
	ck_assert_int_eq(used("frontends4"), 0);
	ck_assert_int_eq(used("policy4"), 0);
}
END_TEST

/* N backends in services of one each, without Maglev slots. */
static void fill_backends(int n)
{
	struct web w;

	web_init(&w, "hog", "10.96.0.9");
	for (int i = 0; i < n; i++) {
		char addr[32];

		snprintf(addr, sizeof(addr), "10.244.3.%d", i + 1);
		web_backend(&w, addr, 0);
	}
	apply(&w);
	settle();
}

START_TEST(a_map_is_told_once_when_it_is_nearly_full_and_when_it_is_not)
{
	tables_on_pressure(tables, on_pressure, NULL);
	watch_log();
	fill_backends(28); /* of 32: 87 % */
	ck_assert(!nearly_full("backends"));
	ck_assert_int_eq(told, 0);
	fill_backends(29);
	fill_backends(30);
	ck_assert(nearly_full("backends"));
	ck_assert_int_eq(told, 1);
	ck_assert_int_eq(
		lines_with("map backends is nearly full, 29 of 32: larger with maxBackends"), 1);
	ck_assert_int_eq(lines_with("nearly full"), 1);
	/* In between nothing is said. */
	fill_backends(28);
	ck_assert(nearly_full("backends"));
	fill_backends(29);
	ck_assert_int_eq(told, 1);
	fill_backends(20);
	ck_assert(!nearly_full("backends"));
	ck_assert_int_eq(told, 2);
	ck_assert_int_eq(lines_with("map backends has room again"), 1);
	ck_assert_int_eq(lines_with("nearly full"), 1);
	unwatch_log();
}
END_TEST

START_TEST(a_refused_change_leaves_the_books_right)
{
	struct web w;

	web_three(&w);
	apply(&w);
	fill_backends(20);
	for (int i = 0; i < 20; i++) {
		char addr[32];

		snprintf(addr, sizeof(addr), "10.244.4.%d", i + 1);
		web_backend(&w, addr, CLUSTER);
	}
	w.sources[0] = (struct ip_prefix) { .family = 4, .len = 8, .addr = ip("10.0.0.0") };
	w.port.n_sources = 1;
	ck_assert_int_eq(tables_apply(tables, &w.resolved, 0, error), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(error, "Service default/web"));
	ck_assert_ptr_nonnull(strstr(error, "map backends: full"));
	ck_assert_int_eq(used("backends"), 23);
	ck_assert_int_eq(used("policy4"), 0);
	/* A list of ranges that does not fit leaves none of them. */
	w.port.n_backends = 3;
	w.port.n_sources = MAX_POLICIES + 1;
	for (int i = 0; i <= MAX_POLICIES; i++) {
		w.sources[i] = (struct ip_prefix) { .family = 4, .len = 32 };
		w.sources[i].addr.w[0] = htonl(0xc0000200U + (uint32_t)i);
	}
	ck_assert_int_eq(tables_apply(tables, &w.resolved, 0, error), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(error, "map policy4: full"));
	ck_assert_int_eq(used("policy4"), 0);
	/* Ranges that do fit go again when frontends do not. */
	for (int i = 0; i < 8; i++) {
		struct web filler;
		char vip[32];

		snprintf(vip, sizeof(vip), "10.96.1.%d", i);
		web_init(&filler, vip, vip);
		apply(&filler);
	}
	w.port.n_sources = 2;
	for (int i = 0; i < 7; i++)
		web_frontend(&w, "10.96.0.1", (uint16_t)(100 + i), SL_KIND_EXTERNAL_IP);
	ck_assert_int_eq(tables_apply(tables, &w.resolved, 0, error), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(error, "map frontends4: full"));
	ck_assert_int_eq(used("policy4"), 0);
}
END_TEST

static bool ports_are_counted(json_int_t wanted)
{
	for (int i = 0; i < 100 && used("snat4") != wanted; i++)
		run_sweeps(100);
	return used("snat4") == wanted;
}

START_TEST(source_ports_are_counted_by_the_sweep)
{
	struct sl_tuple4 key = tuple("10.244.1.1", "192.0.2.1", 61000);

	add_flow(DATAPATH_established4, &key, 0);
	ck_assert_int_eq(
		bpf_map_update_elem(datapath_map(dp, DATAPATH_snat4), &key, &key, BPF_NOEXIST), 0);
	ck_assert(ports_are_counted(1));
	bpf_map_delete_elem(datapath_map(dp, DATAPATH_snat4), &key);
	ck_assert(ports_are_counted(0));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pressure");
	TCase *tc = tcase_create("pressure");
	SRunner *runner;
	int failed;

	log_set_level(LOG_LEVEL_INFO);
	libbpf_set_print(NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, writer_setup, writer_teardown);
	tcase_add_test(tc, what_is_used_is_counted);
	tcase_add_test(tc, a_map_is_told_once_when_it_is_nearly_full_and_when_it_is_not);
	tcase_add_test(tc, a_refused_change_leaves_the_books_right);
	tcase_add_test(tc, source_ports_are_counted_by_the_sweep);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
