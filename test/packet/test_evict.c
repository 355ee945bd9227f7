/* SPDX-License-Identifier: Apache-2.0 */

/* Entries that an LRU table gave up, one direction at a time. */

#include <arpa/inet.h>
#include <string.h>

#include "test/packet/harness.h"

struct place {
	const char *pod, *client, *vip, *remote, *tunnelled;
};

static const struct place places[] = {
	{ POD4, CLIENT4, VIP4, REMOTE4, TUNNELLED4 },
	{ POD6, CLIENT6, VIP6, REMOTE6, TUNNELLED6 },
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

/* What a packet with these ends is looked up by is evicted from the young flows. */
static void evict(struct ends ends, uint8_t proto)
{
	struct sl_tuple6 key6 = { .sport = htons(ends.sport),
				  .dport = htons(ends.dport),
				  .proto = proto };
	struct sl_tuple4 key4 = { .sport = key6.sport, .dport = key6.dport, .proto = proto };
	struct sluice *s = harness.skel;

	if (strchr(ends.saddr, ':')) {
		inet_pton(AF_INET6, ends.saddr, key6.saddr);
		inet_pton(AF_INET6, ends.daddr, key6.daddr);
		ck_assert_int_eq(bpf_map__delete_elem(s->maps.new6, &key6, sizeof(key6), 0), 0);
	} else {
		inet_pton(AF_INET, ends.saddr, key4.saddr);
		inet_pton(AF_INET, ends.daddr, key4.daddr);
		ck_assert_int_eq(bpf_map__delete_elem(s->maps.new4, &key4, sizeof(key4), 0), 0);
	}
}

static struct frame udp_to_vip(const struct place *p, const char *from, uint16_t sport)
{
	return frame_udp((struct ends) { from, sport, p->vip, 80 }, 10);
}

START_TEST(a_young_flow_without_its_way_back_gets_it_again)
{
	const struct place *p = &places[_i];
	struct frame f = udp_to_vip(p, p->pod, 40000), answer;
	struct frame want = frame_udp((struct ends) { p->vip, 80, p->pod, 40000 }, 10);

	vip(p, IPPROTO_UDP, p->remote);
	run_ingress(harness.pod0, &f);
	answer = frame_udp_answer(&f, 10);
	evict((struct ends) { p->remote, 8080, p->pod, 40000 }, IPPROTO_UDP);
	f = udp_to_vip(p, p->pod, 40000);
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_NEXT);
	run_egress(harness.pod0, &answer);
	frame_assert_same(&answer, &want);
}
END_TEST

START_TEST(a_retransmitted_syn_brings_back_the_way_back)
{
	const struct place *p = &places[_i];
	struct ends ends = { p->client, 40000, p->vip, 80 };
	struct frame f = frame_tcp(ends, SYN, 1000, 0, 0), again = f, answer;

	vip(p, IPPROTO_TCP, p->remote);
	run_ingress(harness.up0, &f);
	evict((struct ends) { p->remote, 8080, _i ? NODE6 : NODE4, frame_sport(&f) }, IPPROTO_TCP);
	ck_assert_int_eq(run_ingress(harness.up0, &again), TC_REDIRECT);
	frame_assert_same(&again, &f);
	answer = frame_tcp_answer(&f, SYN | ACK, 2000, 1001, 0);
	ck_assert_int_eq(run_ingress(harness.up0, &answer), TC_REDIRECT);
}
END_TEST

START_TEST(a_young_flow_whose_port_another_one_got_takes_a_new_port)
{
	const struct place *p = &places[_i];
	struct frame a = udp_to_vip(p, p->client, 40000), b, back_a, back_b, again;
	struct frame want_a = frame_udp((struct ends) { p->vip, 80, p->client, 40000 }, 10);
	struct frame want_b;
	uint16_t port, sport = 40001;

	vip(p, IPPROTO_UDP, p->remote);
	run_ingress(harness.up0, &a);
	port = frame_sport(&a);
	evict((struct ends) { p->remote, 8080, _i ? NODE6 : NODE4, port }, IPPROTO_UDP);
	do {
		b = udp_to_vip(p, p->client, sport++);
		ck_assert_int_eq(run_ingress(harness.up0, &b), TC_REDIRECT);
	} while (frame_sport(&b) != port);

	again = udp_to_vip(p, p->client, 40000);
	ck_assert_int_eq(run_ingress(harness.up0, &again), TC_REDIRECT);
	ck_assert_uint_ne(frame_sport(&again), port);
	back_a = frame_udp_answer(&again, 10);
	back_b = frame_udp_answer(&b, 10);
	run_ingress(harness.up0, &back_a);
	run_ingress(harness.up0, &back_b);
	want_b = frame_udp((struct ends) { p->vip, 80, p->client, sport - 1 }, 10);
	frame_set_ttl(&want_a, 63);
	frame_set_ttl(&want_b, 63);
	frame_assert_same(&back_a, &want_a);
	frame_assert_same(&back_b, &want_b);
}
END_TEST

