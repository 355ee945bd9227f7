/* SPDX-License-Identifier: Apache-2.0 */

#include <check.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "common/ip.h"
#include "controlplane/attach/role.h"

/* A node as it is put together by each test. */
static struct inventory_link links[16];
static struct inventory_address addresses[16];
static struct inventory node;

static void clear(void)
{
	memset(links, 0, sizeof(links));
	memset(addresses, 0, sizeof(addresses));
	node = (struct inventory) { .links = links, .addresses = addresses };
}

/* Adds an interface; its ifindex is its place, from 1 on. */
static struct inventory_link *add(const char *name, const char *kind)
{
	struct inventory_link *link = &links[node.n_links++];

	link->ifindex = (uint32_t)node.n_links;
	link->type = ARPHRD_ETHER;
	link->mtu = 1500;
	strcpy(link->name, name);
	strcpy(link->kind, kind);
	return link;
}

static struct inventory_link *add_pod(const char *name)
{
	struct inventory_link *link = add(name, "veth");

	link->lower = 2;
	link->elsewhere = true;
	return link;
}

static struct inventory_link *add_loopback(void)
{
	struct inventory_link *link = add("lo", "");

	link->type = ARPHRD_LOOPBACK;
	return link;
}

static struct inventory_address *address(const struct inventory_link *link, const char *text)
{
	struct inventory_address *entry = &addresses[node.n_addresses++];

	entry->ifindex = link->ifindex;
	entry->family = (uint8_t)ip_parse(text, &entry->addr);
	ck_assert_msg(entry->family == 4 || entry->family == 6, "%s", text);
	return entry;
}

static void expect(const struct inventory_link *link, enum sl_role want, const char *why)
{
	struct role role;

	role_decide(&node, link, NULL, 0, &role);
	ck_assert_msg(role.role == want, "%s: role %d, want %d (%s)", link->name, role.role, want,
		      role.why);
	ck_assert_str_eq(role.why, why);
}

/* What comes out for an address of an interface in the node, in words. */
static const char *snat(const struct inventory_link *link, uint8_t family)
{
	static char text[IP_TEXT_MAX];
	struct role roles[SL_COUNT(links)];

	for (size_t i = 0; i < node.n_links; i++)
		role_decide(&node, &links[i], NULL, 0, &roles[i]);

	struct sl_iface all = role_node(&node, roles);
	struct sl_iface iface = role_iface(&node, link, roles[link->ifindex - 1].role, &all);
	struct sl_addr addr4 = { .w = { iface.addr4 } };

	ck_assert_uint_eq(iface.role, roles[link->ifindex - 1].role);
	return ip_format(family == 4 ? &addr4 : &iface.addr6, family, text);
}

START_TEST(hardware_is_an_uplink)
{
	expect(add("eth0", ""), SL_ROLE_UPLINK, "network device");
}
END_TEST

static const char *const uplink_kinds[] = { "bond", "vlan", "macvlan", "ipvlan", "team" };

START_TEST(devices_over_hardware_are_uplinks)
{
	struct role role;

	role_decide(&node, add("up0", uplink_kinds[_i]), NULL, 0, &role);
	ck_assert_int_eq(role.role, SL_ROLE_UPLINK);
}
END_TEST

static const char *const tunnel_kinds[] = { "vxlan",  "geneve", "wireguard", "ipip",
					    "ip6tnl", "sit",	"gre",	     "ip6gre" };

START_TEST(tunnels_are_tunnels_whatever_their_routes)
{
	struct inventory_link *link = add("t0", tunnel_kinds[_i]);
	struct role role;

	link->routes = INVENTORY_DEFAULT | INVENTORY_GATEWAY;
	role_decide(&node, link, NULL, 0, &role);
	ck_assert_int_eq(role.role, SL_ROLE_TUNNEL);
}
END_TEST

START_TEST(veth_into_another_namespace_is_a_pod)
{
	expect(add_pod("veth1234"), SL_ROLE_POD, "veth into another network namespace");
}
END_TEST

START_TEST(netkit_into_another_namespace_is_a_pod)
{
	struct inventory_link *link = add_pod("nk0");

	strcpy(link->kind, "netkit");
	expect(link, SL_ROLE_POD, "netkit into another network namespace");
}
END_TEST

