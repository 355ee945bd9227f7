/* SPDX-License-Identifier: Apache-2.0 */

#include "test/semantics/http.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "controlplane/health/proxy_health.h"
#include "controlplane/health/service_health.h"
#include "controlplane/httpd/httpd.h"

#define PATIENCE_MS 5000
#define TIMEOUT_MS  PROXY_HEALTH_TIMEOUT_MS

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* What the server is to answer from. */
struct situation {
	const json_t *service; /* state of a healthCheckNodePort, or NULL */
	struct proxy_state proxy;
	struct node *node;
	struct proxy_time now;
};

static void answer(void *context, const struct httpd_request *request,
		   struct httpd_response *response)
{
	const struct situation *s = context;

	if (s->service)
		service_health_answer(text(s->service, "namespace"), text(s->service, "name"),
				      (uint32_t)json_integer_value(
					      json_object_get(s->service, "localReadyEndpoints")),
				      json_is_true(json_object_get(s->service, "proxyHealthy")),
				      response);
	else
		proxy_state_answer(&s->proxy, s->node, request->path, &s->now, TIMEOUT_MS,
				   response);
}

/* `ms` after the begin. */
static struct proxy_time at(uint64_t ms)
{
	return (struct proxy_time) {
		.monotonic_ns = 1000000000ULL + ms * 1000000,
		.wall = { .tv_sec = 1767323045 + (time_t)(ms / 1000) },
	};
}

/* Sets the proxy's state by its description; false for an unknown one. */
static bool set_proxy(struct situation *s, const char *name)
{
	static const struct {
		const char *name;
		bool updated, queued4, queued6, applied;
	} rows[] = {
		{ "no update ever", false, false, false, false },
		{ "started, nothing queued", true, false, false, false },
		{ "both families: queued and applied", false, true, true, true },
		{ "IPv4 queued longer ago than the timeout, IPv6 fine", true, true, false, false },
		{ "both queued longer ago than the timeout", true, true, true, false },
		{ "queued but never updated at all", false, true, true, false },
	};
	const struct proxy_time begin = at(0), then = at(1);

	s->now = at(TIMEOUT_MS + 1);
	for (size_t i = 0; name && i < SL_COUNT(rows); i++) {
		if (strcmp(rows[i].name, name) != 0)
			continue;
		for (enum proxy_family family = 0; family < PROXY_FAMILY_MAX; family++) {
			if (rows[i].updated)
				proxy_state_updated(&s->proxy, family, &begin);
			if (family == PROXY_IPV4 ? rows[i].queued4 : rows[i].queued6)
				proxy_state_queued(&s->proxy, family, &then);
			if (rows[i].applied)
				proxy_state_updated(&s->proxy, family, &then);
		}
		return true;
	}
	return false;
}

/* Sets the Node object by its description; false for an unknown one. */
static bool set_node(struct situation *s, const char *name)
{
	static const struct {
		const char *name, *metadata, *spec;
	} rows[] = {
		{ "plain", "{}", "{}" },
		{ "unschedulable", "{}", "{\"unschedulable\": true}" },
		{ "other taint", "{}",
		  "{\"taints\": [{\"key\": \"example.org/other\", \"effect\": \"NoSchedule\"}]}" },
		{ "ToBeDeletedByClusterAutoscaler taint", "{}",
		  "{\"taints\": [{\"key\": \"ToBeDeletedByClusterAutoscaler\","
		  " \"effect\": \"NoSchedule\"}]}" },
		{ "deletionTimestamp set", "{\"deletionTimestamp\": \"2026-01-01T00:00:00Z\"}",
		  "{}" },
	};
	char error[OBJECT_ERROR_MAX];

	if (name && strcmp(name, "node object not seen") == 0)
		return true;
	for (size_t i = 0; name && i < SL_COUNT(rows); i++) {
		json_t *metadata, *node;
		int err;

		if (strcmp(rows[i].name, name) != 0)
			continue;
		metadata = json_loads(rows[i].metadata, 0, NULL);
		json_object_set_new(metadata, "name", json_string("node"));
		node = json_pack("{s:s, s:s, s:o, s:o}", "apiVersion", "v1", "kind", "Node",
				 "metadata", metadata, "spec", json_loads(rows[i].spec, 0, NULL));
		err = node_parse(node, &s->node, error);
		json_decref(node);
		return err == 0;
	}
	return false;
}

/* A listening socket without a name in any file system, and its address. */
static int listen_here(struct sockaddr_un *ret, socklen_t *ret_len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int n;

	*ret = (struct sockaddr_un) { .sun_family = AF_UNIX };
	n = snprintf(ret->sun_path + 1, sizeof(ret->sun_path) - 1, "semantics-check-%d", getpid());
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
	if (fd < 0 || bind(fd, (struct sockaddr *)ret, *ret_len) || listen(fd, 4)) {
		close(fd);
		return -errno;
	}
	return fd;
}