START_TEST(an_answer_without_its_flow_is_still_translated)
{
	const struct place *p = &places[_i];
	struct frame f = udp_to_vip(p, p->pod, 40000), answer, again;
	struct frame want = frame_udp((struct ends) { p->vip, 80, p->pod, 40000 }, 10);

	vip(p, IPPROTO_UDP, p->remote);
	run_ingress(harness.pod0, &f);
	evict((struct ends) { p->pod, 40000, p->vip, 80 }, IPPROTO_UDP);
	answer = frame_udp_answer(&f, 10);
	run_egress(harness.pod0, &answer);
	frame_assert_same(&answer, &want);
	again = udp_to_vip(p, p->pod, 40000);
	run_ingress(harness.pod0, &again);
	frame_assert_same(&again, &f);
}
END_TEST

START_TEST(behind_a_tunnel_the_way_back_is_written_again_too)
{
	const struct place *p = &places[_i];
	struct frame f = udp_to_vip(p, p->client, 40000), answer, again;
	struct frame want = frame_udp((struct ends) { p->tunnelled, 8080, p->client, 40000 }, 10);

	vip(p, IPPROTO_UDP, p->tunnelled);
	run_ingress(harness.up0, &f);
	run_egress(harness.tun0, &f);
	answer = frame_udp_answer(&f, 10);
	evict((struct ends) { p->tunnelled, 8080, _i ? TUNNEL6 : TUNNEL4, frame_sport(&f) },
	      IPPROTO_UDP);
	again = udp_to_vip(p, p->client, 40000);
	run_ingress(harness.up0, &again);
	run_egress(harness.tun0, &again);
	frame_assert_same(&again, &f);
	ck_assert_int_eq(run_ingress(harness.tun0, &answer), TC_NEXT);
	frame_assert_same(&answer, &want);
}
END_TEST

START_TEST(late_answers_of_a_backend_that_is_gone_prove_nothing)
{
	struct service_spec spec = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = VIP4,
		.proto = IPPROTO_UDP,
		.port = 80,
		.backends = { REMOTE4, "10.244.1.3" },
		.target_port = 8080,
	};
	struct frame f = udp_to_vip(&places[0], POD4, 40000), moved, late;
	uint32_t backend, service = harness_service(&spec, &backend);

	harness_set_backend(service, backend);
	run_ingress(harness.pod0, &f);
	late = frame_udp_answer(&f, 10);
	harness_set_backend(service, backend + 1);
	harness_retire_backend(backend);
	moved = udp_to_vip(&places[0], POD4, 40000);
	run_ingress(harness.pod0, &moved);
	run_egress(harness.pod0, &late);
	moved = udp_to_vip(&places[0], POD4, 40000);
	run_ingress(harness.pod0, &moved);
	ck_assert_int_eq(harness_count(harness.skel->maps.established4), 0);
}
END_TEST

START_TEST(an_evicted_established_flow_finds_its_reserved_port)
{
	struct ends ends = { CLIENT4, 40000, VIP4, 80 };
	struct frame first, again = frame_tcp(ends, ACK, 1001, 2001, 0);
	struct sluice *s = harness.skel;
	struct sl_tuple4 key;

	vip(&places[0], IPPROTO_TCP, REMOTE4);
	first = harness_establish(harness.up0, harness.up0, ends);
	while (bpf_map__get_next_key(s->maps.established4, NULL, &key, sizeof(key)) == 0)
		bpf_map__delete_elem(s->maps.established4, &key, sizeof(key), 0);
	while (bpf_map__get_next_key(s->maps.new4, NULL, &key, sizeof(key)) == 0)
		bpf_map__delete_elem(s->maps.new4, &key, sizeof(key), 0);
	ck_assert_int_eq(run_ingress(harness.up0, &again), TC_REDIRECT);
	ck_assert_uint_eq(frame_sport(&again), frame_sport(&first));
}
END_TEST

