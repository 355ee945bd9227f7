/* SPDX-License-Identifier: Apache-2.0 */

/*
 * libmicrohttpd has its own epoll descriptor; the loop polls that and runs it,
 * on the loop's thread, whenever something is ready or its timer is due.
 */

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/log.h"
#include "controlplane/observe/control.h"
#include "controlplane/observe/route.h"

#define CLIENTS_MAX	 64
#define CLIENT_TIMEOUT_S 30

struct control {
	struct control_options options;
	struct sockaddr_un address;
	struct stat made; /* the socket that is ours to remove */
	struct MHD_Daemon *daemon;
	uv_poll_t poll;
	uv_timer_t timer;
	int open_handles;
};

static int fail(char error[512], int r, const char *path, const char *what)
{
	snprintf(error, 512, "%s: %s", path, what);
	return r;
}

static enum MHD_Result collect_query(void *request_, enum MHD_ValueKind kind, const char *name,
				     const char *value)
{
	struct route_request *request = request_;
	int i = route_query_parse(name);

	(void)kind;
	if (i < 0)
		request->unknown = name;
	else
		request->query[i] = value ? value : "";
	return MHD_YES;
}

/* Takes `document`, which may be NULL. */
static enum MHD_Result respond(struct MHD_Connection *connection, unsigned int status,
			       json_t *document)
{
	char *body = document ? json_dumps(document, JSON_COMPACT) : NULL;
	struct MHD_Response *response;
	enum MHD_Result result;

	json_decref(document);
	if (!body)
		return MHD_NO;
	response = MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(body);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result on_request(void *control_, struct MHD_Connection *connection,
				  const char *url, const char *method, const char *version,
				  const char *upload, size_t *upload_size, void **state)
{
	const struct control *control = control_;
	struct route_request request = {
		.get = !strcmp(method, MHD_HTTP_METHOD_GET) ||
		       !strcmp(method, MHD_HTTP_METHOD_HEAD),
		.path = url,
	};
	json_t *document = NULL;
	unsigned int status;

	(void)version;
	(void)upload;
	if (!*state && request.get) {
		*state = control_;
		return MHD_YES; /* headers only: the answer comes with the next call */
	}
	*upload_size = 0;
	MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, collect_query, &request);
	status = route(&control->options, &request, &document);
	return respond(connection, status, document);
}

static void on_log(void *context, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

static void on_log(void *context, const char *format, va_list args)
{
	char line[256];

	(void)context;
	vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\n")] = 0;
	log_debug("control: %s", line);
}

static void on_timer(uv_timer_t *timer);

static void run(struct control *control)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;

	MHD_run(control->daemon);
	if (MHD_get_timeout(control->daemon, &timeout_ms) == MHD_YES)
		uv_timer_start(&control->timer, on_timer, timeout_ms, 0);
	else
		uv_timer_stop(&control->timer);
}

static void on_timer(uv_timer_t *timer)
{
	run(timer->data);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	run(poll->data);
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

static void on_close(uv_handle_t *handle)
{
	struct control *control = handle->data;

	if (!--control->open_handles)
		free(control);
}

void control_free(struct control *control)
{
	if (!control)
		return;
	remove_socket(control);
	uv_poll_stop(&control->poll);
	uv_close((uv_handle_t *)&control->poll, on_close);
	uv_close((uv_handle_t *)&control->timer, on_close);
	MHD_stop_daemon(control->daemon);
}

int control_new(const struct control_options *options, struct control **ret, char error[512])
{
	sl_auto_mem struct control *control = calloc(1, sizeof(*control));
	const union MHD_DaemonInfo *info;
	int fd = -1, r;

	if (!control)
		return fail(error, -ENOMEM, options->path, "out of memory");
	control->options = *options;
	r = listen_at(control, &fd, error);
	if (r)
		return r;
	control->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, control,
		MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CLIENTS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)CLIENT_TIMEOUT_S, MHD_OPTION_END);
	if (!control->daemon) {
		remove_socket(control);
		return fail(error, -EIO, options->path, "the HTTP server does not start");
	}
	info = MHD_get_daemon_info(control->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	r = info ? uv_poll_init(options->loop, &control->poll, info->epoll_fd) : UV_ENOTSUP;
	if (r) {
		remove_socket(control);
		MHD_stop_daemon(control->daemon);
		return fail(error, r, options->path, uv_strerror(r));
	}
	uv_timer_init(options->loop, &control->timer);
	control->poll.data = control->timer.data = control;
	control->open_handles = 2;
	uv_poll_start(&control->poll, UV_READABLE, on_ready);
	*ret = sl_take(control);
	return 0;
}
