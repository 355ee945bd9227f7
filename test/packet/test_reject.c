/* SPDX-License-Identifier: Apache-2.0 */

/* Port unreachable: for services without endpoints and unknown ports. */

#include <sched.h>
#include <string.h>

#include "test/packet/harness.h"

#define FLOOD 200
#define BURST 50

struct place {
	const char *pod, *client, *cluster, *vip, *node;
	uint32_t ip; /* bytes of the IP header */
};

static const struct place places[] = {
	{ POD4, CLIENT4, CLUSTER4, VIP4, NODE4, 20 },
	{ POD6, CLIENT6, CLUSTER6, VIP6, NODE6, 40 },
};

static void shorten(void)
{
	harness.gets_shorter = true;
}

static TCase *reject_case(Suite *suite, const char *name)
{
	TCase *tcase = harness_case(suite, name);

	tcase_add_checked_fixture(tcase, shorten, NULL);
	return tcase;
}

/* A service of `kind` without endpoints, on port 80. */
static uint32_t empty(const struct place *p, uint8_t kind, uint8_t proto)
{
	struct service_spec spec = {
		.kind = kind,
		.addr = kind == SL_KIND_CLUSTER_IP  ? p->cluster
			: kind == SL_KIND_NODE_PORT ? NULL
						    : p->vip,
		.family = p == &places[0] ? 4 : 6,
		.proto = proto,
		.port = 80,
		.path = { SL_CHOOSE_REJECT, SL_CHOOSE_REJECT, SL_CHOOSE_REJECT, SL_CHOOSE_REJECT,
			  SL_CHOOSE_REJECT },
	};

	return harness_service(&spec, NULL);
}

/* A cluster IP that has an endpoint for TCP at port 80. */
static uint32_t cluster_ip(const struct place *p)
{
	struct service_spec spec = {
		.kind = SL_KIND_CLUSTER_IP,
		.addr = p->cluster,
		.proto = IPPROTO_TCP,
		.port = 80,
		.backends = { p->pod },
		.target_port = 8080,
	};

	return harness_service(&spec, NULL);
}

/* `f` comes in and is answered with `quote` bytes of it. */
static void assert_answered(uint32_t ifindex, struct frame f, uint32_t quote)
{
	struct frame want = frame_unreachable(&f, quote);

	ck_assert_int_eq(run_ingress(ifindex, &f), TC_REDIRECT);
	frame_assert_same(&f, &want);
	ck_assert(frame_checksums_right(&f));
}

START_TEST(tcp_from_a_pod_is_answered)
{
	const struct place *p = &places[_i];
	uint32_t service = empty(p, SL_KIND_CLUSTER_IP, IPPROTO_TCP);

	assert_answered(harness.pod0,
			frame_tcp((struct ends) { p->pod, 40000, p->cluster, 80 }, SYN, 9, 0, 0),
			p->ip + 20);
	ck_assert_uint_eq(harness_losses(service, SL_REJECT_NO_ENDPOINTS), 1);
	ck_assert_uint_eq(harness_service_stats(service).connections, 0);
}
END_TEST

START_TEST(udp_from_a_pod_is_answered)
{
	const struct place *p = &places[_i];
	uint32_t service = empty(p, SL_KIND_CLUSTER_IP, IPPROTO_UDP);

	assert_answered(harness.pod0, frame_udp((struct ends) { p->pod, 4000, p->cluster, 80 }, 9),
			p->ip + 8);
	ck_assert_uint_eq(harness_losses(service, SL_REJECT_NO_ENDPOINTS), 1);
}
END_TEST

START_TEST(what_fits_the_quote_keeps_the_cards_checksum_right)
{
	const struct place *p = &places[_i];

	harness.gets_shorter = false;
	empty(p, SL_KIND_CLUSTER_IP, IPPROTO_TCP);
	assert_answered(harness.pod0,
			frame_tcp((struct ends) { p->pod, 40000, p->cluster, 80 }, SYN, 9, 0, 0),
			p->ip + 20);
}
END_TEST

