/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/tables/audit.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "controlplane/tables/policy.h"
#include "controlplane/tables/state.h"

/* What a slice looks at, some 100 us to few ms. */
#define SERVICES_A_SLICE 1024
#define SLOTS_A_SLICE	 (1U << 20) /* and those of one service */
#define BACKENDS_A_SLICE 8192
#define CLAIMS_A_SLICE	 1024
#define KEYS_A_SLICE	 1024
#define BITS_A_SLICE	 32768

#define PERIOD_S	 300
#define SLICE_MS_MIN	 20
/* So many differences of a round are told one by one. */
#define TOLD_MAX 20

struct audit {
	uv_timer_t timer;
	struct tables *tables;
	unsigned int period_s;
	bool started;
	size_t step;
	uint32_t at; /* where the step goes on */
	struct claims_cursor claims;
	struct policy_cursor policy;
	uint64_t rounds, repaired[DATAPATH_MAP_MAX];
	unsigned int told; /* in this round */
	time_t last_round;
};

void audit_found(struct audit *audit, enum datapath_map map, const char *format, ...)
{
	char text[256];
	va_list args;

	audit->repaired[map]++;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_message(audit->told++ < TOLD_MAX ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG,
		    "audit: map %s: %s: was not as it was written; repaired",
		    datapath_map_name(map), text);
}

/* Steps do a slice from audit->at on, move it, and return true at their end. */

static bool look_at_services(struct audit *audit)
{
	struct tables *tables = audit->tables;
	uint32_t end = tables->memory.n_services, slots = 0;

	for (uint32_t n = 0; n < SERVICES_A_SLICE && slots < SLOTS_A_SLICE && audit->at < end;
	     n++, audit->at++) {
		if (audit->at > 0)
			slots += audit_service(tables, audit->at);
	}
	return audit->at >= end;
}

static bool look_at_backends(struct audit *audit)
{
	struct tables *tables = audit->tables;
	uint32_t end = tables->memory.n_backends;

	for (uint32_t n = 0; n < BACKENDS_A_SLICE && audit->at < end; n++, audit->at++) {
		if (audit->at > 0)
			audit_backend(tables, audit->at);
	}
	return audit->at >= end;
}

static void found_frontend(void *context, enum datapath_map map, const char *what)
{
	audit_found(context, map, "%s", what);
}

static bool look_at_claims(struct audit *audit)
{
	return claims_audit(audit->tables->claims, &audit->claims, CLAIMS_A_SLICE, found_frontend,
			    audit);
}

static bool look_at_keys(struct audit *audit)
{
	return claims_audit_keys(audit->tables->claims, &audit->claims, KEYS_A_SLICE,
				 found_frontend, audit);
}

static void check_prefix(struct audit *audit, uint8_t family, uint32_t policy,
			 const struct ip_prefix *prefix)
{
	struct tables *tables = audit->tables;
	const struct tables_port *port = NULL;
	char text[IP_TEXT_MAX];

	if (policy < ids_max(tables->policy_ids)) {
		port = tables->policies[family == 6][policy];
		/* One without a port that is taken waits for a grace period. */
		if (!port && ids_taken(tables->policy_ids, policy))
			return;
	}
	if (port && port->n_sources &&
	    bsearch(prefix, port->sources, port->n_sources, sizeof(*prefix), state_order_prefixes))
		return;
	policy_delete(tables->datapath, family, policy, prefix, 1);
	audit_found(audit, family == 4 ? DATAPATH_policy4 : DATAPATH_policy6,
		    "policy %u: %s/%u is nobody's", policy, ip_format(&prefix->addr, family, text),
		    prefix->len);
}

static bool look_at_policies(struct audit *audit, uint8_t family)
{
	const struct datapath *datapath = audit->tables->datapath;
	struct ip_prefix prefix, next;
	uint32_t policy, next_policy;
	bool any = policy_next(datapath, family, &audit->policy, &policy, &prefix) == 0;

	/* The cursor is one ahead, so that it is no entry that was removed. */
	for (int n = 0; n < KEYS_A_SLICE && any; n++) {
		any = policy_next(datapath, family, &audit->policy, &next_policy, &next) == 0;
		check_prefix(audit, family, policy, &prefix);
		prefix = next;
		policy = next_policy;
	}
	if (any)
		check_prefix(audit, family, policy, &prefix);
	else
		audit->policy.started = false;
	return !any;
}

static bool look_at_policies4(struct audit *audit)
{
	return look_at_policies(audit, 4);
}

static bool look_at_policies6(struct audit *audit)
{
	return look_at_policies(audit, 6);
}

static bool look_at_bits(struct audit *audit)
{
	static const enum datapath_map maps[ADDRESS_BITMAP_MAX] = {
		[ADDRESS_SERVICE] = DATAPATH_filter,
		[ADDRESS_NODE] = DATAPATH_filter,
		[ADDRESS_ENDPOINT] = DATAPATH_endpoint_set,
		[ADDRESS_PORT] = DATAPATH_node_ports,
	};
	struct tables *tables = audit->tables;
	/* Bits that wait for a grace period have no users and are still needed. */
	bool strays = grace_pending(tables->grace) == 0;
	bool more = false;

	for (int i = 0; i < ADDRESS_BITMAP_MAX; i++) {
		for (uint32_t slot = audit->at; slot < audit->at + BITS_A_SLICE; slot++) {
			int found = address_bits_audit(tables->bits, i, slot, strays);

			if (found)
				audit_found(audit, maps[i], "bit of slot %u: %s", slot,
					    found > 0 ? "is missing" : "is nobody's");
			if (found < 0)
				sweep_kick(tables->sweep);
		}
		more = more || audit->at + BITS_A_SLICE < address_bits_slots(tables->bits, i);
	}
	audit->at += BITS_A_SLICE;
	return !more;
}

