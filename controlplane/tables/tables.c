/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/tables/tables.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "controlplane/tables/change.h"

/* The largest that maglev_size() returns. */
#define SLOTS_MAX 524287

/* Answers to source ports of ours come to addresses of this node. */
static void use_snat_ports(struct tables *tables)
{
	const struct sl_config *config = datapath_config(tables->datapath);

	for (uint32_t i = 0; i < config->snat_count; i++) {
		uint16_t port = htons((uint16_t)(config->snat_first + i));

		address_bits_use(tables->bits, ADDRESS_PORT,
				 (uint32_t)address_port_slot(IPPROTO_TCP, port));
		address_bits_use(tables->bits, ADDRESS_PORT,
				 (uint32_t)address_port_slot(IPPROTO_UDP, port));
		address_bits_use(tables->bits, ADDRESS_PORT,
				 (uint32_t)address_port_slot(IPPROTO_SCTP, port));
	}
}

static int make_parts(struct tables *tables)
{
	const struct memory *memory = &tables->memory;
	uint32_t policies = datapath_entries(tables->datapath, DATAPATH_policy4);
	int cpus = libbpf_num_possible_cpus();
	int err = address_bits_new(memory, &tables->bits);

	err = err ?: claims_new(tables->datapath, tables->bits, &tables->claims);
	err = err
		      ?: grace_new(tables->loop, state_reclaim, state_reclaimed, tables,
				   &tables->grace);
	idle_init(tables->datapath, memory, &tables->idle);
	err = err
		      ?: sweep_new(tables->loop, tables->datapath, tables->bits, &tables->idle,
				   &tables->sweep);
	err = err ?: slab_new(memory->n_slots, &tables->slab);
	err = err ?: ids_new(memory->n_services, &tables->service_ids);
	err = err ?: ids_new(memory->n_records, &tables->record_ids);
	err = err ?: ids_new(memory->n_backends, &tables->backend_ids);
	/* A policy has an entry at least, in one of the two maps. */
	err = err ?: ids_new(2 * policies + 1, &tables->policy_ids);
	err = err ?: chain_init(&tables->services);
	err = err ?: chain_init(&tables->ifaces);
	err = err ?: audit_new(tables, &tables->audit);
	if (err || cpus < 0)
		return err ?: cpus;
	tables->ports = calloc(memory->n_services, sizeof(struct tables_port *));
	for (int i = 0; i < 2; i++) {
		tables->policies[i] =
			calloc(ids_max(tables->policy_ids), sizeof(struct tables_port *));
		if (!tables->policies[i])
			return -ENOMEM;
	}
	tables->scratch = malloc(SLOTS_MAX * sizeof(*tables->scratch));
	tables->n_cpus = cpus;
	tables->cpus = calloc((size_t)cpus, sizeof(*tables->cpus));
	histogram_init(&tables->changes, histogram_change_bounds);
	tables->zeros = calloc((size_t)cpus,
			       sizeof(struct sl_service_stats) > sizeof(struct sl_backend_stats)
				       ? sizeof(struct sl_service_stats)
				       : sizeof(struct sl_backend_stats));
	tables->node = *memory->node;
	return tables->scratch && tables->zeros && tables->cpus && tables->ports ? 0 : -ENOMEM;
}

int tables_new(uv_loop_t *loop, struct datapath *datapath, struct tables **ret, char error[512])
{
	sl_auto(tables) tables = calloc(1, sizeof(*tables));
	int err;

	if (!tables) {
		snprintf(error, 512, "tables: out of memory");
		return -ENOMEM;
	}
	tables->loop = loop;
	tables->datapath = datapath;
	err = memory_map(datapath, &tables->memory, error);
	if (err)
		return err;
	err = make_parts(tables);
	if (err) {
		snprintf(error, 512, "tables: %s", strerror(-err));
		return err;
	}
	tables->complete = datapath_adopted(datapath);
	if (tables->complete)
		err = adopt(tables, error);
	if (err)
		return err;
	use_snat_ports(tables);
	*ret = sl_take(tables);
	return 0;
}

static void free_service(struct chain_link *link)
{
	state_free_service(chain_entry(link, struct tables_service, link));
}

static void free_iface(struct chain_link *link)
{
	free(chain_entry(link, struct tables_iface, link));
}

