/* SPDX-License-Identifier: Apache-2.0 */

/* Whether an entry that was found may be used: tags, generations and times. */

#include <arpa/inet.h>
#include <string.h>

#include "test/packet/harness.h"

#define SECOND4 "10.244.1.3"

static uint32_t service, backend;

/* A VIP whose flows all go to REMOTE4 first; SECOND4 is there too. */
static void serve(uint8_t proto)
{
	struct service_spec spec = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = VIP4,
		.proto = proto,
		.port = 80,
		.backends = { REMOTE4, SECOND4 },
		.target_port = 8080,
	};

	service = harness_service(&spec, &backend);
	harness_set_backend(service, backend);
}

static struct frame udp_from_pod(void)
{
	return frame_udp((struct ends) { POD4, 40000, VIP4, 80 }, 10);
}

/* The pod's next packet goes to this backend. */
static void assert_goes_to(const char *addr)
{
	struct frame f = udp_from_pod();
	struct frame want = frame_udp((struct ends) { POD4, 40000, addr, 8080 }, 10);

	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
}

/* Writes the backend's word as it is, but for `flip`. */
static void flip_backend(uint64_t flip)
{
	struct bpf_map *map = harness.skel->maps.backends;
	struct sl_backend b;

	ck_assert_int_eq(bpf_map__lookup_elem(map, &backend, sizeof(backend), &b, sizeof(b), 0), 0);
	b.word ^= flip;
	ck_assert_int_eq(bpf_map__update_elem(map, &backend, sizeof(backend), &b, sizeof(b), 0), 0);
}

/* As a reader meets it whose element was recycled for another flow. */
START_TEST(a_flow_with_the_tag_of_another_is_not_used)
{
	struct bpf_map *map = harness.skel->maps.new4;
	struct sl_tuple4 key = { .sport = htons(8080),
				 .dport = htons(40000),
				 .proto = IPPROTO_UDP };
	struct frame f = udp_from_pod(), answer, same;
	struct sl_flow4 flow;

	serve(IPPROTO_UDP);
	run_ingress(harness.pod0, &f);
	inet_pton(AF_INET, REMOTE4, key.saddr);
	inet_pton(AF_INET, POD4, key.daddr);
	ck_assert_int_eq(bpf_map__lookup_elem(map, &key, sizeof(key), &flow, sizeof(flow), 0), 0);
	flow.f.tag++;
	ck_assert_int_eq(bpf_map__update_elem(map, &key, sizeof(key), &flow, sizeof(flow), 0), 0);
	answer = same = frame_udp_answer(&f, 10);
	ck_assert_int_eq(run_egress(harness.pod0, &answer), TC_NEXT);
	frame_assert_same(&answer, &same);
}
END_TEST

START_TEST(a_backend_id_that_somebody_else_has_now_is_left)
{
	serve(IPPROTO_UDP);
	assert_goes_to(REMOTE4);
	harness_set_backend(service, backend + 1);
	assert_goes_to(REMOTE4);
	flip_backend(SL_BACKEND_WORD(2, 0, 0)); /* live, of another generation */
	assert_goes_to(SECOND4);
}
END_TEST

START_TEST(a_backend_that_is_not_live_is_left)
{
	serve(IPPROTO_UDP);
	assert_goes_to(REMOTE4);
	harness_set_backend(service, backend + 1);
	flip_backend(SL_BACKEND_LIVE ^ SL_BACKEND_GONE); /* of the same generation */
	assert_goes_to(SECOND4);
}
END_TEST

START_TEST(a_client_alone_keeps_its_flow)
{
	serve(IPPROTO_UDP);
	assert_goes_to(REMOTE4);
	harness_set_backend(service, backend + 1);
	for (int i = 0; i < 3; i++) {
		harness_age_flows(20);
		assert_goes_to(REMOTE4);
	}
	harness_age_flows(40);
	assert_goes_to(SECOND4);
}
END_TEST

START_TEST(a_client_keeps_the_way_back_too)
{
	struct frame f = udp_from_pod(), answer;
	struct frame want = frame_udp((struct ends) { VIP4, 80, POD4, 40000 }, 10);

	serve(IPPROTO_UDP);
	run_ingress(harness.pod0, &f);
	for (int i = 0; i < 3; i++) {
		harness_age_flows(20);
		assert_goes_to(REMOTE4);
	}
	harness_age_flows(20);
	answer = frame_udp_answer(&f, 10);
	run_egress(harness.pod0, &answer);
	frame_assert_same(&answer, &want);
}
END_TEST

START_TEST(answers_alone_keep_a_flow)
{
	struct frame f = udp_from_pod(), answer;

	serve(IPPROTO_UDP);
	run_ingress(harness.pod0, &f);
	harness_set_backend(service, backend + 1);
	for (int i = 0; i < 3; i++) {
		harness_age_flows(20);
		answer = frame_udp_answer(&f, 10);
		run_egress(harness.pod0, &answer);
	}
	harness_age_flows(20);
	assert_goes_to(REMOTE4);
}
END_TEST

