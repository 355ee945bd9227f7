/* SPDX-License-Identifier: Apache-2.0 */

/* The node's own processes: real sockets through the shipped cgroup programs. */

#include "test/packet/sock_fixture.h"

static const struct place *p;
static int client;

static void take_place(int form)
{
	p = &places[form];
}

/* A service of one kind; a backend at the node's own address, or two. */
static uint32_t service(uint8_t kind, uint8_t proto, bool two, enum sl_choice choice)
{
	struct service_spec spec = {
		.kind = kind,
		.addr = kind == SL_KIND_CLUSTER_IP  ? p->cluster
			: kind == SL_KIND_NODE_PORT ? NULL
						    : p->vip,
		.family = strchr(p->node, ':') ? 6 : 4,
		.proto = proto,
		.port = kind == SL_KIND_NODE_PORT ? 30080 : 80,
		.backends = { choice == SL_CHOOSE_REJECT ? NULL : p->node,
			      two ? (strchr(p->node, ':') ? NODE6_2 : NODE4_2) : NULL },
		.target_port = SERVER_PORT,
	};

	memset(spec.path, choice, sizeof(spec.path));
	return harness_service(&spec, NULL);
}

static const uint8_t kinds[] = { SL_KIND_CLUSTER_IP, SL_KIND_LOAD_BALANCER, SL_KIND_EXTERNAL_IP,
				 SL_KIND_NODE_PORT };

/* What a process writes to reach a service of the kind. */
static const char *address_of(uint8_t kind)
{
	return kind == SL_KIND_CLUSTER_IP  ? p->cluster
	       : kind == SL_KIND_NODE_PORT ? p->node
					   : p->vip;
}

static uint16_t port_of(uint8_t kind)
{
	return kind == SL_KIND_NODE_PORT ? 30080 : 80;
}

START_TEST(tcp_reaches_every_kind_of_frontend_and_sees_its_name)
{
	take_place(_i);
	serve(p, SOCK_STREAM, p->node, SERVER_PORT);
	for (size_t i = 0; i < SL_COUNT(kinds); i++) {
		uint32_t id = service(kinds[i], IPPROTO_TCP, false, SL_CHOOSE_CLUSTER);

		client = open_socket(p, SOCK_STREAM);
		ck_assert_int_eq(try_connect(p, client, address_of(kinds[i]), port_of(kinds[i])),
				 0);
		assert_peer(p, client, address_of(kinds[i]), port_of(kinds[i]));
		ck_assert_uint_eq(harness_service_stats(id).connections, 1);
	}
}
END_TEST

START_TEST(connected_udp_reaches_every_kind_of_frontend_and_sees_its_name)
{
	take_place(_i);
	int server = serve(p, SOCK_DGRAM, p->node, SERVER_PORT);

	for (size_t i = 0; i < SL_COUNT(kinds); i++) {
		service(kinds[i], IPPROTO_UDP, false, SL_CHOOSE_CLUSTER);
		client = open_socket(p, SOCK_DGRAM);
		ck_assert_int_eq(try_connect(p, client, address_of(kinds[i]), port_of(kinds[i])),
				 0);
		assert_peer(p, client, address_of(kinds[i]), port_of(kinds[i]));
		ck_assert_int_eq(send(client, "hello", 5, 0), 5);
		answer(server);
		assert_received_from(p, client, address_of(kinds[i]), port_of(kinds[i]));
	}
}
END_TEST

START_TEST(unconnected_udp_reaches_every_kind_of_frontend_and_sees_its_name)
{
	take_place(_i);
	int server = serve(p, SOCK_DGRAM, p->node, SERVER_PORT);

	for (size_t i = 0; i < SL_COUNT(kinds); i++) {
		uint32_t id = service(kinds[i], IPPROTO_UDP, false, SL_CHOOSE_CLUSTER);

		client = open_socket(p, SOCK_DGRAM);
		for (int n = 0; n < 3; n++) {
			ck_assert_int_eq(
				try_send(p, client, address_of(kinds[i]), port_of(kinds[i])), 0);
			answer(server);
			assert_received_from(p, client, address_of(kinds[i]), port_of(kinds[i]));
		}
		ck_assert_uint_eq(harness_service_stats(id).connections, 1);
	}
}
END_TEST

