/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/observe/route.h"
#include "controlplane/observe/view_private.h"

/* Each returns 0 and a document, or -errno with a line in `error`. */
typedef int handler(const struct control_options *options, const struct route_request *request,
		    json_t **ret, char error[VIEW_ERROR_MAX]);

static int get_status(const struct control_options *options, const struct route_request *request,
		      json_t **ret, char error[VIEW_ERROR_MAX])
{
	json_t *fields = options->status(options->context);
	json_t *status = document_new("Status");

	(void)request;
	if (!fields || !status || json_object_update_missing(status, fields)) {
		json_decref(fields);
		json_decref(status);
		return view_fail(error, -ENOMEM, "status: can't be made");
	}
	json_decref(fields);
	*ret = status;
	return 0;
}

static int get_attach(const struct control_options *options, const struct route_request *request,
		      json_t **ret, char error[VIEW_ERROR_MAX])
{
	json_t *items = options->attach(options->context);
	json_t *list = items ? document_list("AttachList", items) : NULL;

	(void)request;
	if (!list)
		return view_fail(error, -ENOMEM, "attach: can't be made");
	*ret = list;
	return 0;
}

static int get_services(const struct control_options *options, const struct route_request *request,
			json_t **ret, char error[VIEW_ERROR_MAX])
{
	(void)request;
	return view_services(options->view, ret, error);
}

static int get_backends(const struct control_options *options, const struct route_request *request,
			json_t **ret, char error[VIEW_ERROR_MAX])
{
	(void)request;
	return view_backends(options->view, ret, error);
}

static int get_maps(const struct control_options *options, const struct route_request *request,
		    json_t **ret, char error[VIEW_ERROR_MAX])
{
	(void)request;
	return view_maps(options->view, ret, error);
}

static int get_flows(const struct control_options *options, const struct route_request *request,
		     json_t **ret, char error[VIEW_ERROR_MAX])
{
	const char *limit = request->query[ROUTE_limit];
	struct view_flow_filter filter = {
		.client = request->query[ROUTE_client],
		.service = request->query[ROUTE_service],
		.backend = request->query[ROUTE_backend],
		.limit = VIEW_FLOWS_DEFAULT,
	};

	if (limit) {
		char *end;

		errno = 0;
		filter.limit = strtoul(limit, &end, 10);
		if (errno || *limit < '0' || *limit > '9' || *end)
			return view_fail(error, -EINVAL, "limit: \"%s\" is not a number", limit);
	}
	return view_flows(options->view, &filter, ret, error);
}

static int get_service(const struct control_options *options, const struct route_request *request,
		       json_t **ret, char error[VIEW_ERROR_MAX])
{
	const char *name = request->path + strlen("/v1/services/");
	const char *slash = strchr(name, '/');
	char namespace_[64];

	if (!slash || slash == name || !slash[1] || strchr(slash + 1, '/'))
		return view_fail(error, -ENOENT, "no such path: %s", request->path);
	if ((size_t)(slash - name) >= sizeof(namespace_))
		return view_fail(error, -ENOENT, "service %s is not programmed", name);
	memcpy(namespace_, name, (size_t)(slash - name));
	namespace_[slash - name] = 0;
	return view_service(options->view, namespace_, slash + 1, ret, error);
}

static int get_explain(const struct control_options *options, const struct route_request *request,
		       json_t **ret, char error[VIEW_ERROR_MAX])
{
	const char *local = request->query[ROUTE_local];
	const struct explain_query query = {
		.from = request->query[ROUTE_from],
		.to = request->query[ROUTE_to],
		.iface = request->query[ROUTE_iface],
		.local = local && !strcmp(local, "1"),
	};

	if (local && strcmp(local, "0") && strcmp(local, "1"))
		return view_fail(error, -EINVAL, "local: \"%s\" is not 0 or 1", local);
	return options->explain(options->context, &query, ret, error);
}

#define QUERY(name)	(1U << ROUTE_##name)
#define FLOW_QUERIES	(QUERY(client) | QUERY(service) | QUERY(backend) | QUERY(limit))
#define EXPLAIN_QUERIES (QUERY(from) | QUERY(to) | QUERY(iface) | QUERY(local))

/* A path that ends in a slash stands for everything below. */
static const struct {
	const char *path;
	handler *get;
	unsigned int queries; /* 1 << enum route_query */
} routes[] = {
	{ "/v1/status", get_status, 0 },
	{ "/v1/services", get_services, 0 },
	{ "/v1/services/", get_service, 0 },
	{ "/v1/backends", get_backends, 0 },
	{ "/v1/flows", get_flows, FLOW_QUERIES },
	{ "/v1/attach", get_attach, 0 },
	{ "/v1/maps", get_maps, 0 },
	{ "/v1/explain", get_explain, EXPLAIN_QUERIES },
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

static unsigned int fail(unsigned int status, const char *message, json_t **ret)
{
	*ret = document_new("Error");
	if (*ret && document_set(*ret, "message", json_string(message))) {
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

unsigned int route(const struct control_options *options, const struct route_request *request,
		   json_t **ret)
{
	char error[VIEW_ERROR_MAX] = "";
	const char *stray;
	int r;

	for (size_t i = 0; i < SL_COUNT(routes); i++) {
		size_t len = strlen(routes[i].path);
		bool below = routes[i].path[len - 1] == '/';

		if (below ? strncmp(request->path, routes[i].path, len)
			  : strcmp(request->path, routes[i].path))
			continue;
		if (!request->get)
			return fail(MHD_HTTP_METHOD_NOT_ALLOWED, "only GET is answered", ret);
		stray = stray_query(request, routes[i].queries);
		if (stray) {
			snprintf(error, sizeof(error), "query: \"%.100s\" is not known here",
				 stray);
			return fail(MHD_HTTP_BAD_REQUEST, error, ret);
		}
		r = routes[i].get(options, request, ret, error);
		return r ? fail(status_of(r), error, ret) : MHD_HTTP_OK;
	}
	snprintf(error, sizeof(error), "no such path: %.400s", request->path);
	return fail(MHD_HTTP_NOT_FOUND, error, ret);
}
