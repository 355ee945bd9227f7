/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The ways a packet can be put to the loaded programs. */

#include "test/semantics/frame.h"
#include "test/semantics/world.h"

enum verdict { VERDICT_DNAT, VERDICT_REJECT, VERDICT_DROP, VERDICT_PASS, VERDICT_ERROR };

/* What became of a packet. */
struct fate {
	enum verdict verdict;
	struct sl_addr addr; /* DNAT: the endpoint */
	__be16 port;
	bool snat;	 /* its source became an address of the node */
	char error[128]; /* VERDICT_ERROR */
};

/* "dnat", "reject" ... as tables have them. */
const char *ways_verdict(enum verdict verdict);

/* "dnat to 10.0.0.1:80 with snat", "reject" ... */
const char *ways_tell(const struct fate *fate, uint8_t family, char text[160]);

__attribute__((format(printf, 1, 2))) struct fate ways_failed(const char *format, ...);

/* A source port that no packet of this run had for long. */
__be16 ways_port(void);

/* A test run of the TC programs: in by `iif`, and out where the route leads. */
struct fate ways_inject(struct world *world, const struct ends *ends, const char *iif);

/* The way out alone: `in` is what the packet was before anything was done to it. */
struct fate ways_leave(struct world *world, const struct ends *in, struct packet *packet);

/*
 * connect() of a socket that is bound to the source, or with `datagram`
 * sendto(), then the way out of what it sends. `fate.snat` says that the
 * source is an address of one of the node's links, which needs no translation.
 */
struct fate ways_connect(struct world *world, const struct ends *ends, bool datagram);

/* The decision alone, as lbctl explain asks for it; `iif` NULL: from a process.
 * `ret` may be NULL. */
struct fate ways_decide(struct world *world, const struct ends *ends, const char *iif,
			struct sl_decide *ret);

/*
 * The endpoints "addr:port" of the set that the decision chose from, as the
 * maps have it, each once: a new array of texts.
 */
json_t *ways_set(struct world *world, const struct sl_decide *decision);
