/* SPDX-License-Identifier: Apache-2.0 */

/* Interfaces found, judged, attached to and followed, on real devices. */

#include "attach_fixture.h"

#include "common/ip.h"
#include "controlplane/attach/watch.h"

static struct sl_iface iface_seen;
static uint32_t iface_wanted;

static void on_iface(void *context, uint32_t ifindex, const struct sl_iface *iface)
{
	*(size_t *)context += 1;
	if (ifindex == iface_wanted)
		iface_seen = *iface;
}

static struct sl_iface iface_of(uint32_t ifindex)
{
	size_t n = 0;

	iface_wanted = ifindex;
	memset(&iface_seen, 0, sizeof(iface_seen));
	attach_each_iface(attach, on_iface, &n);
	return iface_seen;
}

static void on_address(void *context, const struct sl_addr *addr, uint8_t family)
{
	char text[IP_TEXT_MAX];

	strcat(strcat(context, " "), ip_format(addr, family, text));
}

/* In the order they are told. */
static const char *node_addresses(void)
{
	static char list[1024];

	list[0] = '\0';
	attach_each_address(attach, on_address, list);
	return list;
}

static bool is_pod_traffic(const char *name)
{
	json_t *list = attach_describe(attach), *item;
	bool found = false;
	size_t i;

	json_array_foreach (list, i, item)
		if (strcmp(json_string_value(json_object_get(item, "name")), name) == 0)
			found = json_is_true(json_object_get(item, "podTraffic"));
	json_decref(list);
	return found;
}

static const char *snat4(uint32_t ifindex)
{
	static char text[IP_TEXT_MAX];
	struct sl_addr addr = { .w = { iface_of(ifindex).addr4 } };

	return ip_format(&addr, 4, text);
}

START_TEST(a_pod_s_veth_gets_tcx_both_ways_and_no_xdp)
{
	uint32_t ifindex = add_veth("pod1");

	options.xdp_mode = ATTACH_XDP_ON;
	start(&first);
	ck_assert_str_eq(described("pod1", "role"), "pod");
	ck_assert(has_both_tcx(ifindex, &first));
	ck_assert_str_eq(hook("pod1", "tcx/ingress"), "attached");
	ck_assert_str_eq(hook("pod1", "tcx/egress"), "attached");
	ck_assert_str_eq(hook("pod1", "xdp"), "");
	ck_assert_uint_eq(xdp_id(ifindex), 0);
	ck_assert_uint_eq(iface_of(ifindex).role, SL_ROLE_POD);
}
END_TEST

START_TEST(an_uplink_of_veth_gets_no_xdp_unless_switched_on)
{
	uint32_t ifindex = add_uplink("up0");

	start(&first);
	ck_assert_str_eq(described("up0", "role"), "uplink");
	ck_assert(has_both_tcx(ifindex, &first));
	ck_assert_str_eq(hook("up0", "xdp"), "skipped: not on a veth unless XDP is switched on");
	ck_assert_uint_eq(xdp_id(ifindex), 0);
	ck_assert_uint_eq(iface_of(ifindex).xdp, 0);
}
END_TEST

START_TEST(xdp_switched_on_is_native_on_a_veth)
{
	uint32_t ifindex = add_uplink("up0"), id = 0;

	options.xdp_mode = ATTACH_XDP_ON;
	start(&first);
	ck_assert_str_eq(hook("up0", "xdp"), "attached");
	ck_assert_int_eq(bpf_xdp_query_id((int)ifindex, XDP_FLAGS_DRV_MODE, &id), 0);
	ck_assert_uint_eq(id, id_of(first.xdp));
	ck_assert_uint_eq(iface_of(ifindex).xdp, 1);
}
END_TEST

START_TEST(xdp_is_tried_by_itself_on_an_uplink_that_is_no_veth)
{
	ip("tuntap add tap0 mode tap");
	ip("link set tap0 up");
	ip("address add 192.0.2.2/24 dev tap0");
	ip("route add default via 192.0.2.1 dev tap0");
	start(&first);
	ck_assert_str_eq(hook("tap0", "xdp"), "attached");
	ck_assert_uint_eq(xdp_id(if_nametoindex("tap0")), id_of(first.xdp));
}
END_TEST

START_TEST(xdp_switched_off_is_not_tried)
{
	add_uplink("up0");
	options.xdp_mode = ATTACH_XDP_OFF;
	start(&first);
	ck_assert_str_eq(hook("up0", "xdp"), "skipped: switched off");
	ck_assert_str_eq(hook("up0", "tcx/ingress"), "attached");
}
END_TEST

