/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Verbs from the command line to the output: against a control socket in this
 * process, and without one. Maps are made up: `source` tells who was asked.
 */

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "controlplane/observe/control.h"
#include "tools/lbctl/lbctl.h"

/* The descriptors of pins; closed by lbctl, so they must be real ones. */
static int pins = -ENOENT;
static char pins_root[256], pins_instance[64], pins_maps[256];
static const struct view daemon_view;

int datapath_open_pins(const char *root, const char *instance, int ret_fds[DATAPATH_MAP_MAX])
{
	snprintf(pins_root, sizeof(pins_root), "%s", root);
	snprintf(pins_instance, sizeof(pins_instance), "%s", instance);
	if (pins)
		return pins;
	for (int i = 0; i < DATAPATH_MAP_MAX; i++)
		ret_fds[i] = -1;
	return 0;
}

static json_t *named(const struct view *view, const char *kind)
{
	if (view->maps_folder)
		snprintf(pins_maps, sizeof(pins_maps), "%s", view->maps_folder);
	return json_pack("{s:s, s:s, s:[]}", "kind", kind, "source",
			 view == &daemon_view ? "daemon" : "pins", "items");
}

static int answer(const struct view *view, const char *kind, json_t **ret)
{
	*ret = named(view, kind);
	return 0;
}

int view_services(const struct view *view, json_t **ret, char error[512])
{
	(void)error;
	return answer(view, "ServiceList", ret);
}

int view_service(const struct view *view, const char *namespace_, const char *name, json_t **ret,
		 char error[512])
{
	if (!strcmp(name, "none")) {
		snprintf(error, 512, "service %s/%s is not programmed", namespace_, name);
		return -ENOENT;
	}
	*ret = named(view, "Service");
	json_object_set_new(*ret, "namespace", json_string(namespace_));
	json_object_set_new(*ret, "name", json_string(name));
	return 0;
}

int view_backends(const struct view *view, json_t **ret, char error[512])
{
	(void)view;
	(void)ret;
	snprintf(error, 512, "map backends: broken");
	return -EIO;
}

/* The lists of the daemon: one of Services, with one item. */

struct view_list {
	const struct view *view; /* NULL: its item was taken */
};

int view_list_services(const struct view *view, struct view_list **ret, char error[512])
{
	(void)error;
	*ret = calloc(1, sizeof(**ret));
	(*ret)->view = view;
	return 0;
}

int view_list_backends(const struct view *view, struct view_list **ret, char error[512])
{
	(void)ret;
	return view_backends(view, NULL, error);
}

void view_list_free(struct view_list *list)
{
	free(list);
}

const char *view_list_kind(const struct view_list *list)
{
	(void)list;
	return "ServiceList";
}

int view_list_next(struct view_list *list, json_t **ret)
{
	*ret = list->view
		       ? json_pack("{s:s, s:s, s:s, s:[]}", "namespace", "a", "name", "b", "source",
				   list->view == &daemon_view ? "daemon" : "pins", "ports")
		       : NULL;
	list->view = NULL;
	return 0;
}

bool view_list_has(const struct view_list *list, const char *namespace_, const char *name)
{
	(void)list;
	(void)namespace_;
	(void)name;
	return false;
}

static json_t *truth(void *context, const char *namespace_, const char *name)
{
	(void)context;
	(void)namespace_;
	(void)name;
	return NULL;
}

static json_t *unprogrammed(void *context, size_t *cursor)
{
	(void)context;
	(void)cursor;
	return NULL;
}

int view_flows(const struct view *view, const struct view_flow_filter *filter, json_t **ret,
	       char error[512])
{
	if (filter->client && !strcmp(filter->client, "nonsense")) {
		snprintf(error, 512, "client: \"nonsense\" is no address or prefix");
		return -EINVAL;
	}
	*ret = named(view, "FlowList");
	json_object_set_new(*ret, "asked",
			    json_sprintf("%s %s %s %zu", filter->client, filter->service,
					 filter->backend, filter->limit));
	return 0;
}

int view_maps(const struct view *view, json_t **ret, char error[512])
{
	(void)error;
	return answer(view, "MapList", ret);
}

