/* SPDX-License-Identifier: Apache-2.0 */

/* Which flow an ICMP message follows, if any; redirects follow none. */

#include "test/packet/icmp_fixture.h"

static const uint8_t other_mac[6] = { 2, 0, 0, 0, 9, 9 };

START_TEST(an_error_about_no_flow_is_left_untouched)
{
	const struct place *p = &places[_i];
	struct ends stranger = { p->vip, 80, p->client, 40001 };
	struct frame about = frame_udp(stranger, 40);
	struct frame f = frame_icmp(p->client, p->vip, &p->kinds[0], &about, QUOTE_ALL);

	open_udp(p);
	assert_left(&f);
	ck_assert_int_eq(harness_count(_i ? harness.skel->maps.new6 : harness.skel->maps.new4), 2);
}
END_TEST

START_TEST(an_error_about_a_flow_that_timed_out_is_left_untouched)
{
	const struct place *p = &places[_i];
	struct frame about = frame_udp(turned(at_client(p)), 40);
	struct frame f = frame_icmp(p->client, p->vip, &p->kinds[0], &about, QUOTE_ALL);

	open_udp(p);
	harness_age_flows(60);
	assert_left(&f);
}
END_TEST

START_TEST(an_error_that_goes_where_the_packet_did_not_come_from_is_left_untouched)
{
	const struct place *p = &places[_i];
	struct frame about = frame_udp(turned(at_client(p)), 40);
	struct frame f = frame_icmp(p->client, p->node, &p->kinds[0], &about, QUOTE_ALL);

	open_udp(p);
	assert_left(&f);
}
END_TEST

START_TEST(an_error_in_a_frame_for_another_host_is_left_untouched)
{
	const struct place *p = &places[_i];
	struct frame about = frame_udp(turned(at_client(p)), 40), same;
	struct frame f = frame_icmp(p->client, p->vip, &p->kinds[0], &about, QUOTE_ALL);

	open_udp(p);
	frame_set_macs(&f, other_mac, frame_mac_neighbour);
	same = f;
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_NEXT);
	frame_assert_same(&f, &same);
}
END_TEST

/* The kernel would drop it as a martian; redirected, it would never get there. */
START_TEST(an_error_from_an_address_of_this_node_is_not_redirected)
{
	const struct place *p = &places[_i];
	uint32_t service;
	uint16_t port = open_remote(p, &service);
	struct frame about = frame_udp((struct ends) { p->node, port, p->remote, 8080 }, 40);
	struct frame f = frame_icmp(p->node, p->node, &p->kinds[0], &about, QUOTE_ALL);

	assert_left(&f);
}
END_TEST

START_TEST(other_messages_that_quote_are_left_untouched)
{
	const struct place *p = &places[_i];
	struct icmp_kind quench = { "source quench", _i ? 5 : 4, 0, 0 };
	struct frame about = frame_udp(turned(at_client(p)), 40);
	struct frame f = frame_icmp(p->client, p->vip, &quench, &about, QUOTE_ALL);

	open_udp(p);
	assert_left(&f);
}
END_TEST

START_TEST(what_leaves_and_concerns_no_flow_is_left_untouched)
{
	const struct place *p = &places[_i];
	struct ends direct = { p->client, 40001, p->pod, 8080 };
	struct frame about = frame_udp(direct, 40), same;
	struct frame f = frame_icmp(p->pod, p->client, &p->kinds[0], &about, QUOTE_ALL);

	open_udp(p);
	same = f;
	ck_assert_int_eq(run_egress(harness.up0, &f), TC_NEXT);
	frame_assert_same(&f, &same);
}
END_TEST

/* XDP can't find a neighbour and passes it on; TC sends it. */
START_TEST(an_error_towards_a_neighbour_not_known_is_left_to_tc)
{
	const char *backend = _i ? NEIGHBOUR6 : NEIGHBOUR4;
	const struct place *p = &places[_i];
	struct frame request = frame_udp(at_client(p), 20), f, by_xdp, same, want;
	struct frame old = frame_udp(turned(at_client(p)), 40), new;

	vip(p, IPPROTO_UDP, backend);
	ck_assert_int_eq(run_ingress(harness.up0, &request), TC_REDIRECT);
	new = frame_udp((struct ends) { backend, 8080, p->node, frame_sport(&request) }, 40);
	by_xdp = same = f = frame_icmp(p->client, p->vip, &p->kinds[0], &old, QUOTE_ALL);
	want = frame_icmp(p->node, backend, &p->kinds[0], &new, QUOTE_ALL);
	frame_set_ttl(&want, 63);
	ck_assert_int_eq(run_xdp(&by_xdp), XDP_PASS);
	frame_assert_same(&by_xdp, &same);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_REDIRECT);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(an_error_whose_hops_are_used_up_is_dropped_and_counted)
{
	const struct place *p = &places[_i];
	uint32_t service;
	uint16_t port = open_remote(p, &service);
	struct frame about = frame_udp((struct ends) { p->node, port, p->remote, 8080 }, 40);
	struct frame f = frame_icmp(p->router, p->node, &p->kinds[2], &about, QUOTE_ALL), by_xdp;

	frame_set_ttl(&f, 1);
	by_xdp = f;
	ck_assert_int_eq(run_xdp(&by_xdp), XDP_PASS);
	frame_assert_same(&by_xdp, &f);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_DROP);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_TTL), 1);
}
END_TEST

