/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Any bytes from a client of the control socket, before documents that are made up
 * here. Whatever it sent, each answer that is JSON has a kind, and the next client
 * is served.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "controlplane/explain/document.h"
#include "controlplane/observe/control.h"
#include "fuzz.h"

#define ANSWER_MAX (1 << 20)
#define WAIT_MS	   5

const char *const fuzz_words[] = {
	"GET",
	"HEAD",
	"POST",
	"/v1/status",
	"/v1/services",
	"/v1/services/",
	"shop/web",
	"shop/none",
	"/v1/backends",
	"/v1/flows",
	"/v1/maps",
	"/v1/attach",
	"/v1/explain",
	"?from=10.0.0.1&to=10.96.0.1:80",
	"to=[fd00::1]:53/udp",
	"client=10.0.0.0/8",
	"service=shop/web:http",
	"backend=10.0.0.1:80",
	"limit=99999999999999999999",
	"local=1",
	"iface=eth0",
	"%2f",
	"%00",
	"%ff",
	"HTTP/1.1",
	"HTTP/1.0",
	"Content-Length",
	"Transfer-Encoding: chunked",
	"Connection: close",
	"Expect: 100-continue",
	"\r\n",
	"\r\n\r\n",
	"0\r\n\r\n",
	NULL,
};

/* The lists of the tables, which are not there. */

struct view_list {
	int left;
};

static int open_lists;

int view_list_services(const struct view *view, struct view_list **ret, char error[512])
{
	(void)view;
	(void)error;
	*ret = calloc(1, sizeof(**ret));
	FUZZ_CHECK(*ret);
	(*ret)->left = 3;
	__atomic_fetch_add(&open_lists, 1, __ATOMIC_SEQ_CST);
	return 0;
}

int view_list_backends(const struct view *view, struct view_list **ret, char error[512])
{
	return view_list_services(view, ret, error);
}

void view_list_free(struct view_list *list)
{
	if (list)
		__atomic_fetch_sub(&open_lists, 1, __ATOMIC_SEQ_CST);
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
	if (list->left > 0)
		*ret = json_pack("{s:s, s:o}", "namespace", "shop", "name",
				 json_sprintf("web-%d", list->left--));
	return 0;
}

bool view_list_has(const struct view_list *list, const char *namespace_, const char *name)
{
	(void)list;
	return !strcmp(namespace_, "shop") && !strncmp(name, "web", 3);
}

int view_maps(const struct view *view, json_t **ret, char error[512])
{
	(void)view;
	(void)error;
	*ret = json_pack("{s:s, s:[]}", "kind", "MapList", "items");
	return 0;
}

int view_services(const struct view *view, json_t **ret, char error[512])
{
	return view_maps(view, ret, error);
}

int view_backends(const struct view *view, json_t **ret, char error[512])
{
	return view_maps(view, ret, error);
}

static json_t *make_object(void *context)
{
	(void)context;
	return json_object();
}

static json_t *make_array(void *context)
{
	(void)context;
	return json_array();
}

static json_t *truth(void *context, const char *namespace_, const char *name)
{
	(void)context;
	if (strcmp(namespace_, "shop") || !strcmp(name, "none"))
		return NULL;
	return json_pack("{s:s}", "state", "failed");
}

static json_t *unprogrammed(void *context, size_t *cursor)
{
	(void)context;
	return (*cursor)++ ? NULL : json_pack("{s:s, s:s}", "namespace", "shop", "name", "late");
}

static int explain(void *context, const struct explain_query *query, json_t **ret, char error[512])
{
	struct decide_packet packet = {};
	int err = explain_query_parse(query, &packet, error);

	(void)context;
	if (!err) {
		FUZZ_CHECK((packet.family == 4 || packet.family == 6) && packet.dport);
		*ret = json_pack("{s:s}", "kind", "Explanation");
	}
	return err;
}

/* The daemon's side. */

static uv_loop_t loop;
static struct control *control;
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static char folder[] = "/tmp/fuzz-control-XXXXXX";

static void end(void)
{
	control_free(control);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	rmdir(folder);
}

static void begin(void)
{
	static struct view view;
	char error[512];

	if (control)
		return;
	for (size_t i = 0; i < SL_COUNT(view.fd); i++)
		view.fd[i] = -1;
	FUZZ_CHECK(mkdtemp(folder) && !uv_loop_init(&loop));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", folder);
	const struct control_options options = {
		.loop = &loop,
		.path = address.sun_path,
		.view = &view,
		.status = make_object,
		.attach = make_array,
		.truth = truth,
		.unprogrammed = unprogrammed,
		.fill = make_array,
		.explain = explain,
	};
	FUZZ_CHECK(!control_new(&options, &control, error));
	atexit(end);
}

/* Lets the server and its threads go on until there is something to do. */
static void wait_for(int fd)
{
	struct pollfd ready[] = { { .fd = fd, .events = POLLIN },
				  { .fd = uv_backend_fd(&loop), .events = POLLIN } };

	poll(ready, SL_COUNT(ready), WAIT_MS);
}

/* Sends the bytes and no more; returns how much came until the server hung up. One
 * that never does is found by the time it takes. */
static size_t ask(const char *bytes, size_t len, char *answer)
{
	sl_auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	size_t sent = 0, got = 0;

	FUZZ_CHECK(fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof(address)));
	for (;;) {
		ssize_t n = sent < len ? send(fd, bytes + sent, len - sent, MSG_NOSIGNAL) : 0;

		if (n > 0 || (n < 0 && errno != EAGAIN))
			sent = n > 0 ? sent + (size_t)n : len;
		if (sent == len)
			shutdown(fd, SHUT_WR);
		uv_run(&loop, UV_RUN_NOWAIT);
		n = recv(fd, answer + got, ANSWER_MAX - 1 - got, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			answer[got] = '\0';
			return got;
		}
		if (n > 0)
			got += (size_t)n;
		else
			wait_for(fd);
	}
}

/* What the first answer says, if it says how long it is. */
static void check_answer(const char *answer, size_t len)
{
	const char *body = memmem(answer, len, "\r\n\r\n", 4);
	const char *length, *type;
	size_t size;

	if (len == 0)
		return;
	FUZZ_CHECK(len > 12 && !strncmp(answer, "HTTP/1.", 7));
	if (!body || !strncmp(answer + 9, "100", 3))
		return;
	body += 4;
	length = memmem(answer, (size_t)(body - answer), "Content-Length: ", 16);
	type = memmem(answer, (size_t)(body - answer), "application/json", 16);
	size = length ? strtoul(length + 16, NULL, 10) : 0;
	if (!type || size == 0 || size > len - (size_t)(body - answer))
		return;
	/* A HEAD's is not there: what follows would be another answer. */
	if (!strncmp(body, "HTTP/1.", 7))
		return;
	json_t *document = json_loadb(body, size, 0, NULL);
	FUZZ_CHECK(json_is_string(json_object_get(document, "kind")));
	json_decref(document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char next[] =
		"GET /v1/services HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
	static char answer[ANSWER_MAX];

	begin();
	check_answer(answer, ask((const char *)data, size, answer));
	/* It holds no list for a client that is gone. */
	FUZZ_CHECK(ask(next, sizeof(next) - 1, answer) > 0);
	FUZZ_CHECK(!strncmp(answer, "HTTP/1.1 200", 12) && strstr(answer, "\"late\""));
	FUZZ_CHECK(__atomic_load_n(&open_lists, __ATOMIC_SEQ_CST) == 0);
	return 0;
}
