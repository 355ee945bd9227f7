/* SPDX-License-Identifier: Apache-2.0 */

/* Who asks, whose source is translated, and what a ServiceCIDR holds back. */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <string.h>

#include "test/packet/harness.h"

#define ALWAYS (SL_CHOOSE_CLUSTER | SL_MASQUERADE)

static struct service_spec spec;

static void use(const char *backend, uint8_t choice)
{
	spec = (struct service_spec) {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = VIP4,
		.proto = IPPROTO_UDP,
		.port = 80,
		.backends = { backend },
		.target_port = 8080,
	};
	memset(spec.path, choice, sizeof(spec.path));
}

static struct sl_node node(void)
{
	return (struct sl_node) { .detect4 = SL_DETECT_INTERFACE,
				  .detect6 = SL_DETECT_INTERFACE,
				  .compatible = 1,
				  .addr4 = { inet_addr(NODE4) } };
}

static void compatible(void)
{
	struct sl_node n = node();

	harness_set_node(&n);
}

static struct frame request(const char *saddr)
{
	return frame_udp((struct ends) { saddr, 40000, VIP4, 80 }, 10);
}

START_TEST(compatible_outside_to_a_local_pod_gets_the_nodes_source_at_its_veth)
{
	struct frame f = request(CLIENT4), want;
	struct frame half = frame_udp((struct ends) { CLIENT4, 40000, POD4, 8080 }, 10);

	compatible();
	use(POD4, ALWAYS);
	harness_service(&spec, NULL);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_NEXT);
	frame_assert_same(&f, &half); /* no node's address as source enters the stack */
	ck_assert_int_eq(run_egress(harness.pod0, &f), TC_NEXT);
	want = frame_udp((struct ends) { NODE4, frame_sport(&f), POD4, 8080 }, 10);
	ck_assert_uint_ge(frame_sport(&f), SNAT_FIRST);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(compatible_answers_come_back_through_both_hooks)
{
	struct frame f = request(CLIENT4), answer;
	struct frame want = frame_udp((struct ends) { VIP4, 80, CLIENT4, 40000 }, 20);

	compatible();
	use(POD4, ALWAYS);
	harness_service(&spec, NULL);
	run_ingress(harness.up0, &f);
	run_egress(harness.pod0, &f);
	answer = frame_udp_answer(&f, 20);
	ck_assert_int_eq(run_ingress(harness.pod0, &answer), TC_NEXT);
	ck_assert_int_eq(run_egress(harness.up0, &answer), TC_NEXT);
	frame_assert_same(&answer, &want);
}
END_TEST

START_TEST(compatible_pod_to_a_remote_pod_goes_through_the_stack_and_the_uplink)
{
	struct frame f = request(POD4);
	struct frame half = frame_udp((struct ends) { POD4, 40000, REMOTE4, 8080 }, 10);
	struct frame want;

	compatible();
	use(REMOTE4, ALWAYS);
	harness_service(&spec, NULL);
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_NEXT);
	frame_assert_same(&f, &half);
	run_egress(harness.up0, &f);
	want = frame_udp((struct ends) { NODE4, frame_sport(&f), REMOTE4, 8080 }, 10);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(flows_of_a_node_that_was_compatible_keep_their_source)
{
	struct frame f = request(CLIENT4), again;
	struct ends other = { CLIENT4, 40001, VIP4, 80 };
	struct frame fresh = frame_udp(other, 10), half;
	struct sl_node n = node();

	compatible();
	use(POD4, ALWAYS);
	harness_service(&spec, NULL);
	run_ingress(harness.up0, &f);
	run_egress(harness.pod0, &f);
	n.compatible = 0;
	n.was_compatible = 1;
	harness_set_node(&n);

	again = request(CLIENT4);
	run_ingress(harness.up0, &again);
	ck_assert_int_eq(run_egress(harness.pod0, &again), TC_NEXT);
	frame_assert_same(&again, &f);
	run_ingress(harness.up0, &fresh);
	half = fresh;
	ck_assert_int_eq(run_egress(harness.pod0, &fresh), TC_NEXT);
	frame_assert_same(&fresh, &half);
}
END_TEST

