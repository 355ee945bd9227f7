/* SPDX-License-Identifier: Apache-2.0 */

/* Headers of all sorts, by both entries: what is understood, and what is left. */

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <string.h>

#include "test/packet/harness.h"

struct place {
	const char *client, *vip, *cluster, *local;
};

static const struct place places[] = {
	{ CLIENT4, VIP4, CLUSTER4, POD4 },
	{ CLIENT6, VIP6, CLUSTER6, POD6 },
};

static uint32_t serve(const char *addr, uint8_t proto, uint16_t port)
{
	struct service_spec spec = {
		.kind = addr == places[0].cluster || addr == places[1].cluster
				? SL_KIND_CLUSTER_IP
				: SL_KIND_LOAD_BALANCER,
		.addr = addr,
		.proto = proto,
		.port = port,
		.backends = { strchr(addr, ':') ? POD6 : POD4 },
		.target_port = 8080,
	};

	return harness_service(&spec, NULL);
}

static struct frame udp_to_vip(const struct place *p)
{
	return frame_udp((struct ends) { p->client, 40000, p->vip, 80 }, 24);
}

static struct frame translated(const struct place *p)
{
	return frame_udp((struct ends) { p->client, 40000, p->local, 8080 }, 24);
}

static int flows(void)
{
	return harness_count(harness.skel->maps.new4) + harness_count(harness.skel->maps.new6);
}

/* Test runs of TC take no frame without a whole IP header. */
static bool has_ip_header(const struct frame *f)
{
	return f->len >= ETH_HLEN + (f->data[12] == 0x86 && f->data[13] == 0xdd ? 40U : 20U);
}

/* Both entries leave it, byte for byte, and remember nothing. */
static void assert_left(const struct frame *f)
{
	struct frame got = *f;

	if (has_ip_header(f)) {
		ck_assert_int_eq(run_ingress(harness.up0, &got), TC_NEXT);
		frame_assert_same(&got, f);
	}
	ck_assert_int_eq(run_xdp(&got), XDP_PASS);
	frame_assert_same(&got, f);
	ck_assert_int_eq(flows(), 0);
}

static void assert_translated(const struct frame *f, const struct frame *want)
{
	struct frame got = *f;

	ck_assert_int_eq(run_ingress(harness.up0, &got), TC_NEXT);
	frame_assert_same(&got, want);
	got = *f;
	ck_assert_int_eq(run_xdp(&got), XDP_PASS);
	frame_assert_same(&got, want);
}

/* Both entries drop it and count that for the service. */
static void assert_fragment_dropped(const struct frame *f, uint32_t service)
{
	uint64_t before = harness_losses(service, SL_DROP_FRAGMENT);
	struct frame got = *f;

	ck_assert_int_eq(run_ingress(harness.up0, &got), TC_DROP);
	got = *f;
	ck_assert_int_eq(run_xdp(&got), XDP_DROP);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_FRAGMENT) - before, 2);
	ck_assert_int_eq(flows(), 0);
}

START_TEST(ipv4_options_are_skipped)
{
	serve(VIP4, IPPROTO_UDP, 80);
	for (uint32_t words = 1; words <= 10; words++) {
		struct frame f = udp_to_vip(&places[0]), want = translated(&places[0]);

		frame_add_options(&f, words);
		frame_add_options(&want, words);
		assert_translated(&f, &want);
	}
}
END_TEST

static const uint8_t extensions[] = { IPPROTO_HOPOPTS, IPPROTO_DSTOPTS, IPPROTO_ROUTING,
				      IPPROTO_FRAGMENT };

START_TEST(ipv6_extension_headers_are_skipped)
{
	struct frame f = udp_to_vip(&places[1]), want = translated(&places[1]);

	serve(VIP6, IPPROTO_UDP, 80);
	for (int n = 0; n < 4; n++) {
		frame_add_extension(&f, extensions[_i], 0);
		frame_add_extension(&want, extensions[_i], 0);
		assert_translated(&f, &want);
	}
}
END_TEST

START_TEST(a_long_ipv6_extension_header_is_skipped)
{
	struct frame f = udp_to_vip(&places[1]), want = translated(&places[1]);

	serve(VIP6, IPPROTO_UDP, 80);
	frame_add_long_extension(&f, IPPROTO_DSTOPTS, 64);
	frame_add_long_extension(&want, IPPROTO_DSTOPTS, 64);
	assert_translated(&f, &want);
}
END_TEST

