/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/observe/route.h"
#include "controlplane/observe/view_private.h"

/*
 * What is to be answered, in two steps: the maps are read on a thread of its
 * own, since they may be large; what only the daemon knows is asked for on the
 * loop's. Either may be missing. They return 0, or -errno with `error` filled.
 */
struct route_job {
	const struct route *route;
	const struct view *view;
	struct route_request request; /* copies */
	json_t *document;
	struct view_list *list;
	char *body; /* of the document, if that was complete already */
	int r;
	char error[VIEW_ERROR_MAX];
};

struct route {
	const char *path;
	int (*read)(struct route_job *job, char error[VIEW_ERROR_MAX]);
	int (*finish)(struct route_job *job, const struct control_options *options,
		      char error[VIEW_ERROR_MAX]);
	unsigned int queries; /* 1 << enum route_query */
	bool list;
};

static int read_losses(struct route_job *job, char error[VIEW_ERROR_MAX])
{
	/* A status without them is better than none. */
	if (view_losses(job->view, &job->document, error))
		job->document = json_array();
	return 0;
}

static int finish_status(struct route_job *job, const struct control_options *options,
			 char error[VIEW_ERROR_MAX])
{
	json_t *losses = sl_take(job->document);
	json_t *fields = options->status(options->context);
	json_t *status = document_new("Status");

	if (fields)
		json_object_set(fields, "losses", losses);
	json_decref(losses);
	if (!fields || !status || json_object_update_missing(status, fields)) {
		json_decref(fields);
		json_decref(status);
		return view_fail(error, -ENOMEM, "status: can't be made");
	}
	json_decref(fields);
	job->document = status;
	return 0;
}

static int finish_attach(struct route_job *job, const struct control_options *options,
			 char error[VIEW_ERROR_MAX])
{
	json_t *items = options->attach(options->context);

	job->document = items ? document_list("AttachList", items) : NULL;
	return job->document ? 0 : view_fail(error, -ENOMEM, "attach: can't be made");
}

static int read_services(struct route_job *job, char error[VIEW_ERROR_MAX])
{
	return view_list_services(job->view, &job->list, error);
}

static int read_backends(struct route_job *job, char error[VIEW_ERROR_MAX])
{
	return view_list_backends(job->view, &job->list, error);
}

static int read_maps(struct route_job *job, char error[VIEW_ERROR_MAX])
{
	return view_maps(job->view, &job->document, error);
}

/* What the daemon counts itself: other than by reading it also Maglev slots. */
static int finish_maps(struct route_job *job, const struct control_options *options,
		       char error[VIEW_ERROR_MAX])
{
	json_t *fills, *fill, *item;
	size_t i, k;

	(void)error;
	if (job->r)
		return job->r;
	fills = options->fill(options->context);
	json_array_foreach (fills, k, fill) {
		const char *name = json_string_value(json_object_get(fill, "name"));

		json_array_foreach (json_object_get(job->document, "items"), i, item) {
			if (strcmp(name, json_string_value(json_object_get(item, "name"))))
				continue;
			if (json_is_null(json_object_get(item, "entries")))
				json_object_set(item, "entries", json_object_get(fill, "entries"));
			json_object_set(item, "nearlyFull", json_object_get(fill, "nearlyFull"));
		}
	}
	json_decref(fills);
	return 0;
}

static int read_flows(struct route_job *job, char error[VIEW_ERROR_MAX])
{
	const char *limit = job->request.query[ROUTE_limit];
	struct view_flow_filter filter = {
		.client = job->request.query[ROUTE_client],
		.service = job->request.query[ROUTE_service],
		.backend = job->request.query[ROUTE_backend],
		.limit = VIEW_FLOWS_DEFAULT,
	};

	if (limit) {
		char *end;

		errno = 0;
		filter.limit = strtoul(limit, &end, 10);
		if (errno || *limit < '0' || *limit > '9' || *end)
			return view_fail(error, -EINVAL, "limit: \"%s\" is not a number", limit);
	}
	return view_flows(job->view, &filter, &job->document, error);
}

