/* SPDX-License-Identifier: Apache-2.0 */

/* The control socket before documents that are made up here. */

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "controlplane/observe/control.h"

static char folder[64], path[128];
static struct view view;
static struct view_flow_filter seen_filter;
static char seen_text[256];
static bool status_fails;

/* The views; what they were asked for is in their documents. */

static int answer(const char *kind, json_t **ret)
{
	*ret = json_pack("{s:s}", "kind", kind);
	return 0;
}

#define LISTED 5000

struct view_list {
	int at;
};

static int lists;
static int truths;

int view_list_services(const struct view *v, struct view_list **ret, char error[512])
{
	(void)error;
	ck_assert_ptr_eq(v, &view);
	*ret = calloc(1, sizeof(**ret));
	__atomic_fetch_add(&lists, 1, __ATOMIC_SEQ_CST);
	return 0;
}

void view_list_free(struct view_list *list)
{
	if (list)
		__atomic_fetch_sub(&lists, 1, __ATOMIC_SEQ_CST);
	free(list);
}

const char *view_list_kind(const struct view_list *list)
{
	(void)list;
	return "ServiceList";
}

int view_list_next(struct view_list *list, json_t **ret)
{
	*ret = NULL;
	if (list->at < LISTED)
		*ret = json_pack("{s:s, s:o, s:[s]}", "namespace", "shop", "name",
				 json_sprintf("web-%d", list->at++), "ports", "http");
	return 0;
}

bool view_list_has(const struct view_list *list, const char *namespace_, const char *name)
{
	(void)list;
	return !strcmp(namespace_, "shop") && !strncmp(name, "web-", 4);
}

int view_losses(const struct view *v, json_t **ret, char error[512])
{
	(void)v;
	(void)error;
	*ret = json_pack("[s]", "lost");
	return 0;
}

static json_t *truth(void *context, const char *namespace_, const char *name)
{
	(void)context;
	truths++;
	if (!strcmp(name, "none") || !strcmp(name, "web-1"))
		return NULL;
	return json_pack("{s:s, s:s, s:s, s:[]}", "state", "failed", "namespace", namespace_,
			 "name", name, "ports");
}

/* One that is in the list already, and one that is not. */
static json_t *unprogrammed(void *context, size_t *cursor)
{
	static const char *const names[] = { "web-7", "late" };

	return *cursor < SL_COUNT(names) ? truth(context, "shop", names[(*cursor)++]) : NULL;
}

int view_service(const struct view *v, const char *namespace_, const char *name, json_t **ret,
		 char error[512])
{
	(void)v;
	if (!strcmp(name, "none") || !strcmp(name, "late")) {
		snprintf(error, 512, "service %s/%s is not programmed", namespace_, name);
		return -ENOENT;
	}
	*ret = json_pack("{s:s, s:s, s:s}", "kind", "Service", "namespace", namespace_, "name",
			 name);
	return 0;
}

int view_list_backends(const struct view *v, struct view_list **ret, char error[512])
{
	(void)v;
	(void)ret;
	snprintf(error, 512, "map backends: %s", strerror(EPERM));
	return -EPERM;
}

int view_flows(const struct view *v, const struct view_flow_filter *filter, json_t **ret,
	       char error[512])
{
	json_t *items = json_array();

	(void)v;
	seen_filter = *filter;
	snprintf(seen_text, sizeof(seen_text), "%s|%s|%s", filter->client ? filter->client : "",
		 filter->service ? filter->service : "", filter->backend ? filter->backend : "");
	if (filter->client && !strcmp(filter->client, "nonsense")) {
		json_decref(items);
		snprintf(error, 512, "client: \"nonsense\" is no address or prefix");
		return -EINVAL;
	}
	for (size_t i = 0; i < filter->limit; i++)
		json_array_append_new(items,
				      json_string("0123456789012345678901234567890123456789"));
	*ret = json_pack("{s:s, s:o}", "kind", "FlowList", "items", items);
	return 0;
}

int view_maps(const struct view *v, json_t **ret, char error[512])
{
	(void)v;
	(void)error;
	*ret = json_pack("{s:s, s:[{s:s, s:n}, {s:s, s:i}]}", "kind", "MapList", "items", "name",
			 "maglev", "entries", "name", "new4", "entries", 3);
	return 0;
}

