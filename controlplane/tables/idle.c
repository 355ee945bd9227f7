/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/tables/idle.h"

#include <netinet/in.h>
#include <string.h>

#include "common/log.h"
#include "common/ticks.h"
#include "controlplane/tables/probe.h"

/* The second is for a connection that was just being opened in the first. */
#define ROUNDS	    2
#define TICKS_APART 2

void idle_init(const struct datapath *datapath, const struct memory *memory, struct idle *ret)
{
	*ret = (struct idle) {
		.datapath = datapath,
		.memory = memory,
		.rounds = ROUNDS,
		.began = ticks_now() - TICKS_APART,
	};
}

void idle_kick(struct idle *idle)
{
	idle->rounds = ROUNDS;
}

bool idle_begin(struct idle *idle, uint32_t now)
{
	if (idle->waits && (int32_t)(now - idle->due) >= 0 && idle->rounds == 0)
		idle->rounds = 1;
	if (idle->rounds == 0 || now - idle->began < TICKS_APART)
		return false;
	idle->rounds--;
	idle->began = now;
	idle->waits = idle->gave_up = false;
	return true;
}

void idle_slice(struct idle *idle)
{
	idle->budget = IDLE_PROBES;
}

static bool backend_left(const struct sl_backend *backend, const struct sl_flow *flow)
{
	__u64 word = __atomic_load_n(&backend->word, __ATOMIC_RELAXED);

	return SL_BACKEND_GENERATION(word) != flow->generation ||
	       SL_BACKEND_STATE(word) != SL_BACKEND_LIVE;
}

/* What the datapath decides as well, to save its being asked for every flow. */
static bool is_due(struct idle *idle, const struct sl_flow *flow, uint32_t now)
{
	const struct memory *memory = idle->memory;
	const struct sl_backend *backend = &memory->backends[flow->backend];
	const struct sl_record *record;
	uint32_t index, due;

	if (!backend_left(backend, flow))
		return false;
	index = SL_SERVICE_RECORD(memory->services[flow->service]);
	record = &memory->records[index];
	if (index == 0 || record->service != flow->service || record->leave == SL_LEAVE_KEEP)
		return false;
	if (record->leave == SL_LEAVE_RESET)
		return true;
	due = backend->left + SL_TICKS(record->drain_s) + 1;
	if ((int32_t)(now - due) >= 0)
		return true;
	if (!idle->waits || (int32_t)(due - idle->due) < 0)
		idle->due = due;
	idle->waits = true;
	return false;
}

/* There is more to do in another round. */
static void go_on(struct idle *idle)
{
	if (idle->rounds == 0)
		idle->rounds = 1;
}

void idle_look(struct idle *idle, const struct sl_tuple6 *key, uint8_t family,
	       const struct sl_flow *flow, uint32_t now)
{
	int r;

	if (idle->gave_up || key->proto != IPPROTO_TCP || flow->state != SL_FLOW_ESTABLISHED ||
	    flow->flags & (SL_FLOW_REVERSE | SL_FLOW_EGRESS) ||
	    SL_FLOW_PROBES(flow->flags) >= SL_PROBES_MAX ||
	    flow->backend >= idle->memory->n_backends ||
	    flow->service >= idle->memory->n_services || !is_due(idle, flow, now))
		return;
	if (idle->budget == 0) {
		go_on(idle);
		return;
	}
	idle->budget--;
	r = probe_send(datapath_program(idle->datapath, DATAPATH_PROBE), key, family, flow);
	if (r < 0) {
		log_warn("idle: idle connections can't be ended: %s", strerror(-r));
		idle->gave_up = true;
		return;
	}
	if (r == SL_PROBE_NOT_DUE)
		return;
	if (r == SL_PROBE_SENT)
		idle->sent++;
	else
		idle->failed++;
	if (SL_FLOW_PROBES(flow->flags) + 1 < SL_PROBES_MAX)
		go_on(idle);
}

json_t *idle_describe(const struct idle *idle)
{
	return json_pack("{s:I, s:I}", "sent", (json_int_t)idle->sent, "unreachable",
			 (json_int_t)idle->failed);
}
