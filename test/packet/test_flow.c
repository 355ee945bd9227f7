/* SPDX-License-Identifier: Apache-2.0 */

/* The life of a flow: opening, proof, promotion, closing, and leaving backends. */

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "test/packet/harness.h"

#define VIP4_B "203.0.113.2"

static struct service_spec spec;
static uint32_t service, backend;

/* A VIP with two remote backends; flows come from a pod, so nothing is SNATed. */
static void two_backends(uint8_t proto)
{
	spec = (struct service_spec) {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = VIP4,
		.proto = proto,
		.port = 80,
		.backends = { REMOTE4, "10.244.1.3" },
		.target_port = 8080,
	};
	service = harness_service(&spec, &backend);
}

static struct frame from_pod(uint16_t sport, uint8_t flags, uint32_t seq, uint32_t ack)
{
	return frame_tcp((struct ends) { POD4, sport, VIP4, 80 }, flags, seq, ack, 0);
}

/* Two answers can be compared: each call has the other of two buffers. */
static const char *backend_of(const struct frame *f)
{
	static char texts[2][16];
	static int turn;
	char *text = texts[turn ^= 1];

	snprintf(text, sizeof(texts[0]), "%u.%u.%u.%u", f->data[30], f->data[31], f->data[32],
		 f->data[33]);
	return text;
}

/* Sends it in; returns the backend's address. */
static const char *send_in(struct frame f)
{
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_NEXT);
	return backend_of(&f);
}

/* A source port whose flow picks the backend with this address. */
static uint16_t port_to(const char *addr)
{
	for (uint16_t port = 50000; port < 50100; port++) {
		if (strcmp(send_in(from_pod(port, SYN, 1000, 0)), addr) == 0)
			return port;
	}
	ck_abort_msg("no flow picks %s", addr);
}

static int established(void)
{
	return harness_count(harness.skel->maps.established4);
}

static struct ends ends(uint16_t sport)
{
	return (struct ends) { POD4, sport, VIP4, 80 };
}

START_TEST(a_syn_makes_a_new_flow_in_both_directions)
{
	two_backends(IPPROTO_TCP);
	send_in(from_pod(40000, SYN, 1000, 0));
	ck_assert_int_eq(harness_count(harness.skel->maps.new4), 2);
	ck_assert_int_eq(established(), 0);
}
END_TEST

START_TEST(a_handshake_promotes_both_directions)
{
	two_backends(IPPROTO_TCP);
	harness_establish(harness.pod0, 0, ends(40000));
	ck_assert_int_eq(established(), 2);
}
END_TEST

START_TEST(an_ack_of_something_else_proves_nothing)
{
	struct frame f = from_pod(40000, SYN, 1000, 0), answer;

	two_backends(IPPROTO_TCP);
	run_ingress(harness.pod0, &f);
	answer = frame_tcp_answer(&f, SYN | ACK, 2000, 1001, 0);
	run_egress(harness.pod0, &answer);
	send_in(from_pod(40000, ACK, 1001, 777));
	ck_assert_int_eq(established(), 0);
	send_in(from_pod(40000, ACK, 1001, 2001));
	ck_assert_int_eq(established(), 2);
}
END_TEST

START_TEST(an_ack_without_a_syn_ack_proves_nothing)
{
	two_backends(IPPROTO_TCP);
	send_in(from_pod(40000, SYN, 1000, 0));
	send_in(from_pod(40000, ACK, 1001, 1));
	ck_assert_int_eq(established(), 0);
}
END_TEST

START_TEST(udp_is_promoted_by_an_answer_and_then_a_third_packet)
{
	struct frame f = frame_udp(ends(40000), 10), again = f, answer;

	two_backends(IPPROTO_UDP);
	run_ingress(harness.pod0, &f);
	run_ingress(harness.pod0, &again);
	ck_assert_int_eq(established(), 0);
	answer = frame_udp_answer(&f, 10);
	run_egress(harness.pod0, &answer);
	ck_assert_int_eq(established(), 0);
	again = frame_udp(ends(40000), 10);
	run_ingress(harness.pod0, &again);
	ck_assert_int_eq(established(), 2);
	frame_assert_same(&again, &f);
}
END_TEST

