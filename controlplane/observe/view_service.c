/* SPDX-License-Identifier: Apache-2.0 */

/* Services and backends with their counters: everything but flows. */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "common/ip.h"
#include "controlplane/observe/view_private.h"

void sources_done(struct sources *s)
{
	snapshot_free(s->snapshot);
	free(s->services);
	free(s->backends);
	free(s->policies);
}

static int load_service_stats(const struct view *view, const bool *wanted, uint32_t n,
			      struct sl_service_stats **ret, char error[VIEW_ERROR_MAX])
{
	struct table table;
	uint64_t *sums;
	int r = view_table(view, DATAPATH_stats_services, 4, sizeof(struct sl_service_stats),
			   &table, error);

	if (!r)
		r = view_sums(&table, wanted, n, &sums, error);
	if (!r)
		*ret = (struct sl_service_stats *)(void *)sums;
	return r;
}

static int load_backend_stats(const struct view *view, const struct snapshot *snapshot,
			      struct sl_backend_stats **ret, char error[VIEW_ERROR_MAX])
{
	struct table table;
	uint64_t *sums;
	int r = view_table(view, DATAPATH_stats_backends, 4, sizeof(struct sl_backend_stats),
			   &table, error);

	if (!r)
		r = view_sums(&table, snapshot->backend_wanted, snapshot->n_backends, &sums, error);
	if (!r)
		*ret = (struct sl_backend_stats *)(void *)sums;
	return r;
}

static int add_policy(void *sources, const void *key, const void *value)
{
	struct sources *s = sources;

	(void)value;
	if (s->n_policies == s->policies_size) {
		size_t size = s->policies_size ? 2 * s->policies_size : 64;
		void *memory = realloc(s->policies, size * sizeof(*s->policies));

		if (!memory)
			return -ENOMEM;
		s->policies = memory;
		s->policies_size = size;
	}
	/* Both keys have it behind the length of the prefix. */
	s->policies[s->n_policies++] = ((const struct sl_policy4 *)key)->policy;
	return 0;
}

static int compare_policies(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int load_policies(struct sources *s, const struct view *view, char error[VIEW_ERROR_MAX])
{
	struct table table4, table6;
	int r = view_table(view, DATAPATH_policy4, sizeof(struct sl_policy4), sizeof(uint32_t),
			   &table4, error);

	if (!r)
		r = view_table(view, DATAPATH_policy6, sizeof(struct sl_policy6), sizeof(uint32_t),
			       &table6, error);
	if (r)
		return r;
	error[0] = 0;
	r = view_each(&table4, add_policy, s, error);
	if (!r)
		r = view_each(&table6, add_policy, s, error);
	if (r)
		return error[0] ? r : view_no_memory(error);
	if (s->n_policies)
		qsort(s->policies, s->n_policies, sizeof(*s->policies), compare_policies);
	return 0;
}

static size_t count_ranges(const struct sources *s, uint32_t policy)
{
	size_t low = 0, high = s->n_policies, n = 0;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (s->policies[middle] < policy)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + n < s->n_policies && s->policies[low + n] == policy)
		n++;
	return n;
}

int sources_load(struct sources *s, const struct view *view, const struct snapshot_filter *filter,
		 unsigned int flags, char error[VIEW_ERROR_MAX])
{
	bool services = flags & SNAPSHOT_FRONTENDS;
	int r = snapshot_new(view, filter, flags, &s->snapshot, error);

	if (!r)
		r = load_backend_stats(view, s->snapshot, &s->backends, error);
	if (r || !services)
		return r;
	r = view_table(view, DATAPATH_records, 4, sizeof(struct sl_record), &s->records, error);
	if (!r)
		r = load_service_stats(view, s->snapshot->service_wanted, s->snapshot->n_services,
				       &s->services, error);
	if (!r)
		r = load_policies(s, view, error);
	return r;
}

/*
 * A record may be replaced, freed and reused between its word and it: then it
 * is another service's, and the daemon has stored a new word.
 */