int view_attach(const struct view *view, json_t **ret, char error[512])
{
	(void)error;
	return answer(view, "AttachList", ret);
}

int view_losses(const struct view *view, json_t **ret, char error[512])
{
	(void)view;
	(void)error;
	*ret = json_pack("[{s:s, s:i}]", "reason", "mtu", "packets", 3);
	return 0;
}

int view_programmed(const struct view *view, json_t **ret, char error[512])
{
	(void)view;
	(void)error;
	*ret = json_pack("{s:i, s:i, s:i}", "services", 1, "servicePorts", 2, "backends", 3);
	return 0;
}

static json_t *status(void *context)
{
	(void)context;
	return json_pack("{s:s, s:s}", "instance", "edge", "source", "daemon");
}

static json_t *fill(void *context)
{
	(void)context;
	return json_pack("[{s:s, s:i, s:i, s:b}]", "name", "maglev", "entries", 7, "maxEntries", 8,
			 "nearlyFull", 1);
}

static json_t *attach(void *context)
{
	(void)context;
	return json_pack("[{s:s}]", "name", "eth0");
}

static int explain(void *context, const struct explain_query *query, json_t **ret, char why[512])
{
	(void)context;
	if (!strcmp(query->to, "nonsense")) {
		snprintf(why, 512, "to: \"nonsense\" is not ADDRESS:PORT");
		return -EINVAL;
	}
	*ret = json_pack("{s:s, s:o}", "kind", "Explanation", "asked",
			 json_sprintf("%s %s %s %d", query->from, query->to,
				      query->iface ? query->iface : "-", query->local));
	return 0;
}

/* A daemon on a thread, instance "edge" in `folder`. */

static char folder[64], path[128];
static uv_loop_t loop;
static uv_async_t stop;
static pthread_t thread;
static struct control *control;
static char *output, *complaints;

static void on_stop(uv_async_t *async)
{
	control_free(control);
	uv_close((uv_handle_t *)async, NULL);
}

static void *run_loop(void *arg)
{
	(void)arg;
	uv_run(&loop, UV_RUN_DEFAULT);
	return NULL;
}

static void make_folder(void)
{
	strcpy(folder, "/tmp/sluice-lbctl-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/edge.sock", folder);
	pins = -ENOENT;
}

static void remove_folder(void)
{
	unlink(path);
	rmdir(folder);
	free(output);
	free(complaints);
	output = complaints = NULL;
}

static void start_daemon(void)
{
	const struct control_options options = {
		.loop = &loop,
		.path = path,
		.view = &daemon_view,
		.status = status,
		.attach = attach,
		.explain = explain,
		.truth = truth,
		.unprogrammed = unprogrammed,
		.fill = fill,
	};
	char error[512];

	make_folder();
	uv_loop_init(&loop);
	ck_assert_msg(!control_new(&options, &control, error), "%s", error);
	uv_async_init(&loop, &stop, on_stop);
	pthread_create(&thread, NULL, run_loop, NULL);
}

static void stop_daemon(void)
{
	uv_async_send(&stop);
	pthread_join(thread, NULL);
	uv_loop_close(&loop);
	remove_folder();
}

/* Runs words that are split at blanks, on instance "edge" of the folder. */
static int run(const char *line)
{
	char copy[512], *argv[32];
	size_t out_len, err_len;
	FILE *out, *err;
	int code, argc = 0;

	snprintf(copy, sizeof(copy), "lbctl -i edge --run-dir %s --bpffs /bpffs %s", folder, line);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	free(output);
	free(complaints);
	out = open_memstream(&output, &out_len);
	err = open_memstream(&complaints, &err_len);
	code = lbctl_run(argc, argv, out, err);
	fclose(out);
	fclose(err);
	return code;
}

/* The field of the JSON that was printed. */
static void check_field(const char *name, const char *want)
{
	json_t *document = json_loads(output, 0, NULL);
	const char *got = json_string_value(json_object_get(document, name));

	ck_assert_msg(got && !strcmp(got, want), "%s in %s", name, output);
	json_decref(document);
}

