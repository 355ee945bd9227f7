/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/sync.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "controlplane/resolve/resolve.h"
#include "controlplane/store/intern.h"

/* Services a turn of the loop: netlink, timers and lbctl come in between. */
#define SERVICES_PER_TURN 64
/* Services that failed are tried again after this, and later and later. */
#define RETRY_MS     5000
#define RETRY_MS_MAX 60000
/* So many of them at a time: who waits for room must not cost more than that. */
#define RETRIED_AT_ONCE 256
/* Room came in the tables: they need not wait for longer than this. */
#define ROOM_MS 1000
/* So many failures of one pass are told one by one. */
#define TOLD_MAX 10
/* A Node that never comes must not keep the services from working (S-250). */
#define NODE_WAIT_MS 30000

struct sync {
	struct sync_options options;
	uv_idle_t *idle;   /* runs while there is something to do */
	uv_timer_t *retry; /* after a failure */
	uint64_t retry_ms; /* until the next one */
	uv_timer_t *node_wait;
	struct resolve_node node;
	struct node_facts facts;
	uint64_t node_version; /* of the store when they were read */
	bool read;	       /* they were */
	bool node_waited;
	bool addresses_failed; /* the last time they were told */
	bool synced;
	bool all;      /* this pass goes over all services */
	size_t told;   /* failures in this pass */
	size_t failed; /* services that failed when the last pass ended */
	bool retried;  /* this pass has failed ones in it */
	struct runs runs;
};

static int64_t wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* S-250; a folder of manifests is complete as it is. */
static bool knows_node(const struct sync *sync)
{
	return store_node(sync->options.store) || sync->node_waited ||
	       (sync->options.config->source == CONFIG_MANIFESTS &&
		store_listed(sync->options.store, OBJECT_NODE));
}

/* Takes over what resolve reads; true if that changed. */
static bool set_resolve_node(struct sync *sync, const struct node_facts *facts)
{
	const struct node *object = store_node(sync->options.store);
	const char *zone = intern_get(object && object->zone ? object->zone : "");
	bool changed = !zone || zone != sync->node.zone ||
		       !ip_equal(&facts->ip4, &sync->node.ip4) ||
		       !ip_equal(&facts->ip6, &sync->node.ip6) ||
		       memcmp(&facts->resolve, &sync->facts.resolve, sizeof(facts->resolve)) != 0;

	if (zone) {
		intern_put(sync->node.zone);
		sync->node.zone = zone;
	}
	sync->node.ip4 = facts->ip4;
	sync->node.ip6 = facts->ip6;
	return changed;
}

static void tell_facts(const struct sync *sync, const struct node_facts *facts)
{
	enum config_detect detect = sync->options.config->detect;

	if (facts->left_out > sync->facts.left_out)
		log_warn("sync: %u ServiceCIDRs are left out, there is room for %d of each family: "
			 "unused addresses of theirs are not dropped",
			 facts->left_out, SL_SERVICE_CIDRS);
	if (!facts->entry.detect4 && !facts->entry.detect6 &&
	    (!sync->read || sync->facts.entry.detect4 || sync->facts.entry.detect6))
		log_warn("sync: %s is not known: no source counts as a pod",
			 detect == CONFIG_DETECT_NODE_CIDR ? "spec.podCIDRs of the Node"
							   : "clusterCIDR");
}

/* The node's entry is written before records that rely on it. */
static void read_node(struct sync *sync, bool own_changed)
{
	uint64_t version = store_node_version(sync->options.store);
	struct node_facts facts;
	bool moved;

	if (sync->read && version == sync->node_version && !own_changed)
		return;
	node_facts_fill(sync->options.config, sync->options.store, sync->options.own, &facts);
	tell_facts(sync, &facts);
	moved = !sync->read || own_changed || !ip_equal(&facts.ip4, &sync->node.ip4) ||
		!ip_equal(&facts.ip6, &sync->node.ip6);
	if (!sync->read || memcmp(&facts.entry, &sync->facts.entry, sizeof(facts.entry)) != 0)
		tables_set_node(sync->options.tables, &facts.entry);
	if (set_resolve_node(sync, &facts)) {
		store_touch_all(sync->options.store);
		sync->all = true;
	}
	memcpy(&sync->facts, &facts, sizeof(facts));
	sync->node_version = version;
	sync->read = true;
	if (moved)
		sync->addresses_failed = sync->options.addresses_changed(sync->options.context) < 0;
}

void sync_own_changed(struct sync *sync)
{
	/* Without the Node, "primary" would take node ports away that work. */
	if (!knows_node(sync))
		return;
	read_node(sync, true);
	sync_kick(sync);
}

static void apply(struct sync *sync, const struct store_service *s)
{
	sl_auto(resolved) wanted = NULL;
	char error[512] = "";
	bool written;
	int r = resolve_service(s->namespace_, s->name, s->service, s->slices, s->n_slices,
				&sync->node, &sync->facts.resolve, &wanted);

	if (r == 0)
		r = tables_apply(sync->options.tables, wanted, s->received_ns, error);
	written = r > 0;
	if (r >= 0)
		r = checks_programmed(sync->options.checks, wanted);
	if (r < 0 && !*error)
		snprintf(error, sizeof(error), "Service %s/%s: %s", s->namespace_, s->name,
			 strerror(-r));
	/* Another try that fails has been told. */
	if (r < 0 && s->state != STORE_FAILED)
		log_message(sync->told++ < TOLD_MAX ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG, "sync: %s",
			    error);
	/* Of one that is deleted nobody needs to hear. */
	if (s->service && sync->options.settled && (r < 0) != (s->state == STORE_FAILED))
		sync->options.settled(sync->options.settled_context, s, r < 0 ? error : NULL);
	store_outcome(sync->options.store, s, r < 0 ? error : NULL, written);
	for (size_t i = 0; r >= 0 && i < s->n_triggers; i++)
		runs_programmed(&sync->runs, s->triggers[i].family == 6 ? RUNS_IPV6 : RUNS_IPV4,
				s->triggers[i].when_ns);
}