START_TEST(datagrams_of_a_socket_stay_with_one_backend)
{
	const char *second = _i == FORM_6 ? NODE6_2 : NODE4_2;
	char data[16];

	take_place(_i);
	int one = serve(p, SOCK_DGRAM, p->node, SERVER_PORT);
	int two = serve(p, SOCK_DGRAM, second, SERVER_PORT), split = 0, first = 0;

	service(SL_KIND_CLUSTER_IP, IPPROTO_UDP, true, SL_CHOOSE_CLUSTER);
	for (int socket = 0; socket < 24; socket++) {
		int at_one = 0, at_two = 0;

		client = open_socket(p, SOCK_DGRAM);
		for (int n = 0; n < 4; n++)
			ck_assert_int_eq(try_send(p, client, p->cluster, 80), 0);
		while (recv(one, data, sizeof(data), MSG_DONTWAIT) > 0)
			at_one++;
		while (recv(two, data, sizeof(data), MSG_DONTWAIT) > 0)
			at_two++;
		ck_assert_int_eq(at_one + at_two, 4);
		split += at_one && at_two;
		first += at_one > 0;
	}
	ck_assert_int_eq(split, 0);
	/* By chance once in eight million runs. */
	ck_assert_int_gt(first, 0);
	ck_assert_int_lt(first, 24);
}
END_TEST

START_TEST(a_connected_socket_that_names_its_frontend_stays_with_its_backend)
{
	const char *second = _i == FORM_6 ? NODE6_2 : NODE4_2;

	take_place(_i);
	int server[2] = { serve(p, SOCK_DGRAM, p->node, SERVER_PORT),
			  serve(p, SOCK_DGRAM, second, SERVER_PORT) };
	char data[16];

	service(SL_KIND_CLUSTER_IP, IPPROTO_UDP, true, SL_CHOOSE_CLUSTER);
	for (int n = 0; n < 12; n++) {
		int got[2] = { 0 };

		client = open_socket(p, SOCK_DGRAM);
		ck_assert_int_eq(try_connect(p, client, p->cluster, 80), 0);
		ck_assert_int_eq(send(client, "hello", 5, 0), 5);
		ck_assert_int_eq(try_send(p, client, p->cluster, 80), 0);
		for (int i = 0; i < 2; i++)
			while (recv(server[i], data, sizeof(data), MSG_DONTWAIT) > 0)
				got[i]++;
		ck_assert_msg(got[0] == 2 || got[1] == 2, "%d and %d datagrams", got[0], got[1]);
	}
}
END_TEST

/* The id serves another endpoint now. */
static void reuse_backend(uint32_t id)
{
	int backends = bpf_map__fd(harness.skel->maps.backends);
	struct sl_backend backend;

	ck_assert_int_eq(bpf_map_lookup_elem(backends, &id, &backend), 0);
	backend.word = SL_BACKEND_WORD(SL_BACKEND_GENERATION(backend.word) + 1, 3, SL_BACKEND_LIVE);
	ck_assert_int_eq(bpf_map_update_elem(backends, &id, &backend, BPF_ANY), 0);
}

