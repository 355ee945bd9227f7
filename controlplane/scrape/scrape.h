/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The server at metricsBindAddress: /metrics, /healthz, /proxyMode and /configz
 * (S-216, S-217, S-230 ... S-236).
 *
 * A page of metrics is begun on the loop, by what the daemon knows, and ended
 * on a worker thread, which reads the maps: the loop goes on meanwhile.
 */

#include <jansson.h>
#include <uv.h>

#include "common/mem.h"
#include "controlplane/config.h"
#include "controlplane/health/proxy_health.h"
#include "controlplane/metrics/runs.h"
#include "controlplane/observe/view.h"
#include "controlplane/source/source.h"
#include "controlplane/store/store.h"
#include "controlplane/tables/tables.h"

struct scrape;

/* All of it has to live as long; `view` until the handles are closed. */
struct scrape_options {
	uv_loop_t *loop;
	const struct config *config;
	const struct store *store;
	const struct runs *runs;
	const struct tables *tables;
	const struct proxy_health *health;
	const struct source *source;
	const struct view *view;
	json_t *(*attach)(void *context); /* the items of AttachList, a new reference */
	void *context;
	uint64_t retry_ms; /* between attempts to listen; 0: 5000 */
};

/* Returns 0, or -errno with a line in `error`. */
int scrape_new(const struct scrape_options *options, struct scrape **ret, char error[512]);

/* Its handles close, and its work ends, on the loop's next turns. Takes NULL too. */
void scrape_free(struct scrape *scrape);
SL_DEFINE_AUTO(scrape)