START_TEST(a_flood_of_syns_does_not_push_out_what_is_established)
{
	struct frame f;

	two_backends(IPPROTO_TCP);
	f = harness_establish(harness.pod0, 0, ends(40000));
	for (uint32_t i = 0; i < 20000; i++)
		send_in(from_pod(1 + i % 39000, SYN, i, 0));
	ck_assert_int_eq(established(), 2);
	ck_assert_str_eq(send_in(from_pod(40000, ACK, 1001, 2001)), backend_of(&f));
	ck_assert_int_eq(established(), 2);
}
END_TEST

START_TEST(an_established_flow_costs_no_service_lookup)
{
	uint64_t none = 0;
	struct frame f;

	two_backends(IPPROTO_TCP);
	f = harness_establish(harness.pod0, 0, ends(40000));
	ck_assert_int_eq(bpf_map__update_elem(harness.skel->maps.services, &service,
					      sizeof(service), &none, sizeof(none), 0),
			 0);
	ck_assert_str_eq(send_in(from_pod(40000, ACK, 1001, 2001)), backend_of(&f));
}
END_TEST

START_TEST(flows_spread_over_the_backends)
{
	int first = 0;

	two_backends(IPPROTO_TCP);
	for (uint16_t port = 10000; port < 10200; port++)
		first += strcmp(send_in(from_pod(port, SYN, 1, 0)), REMOTE4) == 0;
	ck_assert_int_ge(first, 60);
	ck_assert_int_le(first, 140);
}
END_TEST

START_TEST(with_client_ip_affinity_a_client_stays_with_one_backend)
{
	struct frame f = from_pod(10000, SYN, 1, 0);

	two_backends(IPPROTO_TCP);
	spec.addr = VIP4_B;
	spec.affinity_s = 10800;
	harness_service(&spec, NULL);
	f = frame_tcp((struct ends) { POD4, 9999, VIP4_B, 80 }, SYN, 1, 0, 0);
	run_ingress(harness.pod0, &f);
	for (uint16_t port = 10000; port < 10050; port++) {
		struct frame g = frame_tcp((struct ends) { POD4, port, VIP4_B, 80 }, SYN, 1, 0, 0);

		run_ingress(harness.pod0, &g);
		ck_assert_mem_eq(g.data + 30, f.data + 30, 4);
	}
}
END_TEST

START_TEST(udp_leaves_a_backend_that_is_gone_with_the_next_packet)
{
	struct frame f = frame_udp(ends(40000), 10);
	char first[16];
	uint32_t gone, other;

	two_backends(IPPROTO_UDP);
	strcpy(first, send_in(f));
	gone = strcmp(first, REMOTE4) == 0 ? backend : backend + 1;
	other = gone == backend ? backend + 1 : backend;
	harness_set_backend(service, other);
	ck_assert_str_eq(send_in(f), first); /* still serving: the flow stays */
	harness_retire_backend(gone);
	ck_assert_str_ne(send_in(f), first);
}
END_TEST

START_TEST(an_established_udp_flow_leaves_too_and_its_answers_follow)
{
	struct frame f = frame_udp(ends(40000), 10), answer;
	struct frame want = frame_udp((struct ends) { VIP4, 80, POD4, 40000 }, 10);
	uint32_t gone;

	two_backends(IPPROTO_UDP);
	run_ingress(harness.pod0, &f);
	gone = strcmp(backend_of(&f), REMOTE4) == 0 ? backend : backend + 1;
	answer = frame_udp_answer(&f, 10);
	run_egress(harness.pod0, &answer);
	send_in(frame_udp(ends(40000), 10));
	ck_assert_int_eq(established(), 2);

	harness_set_backend(service, gone == backend ? backend + 1 : backend);
	harness_retire_backend(gone);
	f = frame_udp(ends(40000), 10);
	run_ingress(harness.pod0, &f);
	answer = frame_udp_answer(&f, 10);
	run_egress(harness.pod0, &answer);
	frame_assert_same(&answer, &want);
}
END_TEST

START_TEST(tcp_stays_with_a_backend_that_is_gone)
{
	struct frame f;
	uint32_t gone;

	two_backends(IPPROTO_TCP);
	f = harness_establish(harness.pod0, 0, ends(40000));
	gone = strcmp(backend_of(&f), REMOTE4) == 0 ? backend : backend + 1;
	harness_set_backend(service, gone == backend ? backend + 1 : backend);
	harness_retire_backend(gone);
	ck_assert_str_eq(send_in(from_pod(40000, ACK, 1001, 2001)), backend_of(&f));
}
END_TEST

