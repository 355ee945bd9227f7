/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The parts of a page (private to scrape/). Each begins metrics of its own. */

#include "controlplane/metrics/page.h"
#include "controlplane/scrape/scrape.h"

/* What the daemon knows. On the loop. */
void parts_daemon(struct page *page, const struct scrape_options *options);

/* This process, by /proc. What that does not tell is left out. */
void parts_process(struct page *page);

/* Whose counters are read. */
struct parts_services {
	bool *used; /* by service id; tables_used_services() */
	uint32_t n_used;
	uint32_t max_ports; /* so many have metrics of their own */
};

/* Counters over all services since some moment; never less than they were. */
struct parts_totals {
	struct sl_service_stats begin; /* to be subtracted, modulo 2^64 */
	struct sl_service_stats last;  /* of the page before */
};

/*
 * What the maps say. On any thread. The totals' `last` is moved on. Returns 0,
 * or -errno with a line in `error`.
 */
int parts_maps(struct page *page, const struct view *view, const struct parts_services *services,
	       struct parts_totals *totals, char error[512]);

/* The sum over the services' counters. */
int parts_sum(const struct view *view, const struct parts_services *services,
	      struct sl_service_stats *ret, char error[512]);