START_TEST(compatible_goes_untranslated_where_the_client_asked_for_the_backend_itself)
{
	struct ends ends = { POD4, 40000, OTHER4, 8080 };
	struct frame f = frame_udp(ends, 10), want = f;
	struct frame answer = frame_udp_answer(&f, 20), same = answer;

	compatible();
	use(OTHER4, ALWAYS);
	spec.kind = SL_KIND_EXTERNAL_IP;
	spec.addr = OTHER4;
	spec.port = 8080;
	harness_service(&spec, NULL);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_NEXT);
		frame_assert_same(&f, &want);
		ck_assert_int_eq(run_egress(harness.up2, &f), TC_NEXT);
		frame_assert_same(&f, &want);
		ck_assert_int_eq(run_egress(harness.pod0, &answer), TC_NEXT);
		frame_assert_same(&answer, &same);
	}
}
END_TEST

START_TEST(compatible_without_the_masquerade_bit_keeps_the_source)
{
	struct frame f = request(CLIENT4);
	struct frame want = frame_udp((struct ends) { CLIENT4, 40000, REMOTE4, 8080 }, 10);

	compatible();
	use(REMOTE4, SL_CHOOSE_CLUSTER);
	harness_service(&spec, NULL);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_NEXT);
	run_egress(harness.up0, &f);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(compatible_does_not_masquerade_what_is_for_the_node_itself)
{
	struct frame f = request(CLIENT4);
	struct frame want = frame_udp((struct ends) { CLIENT4, 40000, NODE4, 8080 }, 10);

	compatible();
	use(NODE4, ALWAYS);
	harness_service(&spec, NULL);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
	ck_assert_int_eq(harness_count(harness.skel->maps.new4), 2);
}
END_TEST

START_TEST(minimal_ignores_the_masquerade_bit)
{
	struct frame f = request(CLIENT4);
	struct frame want = frame_udp((struct ends) { CLIENT4, 40000, POD4, 8080 }, 10);

	use(POD4, ALWAYS);
	harness_service(&spec, NULL);
	run_ingress(harness.up0, &f);
	run_egress(harness.pod0, &f);
	frame_assert_same(&f, &want);
}
END_TEST

/* Each path drops but one: the packet gets through if it takes that one. */
static int takes(enum sl_path path, uint32_t ifindex, const char *saddr, const char *daddr)
{
	struct frame f = frame_udp((struct ends) { saddr, 40000, daddr, 80 }, 10);

	use(POD4, SL_CHOOSE_DROP);
	spec.addr = daddr;
	spec.kind = strcmp(daddr, CLUSTER4) ? SL_KIND_LOAD_BALANCER : SL_KIND_CLUSTER_IP;
	spec.path[path] = SL_CHOOSE_CLUSTER;
	harness_service(&spec, NULL);
	return run_ingress(ifindex, &f) != TC_DROP;
}

START_TEST(pods_are_told_by_their_interface)
{
	ck_assert(takes(SL_PATH_POD, harness.pod0, "10.244.0.9", VIP4));
	ck_assert(takes(SL_PATH_OUTSIDE, harness.up0, "10.244.1.9", VIP4));
	ck_assert(takes(SL_PATH_CLUSTER_POD, harness.pod0, "10.244.0.9", CLUSTER4));
	ck_assert(takes(SL_PATH_CLUSTER, harness.up0, "10.244.1.9", CLUSTER4));
}
END_TEST

START_TEST(pods_are_told_by_their_source)
{
	struct sl_node n = { .detect4 = SL_DETECT_SOURCE };

	n.pods4.addr[0] = inet_addr("10.244.0.0");
	n.pods4.mask[0] = inet_addr("255.255.0.0");
	harness_set_node(&n);
	ck_assert(takes(SL_PATH_POD, harness.up0, "10.244.1.9", VIP4));
	ck_assert(takes(SL_PATH_OUTSIDE, harness.pod0, "10.245.0.9", VIP4));
	ck_assert(takes(SL_PATH_CLUSTER_POD, harness.up0, "10.244.1.9", CLUSTER4));
}
END_TEST

