/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * What becomes of a packet: one list, from which come the enum, the words
 * lbctl prints and the `reason` label of the metrics. Append only; a number
 * is never reused, since counters in pinned maps are indexed by it.
 *
 * NEXT, LEAVE and FORWARD are no loss. Everything from the first REJECT on is
 * counted, by service and reason, where the packet leaves the datapath.
 */
#define SL_VERDICTS(X)                                                                             \
	X(NEXT, "next")	      /* not decided: go on to the next stage */                           \
	X(LEAVE, "leave")     /* no service traffic: the stack has it, untouched */                \
	X(FORWARD, "forward") /* translated; pkt.forward says how it goes on */                    \
	X(REJECT_NO_ENDPOINTS, "no_endpoints")	/* S-110, S-112, S-115 */                          \
	X(REJECT_UNKNOWN_PORT, "unknown_port")	/* S-121 */                                        \
	X(DROP_POLICY, "source_range")		/* S-055 */                                        \
	X(DROP_NO_LOCAL, "no_local_endpoints")	/* S-111, S-115 */                                 \
	X(DROP_FRAGMENT, "fragment")		/* a fragment to a frontend */                     \
	X(DROP_NO_ROUTE, "no_route")		/* no way to the backend or the client */          \
	X(DROP_MTU, "mtu")			/* redirected packet larger than the next link */  \
	X(DROP_TTL, "ttl")			/* hop limit used up */                            \
	X(DROP_TABLE_FULL, "flow_table_full")	/* no room for a new flow */                       \
	X(DROP_NO_PORT, "snat_ports_exhausted") /* no free source port */                          \
	X(DROP_NO_SNAT_ADDRESS, "no_snat_address") /* link without address */                      \
	X(DROP_BUG, "bug")			   /* a lookup that can't fail did */              \
	X(DROP_UNALLOCATED, "unallocated")	   /* of a ServiceCIDR, nobody's: S-122 */         \
	X(RESET_LEFT, "endpoint_left")		   /* the endpoint left: connection reset */       \
	X(DROP_REDIRECT, "icmp_redirect")	   /* ICMP redirect about a flow: S-129 */

enum sl_verdict {
#define X(name, text) SL_##name,
	SL_VERDICTS(X)
#undef X
		SL_VERDICT_MAX,
};

/* The first verdict that is counted as a loss. */
#define SL_LOSS_FIRST SL_REJECT_NO_ENDPOINTS
#define SL_LOSSES     (SL_VERDICT_MAX - SL_LOSS_FIRST)

/* The word for a verdict, or NULL for a number that is none. User space only. */
const char *sl_verdict_name(unsigned int verdict);