START_TEST(a_reserved_port_is_never_given_to_another_flow)
{
	struct frame first;
	struct sluice *s = harness.skel;
	struct sl_tuple4 key;

	vip(&places[0], IPPROTO_TCP, REMOTE4);
	first = harness_establish(harness.up0, harness.up0,
				  (struct ends) { CLIENT4, 40000, VIP4, 80 });
	while (bpf_map__get_next_key(s->maps.established4, NULL, &key, sizeof(key)) == 0)
		bpf_map__delete_elem(s->maps.established4, &key, sizeof(key), 0);
	while (bpf_map__get_next_key(s->maps.new4, NULL, &key, sizeof(key)) == 0)
		bpf_map__delete_elem(s->maps.new4, &key, sizeof(key), 0);
	for (uint16_t i = 0; i < SNAT_COUNT; i++) {
		struct frame f =
			frame_tcp((struct ends) { CLIENT4, 20000 + i, VIP4, 80 }, SYN, 1, 0, 0);

		if (run_ingress(harness.up0, &f) == TC_REDIRECT)
			ck_assert_uint_ne(frame_sport(&f), frame_sport(&first));
	}
}
END_TEST

START_TEST(an_answer_writes_the_established_flow_again)
{
	const struct place *p = &places[_i];
	struct ends ends = { p->pod, 40000, p->vip, 80 };
	struct sluice *s = harness.skel;
	struct bpf_map *established = _i ? s->maps.established6 : s->maps.established4;
	struct frame f, answer, again = frame_tcp(ends, ACK, 1001, 2001, 0);
	struct frame want =
		frame_tcp((struct ends) { p->pod, 40000, p->remote, 8080 }, ACK, 1001, 2001, 0);
	uint32_t service = vip(p, IPPROTO_TCP, p->remote);
	uint64_t none = 0;
	struct sl_tuple6 key = {};
	uint32_t size = _i ? sizeof(struct sl_tuple6) : sizeof(struct sl_tuple4);

	f = harness_establish(harness.pod0, 0, ends);
	bpf_map__get_next_key(established, NULL, &key, size);
	if (memcmp(&key, f.data + (_i ? 22 : 26), _i ? 16 : 4) != 0) /* the answers' */
		bpf_map__get_next_key(established, &key, &key, size);
	ck_assert_int_eq(bpf_map__delete_elem(established, &key, size, 0), 0);
	harness_age_flows(2);
	answer = frame_tcp_answer(&f, ACK, 2001, 1001, 5);
	run_egress(harness.pod0, &answer);

	/* Nothing of the service is needed for it. */
	bpf_map__update_elem(s->maps.services, &service, sizeof(service), &none, sizeof(none), 0);
	run_ingress(harness.pod0, &again);
	frame_assert_same(&again, &want);
}
END_TEST

START_TEST(late_answers_of_the_backend_before_do_not_bring_it_back)
{
	struct service_spec spec = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = VIP4,
		.proto = IPPROTO_TCP,
		.port = 80,
		.backends = { REMOTE4, "10.244.1.3" },
		.target_port = 8080,
	};
	struct ends ends = { POD4, 40000, VIP4, 80 };
	struct frame old, syn = frame_tcp(ends, SYN, 9000, 0, 0), late, answer;
	struct frame ack = frame_tcp(ends, ACK, 9001, 7001, 0);
	struct frame want =
		frame_tcp((struct ends) { POD4, 40000, "10.244.1.3", 8080 }, ACK, 9001, 7001, 0);
	uint32_t backend, service = harness_service(&spec, &backend);

	harness_set_backend(service, backend);
	old = harness_establish(harness.pod0, 0, ends);
	harness_set_backend(service, backend + 1);
	harness_retire_backend(backend);
	run_ingress(harness.pod0, &syn);
	late = frame_tcp_answer(&old, FIN | ACK, 2001, 1001, 0);
	run_egress(harness.pod0, &late);
	answer = frame_tcp_answer(&syn, SYN | ACK, 7000, 9001, 0);
	run_egress(harness.pod0, &answer);
	run_ingress(harness.pod0, &ack);
	frame_assert_same(&ack, &want);
}
END_TEST

