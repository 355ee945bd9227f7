/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Explains on a running node: the decision by the daemon's own objects, beside
 * what the loaded programs say with the real maps (`sluice_decide`). The two
 * must agree; if they don't, that is a bug, and the document says so. Where no
 * program is attached, none is asked.
 */

#include <jansson.h>

#include "controlplane/explain/query.h"
#include "controlplane/explain/world.h"
#include "controlplane/tables/datapath.h"

struct explain_live {
	const struct store *store;
	const struct world_node *node;
	const struct datapath *datapath;
	/* The packet's interface; 0 and empty if none is named. */
	uint32_t ifindex;
	struct sl_iface iface;
};

/*
 * Returns 0 and the document Explanation, -EINVAL for a query that can't be
 * read, or -errno; with the reason in `error`.
 */
int explain_live(const struct explain_live *live, const struct explain_query *query, json_t **ret,
		 char error[512]);

/* What the programs said, with the names of what they found. */
struct explain_answer {
	struct sl_decide got;
	struct sl_identity identity; /* of got.service */
	struct sl_backend backend;   /* got.backend */
};

/* Asks the loaded program. Returns 0 or -errno. */
int explain_ask(const struct datapath *datapath, const struct decide_packet *packet,
		uint32_t ifindex, struct explain_answer *ret);

/* Whether the programs would do what was decided. */
bool explain_agrees(const struct decide_packet *packet, const struct decision *decision,
		    const struct explain_answer *answer);

/* Learns from the answer what only the maps know: whom affinity remembers. */
void explain_settle(const struct decide_packet *packet, struct decision *decision,
		    const struct explain_answer *answer);

/* Sets `datapath` and `agrees` of the document. 0 or -ENOMEM. */
int explain_add_answer(json_t *document, const struct decide_packet *packet,
		       const struct decision *decision, const struct explain_answer *answer);