START_TEST(a_redirect_about_a_flow_is_dropped_and_counted)
{
	const struct place *p = &places[0];
	uint32_t service = open_udp(p);
	struct frame in = frame_udp(turned(at_client(p)), 40), out = frame_udp(at_backend(p), 40);
	struct frame f = frame_icmp(p->router, p->vip, &icmp_redirect4, &in, 28), by_xdp = f;
	struct frame leaving = frame_icmp(p->node, p->client, &icmp_redirect4, &out, 28);

	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_DROP);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_REDIRECT), 1);
	ck_assert_int_eq(run_xdp(&by_xdp), XDP_DROP);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_REDIRECT), 2);
	ck_assert_int_eq(run_egress(harness.up0, &leaving), TC_DROP);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_REDIRECT), 3);
}
END_TEST

/* _i: with the target's MAC address in front of the quoted packet. */
START_TEST(an_ipv6_redirect_about_a_flow_is_dropped_and_counted)
{
	const struct place *p = &places[1];
	uint32_t service = open_udp(p);
	struct frame in = frame_udp(turned(at_client(p)), 40), out = frame_udp(at_backend(p), 40);
	struct frame f = frame_nd_redirect("fe80::1", p->vip, &in, _i), by_xdp = f;
	struct frame leaving = frame_nd_redirect("fe80::2", p->client, &out, _i);

	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_DROP);
	ck_assert_int_eq(run_xdp(&by_xdp), XDP_DROP);
	ck_assert_int_eq(run_egress(harness.up0, &leaving), TC_DROP);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_REDIRECT), 3);
}
END_TEST

START_TEST(a_redirect_about_no_flow_is_left_untouched)
{
	const struct place *p = &places[_i];
	struct frame about = frame_udp((struct ends) { p->node, 5000, p->remote, 53 }, 40), f;

	open_udp(p);
	f = _i ? frame_nd_redirect("fe80::1", p->node, &about, true)
	       : frame_icmp(p->router, p->node, &icmp_redirect4, &about, QUOTE_ALL);
	assert_left(&f);
}
END_TEST

START_TEST(errors_about_a_node_port_follow_its_flows)
{
	const struct place *p = &places[_i];
	struct ends ends = { p->client, 40000, p->node, 30080 };
	struct service_spec spec = { .kind = SL_KIND_NODE_PORT,
				     .family = _i ? 6 : 4,
				     .proto = IPPROTO_UDP,
				     .port = 30080,
				     .backends = { p->pod },
				     .target_port = 8080 };
	struct frame request = frame_udp(ends, 20);
	struct frame old = frame_udp(turned(ends), 40), new = frame_udp(turned(at_backend(p)), 40);
	struct frame f = frame_icmp(p->client, p->node, &p->kinds[1], &old, QUOTE_ALL);
	struct frame want = frame_icmp(p->client, p->pod, &p->kinds[1], &new, QUOTE_ALL);

	harness_service(&spec, NULL);
	run_ingress(harness.up0, &request);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_NEXT);
	frame_assert_same(&f, &want);

	f = frame_icmp(p->pod, p->client, &p->kinds[0], &request, QUOTE_ALL);
	old = frame_udp(ends, 20);
	want = frame_icmp(p->node, p->client, &p->kinds[0], &old, QUOTE_ALL);
	ck_assert_int_eq(run_egress(harness.up0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("icmp flows");
	TCase *tcase = harness_case(suite, "no flow");

	add_for_both(tcase, an_error_about_no_flow_is_left_untouched);
	add_for_both(tcase, an_error_about_a_flow_that_timed_out_is_left_untouched);
	add_for_both(tcase,
		     an_error_that_goes_where_the_packet_did_not_come_from_is_left_untouched);
	add_for_both(tcase, an_error_in_a_frame_for_another_host_is_left_untouched);
	add_for_both(tcase, an_error_from_an_address_of_this_node_is_not_redirected);
	add_for_both(tcase, other_messages_that_quote_are_left_untouched);
	add_for_both(tcase, what_leaves_and_concerns_no_flow_is_left_untouched);

	tcase = harness_case(suite, "flow");
	add_for_both(tcase, errors_about_a_node_port_follow_its_flows);
	add_for_both(tcase, an_error_towards_a_neighbour_not_known_is_left_to_tc);
	add_for_both(tcase, an_error_whose_hops_are_used_up_is_dropped_and_counted);

	tcase = harness_case(suite, "redirects");
	tcase_add_test(tcase, a_redirect_about_a_flow_is_dropped_and_counted);
	tcase_add_loop_test(tcase, an_ipv6_redirect_about_a_flow_is_dropped_and_counted, 0, 2);
	add_for_both(tcase, a_redirect_about_no_flow_is_left_untouched);
	return harness_run(suite);
}
