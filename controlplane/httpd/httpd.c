/* SPDX-License-Identifier: Apache-2.0 */

/*
 * libmicrohttpd has its own epoll descriptor; the loop polls that and runs it,
 * on the loop's thread, whenever something is ready or its timer is due.
 */

#include "controlplane/httpd/httpd.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "common/log.h"

#define IDLE_TIMEOUT_S 30
/* What a turn of the loop writes of a stream, at most. */
#define PIECE 16384

struct httpd {
	struct httpd_options options;
	struct MHD_Daemon *daemon;
	uv_poll_t poll;
	uv_timer_t timer;
	int open_handles;
	bool stopping;
	LIST_HEAD(, httpd_waiting) waiting;
};

/* Lives until it was answered and libmicrohttpd is done with the request. */
struct httpd_waiting {
	struct httpd *httpd; /* NULL: it is gone */
	struct MHD_Connection *connection;
	struct httpd_response response;
	bool replied;
	bool completed;
	LIST_ENTRY(httpd_waiting) entry;
};

/* What libmicrohttpd hands through its iterators. */
struct query {
	void (*each)(void *context, const char *name, const char *value);
	void *context;
};

static enum MHD_Result on_query(void *query_, enum MHD_ValueKind kind, const char *name,
				const char *value)
{
	const struct query *query = query_;

	(void)kind;
	query->each(query->context, name, value ? value : "");
	return MHD_YES;
}

void httpd_each_query(const struct httpd_request *request,
		      void (*each)(void *context, const char *name, const char *value),
		      void *context)
{
	struct query query = { .each = each, .context = context };

	MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, on_query, &query);
}

void httpd_header(struct httpd_response *response, const char *name, const char *format, ...)
{
	struct httpd_header *header = &response->headers[response->n_headers++];
	va_list args;

	assert(response->n_headers <= HTTPD_HEADERS_MAX);
	header->name = name;
	va_start(args, format);
	vsnprintf(header->value, sizeof(header->value), format, args);
	va_end(args);
}

void httpd_not_found(struct httpd_response *response)
{
	response->status = MHD_HTTP_NOT_FOUND;
	response->body = strdup("404 page not found\n");
	httpd_header(response, "Content-Type", "text/plain; charset=utf-8");
	httpd_header(response, "X-Content-Type-Options", "nosniff");
}

