/* SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "common/ip.h"
#include "controlplane/scrape/parts.h"

/* Counters are u64 and nothing else. */
#define FIELDS (sizeof(struct sl_service_stats) / sizeof(uint64_t))
_Static_assert(FIELDS * sizeof(uint64_t) == sizeof(struct sl_service_stats), "has other fields");

static const char *const directions[2] = {
	[SL_FORWARDS] = "request",
	[SL_BACKWARDS] = "answer",
};

static void sum_up(const struct view_counters *counters, struct sl_service_stats *ret)
{
	uint64_t *sum = (uint64_t *)ret;

	memset(ret, 0, sizeof(*ret));
	for (uint32_t id = 0; id < counters->n; id++) {
		const uint64_t *one = (const uint64_t *)&counters->stats[id];

		for (size_t i = 0; i < FIELDS; i++)
			sum[i] += one[i];
	}
}

int parts_sum(const struct view *view, const struct parts_services *services,
	      struct sl_service_stats *ret, char error[512])
{
	struct view_counters counters;
	int r = view_counters(view, services->used, services->n_used, 0, &counters, error);

	if (r)
		return r;
	sum_up(&counters, ret);
	view_counters_done(&counters);
	return 0;
}

/*
 * A service id may be freed between the reading of its counters and of those
 * that were kept. Its share is then missing once, and must not make a counter
 * go back, which would be taken for a restart.
 */
static void move_on(struct parts_totals *totals, const struct sl_service_stats *sum)
{
	const uint64_t *now = (const uint64_t *)sum;
	const uint64_t *begin = (const uint64_t *)&totals->begin;
	uint64_t *last = (uint64_t *)&totals->last;

	for (size_t i = 0; i < FIELDS; i++)
		if ((int64_t)(now[i] - begin[i] - last[i]) > 0)
			last[i] = now[i] - begin[i];
}

static void write_totals(struct page *page, const struct sl_service_stats *total)
{
	page_one_count(page, METRIC_CONNECTIONS, total->connections);
	page_begin(page, METRIC_PACKETS);
	for (int i = 0; i < 2; i++)
		page_count(page, total->packets[i], directions[i]);
	page_begin(page, METRIC_BYTES);
	for (int i = 0; i < 2; i++)
		page_count(page, total->bytes[i], directions[i]);
	page_begin(page, METRIC_LOSSES);
	for (unsigned int i = 0; i < SL_LOSSES; i++)
		page_count(page, total->losses[i], sl_verdict_name(SL_LOSS_FIRST + i));
}

/* The labels that every metric of a service port has. */
#define PORT_LABELS(who)                                                                           \
	(who)->namespace_, (who)->service, (who)->port, ip_protocol_name((who)->proto),            \
		(who)->family == 6 ? "IPv6" : "IPv4"

static void write_traffic(struct page *page, const struct view_counters *counters)
{
	page_begin(page, METRIC_SERVICE_CONNECTIONS);
	for (uint32_t i = 0; i < counters->n_ports; i++)
		page_count(page, counters->stats[counters->ports[i].id].connections,
			   PORT_LABELS(&counters->ports[i].who));
	page_begin(page, METRIC_SERVICE_PACKETS);
	for (uint32_t i = 0; i < counters->n_ports; i++)
		for (int way = 0; way < 2; way++)
			page_count(page, counters->stats[counters->ports[i].id].packets[way],
				   PORT_LABELS(&counters->ports[i].who), directions[way]);
	page_begin(page, METRIC_SERVICE_BYTES);
	for (uint32_t i = 0; i < counters->n_ports; i++)
		for (int way = 0; way < 2; way++)
			page_count(page, counters->stats[counters->ports[i].id].bytes[way],
				   PORT_LABELS(&counters->ports[i].who), directions[way]);
}

static void write_losses(struct page *page, const struct view_counters *counters)
{
	page_begin(page, METRIC_SERVICE_LOSSES);
	for (uint32_t i = 0; i < counters->n_ports; i++) {
		const struct sl_service_stats *stats = &counters->stats[counters->ports[i].id];

		for (unsigned int loss = 0; loss < SL_LOSSES; loss++)
			if (stats->losses[loss])
				page_count(page, stats->losses[loss],
					   PORT_LABELS(&counters->ports[i].who),
					   sl_verdict_name(SL_LOSS_FIRST + loss));
	}
}

static int write_counters(struct page *page, const struct view *view,
			  const struct parts_services *services, struct parts_totals *totals,
			  char error[512])
{
	struct sl_service_stats sum;
	struct view_counters counters;
	int r = view_counters(view, services->used, services->n_used, services->max_ports,
			      &counters, error);

	if (r)
		return r;
	sum_up(&counters, &sum);
	move_on(totals, &sum);
	write_totals(page, &totals->last);
	if (services->max_ports) {
		write_traffic(page, &counters);
		write_losses(page, &counters);
	}
	page_one_count(page, METRIC_SERVICES_LEFT_OUT, counters.left_out);
	view_counters_done(&counters);
	return 0;
}

static int write_fill(struct page *page, const struct view *view, char error[512])
{
	struct view_map maps[DATAPATH_MAP_MAX];
	size_t n = 0;

	for (unsigned int map = 0; map < DATAPATH_MAP_MAX; map++) {
		int r = view->fd[map] < 0 ? 0 : view_map(view, map, &maps[n], error);

		if (r)
			return r;
		n += view->fd[map] >= 0;
	}
	page_begin(page, METRIC_MAP_ENTRIES);
	for (size_t i = 0; i < n; i++)
		if (maps[i].counted)
			page_count(page, maps[i].entries, maps[i].name);
	page_begin(page, METRIC_MAP_MAX_ENTRIES);
	for (size_t i = 0; i < n; i++)
		page_count(page, maps[i].max_entries, maps[i].name);
	page_begin(page, METRIC_MAP_BYTES);
	for (size_t i = 0; i < n; i++)
		if (maps[i].sized)
			page_count(page, maps[i].bytes, maps[i].name);
	return 0;
}

int parts_maps(struct page *page, const struct view *view, const struct parts_services *services,
	       struct parts_totals *totals, char error[512])
{
	int r = write_counters(page, view, services, totals, error);

	return r ? r : write_fill(page, view, error);
}