static void add_macvlan(void)
{
	add_uplink("up0");
	ip("link add mac0 link up0 up type macvlan mode bridge");
}

START_TEST(a_driver_without_native_xdp_is_left_to_tc)
{
	add_macvlan();
	start(&first);
	ck_assert_str_eq(described("mac0", "role"), "uplink");
	ck_assert_str_eq(hook("mac0", "xdp"), "skipped: the driver has no native XDP");
	ck_assert_str_eq(hook("mac0", "tcx/ingress"), "attached");
	ck_assert_uint_eq(xdp_id(if_nametoindex("mac0")), 0);
}
END_TEST

START_TEST(a_driver_without_native_xdp_fails_where_xdp_is_switched_on)
{
	add_macvlan();
	options.xdp_mode = ATTACH_XDP_ON;
	start(&first);
	ck_assert_str_eq(hook("mac0", "xdp"), "failed: the driver has no native XDP");
	ck_assert_uint_eq(iface_of(if_nametoindex("mac0")).xdp, 0);
}
END_TEST

START_TEST(a_tunnel_gets_tcx_both_ways)
{
	ip("link add vx0 up type vxlan id 7 dstport 4789");
	start(&first);
	ck_assert_str_eq(described("vx0", "role"), "tunnel");
	ck_assert(has_both_tcx(if_nametoindex("vx0"), &first));
	ck_assert_str_eq(hook("vx0", "xdp"), "");
}
END_TEST

START_TEST(ports_of_a_bridge_are_attached_to_and_the_bridge_is_not)
{
	ip("link add br0 up type bridge");
	add_veth("pod1");
	ip("link set pod1 master br0");
	start(&first);
	ck_assert_str_eq(described("pod1", "why"),
			 "veth into another network namespace, port of br0");
	ck_assert(has_both_tcx(if_nametoindex("pod1"), &first));
	ck_assert_str_eq(described("br0", "role"), "none");
	ck_assert(!has_both_tcx(if_nametoindex("br0"), &first));
	ck_assert_uint_eq(iface_of(if_nametoindex("br0")).role, 0);
}
END_TEST

START_TEST(a_bridge_is_told_with_its_address_as_it_changes)
{
	ip("link add br0 up type bridge");
	ip("address add 10.9.0.1/24 dev br0");
	add_veth("pod1");
	ip("link set pod1 master br0");
	start(&first);

	uint32_t bridge = if_nametoindex("br0");
	ck_assert(attach_has_iface(attach, bridge));
	ck_assert_str_eq(snat4(bridge), "10.9.0.1");
	ip("address add 10.8.0.1/24 dev br0");
	ip("address del 10.9.0.1/24 dev br0");
	AWAIT(strcmp(snat4(bridge), "10.8.0.1") == 0);
	ip("link del br0");
	AWAIT(!attach_has_iface(attach, bridge));
}
END_TEST

START_TEST(what_is_nothing_to_us_is_described_with_a_reason)
{
	ip("link add v0 type veth peer name v1");
	start(&first);
	ck_assert_str_eq(described("lo", "role"), "none");
	ck_assert_str_eq(described("lo", "why"), "loopback leads nowhere");
	ck_assert_str_eq(described("v0", "role"), "none");
	ck_assert_int_eq(tcx_place(if_nametoindex("v0"), TCX_INGRESS, first.ingress), -1);
}
END_TEST

START_TEST(an_override_wins_over_what_was_found)
{
	const struct attach_override overrides[] = {
		{ "pod1", SL_ROLE_NONE },
		{ "pod2", SL_ROLE_UPLINK },
	};

	options.overrides = overrides;
	options.n_overrides = SL_COUNT(overrides);
	add_veth("pod1");
	add_veth("pod2");
	start(&first);
	ck_assert_str_eq(described("pod1", "role"), "none");
	ck_assert_str_eq(described("pod1", "why"), "set by configuration");
	ck_assert(!attach_has_iface(attach, if_nametoindex("pod1")));
	ck_assert(!is_pinned("tcx_ingress", if_nametoindex("pod1")));
	ck_assert_uint_eq(iface_of(if_nametoindex("pod2")).role, SL_ROLE_UPLINK);
}
END_TEST

