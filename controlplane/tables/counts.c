/* SPDX-License-Identifier: Apache-2.0 */

/* What lbctl and /metrics ask for. */

#include <stdlib.h>

#include "controlplane/tables/state.h"

json_t *tables_latency(const struct tables *tables)
{
	const struct latency *latency = &tables->latency;

	return json_pack("{s:I, s:I, s:I, s:I}", "count", (json_int_t)latency->count, "p50Us",
			 (json_int_t)latency_quantile(latency, 0.5), "p99Us",
			 (json_int_t)latency_quantile(latency, 0.99), "maxUs",
			 (json_int_t)latency->max_us);
}

static void count_service(const struct tables_service *service, struct tables_counts *ret)
{
	ret->services += service->n_ports > 0;
	ret->failed += service->failed;
	for (size_t i = 0; i < service->n_ports; i++) {
		const struct tables_port *port = service->ports[i];

		for (int policy = 0; policy < 2; policy++)
			ret->no_local[port->family == 6][policy] += port->no_local[policy];
	}
}

void tables_count(const struct tables *tables, struct tables_counts *ret)
{
	*ret = (struct tables_counts) {
		.service_ports = tables->n_ports,
		.backends = tables->n_backends,
		.pending = grace_pending(tables->grace),
		.changes = tables->changes,
		.past = tables->past,
	};
	for (size_t i = 0; i < tables->services.n_buckets; i++)
		for (struct chain_link *link = tables->services.buckets[i]; link; link = link->next)
			count_service(chain_entry(link, struct tables_service, link), ret);
}

bool *tables_used_services(const struct tables *tables, uint32_t *ret_n)
{
	uint32_t n = ids_max(tables->service_ids);
	bool *used = calloc(n, sizeof(*used));

	for (uint32_t id = 0; used && id < n; id++)
		used[id] = ids_is_taken(tables->service_ids, id);
	*ret_n = n;
	return used;
}

json_t *tables_status(const struct tables *tables)
{
	struct tables_counts counts;

	tables_count(tables, &counts);
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "services", (json_int_t)counts.services,
			 "servicePorts", (json_int_t)counts.service_ports, "backends",
			 (json_int_t)counts.backends, "pending", (json_int_t)counts.pending,
			 "failed", (json_int_t)counts.failed);
}
