/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/tables/state.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "controlplane/plan/maglev.h"
#include "controlplane/tables/policy.h"
#include "common/ticks.h"

static uint64_t hash_of(const char *namespace_, const char *name)
{
	return chain_hash(chain_hash(0, namespace_, strlen(namespace_) + 1), name, strlen(name));
}

struct tables_service *state_find(const struct tables *tables, const char *namespace_,
				  const char *name)
{
	struct chain_link *link = chain_first(&tables->services, hash_of(namespace_, name));

	for (; link; link = chain_next(link)) {
		struct tables_service *service = chain_entry(link, struct tables_service, link);

		if (!strcmp(service->namespace_, namespace_) && !strcmp(service->name, name))
			return service;
	}
	return NULL;
}

int state_add_service(struct tables *tables, const char *namespace_, const char *name,
		      struct tables_service **ret)
{
	struct tables_service *service = calloc(1, sizeof(*service));

	if (!service)
		return -ENOMEM;
	service->namespace_ = strdup(namespace_);
	service->name = strdup(name);
	if (!service->namespace_ || !service->name) {
		free(service->namespace_);
		free(service->name);
		free(service);
		return -ENOMEM;
	}
	chain_add(&tables->services, &service->link, hash_of(namespace_, name));
	*ret = service;
	return 0;
}

void state_drop_service(struct tables *tables, struct tables_service *service)
{
	chain_remove(&tables->services, &service->link);
	state_free_service(service);
}

void state_free_service(struct tables_service *service)
{
	for (size_t i = 0; i < service->n_ports; i++)
		state_free_port(service->ports[i]);
	free(service->ports);
	free(service->namespace_);
	free(service->name);
	free(service);
}

struct tables_port *state_find_port(const struct tables_service *service, const char *name,
				    uint8_t proto, uint8_t family)
{
	for (size_t i = 0; i < service->n_ports; i++) {
		struct tables_port *port = service->ports[i];

		if (port->proto == proto && port->family == family && !strcmp(port->name, name))
			return port;
	}
	return NULL;
}

int state_new_port(const struct tables_service *service, const char *name, uint8_t proto,
		   uint8_t family, struct tables_port **ret)
{
	struct tables_port *port = calloc(1, sizeof(*port));

	if (!port || !(port->name = strdup(name))) {
		free(port);
		return -ENOMEM;
	}
	port->service = service;
	port->proto = proto;
	port->family = family;
	*ret = port;
	return 0;
}

void state_free_port(struct tables_port *port)
{
	if (!port)
		return;
	free(port->name);
	free(port->backends);
	free(port->claims);
	free(port->sources);
	free(port);
}

int state_order_backends(const void *left, const void *right)
{
	const struct tables_backend *a = left, *b = right;

	return memcmp(&a->addr, &b->addr, sizeof(a->addr))
		       ?: memcmp(&a->port, &b->port, sizeof(a->port));
}

int state_order_prefixes(const void *left, const void *right)
{
	const struct ip_prefix *a = left, *b = right;

	return memcmp(&a->addr, &b->addr, sizeof(a->addr)) ?: (int)a->len - (int)b->len;
}

void state_retire_backend(struct tables *tables, uint32_t id, uint32_t generation)
{
	__u64 *word = &tables->memory.backends[id].word;

	tables->memory.backends[id].left = ticks_now();
	memory_store(word, SL_BACKEND_WORD(generation + 1, 0, SL_BACKEND_GONE));
	state_end_connections(tables, tables->memory.backends[id].service);
}

void state_end_connections(struct tables *tables, uint32_t service)
{
	const struct memory *memory = &tables->memory;
	uint32_t index =
		service < memory->n_services ? SL_SERVICE_RECORD(memory->services[service]) : 0;

	if (index && memory->records[index].leave != SL_LEAVE_KEEP) {
		idle_kick(&tables->idle);
		sweep_kick(tables->sweep);
	}
	if (tables->left)
		tables->left(tables->left_context);
}

uint64_t state_backend_word(const struct tables_backend *backend)
{
	return SL_BACKEND_WORD(backend->generation, backend->sets, SL_BACKEND_LIVE) |
	       SL_BACKEND_ORDERED(backend->order);
}

int state_identity(const struct tables_port *port, struct sl_identity *ret)
{
	const struct tables_service *service = port->service;

	*ret = (struct sl_identity) { .proto = port->proto, .family = port->family };
	if (strlen(service->namespace_) >= sizeof(ret->namespace_) ||
	    strlen(service->name) >= sizeof(ret->service) ||
	    strlen(port->name) >= sizeof(ret->port))
		return -ENAMETOOLONG;
	strcpy(ret->namespace_, service->namespace_);
	strcpy(ret->service, service->name);
	strcpy(ret->port, port->name);
	return 0;
}

int state_write_identity(struct tables *tables, uint32_t id, const struct tables_port *port)
{
	struct sl_identity identity = { .family = 0 };
	int err = port ? state_identity(port, &identity) : 0;

	if (err)
		return err;
	return bpf_map_update_elem(datapath_map(tables->datapath, DATAPATH_identities), &id,
				   &identity, BPF_ANY)
		       ? -errno
		       : 0;
}

