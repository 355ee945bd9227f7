/* SPDX-License-Identifier: Apache-2.0 */

/* The HTTP server on a loop, and where servers listen. */

#include "controlplane/httpd/httpd.h"
#include "controlplane/httpd/listen.h"
#include "http_fixture.h"

#include <sys/resource.h>

#define CLIENTS_MAX 16

static struct httpd *httpd;
static uint16_t port;
static char asked[512]; /* what the callback was asked, and the query */
static struct httpd_waiting *waiting[2];
static size_t n_waiting;

static void note_query(void *context, const char *name, const char *value)
{
	(void)context;
	snprintf(asked + strlen(asked), sizeof(asked) - strlen(asked), " %s=%s", name, value);
}

/* A body in pieces. */

static int streams_freed;

struct pieces {
	struct httpd_stream base;
	int left;
	bool breaks;
};

static ssize_t more(struct httpd_stream *stream, char *buffer, size_t size)
{
	struct pieces *pieces = (struct pieces *)stream;

	ck_assert_uint_ge(size, 100);
	if (pieces->left-- == 0)
		return pieces->breaks ? -ENOMEM : 0;
	memset(buffer, 'a' + pieces->left, 100);
	return 100;
}

static void stream_free(struct httpd_stream *stream)
{
	streams_freed++;
	free(stream);
}

static struct httpd_stream *new_stream(bool breaks)
{
	struct pieces *pieces = malloc(sizeof(*pieces));

	*pieces = (struct pieces) { { more, stream_free }, 20, breaks };
	return &pieces->base;
}

static void answer(void *context, const struct httpd_request *request,
		   struct httpd_response *response)
{
	ck_assert_ptr_eq(context, &port);
	snprintf(asked, sizeof(asked), "%s %s", request->method, request->path);
	httpd_each_query(request, note_query, NULL);
	if (!strcmp(request->path, "/silent"))
		return;
	if (!strncmp(request->path, "/pieces", 7)) {
		response->status = 200;
		response->stream = new_stream(!strcmp(request->path, "/pieces/broken"));
		return;
	}
	if (!strcmp(request->path, "/wait")) {
		waiting[n_waiting] = httpd_wait(request);
		n_waiting += waiting[n_waiting] != NULL;
		return;
	}
	response->status = !strcmp(request->path, "/busy") ? 503 : 200;
	response->body = strdup(asked);
	httpd_header(response, "X-Number", "%d", 17);
	httpd_header(response, "Content-Type", "text/plain");
}

static void start(void)
{
	struct httpd_options options = {
		.loop = &loop,
		.name = "test",
		.clients_max = CLIENTS_MAX,
		.waits = true,
		.answer = answer,
		.context = &port,
	};

	fixture_begin();
	asked[0] = 0;
	n_waiting = 0;
	options.fd = fixture_listener("127.0.0.1", &port);
	ck_assert_int_eq(httpd_new(&options, &httpd), 0);
}

static void stop(void)
{
	httpd_free(httpd);
	httpd = NULL;
	fixture_end();
}

static void ask(const char *method, const char *path, struct fixture_reply *ret)
{
	fixture_ask("127.0.0.1", port, method, path, ret);
}

START_TEST(status_headers_and_body_are_the_callbacks)
{
	struct fixture_reply reply;

	ask("GET", "/busy", &reply);
	ck_assert_int_eq(reply.status, 503);
	ck_assert_str_eq(reply.body, "GET /busy");
	ck_assert_ptr_nonnull(strstr(reply.text, "X-Number: 17\r\n"));
	ck_assert_ptr_nonnull(strstr(reply.text, "Content-Type: text/plain\r\n"));
	ck_assert_ptr_nonnull(strstr(reply.text, "Content-Length: 9\r\n"));
}
END_TEST

START_TEST(head_gets_the_head_alone)
{
	struct fixture_reply reply;

	ask("HEAD", "/busy", &reply);
	ck_assert_int_eq(reply.status, 503);
	ck_assert_str_eq(reply.body, "");
	ck_assert_ptr_nonnull(strstr(reply.text, "Content-Length: 10\r\n"));
}
END_TEST

START_TEST(any_method_reaches_the_callback)
{
	static const char *const methods[] = { "GET", "POST", "PUT", "DELETE", "OPTIONS", "BREW" };

	for (size_t i = 0; i < SL_COUNT(methods); i++) {
		struct fixture_reply reply;
		char want[64];

		ask(methods[i], "/x", &reply);
		snprintf(want, sizeof(want), "%s /x", methods[i]);
		ck_assert_int_eq(reply.status, 200);
		ck_assert_str_eq(reply.body, want);
	}
}
END_TEST

