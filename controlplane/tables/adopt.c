/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A restart: what the pinned maps hold becomes the programmed state again,
 * with the same ids, so that applying the same objects changes nothing. What
 * does not fit together is taken out of the reach of packets and freed.
 */

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "controlplane/tables/policy.h"
#include "controlplane/tables/state.h"

#define IDENTITIES_AT_ONCE 256

struct stray {
	uint32_t policy;
	struct ip_prefix prefix;
};

struct reading {
	struct tables *tables;
	struct tables_port **ports;	   /* by service id */
	struct tables_port **by_policy[2]; /* by policy id, of IPv4 and IPv6 */
	uint32_t n_policies;
	struct stray *strays; /* entries of policies that no record names */
	size_t n_strays;
	int err;
};

/* One more element at the end of an array. */
static void *append(void *array, size_t n, size_t size)
{
	return realloc(array, (n + 1) * size);
}

/*
 * A service port has one id; another is left from one that was removed, and
 * made again before its old id could be freed. That has no record any more.
 */
static int adopt_second(struct reading *reading, struct tables_port *port, uint32_t id)
{
	struct tables *tables = reading->tables;
	const __u64 *words = tables->memory.services;
	uint32_t first = port->id;

	if (SL_SERVICE_RECORD(words[first]) || !SL_SERVICE_RECORD(words[id]))
		return state_write_identity(tables, id, NULL);
	reading->ports[first] = NULL;
	reading->ports[id] = port;
	port->id = id;
	ids_give(tables->service_ids, first);
	ids_reserve(tables->service_ids, id);
	return state_write_identity(tables, first, NULL);
}

static int adopt_port(struct reading *reading, uint32_t id, struct sl_identity *identity)
{
	struct tables *tables = reading->tables;
	struct tables_service *service;
	struct tables_port *port, **ports;
	int err = 0;

	identity->namespace_[sizeof(identity->namespace_) - 1] = '\0';
	identity->service[sizeof(identity->service) - 1] = '\0';
	identity->port[sizeof(identity->port) - 1] = '\0';
	service = state_find(tables, identity->namespace_, identity->service);
	port = service ? state_find_port(service, identity->port, identity->proto, identity->family)
		       : NULL;
	if (port)
		return adopt_second(reading, port, id);
	if (!service)
		err = state_add_service(tables, identity->namespace_, identity->service, &service);
	if (err)
		return err;
	ports = append(service->ports, service->n_ports, sizeof(*ports));
	if (!ports)
		return -ENOMEM;
	service->ports = ports;
	err = state_new_port(service, identity->port, identity->proto, identity->family, &port);
	if (err)
		return err;
	port->id = id;
	service->ports[service->n_ports++] = port;
	reading->ports[id] = port;
	ids_reserve(tables->service_ids, id);
	tables->n_ports++;
	return 0;
}

static int read_identities(struct reading *reading)
{
	int map = datapath_map(reading->tables->datapath, DATAPATH_identities);
	uint32_t max = reading->tables->memory.n_services, keys[IDENTITIES_AT_ONCE], cursor = 0;
	sl_auto_mem struct sl_identity *some = calloc(IDENTITIES_AT_ONCE, sizeof(*some));
	bool more = true;

	if (!some)
		return -ENOMEM;
	for (bool started = false; more; started = true) {
		uint32_t n = IDENTITIES_AT_ONCE;

		if (bpf_map_lookup_batch(map, started ? &cursor : NULL, &cursor, keys, some, &n,
					 NULL)) {
			if (errno != ENOENT)
				return -errno;
			more = false;
		}
		for (uint32_t i = 0; i < n; i++) {
			int err = 0;

			if (keys[i] > 0 && keys[i] < max && some[i].family)
				err = adopt_port(reading, keys[i], &some[i]);
			if (err)
				return err;
		}
	}
	return 0;
}

static void give_runs(struct tables *tables, const struct sl_record *record, int sets)
{
	for (int set = 0; set < sets; set++) {
		if (record->set[set].slots > 1)
			slab_give(tables->slab, record->set[set].first, record->set[set].slots);
	}
}

static bool reserve_runs(struct tables *tables, const struct sl_record *record)
{
	for (int set = 0; set < SL_SET_MAX; set++) {
		const struct sl_set *run = &record->set[set];

		if (run->slots > 1 && slab_reserve(tables->slab, run->first, run->slots)) {
			give_runs(tables, record, set);
			return false;
		}
	}
	return true;
}

