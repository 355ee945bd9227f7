/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/observe/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "controlplane/httpd/httpd.h"
#include "controlplane/observe/list_stream.h"
#include "controlplane/observe/route.h"

#define CLIENTS_MAX		  64
#define STATUS_METHOD_NOT_ALLOWED 405
#define STATUS_UNAVAILABLE	  503
/* Each takes memory for what the tables hold until it is read to its end. */
#define LISTS_MAX 4

struct control {
	struct control_options options;
	struct sockaddr_un address;
	struct stat made; /* the socket that is ours to remove */
	struct httpd *httpd;
	unsigned int lists; /* that are being read */
	LIST_HEAD(, job) jobs;
};

static int fail(char error[512], int r, const char *path, const char *what)
{
	snprintf(error, 512, "%s: %s", path, what);
	return r;
}

static void collect_query(void *request_, const char *name, const char *value)
{
	struct route_request *request = request_;
	int i = route_query_parse(name);

	if (i < 0)
		request->unknown = name;
	else
		request->query[i] = value;
}

/* A client that waits while the maps are read on another thread. */
struct job {
	uv_work_t work;
	struct control *control; /* NULL: it is gone */
	struct httpd_waiting *client;
	struct route_job *route;
	LIST_ENTRY(job) entry;
};

static void list_ended(void *control_)
{
	struct control *control = control_;

	control->lists--;
}

/* What was read becomes the answer. */
static void finish(struct control *control, struct route_job *route, struct httpd_response *ret)
{
	struct route_answer answer = { .body = NULL };

	ret->status = route_finish(route, &control->options, &answer);
	ret->body = answer.body;
	if (answer.list)
		ret->stream =
			list_stream_new(answer.list, &control->options, list_ended, control);
	if (route_is_list(route) && !ret->stream)
		list_ended(control);
	httpd_header(ret, "Content-Type", "application/json");
}

static void on_work(uv_work_t *work)
{
	struct job *job = work->data;

	route_read(job->route);
}

static void on_worked(uv_work_t *work, int status)
{
	struct job *job = work->data;
	struct httpd_response response = { .body = NULL };

	(void)status;
	if (job->control) {
		LIST_REMOVE(job, entry);
		finish(job->control, job->route, &response);
	}
	httpd_reply(job->client, &response);
	route_job_free(job->route);
	free(job);
}

static void answer_now(unsigned int status, json_t *document, struct httpd_response *response)
{
	response->status = status;
	response->body = document ? json_dumps(document, JSON_COMPACT) : NULL;
	json_decref(document);
	httpd_header(response, "Content-Type", "application/json");
	if (response->status == STATUS_METHOD_NOT_ALLOWED)
		httpd_header(response, "Allow", "GET, HEAD");
}

/* True if the client waits for it. */
static bool start_job(struct control *control, const struct httpd_request *from,
		      struct route_job *route)
{
	sl_auto_mem struct job *job = malloc(sizeof(*job));

	if (!job)
		return false;
	*job = (struct job) {
		.work.data = job,
		.control = control,
		.client = httpd_wait(from),
		.route = route,
	};
	/* Nothing but a missing callback makes it fail. */
	if (!job->client ||
	    uv_queue_work(control->options.loop, &job->work, on_work, on_worked))
		return false;
	LIST_INSERT_HEAD(&control->jobs, job, entry);
	job = NULL;
	return true;
}

static void on_request(void *control_, const struct httpd_request *from,
		       struct httpd_response *response)
{
	struct control *control = control_;
	struct route_request request = {
		.get = !strcmp(from->method, "GET") || !strcmp(from->method, "HEAD"),
		.path = from->path,
	};
	sl_auto(route_job) found = NULL;
	json_t *document = NULL;
	unsigned int status;

	httpd_each_query(from, collect_query, &request);
	status = route(&control->options, &request, &found, &document);
	if (!status && route_is_list(found) && control->lists == LISTS_MAX)
		status = route_fail(STATUS_UNAVAILABLE, "too many lists are being read: try again",
				    &document);
	if (status) {
		answer_now(status, document, response);
		return;
	}
	control->lists += route_is_list(found);
	if (start_job(control, from, found)) {
		found = NULL;
		return;
	}
	/* Who sends a body can't wait. */
	route_read(found);
	finish(control, found, response);
}

