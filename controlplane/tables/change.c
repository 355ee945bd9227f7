/* SPDX-License-Identifier: Apache-2.0 */

/* Preparing: everything here is out of the reach of packets. */

#include "controlplane/tables/change.h"

#include <errno.h>
#include <string.h>

#include "controlplane/plan/maglev.h"
#include "controlplane/tables/policy.h"

/* The wanted backends, sorted, endpoints that are listed twice merged. They
 * come in the order of S-077, which each of them remembers. */
static int copy_backends(struct change *change)
{
	const struct resolved_port *wanted = change->wanted;
	struct tables_backend *b = calloc(wanted->n_backends + 1, sizeof(*b));
	size_t n = 0;

	if (!b)
		return -ENOMEM;
	for (size_t i = 0; i < wanted->n_backends; i++) {
		b[i] = (struct tables_backend) {
			.addr = wanted->backends[i].addr,
			.port = wanted->backends[i].port,
			.order = i < UINT16_MAX ? (uint16_t)i : UINT16_MAX,
			.sets = wanted->backends[i].sets,
			.local = wanted->backends[i].local,
			.weight = wanted->backends[i].weight,
		};
	}
	qsort(b, wanted->n_backends, sizeof(*b), state_order_backends);
	for (size_t i = 0; i < wanted->n_backends; i++) {
		if (n > 0 && state_order_backends(&b[n - 1], &b[i]) == 0)
			b[n - 1].sets |= b[i].sets;
		else
			b[n++] = b[i];
	}
	change->backends = b;
	change->n_backends = n;
	return 0;
}

static int take_backend(struct tables *tables, const struct change *change,
			struct tables_backend *b)
{
	uint32_t id = ids_take(tables->backend_ids), generation;
	struct sl_backend *at = &tables->memory.backends[id];

	if (id == 0)
		return -ENOSPC;
	generation = SL_BACKEND_GENERATION(at->word);
	at->addr = b->addr;
	at->port = b->port;
	at->flags = b->local ? SL_BACKEND_LOCAL : 0;
	at->family = change->port->family;
	at->service = change->port->id;
	if (generation > 0)
		state_clear_stats(tables, DATAPATH_stats_backends, id);
	b->generation = generation + 1;
	memory_store(&at->word, state_backend_word(b));
	/* Before a record can choose it: its answers must be looked at. */
	address_bits_use(tables->bits, ADDRESS_ENDPOINT,
			 address_slot(&b->addr, change->port->family));
	b->id = id;
	b->fresh = true;
	return 0;
}

/* Gives every backend the id it has, or a fresh one. */
static int prepare_backends(struct tables *tables, struct change *change)
{
	const struct tables_port *port = change->port;
	int err = copy_backends(change);

	for (size_t i = 0, old = 0; i < change->n_backends && !err; i++) {
		struct tables_backend *b = &change->backends[i];

		while (old < port->n_backends && state_order_backends(&port->backends[old], b) < 0)
			old++;
		if (old < port->n_backends && state_order_backends(&port->backends[old], b) == 0) {
			b->id = port->backends[old].id;
			b->generation = port->backends[old].generation;
		} else {
			err = take_backend(tables, change, b);
		}
	}
	return err;
}

static bool same_members(const struct change *change, int set)
{
	const struct tables_port *port = change->port;
	const struct tables_backend *a, *b;
	size_t i = 0, j = 0;

	do {
		a = state_next_member(port->backends, port->n_backends, set, &i);
		b = state_next_member(change->backends, change->n_backends, set, &j);
		if (!a != !b || (a && (a->id != b->id || a->weight != b->weight)))
			return false;
	} while (a);
	return true;
}

/* Finds slots for a set: the old run if it says the same, else a fresh one. */
static int prepare_set(struct tables *tables, struct change *change, int set,
		       const struct sl_set *old, enum datapath_map *ret_map)
{
	struct sl_set *out = &change->record.set[set];
	uint32_t *slots = tables->memory.slots;
	const struct tables_backend *b, *one = NULL;
	size_t n = 0, at = 0;
	int err;

	if (change->port->verified && same_members(change, set)) {
		*out = *old;
		change->run_sum[set] = change->port->run_sum[set];
		return 0;
	}
	for (; (b = state_next_member(change->backends, change->n_backends, set, &at)); n++)
		one = b;
	out->slots = maglev_size(n);
	if (n < 2) {
		out->first = n ? one->id : 0;
		return 0;
	}
	err = state_build_run(tables, change->port->family, change->backends, change->n_backends,
			      set, n, out->slots);
	if (err)
		return err;
	change->run_sum[set] = state_run_sum(tables->scratch, out->slots);
	if (old->slots == out->slots &&
	    !memcmp(slots + old->first, tables->scratch, out->slots * sizeof(*slots))) {
		out->first = old->first;
		return 0;
	}
	*ret_map = DATAPATH_maglev;
	err = slab_take(tables->slab, out->slots, &out->first);
	if (err)
		return err;
	change->fresh_run[set] = true;
	memcpy(slots + out->first, tables->scratch, out->slots * sizeof(*slots));
	return 0;
}

