/* SPDX-License-Identifier: Apache-2.0 */

/* What comes in by TC from a pod, and which set each way to a service gets. */

#include <arpa/inet.h>
#include <string.h>

#include "test/packet/harness.h"

#define NEIGHBOUR_POD4 "10.244.0.3"
#define NEIGHBOUR_POD6 "fd00:244:0::3"

struct place {
	const char *pod, *client, *cluster, *vip, *node, *local, *remote, *tunnelled;
};

static const struct place places[] = {
	{ POD4, CLIENT4, CLUSTER4, VIP4, NODE4, NEIGHBOUR_POD4, REMOTE4, TUNNELLED4 },
	{ POD6, CLIENT6, CLUSTER6, VIP6, NODE6, NEIGHBOUR_POD6, REMOTE6, TUNNELLED6 },
};

static const uint8_t kinds[] = { SL_KIND_CLUSTER_IP, SL_KIND_NODE_PORT, SL_KIND_LOAD_BALANCER,
				 SL_KIND_EXTERNAL_IP };

/* A case each for kind, protocol and family. */
#define COMBINATIONS 16

static const struct place *place_of(int i)
{
	return &places[i & 1];
}

static uint8_t proto_of(int i)
{
	return i & 2 ? IPPROTO_TCP : IPPROTO_UDP;
}

static uint8_t kind_of(int i)
{
	return kinds[i / 4];
}

static const char *address_of(const struct place *p, uint8_t kind)
{
	return kind == SL_KIND_CLUSTER_IP  ? p->cluster
	       : kind == SL_KIND_NODE_PORT ? p->node
					   : p->vip;
}

static struct service_spec spec_of(const struct place *p, uint8_t kind, uint8_t proto)
{
	return (struct service_spec) {
		.kind = kind,
		.addr = kind == SL_KIND_NODE_PORT ? NULL : address_of(p, kind),
		.family = p == &places[0] ? 4 : 6,
		.proto = proto,
		.port = 30080,
		.backends = { p->remote },
		.target_port = 8080,
	};
}

static struct frame packet(uint8_t proto, struct ends ends)
{
	return proto == IPPROTO_TCP ? frame_tcp(ends, SYN, 1000, 0, 0) : frame_udp(ends, 21);
}

START_TEST(every_kind_of_frontend_keeps_the_pods_address)
{
	const struct place *p = place_of(_i);
	const char *addr = address_of(p, kind_of(_i));
	struct service_spec spec = spec_of(p, kind_of(_i), proto_of(_i));
	struct frame f = packet(proto_of(_i), (struct ends) { p->pod, 40000, addr, 30080 });
	struct frame want = packet(proto_of(_i), (struct ends) { p->pod, 40000, p->remote, 8080 });
	uint32_t service = harness_service(&spec, NULL);

	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
	ck_assert_uint_eq(harness_service_stats(service).connections, 1);
}
END_TEST

START_TEST(the_answer_gets_the_frontend_as_source_at_egress)
{
	const struct place *p = place_of(_i);
	const char *addr = address_of(p, kind_of(_i));
	struct service_spec spec = spec_of(p, kind_of(_i), proto_of(_i));
	struct frame f = packet(proto_of(_i), (struct ends) { p->pod, 40000, addr, 30080 });
	struct frame want = packet(proto_of(_i), (struct ends) { addr, 30080, p->pod, 40000 });
	struct frame answer =
		packet(proto_of(_i), (struct ends) { p->remote, 8080, p->pod, 40000 });

	harness_service(&spec, NULL);
	run_ingress(harness.pod0, &f);
	ck_assert_int_eq(run_egress(harness.pod0, &answer), TC_NEXT);
	frame_assert_same(&answer, &want);
}
END_TEST