START_TEST(veth_with_a_host_route_is_a_pod)
{
	struct inventory_link *link = add_pod("cali1");

	link->routes = INVENTORY_HOST;
	expect(link, SL_ROLE_POD, "veth into another network namespace, with a host route");
}
END_TEST

START_TEST(veth_on_a_bridge_is_a_pod_even_if_the_bridge_has_the_default_route)
{
	struct inventory_link *bridge = add("br0", "bridge");
	struct inventory_link *link = add_pod("veth1");

	bridge->routes = INVENTORY_DEFAULT | INVENTORY_GATEWAY;
	link->master = bridge->ifindex;
	expect(link, SL_ROLE_POD, "veth into another network namespace, port of br0");
}
END_TEST

START_TEST(veth_with_the_default_route_is_an_uplink)
{
	struct inventory_link *link = add_pod("eth0");

	link->routes = INVENTORY_DEFAULT | INVENTORY_GATEWAY | INVENTORY_HOST;
	expect(link, SL_ROLE_UPLINK, "carries the default route");
}
END_TEST

START_TEST(veth_with_routes_by_a_gateway_is_an_uplink)
{
	struct inventory_link *link = add_pod("eth1");

	link->routes = INVENTORY_GATEWAY;
	expect(link, SL_ROLE_UPLINK, "carries routes by a gateway");
}
END_TEST

START_TEST(veth_turns_from_pod_to_uplink_as_its_route_comes)
{
	struct inventory_link *link = add_pod("eth0");

	expect(link, SL_ROLE_POD, "veth into another network namespace");
	link->routes = INVENTORY_DEFAULT;
	expect(link, SL_ROLE_UPLINK, "carries the default route");
}
END_TEST

START_TEST(veth_pair_inside_this_namespace_is_nothing)
{
	struct inventory_link *link = add_pod("v0");

	link->elsewhere = false;
	expect(link, SL_ROLE_NONE, "both ends are in this network namespace");
}
END_TEST

START_TEST(port_of_the_bridge_with_the_default_route_is_an_uplink)
{
	struct inventory_link *bridge = add("br0", "bridge");
	struct inventory_link *link = add("eth0", "");

	bridge->routes = INVENTORY_DEFAULT;
	link->master = bridge->ifindex;
	expect(link, SL_ROLE_UPLINK, "port of br0, which carries the default route");
}
END_TEST

START_TEST(hardware_port_of_another_bridge_is_an_uplink_too)
{
	struct inventory_link *bridge = add("br1", "bridge");
	struct inventory_link *link = add("eth1", "");

	link->master = bridge->ifindex;
	expect(link, SL_ROLE_UPLINK, "port of br1, leads out of this machine");
}
END_TEST

START_TEST(member_of_a_bond_is_left_to_the_bond)
{
	struct inventory_link *bond = add("bond0", "bond");
	struct inventory_link *link = add("eth0", "");

	bond->routes = INVENTORY_DEFAULT;
	link->master = bond->ifindex;
	expect(link, SL_ROLE_NONE, "member of bond0, which has the programs");
	expect(bond, SL_ROLE_UPLINK, "carries the default route");
}
END_TEST

START_TEST(virtual_function_below_its_synthetic_device_is_left_to_that)
{
	struct inventory_link *eth0 = add("eth0", "");
	struct inventory_link *link = add("enP1s1", "");

	link->master = eth0->ifindex;
	expect(link, SL_ROLE_NONE, "member of eth0, which has the programs");
}
END_TEST

START_TEST(device_in_a_vrf_is_judged_by_itself)
{
	struct inventory_link *vrf = add("blue", "vrf");
	struct inventory_link *link = add("eth0", "");

	link->master = vrf->ifindex;
	expect(link, SL_ROLE_UPLINK, "network device");
}
END_TEST

START_TEST(loopback_is_nothing)
{
	expect(add_loopback(), SL_ROLE_NONE, "loopback leads nowhere");
}
END_TEST

START_TEST(dummy_is_nothing)
{
	expect(add("kube-ipvs0", "dummy"), SL_ROLE_NONE, "dummy leads nowhere");
}
END_TEST