START_TEST(without_a_detector_nobody_is_a_pod)
{
	struct sl_node n = {};

	harness_set_node(&n);
	ck_assert(takes(SL_PATH_OUTSIDE, harness.pod0, "10.244.0.9", VIP4));
	ck_assert(takes(SL_PATH_CLUSTER, harness.pod0, "10.244.0.9", CLUSTER4));
}
END_TEST

static void with_service_cidr(void)
{
	struct sl_node n = node();

	n.services4[0].addr[0] = inet_addr("10.96.0.0");
	n.services4[0].mask[0] = inet_addr("255.255.0.0");
	n.n_services4 = 1;
	n.services6[0].addr[0] = n.services6[0].mask[0] = 0;
	inet_pton(AF_INET6, "fd00:96::", n.services6[0].addr);
	memset(n.services6[0].mask, 0xff, 14);
	n.n_services6 = 1;
	harness_set_node(&n);
}

START_TEST(nobodys_address_of_a_service_cidr_is_dropped_and_counted)
{
	struct frame f = frame_tcp(
		(struct ends) { _i ? POD6 : POD4, 40000, _i ? "fd00:96::99" : "10.96.0.99", 80 },
		SYN, 1, 0, 0);

	with_service_cidr();
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_DROP);
	ck_assert_uint_eq(harness_losses(0, SL_DROP_UNALLOCATED), 1);
}
END_TEST

START_TEST(the_nodes_own_packets_to_nobodys_address_end_at_egress)
{
	struct frame f = frame_tcp((struct ends) { NODE4, 40000, "10.96.0.99", 80 }, SYN, 1, 0, 0);

	with_service_cidr();
	ck_assert_int_eq(run_egress(harness.up0, &f), TC_DROP);
}
END_TEST

START_TEST(an_endpoint_of_the_nodes_address_opens_no_way_to_nobodys)
{
	struct frame f = frame_tcp((struct ends) { NODE4, 40000, "10.96.0.99", 80 }, SYN, 1, 0, 0);

	with_service_cidr();
	use(NODE4, SL_CHOOSE_CLUSTER);
	harness_service(&spec, NULL);
	ck_assert_int_eq(run_egress(harness.up0, &f), TC_DROP);
	ck_assert_uint_eq(harness_losses(0, SL_DROP_UNALLOCATED), 1);
}
END_TEST

START_TEST(outside_of_the_service_cidrs_nothing_is_dropped)
{
	struct frame f = frame_tcp((struct ends) { POD4, 40000, "10.97.0.99", 80 }, SYN, 1, 0, 0);
	struct frame want = f;

	with_service_cidr();
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(an_unknown_port_of_a_live_cluster_ip_is_rejected_not_dropped)
{
	struct frame f = frame_udp((struct ends) { POD4, 40000, CLUSTER4, 81 }, 10);
	uint32_t service;

	with_service_cidr();
	use(POD4, SL_CHOOSE_CLUSTER);
	spec.kind = SL_KIND_CLUSTER_IP;
	spec.addr = CLUSTER4;
	service = harness_service(&spec, NULL);
	harness.gets_shorter = true;
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_REDIRECT);
	ck_assert_uint_eq(harness_losses(service, SL_REJECT_UNKNOWN_PORT), 1);
}
END_TEST

START_TEST(source_ranges_can_hold_for_node_ports_too)
{
	struct frame f = frame_udp((struct ends) { CLIENT4, 40000, NODE4, 30080 }, 10);

	use(POD4, SL_CHOOSE_CLUSTER);
	spec.kind = SL_KIND_NODE_PORT;
	spec.addr = NULL;
	spec.family = 4;
	spec.port = 30080;
	spec.sources = "192.0.2.0/24";
	spec.flags = SL_RECORD_RANGES_EVERYWHERE;
	harness_service(&spec, NULL);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_DROP);
}
END_TEST

