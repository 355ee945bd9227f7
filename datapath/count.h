/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Counters, by service and by backend. */

#include "maps.h"
#include "pkt.h"

static __always_inline void count_connection(const struct pkt *p)
{
	__u32 service = p->service, backend = p->backend;
	struct sl_service_stats *s = bpf_map_lookup_elem(&stats_services, &service);
	struct sl_backend_stats *b = bpf_map_lookup_elem(&stats_backends, &backend);

	if (s)
		s->connections++;
	if (b)
		b->connections++;
}

/*
 * A flow with SNAT at a tunnel passes twice: counted is its client's side, not
 * the tunnel's egress (EGRESS alone) nor ingress (REVERSE alone, to the stack).
 */
static __always_inline int on_tunnel_side(const struct pkt *p)
{
	switch (p->flags & (SL_FLOW_EGRESS | SL_FLOW_REVERSE)) {
	case SL_FLOW_EGRESS:
		return 1;
	case SL_FLOW_REVERSE:
		return p->forward == SL_TO_STACK;
	default:
		return 0;
	}
}

static __always_inline void count_forward(const struct pkt *p)
{
	int way = p->flags & SL_FLOW_REVERSE ? SL_BACKWARDS : SL_FORWARDS;
	__u32 service = p->service, backend = p->backend;
	struct sl_service_stats *s = bpf_map_lookup_elem(&stats_services, &service);
	struct sl_backend_stats *b = bpf_map_lookup_elem(&stats_backends, &backend);

	if (on_tunnel_side(p))
		return;
	if (s) {
		s->packets[way] += p->segments;
		s->bytes[way] += p->len;
	}
	if (b) {
		b->packets[way] += p->segments;
		b->bytes[way] += p->len;
	}
}

static __always_inline void count_loss(const struct pkt *p, enum sl_verdict v)
{
	__u32 service = p->service, reason = v - SL_LOSS_FIRST;
	struct sl_service_stats *s = bpf_map_lookup_elem(&stats_services, &service);

	if (s && reason < SL_LOSSES)
		s->losses[reason] += p->segments;
}