START_TEST(more_extension_headers_than_anybody_sends_are_left)
{
	struct frame f = udp_to_vip(&places[1]);

	serve(VIP6, IPPROTO_UDP, 80);
	for (int n = 0; n < 5; n++)
		frame_add_extension(&f, IPPROTO_DSTOPTS, 0);
	assert_left(&f);
}
END_TEST

START_TEST(extension_headers_that_reach_too_far_are_left)
{
	struct frame f = udp_to_vip(&places[1]);

	serve(VIP6, IPPROTO_UDP, 80);
	frame_add_long_extension(&f, IPPROTO_DSTOPTS, 512);
	assert_left(&f);
}
END_TEST

START_TEST(a_source_route_to_go_on_with_is_left)
{
	struct frame f = udp_to_vip(&places[1]);

	serve(VIP6, IPPROTO_UDP, 80);
	frame_add_extension(&f, IPPROTO_ROUTING, 1); /* segments left */
	assert_left(&f);
}
END_TEST

/* A frame of each transport, whole up to its headers. */
static struct frame whole(int i)
{
	const struct place *p = &places[i & 1];
	struct frame f;

	if (i & 2)
		f = frame_tcp((struct ends) { p->client, 40000, p->vip, 80 }, SYN, 1, 0, 0);
	else
		f = frame_udp((struct ends) { p->client, 40000, p->vip, 80 }, 0);
	if (i & 4 && i & 1)
		frame_add_extension(&f, IPPROTO_DSTOPTS, 0);
	else if (i & 4)
		frame_add_options(&f, 3);
	return f;
}

START_TEST(a_frame_cut_anywhere_is_left)
{
	struct frame f = whole(_i);

	serve(places[_i & 1].vip, _i & 2 ? IPPROTO_TCP : IPPROTO_UDP, 80);
	for (f.len--; f.len >= ETH_HLEN; f.len--)
		assert_left(&f);
}
END_TEST

START_TEST(a_frame_with_headers_alone_is_translated)
{
	struct frame f = whole(_i);

	serve(places[_i & 1].vip, _i & 2 ? IPPROTO_TCP : IPPROTO_UDP, 80);
	run_ingress(harness.up0, &f);
	ck_assert_int_eq(flows(), 2);
	ck_assert(frame_checksums_right(&f));
}
END_TEST

START_TEST(a_frame_with_a_vlan_tag_is_left)
{
	static const uint16_t tags[] = { ETH_P_8021Q, ETH_P_8021AD };
	struct frame f = udp_to_vip(&places[0]);
	const uint16_t tag[2] = { htons(tags[_i]), htons(100) };

	serve(VIP4, IPPROTO_UDP, 80);
	memmove(f.data + 16, f.data + 12, f.len - 12);
	memcpy(f.data + 12, tag, sizeof(tag));
	f.len += 4;
	assert_left(&f);
}
END_TEST

START_TEST(what_is_not_ip_is_left)
{
	static const uint16_t types[] = { ETH_P_ARP, ETH_P_MPLS_UC, ETH_P_PPP_SES };
	struct frame f = udp_to_vip(&places[0]);

	serve(VIP4, IPPROTO_UDP, 80);
	f.data[12] = types[_i] >> 8;
	f.data[13] = types[_i] & 0xff;
	assert_left(&f);
}
END_TEST

START_TEST(a_wrong_version_is_left)
{
	struct frame f = udp_to_vip(&places[_i]);

	serve(places[_i].vip, IPPROTO_UDP, 80);
	f.data[ETH_HLEN] ^= 0x20; /* 4 and 6 differ by it */
	assert_left(&f);
}
END_TEST

START_TEST(an_ipv4_header_shorter_than_there_is_is_left)
{
	struct frame f = udp_to_vip(&places[0]);

	/* What would be the port in the middle of the destination, 203.0.113.1. */
	serve(VIP4, IPPROTO_UDP, 113 << 8 | 1);
	for (uint8_t words = 0; words < 5; words++) {
		f.data[ETH_HLEN] = 0x40 | words;
		assert_left(&f);
	}
}
END_TEST