static void move_datagrams(bool reused)
{
	int server = serve(p, SOCK_DGRAM, p->node, SERVER_PORT);
	uint32_t id = service(SL_KIND_CLUSTER_IP, IPPROTO_UDP, false, SL_CHOOSE_CLUSTER);
	uint32_t backend = harness.backends;
	uint32_t other;

	struct service_spec spec = {
		.kind = SL_KIND_EXTERNAL_IP,
		.addr = p->vip,
		.proto = IPPROTO_UDP,
		.port = 81,
		.backends = { p->node },
		.target_port = OTHER_PORT,
	};
	harness_service(&spec, &other);
	client = open_socket(p, SOCK_DGRAM);
	ck_assert_int_eq(try_send(p, client, p->cluster, 80), 0);
	answer(server);
	assert_received_from(p, client, p->cluster, 80);

	server = serve(p, SOCK_DGRAM, p->node, OTHER_PORT);
	harness_set_backend(id, other);
	harness_retire_backend(backend);
	if (reused)
		reuse_backend(backend);
	ck_assert_int_eq(try_send(p, client, p->cluster, 80), 0);
	answer(server);
	assert_received_from(p, client, p->cluster, 80);
}

START_TEST(a_datagram_leaves_a_backend_that_is_gone)
{
	take_place(_i);
	move_datagrams(false);
}
END_TEST

START_TEST(a_datagram_leaves_a_backend_whose_id_is_anothers)
{
	take_place(_i);
	move_datagrams(true);
}
END_TEST

START_TEST(without_endpoints_a_connection_is_refused)
{
	take_place(_i);
	for (size_t i = 0; i < SL_COUNT(kinds); i++) {
		uint32_t tcp = service(kinds[i], IPPROTO_TCP, false, SL_CHOOSE_REJECT);
		uint32_t udp = service(kinds[i], IPPROTO_UDP, false, SL_CHOOSE_REJECT);
		const char *to = address_of(kinds[i]);

		client = open_socket(p, SOCK_STREAM);
		ck_assert_int_eq(try_connect(p, client, to, port_of(kinds[i])), ECONNREFUSED);
		ck_assert_uint_eq(harness_losses(tcp, SL_REJECT_NO_ENDPOINTS), 1);
		client = open_socket(p, SOCK_DGRAM);
		ck_assert_int_eq(try_send(p, client, to, port_of(kinds[i])), ECONNREFUSED);
		ck_assert_int_eq(try_connect(p, client, to, port_of(kinds[i])), ECONNREFUSED);
		ck_assert_uint_eq(harness_losses(udp, SL_REJECT_NO_ENDPOINTS), 2);
		ck_assert_uint_eq(harness_service_stats(udp).connections, 0);
	}
}
END_TEST

START_TEST(an_unknown_port_of_a_cluster_ip_is_refused)
{
	take_place(_i);
	uint32_t id = service(SL_KIND_CLUSTER_IP, IPPROTO_TCP, false, SL_CHOOSE_CLUSTER);

	client = open_socket(p, SOCK_STREAM);
	ck_assert_int_eq(try_connect(p, client, p->cluster, 81), ECONNREFUSED);
	ck_assert_uint_eq(harness_losses(id, SL_REJECT_UNKNOWN_PORT), 1);
}
END_TEST

START_TEST(port_0_only_asks_for_a_route)
{
	take_place(_i);
	uint32_t id = service(SL_KIND_CLUSTER_IP, IPPROTO_TCP, false, SL_CHOOSE_CLUSTER);

	client = open_socket(p, SOCK_DGRAM);
	ck_assert_int_eq(try_connect(p, client, p->cluster, 0), 0);
	ck_assert_uint_eq(harness_losses(id, SL_REJECT_UNKNOWN_PORT), 0);
}
END_TEST

START_TEST(without_local_endpoints_a_connection_is_not_permitted)
{
	take_place(_i);
	uint32_t id = service(SL_KIND_CLUSTER_IP, IPPROTO_TCP, false, SL_CHOOSE_DROP);

	client = open_socket(p, SOCK_STREAM);
	ck_assert_int_eq(try_connect(p, client, p->cluster, 80), EPERM);
	ck_assert_uint_eq(harness_losses(id, SL_DROP_NO_LOCAL), 1);
}
END_TEST

