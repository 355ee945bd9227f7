/* SPDX-License-Identifier: Apache-2.0 */

/* ServiceList and BackendList, whole or item by item. */

#include <errno.h>
#include <string.h>

#include "controlplane/observe/view_private.h"

struct view_list {
	const struct view *view;
	bool services; /* else backends */
	struct sources sources;
	size_t at; /* in service_ids or backend_ids of the snapshot */
};

static int make(const struct view *view, bool services, struct view_list **ret,
		char error[VIEW_ERROR_MAX])
{
	sl_auto(view_list) list = calloc(1, sizeof(*list));
	unsigned int flags = SNAPSHOT_BACKENDS | (services ? SNAPSHOT_FRONTENDS : 0);
	int r;

	if (!list)
		return view_no_memory(error);
	list->view = view;
	list->services = services;
	r = sources_load(&list->sources, view, NULL, flags, error);
	if (!r)
		*ret = sl_take(list);
	return r;
}

int view_list_services(const struct view *view, struct view_list **ret, char error[512])
{
	return make(view, true, ret, error);
}

int view_list_backends(const struct view *view, struct view_list **ret, char error[512])
{
	return make(view, false, ret, error);
}

void view_list_free(struct view_list *list)
{
	if (!list)
		return;
	sources_done(&list->sources);
	free(list);
}

const char *view_list_kind(const struct view_list *list)
{
	return list->services ? "ServiceList" : "BackendList";
}

static int next_service(struct view_list *list, json_t **ret)
{
	const struct snapshot *snapshot = list->sources.snapshot;

	while (list->at < snapshot->n_service_ids) {
		json_t *service = json_object();

		if (!service || sources_add_ports(&list->sources, list->view, &list->at, service)) {
			json_decref(service);
			return -ENOMEM;
		}
		if (json_array_size(json_object_get(service, "ports"))) {
			*ret = service;
			return 0;
		}
		json_decref(service); /* removed while we read */
	}
	return 0;
}

int view_list_next(struct view_list *list, json_t **ret)
{
	const struct sources *s = &list->sources;
	uint32_t id;

	*ret = NULL;
	if (list->services)
		return next_service(list, ret);
	if (list->at == s->snapshot->n_backend_ids)
		return 0;
	id = s->snapshot->backend_ids[list->at++];
	*ret = document_backend(s->snapshot, id, &s->backends[id]);
	return *ret ? 0 : -ENOMEM;
}

bool view_list_has(const struct view_list *list, const char *namespace_, const char *name)
{
	const struct snapshot *snapshot = list->sources.snapshot;
	size_t low = 0, high = snapshot->n_service_ids;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct sl_identity *identity =
			&snapshot->identities[snapshot->service_ids[middle]];
		int order =
			strcmp(identity->namespace_, namespace_) ?: strcmp(identity->service, name);

		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static int collect(struct view_list *list, json_t **ret, char error[VIEW_ERROR_MAX])
{
	json_t *items = json_array(), *item, *document;
	int r;

	while (!(r = view_list_next(list, &item)) && item) {
		if (json_array_append_new(items, item)) {
			r = -ENOMEM;
			break;
		}
	}
	if (r) {
		json_decref(items);
		return view_no_memory(error);
	}
	document = document_list(view_list_kind(list), items);
	if (!document)
		return view_no_memory(error);
	*ret = document;
	return 0;
}

int view_services(const struct view *view, json_t **ret, char error[512])
{
	sl_auto(view_list) list = NULL;
	int r = view_list_services(view, &list, error);

	return r ? r : collect(list, ret, error);
}

int view_backends(const struct view *view, json_t **ret, char error[512])
{
	sl_auto(view_list) list = NULL;
	int r = view_list_backends(view, &list, error);

	return r ? r : collect(list, ret, error);
}
