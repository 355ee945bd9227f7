/* SPDX-License-Identifier: Apache-2.0 */

/* Frames that are not for this node, and sources that nobody may have. */

#include "test/packet/harness.h"

struct place {
	const char *pod, *client, *vip, *remote, *node;
};

static const struct place places[] = {
	{ POD4, CLIENT4, VIP4, REMOTE4, NODE4 },
	{ POD6, CLIENT6, VIP6, REMOTE6, NODE6 },
};

static const uint8_t other_mac[6] = { 2, 0, 0, 0, 9, 9 };
static const uint8_t broadcast[6] = { 255, 255, 255, 255, 255, 255 };

static void shorten(void)
{
	harness.gets_shorter = true;
}

/* A VIP with a remote endpoint, or without any. */
static uint32_t vip(const struct place *p, const char *backend)
{
	struct service_spec spec = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = p->vip,
		.proto = IPPROTO_UDP,
		.port = 80,
		.backends = { backend },
		.target_port = 8080,
	};

	if (!backend)
		for (int i = 0; i < SL_PATH_MAX; i++)
			spec.path[i] = SL_CHOOSE_REJECT;
	return harness_service(&spec, NULL);
}

static struct frame request(const struct place *p, const char *source, const uint8_t mac[6])
{
	struct frame f = frame_udp((struct ends) { source, 40000, p->vip, 80 }, 10);

	if (mac)
		frame_set_macs(&f, mac, frame_mac_neighbour);
	return f;
}

static void assert_left(uint32_t ifindex, struct frame f)
{
	struct frame same = f;

	ck_assert_int_eq(run_ingress(ifindex, &f), TC_NEXT);
	frame_assert_same(&f, &same);
	ck_assert_int_eq(harness_count(harness.skel->maps.new4), 0);
	ck_assert_int_eq(harness_count(harness.skel->maps.new6), 0);
}

START_TEST(a_frame_for_another_host_is_left_untouched)
{
	const struct place *p = &places[_i];

	vip(p, p->remote);
	assert_left(harness.up0, request(p, p->client, other_mac));
}
END_TEST

START_TEST(a_broadcast_frame_is_left_untouched)
{
	const struct place *p = &places[_i];

	vip(p, p->remote);
	assert_left(harness.up0, request(p, p->client, broadcast));
}
END_TEST

START_TEST(xdp_passes_a_broadcast_frame)
{
	const struct place *p = &places[_i];
	struct frame f = request(p, p->client, broadcast), same = f;

	vip(p, p->remote);
	ck_assert_int_eq(run_xdp(&f), XDP_PASS);
	frame_assert_same(&f, &same);
	ck_assert_int_eq(harness_count(harness.skel->maps.new4), 0);
	ck_assert_int_eq(harness_count(harness.skel->maps.new6), 0);
}
END_TEST

START_TEST(a_frame_for_another_host_is_not_answered)
{
	const struct place *p = &places[_i];

	vip(p, NULL);
	assert_left(harness.up0, request(p, p->client, other_mac));
}
END_TEST

START_TEST(a_pods_frame_for_its_bridge_is_translated)
{
	const struct place *p = &places[_i];
	struct frame f = request(p, p->pod, other_mac);
	struct frame want = frame_udp((struct ends) { p->pod, 40000, p->remote, 8080 }, 10);

	frame_set_macs(&want, other_mac, frame_mac_neighbour);
	vip(p, p->remote);
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
}
END_TEST

static const struct {
	int family;
	const char *source;
} forged[] = {
	{ 0, "0.0.0.0" }, { 0, "127.0.0.1" }, { 0, "224.0.0.5" }, { 0, "255.255.255.255" },
	{ 0, NODE4 },	  { 0, TUNNEL4 },     { 1, "::" },	  { 1, "::1" },
	{ 1, "ff02::5" }, { 1, NODE6 },
};

#define FORGED (int)(sizeof(forged) / sizeof(forged[0]))

START_TEST(a_source_that_nobody_may_have_opens_no_flow)
{
	const struct place *p = &places[forged[_i].family];
	struct frame f = request(p, forged[_i].source, NULL);
	uint32_t service = vip(p, p->remote);

	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_DROP);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_NO_ROUTE), 1);
	ck_assert_int_eq(harness_count(harness.skel->maps.new4), 0);
	ck_assert_int_eq(harness_count(harness.skel->maps.new6), 0);
}
END_TEST

START_TEST(a_source_that_nobody_may_have_is_not_answered)
{
	const struct place *p = &places[forged[_i].family];
	struct frame f = request(p, forged[_i].source, NULL);
	uint32_t service = vip(p, NULL);

	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_DROP);
	ck_assert_uint_eq(harness_losses(service, SL_DROP_NO_ROUTE), 1);
}
END_TEST

START_TEST(a_node_of_class_e_is_a_client_like_any)
{
	struct frame f = request(&places[0], "240.1.2.3", NULL);

	vip(&places[0], REMOTE4);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_REDIRECT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("forged");
	TCase *tcase = harness_case(suite, "frames");

	add_for_both(tcase, a_frame_for_another_host_is_left_untouched);
	add_for_both(tcase, a_broadcast_frame_is_left_untouched);
	add_for_both(tcase, xdp_passes_a_broadcast_frame);
	add_for_both(tcase, a_frame_for_another_host_is_not_answered);
	add_for_both(tcase, a_pods_frame_for_its_bridge_is_translated);
	tcase = harness_case(suite, "sources");
	tcase_add_checked_fixture(tcase, shorten, NULL);
	tcase_add_loop_test(tcase, a_source_that_nobody_may_have_opens_no_flow, 0, FORGED);
	tcase_add_loop_test(tcase, a_source_that_nobody_may_have_is_not_answered, 0, FORGED);
	tcase_add_test(tcase, a_node_of_class_e_is_a_client_like_any);
	return harness_run(suite);
}
