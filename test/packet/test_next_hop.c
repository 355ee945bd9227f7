/* SPDX-License-Identifier: Apache-2.0 */

/* What a router says of packets that it can't send on: too long, or too old. */

#include <string.h>

#include "common/ip.h"
#include "test/packet/frame_icmp.h"
#include "test/packet/harness.h"

#define LINK_MTU 1500

struct place {
	const char *client, *vip, *remote, *node, *node2;
	uint32_t ip; /* bytes of the IP header */
	struct icmp_kind too_big, time_exceeded;
};

static const struct place places[] = {
	{ CLIENT4,
	  VIP4,
	  REMOTE4,
	  NODE4,
	  NODE4_2,
	  20,
	  { .type = 3, .code = 4, .rest = LINK_MTU },
	  { .type = 11 } },
	{ CLIENT6,
	  VIP6,
	  REMOTE6,
	  NODE6,
	  NODE6_2,
	  40,
	  { .type = 2, .rest = LINK_MTU },
	  { .type = 3 } },
};

static void shorten(void)
{
	harness.gets_shorter = true;
}

static uint32_t vip(const struct place *p, uint8_t proto)
{
	struct service_spec spec = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = p->vip,
		.proto = proto,
		.port = 80,
		.backends = { p->remote },
		.target_port = 8080,
	};

	return harness_service(&spec, NULL);
}

static struct ends from_client(const struct place *p)
{
	return (struct ends) { p->client, 40000, p->vip, 80 };
}

/* The answer to `f`, from `router` to `to`. */
static struct frame answer(const char *router, const char *to, const struct icmp_kind *kind,
			   const struct frame *f, uint32_t quote)
{
	struct frame want = frame_icmp(router, to, kind, f, quote);

	frame_swap_macs(&want);
	return want;
}

static void assert_answered(struct frame f, const struct frame *want)
{
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_REDIRECT);
	frame_assert_same(&f, want);
	ck_assert(frame_checksums_right(&f));
}

START_TEST(tcp_at_its_last_hop_is_answered_and_counted)
{
	const struct place *p = &places[_i];
	struct frame f = frame_tcp(from_client(p), SYN, 1000, 0, 0), want;
	uint32_t service = vip(p, IPPROTO_TCP);

	frame_set_ttl(&f, 1);
	want = answer(p->node, p->client, &p->time_exceeded, &f, p->ip + 20);
	assert_answered(f, &want);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_TTL), 1);
}
END_TEST

START_TEST(udp_at_its_last_hop_is_answered_and_counted)
{
	const struct place *p = &places[_i];
	struct frame f = frame_udp(from_client(p), 30), want;
	uint32_t service = vip(p, IPPROTO_UDP);

	frame_set_ttl(&f, 1);
	want = answer(p->node, p->client, &p->time_exceeded, &f, p->ip + 8);
	assert_answered(f, &want);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_TTL), 1);
}
END_TEST

START_TEST(a_packet_longer_than_the_next_links_mtu_is_answered_and_counted)
{
	const struct place *p = &places[_i];
	struct frame f = frame_tcp(from_client(p), ACK, 1000, 1, 1600), want;
	uint32_t service = vip(p, IPPROTO_TCP);

	want = answer(p->node, p->client, &p->too_big, &f, p->ip + 20);
	assert_answered(f, &want);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_MTU), 1);
}
END_TEST

START_TEST(a_packet_that_just_fits_is_sent)
{
	const struct place *p = &places[_i];
	struct frame f = frame_udp(from_client(p), LINK_MTU - p->ip - 8);

	vip(p, IPPROTO_UDP);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_REDIRECT);
	ck_assert_uint_ge(frame_sport(&f), SNAT_FIRST);
}
END_TEST

START_TEST(a_long_packet_that_may_be_cut_is_dropped_without_an_answer)
{
	const struct place *p = &places[0];
	struct frame f = frame_udp(from_client(p), 1600);
	uint32_t service = vip(p, IPPROTO_UDP);

	frame_set_fragment(&f, 0);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_DROP);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_MTU), 1);
}
END_TEST

START_TEST(segments_longer_than_the_next_links_mtu_are_answered)
{
	const struct place *p = &places[_i];
	uint32_t most = LINK_MTU - p->ip - 20;
	struct frame fits = frame_tcp(from_client(p), ACK, 1000, 1, 2 * most);
	struct frame f = frame_tcp(from_client(p), ACK, 1000, 1, 2 * most + 2), want;

	vip(p, IPPROTO_TCP);
	ck_assert_int_eq(run_ingress_gso(harness.up0, &fits, 2, most), TC_REDIRECT);
	ck_assert_uint_ge(frame_sport(&fits), SNAT_FIRST);
	want = answer(p->node, p->client, &p->too_big, &f, p->ip + 20);
	ck_assert_int_eq(run_ingress_gso(harness.up0, &f, 2, most + 1), TC_REDIRECT);
	frame_assert_same(&f, &want);
}
END_TEST

/* The backend's packet is answered with what the backend sent, not with what it becomes. */
START_TEST(an_answer_that_can_not_go_on_is_told_to_the_backend)
{
	const struct place *p = &places[_i];
	struct frame request = frame_udp(from_client(p), 20), f, want;

	vip(p, IPPROTO_UDP);
	run_ingress(harness.up0, &request);
	f = frame_udp_answer(&request, 1600);
	want = answer(p->node, p->remote, &p->too_big, &f, p->ip + 8);
	assert_answered(f, &want);
	f = frame_udp_answer(&request, 20);
	frame_set_ttl(&f, 1);
	want = answer(p->node, p->remote, &p->time_exceeded, &f, p->ip + 8);
	assert_answered(f, &want);
}
END_TEST

START_TEST(a_link_without_an_address_speaks_with_the_nodes)
{
	const struct place *p = &places[_i];
	struct frame f = frame_udp(from_client(p), 30), want;
	struct sl_node node = { .detect4 = SL_DETECT_INTERFACE, .detect6 = SL_DETECT_INTERFACE };
	struct sl_addr own;

	vip(p, IPPROTO_UDP);
	ck_assert_int_gt(ip_parse(p->node2, &own), 0);
	node.addr4[0] = _i ? 0 : own.w[0];
	memcpy(node.addr6, own.w, _i ? 16 : 0);
	harness_set_node(&node);
	harness_iface(harness.up0, SL_ROLE_UPLINK, NULL, NULL, false);
	frame_set_ttl(&f, 1);
	want = answer(p->node2, p->client, &p->time_exceeded, &f, p->ip + 8);
	assert_answered(f, &want);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("next hop");
	TCase *tcase = harness_case(suite, "next hop");

	tcase_add_checked_fixture(tcase, shorten, NULL);
	add_for_both(tcase, tcp_at_its_last_hop_is_answered_and_counted);
	add_for_both(tcase, udp_at_its_last_hop_is_answered_and_counted);
	add_for_both(tcase, a_packet_longer_than_the_next_links_mtu_is_answered_and_counted);
	add_for_both(tcase, a_packet_that_just_fits_is_sent);
	tcase_add_test(tcase, a_long_packet_that_may_be_cut_is_dropped_without_an_answer);
	add_for_both(tcase, segments_longer_than_the_next_links_mtu_are_answered);
	add_for_both(tcase, an_answer_that_can_not_go_on_is_told_to_the_backend);
	add_for_both(tcase, a_link_without_an_address_speaks_with_the_nodes);
	return harness_run(suite);
}
