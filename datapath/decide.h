/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * What a first packet would meet: the same stages as for packets, run by the
 * daemon for `lbctl explain`. No flow is opened and nothing is remembered or
 * counted.
 */

#include "tc.h"

static __always_inline void decide_begin(const struct sl_decide *d, struct pkt *p)
{
	p->family = d->family;
	p->ifindex = d->ifindex;
	p->hook = d->local ? HOOK_SOCKET : HOOK_INGRESS;
	p->asks_only = 1;
}

static __always_inline void decide_end(const struct pkt *p, enum sl_verdict v, int itself,
				       struct sl_decide *d)
{
	d->verdict = v;
	d->service = p->service;
	d->backend = p->backend;
	d->kind = p->kind;
	d->path = p->path;
	d->choice = p->choice;
	d->masquerade = v == SL_NEXT && (p->choice & SL_MASQUERADE || (itself && p->local));
}

static __noinline void decide4(struct sl_decide *d)
{
	struct pkt p = {};
	enum sl_verdict v;

	decide_begin(d, &p);
	p.key4.saddr[0] = d->saddr[0];
	p.key4.daddr[0] = d->daddr[0];
	p.key4.sport = d->sport;
	p.key4.dport = d->dport;
	p.key4.proto = d->proto;
	p.hash = sl_tuple_hash(p.key4.saddr, p.key4.daddr, 1, d->sport, d->dport, d->proto);
	v = choose4(&p);
	decide_end(&p, v, same_words(p.to.daddr4, p.key4.saddr, 1), d);
}

static __noinline void decide6(struct sl_decide *d)
{
	struct pkt p = {};
	enum sl_verdict v;

	decide_begin(d, &p);
	__builtin_memcpy(p.key6.saddr, d->saddr, 16);
	__builtin_memcpy(p.key6.daddr, d->daddr, 16);
	p.key6.sport = d->sport;
	p.key6.dport = d->dport;
	p.key6.proto = d->proto;
	p.hash = sl_tuple_hash(p.key6.saddr, p.key6.daddr, 4, d->sport, d->dport, d->proto);
	v = choose6(&p);
	decide_end(&p, v, same_words(p.to.daddr6, p.key6.saddr, 4), d);
}

/*
 * A test run's data is one struct sl_decide, in and out. Of the type "tc",
 * because programs of the type "syscall" sleep and may not use LPM tries.
 */
SEC("tc")
int sluice_decide(struct __sk_buff *skb)
{
	struct sl_decide d;

	if (bpf_skb_load_bytes(skb, 0, &d, sizeof(d)))
		return -1;
	if (d.family == 4)
		decide4(&d);
	else if (d.family == 6)
		decide6(&d);
	else
		return -1;
	return bpf_skb_store_bytes(skb, 0, &d, sizeof(d), 0) ? -1 : 0;
}
