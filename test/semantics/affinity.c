/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The datapath's clock can't be moved, but its memory can: the time between
 * two connections is taken off what it remembers. A free choice is tried with
 * other source ports until it is the table's, so that all later ones must be.
 */

#include "test/semantics/affinity.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "test/semantics/packets.h"
#include "test/semantics/profile.h"

#define TRIES 2000

/* The largest key is that of affinity6. */
struct memory {
	struct {
		enum datapath_map map;
		uint8_t key[sizeof(struct sl_client6)];
		struct sl_affinity value;
	} items[64];
	size_t n;
};

static void remember(struct world *world, struct memory *memory)
{
	static const enum datapath_map maps[] = { DATAPATH_affinity4, DATAPATH_affinity6 };

	memory->n = 0;
	for (size_t i = 0; i < SL_COUNT(maps); i++) {
		int fd = datapath_map(world_datapath(world), maps[i]);
		uint8_t key[sizeof(struct sl_client6)], *last = NULL;

		while (memory->n < SL_COUNT(memory->items) &&
		       bpf_map_get_next_key(fd, last, key) == 0) {
			memory->items[memory->n].map = maps[i];
			memcpy(memory->items[memory->n].key, key, sizeof(key));
			bpf_map_lookup_elem(fd, key, &memory->items[memory->n].value);
			last = memory->items[memory->n++].key;
		}
	}
}

/* Puts back what was remembered, as if `ms` had passed. */
static void restore(struct world *world, const struct memory *memory, uint32_t ms)
{
	world_forget_clients(world);
	for (size_t i = 0; i < memory->n; i++) {
		struct sl_affinity value = memory->items[i].value;

		for (size_t k = 0; k < SL_COUNT(value.at); k++)
			value.at[k].used -= ms;
		bpf_map_update_elem(datapath_map(world_datapath(world), memory->items[i].map),
				    memory->items[i].key, &value, BPF_ANY);
	}
}

/* Connects, a free choice until it is the `wanted` one. */
static struct fate connect_to(struct world *world, const json_t *packet, const char *wanted,
			      bool is_free)
{
	struct memory memory;
	struct ends ends;
	struct fate fate = { .verdict = VERDICT_ERROR, .error = "not a packet" };
	const char *iif = json_string_value(json_object_get(packet, "iif"));

	if (!packets_read(packet, &ends))
		return fate;
	remember(world, &memory);
	for (int i = 0; i < (is_free ? TRIES : 1); i++) {
		char ep[IP_TEXT_MAX];

		restore(world, &memory, 0);
		ends.sport = ways_port();
		fate = iif ? ways_inject(world, &ends, iif) : ways_connect(world, &ends, false);
		if (fate.verdict != VERDICT_DNAT)
			break;
		ip_format_port(&fate.addr, ends.family, fate.port, ep);
		if (strcmp(ep, wanted) == 0)
			break;
	}
	return fate;
}

static void replace_slices(struct check *check, struct store *store, const json_t *slices)
{
	const json_t *slice;
	size_t i;

	store_list_begin(store, OBJECT_SLICE);
	json_array_foreach (slices, i, slice)
		profile_apply(check, store, slice, false);
	store_list_end(store, OBJECT_SLICE);
}

static void run_one(struct check *check, struct world *world, const json_t *connection, size_t i)
{
	const json_t *packet = json_object_get(connection, "packet");
	const char *wanted = json_string_value(json_object_get(connection, "chosenInThisRun"));
	struct fate fate;
	char got[160], ep[IP_TEXT_MAX] = "";
	uint8_t family;

	wanted = wanted ? wanted : "";
	family = strchr(json_string_value(json_object_get(packet, "src")), ':') ? 6 : 4;
	fate = connect_to(world, packet, wanted, json_is_true(json_object_get(connection, "free")));
	if (fate.verdict == VERDICT_DNAT)
		ip_format_port(&fate.addr, family, fate.port, ep);
	if (strcmp(ep, wanted) != 0)
		check_say(check, "connection %zu at %g s: expected dnat to %s%s, got %s", i,
			  json_number_value(json_object_get(connection, "at")), wanted,
			  json_is_true(json_object_get(connection, "free")) ? " to be possible"
									    : " again",
			  ways_tell(&fate, family, got));
	check_count(check, ITEM_CONNECTION,
		    strcmp(ep, wanted) == 0 ? RESULT_PASSED : RESULT_FAILED);
}

void affinity_run(struct check *check, struct world *world, const json_t *profile,
		  const json_t *the_case)
{
	sl_auto(store) store = profile_store(check, profile, json_object_get(the_case, "services"),
					     json_object_get(the_case, "endpointSlices"), NULL);
	const json_t *connection;
	double now = 0;
	size_t i;

	if (world_begin(world, store))
		return;
	store_list_end(store, OBJECT_SERVICE);
	store_list_end(store, OBJECT_SLICE);
	world_sync(world);
	world_forget_clients(world);
	json_array_foreach (json_object_get(the_case, "connections"), i, connection) {
		const json_t *slices = json_object_get(connection, "replaceSlices");
		double at = json_number_value(json_object_get(connection, "at"));
		struct memory memory;

		remember(world, &memory);
		restore(world, &memory, (uint32_t)llround((at - now) * 1000));
		now = at;
		if (slices) {
			replace_slices(check, store, slices);
			world_sync(world);
		}
		run_one(check, world, connection, i);
	}
	world_forget_clients(world);
	world_forget_flows(world);
	world_end(world);
}
