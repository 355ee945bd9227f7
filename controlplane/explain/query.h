/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The question: which packet is meant, as people write it. */

#include "controlplane/explain/decide.h"

struct explain_query {
	const char *from;  /* ADDR, or ADDR:PORT; IPv6 with a port in brackets */
	const char *to;	   /* ADDR:PORT or ADDR:PORT/PROTOCOL; TCP if none is named */
	const char *iface; /* where it comes in, or NULL */
	bool local;	   /* from a process of this node */
};

/*
 * Fills in all of the packet but `pod_traffic` and `role`, which depend on the
 * node. Returns 0, or -EINVAL with the field in `error`.
 */
int explain_query_parse(const struct explain_query *query, struct decide_packet *ret,
			char error[512]);