START_TEST(a_way_back_that_another_flow_got_is_not_taken_from_it)
{
	struct ends ends = { POD4, 40000, VIP4, 80 };
	struct sl_tuple4 key = { .sport = htons(8080),
				 .dport = htons(40000),
				 .proto = IPPROTO_TCP };
	struct frame ack = frame_tcp(ends, ACK, 1001, 2001, 0), syn, answer;
	struct frame want =
		frame_tcp((struct ends) { "203.0.113.2", 80, POD4, 40000 }, ACK, 7001, 9001, 0);
	struct place other = places[0];
	struct sluice *s = harness.skel;

	other.vip = "203.0.113.2";
	vip(&places[0], IPPROTO_TCP, REMOTE4);
	vip(&other, IPPROTO_TCP, REMOTE4);
	harness_establish(harness.pod0, 0, ends);
	inet_pton(AF_INET, REMOTE4, key.saddr);
	inet_pton(AF_INET, POD4, key.daddr);
	ck_assert_int_eq(bpf_map__delete_elem(s->maps.established4, &key, sizeof(key), 0), 0);

	syn = frame_tcp((struct ends) { POD4, 40000, other.vip, 80 }, SYN, 9000, 0, 0);
	run_ingress(harness.pod0, &syn);
	ck_assert_uint_eq(frame_sport(&syn), 40000);
	harness_age_flows(2);
	run_ingress(harness.pod0, &ack);
	answer = frame_tcp_answer(&syn, ACK, 7001, 9001, 0);
	run_egress(harness.pod0, &answer);
	frame_assert_same(&answer, &want);
}
END_TEST

/* By a CPU whose clock had moved on when ours was read already. */
START_TEST(a_flow_seen_a_tick_ahead_is_not_expired)
{
	struct service_spec spec = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = VIP4,
		.proto = IPPROTO_TCP,
		.port = 80,
		.backends = { REMOTE4, "10.244.1.3" },
		.target_port = 8080,
	};
	struct ends ends = { POD4, 40000, VIP4, 80 };
	struct frame ack = frame_tcp(ends, ACK, 1001, 2001, 0);
	struct frame want =
		frame_tcp((struct ends) { POD4, 40000, REMOTE4, 8080 }, ACK, 1001, 2001, 0);
	uint32_t backend, service = harness_service(&spec, &backend);

	harness_set_backend(service, backend);
	harness_establish(harness.pod0, 0, ends);
	harness_set_backend(service, backend + 1);
	harness_age_flows(-2);
	run_ingress(harness.pod0, &ack);
	frame_assert_same(&ack, &want);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("evict");
	TCase *tcase = harness_case(suite, "young flows");

	add_for_both(tcase, a_young_flow_without_its_way_back_gets_it_again);
	add_for_both(tcase, a_retransmitted_syn_brings_back_the_way_back);
	add_for_both(tcase, a_young_flow_whose_port_another_one_got_takes_a_new_port);
	add_for_both(tcase, an_answer_without_its_flow_is_still_translated);
	add_for_both(tcase, behind_a_tunnel_the_way_back_is_written_again_too);
	tcase_add_test(tcase, late_answers_of_a_backend_that_is_gone_prove_nothing);

	tcase = harness_case(suite, "established flows");
	tcase_add_test(tcase, an_evicted_established_flow_finds_its_reserved_port);
	tcase_add_test(tcase, a_reserved_port_is_never_given_to_another_flow);
	add_for_both(tcase, an_answer_writes_the_established_flow_again);
	tcase_add_test(tcase, late_answers_of_the_backend_before_do_not_bring_it_back);
	tcase_add_test(tcase, a_way_back_that_another_flow_got_is_not_taken_from_it);
	tcase_add_test(tcase, a_flow_seen_a_tick_ahead_is_not_expired);
	return harness_run(suite);
}
