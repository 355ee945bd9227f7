/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * The contract between the datapath and user space: every map's key and value.
 *
 * Compiled by clang for the BPF target and by the host compiler for sluiced,
 * lbctl and the tests, so it includes only kernel uapi types.
 *
 * Fields in network byte order are __be16 and __be32, all else is host order.
 * Padding is spelled out and always zero: hash keys are compared as bytes.
 * A changed size or meaning needs a new SL_LAYOUT, since pinned maps of an
 * earlier build may be adopted (docs/architecture.md, "Pins").
 */

#include <linux/types.h>

#include "common/drop.h"

#define SL_LAYOUT 2

#define SL_SIZE(type, bytes)                                                                       \
	_Static_assert(sizeof(struct type) == (bytes), #type " changed size: raise SL_LAYOUT")

/*
 * Time in the datapath is counted in ticks of 2^30 ns (1.07 s) of the coarse
 * monotonic clock: a shift instead of a division. 32 bits last 146 years.
 */
#define SL_TICK_SHIFT	  30
#define SL_TICKS(seconds) ((__u32)(((__u64)(seconds) * 1000000000ULL) >> SL_TICK_SHIFT) + 1)

/* An address of either family; an IPv4 address is in w[0], the rest is 0. */
struct sl_addr {
	__be32 w[4];
};
SL_SIZE(sl_addr, 16);

/*
 * `filter`: two bits a slot over sl_filter_slot(destination), 32 slots a u64.
 * Bit 0: some frontend has an address of this slot. Bit 1: some address of
 * this node has it, so that `node_ports` decides.
 */
#define SL_FILTER_BITS	  18
#define SL_FILTER_WORDS	  ((1U << SL_FILTER_BITS) / 32)
#define SL_FILTER_SERVICE 1U
#define SL_FILTER_NODE	  2U

/* `endpoint_set`: one bit a slot over sl_filter_slot(source), 64 a u64. */
#define SL_ENDPOINT_WORDS ((1U << SL_FILTER_BITS) / 64)

/*
 * `node_ports`: one bit a port, 1024 u64 a protocol (TCP, UDP, SCTP), set for
 * node ports and for the SNAT range.
 */
#define SL_PORT_WORDS	  1024
#define SL_PORT_PROTOCOLS 3

/* Why a frontend is one; decides which path of a record a packet takes. */
enum sl_kind {
	SL_KIND_CLUSTER_IP = 1,
	SL_KIND_NODE_PORT,
	SL_KIND_LOAD_BALANCER,
	SL_KIND_EXTERNAL_IP,
	/* Keys with port 0 and protocol 0: what an address itself is. */
	SL_KIND_NODE_ADDRESS,	 /* this node's; node ports answer here (S-182) */
	SL_KIND_CLUSTER_ADDRESS, /* unknown ports are rejected (S-121) */
	SL_KIND_OWN_ADDRESS,	 /* this node's, without node ports */
	SL_KIND_MAX,
};

/* Keys of `frontends4` and `frontends6`; node ports have the address 0. */
struct sl_frontend4 {
	__be32 addr[1];
	__be16 port;
	__u8 proto; /* IPPROTO_TCP, IPPROTO_UDP or IPPROTO_SCTP */
	__u8 pad;
};
SL_SIZE(sl_frontend4, 8);

struct sl_frontend6 {
	__be32 addr[4];
	__be16 port;
	__u8 proto;
	__u8 pad;
};
SL_SIZE(sl_frontend6, 20);

/*
 * Their value is one u64 { tag 24, kind 8, service id 32 }. The tag is the
 * upper part of sl_frontend_tag(key), compared after the read: an element of a
 * hash map may be recycled under its reader.
 */
#define SL_FRONTEND_VALUE(service, kind, tag)                                                      \
	((__u64)(service) | (__u64)(kind) << 32 | (__u64)((tag) & 0xffffff) << 40)
#define SL_FRONTEND_SERVICE(value) ((__u32)(value))
#define SL_FRONTEND_KIND(value)	   ((__u8)((value) >> 32))
#define SL_FRONTEND_TAG(value)	   ((__u32)((value) >> 40))

/*
 * `services`: service id -> { version 32, record index 32 }, one aligned u64
 * that is stored at once. Index 0 means that there is no such service. A
 * service id stands for one service port in one family (S-020).
 */
#define SL_SERVICE_WORD(record, version) ((__u64)(record) | (__u64)(version) << 32)
#define SL_SERVICE_RECORD(word)		 ((__u32)(word))

/* Which of a service's sets a packet may choose from, or what to do instead. */
enum sl_choice {
	SL_CHOOSE_CLUSTER, /* sl_record.set[0] */
	SL_CHOOSE_LOCAL,   /* sl_record.set[1] */
	SL_CHOOSE_REJECT,  /* no endpoint anywhere: port unreachable */
	SL_CHOOSE_DROP,	   /* endpoints, but none on this node */
	SL_CHOOSE_MAX,
};

/*
 * The ways to a service; each has a choice of its own (S-110 ... S-115). Who
 * is pod traffic is struct sl_node's business.
 */
enum sl_path {
	SL_PATH_CLUSTER_POD, /* to the cluster IP, pod traffic */
	SL_PATH_CLUSTER,     /* to the cluster IP, anyone else */
	SL_PATH_POD,	     /* to an external destination, pod traffic (S-113) */
	SL_PATH_NODE,	     /* to one, from an address of this node (S-114) */
	SL_PATH_OUTSIDE,     /* to one, from anywhere else (S-115) */
	SL_PATH_MAX,
};

/* In a record, a path's choice and whether kube-proxy would masquerade there. */
#define SL_MASQUERADE	     0x80U
#define SL_PATH_CHOICE(path) ((path) & 0x7fU)

/*
 * Backends to choose from: `slots` Maglev slots from `first` on in `maglev`.
 * With one backend there are no slots: `slots` is 1, `first` the backend id.
 */
struct sl_set {
	__u32 slots; /* 0: empty */
	__u32 first;
};
SL_SIZE(sl_set, 8);

#define SL_SET_CLUSTER 0
#define SL_SET_LOCAL   1
#define SL_SET_MAX     2

/* What becomes of TCP connections whose backend leaves. */
enum sl_leave {
	SL_LEAVE_KEEP,	/* they stay (S-128) */
	SL_LEAVE_DRAIN, /* they stay for sl_record.drain_s, then are reset */
	SL_LEAVE_RESET, /* they are reset at once */
};

enum sl_record_flag {
	/* Source ranges hold for node ports and external IPs too, not only VIPs. */
	SL_RECORD_RANGES_EVERYWHERE = 1 << 0,
};

/* `records`: what `services` points to. Immutable while it can be reached. */
struct sl_record {
	struct sl_set set[SL_SET_MAX];
	__u32 service;	  /* whose record this is */
	__u32 policy;	  /* key part of `policy4/6`; 0: every source may */
	__u8 path[8];	  /* choice | SL_MASQUERADE by enum sl_path */
	__u32 affinity_s; /* ClientIP affinity in seconds; 0: none */
	__u32 flags;	  /* enum sl_record_flag */
	__u32 drain_s;
	__u8 leave; /* enum sl_leave */
	__u8 pad[3];
};
SL_SIZE(sl_record, 48);

/* `maglev`: two backend ids a value. */
struct sl_slots {
	__u32 id[2];
};
SL_SIZE(sl_slots, 8);

/*
 * `backends`: backend id -> where it is. A backend id stands for one endpoint
 * of one service id and is only handed on after a grace period and a new
 * generation. Id 0 is never used.
 *
 * The word is { generation 32, order 16, sets 8, state 8 } and written alone.
 * The order is the backend's place among those of its service (S-077).
 */
struct sl_backend {
	__u64 word;
	struct sl_addr addr;
	__be16 port;
	__u8 flags;  /* enum sl_backend_flag */
	__u8 family; /* 4 or 6 */
	__u32 service;
	__u32 left; /* ticks when it became GONE; kept until the id's next leaving */
	__u32 pad;
};
SL_SIZE(sl_backend, 40);

enum sl_backend_state {
	SL_BACKEND_FREE,
	SL_BACKEND_LIVE, /* serving (S-161) */
	SL_BACKEND_GONE, /* left; flows that remember it look up its generation */
};

enum sl_backend_flag {
	SL_BACKEND_LOCAL = 1 << 0, /* runs on this node (S-073) */
};

#define SL_BACKEND_WORD(generation, sets, state)                                                   \
	((__u64)(generation) << 32 | (__u64)(sets) << 8 | (__u64)(state))
#define SL_BACKEND_ORDERED(order)   ((__u64)((order) & 0xffffU) << 16) /* | a word */
#define SL_BACKEND_ORDER(word)	    ((__u16)((word) >> 16))
#define SL_BACKEND_GENERATION(word) ((__u32)((word) >> 32))
#define SL_BACKEND_SETS(word)	    ((__u8)((word) >> 8))
#define SL_BACKEND_STATE(word)	    ((__u8)(word))

/*
 * `identities`: service id -> who that is, so that lbctl can name a service
 * and a restarted daemon finds its ids again. Strings end in NUL.
 */
struct sl_identity {
	char namespace_[64];
	char service[64];
	char port[64]; /* port name, may be empty */
	__u8 proto;
	__u8 family; /* 4 or 6; 0: the id is free */
	__u8 pad[6];
};
SL_SIZE(sl_identity, 200);

/* Keys of the flow tables `new4/6`, `established4/6`, and of `snat4/6`. */
struct sl_tuple4 {
	__be32 saddr[1];
	__be32 daddr[1];
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 pad[3];
};
SL_SIZE(sl_tuple4, 16);

struct sl_tuple6 {
	__be32 saddr[4];
	__be32 daddr[4];
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 pad[3];
};
SL_SIZE(sl_tuple6, 40);

/* How a translated packet goes on. */
enum sl_forward {
	SL_TO_STACK, /* the host stack routes it */
	SL_REDIRECT, /* FIB lookup, then straight out (both ends translated) */
	SL_HAIRPIN,  /* back out of the interface it came from */
};

enum sl_flow_state {
	SL_FLOW_NEW = 1, /* the way back is not proven yet */
	SL_FLOW_ESTABLISHED,
	SL_FLOW_CLOSING,  /* FIN in both directions */
	SL_FLOW_CLOSED,	  /* RST */
	SL_FLOW_PROMOTED, /* in `new`: has moved to `established`, look there */
	SL_FLOW_STATE_MAX,
};

enum sl_flow_flag {
	SL_FLOW_REVERSE = 1 << 0,   /* translates answers */
	SL_FLOW_EGRESS = 1 << 1,    /* holds where packets leave; else where they come in */
	SL_FLOW_SNAT = 1 << 2,	    /* owns a source port in `snat4/6` */
	SL_FLOW_ANSWERED = 1 << 3,  /* UDP: an answer was seen; TCP: proof is set */
	SL_FLOW_FIN = 1 << 4,	    /* a FIN went this way */
	SL_FLOW_MIDSTREAM = 1 << 5, /* TCP: opened by a packet that was no SYN */
	SL_FLOW_PROBE = 1 << 6,	    /* bits 6 and 7: how many probes it had */
};

#define SL_FLOW_PROBES(flags) ((__u8)(flags) >> 6)
#define SL_PROBES_MAX	      3

/*
 * A direction of a flow: the whole answer for its packets. Written whole once;
 * afterwards only state, flags, seen, proof and the counters change in place.
 * The tag comes first: writers copy upwards, so a reader that finds its own
 * tag after it has copied the rest has read one flow and not two.
 */
struct sl_flow {
	__u32 tag;
	__u32 service;
	__u32 backend;
	__u32 generation; /* of the backend when the flow was opened */
	__u8 state;	  /* enum sl_flow_state */
	__u8 forward;	  /* enum sl_forward */
	__u8 flags;	  /* enum sl_flow_flag */
	__u8 kind;	  /* enum sl_kind of the frontend */
	__u32 seen;	  /* ticks */
	__u32 opened;	  /* ticks */
	__u32 isn;	  /* TCP: sequence number of the SYN */
	__u32 proof;	  /* TCP: the ack that shows that the SYN-ACK arrived */
	__be16 sport;	  /* what the packet's ports become */
	__be16 dport;
	__u64 packets;
	__u64 bytes; /* from the IP header on */
};
SL_SIZE(sl_flow, 56);

struct sl_flow4 {
	struct sl_flow f;
	__be32 saddr[1]; /* what the packet's addresses become */
	__be32 daddr[1];
};
SL_SIZE(sl_flow4, 64);

struct sl_flow6 {
	struct sl_flow f;
	__be32 saddr[4];
	__be32 daddr[4];
};
SL_SIZE(sl_flow6, 88);

/*
 * `snat4/6`: the tuple of an answer, whose destination is an address and port
 * of ours -> the forward key that owns it, from promotion to the sweep that
 * finds its flow dead. Younger reservations are the reverse entry in `new4/6`.
 *
 * A flow has up to four entries. Always: forward where the client's packets
 * come in, reverse where its answers leave (EGRESS) or, if both ends are
 * translated (REDIRECT, HAIRPIN), where they come in. Through a tunnel there
 * are two more, SNAT at its egress (EGRESS) and back at its ingress (REVERSE).
 */

/*
 * Keys of `policy4/6` (LPM trie): prefixlen counts the policy id's 32 bits. A
 * source that matches a prefix may. The value tells the prefix's length, by
 * which a lookup for a prefix tells whether there is exactly this one.
 */
#define SL_POLICY_VALUE(len) ((__u32)(len) + 1)

struct sl_policy4 {
	__u32 prefixlen;
	__u32 policy;
	__be32 addr[1];
};
SL_SIZE(sl_policy4, 12);

struct sl_policy6 {
	__u32 prefixlen;
	__u32 policy;
	__be32 addr[4];
};
SL_SIZE(sl_policy6, 24);

/* What an interface is to us. */
enum sl_role {
	SL_ROLE_NONE,	/* not ours to look at */
	SL_ROLE_POD,	/* the host's side of a pod's link */
	SL_ROLE_UPLINK, /* leads to other machines */
	SL_ROLE_TUNNEL, /* leads to other nodes' pods, through an uplink */
	SL_ROLE_MAX,
};

/* `ifaces`: ifindex -> role, and the addresses that SNAT uses there. */
struct sl_iface {
	__u8 role;	  /* enum sl_role */
	__u8 xdp;	  /* 1: our XDP program is attached, so frames can be sent to it */
	__u8 pod_traffic; /* 1: what comes in here is pod traffic (SL_DETECT_INTERFACE) */
	__u8 pad;
	__be32 addr4; /* 0: none */
	struct sl_addr addr6;
};
SL_SIZE(sl_iface, 24);

/* How pod traffic is told from other (detectLocalMode, S-130). */
enum sl_detect {
	SL_DETECT_NONE,	     /* not at all: S-131 */
	SL_DETECT_SOURCE,    /* its source is in sl_node.pods4/6 */
	SL_DETECT_INTERFACE, /* it comes in at an interface with pod_traffic set */
};

struct sl_prefix4 {
	__be32 addr[1];
	__be32 mask[1];
};

struct sl_prefix6 {
	__be32 addr[4];
	__be32 mask[4];
};

/* Whose connections live beside ours. */
enum sl_handover {
	SL_HANDOVER_NONE,
	SL_HANDOVER_FROM, /* what conntrack translates is left to it */
	SL_HANDOVER_BACK, /* nothing is opened any more */
};

#define SL_SERVICE_CIDRS 4 /* of each family */

/*
 * `node`: one entry, what the datapath must know of this node. Written field
 * by field: a count after what it counts, `detect*` after the prefix.
 */
struct sl_node {
	__u8 detect4, detect6; /* enum sl_detect */
	__u8 n_services4, n_services6;
	/* 1: SNAT happens at the egress of any interface, not of tunnels only. */
	__u8 compatible;
	__u8 was_compatible; /* 1: flows of then may live, with their SNAT there */
	__u8 taken_over;     /* 1: compatible for kube-proxy's sake; for the daemon alone */
	__u8 handover;	     /* enum sl_handover */
	struct sl_prefix4 pods4;
	struct sl_prefix6 pods6;
	struct sl_prefix4 services4[SL_SERVICE_CIDRS]; /* ServiceCIDRs (S-122) */
	struct sl_prefix6 services6[SL_SERVICE_CIDRS];
	/* SNAT address where an interface has none; affinity key of the node's
	 * own processes. 0: none. */
	__be32 addr4[1];
	__be32 addr6[4];
	__u32 pad2;
};
SL_SIZE(sl_node, 232);

/* Keys of `affinity4/6`: one entry for all destinations of a service (S-140). */
struct sl_client4 {
	__u32 service;
	__be32 addr[1];
};
SL_SIZE(sl_client4, 8);

struct sl_client6 {
	__u32 service;
	__be32 addr[4];
};
SL_SIZE(sl_client6, 20);

/*
 * Whom a client with ClientIP affinity was sent to (S-142 ... S-147): up to
 * four backends, since each path may have a set of its own.
 */
struct sl_affinity {
	__u32 tag; /* of the key, as in struct sl_flow */
	__u32 pad;
	struct {
		__u32 backend; /* 0: unused */
		__u32 generation;
		__u32 used; /* last new connection: coarse monotonic ms, wrapping */
	} at[4];
};
SL_SIZE(sl_affinity, 56);

/*
 * `sockets`: translations of the node's own sockets: (socket, what it was
 * connected or sent to) -> what the process asked for. One entry serves the
 * answers' source, getpeername and the closing of sockets whose backend left.
 * UDP has a second one, with the frontend in the key, by which datagrams that
 * name their destination stay with a backend.
 */
struct sl_socket {
	__u64 cookie;
	struct sl_addr addr; /* the backend's */
	__be16 port;
	__u8 proto;
	__u8 family; /* of the backend: 4 or 6 */
	__u32 pad;
};
SL_SIZE(sl_socket, 32);

struct sl_asked {
	struct sl_addr addr; /* the frontend's */
	__be16 port;
	__u8 connected;
	__u8 kind; /* enum sl_kind */
	__u32 service;
	__u32 backend;
	__u32 generation;
};
SL_SIZE(sl_asked, 32);

/*
 * In and out of the program `sluice_decide`, as the data of a test run: what a
 * first packet would meet, without opening a flow. For lbctl explain.
 */
struct sl_decide {
	__be32 saddr[4];
	__be32 daddr[4];
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 family;
	__u8 local; /* 1: from a process of this node */
	__u8 pad;
	__u32 ifindex; /* where it comes in; 0 with `local` */
	/* Out: */
	__u32 verdict; /* enum sl_verdict; SL_NEXT: goes to the backend */
	__u32 service;
	__u32 backend;
	__u8 kind;	 /* enum sl_kind */
	__u8 path;	 /* enum sl_path */
	__u8 choice;	 /* of the record, with SL_MASQUERADE */
	__u8 masquerade; /* 1: its source would be translated (S-132 ... S-136) */
};
SL_SIZE(sl_decide, 60);

/*
 * What the program `sluice_probe` returns. The data of its test run is a frame
 * for the client of an idle TCP flow whose backend left, still without MACs.
 */
enum sl_probe {
	SL_PROBE_SENT,
	SL_PROBE_NOT_DUE, /* there is no such flow, or its service keeps it */
	/* The next hop's MAC is not known. The context has it: `mark` the interface,
	 * `priority` 4 or 6, `cb` the address. */
	SL_PROBE_NO_NEIGHBOUR,
	SL_PROBE_NO_ROUTE,
	SL_PROBE_FAILED, /* the interface did not take it */
};

/* Directions of the counters below. */
#define SL_FORWARDS  0 /* client to backend */
#define SL_BACKWARDS 1

/* `stats_services` (per CPU), by service id; 0 counts what has no service. */
struct sl_service_stats {
	__u64 connections;
	__u64 packets[2];
	__u64 bytes[2];
	__u64 losses[SL_LOSSES]; /* by verdict - SL_LOSS_FIRST */
};
SL_SIZE(sl_service_stats, 160);

/* `stats_backends` (per CPU), by backend id. */
struct sl_backend_stats {
	__u64 connections;
	__u64 packets[2];
	__u64 bytes[2];
};
SL_SIZE(sl_backend_stats, 40);

/* Set before load in the object's read-only data. */
struct sl_config {
	__u32 timeout[2][SL_FLOW_STATE_MAX]; /* ticks, by TCP = 0 or else 1, state */
	__u16 snat_first;		     /* host order */
	__u16 snat_count;
	__u32 can_refuse; /* 1: programs for sockets may use bpf_set_retval() */
	__u64 netns;	  /* cookie of the network namespace whose sockets are ours; 0: none */
	__u32 can_ask_conntrack; /* 1: the kernel has bpf_skb_ct_lookup() */
	__u32 icmp_rate;	 /* own ICMP messages a second and CPU; 0: no limit */
};

/* As the kernel's icmp_msgs_per_sec was for long. */
#define SL_ICMP_RATE 1000

/*
 * Argument of the program `sluice_store`, by which the daemon changes values
 * of hash maps in place: an update from user space replaces the element, and
 * readers meanwhile miss it.
 */
struct sl_store {
	__u32 map; /* enum sl_store_map */
	__u32 pad;
	union {
		struct {
			struct sl_frontend6 key; /* a frontend4 uses addr[0] */
			__u32 pad2;
			__u64 value;
		} frontend;
		struct {
			__u32 ifindex;
			struct sl_iface value;
		} iface;
	};
};

enum sl_store_map {
	SL_STORE_FRONTEND4,
	SL_STORE_FRONTEND6,
	SL_STORE_IFACE,
};
