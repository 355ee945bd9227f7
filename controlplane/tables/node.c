/* SPDX-License-Identifier: Apache-2.0 */

/* The node's own part of the tables: addresses and interfaces. */

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "controlplane/tables/state.h"

static struct claim_key key_of(const struct tables_address *address)
{
	return (struct claim_key) { .addr = address->addr, .family = address->family };
}

static void unmark(void *context, struct claim *claim)
{
	if (claim->holder == context)
		claim->mark = false;
}

static void release_unmarked(void *context, struct claim *claim)
{
	struct tables *tables = context;

	if (claim->holder == tables && !claim->mark)
		claims_release(tables->claims, claim, state_bit_left, tables);
}

static void release_prepared(void *context, struct claim *claim)
{
	struct tables *tables = context;

	if (claim->holder == tables && claim->state == CLAIM_PREPARED)
		claims_release(tables->claims, claim, state_bit_left, tables);
}

static uint8_t kind_of(const struct tables_address *address)
{
	return address->node_port ? SL_KIND_NODE_ADDRESS : SL_KIND_OWN_ADDRESS;
}

/* Claims the addresses; without effect yet. */
static int prepare_claims(struct tables *tables, const struct tables_address *addresses, size_t n)
{
	claims_each(tables->claims, unmark, tables);
	for (size_t i = 0; i < n; i++) {
		struct claim_key key = key_of(&addresses[i]);
		struct claim *claim = claims_find(tables->claims, &key, tables);
		int err = 0;

		if (!claim)
			err = claims_prepare(tables->claims, &key, tables, 0,
					     kind_of(&addresses[i]), &claim);
		if (err) {
			claims_each(tables->claims, release_prepared, tables);
			return err;
		}
		claim->mark = true;
	}
	return 0;
}

static void commit_claims(struct tables *tables, const struct tables_address *addresses, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct claim_key key = key_of(&addresses[i]);
		struct claim *claim = claims_find(tables->claims, &key, tables);

		if (claim && claim->state == CLAIM_PREPARED)
			claims_activate(tables->claims, claim);
		else if (claim)
			claims_refresh(tables->claims, claim, kind_of(&addresses[i]));
	}
	claims_each(tables->claims, release_unmarked, tables);
}

int tables_set_addresses(struct tables *tables, const struct tables_address *addresses, size_t n)
{
	sl_auto_mem struct tables_address *copy = calloc(n + 1, sizeof(*copy));
	int err = copy ? 0 : -ENOMEM;

	err = err ?: grace_reserve(tables->grace, tables->n_addresses);
	err = err ?: prepare_claims(tables, addresses, n);
	if (err)
		return err;
	if (n > 0)
		memcpy(copy, addresses, n * sizeof(*copy));

	/* The new ones first, so that what stays never loses its bit. */
	for (size_t i = 0; i < n; i++)
		address_bits_use(tables->bits, ADDRESS_NODE,
				 address_slot(&copy[i].addr, copy[i].family));
	commit_claims(tables, copy, n);
	for (size_t i = 0; i < tables->n_addresses; i++) {
		uint32_t slot =
			address_slot(&tables->addresses[i].addr, tables->addresses[i].family);

		if (address_bits_leave(tables->bits, ADDRESS_NODE, slot))
			state_bit_left(tables, ADDRESS_NODE, slot);
	}
	free(tables->addresses);
	tables->addresses = sl_take(copy);
	tables->n_addresses = n;
	grace_start(tables->grace);
	return 0;
}