START_TEST(towards_a_tunnel_the_pods_address_is_kept_all_the_way)
{
	const struct place *p = &places[_i];
	struct service_spec spec = spec_of(p, SL_KIND_LOAD_BALANCER, IPPROTO_UDP);
	struct frame f = frame_udp((struct ends) { p->pod, 40000, p->vip, 30080 }, 21);
	struct frame want = frame_udp((struct ends) { p->pod, 40000, p->tunnelled, 8080 }, 21);

	spec.backends[0] = p->tunnelled;
	harness_service(&spec, NULL);
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_NEXT);
	ck_assert_int_eq(run_egress(harness.tun0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(no_service_traffic_is_left_untouched)
{
	const struct place *p = &places[_i];
	struct service_spec spec = spec_of(p, SL_KIND_CLUSTER_IP, IPPROTO_TCP);
	struct frame f =
		frame_tcp((struct ends) { p->pod, 40000, p->remote, 8080 }, SYN, 1000, 0, 0);
	struct frame want = f;

	harness_service(&spec, NULL);
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
	ck_assert_int_eq(harness_count(harness.skel->maps.new4), 0);
	ck_assert_int_eq(harness_count(harness.skel->maps.new6), 0);
}
END_TEST

START_TEST(udp_without_a_checksum_keeps_none)
{
	struct service_spec spec = spec_of(&places[0], SL_KIND_CLUSTER_IP, IPPROTO_UDP);
	struct frame f = frame_udp((struct ends) { POD4, 40000, CLUSTER4, 30080 }, 21);
	struct frame want = frame_udp((struct ends) { POD4, 40000, REMOTE4, 8080 }, 21);

	harness_service(&spec, NULL);
	frame_clear_udp_check(&f);
	frame_clear_udp_check(&want);
	harness.gets_shorter = true;
	run_ingress(harness.pod0, &f);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(a_udp_checksum_that_becomes_zero_is_sent_as_ffff)
{
	const struct place *p = &places[_i];
	struct service_spec spec = spec_of(p, SL_KIND_CLUSTER_IP, IPPROTO_UDP);
	struct frame f = frame_udp((struct ends) { p->pod, 40000, p->cluster, 30080 }, 20);
	struct frame want = frame_udp((struct ends) { p->pod, 40000, p->remote, 8080 }, 20);

	frame_balance_udp_check(&want);
	memcpy(f.data + f.len - 20, want.data + want.len - 20, 20);
	frame_finish(&f);
	harness_service(&spec, NULL);
	run_ingress(harness.pod0, &f);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(a_gso_packet_counts_as_its_segments)
{
	struct service_spec spec = spec_of(&places[0], SL_KIND_CLUSTER_IP, IPPROTO_TCP);
	struct frame f =
		frame_tcp((struct ends) { POD4, 40000, CLUSTER4, 30080 }, ACK, 1000, 1, 3000);
	struct frame want =
		frame_tcp((struct ends) { POD4, 40000, REMOTE4, 8080 }, ACK, 1000, 1, 3000);
	uint32_t backend, service = harness_service(&spec, &backend);

	ck_assert_int_eq(run_ingress_gso(harness.pod0, &f, 3, 1000), TC_NEXT);
	frame_assert_same(&f, &want);
	ck_assert_uint_eq(harness_service_stats(service).packets[SL_FORWARDS], 3);
	ck_assert_uint_eq(harness_service_stats(service).bytes[SL_FORWARDS], 3040);
	ck_assert_uint_eq(harness_backend_stats(backend).packets[SL_FORWARDS], 3);
}
END_TEST

START_TEST(source_ranges_hold_for_pods_too)
{
	const struct place *p = &places[_i];
	struct service_spec spec = spec_of(p, SL_KIND_LOAD_BALANCER, IPPROTO_UDP);
	struct frame f = frame_udp((struct ends) { p->pod, 40000, p->vip, 30080 }, 21);
	uint32_t service;

	spec.sources = _i ? "2001:db8::/32" : "198.51.100.0/24";
	service = harness_service(&spec, NULL);
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_DROP);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_POLICY), 1);
}
END_TEST

START_TEST(the_same_port_of_another_service_is_not_mixed_up)
{
	struct service_spec tcp = spec_of(&places[0], SL_KIND_CLUSTER_IP, IPPROTO_TCP);
	struct service_spec udp = spec_of(&places[0], SL_KIND_CLUSTER_IP, IPPROTO_UDP);
	struct frame f = frame_udp((struct ends) { POD4, 40000, CLUSTER4, 30080 }, 21);
	struct frame want = frame_udp((struct ends) { POD4, 40000, NEIGHBOUR_POD4, 53 }, 21);

	udp.backends[0] = NEIGHBOUR_POD4;
	udp.target_port = 53;
	harness_service(&udp, NULL);
	harness_service(&tcp, NULL);
	run_ingress(harness.pod0, &f);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(a_service_whose_record_is_gone_is_left)
{
	struct service_spec spec = spec_of(&places[0], SL_KIND_CLUSTER_IP, IPPROTO_UDP);
	struct frame f = frame_udp((struct ends) { POD4, 40000, CLUSTER4, 30080 }, 21), same = f;
	uint32_t service = harness_service(&spec, NULL);
	uint64_t none = 0;

	ck_assert_int_eq(bpf_map__update_elem(harness.skel->maps.services, &service,
					      sizeof(service), &none, sizeof(none), 0),
			 0);
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_NEXT);
	frame_assert_same(&f, &same);
}
END_TEST

/* As a reader meets it whose element was recycled for another key. */
START_TEST(a_frontend_with_the_tag_of_another_is_no_frontend)
{
	struct service_spec spec = spec_of(&places[0], SL_KIND_LOAD_BALANCER, IPPROTO_UDP);
	struct frame f = frame_udp((struct ends) { POD4, 40000, VIP4, 30080 }, 21), same = f;
	struct sl_frontend4 key = { .port = htons(30080), .proto = IPPROTO_UDP };
	uint64_t value;

	harness_service(&spec, NULL);
	ck_assert_int_eq(inet_pton(AF_INET, VIP4, key.addr), 1);
	ck_assert_int_eq(bpf_map__lookup_elem(harness.skel->maps.frontends4, &key, sizeof(key),
					      &value, sizeof(value), 0),
			 0);
	value ^= 1ULL << 63;
	ck_assert_int_eq(bpf_map__update_elem(harness.skel->maps.frontends4, &key, sizeof(key),
					      &value, sizeof(value), 0),
			 0);
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_NEXT);
	frame_assert_same(&f, &same);
}
END_TEST

