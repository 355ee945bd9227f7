/* SPDX-License-Identifier: Apache-2.0 */

/* XDP on the uplink, and what it leaves to TC on the same interface. */

#include <arpa/inet.h>
#include <string.h>

#include "test/packet/harness.h"

static const uint8_t up0_mac[6] = { 2, 0, 0, 0, 0, 2 };
static const uint8_t up2_mac[6] = { 2, 0, 0, 0, 0, 3 };
static const uint8_t gateway_mac[6] = { 2, 0, 0, 0, 1, 0x01 };
static const uint8_t router_mac[6] = { 2, 0, 0, 0, 1, 0x20 };

struct place {
	const char *client, *vip, *local, *remote, *other, *unresolved, *tunnelled, *node, *node2;
};

static const struct place places[] = {
	{ CLIENT4, VIP4, POD4, REMOTE4, OTHER4, NEIGHBOUR4, TUNNELLED4, NODE4, NODE4_2 },
	{ CLIENT6, VIP6, POD6, REMOTE6, OTHER6, NEIGHBOUR6, TUNNELLED6, NODE6, NODE6_2 },
};

static uint32_t vip(const struct place *p, uint8_t proto, const char *backend)
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

static struct frame udp_to_vip(const struct place *p)
{
	return frame_udp((struct ends) { p->client, 40000, p->vip, 80 }, 20);
}

static struct frame syn_to_vip(const struct place *p)
{
	return frame_tcp((struct ends) { p->client, 40000, p->vip, 80 }, SYN, 1000, 0, 0);
}

/* XDP leaves it, byte for byte. */
static void assert_left(const struct frame *f)
{
	struct frame got = *f;

	ck_assert_int_eq(run_xdp(&got), XDP_PASS);
	frame_assert_same(&got, f);
}

static uint64_t all_losses(uint32_t service)
{
	struct sl_service_stats stats = harness_service_stats(service);
	uint64_t sum = 0;

	for (int i = 0; i < SL_LOSSES; i++)
		sum += stats.losses[i];
	return sum;
}

