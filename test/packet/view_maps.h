/* SPDX-License-Identifier: Apache-2.0 */

#pragma once

/*
 * For tests of views: real maps of the ABI's sizes, which tests fill by hand.
 * Each program that includes this has maps of its own.
 */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <check.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/ip.h"
#include "controlplane/observe/view.h"

static struct view view;

static const struct {
	enum bpf_map_type type;
	uint32_t key, value, entries;
} shapes[DATAPATH_MAP_MAX] = {
	[DATAPATH_filter] = { BPF_MAP_TYPE_ARRAY, 4, 8, SL_FILTER_WORDS },
	[DATAPATH_node_ports] = { BPF_MAP_TYPE_ARRAY, 4, 8, SL_PORT_WORDS *SL_PORT_PROTOCOLS },
	[DATAPATH_endpoint_set] = { BPF_MAP_TYPE_ARRAY, 4, 8, SL_ENDPOINT_WORDS },
	[DATAPATH_frontends4] = { BPF_MAP_TYPE_HASH, sizeof(struct sl_frontend4), 8, 4096 },
	[DATAPATH_frontends6] = { BPF_MAP_TYPE_HASH, sizeof(struct sl_frontend6), 8, 64 },
	[DATAPATH_services] = { BPF_MAP_TYPE_ARRAY, 4, 8, 1024 },
	[DATAPATH_records] = { BPF_MAP_TYPE_ARRAY, 4, sizeof(struct sl_record), 2048 },
	[DATAPATH_maglev] = { BPF_MAP_TYPE_ARRAY, 4, sizeof(struct sl_slots), 64 },
	[DATAPATH_backends] = { BPF_MAP_TYPE_ARRAY, 4, sizeof(struct sl_backend), 2048 },
	[DATAPATH_identities] = { BPF_MAP_TYPE_ARRAY, 4, sizeof(struct sl_identity), 1024 },
	[DATAPATH_policy4] = { BPF_MAP_TYPE_LPM_TRIE, sizeof(struct sl_policy4), 4, 64 },
	[DATAPATH_policy6] = { BPF_MAP_TYPE_LPM_TRIE, sizeof(struct sl_policy6), 4, 64 },
	[DATAPATH_new4] = { BPF_MAP_TYPE_LRU_HASH, sizeof(struct sl_tuple4),
			    sizeof(struct sl_flow4), 4096 },
	[DATAPATH_new6] = { BPF_MAP_TYPE_LRU_HASH, sizeof(struct sl_tuple6),
			    sizeof(struct sl_flow6), 4096 },
	[DATAPATH_established4] = { BPF_MAP_TYPE_LRU_HASH, sizeof(struct sl_tuple4),
				    sizeof(struct sl_flow4), 8192 },
	[DATAPATH_established6] = { BPF_MAP_TYPE_LRU_HASH, sizeof(struct sl_tuple6),
				    sizeof(struct sl_flow6), 4096 },
	[DATAPATH_snat4] = { BPF_MAP_TYPE_HASH, sizeof(struct sl_tuple4), sizeof(struct sl_tuple4),
			     64 },
	[DATAPATH_snat6] = { BPF_MAP_TYPE_HASH, sizeof(struct sl_tuple6), sizeof(struct sl_tuple6),
			     64 },
	[DATAPATH_affinity4] = { BPF_MAP_TYPE_LRU_HASH, sizeof(struct sl_client4),
				 sizeof(struct sl_affinity), 64 },
	[DATAPATH_affinity6] = { BPF_MAP_TYPE_LRU_HASH, sizeof(struct sl_client6),
				 sizeof(struct sl_affinity), 64 },
	[DATAPATH_sockets] = { BPF_MAP_TYPE_LRU_HASH, sizeof(struct sl_socket),
			       sizeof(struct sl_asked), 64 },
	[DATAPATH_node] = { BPF_MAP_TYPE_ARRAY, 4, sizeof(struct sl_node), 1 },
	[DATAPATH_ifaces] = { BPF_MAP_TYPE_HASH, 4, sizeof(struct sl_iface), 64 },
	[DATAPATH_stats_services] = { BPF_MAP_TYPE_PERCPU_ARRAY, 4, sizeof(struct sl_service_stats),
				      1024 },
	[DATAPATH_stats_backends] = { BPF_MAP_TYPE_PERCPU_ARRAY, 4, sizeof(struct sl_backend_stats),
				      2048 },
};