/*
 * Which choice of the record a packet follows: every way but one chooses from
 * the cluster set, where a remote backend is, that one from the local set. The
 * node's own way is for sockets (test_sock.c): no packet with its address as
 * source comes in.
 */
enum asker { POD, OUTSIDE };

static const struct {
	const char *way;
	uint8_t kind;
	enum asker asker;
	enum sl_path path;
} ways[] = {
	{ "cluster IP, pod", SL_KIND_CLUSTER_IP, POD, SL_PATH_CLUSTER_POD },
	{ "cluster IP, outside", SL_KIND_CLUSTER_IP, OUTSIDE, SL_PATH_CLUSTER },
	{ "node port, pod", SL_KIND_NODE_PORT, POD, SL_PATH_POD },
	{ "node port, outside", SL_KIND_NODE_PORT, OUTSIDE, SL_PATH_OUTSIDE },
	{ "VIP, pod", SL_KIND_LOAD_BALANCER, POD, SL_PATH_POD },
	{ "VIP, outside", SL_KIND_LOAD_BALANCER, OUTSIDE, SL_PATH_OUTSIDE },
	{ "external IP, pod", SL_KIND_EXTERNAL_IP, POD, SL_PATH_POD },
	{ "external IP, outside", SL_KIND_EXTERNAL_IP, OUTSIDE, SL_PATH_OUTSIDE },
};

#define WAYS ((int)(sizeof(ways) / sizeof(ways[0])))

/* The way's packet, `n` telling apart flows. */
static struct frame on_way(int way, uint16_t n)
{
	static const char *const askers[] = { POD4, CLIENT4 };

	return frame_udp((struct ends) { askers[ways[way].asker], 20000 + n,
					 address_of(&places[0], ways[way].kind), 30080 },
			 21);
}

static uint32_t way_ifindex(int way)
{
	return ways[way].asker == POD ? harness.pod0 : harness.up0;
}