START_TEST(tcp_to_a_local_backend_is_translated_and_passed)
{
	const struct place *p = &places[_i];
	struct frame f = syn_to_vip(p);
	struct frame want =
		frame_tcp((struct ends) { p->client, 40000, p->local, 8080 }, SYN, 1000, 0, 0);

	vip(p, IPPROTO_TCP, p->local);
	ck_assert_int_eq(run_xdp(&f), XDP_PASS);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(udp_to_a_local_backend_is_translated_and_passed)
{
	const struct place *p = &places[_i];
	struct frame f = udp_to_vip(p);
	struct frame want = frame_udp((struct ends) { p->client, 40000, p->local, 8080 }, 20);

	vip(p, IPPROTO_UDP, p->local);
	ck_assert_int_eq(run_xdp(&f), XDP_PASS);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(tcp_to_a_remote_backend_goes_back_out_as_the_nodes)
{
	const struct place *p = &places[_i];
	struct frame f = syn_to_vip(p);
	struct frame want;

	vip(p, IPPROTO_TCP, p->remote);
	ck_assert_int_eq(run_xdp(&f), XDP_TX);
	ck_assert_uint_ge(frame_sport(&f), SNAT_FIRST);
	ck_assert_uint_lt(frame_sport(&f), SNAT_FIRST + SNAT_COUNT);
	want = frame_tcp((struct ends) { p->node, frame_sport(&f), p->remote, 8080 }, SYN, 1000, 0,
			 0);
	frame_set_ttl(&want, 63);
	frame_set_macs(&want, router_mac, up0_mac);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(udp_to_a_remote_backend_goes_back_out_as_the_nodes)
{
	const struct place *p = &places[_i];
	struct frame f = udp_to_vip(p);
	struct frame want;

	vip(p, IPPROTO_UDP, p->remote);
	ck_assert_int_eq(run_xdp(&f), XDP_TX);
	want = frame_udp((struct ends) { p->node, frame_sport(&f), p->remote, 8080 }, 20);
	frame_set_ttl(&want, 63);
	frame_set_macs(&want, router_mac, up0_mac);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(a_remote_backends_answer_goes_back_out_as_the_vips)
{
	const struct place *p = &places[_i];
	struct frame f = syn_to_vip(p);
	struct frame want =
		frame_tcp((struct ends) { p->vip, 80, p->client, 40000 }, SYN | ACK, 2000, 1001, 0);
	struct frame answer;

	vip(p, IPPROTO_TCP, p->remote);
	run_xdp(&f);
	answer = frame_tcp_answer(&f, SYN | ACK, 2000, 1001, 0);
	ck_assert_int_eq(run_xdp(&answer), XDP_TX);
	frame_set_ttl(&want, 63);
	frame_set_macs(&want, gateway_mac, up0_mac);
	frame_assert_same(&answer, &want);
}
END_TEST

START_TEST(out_of_another_interface_is_a_redirect_with_that_ones_source)
{
	const struct place *p = &places[_i];
	struct frame f = udp_to_vip(p);
	struct frame want;

	vip(p, IPPROTO_UDP, p->other);
	ck_assert_int_eq(run_xdp(&f), XDP_REDIRECT);
	want = frame_udp((struct ends) { p->node2, frame_sport(&f), p->other, 8080 }, 20);
	frame_set_ttl(&want, 63);
	frame_set_macs(&want, router_mac, up2_mac);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(a_handshake_is_promoted_and_counted)
{
	struct frame f = syn_to_vip(&places[0]), answer;
	struct frame ack =
		frame_tcp((struct ends) { CLIENT4, 40000, VIP4, 80 }, ACK, 1001, 2001, 0);
	uint32_t service = vip(&places[0], IPPROTO_TCP, REMOTE4);
	struct sl_service_stats stats;

	run_xdp(&f);
	answer = frame_tcp_answer(&f, SYN | ACK, 2000, 1001, 0);
	run_xdp(&answer);
	ck_assert_int_eq(harness_count(harness.skel->maps.established4), 0);
	ck_assert_int_eq(run_xdp(&ack), XDP_TX);
	ck_assert_uint_eq(frame_sport(&ack), frame_sport(&f));
	ck_assert_int_eq(harness_count(harness.skel->maps.established4), 2);
	stats = harness_service_stats(service);
	ck_assert_uint_eq(stats.connections, 1);
	ck_assert_uint_eq(stats.packets[SL_FORWARDS], 2);
	ck_assert_uint_eq(stats.packets[SL_BACKWARDS], 1);
	ck_assert_uint_eq(stats.bytes[SL_FORWARDS], 80);
}
END_TEST

START_TEST(xdp_and_tc_translate_a_flow_alike)
{
	const struct place *p = &places[_i];
	struct frame by_xdp = udp_to_vip(p), by_tc = by_xdp;

	vip(p, IPPROTO_UDP, p->remote);
	ck_assert_int_eq(run_xdp(&by_xdp), XDP_TX);
	ck_assert_int_eq(run_ingress(harness.up0, &by_tc), TC_REDIRECT);
	frame_set_macs(&by_tc, router_mac, up0_mac); /* the neighbour's work */
	frame_assert_same(&by_xdp, &by_tc);
}
END_TEST

START_TEST(towards_a_tunnel_the_destination_is_translated_and_passed)
{
	const struct place *p = &places[_i];
	struct frame f = udp_to_vip(p);
	struct frame want = frame_udp((struct ends) { p->client, 40000, p->tunnelled, 8080 }, 20);

	vip(p, IPPROTO_UDP, p->tunnelled);
	ck_assert_int_eq(run_xdp(&f), XDP_PASS);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(headers_of_any_length_are_rewritten)
{
	struct frame f4 = udp_to_vip(&places[0]), f6 = udp_to_vip(&places[1]);
	struct frame want4 = frame_udp((struct ends) { CLIENT4, 40000, POD4, 8080 }, 20);
	struct frame want6 = frame_udp((struct ends) { CLIENT6, 40000, POD6, 8080 }, 20);

	vip(&places[0], IPPROTO_UDP, POD4);
	vip(&places[1], IPPROTO_UDP, POD6);
	frame_add_options(&f4, 10);
	frame_add_options(&want4, 10);
	ck_assert_int_eq(run_xdp(&f4), XDP_PASS);
	frame_assert_same(&f4, &want4);
	frame_add_extension(&f6, IPPROTO_DSTOPTS, 0);
	frame_add_extension(&want6, IPPROTO_DSTOPTS, 0);
	ck_assert_int_eq(run_xdp(&f6), XDP_PASS);
	frame_assert_same(&f6, &want6);
}
END_TEST

START_TEST(no_service_traffic_is_left)
{
	const struct place *p = &places[_i];
	struct frame direct = frame_udp((struct ends) { p->client, 40000, p->remote, 80 }, 20);
	struct frame ssh = frame_tcp((struct ends) { p->client, 40000, p->node, 22 }, SYN, 1, 0, 0);
	struct frame port = frame_udp((struct ends) { p->client, 40000, p->vip, 81 }, 20);

	vip(p, IPPROTO_UDP, p->remote);
	assert_left(&direct);
	assert_left(&ssh);
	assert_left(&port);
	ck_assert_int_eq(harness_count(harness.skel->maps.new4), 0);
	ck_assert_int_eq(harness_count(harness.skel->maps.new6), 0);
}
END_TEST

START_TEST(a_neighbour_not_known_yet_is_left_to_tc)
{
	const struct place *p = &places[_i];
	struct frame f = udp_to_vip(p);
	uint32_t service = vip(p, IPPROTO_UDP, p->unresolved);
	struct sl_service_stats stats;

	assert_left(&f);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_REDIRECT);
	stats = harness_service_stats(service);
	ck_assert_uint_eq(stats.connections, 1);
	ck_assert_uint_eq(stats.packets[SL_FORWARDS], 1);
}
END_TEST

START_TEST(an_interface_without_xdp_is_left_to_tc)
{
	const struct place *p = &places[_i];
	struct frame f = udp_to_vip(p), want;

	harness_iface(harness.up2, SL_ROLE_UPLINK, NODE4_2, NODE6_2, false);
	vip(p, IPPROTO_UDP, p->other);
	assert_left(&f);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_REDIRECT);
	want = frame_udp((struct ends) { p->node2, frame_sport(&f), p->other, 8080 }, 20);
	frame_set_ttl(&want, 63);
	frame_assert_same(&f, &want);
}
END_TEST

static struct sl_flow4 only_flow_from(const char *client, struct bpf_map *map)
{
	struct sl_tuple4 key, *previous = NULL;
	struct sl_flow4 flow = {};
	uint8_t addr[4];

	ck_assert_int_eq(inet_pton(AF_INET, client, addr), 1);
	while (bpf_map__get_next_key(map, previous, &key, sizeof(key)) == 0) {
		previous = &key;
		if (memcmp(key.saddr, addr, 4) == 0)
			bpf_map__lookup_elem(map, &key, sizeof(key), &flow, sizeof(flow), 0);
	}
	return flow;
}

START_TEST(what_is_left_to_tc_counts_once_in_its_flow)
{
	struct ends ends = { CLIENT4, 40000, VIP4, 80 };
	struct frame f, ack = frame_tcp(ends, ACK, 1001, 2001, 0);
	struct sluice *s = harness.skel;
	struct sl_flow4 flow;

	vip(&places[0], IPPROTO_TCP, NEIGHBOUR4);
	f = frame_tcp(ends, SYN, 1000, 0, 0);
	assert_left(&f);
	run_ingress(harness.up0, &f);
	flow = only_flow_from(CLIENT4, s->maps.new4);
	ck_assert_uint_eq(flow.f.packets, 1);
	ck_assert_uint_eq(flow.f.bytes, 40);

	harness_establish(harness.up0, harness.up0, ends);
	flow = only_flow_from(CLIENT4, s->maps.established4);
	assert_left(&ack);
	run_ingress(harness.up0, &ack);
	ck_assert_uint_eq(only_flow_from(CLIENT4, s->maps.established4).f.packets,
			  flow.f.packets + 1);
}
END_TEST

START_TEST(the_last_hop_is_left_to_tc_which_answers)
{
	const struct place *p = &places[_i];
	struct frame f = udp_to_vip(p);
	uint32_t service = vip(p, IPPROTO_UDP, p->remote);

	frame_set_ttl(&f, 1);
	assert_left(&f);
	ck_assert_uint_eq(all_losses(service), 0);
	harness.gets_shorter = true;
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_REDIRECT);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_TTL), 1);
	ck_assert_uint_eq(all_losses(service), 1);
}
END_TEST

START_TEST(a_hop_limit_of_two_still_goes_out)
{
	const struct place *p = &places[_i];
	struct frame f = udp_to_vip(p);

	vip(p, IPPROTO_UDP, p->remote);
	frame_set_ttl(&f, 2);
	ck_assert_int_eq(run_xdp(&f), XDP_TX);
	ck_assert_uint_eq(f.data[_i ? 21 : 22], 1);
	ck_assert(frame_checksums_right(&f));
}
END_TEST

START_TEST(what_is_too_long_for_the_next_link_is_left_to_tc_which_answers)
{
	const struct place *p = &places[_i];
	struct frame f = frame_udp((struct ends) { p->client, 40000, p->vip, 80 }, 1600);
	uint32_t service = vip(p, IPPROTO_UDP, p->remote);

	assert_left(&f);
	ck_assert_uint_eq(all_losses(service), 0);
	harness.gets_shorter = true;
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_REDIRECT);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_MTU), 1);
}
END_TEST