/* The id is in use even if the policy's entries are gone. */
static bool reserve_policy(struct reading *reading, struct tables_port *port, uint32_t policy)
{
	if (policy == 0)
		return true;
	if (!ids_reserve(reading->tables->policy_ids, policy))
		return false;
	reading->by_policy[port->family == 6][policy] = port;
	return true;
}

static bool reserve_record(struct reading *reading, struct tables_port *port, uint32_t index)
{
	struct tables *tables = reading->tables;
	const struct sl_record *record = &tables->memory.records[index];

	if (index >= tables->memory.n_records || record->service != port->id ||
	    !ids_reserve(tables->record_ids, index))
		return false;
	if (reserve_runs(tables, record)) {
		if (reserve_policy(reading, port, record->policy))
			return true;
		give_runs(tables, record, SL_SET_MAX);
	}
	ids_give(tables->record_ids, index);
	return false;
}

/* A record that names another service, or slots or ranges of another, is not
 * used. */
static void adopt_record(struct reading *reading, uint32_t id)
{
	__u64 *word = &reading->tables->memory.services[id];
	uint32_t index = SL_SERVICE_RECORD(*word);
	struct tables_port *port = reading->ports[id];

	if (port) {
		port->version = (uint32_t)(*word >> 32);
		state_know_port(reading->tables, port);
	}
	if (index == 0)
		return;
	if (port && reserve_record(reading, port, index)) {
		port->record = index;
		port->content = reading->tables->memory.records[index];
		state_know_policy(reading->tables, port, 0);
		return;
	}
	log_warn("tables: map services: id %u points to a record that can't be its own", id);
	memory_store(word, SL_SERVICE_WORD(0, *word >> 32));
}

static int retire(struct tables *tables, uint32_t id, uint32_t generation)
{
	int err = grace_reserve(tables->grace, 1);

	if (err)
		return err;
	state_retire_backend(tables, id, generation);
	grace_add(tables->grace, &(struct grace_item) { .kind = GRACE_BACKEND, .id = id });
	return 0;
}

static int adopt_backend(struct reading *reading, uint32_t id)
{
	struct tables *tables = reading->tables;
	struct sl_backend *at = &tables->memory.backends[id];
	struct tables_port *port =
		at->service < tables->memory.n_services ? reading->ports[at->service] : NULL;
	struct tables_backend *backends;

	if (SL_BACKEND_STATE(at->word) == SL_BACKEND_LIVE && port) {
		backends = append(port->backends, port->n_backends, sizeof(*backends));
		if (!backends)
			return -ENOMEM;
		port->backends = backends;
		backends[port->n_backends++] = (struct tables_backend) {
			.addr = at->addr,
			.port = at->port,
			.sets = SL_BACKEND_SETS(at->word),
			.local = at->flags & SL_BACKEND_LOCAL,
			.id = id,
			.generation = SL_BACKEND_GENERATION(at->word),
			.weight = 1,
		};
		ids_reserve(tables->backend_ids, id);
		address_bits_use(tables->bits, ADDRESS_ENDPOINT,
				 address_slot(&at->addr, port->family));
		tables->n_backends++;
		return 0;
	}
	if (SL_BACKEND_STATE(at->word) == SL_BACKEND_LIVE) {
		ids_reserve(tables->backend_ids, id);
		return retire(tables, id, SL_BACKEND_GENERATION(at->word));
	}
	/* A gone one has waited long enough: no program that runs knows it. */
	if (SL_BACKEND_STATE(at->word) != SL_BACKEND_FREE)
		memory_store(&at->word,
			     SL_BACKEND_WORD(SL_BACKEND_GENERATION(at->word), 0, SL_BACKEND_FREE));
	return 0;
}

/* An endpoint has one id; a second one is left from a start that was cut off. */
static int sort_backends(struct tables *tables, struct tables_port *port)
{
	size_t n = 0;
	int err;

	if (port->n_backends == 0)
		return 0;
	qsort(port->backends, port->n_backends, sizeof(*port->backends), state_order_backends);
	for (size_t i = 0; i < port->n_backends; i++) {
		struct tables_backend *b = &port->backends[i];

		if (n == 0 || state_order_backends(&port->backends[n - 1], b)) {
			port->backends[n++] = *b;
			continue;
		}
		address_bits_leave(tables->bits, ADDRESS_ENDPOINT,
				   address_slot(&b->addr, port->family));
		tables->n_backends--;
		err = retire(tables, b->id, b->generation);
		if (err)
			return err;
	}
	port->n_backends = n;
	return 0;
}