/* The two parts of "NAMESPACE/NAME" behind the route's path. */
static int split_name(const struct route_job *job, char namespace_[64], const char **ret_name,
		      char error[VIEW_ERROR_MAX])
{
	const char *name = job->request.path + strlen(job->route->path);
	const char *slash = strchr(name, '/');

	if (!slash || slash == name || !slash[1] || strchr(slash + 1, '/'))
		return view_fail(error, -ENOENT, "no such path: %s", job->request.path);
	if (slash - name >= 64)
		return view_fail(error, -ENOENT, "service %s is not programmed", name);
	memcpy(namespace_, name, (size_t)(slash - name));
	namespace_[slash - name] = 0;
	*ret_name = slash + 1;
	return 0;
}

static int read_service(struct route_job *job, char error[VIEW_ERROR_MAX])
{
	char namespace_[64];
	const char *name;
	int r = split_name(job, namespace_, &name, error);

	return r ? r : view_service(job->view, namespace_, name, &job->document, error);
}

/* One that is not in the tables may be known all the same, and why it is not. */
static int finish_service(struct route_job *job, const struct control_options *options,
			  char error[VIEW_ERROR_MAX])
{
	char namespace_[64], unused[VIEW_ERROR_MAX];
	const char *name;
	json_t *truth;

	if ((job->r && job->r != -ENOENT) || split_name(job, namespace_, &name, unused))
		return job->r;
	truth = options->truth(options->context, namespace_, name);
	if (!truth)
		return job->r;
	if (!job->document)
		job->document = document_new("Service");
	if (!job->document || json_object_update_missing(job->document, truth)) {
		json_decref(truth);
		return view_no_memory(error);
	}
	json_decref(truth);
	return 0;
}

static int finish_explain(struct route_job *job, const struct control_options *options,
			  char error[VIEW_ERROR_MAX])
{
	const char *local = job->request.query[ROUTE_local];
	const struct explain_query query = {
		.from = job->request.query[ROUTE_from],
		.to = job->request.query[ROUTE_to],
		.iface = job->request.query[ROUTE_iface],
		.local = local && !strcmp(local, "1"),
	};

	if (local && strcmp(local, "0") && strcmp(local, "1"))
		return view_fail(error, -EINVAL, "local: \"%s\" is not 0 or 1", local);
	return options->explain(options->context, &query, &job->document, error);
}

#define QUERY(name)	(1U << ROUTE_##name)
#define FLOW_QUERIES	(QUERY(client) | QUERY(service) | QUERY(backend) | QUERY(limit))
#define EXPLAIN_QUERIES (QUERY(from) | QUERY(to) | QUERY(iface) | QUERY(local))

/* A path that ends in a slash stands for everything below. */
static const struct route routes[] = {
	{ "/v1/status", read_losses, finish_status, 0, false },
	{ "/v1/services", read_services, NULL, 0, true },
	{ "/v1/services/", read_service, finish_service, 0, false },
	{ "/v1/backends", read_backends, NULL, 0, true },
	{ "/v1/flows", read_flows, NULL, FLOW_QUERIES, false },
	{ "/v1/attach", NULL, finish_attach, 0, false },
	{ "/v1/maps", read_maps, finish_maps, 0, false },
	{ "/v1/explain", NULL, finish_explain, EXPLAIN_QUERIES, false },
};

static unsigned int status_of(int r)
{
	switch (r) {
	case 0:
		return MHD_HTTP_OK;
	case -EINVAL:
		return MHD_HTTP_BAD_REQUEST;
	case -ENOENT:
		return MHD_HTTP_NOT_FOUND;
	default:
		return MHD_HTTP_INTERNAL_SERVER_ERROR;
	}
}

static const char *in_ascii(const char *text, char ret[VIEW_ERROR_MAX])
{
	size_t i;

	for (i = 0; text[i] && i < VIEW_ERROR_MAX - 1; i++)
		ret[i] = text[i];
	ret[i] = 0;
	while (i-- > 0) {
		if ((unsigned char)ret[i] > 0x7e)
			ret[i] = '?';
	}
	return ret;
}

unsigned int route_fail(unsigned int status, const char *message, json_t **ret)
{
	json_t *text = json_string(message);

	/* It may quote what is no text to JSON. */
	if (!text)
		text = json_sprintf("not UTF-8: %s",
				    in_ascii(message, (char[VIEW_ERROR_MAX]) { 0 }));
	*ret = document_new("Error");
	if (*ret && document_set(*ret, "message", text)) {
		json_decref(*ret);
		*ret = NULL;
	}
	return status;
}