START_TEST(a_service_without_endpoints_is_left_to_tc_which_counts_it)
{
	struct service_spec spec = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = places[_i].vip,
		.proto = IPPROTO_UDP,
		.port = 80,
		.path = { [SL_PATH_OUTSIDE] = SL_CHOOSE_REJECT },
	};
	struct frame f = udp_to_vip(&places[_i]);
	uint32_t service = harness_service(&spec, NULL);

	assert_left(&f);
	ck_assert_uint_eq(all_losses(service), 0);
	harness.gets_shorter = true;
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_REDIRECT);
	ck_assert_uint_eq(harness_losses(service, SL_REJECT_NO_ENDPOINTS), 1);
	ck_assert_uint_eq(all_losses(service), 1);
}
END_TEST

START_TEST(an_unknown_port_of_a_cluster_ip_is_left_to_tc_which_counts_it)
{
	struct service_spec spec = {
		.kind = SL_KIND_CLUSTER_IP,
		.addr = CLUSTER4,
		.proto = IPPROTO_UDP,
		.port = 80,
		.backends = { POD4 },
		.target_port = 8080,
	};
	struct frame f = frame_udp((struct ends) { CLIENT4, 40000, CLUSTER4, 81 }, 20);
	uint32_t service = harness_service(&spec, NULL);

	assert_left(&f);
	ck_assert_uint_eq(all_losses(service), 0);
	harness.gets_shorter = true;
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_REDIRECT);
	ck_assert_uint_eq(harness_losses(service, SL_REJECT_UNKNOWN_PORT), 1);
}
END_TEST

