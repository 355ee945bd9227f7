/* SPDX-License-Identifier: Apache-2.0 */

/* Clients outside of the cluster: external destinations and cluster IPs. */

#include "test/packet/harness.h"

/* A VIP of each family with one backend behind a route, a tunnel, or here. */
struct place {
	const char *client, *vip, *local, *remote, *tunnelled, *node, *tunnel;
};

static const struct place places[] = {
	{ CLIENT4, VIP4, POD4, REMOTE4, TUNNELLED4, NODE4, TUNNEL4 },
	{ CLIENT6, VIP6, POD6, REMOTE6, TUNNELLED6, NODE6, TUNNEL6 },
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

START_TEST(a_local_backend_sees_the_clients_address)
{
	const struct place *p = &places[_i];
	struct frame f = frame_tcp((struct ends) { p->client, 40000, p->vip, 80 }, SYN, 1000, 0, 0);
	struct frame want =
		frame_tcp((struct ends) { p->client, 40000, p->local, 8080 }, SYN, 1000, 0, 0);

	vip(p, IPPROTO_TCP, p->local);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(a_local_backends_answer_leaves_with_the_vip_as_source)
{
	const struct place *p = &places[_i];
	struct frame f = frame_udp((struct ends) { p->client, 40000, p->vip, 80 }, 20);
	struct frame want = frame_udp((struct ends) { p->vip, 80, p->client, 40000 }, 30);
	struct frame answer;

	vip(p, IPPROTO_UDP, p->local);
	run_ingress(harness.up0, &f);
	answer = frame_udp_answer(&f, 30);
	ck_assert_int_eq(run_egress(harness.up0, &answer), TC_NEXT);
	frame_assert_same(&answer, &want);
}
END_TEST

START_TEST(a_remote_backend_gets_the_uplinks_address_and_one_hop_less)
{
	const struct place *p = &places[_i];
	struct frame f = frame_tcp((struct ends) { p->client, 40000, p->vip, 80 }, SYN, 1000, 0, 0);
	struct frame want;

	vip(p, IPPROTO_TCP, p->remote);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_REDIRECT);
	ck_assert_uint_ge(frame_sport(&f), SNAT_FIRST);
	ck_assert_uint_lt(frame_sport(&f), SNAT_FIRST + SNAT_COUNT);
	want = frame_tcp((struct ends) { p->node, frame_sport(&f), p->remote, 8080 }, SYN, 1000, 0,
			 0);
	frame_set_ttl(&want, 63);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(a_remote_backends_answer_goes_back_as_the_vip)
{
	const struct place *p = &places[_i];
	struct frame f = frame_tcp((struct ends) { p->client, 40000, p->vip, 80 }, SYN, 1000, 0, 0);
	struct frame want =
		frame_tcp((struct ends) { p->vip, 80, p->client, 40000 }, SYN | ACK, 2000, 1001, 0);
	struct frame answer;

	vip(p, IPPROTO_TCP, p->remote);
	run_ingress(harness.up0, &f);
	answer = frame_tcp_answer(&f, SYN | ACK, 2000, 1001, 0);
	ck_assert_int_eq(run_ingress(harness.up0, &answer), TC_REDIRECT);
	frame_set_ttl(&want, 63);
	frame_assert_same(&answer, &want);
}
END_TEST

START_TEST(a_retransmitted_syn_keeps_its_source_port)
{
	struct ends ends = { CLIENT4, 40000, VIP4, 80 };
	struct frame f = frame_tcp(ends, SYN, 1000, 0, 0), again = f;
	uint32_t service = vip(&places[0], IPPROTO_TCP, REMOTE4);

	run_ingress(harness.up0, &f);
	run_ingress(harness.up0, &again);
	frame_assert_same(&again, &f);
	ck_assert_uint_eq(harness_service_stats(service).connections, 1);
}
END_TEST

START_TEST(an_evicted_flow_finds_its_source_port_again)
{
	struct ends ends = { CLIENT4, 40000, VIP4, 80 };
	struct frame f = frame_udp(ends, 10), again = f;
	struct sl_tuple4 key;

	vip(&places[0], IPPROTO_UDP, REMOTE4);
	run_ingress(harness.up0, &f);
	while (bpf_map__get_next_key(harness.skel->maps.new4, NULL, &key, sizeof(key)) == 0)
		ck_assert_int_eq(
			bpf_map__delete_elem(harness.skel->maps.new4, &key, sizeof(key), 0), 0);
	run_ingress(harness.up0, &again);
	frame_assert_same(&again, &f);
}
END_TEST

START_TEST(many_clients_get_source_ports_of_their_own)
{
	bool used[SNAT_COUNT] = {};

	vip(&places[0], IPPROTO_UDP, REMOTE4);
	for (uint16_t i = 0; i < SNAT_COUNT / 2; i++) {
		struct frame f = frame_udp((struct ends) { CLIENT4, 20000 + i, VIP4, 80 }, 10);

		ck_assert_int_eq(run_ingress(harness.up0, &f), TC_REDIRECT);
		ck_assert_msg(!used[frame_sport(&f) - SNAT_FIRST], "port %u is used twice",
			      frame_sport(&f));
		used[frame_sport(&f) - SNAT_FIRST] = true;
	}
}
END_TEST

START_TEST(when_source_ports_run_out_the_packet_is_dropped_and_counted)
{
	uint32_t service = vip(&places[0], IPPROTO_UDP, REMOTE4);
	int dropped = 0;

	for (uint16_t i = 0; i < SNAT_COUNT + 50; i++) {
		struct frame f = frame_udp((struct ends) { CLIENT4, 20000 + i, VIP4, 80 }, 10);

		dropped += run_ingress(harness.up0, &f) == TC_DROP;
	}
	ck_assert_int_ge(dropped, 50);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_NO_PORT), dropped);
}
END_TEST