static const char *const query_names[] = {
#define X(name) #name,
	ROUTE_QUERIES(X)
#undef X
};

int route_query_parse(const char *name)
{
	for (int i = 0; i < ROUTE_QUERY_MAX; i++)
		if (!strcmp(name, query_names[i]))
			return i;
	return -1;
}

/* The name of a query that this route has no use for, or NULL. */
static const char *stray_query(const struct route_request *request, unsigned int known)
{
	for (int i = 0; i < ROUTE_QUERY_MAX; i++)
		if (request->query[i] && !(known & 1U << i))
			return query_names[i];
	return request->unknown;
}

static void request_done(struct route_request *request)
{
	free((void *)request->path);
	for (int i = 0; i < ROUTE_QUERY_MAX; i++)
		free((void *)request->query[i]);
}

/* The client's own strings go with the client. */
static int request_copy(const struct route_request *from, struct route_request *ret)
{
	*ret = (struct route_request) { .path = strdup(from->path) };
	if (!ret->path)
		return -ENOMEM;
	for (int i = 0; i < ROUTE_QUERY_MAX; i++) {
		if (!from->query[i])
			continue;
		ret->query[i] = strdup(from->query[i]);
		if (!ret->query[i])
			return -ENOMEM;
	}
	return 0;
}

static unsigned int start(const struct control_options *options, const struct route *found,
			  const struct route_request *request, struct route_job **ret_job,
			  json_t **ret)
{
	sl_auto(route_job) job = calloc(1, sizeof(*job));

	if (!job || request_copy(request, &job->request))
		return route_fail(MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory", ret);
	job->route = found;
	job->view = options->view;
	*ret_job = sl_take(job);
	return 0;
}

unsigned int route(const struct control_options *options, const struct route_request *request,
		   struct route_job **ret_job, json_t **ret)
{
	char error[VIEW_ERROR_MAX] = "";
	const char *stray;

	for (size_t i = 0; i < SL_COUNT(routes); i++) {
		size_t len = strlen(routes[i].path);
		bool below = routes[i].path[len - 1] == '/';

		if (below ? strncmp(request->path, routes[i].path, len)
			  : strcmp(request->path, routes[i].path))
			continue;
		if (!request->get)
			return route_fail(MHD_HTTP_METHOD_NOT_ALLOWED, "only GET is answered", ret);
		stray = stray_query(request, routes[i].queries);
		if (stray) {
			snprintf(error, sizeof(error), "query: \"%.100s\" is not known here",
				 stray);
			return route_fail(MHD_HTTP_BAD_REQUEST, error, ret);
		}
		return start(options, &routes[i], request, ret_job, ret);
	}
	snprintf(error, sizeof(error), "no such path: %.400s", request->path);
	return route_fail(MHD_HTTP_NOT_FOUND, error, ret);
}

bool route_is_list(const struct route_job *job)
{
	return job->route->list;
}

void route_read(struct route_job *job)
{
	if (job->route->read)
		job->r = job->route->read(job, job->error);
	if (!job->r && !job->route->finish && job->document)
		job->body = json_dumps(job->document, JSON_COMPACT);
}

unsigned int route_finish(struct route_job *job, const struct control_options *options,
			  struct route_answer *ret)
{
	json_t *document = NULL;

	if (job->route->finish)
		job->r = job->route->finish(job, options, job->error);
	if (job->r) {
		unsigned int status = route_fail(status_of(job->r), job->error, &document);

		ret->body = document ? json_dumps(document, JSON_COMPACT) : NULL;
		json_decref(document);
		return status;
	}
	ret->list = sl_take(job->list);
	ret->body = sl_take(job->body);
	if (!ret->body && job->document)
		ret->body = json_dumps(job->document, JSON_COMPACT);
	return MHD_HTTP_OK;
}

void route_job_free(struct route_job *job)
{
	if (!job)
		return;
	request_done(&job->request);
	json_decref(job->document);
	view_list_free(job->list);
	free(job->body);
	free(job);
}
