/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One UDP flow through a VIP, and errors about it. */

#include <arpa/inet.h>
#include <string.h>

#include "test/packet/frame_icmp.h"
#include "test/packet/harness.h"

struct place {
	const char *client, *vip, *pod, *remote, *node, *router;
	const struct icmp_kind *kinds;
	uint32_t header;
};

static const struct place places[] = {
	{ CLIENT4, VIP4, POD4, REMOTE4, NODE4, "198.18.99.1", icmp_kinds4, 20 },
	{ CLIENT6, VIP6, POD6, REMOTE6, NODE6, "2001:db8:99::1", icmp_kinds6, 40 },
};

static inline struct ends at_client(const struct place *p)
{
	return (struct ends) { p->client, 40000, p->vip, 80 };
}

static inline struct ends at_backend(const struct place *p)
{
	return (struct ends) { p->client, 40000, p->pod, 8080 };
}

static inline struct ends turned(struct ends e)
{
	return (struct ends) { e.daddr, e.dport, e.saddr, e.sport };
}

static inline uint32_t vip(const struct place *p, uint8_t proto, const char *backend)
{
	struct service_spec spec = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = p->vip,
		.proto = proto,
		.port = 80,
		.backends = { backend },
		.target_port = 8080,
	};

	return harness_service(&spec, NULL);
}

/* A UDP flow to a backend on this node, whose client keeps its address. */
static inline uint32_t open_udp(const struct place *p)
{
	struct frame f = frame_udp(at_client(p), 20);
	uint32_t service = vip(p, IPPROTO_UDP, p->pod);

	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_NEXT);
	return service;
}

/* A UDP flow to a backend elsewhere; returns the source port it got. */
static inline uint16_t open_remote(const struct place *p, uint32_t *ret_service)
{
	struct frame f = frame_udp(at_client(p), 20);

	*ret_service = vip(p, IPPROTO_UDP, p->remote);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_REDIRECT);
	return frame_sport(&f);
}

/* The client's error about the answer `old`, and what the backend gets: about `new`. */
static inline void assert_follows(const struct place *p, const struct frame *old,
				  const struct frame *new, uint32_t quote)
{
	struct frame f = frame_icmp(p->client, p->vip, &p->kinds[0], old, quote), by_xdp = f;
	struct frame want = frame_icmp(p->client, p->pod, &p->kinds[0], new, quote);

	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
	ck_assert_int_eq(run_xdp(&by_xdp), XDP_PASS);
	frame_assert_same(&by_xdp, &want);
}

/* Neither TC nor XDP touch it. */
static inline void assert_left(const struct frame *f)
{
	struct frame by_tc = *f, by_xdp = *f;

	ck_assert_int_eq(run_ingress(harness.up0, &by_tc), TC_NEXT);
	frame_assert_same(&by_tc, f);
	ck_assert_int_eq(run_xdp(&by_xdp), XDP_PASS);
	frame_assert_same(&by_xdp, f);
}