void state_know_port(struct tables *tables, struct tables_port *port)
{
	tables->ports[port->id] = port;
	state_know_policy(tables, port, 0);
}

void state_know_policy(struct tables *tables, struct tables_port *port, uint32_t before)
{
	struct tables_port **policies = tables->policies[port->family == 6];
	uint32_t now = port->record ? port->content.policy : 0;

	if (before && policies[before] == port)
		policies[before] = NULL;
	if (now)
		policies[now] = port;
}

void state_forget_port(struct tables *tables, const struct tables_port *port)
{
	uint32_t policy = port->content.policy;

	tables->ports[port->id] = NULL;
	if (policy)
		tables->policies[port->family == 6][policy] = NULL;
}

uint64_t state_run_sum(const uint32_t *slots, size_t n)
{
	uint64_t sum = n;

	for (size_t i = 0; i < n; i++)
		sum = (sum ^ slots[i]) * 0x9e3779b97f4a7c15ULL + (sum >> 29);
	return sum;
}

/* The next backend of a set that has weight; NULL at the end. */
const struct tables_backend *state_next_member(const struct tables_backend *backends, size_t n,
					       int set, size_t *at)
{
	while (*at < n) {
		const struct tables_backend *b = &backends[(*at)++];

		if (b->sets & 1 << set && b->weight > 0)
			return b;
	}
	return NULL;
}

int state_build_run(struct tables *tables, uint8_t family, const struct tables_backend *backends,
		    size_t n_backends, int set, size_t n, uint32_t size)
{
	sl_auto_mem struct maglev_backend *members = calloc(n, sizeof(*members));
	const struct tables_backend *b;
	size_t at = 0;

	if (!members)
		return -ENOMEM;
	for (size_t i = 0; i < n && (b = state_next_member(backends, n_backends, set, &at)); i++) {
		members[i] = (struct maglev_backend) {
			.id = b->id,
			.seed = maglev_seed(&b->addr, family, b->port),
			.weight = b->weight,
		};
	}
	return maglev_build(members, n, tables->scratch, size);
}

void state_clear_stats(struct tables *tables, enum datapath_map map, uint32_t id)
{
	if (bpf_map_update_elem(datapath_map(tables->datapath, map), &id, tables->zeros, BPF_ANY))
		log_debug("tables: map %s: id %u: %s", datapath_map_name(map), id, strerror(errno));
}

void state_keep_stats(struct tables *tables, uint32_t id)
{
	uint64_t *sum = (uint64_t *)&tables->past;

	if (bpf_map_lookup_elem(datapath_map(tables->datapath, DATAPATH_stats_services), &id,
				tables->cpus))
		return;
	for (int cpu = 0; cpu < tables->n_cpus; cpu++) {
		const uint64_t *values = (const uint64_t *)&tables->cpus[cpu];

		for (size_t i = 0; i < sizeof(tables->past) / sizeof(*sum); i++)
			sum[i] += values[i];
	}
}

static void free_backend(struct tables *tables, uint32_t id)
{
	__u64 *word = &tables->memory.backends[id].word;

	memory_store(word, SL_BACKEND_WORD(SL_BACKEND_GENERATION(*word), 0, SL_BACKEND_FREE));
	ids_give(tables->backend_ids, id);
}

void state_reclaim(void *context, const struct grace_item *item)
{
	struct tables *tables = context;

	switch ((enum grace_kind)item->kind) {
	case GRACE_RECORD:
		ids_give(tables->record_ids, item->id);
		break;
	case GRACE_RUN:
		slab_give(tables->slab, item->id, item->n);
		break;
	case GRACE_BACKEND:
		free_backend(tables, item->id);
		break;
	case GRACE_POLICY:
		policy_delete(tables->datapath, item->which, item->id, item->data, item->n);
		tables->n_prefixes[item->which == 6] -= item->n;
		ids_give(tables->policy_ids, item->id);
		break;
	case GRACE_SERVICE:
		state_write_identity(tables, item->id, NULL);
		state_keep_stats(tables, item->id);
		ids_give(tables->service_ids, item->id);
		break;
	case GRACE_BIT:
		address_bits_retire(tables->bits, item->which, item->id);
		sweep_kick(tables->sweep);
		break;
	case GRACE_ALL_BITS:
		address_bits_retire_unused(tables->bits);
		sweep_kick(tables->sweep);
		break;
	}
}

void state_reclaimed(void *context)
{
	struct tables *tables = context;

	pressure_check(tables);
	if (tables->room)
		tables->room(tables->room_context);
}

void state_bit_left(void *context, enum address_bitmap bitmap, uint32_t slot)
{
	struct tables *tables = context;

	grace_add(tables->grace,
		  &(struct grace_item) { .kind = GRACE_BIT, .which = (uint8_t)bitmap, .id = slot });
}

size_t state_grace_items(const struct tables_port *port)
{
	/* A backend and its bit; a claim's bit; service, record, policy, runs. */
	return 2 * port->n_backends + port->n_claims + 3 + SL_SET_MAX;
}