static struct sl_decide decide(const char *saddr, const char *daddr, uint16_t port)
{
	struct sl_decide d = {
		.saddr = { inet_addr(saddr) },
		.daddr = { inet_addr(daddr) },
		.sport = htons(40000),
		.dport = htons(port),
		.proto = IPPROTO_UDP,
		.family = 4,
		.ifindex = harness.up0,
	}, out = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = &d, .data_size_in = sizeof(d),
		    .data_out = &out, .data_size_out = sizeof(out));

	ck_assert_int_eq(
		bpf_prog_test_run_opts(bpf_program__fd(harness.skel->progs.sluice_decide), &opts),
		0);
	ck_assert_int_eq(opts.retval, 0);
	return out;
}

START_TEST(a_decision_names_the_backend_and_leaves_no_trace)
{
	struct sl_decide d;
	uint32_t service, backend;

	use(POD4, ALWAYS);
	spec.affinity_s = 100;
	service = harness_service(&spec, &backend);
	d = decide(CLIENT4, VIP4, 80);
	ck_assert_uint_eq(d.verdict, SL_NEXT);
	ck_assert_uint_eq(d.service, service);
	ck_assert_uint_eq(d.backend, backend);
	ck_assert_uint_eq(d.kind, SL_KIND_LOAD_BALANCER);
	ck_assert_uint_eq(d.path, SL_PATH_OUTSIDE);
	ck_assert_uint_eq(d.masquerade, 1);
	ck_assert_int_eq(harness_count(harness.skel->maps.new4), 0);
	ck_assert_int_eq(harness_count(harness.skel->maps.affinity4), 0);
}
END_TEST

START_TEST(a_decision_names_the_loss)
{
	with_service_cidr();
	ck_assert_uint_eq(decide(CLIENT4, "10.96.0.99", 80).verdict, SL_DROP_UNALLOCATED);
	ck_assert_uint_eq(decide(CLIENT4, "192.0.2.99", 80).verdict, SL_LEAVE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("masquerade");
	TCase *tcase = harness_case(suite, "masquerade");

	tcase_add_test(tcase, compatible_outside_to_a_local_pod_gets_the_nodes_source_at_its_veth);
	tcase_add_test(tcase, compatible_answers_come_back_through_both_hooks);
	tcase_add_test(tcase, compatible_pod_to_a_remote_pod_goes_through_the_stack_and_the_uplink);
	tcase_add_test(tcase, flows_of_a_node_that_was_compatible_keep_their_source);
	tcase_add_test(tcase,
		       compatible_goes_untranslated_where_the_client_asked_for_the_backend_itself);
	tcase_add_test(tcase, compatible_without_the_masquerade_bit_keeps_the_source);
	tcase_add_test(tcase, compatible_does_not_masquerade_what_is_for_the_node_itself);
	tcase_add_test(tcase, minimal_ignores_the_masquerade_bit);

	tcase = harness_case(suite, "paths");
	tcase_add_test(tcase, pods_are_told_by_their_interface);
	tcase_add_test(tcase, pods_are_told_by_their_source);
	tcase_add_test(tcase, without_a_detector_nobody_is_a_pod);
	tcase_add_test(tcase, source_ranges_can_hold_for_node_ports_too);

	tcase = harness_case(suite, "service CIDR");
	add_for_both(tcase, nobodys_address_of_a_service_cidr_is_dropped_and_counted);
	tcase_add_test(tcase, the_nodes_own_packets_to_nobodys_address_end_at_egress);
	tcase_add_test(tcase, an_endpoint_of_the_nodes_address_opens_no_way_to_nobodys);
	tcase_add_test(tcase, outside_of_the_service_cidrs_nothing_is_dropped);
	tcase_add_test(tcase, an_unknown_port_of_a_live_cluster_ip_is_rejected_not_dropped);

	tcase = harness_case(suite, "decide");
	tcase_add_test(tcase, a_decision_names_the_backend_and_leaves_no_trace);
	tcase_add_test(tcase, a_decision_names_the_loss);
	return harness_run(suite);
}
