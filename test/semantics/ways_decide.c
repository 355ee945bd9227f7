/* SPDX-License-Identifier: Apache-2.0 */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "test/semantics/ways.h"

static int fd_of(struct world *world, enum datapath_map map)
{
	return datapath_map(world_datapath(world), map);
}

static struct fate fate_of(struct world *world, const struct sl_decide *d)
{
	struct fate fate = { .verdict = VERDICT_DROP, .snat = d->masquerade };
	struct sl_backend backend;

	switch (d->verdict) {
	case SL_NEXT:
		if (bpf_map_lookup_elem(fd_of(world, DATAPATH_backends), &d->backend, &backend))
			return ways_failed("there is no backend %u", d->backend);
		fate.verdict = VERDICT_DNAT;
		fate.addr = backend.addr;
		fate.port = backend.port;
		return fate;
	case SL_LEAVE:
		fate.verdict = VERDICT_PASS;
		return fate;
	case SL_REJECT_NO_ENDPOINTS:
	case SL_REJECT_UNKNOWN_PORT:
		fate.verdict = VERDICT_REJECT;
		return fate;
	case SL_DROP_BUG:
		return ways_failed("the decision met a bug");
	default:
		return fate;
	}
}

struct fate ways_decide(struct world *world, const struct ends *ends, const char *iif,
			struct sl_decide *ret)
{
	struct sl_decide d = {
		.sport = ends->sport,
		.dport = ends->dport,
		.proto = ends->proto,
		.family = ends->family,
		.local = !iif,
		.ifindex = iif ? world_link(world, iif) : 0,
	};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = &d, .data_size_in = sizeof(d),
		    .data_out = &d, .data_size_out = sizeof(d));

	memcpy(d.saddr, ends->saddr.w, sizeof(d.saddr));
	memcpy(d.daddr, ends->daddr.w, sizeof(d.daddr));
	if (bpf_prog_test_run_opts(datapath_program(world_datapath(world), DATAPATH_DECIDE), &opts))
		return ways_failed("the decision can't be run: %s", strerror(errno));
	if (opts.retval)
		return ways_failed("the decision gave %d", (int)opts.retval);
	if (ret)
		*ret = d;
	return fate_of(world, &d);
}

static void add_backend(struct world *world, json_t *list, uint32_t id)
{
	struct sl_backend backend;
	char ep[IP_TEXT_MAX] = "an unknown backend";
	const json_t *item;
	size_t i;

	if (bpf_map_lookup_elem(fd_of(world, DATAPATH_backends), &id, &backend) == 0)
		ip_format_port(&backend.addr, backend.family, backend.port, ep);
	json_array_foreach (list, i, item)
		if (strcmp(json_string_value(item), ep) == 0)
			return;
	json_array_append_new(list, json_string(ep));
}

/* Backends fill slots in no order, so those of the last one are skipped. */
static void add_slots(struct world *world, json_t *list, const struct sl_set *set)
{
	uint32_t last = 0;

	if (set->slots == 1) {
		add_backend(world, list, set->first);
		return;
	}
	for (uint32_t i = 0; i < set->slots; i++) {
		uint32_t index = (set->first + i) / 2;
		struct sl_slots slots;
		uint32_t id;

		if (bpf_map_lookup_elem(fd_of(world, DATAPATH_maglev), &index, &slots))
			return;
		id = slots.id[(set->first + i) % 2];
		if (id != last)
			add_backend(world, list, id);
		last = id;
	}
}

json_t *ways_set(struct world *world, const struct sl_decide *decision)
{
	json_t *list = json_array();
	struct sl_record record;
	uint64_t word;
	uint32_t index;

	if (bpf_map_lookup_elem(fd_of(world, DATAPATH_services), &decision->service, &word))
		return list;
	index = SL_SERVICE_RECORD(word);
	if (bpf_map_lookup_elem(fd_of(world, DATAPATH_records), &index, &record))
		return list;
	add_slots(
		world, list,
		&record.set[SL_PATH_CHOICE(decision->choice) == SL_CHOOSE_LOCAL ? SL_SET_LOCAL
										: SL_SET_CLUSTER]);
	return list;
}
