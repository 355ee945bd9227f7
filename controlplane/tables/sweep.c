/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/tables/sweep.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "common/ticks.h"

/* Looking up the flows of a reservation costs four system calls. */
#define SLICE_FLOWS 4096
#define SLICE_PORTS 1024
#define BUSY_MS	    100
#define IDLE_MS	    2000

/* A round's steps, in this order; the first two only if bits wait, the next two
 * if bits or idle connections do. */
static const struct step {
	enum datapath_map map;
	uint8_t family;
	bool ports;
} steps[] = {
	{ DATAPATH_new4, 4, false },	     { DATAPATH_new6, 6, false },
	{ DATAPATH_established4, 4, false }, { DATAPATH_established6, 6, false },
	{ DATAPATH_snat4, 4, true },	     { DATAPATH_snat6, 6, true },
};
#define FIRST_ESTABLISHED_STEP 2
#define FIRST_PORTS_STEP       4

struct sweep {
	uv_timer_t timer;
	const struct datapath *datapath;
	struct address_bits *bits;
	struct idle *idle;
	size_t step;
	bool in_round, for_bits, for_idle;
	bool started; /* `cursor` says where the step goes on */
	uint32_t cursor;
	char *keys, *values;
	uint32_t ports[2], counting; /* of IPv4 and IPv6; of the step under way */
};

static const char *at_index(const char *base, size_t size, size_t i)
{
	return base + size * i;
}

/* A key of either family, in the wider form. */
static struct sl_tuple6 tuple_of(const char *key, uint8_t family)
{
	struct sl_tuple4 t4;
	struct sl_tuple6 t6 = { 0 };

	if (family == 6) {
		memcpy(&t6, key, sizeof(t6));
		return t6;
	}
	memcpy(&t4, key, sizeof(t4));
	t6.saddr[0] = t4.saddr[0];
	t6.daddr[0] = t4.daddr[0];
	t6.sport = t4.sport;
	t6.dport = t4.dport;
	t6.proto = t4.proto;
	return t6;
}

bool sweep_flow_lives(const struct sl_config *config, uint8_t proto, const struct sl_flow *flow,
		      uint32_t now)
{
	/* A packet may have written its time after we read the clock. */
	int32_t idle = (int32_t)(now - flow->seen);

	if (flow->state == 0 || flow->state >= SL_FLOW_STATE_MAX)
		return false;
	return idle <= 0 ||
	       (uint32_t)idle <= config->timeout[proto == IPPROTO_TCP ? 0 : 1][flow->state];
}

/* Which of its addresses a flow is found by depends on its path: take both. */
static void need_bits(struct sweep *sweep, const struct sl_tuple6 *t, uint8_t family)
{
	struct sl_addr from, to;
	int64_t port = address_port_slot(t->proto, t->dport);

	memcpy(&from, t->saddr, sizeof(from));
	memcpy(&to, t->daddr, sizeof(to));
	address_bits_sweep_needs(sweep->bits, ADDRESS_ENDPOINT, address_slot(&from, family));
	address_bits_sweep_needs(sweep->bits, ADDRESS_ENDPOINT, address_slot(&to, family));
	address_bits_sweep_needs(sweep->bits, ADDRESS_SERVICE, address_slot(&to, family));
	address_bits_sweep_needs(sweep->bits, ADDRESS_NODE, address_slot(&to, family));
	if (port >= 0)
		address_bits_sweep_needs(sweep->bits, ADDRESS_PORT, (uint32_t)port);
}

static size_t key_size(uint8_t family)
{
	return family == 4 ? sizeof(struct sl_tuple4) : sizeof(struct sl_tuple6);
}

static size_t flow_size(uint8_t family)
{
	return family == 4 ? sizeof(struct sl_flow4) : sizeof(struct sl_flow6);
}

static bool is_established(const struct step *step)
{
	return step >= &steps[FIRST_ESTABLISHED_STEP] && !step->ports;
}

static void look_at_flows(struct sweep *sweep, const struct step *step, uint32_t n)
{
	const struct sl_config *config = datapath_config(sweep->datapath);
	uint32_t now = ticks_now();

	idle_slice(sweep->idle);
	for (uint32_t i = 0; i < n; i++) {
		struct sl_tuple6 t =
			tuple_of(at_index(sweep->keys, key_size(step->family), i), step->family);
		struct sl_flow flow; /* the first part of a value of either family */

		memcpy(&flow, at_index(sweep->values, flow_size(step->family), i), sizeof(flow));
		if (!sweep_flow_lives(config, t.proto, &flow, now))
			continue;
		if (sweep->for_bits)
			need_bits(sweep, &t, step->family);
		if (sweep->for_idle && is_established(step))
			idle_look(sweep->idle, &t, step->family, &flow, now);
	}
}

/* In the order in which a flow moves, so that it is not missed. */
static bool key_lives(struct sweep *sweep, const char *key, uint8_t family, uint32_t now)
{
	static const enum datapath_map maps[2][2] = {
		{ DATAPATH_new4, DATAPATH_established4 },
		{ DATAPATH_new6, DATAPATH_established6 },
	};
	uint8_t proto = tuple_of(key, family).proto;
	union {
		struct sl_flow4 of4;
		struct sl_flow6 of6;
		struct sl_flow flow;
	} value;

	for (int i = 0; i < 2; i++) {
		int map = datapath_map(sweep->datapath, maps[family == 6][i]);

		if (bpf_map_lookup_elem(map, key, &value) == 0 &&
		    sweep_flow_lives(datapath_config(sweep->datapath), proto, &value.flow, now))
			return true;
	}
	return false;
}

