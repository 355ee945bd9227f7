/* SPDX-License-Identifier: Apache-2.0 */

/* Committing: each store leaves packets with the old state or the new. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "controlplane/tables/change.h"

static void defer(struct tables *tables, enum grace_kind kind, uint32_t id, uint32_t n)
{
	grace_add(tables->grace, &(struct grace_item) { .kind = (uint8_t)kind, .id = id, .n = n });
}

static void flip(struct tables *tables, struct tables_port *port, uint32_t record)
{
	__u64 *word = &tables->memory.services[port->id];

	port->version += record != 0;
	memory_store(word, SL_SERVICE_WORD(record, port->version));
	tables->flipped_ns = uv_hrtime();
}

/* Frees the runs of the port's record that `next` does not go on using. */
static void defer_record(struct tables *tables, struct tables_port *port,
			 const struct sl_record *next)
{
	const struct sl_record *old = &port->content;

	if (port->record == 0)
		return;
	for (int set = 0; set < SL_SET_MAX; set++) {
		const struct sl_set *run = &old->set[set];

		if (run->slots > 1 && !(next && next->set[set].slots == run->slots &&
					next->set[set].first == run->first))
			defer(tables, GRACE_RUN, run->first, run->slots);
	}
	if (old->policy && !(next && next->policy == old->policy)) {
		grace_add(tables->grace, &(struct grace_item) { .kind = GRACE_POLICY,
								.which = port->family,
								.id = old->policy,
								.n = (uint32_t)port->n_sources,
								.data = port->sources });
		port->sources = NULL;
		port->n_sources = 0;
	}
	defer(tables, GRACE_RECORD, port->record, 0);
}

static void commit_record(struct tables *tables, struct change *change)
{
	struct tables_port *port = change->port;
	const struct sl_record *old = &port->content;
	bool other_leave =
		change->index && port->record &&
		(old->leave != change->record.leave || old->drain_s != change->record.drain_s);
	uint32_t before;

	if (change->index) {
		flip(tables, port, change->index);
		defer_record(tables, port, &change->record);
		before = port->content.policy;
		port->record = change->index;
		port->content = change->record;
		state_know_policy(tables, port, before);
	}
	if (other_leave)
		state_end_connections(tables, port->id);
	memcpy(port->run_sum, change->run_sum, sizeof(port->run_sum));
	free(port->sources);
	port->sources = sl_take(change->sources);
	port->n_sources = change->n_sources;
	port->verified = true;
}

static void drop_backend(struct tables *tables, const struct tables_backend *b, uint8_t family)
{
	uint32_t slot = address_slot(&b->addr, family);

	state_retire_backend(tables, b->id, b->generation);
	defer(tables, GRACE_BACKEND, b->id, 0);
	if (address_bits_leave(tables->bits, ADDRESS_ENDPOINT, slot))
		state_bit_left(tables, ADDRESS_ENDPOINT, slot);
	tables->n_backends--;
}

static bool keep_backend(struct tables *tables, const struct tables_backend *b)
{
	struct sl_backend *at = &tables->memory.backends[b->id];
	uint64_t word = state_backend_word(b);
	uint8_t flags = b->local ? SL_BACKEND_LOCAL : 0;
	bool changed = at->word != word || at->flags != flags;

	if (at->flags != flags)
		__atomic_store_n(&at->flags, flags, __ATOMIC_RELAXED);
	if (at->word != word)
		memory_store(&at->word, word);
	return changed;
}

static bool commit_backends(struct tables *tables, struct change *change)
{
	struct tables_port *port = change->port;
	bool written = false;
	size_t old = 0;

	for (size_t i = 0; i <= change->n_backends; i++) {
		struct tables_backend *b = i < change->n_backends ? &change->backends[i] : NULL;

		/* Both lists are sorted: what comes before is in the old only. */
		while (old < port->n_backends &&
		       (!b || state_order_backends(&port->backends[old], b) < 0)) {
			drop_backend(tables, &port->backends[old++], port->family);
			written = true;
		}
		if (!b)
			break;
		if (b->fresh) {
			tables->n_backends++;
			b->fresh = false;
			written = true;
		} else {
			written = keep_backend(tables, b) || written;
			old++;
		}
	}
	free(port->backends);
	port->backends = sl_take(change->backends);
	port->n_backends = change->n_backends;
	return written;
}

