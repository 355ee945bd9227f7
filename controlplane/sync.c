/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/sync.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "controlplane/node_ports.h"
#include "controlplane/resolve/resolve.h"
#include "controlplane/store/intern.h"

/* Services a turn of the loop: netlink, timers and lbctl come in between. */
#define SERVICES_PER_TURN 64
/* A service that failed is tried again after this. */
#define RETRY_MS 5000
/* A Node that never comes must not keep the services from working (S-250). */
#define NODE_WAIT_MS 30000

struct sync {
	struct sync_options options;
	uv_idle_t *idle;   /* runs while there is something to do */
	uv_timer_t *retry; /* after a failure */
	uv_timer_t *node_wait;
	struct resolve_node node;
	struct resolve_config config;
	bool node_waited;
	bool synced;
	bool full;     /* this pass goes over all services */
	size_t failed; /* services that are not as they should be */
	size_t failed_now;
};

/* Fills in what resolve must know of the node; true if that changed. */
static bool read_node(struct sync *sync)
{
	const struct node *object = store_node(sync->options.store);
	const struct sl_addr *ip4 = node_primary_address(object, 4);
	const struct sl_addr *ip6 = node_primary_address(object, 6);
	struct resolve_node node = { .name = sync->node.name };
	bool changed;

	node.zone = intern_get(object && object->zone ? object->zone : "");
	if (!node.zone)
		return false;
	if (ip4)
		node.ip4 = *ip4;
	if (ip6)
		node.ip6 = *ip6;
	changed = node.zone != sync->node.zone || !ip_equal(&node.ip4, &sync->node.ip4) ||
		  !ip_equal(&node.ip6, &sync->node.ip6);
	intern_put(sync->node.zone);
	sync->node = node;
	return changed;
}

static void apply(struct sync *sync, const struct store_service *s)
{
	sl_auto(resolved) wanted = NULL;
	char error[512] = "";
	int r = resolve_service(s->namespace_, s->name, s->service, s->slices, s->n_slices,
				&sync->node, &sync->config, &wanted);

	if (r == 0)
		r = tables_apply(sync->options.tables, wanted, s->received_ns, error);
	else
		snprintf(error, sizeof(error), "Service %s/%s: %s", s->namespace_, s->name,
			 strerror(-r));
	if (r < 0) {
		log_error("sync: %s", error);
		sync->failed_now++;
	}
}

static bool ready(const struct sync *sync)
{
	const struct store *store = sync->options.store;

	return store_listed(store, OBJECT_SERVICE) && store_listed(store, OBJECT_SLICE) &&
	       (store_node(store) || sync->node_waited);
}

static void finish_pass(struct sync *sync)
{
	uv_idle_stop(sync->idle);
	sync->failed = sync->failed_now + (sync->full ? 0 : sync->failed);
	sync->failed_now = 0;
	sync->full = false;
	if (!sync->synced) {
		sync->synced = true;
		tables_synced(sync->options.tables);
		log_info("sync: programmed services=%zu",
			 store_count(sync->options.store, OBJECT_SERVICE));
	}
}

static void on_retry(uv_timer_t *timer)
{
	struct sync *sync = timer->data;

	sync->full = true;
	store_touch_all(sync->options.store);
	sync_kick(sync);
}

static void on_idle(uv_idle_t *idle)
{
	struct sync *sync = idle->data;
	struct store_service next;
	int n = 0;

	if (!ready(sync)) {
		uv_idle_stop(idle);
		return;
	}
	if (read_node(sync)) {
		store_touch_all(sync->options.store);
		sync->options.node_changed(sync->options.context);
	}
	while (n < SERVICES_PER_TURN && store_next_changed(sync->options.store, &next)) {
		apply(sync, &next);
		n++;
	}
	if (n == SERVICES_PER_TURN)
		return;
	finish_pass(sync);
	if (sync->failed)
		uv_timer_start(sync->retry, on_retry, RETRY_MS, 0);
}

static void on_node_wait(uv_timer_t *timer)
{
	struct sync *sync = timer->data;

	sync->node_waited = true;
	if (!store_node(sync->options.store))
		log_warn("sync: Node \"%s\" was not found in %d s, going on without its zone and "
			 "addresses",
			 sync->node.name, NODE_WAIT_MS / 1000);
	sync_kick(sync);
}

void sync_kick(struct sync *sync)
{
	uv_idle_start(sync->idle, on_idle);
}

struct sync *sync_new(const struct sync_options *options)
{
	sl_auto(sync) sync = calloc(1, sizeof(*sync));

	if (!sync)
		return NULL;
	sync->options = *options;
	/* Pods' links tell who is pod traffic, in both families. */
	sync->config.detect4 = sync->config.detect6 = true;
	sync->node.name = intern_get(options->config->node_name);
	sync->idle = malloc(sizeof(*sync->idle));
	sync->retry = malloc(sizeof(*sync->retry));
	sync->node_wait = malloc(sizeof(*sync->node_wait));
	if (!sync->idle || !sync->retry || !sync->node_wait || !sync->node.name) {
		free(sync->idle);
		free(sync->retry);
		free(sync->node_wait);
		sync->idle = NULL;
		return NULL;
	}
	uv_idle_init(options->loop, sync->idle);
	uv_timer_init(options->loop, sync->retry);
	uv_timer_init(options->loop, sync->node_wait);
	sync->idle->data = sync;
	sync->retry->data = sync;
	sync->node_wait->data = sync;
	/* A folder of manifests is complete as it is; an API server's Node may come late. */
	if (options->config->source == CONFIG_MANIFESTS)
		sync->node_waited = true;
	else
		uv_timer_start(sync->node_wait, on_node_wait, NODE_WAIT_MS, 0);
	return sl_take(sync);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle);
}

void sync_free(struct sync *sync)
{
	if (!sync)
		return;
	if (sync->idle) {
		uv_close((uv_handle_t *)sync->idle, on_closed);
		uv_close((uv_handle_t *)sync->retry, on_closed);
		uv_close((uv_handle_t *)sync->node_wait, on_closed);
	}
	intern_put(sync->node.name);
	intern_put(sync->node.zone);
	free(sync);
}

void sync_describe(const struct sync *sync, json_t *programmed)
{
	json_object_set_new(programmed, "pending", json_boolean(!sync->synced));
	json_object_set_new(programmed, "failed", json_integer((json_int_t)sync->failed));
}