START_TEST(one_source_port_serves_several_backends)
{
	struct service_spec spec = {
		.kind = SL_KIND_EXTERNAL_IP,
		.addr = "203.0.113.9",
		.proto = IPPROTO_UDP,
		.port = 80,
		.backends = { "10.244.1.3" },
		.target_port = 8080,
	};
	int through = 0;

	vip(&places[0], IPPROTO_UDP, REMOTE4);
	harness_service(&spec, NULL);
	for (uint16_t i = 0; i < SNAT_COUNT - 60; i++) {
		struct frame a = frame_udp((struct ends) { CLIENT4, 20000 + i, VIP4, 80 }, 10);
		struct frame b = frame_udp((struct ends) { CLIENT4, 20000 + i, spec.addr, 80 }, 10);

		through += run_ingress(harness.up0, &a) == TC_REDIRECT;
		through += run_ingress(harness.up0, &b) == TC_REDIRECT;
	}
	ck_assert_int_gt(through, SNAT_COUNT);
}
END_TEST

START_TEST(a_gso_packet_is_as_long_as_its_segments)
{
	struct frame f = frame_tcp((struct ends) { CLIENT4, 40000, VIP4, 80 }, ACK, 1, 1, 2800);

	vip(&places[0], IPPROTO_TCP, REMOTE4);
	ck_assert_int_eq(run_ingress_gso(harness.up0, &f, 2, 1400), TC_REDIRECT);
	ck_assert(frame_checksums_right(&f));
}
END_TEST

START_TEST(a_backend_behind_a_blackhole_route_is_dropped_and_counted)
{
	struct frame f = frame_udp((struct ends) { CLIENT4, 40000, VIP4, 80 }, 10);
	uint32_t service = vip(&places[0], IPPROTO_UDP, "10.244.3.3");

	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_DROP);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_NO_ROUTE), 1);
}
END_TEST