static void tell_conflict(const struct tables *tables, const struct claim *claim,
			  const struct claim *owner)
{
	const struct tables_port *mine = claim->holder, *other = owner->holder;
	char address[IP_TEXT_MAX], frontend[IP_TEXT_MAX + 32];

	/* Ports of one service share its address; the node's has no port. */
	if (claim->kind == SL_KIND_CLUSTER_ADDRESS || claim->kind == SL_KIND_NODE_ADDRESS ||
	    owner->service == 0 || mine->service == other->service)
		return;
	if (claim->kind == SL_KIND_NODE_PORT)
		snprintf(address, sizeof(address), "nodePort %u", ntohs(claim->key.port));
	else
		ip_format_port(&claim->key.addr, claim->key.family, claim->key.port, address);
	snprintf(frontend, sizeof(frontend), "%s/%s", address, ip_protocol_name(claim->key.proto));
	log_warn("tables: frontend %s is already held by another service; it waits "
		 "service=%s/%s holder=%s/%s",
		 frontend, mine->service->namespace_, mine->service->name,
		 other->service->namespace_, other->service->name);
	if (tables->conflict)
		tables->conflict(tables->conflict_context,
				 &(struct tables_conflict) {
					 .namespace_ = mine->service->namespace_,
					 .name = mine->service->name,
					 .holder_namespace = other->service->namespace_,
					 .holder_name = other->service->name,
					 .frontend = frontend,
				 });
}

static bool commit_claims(struct tables *tables, struct change *change)
{
	struct tables_port *port = change->port;
	bool written = false;

	for (size_t i = 0; i < change->n_claims; i++) {
		struct claim *c = change->claims[i];

		if (c->state == CLAIM_PREPARED) {
			const struct claim *owner = claims_activate(tables->claims, c);

			if (owner)
				tell_conflict(tables, c, owner);
			written = true;
		} else {
			written = claims_refresh(tables->claims, c, change->kinds[i]) || written;
		}
	}
	for (size_t i = 0; i < change->n_claims && !change->err; i++)
		change->err = change->claims[i]->err;
	for (size_t i = 0; i < port->n_claims; i++) {
		if (!port->claims[i]->mark) {
			claims_release(tables->claims, port->claims[i], state_bit_left, tables);
			written = true;
		}
	}
	free(port->claims);
	port->claims = sl_take(change->claims);
	port->n_claims = change->n_claims;
	return written;
}

/* Are datagrams served from now on that found nobody before? */
static bool begins_to_serve(const struct change *change)
{
	if (change->port->proto != IPPROTO_UDP || change->n_backends == 0)
		return false;
	if (change->port->n_backends == 0)
		return true;
	for (size_t i = 0; i < change->n_claims; i++)
		if (change->claims[i]->state == CLAIM_PREPARED)
			return true;
	return false;
}

bool change_commit(struct tables *tables, struct change *change)
{
	bool written = change->index != 0, serves = begins_to_serve(change);

	tables->n_ports += change->new_port;
	if (change->new_port)
		state_know_port(tables, change->port);
	commit_record(tables, change);
	written = commit_backends(tables, change) || written;
	written = commit_claims(tables, change) || written;
	free(change->kinds);
	change->kinds = NULL;
	if (serves && tables->complete && tables->served)
		tables->served(tables->served_context);
	return written;
}

void change_remove(struct tables *tables, struct tables_port *port)
{
	for (size_t i = 0; i < port->n_claims; i++)
		claims_release(tables->claims, port->claims[i], state_bit_left, tables);
	flip(tables, port, 0);
	for (size_t i = 0; i < port->n_backends; i++)
		drop_backend(tables, &port->backends[i], port->family);
	defer_record(tables, port, NULL);
	defer(tables, GRACE_SERVICE, port->id, 0);
	tables->n_ports--;
	state_forget_port(tables, port);
	state_free_port(port);
}