static json_t *status(void *context)
{
	ck_assert_ptr_eq(context, &view);
	return status_fails ? NULL : json_pack("{s:s}", "instance", "test");
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
	if (query->iface && !strcmp(query->iface, "none")) {
		snprintf(why, 512, "iface: no interface \"none\"");
		return -ENOENT;
	}
	snprintf(seen_text, sizeof(seen_text), "%s|%s|%s|%d", query->from ? query->from : "",
		 query->to ? query->to : "", query->iface ? query->iface : "", query->local);
	return answer("Explanation", ret);
}

/* A daemon: a loop on a thread of its own, with a control socket. */

static uv_loop_t loop;
static uv_async_t stop;
static pthread_t thread;
static struct control *control;
static char error[512];

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

static int open_control(void)
{
	const struct control_options options = {
		.loop = &loop,
		.path = path,
		.view = &view,
		.status = status,
		.attach = attach,
		.explain = explain,
		.truth = truth,
		.unprogrammed = unprogrammed,
		.fill = fill,
		.context = &view,
	};

	return control_new(&options, &control, error);
}

static void make_folder(void)
{
	strcpy(folder, "/tmp/sluice-control-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/run/test.sock", folder);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
}

static void remove_folder(void)
{
	char run[128];

	snprintf(run, sizeof(run), "%s/run", folder);
	unlink(path);
	rmdir(run);
	rmdir(folder);
	uv_loop_close(&loop);
}

static void start_daemon(void)
{
	make_folder();
	ck_assert_msg(!open_control(), "%s", error);
	uv_async_init(&loop, &stop, on_stop);
	pthread_create(&thread, NULL, run_loop, NULL);
}

static void stop_daemon(void)
{
	uv_async_send(&stop);
	pthread_join(thread, NULL);
	ck_assert_int_ne(access(path, F_OK), 0);
	remove_folder();
}

/* A client. */

