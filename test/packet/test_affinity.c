/* SPDX-License-Identifier: Apache-2.0 */

/* ClientIP affinity (S-140 ... S-149), and SCTP. */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <stdio.h>
#include <string.h>

#include "test/packet/harness.h"

#define INIT	   1
#define INIT_ACK   2
#define DATA	   0
#define COOKIE_ACK 11

static struct service_spec spec;
static uint32_t service, backend;
static uint16_t next_port = 20000;

/* A VIP and a second frontend with four backends; a new connection is UDP from a new port. */
static void four_backends(uint32_t affinity_s)
{
	spec = (struct service_spec) {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = VIP4,
		.proto = IPPROTO_UDP,
		.port = 80,
		.backends = { REMOTE4, "10.244.1.3", "10.244.1.4", "10.244.1.5" },
		.target_port = 8080,
		.affinity_s = affinity_s,
	};
	service = harness_service(&spec, &backend);
}

/* The last byte of the backend that a new connection of the client gets. */
static int connects(const char *client)
{
	struct frame f = frame_udp((struct ends) { client, next_port++, VIP4, 80 }, 10);

	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_NEXT);
	return f.data[33];
}

/* Makes the memory of a client look `ms` older. */
static void age(const char *client, uint32_t ms)
{
	int map = bpf_map__fd(harness.skel->maps.affinity4);
	struct sl_client4 key = { .service = service, .addr = { inet_addr(client) } };
	struct sl_affinity a;

	ck_assert_int_eq(bpf_map_lookup_elem(map, &key, &a), 0);
	for (int i = 0; i < 4; i++)
		a.at[i].used -= ms;
	ck_assert_int_eq(bpf_map_update_elem(map, &key, &a, BPF_EXIST), 0);
}

START_TEST(a_client_stays_with_its_backend)
{
	int first;

	four_backends(100);
	first = connects(POD4);
	for (int i = 0; i < 30; i++)
		ck_assert_int_eq(connects(POD4), first);
}
END_TEST

START_TEST(clients_are_remembered_one_by_one)
{
	char client[32];
	int seen[256] = {};

	four_backends(100);
	for (int i = 0; i < 40; i++) {
		snprintf(client, sizeof(client), "10.244.0.%d", 10 + i);
		seen[connects(client)]++;
	}
	ck_assert(seen[2] && seen[3] && seen[4] && seen[5]);
}
END_TEST

START_TEST(without_affinity_nothing_is_remembered)
{
	four_backends(0);
	connects(POD4);
	ck_assert_int_eq(harness_count(harness.skel->maps.affinity4), 0);
}
END_TEST

/* How many of 40 tries on fresh memory, `ms` later, keep the backend. */
static int kept_after(int ms)
{
	char client[32];
	int kept = 0;

	for (int i = 0; i < 40; i++) {
		int first;

		snprintf(client, sizeof(client), "10.244.0.%d", 10 + i);
		first = connects(client);
		age(client, ms);
		kept += connects(client) == first;
	}
	return kept;
}

START_TEST(memory_holds_until_the_timeout)
{
	four_backends(10);
	ck_assert_int_eq(kept_after(9900), 40);
}
END_TEST

START_TEST(memory_that_another_cpu_wrote_a_moment_later_holds)
{
	four_backends(10);
	ck_assert_int_eq(kept_after(-4), 40);
}
END_TEST

START_TEST(memory_ends_with_the_timeout)
{
	four_backends(10);
	ck_assert_int_lt(kept_after(10100), 30);
}
END_TEST

START_TEST(each_new_connection_refreshes_the_memory)
{
	int first;

	four_backends(10);
	first = connects(POD4);
	for (int i = 0; i < 10; i++) {
		age(POD4, 6000);
		ck_assert_int_eq(connects(POD4), first);
	}
}
END_TEST

START_TEST(a_backend_that_left_is_forgotten)
{
	int first;
	uint32_t other;

	four_backends(100);
	first = connects(POD4);
	other = first == 2 ? backend + 1 : backend;
	harness_set_backend(service, other);
	harness_retire_backend(backend + first - 2);
	ck_assert_int_ne(connects(POD4), first);
	ck_assert_int_eq(connects(POD4), first == 2 ? 3 : 2);
}
END_TEST

