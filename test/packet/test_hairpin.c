/* SPDX-License-Identifier: Apache-2.0 */

/* A pod that reaches itself through a service: both ends, out of the same veth. */

#include <arpa/inet.h>
#include <string.h>

#include "test/packet/harness.h"

struct place {
	const char *pod, *other_pod, *vip, *cluster, *node;
};

static const struct place places[] = {
	{ POD4, "10.244.0.3", VIP4, CLUSTER4, NODE4 },
	{ POD6, "fd00:244:0::3", VIP6, CLUSTER6, NODE6 },
};

static uint32_t service_of(const struct place *p, uint8_t kind, uint8_t proto, const char *backend)
{
	struct service_spec spec = {
		.kind = kind,
		.addr = kind == SL_KIND_CLUSTER_IP  ? p->cluster
			: kind == SL_KIND_NODE_PORT ? NULL
						    : p->vip,
		.family = p == &places[0] ? 4 : 6,
		.proto = proto,
		.port = 30080,
		.backends = { backend },
		.target_port = 8080,
	};

	return harness_service(&spec, NULL);
}

static struct frame udp_from_pod(const struct place *p, uint16_t sport)
{
	return frame_udp((struct ends) { p->pod, sport, p->cluster, 30080 }, 20);
}

static void assert_snat_port(const struct frame *f)
{
	ck_assert_uint_ge(frame_sport(f), SNAT_FIRST);
	ck_assert_uint_lt(frame_sport(f), SNAT_FIRST + SNAT_COUNT);
}

START_TEST(tcp_comes_back_as_if_from_the_node)
{
	const struct place *p = &places[_i];
	struct frame f =
		frame_tcp((struct ends) { p->pod, 40000, p->cluster, 30080 }, SYN, 1000, 0, 0);
	struct frame want;

	service_of(p, SL_KIND_CLUSTER_IP, IPPROTO_TCP, p->pod);
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_REDIRECT);
	assert_snat_port(&f);
	want = frame_tcp((struct ends) { p->node, frame_sport(&f), p->pod, 8080 }, SYN, 1000, 0, 0);
	frame_swap_macs(&want);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(udp_comes_back_as_if_from_the_node)
{
	const struct place *p = &places[_i];
	struct frame f = udp_from_pod(p, 40000), want;

	service_of(p, SL_KIND_CLUSTER_IP, IPPROTO_UDP, p->pod);
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_REDIRECT);
	assert_snat_port(&f);
	want = frame_udp((struct ends) { p->node, frame_sport(&f), p->pod, 8080 }, 20);
	frame_swap_macs(&want);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(the_tcp_answer_is_restored_at_ingress_of_the_same_veth)
{
	const struct place *p = &places[_i];
	struct frame f =
		frame_tcp((struct ends) { p->pod, 40000, p->cluster, 30080 }, SYN, 1000, 0, 0);
	struct frame want = frame_tcp((struct ends) { p->cluster, 30080, p->pod, 40000 }, SYN | ACK,
				      2000, 1001, 0);
	struct frame answer;

	service_of(p, SL_KIND_CLUSTER_IP, IPPROTO_TCP, p->pod);
	run_ingress(harness.pod0, &f);
	answer = frame_tcp_answer(&f, SYN | ACK, 2000, 1001, 0);
	ck_assert_int_eq(run_ingress(harness.pod0, &answer), TC_REDIRECT);
	frame_swap_macs(&want);
	frame_assert_same(&answer, &want);
}
END_TEST

START_TEST(the_udp_answer_is_restored_at_ingress_of_the_same_veth)
{
	const struct place *p = &places[_i];
	struct frame f = udp_from_pod(p, 40000), answer;
	struct frame want = frame_udp((struct ends) { p->cluster, 30080, p->pod, 40000 }, 33);

	service_of(p, SL_KIND_CLUSTER_IP, IPPROTO_UDP, p->pod);
	run_ingress(harness.pod0, &f);
	answer = frame_udp_answer(&f, 33);
	ck_assert_int_eq(run_ingress(harness.pod0, &answer), TC_REDIRECT);
	frame_swap_macs(&want);
	frame_assert_same(&answer, &want);
}
END_TEST

START_TEST(what_is_sent_back_is_left_when_it_leaves_by_the_veth)
{
	const struct place *p = &places[_i];
	struct frame f = udp_from_pod(p, 40000), same;

	service_of(p, SL_KIND_CLUSTER_IP, IPPROTO_UDP, p->pod);
	run_ingress(harness.pod0, &f);
	same = f;
	ck_assert_int_eq(run_egress(harness.pod0, &f), TC_NEXT);
	frame_assert_same(&f, &same);
}
END_TEST

START_TEST(a_vip_and_a_node_port_come_back_too)
{
	const struct place *p = &places[_i];
	struct frame vip = frame_udp((struct ends) { p->pod, 40000, p->vip, 30080 }, 20);
	struct frame port = frame_udp((struct ends) { p->pod, 40001, p->node, 30080 }, 20);
	struct frame want;

	service_of(p, SL_KIND_LOAD_BALANCER, IPPROTO_UDP, p->pod);
	service_of(p, SL_KIND_NODE_PORT, IPPROTO_UDP, p->pod);
	ck_assert_int_eq(run_ingress(harness.pod0, &vip), TC_REDIRECT);
	ck_assert_int_eq(run_ingress(harness.pod0, &port), TC_REDIRECT);
	want = frame_udp((struct ends) { p->node, frame_sport(&vip), p->pod, 8080 }, 20);
	frame_swap_macs(&want);
	frame_assert_same(&vip, &want);
	want = frame_udp((struct ends) { p->node, frame_sport(&port), p->pod, 8080 }, 20);
	frame_swap_macs(&want);
	frame_assert_same(&port, &want);
}
END_TEST