/* Source ranges are asked for the address that the socket is bound to. */
START_TEST(source_ranges_look_at_the_sockets_address)
{
	const char *other = _i == FORM_6 ? NODE6_2 : NODE4_2;

	take_place(_i);
	struct service_spec spec = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = p->vip,
		.proto = IPPROTO_TCP,
		.port = 80,
		.backends = { p->node },
		.target_port = SERVER_PORT,
		.sources = _i == FORM_6 ? NODE6_2 "/128" : NODE4_2 "/32",
	};
	uint32_t id = harness_service(&spec, NULL);
	struct sockaddr_storage from;
	socklen_t len = fill(p, other, 0, &from);

	serve(p, SOCK_STREAM, p->node, SERVER_PORT);
	client = open_socket(p, SOCK_STREAM);
	ck_assert_int_eq(try_connect(p, client, p->vip, 80), EPERM);
	ck_assert_uint_eq(harness_losses(id, SL_DROP_POLICY), 1);
	client = open_socket(p, SOCK_STREAM);
	ck_assert_int_eq(bind(client, (struct sockaddr *)&from, len), 0);
	ck_assert_int_eq(try_connect(p, client, p->vip, 80), 0);
}
END_TEST

static struct sl_node this_node(void)
{
	struct sl_node n = { 0 };
	struct sl_addr addr;

	inet_pton(AF_INET, NODE4, n.addr4);
	inet_pton(AF_INET6, NODE6, addr.w);
	memcpy(n.addr6, addr.w, sizeof(n.addr6));
	return n;
}

START_TEST(a_socket_without_an_address_has_the_nodes)
{
	struct sl_node n = this_node();

	take_place(_i);
	struct service_spec spec = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = p->vip,
		.proto = IPPROTO_UDP,
		.port = 80,
		.backends = { p->node },
		.target_port = SERVER_PORT,
		.sources = _i == FORM_6 ? NODE6 "/128" : NODE4 "/32",
	};

	harness_service(&spec, NULL);
	client = open_socket(p, SOCK_DGRAM);
	ck_assert_int_eq(try_send(p, client, p->vip, 80), EPERM);
	ck_assert_int_eq(try_connect(p, client, p->vip, 80), EPERM);
	harness_set_node(&n);
	ck_assert_int_eq(try_send(p, client, p->vip, 80), 0);
	ck_assert_int_eq(try_connect(p, client, p->vip, 80), 0);
}
END_TEST

/* S-114; but the detector comes first. */
START_TEST(an_external_destination_is_asked_for_by_the_node)
{
	struct sl_node n = this_node();

	take_place(_i);
	struct service_spec spec = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = p->vip,
		.proto = IPPROTO_UDP,
		.port = 80,
		.backends = { p->node },
		.target_port = SERVER_PORT,
		.path = { [SL_PATH_CLUSTER_POD] = SL_CHOOSE_REJECT,
			  [SL_PATH_CLUSTER] = SL_CHOOSE_REJECT,
			  [SL_PATH_POD] = SL_CHOOSE_REJECT,
			  [SL_PATH_NODE] = SL_CHOOSE_CLUSTER,
			  [SL_PATH_OUTSIDE] = SL_CHOOSE_DROP },
	};

	harness_service(&spec, NULL);
	harness_set_node(&n);
	client = open_socket(p, SOCK_DGRAM);
	ck_assert_int_eq(try_connect(p, client, p->vip, 80), 0);

	n.detect4 = n.detect6 = SL_DETECT_SOURCE;
	memcpy(n.pods4.addr, n.addr4, sizeof(n.pods4.addr));
	memset(n.pods4.mask, 0xff, sizeof(n.pods4.mask));
	memcpy(n.pods6.addr, n.addr6, sizeof(n.pods6.addr));
	memset(n.pods6.mask, 0xff, sizeof(n.pods6.mask));
	harness_set_node(&n);
	client = open_socket(p, SOCK_DGRAM);
	ck_assert_int_eq(try_connect(p, client, p->vip, 80), ECONNREFUSED);
}
END_TEST