void tables_free(struct tables *tables)
{
	if (!tables)
		return;
	chain_empty(&tables->services, free_service);
	chain_done(&tables->services);
	chain_empty(&tables->ifaces, free_iface);
	chain_done(&tables->ifaces);
	audit_free(tables->audit);
	grace_free(tables->grace);
	sweep_free(tables->sweep);
	claims_free(tables->claims);
	address_bits_free(tables->bits);
	slab_free(tables->slab);
	ids_free(tables->service_ids);
	ids_free(tables->record_ids);
	ids_free(tables->backend_ids);
	ids_free(tables->policy_ids);
	memory_unmap(&tables->memory);
	free(tables->ports);
	free(tables->policies[0]);
	free(tables->policies[1]);
	free(tables->addresses);
	free(tables->scratch);
	free(tables->zeros);
	free(tables->cpus);
	free(tables);
}

static int reserve_grace(struct tables *tables, const struct tables_service *service)
{
	size_t n = 0;

	for (size_t i = 0; i < service->n_ports; i++)
		n += state_grace_items(service->ports[i]);
	return grace_reserve(tables->grace, n);
}

/* The service is left as it is programmed; says what stood in the way. */
static int fail(struct tables_service *service, const struct resolved_port *port,
		enum datapath_map map, int err, char *error)
{
	const char *proto = port ? ip_protocol_name(port->proto) : NULL;

	service->failed = true;
	for (size_t i = 0; i < service->n_ports; i++)
		service->ports[i]->wanted = true;
	snprintf(error, 512, "tables: Service %s/%s: port \"%s\" %s IPv%d: map %s: %s",
		 service->namespace_, service->name, port ? port->name : "", proto ? proto : "",
		 port ? port->family : 0, map < DATAPATH_MAP_MAX ? datapath_map_name(map) : "none",
		 err == -ENOSPC || err == -E2BIG ? "full" : strerror(-err));
	return err;
}

static bool same_port(const struct resolved_port *a, const struct resolved_port *b)
{
	return a->family == b->family && a->proto == b->proto && !strcmp(a->name, b->name);
}

/* Prepares every port, or none. `changes` has room for all. */
static int prepare_all(struct tables *tables, struct tables_service *service,
		       const struct resolved *wanted, struct change *changes, size_t *ret_n,
		       char *error)
{
	enum datapath_map map = DATAPATH_MAP_MAX;
	const struct resolved_port *failed = NULL;
	size_t n = 0;
	int err = reserve_grace(tables, service);

	for (size_t i = 0; i < service->n_ports; i++)
		service->ports[i]->wanted = false;
	for (size_t i = 0; i < wanted->n_ports && !err; i++) {
		const struct resolved_port *port = &wanted->ports[i];
		struct tables_port *old =
			state_find_port(service, port->name, port->proto, port->family);

		/* They are sorted; a port that is listed twice counts once. */
		if (i > 0 && same_port(port, port - 1))
			continue;
		err = change_prepare(tables, service, old, port, &changes[n], &map);
		if (err) {
			failed = port;
			break;
		}
		if (old)
			old->wanted = true;
		n++;
	}
	if (!err) {
		*ret_n = n;
		return 0;
	}
	while (n-- > 0)
		change_undo(tables, &changes[n]);
	return fail(service, failed, map, err, error);
}

/* Ports that are wanted no more go last: a frontend that another port of the
 * service takes over never leaves the map. */
static bool commit_all(struct tables *tables, struct tables_service *service,
		       struct change *changes, size_t n, struct tables_port **ports)
{
	bool written = false;

	for (size_t i = 0; i < n; i++) {
		ports[i] = changes[i].port;
		ports[i]->wanted = true;
		ports[i]->no_local[0] = changes[i].wanted->no_local_internal;
		ports[i]->no_local[1] = changes[i].wanted->no_local_external;
		written = change_commit(tables, &changes[i]) || written;
	}
	for (size_t i = 0; i < service->n_ports; i++) {
		if (service->ports[i]->wanted)
			continue;
		change_remove(tables, service->ports[i]);
		written = true;
	}
	free(service->ports);
	service->ports = ports;
	service->n_ports = n;
	service->failed = false;
	return written;
}