static int read_record(const struct view *view, struct snapshot *snapshot, uint32_t id,
		       const struct table *records, struct sl_record *ret)
{
	for (int attempt = 0; attempt < 4; attempt++) {
		uint32_t index = SL_SERVICE_RECORD(snapshot->words[id]);

		if (!index)
			return -ENOENT;
		if (bpf_map_lookup_elem(records->fd, &index, ret))
			return -ENOENT;
		if (ret->service == id)
			return 0;
		if (bpf_map_lookup_elem(view->fd[DATAPATH_services], &id, &snapshot->words[id]))
			return -ENOENT;
	}
	return -ENOENT;
}

static const char *choice_name(uint8_t choice)
{
	static const char *const name[SL_CHOOSE_MAX] = {
		[SL_CHOOSE_CLUSTER] = "cluster",
		[SL_CHOOSE_LOCAL] = "local",
		[SL_CHOOSE_REJECT] = "reject",
		[SL_CHOOSE_DROP] = "drop",
	};

	return choice < SL_CHOOSE_MAX ? name[choice] : "unknown";
}

/* What becomes of TCP when its endpoint goes, as the annotation has it. */
static json_t *leave_document(const struct sl_record *record)
{
	switch (record->leave) {
	case SL_LEAVE_DRAIN:
		return json_sprintf("drain=%us", record->drain_s);
	case SL_LEAVE_RESET:
		return json_string("reset");
	default:
		return json_string("keep");
	}
}

static json_t *frontend_document(const struct frontend *frontend)
{
	static const char *const kind[] = {
		[SL_KIND_CLUSTER_IP] = "clusterIP",
		[SL_KIND_NODE_PORT] = "nodePort",
		[SL_KIND_LOAD_BALANCER] = "loadBalancer",
		[SL_KIND_EXTERNAL_IP] = "externalIP",
	};
	char address[IP_TEXT_MAX];

	if (frontend->kind == SL_KIND_NODE_PORT)
		snprintf(address, sizeof(address), "*:%u", ntohs(frontend->port));
	else
		ip_format_port(&frontend->addr, frontend->family, frontend->port, address);
	return json_pack("{s:s, s:s}", "kind", kind[frontend->kind], "address", address);
}

