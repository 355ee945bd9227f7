/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Closes UDP sockets of the node's own processes that were connected to a
 * frontend before anybody served it: their datagrams go there untranslated, and
 * no program sees them again (S-164). The process sees ECONNABORTED and has to
 * open another, which is translated.
 *
 * One walk over the connected UDP sockets of the network namespace, soon after
 * it was told that something is served.
 */

#include <uv.h>

#include "common/mem.h"

struct strays;

/* Descriptors; they stay the caller's. */
struct strays_options {
	uv_loop_t *loop;
	int sockets; /* the map */
	int decide;  /* the program sluice_decide */
};

/* Works in the network namespace of the calling thread. 0 or -errno. */
int strays_new(const struct strays_options *options, struct strays **ret);

/* The timer is closed in the loop, so run it once more. Takes NULL too. */
void strays_free(struct strays *strays);
SL_DEFINE_AUTO(strays)

/* Something is served from now on: walk soon. Takes NULL too. */
void strays_kick(struct strays *strays);