static const struct {
	const char *line, *kind;
} documents[] = {
	{ "service list", "ServiceList" }, { "service get a/b", "Service" },
	{ "flow list", "FlowList" },	   { "map list", "MapList" },
	{ "services", "ServiceList" },	   { "flows", "FlowList" },
};

START_TEST(every_verb_gets_its_document_from_the_daemon)
{
	for (size_t i = 0; i < SL_COUNT(documents); i++) {
		char line[64];

		snprintf(line, sizeof(line), "%s -o json", documents[i].line);
		ck_assert_int_eq(run(line), LBCTL_OK);
		check_field("kind", documents[i].kind);
		if (!strcmp(documents[i].kind, "ServiceList"))
			ck_assert_ptr_nonnull(strstr(output, "\"source\": \"daemon\""));
		else
			check_field("source", "daemon");
		ck_assert_str_eq(complaints, "");
	}
	ck_assert_int_eq(run("status -o json"), LBCTL_OK);
	check_field("kind", "Status");
	check_field("source", "daemon");
	ck_assert_int_eq(run("attach -o json"), LBCTL_OK);
	check_field("kind", "AttachList");
}
END_TEST

START_TEST(filters_reach_the_daemon_as_they_are)
{
	ck_assert_int_eq(run("flows -o json --client fd00::/8 --service a/b&c:d --backend "
			     "[fd00::1]:80 --limit 7"),
			 LBCTL_OK);
	check_field("asked", "fd00::/8 a/b&c:d [fd00::1]:80 7");
}
END_TEST

START_TEST(a_packet_to_explain_reaches_the_daemon_as_it_is)
{
	ck_assert_int_eq(run("explain -o json --from [fd00::1]:4000 --to [fd00::2]:80/udp "
			     "--iface a&b"),
			 LBCTL_OK);
	check_field("asked", "[fd00::1]:4000 [fd00::2]:80/udp a&b 0");
	ck_assert_int_eq(run("explain -o json --from 10.0.0.1 --to 10.96.0.1:80 --local"),
			 LBCTL_OK);
	check_field("asked", "10.0.0.1 10.96.0.1:80 - 1");
	ck_assert_int_eq(run("explain --from 10.0.0.1 --to nonsense"), LBCTL_USAGE);
	ck_assert_str_eq(complaints, "lbctl: to: \"nonsense\" is not ADDRESS:PORT\n");
}
END_TEST

START_TEST(explaining_needs_two_ends)
{
	static const struct {
		const char *line, *want;
	} rows[] = {
		{ "explain", "needs --from and --to" },
		{ "explain --from 10.0.0.1", "needs --from and --to" },
		{ "explain --to 10.0.0.1:80", "needs --from and --to" },
		{ "explain --from 10.0.0.1 --to 10.0.0.2:1 --objects /x",
		  "--objects and --profile go together" },
		{ "explain --from 10.0.0.1 --to 10.0.0.2:1 --profile /x",
		  "--objects and --profile go together" },
		{ "status --from 10.0.0.1", "status: does not take --from" },
		{ "explain --client 10.0.0.1", "explain: does not take --client" },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		ck_assert_int_eq(run(rows[i].line), LBCTL_USAGE);
		ck_assert_msg(strstr(complaints, rows[i].want), "%s: %s", rows[i].line, complaints);
	}
}
END_TEST

START_TEST(only_the_daemon_explains_without_objects)
{
	pins = 0;
	ck_assert_int_eq(run("explain --from 10.0.0.1 --to 10.96.0.1:80"), LBCTL_NO_DAEMON);
	ck_assert_ptr_nonnull(strstr(complaints, "sluiced does not answer on "));
	ck_assert_str_eq(output, "");
}
END_TEST

START_TEST(objects_explain_without_a_daemon)
{
	char line[512], profile[128];
	FILE *file;

	snprintf(profile, sizeof(profile), "%s/profile", folder);
	file = fopen(profile, "w");
	fputs("nodeName: n1\n", file);
	fclose(file);
	snprintf(line, sizeof(line),
		 "explain --from 10.0.0.1 --to 10.96.0.1:80 --objects %s --profile %s -o json",
		 folder, profile);
	ck_assert_int_eq(run(line), LBCTL_OK);
	check_field("verdict", "pass");
	ck_assert_str_eq(complaints, "");
	fclose(fopen(profile, "w"));
	ck_assert_int_eq(run(line), LBCTL_USAGE);
	ck_assert_ptr_nonnull(strstr(complaints, "/profile: is empty"));
	unlink(profile);
	ck_assert_int_eq(run(line), LBCTL_FAILED);
	ck_assert_ptr_nonnull(strstr(complaints, "/profile: No such file"));
}
END_TEST