START_TEST(nobodys_address_of_a_service_cidr_is_not_permitted)
{
	struct sl_node n = { .n_services4 = 1, .n_services6 = 1 };

	take_place(_i);
	inet_pton(AF_INET, CLUSTER4, n.services4[0].addr);
	memset(n.services4[0].mask, 0xff, 4);
	inet_pton(AF_INET6, CLUSTER6, n.services6[0].addr);
	memset(n.services6[0].mask, 0xff, 16);
	client = open_socket(p, SOCK_DGRAM);
	ck_assert_int_eq(try_send(p, client, p->cluster, 80), 0);
	harness_set_node(&n);
	ck_assert_int_eq(try_send(p, client, p->cluster, 80), EPERM);
	ck_assert_uint_eq(harness_losses(0, SL_DROP_UNALLOCATED), 1);
}
END_TEST

START_TEST(affinity_brings_every_socket_to_one_backend)
{
	const char *second = _i == FORM_6 ? NODE6_2 : NODE4_2;
	char data[16];
	int got = 0;

	take_place(_i);
	struct service_spec spec = {
		.kind = SL_KIND_CLUSTER_IP,
		.addr = p->cluster,
		.proto = IPPROTO_UDP,
		.port = 80,
		.backends = { p->node, second },
		.target_port = SERVER_PORT,
		.affinity_s = 60,
	};
	int server = serve(p, SOCK_DGRAM, p->node, SERVER_PORT);

	serve(p, SOCK_DGRAM, second, SERVER_PORT);
	harness_service(&spec, NULL);
	for (int n = 0; n < 12; n++)
		ck_assert_int_eq(try_send(p, open_socket(p, SOCK_DGRAM), p->cluster, 80), 0);
	while (recv(server, data, sizeof(data), MSG_DONTWAIT) > 0)
		got++;
	ck_assert_msg(got == 0 || got == 12, "%d of 12", got);
}
END_TEST

START_TEST(node_ports_do_not_answer_on_loopback)
{
	take_place(_i);
	serve(p, SOCK_STREAM, p->node, SERVER_PORT);
	service(SL_KIND_NODE_PORT, IPPROTO_TCP, false, SL_CHOOSE_CLUSTER);
	client = open_socket(p, SOCK_STREAM);
	ck_assert_int_eq(try_connect(p, client, p->loopback, 30080), ECONNREFUSED);
	serve(p, SOCK_STREAM, p->loopback, 30080);
	client = open_socket(p, SOCK_STREAM);
	ck_assert_int_eq(try_connect(p, client, p->loopback, 30080), 0);
}
END_TEST

START_TEST(what_is_no_service_is_left_alone)
{
	take_place(_i);
	int server = serve(p, SOCK_DGRAM, p->node, OTHER_PORT);

	service(SL_KIND_CLUSTER_IP, IPPROTO_UDP, false, SL_CHOOSE_CLUSTER);
	client = open_socket(p, SOCK_DGRAM);
	ck_assert_int_eq(try_send(p, client, p->node, OTHER_PORT), 0);
	answer(server);
	assert_received_from(p, client, p->node, OTHER_PORT);
	ck_assert_int_eq(harness_count(harness.skel->maps.sockets), 0);
}
END_TEST

START_TEST(sockets_of_another_network_namespace_are_left_alone)
{
	take_place(_i);
	uint32_t id = service(SL_KIND_CLUSTER_IP, IPPROTO_TCP, false, SL_CHOOSE_REJECT);

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	client = open_socket(p, SOCK_STREAM);
	/* It has no routes: ENETUNREACH, or EADDRNOTAVAIL over IPv6. */
	ck_assert_int_ne(try_connect(p, client, p->cluster, 80), ECONNREFUSED);
	ck_assert_uint_eq(harness_losses(id, SL_REJECT_NO_ENDPOINTS), 0);
}
END_TEST

