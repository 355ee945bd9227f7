/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Probes: a bare ACK from the frontend of an idle TCP connection to its client,
 * whose answer, an ACK as well, meets the RST that the datapath makes when the
 * connection's backend left. See datapath/probe.h for how it is sent.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/abi.h"

#define PROBE_FRAME_MAX (14 + 40 + 20)

/*
 * Writes the probe with this number (0 is the first) for the flow with this key
 * (from the client to the frontend; an IPv4 address is the first word) and
 * value. The MACs are left 0. Returns its length.
 */
size_t probe_frame(const struct sl_tuple6 *key, uint8_t family, const struct sl_flow *flow,
		   unsigned int number, uint8_t ret_frame[PROBE_FRAME_MAX]);

/*
 * Sends the flow's next probe by the program `sluice_probe`. Returns an enum sl_probe, or -errno.
 * Where the next hop's MAC is not known, the kernel is made to ask for it, so that a later probe
 * gets through.
 */
int probe_send(int program, const struct sl_tuple6 *key, uint8_t family,
	       const struct sl_flow *flow);