static int dial(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void send_request(int fd, const char *method, const char *url, const char *body)
{
	char text[1024];
	int len = snprintf(text, sizeof(text),
			   "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
			   "Content-Length: %zu\r\n\r\n%s",
			   method, url, strlen(body), body);

	ck_assert_int_eq(send(fd, text, (size_t)len, MSG_NOSIGNAL), len);
}

struct reply {
	int status;
	char *text; /* headers and body */
	json_t *document;
};

/* Takes the sizes out. */
static void join_chunks(char *body)
{
	char *to = body, *from = body;

	for (size_t size; (size = strtoul(from, &from, 16)); from += size + 2) {
		from += 2;
		memmove(to, from, size);
		to += size;
	}
	*to = 0;
}

static struct reply read_reply(int fd)
{
	struct reply reply = { .text = NULL };
	size_t len = 0, size = 0;
	char *body;

	for (;;) {
		ssize_t n;

		if (len + 65536 > size) {
			size = 2 * size + 131072;
			reply.text = realloc(reply.text, size);
		}
		n = recv(fd, reply.text + len, size - len - 1, 0);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	reply.text[len] = 0;
	close(fd);
	ck_assert_int_eq(sscanf(reply.text, "HTTP/1.1 %d", &reply.status), 1);
	body = strstr(reply.text, "\r\n\r\n");
	ck_assert_ptr_nonnull(body);
	if (strstr(reply.text, "Transfer-Encoding: chunked"))
		join_chunks(body + 4);
	reply.document = json_loads(body + 4, 0, NULL);
	return reply;
}

static struct reply ask(const char *method, const char *url, const char *body)
{
	int fd = dial();

	send_request(fd, method, url, body);
	return read_reply(fd);
}

static void done(struct reply reply)
{
	free(reply.text);
	json_decref(reply.document);
}

static const char *field(const struct reply *reply, const char *name)
{
	const char *text = json_string_value(json_object_get(reply->document, name));

	return text ? text : "";
}

static void check_error(const char *method, const char *url, int status_, const char *message)
{
	struct reply reply = ask(method, url, "");

	ck_assert_int_eq(reply.status, status_);
	ck_assert_str_eq(field(&reply, "apiVersion"), "sluice.dev/v1");
	ck_assert_str_eq(field(&reply, "kind"), "Error");
	ck_assert_msg(strstr(field(&reply, "message"), message), "%s: %s", url,
		      field(&reply, "message"));
	done(reply);
}

START_TEST(every_path_gives_its_kind)
{
	static const struct {
		const char *url, *kind;
	} rows[] = {
		{ "/v1/status", "Status" },	   { "/v1/services", "ServiceList" },
		{ "/v1/services/a/b", "Service" }, { "/v1/flows", "FlowList" },
		{ "/v1/attach", "AttachList" },	   { "/v1/maps", "MapList" },
		{ "/v1/explain", "Explanation" },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		struct reply reply = ask("GET", rows[i].url, "");

		ck_assert_int_eq(reply.status, 200);
		ck_assert_str_eq(field(&reply, "kind"), rows[i].kind);
		ck_assert_ptr_nonnull(strstr(reply.text, "Content-Type: application/json"));
		done(reply);
	}
}
END_TEST

START_TEST(the_envelope_is_put_around_what_the_daemon_says)
{
	struct reply reply = ask("GET", "/v1/status", "");
	json_t *want = json_pack("{s:s, s:s, s:s, s:[s]}", "apiVersion", "sluice.dev/v1", "kind",
				 "Status", "instance", "test", "losses", "lost");

	ck_assert(json_equal(reply.document, want));
	json_decref(want);
	done(reply);
	reply = ask("GET", "/v1/attach", "");
	want = json_pack("{s:s, s:s, s:[{s:s}]}", "apiVersion", "sluice.dev/v1", "kind",
			 "AttachList", "items", "name", "eth0");
	ck_assert(json_equal(reply.document, want));
	json_decref(want);
	done(reply);
}
END_TEST

START_TEST(a_packet_to_explain_is_in_the_query)
{
	static const struct {
		const char *query, *want;
	} rows[] = {
		{ "from=10.0.0.1:40&to=10.96.0.1:80/udp&iface=eth0",
		  "10.0.0.1:40|10.96.0.1:80/udp|eth0|0" },
		{ "to=%5Bfd00::1%5D:80&from=fd00::2&local=1", "fd00::2|[fd00::1]:80||1" },
		{ "local=0", "|||0" },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		char url[256];
		struct reply reply;

		snprintf(url, sizeof(url), "/v1/explain?%s", rows[i].query);
		reply = ask("GET", url, "");
		ck_assert_int_eq(reply.status, 200);
		ck_assert_str_eq(seen_text, rows[i].want);
		done(reply);
	}
	check_error("GET", "/v1/explain?local=yes", 400, "local: \"yes\" is not 0 or 1");
	check_error("GET", "/v1/explain?iface=none", 404, "no interface \"none\"");
	check_error("GET", "/v1/explain?client=10.0.0.1", 400, "\"client\" is not known here");
	check_error("GET", "/v1/flows?from=10.0.0.1", 400, "\"from\" is not known here");
}
END_TEST

START_TEST(a_service_is_asked_for_by_namespace_and_name)
{
	struct reply reply = ask("GET", "/v1/services/shop/web%2D1", "");

	ck_assert_int_eq(reply.status, 200);
	ck_assert_str_eq(field(&reply, "namespace"), "shop");
	ck_assert_str_eq(field(&reply, "name"), "web-1");
	done(reply);
}
END_TEST

START_TEST(unknown_paths_and_services_are_not_found)
{
	check_error("GET", "/", 404, "no such path: /");
	check_error("GET", "/v1", 404, "no such path");
	check_error("GET", "/v2/status", 404, "no such path");
	check_error("GET", "/v1/status/", 404, "no such path");
	check_error("GET", "/v1/services/", 404, "no such path");
	check_error("GET", "/v1/services/a", 404, "no such path");
	check_error("GET", "/v1/services/a/", 404, "no such path");
	check_error("GET", "/v1/services/a/b/c", 404, "no such path");
	check_error("GET", "/v1/services/a/none", 404, "service a/none is not programmed");
}
END_TEST

START_TEST(a_very_long_namespace_is_not_found)
{
	char url[600] = "/v1/services/";

	memset(url + strlen(url), 'n', 400);
	strcat(url, "/x");
	check_error("GET", url, 404, "is not programmed");
}
END_TEST

START_TEST(other_methods_are_refused)
{
	static const char *const methods[] = { "POST", "PUT", "DELETE", "PATCH" };

	for (size_t i = 0; i < SL_COUNT(methods); i++) {
		struct reply reply = ask(methods[i], "/v1/status", "some body");

		ck_assert_int_eq(reply.status, 405);
		ck_assert_str_eq(field(&reply, "kind"), "Error");
		ck_assert_ptr_nonnull(strstr(reply.text, "Allow: GET, HEAD"));
		done(reply);
	}
	check_error("POST", "/nowhere", 404, "no such path");
}
END_TEST

START_TEST(head_gives_headers_only)
{
	struct reply reply = ask("HEAD", "/v1/status", "");

	ck_assert_int_eq(reply.status, 200);
	ck_assert_ptr_null(reply.document);
	ck_assert_ptr_null(strchr(reply.text, '{'));
	done(reply);
}
END_TEST

START_TEST(filters_of_flows_come_from_the_query)
{
	struct reply reply = ask(
		"GET",
		"/v1/flows?client=10.0.0.0%2F8&service=a/b:c&backend=%5Bfd00::1%5D:80&limit=7", "");

	ck_assert_int_eq(reply.status, 200);
	ck_assert_uint_eq(json_array_size(json_object_get(reply.document, "items")), 7);
	ck_assert_str_eq(seen_text, "10.0.0.0/8|a/b:c|[fd00::1]:80");
	done(reply);
	reply = ask("GET", "/v1/flows", "");
	ck_assert_uint_eq(seen_filter.limit, VIEW_FLOWS_DEFAULT);
	ck_assert_str_eq(seen_text, "||");
	done(reply);
}
END_TEST

START_TEST(filters_that_cannot_be_read_are_bad_requests)
{
	check_error("GET", "/v1/flows?client=nonsense", 400, "client: \"nonsense\"");
	check_error("GET", "/v1/flows?limit=x", 400, "limit: \"x\" is not a number");
	check_error("GET", "/v1/flows?limit=-1", 400, "limit: \"-1\"");
	check_error("GET", "/v1/flows?limit=5x", 400, "limit: \"5x\"");
	check_error("GET", "/v1/flows?limit=", 400, "limit: \"\"");
	check_error("GET", "/v1/flows?limit=99999999999999999999999", 400, "limit:");
	check_error("GET", "/v1/flows?limt=5", 400, "query: \"limt\" is not known here");
	check_error("GET", "/v1/services?limit=5", 400, "query: \"limit\" is not known here");
}
END_TEST

START_TEST(a_view_that_fails_is_a_server_error_with_its_text)
{
	check_error("GET", "/v1/backends", 500, "map backends: Operation not permitted");
}
END_TEST

START_TEST(a_status_that_cannot_be_made_is_a_server_error)
{
	status_fails = true;
	check_error("GET", "/v1/status", 500, "status");
}
END_TEST

START_TEST(clients_are_served_side_by_side)
{
	int fds[40], idle = dial(), half = dial();

	ck_assert_int_eq(send(half, "GET /v1/sta", 11, MSG_NOSIGNAL), 11);
	for (size_t i = 0; i < SL_COUNT(fds); i++)
		fds[i] = dial();
	for (size_t i = SL_COUNT(fds); i-- > 0;)
		send_request(fds[i], "GET", i % 2 ? "/v1/maps" : "/v1/services/a/none", "");
	for (size_t i = 0; i < SL_COUNT(fds); i++) {
		struct reply reply = read_reply(fds[i]);

		ck_assert_int_eq(reply.status, i % 2 ? 200 : 404);
		done(reply);
	}
	close(idle);
	close(half);
}
END_TEST

START_TEST(a_large_document_arrives_whole)
{
	struct reply reply = ask("GET", "/v1/flows?limit=20000", "");

	ck_assert_int_eq(reply.status, 200);
	ck_assert_uint_eq(json_array_size(json_object_get(reply.document, "items")), 20000);
	done(reply);
}
END_TEST

START_TEST(a_list_has_what_the_daemon_knows)
{
	struct reply reply = ask("GET", "/v1/services", "");
	json_t *items = json_object_get(reply.document, "items"), *item;

	ck_assert_str_eq(field(&reply, "kind"), "ServiceList");
	/* And the one that is in no table, at the end. */
	ck_assert_uint_eq(json_array_size(items), LISTED + 1);
	for (int i = 0; i < LISTED; i++) {
		char name[32];

		item = json_array_get(items, (size_t)i);
		snprintf(name, sizeof(name), "web-%d", i);
		ck_assert_str_eq(json_string_value(json_object_get(item, "name")), name);
		ck_assert_uint_eq(json_array_size(json_object_get(item, "ports")), 1);
		ck_assert_int_eq(json_object_get(item, "state") != NULL, i != 1);
	}
	item = json_array_get(items, LISTED);
	ck_assert_str_eq(json_string_value(json_object_get(item, "name")), "late");
	ck_assert_uint_eq(json_array_size(json_object_get(item, "ports")), 0);
	done(reply);
}
END_TEST

START_TEST(a_service_that_is_in_no_table_is_told_with_its_reason)
{
	struct reply reply = ask("GET", "/v1/services/shop/late", "");

	ck_assert_int_eq(reply.status, 200);
	ck_assert_str_eq(field(&reply, "kind"), "Service");
	ck_assert_str_eq(field(&reply, "state"), "failed");
	done(reply);
}
END_TEST

/* Others are answered between its pieces. */
START_TEST(a_list_is_made_as_the_client_takes_it)
{
	int slow = dial(), made;
	struct reply reply;

	send_request(slow, "GET", "/v1/services", "");
	for (int i = 0; i < 1000 && __atomic_load_n(&truths, __ATOMIC_SEQ_CST) == 0; i++)
		usleep(1000);
	for (int i = 0; i < 50; i++)
		done(ask("GET", "/v1/maps", ""));
	made = __atomic_load_n(&truths, __ATOMIC_SEQ_CST);
	ck_assert_int_gt(made, 0);
	ck_assert_int_lt(made, LISTED);
	reply = read_reply(slow);
	ck_assert_uint_eq(json_array_size(json_object_get(reply.document, "items")), LISTED + 1);
	done(reply);
}
END_TEST

START_TEST(lists_at_a_time_are_bounded)
{
	int fds[4];

	for (size_t i = 0; i < SL_COUNT(fds); i++) {
		fds[i] = dial();
		send_request(fds[i], "GET", "/v1/services", "");
	}
	for (int i = 0; i < 1000 && __atomic_load_n(&lists, __ATOMIC_SEQ_CST) < 4; i++)
		usleep(1000);
	check_error("GET", "/v1/services", 503, "too many lists");
	/* One that hangs up makes room. */
	close(fds[0]);
	for (int i = 0; i < 1000 && __atomic_load_n(&lists, __ATOMIC_SEQ_CST) == 4; i++)
		usleep(1000);
	done(read_reply(fds[1]));
	for (size_t i = 2; i < SL_COUNT(fds); i++)
		done(read_reply(fds[i]));
	struct reply reply = ask("GET", "/v1/services", "");
	ck_assert_int_eq(reply.status, 200);
	done(reply);
}
END_TEST

START_TEST(the_daemon_says_how_full_maps_are)
{
	struct reply reply = ask("GET", "/v1/maps", "");
	json_t *want = json_pack("[{s:s, s:i, s:b}, {s:s, s:i}]", "name", "maglev", "entries", 7,
				 "nearlyFull", 1, "name", "new4", "entries", 3);

	ck_assert(json_equal(json_object_get(reply.document, "items"), want));
	json_decref(want);
	done(reply);
}
END_TEST

START_TEST(what_is_no_utf8_is_answered)
{
	check_error("GET", "/v1/services/a/%FF%FE/none", 404, "no such path");
	check_error("GET", "/v1/%C0%80nonsense%FF", 404, "no such path: /v1/");
}
END_TEST

START_TEST(a_connection_is_used_again)
{
	static const char request[] = "GET /v1/maps HTTP/1.1\r\nHost: x\r\n\r\n";
	int fd = dial();

	for (int i = 0; i < 3; i++) {
		char text[1024];
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		ssize_t n;

		ck_assert_int_gt(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL), 0);
		ck_assert_int_eq(poll(&ready, 1, 5000), 1);
		n = recv(fd, text, sizeof(text) - 1, 0);
		ck_assert_int_gt(n, 0);
		text[n] = 0;
		ck_assert_ptr_nonnull(strstr(text, "200 OK"));
	}
	close(fd);
}
END_TEST

START_TEST(garbage_does_not_stop_the_server)
{
	int fd = dial();

	ck_assert_int_gt(send(fd, "\x16\x03\x01\x02\r\n\r\n", 8, MSG_NOSIGNAL), 0);
	close(fd);
	struct reply reply = ask("GET", "/v1/maps", "");
	ck_assert_int_eq(reply.status, 200);
	done(reply);
}
END_TEST

START_TEST(the_socket_is_private_and_its_folder_is_made)
{
	struct stat found;
	char run[128];

	ck_assert_int_eq(stat(path, &found), 0);
	ck_assert_int_eq(found.st_mode & 07777, 0600);
	snprintf(run, sizeof(run), "%s/run", folder);
	ck_assert_int_eq(stat(run, &found), 0);
	ck_assert_int_eq(found.st_mode & 07777, 0755);
}
END_TEST

START_TEST(a_second_daemon_is_refused_and_the_first_goes_on)
{
	struct control *first = control;

	ck_assert_int_eq(open_control(), -EADDRINUSE);
	ck_assert_ptr_nonnull(strstr(error, path));
	ck_assert_ptr_nonnull(strstr(error, "another daemon answers there"));
	ck_assert_ptr_eq(control, first);
	struct reply reply = ask("GET", "/v1/maps", "");
	ck_assert_int_eq(reply.status, 200);
	done(reply);
}
END_TEST

START_TEST(a_stale_socket_is_replaced)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char run[128];

	snprintf(run, sizeof(run), "%s/run", folder);
	mkdir(run, 0755);
	strcpy(address.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	ck_assert_msg(!open_control(), "%s", error);
	control_free(control);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(a_file_in_the_way_is_left_alone)
{
	char run[128];

	snprintf(run, sizeof(run), "%s/run", folder);
	mkdir(run, 0755);
	fclose(fopen(path, "w"));
	ck_assert_int_eq(open_control(), -EEXIST);
	ck_assert_ptr_nonnull(strstr(error, "no socket"));
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(a_path_too_long_for_a_socket_is_refused)
{
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	ck_assert_int_eq(open_control(), -ENAMETOOLONG);
	ck_assert_ptr_nonnull(strstr(error, "too long"));
}
END_TEST

START_TEST(a_missing_parent_of_the_folder_is_named)
{
	snprintf(path, sizeof(path), "%s/none/run/test.sock", folder);
	ck_assert_int_eq(open_control(), -ENOENT);
	ck_assert_ptr_nonnull(strstr(error, "/none/run"));
}
END_TEST

START_TEST(freeing_leaves_a_socket_that_another_daemon_made)
{
	struct control *first;

	ck_assert_msg(!open_control(), "%s", error);
	first = control;
	unlink(path);
	ck_assert_msg(!open_control(), "%s", error);
	control_free(first);
	ck_assert_int_eq(access(path, F_OK), 0);
	control_free(control);
	control_free(NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("control");
	TCase *answers = tcase_create("answers"), *socket_ = tcase_create("socket");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(answers, start_daemon, stop_daemon);
	tcase_set_timeout(answers, 30);
	tcase_add_test(answers, every_path_gives_its_kind);
	tcase_add_test(answers, the_envelope_is_put_around_what_the_daemon_says);
	tcase_add_test(answers, a_packet_to_explain_is_in_the_query);
	tcase_add_test(answers, a_service_is_asked_for_by_namespace_and_name);
	tcase_add_test(answers, unknown_paths_and_services_are_not_found);
	tcase_add_test(answers, a_very_long_namespace_is_not_found);
	tcase_add_test(answers, other_methods_are_refused);
	tcase_add_test(answers, head_gives_headers_only);
	tcase_add_test(answers, filters_of_flows_come_from_the_query);
	tcase_add_test(answers, filters_that_cannot_be_read_are_bad_requests);
	tcase_add_test(answers, a_view_that_fails_is_a_server_error_with_its_text);
	tcase_add_test(answers, a_status_that_cannot_be_made_is_a_server_error);
	tcase_add_test(answers, clients_are_served_side_by_side);
	tcase_add_test(answers, a_large_document_arrives_whole);
	tcase_add_test(answers, a_list_has_what_the_daemon_knows);
	tcase_add_test(answers, a_service_that_is_in_no_table_is_told_with_its_reason);
	tcase_add_test(answers, a_list_is_made_as_the_client_takes_it);
	tcase_add_test(answers, lists_at_a_time_are_bounded);
	tcase_add_test(answers, the_daemon_says_how_full_maps_are);
	tcase_add_test(answers, what_is_no_utf8_is_answered);
	tcase_add_test(answers, a_connection_is_used_again);
	tcase_add_test(answers, garbage_does_not_stop_the_server);
	tcase_add_test(answers, the_socket_is_private_and_its_folder_is_made);
	tcase_add_test(answers, a_second_daemon_is_refused_and_the_first_goes_on);
	suite_add_tcase(suite, answers);
	tcase_add_checked_fixture(socket_, make_folder, remove_folder);
	tcase_add_test(socket_, a_stale_socket_is_replaced);
	tcase_add_test(socket_, a_file_in_the_way_is_left_alone);
	tcase_add_test(socket_, a_path_too_long_for_a_socket_is_refused);
	tcase_add_test(socket_, a_missing_parent_of_the_folder_is_named);
	tcase_add_test(socket_, freeing_leaves_a_socket_that_another_daemon_made);
	suite_add_tcase(suite, socket_);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