START_TEST(a_drop_is_counted_once)
{
	struct service_spec spec = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = places[_i].vip,
		.proto = IPPROTO_UDP,
		.port = 80,
		.backends = { places[_i].local },
		.target_port = 8080,
		.sources = _i ? "2001:db8:1::/64" : "192.0.2.0/24",
	};
	struct frame f = udp_to_vip(&places[_i]);
	uint32_t service = harness_service(&spec, NULL);

	ck_assert_int_eq(run_xdp(&f), XDP_DROP);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_POLICY), 1);
	ck_assert_uint_eq(all_losses(service), 1);
	ck_assert_uint_eq(harness_service_stats(service).packets[SL_FORWARDS], 0);
}
END_TEST

START_TEST(udp_without_a_checksum_keeps_none)
{
	struct frame f = udp_to_vip(&places[0]), want;

	vip(&places[0], IPPROTO_UDP, REMOTE4);
	frame_clear_udp_check(&f);
	ck_assert_int_eq(run_xdp(&f), XDP_TX);
	want = frame_udp((struct ends) { NODE4, frame_sport(&f), REMOTE4, 8080 }, 20);
	frame_set_ttl(&want, 63);
	frame_set_macs(&want, router_mac, up0_mac);
	frame_clear_udp_check(&want);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(a_udp_checksum_that_becomes_zero_is_sent_as_ffff)
{
	struct ends before = { places[_i].client, 40000, places[_i].vip, 80 };
	struct ends after = { places[_i].client, 40000, places[_i].local, 8080 };
	struct frame f = frame_udp(before, 20), want = frame_udp(after, 20);

	frame_balance_udp_check(&want);
	memcpy(f.data + f.len - 20, want.data + want.len - 20, 20);
	frame_finish(&f);
	vip(&places[_i], IPPROTO_UDP, places[_i].local);
	run_xdp(&f);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(a_frame_longer_than_a_page_is_translated)
{
	const struct place *p = &places[_i];
	struct ends after = { p->client, 40000, p->local, 8080 };
	struct frame f =
		frame_tcp((struct ends) { p->client, 40000, p->vip, 80 }, ACK, 1000, 1, 8900);
	struct frame want = frame_tcp(after, ACK, 1000, 1, 8900);

	vip(p, IPPROTO_TCP, p->local);
	ck_assert_int_eq(run_xdp(&f), XDP_PASS);
	frame_assert_same(&f, &want);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("xdp");
	TCase *tcase = harness_case(suite, "translated");

	add_for_both(tcase, tcp_to_a_local_backend_is_translated_and_passed);
	add_for_both(tcase, udp_to_a_local_backend_is_translated_and_passed);
	add_for_both(tcase, tcp_to_a_remote_backend_goes_back_out_as_the_nodes);
	add_for_both(tcase, udp_to_a_remote_backend_goes_back_out_as_the_nodes);
	add_for_both(tcase, a_remote_backends_answer_goes_back_out_as_the_vips);
	add_for_both(tcase, out_of_another_interface_is_a_redirect_with_that_ones_source);
	tcase_add_test(tcase, a_handshake_is_promoted_and_counted);
	add_for_both(tcase, xdp_and_tc_translate_a_flow_alike);
	add_for_both(tcase, towards_a_tunnel_the_destination_is_translated_and_passed);
	add_for_both(tcase, a_hop_limit_of_two_still_goes_out);

	tcase = harness_case(suite, "frames");
	tcase_add_test(tcase, headers_of_any_length_are_rewritten);
	tcase_add_test(tcase, udp_without_a_checksum_keeps_none);
	add_for_both(tcase, a_udp_checksum_that_becomes_zero_is_sent_as_ffff);
	add_for_both(tcase, a_frame_longer_than_a_page_is_translated);

	tcase = harness_case(suite, "left or dropped");
	add_for_both(tcase, no_service_traffic_is_left);
	add_for_both(tcase, a_neighbour_not_known_yet_is_left_to_tc);
	add_for_both(tcase, an_interface_without_xdp_is_left_to_tc);
	tcase_add_test(tcase, what_is_left_to_tc_counts_once_in_its_flow);
	add_for_both(tcase, the_last_hop_is_left_to_tc_which_answers);
	add_for_both(tcase, what_is_too_long_for_the_next_link_is_left_to_tc_which_answers);
	add_for_both(tcase, a_service_without_endpoints_is_left_to_tc_which_counts_it);
	tcase_add_test(tcase, an_unknown_port_of_a_cluster_ip_is_left_to_tc_which_counts_it);
	add_for_both(tcase, a_drop_is_counted_once);
	return harness_run(suite);
}