static inline void open_maps(void)
{
	view = (struct view) { .maps_folder = "/bpffs/maps" };
	for (int i = 0; i < DATAPATH_MAP_MAX; i++) {
		LIBBPF_OPTS(bpf_map_create_opts, options);

		if (shapes[i].type == BPF_MAP_TYPE_LPM_TRIE)
			options.map_flags = BPF_F_NO_PREALLOC;
		view.fd[i] = bpf_map_create(shapes[i].type, "view_test", shapes[i].key,
					    shapes[i].value, shapes[i].entries, &options);
		ck_assert_msg(view.fd[i] >= 0, "map %d: %s", i, strerror(errno));
	}
}

static inline void close_maps(void)
{
	for (int i = 0; i < DATAPATH_MAP_MAX; i++)
		if (view.fd[i] >= 0)
			close(view.fd[i]);
}

static inline void put(enum datapath_map map, const void *key, const void *value)
{
	ck_assert_int_eq(bpf_map_update_elem(view.fd[map], key, value, BPF_ANY), 0);
}

static inline void put_id(enum datapath_map map, uint32_t id, const void *value)
{
	put(map, &id, value);
}

static inline struct sl_addr addr_of(const char *text)
{
	struct sl_addr addr = { 0 };

	ck_assert_int_gt(ip_parse(text, &addr), 0);
	return addr;
}

static inline void put_service(uint32_t id, const char *namespace_, const char *name,
			       const char *port, uint8_t proto, uint8_t family)
{
	struct sl_identity identity = { .proto = proto, .family = family };
	uint64_t word = SL_SERVICE_WORD(id + 100, 7);
	struct sl_record record = {
		.set = { { 251, 0 }, { 0, 0 } },
		.service = id,
		.path = { [SL_PATH_CLUSTER] = SL_CHOOSE_CLUSTER,
			  [SL_PATH_OUTSIDE] = SL_CHOOSE_LOCAL,
			  [SL_PATH_POD] = SL_CHOOSE_DROP },
		.affinity_s = 10800,
	};

	snprintf(identity.namespace_, sizeof(identity.namespace_), "%s", namespace_);
	snprintf(identity.service, sizeof(identity.service), "%s", name);
	snprintf(identity.port, sizeof(identity.port), "%s", port);
	put_id(DATAPATH_identities, id, &identity);
	put_id(DATAPATH_records, id + 100, &record);
	put_id(DATAPATH_services, id, &word);
}

static inline void put_backend(uint32_t id, uint32_t service, const char *address, uint16_t port,
			       uint64_t word, uint8_t flags)
{
	struct sl_backend backend = {
		.word = word,
		.port = htons(port),
		.flags = flags,
		.family = (uint8_t)ip_parse(address, &backend.addr),
		.service = service,
	};

	backend.addr = addr_of(address);
	put_id(DATAPATH_backends, id, &backend);
}

static inline void put_frontend(const char *address, uint16_t port, uint8_t proto, uint32_t service,
				enum sl_kind kind)
{
	struct sl_addr addr = addr_of(address);
	uint64_t value = SL_FRONTEND_VALUE(service, kind, 0xabcdef);
	struct sl_frontend4 key4 = { { addr.w[0] }, htons(port), proto, 0 };
	struct sl_frontend6 key6 = {
		{ addr.w[0], addr.w[1], addr.w[2], addr.w[3] }, htons(port), proto, 0
	};

	if (strchr(address, ':'))
		put(DATAPATH_frontends6, &key6, &value);
	else
		put(DATAPATH_frontends4, &key4, &value);
}

/* Puts `stats` on every possible CPU. */
static inline void put_stats(enum datapath_map map, uint32_t id, const void *stats, size_t size)
{
	int cpus = libbpf_num_possible_cpus();
	char values[cpus][size];

	for (int i = 0; i < cpus; i++)
		memcpy(values[i], stats, size);
	put_id(map, id, values);
}

/* ADDR:PORT pairs of a flow entry; IPv6 by a colon in the address. */
struct ends {
	const char *saddr;
	uint16_t sport;
	const char *daddr;
	uint16_t dport;
};

static inline uint32_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint32_t)(((uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec) >>
			  SL_TICK_SHIFT);
}