START_TEST(an_object_that_is_not_there_is_a_failure)
{
	ck_assert_int_eq(run("service get a/none"), LBCTL_FAILED);
	ck_assert_str_eq(complaints, "lbctl: service a/none is not programmed\n");
	ck_assert_str_eq(output, "");
}
END_TEST

START_TEST(a_server_error_is_a_failure_with_its_text)
{
	ck_assert_int_eq(run("backends"), LBCTL_FAILED);
	ck_assert_str_eq(complaints, "lbctl: map backends: broken\n");
}
END_TEST

START_TEST(a_filter_that_the_daemon_refuses_is_usage)
{
	ck_assert_int_eq(run("flows --client nonsense"), LBCTL_USAGE);
	ck_assert_str_eq(complaints, "lbctl: client: \"nonsense\" is no address or prefix\n");
}
END_TEST

START_TEST(names_are_escaped_on_their_way)
{
	ck_assert_int_eq(run("service get a/b?c -o json"), LBCTL_OK);
	check_field("name", "b?c");
}
END_TEST

START_TEST(without_a_daemon_the_pins_give_the_same_documents)
{
	pins = 0;
	for (size_t i = 0; i < SL_COUNT(documents); i++) {
		char line[64];

		snprintf(line, sizeof(line), "%s -o json", documents[i].line);
		ck_assert_int_eq(run(line), LBCTL_OK);
		check_field("kind", documents[i].kind);
		check_field("source", "pins");
		ck_assert_ptr_nonnull(strstr(complaints, "sluiced does not answer on "));
		ck_assert_ptr_nonnull(strstr(complaints, path));
		ck_assert_ptr_nonnull(strstr(complaints, "No such file or directory"));
		ck_assert_ptr_nonnull(strstr(complaints, "pinned under /bpffs/sluice/edge\n"));
	}
	ck_assert_str_eq(pins_root, "/bpffs/sluice");
	ck_assert_str_eq(pins_instance, "edge");
	ck_assert_str_eq(pins_maps, "/bpffs/sluice/edge/v2/maps");
}
END_TEST

START_TEST(a_stale_socket_is_no_daemon)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	pins = 0;
	ck_assert_int_eq(run("services"), LBCTL_OK);
	ck_assert_ptr_nonnull(strstr(complaints, "Connection refused"));
}
END_TEST

START_TEST(status_without_a_daemon_tells_what_the_pins_know)
{
	pins = 0;
	ck_assert_int_eq(run("status"), LBCTL_NO_DAEMON);
	ck_assert_str_eq(output, "Instance:    edge\n"
				 "Daemon:      not running\n"
				 "Programmed:  services 1, service ports 2, backends 3\n"
				 "\n"
				 "LOSS   PACKETS\n"
				 "mtu          3\n");
	ck_assert_int_eq(run("status -o json"), LBCTL_NO_DAEMON);
	check_field("daemon", "not running");
	check_field("apiVersion", "sluice.dev/v1");
	ck_assert_int_eq(run("attach -o json"), LBCTL_NO_DAEMON);
	check_field("source", "pins");
	ck_assert_ptr_nonnull(strstr(complaints, "which is only a part"));
}
END_TEST

START_TEST(without_daemon_and_pins_there_is_nothing_to_show)
{
	static const char *const lines[] = { "services", "flows", "maps", "status", "attach" };

	for (size_t i = 0; i < SL_COUNT(lines); i++) {
		ck_assert_int_eq(run(lines[i]), LBCTL_NO_DAEMON);
		ck_assert_ptr_nonnull(
			strstr(complaints, "nothing is pinned under /bpffs/sluice/edge"));
		ck_assert_str_eq(output, "");
	}
	pins = -EPROTO;
	ck_assert_int_eq(run("services"), LBCTL_NO_DAEMON);
	ck_assert_ptr_nonnull(strstr(complaints, "another version of sluice"));
	pins = -EACCES;
	ck_assert_int_eq(run("services"), LBCTL_NO_DAEMON);
	ck_assert_ptr_nonnull(strstr(complaints, "Permission denied"));
}
END_TEST