static void count_latency(struct tables *tables, uint64_t started_ns, uint64_t received_ns)
{
	uint64_t end = tables->flipped_ns > started_ns ? tables->flipped_ns : uv_hrtime();

	if (received_ns == 0 || end <= received_ns)
		return;
	latency_add(&tables->latency, (end - received_ns) / 1000);
	histogram_add(&tables->changes, (double)(end - received_ns) / 1e9);
}

int tables_apply(struct tables *tables, const struct resolved *wanted, uint64_t received_ns,
		 char error[512])
{
	uint64_t started = uv_hrtime();
	struct tables_service *service = state_find(tables, wanted->namespace_, wanted->name);
	sl_auto_mem struct change *changes = calloc(wanted->n_ports + 1, sizeof(*changes));
	sl_auto_mem struct tables_port **ports =
		calloc(wanted->n_ports + 1, sizeof(struct tables_port *));
	bool written;
	size_t n = 0;
	int err = changes && ports ? 0 : -ENOMEM;

	if (!service && wanted->n_ports == 0)
		return 0;
	if (!err && !service)
		err = state_add_service(tables, wanted->namespace_, wanted->name, &service);
	if (err) {
		snprintf(error, 512, "tables: Service %s/%s: %s", wanted->namespace_, wanted->name,
			 strerror(-err));
		return err;
	}
	claims_retry(tables->claims);
	err = prepare_all(tables, service, wanted, changes, &n, error);
	if (err) {
		pressure_check(tables);
		return err;
	}
	written = commit_all(tables, service, changes, n, sl_take(ports));
	if (written)
		count_latency(tables, started, received_ns);
	for (size_t i = 0; i < n && !err; i++) {
		if (changes[i].err)
			err = fail(service, changes[i].wanted,
				   changes[i].wanted->family == 4 ? DATAPATH_frontends4
								  : DATAPATH_frontends6,
				   changes[i].err, error);
	}
	if (service->n_ports == 0)
		state_drop_service(tables, service);
	grace_start(tables->grace);
	pressure_check(tables);
	return err ?: written;
}

static void release_nobodys(void *context, struct claim *claim)
{
	struct tables *tables = context;

	if (!claim->holder)
		claims_release(tables->claims, claim, state_bit_left, tables);
}

static void remove_unwanted(struct tables *tables, struct tables_service *service)
{
	size_t n = 0;

	if (reserve_grace(tables, service)) {
		log_error("tables: Service %s/%s: not removed: out of memory", service->namespace_,
			  service->name);
		return;
	}
	for (size_t i = 0; i < service->n_ports; i++) {
		if (service->ports[i]->wanted)
			service->ports[n++] = service->ports[i];
		else
			change_remove(tables, service->ports[i]);
	}
	service->n_ports = n;
	if (n == 0 && !service->failed)
		state_drop_service(tables, service);
}

void tables_synced(struct tables *tables)
{
	const struct chain *services = &tables->services;

	tables->complete = true;
	for (size_t i = 0; i < services->n_buckets; i++) {
		for (struct chain_link *link = services->buckets[i], *next; link; link = next) {
			next = link->next;
			remove_unwanted(tables, chain_entry(link, struct tables_service, link));
		}
	}
	claims_each(tables->claims, release_nobodys, tables);
	if (grace_reserve(tables->grace, 1) == 0)
		grace_add(tables->grace, &(struct grace_item) { .kind = GRACE_ALL_BITS });
	grace_start(tables->grace);
	audit_start(tables->audit);
}

void tables_set_audit(struct tables *tables, unsigned int seconds)
{
	audit_set_period(tables->audit, seconds);
}

json_t *tables_audit(const struct tables *tables)
{
	return audit_describe(tables->audit);
}

void tables_on_room(struct tables *tables, void (*room)(void *context), void *context)
{
	tables->room = room;
	tables->room_context = context;
}

void tables_on_leave(struct tables *tables, void (*left)(void *context), void *context)
{
	tables->left = left;
	tables->left_context = context;
}

void tables_on_serve(struct tables *tables, void (*served)(void *context), void *context)
{
	tables->served = served;
	tables->served_context = context;
}

void tables_on_conflict(struct tables *tables,
			void (*conflict)(void *context, const struct tables_conflict *conflict),
			void *context)
{
	tables->conflict = conflict;
	tables->conflict_context = context;
}

json_t *tables_idle(const struct tables *tables)
{
	return idle_describe(&tables->idle);
}