START_TEST(bridge_is_nothing_even_with_the_default_route)
{
	struct inventory_link *link = add("docker0", "bridge");

	link->routes = INVENTORY_DEFAULT;
	expect(link, SL_ROLE_NONE, "bridge: its ports have the programs");
}
END_TEST

START_TEST(tun_is_nothing_without_routes_by_a_gateway)
{
	expect(add("tap0", "tun"), SL_ROLE_NONE, "tun device without routes by a gateway");
}
END_TEST

START_TEST(tun_with_the_default_route_is_an_uplink)
{
	struct inventory_link *link = add("tap0", "tun");

	link->routes = INVENTORY_DEFAULT;
	expect(link, SL_ROLE_UPLINK, "carries the default route");
}
END_TEST

START_TEST(device_without_kind_or_ethernet_is_nothing)
{
	struct inventory_link *link = add("pimreg", "");

	link->type = ARPHRD_PIMREG;
	expect(link, SL_ROLE_NONE, "unknown device without routes by a gateway");
}
END_TEST

START_TEST(names_decide_nothing)
{
	expect(add_pod("eth0"), SL_ROLE_POD, "veth into another network namespace");
	expect(add("veth0", ""), SL_ROLE_UPLINK, "network device");
}
END_TEST

START_TEST(override_wins_by_exact_name_and_the_last_counts)
{
	const struct attach_override overrides[] = {
		{ "eth", SL_ROLE_NONE },
		{ "eth0", SL_ROLE_NONE },
		{ "eth0", SL_ROLE_TUNNEL },
		{ "eth00", SL_ROLE_NONE },
	};
	struct role role;

	role_decide(&node, add("eth0", ""), overrides, SL_COUNT(overrides), &role);
	ck_assert_int_eq(role.role, SL_ROLE_TUNNEL);
	ck_assert_str_eq(role.why, "set by configuration");
	role_decide(&node, add("eth1", ""), overrides, SL_COUNT(overrides), &role);
	ck_assert_int_eq(role.role, SL_ROLE_UPLINK);
}
END_TEST

START_TEST(override_may_make_loopback_anything)
{
	const struct attach_override override = { "lo", SL_ROLE_POD };
	struct role role;

	role_decide(&node, add_loopback(), &override, 1, &role);
	ck_assert_int_eq(role.role, SL_ROLE_POD);
}
END_TEST

START_TEST(xdp_is_not_for_a_veth_unless_switched_on)
{
	struct inventory_link *link = add_pod("eth0");
	char why[ROLE_WHY_MAX] = "";

	ck_assert(!role_wants_xdp(&node, link, ATTACH_XDP_AUTO, why));
	ck_assert_str_eq(why, "not on a veth unless XDP is switched on");
	ck_assert(role_wants_xdp(&node, link, ATTACH_XDP_ON, why));
	ck_assert(!role_wants_xdp(&node, link, ATTACH_XDP_OFF, why));
	ck_assert_str_eq(why, "switched off");
}
END_TEST

START_TEST(xdp_is_not_for_a_device_with_vlans)
{
	struct inventory_link *link = add("eth0", "");
	struct inventory_link *vlan = add("eth0.7", "vlan");
	char why[ROLE_WHY_MAX] = "";

	ck_assert(role_wants_xdp(&node, link, ATTACH_XDP_AUTO, why));
	vlan->lower = link->ifindex;
	ck_assert(!role_wants_xdp(&node, link, ATTACH_XDP_AUTO, why));
	ck_assert_str_eq(why, "tags of its VLAN eth0.7 may be hidden from XDP");
	vlan->elsewhere = true;
	ck_assert(role_wants_xdp(&node, link, ATTACH_XDP_AUTO, why));
}
END_TEST

START_TEST(snat_uses_the_interface_s_first_primary_global_address)
{
	struct inventory_link *link = add("eth0", "");

	address(link, "169.254.7.7")->scope = RT_SCOPE_LINK;
	address(link, "192.0.2.1")->flags = IFA_F_SECONDARY;
	address(link, "192.0.2.2");
	address(link, "192.0.2.3");
	address(link, "fe80::1")->scope = RT_SCOPE_LINK;
	address(link, "2001:db8::1")->flags = IFA_F_TEMPORARY;
	address(link, "2001:db8::2");
	ck_assert_str_eq(snat(link, 4), "192.0.2.2");
	ck_assert_str_eq(snat(link, 6), "2001:db8::2");
}
END_TEST