START_TEST(a_new_syn_leaves_a_backend_that_is_gone)
{
	struct frame f;
	uint32_t gone;

	two_backends(IPPROTO_TCP);
	f = harness_establish(harness.pod0, 0, ends(40000));
	gone = strcmp(backend_of(&f), REMOTE4) == 0 ? backend : backend + 1;
	harness_set_backend(service, gone == backend ? backend + 1 : backend);
	harness_retire_backend(gone);
	ck_assert_str_ne(send_in(from_pod(40000, SYN, 9000, 0)), backend_of(&f));
}
END_TEST

START_TEST(a_retransmitted_syn_stays_with_a_backend_that_is_gone)
{
	uint16_t port;

	two_backends(IPPROTO_TCP);
	port = port_to(REMOTE4);
	harness_set_backend(service, backend + 1);
	harness_retire_backend(backend);
	ck_assert_str_eq(send_in(from_pod(port, SYN, 1000, 0)), REMOTE4);
	ck_assert_str_eq(send_in(from_pod(port, SYN, 1001, 0)), "10.244.1.3");
}
END_TEST

START_TEST(a_new_syn_follows_a_connection_that_may_live)
{
	uint16_t port;

	two_backends(IPPROTO_TCP);
	port = port_to(REMOTE4);
	harness_establish(harness.pod0, 0, ends(port));
	harness_set_backend(service, backend + 1);
	ck_assert_str_eq(send_in(from_pod(port, SYN, 9000, 0)), REMOTE4);
}
END_TEST

START_TEST(after_rst_a_new_syn_picks_anew)
{
	uint16_t port;

	two_backends(IPPROTO_TCP);
	port = port_to(REMOTE4);
	harness_establish(harness.pod0, 0, ends(port));
	send_in(from_pod(port, RST, 1001, 0));
	harness_set_backend(service, backend + 1);
	ck_assert_str_eq(send_in(from_pod(port, SYN, 9000, 0)), "10.244.1.3");
}
END_TEST

START_TEST(after_fin_both_ways_a_new_syn_picks_anew)
{
	struct frame f, fin;
	uint16_t port;

	two_backends(IPPROTO_TCP);
	port = port_to(REMOTE4);
	f = harness_establish(harness.pod0, 0, ends(port));
	send_in(from_pod(port, FIN | ACK, 1001, 2001));
	fin = frame_tcp_answer(&f, FIN | ACK, 2001, 1002, 0);
	run_egress(harness.pod0, &fin);
	harness_set_backend(service, backend + 1);
	ck_assert_str_eq(send_in(from_pod(port, SYN, 9000, 0)), "10.244.1.3");
}
END_TEST

START_TEST(one_fin_alone_closes_nothing)
{
	uint16_t port;

	two_backends(IPPROTO_TCP);
	port = port_to(REMOTE4);
	harness_establish(harness.pod0, 0, ends(port));
	send_in(from_pod(port, FIN | ACK, 1001, 2001));
	harness_set_backend(service, backend + 1);
	ck_assert_str_eq(send_in(from_pod(port, SYN, 9000, 0)), REMOTE4);
}
END_TEST

START_TEST(late_segments_of_a_closed_flow_are_still_translated)
{
	struct frame f, late;
	struct frame want = frame_tcp((struct ends) { VIP4, 80, POD4, 40000 }, ACK, 2001, 1001, 9);

	two_backends(IPPROTO_TCP);
	f = harness_establish(harness.pod0, 0, ends(40000));
	send_in(from_pod(40000, RST, 1001, 0));
	late = frame_tcp_answer(&f, ACK, 2001, 1001, 9);
	ck_assert_int_eq(run_egress(harness.pod0, &late), TC_NEXT);
	frame_assert_same(&late, &want);
}
END_TEST

START_TEST(a_silent_flow_expires_and_is_picked_anew)
{
	uint16_t port;

	two_backends(IPPROTO_TCP);
	port = port_to(REMOTE4);
	harness_establish(harness.pod0, 0, ends(port));
	harness_set_backend(service, backend + 1);
	harness_age_flows(3000);
	ck_assert_str_eq(send_in(from_pod(port, ACK, 1001, 2001)), REMOTE4);
	harness_age_flows(3700);
	ck_assert_str_eq(send_in(from_pod(port, ACK, 1001, 2001)), "10.244.1.3");
}
END_TEST

