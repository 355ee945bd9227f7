/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "common/abi.h"
#include "common/hash.h"

#define AF_INET	    2
#define AF_INET6    10
#define PACKET_HOST 0

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define barrier()   asm volatile("" ::: "memory")

#define TCP_FIN	    0x01
#define TCP_SYN	    0x02
#define TCP_RST	    0x04
#define TCP_ACK	    0x10

enum hook {
	HOOK_INGRESS,
	HOOK_EGRESS,
	HOOK_SOCKET, /* no packet yet: a process of this node asks for a destination */
};
enum table { TABLE_NEW, TABLE_ESTABLISHED };
enum fragment { FRAGMENT_NONE, FRAGMENT_FIRST, FRAGMENT_LATER };

/* The union's other member is for the other family. */
struct pkt_ends {
	union {
		struct {
			__be32 saddr4[1];
			__be32 daddr4[1];
		};
		struct {
			__be32 saddr6[4];
			__be32 daddr6[4];
		};
	};
	__be16 sport;
	__be16 dport;
};

/*
 * What the stages know of the packet in hand: each reads what earlier ones
 * left and writes its own part. It holds offsets and no pointers, so it may be
 * handed to a separately verified function.
 */
struct pkt {
	/* the entry */
	__u32 ifindex;
	__u32 segments;
	__u8 hook;
	__u8 asks_only; /* leave no trace: for sluice_decide */
	__u8 astray;	/* the frame's destination is another MAC, or a group */

	/* parse */
	__u8 family; /* 4 or 6; 0: not IP */
	__u8 tcp;    /* TCP flags */
	__u8 fragment;
	__u16 l3; /* bytes from the start of the frame */
	__u16 l4;
	__u32 len; /* from the IP header on */
	__u32 seq;
	__u32 ack;
	union {
		struct sl_tuple4 key4;
		struct sl_tuple6 key6;
	};
	__u64 hash; /* of the key; its low half tags the flow */

	/* filter */
	__u8 bits; /* SL_FILTER_* of the destination */

	/* flow, or service, route and open for the first packet */
	__u32 now;  /* ticks */
	__u8 table; /* where the flow was found */
	__u8 stale; /* a dead flow has this key */
	__u8 flags; /* enum sl_flow_flag */
	__u8 forward;
	__u8 kind;
	__u8 path;   /* enum sl_path */
	__u8 choice; /* the record's byte for the path */
	__u8 local;  /* the backend runs on this node */
	__u8 snat;   /* enum snat */
	__u16 mtu;   /* of the next link, if the sender is to be told that it is too small */
	__u32 service;
	__u32 backend;
	__u32 generation;
	struct pkt_ends to;    /* what the packet's ends become */
	struct sl_addr source; /* SNAT address */
	__be16 egress_port;    /* and port, with SNAT_EGRESS; set by open */
};

/* Where the source of a new flow has to be translated. */
enum snat {
	SNAT_NONE,
	SNAT_HERE,   /* together with the destination; answers come to us */
	SNAT_EGRESS, /* where the packet leaves, with the stack in between */
};

/* Looking for a free source port. */
#define PORT_TRIES 64
enum reserved { RESERVED, TAKEN, FULL };

/* Both ports as they lie in a header. */
static __always_inline __u32 ports_word(__be16 sport, __be16 dport)
{
	return (__u32)dport << 16 | sport;
}

static __always_inline __u32 ticks(void)
{
	return bpf_ktime_get_coarse_ns() >> SL_TICK_SHIFT;
}