static void check_iface(struct audit *audit, const struct tables_iface *iface)
{
	int map = datapath_map(audit->tables->datapath, DATAPATH_ifaces);
	struct sl_iface found;

	if (bpf_map_lookup_elem(map, &iface->ifindex, &found) == 0 &&
	    !memcmp(&found, &iface->value, sizeof(found)))
		return;
	if (state_write_iface(audit->tables, iface))
		return;
	audit_found(audit, DATAPATH_ifaces, "interface %u", iface->ifindex);
}

/* A node has hundreds of them at most. */
static bool look_at_node(struct audit *audit)
{
	struct tables *tables = audit->tables;
	int map = datapath_map(tables->datapath, DATAPATH_ifaces);
	uint32_t ifindex, next;
	bool any;

	for (size_t i = 0; i < tables->ifaces.n_buckets; i++) {
		for (struct chain_link *link = tables->ifaces.buckets[i]; link; link = link->next)
			check_iface(audit, chain_entry(link, struct tables_iface, link));
	}
	any = bpf_map_get_next_key(map, NULL, &next) == 0;
	while (any) {
		ifindex = next;
		any = bpf_map_get_next_key(map, &ifindex, &next) == 0;
		if (state_find_iface(tables, ifindex))
			continue;
		bpf_map_delete_elem(map, &ifindex);
		audit_found(audit, DATAPATH_ifaces, "interface %u is nobody's", ifindex);
	}
	if (memcmp(tables->memory.node, &tables->node, sizeof(tables->node)) != 0) {
		struct sl_node wanted = tables->node;

		tables_set_node(tables, &wanted);
		/* By now it differs at most where nobody reads. */
		memcpy(tables->memory.node, &wanted, sizeof(wanted));
		tables->node = wanted;
		audit_found(audit, DATAPATH_node, "the node's entry");
	}
	return true;
}

static bool (*const steps[])(struct audit *audit) = {
	look_at_services,  look_at_backends,  look_at_claims, look_at_keys,
	look_at_policies4, look_at_policies6, look_at_bits,   look_at_node,
};

bool audit_slice(struct audit *audit)
{
	if (!steps[audit->step](audit))
		return false;
	audit->at = 0;
	audit->step = (audit->step + 1) % SL_COUNT(steps);
	if (audit->step > 0)
		return false;
	if (audit->told > TOLD_MAX)
		log_warn("audit: differences repaired in this round number=%u", audit->told);
	audit->rounds++;
	audit->told = 0;
	audit->last_round = time(NULL);
	return true;
}

/* How many slices a round has by now, roughly. */
static unsigned int slices(const struct audit *audit)
{
	const struct tables *tables = audit->tables;

	return (unsigned int)(SL_COUNT(steps) + tables->memory.n_services / SERVICES_A_SLICE +
			      slab_used(tables->slab) / SLOTS_A_SLICE +
			      tables->memory.n_backends / BACKENDS_A_SLICE +
			      2 * claims_n(tables->claims) / CLAIMS_A_SLICE +
			      (1U << SL_FILTER_BITS) / BITS_A_SLICE);
}

static void plan(struct audit *audit);

static void tick(uv_timer_t *timer)
{
	struct audit *audit = timer->data;

	audit_slice(audit);
	/* What the datapath alone fills is looked at sometimes, too. */
	pressure_check(audit->tables);
	plan(audit);
}

static void plan(struct audit *audit)
{
	uint64_t ms = audit->period_s * 1000ULL / slices(audit);

	if (audit->started && audit->period_s > 0)
		uv_timer_start(&audit->timer, tick, ms > SLICE_MS_MIN ? ms : SLICE_MS_MIN, 0);
	else
		uv_timer_stop(&audit->timer);
}

void audit_set_period(struct audit *audit, unsigned int seconds)
{
	audit->period_s = seconds;
	plan(audit);
}

void audit_start(struct audit *audit)
{
	audit->started = true;
	plan(audit);
}

json_t *audit_describe(const struct audit *audit)
{
	json_t *repaired = json_object(), *all;
	char when[32];
	struct tm tm;

	for (int map = 0; map < DATAPATH_MAP_MAX; map++) {
		if (audit->repaired[map])
			json_object_set_new(repaired, datapath_map_name(map),
					    json_integer((json_int_t)audit->repaired[map]));
	}
	all = json_pack("{s:I, s:i, s:o}", "rounds", (json_int_t)audit->rounds, "periodSeconds",
			(int)audit->period_s, "repaired", repaired);
	if (audit->rounds) {
		gmtime_r(&audit->last_round, &tm);
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
		json_object_set_new(all, "lastRoundAt", json_string(when));
	}
	return all;
}

int audit_new(struct tables *tables, struct audit **ret)
{
	struct audit *audit = calloc(1, sizeof(*audit));

	if (!audit)
		return -ENOMEM;
	audit->tables = tables;
	audit->period_s = PERIOD_S;
	if (uv_timer_init(tables->loop, &audit->timer)) {
		free(audit);
		return -ENOMEM;
	}
	audit->timer.data = audit;
	uv_unref((uv_handle_t *)&audit->timer);
	*ret = audit;
	return 0;
}

static void closed(uv_handle_t *timer)
{
	free(timer->data);
}

void audit_free(struct audit *audit)
{
	if (audit)
		uv_close((uv_handle_t *)&audit->timer, closed);
}