START_TEST(a_new_veth_is_attached_to_as_it_comes)
{
	start(&first);
	changes = 0;
	uint32_t ifindex = add_veth("pod1");
	AWAIT(has_both_tcx(ifindex, &first));
	ck_assert_int_ge(changes, 1);
	ck_assert_uint_eq(iface_of(ifindex).role, SL_ROLE_POD);
}
END_TEST

START_TEST(a_burst_of_veths_is_attached_to_whole)
{
	start(&first);
	changes = 0;
	for (int i = 0; i < 40; i++)
		ip("link add pod%d type veth peer name peer netns %d && nsenter "
		   "--net=/proc/%d/ns/net ip link set peer name peer%d",
		   i, other, other, i);
	AWAIT(has_both_tcx(if_nametoindex("pod39"), &first));
	for (int i = 0; i < 40; i++) {
		char name[16];

		snprintf(name, sizeof(name), "pod%d", i);
		ck_assert(has_both_tcx(if_nametoindex(name), &first));
	}
	ck_assert_int_lt(changes, 10);
}
END_TEST

START_TEST(a_veth_that_goes_is_forgotten)
{
	uint32_t ifindex = add_veth("pod1");

	start(&first);
	ck_assert(attach_has_iface(attach, ifindex));
	changes = 0;
	ip("link del pod1");
	AWAIT(!is_pinned("tcx_ingress", ifindex));
	ck_assert(!is_pinned("tcx_egress", ifindex));
	ck_assert(!attach_has_iface(attach, ifindex));
	ck_assert_str_eq(described("pod1", "role"), "");
	ck_assert_int_ge(changes, 1);
}
END_TEST

START_TEST(an_ifindex_that_is_used_again_at_once_is_attached_to_again)
{
	uint32_t ifindex = add_veth("pod1");

	start(&first);
	ip("link del pod1");
	ip("link add pod2 index %u type veth peer name p netns %d", ifindex, other);
	AWAIT(has_both_tcx(ifindex, &first));
	ck_assert_str_eq(described("pod2", "role"), "pod");
}
END_TEST

START_TEST(lost_messages_are_made_up_for)
{
	uint32_t ifindex = add_veth("pod1");

	ip("link add br0 up type bridge");
	start(&first);
	run("for i in $(seq 0 15); do for k in $(seq 1 250); do "
	    "echo address add 10.0.$i.$k/32 dev br0; done; done | ip -batch -");
	ip("link del pod1");
	ip("link add pod2 index %u type veth peer name p netns %d", ifindex, other);
	AWAIT(has_both_tcx(ifindex, &first));
}
END_TEST

START_TEST(a_pod_becomes_an_uplink_when_its_route_comes)
{
	uint32_t ifindex = add_veth("up0");

	options.xdp_mode = ATTACH_XDP_ON;
	start(&first);
	ck_assert_str_eq(described("up0", "role"), "pod");

	uint32_t before = link_id("tcx_ingress", ifindex);
	ip("address add 192.0.2.2/24 dev up0");
	ip("route add default via 192.0.2.1 dev up0");
	AWAIT(iface_of(ifindex).role == SL_ROLE_UPLINK);
	ck_assert_uint_eq(xdp_id(ifindex), id_of(first.xdp));
	ck_assert_uint_eq(link_id("tcx_ingress", ifindex), before);
}
END_TEST

START_TEST(an_uplink_becomes_a_pod_when_its_routes_go)
{
	uint32_t ifindex = add_uplink("up0");

	options.xdp_mode = ATTACH_XDP_ON;
	start(&first);
	ip("route del default");
	AWAIT(iface_of(ifindex).role == SL_ROLE_POD);
	ck_assert_uint_eq(xdp_id(ifindex), 0);
	ck_assert_str_eq(hook("up0", "xdp"), "");
	ck_assert(has_both_tcx(ifindex, &first));
}
END_TEST

START_TEST(routes_that_go_silently_with_a_link_s_state_are_noticed)
{
	uint32_t ifindex = add_uplink("up0");

	start(&first);
	ip("link set up0 down");
	AWAIT(iface_of(ifindex).role == SL_ROLE_POD);
}
END_TEST

START_TEST(routes_of_other_tables_and_of_no_gateway_make_no_uplink)
{
	uint32_t ifindex = add_veth("pod1");

	ip("address add 192.0.2.2/24 dev pod1");
	ip("route add default via 192.0.2.1 dev pod1 table 99");
	ip("route add 198.51.100.0/24 dev pod1");
	ip("route add unreachable default metric 4278198272");
	start(&first);
	ck_assert_uint_eq(iface_of(ifindex).role, SL_ROLE_POD);
}
END_TEST