START_TEST(path_and_query_arrive_decoded)
{
	struct fixture_reply reply;

	ask("GET", "/a%20b?x=1%2F2&flag&empty=", &reply);
	ck_assert_str_eq(reply.body, "GET /a b x=1/2 flag= empty=");
}
END_TEST

START_TEST(a_body_is_not_waited_for)
{
	struct fixture_reply reply;
	int fd = fixture_dial("127.0.0.1", port);

	fixture_send(fd, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbegin");
	fixture_read(fd, NULL, &reply);
	ck_assert_int_eq(reply.status, 200);
	ck_assert_str_eq(reply.body, "POST /x");
	close(fd);
}
END_TEST

START_TEST(no_body_from_the_callback_hangs_up)
{
	struct fixture_reply reply;

	ask("GET", "/silent", &reply);
	ck_assert_str_eq(reply.text, "");
	ck_assert_str_eq(asked, "GET /silent");
}
END_TEST

START_TEST(a_connection_serves_many_requests)
{
	int fd = fixture_dial("127.0.0.1", port);

	for (int i = 0; i < 3; i++) {
		struct fixture_reply reply;

		fixture_send(fd, i == 1 ? "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
					: "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
		fixture_read(fd, " /x", &reply);
		ck_assert_int_eq(reply.status, 200);
		ck_assert_ptr_null(strstr(reply.text, "Connection:"));
	}
	close(fd);
}
END_TEST

START_TEST(idle_and_broken_clients_do_not_keep_others_waiting)
{
	struct fixture_reply reply;
	int idle = fixture_dial("127.0.0.1", port), half = fixture_dial("127.0.0.1", port);
	int garbage = fixture_dial("127.0.0.1", port);

	fixture_send(half, "GET /x HT");
	fixture_send(garbage, "\x16\x03\x01\x02\r\n\r\n");
	for (int i = 0; i < 3 * CLIENTS_MAX; i++) {
		ask("GET", "/x", &reply);
		ck_assert_int_eq(reply.status, 200);
	}
	fixture_send(half, "TP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	fixture_read(half, NULL, &reply);
	ck_assert_int_eq(reply.status, 200);
	close(idle);
	close(half);
	close(garbage);
}
END_TEST

START_TEST(a_body_can_come_in_pieces)
{
	struct fixture_reply reply;
	size_t n = 0;

	ask("GET", "/pieces", &reply);
	ck_assert_int_eq(reply.status, 200);
	for (const char *at = reply.body; *at; at++)
		n += *at >= 'a' && *at <= 'a' + 19;
	/* Sizes of chunks are between them. */
	ck_assert_uint_ge(n, 2000);
	ck_assert_ptr_nonnull(strstr(reply.body, "bbbbbbbbbb"));
	ck_assert_ptr_nonnull(strstr(reply.text, "\r\n0\r\n"));
	ck_assert_int_eq(streams_freed, 1);
	ask("HEAD", "/pieces", &reply);
	ck_assert_str_eq(reply.body, "");
	ck_assert_int_eq(streams_freed, 2);
}
END_TEST

START_TEST(a_body_that_breaks_off_hangs_up)
{
	struct fixture_reply reply;

	ask("GET", "/pieces/broken", &reply);
	ck_assert_ptr_null(strstr(reply.text, "\r\n0\r\n"));
	ck_assert_int_eq(streams_freed, 1);
}
END_TEST

START_TEST(freeing_hangs_up_and_closes_the_port)
{
	struct fixture_reply reply;
	int fd = fixture_dial("127.0.0.1", port);

	fixture_send(fd, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
	fixture_read(fd, "GET /x", &reply);
	httpd_free(httpd);
	httpd = NULL;
	ck_assert_int_eq(recv(fd, reply.text, sizeof(reply.text), 0), 0);
	ck_assert(fixture_refuses("127.0.0.1", port));
	close(fd);
}
END_TEST

/* The port must not stay taken: the next attempt would fail for that. */
START_TEST(a_server_that_can_not_start_gives_its_port_back)
{
	struct httpd_options options = { .loop = &loop, .name = "test", .clients_max = 1 };
	struct rlimit limit, none_left;
	struct httpd *other = NULL;
	uint16_t other_port;
	int r;

	options.fd = fixture_listener("127.0.0.1", &other_port);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none_left = limit;
	none_left.rlim_cur = (rlim_t)options.fd + 1;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none_left), 0);
	r = httpd_new(&options, &other);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_lt(r, 0);
	ck_assert_ptr_null(other);
	ck_assert_int_eq(fixture_dial("127.0.0.1", other_port), -ECONNREFUSED);
}
END_TEST

START_TEST(addresses_are_read)
{
	static const struct {
		const char *text, *addr;
		uint8_t family;
		bool both;
		uint16_t port;
	} rows[] = {
		{ "192.0.2.1:80", "192.0.2.1", 4, false, 80 },
		{ "127.0.0.1:65535", "127.0.0.1", 4, false, 65535 },
		{ "[2001:db8::1]:10256", "2001:db8::1", 6, false, 10256 },
		{ "[::1]:1", "::1", 6, false, 1 },
		{ "0.0.0.0:10256", "0.0.0.0", 4, true, 10256 },
		{ "[::]:10256", "::", 6, true, 10256 },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		struct listen_address got;
		char text[IP_TEXT_MAX];

		ck_assert_msg(!listen_address_parse(rows[i].text, &got), "%s", rows[i].text);
		ck_assert_str_eq(ip_format(&got.addr, got.family, text), rows[i].addr);
		ck_assert_uint_eq(got.family, rows[i].family);
		ck_assert_uint_eq(got.both, rows[i].both);
		ck_assert_uint_eq(got.port, rows[i].port);
	}
}
END_TEST

START_TEST(what_is_no_address_is_refused)
{
	static const char *const rows[] = {
		"",
		":80",
		"192.0.2.1",
		"192.0.2.1:",
		"192.0.2.1:0",
		"1.2.3.4:x",
		"1.2.3.4:65536",
		"1.2.3.4:-80",
		"1.2.3.4: 80",
		"1.2.3.4:100000000000",
		"2001:db8::",
		"::1:80",
		"[::1]",
		"[1.2.3.4]:80",
		"[::1:80",
		"[]:80",
		"node:80",
		"[::g]:80",
		"1.2.3.4.5:80",
		"1.2.3.4:80x",
	};
	struct listen_address got = { .port = 7 };

	for (size_t i = 0; i < SL_COUNT(rows); i++)
		ck_assert_msg(listen_address_parse(rows[i], &got) == -EINVAL, "%s", rows[i]);
	ck_assert_uint_eq(got.port, 7);
}
END_TEST

static int listen_at(const char *text)
{
	struct listen_address address;
	int fd = -1, r;

	ck_assert_int_eq(listen_address_parse(text, &address), 0);
	r = listen_open(&address, &fd);
	return r ? r : fd;
}

START_TEST(a_socket_serves_the_families_that_its_address_means)
{
	static const struct {
		const char *host;
		bool serves4, serves6;
	} rows[] = {
		{ "127.0.0.1", true, false },
		{ "[::1]", false, true },
		{ "0.0.0.0", true, true },
		{ "[::]", true, true },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		uint16_t at = fixture_free_port();
		char text[IP_TEXT_MAX + 8];
		int fd;

		snprintf(text, sizeof(text), "%s:%u", rows[i].host, at);
		fd = listen_at(text);
		ck_assert_msg(fd >= 0, "%s: %s", text, strerror(-fd));
		ck_assert_msg(fixture_refuses("127.0.0.1", at) != rows[i].serves4, "%s", text);
		ck_assert_msg(fixture_refuses("::1", at) != rows[i].serves6, "%s", text);
		close(fd);
	}
}
END_TEST

START_TEST(every_address_of_one_family_leaves_the_other_free)
{
	struct listen_address address = { .family = 6, .port = fixture_free_port() };
	int six = -1, four = -1;

	ck_assert_int_eq(listen_open(&address, &six), 0);
	ck_assert(fixture_refuses("127.0.0.1", address.port));
	address.family = 4;
	ck_assert_int_eq(listen_open(&address, &four), 0);
	ck_assert(!fixture_refuses("127.0.0.1", address.port));
	close(six);
	close(four);
}
END_TEST

START_TEST(a_port_that_is_taken_is_an_error)
{
	uint16_t taken;
	int fd = fixture_listener("127.0.0.1", &taken);
	char text[32];

	snprintf(text, sizeof(text), "127.0.0.1:%u", taken);
	ck_assert_int_eq(listen_at(text), -EADDRINUSE);
	snprintf(text, sizeof(text), "192.0.2.77:%u", taken);
	ck_assert_int_eq(listen_at(text), -EADDRNOTAVAIL);
	close(fd);
}
END_TEST

/* A client that asks for /wait, and is known to the callback. */
static int dial_and_wait(void)
{
	size_t n = n_waiting + 1;
	int fd = fixture_dial("127.0.0.1", port);

	fixture_send(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
	while (n_waiting < n)
		fixture_turn();
	return fd;
}

static void reply(size_t i, const char *body)
{
	const struct httpd_response response = { .status = 202, .body = strdup(body) };

	httpd_reply(waiting[i], &response);
}

START_TEST(clients_wait_while_others_are_served)
{
	struct fixture_reply got;
	int first = dial_and_wait(), second = dial_and_wait();

	ask("GET", "/x", &got);
	ck_assert_str_eq(got.body, "GET /x");
	reply(1, "second!");
	fixture_read(second, "second!", &got);
	ck_assert_int_eq(got.status, 202);
	reply(0, "first!");
	fixture_read(first, "first!", &got);
	ck_assert_int_eq(got.status, 202);
	fixture_send(first, "GET /again HTTP/1.1\r\nHost: x\r\n\r\n");
	fixture_read(first, "GET /again", &got);
	ck_assert_int_eq(got.status, 200);
	close(first);
	close(second);
}
END_TEST

START_TEST(a_client_that_hung_up_while_it_waited_is_replied_to)
{
	struct fixture_reply got;

	close(dial_and_wait());
	fixture_turn();
	reply(0, "too late");
	ask("GET", "/x", &got);
	ck_assert_int_eq(got.status, 200);
}
END_TEST

START_TEST(freeing_hangs_up_on_those_who_wait)
{
	char text[16];
	int fd = dial_and_wait();

	httpd_free(httpd);
	httpd = NULL;
	ck_assert_int_eq(recv(fd, text, sizeof(text), 0), 0);
	reply(0, "to nobody");
	close(fd);
}
END_TEST

/* libmicrohttpd aborts if it is stopped while a connection is suspended. */
START_TEST(who_asks_while_it_is_freed_does_not_wait)
{
	int first = dial_and_wait(), second = fixture_dial("127.0.0.1", port);
	struct fixture_reply got;
	char text[16];

	fixture_send(second, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
	fixture_read(second, "GET /x", &got);
	fixture_send(second, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
	httpd_free(httpd);
	httpd = NULL;
	ck_assert_uint_eq(n_waiting, 1);
	ck_assert_int_le(recv(second, text, sizeof(text), 0), 0);
	reply(0, "to nobody");
	close(first);
	close(second);
}
END_TEST

/* The rest of its body would be taken for an answer's request. */
START_TEST(a_request_with_a_body_can_not_wait)
{
	struct fixture_reply got;
	int fd = fixture_dial("127.0.0.1", port);

	fixture_send(fd, "POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nbegin");
	fixture_read(fd, NULL, &got);
	ck_assert_str_eq(got.text, "");
	ck_assert_uint_eq(n_waiting, 0);
	close(fd);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("httpd");
	TCase *server = tcase_create("server"), *places = tcase_create("listen");

	tcase_add_checked_fixture(server, start, stop);
	tcase_add_test(server, status_headers_and_body_are_the_callbacks);
	tcase_add_test(server, head_gets_the_head_alone);
	tcase_add_test(server, any_method_reaches_the_callback);
	tcase_add_test(server, path_and_query_arrive_decoded);
	tcase_add_test(server, a_body_is_not_waited_for);
	tcase_add_test(server, no_body_from_the_callback_hangs_up);
	tcase_add_test(server, a_connection_serves_many_requests);
	tcase_add_test(server, idle_and_broken_clients_do_not_keep_others_waiting);
	tcase_add_test(server, a_body_can_come_in_pieces);
	tcase_add_test(server, a_body_that_breaks_off_hangs_up);
	tcase_add_test(server, freeing_hangs_up_and_closes_the_port);
	tcase_add_test(server, a_server_that_can_not_start_gives_its_port_back);
	tcase_add_test(server, clients_wait_while_others_are_served);
	tcase_add_test(server, a_client_that_hung_up_while_it_waited_is_replied_to);
	tcase_add_test(server, freeing_hangs_up_on_those_who_wait);
	tcase_add_test(server, who_asks_while_it_is_freed_does_not_wait);
	tcase_add_test(server, a_request_with_a_body_can_not_wait);
	suite_add_tcase(s, server);
	tcase_add_test(places, addresses_are_read);
	tcase_add_test(places, what_is_no_address_is_refused);
	tcase_add_test(places, a_socket_serves_the_families_that_its_address_means);
	tcase_add_test(places, every_address_of_one_family_leaves_the_other_free);
	tcase_add_test(places, a_port_that_is_taken_is_an_error);
	suite_add_tcase(s, places);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
