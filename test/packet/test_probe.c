/* SPDX-License-Identifier: Apache-2.0 */

/* Probes for clients of idle connections whose endpoint left: which flows get one, and what
 * leaves the node then. */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/ip.h"
#include "common/mem.h"
#include "controlplane/tables/probe.h"
#include "test/packet/harness.h"

/* Of a router at up0; the MAC that the harness gives it. */
static const uint8_t mac_router[6] = { 2, 0, 0, 0, 1, 1 };

static const struct {
	const char *client, *vip, *remote, *local, *unresolved, *router, *unreachable;
} places[] = {
	{ CLIENT4, VIP4, REMOTE4, POD4, "10.244.5.9", "192.0.2.77", "10.244.3.9" },
	{ CLIENT6, VIP6, REMOTE6, POD6, "fd00:244:5::9", "2001:db8::77", NULL },
};

static uint32_t service, backend;
static struct ends ends;
static int family;

/* An established flow of `client`. */
static void flow_of(int place, const char *client)
{
	struct service_spec spec = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = places[place].vip,
		.proto = IPPROTO_TCP,
		.port = 80,
		.backends = { places[place].local },
		.target_port = 8080,
	};

	family = place == 0 ? 4 : 6;
	ends = (struct ends) { client, 40000, places[place].vip, 80 };
	service = harness_service(&spec, &backend);
	harness_establish(harness.up0, 0, ends);
}

/* ... whose backend has left a service that resets. */
static void idle_flow(int place, const char *client)
{
	flow_of(place, client);
	harness_set_leave(service, SL_LEAVE_RESET, 0);
	harness_retire_backend(backend);
}

static struct sl_tuple6 key_of(struct ends e)
{
	struct sl_tuple6 key = { .sport = htons(e.sport),
				 .dport = htons(e.dport),
				 .proto = IPPROTO_TCP };
	struct sl_addr saddr, daddr;

	ck_assert_int_gt(ip_parse(e.saddr, &saddr), 0);
	ck_assert_int_gt(ip_parse(e.daddr, &daddr), 0);
	memcpy(key.saddr, &saddr, sizeof(saddr));
	memcpy(key.daddr, &daddr, sizeof(daddr));
	return key;
}

/* Reads (`put` false) or writes the entry with this key. */
static void entry(const struct sl_tuple6 *key, struct sl_flow6 *flow, bool put)
{
	const struct sluice *skel = harness.skel;
	int map = bpf_map__fd(family == 4 ? skel->maps.established4 : skel->maps.established6);
	struct sl_tuple4 key4 = { .saddr = { key->saddr[0] },
				  .daddr = { key->daddr[0] },
				  .sport = key->sport,
				  .dport = key->dport,
				  .proto = key->proto };
	const void *k = family == 4 ? (const void *)&key4 : key;

	ck_assert_int_eq(put ? bpf_map_update_elem(map, k, flow, BPF_EXIST)
			     : bpf_map_lookup_elem(map, k, flow),
			 0);
}

static struct sl_flow entry_of(const struct sl_tuple6 *key)
{
	struct sl_flow6 flow;

	entry(key, &flow, false);
	return flow.f;
}

static int probe(void)
{
	struct sl_tuple6 key = key_of(ends);
	struct sl_flow flow = entry_of(&key);

	return probe_send(bpf_program__fd(harness.skel->progs.sluice_probe), &key, family, &flow);
}

/* What arrives at the other end of an interface, from now on. */
static int listen_at(const char *iface)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(iface),
	};
	struct timeval patience = { .tv_sec = 5 };
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	return fd;
}

/* The next frame that is TCP, or (`tcp` false) a question for a neighbour. */
static struct frame next_frame(int fd, bool tcp)
{
	struct frame f = { 0 };

	for (;;) {
		ssize_t len = recv(fd, f.data, sizeof(f.data), 0);
		bool is_arp = f.data[12] == 0x08 && f.data[13] == 0x06;
		const uint8_t *l3 = f.data + ETH_HLEN;

		ck_assert_msg(len > 0, "nothing came: %s", strerror(errno));
		f.len = (uint32_t)len;
		if (tcp ? !is_arp && (family == 4 ? l3[9] : l3[6]) == IPPROTO_TCP
			: is_arp || (family == 6 && l3[6] == IPPROTO_ICMPV6 && l3[40] == 135))
			return f;
	}
}