/* Reads until the server hangs up, running its loop meanwhile. */
static bool read_reply(uv_loop_t *loop, int fd, char *reply, size_t size)
{
	uint64_t end = uv_hrtime() + PATIENCE_MS * 1000000ULL;
	size_t len = 0;

	while (uv_hrtime() < end && len < size - 1) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		ssize_t n;

		uv_run(loop, UV_RUN_NOWAIT);
		if (poll(&ready, 1, 1) != 1)
			continue;
		n = recv(fd, reply + len, size - 1 - len, 0);
		if (n <= 0) {
			reply[len] = '\0';
			return n == 0;
		}
		len += (size_t)n;
	}
	return false;
}

static bool ask(struct situation *s, const json_t *the_case, char *reply, size_t size)
{
	struct httpd_options options = {
		.name = "semantics-check", .clients_max = 4, .answer = answer, .context = s
	};
	struct sockaddr_un address;
	struct httpd *httpd = NULL;
	socklen_t address_len;
	uv_loop_t loop;
	char request[512];
	int len = snprintf(request, sizeof(request),
			   "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			   text(the_case, "method"), text(the_case, "path"));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = false;

	uv_loop_init(&loop);
	options.loop = &loop;
	options.fd = listen_here(&address, &address_len);
	if (options.fd >= 0 && httpd_new(&options, &httpd) == 0 &&
	    connect(fd, (struct sockaddr *)&address, address_len) == 0 &&
	    send(fd, request, (size_t)len, MSG_NOSIGNAL) == len)
		ok = read_reply(&loop, fd, reply, size);
	close(fd);
	httpd_free(httpd);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	return ok;
}

/* The value of a header in a head that ends in an empty line; NULL if none. */
static char *header(const char *head, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r';
	     line = strstr(line + 2, "\r\n")) {
		const char *value = line + 2 + len;

		if (strncasecmp(line + 2, name, len) == 0 && *value == ':') {
			value += 1 + strspn(value + 1, " ");
			return strndup(value, strcspn(value, "\r"));
		}
	}
	return NULL;
}

static void compare_headers(struct check *check, const json_t *the_case, const char *head)
{
	const char *name;
	const json_t *value;

	json_object_foreach (json_object_get((json_t *)the_case, "headers"), name, value) {
		sl_auto_mem char *got = header(head, name);

		if (!got || strcmp(got, json_string_value(value)) != 0)
			check_say(check, "%s: expected \"%s\", got %s%s%s", name,
				  json_string_value(value), got ? "\"" : "", got ? got : "none",
				  got ? "\"" : "");
	}
}

/* Times become the word TIME, as the tables have them; Go's zero time stays. */
static void hide_times(json_t *value)
{
	const char *key;
	json_t *item;
	void *next;

	json_object_foreach_safe(value, next, key, item)
	{
		const char *time = json_string_value(item);

		if (json_is_object(item))
			hide_times(item);
		else if (time &&
			 (strcmp(key, "lastUpdated") == 0 || strcmp(key, "currentTime") == 0) &&
			 strncmp(time, "0001-", 5) != 0)
			json_object_set_new(value, key, json_string("TIME"));
	}
}

static void compare_body(struct check *check, const json_t *the_case, const char *body)
{
	const char *expected = text(the_case, "body");
	bool dynamic = json_object_get(the_case, "dynamicJSONFields");
	json_t *json = dynamic ? json_loads(body, 0, NULL) : NULL;
	sl_auto_mem char *normal = NULL;

	hide_times(json);
	normal = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : strdup(body);
	json_decref(json);
	if (!normal || strcmp(normal, expected) != 0)
		check_say(check, "body: expected \"%s\", got \"%s\"", expected, normal);
}

static void compare(struct check *check, const json_t *the_case, char *reply)
{
	char *body = strstr(reply, "\r\n\r\n");
	json_int_t expected = json_integer_value(json_object_get(the_case, "status"));
	int status = 0;

	sscanf(reply, "HTTP/1.1 %d", &status);
	if (status != expected)
		check_say(check, "status: expected %lld, got %d", (long long)expected, status);
	if (!body) {
		check_say(check, "an answer without an end of its head");
		return;
	}
	compare_headers(check, the_case, reply);
	compare_body(check, the_case, body + 4);
}

void http_run(struct check *check, const json_t *the_case)
{
	const json_t *state = json_object_get(the_case, "state");
	const char *server = text(the_case, "server");
	struct situation s = { 0 };
	size_t lines = check->lines;
	char reply[8192];
	bool known = true;

	if (server && strcmp(server, "healthCheckNodePort") == 0)
		s.service = state;
	else
		known = server && strcmp(server, "healthzBindAddress") == 0 &&
			set_proxy(&s, text(state, "proxy")) && set_node(&s, text(state, "node"));
	if (!known)
		check_say(check, "a server or state that is not known");
	else if (!ask(&s, the_case, reply, sizeof(reply)))
		check_say(check, "expected an answer, got none");
	else
		compare(check, the_case, reply);
	node_free(s.node);
	check_count_since(check, ITEM_ANSWER, lines);
}
