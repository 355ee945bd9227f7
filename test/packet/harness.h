/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The shipped object in the kernel, on a node made for it: a network namespace
 * of the test process with a pod's veth, an uplink and a VXLAN device, routes
 * and neighbours. Packets go in and out by BPF_PROG_TEST_RUN.
 *
 * The interfaces have the MACs 02:00:00:00:00:02 (pod0, up0) and ...03 (up2).
 *
 *   pod0   POD      10.244.0.2, fd00:244:0::2 (local pods)
 *   up0    UPLINK   192.0.2.10, 2001:db8::10; default route; remote pods
 *                   10.244.1.0/24, fd00:244:1::/64 by 192.0.2.20, 2001:db8::20
 *   up2    UPLINK   198.18.0.10, 2001:db8:2::10; remote pods 10.244.4.0/24,
 *                   fd00:244:4::/64 by 198.18.0.20, 2001:db8:2::20
 *   tun0   TUNNEL   10.244.0.0, fd00:244:0::; remote pods 10.244.2.0/24,
 *                   fd00:244:2::/64
 *
 * Next hops have the MAC 02:00:00:00:01:LAST, last being 01 or 20. The one of
 * 10.244.5.0/24 and fd00:244:5::/64, at up0, is not resolved.
 */

#include <linux/bpf.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include <check.h>

#include "common/abi.h"
#include "sluice.skel.h"
#include "test/packet/frame.h"

#define CLIENT4	   "198.51.100.7"
#define CLIENT6	   "2001:db8:c::7"
#define NODE4	   "192.0.2.10"
#define NODE6	   "2001:db8::10"
#define NODE4_2	   "198.18.0.10"
#define NODE6_2	   "2001:db8:2::10"
#define POD4	   "10.244.0.2"
#define POD6	   "fd00:244:0::2"
#define REMOTE4	   "10.244.1.2"
#define REMOTE6	   "fd00:244:1::2"
#define OTHER4	   "10.244.4.2"
#define OTHER6	   "fd00:244:4::2"
#define NEIGHBOUR4 "10.244.5.2" /* behind a neighbour that is not known */
#define NEIGHBOUR6 "fd00:244:5::2"
#define TUNNELLED4 "10.244.2.2"
#define TUNNELLED6 "fd00:244:2::2"
#define TUNNEL4	   "10.244.0.0"
#define TUNNEL6	   "fd00:244:0::"
#define VIP4	   "203.0.113.1"
#define VIP6	   "2001:db8:f::1"
#define CLUSTER4   "10.96.0.1"
#define CLUSTER6   "fd00:96::1"

/* The SNAT range that the harness configures. */
#define SNAT_FIRST  61000
#define SNAT_COUNT  200

#define TC_NEXT	    -1
#define TC_DROP	    2
#define TC_REDIRECT 7

struct harness {
	struct sluice *skel;
	uint32_t pod0, up0, up2, tun0;		     /* ifindex */
	uint32_t services, backends, records, slots; /* how many are used */
	uint32_t snat_count;			     /* set before harness_load(); 0: SNAT_COUNT */
	uint32_t icmp_rate;			     /* set before harness_load(); 0: no limit */
	bool gets_shorter;			     /* what is to be run: see run_ingress() */
};

extern struct harness harness;

/* Fixtures: the node once a test case, the object anew for each test. */
void harness_make_node(void);
void harness_load(void);
void harness_unload(void);

/* Runs the tests of a suite; the program's exit code, 77 if it can't run. */
int harness_run(Suite *suite);

/* A test case of `suite` with both fixtures. */
TCase *harness_case(Suite *suite, const char *name);

/* Runs for _i = 0 (IPv4) and 1 (IPv6). */
#define add_for_both(tcase, test) tcase_add_loop_test(tcase, test, 0, 2)

struct service_spec {
	uint8_t kind;	  /* enum sl_kind */
	const char *addr; /* of the frontend; NULL for a node port */
	uint8_t family;	  /* needed for a node port only */
	uint8_t proto;
	uint16_t port;
	const char *backends[8]; /* local if they are in local pods' prefix, or the node's */
	uint16_t target_port;
	uint8_t path[SL_PATH_MAX]; /* enum sl_choice */
	const char *sources;	   /* one prefix "addr/len" that may reach it, or NULL */
	uint32_t affinity_s;
	uint32_t flags; /* enum sl_record_flag */
};

/*
 * Programs a service; returns its id. The local set has those of its backends
 * that are local, or all of them if none is. Its first backend id is in
 * *ret_backend.
 */
uint32_t harness_service(const struct service_spec *spec, uint32_t *ret_backend);

/* Programs an interface; texts of addresses, or NULL. */
void harness_iface(uint32_t ifindex, enum sl_role role, const char *addr4, const char *addr6,
		   bool xdp);

/* Replaces the entry of `node`; at first pods are told by their interface. */
void harness_set_node(const struct sl_node *node);

/* A backend leaves: its generation moves. */
void harness_retire_backend(uint32_t id);

/* Points the service to a record with only this backend, and other paths kept. */
void harness_set_backend(uint32_t service, uint32_t backend);

/* Replaces the service's record by one with another leave policy. */
void harness_set_leave(uint32_t service, enum sl_leave leave, uint32_t drain_s);

/* Makes it look as if a backend had left `seconds` earlier. */
void harness_age_backend(uint32_t id, int seconds);

/*
 * Programs run on *f, which then holds the packet that came out. In TC runs the
 * kernel also watches the sum that a network card would have supplied; not for
 * packets that get shorter, since it then forgets the sum and complains, and
 * not for UDP without a checksum, where nobody asks for it.
 */
int run_ingress(uint32_t ifindex, struct frame *f);
int run_egress(uint32_t ifindex, struct frame *f);
/* As if it was to leave in `segments` pieces with `size` bytes each (GSO). */
int run_ingress_gso(uint32_t ifindex, struct frame *f, uint32_t segments, uint32_t size);
/* XDP on the uplink. */
int run_xdp(struct frame *f);

/*
 * Takes a TCP flow from `ends`, coming in at `ifindex`, through its handshake,
 * sequence numbers beginning at 1000 and 2000, so that it is established. The
 * answer comes in at `back` or, if that is 0, leaves at `ifindex`. Returns the
 * SYN as the backend gets it.
 */
struct frame harness_establish(uint32_t ifindex, uint32_t back, struct ends ends);

/* Sums over CPUs. */
struct sl_service_stats harness_service_stats(uint32_t service);
struct sl_backend_stats harness_backend_stats(uint32_t backend);
uint64_t harness_losses(uint32_t service, enum sl_verdict reason);

/* Entries in a map. */
int harness_count(const struct bpf_map *map);

/* Makes every flow look as if it was last used `seconds` ago; negative: ahead. */
void harness_age_flows(int seconds);
