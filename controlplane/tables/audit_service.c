/* SPDX-License-Identifier: Apache-2.0 */

/* The audit of services: record, Maglev runs, backends, ranges and name. */

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "controlplane/tables/policy.h"
#include "controlplane/tables/state.h"

#define NAME_MAX_ 200

static const char *name_of(const struct tables_port *port, char text[NAME_MAX_])
{
	snprintf(text, NAME_MAX_, "%s/%s:%s IPv%u", port->service->namespace_, port->service->name,
		 port->name, port->family);
	return text;
}

static void found(struct tables *tables, const struct tables_port *port, enum datapath_map map,
		  const char *what)
{
	char name[NAME_MAX_];

	audit_found(tables->audit, map, "Service %s, %s", name_of(port, name), what);
}

/* The record goes to another place, which is then what the service points to:
 * nobody reads half of it. */
static void check_record(struct tables *tables, struct tables_port *port)
{
	const struct sl_record *at = &tables->memory.records[port->record];
	uint32_t index;

	if (!memcmp(at, &port->content, sizeof(*at)))
		return;
	index = grace_reserve(tables->grace, 1) ? 0 : ids_take(tables->record_ids);
	if (index) {
		struct grace_item old = { .kind = GRACE_RECORD, .id = port->record };

		tables->memory.records[index] = port->content;
		port->record = index;
		memory_store(&tables->memory.services[port->id],
			     SL_SERVICE_WORD(index, ++port->version));
		grace_add(tables->grace, &old);
		grace_start(tables->grace);
	} else {
		/* No room beside it: better in place than wrong. */
		tables->memory.records[port->record] = port->content;
	}
	found(tables, port, DATAPATH_records, "its record");
}

/* Each slot is a pick of its own, so they are repaired one by one.
 * Returns how many it read. */
static uint32_t check_run(struct tables *tables, struct tables_port *port, int set)
{
	const struct sl_set *run = &port->content.set[set];
	uint32_t *slots = tables->memory.slots + run->first;
	const struct tables_backend *b;
	size_t n = 0, at = 0;
	uint32_t wrong = 0;
	char what[64];

	/* Before the first change after a restart its sum is not known. */
	if (run->slots < 2 || !port->verified)
		return 0;
	if (state_run_sum(slots, run->slots) == port->run_sum[set])
		return run->slots;
	while ((b = state_next_member(port->backends, port->n_backends, set, &at)))
		n++;
	if (state_build_run(tables, port->family, port->backends, port->n_backends, set, n,
			    run->slots))
		return run->slots;
	for (uint32_t i = 0; i < run->slots; i++) {
		if (slots[i] == tables->scratch[i])
			continue;
		__atomic_store_n(&slots[i], tables->scratch[i], __ATOMIC_RELAXED);
		wrong++;
	}
	snprintf(what, sizeof(what), "%u Maglev slots of set %d", wrong, set);
	found(tables, port, DATAPATH_maglev, what);
	return run->slots;
}

static void check_backend(struct tables *tables, struct tables_port *port,
			  const struct tables_backend *b)
{
	struct sl_backend *at = &tables->memory.backends[b->id];
	uint64_t word = state_backend_word(b);
	uint8_t flags = b->local ? SL_BACKEND_LOCAL : 0;
	char what[IP_TEXT_MAX + 32], text[IP_TEXT_MAX];
	bool same_place = ip_equal(&at->addr, &b->addr) && at->port == b->port &&
			  at->family == port->family && at->service == port->id;

	if (at->word == word && at->flags == flags && same_place)
		return;
	/* What the word announces comes before it. */
	if (!same_place) {
		for (int i = 0; i < 4; i++)
			__atomic_store_n(&at->addr.w[i], b->addr.w[i], __ATOMIC_RELAXED);
		__atomic_store_n(&at->port, b->port, __ATOMIC_RELAXED);
		at->family = port->family;
		at->service = port->id;
	}
	if (at->flags != flags)
		__atomic_store_n(&at->flags, flags, __ATOMIC_RELAXED);
	if (at->word != word)
		memory_store(&at->word, word);
	snprintf(what, sizeof(what), "backend %u at %s", b->id,
		 ip_format_port(&b->addr, port->family, b->port, text));
	found(tables, port, DATAPATH_backends, what);
}