START_TEST(snat_prefers_addresses_that_are_ready)
{
	struct inventory_link *link = add("eth0", "");

	address(link, "2001:db8::1")->flags = IFA_F_DADFAILED | IFA_F_TENTATIVE;
	address(link, "2001:db8::2")->flags = IFA_F_TENTATIVE;
	ck_assert_str_eq(snat(link, 6), "2001:db8::2");
	address(link, "2001:db8::3")->flags = IFA_F_DEPRECATED;
	ck_assert_str_eq(snat(link, 6), "2001:db8::3");
	address(link, "2001:db8::4")->flags = IFA_F_TENTATIVE | IFA_F_OPTIMISTIC;
	ck_assert_str_eq(snat(link, 6), "2001:db8::4");
}
END_TEST

START_TEST(snat_on_a_port_uses_its_bridge_s_address)
{
	struct inventory_link *eth0 = add("eth0", "");
	struct inventory_link *bridge = add("cni0", "bridge");
	struct inventory_link *pod = add_pod("veth1");

	pod->master = bridge->ifindex;
	address(eth0, "192.0.2.1");
	address(bridge, "10.244.1.1");
	ck_assert_str_eq(snat(pod, 4), "10.244.1.1");
}
END_TEST

START_TEST(snat_without_an_own_address_uses_the_node_s)
{
	struct inventory_link *first = add("eth0", "");
	struct inventory_link *second = add("eth1", "");
	struct inventory_link *pod = add_pod("cali1");

	address(first, "192.0.2.1");
	address(first, "2001:db8::1");
	address(second, "198.51.100.1");
	ck_assert_str_eq(snat(pod, 4), "192.0.2.1");
	second->routes = INVENTORY_DEFAULT;
	ck_assert_str_eq(snat(pod, 4), "198.51.100.1");
	ck_assert_str_eq(snat(pod, 6), "2001:db8::1");
}
END_TEST

START_TEST(node_s_address_is_found_on_the_bridge_over_the_uplink)
{
	struct inventory_link *bridge = add("br0", "bridge");
	struct inventory_link *other = add("eth0", "");
	struct inventory_link *uplink = add("eth1", "");
	struct inventory_link *pod = add_pod("cali1");

	bridge->routes = INVENTORY_DEFAULT;
	uplink->master = bridge->ifindex;
	address(other, "198.51.100.1");
	address(bridge, "192.0.2.1");
	ck_assert_str_eq(snat(pod, 4), "192.0.2.1");
}
END_TEST

START_TEST(node_s_address_may_be_on_loopback)
{
	struct inventory_link *lo = add_loopback();
	struct inventory_link *uplink = add("eth0", "");

	address(lo, "127.0.0.1");
	address(lo, "192.0.2.9");
	address(lo, "::1");
	ck_assert_str_eq(snat(uplink, 4), "192.0.2.9");
	ck_assert_str_eq(snat(uplink, 6), "::");
}
END_TEST

START_TEST(pods_and_strange_bridges_never_give_the_node_s_address)
{
	struct inventory_link *docker = add("docker0", "bridge");
	struct inventory_link *pod = add_pod("veth1");
	struct inventory_link *uplink = add("eth0", "");

	address(docker, "172.17.0.1");
	address(pod, "10.0.0.1");
	ck_assert_str_eq(snat(uplink, 4), "0.0.0.0");
}
END_TEST

/* Which of eth0, br0, its port cali1, and the pod link cali2 have pod traffic. */
static const struct {
	struct attach_detect detect;
	const char *want;
} detects[] = {
	{ { 0 }, "" },
	{ { .role = true }, "cali1 cali2 " },
	{ { .bridge = "br0" }, "br0 cali1 " },
	{ { .bridge = "br" }, "" },
	{ { .prefix = "cali" }, "cali1 cali2 " },
	{ { .prefix = "cali2" }, "cali2 " },
	{ { .prefix = "cali22" }, "" },
	{ { .prefix = "eth", .bridge = "br0" }, "eth0 br0 cali1 " },
};