START_TEST(a_flow_that_was_lost_is_opened_midstream_and_promoted)
{
	struct frame f = from_pod(40000, ACK, 5000, 6000), answer;

	two_backends(IPPROTO_TCP);
	run_ingress(harness.pod0, &f);
	answer = frame_tcp_answer(&f, ACK, 6000, 5000, 100);
	run_egress(harness.pod0, &answer);
	ck_assert_int_eq(established(), 0);
	send_in(from_pod(40000, ACK, 5000, 6100));
	ck_assert_int_eq(established(), 2);
}
END_TEST

START_TEST(a_direction_that_was_evicted_is_written_again_by_the_other)
{
	struct sl_tuple4 key = { .sport = htons(8080),
				 .dport = htons(40000),
				 .proto = IPPROTO_TCP };
	struct frame f, answer;
	struct frame want = frame_tcp((struct ends) { VIP4, 80, POD4, 40000 }, ACK, 2001, 1001, 9);

	two_backends(IPPROTO_TCP);
	f = harness_establish(harness.pod0, 0, ends(40000));
	memcpy(key.saddr, f.data + 30, 4);
	memcpy(key.daddr, f.data + 26, 4);
	ck_assert_int_eq(
		bpf_map__delete_elem(harness.skel->maps.established4, &key, sizeof(key), 0), 0);
	harness_age_flows(2); /* directions look after each other once a tick */
	send_in(from_pod(40000, ACK, 1001, 2001));
	ck_assert_int_eq(established(), 2);
	answer = frame_tcp_answer(&f, ACK, 2001, 1001, 9);
	run_egress(harness.pod0, &answer);
	frame_assert_same(&answer, &want);
}
END_TEST

START_TEST(one_client_port_towards_two_vips_with_one_backend_is_two_flows)
{
	struct service_spec one = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = VIP4,
		.proto = IPPROTO_TCP,
		.port = 80,
		.backends = { REMOTE4 },
		.target_port = 8080,
	};
	struct frame a = frame_tcp((struct ends) { POD4, 40000, VIP4, 80 }, SYN, 1, 0, 0);
	struct frame b = frame_tcp((struct ends) { POD4, 40000, VIP4_B, 80 }, SYN, 2, 0, 0);
	struct frame back_a, back_b;
	struct frame want_a =
		frame_tcp((struct ends) { VIP4, 80, POD4, 40000 }, SYN | ACK, 5, 2, 0);
	struct frame want_b =
		frame_tcp((struct ends) { VIP4_B, 80, POD4, 40000 }, SYN | ACK, 6, 3, 0);

	harness_service(&one, NULL);
	one.addr = VIP4_B;
	harness_service(&one, NULL);
	run_ingress(harness.pod0, &a);
	run_ingress(harness.pod0, &b);
	ck_assert_uint_ne(frame_sport(&a), frame_sport(&b));
	back_a = frame_tcp_answer(&a, SYN | ACK, 5, 2, 0);
	back_b = frame_tcp_answer(&b, SYN | ACK, 6, 3, 0);
	run_egress(harness.pod0, &back_a);
	run_egress(harness.pod0, &back_b);
	frame_assert_same(&back_a, &want_a);
	frame_assert_same(&back_b, &want_b);
}
END_TEST

START_TEST(a_promoted_snat_port_is_kept_in_the_table_that_never_evicts)
{
	struct service_spec one = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = VIP4,
		.proto = IPPROTO_TCP,
		.port = 80,
		.backends = { REMOTE4 },
		.target_port = 8080,
	};

	harness_service(&one, NULL);
	harness_establish(harness.up0, harness.up0, (struct ends) { CLIENT4, 40000, VIP4, 80 });
	ck_assert_int_eq(harness_count(harness.skel->maps.snat4), 1);
	ck_assert_int_eq(established(), 2);
}
END_TEST