static bool ready(const struct sync *sync)
{
	const struct store *store = sync->options.store;

	return store_listed(store, OBJECT_SERVICE) && store_listed(store, OBJECT_SLICE) &&
	       knows_node(sync);
}

static void count_failed(struct sync *sync)
{
	size_t failed = store_failed(sync->options.store);

	if (sync->told > TOLD_MAX)
		log_error("sync: Services that can't be programmed number=%zu", failed);
	if (!failed && sync->failed)
		log_info("sync: all Services are programmed again");
	/* Some had room: so may the next of them. */
	if (sync->retried && failed < sync->failed)
		sync->retry_ms = 0;
	sync->failed = failed;
	sync->retried = false;
	sync->told = 0;
}

static void finish_pass(struct sync *sync)
{
	uv_idle_stop(sync->idle);
	count_failed(sync);
	checks_finished(sync->options.checks, !sync->failed);
	runs_end(&sync->runs, !sync->failed, sync->all || !sync->synced, uv_hrtime(), wall_ns());
	sync->all = false;
	if (!sync->synced) {
		sync->synced = true;
		tables_synced(sync->options.tables);
		/* Reading the first lists left more free memory than is ever needed again. */
		malloc_trim(0);
		log_info("sync: programmed services=%zu",
			 store_count(sync->options.store, OBJECT_SERVICE));
	}
}

static void on_retry(uv_timer_t *timer)
{
	struct sync *sync = timer->data;

	if (sync->retry_ms < sync->options.retry_ms)
		sync->retry_ms = sync->options.retry_ms;
	else
		sync->retry_ms =
			sync->retry_ms * 2 < RETRY_MS_MAX ? sync->retry_ms * 2 : RETRY_MS_MAX;
	if (sync->addresses_failed && knows_node(sync))
		read_node(sync, true);
	if (sync->failed) {
		sync->retried = true;
		store_touch_failed(sync->options.store, RETRIED_AT_ONCE);
	}
	sync_kick(sync);
}

/* What waited for a grace period can be used again. */
static void on_room(void *context)
{
	struct sync *sync = context;
	uint64_t ms = sync->options.retry_ms < ROOM_MS ? sync->options.retry_ms : ROOM_MS;

	if (sync->failed && uv_is_active((uv_handle_t *)sync->retry) &&
	    uv_timer_get_due_in(sync->retry) > ms)
		uv_timer_start(sync->retry, on_retry, ms, 0);
}

/* What changes meanwhile must not put the retry off. */
static void plan_retry(struct sync *sync)
{
	if (!sync->failed && !sync->addresses_failed)
		sync->retry_ms = sync->options.retry_ms;
	else if (!uv_is_active((uv_handle_t *)sync->retry))
		uv_timer_start(sync->retry, on_retry, sync->retry_ms, 0);
}

static void on_idle(uv_idle_t *idle)
{
	struct sync *sync = idle->data;
	struct store_service next;
	int n = 0;

	if (knows_node(sync))
		read_node(sync, false);
	if (!ready(sync)) {
		uv_idle_stop(idle);
		return;
	}
	checks_queued(sync->options.checks);
	runs_begin(&sync->runs, uv_hrtime());
	while (n < SERVICES_PER_TURN && store_next_changed(sync->options.store, &next)) {
		apply(sync, &next);
		n++;
	}
	if (n == SERVICES_PER_TURN)
		return;
	finish_pass(sync);
	plan_retry(sync);
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
	runs_queued(&sync->runs, wall_ns());
	uv_idle_start(sync->idle, on_idle);
}

bool sync_busy(const struct sync *sync)
{
	return uv_is_active((const uv_handle_t *)sync->idle);
}

struct sync *sync_new(const struct sync_options *options)
{
	sl_auto(sync) sync = calloc(1, sizeof(*sync));

	if (!sync)
		return NULL;
	sync->options = *options;
	runs_init(&sync->runs, wall_ns());
	if (!sync->options.retry_ms)
		sync->options.retry_ms = RETRY_MS;
	sync->retry_ms = sync->options.retry_ms;
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
	tables_on_room(options->tables, on_room, sync);
	if (options->config->source == CONFIG_KUBE)
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
	tables_on_room(sync->options.tables, NULL, NULL);
	if (sync->idle) {
		uv_close((uv_handle_t *)sync->idle, on_closed);
		uv_close((uv_handle_t *)sync->retry, on_closed);
		uv_close((uv_handle_t *)sync->node_wait, on_closed);
	}
	intern_put(sync->node.name);
	intern_put(sync->node.zone);
	runs_clear(&sync->runs);
	free(sync);
}

const struct runs *sync_runs(const struct sync *sync)
{
	return &sync->runs;
}

static bool count(void *n, const struct store_service *service)
{
	(void)service;
	++*(json_int_t *)n;
	return true;
}

void sync_describe(const struct sync *sync, json_t *programmed)
{
	json_int_t pending = 0;

	store_each_in(sync->options.store, STORE_PENDING, count, &pending);
	/* Lists are still to come. */
	if (!pending && !sync->synced)
		pending = 1;
	json_object_set_new(programmed, "pending", json_integer(pending));
	json_object_set_new(programmed, "failed",
			    json_integer((json_int_t)store_failed(sync->options.store)));
}