START_TEST(tcp_from_outside_is_answered)
{
	const struct place *p = &places[_i];
	uint32_t service = empty(p, SL_KIND_LOAD_BALANCER, IPPROTO_TCP);

	assert_answered(harness.up0,
			frame_tcp((struct ends) { p->client, 40000, p->vip, 80 }, SYN, 9, 0, 0),
			p->ip + 20);
	ck_assert_uint_eq(harness_losses(service, SL_REJECT_NO_ENDPOINTS), 1);
}
END_TEST

START_TEST(a_node_port_answers_from_the_nodes_address)
{
	const struct place *p = &places[_i];

	empty(p, SL_KIND_NODE_PORT, IPPROTO_UDP);
	assert_answered(harness.up0, frame_udp((struct ends) { p->client, 4000, p->node, 80 }, 30),
			p->ip + 8);
}
END_TEST

START_TEST(an_external_ip_answers_too)
{
	const struct place *p = &places[_i];

	empty(p, SL_KIND_EXTERNAL_IP, IPPROTO_UDP);
	assert_answered(harness.pod0, frame_udp((struct ends) { p->pod, 4000, p->vip, 80 }, 30),
			p->ip + 8);
}
END_TEST

START_TEST(an_unknown_port_of_a_cluster_ip_is_answered)
{
	const struct place *p = &places[_i];
	uint32_t service = cluster_ip(p);

	assert_answered(harness.pod0,
			frame_tcp((struct ends) { p->pod, 40000, p->cluster, 81 }, SYN, 9, 0, 0),
			p->ip + 20);
	ck_assert_uint_eq(harness_losses(service, SL_REJECT_UNKNOWN_PORT), 1);
	ck_assert_uint_eq(harness_losses(service, SL_REJECT_NO_ENDPOINTS), 0);
}
END_TEST

START_TEST(another_protocol_on_a_known_port_is_answered)
{
	const struct place *p = &places[_i];
	uint32_t service = cluster_ip(p);

	assert_answered(harness.pod0, frame_udp((struct ends) { p->pod, 4000, p->cluster, 80 }, 9),
			p->ip + 8);
	ck_assert_uint_eq(harness_losses(service, SL_REJECT_UNKNOWN_PORT), 1);
}
END_TEST

START_TEST(port_zero_of_a_cluster_ip_is_answered)
{
	const struct place *p = &places[_i];
	uint32_t service = cluster_ip(p);

	assert_answered(harness.pod0,
			frame_tcp((struct ends) { p->pod, 40000, p->cluster, 0 }, SYN, 9, 0, 0),
			p->ip + 20);
	ck_assert_uint_eq(harness_losses(service, SL_REJECT_UNKNOWN_PORT), 1);
}
END_TEST

START_TEST(a_known_port_of_a_cluster_ip_is_not_answered)
{
	struct frame f = frame_tcp((struct ends) { CLIENT4, 40000, CLUSTER4, 80 }, SYN, 9, 0, 0);
	uint32_t service = cluster_ip(&places[0]);

	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_NEXT);
	ck_assert_uint_eq(harness_losses(service, SL_REJECT_UNKNOWN_PORT), 0);
}
END_TEST

START_TEST(an_echo_request_to_a_cluster_ip_is_answered)
{
	const struct place *p = &places[_i];
	uint32_t service = cluster_ip(p);

	assert_answered(harness.pod0, frame_echo(p->pod, p->cluster), p->ip + 8);
	ck_assert_uint_eq(harness_losses(service, SL_REJECT_UNKNOWN_PORT), 1);
}
END_TEST

