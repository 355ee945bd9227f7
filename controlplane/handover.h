/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Whose connections live beside ours (datapath/handover.h). A node that is taken
 * over from kube-proxy leaves it what conntrack translates, until kube-proxy's
 * rules and the last such connection are gone; with handBack no connection is
 * opened any more.
 */

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "common/mem.h"
#include "controlplane/config.h"
#include "controlplane/tables/datapath.h"

/* Whether packets can be looked up in conntrack, for struct sl_config. */
bool handover_can_ask_conntrack(void);

/* Sets config->handover for a start. */
void handover_start(struct config *config, const struct datapath *datapath);

struct handover;

/* Looks from time to time whether it is over; then changes config and calls `changed`. */
int handover_new(uv_loop_t *loop, struct config *config, void (*changed)(void *context),
		 void *context, struct handover **ret);
/* The timer is closed in the loop, so run it once more. Takes NULL too. */
void handover_free(struct handover *handover);
SL_DEFINE_AUTO(handover)

/* For Status: "none", "fromKubeProxy" or "toKubeProxy". */
const char *handover_name(const struct config *config);

/*
 * Whether conntrack of this network namespace has a connection whose
 * destination it translates: 1, 0 or -errno.
 */
int handover_find_connection(void);