static ssize_t on_more(void *stream_, uint64_t position, char *buffer, size_t size)
{
	struct httpd_stream *stream = stream_;
	ssize_t n = stream->more(stream, buffer, size);

	(void)position;
	if (n == 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	return n > 0 ? n : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void on_stream_end(void *stream_)
{
	struct httpd_stream *stream = stream_;

	stream->free(stream);
}

/* Gives up what nobody is going to get. */
static void drop(struct httpd_response *response)
{
	free(sl_take(response->body));
	if (response->stream)
		response->stream->free(response->stream);
	response->stream = NULL;
}

/* Takes the body or stream out of `from`. */
static enum MHD_Result respond(struct MHD_Connection *connection, const char *method,
			       struct httpd_response *from)
{
	struct MHD_Response *response = NULL;
	enum MHD_Result result;

	/* libmicrohttpd ends the chunks of a body that a HEAD has not. */
	if (from->stream && !strcmp(method, MHD_HTTP_METHOD_HEAD)) {
		drop(from);
		from->body = strdup("");
	}
	if (from->stream)
		response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE, on_more,
							     from->stream, on_stream_end);
	else if (from->body)
		response = MHD_create_response_from_buffer(strlen(from->body), from->body,
							   MHD_RESPMEM_MUST_FREE);
	if (!response) {
		drop(from);
		return MHD_NO;
	}
	from->body = NULL;
	from->stream = NULL;
	for (size_t i = 0; i < from->n_headers; i++)
		MHD_add_response_header(response, from->headers[i].name, from->headers[i].value);
	result = MHD_queue_response(connection, from->status, response);
	MHD_destroy_response(response);
	return result;
}

static bool announces_body(struct MHD_Connection *connection)
{
	const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
							 MHD_HTTP_HEADER_CONTENT_LENGTH);

	return (length && strcmp(length, "0")) ||
	       MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
					   MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

struct httpd_waiting *httpd_wait(const struct httpd_request *request)
{
	if (!announces_body(request->connection))
		*request->waiting = calloc(1, sizeof(**request->waiting));
	return *request->waiting;
}

/* Answers at once, or lets the client wait and notes that in `*state`. */
static enum MHD_Result answer(struct httpd *httpd, const struct httpd_request *request,
			      void **state)
{
	struct MHD_Connection *connection = request->connection;
	struct httpd_response response = {};
	struct httpd_waiting *waiting;

	httpd->options.answer(httpd->options.context, request, &response);
	waiting = *request->waiting;
	if (!waiting)
		return respond(connection, request->method, &response);
	waiting->httpd = httpd;
	waiting->connection = connection;
	LIST_INSERT_HEAD(&httpd->waiting, waiting, entry);
	*state = waiting;
	MHD_suspend_connection(connection);
	return MHD_YES;
}

/* `*state` is NULL with a request's header, then the httpd or who waits. */
static enum MHD_Result on_request(void *httpd_, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **state)
{
	const struct httpd *httpd = httpd_;
	struct httpd_waiting *waiting = NULL;
	const struct httpd_request request = {
		.method = method,
		.path = url,
		.connection = connection,
		.waiting = &waiting,
	};

	(void)version;
	(void)upload;
	/* An answer with the headers ends the connection, which a body is not worth. */
	if (!*state && !announces_body(connection)) {
		*state = httpd_;
		return MHD_YES; /* the answer comes with the next call */
	}
	*upload_size = 0;
	if (*state && *state != httpd_) {
		waiting = *state;
		return respond(connection, method, &waiting->response);
	}
	/* libmicrohttpd can't stop while somebody waits, and asks until then. */
	if (httpd->stopping)
		return MHD_NO;
	return answer(httpd_, &request, state);
}

static void free_if_done(struct httpd_waiting *waiting)
{
	if (!waiting->replied || !waiting->completed)
		return;
	drop(&waiting->response);
	free(waiting);
}

static void on_completed(void *httpd, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode why)
{
	struct httpd_waiting *waiting = *state;

	(void)connection;
	(void)why;
	*state = NULL;
	if (!waiting || (void *)waiting == httpd)
		return;
	waiting->completed = true;
	free_if_done(waiting);
}

static void on_log(void *httpd_, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

static void on_log(void *httpd_, const char *format, va_list args)
{
	const struct httpd *httpd = httpd_;
	char line[256];

	vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\n")] = 0;
	log_debug("%s: %s", httpd->options.name, line);
}

static void on_timer(uv_timer_t *timer);

static void run(struct httpd *httpd)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;

	MHD_run(httpd->daemon);
	if (MHD_get_timeout(httpd->daemon, &timeout_ms) == MHD_YES)
		uv_timer_start(&httpd->timer, on_timer, timeout_ms, 0);
	else
		uv_timer_stop(&httpd->timer);
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

void httpd_reply(struct httpd_waiting *waiting, const struct httpd_response *response)
{
	struct httpd *httpd = waiting->httpd;

	waiting->response = *response;
	waiting->replied = true;
	if (!httpd) {
		free_if_done(waiting);
		return;
	}
	LIST_REMOVE(waiting, entry);
	MHD_resume_connection(waiting->connection);
	run(httpd);
}

/* Those who still wait are hung up on: libmicrohttpd can't stop before. */
static void dismiss(struct httpd *httpd)
{
	struct httpd_waiting *waiting;

	if (LIST_EMPTY(&httpd->waiting))
		return;
	while ((waiting = LIST_FIRST(&httpd->waiting))) {
		LIST_REMOVE(waiting, entry);
		waiting->httpd = NULL;
		MHD_resume_connection(waiting->connection);
	}
	MHD_run(httpd->daemon);
}

static void on_close(uv_handle_t *handle)
{
	struct httpd *httpd = handle->data;

	if (!--httpd->open_handles)
		free(httpd);
}

void httpd_free(struct httpd *httpd)
{
	if (!httpd)
		return;
	httpd->stopping = true;
	dismiss(httpd);
	uv_poll_stop(&httpd->poll);
	uv_close((uv_handle_t *)&httpd->poll, on_close);
	uv_close((uv_handle_t *)&httpd->timer, on_close);
	MHD_stop_daemon(httpd->daemon);
}

/* Whether libmicrohttpd closes the socket when it can't start depends on what failed. */
static void close_unless_closed(int fd, const struct stat *was)
{
	struct stat now;

	if (!fstat(fd, &now) && now.st_dev == was->st_dev && now.st_ino == was->st_ino)
		close(fd);
}

int httpd_new(const struct httpd_options *options, struct httpd **ret)
{
	sl_auto_mem struct httpd *httpd = calloc(1, sizeof(*httpd));
	const union MHD_DaemonInfo *info;
	struct stat socket;
	int r;

	if (!httpd || fstat(options->fd, &socket)) {
		close(options->fd);
		return -ENOMEM;
	}
	httpd->options = *options;
	/* From here on the socket is libmicrohttpd's. */
	httpd->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_ERROR_LOG | (options->waits ? MHD_ALLOW_SUSPEND_RESUME : 0),
		0, NULL, NULL, on_request, httpd, MHD_OPTION_EXTERNAL_LOGGER, on_log, httpd,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, httpd, MHD_OPTION_LISTEN_SOCKET,
		options->fd, MHD_OPTION_CONNECTION_LIMIT, options->clients_max,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_TIMEOUT_S, MHD_OPTION_END);
	if (!httpd->daemon) {
		close_unless_closed(options->fd, &socket);
		return -EIO;
	}
	info = MHD_get_daemon_info(httpd->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	r = info ? uv_poll_init(options->loop, &httpd->poll, info->epoll_fd) : UV_ENOTSUP;
	if (r) {
		MHD_stop_daemon(httpd->daemon);
		return r;
	}
	uv_timer_init(options->loop, &httpd->timer);
	httpd->poll.data = httpd->timer.data = httpd;
	httpd->open_handles = 2;
	uv_poll_start(&httpd->poll, UV_READABLE, on_ready);
	*ret = sl_take(httpd);
	return 0;
}