START_TEST(a_handshake_is_promoted_and_its_port_reserved)
{
	const struct place *p = &places[_i];
	struct sluice *s = harness.skel;
	struct ends ends = { p->pod, 40000, p->cluster, 30080 };
	struct frame syn, ack = frame_tcp(ends, ACK, 1001, 2001, 0);

	service_of(p, SL_KIND_CLUSTER_IP, IPPROTO_TCP, p->pod);
	syn = harness_establish(harness.pod0, harness.pod0, ends);
	ck_assert_int_eq(harness_count(_i ? s->maps.established6 : s->maps.established4), 2);
	ck_assert_int_eq(harness_count(_i ? s->maps.snat6 : s->maps.snat4), 1);
	ck_assert_int_eq(run_ingress(harness.pod0, &ack), TC_REDIRECT);
	ck_assert_uint_eq(frame_sport(&ack), frame_sport(&syn));
}
END_TEST

START_TEST(two_connections_get_ports_of_their_own)
{
	struct frame a = udp_from_pod(&places[0], 40000), b = udp_from_pod(&places[0], 40001);
	struct frame back_a, back_b;
	struct frame want_a = frame_udp((struct ends) { CLUSTER4, 30080, POD4, 40000 }, 9);
	struct frame want_b = frame_udp((struct ends) { CLUSTER4, 30080, POD4, 40001 }, 9);

	service_of(&places[0], SL_KIND_CLUSTER_IP, IPPROTO_UDP, POD4);
	run_ingress(harness.pod0, &a);
	run_ingress(harness.pod0, &b);
	ck_assert_uint_ne(frame_sport(&a), frame_sport(&b));
	back_a = frame_udp_answer(&a, 9);
	back_b = frame_udp_answer(&b, 9);
	run_ingress(harness.pod0, &back_b);
	run_ingress(harness.pod0, &back_a);
	frame_swap_macs(&want_a);
	frame_swap_macs(&want_b);
	frame_assert_same(&back_a, &want_a);
	frame_assert_same(&back_b, &want_b);
}
END_TEST

START_TEST(each_way_is_counted_once)
{
	struct frame f = udp_from_pod(&places[0], 40000), answer;
	uint32_t service = service_of(&places[0], SL_KIND_CLUSTER_IP, IPPROTO_UDP, POD4);
	struct sl_service_stats stats;

	run_ingress(harness.pod0, &f);
	answer = frame_udp_answer(&f, 10);
	run_ingress(harness.pod0, &answer);
	stats = harness_service_stats(service);
	ck_assert_uint_eq(stats.connections, 1);
	ck_assert_uint_eq(stats.packets[SL_FORWARDS], 1);
	ck_assert_uint_eq(stats.packets[SL_BACKWARDS], 1);
	ck_assert_uint_eq(stats.bytes[SL_FORWARDS], 48);
	ck_assert_uint_eq(stats.bytes[SL_BACKWARDS], 38);
}
END_TEST

START_TEST(another_pod_of_the_service_gets_the_pods_own_address)
{
	const struct place *p = &places[_i];
	struct frame f = udp_from_pod(p, 40000);
	struct frame want = frame_udp((struct ends) { p->pod, 40000, p->other_pod, 8080 }, 20);

	service_of(p, SL_KIND_CLUSTER_IP, IPPROTO_UDP, p->other_pod);
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(a_veth_without_an_address_for_it_drops_and_counts)
{
	const struct place *p = &places[_i];
	struct frame f = udp_from_pod(p, 40000);
	uint32_t service = service_of(p, SL_KIND_CLUSTER_IP, IPPROTO_UDP, p->pod);

	harness_iface(harness.pod0, SL_ROLE_POD, _i ? NODE4 : NULL, _i ? NULL : NODE6, false);
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_DROP);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_NO_SNAT_ADDRESS), 1);
	ck_assert_int_eq(harness_count(harness.skel->maps.new4), 0);
	ck_assert_int_eq(harness_count(harness.skel->maps.new6), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hairpin");
	TCase *tcase = harness_case(suite, "a pod to itself");

	add_for_both(tcase, tcp_comes_back_as_if_from_the_node);
	add_for_both(tcase, udp_comes_back_as_if_from_the_node);
	add_for_both(tcase, the_tcp_answer_is_restored_at_ingress_of_the_same_veth);
	add_for_both(tcase, the_udp_answer_is_restored_at_ingress_of_the_same_veth);
	add_for_both(tcase, what_is_sent_back_is_left_when_it_leaves_by_the_veth);
	add_for_both(tcase, a_vip_and_a_node_port_come_back_too);
	add_for_both(tcase, a_handshake_is_promoted_and_its_port_reserved);
	tcase_add_test(tcase, two_connections_get_ports_of_their_own);
	tcase_add_test(tcase, each_way_is_counted_once);
	add_for_both(tcase, another_pod_of_the_service_gets_the_pods_own_address);
	add_for_both(tcase, a_veth_without_an_address_for_it_drops_and_counts);
	return harness_run(suite);
}
