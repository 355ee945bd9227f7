/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * The datapath. A packet's way is walk_ingress() or walk_egress() in stages.h;
 * tc.h and xdp.h are the entries around it. Sockets of the node's own processes
 * have entries of their own, in sock.h.
 */

#include <stddef.h>

#include "pkt.h"
#include "maps.h"

/* Set by sluiced before load and frozen after: branches on it cost nothing. */
const volatile struct sl_config config;

#include "node.h"
#include "backend.h"
#include "count.h"
#include "parse.h"
#include "family.h"
#include "quote.h"
#include "conntrack.h"

#define FAMILY 4
#include "stages.h"
#undef FAMILY
#define FAMILY 6
#include "stages.h"
#undef FAMILY

#include "tc.h"
#include "xdp.h"
#include "probe.h"
#include "decide.h"
#include "sock.h"
#include "store.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