static int read_arrays(struct reading *reading)
{
	struct memory *memory = &reading->tables->memory;
	int err = 0;

	reading->n_policies = ids_max(reading->tables->policy_ids);
	for (int i = 0; i < 2; i++) {
		reading->by_policy[i] = calloc(reading->n_policies, sizeof(struct tables_port *));
		if (!reading->by_policy[i])
			return -ENOMEM;
	}
	for (uint32_t id = 1; id < memory->n_services; id++)
		adopt_record(reading, id);
	for (uint32_t id = 1; id < memory->n_backends && !err; id++)
		err = adopt_backend(reading, id);
	for (uint32_t id = 1; id < memory->n_services && !err; id++) {
		if (reading->ports[id])
			err = sort_backends(reading->tables, reading->ports[id]);
	}
	return err;
}

static int adopt_prefix(void *context, uint32_t policy, const struct ip_prefix *prefix)
{
	struct reading *reading = context;
	struct tables_port *port = policy < reading->n_policies
					   ? reading->by_policy[prefix->family == 6][policy]
					   : NULL;
	struct ip_prefix *sources;
	struct stray *strays;

	if (port) {
		sources = append(port->sources, port->n_sources, sizeof(*sources));
		if (!sources)
			return -ENOMEM;
		port->sources = sources;
		sources[port->n_sources++] = *prefix;
		reading->tables->n_prefixes[prefix->family == 6]++;
		return 0;
	}
	strays = append(reading->strays, reading->n_strays, sizeof(*strays));
	if (!strays)
		return -ENOMEM;
	reading->strays = strays;
	strays[reading->n_strays++] = (struct stray) { policy, *prefix };
	return 0;
}

static int read_policies(struct reading *reading)
{
	const struct datapath *datapath = reading->tables->datapath;
	uint32_t n_services = reading->tables->memory.n_services;
	int err;

	err = policy_each(datapath, 4, adopt_prefix, reading)
		      ?: policy_each(datapath, 6, adopt_prefix, reading);
	for (size_t i = 0; i < reading->n_strays && !err; i++)
		policy_delete(datapath, reading->strays[i].prefix.family, reading->strays[i].policy,
			      &reading->strays[i].prefix, 1);
	for (uint32_t id = 1; id < n_services; id++) {
		struct tables_port *port = reading->ports[id];

		if (port && port->n_sources > 1)
			qsort(port->sources, port->n_sources, sizeof(*port->sources),
			      state_order_prefixes);
	}
	return err;
}

static const void *holder_of(void *context, uint32_t service)
{
	const struct reading *reading = context;

	if (service == 0)
		return reading->tables;
	return service < reading->tables->memory.n_services ? reading->ports[service] : NULL;
}

static void note_claim(void *context, struct claim *claim)
{
	struct reading *reading = context;
	struct tables_port *port;
	struct claim **claims;

	if (!claim->holder || claim->holder == reading->tables)
		return;
	port = reading->ports[claim->service];
	claims = append(port->claims, port->n_claims, sizeof(struct claim *));
	if (!claims) {
		reading->err = -ENOMEM;
		return;
	}
	port->claims = claims;
	claims[port->n_claims++] = claim;
}

static int read_claims(struct reading *reading)
{
	int err = claims_adopt(reading->tables->claims, holder_of, reading);

	if (!err)
		claims_each(reading->tables->claims, note_claim, reading);
	return err ?: reading->err;
}

int adopt(struct tables *tables, char error[512])
{
	static const struct {
		const char *what;
		int (*read)(struct reading *reading);
	} parts[] = {
		{ "identities", read_identities },
		{ "records and backends", read_arrays },
		{ "policies", read_policies },
		{ "frontends", read_claims },
	};
	struct reading reading = { .tables = tables };
	int err = grace_wait(tables->grace);

	reading.ports = calloc(tables->memory.n_services, sizeof(struct tables_port *));
	if (!reading.ports)
		err = -ENOMEM;
	if (err)
		snprintf(error, 512, "tables: read back: %s", strerror(-err));
	for (size_t i = 0; i < SL_COUNT(parts) && !err; i++) {
		err = parts[i].read(&reading);
		if (err)
			snprintf(error, 512, "tables: read back %s: %s", parts[i].what,
				 strerror(-err));
	}
	grace_start(tables->grace);
	free(reading.ports);
	free(reading.by_policy[0]);
	free(reading.by_policy[1]);
	free(reading.strays);
	return err;
}