START_TEST(a_closed_socket_leaves_no_entry)
{
	take_place(_i);
	serve(p, SOCK_STREAM, p->node, SERVER_PORT);
	service(SL_KIND_CLUSTER_IP, IPPROTO_TCP, false, SL_CHOOSE_CLUSTER);
	service(SL_KIND_CLUSTER_IP, IPPROTO_UDP, false, SL_CHOOSE_CLUSTER);
	for (int i = 0; i < 2; i++) {
		client = open_socket(p, i ? SOCK_DGRAM : SOCK_STREAM);
		ck_assert_int_eq(try_connect(p, client, p->cluster, 80), 0);
		ck_assert_int_gt(harness_count(harness.skel->maps.sockets), 0);
		close(client);
		ck_assert_int_eq(harness_count(harness.skel->maps.sockets), 0);
	}
}
END_TEST

/* The way a resolver looks for the source address of one destination after another. */
START_TEST(a_socket_can_be_connected_again)
{
	take_place(_i);
	int server = serve(p, SOCK_DGRAM, p->node, SERVER_PORT);

	service(SL_KIND_CLUSTER_IP, IPPROTO_UDP, false, SL_CHOOSE_CLUSTER);
	service(SL_KIND_LOAD_BALANCER, IPPROTO_UDP, false, SL_CHOOSE_CLUSTER);
	client = open_socket(p, SOCK_DGRAM);
	ck_assert_int_eq(try_connect(p, client, p->cluster, 80), 0);
	ck_assert_int_eq(try_connect(p, client, p->vip, 80), 0);
	assert_peer(p, client, p->vip, 80);
	ck_assert_int_eq(send(client, "hello", 5, 0), 5);
	answer(server);
	assert_received_from(p, client, p->vip, 80);
}
END_TEST

static TCase *sock_case(Suite *suite, const char *name)
{
	TCase *tcase = harness_case(suite, name);

	tcase_add_checked_fixture(tcase, attach_programs, detach_programs);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("sock");
	TCase *served = sock_case(suite, "served");
	TCase *refused = sock_case(suite, "refused");
	TCase *left = sock_case(suite, "left alone");

	add_for_all(served, tcp_reaches_every_kind_of_frontend_and_sees_its_name);
	add_for_all(served, connected_udp_reaches_every_kind_of_frontend_and_sees_its_name);
	add_for_all(served, unconnected_udp_reaches_every_kind_of_frontend_and_sees_its_name);
	add_for_all(served, datagrams_of_a_socket_stay_with_one_backend);
	add_for_all(served, a_connected_socket_that_names_its_frontend_stays_with_its_backend);
	add_for_all(served, a_datagram_leaves_a_backend_that_is_gone);
	add_for_all(served, a_datagram_leaves_a_backend_whose_id_is_anothers);
	add_for_all(served, a_socket_can_be_connected_again);
	add_for_all(served, a_closed_socket_leaves_no_entry);
	add_for_all(refused, without_endpoints_a_connection_is_refused);
	add_for_all(refused, an_unknown_port_of_a_cluster_ip_is_refused);
	add_for_all(refused, without_local_endpoints_a_connection_is_not_permitted);
	add_for_all(served, affinity_brings_every_socket_to_one_backend);
	add_for_all(served, an_external_destination_is_asked_for_by_the_node);
	add_for_all(refused, nobodys_address_of_a_service_cidr_is_not_permitted);
	add_for_all(refused, a_socket_without_an_address_has_the_nodes);
	add_for_all(refused, source_ranges_look_at_the_sockets_address);
	add_for_all(left, port_0_only_asks_for_a_route);
	add_for_all(left, node_ports_do_not_answer_on_loopback);
	add_for_all(left, what_is_no_service_is_left_alone);
	add_for_all(left, sockets_of_another_network_namespace_are_left_alone);
	return run_in_cgroup(suite);
}