START_TEST(the_first_fragment_to_a_frontend_is_dropped_and_counted)
{
	struct frame f = udp_to_vip(&places[_i]);
	uint32_t service = serve(places[_i].vip, IPPROTO_UDP, 80);

	if (_i)
		frame_add_extension(&f, IPPROTO_FRAGMENT, 1);
	else
		frame_set_fragment(&f, 0x2000);
	assert_fragment_dropped(&f, service);
}
END_TEST

START_TEST(the_first_fragment_to_an_unknown_port_of_a_cluster_ip_is_dropped_and_counted)
{
	const struct place *p = &places[_i];
	struct frame f = frame_udp((struct ends) { p->client, 40000, p->cluster, 81 }, 24);
	uint32_t service = serve(p->cluster, IPPROTO_UDP, 80);

	if (_i)
		frame_add_extension(&f, IPPROTO_FRAGMENT, 1);
	else
		frame_set_fragment(&f, 0x2000);
	assert_fragment_dropped(&f, service);
	ck_assert_uint_eq(harness_losses(service, SL_REJECT_UNKNOWN_PORT), 0);
}
END_TEST

START_TEST(a_later_fragment_to_a_cluster_ip_is_dropped_and_counted)
{
	const struct place *p = &places[_i];
	struct frame f = frame_udp((struct ends) { p->client, 40000, p->cluster, 80 }, 24);
	uint32_t service = serve(p->cluster, IPPROTO_UDP, 80);

	if (_i)
		frame_add_extension(&f, IPPROTO_FRAGMENT, 100 << 3);
	else
		frame_set_fragment(&f, 0x2000 | 100);
	assert_fragment_dropped(&f, service);
}
END_TEST

/* What follows the fragment header then is payload and no header. */
START_TEST(a_later_fragment_says_nothing_of_its_ports)
{
	struct frame f = udp_to_vip(&places[1]);
	uint32_t service = serve(CLUSTER6, IPPROTO_UDP, 80);

	serve(VIP6, IPPROTO_UDP, 80);
	frame_add_extension(&f, IPPROTO_FRAGMENT, 100 << 3);
	assert_left(&f);
	f = frame_udp((struct ends) { CLIENT6, 40000, CLUSTER6, 80 }, 24);
	frame_add_extension(&f, IPPROTO_FRAGMENT, 100 << 3);
	f.data[ETH_HLEN + 40] = IPPROTO_DSTOPTS;
	f.data[ETH_HLEN + 49] = 255; /* as a length it leads out of the packet */
	assert_fragment_dropped(&f, service);
}
END_TEST

/* Which port it belongs to is not known, and other ports are not ours (S-123). */
START_TEST(a_later_fragment_to_a_vip_is_left)
{
	struct frame f = udp_to_vip(&places[_i]);

	serve(places[_i].vip, IPPROTO_UDP, 80);
	if (_i)
		frame_add_extension(&f, IPPROTO_FRAGMENT, 100 << 3);
	else
		frame_set_fragment(&f, 100);
	assert_left(&f);
}
END_TEST

START_TEST(fragments_to_anything_else_are_left)
{
	static const uint16_t fields[] = { 0x2000, 0x2064, 0x0064 };
	struct frame f = frame_udp((struct ends) { CLIENT4, 40000, POD4, 80 }, 24);
	struct frame f6 = frame_udp((struct ends) { CLIENT6, 40000, POD6, 80 }, 24);

	serve(VIP4, IPPROTO_UDP, 80);
	serve(VIP6, IPPROTO_UDP, 80);
	for (int i = 0; i < 3; i++) {
		frame_set_fragment(&f, fields[i]);
		assert_left(&f);
	}
	frame_add_extension(&f6, IPPROTO_FRAGMENT, 1);
	assert_left(&f6);
}
END_TEST

START_TEST(the_first_fragment_of_an_answer_is_dropped_and_counted)
{
	struct frame f = udp_to_vip(&places[0]), answer;
	uint32_t service = serve(VIP4, IPPROTO_UDP, 80);

	run_ingress(harness.up0, &f);
	answer = frame_udp_answer(&f, 24);
	frame_set_fragment(&answer, 0x2000);
	ck_assert_int_eq(run_egress(harness.up0, &answer), TC_DROP);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_FRAGMENT), 1);
}
END_TEST

START_TEST(an_echo_request_to_a_vip_is_left)
{
	const struct place *p = &places[_i];
	struct frame f = frame_echo(p->client, p->vip);

	serve(p->vip, IPPROTO_UDP, 80);
	assert_left(&f);
}
END_TEST