/* What the client gets: a bare ACK of the frontend. */
static struct frame wanted(uint32_t seq)
{
	struct frame f =
		frame_tcp((struct ends) { ends.daddr, 80, ends.saddr, 40000 }, ACK, seq, 1001, 0);

	frame_set_window(&f, 65535);
	frame_set_macs(&f, mac_router, frame_mac_own);
	return f;
}

START_TEST(the_client_gets_an_ack_from_the_frontend)
{
	int fd = listen_at("up1");
	struct frame got, want;

	idle_flow(_i, places[_i].client);
	ck_assert_int_eq(probe(), SL_PROBE_SENT);
	got = next_frame(fd, true);
	want = wanted(2000);
	frame_assert_same(&got, &want);
	ck_assert(frame_checksums_right(&got));
	close(fd);
}
END_TEST

/* Of two sequence numbers that are 2^31 apart one is out of any window. */
START_TEST(the_second_is_half_the_numbers_away)
{
	int fd = listen_at("up1");
	struct frame got, want;

	idle_flow(_i, places[_i].client);
	probe();
	next_frame(fd, true);
	ck_assert_int_eq(probe(), SL_PROBE_SENT);
	got = next_frame(fd, true);
	want = wanted(2000 + (1U << 31));
	frame_assert_same(&got, &want);
	close(fd);
}
END_TEST

START_TEST(the_answer_meets_the_reset)
{
	struct frame f;

	idle_flow(_i, places[_i].client);
	ck_assert_int_eq(probe(), SL_PROBE_SENT);
	f = frame_tcp(ends, ACK, 1001, 2001, 0);
	harness.gets_shorter = true;
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_REDIRECT);
	ck_assert_uint_eq(f.data[f.len - 20 + 13], RST);
	ck_assert_uint_eq(harness_losses(service, SL_RESET_LEFT), 1);
	/* And that was the last probe. */
	ck_assert_int_eq(probe(), SL_PROBE_NOT_DUE);
}
END_TEST

START_TEST(our_egress_program_leaves_it_alone)
{
	struct frame f, before;

	idle_flow(_i, places[_i].client);
	f = before = wanted(2000);
	ck_assert_int_eq(run_egress(harness.up0, &f), TC_NEXT);
	frame_assert_same(&f, &before);
}
END_TEST

START_TEST(a_client_that_does_not_answer_gets_three)
{
	idle_flow(_i, places[_i].client);
	for (int i = 0; i < SL_PROBES_MAX; i++)
		ck_assert_int_eq(probe(), SL_PROBE_SENT);
	ck_assert_int_eq(probe(), SL_PROBE_NOT_DUE);
}
END_TEST

START_TEST(kept_connections_get_none)
{
	flow_of(_i, places[_i].client);
	harness_retire_backend(backend);
	ck_assert_int_eq(probe(), SL_PROBE_NOT_DUE);
}
END_TEST

START_TEST(connections_of_a_living_backend_get_none)
{
	flow_of(_i, places[_i].client);
	harness_set_leave(service, SL_LEAVE_RESET, 0);
	ck_assert_int_eq(probe(), SL_PROBE_NOT_DUE);
}
END_TEST

START_TEST(drained_connections_get_none_before_their_deadline)
{
	flow_of(_i, places[_i].client);
	harness_set_leave(service, SL_LEAVE_DRAIN, 30);
	harness_retire_backend(backend);
	ck_assert_int_eq(probe(), SL_PROBE_NOT_DUE);
	harness_age_backend(backend, 40);
	ck_assert_int_eq(probe(), SL_PROBE_SENT);
}
END_TEST

START_TEST(closed_connections_get_none)
{
	struct frame rst;

	idle_flow(_i, places[_i].client);
	rst = frame_tcp(ends, RST, 1001, 0, 0);
	run_ingress(harness.up0, &rst);
	ck_assert_int_eq(probe(), SL_PROBE_NOT_DUE);
}
END_TEST

