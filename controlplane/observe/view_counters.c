/* SPDX-License-Identifier: Apache-2.0 */

/* Counters of all services, for /metrics. */

#include <errno.h>
#include <string.h>

#include "controlplane/observe/view_private.h"

/* Identities that are read at once, if one of them is wanted. */
#define CHUNK 256

static void end_texts(struct sl_identity *identity)
{
	identity->namespace_[sizeof(identity->namespace_) - 1] = 0;
	identity->service[sizeof(identity->service) - 1] = 0;
	identity->port[sizeof(identity->port) - 1] = 0;
}

/* Takes what is programmed of `n` ids from `first` on. */
static void take(struct view_counters *counters, const bool *used, uint32_t first, uint32_t n,
		 const struct sl_identity *identities, uint32_t max_ports)
{
	for (uint32_t i = 0; i < n; i++) {
		if (!used[first + i] || !identities[i].family)
			continue;
		if (counters->n_ports == max_ports) {
			counters->left_out++;
			continue;
		}
		counters->ports[counters->n_ports].id = first + i;
		counters->ports[counters->n_ports].who = identities[i];
		end_texts(&counters->ports[counters->n_ports++].who);
	}
}

static int read_ports(const struct view *view, const bool *used, uint32_t max_ports,
		      struct view_counters *counters, char error[VIEW_ERROR_MAX])
{
	struct sl_identity identities[CHUNK];
	struct table table;
	uint32_t n_used = 0;
	int r = view_table(view, DATAPATH_identities, 4, sizeof(struct sl_identity), &table, error);

	if (!r && table.max_entries < counters->n)
		r = view_fail(error, -EPROTO, "map identities: smaller than stats_services");
	for (uint32_t id = 0; id < counters->n; id++)
		n_used += used[id];
	if (n_used > max_ports)
		n_used = max_ports;
	counters->ports = calloc(n_used + 1, sizeof(*counters->ports));
	if (!counters->ports)
		return view_no_memory(error);
	for (uint32_t first = 0; !r && first < counters->n; first += CHUNK) {
		uint32_t n = counters->n - first < CHUNK ? counters->n - first : CHUNK;

		if (!memchr(&used[first], true, n))
			continue;
		r = view_array(&table, first, n, identities, error);
		if (!r)
			take(counters, used, first, n, identities, max_ports);
	}
	return r;
}

int view_counters(const struct view *view, const bool *used, uint32_t n, uint32_t max_ports,
		  struct view_counters *ret, char error[512])
{
	__attribute__((cleanup(view_counters_done))) struct view_counters counters = { 0 };
	struct table stats;
	uint64_t *sums;
	int r = view_table(view, DATAPATH_stats_services, 4, sizeof(struct sl_service_stats),
			   &stats, error);

	if (r)
		return r;
	counters.n = n;
	r = view_sums(&stats, used, counters.n, &sums, error);
	if (r)
		return r;
	counters.stats = (struct sl_service_stats *)(void *)sums;
	r = read_ports(view, used, max_ports, &counters, error);
	if (r)
		return r;
	*ret = counters;
	counters = (struct view_counters) { 0 };
	return 0;
}

void view_counters_done(struct view_counters *counters)
{
	free(counters->stats);
	free(counters->ports);
}