static bool same_sources(const struct change *change)
{
	const struct tables_port *port = change->port;

	if (port->n_sources != change->n_sources)
		return false;
	for (size_t i = 0; i < change->n_sources; i++) {
		if (state_order_prefixes(&port->sources[i], &change->sources[i]))
			return false;
	}
	return true;
}

static int prepare_policy(struct tables *tables, struct change *change, uint32_t old,
			  enum datapath_map *ret_map)
{
	const struct resolved_port *wanted = change->wanted;
	uint32_t id;
	int err;

	*ret_map = change->port->family == 4 ? DATAPATH_policy4 : DATAPATH_policy6;
	change->sources = calloc(wanted->n_sources + 1, sizeof(*change->sources));
	if (!change->sources)
		return -ENOMEM;
	if (wanted->n_sources > 0)
		memcpy(change->sources, wanted->sources,
		       wanted->n_sources * sizeof(*change->sources));
	change->n_sources = wanted->n_sources;
	qsort(change->sources, change->n_sources, sizeof(*change->sources), state_order_prefixes);

	change->record.policy = old;
	if (same_sources(change))
		return 0;
	change->record.policy = 0;
	if (change->n_sources > 0) {
		id = ids_take(tables->policy_ids);
		if (id == 0)
			return -ENOSPC;
		err = policy_insert(tables->datapath, change->port->family, id, change->sources,
				    change->n_sources);
		if (err) {
			ids_give(tables->policy_ids, id);
			return err;
		}
		tables->n_prefixes[change->port->family == 6] += (uint32_t)change->n_sources;
		change->record.policy = id;
	}
	change->new_policy = true;
	return 0;
}

static int prepare_record(struct tables *tables, struct change *change, enum datapath_map *ret_map)
{
	static const struct sl_record none;
	const struct tables_port *port = change->port;
	const struct sl_record *old = port->record ? &port->content : &none;
	int err = 0;

	for (int set = 0; set < SL_SET_MAX && !err; set++)
		err = prepare_set(tables, change, set, &old->set[set], ret_map);
	err = err ?: prepare_policy(tables, change, old->policy, ret_map);
	if (err)
		return err;

	change->record.service = port->id;
	change->record.affinity_s = change->wanted->affinity_s;
	change->record.flags = change->wanted->ranges_everywhere ? SL_RECORD_RANGES_EVERYWHERE : 0;
	change->record.leave = change->wanted->leave;
	change->record.drain_s = change->wanted->drain_s;
	memcpy(change->record.path, change->wanted->path, SL_PATH_MAX);
	if (port->record && !memcmp(old, &change->record, sizeof(*old)))
		return 0;
	*ret_map = DATAPATH_records;
	change->index = ids_take(tables->record_ids);
	if (change->index == 0)
		return -ENOSPC;
	tables->memory.records[change->index] = change->record;
	return 0;
}

static int claim(struct tables *tables, struct change *change, const struct claim_key *key,
		 uint8_t kind)
{
	struct tables_port *port = change->port;
	struct claim *c = claims_find(tables->claims, key, port);

	/* One port can name an address in two ways: the first way counts. */
	if (c && c->mark)
		return 0;
	if (!c) {
		int err = claims_prepare(tables->claims, key, port, port->id, kind, &c);

		if (err)
			return err;
	}
	c->mark = true;
	change->claims[change->n_claims] = c;
	change->kinds[change->n_claims++] = kind;
	return 0;
}