START_TEST(a_backend_that_is_not_in_the_set_any_more_is_not_used)
{
	struct sl_backend b;
	uint32_t id;
	int first;

	four_backends(100);
	first = connects(POD4);
	id = backend + first - 2;
	ck_assert_int_eq(bpf_map_lookup_elem(bpf_map__fd(harness.skel->maps.backends), &id, &b), 0);
	b.word = SL_BACKEND_WORD(SL_BACKEND_GENERATION(b.word), 0, SL_BACKEND_LIVE);
	bpf_map_update_elem(bpf_map__fd(harness.skel->maps.backends), &id, &b, 0);
	harness_set_backend(service, first == 2 ? backend + 1 : backend);
	ck_assert_int_ne(connects(POD4), first);
}
END_TEST

START_TEST(of_several_remembered_backends_the_first_in_order_is_used)
{
	struct sl_client4 key = { .service = 1, .addr = { inet_addr(POD4) } };
	int map = bpf_map__fd(harness.skel->maps.affinity4);
	struct sl_affinity a;

	four_backends(100);
	connects(POD4);
	ck_assert_int_eq(bpf_map_lookup_elem(map, &key, &a), 0);
	for (int i = 0; i < 4; i++) {
		a.at[i] = a.at[0];
		a.at[i].backend = backend + 3 - i;
	}
	bpf_map_update_elem(map, &key, &a, BPF_EXIST);
	ck_assert_int_eq(connects(POD4), 2);
}
END_TEST

static void sctp_service(uint16_t target_port)
{
	spec = (struct service_spec) {
		.kind = SL_KIND_CLUSTER_IP,
		.addr = CLUSTER4,
		.proto = IPPROTO_SCTP,
		.port = 80,
		.backends = { REMOTE4 },
		.target_port = target_port,
	};
	service = harness_service(&spec, &backend);
}