START_TEST(answers_without_a_flow_are_left_untouched)
{
	struct frame f = frame_tcp((struct ends) { REMOTE4, 8080, POD4, 40000 }, ACK, 1, 1, 5);
	struct frame want = f;

	two_backends(IPPROTO_TCP);
	ck_assert_int_eq(run_egress(harness.pod0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(an_answers_entry_holds_at_its_own_hook_only)
{
	struct frame f = from_pod(40000, SYN, 1000, 0), answer, want;

	two_backends(IPPROTO_TCP);
	run_ingress(harness.pod0, &f);
	answer = want = frame_tcp_answer(&f, SYN | ACK, 2000, 1001, 0);
	ck_assert_int_eq(run_ingress(harness.up0, &answer), TC_NEXT);
	frame_assert_same(&answer, &want);
}
END_TEST

/* The pod is an endpoint too, so that the filter lets its packets be looked at. */
START_TEST(a_clients_entry_holds_at_its_own_hook_only)
{
	struct service_spec own = {
		.kind = SL_KIND_EXTERNAL_IP,
		.addr = VIP4_B,
		.proto = IPPROTO_TCP,
		.port = 80,
		.backends = { POD4 },
		.target_port = 8080,
	};
	struct frame f = from_pod(40000, SYN, 1000, 0), want = f;

	two_backends(IPPROTO_TCP);
	harness_service(&own, NULL);
	send_in(f);
	ck_assert_int_eq(run_egress(harness.up0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(packets_and_bytes_are_counted_by_service_and_backend)
{
	struct sl_service_stats stats;
	struct frame f;

	two_backends(IPPROTO_TCP);
	f = harness_establish(harness.pod0, 0, ends(40000));
	stats = harness_service_stats(service);
	ck_assert_uint_eq(stats.connections, 1);
	ck_assert_uint_eq(stats.packets[SL_FORWARDS], 2);
	ck_assert_uint_eq(stats.packets[SL_BACKWARDS], 1);
	ck_assert_uint_eq(stats.bytes[SL_FORWARDS], 80);
	ck_assert_uint_eq(stats.bytes[SL_BACKWARDS], 40);
	backend += strcmp(backend_of(&f), REMOTE4) != 0;
	ck_assert_uint_eq(harness_backend_stats(backend).packets[SL_FORWARDS], 2);
	ck_assert_uint_eq(harness_backend_stats(backend).connections, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow");
	TCase *tcase = harness_case(suite, "promotion");

	tcase_add_test(tcase, a_syn_makes_a_new_flow_in_both_directions);
	tcase_add_test(tcase, a_handshake_promotes_both_directions);
	tcase_add_test(tcase, an_ack_of_something_else_proves_nothing);
	tcase_add_test(tcase, an_ack_without_a_syn_ack_proves_nothing);
	tcase_add_test(tcase, udp_is_promoted_by_an_answer_and_then_a_third_packet);
	tcase_add_test(tcase, a_flood_of_syns_does_not_push_out_what_is_established);
	tcase_add_test(tcase, an_established_flow_costs_no_service_lookup);
	tcase_add_test(tcase, a_flow_that_was_lost_is_opened_midstream_and_promoted);
	tcase_add_test(tcase, a_promoted_snat_port_is_kept_in_the_table_that_never_evicts);

	tcase = harness_case(suite, "pick");
	tcase_add_test(tcase, flows_spread_over_the_backends);
	tcase_add_test(tcase, with_client_ip_affinity_a_client_stays_with_one_backend);
	tcase_add_test(tcase, one_client_port_towards_two_vips_with_one_backend_is_two_flows);

	tcase = harness_case(suite, "leaving backends");
	tcase_add_test(tcase, udp_leaves_a_backend_that_is_gone_with_the_next_packet);
	tcase_add_test(tcase, an_established_udp_flow_leaves_too_and_its_answers_follow);
	tcase_add_test(tcase, tcp_stays_with_a_backend_that_is_gone);
	tcase_add_test(tcase, a_new_syn_leaves_a_backend_that_is_gone);
	tcase_add_test(tcase, a_retransmitted_syn_stays_with_a_backend_that_is_gone);

	tcase = harness_case(suite, "closing");
	tcase_add_test(tcase, a_new_syn_follows_a_connection_that_may_live);
	tcase_add_test(tcase, after_rst_a_new_syn_picks_anew);
	tcase_add_test(tcase, after_fin_both_ways_a_new_syn_picks_anew);
	tcase_add_test(tcase, one_fin_alone_closes_nothing);
	tcase_add_test(tcase, late_segments_of_a_closed_flow_are_still_translated);
	tcase_add_test(tcase, a_silent_flow_expires_and_is_picked_anew);

	tcase = harness_case(suite, "entries");
	tcase_add_test(tcase, a_direction_that_was_evicted_is_written_again_by_the_other);
	tcase_add_test(tcase, answers_without_a_flow_are_left_untouched);
	tcase_add_test(tcase, an_answers_entry_holds_at_its_own_hook_only);
	tcase_add_test(tcase, a_clients_entry_holds_at_its_own_hook_only);
	tcase_add_test(tcase, packets_and_bytes_are_counted_by_service_and_backend);
	return harness_run(suite);
}