START_TEST(each_hop_of_a_multipath_route_is_an_uplink)
{
	uint32_t a = add_veth("up0"), b = add_veth("up1");

	ip("address add 192.0.2.2/24 dev up0");
	ip("address add 198.51.100.2/24 dev up1");
	ip("route add 203.0.113.0/24 nexthop via 192.0.2.1 dev up0 nexthop via 198.51.100.1");
	start(&first);
	ck_assert_uint_eq(iface_of(a).role, SL_ROLE_UPLINK);
	ck_assert_uint_eq(iface_of(b).role, SL_ROLE_UPLINK);
}
END_TEST

START_TEST(an_ipv6_default_route_makes_an_uplink_too)
{
	uint32_t ifindex = add_veth("up0");

	ip("address add 2001:db8::2/64 dev up0 nodad");
	ip("route add default via 2001:db8::1 dev up0");
	start(&first);
	ck_assert_uint_eq(iface_of(ifindex).role, SL_ROLE_UPLINK);
	ck_assert_str_eq(described("up0", "why"), "carries the default route");
}
END_TEST

START_TEST(an_address_that_comes_or_goes_is_told)
{
	uint32_t ifindex = add_uplink("up0");

	start(&first);
	ck_assert_ptr_nonnull(strstr(node_addresses(), " 192.0.2.2"));
	ck_assert_str_eq(snat4(ifindex), "192.0.2.2");
	changes = 0;
	ip("address add 198.51.100.2/24 dev up0");
	AWAIT(changes == 1);
	ck_assert_ptr_nonnull(strstr(node_addresses(), " 198.51.100.2"));
	ip("address del 192.0.2.2/24 dev up0");
	AWAIT(strcmp(snat4(ifindex), "198.51.100.2") == 0);
	ck_assert_ptr_null(strstr(node_addresses(), " 192.0.2.2"));
}
END_TEST

/* Where an interface has no address, SNAT uses that of the default route's. */
START_TEST(the_node_s_address_follows_the_default_route)
{
	struct sl_addr addr = { { 0 } };

	add_uplink("up0");
	add_veth("up1");
	ip("address add 203.0.113.2/24 dev up1");
	ip("route add 10.0.0.0/8 via 203.0.113.1 dev up1");
	start(&first);
	addr.w[0] = attach_node(attach).addr4;
	ck_assert_uint_eq(addr.w[0], inet_addr("192.0.2.2"));
	changes = 0;
	ip("route replace default via 203.0.113.1 dev up1");
	ip("route add 10.0.0.0/9 via 192.0.2.1 dev up0");
	AWAIT(attach_node(attach).addr4 == inet_addr("203.0.113.2"));
	ck_assert_int_ge(changes, 1);
}
END_TEST

START_TEST(pod_traffic_is_told_by_interface)
{
	uint32_t pod, other_pod;

	options.detect.prefix = "cali";
	pod = add_veth("cali1");
	other_pod = add_veth("pod1");
	start(&first);
	ck_assert_uint_eq(iface_of(pod).pod_traffic, 1);
	ck_assert_uint_eq(iface_of(other_pod).pod_traffic, 0);
	ck_assert(is_pod_traffic("cali1"));
	ck_assert(!is_pod_traffic("pod1"));
}
END_TEST

START_TEST(addresses_leave_loopback_s_out_and_name_each_once)
{
	ip("address add 192.0.2.7/32 dev lo");
	ip("link add br0 type bridge");
	ip("link add br1 type bridge");
	ip("address add 10.0.0.1/24 dev br0");
	ip("address add 10.0.0.1/24 dev br1");
	start(&first);
	ck_assert_str_eq(node_addresses(), " 192.0.2.7 10.0.0.1");
}
END_TEST

START_TEST(the_first_answer_comes_before_start_returns)
{
	char error[512];

	add_uplink("up0");
	options.ingress = first.ingress;
	options.egress = first.egress;
	options.xdp = first.xdp;
	ck_assert_int_eq(attach_new(&options, &attach, error), 0);
	ck_assert_int_eq(changes, 1);
}
END_TEST

START_TEST(what_concerns_no_answer_is_not_told)
{
	add_uplink("up0");
	start(&first);
	changes = 0;
	ip("link set up0 mtu 1400");
	ip("link add v0 type veth peer name v1");
	ip("route add 203.0.113.0/24 via 192.0.2.1");
	run_ms(100);
	ck_assert_int_eq(changes, 0);
	ck_assert_str_eq(described("v0", "role"), "none");
}
END_TEST