START_TEST(sctp_gets_address_and_port_translated_and_its_crc_made_right)
{
	static const uint32_t lengths[] = { 0, 4, 17, 500, 1400 };
	uint32_t payload = lengths[_i];
	struct frame f = frame_sctp((struct ends) { POD4, 40000, CLUSTER4, 80 }, INIT, 7, payload);
	struct frame want =
		frame_sctp((struct ends) { POD4, 40000, REMOTE4, 8080 }, INIT, 7, payload);

	sctp_service(8080);
	ck_assert_int_eq(run_ingress(harness.pod0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(sctp_answers_are_restored)
{
	struct frame f = frame_sctp((struct ends) { POD4, 40000, CLUSTER4, 80 }, INIT, 7, 20);
	struct frame want =
		frame_sctp((struct ends) { CLUSTER4, 80, POD4, 40000 }, INIT_ACK, 9, 33);
	struct frame answer;

	sctp_service(8080);
	run_ingress(harness.pod0, &f);
	answer = frame_sctp_answer(&f, INIT_ACK, 9, 33);
	ck_assert_int_eq(run_egress(harness.pod0, &answer), TC_NEXT);
	frame_assert_same(&answer, &want);
}
END_TEST

START_TEST(an_sctp_chunk_without_a_body_is_translated_too)
{
	struct frame f = frame_sctp((struct ends) { POD4, 40000, CLUSTER4, 80 }, INIT, 7, 20);
	struct frame want =
		frame_sctp_bare((struct ends) { CLUSTER4, 80, POD4, 40000 }, COOKIE_ACK);
	struct frame answer =
		frame_sctp_bare((struct ends) { REMOTE4, 8080, POD4, 40000 }, COOKIE_ACK);

	sctp_service(8080);
	run_ingress(harness.pod0, &f);
	ck_assert_int_eq(run_egress(harness.pod0, &answer), TC_NEXT);
	frame_assert_same(&answer, &want);
}
END_TEST

START_TEST(xdp_translates_an_sctp_chunk_without_a_body)
{
	struct ends ends = { CLIENT4, 40000, CLUSTER4, 80 };
	struct frame f = frame_sctp(ends, INIT, 7, 20);
	struct frame bare = frame_sctp_bare(ends, COOKIE_ACK);

	sctp_service(8080);
	run_xdp(&f);
	run_xdp(&bare);
	ck_assert(frame_checksums_right(&bare));
	ck_assert_int_eq(bare.data[33], 2);
}
END_TEST

START_TEST(sctp_is_promoted_by_an_answer_and_stays_with_a_backend_that_left)
{
	struct frame f = frame_sctp((struct ends) { POD4, 40000, CLUSTER4, 80 }, INIT, 7, 20);
	struct frame answer, data;

	sctp_service(80);
	run_ingress(harness.pod0, &f);
	answer = frame_sctp_answer(&f, INIT_ACK, 9, 33);
	run_egress(harness.pod0, &answer);
	data = frame_sctp((struct ends) { POD4, 40000, CLUSTER4, 80 }, DATA, 0, 20);
	run_ingress(harness.pod0, &data);
	ck_assert_int_eq(harness_count(harness.skel->maps.established4), 2);
	harness_retire_backend(backend);
	data = frame_sctp((struct ends) { POD4, 40000, CLUSTER4, 80 }, DATA, 0, 20);
	run_ingress(harness.pod0, &data);
	ck_assert_int_eq(data.data[33], 2);
	ck_assert_int_eq(harness_count(harness.skel->maps.established4), 2);
}
END_TEST

START_TEST(sctp_node_ports_are_found)
{
	struct frame f = frame_sctp((struct ends) { CLIENT4, 40000, NODE4, 30080 }, INIT, 7, 20);
	struct frame want = frame_sctp((struct ends) { CLIENT4, 40000, POD4, 8080 }, INIT, 7, 20);

	spec = (struct service_spec) {
		.kind = SL_KIND_NODE_PORT,
		.family = 4,
		.proto = IPPROTO_SCTP,
		.port = 30080,
		.backends = { POD4 },
		.target_port = 8080,
	};
	harness_service(&spec, NULL);
	run_ingress(harness.up0, &f);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(sctp_keeps_its_crc_right_by_xdp_too)
{
	struct frame f = frame_sctp((struct ends) { CLIENT4, 40000, CLUSTER4, 80 }, INIT, 7, 20);

	sctp_service(8080);
	run_xdp(&f);
	ck_assert(frame_checksums_right(&f));
	ck_assert_int_eq(f.data[33], 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("affinity");
	TCase *tcase = harness_case(suite, "affinity");

	tcase_add_test(tcase, a_client_stays_with_its_backend);
	tcase_add_test(tcase, clients_are_remembered_one_by_one);
	tcase_add_test(tcase, without_affinity_nothing_is_remembered);
	tcase_add_test(tcase, memory_holds_until_the_timeout);
	tcase_add_test(tcase, memory_that_another_cpu_wrote_a_moment_later_holds);
	tcase_add_test(tcase, memory_ends_with_the_timeout);
	tcase_add_test(tcase, each_new_connection_refreshes_the_memory);
	tcase_add_test(tcase, a_backend_that_left_is_forgotten);
	tcase_add_test(tcase, a_backend_that_is_not_in_the_set_any_more_is_not_used);
	tcase_add_test(tcase, of_several_remembered_backends_the_first_in_order_is_used);

	tcase = harness_case(suite, "SCTP");
	tcase_add_loop_test(tcase, sctp_gets_address_and_port_translated_and_its_crc_made_right, 0,
			    5);
	tcase_add_test(tcase, sctp_answers_are_restored);
	tcase_add_test(tcase, an_sctp_chunk_without_a_body_is_translated_too);
	tcase_add_test(tcase, xdp_translates_an_sctp_chunk_without_a_body);
	tcase_add_test(tcase, sctp_is_promoted_by_an_answer_and_stays_with_a_backend_that_left);
	tcase_add_test(tcase, sctp_node_ports_are_found);
	tcase_add_test(tcase, sctp_keeps_its_crc_right_by_xdp_too);
	return harness_run(suite);
}
