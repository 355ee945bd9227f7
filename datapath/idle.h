/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * The flow that a probe is for, for each family. `p` has the probe's tuple, from
 * the frontend to the client, in its key.
 */

/*
 * 1 if the flow is idle, its backend left, its service wants it ended, and its
 * client had few probes so far; this one is then counted. It is what decides
 * about the client's answer, too, which therefore meets its RST.
 */
static __always_inline int F(idle_ends)(struct pkt *p)
{
	struct F(sl_tuple) key = {
		.sport = p->F(key).dport,
		.dport = p->F(key).sport,
		.proto = p->F(key).proto,
	};
	struct F(sl_flow) * f;

	copy_addr(key.saddr, p->F(key).daddr);
	copy_addr(key.daddr, p->F(key).saddr);
	f = bpf_map_lookup_elem(&F(established), &key);
	if (!f || key.proto != IPPROTO_TCP)
		return 0;
	p->now = ticks();
	p->service = f->f.service;
	p->backend = f->f.backend;
	if (f->f.state != SL_FLOW_ESTABLISHED || f->f.flags & (SL_FLOW_REVERSE | SL_FLOW_EGRESS) ||
	    F(flow_expired)(&f->f, key.proto, p->now) || !F(flow_backend_left)(&f->f) ||
	    !F(flow_is_due)(p))
		return 0;
	barrier();
	if (SL_FLOW_PROBES(f->f.flags) >= SL_PROBES_MAX ||
	    *(volatile __u32 *)&f->f.tag != F(tag_of)(&key))
		return 0;
	f->f.flags += SL_FLOW_PROBE;
	return 1;
}
