/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/observe/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "controlplane/httpd/httpd.h"
#include "controlplane/observe/route.h"

#define CLIENTS_MAX		  64
#define STATUS_METHOD_NOT_ALLOWED 405

struct control {
	struct control_options options;
	struct sockaddr_un address;
	struct stat made; /* the socket that is ours to remove */
	struct httpd *httpd;
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

static void on_request(void *control_, const struct httpd_request *from,
		       struct httpd_response *response)
{
	const struct control *control = control_;
	struct route_request request = {
		.get = !strcmp(from->method, "GET") || !strcmp(from->method, "HEAD"),
		.path = from->path,
	};
	json_t *document = NULL;

	httpd_each_query(from, collect_query, &request);
	response->status = route(&control->options, &request, &document);
	response->body = document ? json_dumps(document, JSON_COMPACT) : NULL;
	json_decref(document);
	httpd_header(response, "Content-Type", "application/json");
	if (response->status == STATUS_METHOD_NOT_ALLOWED)
		httpd_header(response, "Allow", "GET, HEAD");
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
	if (!control)
		return;
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
