/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Walks the flow tables in slices, on a timer, for what can't be done by the
 * packet that ends a use: source ports of SNAT whose flow is dead, bits of the
 * address bitmaps that no live flow needs, and connections of backends that left
 * whose clients send no packet (idle.h).
 *
 * A round looks at new4/6 and then established4/6 if bits wait (in this order:
 * a flow moves from the one to the other), at established4/6 if idle connections
 * are to be ended, and at snat4/6 always.
 */

#include <stdbool.h>
#include <uv.h>

#include "controlplane/tables/address.h"
#include "controlplane/tables/datapath.h"
#include "controlplane/tables/idle.h"

struct sweep;

/* `bits` and `idle` stay the caller's and have to live as long. 0 or -errno. */
int sweep_new(uv_loop_t *loop, const struct datapath *datapath, struct address_bits *bits,
	      struct idle *idle, struct sweep **ret);

/* The timer is closed in the loop, so run it once more. Takes NULL too. */
void sweep_free(struct sweep *sweep);
SL_DEFINE_AUTO(sweep)

/* Bits or connections wait: go on faster. */
void sweep_kick(struct sweep *sweep);

/* Source ports that are taken in a family, as of the last round. */
uint32_t sweep_ports(const struct sweep *sweep, uint8_t family);

/* One slice. Returns true if a round ended with it. */
bool sweep_slice(struct sweep *sweep);

/* Whether a flow is still alive: its state's idle timeout has not passed. */
bool sweep_flow_lives(const struct sl_config *config, uint8_t proto, const struct sl_flow *flow,
		      uint32_t now);