static int make_folder(const char *path, char error[512])
{
	sl_auto_mem char *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;

	if (!folder)
		return fail(error, -ENOMEM, path, "out of memory");
	if (!slash || slash == folder)
		return 0;
	*slash = 0;
	if (mkdir(folder, 0755) && errno != EEXIST)
		return fail(error, -errno, folder, strerror(errno));
	return 0;
}

/* Removes a socket that nobody answers on. */
static int clear_stale(const struct sockaddr_un *address, char error[512])
{
	sl_auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat found;

	if (fd < 0)
		return fail(error, -errno, address->sun_path, strerror(errno));
	if (lstat(address->sun_path, &found))
		return errno == ENOENT ? 0
				       : fail(error, -errno, address->sun_path, strerror(errno));
	if (!S_ISSOCK(found.st_mode))
		return fail(error, -EEXIST, address->sun_path, "is there and no socket");
	/* A full queue (EAGAIN) belongs to somebody who is alive, too. */
	if (!connect(fd, (const struct sockaddr *)address, sizeof(*address)) || errno == EAGAIN)
		return fail(error, -EADDRINUSE, address->sun_path, "another daemon answers there");
	if (errno != ECONNREFUSED && errno != ENOENT)
		return fail(error, -errno, address->sun_path, strerror(errno));
	if (unlink(address->sun_path) && errno != ENOENT)
		return fail(error, -errno, address->sun_path, strerror(errno));
	return 0;
}

static int listen_at(struct control *control, int *ret_fd, char error[512])
{
	const char *path = control->options.path;
	sl_auto_fd int fd = -1;
	int r;

	if (strlen(path) >= sizeof(control->address.sun_path))
		return fail(error, -ENAMETOOLONG, path, "too long for a socket");
	control->address.sun_family = AF_UNIX;
	strcpy(control->address.sun_path, path);
	control->options.path = control->address.sun_path;
	r = make_folder(path, error);
	if (!r)
		r = clear_stale(&control->address, error);
	if (r)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The mode before bind() is the one that the file is made with. */
	if (fd < 0 || fchmod(fd, 0600) ||
	    bind(fd, (const struct sockaddr *)&control->address, sizeof(control->address)))
		return fail(error, -errno, path, strerror(errno));
	if (listen(fd, CLIENTS_MAX) || lstat(control->address.sun_path, &control->made)) {
		r = fail(error, -errno, path, strerror(errno));
		unlink(path);
		return r;
	}
	*ret_fd = sl_take_fd(fd);
	return 0;
}

static void remove_socket(const struct control *control)
{
	struct stat found;

	if (!lstat(control->address.sun_path, &found) && found.st_ino == control->made.st_ino &&
	    found.st_dev == control->made.st_dev)
		unlink(control->address.sun_path);
}

void control_free(struct control *control)
{
	struct job *job;

	if (!control)
		return;
	while ((job = LIST_FIRST(&control->jobs))) {
		LIST_REMOVE(job, entry);
		job->control = NULL;
	}
	remove_socket(control);
	httpd_free(control->httpd);
	free(control);
}

int control_new(const struct control_options *options, struct control **ret, char error[512])
{
	sl_auto_mem struct control *control = calloc(1, sizeof(*control));
	struct httpd_options httpd = {
		.loop = options->loop,
		.name = "control",
		.clients_max = CLIENTS_MAX,
		.waits = true,
		.answer = on_request,
		.context = control,
	};
	int r;

	if (!control)
		return fail(error, -ENOMEM, options->path, "out of memory");
	control->options = *options;
	r = listen_at(control, &httpd.fd, error);
	if (r)
		return r;
	r = httpd_new(&httpd, &control->httpd);
	if (r) {
		remove_socket(control);
		return fail(error, r, options->path, strerror(-r));
	}
	*ret = sl_take(control);
	return 0;
}
