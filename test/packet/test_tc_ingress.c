/* SPDX-License-Identifier: Apache-2.0 */

/* What comes in by TC: from pods and, where XDP can't be, from outside. */

#include "test/packet/harness.h"

static const struct service_spec cluster4 = {
	.kind = SL_KIND_CLUSTER_IP,
	.addr = CLUSTER4,
	.proto = IPPROTO_TCP,
	.port = 80,
	.backends = { REMOTE4 },
	.target_port = 8080,
};

START_TEST(a_pods_syn_to_a_cluster_ip_gets_the_backend_as_destination)
{
	struct frame f = frame_tcp((struct ends) { POD4, 40000, CLUSTER4, 80 }, SYN, 1000, 0, 0);
	struct frame want =
		frame_tcp((struct ends) { POD4, 40000, REMOTE4, 8080 }, SYN, 1000, 0, 0);
	uint32_t service = harness_service(&cluster4, NULL);

	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
	ck_assert_uint_eq(harness_service_stats(service).connections, 1);
}
END_TEST

START_TEST(no_service_traffic_is_left_untouched)
{
	struct frame f = frame_tcp((struct ends) { POD4, 40000, REMOTE4, 8080 }, SYN, 1000, 0, 0);
	struct frame want = f;

	harness_service(&cluster4, NULL);
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
	ck_assert_int_eq(harness_count(harness.skel->maps.new4), 0);
}
END_TEST

START_TEST(from_outside_to_a_remote_backend_both_ends_are_translated)
{
	struct service_spec vip = cluster4;
	struct frame f = frame_tcp((struct ends) { CLIENT4, 40000, VIP4, 80 }, SYN, 1000, 0, 0);
	struct frame got;

	vip.kind = SL_KIND_LOAD_BALANCER;
	vip.addr = VIP4;
	harness_service(&vip, NULL);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_REDIRECT);
	got = f;
	ck_assert(frame_checksums_right(&got));
}
END_TEST

START_TEST(a_service_without_endpoints_answers_port_unreachable)
{
	struct service_spec none = cluster4;
	struct frame f = frame_tcp((struct ends) { POD4, 40000, CLUSTER4, 80 }, SYN, 1000, 0, 0);
	struct frame want = frame_unreachable(&f, 40);
	uint32_t service;

	none.backends[0] = NULL;
	none.path[SL_PATH_CLUSTER_POD] = SL_CHOOSE_REJECT;
	service = harness_service(&none, NULL);
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_REDIRECT);
	frame_assert_same(&f, &want);
	ck_assert_uint_eq(harness_losses(service, SL_REJECT_NO_ENDPOINTS), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tc_ingress");
	TCase *tcase = harness_case(suite, "from a pod");

	tcase_add_test(tcase, a_pods_syn_to_a_cluster_ip_gets_the_backend_as_destination);
	tcase_add_test(tcase, no_service_traffic_is_left_untouched);
	tcase_add_test(tcase, a_service_without_endpoints_answers_port_unreachable);
	tcase = harness_case(suite, "from outside");
	tcase_add_test(tcase, from_outside_to_a_remote_backend_both_ends_are_translated);
	return harness_run(suite);
}
