/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The packets of a case, each by its way through the loaded programs. */

#include "test/semantics/check.h"
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

/* A packet of a table; source ports are the caller's. */
bool packets_read(const json_t *packet, struct ends *ret);

/* Through the TC programs, as a packet that comes in by `iif`. */
struct fate packets_inject(struct world *world, const struct ends *ends, const char *iif);

/* "dnat 10.0.0.1:80 snat", "reject" ... */
const char *packets_tell(const struct fate *fate, uint8_t family, char text[160]);

/* A source port that no packet of this run had yet. */
__be16 packets_port(void);

/* All `packets` of a case. `affinity`: a Service remembers its clients. */
void packets_run(struct check *check, struct world *world, const json_t *packets, bool affinity);