START_TEST(errors_of_the_pins_have_the_same_exit_codes)
{
	pins = 0;
	ck_assert_int_eq(run("service get a/none"), LBCTL_FAILED);
	ck_assert_ptr_nonnull(strstr(complaints, "service a/none is not programmed"));
	ck_assert_int_eq(run("backends"), LBCTL_FAILED);
	ck_assert_int_eq(run("flows --client nonsense"), LBCTL_USAGE);
}
END_TEST

/* Takes one connection and sends what `arg` says. */
static void *impostor(void *arg)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), client;
	char request[1024];

	strcpy(address.sun_path, path);
	bind(fd, (struct sockaddr *)&address, sizeof(address));
	listen(fd, 1);
	uv_sem_post((uv_sem_t *)((void **)arg)[1]);
	client = accept(fd, NULL, NULL);
	if (recv(client, request, sizeof(request), 0) > 0)
		send(client, ((void **)arg)[0], strlen(((char **)arg)[0]), MSG_NOSIGNAL);
	close(client);
	close(fd);
	return NULL;
}

START_TEST(an_answer_that_is_no_document_is_no_daemon)
{
	static const struct {
		char *answer;
		const char *want;
	} rows[] = {
		{ (char *)"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		  "the answer (HTTP 200) is no document" },
		{ (char *)"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]", "is no document" },
		{ (char *)"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{}", "does not answer" },
		{ (char *)"", "does not answer" },
	};

	pins = 0;
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		uv_sem_t ready;
		void *arg[] = { rows[i].answer, &ready };

		uv_sem_init(&ready, 0);
		pthread_create(&thread, NULL, impostor, arg);
		uv_sem_wait(&ready);
		ck_assert_int_eq(run("services -o json"), LBCTL_OK);
		pthread_join(thread, NULL);
		uv_sem_destroy(&ready);
		unlink(path);
		ck_assert_msg(strstr(complaints, rows[i].want), "%zu: %s", i, complaints);
		check_field("source", "pins");
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lbctl run");
	TCase *daemon_ = tcase_create("daemon"), *alone = tcase_create("alone");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(daemon_, start_daemon, stop_daemon);
	tcase_set_timeout(daemon_, 30);
	tcase_add_test(daemon_, every_verb_gets_its_document_from_the_daemon);
	tcase_add_test(daemon_, filters_reach_the_daemon_as_they_are);
	tcase_add_test(daemon_, a_packet_to_explain_reaches_the_daemon_as_it_is);
	tcase_add_test(daemon_, an_object_that_is_not_there_is_a_failure);
	tcase_add_test(daemon_, a_server_error_is_a_failure_with_its_text);
	tcase_add_test(daemon_, a_filter_that_the_daemon_refuses_is_usage);
	tcase_add_test(daemon_, names_are_escaped_on_their_way);
	suite_add_tcase(suite, daemon_);
	tcase_add_checked_fixture(alone, make_folder, remove_folder);
	tcase_set_timeout(alone, 30);
	tcase_add_test(alone, without_a_daemon_the_pins_give_the_same_documents);
	tcase_add_test(alone, explaining_needs_two_ends);
	tcase_add_test(alone, only_the_daemon_explains_without_objects);
	tcase_add_test(alone, objects_explain_without_a_daemon);
	tcase_add_test(alone, a_stale_socket_is_no_daemon);
	tcase_add_test(alone, status_without_a_daemon_tells_what_the_pins_know);
	tcase_add_test(alone, without_daemon_and_pins_there_is_nothing_to_show);
	tcase_add_test(alone, errors_of_the_pins_have_the_same_exit_codes);
	tcase_add_test(alone, an_answer_that_is_no_document_is_no_daemon);
	suite_add_tcase(suite, alone);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