START_TEST(a_packet_of_an_unknown_protocol_is_answered)
{
	const struct place *p = &places[_i];
	uint32_t service = cluster_ip(p);

	assert_answered(harness.pod0, frame_other(p->pod, p->cluster, IPPROTO_GRE, 40), p->ip + 8);
	ck_assert_uint_eq(harness_losses(service, SL_REJECT_UNKNOWN_PORT), 1);
}
END_TEST

START_TEST(a_packet_shorter_than_the_quote_is_quoted_whole)
{
	const struct place *p = &places[_i];

	cluster_ip(p);
	for (uint32_t len = 0; len < 8; len++)
		assert_answered(harness.pod0, frame_other(p->pod, p->cluster, IPPROTO_GRE, len),
				p->ip + len);
}
END_TEST

START_TEST(padding_behind_the_packet_is_not_quoted)
{
	struct frame f = frame_other(POD4, CLUSTER4, IPPROTO_GRE, 3);
	struct frame want = frame_unreachable(&f, 23);

	cluster_ip(&places[0]);
	memset(f.data + f.len, 0xaa, 60 - f.len);
	f.len = 60;
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_REDIRECT);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(a_long_packet_is_answered_with_its_headers)
{
	const struct place *p = &places[_i];

	empty(p, SL_KIND_CLUSTER_IP, IPPROTO_TCP);
	assert_answered(harness.pod0,
			frame_tcp((struct ends) { p->pod, 40000, p->cluster, 80 }, ACK, 9, 1, 1400),
			p->ip + 20);
}
END_TEST

START_TEST(options_are_quoted)
{
	for (uint32_t words = 1; words <= 10; words++) {
		struct frame f =
			frame_tcp((struct ends) { POD4, 40000, CLUSTER4, 81 }, SYN, 9, 0, 0);

		if (words == 1)
			cluster_ip(&places[0]);
		frame_add_options(&f, words);
		assert_answered(harness.pod0, f, 40 + words * 4);
	}
}
END_TEST

START_TEST(extension_headers_are_quoted)
{
	struct frame f = frame_tcp((struct ends) { POD6, 40000, CLUSTER6, 81 }, SYN, 9, 0, 0);

	cluster_ip(&places[1]);
	for (uint32_t n = 1; n <= 4; n++) {
		frame_add_extension(&f, n % 2 ? IPPROTO_DSTOPTS : IPPROTO_HOPOPTS, 0);
		assert_answered(harness.pod0, f, 60 + n * 8);
	}
}
END_TEST

START_TEST(the_longest_quote_is_128_bytes)
{
	struct frame tcp = frame_tcp((struct ends) { POD6, 40000, CLUSTER6, 81 }, SYN, 9, 0, 0);
	struct frame udp = frame_udp((struct ends) { POD6, 40000, CLUSTER6, 81 }, 9);

	cluster_ip(&places[1]);
	frame_add_long_extension(&tcp, IPPROTO_DSTOPTS, 64);
	assert_answered(harness.pod0, tcp, 124);
	frame_add_long_extension(&udp, IPPROTO_DSTOPTS, 80);
	assert_answered(harness.pod0, udp, 128);
}
END_TEST

START_TEST(headers_too_long_to_quote_are_dropped_and_counted)
{
	struct frame f = frame_tcp((struct ends) { POD6, 40000, CLUSTER6, 81 }, SYN, 9, 0, 0);
	uint32_t service = cluster_ip(&places[1]);

	frame_add_long_extension(&f, IPPROTO_DSTOPTS, 80);
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_DROP);
	ck_assert_uint_eq(harness_losses(service, SL_REJECT_UNKNOWN_PORT), 1);
}
END_TEST

START_TEST(an_answer_is_not_answered)
{
	const struct place *p = &places[_i];
	struct frame f = frame_other(p->pod, p->cluster, IPPROTO_GRE, 40);
	struct frame same;

	cluster_ip(p);
	f = frame_unreachable(&f, p->ip + 8);
	frame_swap_addresses(&f);
	same = f;
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_NEXT);
	frame_assert_same(&f, &same);
}
END_TEST