static inline void put_flow(bool established, struct ends from, struct ends to, uint8_t proto,
			    const struct sl_flow *flow)
{
	struct sl_addr s = addr_of(from.saddr), d = addr_of(from.daddr);
	struct sl_addr ts = addr_of(to.saddr), td = addr_of(to.daddr);

	if (strchr(from.saddr, ':')) {
		struct sl_tuple6 key = { .sport = htons(from.sport),
					 .dport = htons(from.dport),
					 .proto = proto };
		struct sl_flow6 value = { .f = *flow };

		memcpy(key.saddr, &s, 16);
		memcpy(key.daddr, &d, 16);
		memcpy(value.saddr, &ts, 16);
		memcpy(value.daddr, &td, 16);
		value.f.sport = htons(to.sport);
		value.f.dport = htons(to.dport);
		put(established ? DATAPATH_established6 : DATAPATH_new6, &key, &value);
	} else {
		struct sl_tuple4 key = { .saddr = { s.w[0] },
					 .daddr = { d.w[0] },
					 .sport = htons(from.sport),
					 .dport = htons(from.dport),
					 .proto = proto };
		struct sl_flow4 value = { .f = *flow, .saddr = { ts.w[0] }, .daddr = { td.w[0] } };

		value.f.sport = htons(to.sport);
		value.f.dport = htons(to.dport);
		put(established ? DATAPATH_established4 : DATAPATH_new4, &key, &value);
	}
}

/* A document and its text must be equal, whatever the order of fields. */
static inline void check_json(json_t *got, const char *expected)
{
	json_error_t e;
	json_t *want = json_loads(expected, JSON_DECODE_ANY, &e);
	char *text = json_dumps(got, JSON_INDENT(1) | JSON_ENCODE_ANY);

	ck_assert_msg(want != NULL, "%s", e.text);
	ck_assert_msg(json_equal(got, want), "got %s", text);
	free(text);
	json_decref(want);
}

static inline json_t *item(json_t *list, size_t i)
{
	json_t *found = json_array_get(json_object_get(list, "items"), i);

	ck_assert_ptr_nonnull(found);
	return found;
}

static inline const char *field(json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static inline json_int_t number(json_t *object, const char *name)
{
	ck_assert(json_is_integer(json_object_get(object, name)));
	return json_integer_value(json_object_get(object, name));
}

static inline json_t *flows(struct view_flow_filter filter)
{
	char error[512] = "";
	json_t *list = NULL;

	if (!filter.limit)
		filter.limit = VIEW_FLOWS_DEFAULT;
	ck_assert_msg(!view_flows(&view, &filter, &list, error), "%s", error);
	return list;
}

static inline size_t count(json_t *list)
{
	return json_array_size(json_object_get(list, "items"));
}

#define LIVE(generation, sets) SL_BACKEND_WORD(generation, sets, SL_BACKEND_LIVE)
#define GONE(generation)       SL_BACKEND_WORD(generation, 0, SL_BACKEND_GONE)

static char error[512];
static json_t *document;

static inline void setup(void)
{
	open_maps();
	error[0] = 0;
	document = NULL;
}

static inline void teardown(void)
{
	json_decref(document);
	close_maps();
}

static inline void put_three_flows(void)
{
	struct sl_flow flow = { .state = SL_FLOW_ESTABLISHED, .service = 1 };

	put_service(1, "a", "web", "http", IPPROTO_TCP, 4);
	put_service(2, "a", "web", "admin", IPPROTO_TCP, 4);
	put_service(3, "a", "webs", "http", IPPROTO_TCP, 6);
	put_flow(true, (struct ends) { "10.244.0.5", 1, "10.96.0.10", 80 },
		 (struct ends) { "10.244.0.5", 1, "10.244.1.2", 8080 }, IPPROTO_TCP, &flow);
	flow.service = 2;
	put_flow(false, (struct ends) { "10.244.9.6", 2, "10.96.0.10", 81 },
		 (struct ends) { "10.244.9.6", 2, "10.244.1.2", 8081 }, IPPROTO_TCP, &flow);
	flow.service = 3;
	put_flow(true, (struct ends) { "fd00::5", 3, "fd01::a", 80 },
		 (struct ends) { "fd00::5", 3, "fd00::2", 80 }, IPPROTO_TCP, &flow);
}

static inline int run_tests(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