START_TEST(pod_traffic_comes_in_where_the_detector_says)
{
	struct inventory_link *uplink = add("eth0", ""), *bridge = add("br0", "bridge");
	struct inventory_link *port = add_pod("cali1");
	char got[64] = "";

	add_pod("cali2");
	port->master = bridge->ifindex;
	uplink->routes = INVENTORY_DEFAULT;
	for (size_t i = 0; i < node.n_links; i++) {
		struct role role;

		role_decide(&node, &links[i], NULL, 0, &role);
		if (role_is_pod_traffic(&node, &links[i], role.role, &detects[_i].detect))
			strcat(strcat(got, links[i].name), " ");
	}
	ck_assert_str_eq(got, detects[_i].want);
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_test(tc, hardware_is_an_uplink);
	tcase_add_test(tc, veth_into_another_namespace_is_a_pod);
	tcase_add_test(tc, netkit_into_another_namespace_is_a_pod);
	tcase_add_test(tc, veth_with_a_host_route_is_a_pod);
	tcase_add_test(tc, veth_on_a_bridge_is_a_pod_even_if_the_bridge_has_the_default_route);
	tcase_add_test(tc, veth_with_the_default_route_is_an_uplink);
	tcase_add_test(tc, veth_with_routes_by_a_gateway_is_an_uplink);
	tcase_add_test(tc, veth_turns_from_pod_to_uplink_as_its_route_comes);
	tcase_add_test(tc, veth_pair_inside_this_namespace_is_nothing);
	tcase_add_test(tc, port_of_the_bridge_with_the_default_route_is_an_uplink);
	tcase_add_test(tc, hardware_port_of_another_bridge_is_an_uplink_too);
	tcase_add_test(tc, member_of_a_bond_is_left_to_the_bond);
	tcase_add_test(tc, virtual_function_below_its_synthetic_device_is_left_to_that);
	tcase_add_test(tc, device_in_a_vrf_is_judged_by_itself);
	tcase_add_test(tc, loopback_is_nothing);
	tcase_add_test(tc, dummy_is_nothing);
	tcase_add_test(tc, bridge_is_nothing_even_with_the_default_route);
	tcase_add_test(tc, tun_is_nothing_without_routes_by_a_gateway);
	tcase_add_test(tc, tun_with_the_default_route_is_an_uplink);
	tcase_add_test(tc, device_without_kind_or_ethernet_is_nothing);
	tcase_add_test(tc, names_decide_nothing);
	tcase_add_test(tc, override_wins_by_exact_name_and_the_last_counts);
	tcase_add_test(tc, override_may_make_loopback_anything);
	tcase_add_test(tc, xdp_is_not_for_a_veth_unless_switched_on);
	tcase_add_test(tc, xdp_is_not_for_a_device_with_vlans);
	tcase_add_test(tc, snat_uses_the_interface_s_first_primary_global_address);
	tcase_add_test(tc, snat_prefers_addresses_that_are_ready);
	tcase_add_test(tc, snat_on_a_port_uses_its_bridge_s_address);
	tcase_add_test(tc, snat_without_an_own_address_uses_the_node_s);
	tcase_add_test(tc, node_s_address_is_found_on_the_bridge_over_the_uplink);
	tcase_add_test(tc, node_s_address_may_be_on_loopback);
	tcase_add_test(tc, pods_and_strange_bridges_never_give_the_node_s_address);
}

int main(void)
{
	Suite *suite = suite_create("role");
	TCase *tc = tcase_create("role");
	SRunner *runner = srunner_create(suite);

	tcase_add_checked_fixture(tc, clear, NULL);
	tcase_add_loop_test(tc, devices_over_hardware_are_uplinks, 0, SL_COUNT(uplink_kinds));
	tcase_add_loop_test(tc, tunnels_are_tunnels_whatever_their_routes, 0,
			    SL_COUNT(tunnel_kinds));
	tcase_add_loop_test(tc, pod_traffic_comes_in_where_the_detector_says, 0, SL_COUNT(detects));
	add_tests(tc);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