/* What the count covers is whole at any time: it goes down first and up last. */
static void set_prefixes(void *at, __u8 *at_n, const void *wanted, __u8 n, size_t size)
{
	size_t same = 0;

	if (n > SL_SERVICE_CIDRS)
		n = SL_SERVICE_CIDRS;
	while (same < *at_n && same < n &&
	       !memcmp((char *)at + same * size, (const char *)wanted + same * size, size))
		same++;
	if (same == n && same == *at_n)
		return;
	__atomic_store_n(at_n, (__u8)same, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	memcpy((char *)at + same * size, (const char *)wanted + same * size, (n - same) * size);
	__atomic_store_n(at_n, n, __ATOMIC_RELEASE);
}

void tables_set_node(struct tables *tables, const struct sl_node *node)
{
	struct sl_node *at = tables->memory.node;

	at->pods4 = node->pods4;
	__atomic_store_n(&at->detect4, node->detect4, __ATOMIC_RELEASE);
	at->pods6 = node->pods6;
	__atomic_store_n(&at->detect6, node->detect6, __ATOMIC_RELEASE);
	set_prefixes(at->services4, &at->n_services4, node->services4, node->n_services4,
		     sizeof(node->services4[0]));
	set_prefixes(at->services6, &at->n_services6, node->services6, node->n_services6,
		     sizeof(node->services6[0]));
	at->addr4[0] = node->addr4[0];
	memcpy(at->addr6, node->addr6, sizeof(at->addr6));
	at->taken_over = node->taken_over;
	__atomic_store_n(&at->handover, node->handover, __ATOMIC_RELEASE);
	/* Never taken back: nobody counts the flows. */
	if (at->compatible || node->compatible)
		__atomic_store_n(&at->was_compatible, 1, __ATOMIC_RELEASE);
	/* Whoever masquerades finds an address. */
	__atomic_store_n(&at->compatible, node->compatible, __ATOMIC_RELEASE);
	tables->node = *at;
}

struct tables_iface *state_find_iface(const struct tables *tables, uint32_t ifindex)
{
	struct chain_link *link =
		chain_first(&tables->ifaces, chain_hash(0, &ifindex, sizeof(ifindex)));

	for (; link; link = chain_next(link)) {
		struct tables_iface *iface = chain_entry(link, struct tables_iface, link);

		if (iface->ifindex == ifindex)
			return iface;
	}
	return NULL;
}

int state_write_iface(struct tables *tables, const struct tables_iface *iface)
{
	int map = datapath_map(tables->datapath, DATAPATH_ifaces);
	struct sl_store argument = {
		.map = SL_STORE_IFACE,
		.iface = { .ifindex = iface->ifindex, .value = iface->value },
	};
	LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = &argument, .ctx_size_in = sizeof(argument));

	if (bpf_prog_test_run_opts(datapath_program(tables->datapath, DATAPATH_STORE), &run))
		return -errno;
	if (run.retval == 0)
		return 0;
	return bpf_map_update_elem(map, &iface->ifindex, &iface->value, BPF_NOEXIST) ? -errno : 0;
}

int tables_set_iface(struct tables *tables, uint32_t ifindex, const struct sl_iface *value)
{
	struct tables_iface *iface = state_find_iface(tables, ifindex);

	if (!iface) {
		iface = calloc(1, sizeof(*iface));
		if (!iface)
			return -ENOMEM;
		iface->ifindex = ifindex;
		chain_add(&tables->ifaces, &iface->link, chain_hash(0, &ifindex, sizeof(ifindex)));
	}
	iface->value = *value;
	return state_write_iface(tables, iface);
}

void tables_prune_ifaces(struct tables *tables, bool (*keep)(void *context, uint32_t ifindex),
			 void *context)
{
	int map = datapath_map(tables->datapath, DATAPATH_ifaces);
	uint32_t ifindex, next;
	bool any = bpf_map_get_next_key(map, NULL, &next) == 0;

	while (any) {
		struct tables_iface *iface;

		ifindex = next;
		any = bpf_map_get_next_key(map, &ifindex, &next) == 0;
		if (keep(context, ifindex))
			continue;
		bpf_map_delete_elem(map, &ifindex);
		iface = state_find_iface(tables, ifindex);
		if (iface) {
			chain_remove(&tables->ifaces, &iface->link);
			free(iface);
		}
	}
}