/* A source port is free again when its flow is dead in both directions. */
static void look_at_ports(struct sweep *sweep, const struct step *step, uint32_t n)
{
	size_t size = key_size(step->family);
	uint32_t now = ticks_now();

	for (uint32_t i = 0; i < n; i++) {
		const char *answer = at_index(sweep->keys, size, i);
		const char *owner = at_index(sweep->values, size, i);

		if (!key_lives(sweep, answer, step->family, now) &&
		    !key_lives(sweep, owner, step->family, now))
			bpf_map_delete_elem(datapath_map(sweep->datapath, step->map), answer);
		else
			sweep->counting++;
	}
}

static void begin_round(struct sweep *sweep)
{
	sweep->in_round = true;
	sweep->started = false;
	sweep->for_bits = address_bits_retired(sweep->bits) > 0;
	sweep->for_idle = idle_begin(sweep->idle, ticks_now());
	sweep->step = sweep->for_bits	? 0
		      : sweep->for_idle ? FIRST_ESTABLISHED_STEP
					: FIRST_PORTS_STEP;
	if (sweep->for_bits)
		address_bits_sweep_begin(sweep->bits);
}

/* Reads a slice of the step's map; true when that was the last one. A table
 * that can't be read says nothing about bits, so the round is given up. */
static bool run_step(struct sweep *sweep, const struct step *step)
{
	uint32_t n = step->ports ? SLICE_PORTS : SLICE_FLOWS, next = 0;
	int err = 0;

	if (bpf_map_lookup_batch(datapath_map(sweep->datapath, step->map),
				 sweep->started ? &sweep->cursor : NULL, &next, sweep->keys,
				 sweep->values, &n, NULL))
		err = errno;
	if (err && err != ENOENT) {
		log_warn("tables: sweep: map %s: %s", datapath_map_name(step->map), strerror(err));
		sweep->for_bits = sweep->for_idle = false;
		sweep->step = SL_COUNT(steps) - 1;
		return true;
	}
	if (step->ports)
		look_at_ports(sweep, step, n);
	else
		look_at_flows(sweep, step, n);
	sweep->cursor = next;
	sweep->started = true;
	return err == ENOENT;
}

bool sweep_slice(struct sweep *sweep)
{
	if (!sweep->in_round)
		begin_round(sweep);
	if (!run_step(sweep, &steps[sweep->step]))
		return false;

	if (steps[sweep->step].ports)
		sweep->ports[steps[sweep->step].family == 6] = sweep->counting;
	sweep->counting = 0;
	sweep->started = false;
	sweep->step++;
	if (sweep->step == FIRST_PORTS_STEP && sweep->for_bits)
		address_bits_sweep_end(sweep->bits);
	if (sweep->step < SL_COUNT(steps))
		return false;
	sweep->in_round = false;
	return true;
}

uint32_t sweep_ports(const struct sweep *sweep, uint8_t family)
{
	return sweep->ports[family == 6];
}

static void tick(uv_timer_t *timer)
{
	struct sweep *sweep = timer->data;
	bool busy;

	sweep_slice(sweep);
	busy = sweep->in_round && (sweep->for_bits || sweep->for_idle);
	uv_timer_start(timer, tick, busy ? BUSY_MS : IDLE_MS, 0);
}

void sweep_kick(struct sweep *sweep)
{
	if (uv_timer_get_due_in(&sweep->timer) > BUSY_MS)
		uv_timer_start(&sweep->timer, tick, BUSY_MS, 0);
}

static void closed(uv_handle_t *timer)
{
	struct sweep *sweep = timer->data;

	free(sweep->keys);
	free(sweep->values);
	free(sweep);
}

int sweep_new(uv_loop_t *loop, const struct datapath *datapath, struct address_bits *bits,
	      struct idle *idle, struct sweep **ret)
{
	struct sweep *sweep = calloc(1, sizeof(*sweep));

	if (!sweep)
		return -ENOMEM;
	sweep->datapath = datapath;
	sweep->bits = bits;
	sweep->idle = idle;
	sweep->keys = malloc(SLICE_FLOWS * sizeof(struct sl_tuple6));
	sweep->values = malloc(SLICE_FLOWS * sizeof(struct sl_flow6));
	if (!sweep->keys || !sweep->values || uv_timer_init(loop, &sweep->timer)) {
		free(sweep->keys);
		free(sweep->values);
		free(sweep);
		return -ENOMEM;
	}
	sweep->timer.data = sweep;
	uv_timer_start(&sweep->timer, tick, IDLE_MS, 0);
	uv_unref((uv_handle_t *)&sweep->timer);
	*ret = sweep;
	return 0;
}

void sweep_free(struct sweep *sweep)
{
	if (sweep)
		uv_close((uv_handle_t *)&sweep->timer, closed);
}