START_TEST(a_way_with_the_local_set_never_leaves_the_node)
{
	struct service_spec spec = spec_of(&places[0], ways[_i].kind, IPPROTO_UDP);

	spec.backends[1] = NEIGHBOUR_POD4;
	spec.backends[2] = "10.244.0.4";
	spec.path[ways[_i].path] = SL_CHOOSE_LOCAL;
	harness_service(&spec, NULL);
	for (uint16_t n = 0; n < 32; n++) {
		struct frame f = on_way(_i, n);

		ck_assert_int_eq(run_ingress(way_ifindex(_i), &f), TC_NEXT);
		ck_assert_msg(f.data[32] == 0 && (f.data[33] == 3 || f.data[33] == 4),
			      "%s: 10.244.%u.%u is not local", ways[_i].way, f.data[32],
			      f.data[33]);
	}
}
END_TEST

START_TEST(a_way_without_the_local_set_takes_all_backends)
{
	struct service_spec spec = spec_of(&places[0], ways[_i].kind, IPPROTO_UDP);
	int remote = 0;

	spec.backends[1] = NEIGHBOUR_POD4;
	memset(spec.path, SL_CHOOSE_LOCAL, sizeof(spec.path));
	spec.path[ways[_i].path] = SL_CHOOSE_CLUSTER;
	harness_service(&spec, NULL);
	for (uint16_t n = 0; n < 32; n++) {
		struct frame f = on_way(_i, n);

		run_ingress(way_ifindex(_i), &f);
		remote += f.data[32] == 1;
	}
	ck_assert_msg(remote > 4 && remote < 28, "%s: %d of 32 to the remote backend", ways[_i].way,
		      remote);
}
END_TEST

START_TEST(a_way_may_be_the_only_one_that_drops)
{
	struct service_spec spec = spec_of(&places[0], ways[_i].kind, IPPROTO_UDP);
	struct frame f = on_way(_i, 0);
	uint32_t service;

	spec.path[ways[_i].path] = SL_CHOOSE_DROP;
	service = harness_service(&spec, NULL);
	ck_assert_int_eq(run_ingress(way_ifindex(_i), &f), TC_DROP);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_NO_LOCAL), 1);
}
END_TEST

/* An interface that is nothing to us: its packets come from outside. */
START_TEST(an_unknown_interface_leads_outside)
{
	struct service_spec spec = spec_of(&places[0], SL_KIND_LOAD_BALANCER, IPPROTO_UDP);
	struct frame f = frame_udp((struct ends) { POD4, 40000, VIP4, 30080 }, 21);
	uint32_t service;

	ck_assert_int_eq(bpf_map__delete_elem(harness.skel->maps.ifaces, &harness.pod0,
					      sizeof(harness.pod0), 0),
			 0);
	spec.path[SL_PATH_OUTSIDE] = SL_CHOOSE_DROP;
	service = harness_service(&spec, NULL);
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_DROP);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_NO_LOCAL), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tc_ingress");
	TCase *tcase = harness_case(suite, "from a pod");

	tcase_add_loop_test(tcase, every_kind_of_frontend_keeps_the_pods_address, 0, COMBINATIONS);
	tcase_add_loop_test(tcase, the_answer_gets_the_frontend_as_source_at_egress, 0,
			    COMBINATIONS);
	add_for_both(tcase, towards_a_tunnel_the_pods_address_is_kept_all_the_way);
	add_for_both(tcase, no_service_traffic_is_left_untouched);
	tcase_add_test(tcase, udp_without_a_checksum_keeps_none);
	add_for_both(tcase, a_udp_checksum_that_becomes_zero_is_sent_as_ffff);
	tcase_add_test(tcase, a_gso_packet_counts_as_its_segments);
	add_for_both(tcase, source_ranges_hold_for_pods_too);

	tcase = harness_case(suite, "service");
	tcase_add_test(tcase, the_same_port_of_another_service_is_not_mixed_up);
	tcase_add_test(tcase, a_service_whose_record_is_gone_is_left);
	tcase_add_test(tcase, a_frontend_with_the_tag_of_another_is_no_frontend);

	tcase = harness_case(suite, "path");
	tcase_add_loop_test(tcase, a_way_with_the_local_set_never_leaves_the_node, 0, WAYS);
	tcase_add_loop_test(tcase, a_way_without_the_local_set_takes_all_backends, 0, WAYS);
	tcase_add_loop_test(tcase, a_way_may_be_the_only_one_that_drops, 0, WAYS);
	tcase_add_test(tcase, an_unknown_interface_leads_outside);
	return harness_run(suite);
}