static json_t *frontends_document(const struct snapshot *snapshot, uint32_t id)
{
	size_t n;
	const struct frontend *frontends = snapshot_frontends(snapshot, id, &n);
	json_t *list = json_array();

	for (size_t i = 0; list && i < n; i++)
		if (json_array_append_new(list, frontend_document(&frontends[i]))) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *backends_document(const struct sources *s, uint32_t id)
{
	size_t n;
	const uint32_t *ids = snapshot_backends(s->snapshot, id, &n);
	json_t *list = json_array();

	for (size_t i = 0; list && i < n; i++)
		if (json_array_append_new(
			    list, document_backend(s->snapshot, ids[i], &s->backends[ids[i]]))) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *port_document(const struct sources *s, uint32_t id, const struct sl_record *record)
{
	const struct sl_identity *identity = &s->snapshot->identities[id];
	const struct sl_service_stats *stats = &s->services[id];
	const struct sl_backend_stats counters = {
		.connections = stats->connections,
		.packets = { stats->packets[0], stats->packets[1] },
		.bytes = { stats->bytes[0], stats->bytes[1] },
	};
	uint64_t losses[SL_LOSSES];
	bool everywhere = record->flags & SL_RECORD_RANGES_EVERYWHERE;
	uint32_t slots = record->set[SL_SET_CLUSTER].slots;

	if (record->set[SL_SET_LOCAL].slots > slots)
		slots = record->set[SL_SET_LOCAL].slots;
	memcpy(losses, stats->losses, sizeof(losses));
	return json_pack(
		"{s:I, s:s, s:s?, s:s, s:o, s:{s:s, s:s, s:s}, s:I, s:b, s:I, s:s, s:I, s:o, s:I, "
		"s:o, s:o, s:o}",
		"id", (json_int_t)id, "name", identity->port, "protocol",
		ip_protocol_name(identity->proto), "family",
		identity->family == 6 ? "IPv6" : "IPv4", "frontends",
		frontends_document(s->snapshot, id), "paths", "clusterIP",
		choice_name(SL_PATH_CHOICE(record->path[SL_PATH_CLUSTER])), "outside",
		choice_name(SL_PATH_CHOICE(record->path[SL_PATH_OUTSIDE])), "inside",
		choice_name(SL_PATH_CHOICE(record->path[SL_PATH_POD])), "slots", (json_int_t)slots,
		"restricted", record->policy != 0, "sourceRanges",
		(json_int_t)(record->policy ? count_ranges(s, record->policy) : 0),
		"sourceRangesOf", everywhere ? "all" : "vip", "affinitySeconds",
		(json_int_t)record->affinity_s, "onEndpointRemoval", leave_document(record),
		"version", (json_int_t)(s->snapshot->words[id] >> 32), "backends",
		backends_document(s, id), "counters", document_counters(&counters), "losses",
		document_losses(losses));
}

/* Puts the ports from `*i` on that belong to one Service into `service`. */
int sources_add_ports(const struct sources *s, const struct view *view, size_t *i, json_t *service)
{
	const struct snapshot *snapshot = s->snapshot;
	const struct sl_identity *first = &snapshot->identities[snapshot->service_ids[*i]];
	json_t *ports = json_array();
	int r = document_set(service, "namespace", json_string(first->namespace_));

	if (!r)
		r = document_set(service, "name", json_string(first->service));
	if (document_set(service, "ports", ports) || r)
		return -ENOMEM;
	for (; *i < snapshot->n_service_ids; (*i)++) {
		uint32_t id = snapshot->service_ids[*i];
		const struct sl_identity *identity = &snapshot->identities[id];
		struct sl_record record;

		if (strcmp(identity->namespace_, first->namespace_) ||
		    strcmp(identity->service, first->service))
			break;
		if (read_record(view, s->snapshot, id, &s->records, &record))
			continue; /* removed while we read */
		if (json_array_append_new(ports, port_document(s, id, &record)))
			return -ENOMEM;
	}
	return 0;
}

int view_service(const struct view *view, const char *namespace_, const char *name, json_t **ret,
		 char error[512])
{
	__attribute__((cleanup(sources_done))) struct sources s = { 0 };
	const struct snapshot_filter filter = { .namespace_ = namespace_, .name = name };
	json_t *service;
	size_t i = 0;
	int r = sources_load(&s, view, &filter, SNAPSHOT_BACKENDS | SNAPSHOT_FRONTENDS, error);

	if (r)
		return r;
	if (!s.snapshot->n_service_ids)
		return view_fail(error, -ENOENT, "service %s/%s is not programmed", namespace_,
				 name);
	service = document_new("Service");
	if (!service || sources_add_ports(&s, view, &i, service)) {
		json_decref(service);
		return view_no_memory(error);
	}
	*ret = service;
	return 0;
}

int view_programmed(const struct view *view, json_t **ret, char error[512])
{
	sl_auto(snapshot) s = NULL;
	const struct sl_identity *previous = NULL;
	json_int_t services = 0, backends = 0;
	int r = snapshot_new(view, NULL, SNAPSHOT_BACKENDS, &s, error);

	if (r)
		return r;
	for (size_t i = 0; i < s->n_service_ids; i++) {
		const struct sl_identity *identity = &s->identities[s->service_ids[i]];

		services += !previous || strcmp(previous->namespace_, identity->namespace_) ||
			    strcmp(previous->service, identity->service);
		previous = identity;
	}
	for (size_t i = 0; i < s->n_backend_ids; i++)
		backends +=
			SL_BACKEND_STATE(s->backends[s->backend_ids[i]].word) == SL_BACKEND_LIVE;
	*ret = json_pack("{s:I, s:I, s:I}", "services", services, "servicePorts",
			 (json_int_t)s->n_service_ids, "backends", backends);
	return *ret ? 0 : view_no_memory(error);
}

int view_losses(const struct view *view, json_t **ret, char error[512])
{
	sl_auto(snapshot) s = NULL;
	sl_auto_mem struct sl_service_stats *stats = NULL;
	uint64_t losses[SL_LOSSES] = { 0 };
	json_t *list;
	int r = snapshot_new(view, NULL, 0, &s, error);

	if (r)
		return r;
	s->service_wanted[0] = true; /* what has no service */
	r = load_service_stats(view, s->service_wanted, s->n_services, &stats, error);
	if (r)
		return r;
	for (uint32_t id = 0; id < s->n_services; id++)
		for (unsigned int i = 0; s->service_wanted[id] && i < SL_LOSSES; i++)
			losses[i] += stats[id].losses[i];
	list = document_losses(losses);
	if (!list)
		return view_no_memory(error);
	*ret = list;
	return 0;
}