START_TEST(expired_connections_get_none)
{
	idle_flow(_i, places[_i].client);
	harness_age_flows(3700);
	ck_assert_int_eq(probe(), SL_PROBE_NOT_DUE);
}
END_TEST

START_TEST(the_entry_for_answers_gets_none)
{
	struct ends answers = { places[_i].local, 8080, places[_i].client, 40000 };

	idle_flow(_i, places[_i].client);
	ends = answers;
	ck_assert_int_eq(probe(), SL_PROBE_NOT_DUE);
}
END_TEST

/* An element that was recycled between two reads has another flow's tag. */
START_TEST(a_flow_with_another_tag_gets_none)
{
	struct sl_tuple6 key;
	struct sl_flow6 flow;

	idle_flow(_i, places[_i].client);
	key = key_of(ends);
	entry(&key, &flow, false);
	flow.f.tag++;
	entry(&key, &flow, true);
	ck_assert_int_eq(probe(), SL_PROBE_NOT_DUE);
}
END_TEST

/* Other tests may have asked, and the kernel waits before it asks again. */
static void forget_router(const char *router)
{
	char command[128];

	snprintf(command, sizeof(command), "ip neigh flush to %s dev up0", router);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(an_unknown_neighbour_is_asked_for)
{
	struct sl_addr router;
	struct frame got;
	int fd = listen_at("up1");

	forget_router(places[_i].router);
	idle_flow(_i, places[_i].unresolved);
	ck_assert_int_eq(probe(), SL_PROBE_NO_NEIGHBOUR);
	got = next_frame(fd, false);
	ip_parse(places[_i].router, &router);
	ck_assert_mem_eq(got.data + (family == 4 ? 38 : 62), &router, family == 4 ? 4 : 16);
	close(fd);
}
END_TEST

START_TEST(what_can_not_be_reached_is_given_up)
{
	idle_flow(0, places[0].unreachable);
	for (int i = 0; i < SL_PROBES_MAX; i++)
		ck_assert_int_eq(probe(), SL_PROBE_NO_ROUTE);
	ck_assert_int_eq(probe(), SL_PROBE_NOT_DUE);
}
END_TEST

/* No raw socket, no administration of the machine. */
START_TEST(it_needs_the_daemons_capabilities_only)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	int fd = listen_at("up1");
	const int kept[] = { CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON };

	forget_router(places[_i].router);
	idle_flow(_i, places[_i].client);
	for (size_t i = 0; i < SL_COUNT(kept); i++)
		data[kept[i] / 32].permitted |= 1U << kept[i] % 32;
	data[0].effective = data[0].permitted;
	data[1].effective = data[1].permitted;
	ck_assert_int_eq(syscall(SYS_capset, &header, data), 0);
	ck_assert_int_eq(socket(AF_PACKET, SOCK_RAW, 0), -1);
	ck_assert_int_eq(probe(), SL_PROBE_SENT);
	next_frame(fd, true);
	idle_flow(_i, places[_i].unresolved);
	ck_assert_int_eq(probe(), SL_PROBE_NO_NEIGHBOUR);
	next_frame(fd, false);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("probe");
	TCase *tcase = harness_case(suite, "probe");

	add_for_both(tcase, the_client_gets_an_ack_from_the_frontend);
	add_for_both(tcase, the_second_is_half_the_numbers_away);
	add_for_both(tcase, the_answer_meets_the_reset);
	add_for_both(tcase, our_egress_program_leaves_it_alone);
	add_for_both(tcase, a_client_that_does_not_answer_gets_three);
	add_for_both(tcase, kept_connections_get_none);
	add_for_both(tcase, connections_of_a_living_backend_get_none);
	add_for_both(tcase, drained_connections_get_none_before_their_deadline);
	add_for_both(tcase, closed_connections_get_none);
	add_for_both(tcase, expired_connections_get_none);
	add_for_both(tcase, the_entry_for_answers_gets_none);
	add_for_both(tcase, a_flow_with_another_tag_gets_none);
	add_for_both(tcase, it_needs_the_daemons_capabilities_only);
	add_for_both(tcase, an_unknown_neighbour_is_asked_for);
	tcase_add_test(tcase, what_can_not_be_reached_is_given_up);
	return harness_run(suite);
}