START_TEST(towards_a_tunnel_ingress_translates_the_destination_only)
{
	const struct place *p = &places[_i];
	struct frame f = frame_udp((struct ends) { p->client, 40000, p->vip, 80 }, 10);
	struct frame want = frame_udp((struct ends) { p->client, 40000, p->tunnelled, 8080 }, 10);

	vip(p, IPPROTO_UDP, p->tunnelled);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(at_the_tunnels_egress_the_source_becomes_the_tunnels)
{
	const struct place *p = &places[_i];
	struct frame f = frame_udp((struct ends) { p->client, 40000, p->vip, 80 }, 10);
	struct frame want;

	vip(p, IPPROTO_UDP, p->tunnelled);
	run_ingress(harness.up0, &f);
	ck_assert_int_eq(run_egress(harness.tun0, &f), TC_NEXT);
	want = frame_udp((struct ends) { p->tunnel, frame_sport(&f), p->tunnelled, 8080 }, 10);
	ck_assert_uint_ge(frame_sport(&f), SNAT_FIRST);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(through_a_tunnel_the_answer_is_restored_in_two_steps)
{
	const struct place *p = &places[_i];
	struct frame f = frame_tcp((struct ends) { p->client, 40000, p->vip, 80 }, SYN, 1000, 0, 0);
	struct frame half = frame_tcp((struct ends) { p->tunnelled, 8080, p->client, 40000 },
				      SYN | ACK, 2000, 1001, 0);
	struct frame want =
		frame_tcp((struct ends) { p->vip, 80, p->client, 40000 }, SYN | ACK, 2000, 1001, 0);
	struct frame answer;

	vip(p, IPPROTO_TCP, p->tunnelled);
	run_ingress(harness.up0, &f);
	run_egress(harness.tun0, &f);
	answer = frame_tcp_answer(&f, SYN | ACK, 2000, 1001, 0);
	ck_assert_int_eq(run_ingress(harness.tun0, &answer), TC_NEXT);
	frame_assert_same(&answer, &half);
	ck_assert_int_eq(run_egress(harness.up0, &answer), TC_NEXT);
	frame_assert_same(&answer, &want);
}
END_TEST

START_TEST(a_tunnelled_flow_is_counted_once_each_way)
{
	struct frame f = frame_udp((struct ends) { CLIENT4, 40000, VIP4, 80 }, 10);
	uint32_t service = vip(&places[0], IPPROTO_UDP, TUNNELLED4);
	struct sl_service_stats stats;
	struct frame answer;

	run_ingress(harness.up0, &f);
	run_egress(harness.tun0, &f);
	answer = frame_udp_answer(&f, 10);
	run_ingress(harness.tun0, &answer);
	run_egress(harness.up0, &answer);
	stats = harness_service_stats(service);
	ck_assert_uint_eq(stats.connections, 1);
	ck_assert_uint_eq(stats.packets[SL_FORWARDS], 1);
	ck_assert_uint_eq(stats.packets[SL_BACKWARDS], 1);
}
END_TEST

START_TEST(a_node_port_answers_on_the_nodes_addresses_only)
{
	struct service_spec spec = {
		.kind = SL_KIND_NODE_PORT,
		.family = 4,
		.proto = IPPROTO_TCP,
		.port = 30080,
		.backends = { POD4 },
		.target_port = 8080,
	};
	struct frame f = frame_tcp((struct ends) { CLIENT4, 40000, NODE4, 30080 }, SYN, 1, 0, 0);
	struct frame want = frame_tcp((struct ends) { CLIENT4, 40000, POD4, 8080 }, SYN, 1, 0, 0);
	struct frame other =
		frame_tcp((struct ends) { CLIENT4, 40000, "192.0.2.99", 30080 }, SYN, 1, 0, 0);
	struct frame same = other;

	harness_service(&spec, NULL);
	run_ingress(harness.up0, &f);
	frame_assert_same(&f, &want);
	ck_assert_int_eq(run_ingress(harness.up0, &other), TC_NEXT);
	frame_assert_same(&other, &same);
}
END_TEST

START_TEST(the_nodes_own_ports_are_left_to_the_node)
{
	struct frame f = frame_tcp((struct ends) { CLIENT4, 40000, NODE4, 22 }, SYN, 1, 0, 0);
	struct frame want = f;

	vip(&places[0], IPPROTO_TCP, POD4);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(a_port_of_the_snat_range_without_a_flow_is_left_to_the_node)
{
	struct frame f =
		frame_tcp((struct ends) { CLIENT4, 4000, NODE4, SNAT_FIRST }, SYN, 1, 0, 0);
	struct frame want = f;

	vip(&places[0], IPPROTO_TCP, REMOTE4);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(a_wrong_port_of_a_vip_is_left_untouched)
{
	struct frame f = frame_tcp((struct ends) { CLIENT4, 40000, VIP4, 81 }, SYN, 1, 0, 0);
	struct frame want = f;

	vip(&places[0], IPPROTO_TCP, POD4);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(a_source_outside_the_ranges_is_dropped_silently_and_counted)
{
	struct service_spec spec = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = places[_i].vip,
		.proto = IPPROTO_TCP,
		.port = 80,
		.backends = { places[_i].local },
		.target_port = 8080,
		.sources = _i ? "2001:db8:1::/64" : "192.0.2.0/24",
	};
	struct frame f =
		frame_tcp((struct ends) { places[_i].client, 40000, spec.addr, 80 }, SYN, 1, 0, 0);
	uint32_t service = harness_service(&spec, NULL);

	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_DROP);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_POLICY), 1);
}
END_TEST

START_TEST(a_source_inside_the_ranges_gets_through)
{
	struct service_spec spec = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = places[_i].vip,
		.proto = IPPROTO_TCP,
		.port = 80,
		.backends = { places[_i].local },
		.target_port = 8080,
		.sources = _i ? "2001:db8:c::/64" : "198.51.100.0/24",
	};
	struct frame f =
		frame_tcp((struct ends) { places[_i].client, 40000, spec.addr, 80 }, SYN, 1, 0, 0);
	struct frame want = frame_tcp(
		(struct ends) { places[_i].client, 40000, places[_i].local, 8080 }, SYN, 1, 0, 0);

	harness_service(&spec, NULL);
	run_ingress(harness.up0, &f);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(source_ranges_do_not_hold_for_a_node_port)
{
	struct service_spec spec = {
		.kind = SL_KIND_NODE_PORT,
		.family = 4,
		.proto = IPPROTO_TCP,
		.port = 30080,
		.backends = { POD4 },
		.target_port = 8080,
		.sources = "192.0.2.0/24",
	};
	struct frame f = frame_tcp((struct ends) { CLIENT4, 40000, NODE4, 30080 }, SYN, 1, 0, 0);

	harness_service(&spec, NULL);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_NEXT);
	ck_assert_int_eq(harness_count(harness.skel->maps.new4), 2);
}
END_TEST

