/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Closes sockets of the node's own processes whose backend left, since no later
 * packet of theirs could pick another: UDP always, TCP as the service's leave
 * policy says (S-128 is "keep").
 *
 * Walks the map `sockets` in slices, on a timer, when it was told that a
 * backend left. A second walk follows, for a socket that was being connected
 * while the first one passed.
 */

#include <uv.h>

#include "common/mem.h"

struct sockets;

/* Descriptors of maps; they stay the caller's. */
struct sockets_options {
	uv_loop_t *loop;
	int sockets, backends, services, records;
};

/* Begins with a walk for what happened before. Works in the network namespace
 * of the calling thread. 0 or -errno. */
int sockets_new(const struct sockets_options *options, struct sockets **ret);

/* The timer is closed in the loop, so run it once more. Takes NULL too. */
void sockets_free(struct sockets *sockets);
SL_DEFINE_AUTO(sockets)

/* A backend left: walk soon. */
void sockets_kick(struct sockets *sockets);