static int syncs, doubtful_syncs;
static int sync_result;

static int on_sync(void *context, bool doubtful)
{
	(void)context;
	syncs++;
	doubtful_syncs += doubtful;
	usleep(10000);
	return sync_result;
}

static struct watch *start_watch(void)
{
	struct watch *watch = NULL;
	char error[512];

	ck_assert_int_eq(watch_new(&loop, on_sync, NULL, &watch, error), 0);
	return watch;
}

START_TEST(reading_is_paced_by_what_it_costs)
{
	struct watch *watch = start_watch();

	ip("link add br0 type bridge");
	run("(while ip address add 10.0.0.1/32 dev br0 && ip address del 10.0.0.1/32 dev br0; "
	    "do :; done) 2>/dev/null &");
	run_ms(500);
	ip("link del br0");
	/* 10 ms each, and 100 ms apart. */
	ck_assert_int_ge(syncs, 2);
	ck_assert_int_le(syncs, 6);
	watch_free(watch);
}
END_TEST

START_TEST(a_failed_reading_is_tried_again_with_the_same_doubt)
{
	struct watch *watch = start_watch();

	ip("link add br0 type bridge");
	ip("link del br0");
	sync_result = -EIO;
	AWAIT(syncs == 1);
	sync_result = 0;
	AWAIT(syncs == 2);
	ck_assert_int_eq(doubtful_syncs, 2);
	run_ms(1200);
	ck_assert_int_eq(syncs, 2);
	watch_free(watch);
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_test(tc, a_pod_s_veth_gets_tcx_both_ways_and_no_xdp);
	tcase_add_test(tc, an_uplink_of_veth_gets_no_xdp_unless_switched_on);
	tcase_add_test(tc, xdp_switched_on_is_native_on_a_veth);
	tcase_add_test(tc, xdp_is_tried_by_itself_on_an_uplink_that_is_no_veth);
	tcase_add_test(tc, xdp_switched_off_is_not_tried);
	tcase_add_test(tc, a_driver_without_native_xdp_is_left_to_tc);
	tcase_add_test(tc, a_driver_without_native_xdp_fails_where_xdp_is_switched_on);
	tcase_add_test(tc, a_tunnel_gets_tcx_both_ways);
	tcase_add_test(tc, ports_of_a_bridge_are_attached_to_and_the_bridge_is_not);
	tcase_add_test(tc, a_bridge_is_told_with_its_address_as_it_changes);
	tcase_add_test(tc, what_is_nothing_to_us_is_described_with_a_reason);
	tcase_add_test(tc, an_override_wins_over_what_was_found);
	tcase_add_test(tc, a_new_veth_is_attached_to_as_it_comes);
	tcase_add_test(tc, a_burst_of_veths_is_attached_to_whole);
	tcase_add_test(tc, a_veth_that_goes_is_forgotten);
	tcase_add_test(tc, an_ifindex_that_is_used_again_at_once_is_attached_to_again);
	tcase_add_test(tc, lost_messages_are_made_up_for);
	tcase_add_test(tc, a_pod_becomes_an_uplink_when_its_route_comes);
	tcase_add_test(tc, an_uplink_becomes_a_pod_when_its_routes_go);
	tcase_add_test(tc, routes_that_go_silently_with_a_link_s_state_are_noticed);
	tcase_add_test(tc, routes_of_other_tables_and_of_no_gateway_make_no_uplink);
	tcase_add_test(tc, each_hop_of_a_multipath_route_is_an_uplink);
	tcase_add_test(tc, an_ipv6_default_route_makes_an_uplink_too);
	tcase_add_test(tc, an_address_that_comes_or_goes_is_told);
	tcase_add_test(tc, the_node_s_address_follows_the_default_route);
	tcase_add_test(tc, pod_traffic_is_told_by_interface);
	tcase_add_test(tc, addresses_leave_loopback_s_out_and_name_each_once);
	tcase_add_test(tc, the_first_answer_comes_before_start_returns);
	tcase_add_test(tc, what_concerns_no_answer_is_not_told);
	tcase_add_test(tc, reading_is_paced_by_what_it_costs);
	tcase_add_test(tc, a_failed_reading_is_tried_again_with_the_same_doubt);
}

int main(void)
{
	return run_suite("attach", add_tests);
}
