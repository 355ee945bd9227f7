/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/observe/view_private.h"

void snapshot_free(struct snapshot *snapshot)
{
	if (!snapshot)
		return;
	free(snapshot->words);
	free(snapshot->identities);
	free(snapshot->backends);
	free(snapshot->service_wanted);
	free(snapshot->backend_wanted);
	free(snapshot->service_ids);
	free(snapshot->backend_ids);
	free(snapshot->frontends);
	free(snapshot);
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int compare_services(const void *a_, const void *b_, void *snapshot_)
{
	const struct snapshot *snapshot = snapshot_;
	uint32_t a_id = *(const uint32_t *)a_, b_id = *(const uint32_t *)b_;
	const struct sl_identity *a = &snapshot->identities[a_id];
	const struct sl_identity *b = &snapshot->identities[b_id];
	int r = strcmp(a->namespace_, b->namespace_);

	if (!r)
		r = strcmp(a->service, b->service);
	if (!r)
		r = strcmp(a->port, b->port);
	if (!r)
		r = a->proto - b->proto;
	if (!r)
		r = a->family - b->family;
	return r ? r : compare_numbers(a_id, b_id);
}

static int compare_backends(const void *a_, const void *b_, void *snapshot_)
{
	const struct snapshot *snapshot = snapshot_;
	uint32_t a = *(const uint32_t *)a_, b = *(const uint32_t *)b_;
	int r = compare_numbers(snapshot->backends[a].service, snapshot->backends[b].service);

	return r ? r : compare_numbers(a, b);
}

static int compare_frontends(const void *a_, const void *b_)
{
	const struct frontend *a = a_, *b = b_;
	int r = compare_numbers(a->service, b->service);

	if (!r)
		r = a->kind - b->kind;
	if (!r)
		r = memcmp(&a->addr, &b->addr, sizeof(a->addr));
	return r ? r : memcmp(&a->port, &b->port, sizeof(a->port));
}

static int load_services(struct snapshot *s, const struct view *view,
			 const struct snapshot_filter *filter, char error[VIEW_ERROR_MAX])
{
	struct table words, identities;
	void *memory;
	int r = view_table(view, DATAPATH_services, 4, sizeof(uint64_t), &words, error);

	if (!r)
		r = view_table(view, DATAPATH_identities, 4, sizeof(struct sl_identity),
			       &identities, error);
	if (!r && identities.max_entries < words.max_entries)
		r = view_fail(error, -EPROTO, "map identities: smaller than services");
	if (!r && !(r = view_array_all(&words, &memory, error)))
		s->words = memory;
	if (!r && !(r = view_array_all(&identities, &memory, error)))
		s->identities = memory;
	if (r)
		return r;
	s->n_services = words.max_entries;
	s->service_wanted = calloc(s->n_services, sizeof(*s->service_wanted));
	s->service_ids = calloc(s->n_services, sizeof(*s->service_ids));
	if (!s->service_wanted || !s->service_ids)
		return view_no_memory(error);
	for (uint32_t id = 0; id < s->n_services; id++) {
		struct sl_identity *identity = &s->identities[id];

		identity->namespace_[sizeof(identity->namespace_) - 1] = 0;
		identity->service[sizeof(identity->service) - 1] = 0;
		identity->port[sizeof(identity->port) - 1] = 0;
		if (!id || !SL_SERVICE_RECORD(s->words[id]) || !identity->family)
			continue;
		if (filter->namespace_ && strcmp(filter->namespace_, identity->namespace_))
			continue;
		if (filter->name && strcmp(filter->name, identity->service))
			continue;
		s->service_wanted[id] = true;
		s->service_ids[s->n_service_ids++] = id;
	}
	qsort_r(s->service_ids, s->n_service_ids, sizeof(*s->service_ids), compare_services, s);
	return 0;
}

static int load_backends(struct snapshot *s, const struct view *view, bool filtered,
			 char error[VIEW_ERROR_MAX])
{
	struct table table;
	void *memory;
	int r = view_table(view, DATAPATH_backends, 4, sizeof(struct sl_backend), &table, error);

	if (!r)
		r = view_array_all(&table, &memory, error);
	if (r)
		return r;
	s->backends = memory;
	s->n_backends = table.max_entries;
	s->backend_wanted = calloc(s->n_backends, sizeof(*s->backend_wanted));
	s->backend_ids = calloc(s->n_backends, sizeof(*s->backend_ids));
	if (!s->backend_wanted || !s->backend_ids)
		return view_no_memory(error);
	for (uint32_t id = 1; id < s->n_backends; id++) {
		const struct sl_backend *backend = &s->backends[id];

		if (SL_BACKEND_STATE(backend->word) == SL_BACKEND_FREE)
			continue;
		if (filtered &&
		    (backend->service >= s->n_services || !s->service_wanted[backend->service]))
			continue;
		s->backend_wanted[id] = true;
		s->backend_ids[s->n_backend_ids++] = id;
	}
	qsort_r(s->backend_ids, s->n_backend_ids, sizeof(*s->backend_ids), compare_backends, s);
	return 0;
}

static int add_frontend(struct snapshot *s, uint64_t value, const struct frontend *frontend)
{
	uint32_t service = SL_FRONTEND_SERVICE(value);
	uint8_t kind = SL_FRONTEND_KIND(value);

	if (kind < SL_KIND_CLUSTER_IP || kind > SL_KIND_EXTERNAL_IP)
		return 0; /* what an address is, and no service */
	if (service >= s->n_services || !s->service_wanted[service])
		return 0;
	if (s->n_frontends == s->frontends_size) {
		size_t size = s->frontends_size ? 2 * s->frontends_size : 64;
		void *memory = realloc(s->frontends, size * sizeof(*s->frontends));

		if (!memory)
			return -ENOMEM;
		s->frontends = memory;
		s->frontends_size = size;
	}
	s->frontends[s->n_frontends] = *frontend;
	s->frontends[s->n_frontends].service = service;
	s->frontends[s->n_frontends++].kind = kind;
	return 0;
}

static int add_frontend4(void *snapshot, const void *key_, const void *value)
{
	const struct sl_frontend4 *key = key_;
	struct frontend frontend = { .family = 4, .port = key->port };

	frontend.addr.w[0] = key->addr[0];
	return add_frontend(snapshot, *(const uint64_t *)value, &frontend);
}

static int add_frontend6(void *snapshot, const void *key_, const void *value)
{
	const struct sl_frontend6 *key = key_;
	struct frontend frontend = { .family = 6, .port = key->port };

	memcpy(&frontend.addr, key->addr, sizeof(frontend.addr));
	return add_frontend(snapshot, *(const uint64_t *)value, &frontend);
}

static int load_frontends(struct snapshot *s, const struct view *view, char error[VIEW_ERROR_MAX])
{
	struct table table4, table6;
	int r = view_table(view, DATAPATH_frontends4, sizeof(struct sl_frontend4), sizeof(uint64_t),
			   &table4, error);

	if (!r)
		r = view_table(view, DATAPATH_frontends6, sizeof(struct sl_frontend6),
			       sizeof(uint64_t), &table6, error);
	if (r)
		return r;
	error[0] = 0;
	r = view_each(&table4, add_frontend4, s, error);
	if (!r)
		r = view_each(&table6, add_frontend6, s, error);
	if (r)
		return error[0] ? r : view_no_memory(error);
	if (s->n_frontends)
		qsort(s->frontends, s->n_frontends, sizeof(*s->frontends), compare_frontends);
	return 0;
}

int snapshot_new(const struct view *view, const struct snapshot_filter *filter, unsigned int flags,
		 struct snapshot **ret, char error[VIEW_ERROR_MAX])
{
	static const struct snapshot_filter everything;
	sl_auto(snapshot) s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return view_no_memory(error);
	r = load_services(s, view, filter ? filter : &everything, error);
	if (!r && flags & SNAPSHOT_BACKENDS)
		r = load_backends(s, view, filter != NULL, error);
	if (!r && flags & SNAPSHOT_FRONTENDS)
		r = load_frontends(s, view, error);
	if (!r)
		*ret = sl_take(s);
	return r;
}

const uint32_t *snapshot_backends(const struct snapshot *s, uint32_t service, size_t *n)
{
	size_t low = 0, high = s->n_backend_ids, end;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (s->backends[s->backend_ids[middle]].service < service)
			low = middle + 1;
		else
			high = middle;
	}
	for (end = low; end < s->n_backend_ids; end++)
		if (s->backends[s->backend_ids[end]].service != service)
			break;
	*n = end - low;
	return s->backend_ids + low;
}

const struct frontend *snapshot_frontends(const struct snapshot *s, uint32_t service, size_t *n)
{
	size_t low = 0, high = s->n_frontends, end;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (s->frontends[middle].service < service)
			low = middle + 1;
		else
			high = middle;
	}
	for (end = low; end < s->n_frontends && s->frontends[end].service == service; end++)
		;
	*n = end - low;
	return s->frontends ? s->frontends + low : NULL;
}