static void check_sources(struct tables *tables, struct tables_port *port)
{
	uint32_t policy = port->content.policy;
	char what[IP_TEXT_MAX + 32], text[IP_TEXT_MAX], name[NAME_MAX_];

	for (size_t i = 0; policy && i < port->n_sources; i++) {
		const struct ip_prefix *prefix = &port->sources[i];

		if (policy_has(tables->datapath, port->family, policy, prefix))
			continue;
		if (policy_insert(tables->datapath, port->family, policy, prefix, 1)) {
			log_warn("audit: Service %s: a source range is missing and can't be "
				 "written: %s",
				 name_of(port, name), strerror(errno));
			return;
		}
		snprintf(what, sizeof(what), "source range %s/%u",
			 ip_format(&prefix->addr, port->family, text), prefix->len);
		found(tables, port, port->family == 4 ? DATAPATH_policy4 : DATAPATH_policy6, what);
	}
}

/* A flow or a person asks for it, no packet. */
static void check_identity(struct tables *tables, uint32_t id, const struct tables_port *port)
{
	struct sl_identity wanted = { .family = 0 }, is;

	if (port && state_identity(port, &wanted))
		return;
	if (bpf_map_lookup_elem(datapath_map(tables->datapath, DATAPATH_identities), &id, &is))
		return;
	if (port ? !memcmp(&is, &wanted, sizeof(is)) : is.family == 0)
		return;
	state_write_identity(tables, id, port);
	if (port)
		found(tables, port, DATAPATH_identities, "its name");
	else
		audit_found(tables->audit, DATAPATH_identities, "id %u is nobody's", id);
}

static void check_free_service(struct tables *tables, uint32_t id)
{
	__u64 *word = &tables->memory.services[id];

	/* One that is taken waits for a grace period. */
	if (ids_taken(tables->service_ids, id))
		return;
	if (SL_SERVICE_RECORD(*word)) {
		memory_store(word, SL_SERVICE_WORD(0, *word >> 32));
		audit_found(tables->audit, DATAPATH_services, "id %u is nobody's", id);
	}
	check_identity(tables, id, NULL);
}

uint32_t audit_service(struct tables *tables, uint32_t id)
{
	struct tables_port *port = tables->ports[id];
	__u64 *word = &tables->memory.services[id];
	uint32_t slots = 0;

	if (!port) {
		check_free_service(tables, id);
		return 0;
	}
	for (size_t i = 0; i < port->n_backends; i++)
		check_backend(tables, port, &port->backends[i]);
	if (port->record) {
		for (int set = 0; set < SL_SET_MAX; set++)
			slots += check_run(tables, port, set);
		check_sources(tables, port);
		check_record(tables, port);
	}
	if (*word != SL_SERVICE_WORD(port->record, port->version)) {
		memory_store(word, SL_SERVICE_WORD(port->record, port->version));
		found(tables, port, DATAPATH_services, "which record is its");
	}
	check_identity(tables, id, port);
	return slots;
}

void audit_backend(struct tables *tables, uint32_t id)
{
	__u64 *word = &tables->memory.backends[id].word;

	if (SL_BACKEND_STATE(*word) != SL_BACKEND_LIVE || ids_taken(tables->backend_ids, id))
		return;
	memory_store(word, SL_BACKEND_WORD(SL_BACKEND_GENERATION(*word) + 1, 0, SL_BACKEND_FREE));
	audit_found(tables->audit, DATAPATH_backends, "backend %u is nobody's", id);
}