START_TEST(a_service_with_remote_endpoints_only_drops_where_the_policy_is_local)
{
	struct service_spec spec = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = VIP4,
		.proto = IPPROTO_TCP,
		.port = 80,
		.path = { [SL_PATH_OUTSIDE] = SL_CHOOSE_DROP },
	};
	struct frame f = frame_tcp((struct ends) { CLIENT4, 40000, VIP4, 80 }, SYN, 1, 0, 0);
	uint32_t service = harness_service(&spec, NULL);

	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_DROP);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_NO_LOCAL), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("outside");
	TCase *tcase = harness_case(suite, "local backend");

	add_for_both(tcase, a_local_backend_sees_the_clients_address);
	add_for_both(tcase, a_local_backends_answer_leaves_with_the_vip_as_source);
	tcase_add_test(tcase, a_node_port_answers_on_the_nodes_addresses_only);
	tcase_add_test(tcase, the_nodes_own_ports_are_left_to_the_node);
	tcase_add_test(tcase, a_wrong_port_of_a_vip_is_left_untouched);

	tcase = harness_case(suite, "remote backend");
	add_for_both(tcase, a_remote_backend_gets_the_uplinks_address_and_one_hop_less);
	add_for_both(tcase, a_remote_backends_answer_goes_back_as_the_vip);
	tcase_add_test(tcase, a_retransmitted_syn_keeps_its_source_port);
	tcase_add_test(tcase, an_evicted_flow_finds_its_source_port_again);
	tcase_add_test(tcase, many_clients_get_source_ports_of_their_own);
	tcase_add_test(tcase, when_source_ports_run_out_the_packet_is_dropped_and_counted);
	tcase_add_test(tcase, one_source_port_serves_several_backends);
	tcase_add_test(tcase, a_port_of_the_snat_range_without_a_flow_is_left_to_the_node);
	tcase_add_test(tcase, a_gso_packet_is_as_long_as_its_segments);
	tcase_add_test(tcase, a_backend_behind_a_blackhole_route_is_dropped_and_counted);

	tcase = harness_case(suite, "backend behind a tunnel");
	add_for_both(tcase, towards_a_tunnel_ingress_translates_the_destination_only);
	add_for_both(tcase, at_the_tunnels_egress_the_source_becomes_the_tunnels);
	add_for_both(tcase, through_a_tunnel_the_answer_is_restored_in_two_steps);
	tcase_add_test(tcase, a_tunnelled_flow_is_counted_once_each_way);

	tcase = harness_case(suite, "policy");
	add_for_both(tcase, a_source_outside_the_ranges_is_dropped_silently_and_counted);
	add_for_both(tcase, a_source_inside_the_ranges_gets_through);
	tcase_add_test(tcase, source_ranges_do_not_hold_for_a_node_port);
	tcase_add_test(tcase, a_service_with_remote_endpoints_only_drops_where_the_policy_is_local);
	return harness_run(suite);
}