static int prepare_claims(struct tables *tables, struct change *change, enum datapath_map *ret_map)
{
	const struct resolved_port *wanted = change->wanted;
	size_t n = 2 * wanted->n_frontends + 1;
	int err = 0;

	*ret_map = change->port->family == 4 ? DATAPATH_frontends4 : DATAPATH_frontends6;
	change->claims = calloc(n, sizeof(*change->claims));
	change->kinds = calloc(n, sizeof(*change->kinds));
	if (!change->claims || !change->kinds)
		return -ENOMEM;

	for (size_t i = 0; i < change->port->n_claims; i++)
		change->port->claims[i]->mark = false;
	for (size_t i = 0; i < wanted->n_frontends && !err; i++) {
		const struct resolved_frontend *f = &wanted->frontends[i];
		struct claim_key key = { .addr = f->addr,
					 .port = f->port,
					 .proto = wanted->proto,
					 .family = wanted->family };

		err = claim(tables, change, &key, f->kind);
		if (err || f->kind != SL_KIND_CLUSTER_IP)
			continue;
		/* The address as such: its other ports are rejected (S-121). */
		key.port = 0;
		key.proto = 0;
		err = claim(tables, change, &key, SL_KIND_CLUSTER_ADDRESS);
	}
	return err;
}

static int prepare_port(struct tables *tables, const struct tables_service *service,
			struct change *change)
{
	const struct resolved_port *wanted = change->wanted;
	struct tables_port *port;
	int err = state_new_port(service, wanted->name, wanted->proto, wanted->family, &port);

	if (err)
		return err;
	change->port = port;
	change->new_port = true;
	port->id = ids_take(tables->service_ids);
	if (port->id == 0)
		return -ENOSPC;
	port->version = (uint32_t)(tables->memory.services[port->id] >> 32);
	if (tables->memory.services[port->id])
		state_clear_stats(tables, DATAPATH_stats_services, port->id);
	return state_write_identity(tables, port->id, port);
}

int change_prepare(struct tables *tables, const struct tables_service *service,
		   struct tables_port *port, const struct resolved_port *wanted, struct change *ret,
		   enum datapath_map *ret_map)
{
	int err = 0;

	*ret = (struct change) { .port = port, .wanted = wanted };
	*ret_map = DATAPATH_services;
	if (!port)
		err = prepare_port(tables, service, ret);
	if (!err) {
		*ret_map = DATAPATH_backends;
		err = prepare_backends(tables, ret);
	}
	err = err ?: prepare_record(tables, ret, ret_map);
	err = err ?: prepare_claims(tables, ret, ret_map);
	if (err)
		change_undo(tables, ret);
	return err;
}

static void undo_backends(struct tables *tables, const struct change *change)
{
	for (size_t i = 0; i < change->n_backends; i++) {
		const struct tables_backend *b = &change->backends[i];
		uint32_t slot = address_slot(&b->addr, change->port->family);
		__u64 *word;

		if (!b->fresh)
			continue;
		word = &tables->memory.backends[b->id].word;
		memory_store(word,
			     SL_BACKEND_WORD(SL_BACKEND_GENERATION(*word), 0, SL_BACKEND_FREE));
		ids_give(tables->backend_ids, b->id);
		if (address_bits_leave(tables->bits, ADDRESS_ENDPOINT, slot))
			address_bits_retire(tables->bits, ADDRESS_ENDPOINT, slot);
	}
}

static void undo_record(struct tables *tables, const struct change *change)
{
	for (int set = 0; set < SL_SET_MAX; set++) {
		if (change->fresh_run[set])
			slab_give(tables->slab, change->record.set[set].first,
				  change->record.set[set].slots);
	}
	if (change->new_policy && change->record.policy) {
		policy_delete(tables->datapath, change->port->family, change->record.policy,
			      change->sources, change->n_sources);
		tables->n_prefixes[change->port->family == 6] -= (uint32_t)change->n_sources;
		ids_give(tables->policy_ids, change->record.policy);
	}
	if (change->index)
		ids_give(tables->record_ids, change->index);
}

void change_undo(struct tables *tables, struct change *change)
{
	if (!change->port)
		return;
	for (size_t i = 0; i < change->n_claims; i++) {
		if (change->claims[i]->state == CLAIM_PREPARED)
			claims_release(tables->claims, change->claims[i], state_bit_left, tables);
	}
	undo_record(tables, change);
	undo_backends(tables, change);
	if (change->new_port) {
		if (change->port->id) {
			state_write_identity(tables, change->port->id, NULL);
			ids_give(tables->service_ids, change->port->id);
		}
		state_free_port(change->port);
	}
	free(change->backends);
	free(change->sources);
	free(change->claims);
	free(change->kinds);
	*change = (struct change) { 0 };
}
