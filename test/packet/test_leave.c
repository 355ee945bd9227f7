/* SPDX-License-Identifier: Apache-2.0 */

/* TCP connections whose endpoint left: kept, drained or reset. */

#include "test/packet/harness.h"

static const struct {
	const char *client, *vip, *remote, *local;
} places[] = {
	{ CLIENT4, VIP4, REMOTE4, POD4 },
	{ CLIENT6, VIP6, REMOTE6, POD6 },
};

static uint32_t service, backend;

static void one_backend(const char *addr, const char *vip)
{
	struct service_spec spec = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = vip,
		.proto = IPPROTO_TCP,
		.port = 80,
		.backends = { addr },
		.target_port = 8080,
	};

	service = harness_service(&spec, &backend);
}

static struct frame segment(struct ends ends, uint8_t flags, uint32_t payload)
{
	return frame_tcp(ends, flags, 1001, 2001, payload);
}

/* The RST that answers `f`, as it lies on the wire: bare, without a window. */
static struct frame rst_for(const struct frame *f, uint8_t flags, uint32_t seq, uint32_t ack)
{
	struct frame rst = frame_tcp_answer(f, flags, seq, ack, 0);

	frame_set_window(&rst, 0);
	frame_swap_macs(&rst);
	return rst;
}

START_TEST(kept_connections_go_on)
{
	struct ends ends = { CLIENT4, 40000, VIP4, 80 };
	struct frame f = segment(ends, ACK, 5);

	one_backend(REMOTE4, VIP4);
	harness_establish(harness.up0, harness.up0, ends);
	harness_retire_backend(backend);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_REDIRECT);
	ck_assert_uint_eq(harness_losses(service, SL_RESET_LEFT), 0);
}
END_TEST

START_TEST(a_client_of_a_reset_service_gets_an_rst_from_the_vip)
{
	struct ends ends = { places[_i].client, 40000, places[_i].vip, 80 };
	struct frame f = segment(ends, ACK, 5), want = rst_for(&f, RST, 2001, 0);

	one_backend(places[_i].remote, places[_i].vip);
	harness_establish(harness.up0, harness.up0, ends);
	harness_set_leave(service, SL_LEAVE_RESET, 0);
	harness_retire_backend(backend);
	harness.gets_shorter = true;
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_REDIRECT);
	frame_assert_same(&f, &want);
	ck_assert_uint_eq(harness_losses(service, SL_RESET_LEFT), 1);
}
END_TEST

START_TEST(a_segment_without_ack_is_acknowledged_by_its_rst)
{
	struct ends ends = { CLIENT4, 40000, VIP4, 80 };
	struct frame f = frame_tcp(ends, FIN, 1001, 0, 5), want = rst_for(&f, RST | ACK, 0, 1007);

	one_backend(REMOTE4, VIP4);
	harness_establish(harness.up0, harness.up0, ends);
	harness_set_leave(service, SL_LEAVE_RESET, 0);
	harness_retire_backend(backend);
	harness.gets_shorter = true;
	run_ingress(harness.up0, &f);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(a_backend_that_still_sends_gets_one_too_as_if_from_the_client)
{
	struct ends ends = { places[_i].client, 40000, places[_i].vip, 80 };
	struct frame syn, f, want;

	one_backend(places[_i].local, places[_i].vip);
	syn = harness_establish(harness.up0, 0, ends);
	harness_set_leave(service, SL_LEAVE_RESET, 0);
	harness_retire_backend(backend);
	f = frame_tcp_answer(&syn, ACK, 2001, 1001, 9);
	want = rst_for(&f, RST, 1001, 0);
	harness.gets_shorter = true;
	ck_assert_int_eq(run_egress(harness.up0, &f), TC_REDIRECT);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(an_rst_is_never_answered)
{
	struct ends ends = { CLIENT4, 40000, VIP4, 80 };
	struct frame f = segment(ends, RST | ACK, 0);

	one_backend(POD4, VIP4);
	harness_establish(harness.up0, 0, ends);
	harness_set_leave(service, SL_LEAVE_RESET, 0);
	harness_retire_backend(backend);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_NEXT);
	ck_assert_uint_eq(harness_losses(service, SL_RESET_LEFT), 0);
}
END_TEST

START_TEST(a_drained_connection_lives_until_its_deadline)
{
	struct ends ends = { CLIENT4, 40000, VIP4, 80 };
	struct frame f = segment(ends, ACK, 5);

	one_backend(POD4, VIP4);
	harness_establish(harness.up0, 0, ends);
	harness_set_leave(service, SL_LEAVE_DRAIN, 30);
	harness_retire_backend(backend);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_NEXT);
	harness_age_backend(backend, 40);
	f = segment(ends, ACK, 5);
	harness.gets_shorter = true;
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_REDIRECT);
	ck_assert_uint_eq(harness_losses(service, SL_RESET_LEFT), 1);
}
END_TEST

START_TEST(after_the_reset_a_syn_opens_anew)
{
	struct ends ends = { CLIENT4, 40000, VIP4, 80 };
	struct frame f = segment(ends, ACK, 5), syn = frame_tcp(ends, SYN, 9000, 0, 0);
	struct service_spec other = {
		.kind = SL_KIND_EXTERNAL_IP,
		.addr = "203.0.113.7",
		.proto = IPPROTO_TCP,
		.port = 80,
		.backends = { "10.244.0.3" },
		.target_port = 8080,
	};
	struct frame want =
		frame_tcp((struct ends) { CLIENT4, 40000, "10.244.0.3", 8080 }, SYN, 9000, 0, 0);
	uint32_t living;

	one_backend(POD4, VIP4);
	harness_service(&other, &living);
	harness_establish(harness.up0, 0, ends);
	harness_set_backend(service, living);
	harness_set_leave(service, SL_LEAVE_RESET, 0);
	harness_retire_backend(backend);
	harness.gets_shorter = true;
	run_ingress(harness.up0, &f);
	harness.gets_shorter = false;
	ck_assert_int_eq(run_ingress(harness.up0, &syn), TC_NEXT);
	frame_assert_same(&syn, &want);
}
END_TEST

START_TEST(xdp_leaves_the_reset_to_tc)
{
	struct ends ends = { CLIENT4, 40000, VIP4, 80 };
	struct frame f = segment(ends, ACK, 5), want = f;

	one_backend(REMOTE4, VIP4);
	harness_establish(harness.up0, harness.up0, ends);
	harness_set_leave(service, SL_LEAVE_RESET, 0);
	harness_retire_backend(backend);
	ck_assert_int_eq(run_xdp(&f), 2 /* XDP_PASS */);
	frame_assert_same(&f, &want);
	ck_assert_uint_eq(harness_losses(service, SL_RESET_LEFT), 0);
	harness.gets_shorter = true;
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_REDIRECT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("leave");
	TCase *tcase = harness_case(suite, "leave");

	tcase_add_test(tcase, kept_connections_go_on);
	add_for_both(tcase, a_client_of_a_reset_service_gets_an_rst_from_the_vip);
	tcase_add_test(tcase, a_segment_without_ack_is_acknowledged_by_its_rst);
	add_for_both(tcase, a_backend_that_still_sends_gets_one_too_as_if_from_the_client);
	tcase_add_test(tcase, an_rst_is_never_answered);
	tcase_add_test(tcase, a_drained_connection_lives_until_its_deadline);
	tcase_add_test(tcase, after_the_reset_a_syn_opens_anew);
	tcase_add_test(tcase, xdp_leaves_the_reset_to_tc);
	return harness_run(suite);
}
