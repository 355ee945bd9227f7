/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Ends idle TCP connections whose backend left, where their service wants that:
 * nothing of theirs would meet the datapath's RST, so their clients are probed.
 *
 * It has no walk of its own: the sweep shows it the entries of established4/6, in
 * rounds for which it asks. A flow gets SL_PROBES_MAX probes, one a round, and is
 * then left alone, since its client is gone or hears nothing.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "controlplane/tables/datapath.h"
#include "controlplane/tables/memory.h"

/* Probes in one slice of the sweep. */
#define IDLE_PROBES 256

struct idle {
	const struct datapath *datapath;
	const struct memory *memory;
	unsigned int rounds; /* that are still to be made */
	unsigned int budget; /* probes left in this slice */
	bool gave_up;	     /* in this round: probes can't be sent */
	uint32_t began;	     /* ticks, the last round */
	bool waits;	     /* a drained connection's deadline comes at `due` */
	uint32_t due;	     /* ticks */
	uint64_t sent, failed;
};

/* Begins with a round for what happened before. Both stay the caller's. */
void idle_init(const struct datapath *datapath, const struct memory *memory, struct idle *ret);

/* A backend left a service that does not keep connections, or a service began
 * not to. */
void idle_kick(struct idle *idle);

/* Whether the round that begins shall show flows. A probe's answer has a second
 * to come, so that rounds don't follow one another faster. */
bool idle_begin(struct idle *idle, uint32_t now);

/* Before each slice, and for each flow of it. `now` in ticks. */
void idle_slice(struct idle *idle);
void idle_look(struct idle *idle, const struct sl_tuple6 *key, uint8_t family,
	       const struct sl_flow *flow, uint32_t now);

/* { "sent", "unreachable" }: probes that were sent, or could not be, since the start. */
json_t *idle_describe(const struct idle *idle);
