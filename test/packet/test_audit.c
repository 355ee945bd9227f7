/* SPDX-License-Identifier: Apache-2.0 */

/* Somebody else writes to the maps: the audit repairs that, and nothing else. */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <check.h>
#include <netinet/in.h>
#include <string.h>

#include "common/hash.h"
#include "common/log.h"
#include "controlplane/tables/state.h"
#include "writer.h"

/* The maps that the writer owns; services and records have a look of their own,
 * since a repaired record may have another place. */
static const enum datapath_map owned[] = {
	DATAPATH_filter,     DATAPATH_node_ports, DATAPATH_endpoint_set, DATAPATH_frontends4,
	DATAPATH_frontends6, DATAPATH_maglev,	  DATAPATH_backends,	 DATAPATH_identities,
	DATAPATH_policy4,    DATAPATH_policy6,	  DATAPATH_node,	 DATAPATH_ifaces,
};

static uint64_t digest_of_bytes(const void *bytes, size_t n, uint64_t h)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 0x100000001b3ULL;
	return h;
}

/* Of all that is in a map, in whatever order. */
static uint64_t digest(enum datapath_map map)
{
	uint8_t key[64], next[64], value[512];
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	int fd = datapath_map(dp, map);
	bool any = bpf_map_get_next_key(fd, NULL, next) == 0;
	uint64_t sum = 0;

	ck_assert_int_eq(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	while (any) {
		uint64_t h;

		memcpy(key, next, sizeof(key));
		any = bpf_map_get_next_key(fd, key, next) == 0;
		ck_assert_int_eq(bpf_map_lookup_elem(fd, key, value), 0);
		h = digest_of_bytes(key, info.key_size, 1);
		sum += sl_mix(digest_of_bytes(value, info.value_size, h));
	}
	return sum;
}

static void audit_once(void)
{
	/* Whatever was planned before is over. */
	settle();
	run_sweeps(300);
	while (!audit_slice(tables->audit))
		;
}

static json_int_t repaired(const char *map)
{
	json_t *all = tables_audit(tables);
	json_int_t n = json_integer_value(json_object_get(json_object_get(all, "repaired"), map));

	json_decref(all);
	return n;
}

static size_t maps_repaired(void)
{
	json_t *all = tables_audit(tables);
	size_t n = json_object_size(json_object_get(all, "repaired"));

	json_decref(all);
	return n;
}

/* Two Services in each family, with ranges, on a node with interfaces. */
static void program(void)
{
	struct tables_address here = { .addr = ip("192.0.2.1"), .family = 4, .node_port = true };
	struct sl_iface iface = { .role = SL_ROLE_UPLINK, .addr4 = inet_addr("192.0.2.1") };
	struct sl_node node = { .detect4 = SL_DETECT_SOURCE, .addr4 = { inet_addr("192.0.2.1") } };
	struct web w;

	tables_set_audit(tables, 0);
	web_three(&w);
	web_frontend(&w, "198.51.100.1", 80, SL_KIND_LOAD_BALANCER);
	web_frontend(&w, NULL, 30080, SL_KIND_NODE_PORT);
	w.sources[0] = (struct ip_prefix) { .family = 4, .len = 8, .addr = ip("10.0.0.0") };
	w.sources[1] = (struct ip_prefix) { .family = 4, .len = 16, .addr = ip("10.1.0.0") };
	w.port.n_sources = 2;
	apply(&w);
	web_init(&w, "other", "10.96.0.2");
	web_backend(&w, "10.244.2.1", BOTH);
	apply(&w);
	web_init(&w, "six", "fd00::1");
	web_backend(&w, "fd00:1::1", BOTH);
	web_backend(&w, "fd00:1::2", BOTH);
	w.sources[0] = (struct ip_prefix) { .family = 6, .len = 32, .addr = ip("2001:db8::") };
	w.port.n_sources = 1;
	apply(&w);
	ck_assert_int_eq(tables_set_addresses(tables, &here, 1), 0);
	ck_assert_int_eq(tables_set_iface(tables, 7, &iface), 0);
	ck_assert_int_eq(tables_set_iface(tables, 8, &iface), 0);
	tables_set_node(tables, &node);
	tables_synced(tables);
	audit_once();
	ck_assert_uint_eq(maps_repaired(), 0);
}

static void put(enum datapath_map map, const void *key, const void *value)
{
	ck_assert_int_eq(bpf_map_update_elem(datapath_map(dp, map), key, value, BPF_ANY), 0);
}

static void take(enum datapath_map map, const void *key)
{
	ck_assert_int_eq(bpf_map_delete_elem(datapath_map(dp, map), key), 0);
}

static void get(enum datapath_map map, const void *key, void *value)
{
	ck_assert_int_eq(bpf_map_lookup_elem(datapath_map(dp, map), key, value), 0);
}

static struct sl_frontend4 key4(const char *addr, uint16_t port)
{
	return (struct sl_frontend4) { .addr = { inet_addr(addr) },
				       .port = htons(port),
				       .proto = IPPROTO_TCP };
}

static void lose_frontend(void)
{
	struct sl_frontend4 key = key4("10.96.0.1", 80);

	take(DATAPATH_frontends4, &key);
}

static void turn_frontend(void)
{
	struct sl_frontend4 key = key4("198.51.100.1", 80);
	uint64_t value;

	get(DATAPATH_frontends4, &key, &value);
	value ^= 3;
	put(DATAPATH_frontends4, &key, &value);
}

static void add_frontend(void)
{
	struct sl_frontend4 key = key4("10.96.0.99", 443);
	uint64_t value = 5;

	put(DATAPATH_frontends4, &key, &value);
}

static void lose_frontend6(void)
{
	struct sl_frontend6 key = { .port = htons(80), .proto = IPPROTO_TCP };

	memcpy(key.addr, ip("fd00::1").w, sizeof(key.addr));
	take(DATAPATH_frontends6, &key);
}

static void lose_endpoint(void)
{
	uint32_t id = backend_id("10.244.1.2");
	struct sl_backend at;

	get(DATAPATH_backends, &id, &at);
	at.word = SL_BACKEND_WORD(0, 0, SL_BACKEND_GONE);
	put(DATAPATH_backends, &id, &at);
}

static void move_backend(void)
{
	uint32_t id = backend_id("10.244.2.1");
	struct sl_backend at;

	get(DATAPATH_backends, &id, &at);
	at.addr = ip("10.9.9.9");
	at.port = 1;
	at.service = 3;
	put(DATAPATH_backends, &id, &at);
}

static void add_backend(void)
{
	uint32_t id = MAX_BACKENDS - 1;
	struct sl_backend at = { .word = SL_BACKEND_WORD(0, 3, SL_BACKEND_LIVE) };

	put(DATAPATH_backends, &id, &at);
}

static void spoil_run(void)
{
	uint32_t at = (record_at("10.96.0.1", 80)->set[SL_SET_CLUSTER].first + 40) / 2;
	struct sl_slots wrong = { { 31, 0 } };

	put(DATAPATH_maglev, &at, &wrong);
}

static void clear_bits(enum datapath_map map, uint32_t slot, unsigned int bits)
{
	uint32_t word = slot / (64 / bits);
	uint64_t value;

	get(map, &word, &value);
	value &= ~(((1ULL << bits) - 1) << slot % (64 / bits) * bits);
	put(map, &word, &value);
}

static void lose_filter_bit(void)
{
	clear_bits(DATAPATH_filter, sl_filter_slot(ip("10.96.0.2").w, 1), 2);
	ck_assert_uint_eq(filter_bits("10.96.0.2"), 0);
}

static void lose_node_bit(void)
{
	clear_bits(DATAPATH_filter, sl_filter_slot(ip("192.0.2.1").w, 1), 2);
	ck_assert_uint_eq(filter_bits("192.0.2.1"), 0);
}

static void add_filter_bit(void)
{
	uint32_t word = 1;
	uint64_t all = 1;

	put(DATAPATH_filter, &word, &all);
}

static void lose_endpoint_bit(void)
{
	clear_bits(DATAPATH_endpoint_set, sl_filter_slot(ip("10.244.1.1").w, 1), 1);
	ck_assert(!endpoint_bit("10.244.1.1"));
}

static void lose_port_bit(void)
{
	clear_bits(DATAPATH_node_ports, 30080, 1);
	ck_assert(!port_bit(0, 30080));
}

/* The shorter prefix covers it: only its own entry tells. */
static void lose_source(void)
{
	struct sl_policy4 key = { .prefixlen = 32 + 16,
				  .policy = record_at("10.96.0.1", 80)->policy,
				  .addr = { inet_addr("10.1.0.0") } };

	take(DATAPATH_policy4, &key);
}

static void lose_source6(void)
{
	struct sl_policy6 key = { .prefixlen = 32 + 32,
				  .policy = record_at("fd00::1", 80)->policy };

	memcpy(key.addr, ip("2001:db8::").w, sizeof(key.addr));
	take(DATAPATH_policy6, &key);
}

static void add_sources(void)
{
	uint32_t value = 1;

	/* One of a policy that is there, and one of none. */
	for (uint32_t i = 0; i < 2; i++) {
		struct sl_policy4 key = {
			.prefixlen = 32 + 24,
			.policy = i ? 12 : record_at("10.96.0.1", 80)->policy,
			.addr = { inet_addr("203.0.113.0") },
		};

		put(DATAPATH_policy4, &key, &value);
	}
}

static void lose_iface(void)
{
	uint32_t ifindex = 7;

	take(DATAPATH_ifaces, &ifindex);
}

static void turn_iface(void)
{
	uint32_t ifindex = 8;
	struct sl_iface iface = { .role = SL_ROLE_POD };

	put(DATAPATH_ifaces, &ifindex, &iface);
}

static void add_iface(void)
{
	uint32_t ifindex = 99;
	struct sl_iface iface = { .role = SL_ROLE_POD };

	put(DATAPATH_ifaces, &ifindex, &iface);
}

static void spoil_node(void)
{
	uint32_t zero = 0;
	struct sl_node node;

	get(DATAPATH_node, &zero, &node);
	node.detect4 = SL_DETECT_INTERFACE;
	node.n_services6 = 2;
	node.was_compatible = 1;
	put(DATAPATH_node, &zero, &node);
}

static void spoil_name(void)
{
	uint32_t id = service_at("10.96.0.1", 80);
	struct sl_identity name = { .namespace_ = "x", .family = 4 };

	put(DATAPATH_identities, &id, &name);
}

static void add_name(void)
{
	uint32_t id = MAX_SERVICES - 1;
	struct sl_identity name = { .namespace_ = "x", .family = 4 };

	put(DATAPATH_identities, &id, &name);
}

static void lose_service(void)
{
	uint32_t id = service_at("10.96.0.1", 80);
	uint64_t word = 0;

	put(DATAPATH_services, &id, &word);
}

static void add_service(void)
{
	uint32_t id = MAX_SERVICES - 1;
	uint64_t word = SL_SERVICE_WORD(3, 0);

	put(DATAPATH_services, &id, &word);
}

static const struct {
	void (*damage)(void);
	const char *map;
} damages[] = {
	{ lose_frontend, "frontends4" },
	{ turn_frontend, "frontends4" },
	{ add_frontend, "frontends4" },
	{ lose_frontend6, "frontends6" },
	{ lose_endpoint, "backends" },
	{ move_backend, "backends" },
	{ spoil_run, "maglev" },
	{ lose_filter_bit, "filter" },
	{ lose_node_bit, "filter" },
	{ add_filter_bit, "filter" },
	{ lose_endpoint_bit, "endpoint_set" },
	{ lose_port_bit, "node_ports" },
	{ lose_source, "policy4" },
	{ lose_source6, "policy6" },
	{ add_sources, "policy4" },
	{ lose_iface, "ifaces" },
	{ turn_iface, "ifaces" },
	{ add_iface, "ifaces" },
	{ spoil_node, "node" },
	{ spoil_name, "identities" },
	{ add_name, "identities" },
	{ lose_service, "services" },
	{ add_service, "services" },
};

START_TEST(what_was_damaged_is_repaired_and_nothing_else)
{
	uint64_t before[SL_COUNT(owned)], before_services, before_records;

	program();
	for (size_t i = 0; i < SL_COUNT(owned); i++)
		before[i] = digest(owned[i]);
	before_services = digest(DATAPATH_services);
	before_records = digest(DATAPATH_records);
	damages[_i].damage();
	audit_once();
	ck_assert_msg(repaired(damages[_i].map) > 0, "%s", damages[_i].map);
	ck_assert_uint_eq(maps_repaired(), 1);
	/* A bit waits for a sweep of the flows. */
	for (int i = 0; i < 100 && digest(DATAPATH_filter) != before[0]; i++)
		run_sweeps(100);
	for (size_t i = 0; i < SL_COUNT(owned); i++)
		ck_assert_msg(digest(owned[i]) == before[i], "%s is not what it was",
			      datapath_map_name(owned[i]));
	ck_assert_uint_eq(digest(DATAPATH_services), before_services);
	ck_assert_uint_eq(digest(DATAPATH_records), before_records);
	/* And there is nothing more to repair. */
	audit_once();
	ck_assert_uint_eq(maps_repaired(), 1);
}
END_TEST

/* A flow that has its id must not take it for the next owner's. */
START_TEST(a_backend_of_nobody_is_freed_with_a_new_generation)
{
	program();
	add_backend();
	audit_once();
	ck_assert_int_eq(repaired("backends"), 1);
	ck_assert_uint_eq(backends[MAX_BACKENDS - 1].word, SL_BACKEND_WORD(1, 0, SL_BACKEND_FREE));
}
END_TEST

START_TEST(a_record_is_repaired_beside_the_spoilt_one)
{
	struct sl_record was, spoilt;
	uint64_t others, word;
	uint32_t id, index;

	program();
	id = service_at("10.96.0.1", 80);
	word = services[id];
	index = SL_SERVICE_RECORD(word);
	others = services[service_at("10.96.0.2", 80)];
	spoilt = was = records[index];
	spoilt.set[SL_SET_CLUSTER].first = 77;
	spoilt.policy = 0;
	put(DATAPATH_records, &index, &spoilt);
	audit_once();
	ck_assert_int_eq(repaired("records"), 1);
	ck_assert_uint_eq(maps_repaired(), 1);
	/* Who read the old one reads it to its end. */
	ck_assert_uint_ne(SL_SERVICE_RECORD(services[id]), index);
	ck_assert_uint_eq(services[id] >> 32, (word >> 32) + 1);
	ck_assert_mem_eq(&records[index], &spoilt, sizeof(spoilt));
	ck_assert_mem_eq(&records[SL_SERVICE_RECORD(services[id])], &was, sizeof(was));
	ck_assert_uint_eq(services[service_at("10.96.0.2", 80)], others);
	audit_once();
	ck_assert_int_eq(repaired("records"), 1);
}
END_TEST

/* Somebody fills the map with what is nobody's; false: it is full. */
static bool add_stray(enum datapath_map map, uint32_t i)
{
	struct sl_frontend4 frontend = { .addr = { htonl(0xc6120000 + i) },
					 .port = htons(80),
					 .proto = IPPROTO_TCP };
	struct sl_policy4 prefix = { .prefixlen = 64,
				     .policy = 9,
				     .addr = { htonl(0xc6120000 + i) } };
	uint64_t value = SL_POLICY_VALUE(32);

	return bpf_map_update_elem(datapath_map(dp, map),
				   map == DATAPATH_policy4 ? (void *)&prefix : (void *)&frontend,
				   &value, BPF_NOEXIST) == 0;
}

static const struct {
	void (*damage)(void);
	enum datapath_map map;
} full[] = {
	{ lose_frontend, DATAPATH_frontends4 },
	{ lose_source, DATAPATH_policy4 },
};

/* What does not fit is no repair; it comes back when what is nobody's is gone. */
START_TEST(what_a_full_map_can_not_take_back_comes_in_the_next_round)
{
	const char *name = datapath_map_name(full[_i].map);
	uint64_t before;
	json_int_t strays = 0;

	program();
	before = digest(full[_i].map);
	full[_i].damage();
	while (add_stray(full[_i].map, (uint32_t)strays))
		strays++;
	ck_assert_int_gt(strays, 0);
	audit_once();
	ck_assert_int_eq(repaired(name), strays);
	audit_once();
	ck_assert_uint_eq(digest(full[_i].map), before);
}
END_TEST

/* It is what a change starts from. */
START_TEST(changes_go_on_after_a_repair)
{
	struct web w;

	program();
	spoil_run();
	lose_endpoint();
	lose_service();
	audit_once();
	web_three(&w);
	w.port.n_backends = 2;
	ck_assert_int_eq(apply(&w), 1);
	ck_assert_uint_eq(backend_id("10.244.1.3"), 0);
	ck_assert_uint_gt(
		share(&record_at("10.96.0.1", 80)->set[SL_SET_CLUSTER], backend_id("10.244.1.2")),
		100);
	settle();
	apply_gone(&w);
	audit_once();
	ck_assert_uint_eq(maps_repaired(), 3);
}
END_TEST

START_TEST(nothing_is_repaired_after_a_restart)
{
	struct web w;
	uint64_t word;

	program();
	word = backends[backend_id("10.244.2.1")].word;
	writer_restart();
	tables_set_audit(tables, 0);
	web_init(&w, "other", "10.96.0.2");
	web_backend(&w, "10.244.2.1", BOTH);
	apply(&w);
	tables_synced(tables);
	audit_once();
	ck_assert_uint_eq(backends[backend_id("10.244.2.1")].word, word);
	/* The node's own part was not told anew. */
	ck_assert_int_eq(repaired("backends"), 0);
	ck_assert_int_eq(repaired("records"), 0);
	ck_assert_int_eq(repaired("services"), 0);
	ck_assert_int_eq(repaired("maglev"), 0);
	ck_assert_int_eq(repaired("identities"), 0);
	ck_assert_int_eq(repaired("policy4"), 0);
	ck_assert_int_eq(repaired("frontends4"), 0);
	ck_assert_int_eq(repaired("frontends6"), 0);
	ck_assert_int_eq(repaired("node"), 0);
}
END_TEST

/* By its own timer, and not before the tables are complete. */
START_TEST(a_round_runs_by_itself)
{
	struct web w;

	tables_set_audit(tables, 1);
	web_three(&w);
	apply(&w);
	lose_endpoint();
	run_sweeps(300);
	ck_assert_int_eq(repaired("backends"), 0);
	tables_synced(tables);
	for (int i = 0; i < 100 && !repaired("backends"); i++)
		run_sweeps(100);
	ck_assert_int_eq(repaired("backends"), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("audit");
	TCase *tc = tcase_create("audit");
	SRunner *runner;
	int failed;

	log_set_level(LOG_LEVEL_ERROR);
	libbpf_set_print(NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, writer_setup, writer_teardown);
	tcase_add_loop_test(tc, what_was_damaged_is_repaired_and_nothing_else, 0,
			    SL_COUNT(damages));
	tcase_add_test(tc, a_backend_of_nobody_is_freed_with_a_new_generation);
	tcase_add_test(tc, a_record_is_repaired_beside_the_spoilt_one);
	tcase_add_loop_test(tc, what_a_full_map_can_not_take_back_comes_in_the_next_round, 0,
			    (int)SL_COUNT(full));
	tcase_add_test(tc, changes_go_on_after_a_repair);
	tcase_add_test(tc, nothing_is_repaired_after_a_restart);
	tcase_add_test(tc, a_round_runs_by_itself);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
