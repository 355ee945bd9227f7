/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * The stages for one family, and the way through them. Places for later ones:
 * guard (limits, SYN defence) after service, and DSR beside SNAT in route.
 */

#include "frontend.h"
#include "detect.h"
#include "filter.h"
#include "state.h"
#include "track.h"
#include "flow.h"
#include "icmp.h"
#include "idle.h"
#include "affinity.h"
#include "service.h"
#include "open.h"
#include "route.h"
#include "handover.h"

/* What comes in: SL_FORWARD with the translation in `p`, or why not. `tc`: 0 for XDP. */
static __always_inline enum sl_verdict F(walk_ingress)(void *ctx, struct pkt *p, int tc)
{
	enum sl_verdict v = F(filter_ingress)(p);

	if (likely(v == SL_LEAVE))
		return unlikely(F(is_unallocated)(p)) ? SL_DROP_UNALLOCATED : v;
	v = F(flow)(p);
	if (likely(v != SL_NEXT))
		return v;
	if (F(handed_over)(ctx, p, tc))
		return SL_LEAVE;
	v = F(choose)(p);
	if (v == SL_NEXT)
		v = F(route)(ctx, p);
	if (v == SL_NEXT) {
		v = tc ? F(open_beside)(ctx, p) : F(open)(p);
		if (v == SL_NEXT)
			v = F(flow)(p);
		if (v == SL_NEXT)
			v = SL_DROP_BUG;
	}
	return v;
}

/*
 * What goes out: only flows that are known. Packets of the node's own
 * processes to nobody's address of a ServiceCIDR end here.
 */
static __always_inline enum sl_verdict F(walk_egress)(struct pkt *p)
{
	enum sl_verdict v = F(filter_egress)(p);

	if (unlikely(v == SL_NEXT))
		v = F(flow)(p);
	if (likely(v == SL_LEAVE || v == SL_NEXT))
		return unlikely(F(is_unallocated)(p)) ? SL_DROP_UNALLOCATED : SL_LEAVE;
	return v;
}
