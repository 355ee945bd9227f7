/* SPDX-License-Identifier: Apache-2.0 */

/* The folder source on a real folder and a real loop. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "controlplane/source/source.h"

static char root[64], folder[80], error[OBJECT_ERROR_MAX];
static uv_loop_t loop;
static struct store *store;
static struct source *source;
static int changes;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void make(void)
{
	snprintf(root, sizeof(root), "/tmp/sluice-manifests-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	snprintf(folder, sizeof(folder), "%s/folder", root);
	ck_assert_int_eq(mkdir(folder, 0755), 0);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	store = store_new();
	source = NULL;
	changes = 0;
}

static void unmake(void)
{
	source_free(source);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	store_free(store);
	nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void write_to(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");

	ck_assert_ptr_nonnull(out);
	fputs(text, out);
	fclose(out);
}

static void write_file(const char *name, const char *text)
{
	write_to(path_of(name), text);
}

#define SERVICE(name, port)                                                                        \
	"apiVersion: v1\nkind: Service\nmetadata:\n  name: " name "\nspec:\n"                      \
	"  clusterIP: 10.96.0.1\n  ports:\n  - port: " port "\n"
#define SLICE(name)                                                                                \
	"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: " name           \
	"\n  labels: {kubernetes.io/service-name: web}\naddressType: IPv4\n"                       \
	"ports: [{port: 8080}]\nendpoints: [{addresses: [10.0.0.1]}]\n"

static void on_changed(void *context)
{
	(void)context;
	changes++;
}

static int open_source(void)
{
	const struct source_options options = {
		.loop = &loop,
		.store = store,
		.node_name = "n1",
		.changed = on_changed,
		.folder = folder,
	};

	return source_manifests_new(&options, &source, error);
}

static void on_timeout(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

/* Runs the loop until `done` says so; false after the time. */
static bool run_until(bool (*done)(const void *context), const void *context, uint64_t ms)
{
	bool late = false;
	uv_timer_t timer;

	uv_timer_init(&loop, &timer);
	timer.data = &late;
	uv_timer_start(&timer, on_timeout, ms, 0);
	while (!late && !(done && done(context)))
		uv_run(&loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
	return !late;
}

static bool changed_by(const void *context)
{
	return changes >= *(const int *)context;
}

static void wait_change(int n)
{
	ck_assert_msg(run_until(changed_by, &n, 5000), "%d changes, not %d", changes, n);
}

static void rest(uint64_t ms)
{
	run_until(NULL, NULL, ms);
}

/* Opens the source and reads what is there. */
static void start(void)
{
	ck_assert_msg(open_source() == 0, "%s", error);
	wait_change(1);
	changes = 0;
}

/* The number of reads, from the status. */
static json_int_t lists(void)
{
	json_t *status = source_status(source);
	json_t *kind = json_array_get(json_object_get(status, "kinds"), 0);
	json_int_t n = json_integer_value(json_object_get(kind, "lists"));

	json_decref(status);
	return n;
}

static bool listed_by(const void *context)
{
	return lists() >= *(const json_int_t *)context;
}

/* For what must change nothing: waits until it was read. */
static void wait_list(json_int_t n)
{
	ck_assert_msg(run_until(listed_by, &n, 5000), "%lld reads", (long long)lists());
}

struct look {
	const char *name;
	unsigned int port; /* of the Service `name`; 0: there is none */
	size_t slices;
};

static void look_at(void *context, const struct store_service *known)
{
	struct look *look = context;

	if (strcmp(known->name, look->name) == 0 && known->service->n_ports > 0) {
		look->port = known->service->ports[0].port;
		look->slices = known->n_slices;
	}
}

static unsigned int port_of(const char *name)
{
	struct look look = { .name = name };

	store_each(store, look_at, &look);
	return look.port;
}

static bool status_error_has(const char *part)
{
	json_t *status = source_status(source);
	const char *text = json_string_value(json_object_get(status, "error"));
	bool has = text && strstr(text, part);

	json_decref(status);
	return has;
}

START_TEST(a_folder_is_read_at_start)
{
	write_file("a.yaml", SERVICE("web", "80") "---\n" SLICE("web-1"));
	write_file("b.yml", SERVICE("db", "5432"));
	write_file("c.json", "{\"apiVersion\":\"v1\",\"kind\":\"Node\","
			     "\"metadata\":{\"name\":\"n1\"}}");
	start();
	ck_assert_uint_eq(port_of("web"), 80);
	ck_assert_uint_eq(port_of("db"), 5432);
	ck_assert_uint_eq(store_count(store, OBJECT_SLICE), 1);
	ck_assert_str_eq(store_node(store)->name, "n1");
}
END_TEST

START_TEST(defaults_are_filled_in)
{
	struct store_service known;

	write_file("a.yaml", SERVICE("web", "80") "---\n" SLICE("web-1"));
	start();
	ck_assert(store_next_changed(store, &known));
	ck_assert_str_eq(known.namespace_, "default");
	ck_assert_uint_eq(known.n_slices, 1);
	ck_assert_uint_eq(known.slices[0]->n_ports, 1);
	ck_assert_str_eq(known.slices[0]->ports[0].name, "");
}
END_TEST

START_TEST(an_empty_folder_is_a_complete_list)
{
	ck_assert_int_eq(open_source(), 0);
	ck_assert(!store_listed(store, OBJECT_SERVICE));
	wait_change(1);
	for (int kind = 0; kind < OBJECT_KIND_MAX; kind++)
		ck_assert(store_listed(store, (enum object_kind)kind));
}
END_TEST

START_TEST(a_new_file_is_noticed)
{
	struct store_service known;
	uint64_t before = uv_hrtime();

	start();
	write_file("a.yaml", SERVICE("web", "80"));
	wait_change(1);
	ck_assert_uint_eq(port_of("web"), 80);
	ck_assert(store_next_changed(store, &known));
	ck_assert_uint_gt(known.received_ns, before);
	ck_assert_uint_lt(known.received_ns, uv_hrtime());
}
END_TEST

START_TEST(a_changed_file_changes_its_objects)
{
	write_file("a.yaml", SERVICE("web", "80") "---\n" SERVICE("old", "1"));
	start();
	write_file("a.yaml", SERVICE("web", "81"));
	wait_change(1);
	ck_assert_uint_eq(port_of("web"), 81);
	ck_assert_uint_eq(port_of("old"), 0);
}
END_TEST

START_TEST(a_file_that_is_renamed_over_another_is_read)
{
	char temporary[256];

	write_file("a.yaml", SERVICE("web", "80"));
	start();
	snprintf(temporary, sizeof(temporary), "%s/new", root);
	write_to(temporary, SERVICE("web", "81"));
	ck_assert_int_eq(rename(temporary, path_of("a.yaml")), 0);
	wait_change(1);
	ck_assert_uint_eq(port_of("web"), 81);
}
END_TEST

START_TEST(a_deleted_file_deletes_its_objects)
{
	write_file("a.yaml", SERVICE("web", "80"));
	write_file("b.yaml", SERVICE("db", "81"));
	start();
	unlink(path_of("a.yaml"));
	wait_change(1);
	ck_assert_uint_eq(port_of("web"), 0);
	ck_assert_uint_eq(port_of("db"), 81);
}
END_TEST

START_TEST(an_unchanged_folder_is_no_news)
{
	write_file("a.yaml", SERVICE("web", "80"));
	start();
	write_file("a.yaml", SERVICE("web", "80"));
	wait_list(2);
	ck_assert_int_eq(changes, 0);
}
END_TEST

START_TEST(a_file_that_can_not_be_parsed_keeps_what_it_said)
{
	write_file("a.yaml", SERVICE("web", "80"));
	write_file("b.yaml", SERVICE("db", "81"));
	start();
	write_file("a.yaml", "kind: Service\n  metadata: {\n");
	wait_list(2);
	ck_assert_uint_eq(port_of("web"), 80);
	ck_assert(status_error_has("a.yaml:2: "));

	/* Others go on, and what the bad file said survives that. */
	write_file("b.yaml", SERVICE("db", "82"));
	wait_change(1);
	ck_assert_uint_eq(port_of("web"), 80);
	ck_assert_uint_eq(port_of("db"), 82);

	write_file("a.yaml", SERVICE("other", "83"));
	wait_change(2);
	ck_assert_uint_eq(port_of("web"), 0);
	ck_assert_uint_eq(port_of("other"), 83);
	ck_assert(!status_error_has(""));
}
END_TEST

START_TEST(a_name_in_another_encoding_stops_nothing)
{
	write_file("a.yaml", SERVICE("web", "80"));
	write_file("caf\xe9.yaml", SERVICE("db", "5432"));
	write_file("caf\xe8.yaml", SERVICE("mail", "25"));
	start();
	ck_assert_uint_eq(port_of("web"), 80);
	ck_assert_uint_eq(port_of("db"), 5432);
	write_file("caf\xe9.yaml", "a: [\n");
	wait_list(2);
	ck_assert_uint_eq(port_of("db"), 5432);
	ck_assert_uint_eq(port_of("mail"), 25);
	ck_assert(status_error_has("caf?.yaml:"));
	write_file("caf\xe9.yaml", SERVICE("mail", "26"));
	wait_list(3);
	ck_assert_uint_eq(port_of("mail"), 25);
	ck_assert(status_error_has("is in caf?.yaml already"));
}
END_TEST

START_TEST(a_bad_file_that_is_deleted_deletes_its_objects)
{
	write_file("a.yaml", SERVICE("web", "80"));
	start();
	write_file("a.yaml", "{");
	wait_list(2);
	unlink(path_of("a.yaml"));
	wait_change(1);
	ck_assert_uint_eq(port_of("web"), 0);
}
END_TEST

START_TEST(a_link_to_nowhere_keeps_what_it_said)
{
	write_file("a.yaml", SERVICE("web", "80"));
	start();
	unlink(path_of("a.yaml"));
	ck_assert_int_eq(symlink("nowhere", path_of("a.yaml")), 0);
	wait_list(2);
	ck_assert_uint_eq(port_of("web"), 80);
	ck_assert(status_error_has("a.yaml: No such file"));
}
END_TEST

START_TEST(a_bad_object_keeps_its_old_version)
{
	write_file("a.yaml", SERVICE("web", "80"));
	start();
	write_file("a.yaml", SERVICE("web", "80000") "---\n" SERVICE("db", "81"));
	wait_change(1);
	ck_assert_uint_eq(port_of("web"), 80);
	ck_assert_uint_eq(port_of("db"), 81);
	ck_assert(status_error_has("a.yaml: Service default/web: "));
}
END_TEST

START_TEST(a_service_without_an_address_is_told)
{
	write_file("a.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
			     "spec: {ports: [{port: 80}]}\n");
	start();
	ck_assert(status_error_has("a.yaml: Service default/web: spec.clusterIP: "));
}
END_TEST

/* A file that is open for writing may be half there. */
START_TEST(a_file_is_not_read_while_it_is_written)
{
	write_file("a.yaml", SERVICE("web", "80") "---\n" SERVICE("db", "81"));
	start();
	FILE *out = fopen(path_of("a.yaml"), "w");
	fputs(SERVICE("web", "80"), out);
	fflush(out);
	rest(150);
	ck_assert_uint_eq(port_of("db"), 81);
	fputs("---\n" SERVICE("db", "82"), out);
	fclose(out);
	wait_change(1);
	ck_assert_uint_eq(port_of("db"), 82);
	ck_assert_int_eq(changes, 1);
}
END_TEST

START_TEST(a_burst_of_changes_is_one_read)
{
	start();
	for (int i = 0; i < 50; i++) {
		char name[32];

		snprintf(name, sizeof(name), "f%d.yaml", i % 10);
		write_file(name, SERVICE("web", "80"));
	}
	wait_change(1);
	rest(100);
	ck_assert_int_le(lists(), 3);
}
END_TEST

START_TEST(an_editor_that_renames_the_old_file_first_deletes_nothing)
{
	char backup[256];

	write_file("a.yaml", SERVICE("web", "80"));
	start();
	snprintf(backup, sizeof(backup), "%s", path_of("a.yaml~"));
	ck_assert_int_eq(rename(path_of("a.yaml"), backup), 0);
	/* Enough turns to read at once, if it would, but not to wait. */
	for (int i = 0; i < 4; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	usleep(10000);
	write_file("a.yaml", SERVICE("web", "80"));
	wait_list(2);
	rest(50);
	ck_assert_int_eq(changes, 0);
}
END_TEST

START_TEST(a_folder_that_vanishes_changes_nothing_until_it_is_back)
{
	char moved[256];

	write_file("a.yaml", SERVICE("web", "80"));
	start();
	snprintf(moved, sizeof(moved), "%s/moved", root);
	ck_assert_int_eq(rename(folder, moved), 0);
	rest(1300);
	ck_assert_uint_eq(port_of("web"), 80);
	ck_assert_int_eq(changes, 0);
	ck_assert(status_error_has("No such file"));

	ck_assert_int_eq(mkdir(folder, 0755), 0);
	write_file("a.yaml", SERVICE("web", "81"));
	wait_change(1);
	ck_assert_uint_eq(port_of("web"), 81);

	/* And the new one is followed. */
	write_file("a.yaml", SERVICE("web", "82"));
	wait_change(2);
	ck_assert_uint_eq(port_of("web"), 82);
}
END_TEST

START_TEST(a_folder_that_is_deleted_changes_nothing)
{
	write_file("a.yaml", SERVICE("web", "80"));
	start();
	unlink(path_of("a.yaml"));
	rmdir(folder);
	rest(200);
	ck_assert_uint_eq(port_of("web"), 80);
	ck_assert_int_eq(changes, 0);
}
END_TEST

START_TEST(a_link_to_another_folder_is_followed)
{
	char first[256], second[256], link_[256];

	snprintf(first, sizeof(first), "%s/first", root);
	snprintf(second, sizeof(second), "%s/second", root);
	snprintf(link_, sizeof(link_), "%s/link", root);
	ck_assert_int_eq(rename(folder, first), 0);
	ck_assert_int_eq(symlink("first", folder), 0);
	write_file("a.yaml", SERVICE("web", "80"));
	start();

	ck_assert_int_eq(mkdir(second, 0755), 0);
	ck_assert_int_eq(symlink("second", link_), 0);
	ck_assert_int_eq(rename(link_, folder), 0);
	write_file("a.yaml", SERVICE("web", "81"));
	wait_change(1);
	ck_assert_uint_eq(port_of("web"), 81);
}
END_TEST

/* As kubelet updates a volume: ..data is a link that is renamed over. */
START_TEST(a_configmap_volume_is_followed)
{
	char path[256];

	ck_assert_int_eq(mkdir(path_of("..one"), 0755), 0);
	write_file("..one/a.yaml", SERVICE("web", "80"));
	ck_assert_int_eq(symlink("..one", path_of("..data")), 0);
	ck_assert_int_eq(symlink("..data/a.yaml", path_of("a.yaml")), 0);
	start();
	ck_assert_uint_eq(port_of("web"), 80);

	ck_assert_int_eq(mkdir(path_of("..two"), 0755), 0);
	write_file("..two/a.yaml", SERVICE("web", "81"));
	ck_assert_int_eq(symlink("..two", path_of("..data_tmp")), 0);
	snprintf(path, sizeof(path), "%s", path_of("..data_tmp"));
	ck_assert_int_eq(rename(path, path_of("..data")), 0);
	wait_change(1);
	ck_assert_uint_eq(port_of("web"), 81);
}
END_TEST

START_TEST(other_files_and_subfolders_are_left_out)
{
	write_file(".a.yaml", SERVICE("hidden", "80"));
	write_file("a.yaml~", SERVICE("backup", "80"));
	write_file("a.yaml.swp", SERVICE("swap", "80"));
	write_file("#a.yaml#", SERVICE("autosave", "80"));
	write_file("README.md", "not YAML: [");
	ck_assert_int_eq(mkdir(path_of("sub.yaml"), 0755), 0);
	write_file("sub.yaml/a.yaml", SERVICE("sub", "80"));
	ck_assert_int_eq(mkfifo(path_of("pipe.yaml"), 0644), 0);
	start();
	ck_assert_uint_eq(store_count(store, OBJECT_SERVICE), 0);
	ck_assert(!status_error_has(""));
}
END_TEST

START_TEST(lists_are_read_item_by_item)
{
	write_file("a.yaml", "apiVersion: v1\nkind: List\nitems:\n"
			     "- {apiVersion: v1, kind: Service, metadata: {name: web}, "
			     "spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}}\n");
	write_file("b.json", "{\"apiVersion\":\"v1\",\"kind\":\"ServiceList\",\"items\":[{"
			     "\"metadata\":{\"name\":\"db\"},\"spec\":{\"clusterIP\":"
			     "\"10.96.0.2\",\"ports\":[{\"port\":81}]}}]}");
	start();
	ck_assert_uint_eq(port_of("web"), 80);
	ck_assert_uint_eq(port_of("db"), 81);
}
END_TEST

START_TEST(only_the_own_node_is_read)
{
	write_file("a.yaml", "{apiVersion: v1, kind: Node, metadata: {name: n2}}\n---\n"
			     "{apiVersion: v1, kind: Node, metadata: {name: n1}}\n---\n"
			     "{apiVersion: v1, kind: Node, metadata: {name: n3}}\n");
	start();
	ck_assert_str_eq(store_node(store)->name, "n1");
	ck_assert(!status_error_has(""));
}
END_TEST

START_TEST(of_two_files_with_one_object_the_first_counts)
{
	write_file("a.yaml", SERVICE("web", "80"));
	write_file("b.yaml", SERVICE("web", "81"));
	start();
	ck_assert_uint_eq(port_of("web"), 80);
	ck_assert(status_error_has("b.yaml: Service default/web is in a.yaml already"));

	unlink(path_of("a.yaml"));
	wait_change(1);
	ck_assert_uint_eq(port_of("web"), 81);
	ck_assert(!status_error_has(""));
}
END_TEST

START_TEST(what_is_no_object_is_told_and_the_rest_is_read)
{
	write_file("a.yaml", "some: thing\n---\n" SERVICE("web", "80"));
	start();
	ck_assert_uint_eq(port_of("web"), 80);
	ck_assert(status_error_has("a.yaml: not a Kubernetes object: no kind"));
}
END_TEST

/* How often the log has the text. */
static int logged(const char *path, const char *part)
{
	char line[4096];
	int n = 0;
	FILE *in = fopen(path, "r");

	while (fgets(line, sizeof(line), in))
		n += strstr(line, part) != NULL;
	fclose(in);
	return n;
}

START_TEST(a_complaint_is_logged_once_until_its_file_changes)
{
	char log[256];

	snprintf(log, sizeof(log), "%s/log", root);
	int saved = dup(STDERR_FILENO);
	ck_assert_ptr_nonnull(freopen(log, "w", stderr));

	write_file("a.yaml", "a: [\n");
	write_file("b.yaml", SERVICE("web", "0"));
	start();
	write_file("c.yaml", SERVICE("db", "80"));
	wait_change(1);
	fflush(stderr);
	ck_assert_int_eq(logged(log, "a.yaml:"), 1);
	ck_assert_int_eq(logged(log, "b.yaml: Service default/web"), 1);

	write_file("a.yaml", "a: [ \n");
	write_file("c.yaml", SERVICE("db", "81"));
	wait_change(2);
	fflush(stderr);
	ck_assert_int_eq(logged(log, "a.yaml:"), 2);
	ck_assert_int_eq(logged(log, "b.yaml: Service default/web"), 1);
	dup2(saved, STDERR_FILENO);
	close(saved);
}
END_TEST

START_TEST(the_status_tells_the_state)
{
	write_file("a.yaml", SERVICE("web", "80"));
	start();
	json_t *status = source_status(source);
	json_t *kinds = json_object_get(status, "kinds");
	json_t *service = json_array_get(kinds, 0);

	ck_assert_str_eq(json_string_value(json_object_get(status, "source")), "manifests");
	ck_assert(json_is_true(json_object_get(status, "connected")));
	ck_assert_uint_eq(strlen(json_string_value(json_object_get(status, "since"))), 20);
	ck_assert_ptr_null(json_object_get(status, "error"));
	ck_assert_uint_eq(json_array_size(kinds), OBJECT_KIND_MAX);
	ck_assert_str_eq(json_string_value(json_object_get(service, "kind")), "Service");
	ck_assert(json_is_true(json_object_get(service, "listed")));
	ck_assert_int_eq(json_integer_value(json_object_get(service, "events")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(service, "lists")), 1);
	json_decref(status);
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_refused)
{
	rmdir(folder);
	ck_assert_int_eq(open_source(), -ENOENT);
	ck_assert_ptr_nonnull(strstr(error, folder));
	write_to(folder, "a file");
	ck_assert_int_eq(open_source(), -ENOTDIR);
}
END_TEST

START_TEST(a_source_can_be_freed_while_it_reads)
{
	write_file("a.yaml", SERVICE("web", "80"));
	ck_assert_int_eq(open_source(), 0);
	source_free(source);
	source = NULL;
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(changes, 0);
}
END_TEST

static void free_on_change(void *context)
{
	(void)context;
	changes++;
	source_free(source);
	source = NULL;
}

START_TEST(a_source_can_be_freed_by_whom_it_tells)
{
	const struct source_options options = {
		.loop = &loop,
		.store = store,
		.changed = free_on_change,
		.folder = folder,
	};

	ck_assert_int_eq(source_manifests_new(&options, &source, error), 0);
	wait_change(1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("manifests");
	TCase *tc = tcase_create("folder");
	SRunner *runner = srunner_create(suite);

	tcase_add_checked_fixture(tc, make, unmake);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, a_folder_is_read_at_start);
	tcase_add_test(tc, defaults_are_filled_in);
	tcase_add_test(tc, an_empty_folder_is_a_complete_list);
	tcase_add_test(tc, a_new_file_is_noticed);
	tcase_add_test(tc, a_changed_file_changes_its_objects);
	tcase_add_test(tc, a_file_that_is_renamed_over_another_is_read);
	tcase_add_test(tc, a_deleted_file_deletes_its_objects);
	tcase_add_test(tc, an_unchanged_folder_is_no_news);
	tcase_add_test(tc, a_file_that_can_not_be_parsed_keeps_what_it_said);
	tcase_add_test(tc, a_name_in_another_encoding_stops_nothing);
	tcase_add_test(tc, a_bad_file_that_is_deleted_deletes_its_objects);
	tcase_add_test(tc, a_link_to_nowhere_keeps_what_it_said);
	tcase_add_test(tc, a_bad_object_keeps_its_old_version);
	tcase_add_test(tc, a_service_without_an_address_is_told);
	tcase_add_test(tc, a_file_is_not_read_while_it_is_written);
	tcase_add_test(tc, a_burst_of_changes_is_one_read);
	tcase_add_test(tc, an_editor_that_renames_the_old_file_first_deletes_nothing);
	tcase_add_test(tc, a_folder_that_vanishes_changes_nothing_until_it_is_back);
	tcase_add_test(tc, a_folder_that_is_deleted_changes_nothing);
	tcase_add_test(tc, a_link_to_another_folder_is_followed);
	tcase_add_test(tc, a_configmap_volume_is_followed);
	tcase_add_test(tc, other_files_and_subfolders_are_left_out);
	tcase_add_test(tc, lists_are_read_item_by_item);
	tcase_add_test(tc, only_the_own_node_is_read);
	tcase_add_test(tc, of_two_files_with_one_object_the_first_counts);
	tcase_add_test(tc, what_is_no_object_is_told_and_the_rest_is_read);
	tcase_add_test(tc, a_complaint_is_logged_once_until_its_file_changes);
	tcase_add_test(tc, the_status_tells_the_state);
	tcase_add_test(tc, a_folder_that_is_not_there_is_refused);
	tcase_add_test(tc, a_source_can_be_freed_while_it_reads);
	tcase_add_test(tc, a_source_can_be_freed_by_whom_it_tells);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