START_TEST(answers_of_a_backend_that_is_gone_are_still_translated)
{
	struct frame f = udp_from_pod(), answer;
	struct frame want = frame_udp((struct ends) { VIP4, 80, POD4, 40000 }, 10);

	serve(IPPROTO_UDP);
	run_ingress(harness.pod0, &f);
	harness_retire_backend(backend);
	answer = frame_udp_answer(&f, 10);
	run_egress(harness.pod0, &answer);
	frame_assert_same(&answer, &want);
}
END_TEST

START_TEST(udp_has_a_shorter_time_than_tcp)
{
	struct frame f = udp_from_pod(), answer;

	serve(IPPROTO_UDP);
	run_ingress(harness.pod0, &f);
	answer = frame_udp_answer(&f, 10);
	run_egress(harness.pod0, &answer);
	assert_goes_to(REMOTE4);
	ck_assert_int_eq(harness_count(harness.skel->maps.established4), 2);
	harness_set_backend(service, backend + 1);
	harness_age_flows(100);
	assert_goes_to(REMOTE4);
	harness_age_flows(200);
	assert_goes_to(SECOND4);
}
END_TEST

START_TEST(a_closed_flows_way_back_is_taken_over_at_once)
{
	struct service_spec other = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = VIP6,
		.proto = IPPROTO_TCP,
		.port = 80,
		.backends = { REMOTE6 },
		.target_port = 8080,
	};
	struct ends first = { POD6, 40000, VIP6, 80 },
		    second = { POD6, 40000, "2001:db8:f::2", 80 };
	struct frame rst = frame_tcp(first, RST, 1001, 0, 0);
	struct frame f = frame_tcp(second, ACK, 5000, 6000, 0), answer;
	struct frame want =
		frame_tcp((struct ends) { second.daddr, 80, POD6, 40000 }, ACK, 6000, 5000, 9);

	harness_service(&other, NULL);
	other.addr = second.daddr;
	harness_service(&other, NULL);
	harness_establish(harness.pod0, 0, first);
	run_ingress(harness.pod0, &rst);
	run_ingress(harness.pod0, &f);
	ck_assert_uint_eq(frame_sport(&f), 40000);
	answer = frame_tcp_answer(&f, ACK, 6000, 5000, 9);
	run_egress(harness.pod0, &answer);
	frame_assert_same(&answer, &want);
}
END_TEST

START_TEST(a_lost_flow_far_into_its_numbers_is_promoted_too)
{
	struct ends ends = { POD4, 40000, VIP4, 80 };
	struct frame f = frame_tcp(ends, ACK, 5000, 3000000000, 0), again = f, answer;

	serve(IPPROTO_TCP);
	run_ingress(harness.pod0, &f);
	answer = frame_tcp_answer(&f, ACK, 3000000000, 5000, 100);
	run_egress(harness.pod0, &answer);
	run_ingress(harness.pod0, &again);
	ck_assert_int_eq(harness_count(harness.skel->maps.established4), 2);
}
END_TEST

START_TEST(a_backend_that_left_a_tick_ahead_still_drains)
{
	struct ends ends = { POD4, 40000, VIP4, 80 };
	struct frame ack = frame_tcp(ends, ACK, 1001, 2001, 0);
	struct frame want =
		frame_tcp((struct ends) { POD4, 40000, REMOTE4, 8080 }, ACK, 1001, 2001, 0);

	serve(IPPROTO_TCP);
	harness_establish(harness.pod0, 0, ends);
	harness_set_leave(service, SL_LEAVE_DRAIN, 60);
	harness_retire_backend(backend);
	harness_age_backend(backend, -2);
	ck_assert_int_eq(run_ingress(harness.pod0, &ack), TC_NEXT);
	frame_assert_same(&ack, &want);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stale");
	TCase *tcase = harness_case(suite, "recycled");

	tcase_add_test(tcase, a_flow_with_the_tag_of_another_is_not_used);
	tcase_add_test(tcase, a_backend_id_that_somebody_else_has_now_is_left);
	tcase_add_test(tcase, a_backend_that_is_not_live_is_left);
	tcase_add_test(tcase, answers_of_a_backend_that_is_gone_are_still_translated);
	tcase_add_test(tcase, a_closed_flows_way_back_is_taken_over_at_once);

	tcase = harness_case(suite, "silent");
	tcase_add_test(tcase, a_client_alone_keeps_its_flow);
	tcase_add_test(tcase, a_client_keeps_the_way_back_too);
	tcase_add_test(tcase, answers_alone_keep_a_flow);
	tcase_add_test(tcase, udp_has_a_shorter_time_than_tcp);
	tcase_add_test(tcase, a_lost_flow_far_into_its_numbers_is_promoted_too);
	tcase_add_test(tcase, a_backend_that_left_a_tick_ahead_still_drains);
	return harness_run(suite);
}
