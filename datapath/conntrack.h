/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * The kernel's conntrack, asked about one tuple. Only during a handover from
 * kube-proxy, and only where the kernel can be asked (config.can_ask_conntrack);
 * without these functions in it the calls are dead code.
 */

#include "pkt.h"

#define CT_CURRENT_NETNS (-1)
#define CT_NAT		 (1UL << 4 | 1UL << 5) /* IPS_NAT_MASK */
#define CT_REPLY	 1
#define CT_TCP_SYN_SENT	 1
#define CT_TCP_SYN_RECV	 2
#define CT_TCP_SYN_SENT2 9

/* As the kernel has them, as far as they are used; found by name at load time. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

union nf_inet_addr___sl {
	__u32 all[4];
};

struct nf_conntrack_man___sl {
	union nf_inet_addr___sl u3;
};

struct nf_conntrack_tuple___sl {
	struct nf_conntrack_man___sl src;
};

struct nf_conntrack_tuple_hash___sl {
	struct nf_conntrack_tuple___sl tuple;
};

struct ip_ct_tcp___sl {
	__u8 state;
};

union nf_conntrack_proto___sl {
	struct ip_ct_tcp___sl tcp;
};

struct nf_conn {
	struct nf_conntrack_tuple_hash___sl tuplehash[2];
	unsigned long status;
	union nf_conntrack_proto___sl proto;
};

#pragma clang attribute pop

/* Its first version; the kernel takes that one, too. */
struct bpf_ct_opts___sl {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple,
					 __u32 tuple_size, struct bpf_ct_opts___sl *opts,
					 __u32 opts_size) __ksym __weak;
extern void bpf_ct_release(struct nf_conn *ct) __ksym __weak;

struct ct_answer {
	__u8 translated; /* there is an entry, and it translates */
	__u8 reply;	 /* the tuple is that of its answers */
	__u8 tcp_state;
	__be32 backend[4]; /* who answers */
};

static __noinline int ct_ask(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 size,
			     __u8 proto, struct ct_answer *ret)
{
	struct bpf_ct_opts___sl opts = { .netns_id = CT_CURRENT_NETNS, .l4proto = proto };
	struct nf_conn *ct;

	ret->translated = 0;
	if (!config.can_ask_conntrack)
		return 0;
	/* The verifier wants a known size. */
	ct = size == sizeof(tuple->ipv4)
		     ? bpf_skb_ct_lookup(skb, tuple, sizeof(tuple->ipv4), &opts, sizeof(opts))
		     : bpf_skb_ct_lookup(skb, tuple, sizeof(tuple->ipv6), &opts, sizeof(opts));
	if (!ct)
		return 0;
	ret->translated = (ct->status & CT_NAT) != 0;
	ret->reply = opts.dir == CT_REPLY;
	ret->tcp_state = ct->proto.tcp.state;
	ret->backend[0] = ct->tuplehash[CT_REPLY].tuple.src.u3.all[0];
	ret->backend[1] = ct->tuplehash[CT_REPLY].tuple.src.u3.all[1];
	ret->backend[2] = ct->tuplehash[CT_REPLY].tuple.src.u3.all[2];
	ret->backend[3] = ct->tuplehash[CT_REPLY].tuple.src.u3.all[3];
	bpf_ct_release(ct);
	return ret->translated;
}