/* The rate is one a second, so that the time which this takes hardly counts. */
static void limit(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	harness_unload();
	harness.icmp_rate = 1;
	harness_load();
	shorten();
}

START_TEST(answers_are_limited_and_losses_still_counted)
{
	const struct place *p = &places[_i];
	uint32_t service = empty(p, SL_KIND_CLUSTER_IP, IPPROTO_UDP);
	int answered = 0;

	for (int i = 0; i < FLOOD; i++) {
		struct frame f = frame_udp((struct ends) { p->pod, 40000, p->cluster, 80 }, 30);
		int verdict = run_ingress(harness.pod0, &f);

		ck_assert(verdict == TC_REDIRECT || (verdict == TC_DROP && i >= BURST));
		answered += verdict == TC_REDIRECT;
	}
	ck_assert_int_lt(answered, FLOOD);
	ck_assert_uint_eq(harness_losses(service, SL_REJECT_NO_ENDPOINTS), FLOOD);
}
END_TEST

/* As the kernel does it: without these path MTU discovery fails. */
START_TEST(answers_about_the_mtu_are_not_limited)
{
	const struct place *p = &places[_i];
	struct service_spec spec = { .kind = SL_KIND_LOAD_BALANCER,
				     .addr = p->vip,
				     .proto = IPPROTO_TCP,
				     .port = 80,
				     .backends = { _i ? REMOTE6 : REMOTE4 },
				     .target_port = 8080 };

	harness_service(&spec, NULL);
	for (int i = 0; i < FLOOD; i++) {
		struct frame f =
			frame_tcp((struct ends) { p->client, 40000, p->vip, 80 }, ACK, 1, 1, 1600);

		ck_assert_int_eq(run_ingress(harness.up0, &f), TC_REDIRECT);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reject");
	TCase *tcase = reject_case(suite, "no endpoints");

	add_for_both(tcase, tcp_from_a_pod_is_answered);
	add_for_both(tcase, udp_from_a_pod_is_answered);
	add_for_both(tcase, what_fits_the_quote_keeps_the_cards_checksum_right);
	add_for_both(tcase, tcp_from_outside_is_answered);
	add_for_both(tcase, a_node_port_answers_from_the_nodes_address);
	add_for_both(tcase, an_external_ip_answers_too);

	tcase = reject_case(suite, "unknown port");
	add_for_both(tcase, an_unknown_port_of_a_cluster_ip_is_answered);
	add_for_both(tcase, another_protocol_on_a_known_port_is_answered);
	add_for_both(tcase, port_zero_of_a_cluster_ip_is_answered);
	tcase_add_test(tcase, a_known_port_of_a_cluster_ip_is_not_answered);
	add_for_both(tcase, an_echo_request_to_a_cluster_ip_is_answered);
	add_for_both(tcase, a_packet_of_an_unknown_protocol_is_answered);
	add_for_both(tcase, an_answer_is_not_answered);

	tcase = reject_case(suite, "quote");
	add_for_both(tcase, a_packet_shorter_than_the_quote_is_quoted_whole);
	tcase_add_test(tcase, padding_behind_the_packet_is_not_quoted);
	add_for_both(tcase, a_long_packet_is_answered_with_its_headers);
	tcase_add_test(tcase, options_are_quoted);
	tcase_add_test(tcase, extension_headers_are_quoted);
	tcase_add_test(tcase, the_longest_quote_is_128_bytes);
	tcase_add_test(tcase, headers_too_long_to_quote_are_dropped_and_counted);

	tcase = reject_case(suite, "limit");
	tcase_add_checked_fixture(tcase, limit, NULL);
	add_for_both(tcase, answers_are_limited_and_losses_still_counted);
	add_for_both(tcase, answers_about_the_mtu_are_not_limited);
	return harness_run(suite);
}
