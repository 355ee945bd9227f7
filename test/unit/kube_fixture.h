/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A Kubernetes source with its store and loop, in front of fake_api.h. */

#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include "controlplane/source/kube.h"
#include "fake_api.h"

/* Waits for `condition` while the loop runs, for as long as a busy machine may need. */
#define UNTIL(condition)                                                                           \
	do {                                                                                       \
		for (int turns_ = 0; !(condition); turns_++) {                                     \
			ck_assert_msg(turns_ < 10000, "waited in vain for " #condition);           \
			turn();                                                                    \
		}                                                                                  \
	} while (0)

static struct kube_limits limits;
static uv_loop_t loop;
static struct store *store;
static struct source *source;
static size_t n_changed;
static bool free_when_changed;
static char folder[64], config_path[128], token_path[128], error[OBJECT_ERROR_MAX];
static int log_fd, stderr_fd;

static void turn(void)
{
	uv_run(&loop, UV_RUN_NOWAIT);
	usleep(1000);
}

/* Lets `ms` go by. */
static inline void rest(unsigned int ms)
{
	uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000;

	while (uv_hrtime() < end)
		turn();
}

static void on_changed(void *context)
{
	ck_assert_ptr_eq(context, &n_changed);
	n_changed++;
	if (free_when_changed)
		source_free(sl_take(source));
}

static void write_text(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");

	ck_assert_ptr_nonnull(out);
	fputs(text, out);
	fclose(out);
}

/* Writes the kubeconfig for a server at `scheme`://127.0.0.1:port. */
static void write_config(const char *scheme, const char *cluster)
{
	char text[4096];

	snprintf(text, sizeof(text),
		 "{\"current-context\": \"c\", \"contexts\": [{\"name\": \"c\", \"context\":"
		 " {\"cluster\": \"k\", \"user\": \"u\"}}], \"clusters\": [{\"name\": \"k\","
		 " \"cluster\": {\"server\": \"%s://127.0.0.1:%u\"%s}}], \"users\":"
		 " [{\"name\": \"u\", \"user\": {\"tokenFile\": \"token\"}}]}",
		 scheme, fake.port, cluster);
	write_text(config_path, text);
}

static struct source_options options(void)
{
	return (struct source_options) {
		.loop = &loop,
		.store = store,
		.node_name = "node-1",
		.changed = on_changed,
		.context = &n_changed,
		.kubeconfig = config_path,
	};
}

static void start(void)
{
	struct source_options o = options();
	int err = kube_new(&o, &limits, &source, error);

	ck_assert_msg(err == 0, "%s", error);
}

static void setup(void)
{
	limits = (struct kube_limits) {
		.times = {
			.backoff = { .min_ms = 20, .max_ms = 100, .reset_ms = 120000 },
			.list_ms = 60000,
			.answer_ms = 60000,
			.receive_ms = 60000,
			.short_ms = 0,
			.settled_ms = 60000,
			.complain_ms = 60000,
			.absent_ms = 60000,
		},
		.http = { .ping_ms = 60000, .pong_ms = 60000, .exec_ms = 60000 },
		.line_max = 64 * 1024,
	};
	unsetenv("http_proxy");
	unsetenv("https_proxy");
	unsetenv("HTTPS_PROXY");
	unsetenv("all_proxy");
	unsetenv("ALL_PROXY");
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	store = store_new();
	ck_assert_ptr_nonnull(store);

	strcpy(folder, "/tmp/sluice-kube-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(config_path, sizeof(config_path), "%s/config", folder);
	snprintf(token_path, sizeof(token_path), "%s/token", folder);
	write_text(token_path, "first-token\n");
	fake_start(0, NULL, NULL);
	write_config("http", "");

	/* What is logged is part of what is tested. */
	log_fd = open(folder, O_RDWR | O_TMPFILE | O_APPEND | O_CLOEXEC, 0600);
	ck_assert_int_ge(log_fd, 0);
	stderr_fd = dup(STDERR_FILENO);
	dup2(log_fd, STDERR_FILENO);
}

/* Every handle has to be closed and every byte freed. */
static void teardown(void)
{
	source_free(source);
	source = NULL;
	for (int i = 0; i < 1000 && uv_run(&loop, UV_RUN_NOWAIT); i++)
		usleep(1000);
	dup2(stderr_fd, STDERR_FILENO);
	close(stderr_fd);
	close(log_fd);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	fake_done();
	store_free(store);
	unlink(config_path);
	unlink(token_path);
	rmdir(folder);
}

/* How many lines of the log have `text`. */
static inline size_t logged(const char *text)
{
	static char log[256 * 1024];
	ssize_t len = pread(log_fd, log, sizeof(log) - 1, 0);
	size_t n = 0;

	ck_assert_int_ge(len, 0);
	log[len] = '\0';
	for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n"))
		n += strstr(line, text) != NULL;
	return n;
}

/* A Service as the API server sends it; to be freed. */
static char *service(const char *name, int version)
{
	char *text = NULL;

	ck_assert_int_gt(asprintf(&text,
				  "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"default\","
				  "\"resourceVersion\":\"%d\"},\"spec\":{\"type\":\"ClusterIP\","
				  "\"clusterIP\":\"10.96.0.10\",\"clusterIPs\":[\"10.96.0.10\"],"
				  "\"ipFamilies\":[\"IPv4\"],\"ports\":[{\"port\":%d,\"protocol\":"
				  "\"TCP\"}]}}",
				  name, version, version),
			 0);
	return text;
}

/* Queues a page of Services: `names` separated by spaces; `token` may be "". */
static inline void list_services(const char *names, const char *version, const char *token)
{
	char page[16384], copy[256];
	int len = snprintf(page, sizeof(page),
			   "{\"kind\":\"ServiceList\",\"apiVersion\":\"v1\",\"metadata\":"
			   "{\"resourceVersion\":\"%s\",\"continue\":\"%s\"},\"items\":[",
			   version, token);

	snprintf(copy, sizeof(copy), "%s", names);
	bool first = true;
	for (char *name = strtok(copy, " "); name; name = strtok(NULL, " ")) {
		sl_auto_mem char *text = service(name, 5);

		len += snprintf(page + len, sizeof(page) - (size_t)len, "%s%s", first ? "" : ",",
				text);
		first = false;
	}
	snprintf(page + len, sizeof(page) - (size_t)len, "]}");
	fake_list(FAKE_SERVICE, 200, page);
}

/* Sends an event about a Service. */
static inline void send_service(const char *type, const char *name, int version)
{
	sl_auto_mem char *object = service(name, version);
	char line[2048];

	snprintf(line, sizeof(line),
		 "{\"type\":\"%s\",\"object\":{\"kind\":\"Service\",\"apiVersion\":\"v1\",%s\n",
		 type, object + 1);
	snprintf(line + strlen(line) - 1, 3, "}\n");
	fake_send(FAKE_SERVICE, line);
}

/* Sends an ERROR event with a Status of `code`. */
static inline void send_error(int code)
{
	char line[512];

	snprintf(line, sizeof(line),
		 "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":%d,"
		 "\"message\":\"what a pity\"}}\n",
		 code);
	fake_send(FAKE_SERVICE, line);
}

static inline size_t services(void)
{
	return store_count(store, OBJECT_SERVICE);
}

struct search {
	const char *name;
	const struct service *found;
};

static void look_at(void *context, const struct store_service *each)
{
	struct search *search = context;

	if (strcmp(each->name, search->name) == 0)
		search->found = each->service;
}

/* The Service of this name, or NULL. */
static inline const struct service *find(const char *name)
{
	struct search search = { .name = name };

	store_each(store, look_at, &search);
	return search.found;
}

static inline bool all_listed(void)
{
	for (int kind = 0; kind < OBJECT_KIND_MAX; kind++)
		if (!store_listed(store, (enum object_kind)kind))
			return false;
	return true;
}

static inline bool watching(void)
{
	return fake_count(FAKE_SERVICE, true) > 0;
}