/* Errors, answers to echo requests, neighbour discovery. */
START_TEST(other_icmp_to_a_cluster_ip_is_left)
{
	static const uint8_t types[2][5] = { { 0, 3, 5, 11, 12 }, { 1, 2, 3, 129, 135 } };
	const struct place *p = &places[_i];
	struct frame f = frame_echo(p->client, p->cluster);

	serve(p->cluster, IPPROTO_UDP, 80);
	for (int i = 0; i < 5; i++) {
		f.data[f.len - 16] = types[_i][i];
		frame_finish(&f);
		assert_left(&f);
	}
}
END_TEST

START_TEST(an_unknown_protocol_to_a_vip_is_left)
{
	static const uint8_t protocols[] = { IPPROTO_GRE, IPPROTO_SCTP, IPPROTO_ESP };

	serve(VIP4, IPPROTO_UDP, 80);
	serve(VIP6, IPPROTO_UDP, 80);
	for (int i = 0; i < 6; i++) {
		const struct place *p = &places[i & 1];
		struct frame f = frame_other(p->client, p->vip, protocols[i / 2], 30);

		assert_left(&f);
	}
}
END_TEST

START_TEST(port_zero_of_a_vip_is_left)
{
	const struct place *p = &places[_i];
	struct frame f = frame_udp((struct ends) { p->client, 40000, p->vip, 0 }, 24);

	serve(p->vip, IPPROTO_UDP, 80);
	assert_left(&f);
}
END_TEST

START_TEST(a_source_port_of_zero_is_as_good_as_any)
{
	struct frame f = frame_udp((struct ends) { CLIENT4, 0, VIP4, 80 }, 24);
	struct frame want = frame_udp((struct ends) { CLIENT4, 0, POD4, 8080 }, 24);

	serve(VIP4, IPPROTO_UDP, 80);
	assert_translated(&f, &want);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("parse");
	TCase *tcase = harness_case(suite, "headers");

	tcase_add_test(tcase, ipv4_options_are_skipped);
	tcase_add_loop_test(tcase, ipv6_extension_headers_are_skipped, 0, 4);
	tcase_add_test(tcase, a_long_ipv6_extension_header_is_skipped);
	tcase_add_test(tcase, more_extension_headers_than_anybody_sends_are_left);
	tcase_add_test(tcase, extension_headers_that_reach_too_far_are_left);
	tcase_add_test(tcase, a_source_route_to_go_on_with_is_left);
	tcase_add_loop_test(tcase, a_frame_cut_anywhere_is_left, 0, 8);
	tcase_add_loop_test(tcase, a_frame_with_headers_alone_is_translated, 0, 8);
	tcase_add_loop_test(tcase, a_frame_with_a_vlan_tag_is_left, 0, 2);
	tcase_add_loop_test(tcase, what_is_not_ip_is_left, 0, 3);
	add_for_both(tcase, a_wrong_version_is_left);
	tcase_add_test(tcase, an_ipv4_header_shorter_than_there_is_is_left);

	tcase = harness_case(suite, "fragments");
	add_for_both(tcase, the_first_fragment_to_a_frontend_is_dropped_and_counted);
	add_for_both(tcase,
		     the_first_fragment_to_an_unknown_port_of_a_cluster_ip_is_dropped_and_counted);
	add_for_both(tcase, a_later_fragment_to_a_cluster_ip_is_dropped_and_counted);
	tcase_add_test(tcase, a_later_fragment_says_nothing_of_its_ports);
	add_for_both(tcase, a_later_fragment_to_a_vip_is_left);
	tcase_add_test(tcase, fragments_to_anything_else_are_left);
	tcase_add_test(tcase, the_first_fragment_of_an_answer_is_dropped_and_counted);

	tcase = harness_case(suite, "transports");
	add_for_both(tcase, an_echo_request_to_a_vip_is_left);
	add_for_both(tcase, other_icmp_to_a_cluster_ip_is_left);
	tcase_add_test(tcase, an_unknown_protocol_to_a_vip_is_left);
	add_for_both(tcase, port_zero_of_a_vip_is_left);
	tcase_add_test(tcase, a_source_port_of_zero_is_as_good_as_any);
	return harness_run(suite);
}
